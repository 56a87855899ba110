"""Do answers follow any taste, or would answers without one look as much like it? A test by flips of signs.

With p the chance of the first by listener l's habits alone (``bradley_terry``, without a taste), y the outcome and x
the difference of features less what the habits explain of it, the scores of l's answers on the songs g are

    s_lg = sum (y - p) x,        T = |sum_lg s_lg|^2 + sum_l |sum_g s_lg|^2

in the metric (H / mean eigenvalue of H + 1)^-1, H = sum x x'. T is large where answers about different songs point the
same way: those of all listeners together, or of one by whom the others are junk. Without a taste a song is as likely to
point one way as the opposite, whatever its answers have in common; so T is compared with what it is under ``FLIPS``
draws of a sign for every song (Hemerik, Goeman & Finos 2020, "Robust testing in generalized linear models by sign
flipping score contributions"; T for one listener: Goeman et al. 2004, "A global test for groups of genes").

Counting held-out answers predicted right and resampling songs does not do: song g's answers predict h's and h's predict
g's by the same product s_g . s_h, so agreement by chance counts twice, and 5 to 9 of 100 sessions passed at 2.5 %.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from rl_editor.reward_model.bradley_terry import HABIT_RIDGE, HABITS, Comparisons, information, ridged_logistic, sigmoid
from rl_editor.reward_model.model import Preference, comparisons_of, groups_of

FLIPS = 4000
ALIKE = 1.0 - 1e-9  # all signs exchanged give the same T, up to rounding


def chance_without_taste(preferences: Sequence[Preference], generator: np.random.Generator) -> float:
    """How likely answers without a taste look as much like one as these.

    With n groups it is 2 / 2^n at the least, that of a T which only the signs as they are, and all exchanged, reach.
    """
    scores = song_scores(preferences)
    sums = flips(scores.shape[1], generator) @ scores  # listeners, flips, features
    found = np.square(sums.sum(0)).sum(-1) + np.square(sums).sum((0, -1))
    return float((found >= ALIKE * found[0]).mean())


def flips(n: int, generator: np.random.Generator) -> Float[np.ndarray, "flips n"]:
    """Draws of n signs; the first leaves all as they are."""
    signs = generator.choice([-1.0, 1.0], size=(FLIPS, n))
    signs[0] = 1.0
    return signs


def song_scores(preferences: Sequence[Preference]) -> Float[np.ndarray, "listeners groups features"]:
    """s of every listener, in order of their names, and of every group, likewise; in the metric."""
    data = comparisons_of(preferences)
    names, groups = np.unique(np.array(groups_of(preferences)), return_inverse=True)
    listeners = range(int(data.listener.max()) + 1)
    scores = np.zeros((len(listeners), len(names), data.x.shape[1]))
    for listener in listeners:
        mine = np.flatnonzero(data.listener == listener)
        np.add.at(scores[listener], groups[mine], _scores(data.of(mine)))
    return np.asarray(scores @ _metric(data))


def beyond_habits(preferences: Sequence[Preference]) -> Float[np.ndarray, " n"]:
    """y - p of every answer."""
    data = comparisons_of(preferences)
    found = np.zeros(len(data))
    for listener in range(int(data.listener.max()) + 1):
        mine = np.flatnonzero(data.listener == listener)
        found[mine] = data.outcome[mine] - _by_habits(data.of(mine))
    return found


def _by_habits(data: Comparisons) -> Float[np.ndarray, " n"]:
    """p of every answer of one listener."""
    penalty = np.full(len(HABITS), HABIT_RIDGE)
    return sigmoid(data.z @ ridged_logistic(data.z, data.outcome, penalty=penalty, weight=data.weight))


def _scores(data: Comparisons) -> Float[np.ndarray, "n features"]:
    """Of every answer of one listener: (y - p) times the features less what the habits explain of them."""
    p, penalty = _by_habits(data), np.full(len(HABITS), HABIT_RIDGE)
    weighed = data.z.T * (data.weight * p * (1.0 - p))
    explained = data.z @ np.linalg.solve(information(data.z, p, penalty=penalty, weight=data.weight), weighed @ data.x)
    return np.asarray((data.weight * (data.outcome - p))[:, None] * (data.x - explained))


def _metric(data: Comparisons) -> Float[np.ndarray, "features features"]:
    """A root of (H / mean eigenvalue of H + 1)^-1."""
    h, one = data.x.T @ data.x, np.eye(data.x.shape[1])
    mean = np.trace(h) / len(h)
    return np.asarray(np.linalg.cholesky(np.linalg.inv((h / mean if mean > 0 else h) + one)))
