"""What an edit list did to its source, in the words of an editor: cuts, loops, moves, foreign material, levels.

Conventions: decided on sample frames alone, no beats; given in seconds of output, or of source where the name says so.
Three steps, in output order:

    straights   segments that continue each other in the source, whatever their level or speed
    loops       a jump back into what has just played, which then plays again up to where the jump was taken
    moves       runs (straights with their loops folded in) outside the chain of rising source positions that weighs
                most: the least material that must have been moved

A passage is a stretch of one segment with one action: the first time of a loop is cut out of the segment that leads
into it, the last time out of the one that leads on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np

from rl_editor.edits import EditList, Segment

SLIP_S = 0.05  # a jump of less is a nudge at a join, no loop and no cut
SAME_LOOP_S = 0.1  # ends of a loop's passes may differ by this: joins are set by hand
DIRECTLY_S = 0.5  # what is not in the source may come between two times of a loop, up to this
WHOLE_PASS_SHARE, LAST_PASS_SHARE = 0.9, 0.5  # of a loop must play again: once, and at the end of several


class Action(StrEnum):
    """What an edit did with a passage."""

    KEEP = "keep"
    LOOP = "loop"
    MOVE = "move"
    FOREIGN = "foreign"


@dataclass(frozen=True)
class Passage:
    """A stretch of output that plays the source straight on; ``segment`` counts from 0 in the merged edit list.

    ``crossfade_in_ms`` is None where the passage goes on without a join. A loop's passages are ``time`` 1 to
    ``n_times``; all others are time 1 of 1.
    """

    segment: int
    output_start_s: float
    source_start_s: float | None
    duration_s: float
    action: Action
    time: int
    n_times: int
    crossfade_in_ms: float | None
    gain_db: float
    speed: float
    pitch_semitones: float
    confidence: float

    @property
    def output_end_s(self) -> float:
        """Where it ends in the output."""
        return self.output_start_s + self.duration_s

    @property
    def source_end_s(self) -> float | None:
        """Where it ends in the source."""
        return None if self.source_start_s is None else self.source_start_s + self.duration_s * self.speed


class Cut(NamedTuple):
    """Source that never plays."""

    source_start_s: float
    source_end_s: float


class Loop(NamedTuple):
    """Source that plays several times in a row; ``output_start_s`` is where it plays first."""

    source_start_s: float
    source_end_s: float
    n_times: int
    output_start_s: float


class Move(NamedTuple):
    """Source that plays at another place; ``copied`` when most of it plays at its own place as well.

    ``shift_s`` is the source between its own place and the one where it plays.
    """

    source_start_s: float
    source_end_s: float
    output_start_s: float
    direction: Literal["earlier", "later"]
    shift_s: float
    copied: bool


class Foreign(NamedTuple):
    """Output that is not in the source."""

    output_start_s: float
    output_end_s: float


@dataclass(frozen=True)
class AlignmentSummary:
    """What a person wants to know first; times in seconds of output, but ``cut_s`` (of source).

    ``gain_db`` is the level of the whole edit against the source; the levels of passages are against it.
    """

    source_s: float
    duration_s: float
    n_segments: int
    matched_share: float
    gain_db: float
    polarity_flipped: bool
    median_confidence: float  # of what is matched, weighed by length, as all that follow
    lowest_confidence: float
    cut_s: float  # source that never plays
    repeated_s: float  # source that plays again, each time
    unexplained_s: float
    loudest_db: float
    softest_db: float
    cuts: tuple[Cut, ...]
    loops: tuple[Loop, ...]
    moves: tuple[Move, ...]
    foreign: tuple[Foreign, ...]
    passages: tuple[Passage, ...]

    @property
    def n_joins(self) -> int:
        """Places where the output does not simply go on."""
        return max(0, self.n_segments - 1)

    @property
    def n_moves(self) -> int:
        """Blocks that play at another place."""
        return len(self.moves)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, counts first."""
        values = asdict(self) | {name: [x._asdict() for x in getattr(self, name)] for name in _LISTS}
        counts = {"n_joins": self.n_joins} | {f"n_{name}": len(getattr(self, name)) for name in _LISTS}
        return counts | values


