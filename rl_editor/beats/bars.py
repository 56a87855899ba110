"""Metre and downbeat: where low onsets and changes of harmony accumulate."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from rl_editor.beats.grids import Metre
from rl_editor.beats.pulse import ONSET_LATENCY_S
from rl_editor.beats.tempo import named_envelope
from rl_editor.config import BeatsConfig
from rl_editor.features import ENVELOPE_NAMES, FrameFeatures

_METRE_MARGIN = 1.1  # three in a bar must be this much clearer than four


def find_metre(frames: FrameFeatures, times_s: Float64[np.ndarray, " bounds"], config: BeatsConfig) -> Metre:
    """Beats per bar and the first downbeat: the metre and phase at which accents accumulate most."""
    accent = _accents(frames, times_s)
    if config.beats_per_bar:
        return _best_phase(accent, config.beats_per_bar).metre
    four, three = _best_phase(accent, 4), _best_phase(accent, 3)
    periodic = _metre_evidence(frames, times_s)
    return three.metre if periodic > 0 and three.score > four.score * _METRE_MARGIN else four.metre


class _Phase(NamedTuple):
    metre: Metre
    score: float


def _best_phase(accent: Float64[np.ndarray, " beats"], beats_per_bar: int) -> _Phase:
    means = np.array([accent[phase::beats_per_bar].mean() for phase in range(min(beats_per_bar, len(accent)))])
    best = int(np.argmax(means))
    return _Phase(Metre(beats_per_bar, best), float(means[best]))


def _accents(frames: FrameFeatures, times_s: Float64[np.ndarray, " bounds"]) -> Float64[np.ndarray, " beats"]:
    """Low onset, change of harmony and, weaker, absence of high-mid onset (the backbeat), at each beat, in deviations.

    Harmony changes where the mean chroma of the beat differs from that of the beat before.
    """
    low = _on_beats(frames, times_s, "low")
    snare = _on_beats(frames, times_s, "high_mid")
    change = np.zeros(len(low))
    chroma = _chroma_per_beat(frames, times_s)
    change[1:] = 1.0 - (chroma[1:] * chroma[:-1]).sum(axis=1)
    return _standardised(low) + 1.5 * _standardised(change) - 0.5 * _standardised(snare)


def _on_beats(
    frames: FrameFeatures, times_s: Float64[np.ndarray, " bounds"], name: str
) -> Float64[np.ndarray, " beats"]:
    """The largest value of an envelope within a frame of each beat."""
    envelope = named_envelope(frames, name)
    at = np.rint((times_s[:-1] + ONSET_LATENCY_S) * frames.frame_rate_hz).astype(int)
    around = np.clip(at[:, None] + np.arange(-1, 2), 0, len(envelope) - 1)
    strongest: np.ndarray = envelope[around].max(axis=1)
    return strongest


def _chroma_per_beat(frames: FrameFeatures, times_s: Float64[np.ndarray, " bounds"]) -> Float64[np.ndarray, "beats 12"]:
    """Mean chroma of each beat, of unit length."""
    edges = np.clip(np.rint(times_s * frames.frame_rate_hz).astype(int), 0, len(frames.chroma) - 1)
    means = [frames.chroma[a : max(b, a + 1)].mean(axis=0) for a, b in pairwise(edges)]
    chroma = np.array(means, np.float64)
    unit: np.ndarray = chroma / np.maximum(np.linalg.norm(chroma, axis=1, keepdims=True), 1e-9)
    return unit


def _standardised(values: Float64[np.ndarray, " beats"]) -> Float64[np.ndarray, " beats"]:
    deviation = values.std()
    result: np.ndarray = (values - values.mean()) / deviation if deviation > 0 else np.zeros_like(values)
    return result


def _metre_evidence(frames: FrameFeatures, times_s: Float64[np.ndarray, " bounds"]) -> float:
    """Positive where beats resemble those 3 and 6 before more than those 4 and 8 before."""
    columns = [_standardised(_on_beats(frames, times_s, name)) for name in ENVELOPE_NAMES]
    pattern = np.stack(columns, axis=1)
    if len(pattern) < 16:
        return -1.0

    def alike(lag: int) -> float:
        return float((pattern[lag:] * pattern[:-lag]).sum(axis=1).mean())

    return alike(3) + alike(6) - alike(4) - alike(8)
