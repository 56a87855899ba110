"""Did a listener's taste turn into another on the way? A test by orders of chance.

With p the chance of the first by what is learned of all answers (taste and habits), y the outcome and x the difference
of features, (y - p) x is 0 on average, whatever was asked when. Where the second half of the answers follows another
taste than the first, these scores point one way before and another way after. So

    T = |sum_early (y - p) x - sum_late (y - p) x|^2    in the metric (sum p (1 - p) x x' + RIDGE)^-1

is compared with what it is with the answers in ``ORDERS`` orders of chance.
"""

from collections.abc import Sequence

import numpy as np

from rl_editor.reward_model.bradley_terry import HABIT_RIDGE, information, ridged_logistic, sigmoid
from rl_editor.reward_model.model import Preference, comparisons_of

LEAST = 20  # answers in each half, below which nothing is said
RARE = 0.01  # of sessions of one taste, or of none, that turn by chance
ORDERS = 2000
_RIDGE = 1.0
_ALIKE = 1.0 - 1e-9  # halves exchanged give the same T, up to rounding


def turned(in_time: Sequence[Preference], generator: np.random.Generator) -> bool:
    """Whether the later half of one listener's answers follows another taste, more than by chance.

    Args:
        in_time: judgements, oldest first.
        generator: draws the orders.
    """
    n = len(in_time)
    if n < 2 * LEAST:
        return False
    data = comparisons_of(in_time)
    n_features = data.x.shape[1]
    design = np.hstack([data.x, data.z])
    penalty = np.repeat([_RIDGE, HABIT_RIDGE], [n_features, data.z.shape[1]])
    p = sigmoid(design @ ridged_logistic(design, data.outcome, penalty=penalty))
    metric = np.linalg.inv(information(data.x, p, penalty=penalty[:n_features]))
    scores = (data.outcome - p)[:, None] * data.x @ np.linalg.cholesky(metric)
    sides = np.tile(np.where(np.arange(n) < n // 2, 1.0, -1.0), (ORDERS, 1))
    sides[1:] = generator.permuted(sides[1:], axis=1)
    found = np.square(sides @ scores).sum(1)
    return bool((found >= _ALIKE * found[0]).mean() <= RARE)
