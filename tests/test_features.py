"""Frame features equal librosa's; beat features have the documented columns and hand-computable values."""

import subprocess
import sys
import tracemalloc

import librosa
import numpy as np
import pytest
import torch

from benchmarks.features import librosa_frames
from rl_editor import features
from rl_editor.config import AudioConfig, Config
from rl_editor.errors import ConfigError, DatasetError, StemError
from rl_editor.features import (
    FEATURE_NAMES,
    FRAME_NAMES,
    BeatFeatures,
    FrameFeatures,
    extract_frames,
    feature_dim,
    pool_beats,
    pooling,
)
from rl_editor.features import frames as frames_module
from rl_editor.grid import BeatGrid

RATE, HOP = 22050, 512


def song(duration_s=8.0, *, seed=0):
    """Kicks, snares and detuned chords over a little noise."""
    rng = np.random.default_rng(seed)
    n = int(duration_s * RATE)
    signal = 1e-3 * rng.standard_normal(n)
    for beat, start in enumerate(range(0, n, RATE // 2)):
        t = np.arange(min(8000, n - start)) / RATE
        drum = np.sin(2 * np.pi * 60 * t) if beat % 2 == 0 else 0.4 * rng.standard_normal(len(t))
        chord = sum(np.sin(2 * np.pi * f * 1.01 * t) for f in (220.0, 277.2, 329.6))
        signal[start : start + len(t)] += 0.3 * np.exp(-t * 12) * drum + 0.05 * chord
    return signal.astype(np.float32)


@pytest.fixture(scope="module")
def frames():
    return extract_frames(song(), Config())


def grid_of(*times_s, position=None, beats_per_bar=4):
    n = len(times_s) - 1
    bars = np.arange(n) % beats_per_bar if position is None else np.array(position)
    return BeatGrid(np.array(times_s, float), bars, beats_per_bar)


@pytest.mark.parametrize(("sample_rate", "n_fft"), [(22050, 2048), (16000, 1024), (44100, 4096)])
@pytest.mark.parametrize("tuning", [-0.5, -0.13, 0.0, 0.37])
def test_chroma_weights_equal_librosa_to_the_bit(sample_rate, n_fft, tuning):
    ours = frames_module.chroma_weights(AudioConfig(sample_rate=sample_rate, n_fft=n_fft), tuning)
    np.testing.assert_array_equal(ours, librosa.filters.chroma(sr=sample_rate, n_fft=n_fft, tuning=tuning))


def test_features_need_no_library_that_takes_long_to_import():
    """librosa's filters bring scipy.signal and compile: longer than a song's features take."""
    code = (
        "import sys, numpy as np; from rl_editor.config import Config; from rl_editor.features import extract_frames; "
        "extract_frames(np.ones(22050, np.float32), Config()); print({'librosa', 'scipy.signal'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("kept_bytes", [0, 1 << 30])  # the chroma from a second pass, and from the kept spectrum
def test_frame_features_equal_librosa(monkeypatch, kept_bytes):
    monkeypatch.setattr(frames_module, "_KEPT_POWER_BYTES", kept_bytes)
    ours, theirs = extract_frames(song(), Config()).values, librosa_frames(song())
    error = np.abs(ours - theirs).max(axis=0) / theirs.std(axis=0)
    worst = dict(zip(FRAME_NAMES, error, strict=True))
    assert max(worst.values()) < 1e-4, worst


def test_beyond_its_ends_a_signal_stays_what_it_was():
    """It crosses zero nowhere; in silence around it, it would at both ends."""
    below = extract_frames(np.full(RATE, -0.5, np.float32), Config()).values
    assert not below[:, FRAME_NAMES.index("zcr")].any()


def test_what_is_soft_is_so_beside_the_loudest_of_all_blocks(monkeypatch):
    """Of two frames, a block each, the second is 100 dB softer, and 80 dB below the loudest are as much as counts."""
    monkeypatch.setattr(frames_module, "_BLOCK_ROWS", 1)
    assert frames_module._in_db(np.array([[1.0], [1e-10]])).tolist() == [[0.0], [-80.0]]


@pytest.mark.parametrize("kept_bytes", [0, 1 << 30])
def test_tensors_give_the_same_frame_features(monkeypatch, kept_bytes):
    """The formulas of another device, on the CPU: rolloffs fall one bin beside now and then, as float32 sums differ."""
    monkeypatch.setattr(frames_module, "_KEPT_POWER_BYTES", kept_bytes)
    ours = extract_frames(song(), Config()).values
    other = frames_module.frame_values(torch.from_numpy(song()), AudioConfig()).numpy()
    error = np.abs(other - ours)
    rolloff = FRAME_NAMES.index("rolloff")
    assert error[:, rolloff].max() <= RATE / 2048 + 1e-3
    assert (error[:, rolloff] > 1.0).mean() < 0.02
    error[:, rolloff] = 0.0
    assert (error.max(axis=0) / ours.std(axis=0)).max() < 1e-4
    grid = grid_of(*np.arange(0.0, 8.1, 0.5))
    one, two = (
        pool_beats(FrameFeatures(values, RATE, HOP, 8 * RATE), grid, mode="enhanced").values for values in (ours, other)
    )
    spread = one.std(axis=0)
    assert (np.abs(one - two).max(axis=0)[spread > 0] / spread[spread > 0]).max() < 1e-3


def test_an_unknown_device_is_named():
    config = Config()
    with pytest.raises(ConfigError, match=r"features\.device 'cuda7'.*expected auto, cpu, cuda"):
        config.features.device = "cuda7"


def test_widths_are_the_documented_sums():
    assert feature_dim("basic") == 4
    assert feature_dim("enhanced") == 4 + 3 + 7 + 13 + 13 + 12 + 5 + 52 == 109
    assert feature_dim("full") == 109 + 4 * 3 == 121
    assert all(len(set(names)) == len(names) for names in FEATURE_NAMES.values())
    assert FEATURE_NAMES["enhanced"][:7] == ("onset", "rms", "centroid", "zcr", "rolloff", "bandwidth", "flatness")


def test_a_beat_is_the_mean_of_its_frames(frames):
    grid = grid_of(0.0, 100 * HOP / RATE, 8.0)
    pooled = pool_beats(frames, grid, mode="enhanced")
    np.testing.assert_allclose(pooled.column("rms")[0], frames.column("rms")[:100].mean(), rtol=1e-5)
    np.testing.assert_allclose(pooled.values[1, :52], frames.values[100:].mean(axis=0), rtol=1e-4, atol=1e-5)
    # two beats: the derivative along beats is the difference, at both
    np.testing.assert_allclose(pooled.column("delta_rms"), np.diff(pooled.column("rms")).repeat(2), rtol=1e-5)


def test_basic_is_the_first_four_columns(frames):
    grid = grid_of(0.0, 1.0, 2.0, 8.0)
    np.testing.assert_array_equal(
        pool_beats(frames, grid, mode="basic").values, pool_beats(frames, grid, mode="enhanced").values[:, :4]
    )


def test_a_beat_shorter_than_a_frame_takes_the_nearest(frames):
    pooled = pool_beats(frames, grid_of(0.0, 1.0, 1.001, 7.9999, 8.0), mode="basic")
    nearest = round(1.0 * RATE / HOP)
    np.testing.assert_allclose(pooled.values[1], frames.values[nearest, :4], rtol=1e-6)


def test_a_beat_begins_with_the_frame_nearest_to_it():
    """At one frame a second, beats from 1.6 s and 4.4 s on."""
    found = pooling._frame_spans(grid_of(0.0, 1.6, 4.4, 9.0), n_frames=9, frame_rate_hz=1.0)
    assert (found.start.tolist(), found.end.tolist()) == ([0, 2, 4], [2, 4, 9])


def test_rhythm_in_bars_of_three_and_of_beats_that_cannot_be():
    """Six beats of 1 s, then one of 0.1 s and one of 20 s: ten times the tempo, 0.1 and 200 times the one before."""
    ends = np.cumsum([0.0, *[1.0] * 6, 0.1, 20.0])
    rhythm = pooling._rhythm(grid_of(*ends, position=np.arange(8) % 3, beats_per_bar=3))
    np.testing.assert_allclose(rhythm[:4, 2], [0.0, 1 / 3, 2 / 3, 0.0])
    np.testing.assert_allclose(rhythm[6:, 3], [4.0 - 1.0, 1 / 20 - 1.0])
    np.testing.assert_allclose(rhythm[6:, 4], [1 / 4, 4.0])


def test_what_is_not_finite_is_named():
    for wrong in (np.nan, np.inf):
        with pytest.raises(DatasetError, match=rf"rms of beat 1 is {wrong}, finite numbers are needed"):
            BeatFeatures(np.array([[0.0, 0.0], [0.0, wrong]], np.float32), ("onset", "rms"))


def test_rhythmic_columns_by_hand(frames):
    # beats of 0.5, 0.5, 0.25, 0.5 s after a lead-in of 1 s; the median interval of whole beats is 0.5 s
    grid = grid_of(0.0, 1.0, 1.5, 2.0, 2.25, 2.75, position=[-1, 0, 1, 2, 3])
    pooled = pool_beats(frames, grid, mode="enhanced")
    np.testing.assert_allclose(pooled.column("bar_position"), [0, 0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(pooled.column("bar_phase_sin"), [0, 0, 1, 0, -1], atol=1e-6)
    np.testing.assert_allclose(pooled.column("bar_phase_cos"), [0, 1, 0, -1, 0], atol=1e-6)
    np.testing.assert_allclose(pooled.column("tempo_deviation"), [0, 0, 0, 1, 0], atol=1e-6)  # 60/0.25 / 120 - 1
    np.testing.assert_allclose(pooled.column("ibi_ratio"), [1, 1, 1, 0.5, 2], atol=1e-6)


@pytest.mark.parametrize("kind", ["empty", "one sample", "silence", "dc", "one click", "full scale"])
def test_anything_gives_finite_features(kind):
    signal = {
        "empty": np.zeros(0),
        "one sample": np.ones(1),
        "silence": np.zeros(40_000),
        "dc": np.ones(40_000),
        "one click": np.eye(1, 40_000, 20_000)[0],
        "full scale": np.sign(np.sin(np.arange(40_000))),
    }[kind].astype(np.float32)
    pooled = pool_beats(extract_frames(signal, Config()), grid_of(0.0, 0.5, 2.0), mode="enhanced")
    assert pooled.values.shape == (2, 109)
    assert np.isfinite(pooled.values).all()
    assert 0 <= features.estimate_key(pooled) < 24


def test_of_a_long_signal_one_mel_spectrum_is_held(monkeypatch):
    monkeypatch.setattr(frames_module, "_KEPT_POWER_BYTES", 0)

    def peak_bytes(signal):
        tracemalloc.start()
        extract_frames(signal, Config())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    long = song(240.0)
    peak_bytes(long[: 10 * RATE])  # filters and windows stay
    per_frame = (peak_bytes(long) - peak_bytes(long[: 120 * RATE])) / (120 * RATE / HOP)
    columns, bands, extremes, spectral_peaks = 52 * 4, 128 * 4, 2 * 7 * 8, 2 * 4 * 10
    assert per_frame < columns + bands + extremes + spectral_peaks + bands // 2  # no room for another


def test_other_analysis_settings_keep_the_width():
    config = Config(audio=AudioConfig(sample_rate=8000, hop_length=300, n_fft=1024, n_mels=64))
    found = extract_frames(song(2.0)[:16_000], config)
    assert found.values.shape == (1 + 16_000 // 300, 52)
    assert np.isfinite(found.values).all()


def test_frames_survive_their_arrays(frames):
    again = FrameFeatures.from_arrays(frames.to_arrays())
    np.testing.assert_array_equal(again.values, frames.values)
    assert (again.sample_rate, again.hop_length, again.n_samples) == (RATE, HOP, 8 * RATE)
    assert again.duration_s == 8.0


def sine(frequency_hz, level, duration_s=2.0):
    return (level * np.sin(2 * np.pi * frequency_hz * np.arange(int(duration_s * RATE)) / RATE)).astype(np.float32)


def test_stem_columns_by_hand():
    stems = {"drums": sine(1000, 0.2), "bass": sine(500, 0.1), "vocals": sine(2000, 0.0), "other": sine(3000, 0.1)}
    frames = extract_frames(sum(stems.values()), Config())
    pooled = pool_beats(frames, grid_of(0.0, 1.0, 2.0), mode="full", stems=features.stem_frames(stems, Config()))
    assert pooled.values.shape == (2, 121)
    # mean square of a sine is level^2 / 2: 0.02, 0.005, 0, 0.005
    assert pooled.column("drums_energy")[0] == pytest.approx(10 * np.log10(0.02), abs=0.3)
    assert pooled.column("bass_energy")[0] == pytest.approx(10 * np.log10(0.005), abs=0.3)
    assert pooled.column("vocals_energy")[0] == pytest.approx(-80.0)
    assert pooled.column("drums_ratio")[0] == pytest.approx(0.02 / 0.03, abs=0.01)
    assert pooled.column("vocals_ratio")[0] == 0.0
    middle = features.stem_frames(stems, Config()).centroid_hz[20:60].mean(axis=0)
    np.testing.assert_allclose(middle[[0, 1, 3]], [1000, 500, 3000], rtol=0.02)


def test_full_needs_stems(frames):
    with pytest.raises(ConfigError, match=r"full.*stems"):
        pool_beats(frames, grid_of(0.0, 8.0), mode="full")
    with pytest.raises(StemError, match="vocals, other missing"):
        features.stem_frames({"drums": song(), "bass": song()}, Config())


@pytest.mark.parametrize(("tonic", "minor"), [(0, False), (7, False), (9, True), (2, True)])
def test_the_key_of_its_chords(tonic, minor):
    """I, IV, V, I (minor: i, iv, V, i) as triads of sines."""
    third = 3 if minor else 4
    chords = [(0, third, 7), (5, 5 + third, 12), (7, 11, 14), (0, third, 7)]
    notes = [[60 + tonic + step for step in chord] for chord in chords]
    signal = np.concatenate([sum(sine(librosa.midi_to_hz(n), 0.1, 1.0) for n in chord) for chord in notes])
    assert features.estimate_key(extract_frames(signal, Config())) == tonic + 12 * minor


def test_a_key_needs_chroma(frames):
    with pytest.raises(ConfigError, match="basic"):
        features.estimate_key(pool_beats(frames, grid_of(0.0, 8.0), mode="basic"))
