"""Episodes in lockstep against the ledger, the edit list and the Gymnasium contract."""

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from conformance import check_editing_env
from gymnasium.utils.env_checker import check_env
from test_reward import random_actions
from torch.utils._python_dispatch import TorchDispatchMode
from world_tracks import track

from rl_editor.actions import CUT, KEEP, ActionLedger, ActionSpace, ReorderAction
from rl_editor.config import Config
from rl_editor.environment import AudioEditingEnv, BatchedEditingEnv
from rl_editor.errors import ConfigError, EditListError
from rl_editor.labels import decode
from rl_editor.reward import RewardCalculator
from rl_editor.state import PROGRESS_NAMES, AudioState, StateRepresentation


def configured(unit_beats: int = 4, reach: int = 6) -> Config:
    config = Config()
    config.action_space.unit_beats, config.action_space.reorder_reach_units = unit_beats, reach
    return config


def batched(states: list[AudioState], config: Config, *, n_envs: int, seed: int = 0, **more: Any) -> BatchedEditingEnv:
    batch = StateRepresentation(config).batch(states)
    return BatchedEditingEnv(batch, config, n_envs=n_envs, generator=torch.Generator().manual_seed(seed), **more)


def column(observation, name: str) -> torch.Tensor:
    return observation.progress[:, PROGRESS_NAMES.index(name)]


@pytest.mark.parametrize(("unit_beats", "beats_per_bar"), [(4, 4), (1, 4), (4, 3)])
def test_mask_is_the_ledgers_and_rewards_add_up_to_the_score(unit_beats, beats_per_bar):
    config, rng = configured(unit_beats), np.random.default_rng(unit_beats)
    states = [
        track(0, form="ab", bars_per_section=4, beats_per_bar=beats_per_bar),
        track(1, form="abc", bars_per_section=2, lead_in_s=0.3, tail_s=0.4, beats_per_bar=beats_per_bar),
        track(2, form="a", bars_per_section=1, beats_per_bar=beats_per_bar),
    ]
    env, space = batched(states, config, n_envs=6), ActionSpace(config.action_space)
    which = torch.tensor([0, 1, 2, 0, 1, 2])
    ratios = torch.tensor([0.5, 0.8, 1.0, torch.nan, torch.nan, 1.5])
    observation = env.reset(which, ratios)
    units = env.batch.n_units[which].tolist()
    plans = [random_actions(n, space, rng) for n in units]
    ledgers, sums = [ActionLedger(n, space) for n in units], torch.zeros(6)
    start = env._potential.clone()
    for step in range(max(units)):
        for mask, ledger in zip(observation.mask.numpy(), ledgers, strict=True):
            if ledger.unit < ledger.n_units:
                assert (mask == ledger.mask()).all()
        actions = [plan[step] if step < len(plan) else KEEP for plan in plans]
        result = env.step(torch.tensor(actions), auto_reset=False)
        observation, sums = result.observation, sums + result.reward
        for ledger, action in zip(ledgers, actions, strict=True):
            if ledger.unit < ledger.n_units:
                ledger.push(action)
        assert result.done.tolist() == [step + 1 >= n for n in units]
    for i, (track_number, ratio) in enumerate(zip(which.tolist(), ratios.tolist(), strict=True)):
        state = states[track_number]
        edit = decode(plans[i], state.grid.units(unit_beats), space, source=state.recording, crossfade_ms=50.0)
        target_s = None if np.isnan(ratio) else ratio * state.recording.frames / state.recording.sample_rate
        score = RewardCalculator(config).score(edit, state, target_duration_s=target_s)
        assert float(result.info.total[i]) == pytest.approx(score.total, abs=1e-5)
        assert float(sums[i] + start[i]) == pytest.approx(score.total, abs=1e-5)
        assert env.actions[i, : units[i]].tolist() == plans[i]


