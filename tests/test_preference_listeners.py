"""What is said of one listener: shares, attention, and whether they lasted."""

from dataclasses import replace

import numpy as np
import pytest
from opinion_sets import random_set

from rl_editor.judgements import Choice, Judgement, Pair, Presentation
from rl_editor.preferences.listeners import ListenerReport, agree_beyond_themselves, listener_report
from rl_editor.preferences.measures import Effect, Halves, KeyAfter, Share, fell
from rl_editor.preferences.words import about, warnings

FOUND = random_set(1, 20, n_anchors=20)
PAIRS, ANCHORS = FOUND.pairs[:20], FOUND.pairs[20:]


def answers(pairs: tuple[Pair, ...], *choices: Choice, at: str = "") -> list[tuple[Pair, Judgement]]:
    """To pairs one after the other, side a as A."""
    asked = [Presentation(f"{at}{pair.pair_id}", "Ann", pair.pair_id, "a", False) for pair in pairs]
    return [(pair, Judgement(a, choice, at=at)) for pair, a, choice in zip(pairs, asked, choices, strict=False)]


def of(asked: list[tuple[Pair, Judgement]]) -> ListenerReport:
    return listener_report("Ann", asked, [], np.random.default_rng(0))


class TestShare:
    def test_wilson_by_hand(self) -> None:
        # k = 8 of n = 10, z = 1.96: centre (0.8 + z^2/20) / (1 + z^2/10) = 0.7169, half width
        # z sqrt(0.8 * 0.2 / 10 + z^2/400) / (1 + z^2/10) = 0.2265
        low, high = Share(8, 10).interval
        assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))

    def test_nothing_asked(self) -> None:
        assert np.isnan(Share(0, 0).value)
        assert Share(0, 0).to_dict() == {"k": 0, "n": 0, "share": None, "low": None, "high": None}


class TestHalves:
    def test_by_hand(self) -> None:
        # All marginals fixed, k of the first half of 2 k answers is A's in C(2 k, k) ways; only two are as extreme as
        # none or all: for k = 5 it is 2 / 252 = 0.008 < 0.0099 (2.58 standard errors), for k = 4 it is 2 / 70.
        assert Halves(Share(0, 5), Share(5, 5)).differ
        assert not Halves(Share(0, 4), Share(4, 4)).differ
        assert not Halves(Share(0, 0), Share(5, 5)).differ

    def test_who_gets_to_answer_a_alone(self) -> None:
        late = of(answers(PAIRS, *["second", "first"] * 5, *["first"] * 10))
        assert late.halves["first"] == Halves(Share(5, 10), Share(10, 10))
        always = of(answers(PAIRS, *["first"] * 20))
        assert not always.halves["first"].differ
        turned = of(answers(PAIRS, *["second"] * 10, *["first"] * 10))
        said = "! answers for A: 0 of 10 in the first half, 10 of 10 in the second; shorter sessions may help"
        assert said in warnings(turned)
        assert said not in warnings(always)

    def test_who_no_longer_tells_anchors(self) -> None:
        tired = of(answers(ANCHORS, *["first"] * 10, *["second"] * 10))
        assert tired.anchors == Share(10, 20)
        assert tired.halves["attention"] == Halves(Share(10, 10), Share(0, 10))
        assert any(line.startswith("! anchors told and repeats answered alike: 10 of 10") for line in warnings(tired))

    def test_sets_are_put_in_the_order_in_which_they_were_judged(self) -> None:
        monday, tuesday = (f"2026-01-0{day}T20:00:00+00:00" for day in (5, 6))
        mixed = answers(ANCHORS[10:], *["second"] * 10, at=tuesday) + answers(ANCHORS, *["first"] * 10, at=monday)
        assert of(mixed).halves["attention"] == Halves(Share(10, 10), Share(0, 10))


def test_loudness_time_and_what_sounded_first_by_hand() -> None:
    """Three pairs whose side a is 3 dB louder: chosen once; it sounded first twice; one time is not known."""
    louder = tuple(replace(pair, a=replace(pair.a, loudness_lufs=-17.0)) for pair in PAIRS[:3])
    asked = answers(louder, "first", "second", "second")
    heard = zip(asked, ("a", "a", None), (4.0, 0.0, 6.0), strict=True)
    found = of([(pair, replace(j, played_first=side, seconds=s)) for (pair, j), side, s in heard])
    assert (found.louder, found.played_first, found.median_s) == (Share(1, 3), Share(1, 2), 5.0)


