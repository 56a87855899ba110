"""Edits of a recording that meet a request: drafted by a policy or the DP, negotiated, their joins settled.

The policy proposes under what is decided already (passages kept and dropped by whole units, no loops, no moves); what
it cannot see to by itself (a moment anchored, a length it misses, an exact length) is then negotiated on its proposal,
beat by beat.
"""

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rl_editor import edits
from rl_editor.actions import Limits
from rl_editor.audition import SURE
from rl_editor.baselines import retarget_dp
from rl_editor.command import counted
from rl_editor.config import Config
from rl_editor.editing.fading import with_crossfades_asked, with_fades
from rl_editor.editing.request import Request, check_anchors, check_length, check_spans, left_s, past_end, units_over
from rl_editor.edits import EditList, Segment
from rl_editor.errors import CheckpointError, ConfigError, EditListError
from rl_editor.infer import edit_recording_variously, is_other
from rl_editor.intervals import overlap, total, union
from rl_editor.negotiation import BeatSound, Demands, Draft, TimeSpan, revise
from rl_editor.negotiation.exact import met_from_below, most_silence_s, to_length
from rl_editor.negotiation.placing import place_joins
from rl_editor.negotiation.wanted import beats_over, beyond_length
from rl_editor.negotiation.words import anchor_lines, exact_line, missed_line
from rl_editor.render import settle_joins
from rl_editor.state import AudioState
from rl_editor.utils import Samples, load_mono, to_mono

if TYPE_CHECKING:
    from rl_editor.checkpoint import Policy

_FROM_THE_WHOLE = "the policy's edit cannot meet what is asked; this one is negotiated from the whole recording"
_LISTENING_HZ = 22_050
_MOST_LATE_S = 3600.0  # later moments are not looked for: places grow with it, pairs of them with its square
_DRAFTS = 4  # per candidate: moving joins to better places makes some drafts the same


class Proposal(NamedTuple):
    """An edit, its joins settled, and what a person should know about it."""

    edit: EditList
    notes: tuple[str, ...]
    missed_s: float = 0.0  # length reached less length asked for
    is_fallback: bool = False  # a policy was asked, but none of its drafts meets what is asked; it is of the DP


class _Task(NamedTuple):
    """A recording, what is heard of it, what is asked, and whose habits the edit has; None are nobody's."""

    recording: Samples | Path
    state: AudioState
    sound: BeatSound
    request: Request
    policy: "Policy | None"
    config: Config

    def is_near(self, proposal: Proposal) -> bool:
        """Whether a proposal misses the length asked for by no more than half a bar."""
        return abs(proposal.missed_s) <= 0.5 * self.state.grid.bar_s


class _Negotiated(NamedTuple):
    """What came of a draft; ``length_costs`` as of ``Revised``."""

    edit: EditList
    moved: tuple[int, ...]  # joins that the policy had elsewhere, by their numbers
    length_costs: str


def propose(
    recording: Samples | Path, state: AudioState, request: Request, policy: "Policy | None", config: Config
) -> Iterator[Proposal]:
    """Edits of a recording, in memory or a file, that meet a request; the best first.

    Drafts of the policy that cannot be negotiated to what is asked, its length within half a bar, are passed over;
    where all are, those of the DP are taken, if they can be, and that is said.
    """
    demands = request.demands
    check_spans(demands, state)
    check_length(request, state)
    check_anchors(request, state, config)
    if request.method == "policy" and policy is None:
        raise ConfigError("the method policy needs a trained policy; name one, or use the method dp")
    whose = policy if request.method == "policy" else None
    task = _Task(recording, state, beat_sound(recording, state), request, whose, config)
    hopeless = bool(beyond_length(demands, state.grid))  # whatever the draft: the DP's says what to ask for instead
    if whose is None or hopeless:
        ways = iter([_met(_by_dp(state, request, config), task)])
    else:
        ways = _by_policy_or_else(whose, task)
    yield from _nearest(ways, task)


