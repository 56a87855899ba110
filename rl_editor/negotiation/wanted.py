"""What demands come to for the places of an edit: which must play, which may, and when.

Conventions: as in ``score``; seconds of the source, but for the windows, which are seconds of output. A beat plays as
a whole or not at all. It belongs to a passage that covers more than ``ROUNDING`` of it; a passage too short for that
has the beat that it covers most of. Where a passage to keep and one to drop meet within a beat, it belongs to the one
that covers most of it. Passages that overlap by more than ``ROUNDING`` of a beat contradict each other.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from rl_editor.errors import EditListError
from rl_editor.grid import BeatGrid
from rl_editor.intervals import overlap, overlaps, total, union
from rl_editor.negotiation.demands import MOST_STRETCH, Anchor, Demands, TimeSpan, spoken
from rl_editor.negotiation.score import Score

ROUNDING = 0.1  # of a beat
LONG_BEATS = 1.5  # a first beat from so many on is a lead-in
_Places = Bool[np.ndarray, " places"]


class Wanted(NamedTuple):
    """What demands come to, place by place."""

    must: _Places
    may: _Places
    earliest_s: Float[np.ndarray, " places"]  # of output, when it may start to play
    latest_s: Float[np.ndarray, " places"]


def wanted(score: Score, grid: BeatGrid, demands: Demands, name: str) -> Wanted:
    """What demands come to for the places of an edit of the recording ``name``.

    Raises:
        EditListError: a passage or moment is none of the edit's, or two of them contradict each other in one beat.
    """
    given_to_keep = given_to_drop = np.zeros(grid.n_beats, bool)
    if contradiction(demands, grid) is None:
        kept, dropped = (_share_covered(grid, spans) for spans in (demands.keep, demands.drop))
        meet = beats_over(grid, demands.keep) & beats_over(grid, demands.drop)
        given_to_keep, given_to_drop = meet & (kept >= dropped), meet & (kept < dropped)
        _check_beats_left(grid, demands, given_to_keep, given_to_drop, name)
    must, may = np.zeros(score.n_places, bool), np.ones(score.n_places, bool)
    for span in demands.drop:
        may[(beats_over(grid, [span]) & ~given_to_keep)[score.beat]] = False
    for span in demands.keep:
        must |= _once(score, grid, (beats_over(grid, [span]) & ~given_to_drop)[score.beat], f"{name}: keep {span}")
    earliest_s, latest_s = np.zeros(score.n_places), np.full(score.n_places, np.inf)
    beat_s = grid.beat_s / score.speed
    places = [anchored(score, grid, anchor, name) for anchor in demands.anchors]
    for k, (anchor, at) in enumerate(zip(demands.anchors, places, strict=True)):
        must[at] = True
        for other, there in zip(demands.anchors[:k], places[:k], strict=True):
            _check_together(score, grid, other, anchor, name, one_beat=at == there)
        due_s = anchor.output_s - (anchor.source_s - float(grid.times_s[score.beat[at]])) / score.speed
        if due_s > -LONG_BEATS * beat_s:  # of a beat that the output starts with it is heard as soon as can be
            due_s = max(due_s, 0.0)
        earliest_s[at] = max(earliest_s[at], due_s - 0.5 * beat_s)
        latest_s[at] = min(latest_s[at], due_s + 0.5 * beat_s)
    return Wanted(must, may, earliest_s, latest_s)


def beyond_length(demands: Demands, grid: BeatGrid, *, speed: float = 1.0) -> str:
    """Why no edit of the length asked for can hold what else is asked, in words; empty where that is not plain."""
    if demands.duration_s is None:
        return ""
    most_s = demands.duration_s * (1.0 + MOST_STRETCH if demands.exact else 1.0)
    most_s = max(most_s, demands.duration_s + 0.5 * grid.beat_s)
    kept_s = covered_s(demands.keep, grid) / speed
    asked = f"the {spoken(demands.duration_s)} asked for"
    if kept_s > most_s:
        together = " together" if len(demands.keep) > 1 else ""
        named = " and ".join(f"keep {span}" for span in demands.keep)
        return f"{named} last{'' if together else 's'} {spoken(round(kept_s, 3))}{together}, longer than {asked}"
    late = [f"anchor {anchor}" for anchor in demands.anchors if anchor.output_s > most_s]
    return f"{' and '.join(late)} would be heard after the end of {asked}" if late else ""


def covered_s(spans: Iterable[TimeSpan], grid: BeatGrid) -> float:
    """How much of the recording the spans cover, together."""
    end_s = grid.duration_s
    return float(total(union((min(span.start_s, end_s), min(span.end_s, end_s)) for span in spans)))


def contradiction(demands: Demands, grid: BeatGrid) -> tuple[TimeSpan, TimeSpan] | None:
    """A passage to keep and one to drop that overlap by more than rounding, if there are any."""
    for kept in demands.keep:
        for dropped in demands.drop:
            if overlap(kept, dropped) > ROUNDING * grid.beat_s:
                return kept, dropped
    return None


def anchored(score: Score, grid: BeatGrid, anchor: Anchor, name: str) -> int:
    """The place of an anchor's moment: of those that play, if there are any, the one heard nearest to its time."""
    if anchor.source_s >= grid.duration_s:
        raise EditListError(f"{name}: anchor {anchor}: the recording ends at {spoken(grid.duration_s)}")
    beat = int(np.searchsorted(grid.times_s, anchor.source_s, "right")) - 1
    at = np.flatnonzero(score.beat == beat)
    if len(at) == 0:
        raise EditListError(f"{name}: anchor {anchor}: the edit does not pass there")
    playing = at[score.played[at]]
    chosen = playing if len(playing) else at
    heard_s = np.cumsum(np.where(score.played, np.diff(grid.times_s)[score.beat], 0.0)) / score.speed
    return int(chosen[np.argmin(np.abs(heard_s[chosen] - anchor.output_s))])