def test_a_pair_that_was_not_told_is_not_told_otherwise() -> None:
    again = [(PAIRS[0], Judgement(Presentation("again", "Ann", PAIRS[0].pair_id, "b", True), "first"))]
    assert of(answers(PAIRS, "unsure") + again).repeats == Share(0, 0)


def test_a_taste_that_turned_is_said() -> None:
    stays = of(answers(PAIRS, *["first", "second"] * 10))
    said = "! the second half of the answers follows another taste than the first"
    assert any(line.startswith(said) for line in warnings(replace(stays, turned=True)))
    assert not any(line.startswith(said) for line in warnings(stays))


class TestKeyAfter:
    @pytest.mark.parametrize(
        ("choices", "said"),
        [
            (
                ["first"] * 10 + ["second"] * 10,
                "9 of 10 after an answer for A, 0 of 9 after one for B: the last key sticks",
            ),
            (["first", "second"] * 10, "0 of 10 after an answer for A, 9 of 9 after one for B: keys alternate"),
        ],
    )
    def test_keys_that_go_by_keys(self, choices: list[Choice], said: str) -> None:
        assert f"! answers for A: {said}, which blurs the taste" in warnings(of(answers(PAIRS, *choices)))

    def test_no_key_is_between_two(self) -> None:
        broken = of(answers(PAIRS, "first", "same", "first", "first", "second", "unsure", "second", "first"))
        assert broken.key_after == KeyAfter(Share(1, 2), Share(1, 1))

    def test_a_taste_does_not_go_by_keys(self) -> None:
        """Of 200 listeners two or fewer would be named by chance."""
        rng = np.random.default_rng(0)
        drawn = rng.choice(["first", "second"], size=(200, 20)).tolist()
        assert sum(of(answers(PAIRS, *keys)).key_after.depends for keys in drawn) <= 4
        assert not of(answers(PAIRS, *["first"] * 20)).key_after.depends


def test_who_tells_anchors_and_answers_repeats_otherwise_may_be_two() -> None:
    """Ten pairs asked again with the sides exchanged, and A chosen each time."""
    again = [
        (pair, Judgement(Presentation(f"again {pair.pair_id}", "Ann", pair.pair_id, "b", True), "first"))
        for pair in PAIRS[:10]
    ]
    torn = "! less than chance would give, though anchors are told: a taste that changes, two listeners of one name, or"
    asked = answers(PAIRS[:10], *["first"] * 10) + again
    assert torn in about(of(asked + answers(ANCHORS, *["first"] * 20)))[1]
    assert torn not in about(of(asked + answers(ANCHORS, *["first", "second"] * 10)))[1]


