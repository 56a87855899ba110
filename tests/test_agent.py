"""The networks: two paths, one set of numbers; masks; what may and may not move an embedding."""

import math

import numpy as np
import pytest
import torch
from toy_tracks import toy_config, toy_demonstration

from rl_editor.actions import ActionSpace, replay
from rl_editor.agent import (
    FEW_TRACKS,
    Agent,
    Jitter,
    Keys,
    PolicyNetwork,
    ValueNetwork,
    kind_entropy,
    kind_log_probs,
    probabilities,
    sample,
)
from rl_editor.agent.places import N_EXCERPTS, places
from rl_editor.config import Config
from rl_editor.devices import resolve_device
from rl_editor.errors import ConfigError
from rl_editor.habits import STARTS
from rl_editor.state import STRUCTURE_DIM, STRUCTURE_NAMES, AudioState, Observation, StateRepresentation, TrackBatch


def toy_batch(config: Config, lengths: tuple[int, ...] = (20, 28, 24)) -> TrackBatch:
    demos = [toy_demonstration(seed, config, n_beats=n) for seed, n in enumerate(lengths)]
    return StateRepresentation(config).batch([AudioState(d.grid, d.features, d.source) for d in demos])


def toy_observation(config: Config, batch: TrackBatch, n_envs: int = 40) -> Observation:
    """Random places on random tracks, with the masks that are legal there at least after CUT alone."""
    g = torch.Generator().manual_seed(0)
    layout = StateRepresentation(config).layout
    track = torch.randint(batch.n_tracks, (n_envs,), generator=g)
    unit = (torch.rand(n_envs, generator=g) * batch.n_units[track]).long()
    progress = torch.rand(n_envs, layout.progress_dim, generator=g)
    progress[:, 0] = unit / batch.n_units[track]
    space = ActionSpace(config.action_space)
    masks = [replay([1] * int(u), int(batch.n_units[t]), space).mask() for t, u in zip(track, unit, strict=True)]
    return Observation(
        track,
        unit,
        torch.nn.functional.one_hot(
            torch.randint(config.state.n_styles, (n_envs,), generator=g), config.state.n_styles
        ).float(),
        torch.randn(n_envs, layout.history_dim, generator=g),
        progress,
        torch.as_tensor(np.stack(masks)),
    )


def shaken(agent: Agent, *, scale: float = 0.3) -> Agent:
    """Weights away from their initial zeros, so that every path carries a signal."""
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in agent.parameters():
            parameter.add_(scale / parameter.shape[-1] ** 0.5 * torch.randn(parameter.shape, generator=g))
    return agent


@pytest.mark.parametrize("unit_beats", [1, 4])
def test_the_flat_path_gives_the_numbers_of_the_batched_path(unit_beats: int) -> None:
    config = toy_config(action_space={"unit_beats": unit_beats})
    batch = toy_batch(config)
    agent = shaken(Agent(config))
    agent.fit_normalisation(batch)
    observation = toy_observation(config, batch)
    with torch.no_grad():
        together = agent.decide(agent.encode(batch), observation)
        flat = agent.decide_flat(agent.representation.flatten(observation, batch))
    assert torch.allclose(together.logits, flat.logits, atol=1e-5, rtol=1e-5)
    assert torch.allclose(together.value, flat.value, atol=1e-5, rtol=1e-5)
    assert together.logits[observation.mask].std() > 0.1  # not equal for want of a signal


def test_encoding_some_tracks_is_encoding_all() -> None:
    config = toy_config()
    batch, agent = toy_batch(config), shaken(Agent(toy_config()))
    with torch.no_grad():
        whole, some = agent.encode(batch), agent.encode_tracks(batch, torch.tensor([2, 0]))
    assert torch.allclose(some.units, whole.units[[2, 0]], atol=1e-6)


def test_static_names_the_number_of_units() -> None:
    config = toy_config()
    batch = toy_batch(config)
    with torch.no_grad():
        assert Agent(config).encode(batch).n_units.tolist() == batch.n_units.tolist() == [20, 28, 24]


