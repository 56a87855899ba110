"""A recording edited as a person asks: by a policy or the retargeting DP, demands met, to the sample if need be.

Conventions: as in ``negotiation``. The policy proposes under what is decided already (passages kept and dropped by
whole units, no loops, no moves); what it cannot see to by itself (a moment anchored, a length it misses, an exact
length) is then negotiated on its proposal, beat by beat. The DP is no learned way of editing: it takes the least
noticeable joins and knows nobody's taste.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from rl_editor import edits
from rl_editor.actions import Limits
from rl_editor.analysis import analyse
from rl_editor.audition import SURE
from rl_editor.baselines import retarget_dp
from rl_editor.config import Config, EditMethod
from rl_editor.edits import EditList
from rl_editor.errors import CheckpointError, ConfigError, EditListError, RlEditorError, said, stops_all
from rl_editor.files import check_writable, write_text
from rl_editor.infer import ALIKE, analysis_settings, check_audible, edit_recording_variously, shared
from rl_editor.negotiation import BeatSound, Demands, Revised, TimeSpan, described, revise
from rl_editor.negotiation.demands import spoken
from rl_editor.negotiation.exact import ExactLength, to_length
from rl_editor.negotiation.placing import place_joins
from rl_editor.negotiation.words import exact_line, missed_line
from rl_editor.render import check_format, check_recording, held_in_memory, render_file, settle_joins
from rl_editor.state import AudioState
from rl_editor.utils import AUDIO_SUFFIXES, Samples, load_mono, to_mono

if TYPE_CHECKING:
    from rl_editor.checkpoint import Policy

_LISTENING_HZ = 22_050
_PAST_S = 0.05  # a passage may end this far beyond the recording without a word
_DRAFTS = 4  # per candidate: moving joins to better places makes some drafts the same


@dataclass(frozen=True)
class Request:
    """All that may be asked of an edit; by default what the policy thinks best.

    Attributes:
        demands: length, passages and moments.
        method: ``policy``, or ``dp`` without one.
        style: whose way of editing, of those that the policy learned.
        loops: may repeat passages.
        moves: may play passages elsewhere.
        candidates: how many different edits.
        stochastic: draw decisions instead of the likeliest.
        seed: of the draws.
        allow_stretch: for an exact length, play a little faster or slower.
    """

    demands: Demands = field(default_factory=Demands)
    method: EditMethod = "policy"
    style: str | None = None
    loops: bool = True
    moves: bool = True
    candidates: int = 1
    stochastic: bool = False
    seed: int | None = None
    allow_stretch: bool = False

    def __post_init__(self) -> None:
        if self.demands.exact and self.demands.duration_s is None:
            raise ConfigError("--exact: without a length; give --target-duration as well")
        if self.method == "dp" and self.demands == Demands():
            raise ConfigError("--method dp: nothing is asked; give --target-duration, --keep, --drop or --anchor")
        if self.method == "dp" and self.candidates > 1:
            raise ConfigError("--candidates: the DP has one answer; leave it out, or use the policy")
        given = {"--stochastic": self.stochastic, "--seed": self.seed is not None, "--style": self.style is not None}
        for option in (name for name, is_given in given.items() if is_given and self.method == "dp"):
            raise ConfigError(f"{option}: the DP draws nothing and knows no styles; leave it out, or use the policy")
        drawn = self.stochastic or self.candidates > 1 or self.demands.duration_s is not None
        if self.seed is not None and not drawn:
            raise ConfigError(
                f"--seed {self.seed}: nothing is drawn; leave it out, or give --stochastic, --candidates or "
                "--target-duration"
            )
        _check_stretch(self.demands, allowed=self.allow_stretch)


class Proposal(NamedTuple):
    """An edit, its joins settled, and what a person should know about it."""

    edit: EditList
    notes: tuple[str, ...]


class Written(NamedTuple):
    """An edit and the file it was rendered to."""

    edit: EditList
    output: Path
    notes: tuple[str, ...]


class Failed(NamedTuple):
    """A file of a folder that could not be edited."""

    source: Path
    reason: str


def edit_as_asked(
    source: Path,
    output: Path,
    request: Request,
    *,
    policy: "Policy | None" = None,
    config: Config | None = None,
    edit_list: Path | None = None,
) -> list[Written]:
    """Edit a recording and render each candidate; the second and further ones get ``_2``, ``_3`` .. before the suffix.

    Args:
        source: the recording.
        output: file to write; its extension chooses the format, rate, channels, depth and tags are the source's.
        request: what is asked.
        policy: needed by the method ``policy``.
        config: as in ``infer.edit_file``.
        edit_list: write the edit lists here as well.

    Raises:
        ConfigError: a file to write is a folder, cannot be made, or would overwrite the recording or another file;
            refused before anything is computed.
        AudioFileError: the recording cannot be read, is silent or too short; or the output's format does not take it.
        OutputError: the disk is full, or the folder takes no files.
        EditListError: what is asked cannot be met.
        CheckpointError: the policy does not know the style, or keeps nothing.
    """
    _check_outputs(source, output, edit_list, request.candidates)
    check_format(source, output)
    settings = config or Config() if policy is None else analysis_settings(policy, config)
    recording = held_in_memory(source)
    state = AudioState.from_file(source, settings, recording=recording)
    check_audible(state)
    written = []
    for number, proposal in enumerate(propose(recording or source, state, request, policy, settings), start=1):
        target = numbered(output, number)
        render_file(proposal.edit, source, target, settings, recording=recording)
        if edit_list is not None:
            write_text(numbered(edit_list, number), proposal.edit.to_json())
        written.append(Written(proposal.edit, target, proposal.notes))
    if len(written) < request.candidates:
        fewer = f"{len(written)} of {request.candidates} candidates: further drafts were too like these; ask for others"
        written[0] = written[0]._replace(notes=(*written[0].notes, f"{fewer} with another --seed or length"))
    return written


def edit_folder(
    folder: Path,
    output: Path,
    request: Request,
    *,
    policy: "Policy | None" = None,
    config: Config | None = None,
    edit_list: Path | None = None,
) -> Iterator[list[Written] | Failed]:
    """Edit every recording of a folder into another, each under its name; one that fails does not stop the others.

    Raises:
        ConfigError: the folder holds no recordings, or is the one to write to.
        OutputError: the disk is full; what was written before stays.
    """
    sources = recordings_in(folder)
    if output.exists() and output.samefile(folder):
        raise ConfigError(f"{output}: would overwrite the recordings; name another folder")
    for made in (output, edit_list):
        if made is not None:
            made.mkdir(parents=True, exist_ok=True)
    for source in sources:
        listed = None if edit_list is None else edit_list / f"{source.name}.json"
        try:
            yield edit_as_asked(source, output / source.name, request, policy=policy, config=config, edit_list=listed)
        except (RlEditorError, OSError) as error:
            if stops_all(error):
                raise
            yield Failed(source, said(error))


def recordings_in(folder: Path) -> list[Path]:
    """The recordings in a folder, in order of their names.

    Raises:
        ConfigError: there are none.
    """
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in AUDIO_SUFFIXES)
    if not found:
        raise ConfigError(f"{folder}: holds no recordings; known extensions: {', '.join(sorted(AUDIO_SUFFIXES))}")
    return found


def numbered(path: Path, number: int) -> Path:
    """The path of a candidate: the first keeps its name."""
    return path if number == 1 else path.with_stem(f"{path.stem}_{number}")


def _check_outputs(source: Path, output: Path, edit_list: Path | None, candidates: int) -> None:
    """Refuse files that cannot be written, or that would overwrite each other or the recording."""
    given = {"-o": output} if edit_list is None else {"-o": output, "--edit-list": edit_list}
    taken = {os.path.realpath(source): "the recording"}  # links in a circle too
    for option, path in given.items():
        for number in range(1, candidates + 1):
            target = numbered(path, number)
            whose = taken.setdefault(os.path.realpath(target), f"what {option} writes")
            if whose != f"what {option} writes":
                raise ConfigError(f"{target}: {option} would overwrite {whose}; name another file")
            check_writable(target, option)


def propose(
    recording: Samples | Path, state: AudioState, request: Request, policy: "Policy | None", config: Config
) -> Iterator[Proposal]:
    """Edits of a recording, in memory or a file, that meet a request; the best first."""
    demands = request.demands
    _check_spans(demands, state)
    if request.method == "dp":
        drafts = [_by_dp(state, request, config)]
    else:
        if policy is None:
            raise ConfigError("the method policy needs a trained policy; name one, or use the method dp")
        drafts = _by_policy(policy, state, request)
    sound = _sound(recording, state)
    found: list[EditList] = []
    for draft in drafts:
        if len(found) == request.candidates:
            break
        edit, notes = _negotiated(draft, state, sound, request, config)
        if state.grid.confidence < SURE:
            notes.append(f"its beats are doubtful (expected F-measure {state.grid.confidence:.2f}); see rl-editor grid")
        settled = settle_joins(place_joins(edit, sound, frozen=_frozen(demands, state)), recording, config)
        if demands.exact:
            assert demands.duration_s is not None
            frames = round(demands.duration_s * state.recording.sample_rate)
            exact: ExactLength = to_length(settled, recording, frames, allow_stretch=request.allow_stretch)
            settled, notes = exact.edit, [*notes, exact_line(exact)]
        elif demands.duration_s is not None and (missed := missed_line(settled.duration_s - demands.duration_s)):
            notes.append(missed)
        if all(shared(settled, other) < 1.0 - ALIKE for other in found):
            found.append(settled)
            yield Proposal(settled, (*_past_end(demands, state), *notes))


def _sound(recording: Samples | Path, state: AudioState) -> BeatSound:
    """What is heard at the beats of a recording."""
    mono = load_mono(recording, _LISTENING_HZ) if isinstance(recording, Path) else to_mono(recording, _LISTENING_HZ)
    return BeatSound(Samples(mono[:, None], _LISTENING_HZ), state.grid.times_s)


def _frozen(demands: Demands, state: AudioState) -> list[TimeSpan]:
    """Spans of the source in which no join may move material to the other side."""
    beat_s = 60.0 / state.grid.tempo_bpm
    around = [TimeSpan(a.source_s - beat_s, a.source_s + beat_s) for a in demands.anchors]
    return [*demands.keep, *demands.drop, *around]


def _check_stretch(demands: Demands, *, allowed: bool) -> None:
    if allowed and not demands.exact:
        raise ConfigError(
            "--allow-stretch: only an exact length is stretched to; give --exact as well, or leave it out"
        )


def _past_end(demands: Demands, state: AudioState) -> list[str]:
    """Notes on passages that reach beyond the recording."""
    length_s = state.grid.duration_s
    spans = (("keep", demands.keep), ("drop", demands.drop))
    return [
        f"{what} {span} reaches past the end at {spoken(length_s)}; what there is of it counts"
        for what, found in spans
        for span in found
        if span.end_s > length_s + _PAST_S
    ]


def _check_left(state: AudioState, demands: Demands, dropped: Bool[np.ndarray, " units"]) -> None:
    """Refuse to drop everything."""
    if dropped.all():
        named = ", ".join(str(span) for span in demands.drop)
        raise EditListError(f"{state.recording.name}: --drop {named} leaves nothing to play; drop less")


def _check_spans(demands: Demands, state: AudioState) -> None:
    """Refuse passages beyond the recording before anything is computed."""
    length_s, name = state.grid.duration_s, state.recording.name
    for what, spans in (("--keep", demands.keep), ("--drop", demands.drop)):
        for span in spans:
            if span.start_s >= length_s:
                raise EditListError(f"{name}: {what} {span} lies beyond its end at {spoken(length_s)}")
    for anchor in demands.anchors:
        if anchor.source_s >= length_s:
            raise EditListError(f"{name}: --anchor {anchor}: the recording ends at {spoken(length_s)}")
    for kept in demands.keep:
        for dropped in demands.drop:
            if min(kept.end_s, dropped.end_s) > max(kept.start_s, dropped.start_s):
                raise EditListError(f"{name}: --keep {kept} and --drop {dropped} contradict each other; take back one")
    _check_left(state, demands, _units_over(demands.drop, state, 1))


def _by_policy(policy: "Policy", state: AudioState, request: Request) -> list[EditList]:
    import torch

    generator = None
    if request.seed is not None:
        generator = torch.Generator(device=policy.agent.device).manual_seed(request.seed)
    demands = request.demands
    unit_beats = policy.config.action_space.unit_beats
    dropped = _units_over(demands.drop, state, unit_beats)
    _check_left(state, demands, dropped)
    limits = Limits(
        _units_over(demands.keep, state, unit_beats),
        dropped,
        loops=request.loops,
        moves=request.moves,
    )
    drafts = edit_recording_variously(
        policy,
        state,
        n_edits=1 if request.candidates == 1 else _DRAFTS * request.candidates,
        limits=limits,
        target_duration_s=demands.duration_s,
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


def _units_over(spans: tuple[TimeSpan, ...], state: AudioState, unit_beats: int) -> Bool[np.ndarray, " units"]:
    """Units of which a span covers more than a tenth of a beat."""
    times = state.grid.units(unit_beats).times_s
    slack = 0.1 * 60.0 / state.grid.tempo_bpm
    inside = np.zeros(len(times) - 1, bool)
    for span in spans:
        inside |= np.minimum(times[1:], span.end_s) - np.maximum(times[:-1], span.start_s) > slack
    return inside


def _by_dp(state: AudioState, request: Request, config: Config) -> EditList:
    """The whole recording, to be negotiated down; or, where more is asked than it has, the DP that repeats."""
    asked_s = request.demands.duration_s
    if asked_s is not None and asked_s > state.grid.duration_s:
        if not request.loops:
            raise EditListError(
                f"{state.recording.name}: {spoken(asked_s)} is longer than it ({spoken(state.grid.duration_s)}), and "
                "nothing may be repeated; leave out --no-loop"
            )
        return retarget_dp(state, config, duration_s=asked_s)
    return edits.keep_all(state.recording)


def _negotiated(
    draft: EditList, state: AudioState, sound: BeatSound, request: Request, config: Config
) -> tuple[EditList, list[str]]:
    """The draft, changed where it does not meet what is asked, or where a join can be heard less close by."""
    beats = tuple(float(t) for t in state.grid.times_s)
    plain = replace(draft, actions=(), regions=(), beat_times_s=beats, unit_beats=1)
    changed = revise(plain, state, request.demands, config, sound=sound, polish=True, priced=False)
    notes = []
    if request.method == "policy" and changed.new_joins:
        n_joins = len(changed.edit.segments) - 1
        notes.append(f"{len(changed.new_joins)} of {n_joins} joins moved from where the policy had them")
    same = not (changed.new_joins or changed.dropped_s or changed.added_s)
    return draft if same and draft.actions else changed.edit, notes


def revise_list(
    edit: EditList, demands: Demands, source: Path | None, config: Config, *, allow_stretch: bool = False
) -> tuple[Revised, list[str]]:
    """Revise an edit list; new joins are settled where the recording is at hand.

    Args:
        edit: the edit list.
        demands: what is asked.
        source: the recording; None takes beats and features from the cache.
        config: reads ``audio``, ``beats``, ``features``, ``data`` and ``render``.
        allow_stretch: as in ``Request``.

    Raises:
        ConfigError: the cache does not know the recording, or an exact length is asked for without it.
        EditListError: as ``negotiation.revise``; or a join that there is not is vetoed, or the source is another file.
    """
    if demands == Demands():
        raise ConfigError("nothing is asked; give --veto-join, --pin, --drop, --anchor or --target-duration")
    if demands.exact and (source is None or demands.duration_s is None):
        raise ConfigError("--exact: needs --source and --target-duration as well")
    _check_stretch(demands, allowed=allow_stretch)
    if source is not None:
        check_recording(edit, source)
    sides = edits.joins(edit)
    n_joins = sum(a.source_start_frame is not None and b.source_start_frame is not None for a, b in sides)
    for number in demands.vetoes:
        if number > n_joins:
            raise EditListError(f"{edit.source.name}: no join {number}; the edit has {n_joins}")
    held = None if source is None else held_in_memory(source)
    state = _known_state(edit, config) if source is None else AudioState.from_file(source, config, recording=held)
    _check_spans(demands, state)
    if source is None:
        found = revise(edit, state, demands, config)
        notes = ["new joins lie on beats; render with --settle to move them to where they are heard least"]
        return found, [*_past_end(demands, state), *(notes if found.new_joins else [])]
    recording = held or source
    sound = _sound(recording, state)
    found = revise(edit, state, demands, config, sound=sound)
    new = [join.number for join in found.new_joins]
    placed = place_joins(found.edit, sound, frozen=_frozen(demands, state), only=new)
    changed, notes = settle_joins(placed, recording, config, only=new), []
    if demands.exact:
        assert demands.duration_s is not None
        frames = round(demands.duration_s * edit.source.sample_rate)
        exact = to_length(changed, recording, frames, allow_stretch=allow_stretch, only=new)
        changed, notes = exact.edit, [exact_line(exact)]
        found = replace(found, missed_s=0.0)
    found = described(edit, found, changed, state, config, sound)
    return found, [*_past_end(demands, state), *notes]


def _known_state(edit: EditList, config: Config) -> AudioState:
    """Beats and features of the edit's recording, from the cache alone."""

    def load() -> Float32[np.ndarray, " samples"]:
        raise ConfigError(
            f"{edit.source.name}: its beats and features are not in the cache ({config.data.cache_dir}); name the "
            "recording with --source"
        )

    analysis = analyse(load, edit.source, config, track_id=Path(edit.source.name).stem)
    return AudioState(analysis.grid, analysis.features, analysis.source)
