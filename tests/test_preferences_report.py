"""The report on answers: shares, habits, ways, what is missing; against listeners whose habits are known."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from opinion_sets import random_set
from typer.testing import CliRunner

from benchmarks.preferences.listeners import Listener, session, sharpened
from rl_editor.cli import app
from rl_editor.config import RewardModelConfig
from rl_editor.errors import DatasetError
from rl_editor.judgements import Choice, Judgement, Presentation, Rating, Side
from rl_editor.judgements.log import Answers
from rl_editor.judgements.sets import ListeningSet, Preferences
from rl_editor.preferences.listener_habits import HABITS, _effects
from rl_editor.preferences.measures import Effect, Halves, Share, Z
from rl_editor.preferences.pages import write_report
from rl_editor.preferences.picture import draw
from rl_editor.preferences.planning import next_presentation
from rl_editor.preferences.report import Counting, PreferencesReport, Way, _more, _ways, report
from rl_editor.preferences.words import screen, warnings, way_lines
from rl_editor.reward_model import RewardModel, opinions
from rl_editor.reward_model.accord import Accord
from rl_editor.reward_model.model import FEATURES
from rl_editor.reward_model.opinions import Anchored


def reported(*collected: Preferences) -> PreferencesReport:
    return report(collected, RewardModelConfig(), np.random.default_rng(0))


def answer(found: ListeningSet, number: int, first: Side, choice: Choice, *, repeat: bool = False) -> Judgement:
    pair = found.pairs[number]
    return Judgement(Presentation(f"{number}{first}{repeat}", "Ann", pair.pair_id, first, repeat), choice)


def test_shares_by_hand() -> None:
    found = random_set(1, 6, n_anchors=2)
    answers = (
        answer(found, 0, "a", "first"),
        answer(found, 1, "b", "second"),  # side a as well
        answer(found, 2, "a", "same"),
        answer(found, 3, "a", "unsure"),
        answer(found, 6, "b", "second"),  # an anchor, told
        answer(found, 7, "b", "first"),  # an anchor, missed
        answer(found, 0, "b", "second", repeat=True),  # the same again, sides exchanged
        answer(found, 1, "a", "second", repeat=True),  # the other one
        answer(found, 2, "b", "same", repeat=True),  # again no difference
    )
    (ann,) = reported(Preferences(found, answers)).listeners
    assert (ann.n, ann.n_same, ann.n_unsure) == (9, 2, 1)
    assert ann.repeats == Share(2, 3)
    assert ann.anchors == Share(1, 2)
    assert ann.first == Share(1, 4)  # decided: pair 0, pair 1 and their repeats; only the very first for the first
    longer = [pair.a.duration_s > pair.b.duration_s for pair in found.pairs[:2]]
    assert ann.longer == Share(2 * longer[0] + longer[1] + (not longer[1]), 4)
    assert ann.louder == Share(0, 0)  # all are equally loud


@pytest.mark.parametrize(("habit", "value"), [("order", 1.5), ("order", -1.5), ("length", 3.0), ("length", -3.0)])
def test_a_habit_is_found_and_said(habit: str, value: float) -> None:
    answers = session(random_set(), [Listener("Bo", {"joins": -0.5}, **{habit: value})], 200, np.random.default_rng(0))
    (bo,) = reported(answers).listeners
    assert {name for name, effect in bo.habits.items() if effect.sure} == {habit}
    assert np.sign(bo.habits[habit].weight) == np.sign(value)
    said = {"order": ("comes first", "comes second"), "length": ("longer", "shorter")}[habit][value < 0]
    (warning,) = warnings(bo)
    assert said in warning


def test_a_habit_is_said_as_a_share() -> None:
    (ann,) = reported(session(random_set(2, 10), [Listener("Ann")], 10, np.random.default_rng(0))).listeners
    four_to_one = float(np.log(4.0))
    habits = ann.habits | {"order": Effect(-four_to_one, 0.4, 12.0), "length": Effect(four_to_one, 0.4, 6.0)}
    said = warnings(replace(ann, habits=habits))
    assert said[0] == (
        "! answers for B, what comes second on the page, of two else alike in about 80 % of cases: what is learned "
        "leaves this out"
    )
    assert not any("longer" in each for each in said)  # a deviance of 6 is less than 2.58 standard errors


@pytest.mark.parametrize("n", [20, 60, 200])
def test_a_habit_without_exception_is_found(n: int) -> None:
    answers = session(random_set(), [Listener("Bo", order=50.0)], n, np.random.default_rng(0))
    (bo,) = reported(answers).listeners
    assert bo.first.value == 1.0
    assert bo.habits["order"].sure
    assert not bo.habits["length"].sure


def test_what_a_habit_adds_by_hand() -> None:
    """28 answers, 20 for A, and 14 weights of which one says something: half of the likelihood it gains counts.

    2 (20 log(20 / 28) + 8 log(8 / 28) - 28 log(1 / 2)) (1 - 14 / 28) = 2.66
    """
    habits = {name: np.full(28, float(name == "order")) for name in HABITS}
    found = _effects(np.zeros((28, 10)), habits, np.repeat([1.0, 0.0], [20, 8]))
    assert found["order"].deviance == pytest.approx(2.66, abs=0.01)
    assert found["length"].deviance == pytest.approx(0.0, abs=1e-9)


def by_ear(answers: Preferences, *, obeyed: float, a_first: float) -> Preferences:
    """The same, with sides that sounded first: mostly A, and chosen in a share of the answers whatever was heard."""
    rng = np.random.default_rng(0)
    judgements = []
    for each in answers.judgements:
        place: Choice = "first" if rng.random() < a_first else "second"
        asked = each.presentation
        side: Side = asked.first if place == "first" else asked.second
        choice = place if rng.random() < obeyed else each.choice
        judgements.append(replace(each, played_first=side, choice=choice))
    return replace(answers, judgements=tuple(judgements))


@pytest.mark.parametrize("a_first", [0.5, 0.75, 0.9])
def test_choosing_what_sounded_first_is_found_and_not_taken_for_order(a_first: float) -> None:
    answers = session(random_set(), [Listener("Bo", {"joins": -0.5})], 200, np.random.default_rng(0))
    (bo,) = reported(by_ear(answers, obeyed=0.6, a_first=a_first)).listeners
    assert {name for name, effect in bo.habits.items() if effect.sure} == {"played_first"}
    assert bo.habits["played_first"].weight > 1.0
    assert bo.played_first.value > 0.7  # 0.6 + 0.4 / 2
    (warning,) = warnings(bo)
    assert "answers for what sounded first" in warning
    assert "only the order is fitted" in warning


@pytest.mark.parametrize("order", [1.5, 50.0])
@pytest.mark.parametrize("a_first", [1.0, 0.97, 0.5])
def test_choosing_a_is_found_whatever_sounded_first(order: float, a_first: float) -> None:
    answers = session(random_set(), [Listener("Bo", order=order)], 200, np.random.default_rng(0))
    (bo,) = reported(by_ear(answers, obeyed=0.0, a_first=a_first)).listeners
    assert {name for name, effect in bo.habits.items() if effect.sure} == {"order"}


def test_what_sounded_first_by_hand() -> None:
    found = random_set(1, 6, n_anchors=1)
    judgements = [
        replace(answer(found, 0, "a", "first"), played_first="b"),
        replace(answer(found, 1, "a", "second"), played_first="b"),  # chosen
        replace(answer(found, 2, "b", "first"), played_first="b"),  # chosen
        replace(answer(found, 3, "b", "same"), played_first="b"),  # not decided
        answer(found, 4, "b", "first"),  # not known
        replace(answer(found, 6, "b", "first"), played_first="b"),  # an anchor
    ]
    (ann,) = reported(Preferences(found, tuple(judgements))).listeners
    assert ann.played_first == Share(2, 3)


def test_a_taste_that_goes_with_length_is_no_habit() -> None:
    found = random_set()
    answers = session(found, [Listener("Ann", {"replayed": 1.5, "joins": -1.0})], 200, np.random.default_rng(2))
    (ann,) = reported(answers).listeners
    assert not any(effect.sure for effect in ann.habits.values())


@pytest.mark.slow
def test_random_listeners_are_told_from_consistent_ones() -> None:
    answers = session(random_set(), [Listener("Ann", {"joins": -12.0}), Listener("Dee")], 300, np.random.default_rng(1))
    ann, dee = reported(answers).listeners
    assert ann.repeats.value > 0.85 > 0.7 > dee.repeats.value
    assert ann.anchors.value > 0.9 > 0.75 > dee.anchors.value


def test_ways_are_ranked_by_what_was_chosen() -> None:
    found = random_set(4, 30, n_anchors=0)
    order = ("ppo", "bc", "dp")
    answers = []
    for number, pair in enumerate(found.pairs):
        a, b = order.index(pair.a.way), order.index(pair.b.way)
        choice: Choice = "same" if a == b else "first" if a < b else "second"
        answers.append(answer(found, number, "a", choice))
    found_report = reported(Preferences(found, tuple(answers)))
    assert [way.name for way in found_report.ways] == list(order)
    best = found_report.ways[0]
    assert best.wins[1] > 0.5  # the whole interval
    assert sum(way.strength.weight for way in found_report.ways) == pytest.approx(0.0, abs=1e-9)
    assert found_report.n_missing["to tell the two best ways apart"] == 0


@pytest.mark.parametrize("seed", [0, 6])  # of 100 sessions by chance 23 look as much like a taste as either
def test_who_answers_by_chance_is_not_told_to_go_on(seed: int) -> None:
    given = reported(session(random_set(), [Listener("Dee")], 60, np.random.default_rng(seed)))
    assert given.learned.status == "no taste"
    assert given.n_missing["to tell it from a coin"] == -1
    assert "to tell it from a coin: so far there is nothing to tell" in screen(given)


def test_a_taste_for_what_is_not_measured_is_said_to_be_one() -> None:
    """Whoever chooses by the number of a pair tells repeats, though nothing predicts it."""
    found, answers = random_set(), Answers()
    for _ in range(130):
        asked = next_presentation(found, answers, "Ann")
        assert asked is not None
        liked: Side = "a" if found.pair(asked.pair_id).kind == "anchor" or int(asked.pair_id[-1]) % 2 else "b"
        choice: Choice = "first" if liked == asked.first else "second"
        answers.take({"event": "judged", **asdict(Judgement(asked, choice))})
    said = "answered repeated pairs alike all the same: what is listened for may be nothing that the reward measures"
    consistent = reported(Preferences(found, tuple(answers.judgements.values())))
    assert consistent.learned.status == "no taste"
    assert f"! Ann {said}" in screen(consistent)
    torn = replace(consistent.learned, accords=(Accord("Ann", "Bob", 30, 60, 0.3, 0.2, 0.4, opposed=True),))
    bob = replace(consistent.listeners[0], name="Bob", repeats=Share(0, 0), n_repeats_same=0)
    both = replace(consistent, learned=torn, listeners=(*consistent.listeners, bob))
    assert said not in screen(both)  # what one likes the other does not: that is why
    by_chance = session(found, [Listener("Dee")], 100, np.random.default_rng(0))
    assert said not in screen(reported(by_chance))
    longer = reported(session(found, [Listener("Cy", length=8.0)], 100, np.random.default_rng(0)))
    assert longer.listeners[0].repeats_told.interval[0] > 0.5
    assert said not in screen(longer)  # it is known what for


def test_ways_that_were_hardly_judged_are_named_alone() -> None:
    ways = (Way("ppo", 12, Effect(0.0, 0.5)), Way("bc", 4, Effect(-0.1, 2.0)), Way("dp, moved", 5, Effect(-1.0, 0.0)))
    given = replace(reported(), n_judgements=16, ways=ways)
    assert "\n  ppo        50 % (27 % to 73 %), 12 times judged\n" in screen(given)
    assert way_lines(given) == {
        "ppo": "50 % (27 % to 73 %), 12 times judged",
        "dp, moved": "27 % (27 % to 27 %), 5 times judged",
        "others": "bc, judged fewer than 5 times",
    }


def test_a_clock_that_is_set_back_does_not_change_the_order_of_answers() -> None:
    found = random_set(1, 20, n_anchors=0)
    hours = [*range(10), *range(3, 13)]  # set back by seven hours halfway
    said = [replace(answer(found, n, "a", "second" if n < 10 else "first"), at=f"2026-10-25T{hours[n]:02}:00:00+00:00")
            for n in range(20)]  # fmt: skip
    (ann,) = reported(Preferences(found, tuple(said))).listeners
    assert ann.halves["first"] == Halves(Share(0, 10), Share(10, 10))


@pytest.mark.slow
def test_ten_who_answer_alike_say_as_much_of_the_ways_as_one() -> None:
    """What they agree on are the pairs that were asked about; errors of independent answers would be 1/sqrt(10)."""
    found, rng = random_set(4, 30, n_anchors=0), np.random.default_rng(0)
    one = [answer(found, number, "a", rng.choice(["first", "second"])) for number in range(len(found.pairs))]
    ten = [
        replace(j, presentation=replace(j.presentation, presentation_id=f"{n:x}", listener=name))
        for n, (j, name) in enumerate((j, name) for j in one for name in "ABCDEFGHIJ")
    ]
    alone, together = (
        {way.name: way.strength for way in reported(Preferences(found, tuple(said))).ways} for said in (one, ten)
    )
    for name, strength in together.items():
        assert strength.weight == pytest.approx(alone[name].weight, abs=0.02)  # the ridge weighs a tenth
        assert strength.error == pytest.approx(alone[name].error, rel=0.1)


def test_a_set_and_what_was_collected_from_a_copy_ask_about_the_same_pairs() -> None:
    """Ten who answer alike, five of them in a folder whose pairs have audio."""
    found, rng = random_set(4, 30, n_anchors=0), np.random.default_rng(0)
    one = [answer(found, number, "a", rng.choice(["first", "second"])) for number in range(len(found.pairs))]
    heard = replace(found, pairs=tuple(replace(p, a=replace(p.a, audio="a.flac")) for p in found.pairs))
    said: dict[bool, list[Judgement]] = {False: [], True: []}
    for n, (j, name) in enumerate((j, name) for j in one for name in "ABCDEFGHIJ"):
        asked = replace(j.presentation, presentation_id=f"{n:x}", listener=name)
        said[name < "F"].append(replace(j, presentation=asked))
    together = reported(Preferences(found, (*said[False], *said[True])))
    apart = reported(Preferences(found, tuple(said[False])), Preferences(heard, tuple(said[True])))
    for way, same in zip(together.ways, apart.ways, strict=True):
        assert way.strength.error == pytest.approx(same.strength.error)


def test_ways_by_hand() -> None:
    """Of ten pairs, a by one way and b by the other, a is preferred in eight, whichever side comes first.

    Strengths d and -d maximise 8 log p + 2 log(1 - p) - (d^2 + d^2) / 20, p = 1 / (1 + exp(-2 d)): 16 - 20 p = d / 5.
    """

    def strengths(sides: Sequence[Side], choices: Sequence[Choice]) -> tuple[Way, ...]:
        pairs = random_set(1, 10, n_anchors=0).pairs
        told = [
            (
                replace(pair, a=replace(pair.a, way="one"), b=replace(pair.b, way="two")),
                Judgement(Presentation(f"{n}", "Ann", pair.pair_id, side, False), choice),
            )
            for n, (pair, side, choice) in enumerate(zip(pairs, sides, choices, strict=True))
        ]
        return _ways(told)

    best, other = strengths(["a", "b"] * 5, [*["first", "second"] * 4, "second", "first"])
    d = best.strength.weight
    p = 1 / (1 + np.exp(-2 * d))
    assert (best.name, best.n, other.name, other.n) == ("one", 10, "two", 10)
    assert 16 - 20 * p == pytest.approx(d / 5, abs=1e-6)
    assert other.strength.weight == pytest.approx(-d)
    assert best.strength.error == pytest.approx((40 * p * (1 - p) + 0.2) ** -0.5)
    reach = Z * best.strength.error
    assert best.wins == pytest.approx([1 / (1 + np.exp(-w)) for w in (d, d - reach, d + reach)])
    assert [way.strength.weight for way in strengths(["a"] * 10, ["same"] * 10)] == pytest.approx([0.0, 0.0])
    by_place = strengths([*"aaaaaaaabb"], ["first"] * 10)  # type: ignore[list-item]
    assert by_place[0].strength.weight < d / 2  # a was preferred in eight as well: because it came first


def test_how_many_more_by_hand() -> None:
    """Errors shrink with the root of the number: half of what is needed takes four times as many."""
    assert [_more(100.0, z) for z in (Z / 2, Z, 2 * Z, Z / 5)] == [300, 0, 0, -1]  # 2400 are more than twenty times 100


def test_a_way_against_itself_is_not_judged() -> None:
    found = random_set(1, 30, n_anchors=0)
    given = reported(Preferences(found, tuple(answer(found, n, "a", "first") for n in range(30))))
    for way in given.ways:
        assert way.n == sum((pair.a.way == way.name) + (pair.b.way == way.name) == 1 for pair in found.pairs)
    assert any(pair.a.way == pair.b.way for pair in found.pairs)


def test_what_is_missing() -> None:
    answers = session(random_set(), [Listener("Ann", {"joins": -1.0})], 20, np.random.default_rng(0))
    found = reported(answers)
    n = sum(not j.presentation.pair_id.startswith("anchor") and j.choice != "unsure" for j in answers.judgements)
    assert found.n_missing["to learn a reward"] == 60 - n
    assert f"to learn a reward: about {60 - n} more" in screen(found)


def test_what_counts_by_hand() -> None:
    found = random_set(1, 6, n_anchors=2)
    found = replace(found, whole=tuple(pair.a for pair in found.pairs[:3]))
    answers = (
        answer(found, 0, "a", "first"),
        answer(found, 1, "a", "same"),  # a tie counts
        answer(found, 2, "a", "unsure"),
        answer(found, 6, "a", "first"),  # an anchor
        answer(found, 7, "a", "unsure"),  # an anchor as well, whatever was said of it
        answer(found, 0, "b", "second", repeat=True),  # counts again
    )
    # Ratings 5, 6 and 6 of one song: two comparisons that differ, each 1 / (3 - 1).
    ratings = tuple(Rating(f"r{n}", "Ann", heard.edit_id, (5, 6, 6)[n]) for n, heard in enumerate(found.whole))
    given = reported(Preferences(found, answers, ratings))
    assert given.counting == Counting(60, n_pairs=3, n_anchors=2, n_unsure=1, n_contrary=0, n_by_ratings=1.0)
    assert given.counting.n == given.learned.n_judgements == 4.0
    line = "toward reward_model.min_judgements (60) count 3 of 6 judgements, and ratings for 1 more: "
    assert line + "2 of anchors and 1 'can't tell' do not" in screen(given)
    assert given.n_missing["to learn a reward"] == 56


def test_who_prefers_broken_sides_counts_for_nothing() -> None:
    found = random_set(1, 5, n_anchors=5)
    answers = [answer(found, n, "a", "second") for n in range(len(found.pairs))]
    given = reported(Preferences(found, tuple(answers)))
    assert given.counting == Counting(60, n_pairs=0, n_anchors=5, n_unsure=0, n_contrary=5, n_by_ratings=0.0)
    assert given.counting.n == given.learned.n_judgements == 0
    assert given.learned.left_out == {"Ann": Anchored(0, 5)}
    assert given.ways == ()
    assert "5 of anchors, 5 of listeners who prefer the broken side of anchors and 0 'can't tell' do not" in screen(
        given
    )
    assert "who chose the good side of 0 of 5 decided anchors" in given.learned.reason


def test_who_prefers_broken_sides_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    anchors = opinions._anchors

    def counted(given: Sequence[Preferences]) -> dict[str, list[bool]]:
        looked.append(len(given))
        return anchors(given)

    monkeypatch.setattr(opinions, "_anchors", counted)
    reported(session(random_set(), [Listener("Ann", {"joins": -1.0})], 100, np.random.default_rng(0)))
    assert looked == [1]


def test_the_same_answers_twice_are_refused() -> None:
    answers = session(random_set(), [Listener("Ann", {"joins": -1.0})], 20, np.random.default_rng(0))
    with pytest.raises(DatasetError, match="the same answers are given twice"):
        reported(answers, answers)


def test_repeats_are_of_the_same_set() -> None:
    """Two sets of the same songs have pairs of the same names, and are other pairs."""
    one, two = (replace(random_set(1, 6, seed=seed, n_anchors=0), name=f"{seed}") for seed in (1, 2))
    again = [answer(one, 0, "a", "first"), answer(one, 0, "b", "second", repeat=True)]
    other = replace(
        answer(two, 0, "a", "second"), presentation=Presentation("two", "Ann", two.pairs[0].pair_id, "a", False)
    )
    (ann,) = reported(Preferences(one, tuple(again)), Preferences(two, (other,))).listeners
    assert ann.repeats == Share(1, 1)


@pytest.mark.slow
def test_listeners_of_opposite_tastes_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = random_set()
    taste = sharpened(Listener("Ann", {"joins": -1.0}), found, 0.8)
    opposite = replace(taste, name="Bob", taste={"joins": 1.0})
    given = reported(session(found, [taste, opposite], 300, np.random.default_rng(0)))
    assert given.learned.status == "learned"  # of one of them, hardly at all
    assert list(given.trust) == ["Ann", "Bob"]
    against = min(given.trust, key=lambda name: given.trust[name])
    assert f"! {against} judged against it: listeners want opposite things" in screen(given)
    assert given.to_dict()["trust"] == {name: round(trust, 4) for name, trust in given.trust.items()}
    alone = screen(reported(session(found, [taste], 200, np.random.default_rng(0))))
    assert "judges by it" not in alone
    assert "dislikes joins" in alone
    assert "not sure yet" not in alone
    weights = dict.fromkeys(FEATURES, (0.5, 1.0))
    monkeypatch.setattr(RewardModel, "weights", property(lambda _: weights))
    assert "which features it likes or dislikes is not sure yet" in screen(given)


@pytest.mark.slow
def test_what_two_have_in_common_is_said_with_what_to_do() -> None:
    found = random_set()
    taste = sharpened(Listener("Ann", {"joins": -1.0}), found, 0.9)
    opposite = replace(taste, name="Bob", taste={"joins": 1.0})
    given = reported(session(found, [taste, opposite], 300, np.random.default_rng(0)))
    said = screen(given)
    (two,) = given.learned.accords
    assert two.opposed
    assert f"  Ann and Bob: the same edit of {two.n_alike} of {two.n_both} (" in said
    assert f"one's taste predicts {100 * two.predicted:.0f} % ({100 * two.low:.0f} % to {100 * two.high:.0f} %)" in said
    assert "! Ann and Bob want opposite things: one reward of both is nobody's taste; learn of one at a time" in said
    assert "Ann and Bob want opposite things" in given.learned.reason
    assert given.to_dict()["accords"][0]["opposed"] is True
    alike = reported(session(found, [taste, replace(taste, name="Bob")], 300, np.random.default_rng(0)))
    assert not alike.learned.accords[0].opposed
    assert alike.learned.accords[0].low > 0.5
    assert "opposite things:" not in screen(alike)


@pytest.mark.slow
def test_who_copies_is_named_and_who_has_the_same_taste_is_not() -> None:
    found = random_set()
    taste = sharpened(Listener("Ann", {"joins": -1.0}), found, 0.75)
    ann = session(found, [taste], 150, np.random.default_rng(0))
    copied = tuple(replace(j, presentation=_of_bob(j)) for j in ann.judgements)
    given = reported(replace(ann, judgements=(*ann.judgements, *copied)))
    said = "! Ann and Bob agree more with each other than with themselves: one listener under two names, or answers"
    assert given.to_dict()["accords"][0]["as_one"] is True
    assert said in screen(given)
    alike = reported(session(found, [taste, replace(taste, name="Bob")], 300, np.random.default_rng(0)))
    assert alike.to_dict()["accords"][0]["as_one"] is False
    assert "than with themselves" not in screen(alike)


def _of_bob(judgement: Judgement) -> Presentation:
    asked = judgement.presentation
    return replace(asked, presentation_id=f"b{asked.presentation_id}", listener="Bob")


def test_answers_that_say_nothing_were_given_all_the_same() -> None:
    found = random_set(1, 6, n_anchors=1)
    given = reported(Preferences(found, tuple(answer(found, n, "a", "unsure") for n in range(7))))
    assert "learned reward: none: none of 7 answers says which of two edits is better" in screen(given)
    assert "chose A: not known; what sounded first: not known" in screen(given)


def test_the_picture_says_that_it_leaves_out_listeners() -> None:
    found = random_set(1, 6, n_anchors=1)
    given = reported(Preferences(found, tuple(answer(found, n, "a", "unsure") for n in range(7))))
    (ann,) = given.listeners
    for n, said in ((20, ""), (21, " (first 20 of 21)")):
        above = [axes.get_title(loc="left") for axes in draw(replace(given, listeners=(ann,) * n)).axes[:2]]
        assert [title.endswith(said) and title.count("(first") == (n > 20) for title in above] == [True, True]


def test_ratings_alone_are_no_nothing() -> None:
    found = random_set(1, 6, n_anchors=0)
    found = replace(found, whole=tuple(pair.a for pair in found.pairs[:3]))
    ratings = tuple(Rating(f"r{n}", "Ann", heard.edit_id, 5 + n) for n, heard in enumerate(found.whole))
    said = screen(reported(Preferences(found, ratings=ratings)))
    assert said.startswith("0 judgements by 0 listeners; 3 ratings\n")
    assert "and ratings for 1.5 more" in said  # 3 comparisons that count 1 / (3 - 1)
    assert "ratings (Ann 3 from 5 to 7) say by their order alone which of two edits of a song is better" in said


def test_nothing_yet() -> None:
    found = reported()
    assert found.n_judgements == 0
    assert screen(found) == "no judgements yet; rl-editor listen SET collects them"


def test_the_page_and_the_command(tmp_path: Path) -> None:
    listeners = [Listener("Ann <b>", {"joins": -1.0}), Listener("Cy", length=3.0)]
    answers = session(random_set(), listeners, 160, np.random.default_rng(0))
    page = write_report(reported(answers), tmp_path / "written")
    assert "Ann &lt;b&gt;" in page.read_text()
    assert (tmp_path / "written" / "report.png").read_bytes()[:4] == b"\x89PNG"
    answers.save(tmp_path / "collected" / "evening.json")
    result = CliRunner().invoke(app, ["preferences", "report", str(tmp_path / "collected"), "--json"])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said == json.loads((tmp_path / "written" / "report.json").read_text())
    assert said["judgements"] == len(answers.judgements)
    assert "toward reward_model.min_judgements (60) count" in page.read_text()
    assert "learned reward: " not in page.read_text()  # the heading says it
    words = CliRunner().invoke(app, ["preferences", "report", str(tmp_path / "collected" / "evening.json")])
    assert "Cy:" in words.stdout
    assert "answers for the longer one" in words.stdout
    only = CliRunner().invoke(app, ["preferences", "report", str(tmp_path / "collected"), "--listener", "Cy", "--json"])
    assert [each["listener"] for each in json.loads(only.stdout)["listeners"]] == ["Cy"]
    missing = CliRunner().invoke(app, ["preferences", "report", str(tmp_path / "nowhere")])
    assert missing.exit_code != 0