def _nearest(of_each_way: Iterable[Iterable[Proposal]], task: _Task) -> Iterator[Proposal]:
    """What meets the length of the first way that does; where there is not enough of it, what comes nearest.

    Raises:
        EditListError: there is none of any way; it says what stands in that of the last.
    """
    found: list[EditList] = []
    far: list[Proposal] = []
    refused: EditListError | None = None
    for proposals in of_each_way:
        try:
            for proposal in proposals:
                if task.is_near(proposal):
                    found.append(proposal.edit)
                    yield proposal
                else:
                    far.append(proposal)
        except EditListError as fault:
            refused = fault
        if found:
            break
    if refused is not None and not found and not far:
        raise refused
    far.sort(key=lambda proposal: abs(proposal.missed_s) // (0.5 * task.state.grid.bar_s))
    for proposal in far:
        if len(found) < task.request.candidates and is_other(proposal.edit, found):
            found.append(proposal.edit)
            yield proposal


def _by_policy_or_else(policy: "Policy", task: _Task) -> Iterator[Iterator[Proposal]]:
    """Proposals on the policy's drafts; on longer ones, where a moment heard early cuts drafts short; on the DP's.

    Without demands on the policy's alone.
    """
    request, state = task.request, task.state
    demands = request.demands
    yield _met(_by_policy(policy, state, request), task)
    if demands == Demands():
        return
    early_s = _early_s(demands, state)
    if early_s and demands.duration_s is not None:
        longer = replace(demands, duration_s=demands.duration_s + early_s)
        yield _met(_by_policy(policy, state, replace(request, demands=longer)), task)
    by_dp = _met(_by_dp(state, request, task.config), task)
    yield (proposal._replace(notes=(*proposal.notes, _FROM_THE_WHOLE), is_fallback=True) for proposal in by_dp)


def _met(drafts: Iterable[EditList], task: _Task) -> Iterator[Proposal]:
    """What can be negotiated of drafts, no two alike, until as many as are asked for are near the length.

    Raises:
        EditListError: none can be; it says what stands in the way of the last.
    """
    found: list[EditList] = []
    n_near = 0
    refused: EditListError | None = None
    for draft in drafts:
        if n_near == task.request.candidates:
            return
        try:
            proposal = _proposal(draft, task)
        except EditListError as fault:
            refused = fault
            continue
        if is_other(proposal.edit, found):
            found.append(proposal.edit)
            n_near += task.is_near(proposal)
            yield proposal
    if refused is not None and not found:
        raise refused


def _proposal(draft: EditList, task: _Task) -> Proposal:
    """The draft, negotiated, its joins placed and settled, its length met, its ends faded."""
    demands, state = task.request.asked, task.state
    missed_s = 0.0
    if demands.exact:
        silence_s = most_silence_s(state.grid)
        negotiated, exact = met_from_below(
            lambda less_s: _settled(draft, task, less_s=less_s),
            lambda negotiated: to_length(
                negotiated.edit,
                task.recording,
                demands,
                allow_stretch=task.request.allow_stretch,
                silence_s=silence_s,
                costs=negotiated.length_costs,
            ),
            keep=demands.keep,
            silence_s=silence_s,
        )
        settled, length = exact.edit, exact_line(exact)
    else:
        negotiated = _settled(draft, task, less_s=0.0)
        settled = negotiated.edit
        if demands.duration_s is not None:
            missed_s = settled.duration_s - demands.duration_s
        length = missed_line(missed_s, negotiated.length_costs)
    said = (_moved_line(settled, negotiated.moved), _doubt_line(state), length)
    notes = (*past_end(demands, state), *filter(None, said), *anchor_lines(settled, demands.anchors))
    faded, fade_notes = with_fades(settled, task.request, task.policy)
    return Proposal(faded, (*notes, *fade_notes), missed_s)


def _moved_line(edit: EditList, moved: Collection[int]) -> str:
    """How many joins the policy had elsewhere, of those that are left: an exact length may give up the last."""
    sides = edits.joins(edit)
    left = {n for n, (a, b) in enumerate(sides, start=1) if None not in (a.source_start_frame, b.source_start_frame)}
    n_moved = len(left.intersection(moved))
    return f"{n_moved} of {counted(len(left), 'join')} moved from where the policy had them" if n_moved else ""


def _doubt_line(state: AudioState) -> str:
    sure = state.grid.confidence
    return "" if sure >= SURE else f"its beats are doubtful (expected F-measure {sure:.2f}); see rl-editor grid"


def _settled(draft: EditList, task: _Task, *, less_s: float) -> _Negotiated:
    """The draft, negotiated (to ``less_s`` less than is asked), its joins placed and settled."""
    demands, state = task.request.asked, task.state
    found = _negotiated(draft, task, less_s=less_s)
    placed = place_joins(found.edit, task.sound, frozen=frozen_spans(demands, state), in_order=demands.no_reorder)
    mixed = with_crossfades_asked(placed, task.request, task.policy)
    return found._replace(edit=settle_joins(mixed, task.recording, task.config))


def beat_sound(recording: Samples | Path, state: AudioState) -> BeatSound:
    """What is heard at the beats of a recording."""
    mono = load_mono(recording, _LISTENING_HZ) if isinstance(recording, Path) else to_mono(recording, _LISTENING_HZ)
    return BeatSound(Samples(mono[:, None], _LISTENING_HZ), state.grid.times_s)


def frozen_spans(demands: Demands, state: AudioState) -> list[TimeSpan]:
    """Spans of the source in which no join may move material to the other side."""
    beat_s = state.grid.beat_s
    around = [TimeSpan(a.source_s - beat_s, a.source_s + beat_s) for a in demands.anchors]
    return [*demands.keep, *demands.drop, *around]


def _by_policy(policy: "Policy", state: AudioState, request: Request) -> list[EditList]:
    import torch

    generator = None
    if request.seed is not None:
        generator = torch.Generator(device=policy.agent.device).manual_seed(request.seed)
    drafts = edit_recording_variously(
        policy,
        state,
        n_edits=1 if request.candidates == 1 else _DRAFTS * request.candidates,
        limits=_limits(request, state, policy.config.action_space.unit_beats),
        target_duration_s=request.demands.duration_s,
        style=request.style,
        deterministic=not request.stochastic,
        generator=generator,
    )
    found = [draft for draft in drafts if draft.segments]
    if not found:
        raise CheckpointError(
            f"{state.recording.name}: the policy keeps nothing of it; ask for a target duration, or train it longer"
        )
    return found


def _limits(request: Request, state: AudioState, unit_beats: int) -> Limits:
    """What is decided before the policy: a unit plays if a part of it has to, else not if a part of it must not."""
    demands = request.demands
    dropped = units_over(demands.drop, state, unit_beats)
    kept = units_over(demands.keep, state, unit_beats)
    if (dropped & ~kept).all():  # nothing but parts of units is left: they play, and negotiation takes out the rest
        beats = beats_over(state.grid, demands.drop)
        dropped = np.logical_and.reduceat(beats, state.grid.units(unit_beats).beat_bounds[:-1])
        kept = kept | ~dropped
    return Limits(kept, dropped, loops=request.loops, moves=request.moves)


def _by_dp(state: AudioState, request: Request, config: Config) -> list[EditList]:
    """Drafts without a policy: as long as is asked; and, where moments are asked for late, with repeats before them.

    The whole recording, in which no moment is later than it is recorded, is none where one has to be.
    """
    late = _with_repeats_before(state, request.demands, config) if request.loops else None
    found = _to_length_by_dp(state, request, config)
    if late is None:
        return [found]
    too_late = any(anchor.output_s - anchor.source_s > state.grid.beat_s for anchor in request.demands.anchors)
    return [late] if too_late and len(found.segments) == 1 else [found, late]


def _with_repeats_before(state: AudioState, demands: Demands, config: Config) -> EditList | None:
    """The whole recording, with repeats before each moment for as long as it is late, and of everything for a length.

    Late is what is heard later than if all played that is not dropped. None where no moment is, or by more than
    ``_MOST_LATE_S``, or none has a bar before it.
    """
    rate, fade_ms = state.recording.sample_rate, config.action_space.default_crossfade_ms
    bars = state.recording.frame_bounds(state.grid.times_s)[:-1][state.grid.bar_position == 0]
    dropped = union(demands.drop)
    segments: list[Segment] = []
    at, late_s, n_repeats = 0, 0.0, 0
    for anchor in sorted(demands.anchors):
        missing_s = anchor.output_s - _playing_s(0.0, anchor.source_s, dropped) - late_s
        late_s += missing_s
        passage = bars[(bars > at) & (bars <= anchor.source_s * rate)]
        end = int(passage[-1]) if len(passage) else at
        plays_s = _playing_s(at / rate, end / rate, dropped)
        if plays_s < state.grid.beat_s or late_s > _MOST_LATE_S:
            continue
        n_times = math.ceil(missing_s / plays_s) if missing_s > 0.5 * state.grid.beat_s else 0
        segments += [Segment(at, end - at, crossfade_in_ms=fade_ms)] * (n_times + 1)
        at, n_repeats = end, n_repeats + n_times
    if not n_repeats:
        return None
    segments.append(Segment(at, state.recording.frames - at, crossfade_in_ms=fade_ms))
    spans_s = [((s.source_start_frame or 0) / rate, (s.source_end_frame or 0) / rate) for s in segments]
    short_s = (demands.duration_s or 0.0) - sum(_playing_s(*span, dropped) for span in spans_s)
    whole = Segment(0, state.recording.frames, crossfade_in_ms=fade_ms)
    return EditList(state.recording, (*segments, *(whole,) * max(math.ceil(short_s / left_s(demands, state)), 0)))


def _playing_s(start_s: float, end_s: float, dropped: Iterable[tuple[float, float]]) -> float:
    """How much of a span is not dropped; no two of those spans overlap."""
    return end_s - start_s - sum(overlap((start_s, end_s), span) for span in dropped)


def _to_length_by_dp(state: AudioState, request: Request, config: Config) -> EditList:
    """The whole recording, to be negotiated down; or, where more is asked than may play, the DP that repeats.

    Where a moment is asked for earlier than it is recorded, what plays before it is taken out as well, with the repeats
    that the DP may have put there: then the whole is repeated.
    """
    demands, whole = request.demands, edits.keep_all(state.recording)
    early_s = _early_s(demands, state)
    asked_s = None if demands.duration_s is None else demands.duration_s + early_s
    has_s, may_play_s = state.grid.duration_s, left_s(demands, state)
    if asked_s is None or asked_s <= may_play_s or not request.loops:
        return whole
    bar_s = state.grid.bar_s
    in_bars_s = max(may_play_s - bar_s * len(demands.drop), min(bar_s, may_play_s))
    goal_s = asked_s * has_s / in_bars_s  # what must not play is taken out again, up to a bar more with each passage
    kept_s = total(union((span.start_s, min(span.end_s, has_s)) for span in demands.keep))
    if has_s - kept_s >= bar_s and not early_s:
        repeated = retarget_dp(state, config, duration_s=goal_s)
        if repeated.duration_s >= goal_s - 0.5 * bar_s:
            return repeated
    again = replace(whole.segments[0], crossfade_in_ms=config.action_space.default_crossfade_ms)
    n_times = math.ceil(goal_s / has_s)  # nothing in between may be left, or of a few bars no loop is long enough
    return replace(whole, segments=(*whole.segments, *(again,) * (n_times - 1)))


def _early_s(demands: Demands, state: AudioState) -> float:
    """How much earlier than recorded a moment is to be heard, where by more than it may be."""
    early_s = max((anchor.source_s - anchor.output_s for anchor in demands.anchors), default=0.0)
    return early_s if early_s > 0.5 * state.grid.beat_s else 0.0


def _negotiated(draft: EditList, task: _Task, *, less_s: float) -> _Negotiated:
    """The draft, changed where it does not meet what is asked, or where a join can be heard less close by.

    A policy's decisions are its editor's way, and its length is where none is asked: joins move, loops and cuts stay.
    """
    beats = tuple(float(t) for t in task.state.grid.times_s)
    plain = replace(draft.undecided(), beat_times_s=beats, unit_beats=1)
    regard: Draft = "meant" if draft.actions else "rough"
    changed = revise(
        plain,
        task.state,
        task.request.asked,
        task.config,
        sound=task.sound,
        draft=regard,
        priced=False,
        less_s=less_s,
    )
    same = not (changed.new_joins or changed.dropped_s or changed.added_s)
    moved = tuple(join.number for join in changed.new_joins) if draft.actions else ()
    return _Negotiated(draft if same and draft.actions else changed.edit, moved, changed.length_costs)
