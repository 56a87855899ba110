"""``candidates`` and ``listen``: edits to judge by ear, and the page to judge them on."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl_editor.cli.options import (
    PIPELINE_POLICIES,
    Json,
    Params,
    TargetDuration,
    default_checkpoint,
    passed_over,
    say,
)
from rl_editor.clock import read_length
from rl_editor.command import EXIT_CHECK_FAILED, read_config
from rl_editor.config import MAX_SEED
from rl_editor.errors import ConfigError

if TYPE_CHECKING:
    from rl_editor.checkpoint import Policy


def candidates(
    songs: Annotated[list[Path], typer.Argument(help="Recordings, or folders of them.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the listening set to write.")],
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            help="Policy to draw edits from; may be repeated. Default: PPO's and the clone.", metavar="[NAME=]FILE"
        ),
    ] = None,
    pairs: Annotated[int, typer.Option(help="Pairs to make, over all songs.", min=1, max=5000)] = 60,
    rated: Annotated[int, typer.Option(help="Whole edits of each song to rate from 1 to 10.", min=0, max=10)] = 2,
    target_duration: TargetDuration = None,
    style: Annotated[str | None, typer.Option(help="Whose way of editing.")] = None,
    seed: Annotated[int, typer.Option(help="Of all chance.", min=0, max=MAX_SEED)] = 0,
    params: Params = None,
    as_json: Json = False,
) -> None:
    """Make a listening set: pairs of edits to judge, equally long and loud. Exits with 1 if a song gave none.

    What a folder holds in formats that no edit is written as is left out and said, and is no failure. The set is there
    when all songs are done: what is stopped before begins anew.
    """
    from rl_editor.preferences.candidates import Plan, find_songs, make_set

    length_s = None if target_duration is None else read_length(target_duration)
    others = [said for folder in songs if folder.is_dir() for said in passed_over(folder)]
    for said in others:
        typer.echo(f"left out: {said}", err=True)
    made = make_set(
        find_songs(songs),
        output,
        _policies(checkpoint or ()),
        Plan(n_pairs=pairs, n_rated=rated, target_duration_s=length_s, style=style, seed=seed),
        config=read_config(params) if params else None,
        tell=lambda said: typer.echo(said, err=True),
    )
    for problem in made.problems:
        typer.echo(f"left out: {problem}", err=True)
    found = made.listening_set
    n_anchors = sum(pair.kind == "anchor" for pair in found.pairs)
    if not n_anchors:
        typer.echo("no anchor could be made: whether listeners hear a broken edit is not asked; add songs", err=True)
    counts = {"pairs": len(found.pairs) - n_anchors, "anchors": n_anchors, "to_rate": len(found.whole)}
    say({"set": str(output), **counts, "left_out": len(made.problems) + len(others)}, as_json=as_json)
    if made.problems:
        raise typer.Exit(EXIT_CHECK_FAILED)


def listen(
    folder: Annotated[Path, typer.Argument(metavar="SET", help="Folder of a listening set.")],
    port: Annotated[
        int, typer.Option(help="To listen at, on this machine only; 0 takes a free one.", min=0, max=65535)
    ] = 8765,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = False,
) -> None:
    """Serve a page where people judge the pairs of a listening set, by ear and blind. Ctrl-C ends it."""
    from rl_editor.judgements.sets import ListeningSet
    from rl_editor.reward_model.choosing import chooser_of
    from rl_editor.server import serve

    serve(folder, port=port, open_page=open_page, choose=chooser_of(ListeningSet.load(folder)))


def _policies(named: Sequence[str]) -> "dict[str, Policy]":
    """Policies by name: those given, else what the pipeline left.

    Raises:
        ConfigError: there is none, or two share a name.
    """
    from rl_editor.checkpoint import load_policy

    found: dict[str, Policy] = {}
    for given in named:
        name, equals, path = given.partition("=")
        if not equals or Path(given).is_file():  # folders of runs are named after settings, as lr=0.1
            name, path = "", given
        if not path:
            raise ConfigError(f"--checkpoint {given}: names no file; write NAME=FILE")
        name = name or Path(path).stem
        if name in found:
            raise ConfigError(f"--checkpoint {given}: another policy is named {name!r} too; write NAME={path}")
        found[name] = load_policy(path)
    if not named:
        found = {name: load_policy(path) for name, path in PIPELINE_POLICIES.items() if path.is_file()}
    if not found:
        found = {"policy": load_policy(default_checkpoint())}
    return found