class TestFell:
    def test_by_hand(self) -> None:
        # Of 7 the last 2 missed: ranks 6 + 7, less 2 * 8 / 2 = 5, over sqrt(2 * 5 * 8 / 12) = 2.58: 1.94 < 2.33.
        # Of 10 the last 3: 27 - 16.5 = 10.5, over sqrt(3 * 7 * 11 / 12) = 4.39: 2.39 > 2.33.
        assert not fell([True] * 5 + [False] * 2)
        assert fell([True] * 7 + [False] * 3)
        # Both: (5 + 10.5) / sqrt(6.67 + 19.25) = 3.04.
        assert fell([True] * 5 + [False] * 2, [True] * 7 + [False] * 3)

    def test_it_did_not(self) -> None:
        for right in ([], [True], [True] * 9, [False] * 9, [False] * 3 + [True] * 7, [True, False] * 20):
            assert not fell(right), right

    def test_anchors_that_come_late_and_are_harder_are_no_fall(self) -> None:
        assert not fell([True] * 20, [False] * 20)
        assert fell([True] * 20 + [False] * 20)

    def test_who_tires_late_is_found(self) -> None:
        """Of 20 anchors the last five are missed: ten and five of ten are no difference to Fisher (p = 0.03)."""
        late = of(answers(ANCHORS, *["first"] * 15, *["second"] * 5))
        assert late.halves["attention"] == Halves(Share(10, 10), Share(5, 10))
        assert not late.halves["attention"].differ
        assert late.tired
        said = "! anchors told and repeats answered alike: 10 of 10 in the first half, 5 of 10 in the second"
        assert f"{said}; shorter sessions may help" in warnings(late)

    def test_who_tells_anchors_to_the_end_and_answers_repeats_otherwise_is_not_tired(self) -> None:
        """Of ten pairs asked again, each with an anchor after it, the first five are answered alike."""
        again = [
            (pair, Judgement(Presentation(f"again {pair.pair_id}", "Ann", pair.pair_id, "a", True), choice))
            for pair, choice in zip(PAIRS[:10], ["first"] * 5 + ["second"] * 5, strict=True)
        ]
        anchors = answers(ANCHORS[:10], *["first"] * 10)
        after = [each for two in zip(again, anchors, strict=True) for each in two]
        asked = [
            (pair, replace(j, at=f"{n:02}")) for n, (pair, j) in enumerate(answers(PAIRS[:10], *["first"] * 10) + after)
        ]
        said = "! anchors told and repeats answered alike: 5 of 5 in the first half, 10 of 15 in the second"
        why = "though 8 of the last 8 anchors are told: the taste changed, or who answers"
        changed = of(asked)
        assert changed.tired
        assert f"{said}; {why}" in warnings(changed)

    def test_who_gets_better_is_not_tired(self) -> None:
        early = of(answers(ANCHORS, *["second"] * 10, *["first"] * 10))
        assert early.halves["attention"].differ
        assert not early.tired
        said = "! anchors told and repeats answered alike: 0 of 10 in the first half, 10 of 10 in the second"
        assert f"{said}; the first answers tell less" in warnings(early)


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (["same"] * 8, "0 of 8 (0 % to 32 %), 8 times 'no difference'  ! hears hardly a difference"),
        (["first"] * 7 + ["same"], "7 of 8 (53 % to 98 %), 1 time 'no difference'"),
        (["second"] * 8, "0 of 8 (0 % to 32 %)  ! less than chance would give"),
        (
            ["second"] * 4,
            "0 of 4 (0 % to 49 %)  ! of so few it may be chance, or the buttons the wrong way round: judge more",
        ),
        (["second"] * 3 + ["first"], "1 of 4 (5 % to 70 %)"),
        (["same"] * 4, "0 of 4 (0 % to 49 %), 4 times 'no difference'"),
    ],
)
def test_a_tie_is_no_choice_of_the_broken_side(choices: list[Choice], said: str) -> None:
    assert about(of(answers(ANCHORS, *choices)))[2] == f"good side of an anchor chosen: {said}"


def test_a_repeat_is_of_the_same_pair_though_another_has_its_name() -> None:
    one, other = PAIRS[0], replace(PAIRS[1], pair_id=PAIRS[0].pair_id)
    again = [(one, Judgement(Presentation("again", "Ann", one.pair_id, "b", True), "second"))]
    asked = answers((one,), "first") + answers((other,), "second", at="x") + again
    assert of(asked).repeats == Share(1, 1)


