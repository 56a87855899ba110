"""What the learning stages share: metrics and curves for DVC, and a logger of the pipeline's run."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from rl_editor.files import replacing, write_json
from rl_editor.logging_utils import TrainingLogger, create_logger, pipeline_group
from rl_editor.publishing import save_png
from stages.layout import METRICS, PLOTS
from stages.params import load_all

_CURVE_DIGITS = 6  # significant digits in plots
_CURVE_DPI = 110


def stage_logger(stage: str, params: Path) -> TrainingLogger:
    """The tracker's run of this stage, below the run of this pipeline; it changes no output."""
    config = load_all(params)
    logger = create_logger(config, run_name=stage, group=pipeline_group(config))
    logger.set_tags({"dvc.stage": os.environ.get("DVC_STAGE", stage)})
    return logger


def write_metrics(stage: str, metrics: Mapping[str, float]) -> Path:
    """Write ``metrics/<stage>.json``."""
    path = METRICS / f"{stage}.json"
    write_json(path, dict(metrics))
    return path


def write_curve(stage: str, history: Sequence[Mapping[str, float]], *, shown: Sequence[str]) -> Path:
    """Write ``plots/<stage>.csv``, a row per epoch or update, and ``plots/<stage>.png`` of what is shown.

    Of PPO, row 0 is the clone.
    """
    table = pd.DataFrame([{"step": number, **row} for number, row in enumerate(history)])
    _draw(table, [name for name in shown if name in table], PLOTS / f"{stage}.png")
    return write_table(stage, table)


def _draw(table: pd.DataFrame, columns: Sequence[str], path: Path) -> None:
    """A figure that is looked at without a network, which DVC's own charts need."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 3.5), layout="constrained")
    axes = figure.add_subplot()
    for name in columns:
        known = table[["step", name]].dropna()
        axes.plot(known["step"], known[name], label=name)
    axes.set_xlabel("step")
    axes.grid(alpha=0.3)
    if columns:
        axes.legend(frameon=False)
    save_png(figure, path, dpi=_CURVE_DPI)


def write_table(name: str, table: pd.DataFrame) -> Path:
    """Write ``plots/<name>.csv``."""
    path = PLOTS / f"{name}.csv"
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, float_format=f"%.{_CURVE_DIGITS}g", lineterminator="\n")
    return path
