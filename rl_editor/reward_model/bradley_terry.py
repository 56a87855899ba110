"""Bradley-Terry models of comparisons by listeners who have habits, and who differ in how much they hear.

Shapes: n comparisons, d differences of features, h habits, L listeners. The first of two edits wins with

    P(first over second) = sigmoid(max(s_l, 0) w . x + v_l . z)        (Bradley and Terry 1952, with covariates)

x is the difference of the two edits' features, w the taste that all share, z what ought not to matter (which came
first, which is longer, which is louder) and v_l listener l's habit of minding it. s_l says how strongly l judges by the
taste: near 0 for somebody who answers at random or by habit alone, below 0 for one who judges against it. An outcome
is 1, 0, or 1/2 for a tie. Penalties: ridge |w|^2 / 2, HABIT_RIDGE |v|^2 / 2, ((s_l - 1) / TRUST_SPREAD)^2 / 2.

Answers show only the products of s and w. The scale is fixed by

    sum n_l s_l^2 = sum n_l s_l        (n_l answers of listener l, over s_l > 0)

that is, an answer judged by the taste comes on average of a trust of 1. Who judges by no taste takes no part in that,
so w is as strong as in those who do; s is 1 where there is one listener.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

HABITS = ("order", "length", "loudness")
HABIT_RIDGE = 0.3
TRUST_SPREAD = 0.5
MOST_TRUST = 3.0
_ROUNDS = 10  # of taste and habits, then trust, at the most
_TRUST_SETTLED = 1e-2
_NEWTON_STEPS = 25  # the ridged problem is convex; it settles in under ten
_SETTLED = 1e-8


@dataclass(frozen=True, eq=False)
class Comparisons:
    """n outcomes and what they may come from.

    Attributes:
        x: differences of features, first less second.
        z: 1 for the order, then differences of (log) length and of loudness; 0 where they are not known.
        outcome: 1 the first won, 0 the second, 1/2 a tie.
        listener: 0..L-1.
        weight: how much each counts.
    """

    x: Float[np.ndarray, "n features"]
    z: Float[np.ndarray, "n habits"]
    outcome: Float[np.ndarray, " n"]
    listener: Int[np.ndarray, " n"]
    weight: Float[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.outcome)

    def of(self, chosen: Int[np.ndarray, " chosen"]) -> "Comparisons":
        """Some of them."""
        return Comparisons(*(part[chosen] for part in (self.x, self.z, self.outcome, self.listener, self.weight)))


class Fit(NamedTuple):
    """Taste, habits and trust."""

    taste: Float[np.ndarray, " features"]
    habits: Float[np.ndarray, "listeners habits"]
    trust: Float[np.ndarray, " listeners"]

    def reward_logits(self, x: Float[np.ndarray, "n features"]) -> Float[np.ndarray, " n"]:
        """Log odds by taste alone, of a listener trusted fully."""
        return np.asarray(x @ self.taste)

    def logits(self, data: Comparisons) -> Float[np.ndarray, " n"]:
        """Log odds of the first, with everything that the model knows."""
        by_habit = np.einsum("nh,nh->n", data.z, self.habits[data.listener])
        return np.asarray(np.maximum(self.trust, 0.0)[data.listener] * self.reward_logits(data.x) + by_habit)


def fit(
    data: Comparisons, *, ridge: float, n_listeners: int, towards: Float[np.ndarray, " features"] | None = None
) -> Fit:
    """The most likely taste, habits and trust under the penalties; ``towards`` takes the place of 0 in the ridge's."""
    trust = np.ones(n_listeners)
    n_features, n_habits = data.x.shape[1], data.z.shape[1]
    w0 = np.zeros(n_features) if towards is None else towards
    columns = np.zeros((len(data), n_listeners, n_habits))
    columns[np.arange(len(data)), data.listener] = data.z
    habits = columns.reshape(len(data), n_listeners * n_habits)
    penalty = np.concatenate([np.full(n_features, ridge), np.full(habits.shape[1], HABIT_RIDGE)])
    w = np.zeros(n_features + habits.shape[1])
    for _ in range(_ROUNDS):
        design = np.hstack([np.maximum(trust, 0.0)[data.listener, None] * data.x, habits])
        at_w0 = design[:, :n_features] @ w0
        w = ridged_logistic(design, data.outcome, penalty=penalty, weight=data.weight, start=w, offset=at_w0)
        found = Fit(w0 + w[:n_features], w[n_features:].reshape(n_listeners, n_habits), trust)
        if n_listeners == 1:
            break
        before, trust = trust, _scaled(_trust(data, found), data)
        if np.abs(trust - before).max() < _TRUST_SETTLED:
            break
    return found


