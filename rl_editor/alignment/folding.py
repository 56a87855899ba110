"""Segments folded the way an editor made them: straights, loops within runs, and the chain of runs that stay.

Conventions: source and output frames at the source's rate, half-open, in output order.

    straights   segments that continue each other in the source, whatever their level or speed
    loops       a jump back into what has just played, which then plays again up to where the jump was taken
    runs        straights with their loops folded in
    the chain   the runs of rising source positions that weigh most: the least material must have been moved
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from rl_editor.edits import EditList, Segment
from rl_editor.labels import heaviest_chain

SLIP_S = 0.05  # a jump of less is a nudge at a join, no loop and no cut
SAME_LOOP_S = 0.1  # ends of a loop's passes may differ by this: joins are set by hand
DIRECTLY_S = 0.5  # what is not in the source may come between two times of a loop, up to this
WHOLE_PASS_SHARE, LAST_PASS_SHARE = 0.9, 0.5  # of a loop must play again: once, and at the end of several


@dataclass
class Play:
    """A segment with its place in the output, in frames; ``marks`` are the parts of it that are a loop's passes."""

    index: int
    segment: Segment
    at: int
    start: int
    end: int
    marks: "list[Mark]" = field(default_factory=list)

    def output_frame(self, source_frame: int) -> int:
        """Where a frame of the source plays."""
        return self.at + round((source_frame - self.start) / self.segment.speed)


class Mark(NamedTuple):
    """Source frames that are one time of a loop; ``loop`` is its index, ``time`` counts from 1."""

    start: int
    end: int
    loop: int
    time: int


@dataclass
class Straight:
    """Plays that continue each other."""

    plays: list[Play]

    @property
    def start(self) -> int:
        """Source frame where it begins."""
        return self.plays[0].start

    @property
    def end(self) -> int:
        """First source frame that no longer plays."""
        return self.plays[-1].end

    @property
    def output_end(self) -> int:
        """First output frame after it."""
        return self.plays[-1].at + self.plays[-1].segment.frames

    def mark(self, start: int, end: int, loop: int, time: int) -> None:
        """Name a part of it as one time of a loop, in place of what it was named before."""
        for play in self.plays:
            low, high = max(start, play.start), min(end, play.end)
            if high > low:
                play.marks = [m for m in play.marks if m.end <= low or m.start >= high]
                play.marks.append(Mark(low, high, loop, time))


@dataclass
class FoldedRun:
    """Straights whose jumps are loops: the source from ``start`` to ``end``."""

    straights: list[Straight]
    start: int
    end: int

    @property
    def plays(self) -> list[Play]:
        """All its plays, in output order."""
        return [play for straight in self.straights for play in straight.plays]

    @property
    def frames(self) -> int:
        """Its length in the output."""
        return sum(play.segment.frames for play in self.plays)


@dataclass
class FoundLoop:
    """A loop while it is being counted."""

    start: int
    end: int
    n_times: int
    at: int


def plays_of(merged: EditList) -> tuple[list[Play], list[tuple[int, int]]]:
    """The segments that play the source, and the output frames that do not."""
    plays, foreign = [], []
    for index, (segment, at) in enumerate(zip(merged.segments, merged.output_start_frames(), strict=True)):
        start, end = segment.source_start_frame, segment.source_end_frame
        if start is None or end is None:
            foreign.append((at, at + segment.frames))
        else:
            plays.append(Play(index, segment, at, start, end))
    return plays, foreign


def straights_of(plays: list[Play], rate: int) -> list[Straight]:
    """Plays joined to straights, over slips and short foreign stretches."""
    straights: list[Straight] = []
    for play in plays:
        last = straights[-1] if straights else None
        if last and abs(play.start - last.end) < SLIP_S * rate and play.at - last.output_end <= DIRECTLY_S * rate:
            last.plays.append(play)
        else:
            straights.append(Straight([play]))
    return straights


def folded(straights: list[Straight], rate: int) -> tuple[list[FoldedRun], list[FoundLoop]]:
    """Runs and the loops in them."""
    runs: list[FoldedRun] = []
    loops: list[FoundLoop] = []
    for straight in straights:
        run = runs[-1] if runs else None
        if run is None or not _replays(run, straight, loops, rate):
            runs.append(FoldedRun([straight], straight.start, straight.end))
            continue
        _count(run.straights[-1], straight, loops, rate)
        run.straights.append(straight)
        run.end = max(run.end, straight.end)
    return runs, loops


def _replays(run: FoldedRun, straight: Straight, loops: list[FoundLoop], rate: int) -> bool:
    """Whether ``straight`` begins by playing again what has just played."""
    last = run.straights[-1]
    length = last.end - straight.start
    directly = straight.plays[0].at - last.output_end <= DIRECTLY_S * rate
    if not directly or length < SLIP_S * rate or straight.start < run.start - SAME_LOOP_S * rate:
        return False
    goes_on = bool(loops) and len(run.straights) > 1 and _same(loops[-1], straight.start, last.end, rate)
    share = LAST_PASS_SHARE if goes_on else WHOLE_PASS_SHARE
    return straight.end - straight.start >= min(share * length, length - SLIP_S * rate)


def _same(loop: FoundLoop, start: int, end: int, rate: int) -> bool:
    return max(abs(loop.start - start), abs(loop.end - end)) <= SAME_LOOP_S * rate


def _count(last: Straight, straight: Straight, loops: list[FoundLoop], rate: int) -> None:
    """One more time of the loop from the start of ``straight`` to the end of ``last``, where its first time is."""
    start, end = straight.start, last.end
    marked = {mark.loop for play in last.plays for mark in play.marks}
    if not (loops and len(loops) - 1 in marked and _same(loops[-1], start, end, rate)):
        loops.append(FoundLoop(start, end, 1, 0))
        last.mark(_snapped(start, last, rate), end, len(loops) - 1, 1)
        loops[-1].at = next(p.output_frame(m.start) for p in last.plays for m in p.marks if m.loop == len(loops) - 1)
    loops[-1].n_times += 1
    straight.mark(start, _snapped(end, straight, rate), len(loops) - 1, loops[-1].n_times)


def _snapped(frame: int, straight: Straight, rate: int) -> int:
    """A point of the source, or the nearest end of a play where that is a slip away: no slivers."""
    ends = [end for play in straight.plays for end in (play.start, play.end)]
    nearest = min(ends, key=lambda end: abs(end - frame))
    return nearest if abs(nearest - frame) < SLIP_S * rate else frame


def staying(runs: list[FoldedRun]) -> set[int]:
    """Indices of the runs that stay: rising in the source, of the most output; overlaps of less than half do rise."""
    return heaviest_chain([run.frames for run in runs], lambda j, i: _rises(runs[j], runs[i]))


def _rises(left: FoldedRun, right: FoldedRun) -> bool:
    shorter = min(left.end - left.start, right.end - right.start)
    return right.start > left.start and 2 * (left.end - right.start) < shorter
