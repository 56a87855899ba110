import math
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.beats.recordings import find_recordings, read_annotation, read_recording
from benchmarks.beats.scores import bias_ms, scored
from benchmarks.beats.trackers import TRACKERS
from rl_editor.beats import network
from rl_editor.beats.decoding import decoded
from rl_editor.beats.network import BeatNetwork
from rl_editor.beats.spectrum import (
    FRAME_RATE_HZ,
    HOP_SAMPLES,
    N_BANDS,
    RATE_HZ,
    Activations,
    activations,
    log_mel,
)
from rl_editor.composer import compose_song
from rl_editor.config import CorpusConfig


def heard_at(beats_s: np.ndarray, *, beats_per_bar: int, first_downbeat: int, seconds: float) -> Activations:
    """What a perfect network would hear."""
    beat, downbeat = np.full((2, round(seconds * FRAME_RATE_HZ)), 0.02)
    at = np.rint(beats_s * FRAME_RATE_HZ).astype(int)
    beat[at] = 0.9
    downbeat[at[first_downbeat::beats_per_bar]] = 0.85
    return Activations(beat, np.minimum(beat, downbeat))


@pytest.mark.parametrize("bpm", [57.0, 68.0, 97.0, 137.0, 163.0, 181.0, 194.0])
def test_no_tempo_is_favoured_where_all_beats_sound_alike(bpm: float) -> None:
    """Peaks as wide as the network's; 194 bpm was taken at a third, 137 at half."""
    beats = np.arange(0.4, 59.0, 60.0 / bpm)
    beat = np.full(round(60.0 * FRAME_RATE_HZ), 0.005)
    for offset, likely in ((-1, 0.5), (2, 0.3), (1, 0.7), (0, 0.9)):
        at = np.rint(beats * FRAME_RATE_HZ).astype(int) + offset
        beat[at] = likely
    found = decoded(Activations(beat, 0.25 * beat), metres=(4,))
    assert 60.0 / np.diff(found.beats_s).mean() == pytest.approx(bpm, rel=0.02)
    assert scored(found.beats_s, None, beats, beats[::4]).cmlt > 0.9


@pytest.mark.parametrize(("bpm", "beats_per_bar"), [(171.0, 4), (93.0, 4), (128.0, 3)])
def test_beats_and_bars_are_found_between_frames(bpm: float, beats_per_bar: int) -> None:
    beats = np.arange(0.4, 59.0, 60.0 / bpm)
    heard = heard_at(beats, beats_per_bar=beats_per_bar, first_downbeat=2, seconds=60.0)
    found = decoded(heard, metres=(3, 4))
    assert found.beats_per_bar == beats_per_bar
    late = found.beats_s[:, None] - beats
    assert np.abs(late).min(axis=0).max() <= 0.02  # a frame lasts 20 ms
    downbeats = found.beats_s[found.position == 0]
    assert np.abs(downbeats[:, None] - beats[2::beats_per_bar]).min(axis=0).max() <= 0.02


def test_a_step_in_tempo_is_followed() -> None:
    beats = np.concatenate([np.arange(0.5, 30.0, 0.5), np.arange(30.0, 58.0, 0.45)])
    found = decoded(heard_at(beats, beats_per_bar=4, first_downbeat=0, seconds=60.0), metres=(3, 4))
    assert np.abs(found.beats_s[:, None] - beats).min(axis=0).max() <= 0.03


def test_a_missing_beat_is_filled_in() -> None:
    beats = np.arange(0.5, 30.0, 0.5)
    found = decoded(heard_at(np.delete(beats, 20), beats_per_bar=4, first_downbeat=0, seconds=30.0), metres=(3, 4))
    assert np.abs(found.beats_s - beats[20]).min() <= 0.02


def test_scores_of_a_perfect_and_of_a_late_estimate() -> None:
    beats = np.arange(5.0, 25.0, 0.5)
    same = scored(beats, beats[::4], beats, beats[::4])
    assert (same.f_measure, same.cmlt, same.amlt, same.downbeat_f_measure) == (1.0, 1.0, 1.0, 1.0)
    assert same.bias_ms == 0.0
    late = scored(beats + 0.02, None, beats, beats[::4])
    assert late.f_measure == 1.0
    assert late.bias_ms == pytest.approx(20.0)
    assert math.isnan(late.downbeat_f_measure)