def ridged_logistic(
    x: Float[np.ndarray, "n columns"],
    outcome: Float[np.ndarray, " n"],
    *,
    penalty: Float[np.ndarray, " columns"],
    weight: Float[np.ndarray, " n"] | None = None,
    start: Float[np.ndarray, " columns"] | None = None,
    offset: Float[np.ndarray, " n"] | float = 0.0,
) -> Float[np.ndarray, " columns"]:
    """Maximise ``sum weight (y log p + (1 - y) log(1 - p)) - sum penalty w^2 / 2`` by Newton's method.

    A step that overshoots, as one from sure answers that were wrong does, is halved.
    """
    w = np.zeros(x.shape[1]) if start is None else start
    weight = np.ones(len(outcome)) if weight is None else weight
    likelihood = partial(_likelihood, x=x, outcome=outcome, penalty=penalty, weight=weight, offset=offset)
    reached = likelihood(w)
    for _ in range(_NEWTON_STEPS):
        p = sigmoid(x @ w + offset)
        gradient = x.T @ (weight * (outcome - p)) - penalty * w
        step = np.linalg.solve(information(x, p, penalty=penalty, weight=weight), gradient)
        while (found := likelihood(w + step)) < reached and np.abs(step).max() > _SETTLED:
            step = step / 2.0
        w, reached = w + step, found
        if np.abs(step).max(initial=0.0) < _SETTLED:
            break
    return np.asarray(w)


def _likelihood(
    w: Float[np.ndarray, " columns"],
    *,
    x: Float[np.ndarray, "n columns"],
    outcome: Float[np.ndarray, " n"],
    penalty: Float[np.ndarray, " columns"],
    weight: Float[np.ndarray, " n"],
    offset: Float[np.ndarray, " n"] | float,
) -> float:
    logits = x @ w + offset
    return float(weight @ (outcome * logits - np.logaddexp(0.0, logits)) - 0.5 * penalty @ w**2)


def information(
    x: Float[np.ndarray, "n columns"],
    p: Float[np.ndarray, " n"],
    *,
    penalty: Float[np.ndarray, " columns"],
    weight: Float[np.ndarray, " n"] | float = 1.0,
) -> Float[np.ndarray, "columns columns"]:
    """Curvature of the penalised likelihood; its inverse is the covariance of the weights (Laplace)."""
    return np.asarray((x.T * (weight * p * (1.0 - p))) @ x + np.diag(penalty))


def sigmoid(logits: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """1 / (1 + exp(-logits)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))


def _trust(data: Comparisons, found: Fit) -> Float[np.ndarray, " listeners"]:
    """How strongly each listener judges by the taste: one number each, around 1 unless the answers say otherwise."""
    by_taste = found.reward_logits(data.x)
    by_habit = np.einsum("nh,nh->n", data.z, found.habits[data.listener])
    columns = np.zeros((len(data), len(found.trust)))
    columns[np.arange(len(data)), data.listener] = by_taste
    shift = ridged_logistic(
        columns,
        data.outcome,
        penalty=np.full(len(found.trust), TRUST_SPREAD**-2),
        weight=data.weight,
        offset=by_habit + by_taste,  # so that the weights are s - 1, which the penalty draws to 0
    )
    return np.asarray(np.clip(1.0 + shift, -MOST_TRUST, MOST_TRUST))


def _scaled(trust: Float[np.ndarray, " listeners"], data: Comparisons) -> Float[np.ndarray, " listeners"]:
    """Trust in the scale of the module's docstring; all 1 where nobody is trusted."""
    share = np.bincount(data.listener, data.weight, minlength=len(trust)) * np.maximum(trust, 0.0)
    return trust * share.sum() / (share @ trust) if share.any() else np.ones(len(trust))
