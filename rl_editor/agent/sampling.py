"""Draws from log probabilities of actions, and how spread those are over kinds of decisions."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def sample(log_probs: Float[Tensor, "envs actions"], generator: torch.Generator) -> Int[Tensor, " envs"]:
    """One draw per row, by inverting the distribution function; no wait for the device.

    The threshold lies in (0, total], so neither what is impossible nor what lies past the last action is drawn.
    """
    below = log_probs.exp().cumsum(1)
    uniform = torch.rand(len(log_probs), 1, generator=generator, device=log_probs.device, dtype=log_probs.dtype)
    return (below < (1.0 - uniform) * below[:, -1:]).sum(1)


def kind_entropy(log_probs: Float[Tensor, "envs actions"], first_reorder: int) -> Float[Tensor, " envs"]:
    """Entropy over kinds, all REORDER as one: spreading over more targets is no exploration in itself."""
    kinds = kind_log_probs(log_probs, first_reorder)
    return -(kinds.exp() * kinds.clamp(min=-50.0)).sum(1)  # exp(-50) is 0 in float32; 0 * -inf is not


def kind_log_probs(log_probs: Float[Tensor, "envs actions"], first_reorder: int) -> Float[Tensor, "envs kinds"]:
    """Log probability of KEEP, CUT, every LOOP, EXTEND, and of any REORDER."""
    return torch.cat([log_probs[:, :first_reorder], log_probs[:, first_reorder:].logsumexp(1, keepdim=True)], dim=1)
