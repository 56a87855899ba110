"""The reward: terms in [0, 1] of an edit list against its recording, alone or batched; formulas are in ``terms``."""

from rl_editor.reward.calculator import LearnedReward, RewardCalculator, RewardComponents
from rl_editor.reward.running import RunningEdits
from rl_editor.reward.terms import SUMMARY_DIM, SUMMARY_NAMES, TERM_NAMES
from rl_editor.state.tables import ReferenceStatistics

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
