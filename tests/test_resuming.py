"""Training states: everything comes back, and what does not belong to the run is refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from toy_tracks import toy_config

from rl_editor.agent import Agent
from rl_editor.averaging import AveragedAgent, mean_until
from rl_editor.checkpoint import METADATA_KEY
from rl_editor.errors import CheckpointError
from rl_editor.resuming import Learner, Standing, restored_standing, save_standing


def learner() -> Learner:
    agent = Agent(toy_config())
    return Learner(agent, AveragedAgent(agent, mean_until(0.5)), torch.optim.SGD(agent.parameters()))


def test_a_standing_comes_back(tmp_path: Path) -> None:
    trained, standing = learner(), Standing(history=[{"loss": 2.0}, {"loss": 1.0}])
    next(trained.agent.parameters()).data.fill_(3.0)
    trained.average.update_parameters(trained.agent)
    standing.choose(1, 0.5, trained.average.agent)
    next(trained.agent.parameters()).data.fill_(4.0)  # what was chosen is a copy
    trained.average.update_parameters(trained.agent)
    save_standing(tmp_path / "state", standing, trained, fingerprint="run")
    again = learner()
    found = restored_standing(tmp_path / "state", again, fingerprint="run")
    assert (found.history, found.best_step, found.best_score) == (standing.history, 1, 0.5)
    name = next(name for name, _ in trained.agent.named_parameters())
    kept = [module.state_dict()[name].unique().tolist() for module in (again.agent, again.average.agent)]
    assert [*kept, found.best_weights[name].unique().tolist()] == [[4.0], [3.5], [3.0]]
    assert int(again.average.n_averaged) == 2


def test_another_run_and_another_version_are_refused(tmp_path: Path) -> None:
    save_standing(tmp_path / "state", Standing(best_score=0.5), learner(), fingerprint="run")
    with pytest.raises(CheckpointError, match=r"other settings.*delete it"):
        restored_standing(tmp_path / "state", learner(), fingerprint="another")
    old = {"format": "rl-editor/training-state", "version": 1, "fingerprint": "run"}
    save_file({"w": torch.ones(1)}, tmp_path / "old", metadata={METADATA_KEY: json.dumps(old)})
    with pytest.raises(CheckpointError, match=r"version 1, .*version 2"):
        restored_standing(tmp_path / "old", learner(), fingerprint="run")