_LISTS = ("cuts", "loops", "moves", "foreign")


@dataclass
class _Play:
    """A segment with its place in the output, in frames; ``marks`` are the parts of it that are a loop's passes."""

    index: int
    segment: Segment
    at: int
    start: int
    end: int
    marks: "list[_Mark]" = field(default_factory=list)

    def output_frame(self, source_frame: int) -> int:
        return self.at + round((source_frame - self.start) / self.segment.speed)


class _Mark(NamedTuple):
    start: int  # source frames
    end: int
    loop: int  # index of the loop
    time: int


@dataclass
class _Straight:
    """Plays that continue each other."""

    plays: list[_Play]

    @property
    def start(self) -> int:
        return self.plays[0].start

    @property
    def end(self) -> int:
        return self.plays[-1].end

    @property
    def output_end(self) -> int:
        return self.plays[-1].at + self.plays[-1].segment.frames

    def mark(self, start: int, end: int, loop: int, time: int) -> None:
        """Name a part of it as one time of a loop, in place of what it was named before."""
        for play in self.plays:
            low, high = max(start, play.start), min(end, play.end)
            if high > low:
                play.marks = [m for m in play.marks if m.end <= low or m.start >= high]
                play.marks.append(_Mark(low, high, loop, time))


@dataclass
class _Run:
    """Straights whose jumps are loops: the source from ``start`` to ``end``."""

    straights: list[_Straight]
    start: int
    end: int

    @property
    def plays(self) -> list[_Play]:
        return [play for straight in self.straights for play in straight.plays]

    @property
    def frames(self) -> int:
        return sum(play.segment.frames for play in self.plays)


@dataclass
class _Found:
    """A loop while it is being counted."""

    start: int
    end: int
    n_times: int
    at: int


def summarise(edit: EditList, *, gain_db: float = 0.0, polarity_flipped: bool = False) -> AlignmentSummary:
    """Say what an edit list did; the level and polarity of the whole edit are not in it and are passed on."""
    rate, merged = edit.source.sample_rate, edit.merged()
    plays, foreign = _plays(merged)
    runs, loops = _folded(_straights(plays, rate), rate)
    chain = _heaviest_chain(runs)
    union = _union((play.start, play.end) for play in plays)
    unplayed = _gaps(union, edit.source.frames)
    gains = [play.segment.gain_db for play in plays] or [0.0]
    sure = [play.segment.confidence for play in plays]
    unexplained = sum(b - a for a, b in foreign)
    return AlignmentSummary(
        source_s=edit.source.frames / rate,
        duration_s=edit.duration_s,
        n_segments=len(merged.segments),
        matched_share=1.0 - unexplained / max(1, edit.frames),
        gain_db=gain_db,
        polarity_flipped=polarity_flipped,
        median_confidence=weighted_median(sure, [play.segment.frames for play in plays]),
        lowest_confidence=min(sure, default=0.0),
        cut_s=sum(b - a for a, b in unplayed) / rate,
        repeated_s=(sum(play.end - play.start for play in plays) - sum(b - a for a, b in union)) / rate,
        unexplained_s=unexplained / rate,
        loudest_db=max(gains),
        softest_db=min(gains),
        cuts=tuple(Cut(a / rate, b / rate) for a, b in unplayed if b - a >= SLIP_S * rate),
        loops=tuple(Loop(x.start / rate, x.end / rate, x.n_times, x.at / rate) for x in loops),
        moves=tuple(_move(k, runs, chain, rate) for k in range(len(runs)) if k not in chain),
        foreign=tuple(Foreign(a / rate, b / rate) for a, b in foreign),
        passages=_passages(merged, runs, chain, loops),
    )


