"""An edit written out beat by beat, with all that it leaves out: what a changed edit may play, in which order.

Conventions: a *place* is one chance for a beat to play. Places stand in output order: the beats that the edit plays,
and at each join the beats that it leaves out there (after a jump ahead: what was skipped; after a jump back: some beats
that would have gone on, and some before where it lands), before the first what came before it, after the last what
comes after. A changed edit plays some places in this order, so nothing is looped or moved that was not before; with
``repeats`` off, no beat has two chances that did not play twice before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from rl_editor.edits import EditList, Segment
from rl_editor.errors import EditListError
from rl_editor.grid import BeatGrid
from rl_editor.negotiation.demands import MOST_STRETCH

AROUND_BARS = 4  # how far a join that jumps back may move to either side


class Cut(NamedTuple):
    """A join to the sample: source frames where the output leaves and where it comes back, and its crossfade."""

    leave: int
    land: int
    crossfade_ms: float


@dataclass(frozen=True, eq=False)
class Score:
    """Places in output order.

    Attributes:
        beat: the source's beat of every place.
        played: whether the edit plays it.
        joins: the edit's joins: place that is left and place that is come to, with the exact frames, in output order.
        start_frame: where the first played beat starts, exactly.
        end_frame: where the last played beat ends, exactly.
        ending: silence after it, that an exact length or a fade has added.
        speed: source seconds that pass in a second of output, everywhere alike: an exact length may be stretched to.
    """

    beat: Int[np.ndarray, " places"]
    played: Bool[np.ndarray, " places"]
    joins: dict[tuple[int, int], Cut]
    start_frame: int
    end_frame: int
    ending: tuple[Segment, ...] = ()
    speed: float = 1.0

    @property
    def n_places(self) -> int:
        """How many there are."""
        return len(self.beat)


class _Run(NamedTuple):
    """What plays without a join: beats, and the exact frames of its ends."""

    start: int  # beats
    end: int
    start_frame: int
    end_frame: int
    crossfade_in_ms: float


def written_out(edit: EditList, grid: BeatGrid, *, repeats: bool = True, around_bars: int = AROUND_BARS) -> Score:
    """The places of an edit; without ``repeats`` what it leaves out is what plays nowhere.

    Args:
        edit: what plays.
        grid: of its recording.
        repeats: whether a beat may get a second chance.
        around_bars: how far a join that jumps back may move to either side.

    Raises:
        EditListError: the edit plays nothing, or plays material that no beat can stand for (from elsewhere, or at
            another speed, but for a stretch of the whole, pitch or level).
    """
    segments, ending = _without_ending(edit)
    runs = _runs(edit, segments, grid)
    *left_out, after = _left_out(runs, grid, repeats=repeats, around=around_bars * grid.beats_per_bar)
    beats: list[int] = []
    played: list[bool] = []
    joins: dict[tuple[int, int], Cut] = {}
    for index, (skipped, run) in enumerate(zip(left_out, runs, strict=True)):
        place_left, place_landed = len(beats) - 1, len(beats) + len(skipped)
        if index:
            joins[place_left, place_landed] = Cut(runs[index - 1].end_frame, run.start_frame, run.crossfade_in_ms)
        beats += [*skipped, *range(run.start, run.end)]
        played += [False] * len(skipped) + [True] * (run.end - run.start)
    return Score(
        beat=np.array(beats + after),
        played=np.array(played + [False] * len(after)),
        joins=joins,
        start_frame=runs[0].start_frame,
        end_frame=runs[-1].end_frame,
        ending=ending,
        speed=segments[0].speed,
    )


def _left_out(runs: Sequence[_Run], grid: BeatGrid, *, repeats: bool, around: int) -> list[list[int]]:
    """Beats that could play before the first run, between every two, and after the last."""
    between = [_skipped(one.end, two.start, around, grid.n_beats) for one, two in pairwise(runs)]
    gaps = [list(range(runs[0].start)), *between, list(range(runs[-1].end, grid.n_beats))]
    if repeats:
        return gaps
    taken = {beat for run in runs for beat in range(run.start, run.end)}
    found: list[list[int]] = []
    for gap in gaps:
        found.append([beat for beat in gap if beat not in taken])
        taken.update(gap)
    return found


def _skipped(leave: int, land: int, around: int, n_beats: int) -> list[int]:
    """Beats that could play between two boundaries."""
    if land >= leave:
        return list(range(leave, land))
    return [*range(leave, min(leave + around, n_beats)), *range(max(land - around, 0), land)]


def _without_ending(edit: EditList) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """Segments, and the silence after them."""
    segments = edit.merged().segments
    n = max((k for k, segment in enumerate(segments, 1) if segment.plays), default=0)
    return segments[:n], segments[n:]


def _runs(edit: EditList, segments: Sequence[Segment], grid: BeatGrid) -> list[_Run]:
    rate = edit.source.sample_rate
    runs: list[_Run] = []
    for segment in segments:
        first, last = segment.source_start_frame, segment.source_end_frame
        own_speed = segment.speed != segments[0].speed or abs(segment.speed - 1.0) > MOST_STRETCH + 1e-9
        if first is None or last is None or own_speed or segment.pitch_semitones or segment.gain_db:
            raise EditListError(
                f"{edit.source.name}: the edit list plays material from elsewhere, or changes speed, pitch or level; "
                f"only edits that play the recording as it is, or all of it up to {MOST_STRETCH:.0%} faster or slower, "
                "can be revised"
            )
        start, end = (int(np.argmin(np.abs(grid.times_s - frame / rate))) for frame in (first, last))
        start = min(start, grid.n_beats - 1)
        end = max(end, start + 1)  # what is shorter than a beat stands for one
        runs.append(_Run(start, end, first, last, segment.crossfade_in_ms))
    if not runs:
        raise EditListError(f"{edit.source.name}: the edit list plays nothing; there is nothing to revise")
    return runs