def test_every_other_beat_has_two_thirds() -> None:
    """Precision 1, recall 1/2: F = 2 * 1 * 0.5 / 1.5; only the looser continuity allows the level."""
    beats = np.arange(5.0, 25.0, 0.5)
    half = scored(beats[::2], None, beats, beats[::4])
    assert half.f_measure == pytest.approx(2 / 3)
    assert half.cmlt == 0.0
    assert half.amlt == 1.0


def test_no_beats_have_no_bias() -> None:
    assert math.isnan(bias_ms(np.array([]), np.array([1.0])))
    assert math.isnan(bias_ms(np.array([3.0]), np.array([1.0])))


def test_the_network_hears_the_same_at_any_level() -> None:
    mono = np.random.default_rng(0).normal(0.0, 0.1, RATE_HZ * 3).astype(np.float32)
    assert log_mel(mono, RATE_HZ).shape == (1 + len(mono) // HOP_SAMPLES, N_BANDS)
    np.testing.assert_allclose(
        log_mel(mono, RATE_HZ), log_mel(mono * 0.01, RATE_HZ), rtol=2.0**-10, atol=1e-4
    )  # a step of float16


def test_silence_is_heard_as_finite() -> None:
    heard = activations(log_mel(np.zeros(RATE_HZ * 2, np.float32), RATE_HZ))
    assert np.isfinite(heard.beat).all()
    assert (heard.downbeat <= heard.beat).all()


def test_pieces_of_the_front_end_are_heard_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    mel = log_mel(np.random.default_rng(1).normal(0.0, 0.1, RATE_HZ * 9).astype(np.float32), RATE_HZ)
    whole = activations(mel)
    monkeypatch.setattr(network, "_FRONT_FRAMES", 64)
    np.testing.assert_allclose(activations(mel), whole, atol=1e-5)


def test_gradients_reach_every_weight() -> None:
    fresh = BeatNetwork()
    fresh(torch.randn(2, 200, N_BANDS)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in fresh.parameters())


def test_the_trained_network_hears_a_song_that_it_was_not_trained_on() -> None:
    song = compose_song(3, config=CorpusConfig(seed=777_777, min_duration_s=40.0, max_duration_s=50.0))
    beats, position = song.grid.times_s[:-1], song.grid.bar_position
    found = TRACKERS["network"](song.mix.data.mean(axis=1), song.mix.sample_rate)
    score = scored(found.beats_s, found.downbeats_s, beats[position >= 0], beats[position == 0])
    assert score.f_measure > 0.9
    assert abs(score.bias_ms) < 15.0


def test_an_annotation_has_beats_and_perhaps_bars(tmp_path: Path) -> None:
    file = tmp_path / "song.beats"
    file.write_text("0.5 4\n1.0 1\n1.5\t2\n\n", encoding="utf-8")
    beats, downbeats = read_annotation(file)
    assert beats.tolist() == [0.5, 1.0, 1.5]
    assert downbeats.tolist() == [1.0]
    assert list(find_recordings(tmp_path)) == ["song"]
    with pytest.raises(SystemExit, match="no audio of that name"):
        read_recording(file, tmp_path)
    with pytest.raises(SystemExit, match=r"--tempo 1\.1"):
        read_recording(file, tmp_path, tempo=1.1)
    file.write_text("half past\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="time in seconds"):
        read_annotation(file)


def test_a_song_in_another_time_keeps_its_beats_on_its_notes() -> None:
    pretty_midi = pytest.importorskip("pretty_midi", reason="of the extra 'bench'")
    from benchmarks.beats.midi import Song, warped

    notes = pretty_midi.PrettyMIDI()
    notes.instruments.append(pretty_midi.Instrument(0))
    notes.instruments[0].notes.append(pretty_midi.Note(100, 60, 1.0, 1.5))
    song = warped(Song(notes, np.array([0.0, 1.0, 2.0]), np.array([1.0])), np.array([0.0, 2.0]), np.array([3.0, 7.0]))
    assert song.notes.instruments[0].notes[0].start == 5.0  # 3 + 1 * (7 - 3) / 2
    assert song.beats_s.tolist() == [3.0, 5.0, 7.0]
    assert song.downbeats_s.tolist() == [5.0]
