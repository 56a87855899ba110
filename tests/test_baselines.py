"""Baselines: lengths, optimality against brute force, and costs by hand."""

import time
from itertools import pairwise, product

import numpy as np
import pytest
from world_tracks import track

from rl_editor import baselines
from rl_editor.actions import ActionSpace
from rl_editor.baselines import JoinCosts, retarget_path
from rl_editor.config import Config
from rl_editor.edits import EditList, Segment
from rl_editor.labels import decode, encode
from rl_editor.state import AudioState, ReferenceStatistics

CONFIG = Config()


def beats_config() -> Config:
    config = Config()
    config.action_space.unit_beats = 1
    return config


def path_cost(path: list[int], costs: JoinCosts) -> float:
    leave, arrive = np.array([i + 1 for i in path[:-1]]), np.array(path[1:])
    return float(costs.between(leave, arrive).sum())


def test_loudest_takes_the_loud_section_first() -> None:
    state = track(form="ab", bars_per_section=4)  # a at 0.1, b at 0.25; 4 bars of 2 s each
    edit = baselines.loudest(state, CONFIG, duration_s=8.0)
    merged = edit.merged().segments
    assert len(merged) == 1  # just section b: from bar 4 to the end
    assert merged[0].source_start_frame == round(float(state.grid.times_s[16]) * state.recording.sample_rate)
    assert merged[0].source_end_frame == state.recording.frames


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_lengths_come_within_half_a_unit(share: float) -> None:
    state = track(form="aabb", bars_per_section=4)  # 16 bars of 2 s
    wanted = share * state.grid.duration_s
    rng = np.random.default_rng(0)
    for edit in (
        baselines.loudest(state, CONFIG, duration_s=wanted),
        baselines.random_at_ratio(state, CONFIG, duration_s=wanted, rng=rng),
        baselines.retarget_dp(state, CONFIG, duration_s=wanted),
    ):
        assert edit.duration_s == pytest.approx(wanted, abs=1.1)


def test_random_replays_with_its_generator() -> None:
    state = track(form="ab")
    draws = [
        baselines.random_at_ratio(state, CONFIG, duration_s=10.0, rng=np.random.default_rng(seed)) for seed in (3, 3, 4)
    ]
    assert draws[0] == draws[1] != draws[2]


def test_a_natural_continuation_costs_nothing_and_columns_agree_with_pairs() -> None:
    costs = JoinCosts(track(form="ab", bars_per_section=2), CONFIG, unit_beats=1)
    everywhere = np.arange(costs.n_points)
    assert costs.between(everywhere, everywhere).max() == 0.0
    pairs = np.array([costs.between(everywhere, np.full(costs.n_points, q)) for q in everywhere])
    np.testing.assert_allclose(costs.into(everywhere), pairs, atol=1e-6)


def flat_track(*, louder: float = 2.0) -> AudioState:
    """Four bars of 4/4 that differ in level alone, from beat 8 on."""
    state = track(form="ab", bars_per_section=2, mode="basic")
    features = state.features
    values = np.ones_like(features.values)
    values[:, features.names.index("rms")] = np.where(np.arange(len(values)) < 8, 0.1, 0.1 * louder)
    return AudioState(state.grid, type(features)(values, features.names), state.source)


def only(**weights: float) -> Config:
    config = Config()
    for name in ("tempo", "energy", "phrase", "transition"):
        setattr(config.reward, f"{name}_weight", weights.get(name, 0.0))
    return config


def test_a_join_costs_phrase_and_level_by_hand() -> None:
    """Bar 0 left at beat 2, bar 1 entered: wrong phase 0.55, off the bar 0.15, one bar, half the worst jump, 0.3/2.

    Level: loud after quiet is 20 log10(2) = 6.02 dB from both what played and what would have.
    """
    state, leave = flat_track(), np.array([2])
    config = only(phrase=3.0)
    config.reward.phrase_bars = 4
    even = flat_track(louder=1.0)  # no novelty, so no boundary of a section
    assert JoinCosts(even, config).between(leave, np.array([4]))[0] == pytest.approx(0.55 + 0.15 + 0.15)
    step_db = 20.0 * np.log10(2.0)
    steps = np.array([0.0] * 6 + [step_db / 2, step_db, step_db / 2] + [0.0] * 6)  # levels are means over two beats
    x = step_db / max(float(np.quantile(steps, 0.9)), 1.0)
    cost = JoinCosts(state, only(energy=1.0)).between(leave, np.array([12]))[0]
    assert cost == pytest.approx(x**2 / (1 + x**2), rel=1e-4)


def test_weights_are_shares() -> None:
    state, leave, arrive = flat_track(), np.array([2]), np.array([12])
    phrase = JoinCosts(state, only(phrase=1.0)).between(leave, arrive)[0]
    energy = JoinCosts(state, only(energy=1.0)).between(leave, arrive)[0]
    both = JoinCosts(state, only(phrase=1.0, energy=3.0)).between(leave, arrive)[0]
    assert both == pytest.approx(0.25 * phrase + 0.75 * energy, rel=1e-5)


