"""Policies on disk: the same bytes, the same decisions, and refusals that say why."""

import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from toy_tracks import toy_config

from rl_editor.agent import Agent
from rl_editor.checkpoint import (
    METADATA_KEY,
    Objective,
    Policy,
    TrainingState,
    load_policy,
    load_state,
    optimizer_tensors,
    restore_optimizer,
    save_policy,
    save_state,
    with_prefix,
)
from rl_editor.errors import CheckpointError
from rl_editor.reward import SUMMARY_DIM
from rl_editor.reward_model import Preference, RewardModel
from rl_editor.state import ReferenceStatistics


def saved(path: Path, **sections: dict) -> Agent:
    config = toy_config(**sections)
    agent = Agent(config)
    agent.normal_rows.mean.fill_(0.25)
    save_policy(path, Policy(agent, config, ("ann", "bob"), {"score": 0.5}))
    return agent


def test_a_policy_comes_back_as_it_was(tmp_path: Path) -> None:
    agent = saved(tmp_path / "bc_best.pt")
    policy = load_policy(tmp_path / "bc_best.pt")
    assert policy.styles == ("ann", "bob")
    assert policy.metrics == {"score": 0.5}
    assert policy.config.agent.d_model == 24
    for name, tensor in agent.state_dict().items():
        assert torch.equal(policy.agent.state_dict()[name], tensor), name
    assert not policy.agent.training


def test_what_a_policy_was_trained_on_comes_back(tmp_path: Path) -> None:
    config = toy_config()
    rng = np.random.default_rng(0)
    learned = RewardModel(n_members=2, ridge=1.0)
    sides = rng.standard_normal((80, 2, SUMMARY_DIM))
    learned.fit([Preference(a, b, bool(a[0] > b[0]), "ann") for a, b in sides], rng, least=1)
    kept = Objective(
        50.0, (0.8,), ReferenceStatistics(1.0, 2.0, 30.0, 300.0), learned.centred(torch.tensor(sides[:, 0]))
    )
    save_policy(tmp_path / "best.pt", Policy(Agent(config), config, ("ann",), objective=kept))
    found = load_policy(tmp_path / "best.pt").objective
    assert found is not None
    assert (found.nats, found.enough, found.reference) == (kept.nats, kept.enough, kept.reference)
    assert found.learned is not None
    edits = torch.tensor(rng.standard_normal((9, SUMMARY_DIM)))
    assert torch.equal(found.learned(edits), kept.learned(edits))
    assert (set(learned.habits), found.learned.habits) == ({"ann"}, {})  # who judged, and how, is left at home


def test_a_policy_brings_along_the_clone_that_it_started_from(tmp_path: Path) -> None:
    config = toy_config()
    own, clone = Agent(config), Agent(config)
    save_policy(tmp_path / "best.pt", Policy(own, config, ("ann",), objective=Objective(50.0, clone=clone)))
    found = load_policy(tmp_path / "best.pt")
    assert found.objective is not None
    for agent, kept in ((found.agent, own), (found.objective.clone, clone)):
        assert agent is not None
        assert not agent.training
        assert all(torch.equal(tensor, kept.state_dict()[name]) for name, tensor in agent.state_dict().items())


def test_a_clone_has_no_objective(tmp_path: Path) -> None:
    saved(tmp_path / "bc_best.pt")
    assert load_policy(tmp_path / "bc_best.pt").objective is None


def test_the_same_policy_gives_the_same_bytes(tmp_path: Path) -> None:
    saved(tmp_path / "a.pt", executor={"workers": 1})
    saved(tmp_path / "b.pt", executor={"workers": 7})  # scheduling changes no result
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def test_one_metadata_key(tmp_path: Path) -> None:
    saved(tmp_path / "a.pt")
    data = (tmp_path / "a.pt").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    assert list(metadata) == [METADATA_KEY]
    assert json.loads(metadata[METADATA_KEY])["format"] == "rl-editor/policy"


def test_pickles_are_refused_unread(tmp_path: Path) -> None:
    torch.save({"weights": torch.ones(2)}, tmp_path / "zip.pt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps({"a": 1}))
    for name in ("zip.pt", "bare.pt"):
        with pytest.raises(CheckpointError, match=rf"{name}: a pickle"):
            load_policy(tmp_path / name)


def test_a_policy_whose_first_byte_is_that_of_a_pickle_is_read(tmp_path: Path) -> None:
    config = toy_config()
    agent, path = Agent(config), tmp_path / "a.pt"
    for length in range(0, 256, 8):  # the header is padded to 8 bytes: one of 32 lengths ends in 0x80
        save_policy(path, Policy(agent, config, ("s" * (length + 1),)))
        if path.read_bytes()[0] == 0x80:
            break
    assert path.read_bytes()[0] == 0x80
    assert len(load_policy(path).styles) == 1


def test_foreign_damaged_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        load_policy(tmp_path / "missing.pt")
    save_file({"w": torch.ones(2)}, tmp_path / "foreign.pt")
    saved(tmp_path / "whole.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:5000])
    (tmp_path / "text.pt").write_text("hello, this is no policy")
    (tmp_path / "empty.pt").write_bytes(b"")
    for name in ("foreign.pt", "cut.pt", "text.pt", "empty.pt"):
        with pytest.raises(CheckpointError, match="not a file of this project"):
            load_policy(tmp_path / name)


def test_another_shape_is_named(tmp_path: Path) -> None:
    config = toy_config()
    save_policy(tmp_path / "a.pt", Policy(Agent(config), toy_config(agent={"d_model": 48}), ()))
    with pytest.raises(CheckpointError, match="does not fit"):
        load_policy(tmp_path / "a.pt")


def test_a_training_state_is_no_policy(tmp_path: Path) -> None:
    save_state(tmp_path / "state", TrainingState({"w": torch.ones(1)}, {"epoch": 3}))
    assert load_state(tmp_path / "state").values["epoch"] == 3
    with pytest.raises(CheckpointError, match="training-state"):
        load_policy(tmp_path / "state")


def test_an_optimizer_goes_on_where_it_was() -> None:
    def stepped(optimizer: torch.optim.Optimizer, weight: torch.Tensor) -> None:
        weight.grad = weight.detach() * 2
        optimizer.step()

    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = torch.optim.AdamW([weight], lr=0.1)
    stepped(optimizer, weight)
    again = torch.nn.Parameter(weight.detach().clone())
    restored = torch.optim.AdamW([again], lr=0.1)
    others = with_prefix("agent", {"weight": weight.detach()})
    restore_optimizer(restored, others | optimizer_tensors(optimizer))
    for _ in range(3):
        stepped(optimizer, weight)
        stepped(restored, again)
    assert torch.equal(weight, again)
