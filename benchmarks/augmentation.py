"""Pitch and speed as a user would change them with librosa, and ours; on the song of ``benchmarks.features``."""

import time
from typing import NamedTuple

import librosa
import numpy as np

from benchmarks.features import RATE, Mono, mono
from rl_editor.augmentation import AugmentationDraw, augment_mono

DRAWS = {
    "pitch": AugmentationDraw(pitch_semitones=1.5),
    "speed": AugmentationDraw(stretch_rate=1.07),
    "pitch and speed": AugmentationDraw(pitch_semitones=1.5, stretch_rate=1.07),
}


class Changed(NamedTuple):
    """What one side took, and what it gave."""

    seconds: float
    sound: Mono


def by_librosa(draw: AugmentationDraw) -> Changed:
    """A call per effect, as its documentation has it."""
    start, y = time.perf_counter(), mono()
    if draw.stretch_rate != 1.0:
        y = librosa.effects.time_stretch(y, rate=draw.stretch_rate)
    if draw.pitch_semitones:
        y = librosa.effects.pitch_shift(y, sr=RATE, n_steps=draw.pitch_semitones)
    return Changed(time.perf_counter() - start, y)


def by_ours(draw: AugmentationDraw) -> Changed:
    """One pass for both."""
    start = time.perf_counter()
    sound = augment_mono(mono(), RATE, draw, np.random.default_rng(0))
    return Changed(time.perf_counter() - start, sound)


def pitch_error_cents(draw: AugmentationDraw, changed: Changed) -> float:
    """How far the tuning moved from where the draw asks it to be, by the constant-Q spectra of both."""
    before, after = (_pitches(sound) for sound in (mono(), changed.sound))
    lags = np.arange(-_REACH_BINS, _REACH_BINS + 1)
    likeness = [float(np.dot(before, np.roll(after, -lag))) for lag in lags]
    moved = float(lags[int(np.argmax(likeness))]) * _CENTS_PER_BIN
    return moved - 100.0 * draw.pitch_semitones


_BINS_PER_OCTAVE, _REACH_BINS = 120, 60
_CENTS_PER_BIN = 1200 / _BINS_PER_OCTAVE


def _pitches(sound: Mono) -> np.ndarray:
    """Mean constant-Q spectrum of half a minute, without its slope."""
    piece = sound[: 30 * RATE]
    spectrum = np.abs(
        librosa.cqt(piece, sr=RATE, n_bins=5 * _BINS_PER_OCTAVE, bins_per_octave=_BINS_PER_OCTAVE, fmin=110.0)
    ).mean(axis=1)
    decibels = librosa.amplitude_to_db(spectrum)
    return np.asarray(decibels - decibels.mean())
