"""What an editor hears in a recording: bars, how strong each is, sections, and which sections are alike.

Conventions: everything is per decision unit (a bar; lead-in and tail are partial units), computed from the beat grid
and beat features alone: no truth about a composed song comes in here. Strengths are standard scores over the bars of
the recording; likeness is a cosine in [-1, 1].
Method: sections start where the texture of the four bars after differs most from that of the four before
(Foote 2000, novelty); sections are alike when their bars, laid side by side from their starts, sound alike.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from rl_editor.features import PITCH_CLASSES, BeatFeatures
from rl_editor.grid import BeatGrid, UnitGrid

UNIT_BEATS = 4  # editors think in bars

_NOVELTY_BARS = 4
_MIN_SECTION_BARS = 4
_MAX_SECTION_BARS = 16
_NOVELTY_FLOOR = 0.35  # of the strongest change of the recording
_PHRASE_BONUS = 1.15  # changes a whole number of four bars after the section's start are likelier to be meant
_SILENT_DB = -38.0  # below the loudest bar
_LEVEL_FLOOR = 1e-5
_MAD_TO_DEVIATION = 1.4826  # median absolute deviation -> standard deviation of a normal distribution
_CLIP_DEVIATIONS = 2.5
_TEXTURE_WEIGHTS = {"level": 2.0, "onset": 1.5, "centroid": 1.0}  # beside 12 cepstral columns of weight 1/2


class Span(NamedTuple):
    """Units ``start`` to ``end`` (exclusive)."""

    start: int
    end: int

    @property
    def n_units(self) -> int:
        """How many units."""
        return self.end - self.start


@dataclass(frozen=True, eq=False)
class Hearing:
    """One hearing of a recording.

    Attributes:
        units: bars of the grid.
        level_db: loudness per bar.
        strength: how loud, busy and bright each bar is against the others.
        texture: columns that tell a verse from a chorus.
        harmony: pitch classes per bar, centred and of length 1.
        partial: lead-in, tail and other bars that are not whole.
    """

    units: UnitGrid
    level_db: Float[np.ndarray, " units"]
    strength: Float[np.ndarray, " units"]
    texture: Float[np.ndarray, "units columns"]
    harmony: Float[np.ndarray, "units pitches"]
    partial: Bool[np.ndarray, " units"]

    @property
    def n_units(self) -> int:
        """Number of bars, partial ones included."""
        return len(self.level_db)

    @cached_property
    def seconds(self) -> Float[np.ndarray, " units"]:
        """Length of each bar."""
        return np.diff(self.units.times_s)

    @cached_property
    def silent(self) -> Bool[np.ndarray, " units"]:
        """Bars in which nobody plays."""
        return np.asarray(self.level_db < self.level_db.max() + _SILENT_DB)

    @cached_property
    def likeness(self) -> Float[np.ndarray, "units units"]:
        """How alike any two bars sound: the mean of the cosines of texture and of harmony."""
        timbre = _unit_rows(self.texture)
        return np.asarray(0.5 * (timbre @ timbre.T) + 0.5 * (self.harmony @ self.harmony.T))

    @cached_property
    def sections(self) -> tuple[Span, ...]:
        """Sections that tile all bars; a lead-in belongs to the first and a tail to the last."""
        starts = _starts(_novelty(self.texture))
        spans = [Span(a, b) for a, b in zip(starts, [*starts[1:], self.n_units], strict=True)]
        return tuple(piece for span in spans for piece in pieces(span))

    def span_strength(self, span: Span) -> float:
        """Mean strength of the bars of a span."""
        return float(self.strength[span.start : span.end].mean())

    def span_likeness(self, a: Span, b: Span) -> float:
        """How alike two spans are, bar by bar from their starts, over the shorter one."""
        n = min(a.n_units, b.n_units)
        return float(np.mean([self.likeness[a.start + k, b.start + k] for k in range(n)]))

    def repetition(self, span: Span) -> float:
        """Likeness to the most alike of the other sections."""
        others = [s for s in self.sections if s.end <= span.start or s.start >= span.end]
        return max((self.span_likeness(span, other) for other in others), default=0.0)


def listen(grid: BeatGrid, features: BeatFeatures) -> Hearing:
    """Hear a recording bar by bar."""
    units = grid.units(UNIT_BEATS)
    level_db = 20.0 * np.log10(_per_unit(features, ("rms",), units)[:, 0] + _LEVEL_FLOOR)
    level, onset, centroid = (
        _standard(column) for column in (level_db, *_per_unit(features, ("onset", "centroid"), units).T)
    )
    cepstrum = _per_unit(features, tuple(f"mfcc_{i}" for i in range(1, 13)), units)
    harmony = _per_unit(features, tuple(f"chroma_{name}" for name in PITCH_CLASSES), units)
    loud = [
        _TEXTURE_WEIGHTS["level"] * level,
        _TEXTURE_WEIGHTS["onset"] * onset,
        _TEXTURE_WEIGHTS["centroid"] * centroid,
    ]
    texture = np.column_stack([*loud, *(0.5 * _standard(column) for column in cepstrum.T)])
    centred = harmony - harmony.mean(axis=1, keepdims=True) if harmony.size else np.zeros((units.n_units, 1))
    strength = level + 0.6 * onset + 0.4 * centroid
    return Hearing(units, level_db, strength, texture, _unit_rows(centred), units.partial)


def _per_unit(features: BeatFeatures, names: tuple[str, ...], units: UnitGrid) -> Float[np.ndarray, "units columns"]:
    """Means over the beats of each unit of those columns that the features have."""
    chosen = [features.names.index(name) for name in names if name in features.names]
    values = features.values[:, chosen].astype(np.float64)
    sums = np.concatenate([np.zeros((1, len(chosen))), np.cumsum(values, axis=0)])
    return np.asarray(np.diff(sums[units.beat_bounds], axis=0) / np.diff(units.beat_bounds)[:, None])


def _standard(column: Float[np.ndarray, " units"]) -> Float[np.ndarray, " units"]:
    """Robust standard scores, clipped: a silent intro must not flatten what verse and chorus differ by."""
    centred = column - np.median(column)
    spread = max(_MAD_TO_DEVIATION * float(np.median(np.abs(centred))), 0.35 * float(column.std()), 1e-6)
    return np.asarray(np.clip(centred / spread, -_CLIP_DEVIATIONS, _CLIP_DEVIATIONS))


def _unit_rows(rows: Float[np.ndarray, "units columns"]) -> Float[np.ndarray, "units columns"]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9))


def _novelty(texture: Float[np.ndarray, "units columns"]) -> Float[np.ndarray, " units"]:
    """||mean of the bars after - mean of the bars before||, over four bars and, for a sharp place, over one."""
    n = len(texture)
    novelty = np.zeros(n)
    for at in range(1, n):
        for reach in (_NOVELTY_BARS, 1):
            after, before = texture[at : at + reach], texture[max(at - reach, 0) : at]
            novelty[at] += np.linalg.norm(after.mean(axis=0) - before.mean(axis=0)) / (1 + (reach == 1))
    return novelty


def _starts(novelty: Float[np.ndarray, " units"]) -> list[int]:
    """Greedily, the strongest changes ``_MIN_SECTION_BARS`` - 1 bars or more from other starts and the end.

    Each may then move by a bar, into a phrase, so the shortest section is a bar shorter than that.
    """
    starts = [0]
    floor = _NOVELTY_FLOOR * float(novelty.max(initial=0.0))
    for at in sorted(range(len(novelty)), key=lambda i: -novelty[i]):
        if novelty[at] <= floor:
            break
        if min(abs(at - s) for s in [*starts, len(novelty)]) >= _MIN_SECTION_BARS - 1:
            starts.append(_in_phrase(at, novelty, starts))
    return sorted(set(starts))


def _in_phrase(at: int, novelty: Float[np.ndarray, " units"], starts: list[int]) -> int:
    """The change itself, or its neighbour where that is nearly as strong and falls on a four-bar phrase."""
    before = max((s for s in starts if s < at), default=0)
    near = [i for i in (at - 1, at, at + 1) if before < i < len(novelty) and i not in starts]
    return max(near, key=lambda i: novelty[i] * (_PHRASE_BONUS if (i - before) % 4 == 0 else 1.0))


def pieces(span: Span) -> list[Span]:
    """Long sections in pieces of eight bars."""
    if span.n_units <= _MAX_SECTION_BARS:
        return [span]
    starts = list(range(span.start, span.end - _MIN_SECTION_BARS + 1, 8))
    return [Span(a, b) for a, b in zip(starts, [*starts[1:], span.end], strict=True)]
