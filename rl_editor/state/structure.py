"""What an editor hears of a whole song: what repeats where, how strong each place is, where sections change.

Conventions: U units, N beats, both 0-based; columns of ``heard`` (D of them: timbre and harmony, or all columns where
those are missing) are standardised over the track; ranks and places are in [0, 1]. Nothing here holds an N x N table:
likeness is taken in blocks of rows, memory O(block * U).

Sources: Foote 2000 (novelty along the diagonal of a self-similarity matrix); Rubin et al. 2013 and ALGORITHMS 5.2
(compare runs of beats, not single beats).
"""

import re
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from rl_editor.features import BeatFeatures
from rl_editor.grid import BeatGrid, UnitGrid

HEARD = re.compile(r"(mfcc_[1-9]\d*|chroma_[A-G]#?|contrast_\d+)")  # mfcc_0 is level, which gain changes
RUN_BEATS = 16  # a passage is compared as four blocks of four beats: four bars of 4/4
BLOCK_BEATS = 4
SECTION_BEATS = 32  # sections are at least this long
LIKE = 0.75  # cosine from which two passages count as the same
_ROWS_AT_A_TIME = 512
_LEVEL_FLOOR = 1e-4  # -80 dB
_DEVIATION_FLOOR = 1e-6
MOST_DEVIATIONS = 4.0  # a silent intro must not be all that is heard
_SECTION_COLUMNS = ("onset", "centroid")  # beside level: how busy and how bright a section is

STRUCTURE_NAMES = (
    "earlier_likeness",  # cosine to the most alike earlier passage, 0 where none
    "earlier_distance",  # how far back it lies, as a share of the song
    "later_likeness",
    "later_distance",
    "occurrences",  # passages alike to this one, itself included: 1 - 1 / count
    "occurrence_place",  # which of them it is: 0 the first, 1 the last
    "is_first",  # nothing alike came before
    "energy_rank",  # of the unit in the song
    "novelty",  # how much what follows differs from what came before, in [0, 1]
    "place",  # of the unit's middle in the song
    "partial",  # not a whole unit
    "section_place",  # of the unit in its section
    "section_share",  # of the section in the song
    "section_energy_rank",  # among sections
    "section_likeness",  # mean likeness of the section's units to anything elsewhere
    "relative_length",  # of the unit to the median unit
    "section_level",  # means over the unit's section, in standard scores of the song's units
    "section_onset",
    "section_centroid",
)
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


def heard(features: BeatFeatures) -> Float[np.ndarray, "beats columns"]:
    """Timbre and harmony per beat, standardised over the track; every column where the mode has neither."""
    chosen = [i for i, name in enumerate(features.names) if HEARD.fullmatch(name)]
    values = features.values[:, chosen] if chosen else features.values
    centred = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
    deviation = centred.std(axis=0)
    return np.where(deviation > _DEVIATION_FLOOR, centred / np.maximum(deviation, _DEVIATION_FLOOR), 0.0)


def within_track(values: Float[np.ndarray, "n columns"]) -> Float[np.ndarray, "n columns"]:
    """Standard scores per column, at most 4 from the mean; 0 where a column does not vary."""
    centred = values - values.mean(axis=0)
    deviation = centred.std(axis=0)
    scores = np.where(deviation > _DEVIATION_FLOOR, centred / np.maximum(deviation, _DEVIATION_FLOOR), 0.0)
    return np.asarray(np.clip(scores, -MOST_DEVIATIONS, MOST_DEVIATIONS))


def level_db(features: BeatFeatures) -> Float[np.ndarray, " beats"]:
    """Level of every beat in dB re full scale."""
    return 20.0 * np.log10(np.maximum(features.column("rms").astype(np.float64), _LEVEL_FLOOR))


