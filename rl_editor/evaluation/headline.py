"""The few numbers of an evaluation that are compared from run to run; every other one is in its tables.

All at the editor's length. Keys: ``policy/target/style/metric``, of ``all`` styles and of each; what a metric is not
defined for is left out. ``best_baseline/target/all/metric`` is the best of ``BASELINES`` by that metric: its name may
change from run to run, the question whether anything is gained by learning does not. ``policy/score`` and
``ppo_minus_bc`` are those of ``EvaluationResult.metrics``.
"""

from rl_editor.evaluation.comparison import BASELINES, FIXED, EvaluationResult
from rl_editor.evaluation.metrics import BASELINE_METRICS, HEADLINE_METRICS, METRICS
from rl_editor.evaluation.verdicts import ALL_STYLES, CONDITIONS

BEST_BASELINE = "best_baseline"
_TARGET = CONDITIONS[0]


def headline(result: EvaluationResult) -> dict[str, float]:
    """A few dozen flat numbers, sorted by name."""
    policies = [method for method in result.methods if method not in FIXED]
    shared = {"n_songs", "n_tracks", *(f"{policy}/score" for policy in policies)}
    shared |= {f"ppo_minus_bc/{_TARGET}/{metric}" for metric in METRICS}
    flat = {name: value for name, value in result.metrics.items() if name in shared}
    means = {
        (row["method"], row["style"], row["metric"]): float(row["mean"])
        for row in result.summary.to_dict("records")
        if row["condition"] == _TARGET and row["n_songs"]
    }
    flat |= {
        f"{method}/{_TARGET}/{style}/{metric}": mean
        for (method, style, metric), mean in means.items()
        if method in policies and metric in HEADLINE_METRICS
    }
    for metric in BASELINE_METRICS:
        best = max if METRICS[metric].higher_is_better else min
        if known := [means[key] for method in BASELINES if (key := (method, ALL_STYLES, metric)) in means]:
            flat[f"{BEST_BASELINE}/{_TARGET}/{ALL_STYLES}/{metric}"] = best(known)
    return dict(sorted(flat.items()))
