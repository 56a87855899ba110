"""Returns and advantages as small pure functions.

Conventions: S steps by E environments, time first; ``r_t`` is the reward for the decision at t, ``v_t`` the value
estimated before it, ``discount_t`` is gamma, or 0 where the episode ends with the decision at t. Sources:
Schulman et al. 2016, "High-dimensional continuous control using generalized advantage estimation" (GAE), eq. 16;
Schulman et al. 2017, "Proximal policy optimization algorithms", eq. 7.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from rl_editor.agent import probabilities

_EPSILON = 1e-8  # keeps constant advantages finite


class Advantages(NamedTuple):
    """What the policy and the value network learn from."""

    advantage: Float[Tensor, "steps envs"]
    value_target: Float[Tensor, "steps envs"]


def generalized_advantages(
    r_t: Float[Tensor, "steps envs"],
    v_t: Float[Tensor, "steps envs"],
    discount_t: Float[Tensor, "steps envs"],
    v_end: Float[Tensor, " envs"],
    *,
    lambda_: float,
) -> Advantages:
    """GAE: ``A_t = delta_t + lambda * discount_t * A_{t+1}``, ``delta_t = r_t + discount_t * v_{t+1} - v_t``.

    The value target is ``A_t + v_t``, the lambda-return (Schulman et al. 2016, eq. 16).
    """
    assert r_t.shape == v_t.shape == discount_t.shape
    v_next = torch.cat([v_t[1:], v_end[None]])
    delta = r_t + discount_t * v_next - v_t
    advantage, a = torch.empty_like(r_t), torch.zeros_like(v_end)
    for t in reversed(range(len(r_t))):
        a = delta[t] + lambda_ * discount_t[t] * a
        advantage[t] = a
    return Advantages(advantage, advantage + v_t)


def normalised(advantage: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Zero mean and unit standard deviation."""
    return (advantage - advantage.mean()) / (advantage.std(unbiased=False) + _EPSILON)


def clipped_objective(
    log_prob: Float[Tensor, " n"],
    log_prob_old: Float[Tensor, " n"],
    advantage: Float[Tensor, " n"],
    *,
    clip_ratio: float,
) -> Float[Tensor, " n"]:
    """PPO eq. 7, to be maximised: ``min(rho A, clip(rho, 1 - e, 1 + e) A)``, rho = pi over old pi, e ``clip_ratio``."""
    rho = (log_prob - log_prob_old).exp()
    return torch.minimum(rho * advantage, rho.clamp(1.0 - clip_ratio, 1.0 + clip_ratio) * advantage)


def weighted_divergence(
    log_p: Float[Tensor, "*batch actions"], log_q: Float[Tensor, "*batch actions"], weight: Float[Tensor, " actions"]
) -> Float[Tensor, "*batch"]:
    """``sum_a w(a) (p(a) log(p(a) / q(a)) - p(a) + q(a))``: KL(p || q) where every weight is 1.

    No term is negative, and each is 0 where p(a) = q(a) alone, so that weights may differ (Csiszar 1991, "Why least
    squares and maximum entropy?", the I-divergence). Illegal actions have a finite floor on both sides.
    """
    p, q = probabilities(log_p), probabilities(log_q)
    return ((p * (log_p - log_q) - p + q) * weight).sum(-1)
