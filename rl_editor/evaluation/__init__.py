"""How good edits are: beside the editor's own, and beside baselines (their joins are judged by ``audition``).

metrics      one edit against the demonstration of the same recording
bootstrap    means over songs with percentile intervals
comparison   policies and baselines on held-out tracks
verdicts     means over songs, and what may be said of two methods
headline     the few numbers that are compared from run to run
"""

from rl_editor.evaluation.bootstrap import bootstrap_mean
from rl_editor.evaluation.comparison import (
    EvaluationResult,
    Evaluator,
    Example,
    evaluate_plans,
)
from rl_editor.evaluation.headline import headline
from rl_editor.evaluation.metrics import METRICS, TrackJudge
from rl_editor.evaluation.verdicts import Verdict

__all__ = [
    "METRICS",
    "EvaluationResult",
    "Evaluator",
    "Example",
    "TrackJudge",
    "Verdict",
    "bootstrap_mean",
    "evaluate_plans",
    "headline",
]