def beats_over(grid: BeatGrid, spans: Sequence[TimeSpan]) -> Bool[np.ndarray, " beats"]:
    """Beats of which spans cover more than rounding; of one too short for that, the beat that it covers most of."""
    found: np.ndarray = _share_covered(grid, spans) > ROUNDING
    for span in spans:
        own = _share_covered(grid, [span])
        if 0.0 < own.max() <= ROUNDING:
            found[np.argmax(own)] = True
    return found


def _share_covered(grid: BeatGrid, spans: Iterable[TimeSpan]) -> Float[np.ndarray, " beats"]:
    """How much of each beat the spans cover, together."""
    covered = np.zeros(grid.n_beats)
    for span in spans:
        covered += overlaps(grid.times_s, span) / np.diff(grid.times_s)
    return covered


def _check_beats_left(
    grid: BeatGrid,
    demands: Demands,
    given_to_keep: Bool[np.ndarray, " beats"],
    given_to_drop: Bool[np.ndarray, " beats"],
    name: str,
) -> None:
    """Refuse a passage all of whose beats are given to those that it meets there."""
    for what, spans, lost, winner, others in (
        ("keep", demands.keep, given_to_drop, "drop", demands.drop),
        ("drop", demands.drop, given_to_keep, "keep", demands.keep),
    ):
        for span in spans:
            own = beats_over(grid, [span])
            if own.any() and lost[own].all():
                met = [f"{winner} {other}" for other in others if beats_over(grid, [other])[own].any()]
                raise EditListError(
                    f"{name}: {what} {span} and {' and '.join(met)} contradict each other: they meet within a beat, "
                    f"which plays as a whole or not at all; take back {what} {span}"
                )


def _once(score: Score, grid: BeatGrid, inside: _Places, name: str) -> _Places:
    """One unbroken run of the places inside: the one of which most plays already."""
    at = np.flatnonzero(inside)
    if len(at) == 0:
        raise EditListError(
            f"{name} lies outside the recording, or where the edit does not pass; it has {spoken(grid.duration_s)}"
        )
    beats = score.beat[at]
    runs = np.split(at, np.flatnonzero((np.diff(at) != 1) | (np.diff(beats) != 1)) + 1)
    whole = max(len(run) for run in runs)
    chosen = max((run for run in runs if len(run) == whole), key=lambda run: int(score.played[run].sum()))
    if whole < len(np.unique(beats)):
        raise EditListError(
            f"{name} does not play in one piece in this edit, which loops or moves parts of it; name a shorter passage"
        )
    found = np.zeros(len(inside), bool)
    found[chosen] = True
    return found


def _check_together(score: Score, grid: BeatGrid, first: Anchor, second: Anchor, name: str, *, one_beat: bool) -> None:
    """Refuse one moment at two times, and two moments at one time."""
    apart_s = abs(first.output_s - second.output_s - (first.source_s - second.source_s) / score.speed)
    if one_beat and apart_s > grid.beat_s:
        why = f"both name one beat, which plays at one time; the two are {apart_s:.2f} s apart"
    elif not one_beat and first.output_s == second.output_s:
        why = f"name two moments for one time, {spoken(first.output_s)}"
    else:
        return
    raise EditListError(f"{name}: anchor {first} and anchor {second} contradict each other: they {why}; take back one")
