"""Draws from log probabilities of actions, and how spread those are over kinds of decisions."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rl_editor.agent.heads import ILLEGAL

_NEVER = -80.0  # nothing beside 1; exp of less than -87 takes a CPU ten to hundreds of times longer


def sample(log_probs: Float[Tensor, "envs actions"], generator: torch.Generator) -> Int[Tensor, " envs"]:
    """One draw per row, by inverting the distribution function; no wait for the device.

    The threshold lies in (0, total], so neither what is impossible nor what lies past the last action is drawn.
    """
    below = probabilities(log_probs).cumsum(1)
    uniform = torch.rand(len(log_probs), 1, generator=generator, device=log_probs.device, dtype=log_probs.dtype)
    return (below < (1.0 - uniform) * below[:, -1:]).sum(1)


def probabilities(log_probs: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """``exp``, fast where actions are masked: what is illegal or next to impossible is 1.8e-35."""
    return log_probs.clamp(min=_NEVER).exp()


def kind_entropy(log_probs: Float[Tensor, "envs actions"], first_reorder: int) -> Float[Tensor, " envs"]:
    """Entropy over kinds, all REORDER as one: spreading over more targets is no exploration in itself."""
    kinds = kind_log_probs(log_probs, first_reorder)
    return -(probabilities(kinds) * kinds.clamp(min=_NEVER)).sum(1)  # 0 * -inf is no number


def kind_log_probs(log_probs: Float[Tensor, "envs actions"], first_reorder: int) -> Float[Tensor, "envs kinds"]:
    """Log probability of KEEP, CUT, every LOOP, EXTEND, and of any REORDER."""
    moves = log_probs[:, first_reorder:]
    likeliest = moves.detach().amax(1, keepdim=True).clamp(min=ILLEGAL)
    any_move = likeliest + probabilities(moves - likeliest).sum(1, keepdim=True).log()
    return torch.cat([log_probs[:, :first_reorder], any_move], dim=1)
