"""Which pair would tell most: active selection for Bradley-Terry models.

A pair's difference of features x is answered with chance p = sigmoid(w . x). An answer adds h x x', h = p (1 - p), to
what is known of w, whose covariance then is S = (prior + sum h x x')^-1 (Laplace). Asked next is the pair after which
the utilities of all pairs are known best, that is for which the mean variance x' S x over the pool falls most:

    gain(x) = h x' S C S x / (1 + h x' S x),   C = mean over the pool of x x'

(V-optimality; Chaloner & Verdinelli 1995, "Bayesian experimental design: a review"). Sure answers tell little, and so
do differences that were asked about before.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from rl_editor.judgements import Judgement, Pair
from rl_editor.judgements.sets import ListeningSet
from rl_editor.reward_model.bradley_terry import information, ridged_logistic, sigmoid
from rl_editor.reward_model.model import feature_differences
from rl_editor.reward_model.opinions import columns_of, comparison, missing_columns

PRIOR = 1.0  # ridge on standardised differences


def most_telling(
    first: Float[np.ndarray, "pairs summary"], second: Float[np.ndarray, "pairs summary"], n: int
) -> list[int]:
    """Numbers of the n pairs that together would tell most, before anything is known; the most telling first.

    All of them where there are fewer.
    """
    x = _standardised(feature_differences(first, second))
    chosen: list[int] = []
    precision = PRIOR * np.eye(x.shape[1])
    while len(chosen) < min(n, len(x)):
        gains = _gains(x, np.linalg.inv(precision), np.full(len(x), 0.25))
        gains[chosen] = -np.inf
        chosen.append(int(gains.argmax()))
        precision += 0.25 * np.outer(x[chosen[-1]], x[chosen[-1]])
    return chosen


def chooser_of(found: ListeningSet) -> "ActiveChooser | None":
    """Active selection where a set's summaries allow it; None where another version described its edits."""
    return ActiveChooser(found) if not missing_columns(found) else None


class ActiveChooser:
    """Chooses the next pair of a set by what all answers so far leave open.

    Raises:
        DatasetError: the set knows less of its edits than the reward model needs.
    """

    def __init__(self, found: ListeningSet) -> None:
        self._columns = columns_of(found)
        self._pairs = {pair.pair_id: pair for pair in found.pairs if pair.kind == "pair"}
        self._rows = {pair_id: row for row, pair_id in enumerate(self._pairs)}
        if self._pairs:
            sides = [
                np.array([[pair.side(side).summary[c] for c in self._columns] for pair in self._pairs.values()])
                for side in ("a", "b")
            ]
            self._x = _standardised(feature_differences(*sides))

    def __call__(self, fresh: Sequence[Pair], judgements: Sequence[Judgement]) -> Pair:
        """The pair among ``fresh`` that tells most."""
        said = [j for j in judgements if j.presentation.pair_id in self._pairs and j.choice != "unsure"]
        rows = [self._rows[j.presentation.pair_id] for j in said]
        signs = np.array([1.0 if j.presentation.first == "a" else -1.0 for j in said])
        outcome = np.array([_outcome(self._pairs[j.presentation.pair_id], j, self._columns) for j in said])
        x = self._x[rows] * signs[:, None]
        design = np.hstack([x, np.ones((len(x), 1))])  # and the habit to answer with what comes first
        penalty = np.full(design.shape[1], PRIOR)
        w = ridged_logistic(design, outcome, penalty=penalty) if len(x) else np.zeros(design.shape[1])
        covariance = np.linalg.inv(information(design, sigmoid(design @ w), penalty=penalty))[:-1, :-1]
        p = sigmoid(self._x @ w[:-1])
        gains = _gains(self._x, covariance, p * (1.0 - p))
        return max(fresh, key=lambda pair: gains[self._rows[pair.pair_id]])


def _gains(
    x: Float[np.ndarray, "pairs features"],
    covariance: Float[np.ndarray, "features features"],
    h: Float[np.ndarray, " pairs"],
) -> Float[np.ndarray, " pairs"]:
    reached, pool = x @ covariance, x.T @ x / len(x)
    own = np.einsum("nf,nf->n", reached, x)
    return np.asarray(h * np.einsum("nf,fg,ng->n", reached, pool, reached) / (1.0 + h * own))


def _standardised(x: Float[np.ndarray, "pairs features"]) -> Float[np.ndarray, "pairs features"]:
    deviation = np.sqrt(np.square(x).mean(0))
    return np.asarray(x / np.where(deviation > 1e-9, deviation, 1.0))


def _outcome(pair: Pair, judgement: Judgement, columns: Sequence[int]) -> float:
    preferred = comparison(pair, judgement, columns).first_preferred
    return 0.5 if preferred is None else float(preferred)