def weighted_median(values: Sequence[float], weights: Sequence[int]) -> float:
    """The value at which half of the weight is reached; 0 of nothing."""
    if not values:
        return 0.0
    order = np.argsort(values)
    sums = np.cumsum(np.asarray(weights)[order])
    return float(np.asarray(values)[order][np.searchsorted(sums, sums[-1] / 2)])


def _plays(merged: EditList) -> tuple[list[_Play], list[tuple[int, int]]]:
    """The segments that play the source, and the output frames that do not."""
    plays, foreign = [], []
    for index, (segment, at) in enumerate(zip(merged.segments, merged.output_start_frames(), strict=True)):
        start, end = segment.source_start_frame, segment.source_end_frame
        if start is None or end is None:
            foreign.append((at, at + segment.frames))
        else:
            plays.append(_Play(index, segment, at, start, end))
    return plays, foreign


def _straights(plays: list[_Play], rate: int) -> list[_Straight]:
    straights: list[_Straight] = []
    for play in plays:
        last = straights[-1] if straights else None
        if last and abs(play.start - last.end) < SLIP_S * rate and play.at - last.output_end <= DIRECTLY_S * rate:
            last.plays.append(play)
        else:
            straights.append(_Straight([play]))
    return straights


def _folded(straights: list[_Straight], rate: int) -> tuple[list[_Run], list[_Found]]:
    """Runs and the loops in them."""
    runs: list[_Run] = []
    loops: list[_Found] = []
    for straight in straights:
        run = runs[-1] if runs else None
        if run is None or not _replays(run, straight, loops, rate):
            runs.append(_Run([straight], straight.start, straight.end))
            continue
        _count(run.straights[-1], straight, loops, rate)
        run.straights.append(straight)
        run.end = max(run.end, straight.end)
    return runs, loops


def _replays(run: _Run, straight: _Straight, loops: list[_Found], rate: int) -> bool:
    """Whether ``straight`` begins by playing again what has just played."""
    last = run.straights[-1]
    length = last.end - straight.start
    directly = straight.plays[0].at - last.output_end <= DIRECTLY_S * rate
    if not directly or length < SLIP_S * rate or straight.start < run.start - SAME_LOOP_S * rate:
        return False
    goes_on = bool(loops) and len(run.straights) > 1 and _same(loops[-1], straight.start, last.end, rate)
    share = LAST_PASS_SHARE if goes_on else WHOLE_PASS_SHARE
    return straight.end - straight.start >= min(share * length, length - SLIP_S * rate)


def _same(loop: _Found, start: int, end: int, rate: int) -> bool:
    return max(abs(loop.start - start), abs(loop.end - end)) <= SAME_LOOP_S * rate


def _count(last: _Straight, straight: _Straight, loops: list[_Found], rate: int) -> None:
    """One more time of the loop from the start of ``straight`` to the end of ``last``, where its first time is."""
    start, end = straight.start, last.end
    marked = {mark.loop for play in last.plays for mark in play.marks}
    if not (loops and len(loops) - 1 in marked and _same(loops[-1], start, end, rate)):
        loops.append(_Found(start, end, 1, 0))
        last.mark(_snapped(start, last, rate), end, len(loops) - 1, 1)
        loops[-1].at = next(p.output_frame(m.start) for p in last.plays for m in p.marks if m.loop == len(loops) - 1)
    loops[-1].n_times += 1
    straight.mark(start, _snapped(end, straight, rate), len(loops) - 1, loops[-1].n_times)


def _snapped(frame: int, straight: _Straight, rate: int) -> int:
    """A point of the source, or the nearest end of a play where that is a slip away: no slivers."""
    ends = [end for play in straight.plays for end in (play.start, play.end)]
    nearest = min(ends, key=lambda end: abs(end - frame))
    return nearest if abs(nearest - frame) < SLIP_S * rate else frame


