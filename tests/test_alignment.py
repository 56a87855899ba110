"""Alignment against edits that are known by hand: composed notes, cut and pasted by sample."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import scipy.signal
import soundfile as sf

from rl_editor.alignment import align, align_files, recover, summarise
from rl_editor.alignment.confidence import Belief, Evidence
from rl_editor.alignment.descriptors import coarsened, descriptors
from rl_editor.alignment.fades import without_fades
from rl_editor.alignment.joins import Spliced
from rl_editor.alignment.refine import Pair, Placed, without_hops
from rl_editor.alignment.refine import refined as refine_lag
from rl_editor.alignment.segments import segments_of
from rl_editor.alignment.views import tape_view
from rl_editor.alignment.viterbi import Run, States, band_path, bands_around, best_path, best_runs, runs_of
from rl_editor.config import Config
from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.errors import AlignmentError, PairRejectedError

RATE = 22050
MS = RATE / 1000  # samples


def song(seconds: float, *, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """Random notes of three partials every 0.23 s over a bass, and a drum noise; no bar is like another."""
    rng = np.random.default_rng(seed)
    out = np.zeros(int(seconds * rate))
    step = 0.23
    for k in range(int(seconds / step)):
        n = int(rng.uniform(0.3, 0.9) * rate)
        at = int(k * step * rate)
        t = np.arange(min(n, len(out) - at)) / rate
        for hz in 110 * 2 ** (rng.integers(0, 36, 2) / 12):
            partials = sum(np.sin(2 * np.pi * hz * h * t + rng.uniform(0, 6)) / h for h in (1, 2, 3))
            out[at : at + len(t)] += 0.1 * partials * np.exp(-t * rng.uniform(2, 8))
        drum = rng.normal(size=min(len(t), rate // 20)) * rng.uniform(0.02, 0.2)
        out[at : at + len(drum)] += drum * np.exp(-np.arange(len(drum)) / (rate / 100))
    return out.astype(np.float32)


def cut(raw: np.ndarray, *spans: tuple[float, float], rate: int = RATE) -> np.ndarray:
    return np.concatenate([raw[round(a * rate) : round(b * rate)] for a, b in spans]).astype(np.float32)


def info(raw: np.ndarray, rate: int = RATE) -> SourceInfo:
    return SourceInfo("song_raw.wav", "", rate, 1, len(raw))


def spans(edit: EditList) -> list[tuple[float | None, float]]:
    """(source start, duration) in seconds."""
    rate = edit.source.sample_rate
    return [
        (None if s.source_start_frame is None else s.source_start_frame / rate, s.frames / rate) for s in edit.segments
    ]


def assert_spans(edit: EditList, expected: list[tuple[float | None, float]], *, within_s: float) -> None:
    found = spans(edit)
    assert len(found) == len(expected), found
    for (start, duration), (true_start, true_duration) in zip(found, expected, strict=True):
        assert (start is None) == (true_start is None), found
        assert abs(duration - true_duration) <= 2 * within_s, found
        if start is not None and true_start is not None:
            assert abs(start - true_start) <= within_s, found


@pytest.fixture(scope="module")
def raw() -> np.ndarray:
    return song(40)


def test_an_untouched_copy_is_one_segment(raw: np.ndarray) -> None:
    edit = align(raw, raw.copy(), Config(), source=info(raw))
    assert [(s.source_start_frame, s.frames, s.gain_db) for s in edit.segments] == [(0, len(raw), 0.0)]
    assert edit.segments[0].confidence > 0.9


def test_a_cut_is_found_to_the_millisecond_and_its_offset_to_the_sample(raw: np.ndarray) -> None:
    edit = align(raw, cut(raw, (0, 10.5), (22.25, 40)), Config(), source=info(raw))
    assert_spans(edit, [(0, 10.5), (22.25, 17.75)], within_s=0.001)
    right = edit.segments[1]
    assert (right.source_start_frame or 0) - edit.segments[0].frames == round(22.25 * RATE) - round(10.5 * RATE)
    assert edit.frames == len(cut(raw, (0, 10.5), (22.25, 40)))


def test_a_loop_three_times(raw: np.ndarray) -> None:
    edit = align(raw, cut(raw, (0, 12), (8, 12), (8, 12), (12, 20)), Config(), source=info(raw))
    # Playing on from 12 after the third time continues the run.
    assert_spans(edit, [(0, 12), (8, 4), (8, 12)], within_s=0.001)
    summary = summarise(edit)
    assert summary.n_joins == 2
    assert summary.repeated_s == pytest.approx(8.0, abs=0.01)
    assert summary.cut_s == pytest.approx(20.0, abs=0.01)
    assert len(summary.moves) == 0


def test_a_moved_block(raw: np.ndarray) -> None:
    edit = align(raw, cut(raw, (20, 28), (0, 20), (28, 40)), Config(), source=info(raw))
    assert_spans(edit, [(20, 8), (0, 20), (28, 12)], within_s=0.001)
    assert len(summarise(edit).moves) == 1
    assert summarise(edit).cut_s == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("foreign", ["song", "silence", "noise"])
def test_foreign_material_is_null(raw: np.ndarray, foreign: str) -> None:
    n = 3 * RATE
    other = {
        "song": song(3, seed=9),
        "silence": np.zeros(n),
        "noise": np.random.default_rng(0).normal(size=n) * 0.1,
    }[foreign].astype(np.float32)
    heard = np.concatenate([raw[: 10 * RATE], other, raw[10 * RATE : 30 * RATE]])
    edit = align(raw, heard, Config(), source=info(raw))
    assert_spans(edit, [(0, 10), (None, 3), (10, 20)], within_s=0.05)
    assert edit.segments[1].confidence == 0.0
    assert summarise(edit).matched_share == pytest.approx(30 / 33, abs=0.004)


@pytest.mark.parametrize("hiss", [0.0, 1e-4])
def test_silence_plays_no_silent_place_of_the_raw(raw: np.ndarray, hiss: float) -> None:
    """It was a passage of the pause in the raw, 60 dB softer."""
    paused = np.concatenate([raw[: 15 * RATE], np.zeros(4 * RATE, np.float32), raw[15 * RATE :]])
    paused += (hiss * np.random.default_rng(1).normal(size=len(paused))).astype(np.float32)
    edit = np.concatenate([np.zeros(2 * RATE, np.float32), cut(paused, (2, 10), (25, 36))])
    found = align(paused, edit, Config(), source=info(paused))
    assert_spans(found, [(None, 2), (2, 8), (25, 11)], within_s=0.01)


@pytest.mark.parametrize("silence_s", [0, 2])
def test_fades_at_the_ends_belong_to_what_fades(raw: np.ndarray, silence_s: int) -> None:
    heard = cut(raw, (5, 17), (22, 38))
    heard[: 5 * RATE] *= np.linspace(0, 1, 5 * RATE) ** 3
    heard[-8 * RATE :] *= np.linspace(1, 0, 8 * RATE) ** 3
    heard = np.concatenate([heard, np.zeros(silence_s * RATE, np.float32)])
    edit = align(raw, heard, Config(), source=info(raw))
    first, second, *silence = spans(edit)
    assert first == pytest.approx((5, 12), abs=0.002)
    assert second == pytest.approx((22, 16), abs=0.2)  # the last 0.2 s are below -96 dB: (0.2 / 8)^3
    assert len(silence) == (silence_s > 0)


@pytest.mark.parametrize(
    "curve",
    [lambda left: left, np.square, np.sqrt, lambda left: 1 - (1 - left) ** 2],
    ids=["line", "square", "square root", "inverted parabola"],
)
def test_how_long_the_ends_fade_is_told_and_is_no_level_of_a_passage(
    raw: np.ndarray, curve: Callable[[np.ndarray], np.ndarray]
) -> None:
    """A radio edit: its last passage fades for 8 of 10 s, and its mean level is no step of level at the join."""
    heard = 0.5 * cut(raw, (5, 17), (22, 32))
    heard[: 2 * RATE] *= curve(np.linspace(0, 1, 2 * RATE, dtype=np.float32))
    heard[-8 * RATE :] *= curve(np.linspace(1, 0, 8 * RATE, dtype=np.float32))
    found = recover(raw, heard, Config(), source=info(raw))
    assert found.edit.fade_in_ms == pytest.approx(2000, abs=100)
    assert found.edit.fade_out_ms == pytest.approx(8000, abs=400)
    assert [segment.gain_db for segment in found.edit.segments] == [0.0, 0.0]
    assert found.gain_db == pytest.approx(-6.0, abs=0.3)  # 20 log10 of a half
    summary = summarise(found.edit)
    assert (summary.fade_in_s, summary.fade_out_s) == (found.edit.fade_in_ms / 1000, found.edit.fade_out_ms / 1000)


def test_a_fade_is_told_beside_a_compressor(raw: np.ndarray) -> None:
    """Loud passages are turned down as the square root of their level, here of every 50 ms; that is no fade."""
    raw = raw * np.where(np.arange(len(raw)) < 28 * RATE, np.float32(0.25), np.float32(1.0))
    heard = cut(raw, (2, 14), (16, 38))
    power = scipy.signal.oaconvolve(heard.astype(np.float64) ** 2, np.ones(1100) / 1100, mode="same")
    heard = (heard * (np.maximum(power, 1e-9) / power.mean()) ** -0.25).astype(np.float32)
    plain = align(raw, heard, Config(), source=info(raw))
    assert (plain.fade_in_ms, plain.fade_out_ms) == (0.0, 0.0)
    heard[-6 * RATE :] *= np.linspace(1, 0, 6 * RATE, dtype=np.float32)
    assert align(raw, heard, Config(), source=info(raw)).fade_out_ms == pytest.approx(6000, abs=1000)


def test_a_song_that_fades_by_itself_is_no_edit_that_fades(raw: np.ndarray) -> None:
    song_with_end = raw * np.minimum(1.0, np.linspace(4.0, 0.0, len(raw), dtype=np.float32))
    edit = align(song_with_end, cut(song_with_end, (2, 12), (20, 40)), Config(), source=info(raw))
    assert edit.fade_out_ms == 0.0


def test_passages_that_begin_within_a_fade_are_found(raw: np.ndarray) -> None:
    """1.5 s of 6 s of fading in, and as much of fading out, are from elsewhere in the raw."""
    heard = cut(raw, (8, 9.5), (20, 34), (4, 5.5))
    n = 6 * RATE
    fade = np.linspace(0, 1, n, dtype=np.float32) ** 2
    heard[:n] *= fade
    heard[-n:] *= fade[::-1]
    edit = align(raw, heard, Config(), source=info(raw))
    assert_spans(edit, [(8, 1.5), (20, 14), (4, 1.5)], within_s=0.01)
    levels = [segment.gain_db for segment in edit.segments]
    assert levels[1] == 0.0
    assert max(levels[0], levels[2]) < -20.0, levels  # the fade is still in the levels


def test_ends_are_lifted_where_they_are_lost_and_soft() -> None:
    """A tenth of the usual level rises to half of it, -48 dB by 40 dB at most, and what is found stays as it is."""
    level = np.full(10 * RATE, 1.0)
    level[:RATE], level[-2 * RATE :] = 0.1, 0.004
    edit = (level * np.random.default_rng(0).normal(size=len(level))).astype(np.float32)
    lost = [Placed(0, RATE, None), Placed(RATE, 8 * RATE, 0.0), Placed(8 * RATE, 10 * RATE, None)]
    assert without_fades(edit, [Placed(0, 10 * RATE, 0.0)], sample_rate=RATE) is None
    silent = np.where(np.arange(len(edit)) < RATE, np.float32(0.001), np.float32(1.0)) * edit
    assert without_fades(silent, [lost[0], replace(lost[1], end=10 * RATE)], sample_rate=RATE) is None  # -80 dB
    assert without_fades(edit[RATE : 8 * RATE], [lost[0], lost[1]], sample_rate=RATE) is None  # as loud as the rest
    lifted = without_fades(edit, lost, sample_rate=RATE)
    assert lifted is not None
    gain = lifted / edit
    assert np.median(gain[: RATE // 2]) == pytest.approx(5.0, rel=0.1)
    assert np.median(gain[-RATE:]) == pytest.approx(100.0)
    assert np.all(gain[2 * RATE : 7 * RATE] == 1.0)
    head = without_fades(edit, [lost[0], replace(lost[1], end=10 * RATE)], sample_rate=RATE)
    assert head is not None
    assert np.array_equal(head[2 * RATE :], edit[2 * RATE :])


def test_what_hangs_over_the_source_is_one_with_what_is_from_elsewhere(raw: np.ndarray) -> None:
    config = Config()
    pair = Pair((tape_view(raw, config.audio, config.alignment),), raw)
    n = len(raw)
    runs = [Placed(0, 15_000, float(n - 10_000)), Placed(15_000, 20_000, None)]
    beliefs = [Belief(Evidence(1.0, 1.0, 50.0, 1.0), 1.0), Belief(Evidence(0.0, None, None, 1.0), 1.0)]
    found = segments_of(Spliced(runs, [0.0, 0.0]), beliefs, pair, info(raw), sample_rate=RATE, output_frames=20_000)
    assert [(s.source_start_frame, s.frames) for s in found] == [(n - 10_000, 10_000), (None, 10_000)]


def mastered(edit: np.ndarray) -> np.ndarray:
    """Bass up, treble up, squashed, turned over, DC, noise 25 dB below."""
    rng = np.random.default_rng(3)
    low = scipy.signal.sosfilt(scipy.signal.butter(1, 200, fs=RATE, output="sos"), edit)
    high = scipy.signal.sosfilt(scipy.signal.butter(1, 4000, "high", fs=RATE, output="sos"), edit)
    loud = np.tanh(4 * (edit + 0.7 * low + 0.7 * high))
    noise = rng.normal(size=len(edit)) * np.sqrt(np.mean(loud**2)) * 10 ** (-25 / 20)
    return (-loud + noise + 0.02).astype(np.float32)


def test_mastering_polarity_dc_and_noise_change_nothing(raw: np.ndarray) -> None:
    heard = mastered(cut(raw, (5, 15), (25, 33), (18, 25)))
    found = recover(raw, heard, Config(), source=info(raw))
    assert found.polarity_flipped
    assert found.gain_db > 6  # tanh(4 x) is 12 dB louder where it is soft
    assert_spans(found.edit, [(5, 10), (25, 8), (18, 7)], within_s=0.005)
    lags = np.diff(
        [
            (s.source_start_frame or 0) - a
            for s, a in zip(found.edit.segments, found.edit.output_start_frames(), strict=True)
        ]
    )
    assert np.abs(lags - np.round(np.array([10, -15]) * RATE)).max() <= 2  # 25-15 - 5 = ; 18-23 less 25-10


def test_the_level_of_a_segment_shows_but_not_that_of_the_whole(raw: np.ndarray) -> None:
    heard = 0.5 * cut(raw, (0, 15), (20, 30), (32, 40))
    heard[15 * RATE : 25 * RATE] *= 10 ** (-6 / 20)
    found = recover(raw, heard.astype(np.float32), Config(), source=info(raw))
    assert [round(s.gain_db) for s in found.edit.segments] == [0, -6, 0]
    assert found.gain_db == pytest.approx(-6.02, abs=0.1)  # 0.5, as most of the edit is; a third is softer still


def test_levels_are_exact_where_half_an_edit_is_softer_and_sounds_otherwise(raw: np.ndarray) -> None:
    """Learned from all windows alike, the filter takes part of the level for an EQ: what is dull was the softer."""
    dull = scipy.signal.lfilter(*scipy.signal.butter(2, 400, fs=RATE), song(24, seed=5)).astype(np.float32)
    both = np.concatenate([raw[: 24 * RATE], 3 * dull])
    heard = cut(both, (1, 9), (26, 34), (36, 44), (12, 20))
    heard[8 * RATE : 24 * RATE] *= 10 ** (-12 / 20)
    found = recover(both, heard, Config(), source=info(both))
    levels = np.array([s.gain_db + found.gain_db for s in found.edit.segments])
    assert len(levels) == 4
    assert np.abs(levels - [0, -12, -12, 0]).max() < 0.3, levels


@pytest.mark.parametrize("milliseconds", [40, 300, 800])
def test_a_crossfade_is_measured_and_the_join_is_its_middle(raw: np.ndarray, milliseconds: int) -> None:
    """Long ones reach far into what gives both sides their level, and beyond the usual search."""
    half, length = round(milliseconds * MS / 2), round(milliseconds * MS)
    fade = (np.arange(2 * half) + 0.5) / length
    a, b = round(10.0 * RATE), round(24.0 * RATE)
    mix = raw[a - half : a + half] * (1 - fade) + raw[b - half : b + half] * fade
    heard = np.concatenate([raw[: a - half], mix, raw[b + half : 36 * RATE]]).astype(np.float32)
    edit = align(raw, heard, Config(), source=info(raw))
    assert_spans(edit, [(0, 10), (24, 12)], within_s=0.003)
    assert edit.segments[1].crossfade_in_ms == pytest.approx(milliseconds, abs=5)
    assert [segment.gain_db for segment in edit.segments] == [0.0, 0.0]


def test_native_rate_positions_are_right_to_a_native_sample() -> None:
    rate = 44100
    native = song(24, rate=rate)
    heard = cut(native, (0, 8), (13.00003, 24), rate=rate)  # an odd native frame: half an analysis sample
    low = [scipy.signal.resample_poly(x, 1, 2).astype(np.float32) for x in (native, heard)]
    edit = align(low[0], low[1], Config(), source=info(native, rate))
    right = edit.segments[1]
    assert abs((right.source_start_frame or 0) - edit.segments[0].frames - (round(13.00003 * rate) - 8 * rate)) <= 1
    assert edit.frames == 2 * len(low[1])


def test_an_edit_of_another_song_is_rejected_with_both_numbers(raw: np.ndarray) -> None:
    with pytest.raises(PairRejectedError, match=r"% of the edit is found .* deviations\), at least 80%.*another take"):
        align(raw, song(20, seed=5), Config(), source=info(raw))


def test_doubt_rejects_even_a_matched_pair(raw: np.ndarray) -> None:
    config = Config.from_dict({"alignment": {"min_confidence": 1.0}})
    with pytest.raises(PairRejectedError, match=r"median confidence \d\.\d\d over 100%.*at least 1\.00"):
        align(raw, mastered(raw[: 20 * RATE]), config, source=info(raw))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (np.zeros(5 * RATE, np.float32), r"edit: silent \(peak -\d+ dBFS\)"),
        (np.full(5 * RATE, 0.5, np.float32), "edit: silent"),
        (np.zeros(0, np.float32), "edit: 0.0 s of audio, at least 3 s"),
        (song(2), "edit: 2.0 s of audio, at least 3 s"),
        (np.full(5 * RATE, np.nan, np.float32), "edit: holds NaN"),
    ],
)
def test_what_cannot_be_compared_says_why(raw: np.ndarray, edit: np.ndarray, message: str) -> None:
    with pytest.raises(AlignmentError, match=message):
        align(raw, edit, Config(), source=info(raw))


def test_identical_bars_are_played_straight_on() -> None:
    bar = song(2, seed=2)
    raw = np.concatenate([song(6, seed=1), *[bar] * 8, song(6, seed=3)])  # 6 + 16 + 6 s
    edit = align(raw, raw[4 * RATE : 26 * RATE], Config(), source=info(raw))
    assert_spans(edit, [(4, 22)], within_s=0.001)
    assert edit.segments[0].confidence > 0.8


def test_near_twins_are_told_apart_by_their_samples() -> None:
    bar = song(4, seed=2)
    other = bar + 0.03 * song(4, seed=8)  # the same bar with something faint on top
    raw = np.concatenate([song(4, seed=1), bar, song(4, seed=4), other, song(4, seed=3)])
    edit = align(raw, cut(raw, (16, 20), (12, 16), (0, 4)), Config(), source=info(raw))
    assert_spans(edit, [(16, 4), (12, 4), (0, 4)], within_s=0.001)


def test_encoder_delay_at_the_head_is_null_not_negative(raw: np.ndarray) -> None:
    heard = np.concatenate([np.zeros(1105, np.float32), raw[: 20 * RATE]])
    edit = align(raw, heard, Config(), source=info(raw))
    assert [(s.source_start_frame, s.frames) for s in edit.segments] == [(None, 1105), (0, 20 * RATE)]


def test_files_of_other_rates_and_channels(tmp_path, raw: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    stereo = scipy.signal.resample_poly(np.stack([raw, 0.8 * raw], axis=1), 2, 1)[: 30 * 2 * RATE]
    sf.write(tmp_path / "song_raw.wav", stereo, 2 * RATE, subtype="PCM_16")
    heard = scipy.signal.resample_poly(cut(raw, (3, 12), (18, 28)), 320, 147)  # 48 kHz
    sf.write(tmp_path / "song_edit.wav", 0.5 * heard, 48000, subtype="PCM_16")
    edit = align_files(tmp_path / "song_raw.wav", tmp_path / "song_edit.wav", Config())
    assert (edit.source.name, edit.source.sample_rate, edit.source.channels) == ("song_raw.wav", 44100, 2)
    assert edit.frames == 19 * 44100
    assert_spans(edit, [(3, 9), (18, 10)], within_s=0.001)
    sf.write(tmp_path / "other.wav", song(10, seed=7), RATE)
    with pytest.raises(PairRejectedError, match=r"other\.wav from song_raw\.wav: "):
        align_files(tmp_path / "song_raw.wav", tmp_path / "other.wav", Config())


def test_the_same_input_gives_the_same_bytes(raw: np.ndarray) -> None:
    heard = mastered(cut(raw, (0, 10), (20, 30)))
    first, second = (align(raw, heard, Config(), source=info(raw)).to_json() for _ in range(2))
    assert first == second


# --- the recurrence


def rows(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 16)).astype(np.float32)


def test_the_path_equals_the_recurrence_written_out() -> None:
    raw, rng = rows(30), np.random.default_rng(1)
    edit = (raw[[*range(3, 15), *range(2, 12), *range(20, 29)]] + rng.normal(size=(31, 16)) * 0.8).astype(np.float32)
    edit[12:16] = rng.normal(size=(4, 16))
    config = Config.from_dict({"alignment": {"jump_cost": 1.5, "stack_frames": 1}}).alignment
    expected = runs_of(np.array(_plain_viterbi(edit, raw, jump=1.5, theta=config.unmatched_cost)))
    assert best_path(edit, [States(raw)], config) == expected
    assert [run.offset for run in expected] == [3, None, -2]


def _plain_viterbi(edit: np.ndarray, raw: np.ndarray, *, jump: float, theta: float) -> list[int]:
    """The textbook loop in float64 over all pairs of states; the last state is 'unmatched'."""

    def stack(x: np.ndarray) -> np.ndarray:
        p = np.pad(x.astype(np.float64), ((1, 1), (0, 0)))
        v = np.concatenate([p[:-2], p[1:-1], p[2:]], axis=1)
        return v / np.linalg.norm(v, axis=1, keepdims=True)

    local = np.concatenate([1 - stack(edit) @ stack(raw).T, np.full((len(edit), 1), theta)], axis=1)
    m = len(raw)
    step = np.full((m + 1, m + 1), jump)
    step[np.arange(m - 1), np.arange(1, m)] = 0.0
    step[m, m] = 0.0
    total, back = local[0] + np.r_[np.zeros(m), jump], []
    for row in local[1:]:
        candidates = total[:, None] + step
        back.append(candidates.argmin(axis=0))
        total = row + candidates.min(axis=0)
    path = [int(total.argmin())]
    for pointers in back[::-1]:
        path.append(int(pointers[path[-1]]))
    return [-1 if s == m else s for s in path[::-1]]


def test_a_band_that_holds_the_path_finds_the_same_path() -> None:
    raw = rows(400)
    edit = np.concatenate([raw[50:150], rows(40, seed=9), raw[300:390], raw[50:150]])
    config = Config().alignment
    whole = best_path(edit, [States(raw)], config)
    bands = bands_around(whole, factor=1, n_edit=len(edit))
    assert band_path(edit, [States(raw)], bands, config) == whole
    assert [r.offset for r in whole] == [50, None, 160, -180]


def test_a_path_takes_each_stretch_in_the_view_that_fits_it() -> None:
    raw, other = rows(200), rows(180, seed=5)
    edit = np.concatenate([raw[20:80], other[30:120], raw[150:200]])
    views = [States(raw), States(other, 1.1)]
    path = best_path(edit, views, Config().alignment)
    assert [(run.offset, run.view) for run in path] == [(20, 0), (-30, 1), (0, 0)]
    assert np.abs(np.array([run.end for run in path]) - [60, 150, 200]).max() <= 2  # a stack is 5 frames long
    bands = bands_around([Run(30, 75, -13, 0)], factor=2, n_edit=200, speeds=(1.0, 1.1))
    # Raw frames 34..124 are 30.9..112.7 of the view: diagonals -29..-37, and two coarse frames to either side.
    assert [(b.view, b.low, b.low + b.width - 1) for b in bands] == [(0, -30, -22), (1, -41, -25)]


def test_a_view_does_not_continue_into_the_next() -> None:
    raw, other = rows(50), rows(50, seed=5)
    edit = np.concatenate([raw[40:], other[:10]])
    assert best_path(edit, [States(raw), States(other)], Config().alignment) == [Run(0, 10, 40, 0), Run(10, 20, -10, 1)]


def test_the_coarse_pass_of_a_long_pair_finds_the_runs_of_the_fine_one() -> None:
    raw = song(240)
    heard = cut(raw, (10.3, 50), (90.1, 130), (20, 60.7))
    left, right = (descriptors(x, Config().audio, Config().alignment) for x in (heard, raw))
    fine = best_path(left, [States(right)], Config().alignment)
    coarse = best_runs(left, [States(right)], Config.from_dict({"alignment": {"coarse_above_cells": 1.0e5}}).alignment)
    assert coarse == fine
    assert len(fine) == 3


def test_runs_are_cut_where_the_diagonal_changes() -> None:
    path = np.array([5, 6, 7, -1, -1, 2, 3, 9])
    assert runs_of(path) == [Run(0, 3, 5), Run(3, 5, None), Run(5, 7, -3), Run(7, 8, 2)]


def test_hops_are_closed_from_both_sides_and_twins_of_one_diagonal_joined() -> None:
    hop = [Run(0, 100, 0), Run(100, 104, 70), Run(104, 200, 0), Run(200, 204, 9), Run(204, 300, 50)]
    assert without_hops(hop) == [Run(0, 202, 0), Run(202, 300, 50)]


def test_coarse_rows_are_means_of_their_group() -> None:
    plain = np.arange(10, dtype=np.float32).reshape(5, 2)
    assert coarsened(plain, 2).tolist() == [[1, 2], [5, 6], [8, 9]]


def test_descriptors_ignore_gain_and_static_eq(raw: np.ndarray) -> None:
    config = Config()
    plain = descriptors(raw[: 10 * RATE], config.audio, config.alignment)
    louder = descriptors(3 * raw[: 10 * RATE], config.audio, config.alignment)
    assert plain.shape == (1 + 10 * RATE // 512, 64)
    assert np.abs(plain - louder).max() < 0.05
    assert np.abs(plain.mean(axis=0)).max() < 1e-4


@pytest.mark.parametrize("lag", [0.0, 0.25, 100.5, -300.75])
def test_a_fractional_lag_is_found_to_a_tenth_of_a_sample(lag: float) -> None:
    rate = 4 * RATE  # quarters of an analysis sample are whole samples here
    fine = scipy.signal.resample_poly(song(8).astype(np.float64), 4, 1)
    at = 2 * rate
    edit = fine[at : at + 4 * rate : 4].astype(np.float32)
    raw = fine[at - round(lag * 4) - 4 * 2048 :][::4].astype(np.float32)  # edit sample t is raw t + 2048 + lag
    view = tape_view(raw, Config().audio, Config().alignment)
    found = refine_lag(Placed(0, len(edit), 2048.0), Pair((view,), edit), polarity=1.0)
    assert found.lag == pytest.approx(2048 + lag, abs=0.1)
    assert found.score > 10


def test_summary_of_a_hand_made_edit() -> None:
    source = SourceInfo("a.wav", "", 100, 1, 1000)
    edit = EditList(
        source,
        (
            Segment(0, 200),
            Segment(None, 100, confidence=0.0),
            Segment(500, 300, gain_db=2.0, confidence=0.5),
            Segment(200, 100),
        ),
    )
    summary = summarise(edit)
    assert summary.n_segments == 4
    assert summary.matched_share == pytest.approx(600 / 700)
    assert summary.cut_s == pytest.approx(4.0)  # 1000 - 200 - 300 - 100 frames
    assert summary.repeated_s == 0.0
    assert len(summary.moves) == 1  # 200 comes after 500..800
    assert summary.unexplained_s == pytest.approx(1.0)
    assert summary.loudest_db == 2.0
    assert summary.median_confidence == 0.5  # 300 of 600 frames have 0.5
