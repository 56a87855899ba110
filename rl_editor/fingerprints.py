"""What decides a run's result, as text: a training state goes on only where it agrees."""

import hashlib
import json
from collections.abc import Mapping, Sequence

import torch

from rl_editor.agent import Agent
from rl_editor.config import Config
from rl_editor.demonstrations import Demonstration
from rl_editor.reward import SUMMARY_DIM, LearnedReward


def run_fingerprint(
    demonstrations: Sequence[Demonstration], config: Config, *, sections: Mapping[str, Sequence[str]]
) -> str:
    """A hash of data and of the settings that learning reads.

    Args:
        demonstrations: what is learned from, after all that other settings do to it.
        config: all settings.
        sections: those that count, each with its keys that do not.
    """
    every = config.to_dict()
    settings = {
        name: {key: value for key, value in every[name].items() if key not in free} for name, free in sections.items()
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for d in demonstrations:
        digest.update(f"{d.pair_id}\0{d.split}\0{d.style}\0{d.labels.coverage!r}".encode())
        digest.update(d.edit.to_json().encode())
        grid = (value for _, value in sorted(d.grid.to_arrays().items()))
        for array in (d.labels.actions, d.labels.confidence, d.features.values, *grid):
            digest.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def agent_fingerprint(agent: Agent) -> str:
    """A hash of an agent's weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(agent.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def reward_fingerprint(learned_reward: LearnedReward | None) -> str:
    """A name for a learned reward: what it says of fixed summaries."""
    if learned_reward is None:
        return ""
    probe = torch.linspace(0.0, 1.0, 2 * SUMMARY_DIM).reshape(2, SUMMARY_DIM)
    return str(learned_reward(probe).tolist())
