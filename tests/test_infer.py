"""Editing with a policy: what plays is legal, repeatable, and of the style asked for."""

import copy
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from test_data import RATE, song
from test_delivery import cover_of, needs_ffmpeg, recording, told

from rl_editor.actions import CUT, FIRST_LOOP, KEEP, ActionSpace, Limits
from rl_editor.agent import Agent
from rl_editor.checkpoint import Objective, Policy, save_policy
from rl_editor.config import Config
from rl_editor.decoding import (
    Attempt,
    Desk,
    Goal,
    Leanings,
    _agents,
    _barred,
    _direction,
    asked_length,
    ranked,
    usual_length,
)
from rl_editor.edits import EditList
from rl_editor.errors import AudioFileError, CheckpointError, ConfigError, EditListError
from rl_editor.features import FEATURE_NAMES, BeatFeatures
from rl_editor.grid import BeatGrid
from rl_editor.infer import analysis_settings, edit_file, edit_recording, style_number
from rl_editor.reward import SUMMARY_NAMES, RewardCalculator
from rl_editor.reward_model import RewardModel
from rl_editor.reward_model.model import FEATURES, FORMAT
from rl_editor.state import AudioState

N_BEATS = 96


@pytest.fixture(scope="module")
def policy() -> Policy:
    config = Config()
    config.features.feature_mode = "basic"
    config.agent.d_model, config.agent.d_head, config.agent.n_layers = 8, 8, 1
    config.data.use_cache = False
    agent = Agent(config)
    torch.nn.init.normal_(agent.policy.kinds.weight, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        agent.policy.kinds.bias[KEEP] += 3.0  # something plays, whatever the weights
    return Policy(agent, config, ("ann", "bob"))


@pytest.fixture(scope="module")
def state() -> AudioState:
    values = np.random.default_rng(0).standard_normal((N_BEATS, 4)).astype(np.float32)
    grid = BeatGrid(np.arange(N_BEATS + 1) * 0.5, np.arange(N_BEATS) % 4)
    return AudioState(grid, BeatFeatures(values, FEATURE_NAMES["basic"]))


def listeners(*, doubt: float = 0.0, **taste: float) -> RewardModel:
    """Who likes features by so much; ``doubt`` is the spread of what they may like, as a share of it."""
    n = len(FEATURES)
    weights = np.array([taste.get(name, 0.0) for name in FEATURES])
    scale = {"mean": [0.0] * n, "deviation": [1.0] * n, "slope": [0.0] * n, "length": 0.0, "longer": 1.0}
    members = np.stack([weights * (1.0 + doubt), weights * (1.0 - doubt)])
    return RewardModel.from_dict(
        {
            "format": FORMAT,
            "features": list(FEATURES),
            "scale": scale,
            "settings": {"n_members": 2, "doubt": 1.0, "ridge": 1.0},
            "habits": {},
            "taste": weights.tolist(),
            "members": members.tolist(),
        }
    )


class TestSilence:
    @pytest.mark.parametrize("level", [0.0, 5e-5])  # digital silence; 20 log10(5e-5) is -86 dBFS
    def test_a_silent_recording_is_refused_and_nothing_is_written(
        self, policy: Policy, tmp_path: Path, level: float
    ) -> None:
        path = tmp_path / "silent.wav"
        sf.write(path, np.full(8 * RATE, level) * np.resize([1.0, -1.0], 8 * RATE), RATE, subtype="FLOAT")
        with pytest.raises(AudioFileError, match=r"silent\.wav: silent \(.* dBFS in mono\), at least -80 dBFS is"):
            edit_file(policy, path, tmp_path / "out.wav")
        assert not (tmp_path / "out.wav").exists()

    def test_soft_music_is_edited(self, policy: Policy, tmp_path: Path) -> None:
        sf.write(tmp_path / "soft.wav", 1e-3 * song(3, 8.0), RATE, subtype="FLOAT")
        assert edit_file(policy, tmp_path / "soft.wav", tmp_path / "out.wav").edit.segments


class TestEditRecording:
    def test_one_decision_per_unit_inside_the_source(self, policy: Policy, state: AudioState) -> None:
        edit = edit_recording(policy, state)
        assert len(edit.actions) == N_BEATS // 4
        assert edit.source == state.recording
        assert edit == edit_recording(policy, state)

    def test_it_is_what_the_flat_path_decides(self, policy: Policy, state: AudioState) -> None:
        from rl_editor.environment import AudioEditingEnv

        env = AudioEditingEnv(policy.config, audio_state=replace(state, style=1))
        observation, info = env.reset()
        done = False
        while not done:
            action = policy.agent.select_action(torch.from_numpy(observation), deterministic=True)[0]
            observation, _, terminated, truncated, info = env.step(int(action))
            done = terminated or truncated
        assert edit_recording(policy, state, style="bob").actions == info["edit_list"].actions

    def test_draws_hang_on_the_generator(self, policy: Policy, state: AudioState) -> None:
        def drawn(seed: int) -> EditList:
            generator = torch.Generator().manual_seed(seed)
            return edit_recording(policy, state, deterministic=False, generator=generator)

        assert drawn(1) == drawn(1)
        assert drawn(1) != drawn(2)

    @pytest.mark.parametrize("bars", [6, 13, 20])
    def test_asked_for_a_length_it_is_met_within_half_a_unit(
        self, policy: Policy, state: AudioState, bars: int
    ) -> None:
        asked_s = 2.0 * bars + 0.3  # bars of four beats of half a second
        edit = edit_recording(policy, state, target_duration_s=asked_s)
        assert edit.duration_s == pytest.approx(asked_s, abs=1.0)
        assert edit == edit_recording(policy, state, target_duration_s=asked_s)

    def test_the_best_attempt_near_the_length_is_taken(self) -> None:
        attempts = [
            Attempt((0,), 0.0, 0.0, 0.0, 0.0),  # plays nothing: last resort
            Attempt((1,), 9.0, -1.0, 1.1, 0.0),  # likeliest, but more than half a unit off
            Attempt((2,), 9.0, -9.0, 0.9, 0.8),  # -9 - (0.9 / 1)^2 / 2 = -9.405; 1 is 1 % of 100 s
            Attempt((3,), 9.0, -8.85, 1.0, 0.7),  # -8.85 - (1.0 / 1)^2 / 2 = -9.35: the best of the near ones
            Attempt((4,), 9.0, -20.0, 0.0, 0.9),
        ]

        def best(some: list[Attempt], unit_s: float, nats: float = 0.0) -> tuple[int, ...]:
            return ranked(some, goal=Goal(100.0, 1.0, asked=True), unit_s=unit_s, nats=nats)[0].actions

        assert best(attempts, 2.0) == (3,)
        assert best(attempts, 2.2) == (1,)
        assert best(attempts[:1], 2.0) == (0,)
        assert best(attempts, 2.0, nats=1.0) == (2,)  # -9.405 + 0.8 against -9.35 + 0.7
        assert best(attempts, 2.0, nats=200.0) == (4,)
        free = [attempt._replace(miss_s=0.0) for attempt in attempts]
        assert ranked(free, goal=None, unit_s=2.0, nats=0.0)[0].actions == (1,)

        def by_habit(spread_s: float) -> tuple[int, ...]:
            return ranked(attempts, goal=Goal(100.0, spread_s, asked=False), unit_s=2.0, nats=0.0)[0].actions

        assert by_habit(0.2) == (1,)  # -1 - (1.1 / 0.2)^2 / 2 = -16.1 against -20; half a unit means nothing here
        assert by_habit(0.1) == (4,)  # -61.5

    def test_half_a_unit_off_is_near_whatever_the_last_bits(self) -> None:
        """Half of 0.6 s is 0.3 s; 3.3 misses 3.6 by 0.30000000000000027 in floats, 3.0 misses 3.3 by 0.2999...98."""
        over, under = abs(3.3 - 3.6), abs(3.0 - 3.3)
        assert under < 0.3 < over
        for likely, other in ((over, under), (under, over)):
            attempts = [Attempt((0,), 3.3, -2.0, other, 0.0), Attempt((1,), 3.3, -1.0, likely, 0.0)]
            assert ranked(attempts, goal=Goal(3.6, 1.0, asked=True), unit_s=0.6, nats=0.0)[0].actions == (1,)
        near = [Attempt((0,), 3.3, -2.0, 0.3, 0.0), Attempt((1,), 3.3, -1.0, 0.31, 0.0)]
        assert ranked(near, goal=Goal(3.6, 1.0, asked=True), unit_s=0.6, nats=0.0)[0].actions == (0,)

    def test_the_search_goes_on_around_the_first_of_those_that_miss_alike(self) -> None:
        """Of 33 leanings from -12 to 12 in steps of 0.75, number 8 is -6: it and number 9 miss by half a unit."""
        tried = [Attempt((0,), 0.0, 0.0, 0.0, 0.0)] + [Attempt((0,), 9.0, 0.0, 5.0, 0.0)] * 32
        over, under = abs(3.3 - 3.6), abs(3.0 - 3.3)
        for first, second in ((over, under), (under, over)):
            tried[8:10] = [Attempt((0,), 9.0, 0.0, miss, 0.0) for miss in (first, second)]
            leanings = Leanings()
            leanings.narrow(tried)
            assert leanings.nearest == -6.0
            assert (leanings.tried()[0], leanings.tried()[-1]) == (-6.75, -5.25)

    @pytest.mark.parametrize("share", [0.25, 0.75])
    def test_without_a_length_the_editors_usual_one_counts_as_far_as_it_is_usual(
        self, policy: Policy, state: AudioState, share: float
    ) -> None:
        def length(pairs: list[float]) -> float:
            agent = copy.deepcopy(policy.agent)
            durations = torch.linspace(30.0, 300.0, len(pairs))
            agent.usual_lengths.fit(torch.tensor(pairs), durations, torch.zeros(len(pairs), dtype=torch.long))
            return edit_recording(replace(policy, agent=agent), state).duration_s / state.grid.duration_s

        own = edit_recording(policy, state).duration_s / state.grid.duration_s
        assert abs(own - share) > 0.15
        assert length([share] * 1000) == pytest.approx(share, abs=0.05)
        assert length([share / 8, share * 8]) == pytest.approx(own, abs=0.05)  # anything is usual

    def test_more_passages_loop_or_move_where_that_is_usual(self, policy: Policy, state: AudioState) -> None:
        def regions(looped: int, moved: int) -> list[int]:
            agent, n = copy.deepcopy(policy.agent), 1000
            pairs = torch.tensor([[looped, moved]] * n)
            agent.usual_regions.fit(pairs, torch.full((n,), state.grid.duration_s), torch.zeros(n, dtype=torch.long))
            found = edit_recording(replace(policy, agent=agent), state, target_duration_s=24.0).regions
            return [sum(region.action == kind for region in found) for kind in ("LOOP", "REORDER")]

        loops, moves = regions(8, 0), regions(0, 8)
        assert loops[0] > moves[0]
        assert loops[1] < moves[1]

    @pytest.mark.parametrize("asked_s", [None, 24.0])
    def test_a_policy_with_an_objective_chooses_by_it(
        self, policy: Policy, state: AudioState, asked_s: float | None
    ) -> None:
        def reward(objective: Objective | None) -> float:
            edit = edit_recording(replace(policy, objective=objective), state, target_duration_s=asked_s)
            return RewardCalculator(policy.config).score(edit, state, target_duration_s=asked_s).total

        imitated, chosen = reward(None), reward(Objective(nats=1e4))
        assert chosen > imitated + 0.005
        assert reward(Objective(nats=1e4, enough=(chosen + 0.001, 1.0))) == chosen
        assert reward(Objective(nats=1e4, enough=(imitated - 0.001, 1.0))) == imitated  # more counts for nothing

    @pytest.mark.parametrize("asked_s", [None, 24.0])
    def test_what_listeners_surely_prefer_is_part_of_the_objective(
        self, policy: Policy, state: AudioState, asked_s: float | None
    ) -> None:
        heavy = replace(policy, config=replace(policy.config, reward=replace(policy.config.reward, learned_weight=1e3)))

        def strength(objective: Objective | None) -> float:
            """Mean energy rank of what plays."""
            edit = edit_recording(replace(heavy, objective=objective), state, target_duration_s=asked_s)
            return float(RewardCalculator(policy.config).summary(edit, state)[SUMMARY_NAMES.index("energy_rank")])

        weak, strong = (strength(Objective(1e4, learned=listeners(energy_rank=taste))) for taste in (-1.0, 1.0))
        assert weak < strength(None) - 0.01
        assert strong >= strength(None)  # which may be as strong as can be
        assert strong > weak + 0.05

    @pytest.mark.parametrize("asked_s", [None, 24.0])
    def test_what_listeners_may_not_prefer_does_not_replace_the_clones_own_edit(
        self, policy: Policy, state: AudioState, asked_s: float | None
    ) -> None:
        other = copy.deepcopy(policy.agent)  # the policy that training gave
        torch.nn.init.normal_(other.policy.kinds.weight, generator=torch.Generator().manual_seed(5))

        def edited(learned: RewardModel) -> EditList:
            objective = Objective(1e4, learned=learned, clone=policy.agent)
            return edit_recording(replace(policy, agent=other, objective=objective), state, target_duration_s=asked_s)

        cloned = edit_recording(policy, state, target_duration_s=asked_s)
        assert cloned != edit_recording(replace(policy, agent=other), state, target_duration_s=asked_s)
        assert edited(listeners()) == cloned  # indifferent
        assert edited(listeners(energy_rank=-1.0, doubt=0.9)) != cloned  # weaker by d: d - 0.9 d is above 0
        assert edited(listeners(energy_rank=-1.0, doubt=1.1)) == cloned  # and d - 1.1 d is not

    def test_of_a_length_out_of_reach_the_nearest_are_taken(self) -> None:
        """(900 / 100)^2 / 2 = 40.5 and (890 / 100)^2 / 2 = 39.6: less than a nat between 900 s and 890 s."""
        attempts = [
            Attempt((0,), 100.0, -1.0, 900.0, 0.0),
            Attempt((1,), 110.0, -300.0, 890.0, 0.0),
            Attempt((2,), 108.5, -200.0, 891.5, 0.0),  # within a unit of the nearest, and likelier
        ]
        silent = Attempt((3,), 0.0, 0.0, 10.0, 0.0)  # of a recording that plays, nothing is not the nearest
        found = ranked([*attempts, silent], goal=Goal(1000.0, 100.0, asked=True), unit_s=2.0, nats=0.0)
        assert [attempt.actions for attempt in found] == [(2,), (1,), (0,), (3,)]

    def test_what_listeners_doubt_comes_after_what_they_do_not(self) -> None:
        attempts = [
            Attempt((0,), 9.0, -1.0, 0.0, 0.9, doubtful=True),
            Attempt((1,), 9.0, -5.0, 0.0, 0.0),
            Attempt((2,), 9.0, -1.0, 1.1, 0.9),  # more than half a unit off
        ]
        goal = Goal(100.0, 1.0, asked=True)
        assert [each.actions for each in ranked(attempts, goal=goal, unit_s=2.0, nats=1.0)] == [(1,), (0,), (2,)]
        near, far = Attempt((0,), 9.0, -1.0, 50.0, 0.0, doubtful=True), Attempt((1,), 9.0, -1.0, 53.0, 0.0)
        assert [each.actions for each in ranked([far, near], goal=goal, unit_s=2.0, nats=1.0)] == [(0,), (1,)]

    def test_for_listeners_more_is_drawn(self, policy: Policy, state: AudioState) -> None:
        """At will once the likeliest and 2 x 64 draws; to a length 2 x 2 x 33 leanings and 2 x 8 x 16 draws."""

        def attempts(learned: RewardModel | None, goal: Goal | None) -> int:
            objective = Objective(0.0, learned=learned)
            generator = torch.Generator().manual_seed(0)
            desk = Desk(replace(policy, objective=objective), state, goal=goal, limits=None, generator=generator)
            return len(desk.at_will() if goal is None else desk.to_length(0.0))

        for goal, drawn, rest in ((None, 128, 1), (asked_length(24.0), 256, 132)):
            assert attempts(None, goal) == drawn + rest
            assert attempts(listeners(), goal) == 4 * drawn + rest + 1  # and the clone's own edit

    @pytest.mark.parametrize("asked_s", [None, 24.0])
    def test_beside_its_clone_a_policy_finds_what_is_worth_more_than_either(
        self, policy: Policy, state: AudioState, asked_s: float | None
    ) -> None:
        other = copy.deepcopy(policy.agent)
        torch.nn.init.normal_(other.policy.kinds.weight, generator=torch.Generator().manual_seed(5))

        def reward(agent: Agent, objective: Objective | None) -> float:
            edit = edit_recording(replace(policy, agent=agent, objective=objective), state, target_duration_s=asked_s)
            return RewardCalculator(policy.config).score(edit, state, target_duration_s=asked_s).total

        alone = reward(policy.agent, None), reward(other, Objective(0.0))
        assert reward(other, Objective(1e4, clone=policy.agent)) > max(alone)

    def test_beside_its_clone_a_policy_is_half_believed(self, policy: Policy, state: AudioState) -> None:
        other = copy.deepcopy(policy.agent)
        torch.nn.init.normal_(other.policy.kinds.weight, generator=torch.Generator().manual_seed(5))
        n_units = len(state.grid.units(policy.config.action_space.unit_beats).times_s) - 1
        decided = np.arange(n_units) >= 2  # two units to decide on, so that all attempt the same
        limits = Limits(decided, np.zeros(n_units, bool), loops=False, moves=False)

        def likely(agent: Agent, clone: Agent | None) -> dict[tuple[int, ...], float]:
            objective = Objective(0.0, clone=clone)
            generator = torch.Generator().manual_seed(0)
            desk = Desk(
                replace(policy, agent=agent, objective=objective), state, goal=None, limits=limits, generator=generator
            )
            return {attempt.actions: attempt.log_prob for attempt in desk.at_will()}

        one, two, both = likely(other, None), likely(policy.agent, None), likely(other, policy.agent)
        known = one.keys() & two.keys() & both.keys()
        assert len(known) >= 3
        assert max(abs(one[actions] - two[actions]) for actions in known) > 0.1
        for actions in known:
            assert both[actions] == pytest.approx(0.5 * (one[actions] + two[actions]), abs=1e-4)

    def test_an_unknown_style_is_named(self, policy: Policy, state: AudioState) -> None:
        with pytest.raises(CheckpointError, match="style 'eve': the policy learned ann, bob"):
            edit_recording(policy, state, style="eve")

    def test_a_style_may_be_spelled_as_in_the_table_of_pairs(self, policy: Policy) -> None:
        known = Policy(policy.agent, policy.config, ("ann", "Björn_loops"))  # as the library calls Björn (loops)
        assert style_number(known, "Björn (loops)") == style_number(known, "Björn_loops") == 1


class TestWays:
    """What attempts are decided by, without a recording."""

    def test_what_is_decided_leaves_one_decision_open_and_to_keep_comes_first(self) -> None:
        """Of four units the first is kept, the second cut, the third both."""
        space, n = ActionSpace(Config().action_space), 4
        keep, drop = np.array([1, 0, 1, 0], bool), np.array([0, 1, 1, 0], bool)
        for loops in (False, True):
            for moves in (False, True):
                barred = _barred(Config(), Limits(keep, drop, loops=loops, moves=moves)).numpy()
                opened = [np.flatnonzero(~barred[unit]).tolist() for unit in range(n)]
                assert opened[:3] == [[KEEP], [CUT], [KEEP]]
                some = range(FIRST_LOOP, space.extend) if loops else ()
                rest = range(space.first_reorder, space.n_discrete_actions) if moves else ()
                assert opened[3] == [KEEP, CUT, *some, space.extend, *rest]

    def test_leaning_towards_playing_is_away_from_cuts_and_to_loops_where_the_output_is_longer(self) -> None:
        space = ActionSpace(Config().action_space)
        for loops in (False, True):
            leaning = _direction(Config(), loops=loops).tolist()
            assert leaning[: space.extend] == [0.0, -1.0, *[float(loops)] * (space.extend - FIRST_LOOP)]
            assert not any(leaning[space.extend :])

    def test_a_policy_and_its_clone_count_alike_but_for_listeners_the_clone_alone(self, policy: Policy) -> None:
        clone = copy.deepcopy(policy.agent)

        def shares(objective: Objective | None) -> tuple[list[Agent], list[float]]:
            return _agents(replace(policy, objective=objective))

        assert shares(None) == shares(Objective(1.0)) == ([policy.agent], [1.0])
        assert shares(Objective(1.0, clone=clone)) == ([policy.agent, clone], [0.5, 0.5])
        assert shares(Objective(1.0, clone=clone, learned=RewardModel())) == ([policy.agent, clone], [0.0, 1.0])

    def test_the_usual_length_is_nobodys_wish_and_its_spread_in_seconds(
        self, policy: Policy, state: AudioState
    ) -> None:
        """One pair of half the length: the spread is the tenth that two pairs in doubt are off, times sqrt(2)."""
        agent = copy.deepcopy(policy.agent)
        agent.usual_lengths.fit(torch.tensor([0.5]), torch.tensor([100.0]), torch.zeros(1, dtype=torch.long))
        goal = usual_length(replace(policy, agent=agent), 0, state)
        assert goal == (pytest.approx(24.0), pytest.approx(24.0 * 0.1 * 2**0.5), False)  # of 48 s
        assert usual_length(replace(policy, agent=agent), 1, state) is None
        assert asked_length(24.0) == (24.0, pytest.approx(0.24), True)


class TestEditFile:
    def test_rate_channels_and_length_of_the_edit(self, policy: Policy, tmp_path: Path) -> None:
        mono = song(0, 12.0)
        sf.write(tmp_path / "in.wav", np.stack([mono, mono * 0.5], axis=1), RATE, subtype="PCM_24")
        edited = edit_file(policy, tmp_path / "in.wav", tmp_path / "out.wav", target_duration_s=6.0)
        written = sf.info(tmp_path / "out.wav")
        assert (written.samplerate, written.channels, written.subtype) == (RATE, 2, "PCM_24")
        assert written.frames == edited.edit.frames

    def test_a_policy_that_keeps_nothing_is_named(self, policy: Policy, tmp_path: Path) -> None:
        agent = Agent(policy.config)
        with torch.no_grad():
            agent.policy.kinds.bias[CUT] = 1e3
        sf.write(tmp_path / "in.wav", song(0, 12.0), RATE)
        with pytest.raises(CheckpointError, match=r"in\.wav: the policy keeps nothing of it"):
            edit_file(replace(policy, agent=agent), tmp_path / "in.wav", tmp_path / "out.wav")
        assert not (tmp_path / "out.wav").exists()

    def test_the_policys_own_view_of_audio_wins_over_settings(self, policy: Policy) -> None:
        mine = Config()
        mine.render.join_search_ms = 5.0
        used = analysis_settings(policy, mine)
        assert used.features.feature_mode == "basic"
        assert used.render.join_search_ms == 5.0

    def test_the_command_writes_audio_and_edit_list(self, policy: Policy, tmp_path: Path) -> None:
        from rl_editor.infer import main

        sf.write(tmp_path / "in.wav", song(1, 10.0), RATE)
        save_policy(tmp_path / "p.pt", policy)
        main(tmp_path / "in.wav", tmp_path / "out.flac", tmp_path / "p.pt", edit_list_out=tmp_path / "edits.json")
        edit = EditList.load(tmp_path / "edits.json")
        assert sf.info(tmp_path / "out.flac").frames == edit.frames

    def test_where_the_edit_list_cannot_be_written_there_is_no_audio_either(
        self, policy: Policy, tmp_path: Path
    ) -> None:
        sf.write(tmp_path / "in.wav", song(1, 10.0), RATE)
        (tmp_path / "edits.json").mkdir()
        with pytest.raises(OSError, match=r"edits\.json"):
            edit_file(policy, tmp_path / "in.wav", tmp_path / "out.wav", edit_list_out=tmp_path / "edits.json")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["edits.json", "in.wav"]

    @pytest.mark.parametrize("name", ["song.wav", "song", "song.json.bak"])
    def test_an_edit_list_over_a_recording_is_refused_before_computing(self, tmp_path: Path, name: str) -> None:
        from rl_editor.infer import main

        (tmp_path / name).write_bytes(b"the only copy")
        with pytest.raises(ConfigError, match=r"--edit-list-out is an edit list \(JSON\); name it song\."):
            main(tmp_path / "in.wav", tmp_path / "out.wav", tmp_path / "none.pt", edit_list_out=tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"the only copy"

    @pytest.mark.parametrize(
        ("kind", "said"), [(KEEP, r"10\.0 s in 1 segment\n"), (FIRST_LOOP, r"s in [1-9]\d? segments\n")]
    )
    def test_the_command_counts_segments(
        self, policy: Policy, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: int, said: str
    ) -> None:
        """Of a policy that keeps all there is one; that loops all, several."""
        from rl_editor.infer import main

        agent = copy.deepcopy(policy.agent)
        with torch.no_grad():
            agent.policy.kinds.bias[kind] += 1e3
        sf.write(tmp_path / "in.wav", song(1, 10.0), RATE)
        save_policy(tmp_path / "p.pt", replace(policy, agent=agent))
        main(tmp_path / "in.wav", tmp_path / "out.flac", tmp_path / "p.pt")
        assert re.search(said, capsys.readouterr().err)

    def test_the_command_takes_minutes_and_says_by_how_much_a_length_is_missed(
        self, policy: Policy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from rl_editor.infer import main

        sf.write(tmp_path / "in.wav", song(1, 10.0), RATE)
        save_policy(tmp_path / "p.pt", policy)
        files = (tmp_path / "in.wav", tmp_path / "out.flac", tmp_path / "p.pt")
        main(*files, target_duration="1:02.3")
        frames = sf.info(tmp_path / "out.flac").frames
        said = capsys.readouterr().err
        assert f"; off the length asked for by {frames / RATE - 62.3:+.2f} s, rl-editor edit comes nearer\n" in said
        main(*files, target_duration=str(frames / RATE))
        assert "off the length" not in capsys.readouterr().err
        with pytest.raises(ConfigError, match=r"--target-duration '1:75': not a time; write seconds \(95\.5\), m:ss"):
            main(*files, target_duration="1:75")

    @needs_ffmpeg
    def test_tags_and_cover_go_along(self, policy: Policy, tmp_path: Path) -> None:
        path = recording(tmp_path, ".flac", tags={"title": "Tune", "composer": "Bo", "my own": "words"})
        edit_file(policy, path, tmp_path / "out.mp3")
        found = told(tmp_path / "out.mp3")
        assert [found.get(name) for name in ("title", "composer", "my own")] == ["Tune", "Bo", "words"]
        assert cover_of(tmp_path / "out.mp3") == (tmp_path / "cover.png").read_bytes()

    def test_a_format_that_cannot_be_written_is_refused_before_anything_is_computed(
        self, policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sf.write(tmp_path / "in.wav", song(0, 12.0), RATE)
        monkeypatch.setattr(AudioState, "from_file", None)
        with pytest.raises(AudioFileError, match=r"out\.xyz: .*can be written"):
            edit_file(policy, tmp_path / "in.wav", tmp_path / "out.xyz")
        # 2 bytes a sample: 2 * 22 050 * 100 000 = 4.1 * 2^30
        with pytest.raises(AudioFileError, match=r"out\.wav: 4\.1 GiB of audio, \.wav holds at most 4"):
            edit_file(policy, tmp_path / "in.wav", tmp_path / "out.wav", target_duration_s=100_000.0)
        with pytest.raises(EditListError, match="length asked for: nan s"):
            edit_file(policy, tmp_path / "in.wav", tmp_path / "out.wav", target_duration_s=float("nan"))
