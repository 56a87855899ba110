"""Editing with a trained policy: a recording in, an edit list out, and the edited audio.

``python -m rl_editor.infer --input raw.wav --output edited.wav --checkpoint models/best.pt``

The policy decides unit by unit on tables that are encoded once (``rl_editor.decoding``). Deterministic unless asked
otherwise; a seed makes the same draws again.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
import typer
from jaxtyping import Int

from rl_editor.actions import Limits
from rl_editor.command import check_edit_list, counted, refuse_overwriting, run
from rl_editor.config import MAX_SEED, Config
from rl_editor.edits import EditList, check_length_asked
from rl_editor.errors import AudioFileError, CheckpointError
from rl_editor.files import safe_name

if TYPE_CHECKING:
    import torch

    from rl_editor.checkpoint import Policy
    from rl_editor.state import AudioState

SILENT_DB, SILENT_FLOOR = -80.0, 1e-10  # re full scale: root mean square of a beat; what digital silence counts as
ALIKE = 0.05  # edits that differ in less of what they play are the same to a listener


class Edited(NamedTuple):
    """What came of editing a file."""

    edit: EditList
    output: Path


def edit_recording(
    policy: "Policy",
    state: "AudioState",
    *,
    target_duration_s: float | None = None,
    style: str | None = None,
    deterministic: bool = True,
    generator: "torch.Generator | None" = None,
) -> EditList:
    """The edit list that a policy makes of a recording; arguments and errors as of ``edit_recording_variously``."""
    return edit_recording_variously(
        policy,
        state,
        target_duration_s=target_duration_s,
        style=style,
        deterministic=deterministic,
        generator=generator,
    )[0]


def edit_recording_variously(
    policy: "Policy",
    state: "AudioState",
    *,
    n_edits: int = 1,
    limits: Limits | None = None,
    target_duration_s: float | None = None,
    style: str | None = None,
    deterministic: bool = True,
    generator: "torch.Generator | None" = None,
) -> list[EditList]:
    """The edit lists that a policy makes of a recording, its first choice first; fewer where it has no other idea.

    They fade as the editor's usually do.

    Args:
        policy: a trained policy.
        state: the recording, analysed with the policy's settings.
        n_edits: how many that differ from each other by more than ``ALIKE`` of what they play.
        limits: what is decided already.
        target_duration_s: length to aim at; None leaves it to the editor's habit.
        style: whose way of editing, one of ``policy.styles``; the first by default.
        deterministic: take the likeliest decision instead of drawing one.
        generator: draws the decisions when they are drawn.

    Raises:
        CheckpointError: the policy does not know the style.
    """
    import torch

    from rl_editor.decoding import Desk, asked_length, usual_length

    number = style_number(policy, style)
    generator = generator or torch.Generator(device=policy.agent.device).manual_seed(policy.config.training.seed)
    goal = None if target_duration_s is None else asked_length(target_duration_s)
    if goal is None and deterministic:
        goal = usual_length(policy, number, state)
    desk = Desk(policy, replace(state, style=number), goal=goal, limits=limits, generator=generator)
    temperature = 0.0 if deterministic else 1.0
    if goal is not None:
        found = desk.to_length(temperature)
    elif deterministic and policy.objective is not None:
        found = desk.at_will()
    else:
        found = desk.once(temperature) + (desk.at_will() if n_edits > 1 else [])
    fades = policy.agent.usual_fades
    return _different((fades.faded(desk.edit_list(attempt), number) for attempt in found), n_edits)


def _different(edits: Iterable[EditList], n_edits: int) -> list[EditList]:
    """The first, then those that differ enough from all before."""
    chosen: list[EditList] = []
    for edit in edits:
        if is_other(edit, chosen):
            chosen.append(edit)
        if len(chosen) == n_edits:
            break
    return chosen


def is_other(edit: EditList, found: Iterable[EditList]) -> bool:
    """Whether an edit plays something else than each that was found, by ``ALIKE``."""
    return all(shared(edit, other) < 1.0 - ALIKE for other in found)


def shared(one: EditList, other: EditList) -> float:
    """Source time that both play, as a share of what the longer plays; with repeats, to half a second."""
    rate = one.source.sample_rate

    def plays(edit: EditList) -> Int[np.ndarray, " slots"]:
        slots = np.zeros(int(2 * edit.source.frames / rate) + 1, int)
        for start, end in edit.source_spans():
            slots[2 * start // rate : 2 * end // rate] += 1
        return slots

    a, b = plays(one), plays(other)
    return float(np.minimum(a, b).sum() / max(a.sum(), b.sum(), 1))


def check_audible(state: "AudioState") -> None:
    """Refuse a recording in which no beat is louder than ``SILENT_DB``: there is nothing to go by, and nothing to hear.

    Raises:
        AudioFileError: it is silent.
    """
    rms = state.features.column("rms")
    loudest_db = 20 * np.log10(max(float(rms.max(initial=0.0)), SILENT_FLOOR))
    if loudest_db < SILENT_DB:
        raise AudioFileError(
            f"{state.recording.name}: silent (its loudest beat has {loudest_db:.0f} dBFS in mono), at least "
            f"{SILENT_DB:g} dBFS is needed; was the right track exported? If it is heard, its channels cancel out: "
            "turn one over"
        )


def style_number(policy: "Policy", style: str | None) -> int:
    """The policy's number of a style, which may be spelled as in ``pairs.csv``.

    Raises:
        CheckpointError: the policy does not know it.
    """
    if style is None:
        return 0
    known = [name for name in (style, safe_name(style)) if name in policy.styles]
    if not known:
        raise CheckpointError(f"style {style!r}: the policy learned {', '.join(policy.styles) or 'no named style'}")
    return policy.styles.index(known[0])


def edit_file(
    policy: "Policy",
    source: str | Path,
    output: str | Path,
    *,
    target_duration_s: float | None = None,
    style: str | None = None,
    deterministic: bool = True,
    seed: int | None = None,
    edit_list_out: str | Path | None = None,
) -> Edited:
    """Edit an audio file and write the result at the file's own rate, channels and depth, with its tags and cover.

    Args:
        policy: a trained policy.
        source: the recording.
        output: where the edit goes; the extension chooses the format.
        target_duration_s: as in ``edit_recording``.
        style: as in ``edit_recording``.
        deterministic: as in ``edit_recording``.
        seed: of the draws, when decisions are drawn.
        edit_list_out: where the edit list goes as well, together with the audio or not at all.

    Raises:
        AudioFileError: the recording cannot be read or is silent, or the output's format does not take it, or not so
            much of it.
        EditListError: the length is none.
    """
    import torch

    from rl_editor.delivery import check_delivery, deliver
    from rl_editor.render import held_in_memory, settle_joins
    from rl_editor.state import AudioState

    if target_duration_s is not None:
        check_length_asked(target_duration_s)
    check_delivery(Path(source), Path(output), length_s=target_duration_s or 0.0)
    generator = None
    if seed is not None:
        generator = torch.Generator(device=policy.agent.device).manual_seed(seed)
    recording = held_in_memory(Path(source))
    state = AudioState.from_file(source, policy.config, recording=recording)
    check_audible(state)
    edit = edit_recording(
        policy,
        state,
        target_duration_s=target_duration_s,
        style=style,
        deterministic=deterministic,
        generator=generator,
    )
    if not edit.segments:
        raise CheckpointError(
            f"{Path(source).name}: the policy keeps nothing of it; ask for a target duration, or train it longer"
        )
    settled = settle_joins(edit, recording or Path(source), policy.config)
    beside = {} if edit_list_out is None else {Path(edit_list_out): settled.to_json()}
    deliver(settled, Path(source), Path(output), policy.config, recording=recording, beside=beside)
    return Edited(settled, Path(output))


def analysis_settings(policy: "Policy", config: Config | None) -> Config:
    """The settings that a recording must be analysed with for this policy: what it learned on, kept where asked."""
    if config is None:
        return policy.config
    learned = policy.config
    return replace(config, audio=learned.audio, features=learned.features, action_space=learned.action_space)


def main(
    input: Annotated[Path, typer.Option(help="Recording to edit.")],
    output: Annotated[Path, typer.Option(help="Edited recording; the extension chooses the format.")],
    checkpoint: Annotated[Path, typer.Option(help="Trained policy.")],
    target_duration: Annotated[
        str | None, typer.Option(help="Length to aim at: seconds or m:ss.", metavar="TIME")
    ] = None,
    style: Annotated[str | None, typer.Option(help="Whose way of editing; default: the first learned.")] = None,
    edit_list_out: Annotated[Path | None, typer.Option(help="Write the edit list (JSON) here as well.")] = None,
    stochastic: Annotated[bool, typer.Option("--stochastic", help="Draw decisions instead of the likeliest.")] = False,
    seed: Annotated[int | None, typer.Option(help="Of the draws.", min=0, max=MAX_SEED)] = None,
) -> None:
    """Edit a recording with a trained policy."""
    from rl_editor.checkpoint import load_policy
    from rl_editor.clock import NEAR_S, read_length

    asked_s = None if target_duration is None else read_length(target_duration)
    refuse_overwriting({"--output": output, "--edit-list-out": edit_list_out}, input, checkpoint)
    if edit_list_out is not None:
        check_edit_list(edit_list_out, "--edit-list-out")
    policy = load_policy(checkpoint)
    edited = edit_file(
        policy,
        input,
        output,
        target_duration_s=asked_s,
        style=style,
        deterministic=not stochastic,
        seed=seed,
        edit_list_out=edit_list_out,
    )
    said = f"{output}: {edited.edit.duration_s:.1f} s in {counted(len(edited.edit.segments), 'segment')}"
    missed_s = 0.0 if asked_s is None else edited.edit.duration_s - asked_s
    if abs(missed_s) > NEAR_S:
        said += f"; off the length asked for by {missed_s:+.2f} s, rl-editor edit comes nearer"
    typer.echo(said, err=True)


if __name__ == "__main__":
    run(main)