def test_illegal_decisions_play_as_keep_and_are_flagged():
    config = configured()
    env = batched([track(form="a")], config, n_envs=2)
    env.reset()
    extend = ActionSpace(config.action_space).extend
    result = env.step(torch.tensor([extend, CUT]))
    assert result.info.masked_action.tolist() == [True, False]
    assert result.info.action.tolist() == [KEEP, CUT]
    assert column(result.observation, "kept").tolist() == [1.0, 0.0]


def test_automatic_reset_draws_new_tracks_and_repeats_with_the_seed():
    config = configured()
    states = [track(seed, form="a", bars_per_section=bars) for seed, bars in ((0, 2), (1, 3), (2, 5))]

    def play(seed: int) -> tuple[list[int], torch.Tensor]:
        env = batched(states, config, n_envs=8, seed=seed, target_ratios=torch.full((3,), 0.5), target_dropout=0.5)
        env.reset()
        tracks, rewards = [], []
        for _ in range(12):
            result = env.step(torch.full((8,), KEEP))
            assert (result.observation.unit[result.done] == 0).all()
            tracks += result.observation.track.tolist()
            rewards.append(result.reward)
        return tracks, torch.stack(rewards)

    first, again, other = play(0), play(0), play(1)
    assert first[0] == again[0]
    assert torch.equal(first[1], again[1])
    assert first[0] != other[0]
    assert set(first[0]) == {0, 1, 2}


def test_an_episode_that_begins_by_itself_is_one_begun_anew():
    config, rng = configured(), np.random.default_rng(5)
    states = [
        track(seed, form=form, bars_per_section=bars, style=seed)
        for seed, form, bars in ((0, "ab", 1), (1, "a", 3), (2, "aab", 2))
    ]
    told = {
        "target_ratios": torch.tensor([0.5, torch.nan, 1.2]),
        "styles": torch.arange(3),
        "style_names": ("radio", "extended_mix", "jam"),
    }
    env = batched(states, config, n_envs=4, **told)
    observation, anew = env.reset(), [None] * 4
    chance = np.full(env.space.n_discrete_actions, 0.3 / len(env.space.target_offsets))
    chance[: env.space.first_reorder] = [0.3, 0.2, *[0.1] * (env.space.max_loop_times - 1), 0.5]
    n_compared = 0
    for _ in range(24):
        shares = observation.mask.numpy() * chance
        actions = torch.tensor([int(rng.choice(len(row), p=row / row.sum())) for row in shares])
        result = env.step(actions)
        observation, summaries = result.observation, env.scores().summary
        for i, fresh in enumerate(anew):
            if fresh is not None:
                alone = fresh.step(actions[i : i + 1], auto_reset=False)
                assert float(result.reward[i]) == pytest.approx(float(alone.reward), abs=1e-6)
                torch.testing.assert_close(result.info.terms[i], alone.info.terms[0])
                assert bool(result.done[i]) == bool(alone.done)
                if not alone.done:
                    torch.testing.assert_close(summaries[i], fresh.scores().summary[0])
                    for seen, wanted in zip(observation, alone.observation, strict=True):
                        torch.testing.assert_close(seen[i], wanted[0])
                n_compared += 1
            if result.done[i]:
                anew[i] = batched(states, config, n_envs=1, **told)
                begun = anew[i].reset(observation.track[i : i + 1])
                for seen, wanted in zip(observation, begun, strict=True):
                    torch.testing.assert_close(seen[i], wanted[0])
    assert n_compared > 60


def test_a_hidden_target_is_rewarded_but_not_shown():
    config = configured()
    state = track(form="ab", bars_per_section=2)
    shown = batched([state], config, n_envs=1, target_ratios=torch.tensor([0.5]))
    hidden = batched([state], config, n_envs=1, target_ratios=torch.tensor([0.5]), target_dropout=1.0)
    open_, closed = shown.reset(), hidden.reset()
    assert (float(column(open_, "has_target")), float(column(open_, "target"))) == (1.0, 0.5)
    assert (float(column(closed, "has_target")), float(column(closed, "target"))) == (0.0, 0.0)
    for action in (KEEP, KEEP, CUT, CUT):
        a, b = (env.step(torch.tensor([action]), auto_reset=False) for env in (shown, hidden))
        assert torch.equal(a.reward, b.reward)
    assert float(a.info.total) > 0.99  # half of it, straight on, is what was asked


