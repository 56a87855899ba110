"""A report on four simulated listeners, to look at: ``python -m benchmarks.preferences.example SET -o FOLDER``

Ann and Bo share a taste, Cy answers for the longer side, Dee by chance. docs/images/preferences.png is its picture, of
the set that the benchmark is measured on.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.preferences.listeners import TASTES, Listener, session, sharpened
from rl_editor.command import read_config
from rl_editor.judgements.sets import ListeningSet
from rl_editor.preferences.pages import write_report
from rl_editor.preferences.report import report
from rl_editor.reward_model.choosing import ActiveChooser

CEILING = 0.8  # of the best prediction of Ann's and Bo's answers


def main(
    listening_set: Annotated[Path, typer.Argument(metavar="SET", help="Listening set with many pairs.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write the report to.")],
    judgements: Annotated[int, typer.Option(help="Of all four, repeats and anchors on top.", min=4)] = 560,
) -> None:
    """Write the report."""
    found, config = ListeningSet.load(listening_set), read_config(None)
    taste = sharpened(TASTES[5], found, CEILING)
    listeners = [replace(taste, name="Ann"), replace(taste, name="Bo"), Listener("Cy", length=1.5), Listener("Dee")]
    answers = session(found, listeners, judgements, np.random.default_rng(0), choose=ActiveChooser(found))
    print(write_report(report([answers], config.reward_model, np.random.default_rng(0)), output))


if __name__ == "__main__":
    typer.run(main)
