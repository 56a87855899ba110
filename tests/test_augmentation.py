"""One draw changes audio and grid alike, by exactly what it says."""

import numpy as np
import pytest
from test_alignment import assert_spans, cut, info, song

from rl_editor.alignment import align
from rl_editor.augmentation import EQ_BANDS_HZ, AugmentationDraw, augment_grid, augment_mono, draw_augmentation
from rl_editor.config import AugmentationConfig, Config
from rl_editor.errors import PairRejectedError
from rl_editor.grid import BeatGrid

RATE = 22050


def sine(frequency_hz, *, duration_s=1.0, level=0.5):
    t = np.arange(int(duration_s * RATE)) / RATE
    return (level * np.sin(2 * np.pi * frequency_hz * t)).astype(np.float32)


def strongest_hz(signal):
    middle = signal[len(signal) // 4 : -len(signal) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 1 << 18))
    return np.argmax(spectrum) * RATE / (1 << 18)


def level_db(signal):
    return 10 * np.log10(np.mean(np.square(signal[RATE // 8 : -RATE // 8], dtype=np.float64)))


def rng():
    return np.random.default_rng(0)


def test_the_default_draw_changes_nothing():
    signal = sine(440)
    np.testing.assert_array_equal(augment_mono(signal, RATE, AugmentationDraw(), rng()), signal)


def test_gain_is_in_db():
    signal = sine(440)
    louder = augment_mono(signal, RATE, AugmentationDraw(gain_db=6.0), rng())
    np.testing.assert_allclose(louder, signal * 1.9952623, rtol=1e-5)  # 10^(6/20)


def test_pitch_moves_in_semitones_and_keeps_the_length():
    shifted = augment_mono(sine(440), RATE, AugmentationDraw(pitch_semitones=2.0), rng())
    assert len(shifted) == RATE
    assert strongest_hz(shifted) == pytest.approx(440 * 2 ** (2 / 12), rel=2e-3)  # 493.9 Hz


def test_stretch_is_a_speed_and_keeps_the_pitch():
    faster = augment_mono(sine(440), RATE, AugmentationDraw(stretch_rate=1.1), rng())
    assert len(faster) == round(RATE / 1.1)
    assert strongest_hz(faster) == pytest.approx(440, rel=2e-3)


def test_pitch_and_speed_together():
    changed = augment_mono(sine(440, duration_s=2.0), RATE, AugmentationDraw(-1.0, 0.9), rng())
    assert len(changed) == round(2 * RATE / 0.9)
    assert strongest_hz(changed) == pytest.approx(440 * 2 ** (-1 / 12), rel=2e-3)


def test_noise_has_the_ratio_that_was_drawn():
    signal = sine(440, duration_s=4.0)
    noise = augment_mono(signal, RATE, AugmentationDraw(noise_snr_db=20.0), rng()) - signal
    assert level_db(signal) - level_db(noise) == pytest.approx(20.0, abs=0.1)


@pytest.mark.parametrize("band", range(len(EQ_BANDS_HZ)))
def test_eq_raises_its_band_and_does_not_delay(band):
    gains = tuple(6.0 if index == band else 0.0 for index in range(len(EQ_BANDS_HZ)))
    signal = sine(EQ_BANDS_HZ[band])
    changed = augment_mono(signal, RATE, AugmentationDraw(eq_db=gains), rng())
    assert level_db(changed) - level_db(signal) == pytest.approx(6.0, abs=0.6)
    middle = slice(RATE // 4, RATE // 2)
    assert np.corrcoef(changed[middle], signal[middle])[0, 1] > 0.999


def test_the_grid_follows_the_audio():
    grid = BeatGrid(np.array([0.0, 0.5, 1.0]), np.array([0, 1]))
    faster = augment_grid(grid, AugmentationDraw(stretch_rate=1.25))
    np.testing.assert_allclose(faster.times_s, [0.0, 0.4, 0.8])
    np.testing.assert_array_equal(faster.bar_position, grid.bar_position)


def test_a_click_lands_where_the_grid_says():
    signal = np.zeros(2 * RATE, np.float32)
    signal[RATE : RATE + 200] = 0.5 * np.hanning(200)
    grid = augment_grid(BeatGrid(np.array([0.0, 1.0, 2.0]), np.array([0, 1])), AugmentationDraw(stretch_rate=0.9))
    stretched = augment_mono(signal, RATE, AugmentationDraw(stretch_rate=0.9), rng())
    assert np.argmax(np.abs(stretched)) / RATE == pytest.approx(grid.times_s[1], abs=0.015)


def test_draws_keep_to_ranges_and_probabilities():
    config = AugmentationConfig()
    generator = rng()
    draws = [draw_augmentation(config, generator) for _ in range(2000)]
    assert np.mean([d.pitch_semitones != 0 for d in draws]) == pytest.approx(config.pitch_shift_prob, abs=0.04)
    assert np.mean([d.stretch_rate != 1 for d in draws]) == pytest.approx(config.time_stretch_prob, abs=0.04)
    assert np.mean([d.noise_snr_db is not None for d in draws]) == pytest.approx(config.noise_prob, abs=0.04)
    assert np.mean([d.gain_db != 0 for d in draws]) == pytest.approx(config.gain_prob, abs=0.04)
    assert np.mean([d.eq_db != () for d in draws]) == pytest.approx(config.eq_prob, abs=0.04)
    assert max(abs(d.pitch_semitones) for d in draws) <= 2.0
    assert all(0.9 <= d.stretch_rate <= 1.1 for d in draws)
    assert all(20.0 <= d.noise_snr_db <= 40.0 for d in draws if d.noise_snr_db is not None)


def test_the_same_seed_gives_the_same_draw_and_settings_do_not_disturb_each_other():
    first = draw_augmentation(AugmentationConfig(), np.random.default_rng(7))
    assert first == draw_augmentation(AugmentationConfig(), np.random.default_rng(7))
    without_pitch = draw_augmentation(AugmentationConfig(pitch_shift_prob=0.0), np.random.default_rng(7))
    assert without_pitch.pitch_semitones == 0.0
    assert (without_pitch.stretch_rate, without_pitch.gain_db) == (first.stretch_rate, first.gain_db)


@pytest.mark.parametrize("length", [0, 1, 100, 3000])
def test_short_and_silent_signals_stay_finite(length):
    draw = AugmentationDraw(1.5, 1.1, 30.0, 3.0, (6.0, -6.0, 3.0, 0.0))
    changed = augment_mono(np.zeros(length, np.float32), RATE, draw, rng())
    assert len(changed) == round(length / 1.1)
    assert np.isfinite(changed).all()


@pytest.mark.parametrize(
    "draw",
    [
        AugmentationDraw(noise_snr_db=30.0, gain_db=-4.0, eq_db=(3.0, -3.0, 2.0, -4.0)),
        AugmentationDraw(pitch_semitones=1.3),
        AugmentationDraw(pitch_semitones=-2.0, stretch_rate=0.93, noise_snr_db=30.0),
    ],
)
def test_an_augmented_pair_aligns_to_the_same_edit_list(draw):
    """A phase vocoder over both recordings keeps the sound and not the samples."""
    raw, rate = song(50), draw.stretch_rate
    edit = cut(raw, (0, 14), (24, 36), (8, 18))
    augmented = [augment_mono(signal, RATE, draw, rng()) for signal in (raw, edit)]
    found = align(*augmented, Config(), source=info(augmented[0]))
    expected = [(0.0, 14 / rate), (24 / rate, 12 / rate), (8 / rate, 10 / rate)]
    assert_spans(found, expected, within_s=0.05)
    assert {(s.speed, s.pitch_semitones) for s in found.segments} == {(1.0, 0.0)}
    assert all(s.confidence > 0.5 for s in found.segments)


def test_other_music_is_refused_however_it_was_augmented():
    draw = AugmentationDraw(pitch_semitones=1.3)
    raw, other = (augment_mono(song(40, seed=seed), RATE, draw, rng()) for seed in (0, 1))
    with pytest.raises(PairRejectedError, match="is found in the raw"):
        align(raw, other, Config(), source=info(raw))