def test_who_resets_says_which_targets_are_hidden():
    env = batched([track(form="ab", bars_per_section=2)], configured(), n_envs=2, target_dropout=1.0)
    ratios, hidden = torch.tensor([0.5, 0.5]), torch.tensor([True, False])
    for told, seen in ((None, [1.0, 1.0]), (hidden, [0.0, 1.0])):  # what is given is shown
        observation = env.reset(torch.tensor([0, 0]), ratios, hidden=told)
        assert column(observation, "has_target").tolist() == seen
    result = env.step(torch.tensor([KEEP, KEEP]), auto_reset=False)
    assert float(result.info.total[0]) == float(result.info.total[1])  # what is hidden counts all the same


def test_what_plays_nothing_yet_is_worth_what_it_can_become():
    env = batched([track(form="a")], configured(), n_envs=1)
    env.reset(torch.tensor([0]), torch.tensor([0.5]))
    begun = float(env.scores().total)
    totals = [begun, *(float(env.step(torch.tensor([CUT]), auto_reset=False).info.total) for _ in range(8))]
    assert totals[:5] == pytest.approx([1.0] * 5, abs=5e-3)  # half of the song can still play ..
    assert 1.0 > totals[5] > totals[6] > totals[7] > 0.0  # .. then less ..
    assert totals[8] == 0.0  # .. and nothing


def test_progress_by_hand():
    config = configured()
    state = track(form="aa", bars_per_section=4, beats_per_bar=4)
    env = batched([state], config, n_envs=1)
    env.reset(torch.tensor([0]), torch.tensor([0.5]))
    for action in (KEEP, CUT, 2):
        result = env.step(torch.tensor([action]))
    observation = result.observation
    spans = env.batch.reward.span_s[0].numpy()
    output = spans[0] + 2 * spans[2]
    expected = {
        "place": 3 / 8,
        "remaining": spans[3:].sum() / spans.sum(),
        "output": output / spans.sum(),
        "output_of_target": output / (0.5 * spans.sum()),
        "missing_of_remaining": (0.5 * spans.sum() - output) / spans[3:].sum(),
        "replayed": spans[2] / output,
        "replay_limit": 0.15,
        "kept": 1 / 3,
        "cut": 1 / 3,
        "looped": 1 / 3,
        "moved": 0.0,
        "since_change": 1 / 5,  # log2(1 + 1) / 5: playing began with the last decision
        "last_plays": 1.0,
        "open_loop": 1.0,
        "open_move": 0.0,
        "bar_phase": 0.0,
        "phrase_phase": 3 / 4,
    }
    for name, value in expected.items():
        assert float(column(observation, name)) == pytest.approx(value, abs=1e-4), name
    latest = observation.history.reshape(8, 8)[-3:]
    assert latest.tolist() == [
        [1, 0, 0, 0, 0, 0, 0, 1],
        [0, 1, 0, 0, 0, 0, 0, 1],
        [0, 0, 1, 0, 0, 0.5, 0, 1],  # 2 of at most 4 times
    ]
    assert observation.history.reshape(8, 8)[:-3].abs().sum() == 0


