"""Anchors: pairs of which the better side is known, since the other is the same edit with faults put in.

Some passages that the good edit plays straight on are moved off the bar, to a nearby place of the song, made a few
beats longer or shorter, and jump in level. Good and broken edit are then cut down to where they differ as any two
edits are (``excerpts``), so that neither lengths nor shading give an anchor away.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from rl_editor.edits import EditList, Segment, joins
from rl_editor.grid import BeatGrid
from rl_editor.preferences.excerpts import Excerpt, Row, clip, excerpts, written_out
from rl_editor.reward.audit import LEVEL_DB

MOST_PASSAGES, LEAST_BARS, MOST_BARS, MOST_SHIFT_BARS = 3, 2, 6, 12
UNEVEN_SHARE = 0.5  # of the passages are made longer or shorter; of other pairs about half differ by a beat or more


class _Passage(NamedTuple):
    """Plays ``[begin, end)`` of a row, and what plays instead: source beats ``[source, source + n_beats)``."""

    begin: int
    end: int
    source: int
    n_beats: int


def anchor(
    good: EditList, grid: BeatGrid, rng: np.random.Generator, *, crossfade_ms: float
) -> tuple[Excerpt, Excerpt] | None:
    """Excerpts of an edit, and of the same edit broken; None where this draw gives none, or none with a whole passage.

    Args:
        good: the edit.
        grid: of its source.
        rng: draws what is broken, and how.
        crossfade_ms: at the joins that are put in.
    """
    row = written_out(good, grid)
    passages = _passages(row, grid, rng)
    if not passages:
        return None
    sides = excerpts(good, _broken(good, row, passages, grid, rng, crossfade_ms), grid)
    heard_whole = sides is not None and len(joins(sides[1].edit)) >= len(joins(sides[0].edit)) + 2
    return sides if heard_whole else None


def _passages(row: Row, grid: BeatGrid, rng: np.random.Generator) -> list[_Passage]:
    """Whole bars that are played straight on, with a bar at least between them, and where else to play."""
    bar, lines = grid.beats_per_bar, grid.bar_position[row.beats] == 0
    found: list[_Passage] = []
    at = int(rng.integers(bar, max(len(row) - 2 * bar, bar + 1)))
    while len(found) < MOST_PASSAGES and at + bar < len(row):
        end = at + bar * int(rng.integers(LEAST_BARS, MOST_BARS + 1))
        straight = lines[at] and end + bar <= len(row) and bool((np.diff(row.beats[at:end]) == 1).all())
        moved = _moved(row, at, end, grid, rng) if straight else None
        if moved is not None:
            found.append(moved)
        at = end + bar * int(rng.integers(1, 3)) if moved else at + 1
    return found


def _moved(row: Row, begin: int, end: int, grid: BeatGrid, rng: np.random.Generator) -> _Passage | None:
    """Off the bar where it is entered and where it is left."""
    bar = grid.beats_per_bar
    shift = int(rng.integers(1, MOST_SHIFT_BARS * bar)) * int(rng.choice((-1, 1)))
    longer = int(rng.integers(-bar, bar + 1)) if rng.random() < UNEVEN_SHARE else 0
    source, n_beats = int(row.beats[begin]) + shift, end - begin + longer
    off = shift % bar and (shift + longer) % bar
    if not off or n_beats < bar or source < 0 or source + n_beats > len(grid.times_s) - 1:
        return None
    return _Passage(begin, end, source, n_beats)


def _broken(
    good: EditList,
    row: Row,
    passages: list[_Passage],
    grid: BeatGrid,
    rng: np.random.Generator,
    crossfade_ms: float,
) -> EditList:
    bounds = good.source.frame_bounds(grid.times_s)
    segments: list[Segment] = []
    at = 0
    for passage in passages:
        start, end = int(bounds[passage.source]), int(bounds[passage.source + passage.n_beats])
        gain_db = float(rng.uniform(*LEVEL_DB) * rng.choice((-1.0, 1.0)))
        segments += _entered(clip(good, at, int(row.starts[passage.begin])), crossfade_ms if segments else 0.0)
        segments.append(Segment(start, end - start, crossfade_in_ms=crossfade_ms, gain_db=gain_db))
        at = int(row.starts[passage.end])
    segments += _entered(clip(good, at, good.frames), crossfade_ms)
    return EditList(good.source, tuple(segments))


def _entered(part: EditList, crossfade_ms: float) -> list[Segment]:
    """The segments of a part, the first one with a crossfade."""
    first, *rest = part.segments
    return [replace(first, crossfade_in_ms=crossfade_ms), *rest]
