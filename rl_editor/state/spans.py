"""A song as spans: single units, blocks of four bars, and sections; what each is like beside the others.

Editors decide on passages, not on bars: the weakest phrase goes, the strongest block is looped, the later of two alike
sections is dropped. So every unit is told of the span that it lies in: how strong that is and what share of the song is
weaker, how alike it is to an earlier and to a later span, and where the unit lies in it. Several ways to divide a song
stand side by side, since nobody says which one an editor uses.

Conventions: U units, S spans that tile them, 0-based. Strength is ``level + onset / 2 + centroid / 2``, in standard
scores of the song's units: how loud, busy and bright. A rank is the share of the song's seconds in weaker spans, half
of the span's own added: what plays when the strongest spans are kept up to a share r of the song is rank > 1 - r.
Likeness is the mean cosine of timbre and harmony, beat by beat from the starts of both spans.

Sources: Foote 2000 (sections start where the texture changes most); Cooper & Foote 2002, "Automatic music summarization
via similarity analysis" (spans compared with the whole song). Blocks from the first unit and from the first whole one
both occur: programs count from the start of the file, people from the first bar. ``docs/learning.md`` says what each
group of columns brings.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from rl_editor.features import BeatFeatures
from rl_editor.grid import UnitGrid
from rl_editor.state.hearing import level_db, novelty, robust_scores, section_bounds, unit_rows, within_track

_STRENGTH_NAMES = (
    "strength",  # mean over the span
    "level",
    "onset",
    "centroid",
    "strength_rank",
)
_PLACE_NAMES = (
    "earlier_likeness",  # of the span to the most alike earlier one, 0 where none
    "later_likeness",
    "likeness",  # the larger of the two
    "earlier_rank",  # share of the song's units that are less like what came before it
    "later_rank",  # and that are less like what comes after it
    "number",  # of the span in the song: 0 the first, 1 the last
    "first",
    "last",
    "place",  # of the unit in the span
    "units_before",  # units of the span before this one: log2(1 + n) / 5
    "units_left",  # from this one to the end of the span
)
_WAYS = ("block", "bar_block", "section")  # to divide a song: from the first unit, from the first whole one, by texture
_SPAN_NAMES = _STRENGTH_NAMES + _PLACE_NAMES
_PHRASE_NAMES = (
    *("strength", "strength_rank", "earlier_likeness", "later_likeness", "earlier_rank", "later_rank"),
    *("units_before", "units_left"),
)
SPAN_NAMES = (
    *_STRENGTH_NAMES,
    *(f"{way}_{name}" for way in _WAYS for name in _SPAN_NAMES),
    *(f"phrase_{name}" for name in _PHRASE_NAMES),  # blocks counted from the start of each section
)
SPAN_WAYS = (*_WAYS, "phrase")
_FORCE_WEIGHTS, _CEPSTRUM_WEIGHT = (2.0, 1.5, 1.0), 0.5  # in texture: level, onset, centroid; cepstral columns
_CEPSTRUM = tuple(f"mfcc_{i}" for i in range(1, 13))
_OCTAVES = 5.0  # 32 units
_LEAST_CHANGE = 0.25  # of the largest change of texture in the song, from which a section starts


class Sound(NamedTuple):
    """What is heard beat by beat, and which beats the units have."""

    beats: Float[np.ndarray, "beats columns"]  # of length 1
    bounds: Int[np.ndarray, " cuts"]


class _Force(NamedTuple):
    """How loud, busy and bright each unit is, in standard scores."""

    level: Float[np.ndarray, " units"]
    onset: Float[np.ndarray, " units"]
    centroid: Float[np.ndarray, " units"]

    @property
    def strength(self) -> Float[np.ndarray, " units"]:
        """All three in one."""
        return self.level + 0.5 * self.onset + 0.5 * self.centroid


def span_columns(
    features: BeatFeatures, heard: Float[np.ndarray, "beats columns"], units: UnitGrid, *, block: int
) -> Float[np.ndarray, "units span_columns"]:
    """``SPAN_NAMES`` of every unit.

    Args:
        features: of the track.
        heard: timbre and harmony per beat (``hearing.heard``).
        units: decision units.
        block: units in a block, and in the shortest section.
    """
    force = _force(features, units)
    sound = Sound(unit_rows(heard), units.beat_bounds)
    seconds, unit = np.diff(units.times_s), np.arange(units.n_units)
    lead_in = int(np.argmin(units.partial))  # 0 where every unit is partial
    section = sections(features, units, block=block)
    members = (unit // block, np.maximum(unit - lead_in, 0) // block, section)
    columns = [_strengths(force, unit, seconds)]
    columns += [_of_spans(force, sound, member, seconds) for member in members]
    phrases = _of_spans(force, sound, _phrases(section, block=block), seconds)
    columns.append(phrases[:, [_SPAN_NAMES.index(name) for name in _PHRASE_NAMES]])
    return np.concatenate(columns, axis=1)


def _of_spans(
    force: _Force,
    sound: Sound,
    member: Int[np.ndarray, " units"],
    seconds: Float[np.ndarray, " units"],
) -> Float[np.ndarray, "units span_columns"]:
    """``_SPAN_NAMES``."""
    return np.concatenate([_strengths(force, member, seconds), _places(sound, member)], axis=1)


def _force(features: BeatFeatures, units: UnitGrid) -> _Force:
    columns = np.column_stack([level_db(features), features.column("onset"), features.column("centroid")])
    level, onset, centroid = within_track(units.means(columns)).T
    return _Force(level, onset, centroid)


def _texture(features: BeatFeatures, units: UnitGrid) -> Float[np.ndarray, "units columns"]:
    """What tells a verse from a chorus, per unit."""
    names = [name for name in _CEPSTRUM if name in features.names]
    columns = [level_db(features), *(features.column(name) for name in ("onset", "centroid", *names))]
    weights = (*_FORCE_WEIGHTS, *([_CEPSTRUM_WEIGHT] * len(names)))
    return np.asarray(robust_scores(units.means(np.column_stack(columns))) * np.array(weights))


def sections(features: BeatFeatures, units: UnitGrid, *, block: int) -> Int[np.ndarray, " units"]:
    """The section of every unit: where texture changes at once and for long, from unit to unit and from block to block.

    The geometric mean of both changes: noise is no lasting one, and a slow rise starts nowhere.
    """
    texture = _texture(features, units)
    curve = np.sqrt(novelty(texture, span=1) * novelty(texture, span=block))
    cuts = section_bounds(curve, shortest=block, least=_LEAST_CHANGE)
    return np.searchsorted(cuts, np.arange(len(texture)), "right") - 1


def _phrases(section: Int[np.ndarray, " units"], *, block: int) -> Int[np.ndarray, " units"]:
    """Blocks counted from the start of each section; what remains of it is one of its own."""
    place = np.arange(len(section)) - np.searchsorted(section, section)
    starts = place % block == 0
    return np.cumsum(starts) - 1


def _strengths(
    force: _Force, member: Int[np.ndarray, " units"], seconds: Float[np.ndarray, " units"]
) -> Float[np.ndarray, "units strength_columns"]:
    """``_STRENGTH_NAMES``: means over each unit's span, weighted by seconds, and the rank of its strength."""
    weight = np.bincount(member, seconds)
    means = [np.bincount(member, column * seconds) / weight for column in (force.strength, *force)]
    return np.asarray(np.stack([*means, share_below(means[0], weight)], axis=1)[member])


