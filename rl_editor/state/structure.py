"""What an editor hears of a whole song: what repeats where, and what spans it has (``rl_editor.state.spans``).

Conventions: U units, N beats, both 0-based; columns of ``heard`` (D of them: timbre and harmony, or all columns where
those are missing) are standardised over the track; places are in [0, 1]. Nothing here holds an N x N table: likeness
is taken in blocks of rows, memory O(block * U).

Source: Rubin et al. 2013, "Content-Based Tools for Editing Audio Stories" (compare runs of beats, not single beats).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from rl_editor.features import BeatFeatures
from rl_editor.grid import BeatGrid, UnitGrid
from rl_editor.state import spans
from rl_editor.state.hearing import heard, novelty, unit_rows
from rl_editor.state.spans import SPAN_NAMES, span_columns

RUN_BEATS = 16  # a passage is compared as four blocks of four beats: four bars of 4/4
BLOCK_BEATS = 4
LIKE = 0.75  # cosine from which two passages count as the same
_ROWS_AT_A_TIME = 512
_PASSAGE_NAMES = (
    "earlier_likeness",  # cosine to the most alike earlier passage, 0 where none
    "earlier_distance",  # how far back it lies, as a share of the song
    "later_likeness",
    "later_distance",
    "occurrences",  # passages alike to this one, itself included: 1 - 1 / count
    "occurrence_place",  # which of them it is: 0 the first, 1 the last
    "is_first",  # nothing alike came before
    "novelty",  # how much what follows differs from what came before, in [0, 1]
    "place",  # of the unit's middle in the song
    "partial",  # not a whole unit
    "relative_length",  # of the unit to the median unit
)
STRUCTURE_NAMES = _PASSAGE_NAMES + SPAN_NAMES
STRUCTURE_DIM = len(STRUCTURE_NAMES)


class Structure(NamedTuple):
    """Per-unit structure."""

    columns: Float[np.ndarray, "units structure"]  # STRUCTURE_NAMES
    earlier: Int[np.ndarray, " units"]  # most alike earlier unit, -1 where none


class _Likeness(NamedTuple):
    """Of every passage to the passages before and after it."""

    earlier: Float[np.ndarray, " units"]
    earlier_at: Int[np.ndarray, " units"]
    later: Float[np.ndarray, " units"]
    later_at: Int[np.ndarray, " units"]
    n_before: Int[np.ndarray, " units"]  # separate passages that count as the same
    n_after: Int[np.ndarray, " units"]


def structure(features: BeatFeatures, grid: BeatGrid, units: UnitGrid) -> Structure:
    """Everything in ``STRUCTURE_NAMES``, per unit."""
    columns, bounds = heard(features), units.beat_bounds
    alike = _likeness(_passages(columns, bounds), apart=passage_units(units))
    n_units = units.n_units
    middle = (units.times_s[1:] + units.times_s[:-1]) / 2.0
    lengths = np.diff(units.times_s)
    count = alike.n_before + alike.n_after
    unit = np.arange(n_units)
    values = (
        alike.earlier,
        np.where(alike.earlier_at >= 0, unit - alike.earlier_at, 0) / n_units,
        alike.later,
        np.where(alike.later_at >= 0, alike.later_at - unit, 0) / n_units,
        1.0 - 1.0 / (1.0 + count),
        np.where(count > 0, alike.n_before / np.maximum(count, 1), 0.0),
        alike.n_before == 0,
        novelty(columns, span=RUN_BEATS)[bounds[:-1]],
        middle / grid.duration_s,
        units.partial,
        np.minimum(lengths / np.median(lengths), 4.0),
    )
    passages = np.stack([np.asarray(v, np.float64) for v in values], axis=1)
    in_spans = span_columns(features, columns, units, block=passage_units(units))
    return Structure(np.concatenate([passages, in_spans], axis=1), alike.earlier_at)


def sections(features: BeatFeatures, units: UnitGrid) -> Int[np.ndarray, " units"]:
    """The section that every unit lies in, counted from 0."""
    return spans.sections(features, units, block=passage_units(units))


def passage_units(units: UnitGrid) -> int:
    """How many units a passage has: four bars of 4/4."""
    return max(1, round(RUN_BEATS / float(np.median(np.diff(units.beat_bounds)))))


def _passages(
    columns: Float[np.ndarray, "beats columns"], bounds: Int[np.ndarray, " cuts"]
) -> Float[np.ndarray, "units stacked"]:
    """The RUN_BEATS beats from the start of each unit on, as means over blocks, of unit length; zeros past the end."""
    n = len(columns)
    total = np.vstack([np.zeros(columns.shape[1]), np.cumsum(columns, axis=0)])
    blocks = []
    for offset in range(0, RUN_BEATS, BLOCK_BEATS):
        low = np.minimum(bounds[:-1] + offset, n)
        blocks.append(total[np.minimum(low + BLOCK_BEATS, n)] - total[low])
    return unit_rows(np.concatenate(blocks, axis=1)).astype(np.float32)


def _likeness(passages: Float[np.ndarray, "units stacked"], *, apart: int) -> _Likeness:
    """Cosine of every passage to all others at least ``apart`` units away, in blocks of rows."""
    n = len(passages)
    parts = [_likeness_rows(passages, start, apart) for start in range(0, n, _ROWS_AT_A_TIME)]
    return _Likeness(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _likeness_rows(passages: Float[np.ndarray, "units stacked"], start: int, apart: int) -> _Likeness:
    rows = np.arange(start, min(start + _ROWS_AT_A_TIME, len(passages)))
    cosine, other = passages[rows] @ passages.T, np.arange(len(passages))
    before = other[None, :] <= rows[:, None] - apart
    after = other[None, :] >= rows[:, None] + apart
    earlier, earlier_at = _best(cosine, before)
    later, later_at = _best(cosine, after)
    same = cosine >= LIKE
    return _Likeness(
        earlier, earlier_at, later, later_at, _n_separate(same & before, apart), _n_separate(same & after, apart)
    )


def _best(cosine: np.ndarray, allowed: Bool[np.ndarray, "rows units"]) -> tuple[np.ndarray, np.ndarray]:
    masked = np.where(allowed, cosine, -np.inf)
    at = masked.argmax(axis=1)
    found = allowed.any(axis=1)
    value = np.where(found, masked[np.arange(len(at)), at], 0.0)
    return np.maximum(value, 0.0), np.where(found, at, -1)


def _n_separate(same: Bool[np.ndarray, "rows units"], apart: int) -> Int[np.ndarray, " rows"]:
    """Stretches of likeness, or the length of all of them in two passages, rounded up, where that is more."""
    starts = same & ~np.pad(same, ((0, 0), (1, 0)))[:, :-1]
    longest = np.ceil(same.sum(axis=1) / (2 * apart)).astype(int)
    return np.asarray(np.maximum(starts.sum(axis=1), longest))
