"""Speed, pitch and twins against edits whose truth is known by construction."""

import numpy as np
import pytest
import soxr
from test_alignment import RATE, assert_spans, cut, info, song

from rl_editor.alignment import align
from rl_editor.alignment.descriptors import descriptors
from rl_editor.alignment.refine import Pair, Placed, place
from rl_editor.alignment.speeds import Scale, sharpened
from rl_editor.alignment.twins import _cheapest_path
from rl_editor.alignment.views import tape_semitones, tape_view, warped_view
from rl_editor.alignment.viterbi import Run
from rl_editor.augmentation import AugmentationDraw, augment_mono
from rl_editor.config import Config


@pytest.fixture(scope="module")
def raw() -> np.ndarray:
    return song(60, seed=3)


def test_a_tape_an_octave_up_runs_twice_as_fast() -> None:
    assert tape_semitones(2.0) == 12.0
    assert tape_semitones(1.04) == pytest.approx(0.679, abs=1e-3)  # 12 log2 1.04


@pytest.mark.parametrize("speed", [0.97, 1.003, 1.04])
def test_varispeed_is_found_and_exact(raw: np.ndarray, speed: float) -> None:
    heard = soxr.resample(cut(raw, (2, 22), (32, 50)), speed, 1.0).astype(np.float32)
    edit = align(raw, heard, Config(), source=info(raw))
    assert_spans(edit, [(2, 20 / speed), (32, 18 / speed)], within_s=0.003)
    for segment in edit.segments:
        assert segment.speed == pytest.approx(speed, abs=2e-5)
        assert segment.pitch_semitones == pytest.approx(12 * np.log2(speed), abs=0.006)
        assert segment.confidence > 0.5


def test_one_segment_at_another_speed(raw: np.ndarray) -> None:
    faster = soxr.resample(cut(raw, (30, 45)), 1.02, 1.0).astype(np.float32)
    heard = np.concatenate([cut(raw, (0, 15)), faster, cut(raw, (45, 58))])
    edit = align(raw, heard, Config(), source=info(raw))
    assert_spans(edit, [(0, 15), (30, 15 / 1.02), (45, 13)], within_s=0.005)
    assert [round(s.speed, 3) for s in edit.segments] == [1.0, 1.02, 1.0]


@pytest.mark.parametrize(("rate", "semitones"), [(1.05, 0.0), (1.0, 2.0)])
def test_tempo_and_pitch_alone_are_found(raw: np.ndarray, rate: float, semitones: float) -> None:
    heard = augment_mono(
        cut(raw, (5, 25), (35, 50)),
        RATE,
        AugmentationDraw(stretch_rate=rate, pitch_semitones=semitones),
        np.random.default_rng(0),
    )
    edit = align(raw, heard, Config(), source=info(raw))
    matched = [s for s in edit.segments if s.source_start_frame is not None]
    assert [round(s.speed, 2) for s in matched] == [rate, rate]
    assert [round(s.pitch_semitones, 1) for s in matched] == [semitones, semitones]
    for segment, start_s, seconds in zip(matched, (5, 35), (20, 15), strict=True):
        assert (segment.source_start_frame or 0) / RATE == pytest.approx(start_s, abs=0.05)
        assert segment.frames / RATE == pytest.approx(seconds / rate, abs=0.1)


def test_a_view_has_the_rows_of_the_edit_it_stands_for(raw: np.ndarray) -> None:
    config, speed = Config(), 1.04
    heard = soxr.resample(raw, speed, 1.0).astype(np.float32)
    rows = descriptors(heard, config.audio, config.alignment)
    for view in (
        tape_view(raw, config.audio, config.alignment, speed=speed),
        warped_view(raw, config.audio, config.alignment, speed=speed, semitones=tape_semitones(speed)),
    ):
        n = min(len(rows), len(view.rows))
        likeness = float((rows[:n] * view.rows[:n]).sum() / np.sqrt((rows[:n] ** 2).sum() * (view.rows[:n] ** 2).sum()))
        assert likeness > 0.97
    plain = tape_view(raw, config.audio, config.alignment).rows[:n]
    assert float((rows[:n] * plain).sum() / np.sqrt((rows[:n] ** 2).sum() * (plain**2).sum())) < 0.5


@pytest.mark.parametrize("speed", [1.005, 1.02])
def test_a_run_given_to_a_view_of_about_its_speed_plays_the_tape_that_it_does_not_slip_in(
    raw: np.ndarray, speed: float
) -> None:
    """Over four seconds the descriptors of both tell too little; cut where it slips it would be a dozen runs."""
    config = Config()
    right = tape_view(raw, config.audio, config.alignment, speed=speed)
    assert right.sound is not None
    pair = Pair((tape_view(raw, config.audio, config.alignment), right), right.sound[2 * RATE : 6 * RATE])
    hop, middle_s = config.audio.hop_length, 2.0
    offset = round(((2 + middle_s) * speed - middle_s) * RATE / hop)  # the raw is at 4 * speed where the edit is at 2
    (run,) = place([Run(0, 4 * RATE // hop, offset, 0)], pair, hop=hop).runs
    assert (run.view, run.start, run.end) == (1, 0, 4 * RATE)
    assert run.lag == pytest.approx(2 * RATE, abs=0.5)


def test_a_drift_becomes_a_speed(raw: np.ndarray) -> None:
    config, speed = Config(), 1.001
    heard = soxr.resample(raw, speed, 1.0).astype(np.float32)
    pair = Pair((tape_view(raw, config.audio, config.alignment),), heard)
    length = 20 * RATE
    # At its middle, 10 s in, the run plays raw second 10.01: a lag of 220.5 samples that grows by 0.001 per sample.
    run = Placed(0, length, 220.5, drift=1e-3)
    runs, changed = sharpened([run], pair, Scale(config.audio, config.alignment), polarity=1.0)
    assert changed.views[runs[0].view].speed == pytest.approx(speed, abs=1e-5)
    assert runs[0].lag == pytest.approx(0.0, abs=1.0)  # sample 0 is sample 0


def test_twins_change_inside_a_run_when_the_samples_say_so() -> None:
    bar, faint = song(2, seed=2), song(16, seed=8)
    loop = np.concatenate([bar] * 8) + 0.05 * faint
    raw = np.concatenate([song(4, seed=1), loop, song(4, seed=3)])
    # Bars 0-3, then 6 and 7, then 2 and 3: to the descriptors one long run could do.
    edit = align(raw, cut(raw, (0, 12), (16, 20), (8, 12), (20, 24)), Config(), source=info(raw))
    assert_spans(edit, [(0, 12), (16, 4), (8, 4), (20, 4)], within_s=0.005)


def test_the_cheapest_path_pays_for_changes_and_keeps_ties() -> None:
    tie = np.zeros((6, 2))
    assert _cheapest_path(tie).tolist() == [0] * 6
    little = np.array([[0.0, -0.3]] * 6)  # 1.8 gained, a change costs 2
    assert _cheapest_path(little).tolist() == [0] * 6
    much = np.array([[0.0, 5.0], [5.0, 0.0], [5.0, 0.0], [0.0, 5.0]])  # there and back for 4 against 10
    assert _cheapest_path(much).tolist() == [0, 1, 1, 0]