def test_illegal_actions_are_never_drawn() -> None:
    config = toy_config()
    batch, agent = toy_batch(config), shaken(Agent(config), scale=3.0)
    observation = toy_observation(config, batch, 200)
    flat = agent.representation.flatten(observation, batch)
    for deterministic in (True, False):
        chosen = agent.select_action(flat, deterministic=deterministic)
        assert observation.mask.gather(1, chosen.action[:, None]).all()
    assert torch.isfinite(chosen.log_prob).all()


def test_one_observation_gives_a_plain_int() -> None:
    config = toy_config()
    batch = toy_batch(config)
    size, n_actions = StateRepresentation(config).size, ActionSpace(config.action_space).n_discrete_actions
    agent = Agent(config, input_dim=size, n_actions=n_actions)
    flat = agent.representation.flatten(toy_observation(config, batch, 1), batch)
    action, log_prob, value = agent.select_action(torch.from_numpy(flat[0].numpy()), deterministic=True)
    assert type(action) is int
    assert agent.select_action(flat[0].numpy(), deterministic=True).action == action  # as an environment gives it
    assert log_prob.shape == value.shape == ()
    assert log_prob <= 0


def test_other_settings_than_the_environments_are_refused() -> None:
    config = toy_config()
    with pytest.raises(ConfigError, match=r"input_dim 7.*same config"):
        Agent(config, input_dim=7)
    with pytest.raises(ConfigError, match="n_actions 3"):
        Agent(config, n_actions=3)
    with pytest.raises(ConfigError, match="observation 5"):
        Agent(config).select_action(torch.zeros(5))


def test_the_same_seed_gives_the_same_agent_and_leaves_torch_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second = Agent(toy_config()), Agent(toy_config())
    assert torch.equal(torch.random.get_rng_state(), before)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    other = Agent(toy_config(training={"seed": 1}))
    assert not torch.equal(first.encoder.row.weight, other.encoder.row.weight)


def test_normalisation_ignores_rows_that_are_padding() -> None:
    config = toy_config()
    batch, agent = toy_batch(config, (20, 40)), Agent(config)
    agent.fit_normalisation(batch)
    real = torch.cat([batch.rows[0, 2:22], batch.rows[1, 2:42]])  # context 2 on each side
    assert torch.allclose(agent.normal_rows.mean[:-1], real.mean(0)[:-1], atol=1e-5)
    assert agent.normal_rows.mean[-1] == 0
    assert agent.normal_rows.deviation[-1] == 1  # the flag stays a flag


def test_an_embedding_hears_its_window_and_the_song_map_only() -> None:
    config = toy_config()
    batch, agent = toy_batch(config), shaken(Agent(config))
    rows = batch.rows.clone()
    rows[0, 2 + 10] += 1.0  # unit 10 of track 0
    with torch.no_grad():
        before = agent.encoder(batch.rows, batch.song_map, batch.static).units
        after = agent.encoder(rows, batch.song_map, batch.static).units
    moved = (before - after).abs().amax(-1)[0] > 1e-6
    assert moved.nonzero()[:, 0].tolist() == [8, 9, 10, 11, 12]  # context 2
    song_map = batch.song_map.clone()
    song_map[0, 7] += 1.0
    with torch.no_grad():
        after = agent.encoder(batch.rows, song_map, batch.static).units
    assert ((before - after).abs().amax(-1)[0] > 1e-6).all()


def test_reorder_starts_as_one_kind_among_others() -> None:
    # kinds are KEEP, CUT, LOOP2, EXTEND and REORDER: about 1/5 of the mass for all five targets together
    config = toy_config()
    batch = toy_batch(config)
    agent = Agent(config)
    observation = toy_observation(config, batch)
    observation = observation._replace(mask=torch.ones_like(observation.mask))
    with torch.no_grad():
        probabilities = agent.decide(agent.encode(batch), observation).logits.softmax(1)
    assert probabilities[:, agent.layout.first_reorder :].sum(1).mean().item() == pytest.approx(0.2, abs=0.1)


