"""The reward's audit: does it rank known-good edits above the same edits spoiled, and can it be had for nothing?

Conventions: a case is a good edit of a recording, with or without a length asked for. Each spoiler makes a worse edit
out of a good one; the reward ranks right where the good edit scores strictly higher. A trivial edit (keep all, cut
all, loop all) must score below the good one wherever a length is asked for. Chance is the generator's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from rl_editor.edits import EditList, Segment, joins, keep_all
from rl_editor.reward.calculator import RewardCalculator
from rl_editor.state import AudioState

MIN_SHARE = 0.95  # of comparisons ranked right, of every kind
JITTER_S = (0.02, 0.2)
LEVEL_DB = (6.0, 12.0)
LOOP_ALL_TIMES = (2, 3, 4)
_EXCESS = 0.15  # replayed share beyond the limit, in over-looped edits
_MAX_REPEATS = 64


class AuditCase(NamedTuple):
    """A good edit of a recording, in an editor's style."""

    state: AudioState
    edit: EditList
    target_duration_s: float | None = None
    style: str = ""


class Comparison(NamedTuple):
    """A good edit against a spoiled or trivial one."""

    kind: str
    case: int  # index of the case
    good: float
    worse: float


@dataclass(frozen=True)
class AuditReport:
    """All comparisons of an audit."""

    comparisons: tuple[Comparison, ...]

    def shares(self) -> dict[str, float]:
        """Kind -> share of its comparisons that are ranked right."""
        kinds = sorted({c.kind for c in self.comparisons})
        return {kind: _share([c for c in self.comparisons if c.kind == kind]) for kind in kinds}

    def counts(self) -> dict[str, int]:
        """Kind -> how many comparisons."""
        return {kind: sum(c.kind == kind for c in self.comparisons) for kind in self.shares()}

    @property
    def failures(self) -> tuple[Comparison, ...]:
        """Comparisons that are ranked wrong."""
        return tuple(c for c in self.comparisons if not c.good > c.worse)

    @property
    def passed(self) -> bool:
        """Every kind ranks right in MIN_SHARE of its comparisons, and no trivial edit wins anywhere."""
        trivial = any(c.kind in TRIVIAL for c in self.failures)
        return bool(self.comparisons) and not trivial and min(self.shares().values()) >= MIN_SHARE


Spoiler = Callable[[AuditCase, float, np.random.Generator], EditList | None]
"""A worse edit out of a case's (the number is the style's loop limit), or None where that cannot be."""


def audit(
    calculator: RewardCalculator, cases: Sequence[AuditCase], *, rng: np.random.Generator, draws: int = 4
) -> AuditReport:
    """Compare every case with ``draws`` spoiled versions of each kind, and with the trivial edits."""
    comparisons: list[Comparison] = []
    for number, case in enumerate(cases):
        good = _total(calculator, case, case.edit)
        for kind, spoil in SPOILERS.items():
            for _ in range(draws):
                worse = spoil(case, calculator.config.reward.loop_limit(case.style), rng)
                if worse is not None:
                    comparisons.append(Comparison(kind, number, good, _total(calculator, case, worse)))
        if case.target_duration_s is not None:
            comparisons += [
                Comparison(kind, number, good, max(_total(calculator, case, edit) for edit in make(case)))
                for kind, make in TRIVIAL.items()
            ]
    return AuditReport(tuple(comparisons))


def jittered(case: AuditCase, loop_limit: float, rng: np.random.Generator) -> EditList | None:
    """Both sides of every join moved by 20 to 200 ms, each by its own amount."""
    return _with_joins_moved(case.edit, lambda: _signed(rng, *JITTER_S), lambda: _signed(rng, *JITTER_S))


def phase_broken(case: AuditCase, loop_limit: float, rng: np.random.Generator) -> EditList | None:
    """Where the source comes back, every join moved by a beat or two, but no whole bar."""
    grid = case.state.grid
    beats = int(rng.integers(1, min(3, grid.beats_per_bar)))
    shift_s = beats * 60.0 / grid.tempo_bpm * float(rng.choice((-1.0, 1.0)))
    return _with_joins_moved(case.edit, lambda: 0.0, lambda: shift_s)


def level_broken(case: AuditCase, loop_limit: float, rng: np.random.Generator) -> EditList | None:
    """One stretch between joins made 6 to 12 dB louder or softer."""
    edit = case.edit.merged()
    if len(edit.segments) < 2:
        return None
    chosen, gain_db = int(rng.integers(len(edit.segments))), _signed(rng, *LEVEL_DB)
    segments = list(edit.segments)
    segments[chosen] = replace(segments[chosen], gain_db=segments[chosen].gain_db + gain_db)
    return replace(edit, segments=tuple(segments))


