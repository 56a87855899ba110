"""``edit`` and ``revise``: a recording edited as asked, and an edit changed."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rl_editor.cli.options import (
    AllowStretch,
    Anchors,
    Drop,
    Json,
    Params,
    TargetDuration,
    check_written,
    default_checkpoint,
    edit_summary,
    edit_words,
    read_value,
    say,
    show,
)
from rl_editor.clock import read_length
from rl_editor.command import EXIT_CHECK_FAILED, check_edit_list, counted, read_config, refuse_overwriting
from rl_editor.config import MAX_SEED, EditMethod
from rl_editor.edits import MOST_FADE_S
from rl_editor.errors import ConfigError, EditListError
from rl_editor.files import write_text

if TYPE_CHECKING:
    from rl_editor.editing import Failed, LeftOut, Written
    from rl_editor.negotiation.demands import Demands

MOST_CANDIDATES = 20


def edit(
    song: Annotated[Path, typer.Argument(help="The recording to edit, or a folder of them.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write; with a folder: the folder to write.")],
    checkpoint: Annotated[
        Path | None, typer.Option(help="Trained policy; default: models/ppo/best.pt, else models/best.pt.")
    ] = None,
    edit_list: Annotated[
        Path | None, typer.Option(help="Write the edit list (JSON) here as well; with a folder: a folder.")
    ] = None,
    target_duration: TargetDuration = None,
    exact: Annotated[bool, typer.Option("--exact", help="Meet the length to the sample.")] = False,
    allow_stretch: AllowStretch = False,
    keep: Annotated[
        list[str] | None, typer.Option(help="What has to play, as 0:00-0:12; may be given again.", metavar="SPAN")
    ] = None,
    drop: Drop = None,
    anchor: Anchors = None,
    no_loop: Annotated[bool, typer.Option("--no-loop", help="Repeat nothing.")] = False,
    no_reorder: Annotated[bool, typer.Option("--no-reorder", help="Move nothing.")] = False,
    fade_in: Annotated[float | None, typer.Option(help="Seconds to fade in for.", min=0.0, max=MOST_FADE_S)] = None,
    fade_out: Annotated[float | None, typer.Option(help="Seconds to fade out for.", min=0.0, max=MOST_FADE_S)] = None,
    crossfade: Annotated[
        float | None, typer.Option(help="Seconds to crossfade for at joins.", min=0.0, max=MOST_FADE_S)
    ] = None,
    method: Annotated[
        EditMethod, typer.Option(help="The trained policy, or the retargeting DP without one.")
    ] = "policy",
    style: Annotated[str | None, typer.Option(help="Whose way of editing; by default the first learned.")] = None,
    candidates: Annotated[
        int, typer.Option(help="How many different edits; further ones are named _2, _3 ..", min=1, max=MOST_CANDIDATES)
    ] = 1,
    stochastic: Annotated[bool, typer.Option("--stochastic", help="Draw decisions.")] = False,
    seed: Annotated[int | None, typer.Option(help="Of the draws.", min=0, max=MAX_SEED)] = None,
    params: Params = None,
    as_json: Json = False,
) -> None:
    """Edit a recording with a trained policy, or by the retargeting DP. Exits with 1 if one of a folder failed.

    What is left out for its format is said, and is no failure.
    """
    from rl_editor.editing import Request, edit_as_asked, edit_folder

    demands = _demands(target_duration, exact=exact, keep=keep, drop=drop, anchors=anchor)
    request = Request(
        demands,
        method=method,
        style=style,
        loops=not no_loop,
        moves=not no_reorder,
        candidates=candidates,
        stochastic=stochastic,
        seed=seed,
        allow_stretch=allow_stretch,
        fade_in_s=fade_in,
        fade_out_s=fade_out,
        crossfade_s=crossfade,
    )
    if method == "dp" and checkpoint is not None:
        raise ConfigError(f"--checkpoint {checkpoint}: the DP needs no policy; leave it out, or use the policy")
    trained = None if method == "dp" else checkpoint or default_checkpoint()
    read = [path for path in (trained, params) if path is not None]
    for option, path in {"-o": output, "--edit-list": edit_list}.items():  # a folder may take both
        refuse_overwriting({option: path}, song, *read)
    if edit_list is not None and not song.is_dir():
        check_edit_list(edit_list, "--edit-list")
    policy = None
    if trained is not None:
        from rl_editor.checkpoint import load_policy  # seconds of importing, which the DP does not need

        policy = load_policy(trained)
    config = read_config(params) if params else None
    if policy is not None and not as_json:
        from rl_editor.infer import style_number

        whose = policy.styles[style_number(policy, style)]
        known = f"; it knows {', '.join(policy.styles)}" if len(policy.styles) > 1 else ""
        typer.echo(f"{trained}: edits as {whose}{known}", err=True)
    if song.is_dir():
        of_each = edit_folder(song, output, request, policy=policy, config=config, edit_list=edit_list, read=read)
        _say_folder(of_each, as_json=as_json)
    else:
        made = edit_as_asked(song, output, request, policy=policy, config=config, edit_list=edit_list, read=read)
        _say_edits(made, as_json=as_json)


def revise(
    edits: Annotated[Path, typer.Argument(help="Edit list (JSON).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Edit list (JSON) to write.")],
    source: Annotated[
        Path | None, typer.Option(help="The recording that it cuts; needed where the cache does not know it.")
    ] = None,
    veto_join: Annotated[list[int] | None, typer.Option(help="A join that must go, from 1.", min=1)] = None,
    pin: Annotated[
        list[str] | None, typer.Option(help="What has to play, as 0:40-0:55; may be given again.", metavar="SPAN")
    ] = None,
    drop: Drop = None,
    anchor: Anchors = None,
    target_duration: TargetDuration = None,
    exact: Annotated[bool, typer.Option("--exact", help="Meet the length to the sample; needs --source.")] = False,
    allow_stretch: AllowStretch = False,
    forget: Annotated[
        list[str] | None, typer.Option(help="Hold this earlier demand no longer, by its name; or all.", metavar="NAME")
    ] = None,
    params: Params = None,
    as_json: Json = False,
) -> None:
    """Change an edit as little as what is asked demands, and say what each demand costs. Earlier demands are held."""
    from rl_editor.editing import revise_list
    from rl_editor.importers import load_edit
    from rl_editor.negotiation import Demands
    from rl_editor.negotiation.record import forgotten, joined, lasting, recorded, recorded_json
    from rl_editor.negotiation.words import held_line, screen

    check_written({"-o": output}, edits, source, params)
    check_edit_list(output, "-o")
    found = load_edit(edits)
    demands = _demands(
        target_duration, exact=exact, keep=pin, drop=drop, anchors=anchor, vetoes=veto_join, keep_option="--pin"
    )
    if demands == Demands() and not forget:
        raise ConfigError("nothing is asked; give --veto-join, --pin, --drop, --anchor, --target-duration or --forget")
    held = forgotten(recorded(edits), forget or ())
    if demands.duration_s is not None:
        held = replace(held, duration_s=None, exact=False)
    asked = joined(held, demands)
    try:
        changed, notes = revise_list(found, asked, source, read_config(params), allow_stretch=allow_stretch)
    except EditListError as fault:
        raise EditListError("; ".join(filter(None, (str(fault), held_line(held, named_in=str(fault)))))) from None
    write_text(output, recorded_json(changed.edit, lasting(asked, found)))
    notes += filter(None, [held_line(held)])
    facts = changed.to_dict() | {"file": str(output), "notes": notes}
    show(facts, "\n".join([screen(found, changed), *notes]), as_json=as_json)


def _demands(
    target_duration: str | None,
    *,
    exact: bool,
    keep: Sequence[str] | None,
    drop: Sequence[str] | None,
    anchors: Sequence[str] | None,
    vetoes: Sequence[int] | None = None,
    keep_option: str = "--keep",
) -> "Demands":
    """What is asked, read from its options."""
    from rl_editor.negotiation.demands import Demands, read_anchor, read_span

    return Demands(
        duration_s=None if target_duration is None else read_length(target_duration),
        exact=exact,
        keep=tuple(read_value(keep_option, text, read_span) for text in keep or ()),
        drop=tuple(read_value("--drop", text, read_span) for text in drop or ()),
        anchors=tuple(read_value("--anchor", text, read_anchor) for text in anchors or ()),
        vetoes=tuple(vetoes or ()),
    )


def _written_summary(written: "Written") -> dict[str, Any]:
    return edit_summary(written.edit, written.output) | {"notes": list(written.notes)}


def _say_edits(made: "Sequence[Written]", *, as_json: bool) -> None:
    """What was written, candidate by candidate."""
    summaries = [_written_summary(each) for each in made]
    further = {"candidates": summaries} if len(summaries) > 1 else {}
    words = "\n".join(edit_words(each.edit, each.output, each.notes) for each in made)
    show(summaries[0] | further, words, as_json=as_json)


def _say_folder(of_each: "Iterable[list[Written] | Failed | LeftOut]", *, as_json: bool) -> None:
    """What came of every recording, as soon as it is done; JSON at the end. Exits with 1 if one failed."""
    from rl_editor.editing import Failed, LeftOut

    failed: list[dict[str, str]] = []
    left_out: list[dict[str, str]] = []
    summaries: list[dict[str, Any]] = []
    for each in of_each:
        if isinstance(each, Failed | LeftOut):
            passed_over, word = (failed, "failed") if isinstance(each, Failed) else (left_out, "left out")
            passed_over.append({"file": str(each.source), "reason": each.reason})
            typer.echo(f"{word}: {each.reason}", err=True)
            continue
        for one in each:
            summaries.append(_written_summary(one))
            if not as_json:
                said = "".join(f"; {note}" for note in one.notes)
                n_segments = counted(len(one.edit.segments), "segment")
                typer.echo(f"{one.output}: {one.edit.duration_s:.1f} s in {n_segments}{said}")
    if as_json:
        say({"edits": summaries, "failed": failed, "left_out": left_out}, as_json=True)
    if failed:
        raise typer.Exit(EXIT_CHECK_FAILED)
