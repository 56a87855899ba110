"""The reward: terms in [0, 1] of an edit list against its recording, alone or batched; formulas are in ``terms``.

What adds up tensors is imported when first used: torch takes seconds, and ``faults`` alone needs none.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rl_editor.state.tables import ReferenceStatistics

if TYPE_CHECKING:
    from rl_editor.reward.calculator import LearnedReward, RewardCalculator, RewardComponents
    from rl_editor.reward.running import RunningEdits
    from rl_editor.reward.terms import SUMMARY_DIM, SUMMARY_NAMES, TERM_NAMES

_HOME = {
    "LearnedReward": "calculator",
    "RewardCalculator": "calculator",
    "RewardComponents": "calculator",
    "RunningEdits": "running",
    "SUMMARY_DIM": "terms",
    "SUMMARY_NAMES": "terms",
    "TERM_NAMES": "terms",
}

__all__ = [
    "SUMMARY_DIM",
    "SUMMARY_NAMES",
    "TERM_NAMES",
    "LearnedReward",
    "ReferenceStatistics",
    "RewardCalculator",
    "RewardComponents",
    "RunningEdits",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