def test_dp_is_optimal_against_brute_force() -> None:
    state = track(seed=3, form="ab", bars_per_section=3)  # 6 bars of 2 s
    costs = JoinCosts(state, CONFIG, unit_beats=4)
    units = state.grid.units(4)
    lengths = np.diff(units.times_s)
    for n_played in (3, 5, 6):
        wanted = n_played * 2.0
        path = retarget_path(state, CONFIG, duration_s=wanted)
        assert (path[0], path[-1]) == (0, 5)
        assert abs(float(lengths[path].sum()) - wanted) <= 1.1
        every = ([0, *middle, 5] for middle in product(range(6), repeat=n_played - 2))
        legal = [p for p in every if all(not 0 < 4 * (a + 1 - b) < baselines.MIN_LOOP_BEATS for a, b in pairwise(p))]
        assert path_cost(path, costs) == pytest.approx(min(path_cost(p, costs) for p in legal), abs=1e-4)


def test_dp_at_full_length_keeps_everything_and_beats_random() -> None:
    state = track()
    assert retarget_path(state, CONFIG, duration_s=state.grid.duration_s) == list(range(88))
    wanted, costs = 0.5 * state.grid.duration_s, JoinCosts(state, CONFIG)
    random = baselines.random_at_ratio(state, CONFIG, duration_s=wanted, rng=np.random.default_rng(0))
    assert costs.of_edit(baselines.retarget_dp(state, CONFIG, duration_s=wanted)).total < 0.2 * (
        costs.of_edit(random).total
    )


def test_the_dp_is_the_best_by_the_reference_that_it_is_judged_by() -> None:
    state = track()
    wanted, reference = 0.5 * state.grid.duration_s, ReferenceStatistics(4.0, 80.0, 60.0, 300.0)
    judged = JoinCosts(state, CONFIG, reference=reference)
    costs = [
        judged.of_edit(baselines.retarget_dp(state, CONFIG, duration_s=wanted, reference=told)).total
        for told in (reference, None)
    ]
    assert costs[0] < costs[1]


def test_dp_lengthens_by_looping() -> None:
    state = track(form="aabb", bars_per_section=4)
    edit = baselines.retarget_dp(state, CONFIG, duration_s=1.5 * state.grid.duration_s)
    assert edit.duration_s == pytest.approx(1.5 * state.grid.duration_s, abs=1.1)


def test_an_impossible_length_gives_start_and_end() -> None:
    assert retarget_path(track(form="ab"), CONFIG, duration_s=0.01) == [0, 15]


def test_one_unit_plays() -> None:
    state = track(form="a", bars_per_section=1)
    assert baselines.retarget_dp(state, CONFIG, duration_s=1.0).frames == state.recording.frames


def test_a_forward_cut_is_sayable_in_actions() -> None:
    state = track()
    edit = baselines.retarget_dp(state, CONFIG, duration_s=0.6 * state.grid.duration_s)
    space, units = ActionSpace(CONFIG.action_space), state.grid.units(4)
    labels = encode(edit, state.grid, space, unit_beats=4)
    again = decode(labels.actions, units, space, source=state.recording, crossfade_ms=50.0)
    if labels.coverage == 1.0:
        assert again.duration_s == pytest.approx(edit.duration_s, abs=1e-3)


def test_edit_cost_counts_late_start_and_early_end() -> None:
    state = track(form="ab", bars_per_section=2)
    costs = JoinCosts(state, CONFIG)
    rate = state.recording.sample_rate
    bounds = [round(float(t) * rate) for t in state.grid.times_s]
    inside = EditList(state.recording, (Segment(bounds[4], bounds[8] - bounds[4]),))
    cost = costs.of_edit(inside)
    edges = costs.between(np.array([0, 8]), np.array([4, costs.n_points - 1]))
    assert (cost.inner, cost.n_joins) == (0.0, 0)
    assert cost.total == pytest.approx(float(edges.sum()))


def test_150_units_solve_within_half_a_second() -> None:
    state = track(bars_per_section=14)  # 154 bars
    retarget_path(state, CONFIG, duration_s=100.0)
    start = time.process_time()
    retarget_path(state, CONFIG, duration_s=0.6 * state.grid.duration_s)
    assert time.process_time() - start < 0.5


def test_long_recordings_use_the_cheapest_ways() -> None:
    state = track(form="aabbaabb" * 2, bars_per_section=10)  # 640 beats
    wanted = 0.4 * state.grid.duration_s
    edit = baselines.retarget_dp(state, beats_config(), duration_s=wanted)
    assert edit.duration_s == pytest.approx(wanted, abs=0.3)
