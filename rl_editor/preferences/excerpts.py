"""The passages in which two edits of a song differ, cut out of both so that they are about equally long.

Conventions: an edit is written out as the source's beats that it plays, with the output frame at which each begins; a
beat that plays in part is there if its middle plays. Two such rows are aligned by their longest common runs. A window
begins and ends at a *tie*: a place in both rows where the same bar of the source begins, or where both edits begin or
end. Of all windows whose two lengths differ by at most a bar the one is taken that shows most in the shortest time:

    worth = min(seconds that differ, ENOUGH_S) - COST * seconds - UNEVEN_COST * difference of the two lengths

and a little of what is common is put around it. Where two edits do not come together again within the longest
window, both are cut off there at bar lines.

Equal *moments* of two excerpts are equal beats in the runs that are common; between two runs the beats of both go on
side by side, and once one side has no more of them it waits at its next run for the other.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import Match, SequenceMatcher
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from rl_editor.edits import EditList, Segment
from rl_editor.grid import BeatGrid

ENOUGH_S, COST, UNEVEN_COST = 12.0, 0.4, 1.0
FRAME_BARS = 2  # of what is common, at least so much before and after what differs, where there is as much
_ABOUT_S = 0.01  # by so much bars differ that are equally long
SHORTEST_S, LONGEST_S = 4.0, 40.0


@dataclass(frozen=True, eq=False)
class Row:
    """An edit written out.

    Attributes:
        beats: numbers of the source's beats, in output order.
        starts: output frame of each, and of the end.
    """

    beats: Int[np.ndarray, " plays"]
    starts: Int[np.ndarray, " bounds"]

    def __len__(self) -> int:
        return len(self.beats)


class Excerpt(NamedTuple):
    """A part of one edit.

    ``beats_s`` are moments of beats in it, as many as the other side has and the end included; while the other plays
    what it has more, the moment stays the same. ``differs_s`` is what the other side does not play at that moment.
    """

    edit: EditList
    beats_s: tuple[float, ...]
    differs_s: tuple[tuple[float, float], ...]


class _Window(NamedTuple):
    """Rows ``[a_start, a_end)`` and ``[b_start, b_end)``."""

    a_start: int
    a_end: int
    b_start: int
    b_end: int


def written_out(edit: EditList, grid: BeatGrid) -> Row:
    """An edit as a row of beats; material from elsewhere and sped-up passages count by where they lie."""
    bounds = edit.source.frame_bounds(grid.times_s)
    middles = (bounds[:-1] + bounds[1:]) // 2
    beats, starts = [], []
    for at, segment in zip(edit.output_start_frames(), edit.segments, strict=True):
        begin, end = segment.source_start_frame, segment.source_end_frame
        if begin is None or end is None:
            continue
        for beat in range(*np.searchsorted(middles, [begin, end]).tolist()):
            beats.append(beat)
            starts.append(at + max(round((int(bounds[beat]) - begin) / segment.speed), 0))
    return Row(np.array(beats, np.int64), np.array([*starts, edit.frames], np.int64))


def excerpts(a: EditList, b: EditList, grid: BeatGrid) -> tuple[Excerpt, Excerpt] | None:
    """Where two edits differ; None where they do not, or where no two passages are about equally long."""
    rows = written_out(a, grid), written_out(b, grid)
    if not len(rows[0]) or not len(rows[1]):
        return None
    matcher = SequenceMatcher(None, rows[0].beats.tolist(), rows[1].beats.tolist(), autojunk=False)
    blocks = [m for m in matcher.get_matching_blocks() if m.size]
    common = np.zeros(len(rows[0]), bool), np.zeros(len(rows[1]), bool)
    for block in blocks:
        common[0][block.a : block.a + block.size] = True
        common[1][block.b : block.b + block.size] = True
    if common[0].all() and common[1].all():
        return None
    rate, bar_s = a.source.sample_rate, grid.bar_s
    ties = _ties(rows, blocks, grid)
    window = _best(rows, ties, common, rate, bar_s) or _cut_off(rows, ties, common, grid, rate, bar_s)
    if window is None:
        return None
    together = _moments(window, blocks)
    one, two = (_excerpt(edit, row, together, side) for side, (edit, row) in enumerate(zip((a, b), rows, strict=True)))
    return one, two


def clip(edit: EditList, start: int, end: int) -> EditList:
    """Output frames ``start`` to ``end`` as an edit of its own, without beats and actions.

    A segment that is played faster or slower may begin and end a frame off.
    """
    segments: list[Segment] = []
    for at, segment in zip(edit.output_start_frames(), edit.segments, strict=True):
        low, high = max(start - at, 0), min(end - at, segment.frames)
        if high <= low:
            continue
        begin = segment.source_start_frame
        source = None if begin is None else min(begin + round(low * segment.speed), edit.source.frames - 1)
        frames = high - low
        while source is not None and source + round(frames * segment.speed) > edit.source.frames:
            frames -= 1
        fade = segment.crossfade_in_ms if low == 0 and segments else 0.0
        segments.append(replace(segment, source_start_frame=source, frames=frames, crossfade_in_ms=fade, region=None))
    return EditList(edit.source, tuple(segments))


def _ties(rows: tuple[Row, Row], blocks: list[Match], grid: BeatGrid) -> Int[np.ndarray, "ties two"]:
    """Places (i, j) where windows may begin and end, in order."""
    bars = grid.bar_position == 0
    ties = [(0, 0), (len(rows[0]), len(rows[1]))]
    for block in blocks:
        inside = bars[rows[0].beats[block.a : block.a + block.size]]
        ties += [(block.a + int(k), block.b + int(k)) for k in np.flatnonzero(inside)]
        ties.append((block.a + block.size, block.b + block.size))
    return np.array(sorted(set(ties)), np.int64)


def _best(
    rows: tuple[Row, Row],
    ties: Int[np.ndarray, "ties two"],
    common: tuple[Bool[np.ndarray, " a"], Bool[np.ndarray, " b"]],
    rate: int,
    bar_s: float,
) -> _Window | None:
    """The window of the greatest worth."""
    at = [row.starts[ties[:, k]] / rate for k, row in enumerate(rows)]
    differing = [_summed(row, ~same, rate)[ties[:, k]] for k, (row, same) in enumerate(zip(rows, common, strict=True))]
    best, worth = None, -np.inf
    for first in range(len(ties) - 1):
        lengths = [times[first + 1 :] - times[first] for times in at]
        differs = sum(total[first + 1 :] - total[first] for total in differing) / 2.0
        fits = (np.abs(lengths[0] - lengths[1]) <= bar_s) & (np.maximum(*lengths) <= LONGEST_S)
        fits &= (np.minimum(*lengths) >= SHORTEST_S) & (differs > 0)
        cost = COST * (lengths[0] + lengths[1]) / 2.0 + UNEVEN_COST * np.abs(lengths[0] - lengths[1])
        worths = np.where(fits, np.minimum(differs, ENOUGH_S) - cost, -np.inf)
        if fits.any() and worths.max() > worth:
            last = first + 1 + int(worths.argmax())
            best, worth = (first, last), float(worths.max())
    if best is None:
        return None
    first, last = _framed(ties, at, best, common, bar_s)
    return _Window(int(ties[first, 0]), int(ties[last, 0]), int(ties[first, 1]), int(ties[last, 1]))


def _framed(
    ties: Int[np.ndarray, "ties two"],
    at: list[Float[np.ndarray, " ties"]],
    window: tuple[int, int],
    common: tuple[Bool[np.ndarray, " a"], Bool[np.ndarray, " b"]],
    bar_s: float,
) -> tuple[int, int]:
    """The window with a little of what is common before and after, as far as it is common to both."""
    first, last = window
    reach_s = FRAME_BARS * bar_s + _ABOUT_S
    begin_s, end_s = at[0][first], at[0][last]
    while first > 0 and begin_s - at[0][first - 1] <= reach_s and _alike(ties, first - 1, first, common):
        first -= 1
    while last < len(ties) - 1 and at[0][last + 1] - end_s <= reach_s and _alike(ties, last, last + 1, common):
        last += 1
    return first, last


def _alike(
    ties: Int[np.ndarray, "ties two"],
    one: int,
    two: int,
    common: tuple[Bool[np.ndarray, " a"], Bool[np.ndarray, " b"]],
) -> bool:
    """Both edits play the same between two ties."""
    steps = ties[two] - ties[one]
    spans = [same[ties[one, k] : ties[two, k]] for k, same in enumerate(common)]
    return bool(steps[0] == steps[1] and all(span.all() for span in spans))


def _cut_off(
    rows: tuple[Row, Row],
    ties: Int[np.ndarray, "ties two"],
    common: tuple[Bool[np.ndarray, " a"], Bool[np.ndarray, " b"]],
    grid: BeatGrid,
    rate: int,
    bar_s: float,
) -> _Window | None:
    """From a little before the first difference for half of the longest window, both ending at bar lines."""
    a_first, b_first = (int(np.flatnonzero(~np.append(same, False))[0]) for same in common)
    before = [tie for tie in ties.tolist() if tie[0] <= a_first and tie[1] <= b_first]
    reach_s = FRAME_BARS * bar_s + _ABOUT_S
    near = [tie for tie in before if (rows[0].starts[a_first] - rows[0].starts[tie[0]]) / rate <= reach_s]
    i, j = near[0] if near else before[-1]
    ends = []
    for row, start in zip(rows, (i, j), strict=True):
        lines = np.append(np.flatnonzero(grid.bar_position[row.beats] == 0), len(row))
        goal = row.starts[start] + LONGEST_S / 2.0 * rate
        ends.append(int(lines[min(bisect_left(row.starts[lines].tolist(), goal), len(lines) - 1)]))
    lengths = [(row.starts[end] - row.starts[start]) / rate for row, end, start in zip(rows, ends, (i, j), strict=True)]
    if abs(lengths[0] - lengths[1]) > bar_s or min(lengths) < SHORTEST_S:
        return None
    return _Window(i, ends[0], j, ends[1])


class _Moment(NamedTuple):
    """A place in both rows; ``alike`` where the same beat begins in both."""

    a: int
    b: int
    alike: bool


def _moments(window: _Window, blocks: Sequence[Match]) -> list[_Moment]:
    """All of a window, the end included."""
    found: list[_Moment] = []
    a, b = window.a_start, window.b_start
    for block in [*blocks, Match(window.a_end, window.b_end, 0)]:
        skipped = max(a - block.a, b - block.b, 0)
        size = min(block.a + block.size, window.a_end) - block.a, min(block.b + block.size, window.b_end) - block.b
        if min(size) < skipped:  # one of the two lies outside
            continue
        to_a, to_b = block.a + skipped, block.b + skipped
        found += [_Moment(min(a + n, to_a), min(b + n, to_b), False) for n in range(max(to_a - a, to_b - b))]
        a, b = block.a + min(size), block.b + min(size)
        found += [_Moment(block.a + n, block.b + n, True) for n in range(skipped, min(size))]
    return [*found, _Moment(a, b, False)]


def _excerpt(edit: EditList, row: Row, together: Sequence[_Moment], side: int) -> Excerpt:
    rate, places = edit.source.sample_rate, np.array([moment[side] for moment in together])
    begin = int(row.starts[places[0]]) if places[0] else 0
    found = clip(edit, begin, int(row.starts[places[-1]]))
    moments = (row.starts[places] - begin) / rate
    differs = [not moment.alike for moment in together[:-1]]
    edges = np.flatnonzero(np.diff(np.array([False, *differs, False]).astype(np.int8)))
    spans = [(float(moments[low]), float(moments[high])) for low, high in edges.reshape(-1, 2).tolist()]
    return Excerpt(found, tuple(moments.tolist()), tuple((low, high) for low, high in spans if low < high))


def _summed(row: Row, chosen: Bool[np.ndarray, " plays"], rate: int) -> Float[np.ndarray, " bounds"]:
    """Seconds of the chosen beats before each bound."""
    return np.concatenate([[0.0], np.cumsum(np.diff(row.starts) * chosen)]) / rate
