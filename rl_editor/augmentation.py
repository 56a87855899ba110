"""Augmentation: one draw of pitch, speed, noise, gain and EQ, applied alike to raw audio, edited audio and beat grid.

Conventions: ``stretch_rate`` is a speed, as in librosa: 1.1 plays faster, so lengths and times are divided by it.
Pitch is in semitones, levels in dB; SNR is signal power over noise power. A draw is a value: what is drawn once is
applied to as many signals as belong together, and edit labels, which count beats, do not change.

Sources: librosa ``phase_vocoder`` (speed without pitch); pitch is a change of speed followed by resampling, so speed
and pitch together cost one pass.
"""

from dataclasses import dataclass, replace

import numpy as np
import soxr
from jaxtyping import Float32, Float64

from rl_editor.config import AugmentationConfig
from rl_editor.grid import BeatGrid

EQ_BANDS_HZ = (100.0, 400.0, 1600.0, 6400.0)  # two octaves apart; gains are interpolated over log frequency
_EQ_TAPS = 1025  # odd: linear phase with a whole delay; 21 Hz of resolution at 22050 Hz
_VOCODER_FFT = 2048  # librosa's default


@dataclass(frozen=True)
class AugmentationDraw:
    """What was drawn; the default changes nothing."""

    pitch_semitones: float = 0.0
    stretch_rate: float = 1.0  # speed: above 1 is shorter
    noise_snr_db: float | None = None  # None is no noise
    gain_db: float = 0.0
    eq_db: tuple[float, ...] = ()  # one per EQ_BANDS_HZ, or none


def draw_augmentation(config: AugmentationConfig, rng: np.random.Generator) -> AugmentationDraw:
    """Each effect with its probability, uniform over its range.

    Always takes the same count of numbers from ``rng``, so changing one setting leaves the other draws alone.
    """
    chance = rng.random(5)
    pitch = rng.uniform(-config.pitch_shift_semitones, config.pitch_shift_semitones)
    rate = rng.uniform(config.time_stretch_min, config.time_stretch_max)
    snr = rng.uniform(config.noise_snr_min_db, config.noise_snr_max_db)
    gain = rng.uniform(-config.gain_db, config.gain_db)
    bands = rng.uniform(-config.eq_db, config.eq_db, len(EQ_BANDS_HZ))
    return AugmentationDraw(
        pitch_semitones=pitch if chance[0] < config.pitch_shift_prob else 0.0,
        stretch_rate=rate if chance[1] < config.time_stretch_prob else 1.0,
        noise_snr_db=snr if chance[2] < config.noise_prob else None,
        gain_db=gain if chance[3] < config.gain_prob else 0.0,
        eq_db=tuple(float(value) for value in bands) if chance[4] < config.eq_prob else (),
    )


def augment_mono(
    mono: Float32[np.ndarray, " samples"], sample_rate: int, draw: AugmentationDraw, rng: np.random.Generator
) -> Float32[np.ndarray, " augmented"]:
    """The signal with the draw's effects; its length becomes round(samples / stretch_rate). ``rng`` makes the noise."""
    changed = _pitch_and_speed(mono, draw)
    if draw.eq_db:
        changed = _equalised(changed, sample_rate, draw.eq_db)
    if draw.noise_snr_db is not None:
        changed = _noisy(changed, draw.noise_snr_db, rng)
    louder: np.ndarray = changed * np.float32(10.0 ** (draw.gain_db / 20.0))
    return louder


def augment_grid(grid: BeatGrid, draw: AugmentationDraw) -> BeatGrid:
    """The grid of the augmented signal: times divided by the speed, bar positions unchanged."""
    return replace(grid, times_s=grid.times_s / draw.stretch_rate)


def _pitch_and_speed(
    mono: Float32[np.ndarray, " samples"], draw: AugmentationDraw
) -> Float32[np.ndarray, " augmented"]:
    """Vocode at speed rate / 2^(p/12), then resample so that everything plays 2^(p/12) faster and higher."""
    ratio = 2.0 ** (draw.pitch_semitones / 12.0)
    rate = draw.stretch_rate / ratio
    length = round(len(mono) / draw.stretch_rate)
    vocoded = mono if rate == 1.0 else _vocoded(mono, rate)
    shifted = vocoded if ratio == 1.0 else soxr.resample(vocoded, ratio, 1.0)
    return _of_length(shifted, length)


def _vocoded(mono: Float32[np.ndarray, " samples"], rate: float) -> Float32[np.ndarray, " vocoded"]:
    from librosa.effects import time_stretch

    if len(mono) < 2:
        return mono
    n_fft = min(_VOCODER_FFT, 1 << int(np.log2(len(mono))))
    vocoded: np.ndarray = time_stretch(mono, rate=rate, n_fft=n_fft)
    return vocoded


def _of_length(signal: Float32[np.ndarray, " samples"], length: int) -> Float32[np.ndarray, " length"]:
    cut: np.ndarray = np.zeros(length, np.float32)
    cut[: min(length, len(signal))] = signal[:length]
    return cut


def _equalised(
    mono: Float32[np.ndarray, " samples"], sample_rate: int, gains_db: tuple[float, ...]
) -> Float32[np.ndarray, " samples"]:
    """One linear-phase filter through the bands' gains, applied in overlapping blocks."""
    from scipy.signal import oaconvolve  # half a second of importing, which only training needs

    impulse = _eq_impulse(sample_rate, gains_db)
    filtered: np.ndarray = oaconvolve(mono, impulse.astype(np.float32), mode="full")
    start = len(impulse) // 2
    return filtered[start : start + len(mono)].astype(np.float32)


def _eq_impulse(sample_rate: int, gains_db: tuple[float, ...]) -> Float64[np.ndarray, " taps"]:
    from scipy.signal import get_window

    frequencies = np.fft.rfftfreq(_EQ_TAPS, 1.0 / sample_rate)
    octaves = np.log2(np.maximum(frequencies, 1.0))
    gain = 10.0 ** (np.interp(octaves, np.log2(EQ_BANDS_HZ), gains_db) / 20.0)
    window = get_window("hann", _EQ_TAPS, fftbins=False)
    impulse: np.ndarray = np.fft.fftshift(np.fft.irfft(gain, _EQ_TAPS)) * window
    return impulse


def _noisy(
    mono: Float32[np.ndarray, " samples"], snr_db: float, rng: np.random.Generator
) -> Float32[np.ndarray, " samples"]:
    """White noise of power mean(x^2) / 10^(snr/10); silence stays silent."""
    level = np.sqrt(np.mean(np.square(mono, dtype=np.float64))) * 10.0 ** (-snr_db / 20.0) if len(mono) else 0.0
    noise: np.ndarray = mono + np.float32(level) * rng.standard_normal(len(mono), dtype=np.float32)
    return noise
