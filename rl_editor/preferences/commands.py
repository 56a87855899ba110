"""``rl-editor preferences``: what listeners answered, taken out of a listening set."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from rl_editor.errors import ConfigError

app = typer.Typer(help="What listeners answered.", no_args_is_help=True)

COLLECTED = Path("data/preferences")
Set = Annotated[Path, typer.Argument(metavar="SET", help="Folder of the listening set; its page may be open.")]


@app.command()
def export(
    folder: Set,
    output: Annotated[Path, typer.Option("-o", "--output", help="CSV to write.")],
    ratings: Annotated[bool, typer.Option("--ratings", help="The ratings of whole edits instead.")] = False,
) -> None:
    """Write answers as CSV, one row each, with how both sides were made."""
    from rl_editor.files import write_text
    from rl_editor.judgements.log import read_answers
    from rl_editor.preferences.tables import judgements_table, ratings_table, to_csv

    found = read_answers(folder)
    table = ratings_table(found) if ratings else judgements_table(found)
    write_text(output, to_csv(table))
    typer.echo(f"{output}: {len(table)} {'ratings' if ratings else 'judgements'}", err=True)


@app.command()
def collect(
    folder: Set,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="JSON to write; default: data/preferences/NAME.json.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Keep the answers and what they are about, without audio, to learn from."""
    from rl_editor.judgements.log import read_answers

    found = read_answers(folder)
    name = found.listening_set.name
    if output is None and (Path(name).name != name or not name):
        raise ConfigError(f"{folder}: the set's name {name!r} is no name of a file; say with -o where to write")
    path = output or COLLECTED / f"{name}.json"
    found.save(path)
    choices = Counter[str](judgement.choice for judgement in found.judgements)
    listeners = {j.presentation.listener for j in found.judgements} | {r.listener for r in found.ratings}
    counts: dict[str, int] = {"listeners": len(listeners), "judgements": len(found.judgements)}
    counts |= choices
    counts["ratings"] = len(found.ratings)
    if as_json:
        typer.echo(json.dumps({"file": str(path), **counts}, sort_keys=True, ensure_ascii=False))
    else:
        said = ", ".join(f"{count} {what}" for what, count in counts.items())
        typer.echo(f"{path}: {said}", err=True)
