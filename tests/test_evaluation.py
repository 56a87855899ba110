"""Evaluation: every metric by hand-computed numbers, intervals, verdicts, and joins measured on made signals."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from world_tracks import track

from rl_editor.actions import CUT, KEEP, ActionSpace, ActionType
from rl_editor.agent import Agent
from rl_editor.checkpoint import Policy
from rl_editor.config import Config
from rl_editor.demonstrations import Demonstration
from rl_editor.edits import EditList, Segment, SourceInfo, keep_all
from rl_editor.errors import DatasetError
from rl_editor.evaluation import (
    METRICS,
    Evaluator,
    bootstrap_mean,
    evaluate_plans,
    headline,
)
from rl_editor.evaluation.bootstrap import Interval, song_means
from rl_editor.evaluation.comparison import BASELINES, CONDITIONS
from rl_editor.evaluation.metrics import (
    KEY_METRICS,
    GapScale,
    alike_units,
    balanced_accuracy,
    cut_f1,
    equivalent_accuracy,
    f1,
    run_f1,
    units_played,
)
from rl_editor.evaluation.verdicts import FEWEST_SONGS, _answer, collapsed_policies
from rl_editor.grid import BeatGrid
from rl_editor.labels import decode, encode
from rl_editor.model_card import model_card
from rl_editor.report import write_comparison
from rl_editor.state import AudioState, EditHistory
from stages.export import SCORE

RATE = 1000
SOURCE = SourceInfo("s.wav", "", RATE, 1, 10 * RATE)


def config_for_tests(**evaluation: object) -> Config:
    config = Config()
    config.evaluation.bootstrap_samples = 200
    for name, value in evaluation.items():
        setattr(config.evaluation, name, value)
    return config


CONFIG = config_for_tests()
SPACE = ActionSpace(CONFIG.action_space)


def playing(*spans_s: tuple[float, float], source: SourceInfo = SOURCE) -> EditList:
    rate = source.sample_rate
    return EditList(source, tuple(Segment(round(a * rate), round((b - a) * rate)) for a, b in spans_s))


def grid_of(n_beats: int = 10, beat_s: float = 1.0) -> BeatGrid:
    return BeatGrid(beat_s * np.arange(n_beats + 1), np.arange(n_beats) % 4, 4)


def demonstration(seed: int, *, style: str = "radio", song: str = "", split: str = "test") -> Demonstration:
    """The second half of each letter pair is cut."""
    state = track(seed=seed, form="aabb", bars_per_section=4)
    actions = [CUT if 4 <= unit < 8 else KEEP for unit in range(16)]
    units = state.grid.units(4)
    edit = decode(actions, units, SPACE, source=state.recording, crossfade_ms=50.0)
    labels = encode(edit, state.grid, SPACE, unit_beats=4)
    name = song or f"song{seed}"
    return Demonstration(f"{name}__{style}", name, style, state.grid, state.features, labels, edit, split)


class TestBalancedAccuracy:
    def test_by_hand(self) -> None:
        truth, guess = np.array([1, 1, 1, 1, 0, 0]), np.array([1, 1, 1, 0, 0, 1])
        assert balanced_accuracy(guess, truth) == pytest.approx((3 / 4 + 1 / 2) / 2)

    def test_weights_by_hand(self) -> None:
        truth, guess = np.array([1, 1, 0]), np.array([1, 0, 0])
        weights = np.array([3.0, 1.0, 2.0])
        assert balanced_accuracy(guess, truth, weights=weights) == pytest.approx((3 / 4 + 1) / 2)

    def test_perfect_and_one_class(self) -> None:
        assert balanced_accuracy(np.array([0, 1]), np.array([0, 1])) == 1.0
        assert np.isnan(balanced_accuracy(np.array([0, 1]), np.array([1, 1])))

    def test_constant_guess_is_chance(self) -> None:
        assert balanced_accuracy(np.zeros(4, int), np.array([0, 0, 0, 1])) == 0.5

    def test_playing_the_other_identical_chorus_is_right(self) -> None:
        alike = np.array([0, 1, 0, 2])  # units 0 and 2 sound the same
        truth, plays = np.array([True, True, False, False]), np.array([False, True, True, False])
        assert balanced_accuracy(plays.astype(int), truth.astype(int)) == 0.5
        assert equivalent_accuracy(plays, truth, alike) == 1.0
        both = np.array([True, True, True, False])  # one of the two twice: 2/2 played, 1/2 cut
        assert equivalent_accuracy(both, truth, alike) == pytest.approx((2 / 2 + 1 / 2) / 2)


class TestUnits:
    def test_half_a_unit_plays(self) -> None:
        units = grid_of().units(1)
        assert np.flatnonzero(units_played(playing((2.0, 4.5), (6.6, 7.0)), units)).tolist() == [2, 3, 4]

    def test_the_same_part_twice_counts_once(self) -> None:
        units = grid_of().units(1)
        assert not units_played(playing((2.0, 2.3), (2.0, 2.3)), units).any()

    def test_repeats_are_alike_and_sections_differ(self) -> None:
        state = track(form="aab", bars_per_section=4)  # four chords, then the same four
        classes = alike_units(state, state.grid.units(4))
        np.testing.assert_array_equal(classes[:4], classes[4:8])
        assert not set(classes[:4]) & set(classes[8:])
        assert len(set(classes[:4])) == 4


class TestF1:
    def test_counts_by_hand(self) -> None:
        assert f1(2, 3, 5) == 0.5
        assert np.isnan(f1(0, 0, 0))
        assert f1(0, 0, 4) == 0.0

    def test_runs_by_hand(self) -> None:
        own = playing((0.0, 2.0), (4.0, 6.0), (8.0, 10.0))
        mine = playing((0.0, 2.05), (4.0, 6.5))  # the first within 70 ms, the second ends 500 ms late
        assert run_f1(mine, own, tolerance_s=0.07) == pytest.approx(2 * 1 / (2 + 3))
        assert run_f1(own, own, tolerance_s=0.07) == 1.0

    def test_a_run_played_twice_matches_once(self) -> None:
        assert run_f1(playing((2.0, 4.0), (2.0, 4.0)), playing((2.0, 4.0)), tolerance_s=0.07) == pytest.approx(2 / 3)

    def test_cuts_by_hand(self) -> None:
        """The editor leaves at 2 and 6 and lands at 4 and 8; mine leaves at 2.06 and lands at 8: 2 of 4 and 2."""
        own = playing((0.0, 2.0), (4.0, 6.0), (8.0, 10.0))
        mine = playing((0.0, 2.06), (8.0, 10.0))
        assert cut_f1(mine, own, tolerance_s=0.07) == pytest.approx(2 * 2 / (2 + 4))
        assert cut_f1(mine, own, tolerance_s=0.05) == pytest.approx(2 * 1 / (2 + 4))

    def test_landing_is_not_leaving_and_no_cuts_are_undefined(self) -> None:
        assert cut_f1(playing((0.0, 4.0)), playing((4.0, 10.0)), tolerance_s=0.07) == 0.0
        assert np.isnan(cut_f1(keep_all(SOURCE), keep_all(SOURCE), tolerance_s=0.07))


class TestBootstrap:
    def test_constant_values_have_no_width(self) -> None:
        interval = bootstrap_mean(np.full(5, 0.3), n_samples=50, level=0.95, rng=np.random.default_rng(0))
        assert (interval.mean, interval.low, interval.high) == pytest.approx((0.3, 0.3, 0.3))
        assert interval.n_songs == 5

    def test_two_songs_by_hand(self) -> None:
        """Means of two draws from {0, 1} are 0, 1/2, 1 with 1/4, 1/2, 1/4: the 10 % quantiles are 0 and 1."""
        interval = bootstrap_mean(np.array([0.0, 1.0]), n_samples=4000, level=0.8, rng=np.random.default_rng(0))
        assert interval == (0.5, 0.0, 1.0, 2)
        inner = bootstrap_mean(np.array([0.0, 1.0]), n_samples=4000, level=0.4, rng=np.random.default_rng(0))
        assert (inner.low, inner.high) == (0.5, 0.5)

    def test_it_covers_the_truth_about_as_often_as_it_says(self) -> None:
        rng = np.random.default_rng(1)
        intervals = [bootstrap_mean(rng.normal(size=30), n_samples=300, level=0.9, rng=rng) for _ in range(200)]
        covered = np.mean([i.low <= 0.0 <= i.high for i in intervals])
        assert 0.82 <= covered <= 0.95

    def test_nothing_gives_nothing(self) -> None:
        interval = bootstrap_mean(np.zeros(0), n_samples=10, level=0.9, rng=np.random.default_rng(0))
        assert interval.n_songs == 0
        assert np.isnan(interval.mean)

    def test_songs_weigh_alike_and_undefined_is_left_out(self) -> None:
        means = song_means([1.0, 0.0, 0.5, np.nan, np.nan], ["b", "b", "a", "a", "c"])
        assert means == {"a": 0.5, "b": 0.5}


def test_gap_scale_by_hand() -> None:
    scale = GapScale(best=1.0, random=5.0)
    assert [scale.gap(cost) for cost in (1.0, 3.0, 5.0)] == [0.0, 0.5, 1.0]
    assert np.isnan(GapScale(1.0, 1.0).gap(2.0))


def test_an_edit_scores_against_its_demonstration_by_hand() -> None:
    own = demonstration(0)
    judge = Evaluator(CONFIG).judge(own)
    numbers = judge.score(own.edit, target_duration_s=own.edit.duration_s)
    for name in ("balanced_accuracy", "action_balanced_accuracy", "run_f1", "cut_f1", "reward_duration"):
        assert numbers[name] == pytest.approx(1.0), name
    assert numbers["duration_error"] == 0.0
    assert "loop_f1" not in numbers  # neither loops
    everything = judge.score(keep_all(own.source), target_duration_s=own.edit.duration_s)
    assert everything["balanced_accuracy"] == 0.5
    assert everything["duration_error"] == pytest.approx(16 / 12 - 1, abs=0.01)
    assert everything["path_cost"] == 0.0
    assert everything["cut_f1"] == 0.0


def test_edits_that_play_nothing_have_numbers_where_these_are_defined() -> None:
    own = demonstration(0)
    nothing = EditList(own.source, ())
    numbers = Evaluator(CONFIG).judge(own).score(nothing, target_duration_s=own.edit.duration_s)
    assert (numbers["duration_error"], numbers["balanced_accuracy"], numbers["run_f1"]) == (1.0, 0.5, 0.0)
    assert "joins_per_minute" not in numbers  # of no minutes
    against_nothing = Evaluator(CONFIG).judge(replace(own, edit=nothing))
    numbers = against_nothing.score(own.edit, scale=GapScale(0.0, 1.0))
    assert "duration_error" not in numbers  # relative to 0 s
    assert "optimality_gap" not in numbers
    assert "balanced_accuracy" not in numbers  # one class
    assert numbers["run_f1"] == 0.0


def test_loops_and_moves_are_found_unit_by_unit() -> None:
    own = demonstration(0)
    units = own.grid.units(4)
    looped = [2, SPACE.extend] + [KEEP] * 14
    mine = [2] + [KEEP] * 15
    edits = [decode(a, units, SPACE, source=own.source, crossfade_ms=50.0) for a in (looped, mine)]
    labelled = replace(own, edit=edits[0], labels=encode(edits[0], own.grid, SPACE, unit_beats=4))
    judge = Evaluator(CONFIG).judge(labelled)
    assert judge.kinds(edits[0])[:3] == [ActionType.LOOP, ActionType.LOOP, ActionType.KEEP]
    numbers = judge.score(edits[1])
    assert numbers["loop_f1"] == pytest.approx(2 * 1 / (1 + 2))
    assert "balanced_accuracy" not in numbers  # the editor cut nothing
    assert numbers["action_balanced_accuracy"] == pytest.approx((14 / 14 + 1 / 2) / 2)


def test_joins_are_counted_by_the_minute_and_their_mean_cost_is_without_the_ends() -> None:
    """Bars 2 and 3, then 12 and 13: it starts late and ends early, and jumps once."""
    own = demonstration(0)
    units = own.grid.units(4)
    plays = [KEEP if unit in (2, 3, 12, 13) else CUT for unit in range(16)]
    mine = decode(plays, units, SPACE, source=own.source, crossfade_ms=50.0)
    judge = Evaluator(CONFIG).judge(own)
    numbers = judge.score(mine)
    late, jump, early = judge.costs.between(np.array([0, 16, 56]), np.array([8, 48, 64])).tolist()  # beats
    assert numbers["joins_per_minute"] == pytest.approx(60.0 / mine.duration_s)
    assert numbers["mean_join_cost"] == pytest.approx(jump, abs=1e-3)
    assert numbers["path_cost"] == pytest.approx(late + jump + early, abs=1e-3)
    assert min(late, jump, early) > 0.05


def test_units_weigh_by_their_length_where_that_is_asked() -> None:
    """A lead-in of 1 s and four bars of 2 s: the editor plays the last three bars, the other edit all four."""
    state = track(form="ab", bars_per_section=2, lead_in_s=1.0)
    units = state.grid.units(4)

    def playing(*actions: int) -> EditList:
        return decode(actions, units, SPACE, source=state.recording, crossfade_ms=50.0)

    own = playing(CUT, CUT, KEEP, KEEP, KEEP)
    labels = encode(own, state.grid, SPACE, unit_beats=4)
    demo = Demonstration("a", "a", "radio", state.grid, state.features, labels, own, "test")
    numbers = Evaluator(CONFIG).judge(demo).score(playing(CUT, KEEP, KEEP, KEEP, KEEP))
    assert numbers["balanced_accuracy"] == pytest.approx((1 / 2 + 1) / 2)
    assert numbers["balanced_accuracy_weighted"] == pytest.approx((1 / 3 + 1) / 2, abs=0.005)


def test_decisions_are_counted_as_they_are_taken() -> None:
    own = demonstration(0)
    looped = [2, SPACE.extend, CUT] + [KEEP] * 13
    edit = decode(looped, own.grid.units(4), SPACE, source=own.source, crossfade_ms=50.0)
    counts = Evaluator(CONFIG).judge(own).action_counts(edit)
    assert {kind.value: n for kind, n in counts.items()} == {
        "KEEP": 13, "CUT": 1, "LOOP": 1, "EXTEND": 1, "REORDER": 0,
    }  # fmt: skip


def test_the_reward_of_an_edit_goes_by_its_editors_limit_of_loops() -> None:
    """Half of what plays is heard again; an editor of extended mixes may have 60 %, others 15 %."""
    own = demonstration(0)
    twice = playing((0.0, 8.0), (0.0, 8.0), source=own.source)
    loop = {
        s: Evaluator(CONFIG).judge(replace(own, style=s)).score(twice)["reward_loop"] for s in ("x", "extended_mix")
    }
    assert loop == {"x": pytest.approx(np.exp(-(0.5 - 0.15) / 0.1), rel=1e-3), "extended_mix": 1.0}


def test_answers_by_hand() -> None:
    songs = FEWEST_SONGS
    assert _answer(Interval(0.5, 0.1, 0.9, songs)) == "yes"
    assert _answer(Interval(-0.5, -0.9, -0.1, songs)) == "no"
    assert _answer(Interval(0.1, -0.1, 0.3, songs)) == _answer(Interval(0.1, 0.0, 0.2, songs)) == "not shown"
    assert _answer(Interval(0.5, 0.1, 0.9, songs - 1)) == "not shown"


def test_a_policy_collapses_only_where_its_editor_does_not() -> None:
    """Of decisions to go on nobody is blamed."""

    def histogram(**share_of_keep: float) -> pd.DataFrame:
        rows = [
            ("all", method, "target", action, share)
            for method, keep in share_of_keep.items()
            for action, share in (("KEEP", keep), ("CUT", 0.99 - keep), ("EXTEND", 0.01))
        ]
        return pd.DataFrame(rows, columns=["style", "method", "condition", "action", "share"])

    assert collapsed_policies(histogram(editor=0.9, bc=0.91, ppo=0.9), ["bc", "ppo"]) == (
        "bc (all, the length asked for)",
    )
    assert collapsed_policies(histogram(editor=0.91, bc=0.95), ["bc"]) == ()
    assert collapsed_policies(histogram(editor=0.5, dp=0.95), ["bc"]) == ()
    moves = histogram(editor=0.5, bc=0.5)
    moves.loc[(moves.method == "bc") & (moves.action == "EXTEND"), "share"] = 0.95
    assert collapsed_policies(moves, ["bc"]) == ()


@pytest.fixture(scope="module")
def result():
    demonstrations = [demonstration(seed, style="radio") for seed in range(5)] + [demonstration(0, style="jam")]
    demonstrations.append(demonstration(9, split="train"))

    def copying(demo: Demonstration, state: AudioState, target_duration_s: float | None) -> EditList:
        return demo.edit

    def keeping(demo: Demonstration, state: AudioState, target_duration_s: float | None) -> EditList:
        return EditHistory(state, CONFIG, [KEEP] * 16).edit_list()

    return evaluate_plans({"bc": keeping, "ppo": copying}, demonstrations, CONFIG)


def test_rows_hold_every_track_method_and_condition(result) -> None:
    methods = ("bc", "ppo", "editor", *BASELINES)
    assert len(result.rows) == 6 * len(methods) * len(CONDITIONS)
    assert set(result.methods) == set(methods)
    assert result.n_songs == 5
    assert "song9" not in set(result.rows["song"])
    assert list(result.rows.columns)[5:] == list(METRICS)


def test_the_summary_averages_songs(result) -> None:
    rows, summary = result.rows, result.summary
    chosen = rows[(rows.method == "loudest") & (rows.condition == "target")]
    expected = chosen.groupby("song")["balanced_accuracy"].mean().mean()
    found = summary[
        (summary["style"] == "all")
        & (summary.method == "loudest")
        & (summary.condition == "target")
        & (summary.metric == "balanced_accuracy")
    ].iloc[0]
    assert found["mean"] == pytest.approx(expected, abs=1e-6)
    assert found["low"] <= found["mean"] <= found["high"]
    assert found["n_songs"] == 5


def test_verdicts_are_computed_and_say_it_in_words(result) -> None:
    found = {(v.first, v.second, v.metric, v.condition, v.style): v for v in result.verdicts}
    better = found["ppo", "bc", "balanced_accuracy", "target", "all"]
    assert (better.answer, better.difference) == ("yes", 0.5)
    assert better.sentence.startswith(
        "PPO beats BC on KEEP/CUT balanced accuracy (all styles, the length asked for): yes"
    )
    assert found["ppo", "bc", "balanced_accuracy", "target", "jam"].answer == "not shown"  # one song
    assert found["bc", "loudest", "balanced_accuracy", "target", "all"].answer in {"no", "not shown"}


def test_keeping_everything_is_a_collapse_and_copying_is_not(result) -> None:
    assert any(name.startswith("bc ") for name in result.collapsed)
    assert not any(name.startswith("ppo ") for name in result.collapsed)


def test_histogram_shares_add_up_by_hand(result) -> None:
    shares = result.histogram.groupby(["style", "method", "condition"])["share"].sum()
    np.testing.assert_allclose(shares, 1.0, atol=1e-5)
    h = result.histogram
    cut = h[(h["style"] == "all") & (h.method == "editor") & (h.condition == "free") & (h.action == "CUT")]
    assert cut["share"].iloc[0] == pytest.approx(4 / 16)


def test_the_dp_is_the_zero_and_random_edits_on_average_the_one_of_the_gap(result) -> None:
    rows = result.rows[result.rows.condition == "target"]
    np.testing.assert_allclose(rows[rows.method == "dp"]["optimality_gap"], 0.0, atol=1e-6)
    drawn = rows[rows.method == "random"]["optimality_gap"]
    assert drawn.mean() == pytest.approx(1.0, abs=0.3)
    assert drawn.std() > 0.01  # one draw is chance: it is not its own measure
    assert rows[rows.method == "keep_all"]["optimality_gap"].isna().all()  # a third too long to compare


def test_metrics_are_flat_rounded_json(result) -> None:
    metrics = result.metrics
    json.dumps(metrics, allow_nan=False)
    assert all(isinstance(v, float) and v == round(v, 6) for v in metrics.values())
    assert metrics["ppo/target/all/balanced_accuracy"] == 1.0
    assert metrics["ppo_minus_bc/target/balanced_accuracy"] == 0.5


def test_headlines_are_few_and_those_of_the_summary(result) -> None:
    numbers = headline(result)
    # per style (all, jam, radio) and policy: balanced accuracy, runs, reward, length; nothing loops or moves here
    per_style = 3 * 2 * 4
    # two best baselines, three of PPO minus BC, two scores, songs and tracks
    assert len(numbers) == per_style + 2 + 3 + 2 + 2
    assert set(numbers) - {name for name in numbers if "best_baseline" in name or "run_f1" in name} < set(
        result.metrics
    )
    assert (numbers["n_songs"], numbers["n_tracks"]) == (5.0, 6.0)
    assert numbers["ppo/target/jam/balanced_accuracy"] == 1.0
    assert numbers["bc/target/radio/balanced_accuracy"] == 0.5  # keeps all: half of the two classes
    assert numbers["ppo_minus_bc/target/balanced_accuracy"] == 0.5
    summary = result.summary[(result.summary["style"] == "all") & (result.summary.condition == "target")]
    rewards = summary[summary.metric == "reward_total"].set_index("method")["mean"]
    assert numbers["best_baseline/target/all/reward_total"] == rewards[list(BASELINES)].max()


def test_the_model_card_reads_its_intervals_from_the_table(result, tmp_path: Path) -> None:
    write_comparison(result, tmp_path / "c.csv")
    policy = Policy(Agent(CONFIG), CONFIG, ("jam",))
    card = model_card(policy, pd.read_csv(tmp_path / "c.csv"), n_songs=5, sha256="abc", method="ppo")
    for condition, words in (("target", "asked for"), ("free", "not asked for")):
        for metric in KEY_METRICS:
            mean, low, high = (result.metrics[f"ppo/{condition}/all/{metric}{end}"] for end in ("", "_low", "_high"))
            assert f"| {METRICS[metric].title} | {words} | {mean:.3f} | {low:.3f} to {high:.3f} |" in card
    assert card.count("asked for |") == 2 * len(KEY_METRICS)
    assert headline(result)[SCORE] == result.metrics[SCORE]


def test_an_editor_may_be_called_all() -> None:
    """Whose numbers are not those of all editors, by which a champion is chosen."""
    one, other = demonstration(0, style="all"), demonstration(1, style="radio")
    plans = {"ppo": lambda d, s, t: d.edit if d.style == "all" else keep_all(d.source)}
    found = evaluate_plans(plans, [one, other], CONFIG)
    assert found.styles == ("all", "all_", "radio")
    assert found.metrics["ppo/target/all_/balanced_accuracy"] == 1.0
    assert found.metrics["ppo/target/all/balanced_accuracy"] == 0.75  # (1 + 1/2) / 2: what is cut is never found


def test_the_same_seed_gives_the_same_numbers() -> None:
    one = [demonstration(0), demonstration(1)]
    results = [evaluate_plans({}, one, CONFIG, seed=seed) for seed in (5, 5, 6)]
    assert results[0].rows.equals(results[1].rows)
    assert not results[0].rows.equals(results[2].rows)


def test_one_song_shows_nothing() -> None:
    plans = {"bc": lambda d, s, t: d.edit}
    verdicts = evaluate_plans(plans, [demonstration(0)], CONFIG).verdicts
    assert {v.answer for v in verdicts} == {"not shown"}
    assert "not shown by fewer than 5 songs; difference" in next(v.sentence for v in verdicts if v.n_songs)


def test_a_policy_edits_held_out_tracks_in_its_styles() -> None:
    """Untrained networks: what is tested is that the tables, styles and lengths reach the policy."""
    agent = Agent(CONFIG)
    policies = {"bc": Policy(agent, CONFIG, ("jam", "radio"))}
    result = Evaluator(CONFIG).evaluate(policies, [demonstration(0), demonstration(1, style="unheard")])
    rows = result.rows[result.rows["method"] == "bc"]
    assert len(rows) == 2 * len(CONDITIONS)
    assert np.isfinite(rows["reward_total"]).all()
    assert result.unjudged == ("jam",)
    assert result.unlearned == ("unheard",)


def test_an_empty_split_and_a_taken_name_are_refused() -> None:
    with pytest.raises(DatasetError, match="test_fraction"):
        evaluate_plans({}, [demonstration(0, split="train")], CONFIG)
    with pytest.raises(DatasetError, match="'dp'"):
        evaluate_plans({"dp": lambda d, s, t: d.edit}, [demonstration(0)], CONFIG)
