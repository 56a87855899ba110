"""What an edit list did to its source, in the words of an editor: cuts, loops, moves, foreign material, levels.

Conventions: decided on sample frames alone, no beats; given in seconds of output, or of source where the name says so.
A passage is a stretch of one segment with one action: the first time of a loop is cut out of the segment that leads
into it, the last time out of the one that leads on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np

from rl_editor.alignment.folding import (
    SLIP_S,
    FoldedRun,
    FoundLoop,
    Play,
    folded,
    plays_of,
    staying,
    straights_of,
)
from rl_editor.edits import EditList, Segment
from rl_editor.intervals import gaps, overlap, total, union


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
    fade_in_s: float
    fade_out_s: float
    cuts: tuple[Cut, ...]
    loops: tuple[Loop, ...]
    moves: tuple[Move, ...]
    foreign: tuple[Foreign, ...]
    passages: tuple[Passage, ...]

    @property
    def n_joins(self) -> int:
        """Places where the output does not simply go on."""
        return max(0, self.n_segments - 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, counts first."""
        values = asdict(self) | {name: [x._asdict() for x in getattr(self, name)] for name in _LISTS}
        counts = {"n_joins": self.n_joins} | {f"n_{name}": len(getattr(self, name)) for name in _LISTS}
        return counts | values


_LISTS = ("cuts", "loops", "moves", "foreign")


def summarise(edit: EditList, *, gain_db: float = 0.0, polarity_flipped: bool = False) -> AlignmentSummary:
    """Say what an edit list did; the level and polarity of the whole edit are not in it and are passed on."""
    rate, merged = edit.source.sample_rate, edit.merged()
    plays, foreign = plays_of(merged)
    runs, loops = folded(straights_of(plays, rate), rate)
    chain = staying(runs)
    covered = union((play.start, play.end) for play in plays)
    unplayed = gaps(covered, edit.source.frames)
    gains = [play.segment.gain_db for play in plays if play.segment.confidence > 0] or [0.0]
    sure = [play.segment.confidence for play in plays]
    unexplained = total(foreign)
    return AlignmentSummary(
        source_s=edit.source.frames / rate,
        duration_s=edit.duration_s,
        n_segments=len(merged.segments),
        matched_share=1.0 - unexplained / max(1, edit.frames),
        gain_db=gain_db,
        polarity_flipped=polarity_flipped,
        median_confidence=weighted_median(sure, [play.segment.frames for play in plays]),
        lowest_confidence=min(sure, default=0.0),
        cut_s=total(unplayed) / rate,
        repeated_s=(sum(play.end - play.start for play in plays) - total(covered)) / rate,
        unexplained_s=unexplained / rate,
        loudest_db=max(gains),
        softest_db=min(gains),
        fade_in_s=edit.fade_in_ms / 1000,
        fade_out_s=edit.fade_out_ms / 1000,
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


def _move(k: int, runs: list[FoldedRun], chain: set[int], rate: int) -> Move:
    run = runs[k]
    before = max((runs[j].end for j in chain if j < k), default=0)
    after = min((runs[j].start for j in chain if j > k), default=before)
    later = before > run.start
    others = union((p.start, p.end) for j, other in enumerate(runs) if j != k for p in other.plays)
    twice = sum(overlap(other, (run.start, run.end)) for other in others)
    return Move(
        run.start / rate,
        run.end / rate,
        run.plays[0].at / rate,
        "later" if later else "earlier",
        abs(before - run.end if later else run.start - after) / rate,
        2 * twice >= run.end - run.start,
    )


def _passages(merged: EditList, runs: list[FoldedRun], chain: set[int], loops: list[FoundLoop]) -> tuple[Passage, ...]:
    rate = merged.source.sample_rate
    found = [
        passage
        for k, run in enumerate(runs)
        for play in run.plays
        for passage in _parts(play, Action.KEEP if k in chain else Action.MOVE, loops, rate)
    ]
    rows = zip(merged.segments, merged.output_start_frames(), strict=True)
    found += [
        _passage(i, s, at, at + s.frames, None, rate, Action.FOREIGN) for i, (s, at) in enumerate(rows) if not s.plays
    ]
    return tuple(sorted(found, key=lambda passage: passage.output_start_s))


def _parts(play: Play, action: Action, loops: list[FoundLoop], rate: int) -> Iterable[Passage]:
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
