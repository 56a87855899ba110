"""Trees beside the network: grown per editor, the same as scikit-learn's, kept with the policy, and heard in edits."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesClassifier

from rl_editor.actions import CUT, FIRST_LOOP, KEEP, UNIT_KINDS, ActionSpace
from rl_editor.agent import Agent
from rl_editor.checkpoint import Policy, load_policy, save_policy
from rl_editor.config import Config
from rl_editor.features import FEATURE_NAMES, BeatFeatures
from rl_editor.grid import BeatGrid
from rl_editor.infer import edit_recording
from rl_editor.state import STRUCTURE_DIM, STRUCTURE_NAMES, AudioState
from rl_editor.trees import Trees, kinds_decided, of_actions

KEPT, WAS_CUT, LOOPED, MOVED = range(len(UNIT_KINDS))
PLACE = STRUCTURE_NAMES.index("place")
N_BEATS = 96


def units(n: int = 400, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n, 6)).astype(np.float32))


def no_trial(n: int) -> dict[str, Any]:
    """All units of one pair, all columns trusted."""
    return {"pair": torch.zeros(n, dtype=torch.long), "n_on_trial": 0}


def grown(columns: torch.Tensor, kinds: torch.Tensor, *, weight: torch.Tensor | None = None, seed: int = 3) -> Trees:
    """Of the second of three editors."""
    trees = Trees(3)
    weight = torch.ones(len(columns)) if weight is None else weight
    trees.fit(
        columns,
        kinds,
        weight,
        torch.full((len(columns),), 1),
        n_trees=20,
        balance=0.0,
        seed=seed,
        **no_trial(len(columns)),
    )
    return trees


def test_it_says_what_scikit_learns_forest_says() -> None:
    columns, new = units(), units(50, seed=1)
    kinds = (columns[:, 0] > 0).long() * (1 + (columns[:, 3] > 0.5).long())
    theirs = ExtraTreesClassifier(20, min_samples_leaf=8, max_features=0.3, random_state=3)
    theirs.fit(columns.numpy(), kinds.numpy())
    expected = np.log(np.maximum(theirs.predict_proba(new.numpy()), 0.01))
    np.testing.assert_allclose(grown(columns, kinds)(new, 1)[:, :3], expected, atol=1e-5)


def test_every_seed_of_a_training_grows_trees() -> None:
    """``training.seed`` reaches 2^63, scikit-learn's seeds 2^32."""
    columns, kinds = units(), (units()[:, 0] > 0).long()
    one, other = (grown(columns, kinds, seed=seed)(columns, 1) for seed in (3, 3 + (1 << 32)))
    np.testing.assert_array_equal(one, other)
    grown(columns, kinds, seed=(1 << 63) - 1)


def test_a_comparison_of_two_columns_is_learned() -> None:
    columns, new = units(2000)[:, :4], units(200, seed=1)[:, :4]
    said = grown(columns, ((columns[:, 0] > 0) == (columns[:, 1] > 0)).long())(new, 1)
    guess = said[:, WAS_CUT] > said[:, KEPT]
    assert (guess == ((new[:, 0] > 0) == (new[:, 1] > 0))).float().mean() > 0.9  # neither column says anything alone


def test_what_never_happened_is_unlikely_and_not_ruled_out() -> None:
    columns = units()
    said = grown(columns, (columns[:, 0] > 0).long())(columns, 1)
    assert said[:, [LOOPED, MOVED]].exp().numpy() == pytest.approx(0.01)


def test_editors_are_told_apart_and_of_an_unknown_one_nothing_is_said() -> None:
    columns = units()
    high, trees = (columns[:, 0] > 0).long(), Trees(3)
    trees.fit(
        torch.cat([columns, columns]),
        torch.cat([high, 1 - high]),
        torch.ones(800),
        torch.arange(2).repeat_interleave(400) * 2,
        n_trees=10,
        balance=0.75,
        seed=0,
        **no_trial(800),
    )
    assert not trees(columns, 1).any()
    one, other = (trees(columns, style)[:, :2].argmax(1) for style in (0, 2))
    assert (one != other).float().mean() > 0.95


