"""Going on where a killed run stopped: what cloning and PPO leave on disk after every step, an epoch or an update."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from rl_editor.agent import Agent
from rl_editor.averaging import AveragedAgent
from rl_editor.checkpoint import (
    TrainingState,
    below_prefix,
    load_state,
    optimizer_tensors,
    restore_optimizer,
    save_state,
    with_prefix,
)
from rl_editor.errors import CheckpointError


@dataclass
class Standing:
    """Where training stands: the numbers of every step, and the best weights so far."""

    history: list[Mapping[str, float]] = field(default_factory=list)
    best_step: int = -1  # index in the history
    best_score: float = float("-inf")
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    def choose(self, step: int, score: float, agent: Agent) -> None:
        """Keep a copy of these weights as the best."""
        self.best_step, self.best_score = step, score
        self.best_weights = {name: tensor.detach().clone() for name, tensor in agent.state_dict().items()}


class Learner(NamedTuple):
    """What a step changes, the standing aside."""

    agent: Agent
    average: AveragedAgent
    optimizer: torch.optim.Optimizer


@dataclass(frozen=True)
class StandingFile:
    """Where a run leaves its standing.

    Attributes:
        path: the file; None leaves none.
        goes_on: take up what was left there, if anything.
        fingerprint: names the run.
    """

    path: Path | None
    goes_on: bool
    fingerprint: str

    def save(self, standing: Standing, learner: Learner) -> None:
        """Write where training stands, whole or not at all."""
        if self.path is None:
            return
        tensors = {
            **with_prefix("agent", learner.agent.state_dict()),
            **with_prefix("average", learner.average.state_dict()),
            **with_prefix("best", standing.best_weights),
            **optimizer_tensors(learner.optimizer),
        }
        values = {
            "fingerprint": self.fingerprint,
            "history": standing.history,
            "best_step": standing.best_step,
            "best_score": standing.best_score,
        }
        save_state(self.path, TrainingState(tensors, values))

    def restored(self, learner: Learner) -> Standing:
        """Put the learner back to where a run stood; a new standing where there is nothing to go on from.

        Raises:
            CheckpointError: the file is no training state, or one of a run with another fingerprint.
        """
        if self.path is None or not self.goes_on or not self.path.exists():
            return Standing()
        tensors, values = load_state(self.path)
        if values["fingerprint"] != self.fingerprint:
            raise CheckpointError(
                f"{self.path}: was left by a run with other settings, data or policy to start from; delete it, or set "
                "training.resume: false"
            )
        learner.agent.load_state_dict(below_prefix("agent", tensors))
        learner.average.load_state_dict(below_prefix("average", tensors))
        restore_optimizer(learner.optimizer, tensors)
        device = learner.average.n_averaged.device
        best = {name: tensor.to(device) for name, tensor in below_prefix("best", tensors).items()}
        return Standing(values["history"], values["best_step"], values["best_score"], best)
