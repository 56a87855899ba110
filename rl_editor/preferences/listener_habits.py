"""Habits of one listener: choosing by order, by what sounded first, by length or by loudness.

Habits are weights in a logistic regression of the listener's answers on the features of the reward model, what came
first, which was longer and which was louder, so that a taste that happens to go with length is not taken for a habit;
a habit is sure where leaving it out costs the likelihood what ``SURE`` standard errors would. Of n answers and k
weights, 1 - k / n of that cost counts: chance alone gains more where answers are few for each weight (Sur & Candes
2019, "A modern maximum-likelihood theory for high-dimensional logistic regression"). What sounded first is up to the
listener, and mostly the side that was put first: the habit of choosing it is looked for beside the three, and takes
part in their fit only where it is sure; else the order explains what the two have in common.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from rl_editor.preferences.measures import Effect
from rl_editor.reward import SUMMARY_NAMES
from rl_editor.reward_model import bradley_terry
from rl_editor.reward_model.bradley_terry import information, ridged_logistic, sigmoid
from rl_editor.reward_model.model import Preference, feature_differences

HABITS = (*bradley_terry.HABITS, "played_first")
"""Those that the reward is fitted beside, and what sounded first."""
_RIDGE, _HABIT_RIDGE = 1.0, 0.01


def habits_of(opinions: Sequence[Preference], sounded: Sequence[float]) -> dict[str, Effect]:
    """Weights of order, length, loudness and what sounded first beside the features, by ``HABITS``.

    Order and what sounded first are log odds, length is per standard deviation of its difference, loudness per dB.

    Args:
        opinions: one listener's, of pairs that say something.
        sounded: of each, 1 where what was put first sounded first, -1 where the other did, 0 where that is not known.
    """
    if not opinions:
        return {name: Effect(0.0, float("inf")) for name in HABITS}
    first, second = (np.array([getattr(p, side) for p in opinions]) for side in ("first", "second"))
    longer = _standardised(np.log(_lengths(first) / _lengths(second)))
    louder = np.array([p.louder_db for p in opinions])
    habits = np.stack([np.ones(len(opinions)), longer, louder, np.array(sounded)], axis=1)
    features = feature_differences(first, second)
    outcome = np.array([0.5 if p.first_preferred is None else float(p.first_preferred) for p in opinions])
    with_all = _effects(features, dict(zip(HABITS, habits.T, strict=True)), outcome)
    if with_all["played_first"].sure:
        return with_all
    without = _effects(features, dict(zip(bradley_terry.HABITS, habits.T, strict=False)), outcome)
    return without | {"played_first": with_all["played_first"]}


def _effects(
    features: Float[np.ndarray, "n features"],
    habits: Mapping[str, Float[np.ndarray, " n"]],
    outcome: Float[np.ndarray, " n"],
) -> dict[str, Effect]:
    x = np.hstack([features, np.stack([*habits.values()], axis=1)])
    few = max(1.0 - x.shape[1] / len(x), 0.0)  # with few answers for each weight, chance gains more likelihood
    penalty = np.array([_RIDGE] * features.shape[1] + [_HABIT_RIDGE] * len(habits))
    w = ridged_logistic(x, outcome, penalty=penalty)
    errors = np.sqrt(np.diag(np.linalg.inv(information(x, sigmoid(x @ w), penalty=penalty))))
    found = {}
    for column, name in enumerate(habits, start=features.shape[1]):
        rest = np.delete(x, column, axis=1)
        without = ridged_logistic(rest, outcome, penalty=np.delete(penalty, column))
        deviance = 2.0 * few * (_log_likelihood(x @ w, outcome) - _log_likelihood(rest @ without, outcome))
        found[name] = Effect(float(w[column]), float(errors[column]), deviance)
    return found


def _log_likelihood(logits: Float[np.ndarray, " n"], outcome: Float[np.ndarray, " n"]) -> float:
    return float(outcome @ logits - np.logaddexp(0.0, logits).sum())


def _lengths(summaries: Float[np.ndarray, "n summary"]) -> Float[np.ndarray, " n"]:
    return np.asarray(np.maximum(summaries[:, SUMMARY_NAMES.index("output_share")], 1e-3))


def _standardised(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    deviation = float(np.sqrt(np.square(values).mean()))
    return np.asarray(values / deviation if deviation > 1e-9 else values)
