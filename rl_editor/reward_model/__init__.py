"""A learned reward: what listeners prefer, from their A/B judgements and ratings (RLHF).

bradley_terry   the fit: taste, habits of listeners, how far each can be trusted
model           ``RewardModel``, the ensemble that rewards
opinions        judgements and ratings as comparisons of summaries
chance          whether answers follow a taste at all
accord          what every two listeners have in common
trials          how well judgements are predicted that took no part in the fit
choosing        which pair would tell most
learning        all of it: answers in, a model or the reason why there is none out
"""

from rl_editor.reward_model.model import FEATURES, Preference, RewardModel, Scores

__all__ = ["FEATURES", "Preference", "RewardModel", "Scores"]