def rank(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Share of the others that are lower, ties halved: 0 the lowest, 1 the highest, 1/2 where there is one."""
    if len(values) == 1:
        return np.full(1, 0.5)
    ordered = np.sort(values)
    below, up_to = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return (below + up_to - 1) / (2.0 * (len(values) - 1))


def novelty(columns: Float[np.ndarray, "beats columns"], *, span: int = RUN_BEATS) -> Float[np.ndarray, " bounds"]:
    """At each boundary, distance of the mean over ``span`` beats after it to the mean before; 0 at both ends.

    Divided by the track's largest, so in [0, 1].
    """
    n = len(columns)
    total = np.vstack([np.zeros(columns.shape[1]), np.cumsum(columns, axis=0)])
    at = np.arange(n + 1)
    low, high = np.maximum(at - span, 0), np.minimum(at + span, n)
    before = (total[at] - total[low]) / np.maximum(at - low, 1)[:, None]
    after = (total[high] - total[at]) / np.maximum(high - at, 1)[:, None]
    weight = np.sqrt(np.minimum(at - low, high - at) / span)  # a mean of few beats is unsure
    curve = np.linalg.norm(after - before, axis=1) * weight
    return np.asarray(curve / max(float(curve.max()), _DEVIATION_FLOOR))


def section_bounds(curve: Float[np.ndarray, " bounds"], *, shortest: int = SECTION_BEATS) -> Int[np.ndarray, " cuts"]:
    """Beat indices where sections start, and the end: the highest peaks of novelty at least ``shortest`` apart."""
    n = len(curve) - 1
    free = np.ones(n + 1, bool)
    cuts = [0, n]
    threshold = float(curve.mean() + 0.5 * curve.std())
    for at in np.argsort(-curve, kind="stable"):
        if curve[at] <= threshold:
            break
        near = slice(max(int(at) - shortest + 1, 0), int(at) + shortest)
        if free[at] and min(at, n - at) >= shortest // 2:
            cuts.append(int(at))
            free[near] = False
    return np.unique(cuts)


def structure(features: BeatFeatures, grid: BeatGrid, units: UnitGrid) -> Structure:
    """Everything in ``STRUCTURE_NAMES``, per unit."""
    columns, bounds = heard(features), units.beat_bounds
    alike = _likeness(_passages(columns, bounds), apart=_units_in(RUN_BEATS, units))
    n_units, curve = units.n_units, novelty(columns)
    middle = (units.times_s[1:] + units.times_s[:-1]) / 2.0
    lengths = np.diff(units.times_s)
    energy = _pooled(level_db(features)[:, None], bounds)[:, 0]
    best = np.maximum(alike.earlier, alike.later)
    chosen = [features.names.index(name) for name in _SECTION_COLUMNS]
    strength = np.column_stack([energy, _pooled(features.values[:, chosen].astype(np.float64), bounds)])
    sections = _sections(section_bounds(curve), bounds, energy, best, lengths)
    section_strength = _section_means(section_bounds(curve), bounds, within_track(strength), lengths)
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
        rank(energy),
        curve[bounds[:-1]],
        middle / grid.duration_s,
        units.partial,
        *sections.T,
        np.minimum(lengths / np.median(lengths), 4.0),
        *section_strength.T,
    )
    return Structure(np.stack([np.asarray(v, np.float64) for v in values], axis=1), alike.earlier_at)


def _pooled(values: Float[np.ndarray, "beats columns"], bounds: Int[np.ndarray, " cuts"]) -> np.ndarray:
    """Mean over the beats of every unit."""
    sums: np.ndarray = np.add.reduceat(values, bounds[:-1], axis=0)
    return sums / np.diff(bounds)[:, None]


def _units_in(n_beats: int, units: UnitGrid) -> int:
    return max(1, round(n_beats / float(np.median(np.diff(units.beat_bounds)))))


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
    stacked = np.concatenate(blocks, axis=1)
    length = np.linalg.norm(stacked, axis=1, keepdims=True)
    return np.where(length > _DEVIATION_FLOOR, stacked / np.maximum(length, _DEVIATION_FLOOR), 0.0).astype(np.float32)


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
    """Stretches of likeness; one that lasts longer than a passage counts once per passage."""
    starts = same & ~np.pad(same, ((0, 0), (1, 0)))[:, :-1]
    longest = np.ceil(same.sum(axis=1) / (2 * apart)).astype(int)
    return np.asarray(np.maximum(starts.sum(axis=1), longest))


def _section_means(
    cuts: Int[np.ndarray, " cuts"],
    bounds: Int[np.ndarray, " bounds"],
    values: Float[np.ndarray, "units columns"],
    lengths: Float[np.ndarray, " units"],
) -> Float[np.ndarray, "units columns"]:
    """Mean over the section of each unit, weighted by length."""
    middle = (bounds[1:] + bounds[:-1]) / 2.0
    _, member = np.unique(np.searchsorted(cuts, middle, "right"), return_inverse=True)
    weight = np.bincount(member, lengths)
    means = np.stack([np.bincount(member, column * lengths) / weight for column in values.T], axis=1)
    return np.asarray(means[member])


def _sections(
    cuts: Int[np.ndarray, " cuts"],
    bounds: Int[np.ndarray, " bounds"],
    energy: Float[np.ndarray, " units"],
    likeness: Float[np.ndarray, " units"],
    lengths: Float[np.ndarray, " units"],
) -> Float[np.ndarray, "units 4"]:
    """Of every unit's section: place in it, its share of the song, its energy rank, its likeness to other places."""
    middle = (bounds[1:] + bounds[:-1]) / 2.0
    section = np.searchsorted(cuts, middle, "right") - 1
    known, member = np.unique(section, return_inverse=True)
    weight = np.bincount(member, lengths)
    mean = np.bincount(member, energy * lengths) / weight
    like = np.bincount(member, likeness * lengths) / weight
    low, high = cuts[known][member], cuts[known + 1][member]
    place = (middle - low) / np.maximum(high - low, 1)
    return np.stack([place, weight[member] / lengths.sum(), rank(mean)[member], like[member]], axis=1)
