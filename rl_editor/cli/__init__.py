"""The command ``rl-editor``: recover, make, render and export edits; make corpora; look after the cache.

Exit codes: 0 done; 1 a check failed; 2 wrong usage or bad input. What a machine may read goes to stdout (``--json``),
everything else to stderr. Settings come from ``--params FILE``, else they are the defaults.

    recovering  align
    editing     edit, revise
    edit_lists  render, evaluate, preview, export
    recordings  grid, corpus, profile, info
    listening   candidates, listen; preferences is in ``preferences.commands``
    caching     cache info, verify, prune
    options     what they have in common
"""

from typing import Annotated

import typer

from rl_editor import __version__
from rl_editor.cli.caching import app as cache_app
from rl_editor.cli.edit_lists import evaluate, export, preview, render
from rl_editor.cli.editing import edit, revise
from rl_editor.cli.listening import candidates, listen
from rl_editor.cli.recordings import corpus, grid, info, profile
from rl_editor.cli.recovering import align
from rl_editor.command import CONTEXT, optional_value, run_app
from rl_editor.preferences.commands import app as preferences_app

app = typer.Typer(
    help="Learns a person's way of editing music, and edits new recordings the same way.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
)
app.command(cls=optional_value("--picture"))(align)
for command in (edit, revise, render, evaluate, preview, export, grid, candidates, corpus, profile, listen, info):
    app.command()(command)
app.add_typer(cache_app, name="cache")
app.add_typer(preferences_app, name="preferences")


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Edit music the way somebody does."""
    if version:
        typer.echo(f"rl-editor {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; does not return."""
    run_app(app)
