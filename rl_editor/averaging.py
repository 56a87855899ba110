"""Weights averaged over the latest epochs or updates: what is judged, kept and edits.

Source: Polyak & Juditsky 1992, "Acceleration of stochastic approximation by averaging".
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from rl_editor.agent import Agent

Average = Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]
"""Moves what is kept towards what is new, given how many were averaged before."""


class AveragedAgent(AveragedModel):
    """A copy of an agent that follows it by ``average``; the first update copies the agent as it is."""

    def __init__(self, agent: Agent, average: Average) -> None:
        super().__init__(agent, multi_avg_fn=average)
        self.eval()

    @property
    def agent(self) -> Agent:
        """The agent with averaged weights."""
        agent = self.module
        assert isinstance(agent, Agent)
        return agent


def mean_until(most: float) -> Average:
    """``w k + (1 - w) x`` of what is kept k and what is new x, w = min(``most``, n / (n + 1)).

    That is the mean of all so far until ``most`` of it is kept; else the first would outweigh the rest of a short run.
    """

    def average(kept: Sequence[Tensor], new: Sequence[Tensor], n_averaged: Tensor | int) -> None:
        n = int(n_averaged)  # read from the device once
        for mean, latest in zip(kept, new, strict=True):
            mean.copy_(torch.lerp(latest, mean, min(most, n / (n + 1))))

    return average


def exponential(kept_share: float) -> Average:
    """``s k + (1 - s) x`` from the first on, s the share that is kept."""
    average: Average = get_ema_multi_avg_fn(kept_share)  # type: ignore[no-untyped-call]
    return average
