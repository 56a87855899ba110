"""From decisions about bars to an edit list as a hand would make it.

Conventions: a ``Plan`` holds one decision per unit, in the action space's own words; ``cut`` turns it into segments and
then moves the joins: most stay within some milliseconds of the bar line, one in ten sits one or two beats beside it
(both sides alike, so the rhythm goes on), few are uneven, and crossfades differ in length.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from rl_editor.actions import CUT, KEEP, ActionSpace, ReorderAction
from rl_editor.editors.listening import UNIT_BEATS, Hearing, Span
from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.grid import BeatGrid
from rl_editor.labels import decode

CROSSFADES_MS = (0.0, 5.0, 10.0, 20.0, 30.0, 50.0)
_CROSSFADE_WEIGHTS = (0.05, 0.15, 0.25, 0.25, 0.15, 0.15)
BEAT_JOIN_SHARE = 0.1
_HAND_MS, _HAND_MAX_MS = 4.0, 12.0  # how far off the grid a join is: standard deviation, most
_UNEVEN_SHARE, _UNEVEN_MS = 0.08, 2.0
_SHORTEST_S = 0.25  # no segment gets shorter than this by moving its joins


@dataclass
class Plan:
    """One decision per bar of a recording; everything is kept until it is said otherwise."""

    n_units: int
    space: ActionSpace
    actions: Int[np.ndarray, " units"]

    @classmethod
    def keeping(cls, n_units: int) -> "Plan":
        """The plan that changes nothing."""
        return cls(n_units, ActionSpace(), np.full(n_units, KEEP))

    def cut(self, span: Span) -> None:
        """Leave a span out."""
        self.actions[span.start : span.end] = CUT

    def keep(self, span: Span) -> None:
        """Play a span at its place."""
        self.actions[span.start : span.end] = KEEP

    def loop(self, span: Span, *, n_times: int) -> None:
        """Play a span several times in a row, as a block."""
        self.actions[span.start : span.end] = self.space.extend
        self.actions[span.start] = n_times

    def move(self, span: Span, *, target: int) -> None:
        """Play a span, as a block, just before bar ``target``."""
        self.actions[span.start : span.end] = self.space.extend
        self.actions[span.start] = self.space.encode(ReorderAction(span.start, target))


def cut(plan: Plan, heard: Hearing, grid: BeatGrid, source: SourceInfo, rng: np.random.Generator) -> EditList:
    """The edit list of a plan, joins set by hand."""
    exact = decode(
        plan.actions,
        heard.units,
        plan.space,
        source=source,
        crossfade_ms=0.0,
        beat_times_s=tuple(float(t) for t in grid.times_s),
        unit_beats=UNIT_BEATS,
    ).merged()
    segments = list(exact.segments)
    for index in range(1, len(segments)):
        segments[index - 1], segments[index] = _by_hand(segments[index - 1], segments[index], grid, source, rng)
    return replace(exact, segments=tuple(segments))


def _by_hand(
    left: Segment, right: Segment, grid: BeatGrid, source: SourceInfo, rng: np.random.Generator
) -> tuple[Segment, Segment]:
    """Draw everything first, so that a join that cannot move does not change the ones after it."""
    rate = source.sample_rate
    off_ms = float(np.clip(rng.normal(0.0, _HAND_MS), -_HAND_MAX_MS, _HAND_MAX_MS))
    n_beats = int(rng.choice((-2, -1, 1, 2))) if rng.random() < BEAT_JOIN_SHARE else 0
    uneven_ms = float(rng.normal(0.0, _UNEVEN_MS)) if rng.random() < _UNEVEN_SHARE else 0.0
    crossfade_ms = float(rng.choice(CROSSFADES_MS, p=_CROSSFADE_WEIGHTS))
    off = round(off_ms * rate / 1000.0)
    ends = off + _beats_away(grid, left.source_span[1], n_beats, rate)
    starts = off + round(uneven_ms * rate / 1000.0) + _beats_away(grid, right.source_span[0], n_beats, rate)
    right = replace(right, crossfade_in_ms=crossfade_ms)
    moved = _moved(left, right, ends=ends, starts=starts, source=source)
    return moved or (left, right)


def _beats_away(grid: BeatGrid, frame: int, n_beats: int, rate: int) -> int:
    """How many frames lie between a bar line and the beat ``n_beats`` after it."""
    at = int(np.argmin(np.abs(grid.times_s - frame / rate)))
    to = int(np.clip(at + n_beats, 0, grid.n_beats))
    return round(float(grid.times_s[to] - grid.times_s[at]) * rate)


def _moved(
    left: Segment, right: Segment, *, ends: int, starts: int, source: SourceInfo
) -> tuple[Segment, Segment] | None:
    """The join with its left side ending ``ends`` frames later and its right side starting ``starts`` later."""
    left_end, right_start = left.source_span[1] + ends, right.source_span[0] + starts
    shortest = round(_SHORTEST_S * source.sample_rate)
    fits = left_end <= source.frames and right_start >= 0
    if not fits or left.frames + ends < shortest or right.frames - starts < shortest:
        return None
    return (
        replace(left, frames=left.frames + ends),
        replace(right, source_start_frame=right_start, frames=right.frames - starts),
    )