def test_units_without_weight_teach_nothing() -> None:
    columns = units()
    high = (columns[:, 0] > 0).long()
    misled = torch.where(columns[:, 1] > 0, LOOPED, high)
    trusted = (columns[:, 1] <= 0).float()
    assert not (grown(columns, misled, weight=trusted)(columns, 1).argmax(1) == LOOPED).any()


def test_a_unit_of_half_the_weight_counts_half() -> None:
    """Every place is cut once at full weight and kept once at half: 2/3 and 1/3."""
    columns = units(200).repeat(2, 1)
    kinds, weight = (torch.tensor(pair).repeat_interleave(200) for pair in ([WAS_CUT, KEPT], [1.0, 0.5]))
    said = grown(columns, kinds, weight=weight)(columns, 1).exp()
    assert said[:, WAS_CUT].mean() == pytest.approx(2 / 3, abs=0.01)


def test_at_its_threshold_a_column_is_not_above_it() -> None:
    """As in scikit-learn, whose trees go left where a column is at most the threshold."""
    trees = Trees(1)
    trees.column, trees.threshold = torch.zeros(3, dtype=torch.int32), torch.tensor([0.5, 0.0, 0.0])
    trees.branches = torch.tensor([[1, 2], [1, 1], [2, 2]], dtype=torch.int32)
    trees.probable, trees.roots = torch.eye(len(UNIT_KINDS))[[0, 0, 1]], torch.zeros(1, 1, dtype=torch.int32)
    assert trees(torch.tensor([[0.4], [0.5], [0.6]]), 0).argmax(1).tolist() == [0, 0, 1]


def test_rare_kinds_count_more_the_more_balance_is_asked() -> None:
    columns, seldom = units(), torch.zeros(400, dtype=torch.long)
    seldom[:40] = LOOPED
    probable = []
    for balance in (0.0, 1.0):
        trees = Trees(1)
        trees.fit(
            columns, seldom, torch.ones(400), torch.zeros(400, dtype=torch.long),
            n_trees=20, balance=balance, seed=0, **no_trial(400),
        )  # fmt: skip
        probable.append(float(trees(columns, 0)[:, LOOPED].exp().mean()))
    assert probable[0] == pytest.approx(0.1, abs=0.03)
    assert probable[1] == pytest.approx(0.5, abs=0.1)


def test_none_are_silent() -> None:
    trees = Trees(2)
    ones = torch.ones(400)
    trees.fit(
        units(), torch.ones(400, dtype=torch.long), ones, ones.long(), n_trees=0, balance=0.0, seed=0, **no_trial(400)
    )
    assert not trees(units(), 1).any()