def test_progress_within_a_moved_region_by_hand():
    """Bar 0 stays, bars 1 and 2 play before it."""
    env = batched([track(form="aa", bars_per_section=4)], configured(), n_envs=1)
    env.reset(torch.tensor([0]))
    for action in (KEEP, env.space.encode(ReorderAction(1, 0)), env.space.extend):
        result = env.step(torch.tensor([action]))
        assert not result.info.masked_action
    expected = {
        "kept": 1 / 3,
        "cut": 0.0,
        "looped": 0.0,
        "moved": 2 / 3,
        "since_change": 2 / 5,  # log2(1 + 3) / 5: nothing was cut
        "last_plays": 1.0,
        "open_loop": 0.0,
        "open_move": 1.0,
        "replayed": 0.0,
    }
    for name, value in expected.items():
        assert float(column(result.observation, name)) == pytest.approx(value, abs=1e-6), name
    latest = result.observation.history.reshape(8, 8)[-2:].tolist()
    assert latest == [[0, 0, 0, 0, 1, 0, pytest.approx(-1 / 6), 1], [0, 0, 0, 1, 0, 0, 0, 1]]  # of a reach of 6


def test_what_is_missing_counts_from_all_of_what_is_left_in_excess_to_four_times_that():
    def after(action: int, n: int, ratio: float) -> tuple[float, float]:
        env = batched([track(form="aa", bars_per_section=4)], configured(), n_envs=1)
        env.reset(torch.tensor([0]), torch.tensor([ratio]))
        for _ in range(n):
            observation = env.step(torch.tensor([action])).observation
        return float(column(observation, "missing_of_remaining")), float(column(observation, "output_of_target"))

    assert after(KEEP, 4, 0.25) == pytest.approx((-0.5, 2.0), abs=0.02)  # two bars too many, four left
    assert after(KEEP, 6, 0.25) == pytest.approx((-1.0, 3.0), abs=0.02)  # four, and two left
    assert after(KEEP, 6, 0.1) == pytest.approx((-1.0, 4.0), abs=1e-6)  # more than seven times what is asked
    assert after(CUT, 6, 0.75) == pytest.approx((3.0, 0.0), abs=0.05)  # six bars are missing, and two left
    assert after(CUT, 7, 0.75) == pytest.approx((4.0, 0.0), abs=1e-6)