def over_looped(case: AuditCase, loop_limit: float, rng: np.random.Generator) -> EditList | None:
    """Whole bars of the edit repeated in place until the replayed share is well over the limit."""
    edit = case.edit.merged()
    known = [i for i, s in enumerate(edit.segments) if s.plays]
    wanted = loop_limit + _EXCESS
    if not known or wanted >= 1.0:
        return None
    at = int(rng.choice(known))
    block = _bars_of(edit.segments[at], case.state, rng)
    times = int(np.ceil(wanted / (1.0 - wanted) * edit.frames / block.frames))
    if times > _MAX_REPEATS:
        return None
    before, after = _around(edit.segments[at], block)
    middle = [*before, *[block] * (times + 1), *after]
    return replace(edit, segments=(*edit.segments[:at], *middle, *edit.segments[at + 1 :]))


SPOILERS: Mapping[str, Spoiler] = {
    "jittered": jittered,
    "phase_broken": phase_broken,
    "level_broken": level_broken,
    "over_looped": over_looped,
}


def _keep_all(case: AuditCase) -> list[EditList]:
    return [keep_all(case.edit.source)]


def _cut_all(case: AuditCase) -> list[EditList]:
    return [replace(case.edit, segments=())]


def _loop_all(case: AuditCase) -> list[EditList]:
    source = case.edit.source
    bounds = source.frame_bounds(case.state.grid.units(4).times_s)
    bars = [Segment(int(a), int(b - a)) for a, b in pairwise(bounds) if b > a]
    return [
        EditList(source, tuple(bar for bar in bars for _ in range(times)), beat_times_s=case.edit.beat_times_s)
        for times in LOOP_ALL_TIMES
    ]


TRIVIAL: Mapping[str, Callable[[AuditCase], list[EditList]]] = {
    "keep_all": _keep_all,
    "cut_all": _cut_all,
    "loop_all": _loop_all,
}


def _share(comparisons: Sequence[Comparison]) -> float:
    return sum(c.good > c.worse for c in comparisons) / len(comparisons)


def _total(calculator: RewardCalculator, case: AuditCase, edit: EditList) -> float:
    components = calculator.score(edit, case.state, target_duration_s=case.target_duration_s, style=case.style)
    return components.total


def _signed(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high) * rng.choice((-1.0, 1.0)))


def _with_joins_moved(
    edit: EditList, leave_by_s: Callable[[], float], enter_by_s: Callable[[], float]
) -> EditList | None:
    """The source left and entered elsewhere at every join, as far as segments and source allow."""
    if not joins(edit):
        return None
    plain = edit.undecided()
    segments, rate = list(plain.merged().segments), edit.source.sample_rate
    for index, segment in enumerate(segments):
        if not segment.plays:
            continue
        start, end = segment.source_span
        low = 0 if index == 0 else round(enter_by_s() * rate)
        high = 0 if index == len(segments) - 1 else round(leave_by_s() * rate)
        start, end = max(start + low, 0), min(end + high, edit.source.frames)
        if end - start > 1:
            segments[index] = _stretch(segment, start, end) or segment
    return replace(plain, segments=tuple(segments))


def _bars_of(segment: Segment, state: AudioState, rng: np.random.Generator) -> Segment:
    """One to four bars inside a segment; the whole of it where it holds no bar."""
    start, end = segment.source_span
    lines = state.recording.frame_bounds(state.grid.times_s)[:-1][state.grid.bar_position == 0]
    inside = lines[(lines >= start) & (lines <= end)]
    if len(inside) < 2:
        return segment
    first = int(rng.integers(len(inside) - 1))
    last = min(first + int(rng.choice((1, 2, 4))), len(inside) - 1)
    return _stretch(segment, int(inside[first]), int(inside[last])) or segment


def _around(segment: Segment, block: Segment) -> tuple[list[Segment], list[Segment]]:
    """What of the segment plays before and after the block."""
    (start, end), (first, last) = segment.source_span, block.source_span
    before, after = _stretch(segment, start, first), _stretch(segment, last, end)
    return [before] if before else [], [after] if after else []


def _stretch(segment: Segment, start: int, end: int) -> Segment | None:
    """Source frames ``start`` to ``end`` as the segment plays them, in whole frames of output; None where that is none.

    ``speed`` source frames pass per output frame: rounded down, nothing beyond ``end`` plays.
    """
    frames = int((end - start) / segment.speed)
    return replace(segment, source_start_frame=start, frames=frames) if frames > 0 else None