class TestTrial:
    """The last two of six columns have to prove useful."""

    def told(self, kinds: torch.Tensor, *, n_pairs: int = 10, n_on_trial: int = 2, n_columns: int = 6) -> torch.Tensor:
        trees, columns = Trees(1), units()[:, :n_columns]
        ones, style, pair = torch.ones(400), torch.zeros(400, dtype=torch.long), torch.arange(400) * n_pairs // 400
        trees.fit(columns, kinds, ones, style, pair, n_on_trial=n_on_trial, n_trees=20, balance=0.0, seed=0)
        return trees(columns, 0)

    def test_columns_that_tell_of_other_pairs_are_taken(self) -> None:
        kinds = (units()[:, 5] > 0).long()
        assert torch.equal(self.told(kinds), self.told(kinds, n_on_trial=0))

    @pytest.mark.parametrize("telling", [0, None])
    def test_others_leave_the_trees_as_they_were(self, telling: int | None) -> None:
        """Where another column tells all, and where what the last tell of one pair is wrong of the next."""
        kinds = (units()[:, 5 if telling is None else telling] > 0).long()
        if telling is None:
            kinds = torch.where(torch.arange(400) // 40 % 2 == 0, kinds, 1 - kinds)
        tried = self.told(kinds)
        assert torch.equal(tried, self.told(kinds, n_on_trial=0, n_columns=4))
        assert not torch.equal(tried, self.told(kinds, n_on_trial=0))

    @pytest.mark.parametrize(("n_pairs", "n_columns"), [(7, 4), (8, 6)])
    def test_few_pairs_prove_nothing(self, n_pairs: int, n_columns: int) -> None:
        kinds = (units()[:, 5] > 0).long()
        tried = self.told(kinds, n_pairs=n_pairs)
        assert torch.equal(tried, self.told(kinds, n_pairs=n_pairs, n_on_trial=0, n_columns=n_columns))


def test_extend_is_of_the_region_it_extends() -> None:
    space = ActionSpace(Config().action_space)
    move = space.first_reorder + 5
    actions = torch.tensor([KEEP, CUT, FIRST_LOOP, space.extend, move, space.extend, FIRST_LOOP + 1])
    late = torch.tensor([KEEP, CUT, FIRST_LOOP, KEEP, move, move - 1, FIRST_LOOP + 1])
    expected = [KEPT, WAS_CUT, LOOPED, LOOPED, MOVED, MOVED, LOOPED]
    assert kinds_decided(actions, late, space).tolist() == expected
    said = of_actions(torch.log(torch.tensor([[0.4, 0.3, 0.2, 0.1]])), space).exp()[0]
    assert said[[KEEP, CUT, FIRST_LOOP, space.extend, move]].tolist() == pytest.approx([0.4, 0.3, 0.2, 0.3, 0.1])


class TestInEdits:
    @pytest.fixture
    def state(self) -> AudioState:
        values = np.random.default_rng(0).standard_normal((N_BEATS, 4)).astype(np.float32)
        return AudioState(
            BeatGrid(np.arange(N_BEATS + 1) * 0.5, np.arange(N_BEATS) % 4), BeatFeatures(values, FEATURE_NAMES["basic"])
        )

    @pytest.fixture
    def policy(self) -> Policy:
        """A network that knows nothing, and of the first editor trees that cut the first half."""
        config = Config()
        config.features.feature_mode = "basic"
        config.agent.d_model, config.agent.d_head, config.agent.n_layers = 8, 8, 1
        agent = Agent(config)
        columns = torch.from_numpy(np.random.default_rng(0).random((600, STRUCTURE_DIM)).astype(np.float32))
        early, style = (columns[:, PLACE] < 0.5).long(), torch.zeros(600, dtype=torch.long)
        agent.trees.fit(columns, early, torch.ones(600), style, n_trees=50, balance=0.0, seed=0, **no_trial(600))
        return Policy(agent, config, ("ann", "bob"))

    def test_what_the_trees_know_decides_what_plays(self, policy: Policy, state: AudioState) -> None:
        edit = edit_recording(policy, state, target_duration_s=24.0)
        assert edit.duration_s == pytest.approx(24.0, abs=1.0)
        assert min(segment.source_start_frame or 0 for segment in edit.segments) >= 20.0 * edit.source.sample_rate

    def test_other_editors_are_left_to_the_network(self, policy: Policy, state: AudioState) -> None:
        without = replace(policy, agent=Agent(policy.config))
        without.agent.load_state_dict({**policy.agent.state_dict(), **without_trees(without.agent)})
        of_bob = edit_recording(policy, state, target_duration_s=24.0, style="bob")
        assert of_bob == edit_recording(without, state, target_duration_s=24.0, style="bob")
        assert edit_recording(policy, state, target_duration_s=24.0) != edit_recording(
            without, state, target_duration_s=24.0
        )

    def test_a_policy_on_disk_has_them(self, policy: Policy, state: AudioState, tmp_path: Path) -> None:
        save_policy(tmp_path / "policy.pt", policy)
        again = load_policy(tmp_path / "policy.pt")
        columns = torch.rand(30, STRUCTURE_DIM, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(again.agent.trees(columns, 0), policy.agent.trees(columns, 0), rtol=0, atol=0)
        assert edit_recording(again, state) == edit_recording(policy, state)


def without_trees(agent: Agent) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in agent.state_dict().items() if name.startswith("trees.")}
