"""Training states: everything comes back, and what does not belong to the run is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from toy_tracks import toy_config

from rl_editor.agent import Agent
from rl_editor.averaging import AveragedAgent, mean_until
from rl_editor.checkpoint import METADATA_KEY
from rl_editor.errors import CheckpointError
from rl_editor.resuming import Learner, Standing, StandingFile


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
    left = StandingFile(tmp_path / "state", goes_on=True, fingerprint="run")
    left.save(standing, trained)
    again = learner()
    found = left.restored(again)
    assert (found.history, found.best_step, found.best_score) == (standing.history, 1, 0.5)
    name = next(name for name, _ in trained.agent.named_parameters())
    kept = [module.state_dict()[name].unique().tolist() for module in (again.agent, again.average.agent)]
    assert [*kept, found.best_weights[name].unique().tolist()] == [[4.0], [3.5], [3.0]]
    assert int(again.average.n_averaged) == 2


def test_another_run_and_another_version_are_refused(tmp_path: Path) -> None:
    left = StandingFile(tmp_path / "state", goes_on=True, fingerprint="run")
    left.save(Standing(best_score=0.5), learner())
    with pytest.raises(CheckpointError, match=r"other settings.*delete it"):
        replace(left, fingerprint="another").restored(learner())
    old = {"format": "rl-editor/training-state", "version": 1, "fingerprint": "run"}
    save_file({"w": torch.ones(1)}, tmp_path / "old", metadata={METADATA_KEY: json.dumps(old)})
    with pytest.raises(CheckpointError, match=r"version 1, .*version 2"):
        replace(left, path=tmp_path / "old").restored(learner())
    (tmp_path / "cut off").write_bytes((tmp_path / "state").read_bytes()[:3000])
    with pytest.raises(CheckpointError, match=r"not a file of this project .*; delete it"):
        replace(left, path=tmp_path / "cut off").restored(learner())


@pytest.mark.parametrize("changed", [{"path": None}, {"goes_on": False}, {"path": Path("nothing") / "here"}])
def test_there_may_be_nothing_to_go_on_from(tmp_path: Path, changed: dict[str, Any]) -> None:
    left = StandingFile(tmp_path / "state", goes_on=True, fingerprint="run")
    left.save(Standing(history=[{"loss": 1.0}], best_score=0.5), learner())
    assert left.restored(learner()).history == [{"loss": 1.0}]
    assert replace(left, **changed).restored(learner()).history == []
