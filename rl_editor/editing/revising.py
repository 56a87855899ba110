"""An edit list taken up again: joins vetoed, passages pinned, another length; the rest stays where it was."""

from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
from jaxtyping import Float32

from rl_editor import edits
from rl_editor.analysis import analyse
from rl_editor.config import Config
from rl_editor.crossfades import mixed_joins
from rl_editor.editing.proposing import beat_sound, frozen_spans
from rl_editor.editing.request import check_spans, check_stretch, left_s, past_end
from rl_editor.edits import EditList
from rl_editor.errors import ConfigError, EditListError
from rl_editor.library import track_name
from rl_editor.negotiation import BeatSound, Demands, Jump, Revised, described, revise
from rl_editor.negotiation.demands import spoken
from rl_editor.negotiation.exact import ExactLength, met_from_below, most_silence_s, to_length
from rl_editor.negotiation.pace import at_own_pace, at_pace, pace
from rl_editor.negotiation.placing import comes_back, nearest_bounds, place_joins
from rl_editor.negotiation.record import lasting
from rl_editor.negotiation.words import anchor_lines, exact_line, pace_lines
from rl_editor.render import check_recording, held_in_memory, settle_joins, with_faded_ends
from rl_editor.state import AudioState
from rl_editor.utils import Samples


def revise_list(
    edit: EditList, demands: Demands, source: Path | None, config: Config, *, allow_stretch: bool = False
) -> tuple[Revised, list[str]]:
    """Revise an edit list; new joins are settled where the recording is at hand.

    Args:
        edit: the edit list.
        demands: what is asked.
        source: the recording; None takes beats and features from the cache.
        config: reads ``audio``, ``beats``, ``features``, ``data`` and ``render``.
        allow_stretch: as in ``Request``. An edit that was stretched stays so, and to the length that it was stretched
            to it is stretched again without.

    Raises:
        ConfigError: the cache does not know the recording, or to the sample is asked without a length.
        EditListError: as ``negotiation.revise``; or a join that there is not is vetoed, the source is another file, or
            an exact length is asked for without it.
    """
    _check(edit, demands, source, allow_stretch=allow_stretch)
    held = None if source is None else held_in_memory(source)
    state = _known_state(edit, config) if source is None else AudioState.from_file(source, config, recording=held)
    check_spans(demands, state, kept_by="--pin")
    config = _crossfading_as(edit, config)
    if source is None:
        found, notes = _on_beats(edit, demands, state, config)
    else:
        found, notes = _in_recording(edit, demands, state, held or source, config, allow_stretch=allow_stretch)
    notes += _beyond_repeats(found, demands, state)
    return found, [*past_end(demands, state, kept_by="pin"), *notes, *_twins(edit, demands, found.edit, state)]


def _beyond_repeats(found: Revised, demands: Demands, state: AudioState) -> list[str]:
    """Who makes an edit longer than what may play of the recording: a revision makes repeats longer, no new ones."""
    left = left_s(demands, state) / pace(found.edit)
    if demands.duration_s is None or demands.duration_s <= left or found.missed_s > -0.5 * state.grid.bar_s:
        return []
    asked = spoken(demands.duration_s)
    return [
        f"{asked} is longer than the {spoken(left)} that may play, and a revision adds no repeat to those of the edit; "
        f"for {asked} ask rl-editor edit"
    ]


def _crossfading_as(edit: EditList, config: Config) -> Config:
    """Settings with which new joins crossfade as long as the edit's do, where those are longer than the settings'."""
    default_ms = config.action_space.default_crossfade_ms
    usual_ms = median([segment.crossfade_in_ms for segment in mixed_joins(edit)] or [default_ms])
    return replace(config, action_space=replace(config.action_space, default_crossfade_ms=max(default_ms, usual_ms)))


def _check(edit: EditList, demands: Demands, source: Path | None, *, allow_stretch: bool) -> None:
    """Refuse what cannot be asked of this edit, before anything is computed."""
    if demands.exact and demands.duration_s is None:
        raise ConfigError("--exact: needs --target-duration as well")
    if demands.exact and source is None:
        asked = spoken(demands.duration_s or 0.0)
        raise EditListError(f"{edit.source.name}: {asked} to the sample is met in the recording; name it with --source")
    check_stretch(demands, allowed=allow_stretch)
    if source is not None:
        check_recording(edit, source)
    n_joins = len(mixed_joins(edit))
    for number in demands.vetoes:
        if number > n_joins:
            raise EditListError(f"{edit.source.name}: no join {number}; the edit has {n_joins}")


