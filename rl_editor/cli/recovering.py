"""``align``: the edit list of a raw/edit pair, or of every pair in a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from rl_editor.cli.options import Json, Params, say
from rl_editor.command import EXIT_CHECK_FAILED, read_config
from rl_editor.config import Config
from rl_editor.errors import ConfigError
from rl_editor.exporters import SUFFIXES


def align(
    raw: Annotated[Path, typer.Argument(help="The raw recording, or a folder of pairs.")],
    edit: Annotated[Path | None, typer.Argument(help="The edit made of it; none with a folder.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Edit list (JSON) to write, or an export by its extension. With a folder: the folder to write.",
        ),
    ] = None,
    picture: Annotated[
        str | None,
        typer.Option(help="Draw raw, edit and what went where; PNG, default: beside -o.", metavar="[FILE]"),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            help="Export as well, beside -o under its name (audacity: .txt); may be repeated.",
            metavar="|".join(SUFFIXES),
        ),
    ] = None,
    params: Params = None,
    as_json: Json = False,
) -> None:
    """Recover what an editor did. Exits with 1 when an edit does not come from its raw.

    RAW may be a folder with input/NAME_raw.* and desired_output/NAME_edit.* (or a pairs.csv): all its pairs are done
    in parallel, each written to the folder -o as NAME.json; --picture takes no FILE then.
    """
    config = read_config(params)
    if raw.is_dir():
        if edit is not None or picture:
            raise ConfigError(f"{raw}: is a folder of pairs; leave out {edit or picture}, or name one recording")
        _align_folder(raw, output, config, to=to or (), draw=picture is not None, as_json=as_json)
    elif edit is None and not raw.exists():
        raise ConfigError(f"{raw}: no such file or folder; is the path spelt right?")
    elif edit is None:
        raise ConfigError(f"{raw}: the edit made of it is missing; name it as well, or a folder of pairs")
    else:
        named = Path(picture) if picture else None
        _align_pair(raw, edit, output, config, to=to or (), picture=named, draw=picture is not None, as_json=as_json)


def _align_pair(
    raw: Path,
    edit: Path,
    output: Path | None,
    config: Config,
    *,
    to: Sequence[str],
    picture: Path | None,
    draw: bool,
    as_json: bool,
) -> None:
    from rl_editor.archaeology import pair_files, recover_pair
    from rl_editor.archaeology.words import screen

    files = pair_files(output, to=to, picture=picture, draw=draw)
    found = recover_pair(raw, edit, config, files=files)
    if as_json:
        facts = {"raw": str(raw), "edit": str(edit), **found.summary.to_dict()}
        say(facts if files.edits else facts | {"edit_list": found.edit.to_dict()}, as_json=True)
        return
    typer.echo(screen(found.summary, raw_name=raw.name, edit_name=edit.name))
    if files.paths:
        typer.echo("\nwritten: " + ", ".join(str(path) for path in files.paths), err=True)


def _align_folder(
    root: Path, output: Path | None, config: Config, *, to: Sequence[str], draw: bool, as_json: bool
) -> None:
    from rl_editor.archaeology import recover_folder
    from rl_editor.archaeology.words import pairs_table
    from rl_editor.library import find_library

    library = find_library(root)
    reports = list(recover_folder(library, output, config, to=to, draw=draw))
    n_rejected = sum(report.rejected is not None for report in reports)
    if as_json:
        problems = [str(problem) for problem in library.problems]
        pairs = [report.to_dict() for report in reports]
        say({"pairs": pairs, "n_pairs": len(pairs), "n_rejected": n_rejected, "problems": problems}, as_json=True)
    else:
        for problem in library.problems:
            typer.echo(f"left out: {problem}", err=True)
        typer.echo(pairs_table(reports))
        written = f"; written to {output}" if output else ""
        typer.echo(f"\n{len(reports) - n_rejected} of {len(reports)} pairs recovered{written}")
    if n_rejected:
        raise typer.Exit(EXIT_CHECK_FAILED)