def share_below(values: Float[np.ndarray, " n"], weight: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Share of all weight that has a lower value, half of its own value's added: in (0, 1)."""
    known, at = np.unique(values, return_inverse=True)
    each = np.bincount(at, weight, minlength=len(known))
    return np.asarray(((np.cumsum(each) - each / 2.0) / each.sum())[at])


def _places(sound: Sound, member: Int[np.ndarray, " units"]) -> Float[np.ndarray, "units place_columns"]:
    """``_PLACE_NAMES``."""
    n_spans, length = int(member[-1]) + 1, np.bincount(member)
    before = np.arange(len(member)) - (np.cumsum(length) - length)[member]
    alike = span_likeness(sound, member)
    earlier = np.tril(alike, -1).max(axis=1)
    later = np.triu(alike, 1).max(axis=1)
    weight = length.astype(np.float64)
    columns = (
        earlier[member],
        later[member],
        np.maximum(earlier, later)[member],
        share_below(earlier, weight)[member],
        share_below(later, weight)[member],
        member / max(n_spans - 1, 1),
        member == 0,
        member == n_spans - 1,
        (before + 0.5) / length[member],
        np.log2(1.0 + before) / _OCTAVES,
        np.log2(length[member] - before) / _OCTAVES,
    )
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def span_likeness(sound: Sound, member: Int[np.ndarray, " units"]) -> Float[np.ndarray, "spans spans"]:
    """Mean cosine of any two spans, beat by beat from their starts over the shorter one; negative counts as 0.

    Span by span, so memory is O(S * longest span): sections and blocks are few.
    """
    first = np.searchsorted(member, np.arange(int(member[-1]) + 2))
    starts, length = sound.bounds[first[:-1]], np.diff(sound.bounds[first])
    alike = np.zeros((len(starts), len(starts)))
    for span, (start, n) in enumerate(zip(starts, length, strict=True)):
        step = np.arange(n)
        other = np.minimum(starts[:, None] + step, len(sound.beats) - 1)
        both = step < np.minimum(length, n)[:, None]
        cosine = np.einsum("snc,nc->sn", sound.beats[other], sound.beats[start : start + n])
        alike[span] = (cosine * both).sum(axis=1) / both.sum(axis=1)
    return np.maximum(alike, 0.0)
