"""Editors drawn at random, and beginning with the weights of a policy that has seen many."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_bench_learn import songs

from benchmarks.editing import demonstration
from benchmarks.learn.drawn import Deed, DrawnEditor, drawn_editor, get_args
from benchmarks.learn.pretraining import settings, start_from
from benchmarks.learn.runs import starting_from
from rl_editor import behavioral_cloning
from rl_editor.actions import CUT, ActionSpace
from rl_editor.agent import Agent
from rl_editor.config import Config
from rl_editor.errors import ConfigError

PLAIN = replace(
    drawn_editor("plain", np.random.default_rng(0)),
    spans="blocks", bars=4, strength=1.0, place=0.0, repetition=0.0, unrest=0.0, taste=0.02, share=0.4, alike=0.6,
    n_best=2, n_times=3, front_bars=8, trim=(0.0, 0.0), latest_stays=False, ends_stay=False, drops_too=False,
)  # fmt: skip


def actions(editor: DrawnEditor) -> np.ndarray:
    return demonstration(songs(1)[0], editor, Config(), seed=0, split="train").labels.actions


@pytest.mark.parametrize("seed", range(40))
def test_any_drawn_editor_edits(seed: int) -> None:
    edited = actions(drawn_editor("drawn", np.random.default_rng(seed)))
    assert (edited != CUT).any()


def test_drawn_editors_differ() -> None:
    rng = np.random.default_rng(1)
    edits = {actions(drawn_editor("drawn", rng)).tobytes() for _ in range(30)}
    assert len(edits) > 24


def test_deeds_are_what_their_names_say() -> None:
    space = ActionSpace(Config().action_space)
    done = {deed: actions(replace(PLAIN, deed=deed)) for deed in get_args(Deed)}
    assert (done["drop_worst"] == CUT).mean() == pytest.approx(0.4, abs=0.06)
    assert (done["keep_best"] == CUT).mean() == pytest.approx(0.4, abs=0.12)
    assert (done["loop_best"] == 3).sum() == 2
    assert (done["move_best"] >= space.first_reorder).sum() == 1
    assert (done["drop_worse_repeats"] == CUT).sum() < (done["drop_repeats"] == CUT).sum()
    (out,) = np.flatnonzero(np.diff((done["leave_out"] == CUT).astype(int)) == 1)
    assert 0 < out < len(done["leave_out"]) - 1


def test_a_learner_begins_with_what_was_seen_and_no_style(tmp_path: Path) -> None:
    seen, config = Agent(settings(12)), Config()
    with torch.no_grad():
        for name, weight in seen.named_parameters():
            weight.normal_(generator=torch.Generator().manual_seed(len(name)))
    save_file(seen.state_dict(), tmp_path / "seen.safetensors")
    with starting_from(tmp_path / "seen.safetensors"):
        agent = behavioral_cloning.Agent(config)
        agent.fit_normalisation(None)
    assert torch.equal(agent.encoder.row.weight, seen.encoder.row.weight)
    columns = agent.policy.trunk.style.weight
    assert torch.equal(columns, columns[:, :1].expand_as(columns))  # every style begins as the same editor
    torch.testing.assert_close(columns[:, 0], seen.policy.trunk.style.weight.mean(1))
    assert behavioral_cloning.Agent is Agent
    small = config.to_dict()
    small["agent"]["d_model"] = 48
    with pytest.raises(ConfigError, match=r"seen\.safetensors: .* is \(288,\), this agent has \(144,\)"):
        start_from(Agent(Config.from_dict(small)), tmp_path / "seen.safetensors")