def test_places_in_the_bar_and_in_the_phrase_are_shares_of_them():
    config = configured(unit_beats=1)
    config.reward.phrase_bars = 8
    env = batched([track(form="aa", bars_per_section=4, beats_per_bar=3)], config, n_envs=1)
    observation, seen = env.reset(torch.tensor([0])), []
    for _ in range(17):
        seen.append([float(column(observation, name)) for name in ("bar_phase", "phrase_phase")])
        observation = env.step(torch.tensor([KEEP])).observation
    np.testing.assert_allclose(seen, [[beat % 3 / 3, beat // 3 / 8] for beat in range(17)], atol=1e-6)


@pytest.mark.parametrize("fate", ["kept", "cut", "looped", "moved"])
def test_the_fate_of_an_alike_earlier_unit_is_seen(fate):
    env = batched([track(form="abcab")], configured(), n_envs=1)
    env.reset()
    assert float(column(env.reset(), "twin_known")) == 0.0
    for unit in range(24):
        moved = env.space.encode(ReorderAction(unit, unit + 3)) if unit < 8 else KEEP
        decided = {"kept": KEEP, "cut": CUT, "looped": 2, "moved": moved}[fate]
        result = env.step(torch.tensor([decided if unit < 8 else KEEP]))  # of the first a
        assert not result.info.masked_action
    assert float(column(result.observation, "twin_known")) == 1.0  # bar 24 begins the second a
    seen = {name: float(column(result.observation, f"twin_{name}")) for name in ("cut", "looped", "moved")}
    assert seen == {name: float(name == fate) for name in ("cut", "looped", "moved")}


def test_gymnasium_checker_passes():
    env = AudioEditingEnv(configured(), audio_state=track(form="a"), target_duration_s=9.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an observation space without bounds
        check_env(env, skip_render_check=True)


def test_an_environment_can_be_copied_in_the_middle_of_an_episode():
    """A search tries decisions on copies; a vectorised environment sends them to processes."""
    env = AudioEditingEnv(configured(), audio_state=track(form="ab"))
    env.reset()
    env.step(CUT)
    ends = []
    for each in (env, copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
        rewards, done = [], False
        while not done:
            _, reward, done, _, info = each.step(KEEP)
            rewards.append(reward)
        ends.append((rewards, info["reward_components"], info["edit_list"]))
    assert ends[1:] == ends[:1] * 2


CASES = {
    "bars": (4, {"form": "ab", "bars_per_section": 4}),
    "beats": (1, {"form": "a", "bars_per_section": 3, "lead_in_s": 0.3, "tail_s": 0.2}),
    "three four": (4, {"form": "a", "bars_per_section": 5, "beats_per_bar": 3, "lead_in_s": 0.3}),
    "one unit": (4, {"form": "a", "bars_per_section": 1}),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_environment_conforms(name):
    unit_beats, song = CASES[name]
    check_editing_env(lambda: AudioEditingEnv(configured(unit_beats), audio_state=track(**song), target_duration_s=5.0))


class _Unmasked(AudioEditingEnv):
    def _info(self, *, masked):
        return super()._info(masked=masked) | {"action_mask": np.ones(self.action_space.n_discrete_actions, np.int8)}


class _Unflagged(AudioEditingEnv):
    def _info(self, *, masked):
        return super()._info(masked=False)


class _Endless(AudioEditingEnv):
    def step(self, action):
        observation, reward, _, truncated, info = super().step(action)
        return observation, reward, False, truncated, info


class _Generous(AudioEditingEnv):
    def step(self, action):
        observation, reward, done, truncated, info = super().step(action)
        return observation, reward + 0.01 * (action == KEEP), done, truncated, info


class _Lenient(AudioEditingEnv):
    def step(self, action):
        return super().step(int(np.clip(action, 0, self.action_space.n_discrete_actions - 1)))


@pytest.mark.parametrize("broken", [_Unmasked, _Unflagged, _Endless, _Generous, _Lenient])
def test_conformance_finds_broken_environments(broken):
    with pytest.raises((AssertionError, EditListError)):
        check_editing_env(lambda: broken(configured(), audio_state=track(form="ab", bars_per_section=4)))


def test_gymnasium_and_lockstep_agree_step_for_step():
    config, rng = configured(), np.random.default_rng(3)
    states = [track(0, form="ab", bars_per_section=3), track(1, form="abc", bars_per_section=2)]
    representation = StateRepresentation(config)
    for number, state in enumerate(states):
        lockstep = batched(states, config, n_envs=3)
        single = AudioEditingEnv(config, audio_state=state)
        single.reset(options={"target_duration_s": 8.0})
        ratio = 8.0 * state.recording.sample_rate / state.recording.frames
        lockstep.reset(torch.full((3,), number), torch.full((3,), ratio))
        for action in random_actions(6, representation.space, rng):
            flat, reward, *_ = single.step(action)
            result = lockstep.step(torch.full((3,), action), auto_reset=False)
            both = representation.flatten(result.observation, lockstep.batch)
            layout = representation.layout
            window = layout.window_units * layout.row_dim  # padded alike beyond the track's end
            assert np.allclose(both[1].numpy()[:window], flat[:window], atol=1e-6)
            assert np.allclose(both[1].numpy()[window:], flat[window:], atol=1e-5)
            assert reward == pytest.approx(float(result.reward[1]), abs=1e-6)


def test_deciding_without_scores_is_stepping_and_scores_follow():
    config, rng = configured(), np.random.default_rng(4)
    states = [track(0, form="ab", bars_per_section=3), track(1, form="abc", bars_per_section=2)]
    stepping, deciding = batched(states, config, n_envs=4), batched(states, config, n_envs=4)
    which, ratios = torch.tensor([0, 1, 0, 1]), torch.tensor([0.5, torch.nan, 1.0, 0.7])
    units = stepping.batch.n_units[which].tolist()
    plans = [random_actions(n, ActionSpace(config.action_space), rng) for n in units]
    seen = [env.reset(which, ratios) for env in (stepping, deciding)]
    for step in range(max(units)):
        action = torch.tensor([plan[step] if step < len(plan) else KEEP for plan in plans])
        result = stepping.step(action, auto_reset=False)
        seen = [result.observation, deciding.decide(action)]
        for one, other in zip(*seen, strict=True):
            torch.testing.assert_close(one, other, rtol=0.0, atol=0.0)
    scores = deciding.scores()
    for name in ("terms", "total", "audited", "learned"):
        found, wanted = getattr(scores, name), getattr(result.info, name)
        torch.testing.assert_close(found, wanted, rtol=0.0, atol=0.0, equal_nan=True)


def test_actions_outside_and_steps_after_the_end_are_refused():
    env = AudioEditingEnv(configured(), audio_state=track(form="a", bars_per_section=1))
    with pytest.raises(EditListError, match="reset"):
        env.step(KEEP)
    env.reset()
    with pytest.raises(EditListError, match=r"outside 0\.\."):
        env.step(env.action_space.n_discrete_actions)
    env.step(KEEP)
    with pytest.raises(EditListError, match="after the end"):
        env.step(KEEP)
    with pytest.raises(EditListError, match="length asked for: -1"):
        env.reset(options={"target_duration_s": -1.0})
    with pytest.raises(EditListError, match="length asked for: '9' s, a finite length of at least"):
        env.reset(options={"target_duration_s": "9"})
    with pytest.raises(ConfigError, match=r"'target_duration': unknown, expected target_duration_s"):
        env.reset(options={"target_duration": 90.0})


def test_the_end_hands_over_the_edit_and_its_score():
    state = track(form="ab", bars_per_section=2)
    env = AudioEditingEnv(configured(), audio_state=state, target_duration_s=state.grid.duration_s)
    env.reset(seed=1)
    for _ in range(4):
        *_, info = env.step(np.int64(KEEP))
    assert info["edit_list"].frames == state.recording.frames
    assert info["reward_components"].total == pytest.approx(1.0, abs=1e-5)
    assert env.action_masks().sum() == 1  # over: KEEP alone


def test_the_action_space_is_seedable():
    env = AudioEditingEnv(configured(), audio_state=track(form="a"))
    _, info = env.reset(seed=3)
    env.action_space.seed(3)
    drawn = [env.action_space.sample(mask=info["action_mask"]) for _ in range(8)]
    env.action_space.seed(3)
    assert drawn == [env.action_space.sample(mask=info["action_mask"]) for _ in range(8)]


def test_loop_limits_follow_the_style():
    states = [track(0, form="a", style=0), track(0, form="a", style=1)]
    env = batched(states, configured(), n_envs=2, styles=torch.tensor([0, 1]), style_names=("radio", "extended_mix"))
    observation = env.reset(torch.tensor([0, 1]))
    assert column(observation, "replay_limit").tolist() == pytest.approx([0.15, 0.6])
    assert observation.style[:, :2].tolist() == [[1.0, 0.0], [0.0, 1.0]]


class _NoHost(TorchDispatchMode):
    """Refuses whatever would make an accelerator wait for the host, or the host for it."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        waits = ("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::lift_fresh", "aten::equal")
        assert func.name().split(".")[0] not in waits, f"{func.name()} waits for the host"
        return func(*args, **(kwargs or {}))


def test_a_step_reads_nothing_back_to_the_host():
    env = batched([track(form="a"), track(1, form="ab")], configured(), n_envs=4, target_ratios=torch.full((2,), 0.5))
    env.reset()
    actions = torch.tensor([KEEP, CUT, 2, 7])
    with _NoHost():
        for _ in range(9):
            env.step(actions)
    with pytest.raises(AssertionError, match="waits"), _NoHost():
        actions[0].item()