def test_entropy_counts_targets_as_one_kind() -> None:
    # P = 1/2 for KEEP, 1/8 for each of four targets: two kinds of 1/2 each, so log 2
    log_probs = torch.tensor([[0.5, 0.125, 0.125, 0.125, 0.125]]).log()
    assert kind_entropy(log_probs, 1).item() == pytest.approx(math.log(2))


def test_probabilities_are_never_too_small_to_be_fast() -> None:
    log_probs = torch.tensor([0.0, -3.0, -79.0, -88.0, -95.0, -1e9, -torch.inf])
    found = probabilities(log_probs)
    torch.testing.assert_close(found[:3], log_probs[:3].exp())
    assert ((found[3:] > torch.finfo(torch.float32).tiny) & (found[3:] < 1e-34)).all()


def test_all_moves_together_are_as_likely_as_their_sum() -> None:
    log_probs = torch.randn(50, 9, generator=torch.Generator().manual_seed(0)) * 30.0
    log_probs[0, 4:] = -torch.inf
    log_probs[1, 4:] = -1e9
    log_probs.requires_grad_()
    found, exact = kind_log_probs(log_probs, 4)[:, 4], log_probs[:, 4:].logsumexp(1)
    torch.testing.assert_close(found[2:], exact[2:])
    assert ((found[:2] > -1.1e9) & (found[:2] < -1e8)).all()
    slopes = [torch.autograd.grad(total[2:].sum(), log_probs)[0][2:] for total in (found, exact)]
    torch.testing.assert_close(*slopes)


def test_the_value_trains_neither_encoder_nor_policy() -> None:
    config = toy_config()
    batch, agent = toy_batch(config), Agent(config)
    agent.decide(agent.encode(batch), toy_observation(config, batch)).value.sum().backward()
    assert all(p.grad is None for p in [*agent.encoder.parameters(), *agent.policy.parameters()])
    assert any(p.grad is not None for p in agent.value.parameters())


def test_jitter_leaves_padding_silent() -> None:
    config = toy_config()
    batch, agent = toy_batch(config, (20, 40)), shaken(Agent(config))
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        noisy, clean = agent.encode(batch, jitter=Jitter(0.5, g)), agent.encode(batch)
    assert not torch.allclose(noisy.units[0, :20], clean.units[0, :20])
    rows = batch.rows[:, :, -1] > 0
    assert rows.sum(1).tolist() == [20, 40]


def test_sampling_follows_the_probabilities() -> None:
    log_probs = torch.tensor([0.1, 0.6, 0.3]).log().expand(20000, 3)
    share = torch.bincount(sample(log_probs, torch.Generator().manual_seed(0)), minlength=3) / 20000
    assert share.tolist() == pytest.approx([0.1, 0.6, 0.3], abs=0.015)  # 4 standard errors of 0.0035


def test_sharpening_keeps_the_order_and_widens_the_distance() -> None:
    config = toy_config()
    batch, agent = toy_batch(config), shaken(Agent(config))
    observation = toy_observation(config, batch)
    with torch.no_grad():
        before = agent.logits(agent.encode(batch), observation)
        agent.policy.sharpen(2.0)
        after = agent.logits(agent.encode(batch), observation)
    simple = slice(0, agent.layout.first_reorder)  # KEEP, CUT, LOOP, EXTEND: no target beside
    assert torch.allclose(
        after[:, simple][observation.mask[:, simple]], 2.0 * before[:, simple][observation.mask[:, simple]], atol=1e-4
    )


def test_what_is_impossible_is_never_drawn() -> None:
    log_probs = torch.tensor([-1e9, 0.4, 0.6, -1e9])
    log_probs[1:3] = log_probs[1:3].log()
    drawn = sample(log_probs.expand(50_000, 4), torch.Generator().manual_seed(1))
    assert set(drawn.tolist()) == {1, 2}


