"""Terms by hand, and the equality of edit lists and batched decisions."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from world_tracks import RATE_HZ, track

from rl_editor.actions import CUT, KEEP, ActionLedger, ActionSpace, ReorderAction
from rl_editor.config import Config
from rl_editor.demonstrations import Analysis
from rl_editor.edits import EditList, Segment, SourceInfo, keep_all
from rl_editor.environment import BatchedEditingEnv
from rl_editor.environment.batched import Scores
from rl_editor.errors import EditListError
from rl_editor.features import BeatFeatures
from rl_editor.grid import BeatGrid
from rl_editor.labels import decode
from rl_editor.reward import SUMMARY_NAMES, ReferenceStatistics, RewardCalculator
from rl_editor.reward.faults import GAIN, Offsets, faults_of
from rl_editor.reward.terms import FAULT_BARS, brief, combined, stacked
from rl_editor.state import AudioState, StateRepresentation, TrackBatch
from rl_editor.state.tables import BAR, BAR_PHASE, LEVEL_AFTER, LEVEL_BEFORE, LOG2_INTERVAL, N_POINT_SCALARS, STRENGTH


def random_actions(n_units: int, space: ActionSpace, rng: np.random.Generator) -> list[int]:
    """A legal sequence in which every kind of decision is likely."""
    chance = np.full(space.n_discrete_actions, 0.3 / len(space.target_offsets))
    chance[: space.first_reorder] = [0.4, 0.15, *[0.05] * (space.max_loop_times - 1), 0.6]
    ledger = ActionLedger(n_units, space)
    while ledger.unit < n_units:
        share = ledger.mask() * chance
        ledger.push(int(rng.choice(len(share), p=share / share.sum())))
    return ledger.actions


def played(state: AudioState, config: Config, actions: list[int]) -> EditList:
    units = state.grid.units(config.action_space.unit_beats)
    return decode(actions, units, ActionSpace(config.action_space), source=state.recording, crossfade_ms=50.0)


def scores_of(
    actions: torch.Tensor, batch: TrackBatch, config: Config, *, target_s: torch.Tensor | None = None
) -> Scores:
    """Of one sequence of decisions per track, as the environment takes them."""
    env = BatchedEditingEnv(batch, config, n_envs=len(actions), generator=torch.Generator())
    env.reset(torch.arange(len(actions)), None if target_s is None else target_s / batch.reward.duration_s)
    for decided in actions.unbind(1):
        env.decide(decided)
    return env.scores()


def frames_of_bar(state: AudioState, bar: int) -> int:
    return round(float(state.grid.times_s[4 * bar]) * RATE_HZ)


def section_edit(state: AudioState, *spans: tuple[int, int]) -> EditList:
    """Whole bars, (first, last exclusive), of a track in 4/4 without lead-in."""
    bounds = [(frames_of_bar(state, a), frames_of_bar(state, b)) for a, b in spans]
    return EditList(state.recording, tuple(Segment(a, b - a) for a, b in bounds))


@pytest.mark.parametrize(("unit_beats", "beats_per_bar"), [(4, 4), (1, 4), (4, 3), (1, 3), (2, 4)])
def test_batched_score_is_the_score_of_the_decoded_edit(unit_beats, beats_per_bar):
    config, rng = Config(), np.random.default_rng(unit_beats)
    config.action_space.unit_beats = unit_beats
    states = [
        track(0, form="iab", bars_per_section=4, beats_per_bar=beats_per_bar),
        track(1, form="abc", lead_in_s=0.3, tail_s=0.7, beats_per_bar=beats_per_bar, bars_per_section=3),
        track(2, form="a", bars_per_section=1, beats_per_bar=beats_per_bar),
    ]
    representation, calculator = StateRepresentation(config), RewardCalculator(config)
    batch = representation.batch(states)
    targets = [15.0, None, 1.0]
    target_s = torch.tensor([math.nan if t is None else t for t in targets])
    for _ in range(3):
        actions = [random_actions(int(n), representation.space, rng) for n in batch.n_units]
        longest = int(batch.n_units.max())
        table = torch.tensor([a + [KEEP] * (longest - len(a)) for a in actions])
        result = scores_of(table, batch, config, target_s=target_s)
        totals = combined(result.terms, config.reward)
        for i, state in enumerate(states):
            edit = played(state, config, actions[i])
            score = calculator.score(edit, state, target_duration_s=targets[i])
            assert list(score[:6]) == pytest.approx(result.terms[i].tolist(), abs=1e-5)
            assert score.total == pytest.approx(float(totals[i]), abs=1e-5)
            summary = calculator.summary(edit, state, target_duration_s=targets[i])
            assert summary.tolist() == pytest.approx(result.summary[i].tolist(), abs=1e-4)


def test_playing_on_costs_nothing():
    state, calculator = track(form="iab"), RewardCalculator(Config())
    whole = calculator.score(keep_all(state.recording), state)
    assert whole[:6] == (1.0,) * 6
    cut_in_two = section_edit(state, (0, 5), (5, 24))
    assert calculator.score(cut_in_two, state)[:6] == (1.0,) * 6


def point(**columns: float) -> torch.Tensor:
    names = {
        "before": LEVEL_BEFORE,
        "after": LEVEL_AFTER,
        "interval": LOG2_INTERVAL,
        "phase": BAR_PHASE,
        "bar": BAR,
        "strength": STRENGTH,
        "heard": N_POINT_SCALARS,
    }
    row = torch.zeros(1, 1, N_POINT_SCALARS + 1)
    for name, value in columns.items():
        row[..., names[name]] = value
    return row


def faults(out: torch.Tensor, into: torch.Tensor, offsets: Offsets | None = None) -> list[float]:
    moved = torch.tensor([[True]])
    scale, beats = torch.tensor([[2.0]]), torch.tensor([[4.0]])
    found = faults_of(out, into, moved=moved, level_scale_db=scale, beats_per_bar=beats, phrase_bars=4, offsets=offsets)
    return stacked(found)[0, 0].tolist()


def test_faults_by_hand():
    # level: played -20 before, -18 was due, -14 comes: the smaller of 6 and 4 dB, in steps of 2 dB: x = 2, 4/5
    out = point(before=-20.0, after=-18.0, bar=3.0, heard=1.0)
    into = point(before=-9.0, after=-14.0, bar=5.0, heard=1.5, interval=0.06)
    tempo, energy, phrase, transition, count, backward = faults(out, into)
    assert tempo == pytest.approx(0.5)  # 4 % of tempo: x = 1
    assert energy == pytest.approx(4 / 5)
    assert phrase == pytest.approx(0.3)  # 2 of 4 bars on: the worst jump, at bar lines, in phase
    assert transition == pytest.approx(0.25 / 1.25)  # x = 1/2
    assert (count, backward) == (1.0, 0.0)
    assert faults(into, out)[-1] == 1.0  # from bar 5 to bar 3
    assert faults(point(bar=3.0, phase=2.0), point(bar=3.0, phase=1.0))[-1] == 1.0  # a beat back within a bar


def test_phrase_fault_by_hand():
    assert faults(point(bar=3.0), point(bar=7.0))[2] == pytest.approx(0.0)  # a phrase of 4 bars on
    assert faults(point(bar=3.0), point(bar=4.0))[2] == pytest.approx(0.15)  # a quarter phrase: half of the worst
    assert faults(point(bar=3.0), point(bar=6.0))[2] == pytest.approx(0.15)  # and so is a bar less than a phrase
    assert faults(point(bar=3.0, strength=1.0), point(bar=4.0, strength=0.5))[2] == pytest.approx(0.075)
    assert faults(point(bar=3.0, phase=2.0), point(bar=7.0, phase=2.0))[2] == pytest.approx(0.15)  # not at a bar line
    assert faults(point(bar=3.0), point(bar=7.0, phase=1.0))[2] == pytest.approx(0.55 + 0.15)  # out of phase


def test_off_beat_cuts_by_hand():
    def cut(out_s: float, into_s: float) -> list[float]:
        zero = torch.zeros(1, 1)
        offsets = Offsets(torch.tensor([[out_s]]), torch.tensor([[into_s]]), zero, zero)
        return faults(point(interval=-1.0), point(interval=-1.0), offsets)  # beats of half a second

    assert cut(0.0, 0.03)[0] == pytest.approx(0.5)  # the pulse comes 30 ms late: x = 1
    assert cut(0.02, 0.02)[0] == 0.0  # both sides alike: the pulse goes on ..
    assert cut(0.02, 0.02)[2] == 0.0  # .. and a renderer may move a join that far
    assert cut(0.125, 0.125)[2] == pytest.approx(0.1 / 0.25)  # 100 ms beyond, of half a beat
    assert cut(0.0, -0.125)[2] == cut(0.125, 0.0)[2] == pytest.approx(0.1 / 0.25)  # the side that is further off counts
    assert cut(0.6, 0.0)[2] == 1.0  # and no more than a whole fault


def test_speed_and_gain_steps_by_hand():
    def stepped(out: torch.Tensor, into: torch.Tensor, *, gain_db: float = 0.0, octaves: float = 0.0) -> list[float]:
        zero = torch.zeros(1, 1)
        return faults(out, into, Offsets(zero, zero, torch.tensor([[gain_db]]), torch.tensor([[octaves]])))

    slower = point(interval=0.06)  # where it comes back, beats are 0.06 octaves longer ..
    assert stepped(point(), slower, octaves=0.06)[0] == pytest.approx(0.0)  # .. and play so much faster: none is heard
    assert stepped(point(), slower, octaves=-0.06)[0] == pytest.approx(4 / 5)  # slower still: x = 2
    # the song steps from -20 to -18, and -14 comes: 6 and 4 dB too loud, and 4 dB less gain takes off the smaller
    out, into = point(before=-20.0, after=-18.0), point(after=-14.0)
    assert stepped(out, into, gain_db=-4.0)[1] == pytest.approx(6.25 / 7.25)  # 1.25 * 4 dB in steps of 2: x = 2.5
    assert stepped(out, into, gain_db=2.0)[1] == pytest.approx(18.0625 / 19.0625)  # (4 + 2) + 1.25 * 2 dB: x = 4.25


def test_gain_never_pays():
    rng = np.random.default_rng(0)
    zero = torch.zeros(1, 1)
    for _ in range(50):
        out, into = point(before=rng.normal(0, 9), after=rng.normal(0, 9)), point(after=rng.normal(0, 9))
        gained = Offsets(zero, zero, torch.tensor([[float(rng.normal(0, 9))]]), zero)
        assert faults(out, into, gained)[1] > faults(out, into)[1]
    assert GAIN > 1.0


def test_a_gain_or_a_speed_that_makes_up_for_the_song_s_own_step_is_heard_less():
    state, calculator = track(form="iab"), RewardCalculator(Config())
    first, second = section_edit(state, (0, 4), (18, 24)).segments  # from a soft passage into a loud one
    db = 20.0 * np.log10(state.features.column("rms"))
    step_db = float(db[72:74].mean() - db[14:16].mean())
    assert step_db > 6.0

    def costs(config_state: AudioState, **changed: float) -> np.ndarray:
        edit = EditList(config_state.recording, (first, replace(second, **changed)))
        return calculator.join_costs(edit, config_state)[0]

    assert costs(state, gain_db=-step_db)[1] < costs(state, gain_db=step_db)[1]

    slowing = state.grid.times_s.copy()
    slowing[64:] += 0.05 * (slowing[64:] - slowing[64])  # the last section is 5 % slower
    slower = replace(
        state,
        grid=replace(state.grid, times_s=slowing),
        source=replace(state.recording, frames=round(float(slowing[-1]) * RATE_HZ)),
    )
    bounds = slower.recording.frame_bounds(slowing)
    first, second = (Segment(int(bounds[a]), int(bounds[b] - bounds[a])) for a, b in ((0, 16), (72, 88)))
    assert costs(slower, speed=1.05)[0] < 0.05 < 0.3 < costs(slower)[0] < costs(slower, speed=1 / 1.05)[0]


def test_joins_add_up_over_the_bars_of_output():
    state, calculator = track(form="iabab"), RewardCalculator(Config())
    edit = section_edit(state, (0, 6), (9, 20), (30, 40))  # 27 bars
    cost = calculator.join_costs(edit, state)
    assert cost.shape == (2, 4)
    bar_s = 4 * 60.0 / state.grid.tempo_bpm
    allowance = edit.duration_s / bar_s / FAULT_BARS
    terms = calculator.score(edit, state)[:4]
    assert terms == pytest.approx(np.exp(-cost.sum(axis=0) / allowance), rel=1e-5)
    short = section_edit(state, (0, 2), (9, 11))  # of fewer bars than a fault is spread over: it counts whole
    assert calculator.score(short, state)[:4] == pytest.approx(
        np.exp(-calculator.join_costs(short, state)[0]), rel=1e-5
    )


def test_a_join_between_equal_passages_costs_less_than_one_between_others():
    state, calculator = track(form="iabab", bars_per_section=8), RewardCalculator(Config())
    alike = calculator.join_costs(section_edit(state, (0, 12), (28, 40)), state)[0]  # a, bar 4 -> the other a's bar 4
    other = calculator.join_costs(section_edit(state, (0, 12), (20, 40)), state)[0]  # into the middle of b
    assert alike[3] < 0.2 < other[3]


def test_duration_term_by_hand():
    config = Config()
    state, calculator = track(form="iab"), RewardCalculator(config)
    length = state.grid.duration_s
    score = calculator.score(keep_all(state.recording), state, target_duration_s=length / 1.1)
    assert score.duration == pytest.approx(math.exp(-0.1 / config.reward.duration_tolerance), rel=1e-4)
    config.reward.target_max_duration_s = length / 1.2
    assert calculator.score(keep_all(state.recording), state).duration == pytest.approx(math.exp(-2.0), rel=1e-4)


def test_limits_of_length_come_from_the_settings_and_from_finished_music():
    config = Config()
    config.reward.target_max_duration_s = 600.0
    source_s = torch.tensor([60.0, 600.0])

    def limits(reference: ReferenceStatistics | None) -> tuple[list[float], list[float]]:
        nothing = torch.full((2,), math.nan)
        found = brief(
            config.reward,
            target_s=nothing,
            loop_limit=nothing,
            source_s=source_s,
            bar_s=torch.tensor([2.0, 2.0]),
            reference=reference,
        )
        return found.shortest_s.tolist(), found.longest_s.tolist()

    assert limits(None) == (pytest.approx([12.0, 30.0]), [600.0, 600.0])  # a fifth of a short source
    assert limits(ReferenceStatistics(1.0, 1.0, 90.0, 300.0)) == (pytest.approx([12.0, 90.0]), [300.0, 300.0])
    assert limits(ReferenceStatistics(1.0, 1.0, 90.0, 900.0))[1] == [600.0, 600.0]  # never beyond the setting


def test_loop_term_by_hand():
    state, calculator = track(form="a"), RewardCalculator(Config())
    whole = (0, 8)
    twice = section_edit(state, whole, whole)  # half of the output is heard again
    assert calculator.score(twice, state).loop == pytest.approx(math.exp(-(0.5 - 0.15) / 0.1), rel=1e-4)
    assert calculator.score(twice, state, style="extended_mix").loop == 1.0  # its limit is 0.6
    assert calculator.summary(twice, state)[SUMMARY_NAMES.index("replayed")] == pytest.approx(0.5)


def test_what_is_heard_again_is_a_share_of_the_output_at_any_speed():
    state, calculator = track(form="a"), RewardCalculator(Config())
    twice = section_edit(state, (0, 8), (0, 8))
    faster = tuple(replace(s, speed=1.25, frames=round(s.frames / 1.25)) for s in twice.segments)
    replayed = calculator.summary(replace(twice, segments=faster), state)[SUMMARY_NAMES.index("replayed")]
    assert replayed == pytest.approx(0.5, abs=1e-4)  # not 1.25 * 0.5


def test_summary_by_hand():
    state, calculator = track(form="ab"), RewardCalculator(Config())  # 16 bars of 4 beats, alike long to 1 %
    edit = section_edit(state, (0, 4), (6, 8))
    named = dict(
        zip(
            SUMMARY_NAMES,
            calculator.summary(edit, state, target_duration_s=edit.duration_s / 1.25).tolist(),
            strict=True,
        )
    )
    ranks = (rankdata(state.features.column("rms")) - 1) / 63  # from 0 to 1, ties halved
    assert named["energy_rank"] == pytest.approx(np.mean([*ranks[:16], *ranks[24:32]]), abs=3e-3)
    assert named["output_share"] == pytest.approx(6 / 16, abs=2e-3)
    assert named["duration_error"] == pytest.approx(0.25, abs=1e-4)
    assert [named[name] for name in ("joins", "backward", "replayed", "has_target")] == [1.0, 0.0, 0.0, 1.0]
    assert [named[name] for name in ("opening", "ending")] == [1.0, 0.0]
    longer = calculator.summary(edit, state, target_duration_s=edit.duration_s / 0.8)
    assert longer[SUMMARY_NAMES.index("duration_error")] == pytest.approx(-0.2, abs=1e-4)  # too short is below 0


def test_nothing_is_worth_nothing():
    state, calculator = track(form="ab"), RewardCalculator(Config())
    empty = EditList(state.recording, ())
    assert calculator.score(empty, state).total == 0.0
    assert calculator.score(empty, state, target_duration_s=1.0, human_rating=10.0).total == 0.0
    crumb = section_edit(state, (0, 1))
    assert calculator.score(crumb, state).total < calculator.score(keep_all(state.recording), state).total


def test_ratings_and_preferences_weigh_in_only_where_given():
    config = Config()
    state, edit = track(form="ab"), keep_all(track(form="ab").recording)
    plain = RewardCalculator(config).score(edit, state)
    assert (plain.total, plain.human_rating, plain.learned) == (1.0, None, None)
    rated = RewardCalculator(config).score(edit, state, human_rating=5.5)
    assert rated.human_rating == pytest.approx(0.5)
    assert rated.total == pytest.approx((8.0 + 0.5) / 9.0)  # weights 1 1 1 2 1 2, and 1 for the rating
    learned = RewardCalculator(config, learned_reward=lambda summary: summary[:, 0] * 0.0 + 0.25)
    assert learned.score(edit, state).total == pytest.approx((8.0 + 0.25) / 9.0)
    with pytest.raises(EditListError, match=r"human rating 11"):
        RewardCalculator(config).score(edit, state, human_rating=11.0)


@pytest.mark.parametrize("length_s", [0.0, -5.0, np.nan, np.inf])
def test_a_length_that_no_edit_has_is_refused(length_s):
    """NaN would ask for none, and infinity be missed by as much as any length."""
    state = track(form="a")
    with pytest.raises(EditListError, match="a finite length of at least"):
        RewardCalculator(Config()).score(keep_all(state.recording), state, target_duration_s=length_s)


def test_an_edit_of_another_recording_is_refused():
    with pytest.raises(EditListError, match="another file"):
        RewardCalculator(Config()).score(keep_all(track(form="ab").recording), track(form="a"))


def test_foreign_material_is_a_join_of_natural_distance():
    state, calculator = track(form="ab"), RewardCalculator(Config())
    whole = section_edit(state, (0, 4), (4, 16))
    foreign = EditList(whole.source, (whole.segments[0], Segment(None, RATE_HZ), whole.segments[1]))
    assert calculator.join_costs(foreign, state).tolist() == [[0.0, 0.0, 0.0, 0.5]] * 2


def test_speed_steps_cost_tempo():
    state, calculator = track(form="ab"), RewardCalculator(Config())
    edit = section_edit(state, (0, 4), (8, 12))
    faster = replace(edit.segments[1], speed=1.5, frames=int(edit.segments[1].frames / 1.5))
    cost = calculator.join_costs(EditList(edit.source, (edit.segments[0], faster)), state)
    assert cost[0, 0] > 0.95  # log2(1.5) = 0.58 octaves, 0.06 are a fault of 1/2


def test_a_step_of_speed_is_a_join_where_the_source_goes_on():
    state, calculator = track(form="ab"), RewardCalculator(Config())
    edit = section_edit(state, (0, 4), (4, 16))
    faster = replace(edit.segments[1], speed=1.5, frames=int(edit.segments[1].frames / 1.5))
    stepped = EditList(edit.source, (edit.segments[0], faster))
    assert calculator.join_costs(stepped, state)[0].tolist() == pytest.approx([0.99, 0.0, 0.0, 0.0], abs=0.01)
    summary = calculator.summary(stepped, state)
    assert summary[SUMMARY_NAMES.index("joins")] > 0.0
    assert calculator.score(stepped, state).total < calculator.score(edit, state).total


@pytest.mark.parametrize(
    ("offsets", "opening", "ending"),
    [
        ((0, None, None, None, -3, -2), 1.0, 1.0),  # a moved last unit still ends the edit
        ((2, 2, None, None, 0, None), 1.0, 0.0),  # and moved first ones still open it
        ((2, 0, None, None, None, 0), 0.0, 1.0),
        ((0, 0, 0, 0, 0, -4), 1.0, 0.0),
    ],
)
def test_an_edit_opens_and_ends_with_what_sounds_first_and_last(offsets, opening, ending):
    config = Config()
    state, space = track(form="a", bars_per_section=6), ActionSpace(config.action_space)
    moved = {None: CUT, 0: KEEP}
    actions = [
        moved[o] if o in moved else space.encode(ReorderAction(unit, unit + o)) for unit, o in enumerate(offsets)
    ]
    calculator, batch = RewardCalculator(config), StateRepresentation(config).batch([state])
    assert int(batch.n_units[0]) == len(offsets)
    batched = scores_of(torch.tensor([actions]), batch, config).summary[0]
    listed = calculator.summary(played(state, config, actions), state)
    for summary in (batched, listed):
        assert [summary[SUMMARY_NAMES.index(n)] for n in ("opening", "ending")] == [opening, ending]


def test_references_take_the_place_of_the_songs_own_statistics():
    state, reference = track(form="iab"), [track(seed, form="ab") for seed in (7, 8)]
    statistics = ReferenceStatistics.from_tracks(reference)
    lengths = sorted(r.grid.duration_s for r in reference)
    assert lengths[0] <= statistics.shortest_s <= statistics.longest_s <= lengths[1]
    strict = replace(statistics, continuation_distance=statistics.continuation_distance / 2)
    edit = section_edit(state, (0, 6), (13, 24))
    lenient_cost = RewardCalculator(Config(), reference=statistics).join_costs(edit, state)[0, 3]
    strict_cost = RewardCalculator(Config(), reference=strict).join_costs(edit, state)[0, 3]
    x2 = lenient_cost / (1 - lenient_cost)  # half the scale is four times x^2
    assert strict_cost == pytest.approx(4 * x2 / (1 + 4 * x2), rel=1e-4)
    tall = RewardCalculator(Config(), reference=statistics).score(keep_all(state.recording), state)
    assert tall.duration < 1.0  # 48 s, where finished music lasts 32 s


def test_references_without_a_second_beat_say_nothing():
    def analysis(state: AudioState) -> Analysis:
        assert state.source is not None
        return Analysis(state.source, state.grid, state.features)

    whole = track(form="ab")
    one_beat = AudioState(
        BeatGrid(np.array([0.0, 1.0]), np.array([-1])),
        BeatFeatures(whole.features.values[:1], whole.features.names),
        SourceInfo("drone.wav", "", RATE_HZ, 1, RATE_HZ),
    )
    assert ReferenceStatistics.of_analyses([analysis(one_beat)]) is None
    assert ReferenceStatistics.of_analyses([]) is None
    both = ReferenceStatistics.of_analyses([analysis(one_beat), analysis(whole)])
    alone = ReferenceStatistics.from_tracks([whole])
    assert both is not None
    assert both.continuation_distance == alone.continuation_distance


def test_cut_all_by_actions_is_empty():
    config = Config()
    state = track(form="a")
    batch = StateRepresentation(config).batch([state])
    result = scores_of(torch.full((1, 8), CUT), batch, config)
    assert float(combined(result.terms, config.reward)) == 0.0
