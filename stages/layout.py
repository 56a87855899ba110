"""Where the stages' outputs lie, and how they are written: whole or absent, named by track id.

    data/corpus/      the default corpus, or an empty index when there are recordings
    data/decoded/     <track>.flac, the mono analysis view, and manifest.json
    data/stems/       <track>/<stem>.flac, or an empty index
    data/features/    <track>.npz and, for training songs, <track>.aug0.npz
    data/labels/      <pair>.json (edit list), <pair>.npz (labels)
    data/preferences/ <set>.json, what listeners said; committed, written by no stage
    models/  metrics/  plots/  reports/

Where a stage works track by track, its folder holds ``problems.json``: what was left out, and why.
"""

import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from rl_editor.command import counted
from rl_editor.errors import DatasetError, RlEditorError
from rl_editor.files import name_target, write_json
from rl_editor.library import Problem, first_of

CORPUS = Path("data/corpus")
DECODED = Path("data/decoded")
STEMS = Path("data/stems")
FEATURES = Path("data/features")
LABELS = Path("data/labels")
PREFERENCES = Path("data/preferences")
BC_MODEL = Path("models/bc")
PPO_MODEL = Path("models/ppo")
REWARD_MODEL = Path("models/reward_model")
EXPORT = Path("models/export")
REPORT = Path("reports/evaluation")
METRICS = Path("metrics")
PLOTS = Path("plots")

BC_CHECKPOINT, PPO_CHECKPOINT = BC_MODEL / "bc_best.pt", PPO_MODEL / "best.pt"
MANIFEST, INDEX, PROBLEMS = "manifest.json", "index.json", "problems.json"
_SHOWN = 3  # problems repeated in the message that fails a stage


@contextmanager
def fresh_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder that takes the place of ``folder`` when the block ends well, and vanishes when not."""
    for left in folder.parent.glob(f".{folder.name}.*.part"):
        shutil.rmtree(left, ignore_errors=True)  # workers of a stage that was killed may write there yet
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    except (OSError, RlEditorError) as error:
        name_target(error, temporary, folder)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def report_problems(folder: Path, problems: Iterable[Problem], *, n_left: int, strict: bool, what: str) -> None:
    """Write what was left out to ``folder`` and say it; ``what`` are tracks or pairs.

    Raises:
        DatasetError: nothing is left, or ``strict`` and something was left out.
    """
    listed = sorted(problems)
    write_json(folder / PROBLEMS, [problem._asdict() for problem in listed])
    for problem in listed:
        typer.echo(f"left out: {problem}", err=True)
    typer.echo(f"{counted(n_left, what.removesuffix('s'))}, {len(listed)} left out", err=True)
    reasons = first_of(listed, _SHOWN)
    if n_left == 0:
        raise DatasetError(f"no {what} left: {reasons or 'there was nothing to begin with'}")
    if strict and listed:
        raise DatasetError(f"--strict: {reasons}")