class TestOfNoUse:
    def test_who_prefers_broken_sides_is_told_so(self) -> None:
        contrary = of(answers(ANCHORS, *["second"] * 5))
        assert contrary.contrary
        assert warnings(contrary)[0].startswith("! prefers the broken side of anchors: the buttons are the wrong way")
        assert not of(answers(ANCHORS, *["second"] * 4)).contrary  # a coin does that in 1 of 16 cases
        assert not of(answers(ANCHORS, *["second"] * 4, *["same"] * 8)).contrary

    def test_who_says_no_difference_of_nearly_all(self) -> None:
        lazy = of(answers(PAIRS, *["same"] * 18, "first", "second"))
        assert warnings(lazy)[0].startswith("! says 'no difference' of most pairs (18 of 20 (70 % to 97 %))")
        half = of(answers(PAIRS, *["same", "first"] * 10))
        assert not any("no difference" in said for said in warnings(half))

    def test_repeats_that_are_no_difference_both_times_are_counted(self) -> None:
        again = [
            (pair, Judgement(Presentation(f"again {pair.pair_id}", "Ann", pair.pair_id, "b", True), choice))
            for pair, choice in zip(PAIRS, ("same", "second", "same"), strict=False)
        ]
        some = of(answers(PAIRS, "same", "first", "first") + again)
        assert (some.repeats, some.n_repeats_same, some.repeats_told) == (Share(2, 3), 1, Share(1, 2))
        assert "2 of 3 (21 % to 94 %), 1 of them 'no difference' both times" in about(some)[1]

    def test_who_tells_anchors_as_a_coin_does(self) -> None:
        # 10 of 20: Wilson's interval is 0.30 to 0.70, and 0.75 is what is asked of repeats.
        coin = of(answers(ANCHORS, *["first", "second"] * 10))
        assert "anchors told and repeats answered alike together: 10 of 20 (30 % to 70 %)" in warnings(coin)[0]
        assert warnings(of(answers(ANCHORS, *["first"] * 20))) == []

    def test_who_tells_anchors_and_turns_repeats_round_is_no_coin(self) -> None:
        """Together 10 of 20, and a coin does either in one case of 1024."""
        again = [
            (pair, Judgement(Presentation(f"again {pair.pair_id}", "Ann", pair.pair_id, "b", True), choice))
            for pair, choice in zip(PAIRS[:10], ["first", "second"] * 5, strict=True)
        ]
        torn = of(answers(PAIRS[:10], *["first", "second"] * 5) + again + answers(ANCHORS[:10], *["first"] * 10))
        assert (torn.repeats, torn.anchors, torn.told) == (Share(0, 10), Share(10, 10), Share(10, 20))
        assert not any("as by a coin" in said for said in warnings(torn))

    def test_who_can_tell_hardly_anything(self) -> None:
        silent = of(answers(PAIRS, *["unsure"] * 18, "first", "second"))
        assert warnings(silent)[0].startswith("! says 'can't tell' of most pairs (18 of 20 (70 % to 97 %))")
        none = of(answers((*PAIRS, *ANCHORS), *["unsure"] * 40))
        assert [said.split(" (")[0] for said in warnings(none)] == ["! says 'can't tell' of most pairs"]

    def test_few_anchors_say_nothing_of_the_buttons(self) -> None:
        many = [*PAIRS, *(replace(pair, pair_id=f"more {pair.pair_id}") for pair in PAIRS)]
        asked = answers(tuple(many), *["first", "second", "second", "first"] * 10)
        few = of(asked + answers(ANCHORS, *["first"] * 4))
        assert "! 4 anchors decided, 5 are needed to see buttons that are the wrong way round: judge more" in warnings(
            few
        )
        enough = of(asked + answers(ANCHORS, *["first"] * 5))
        assert not any("anchors decided" in said for said in warnings(enough))


class TestAsOne:
    """Ten pairs, of which five were answered alike when asked again: who agrees more often copies, or is the same."""

    @staticmethod
    def listener(choices: list[Choice]) -> ListenerReport:
        again = [
            (pair, Judgement(Presentation(f"again {pair.pair_id}", "Ann", pair.pair_id, "b", True), choice))
            for pair, choice in zip(PAIRS[:10], choices, strict=True)
        ]
        return of(answers(PAIRS[:10], *["first"] * 10) + again)

    def test_by_hand(self) -> None:
        # With themselves 10 of 20. Of 20 between them all alike: of 40, 10 unlike, all in one half: in
        # C(20, 10) / C(40, 10) = 184756 / 847660528 = 0.0002 of cases, both ways 0.0004 < 0.0099; 14 of 20 is 0.33.
        half = self.listener(["second", "first"] * 5)
        assert half.repeats_decided == Share(5, 10)
        assert agree_beyond_themselves(Share(20, 20), half, half, n_tests=1)
        assert not agree_beyond_themselves(Share(20, 20), half, half, n_tests=100)
        assert not agree_beyond_themselves(Share(14, 20), half, half, n_tests=1)
        assert not agree_beyond_themselves(Share(0, 20), half, half, n_tests=1)
        assert not agree_beyond_themselves(Share(0, 0), half, half, n_tests=1)

    def test_ties_are_no_lack_of_agreement(self) -> None:
        ties = self.listener(["same"] * 8 + ["second"] * 2)
        assert (ties.repeats, ties.repeats_decided) == (Share(2, 10), Share(2, 2))

    def test_who_goes_by_place_answers_repeats_otherwise_for_that_reason(self) -> None:
        placed = self.listener(["first"] * 10)
        assert placed.repeats_decided == Share(0, 10)
        assert agree_beyond_themselves(Share(20, 20), placed, placed, n_tests=1)
        for place in ("order", "played_first"):
            by_place = replace(placed, habits={**placed.habits, place: Effect(5.0, 1.0, 50.0)})
            assert not agree_beyond_themselves(Share(20, 20), by_place, by_place, n_tests=1)
