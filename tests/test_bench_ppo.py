"""The contest with sb3-contrib: the plain network is what it says, and both learners play the same game."""

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch.nn import functional
from toy_tracks import toy_config, toy_demonstration, toy_demonstrations

from benchmarks.ppo.contest import Moment, first_at
from benchmarks.ppo.plain import WIDTH, PlainAgent
from benchmarks.ppo.songs import Songbook
from rl_editor.agent import ILLEGAL
from rl_editor.environment import BatchedEditingEnv
from rl_editor.state import AudioState, StateRepresentation
from rl_editor.trainer import PPOTrainer

STYLES = ("loud_goes", "quiet_goes")


def flat_logits(agent: PlainAgent, flat: Float[torch.Tensor, "envs size"]) -> Float[torch.Tensor, "envs actions"]:
    """The actor as one plain network on the flat observation: three matrix products and nothing shared."""
    parts = agent.representation.split(flat)
    exists = parts.window[..., -1:] > 0
    window = torch.where(exists, agent.normal_rows(parts.window), 0.0)
    heard = (window.transpose(1, 2).flatten(1), agent.normal_map(parts.song_map).flatten(1))
    path = (parts.style, parts.history, parts.progress, parts.mask.to(flat.dtype))
    inputs = torch.cat([*heard, agent.normal_static(parts.static), *path], dim=1)
    encoder, policy = agent.encoder, agent.policy
    shared = [layer.weight.flatten(1)[:WIDTH] for layer in (encoder.window, encoder.song, encoder.static)]
    first = torch.cat([*shared, policy.path.weight], dim=1)
    hidden = torch.tanh(functional.linear(inputs, first, encoder.static.bias[:WIDTH]))
    logits: torch.Tensor = policy.out(torch.tanh(policy.deep(hidden)))
    return logits.masked_fill(~parts.mask, ILLEGAL)


def test_the_plain_agent_is_a_plain_network_on_the_flat_observation() -> None:
    config = toy_config()
    songs = [toy_demonstration(seed, config, n_beats=20 + 4 * seed) for seed in range(3)]
    batch = StateRepresentation(config).batch([AudioState(d.grid, d.features, d.source) for d in songs])
    agent = PlainAgent(config)
    agent.fit_normalisation(batch)
    env = BatchedEditingEnv(batch, config, n_envs=6, generator=torch.Generator().manual_seed(0))
    observation = env.reset()
    with torch.no_grad():
        for _ in range(12):
            folded = agent.logits(agent.encode(batch), observation)
            plain = flat_logits(agent, agent.representation.flatten(observation, batch))
            assert torch.allclose(folded, plain, atol=1e-5)
            observation = env.step(folded.argmax(1)).observation


@pytest.mark.slow
def test_our_trainer_trains_the_plain_agent() -> None:
    ppo = {"n_envs": 12, "epochs": 4, "minibatches": 2, "learning_rate": 0.006, "target_kl": 0.1, "kl_coeff": 0.0}
    config = toy_config(ppo=ppo | {"entropy_coeff": 0.01, "remixes": 0})
    trainer = PPOTrainer(config, PlainAgent(config), toy_demonstrations(config), styles=STYLES)
    history = trainer.train(16 * trainer.decisions_per_update).history
    assert history[-1]["rollout/score"] > history[1]["rollout/score"] + 0.1


def test_a_songbook_turns_pages_and_pays_what_the_batched_environment_pays() -> None:
    config = toy_config()
    demonstrations = [toy_demonstration(seed, config, style="quiet_goes", n_beats=20) for seed in range(3)]
    book = Songbook(demonstrations, STYLES, config)
    seen = set()
    for episode in range(12):
        book.reset(seed=episode)
        seen.add(book.pages.index(book.page))  # type: ignore[arg-type]
    assert seen == {0, 1, 2}
    _, info = book.reset(seed=1)
    rewards, done = [], False
    while not done:
        action = int(np.flatnonzero(book.action_masks())[0])
        assert info["action_mask"][action]
        _, reward, done, _, info = book.step(action)
        rewards.append(reward)
    states = [AudioState(d.grid, d.features, d.source, 1) for d in demonstrations]
    env = BatchedEditingEnv(
        StateRepresentation(config).batch(states),
        config,
        n_envs=1,
        generator=torch.Generator(),
        styles=torch.ones(3, dtype=torch.long),
        style_names=STYLES,
        target_ratios=torch.tensor([d.edit.duration_s / d.grid.duration_s for d in demonstrations]),
    )
    page = book.pages.index(book.page)  # type: ignore[arg-type]
    env.reset(torch.tensor([page]))
    batched = [float(env.step(torch.zeros(1, dtype=torch.long), auto_reset=False).reward) for _ in rewards]
    assert rewards == pytest.approx(batched, abs=1e-6)


def test_the_first_moment_with_a_return() -> None:
    moments = [Moment(1.0, 10, 0.3), Moment(2.0, 20, 0.6), Moment(3.0, 30, 0.5)]
    assert first_at(moments, 0.5) == moments[1]
    assert first_at(moments, 0.7) is None
