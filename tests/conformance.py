"""What every editing environment must do, as one function; it is itself tested with environments that do not."""

from collections.abc import Callable

import numpy as np

from rl_editor.actions import KEEP, ActionLedger, ActionSpace
from rl_editor.environment import AudioEditingEnv
from rl_editor.errors import EditListError

TOLERANCE = 1e-4


def check_editing_env(make: Callable[[], AudioEditingEnv]) -> None:
    """Raise AssertionError where an environment breaks the contract of ``AudioEditingEnv``."""
    env, rng = make(), np.random.default_rng(0)
    assert isinstance(env.action_space, ActionSpace), "the action space is ours"
    for number in (-1, env.action_space.n_discrete_actions):
        env.reset(seed=0)
        _assert_raises(env, number)
    sums = [_check_episode(env, rng) for _ in range(2)]
    assert np.ptp(sums) < TOLERANCE, f"score minus rewards differs between episodes: {sums}"


def _check_episode(env: AudioEditingEnv, rng: np.random.Generator) -> float:
    """Play one episode, one decision in four illegal; the score minus the sum of rewards."""
    observation, info = env.reset()
    units = env.audio_state.grid.units(env.config.action_space.unit_beats)
    ledger = ActionLedger(units.n_units, env.action_space)
    rewards, done = 0.0, False
    while not done:
        assert ledger.unit < units.n_units, "the episode goes on after the last unit"
        assert env.observation_space.contains(observation), "an observation outside its space"
        mask = np.asarray(info["action_mask"], bool)
        assert (mask == ledger.mask()).all(), f"unit {ledger.unit}: the mask differs from the ledger's"
        seen = env.representation.split(_tensor(observation)).mask[0].numpy()
        assert (seen == mask).all(), "the mask of the observation differs from info's"
        legal = rng.random() < 0.75 or mask.all()
        action = int(rng.choice(np.flatnonzero(mask if legal else ~mask)))
        observation, reward, done, truncated, info = env.step(action)
        assert not truncated
        assert info["masked_action"] == (not legal), "an illegal decision is flagged, a legal one is not"
        ledger.push(action if legal else KEEP)
        rewards += reward
    assert ledger.unit == units.n_units, "the episode ends before the last unit"
    names = tuple(env.action_space.name(a) for a in ledger.actions)
    assert info["edit_list"].actions == names, "the edit list does not hold the decisions as played"
    total = info["reward_components"].total
    assert 0.0 <= total <= 1.0, f"total {total} outside [0, 1]"
    return total - rewards


def _assert_raises(env: AudioEditingEnv, action: int) -> None:
    try:
        env.step(action)
    except EditListError:
        return
    raise AssertionError(f"action {action} outside the space was taken")


def _tensor(observation: np.ndarray):
    import torch

    return torch.from_numpy(observation)[None]
