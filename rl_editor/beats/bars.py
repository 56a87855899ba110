"""How much a song changes from one beat to the next, since that is where bars begin.

A beat opens a bar by log odds

    log d / (b - d) + z(harmony) + z(timbre),

those of what the network hears (``decoding``: b a beat, d a downbeat) and, in standard scores over the song's beats,
how much changes there: of the chroma of two beats before and two from it on, and of the MFCCs of one beat before and
it, 1 - cosine. The network learned from rendered songs; where it finds one beat of two in four hardly better than
another, in music of other kinds, chords and sounds still change at bar lines.

Sources: Goto and Muraoka 1999, "Real-time beat tracking for drumless audio signals: chord change detection for musical
decisions"; Davies and Plumbley 2006, "A spectral difference approach to downbeat extraction in musical audio".
"""

import numpy as np
from jaxtyping import Float64

from rl_editor.features import FrameFeatures, pool_beats
from rl_editor.features.names import MFCC
from rl_editor.grid import PARTIAL, BeatGrid

_HARMONY_BEATS, _TIMBRE_BEATS = 2, 1  # heard on each side of a beat
_TINY = 1e-9


def changes(frames: FrameFeatures, grid: BeatGrid) -> Float64[np.ndarray, " beats"]:
    """z(harmony) + z(timbre) of every beat; 0 of the first whole beat, before which nothing is, and of partial ones."""
    changed, whole = np.zeros(grid.n_beats), np.flatnonzero(grid.bar_position != PARTIAL)
    if len(whole) > 1:
        features = pool_beats(frames, grid, mode="enhanced")
        harmony = _unit(features.columns("chroma_")[whole].astype(np.float64))
        timbre = _scores(np.stack([features.column(name) for name in MFCC], axis=1)[whole].astype(np.float64))
        changed[whole[1:]] = _scores(_turns(harmony, span=_HARMONY_BEATS)) + _scores(_turns(timbre, span=_TIMBRE_BEATS))
    return changed


def _turns(values: Float64[np.ndarray, "beats columns"], *, span: int) -> Float64[np.ndarray, " steps"]:
    """1 - cosine between the means of up to ``span`` rows before and from each row on, but the first."""
    total, at = np.cumsum(np.pad(values, ((1, 0), (0, 0))), axis=0), np.arange(1, len(values))
    before = _unit(total[at] - total[np.maximum(at - span, 0)])
    after = _unit(total[np.minimum(at + span, len(values))] - total[at])
    turned: np.ndarray = 1.0 - (before * after).sum(axis=1)
    return turned


def _unit(rows: Float64[np.ndarray, "beats columns"]) -> Float64[np.ndarray, "beats columns"]:
    unit: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _TINY)
    return unit


def _scores(values: Float64[np.ndarray, "beats *columns"]) -> Float64[np.ndarray, "beats *columns"]:
    """Standard scores; 0 where nothing differs."""
    scores: np.ndarray = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), _TINY)
    return scores
