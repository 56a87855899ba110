"""How good edits are: beside the editor's own, beside baselines, and at their joins.

metrics      one edit against the demonstration of the same recording
bootstrap    means over songs with percentile intervals
comparison   policies and baselines on held-out tracks, and what may be said of them
headline     the few numbers that are compared from run to run
joins        what is measured at the joins of rendered audio
"""

from rl_editor.evaluation.bootstrap import Interval, bootstrap_mean
from rl_editor.evaluation.comparison import (
    EvaluationResult,
    Evaluator,
    Example,
    Verdict,
    evaluate_plans,
    evaluate_policies,
)
from rl_editor.evaluation.headline import headline
from rl_editor.evaluation.joins import JoinDiagnostics, join_diagnostics
from rl_editor.evaluation.metrics import METRICS, Metric, TrackJudge

__all__ = [
    "METRICS",
    "EvaluationResult",
    "Evaluator",
    "Example",
    "Interval",
    "JoinDiagnostics",
    "Metric",
    "TrackJudge",
    "Verdict",
    "bootstrap_mean",
    "evaluate_plans",
    "evaluate_policies",
    "headline",
    "join_diagnostics",
]
