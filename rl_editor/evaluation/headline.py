"""The few numbers of an evaluation that are compared from run to run; every other one is in its tables.

All at the editor's length. Keys: ``policy/target/style/metric``, of ``all`` styles and of each; what a metric is not
defined for is left out. ``best_baseline/target/all/metric`` is the best of ``BASELINES`` by that metric: its name may
change from run to run, the question whether anything is gained by learning does not. ``policy/score`` and
``ppo_minus_bc`` are those of ``EvaluationResult.metrics``.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rl_editor.evaluation.comparison import BASELINES, EvaluationResult
from rl_editor.evaluation.metrics import METRICS
from rl_editor.evaluation.verdicts import ALL_STYLES, CONDITIONS, EDITOR

HEADLINE_METRICS = ("balanced_accuracy", "run_f1", "loop_f1", "reorder_f1", "reward_total", "duration_error")
BASELINE_METRICS = ("balanced_accuracy", "reward_total")  # of likeness and of quality
BEST_BASELINE = "best_baseline"
_TARGET = CONDITIONS[0]


def headline(result: EvaluationResult) -> dict[str, float]:
    """A few dozen flat numbers, sorted by name."""
    policies = [method for method in result.methods if method not in {EDITOR, *BASELINES}]
    shared = {"n_songs", "n_tracks", *(f"{policy}/score" for policy in policies)}
    shared |= {f"ppo_minus_bc/{_TARGET}/{metric}" for metric in METRICS}
    flat = {name: value for name, value in result.metrics.items() if name in shared}
    flat |= {
        f"{mean.method}/{_TARGET}/{mean.style}/{mean.metric}": mean.value
        for mean in _means(result)
        if mean.method in policies and mean.metric in HEADLINE_METRICS
    }
    return dict(sorted((flat | _best_baselines(result)).items()))


class _Mean(NamedTuple):
    style: str
    method: str
    metric: str
    value: float


def _means(result: EvaluationResult) -> Iterator[_Mean]:
    """The means at the editor's length that are defined."""
    for row in result.summary.to_dict("records"):
        if row["condition"] == _TARGET and np.isfinite(row["mean"]):
            yield _Mean(str(row["style"]), str(row["method"]), str(row["metric"]), float(row["mean"]))


def _best_baselines(result: EvaluationResult) -> dict[str, float]:
    """The best of the baselines over all styles, metric by metric."""
    found: dict[str, list[float]] = {}
    for mean in _means(result):
        if mean.method in BASELINES and mean.metric in BASELINE_METRICS and mean.style == ALL_STYLES:
            found.setdefault(mean.metric, []).append(mean.value)
    return {
        f"{BEST_BASELINE}/{_TARGET}/{ALL_STYLES}/{metric}": (max if METRICS[metric].higher_is_better else min)(values)
        for metric, values in found.items()
    }
