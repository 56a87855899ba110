"""What the learning stages share: metrics and curves for DVC, and a logger of the pipeline's run."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from rl_editor.files import replacing, write_json
from rl_editor.logging_utils import TrainingLogger, create_logger, pipeline_group
from stages.layout import METRICS, PLOTS
from stages.params import PARAMS, load_all

_CURVE_DIGITS = 6  # significant digits in plots


def stage_logger(stage: str, params: Path = PARAMS) -> TrainingLogger:
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


def write_curve(stage: str, history: Sequence[Mapping[str, float]]) -> Path:
    """Write ``plots/<stage>.csv``, one row per epoch or update, numbered from 1."""
    return write_table(stage, pd.DataFrame([{"step": number, **row} for number, row in enumerate(history, start=1)]))


def write_table(name: str, table: pd.DataFrame) -> Path:
    """Write ``plots/<name>.csv``."""
    path = PLOTS / f"{name}.csv"
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, float_format=f"%.{_CURVE_DIGITS}g", lineterminator="\n")
    return path
