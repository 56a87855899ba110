"""``rl-editor preferences``: what listeners answered, taken out of a listening set, and what it means."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl_editor.command import counted, refuse_overwriting
from rl_editor.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    from rl_editor.judgements.sets import Preferences

app = typer.Typer(help="What listeners answered.", no_args_is_help=True)

COLLECTED = Path("data/preferences")
Listeners = Annotated[
    list[str] | None, typer.Option("--listener", help="Only this listener's answers; may be repeated. Default: all.")
]
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

    _spare(folder, output)
    found = read_answers(folder)
    table = ratings_table(found) if ratings else judgements_table(found)
    write_text(output, to_csv(table))
    typer.echo(f"{output}: {counted(len(table), 'rating' if ratings else 'judgement')}", err=True)


@app.command()
def collect(
    folder: Set,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="JSON to write; default: data/preferences/NAME.json.")
    ] = None,
    listener: Listeners = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Keep the answers and what they are about, without audio, to learn from."""
    from rl_editor.judgements.log import read_answers

    (found,) = _of([read_answers(folder)], listener)
    name = found.listening_set.name
    if output is None and (Path(name).name != name or not name):
        raise ConfigError(f"{folder}: the set's name {name!r} is no name of a file; say with -o where to write")
    path = output or COLLECTED / f"{name}.json"
    _spare(folder, path)
    _spare_others(folder, path)
    if not (found.judgements or found.ratings or path.exists()):  # what was collected and taken back since goes there
        raise DatasetError(f"{folder}: nobody has answered yet; 'rl-editor listen {folder}' asks")
    found.save(path)
    choices = Counter[str](judgement.choice for judgement in found.judgements)
    listeners = {j.presentation.listener for j in found.judgements} | {r.listener for r in found.ratings}
    counts: dict[str, int] = {"listeners": len(listeners), "judgements": len(found.judgements)}
    counts |= choices
    counts["ratings"] = len(found.ratings)
    if as_json:
        typer.echo(json.dumps({"file": str(path), **counts}, sort_keys=True, ensure_ascii=False))
    else:
        typer.echo(f"{path}: {_said(counts)}", err=True)


@app.command()
def report(
    answers: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[SET|FILE]...", help="Listening sets, or files of collected answers; default: data/preferences."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder to write a page, its picture and numbers to.")
    ] = None,
    listener: Listeners = None,
    params: Annotated[Path | None, typer.Option(help="Settings, as params.yaml.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Say how far listeners can be trusted, which ways of editing they prefer, and what may be learned."""
    import numpy as np

    from rl_editor.command import read_config
    from rl_editor.preferences.pages import write_report
    from rl_editor.preferences.report import report as report_on
    from rl_editor.preferences.words import screen

    config = read_config(params)
    collected = _of([found for path in answers or (COLLECTED,) for found in _answers(path)], listener)
    found = report_on(collected, config.reward_model, np.random.default_rng(config.training.seed))
    if output is not None:
        page = write_report(found, output)
        typer.echo(f"{page}: written", err=True)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), sort_keys=True, ensure_ascii=False))
    else:
        typer.echo(screen(found))


def _said(counts: dict[str, int]) -> str:
    """What was collected, in words: choices as they are on the page."""
    whole = [counted(counts[what], what.removesuffix("s")) for what in ("listeners", "judgements", "ratings")]
    words = {"first": "for A", "second": "for B", "same": "'no difference'", "unsure": "'can't tell'"}
    chosen = [f"{counts[choice]} {said}" for choice, said in words.items() if choice in counts]
    return ", ".join([whole[0], whole[1] + (f" ({', '.join(chosen)})" if chosen else ""), whole[2]])


def _of(collected: "list[Preferences]", listeners: list[str] | None) -> "list[Preferences]":
    """The answers of some listeners.

    Raises:
        ConfigError: one of them gave none.
    """
    from dataclasses import replace

    if not listeners:
        return collected
    known = {said.presentation.listener for each in collected for said in each.judgements}
    known |= {said.listener for each in collected for said in each.ratings}
    if unknown := sorted(set(listeners) - known):
        raise ConfigError(
            f"--listener {unknown[0]!r}: gave no answers; who did: {', '.join(sorted(known)) or 'nobody'}"
        )
    return [
        replace(
            each,
            judgements=tuple(said for said in each.judgements if said.presentation.listener in listeners),
            ratings=tuple(said for said in each.ratings if said.listener in listeners),
        )
        for each in collected
    ]


def _spare(folder: Path, output: Path) -> None:
    """Refuse to write over a listening set or its log, which an open page goes on writing to."""
    from rl_editor.judgements.sets import ANSWERS, SET_FILE

    refuse_overwriting({"-o": output}, folder / SET_FILE, folder / ANSWERS)


def _spare_others(folder: Path, path: Path) -> None:
    """Refuse to replace answers that the folder does not hold: another set's of this name, or a copy's.

    Raises:
        ConfigError: there are such answers.
    """
    from rl_editor.judgements.log import unknown_to
    from rl_editor.judgements.sets import Preferences

    try:
        listeners = unknown_to(folder, Preferences.load(path)) if path.is_file() else []
    except DatasetError:
        return  # nothing that can be read
    if listeners:
        raise ConfigError(
            f"{path}: holds answers of {', '.join(listeners)} that {folder} does not, of another set of this name or "
            "a copy of it; say with -o where to write these"
        )


def _answers(path: Path) -> "list[Preferences]":
    """Answers in a file, a listening set, or a folder of files.

    Raises:
        DatasetError: a file is no such file.
        ConfigError: there is nothing there.
    """
    from rl_editor.judgements.log import read_answers
    from rl_editor.judgements.sets import SET_FILE, Preferences, load_folder

    if path.is_file():
        return [Preferences.load(path)]
    if (path / SET_FILE).is_file():
        return [read_answers(path)]
    if not path.is_dir():
        raise ConfigError(f"{path}: no such file or folder; name a listening set, or a file of collected answers")
    return load_folder(path)