def _on_beats(edit: EditList, demands: Demands, state: AudioState, config: Config) -> tuple[Revised, list[str]]:
    """Revised without the recording: new joins lie on beats, and the ends fade where they now are."""
    found = revise(edit, state, demands, config)
    found = replace(found, edit=with_faded_ends(found.edit))
    notes = ["new joins lie on beats; render with --settle to move them to where they are heard least"]
    return found, [*pace_lines(found.edit), *(notes if found.new_joins else [])]


def _in_recording(
    edit: EditList,
    demands: Demands,
    state: AudioState,
    recording: Path | Samples,
    config: Config,
    *,
    allow_stretch: bool,
) -> tuple[Revised, list[str]]:
    """Revised, its new joins moved to where they are heard least, and to the sample where that is asked."""
    sound, silence_s = beat_sound(recording, state), most_silence_s(state.grid)
    has_length = edit.frames == demands.frames(edit.source.sample_rate)
    may_stretch = allow_stretch or (has_length and pace(edit) != 1.0)  # to this very length it was stretched before

    def settle(less_s: float) -> tuple[Revised, EditList]:
        found = revise(edit, state, demands, config, sound=sound, less_s=less_s)
        return found, _settled(edit, found, demands, state, recording, config, sound)

    def meet(settled: tuple[Revised, EditList]) -> ExactLength:
        found, changed = settled
        return to_length(
            changed,
            recording,
            demands,
            allow_stretch=may_stretch,
            only=_new(found),
            silence_s=silence_s,
            costs=found.length_costs,
        )

    if demands.exact:
        (found, _), exact = met_from_below(settle, meet, keep=demands.keep, silence_s=silence_s)
        changed, found = exact.edit, replace(found, missed_s=0.0)
        notes = [exact_line(exact), *(() if exact.stretch else pace_lines(changed))]
    else:
        found, changed = settle(0.0)
        notes = pace_lines(changed)
    notes += anchor_lines(changed, demands.anchors)
    return described(edit, found, changed, state, config, sound), notes


def _settled(
    edit: EditList,
    found: Revised,
    demands: Demands,
    state: AudioState,
    recording: Path | Samples,
    config: Config,
    sound: BeatSound,
) -> EditList:
    """New joins placed and settled, at the edit's own pace; the end stays where it was, unless the length needs it."""
    placed = place_joins(
        at_own_pace(found.edit),
        sound,
        frozen=frozen_spans(demands, state),
        only=_new(found),
        barred=lasting(demands, edit).barred,
        in_order=demands.no_reorder,
    )
    settled = settle_joins(placed, recording, config, only=_new(found))
    changed = _paced_as(found.edit, settled)
    if not demands.exact and changed.frames != demands.frames(edit.source.sample_rate):
        changed = _paced_as(found.edit, _ending_as(placed, settled))
    return changed


def _new(found: Revised) -> list[int]:
    return [join.number for join in found.new_joins]


def _paced_as(like: EditList, edit: EditList) -> EditList:
    return replace(edit, segments=at_pace(edit.segments, like))


def _ending_as(before: EditList, settled: EditList) -> EditList:
    """The edit with the end where it was: settling moves it a little, to keep a length that nobody asked for."""
    last, was = settled.segments[-1], before.merged().segments[-1]
    end, start = was.source_end_frame, last.source_start_frame
    frames = was.frames if end is None or start is None else end - start
    return replace(settled, segments=(*settled.segments[:-1], replace(last, frames=frames)))


def _twins(edit: EditList, demands: Demands, changed: EditList, state: AudioState) -> list[str]:
    """Joins that stay and are as one vetoed now: what loops or comes again has them more than once."""
    rate, times_s = edit.source.sample_rate, state.grid.times_s
    vetoed = [nearest_bounds(times_s, jump) for jump in lasting(replace(demands, barred=()), edit).barred]
    notes = []
    for number, (left, right) in enumerate(edits.joins(changed), start=1):
        leave, land = left.source_end_frame, right.source_start_frame
        if leave is None or land is None:
            continue
        jump = Jump(leave / rate, land / rate)
        p, q = nearest_bounds(times_s, jump)
        if comes_back(np.array([p]), np.array([q]), vetoed)[0]:
            notes.append(f"join {number}, {jump}, is as one vetoed, and stays; --veto-join {number} takes it out too")
    return notes


def _known_state(edit: EditList, config: Config) -> AudioState:
    """Beats and features of the edit's recording, from the cache alone."""

    def load() -> Float32[np.ndarray, " samples"]:
        raise ConfigError(
            f"{edit.source.name}: its beats and features are not in the cache ({config.data.cache_dir}); name the "
            "recording with --source"
        )

    analysis = analyse(load, edit.source, config, track_id=track_name(edit.source.name))
    return AudioState(analysis.grid, analysis.features, analysis.source)
