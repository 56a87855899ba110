"""How well a reward model predicts judgements that took no part in its fit.

Songs, or pairs where songs are few (``opinions``), are dealt into folds; each fold's judgements are predicted by a
model fitted on the others, ridge included. A prediction is right where the edit of the higher utility was chosen; ties
and ratings take no part. Taste alone predicts: order, length and loudness are left out, so a listener of habits is not
predicted. Intervals are percentiles over songs drawn with replacement. They say how well the accuracy is known where
there is a taste; whether there is one, ``chance`` says.

With u the difference of utilities and s the trust in the listener, both of the fit that did not see the answer, the
chance of the first is sigmoid(|s| u), and in the accuracy an answer counts |s|. So who answers by chance or by habit
neither lowers the accuracy nor makes the reward look too sure of itself; who judges against the taste does both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from rl_editor.reward_model.bradley_terry import ridged_logistic, sigmoid
from rl_editor.reward_model.chance import chance_without_taste
from rl_editor.reward_model.model import FOLDS, Preference, RewardModel, folds_of, groups_of

DRAWS = 1000
LEVEL = 0.95
SLOPE_SPREAD = 0.25  # of the slope about 1, before answers are seen
ERROR = 0.025  # of sessions without a taste one is found in
BINS = 5
_EPSILON = 1e-9


class Reliability(NamedTuple):
    """Judgements of similar predicted chance: what was predicted of the likelier side, and what came of it."""

    predicted: float
    chosen: float
    n: int


@dataclass(frozen=True, eq=False)
class Trial:
    """What held-out judgements say.

    Attributes:
        n: how many were predicted.
        accuracy: share predicted right, answers weighted by the trust in their listeners.
        low: lower end of its interval.
        high: upper end.
        calibration_error: mean gap between chance and outcome, weighted by the bins' sizes.
        slope: by which utilities must be multiplied to be calibrated; near 1 unless answers say otherwise, as those
            that few judgements predict hardly fix it, and what is in doubt looks too sure without being too large.
        reliability: the bins.
        by_chance: how likely answers without a taste look as much like one (``chance``).
    """

    n: int
    accuracy: float
    low: float
    high: float
    calibration_error: float
    slope: float
    reliability: tuple[Reliability, ...]
    by_chance: float

    @property
    def beats_chance(self) -> bool:
        """There is a taste, and held-out judgements are predicted by it."""
        return self.by_chance <= ERROR and self.accuracy > 0.5


def held_out_trial(preferences: Sequence[Preference], generator: np.random.Generator) -> Trial | None:
    """Predict every judgement from those of other groups; None where too few are left to learn from.

    Of n groups, 2 / 2^n must be no more than ``ERROR``, or no answers could show a taste.

    Args:
        preferences: judgements and ratings.
        generator: draws the interval.
    """
    groups = groups_of(preferences)
    if 2.0 / 2.0 ** len(set(groups)) > ERROR:
        return None
    folds = folds_of(groups)
    better_by, trust = np.zeros(len(preferences)), np.ones(len(preferences))
    for fold in range(FOLDS):
        rest = [p for p, f in zip(preferences, folds, strict=True) if f != fold]
        held = [p for p, f in zip(preferences, folds, strict=True) if f == fold]
        if not rest or not held:
            return None
        model = RewardModel(n_members=0)
        model.fit(rest, np.random.default_rng(fold), least=1)
        better_by[folds == fold] = model.better_by(held)
        heard = model.habits
        trust[folds == fold] = [abs(heard[p.listener].trust) if p.listener in heard else 1.0 for p in held]
    said = np.array([p.ordered and p.first_preferred is not None for p in preferences])
    if not said.any():
        return None
    outcome = np.array([bool(p.first_preferred) for p in preferences])[said]
    units = np.unique(np.array(groups)[said], return_inverse=True)[1]
    by_chance = chance_without_taste(preferences, generator.spawn(1)[0])
    return _trial(better_by[said], trust[said], outcome, units, by_chance, generator)


def _trial(
    better_by: Float[np.ndarray, " n"],
    trust: Float[np.ndarray, " n"],
    outcome: Bool[np.ndarray, " n"],
    units: np.ndarray,
    by_chance: float,
    generator: np.random.Generator,
) -> Trial:
    right = predicted_right(better_by, outcome)
    per_unit = np.stack([np.bincount(units, trust * right), np.bincount(units, trust)], axis=1)
    low, high = share_interval(per_unit, generator)
    accuracy = float(trust @ right / trust.sum())
    logits = trust * better_by
    chosen, penalty = outcome.astype(float), np.array([SLOPE_SPREAD**-2])
    (off,) = ridged_logistic(logits[:, None], chosen, penalty=penalty, offset=logits)
    bins = _reliability(sigmoid(logits), outcome)
    error = sum(abs(b.predicted - b.chosen) * b.n for b in bins) / len(outcome)
    return Trial(len(outcome), accuracy, low, high, float(error), float(1.0 + off), bins, by_chance)


def predicted_right(better_by: Float[np.ndarray, " n"], outcome: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """1 where the edit of the higher utility was chosen, 0 where the other was, a half where neither is higher."""
    return np.where(better_by == 0.0, 0.5, ((better_by > 0.0) == outcome).astype(float))


def share_interval(right_of: Float[np.ndarray, "songs 2"], generator: np.random.Generator) -> tuple[float, float]:
    """Ends of the interval of a share, of which every song has so much, of so much; songs drawn with replacement."""
    draws = right_of[generator.integers(len(right_of), size=(DRAWS, len(right_of)))].sum(axis=1)
    low, high = np.quantile(draws[:, 0] / np.maximum(draws[:, 1], _EPSILON), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _reliability(chance: Float[np.ndarray, " n"], outcome: Bool[np.ndarray, " n"]) -> tuple[Reliability, ...]:
    likelier = np.maximum(chance, 1.0 - chance)
    chosen = np.where(chance >= 0.5, outcome, ~outcome)
    order = np.argsort(likelier, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    return tuple(Reliability(float(likelier[p].mean()), float(chosen[p].mean()), len(p)) for p in parts)