@pytest.mark.parametrize("n_tracks", [1, FEW_TRACKS, FEW_TRACKS + 1])  # all songs at once, and each its own keys
def test_pointing_is_a_dot_product_with_the_keys_of_ones_own_song(n_tracks: int) -> None:
    g = torch.Generator().manual_seed(0)
    keys, query = torch.randn(n_tracks, 5, 16, generator=g), torch.randn(7, 16, generator=g)
    track = torch.randint(n_tracks, (7,), generator=g)
    token = torch.randint(5, (7, 3), generator=g)
    pointed = Keys(keys, track).pointed_at(query, token)
    for env in range(7):
        for offset in range(3):
            by_hand = float(query[env] @ keys[track[env], token[env, offset]]) / 4.0  # sqrt(16)
            assert float(pointed[env, offset]) == pytest.approx(by_hand, abs=1e-5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for what is missing")
def test_cuda_without_a_gpu_is_said_once_and_uses_the_cpu(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        assert resolve_device("cuda", setting="said.once") == torch.device("cpu")
    assert caplog.messages == ["said.once 'cuda': no GPU is to be had here; using the CPU"]
    assert resolve_device("auto") == torch.device("cpu")
    with pytest.raises(ConfigError, match="toaster"):
        resolve_device("toaster")


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(
        ConfigError, match=r"training\.device 'cuda:2': GPUs here are cuda:0 to cuda:1; name one of them"
    ):
        resolve_device("cuda:2")


def test_policy_and_value_are_networks_of_their_own() -> None:
    agent = Agent(toy_config())
    assert isinstance(agent.policy, PolicyNetwork)
    assert isinstance(agent.value, ValueNetwork)


def test_the_default_observation_is_at_most_4096_numbers() -> None:
    assert Agent(Config()).representation.size <= 4096


def test_where_a_unit_lies_is_counted_in_units_and_spans_from_both_ends_of_its_song() -> None:
    config = toy_config()
    agent, batch = Agent(config), toy_batch(config)
    structure, told = agent.structure(batch), agent.places(batch)
    n_ways = len(STARTS)
    for track, n_units in enumerate(batch.n_units.tolist()):
        known, counted, _ = told[track, :n_units].split([structure.shape[2], 2 + 2 * n_ways, N_EXCERPTS], dim=1)
        assert (known == structure[track, :n_units]).all()
        before, after, spans_before, spans_after = counted.split([1, 1, n_ways, n_ways], dim=1)
        unit = torch.arange(n_units)[:, None]
        torch.testing.assert_close(before, unit / (unit + 4))
        torch.testing.assert_close(after, before.flip(0))
        span = (known[:, STARTS] == 0.0).cumsum(0) - 1
        torch.testing.assert_close(spans_before, (span / (span + 4)).clamp(min=0.0))
        left = span[-1] - span
        torch.testing.assert_close(spans_after, left / (left + 4))


def test_the_excerpts_that_a_unit_belongs_to_are_compared_with_all_of_their_length() -> None:
    """Excerpts of eight units: a song of twelve has five, one of six none."""
    level, strength = STRUCTURE_NAMES.index("level"), STRUCTURE_NAMES.index("strength")
    structure = torch.zeros(2, 12, STRUCTURE_DIM)
    structure[0, :, level] = torch.tensor([0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 2.0, 5.0])
    structure[0, :, strength] = torch.arange(12.0)
    structure[1, :, level] = 9.0
    found = places(structure, torch.tensor([12, 6]))[..., -N_EXCERPTS:]
    by_strength, by_level = found.split(N_EXCERPTS // 2, dim=2)
    # sums from unit 0 on: 3, 4, 1, 3, 8; from the softest on 2, 0 (the first of equals), 3, 1, 4
    share = {2: 0.1, 0: 0.3, 3: 0.5, 1: 0.7, 4: 0.9}
    expected = [max(share[start] for start in share if start <= unit < start + 8) for unit in range(12)]
    assert by_level[0, :, 0].tolist() == pytest.approx(expected)
    rising = [(min(unit, 4) + 0.5) / 5 for unit in range(12)]
    assert by_strength[0, :, 0].tolist() == pytest.approx(rising)
    assert by_level[0, :, 1].tolist() == pytest.approx([0.5] * 12)  # the song is the only excerpt of twelve units
    assert (found[0, :, [2, 3, 4, 5]] == 1.0).all()  # it has none of sixteen
    assert (found[1, :6] == 1.0).all()