def _heaviest_chain(runs: list[_Run]) -> set[int]:
    """Indices of the runs that stay: rising in the source, of the most output; overlaps of less than half do rise."""
    best: list[int] = []
    back: list[int] = []
    for i, run in enumerate(runs):
        before = max((j for j in range(i) if _rises(runs[j], run)), key=lambda j: best[j], default=-1)
        back.append(before)
        best.append(run.frames + (best[before] if before >= 0 else 0))
    chain: set[int] = set()
    at = max(range(len(runs)), key=lambda i: best[i], default=-1)
    while at >= 0:
        chain.add(at)
        at = back[at]
    return chain


def _rises(left: _Run, right: _Run) -> bool:
    shorter = min(left.end - left.start, right.end - right.start)
    return right.start > left.start and 2 * (left.end - right.start) < shorter


def _move(k: int, runs: list[_Run], chain: set[int], rate: int) -> Move:
    run = runs[k]
    before = max((runs[j].end for j in chain if j < k), default=0)
    after = min((runs[j].start for j in chain if j > k), default=before)
    later = before > run.start
    others = _union((p.start, p.end) for j, other in enumerate(runs) if j != k for p in other.plays)
    twice = sum(max(0, min(b, run.end) - max(a, run.start)) for a, b in others)
    return Move(
        run.start / rate,
        run.end / rate,
        run.plays[0].at / rate,
        "later" if later else "earlier",
        abs(before - run.end if later else run.start - after) / rate,
        2 * twice >= run.end - run.start,
    )


def _passages(merged: EditList, runs: list[_Run], chain: set[int], loops: list[_Found]) -> tuple[Passage, ...]:
    rate = merged.source.sample_rate
    found = [
        passage
        for k, run in enumerate(runs)
        for play in run.plays
        for passage in _parts(play, Action.KEEP if k in chain else Action.MOVE, loops, rate)
    ]
    rows = zip(merged.segments, merged.output_start_frames(), strict=True)
    found += [
        _passage(i, s, at, at + s.frames, None, rate, Action.FOREIGN)
        for i, (s, at) in enumerate(rows)
        if s.source_start_frame is None
    ]
    return tuple(sorted(found, key=lambda passage: passage.output_start_s))


def _parts(play: _Play, action: Action, loops: list[_Found], rate: int) -> Iterable[Passage]:
    """A segment cut where a loop begins or ends."""
    edges = sorted({play.start, play.end, *(edge for mark in play.marks for edge in (mark.start, mark.end))})
    for start, end in pairwise(edges):
        mark = next((m for m in play.marks if m.start <= start and end <= m.end), None)
        low = play.output_frame(start)
        high = play.output_frame(end) if end < play.end else play.at + play.segment.frames
        part = _passage(play.index, play.segment, low, high, start, rate, action)
        if start > play.start:
            part = replace(part, crossfade_in_ms=None)
        if mark is not None:
            part = replace(part, action=Action.LOOP, time=mark.time, n_times=loops[mark.loop].n_times)
        yield part


def _passage(
    index: int, segment: Segment, start: int, end: int, source: int | None, rate: int, action: Action
) -> Passage:
    return Passage(
        segment=index,
        output_start_s=start / rate,
        source_start_s=None if source is None else source / rate,
        duration_s=(end - start) / rate,
        action=action,
        time=1,
        n_times=1,
        crossfade_in_ms=segment.crossfade_in_ms if index else None,
        gain_db=segment.gain_db,
        speed=segment.speed,
        pitch_semitones=segment.pitch_semitones,
        confidence=segment.confidence,
    )


def _union(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What spans cover, without overlaps, in order."""
    covered: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if covered and start <= covered[-1][1]:
            covered[-1] = covered[-1][0], max(covered[-1][1], end)
        else:
            covered.append((start, end))
    return covered


def _gaps(covered: list[tuple[int, int]], frames: int) -> list[tuple[int, int]]:
    edges = [0, *(edge for span in covered for edge in span), frames]
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]
