"""What comes next: everything once, anchors among the rest, repeats with exchanged sides, and an end."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listening_sets import make_set

from rl_editor.judgements import Judgement, Pair, Presentation
from rl_editor.judgements.log import Answers
from rl_editor.judgements.sets import ListeningSet
from rl_editor.preferences.planning import CYCLE, GAP, Chooser, next_presentation, progress

N_PAIRS, N_ANCHORS = 36, 6


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> ListeningSet:
    return make_set(tmp_path_factory.mktemp("set"), n_pairs=N_PAIRS, n_anchors=N_ANCHORS, n_beats=1)


def session(
    found: ListeningSet, listener: str = "Ann", *, choice: str = "first", choose: Chooser | None = None
) -> list[Presentation]:
    """All that a listener is asked, answered."""
    answers, asked = Answers(), []
    while (given := next_presentation(found, answers, listener, choose=choose)) is not None:
        asked.append(given)
        answers.judgements[given.presentation_id] = Judgement(given, choice)  # type: ignore[arg-type]
        assert len(asked) < 200
    return asked


def test_every_pair_once_and_some_again(found: ListeningSet) -> None:
    asked = session(found)
    fresh = [each.pair_id for each in asked if not each.repeat]
    assert sorted(fresh) == sorted(pair.pair_id for pair in found.pairs)
    assert len(asked) - len(fresh) == (N_PAIRS + N_ANCHORS) // (CYCLE - 1)  # 6 repeats of 42
    assert len({each.presentation_id for each in asked}) == len(asked)


def test_a_repeat_exchanges_the_sides_and_comes_late(found: ListeningSet) -> None:
    asked = session(found)
    for place, each in enumerate(asked):
        if each.repeat:
            before = next(i for i, other in enumerate(asked) if other.pair_id == each.pair_id)
            assert asked[before].first == each.second
            assert place - before >= GAP
            assert "anchor" not in each.pair_id
    assert len({each.pair_id for each in asked if each.repeat}) == sum(each.repeat for each in asked)


def test_anchors_come_among_the_pairs(found: ListeningSet) -> None:
    asked = session(found)
    places = [place for place, each in enumerate(asked) if "anchor" in each.pair_id]
    assert [place // CYCLE for place in places] == list(range(N_ANCHORS))  # one in each cycle


def test_nobody_can_learn_where_anchors_and_repeats_come(found: ListeningSet) -> None:
    """Of the second to fifth cycles of 30 listeners 120 of each lie anywhere: 15 are expected at each of 8 places."""
    sessions = [session(found, f"L{n}") for n in range(30)]
    anchors = [i for asked in sessions for i, each in enumerate(asked) if "anchor" in each.pair_id]
    repeats = [i for asked in sessions for i, each in enumerate(asked) if each.repeat]
    for places in (anchors, repeats):
        counts = [sum(CYCLE <= i < 5 * CYCLE and i % CYCLE == place for i in places) for place in range(CYCLE)]
        assert sum(counts) == 120
        assert min(counts) >= 4  # 15 less three standard deviations of 3.6
        assert max(counts) <= 26
    assert {i for i in repeats if i < CYCLE} == {6, 7}  # the first has been answered GAP judgements before


def test_what_nobody_could_tell_is_not_asked_again(found: ListeningSet) -> None:
    assert not any(each.repeat for each in session(found, choice="unsure"))


def test_sides_are_balanced(found: ListeningSet) -> None:
    """Of 10 listeners' 420 first presentations half have side a first; 4 standard deviations are 41."""
    first = [each.first for n in range(10) for each in session(found, f"L{n}") if not each.repeat]
    assert len(first) == 420
    assert abs(first.count("a") - 210) <= 41


def test_listeners_have_orders_and_sides_of_their_own_that_last(found: ListeningSet) -> None:
    ann, bob = session(found, "Ann"), session(found, "Bob")
    orders = [[a.pair_id for a in asked if not a.repeat and "anchor" not in a.pair_id] for asked in (ann, bob)]
    assert orders[0] != orders[1]
    sides = [{each.pair_id: each.first for each in asked if not each.repeat} for asked in (ann, bob)]
    assert sides[0] != sides[1]
    assert ann == session(found, "Ann")
    assert not {each.presentation_id for each in ann} & {each.presentation_id for each in bob}


def test_sets_that_share_all_names_share_no_presentation(found: ListeningSet, tmp_path: Path) -> None:
    """As two of the same songs and seed do, in folders of one name: other policies made other edits."""
    other = make_set(tmp_path, n_pairs=N_PAIRS, n_anchors=N_ANCHORS, n_beats=2)
    assert [pair.pair_id for pair in other.pairs] == [pair.pair_id for pair in found.pairs]
    assert (other.name, other.seed) == (found.name, found.seed)
    ids = [{each.presentation_id for each in session(each)} for each in (found, other)]
    assert not ids[0] & ids[1]


def test_the_chooser_chooses_among_fresh_pairs(found: ListeningSet) -> None:
    asked = session(found, choose=lambda pairs, _: min(pairs, key=lambda pair: pair.pair_id))
    plain = [each.pair_id for each in asked if not each.repeat and "anchor" not in each.pair_id]
    assert plain == sorted(plain)


def test_the_chooser_hears_of_everybodys_answers(found: ListeningSet) -> None:
    answers, heard = Answers(), []
    asked = next_presentation(found, answers, "Bob")
    assert asked is not None
    answers.judgements[asked.presentation_id] = Judgement(asked, "first")

    def choose(pairs: Sequence[Pair], judgements: Sequence[Judgement]) -> Pair:
        heard.extend(judgements)
        return pairs[0]

    next_presentation(found, answers, "Ann", choose=choose)
    assert [judgement.presentation.listener for judgement in heard] == ["Bob"]


def test_what_is_open_comes_first(found: ListeningSet) -> None:
    answers = Answers()
    asked = next_presentation(found, answers, "Ann")
    assert asked is not None
    answers.open["Ann"] = asked
    assert next_presentation(found, answers, "Ann", choose=lambda pairs, _: pairs[-1]) is asked
    assert next_presentation(found, answers, "Bob") is not asked


def subset(found: ListeningSet, n_pairs: int, n_anchors: int) -> ListeningSet:
    pairs = (*found.pairs[:n_pairs], *found.pairs[N_PAIRS : N_PAIRS + n_anchors])
    return ListeningSet("small", 3, found.summary_names, pairs)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), n_pairs=st.integers(0, 30), n_anchors=st.integers(0, 6))
def test_progress_reaches_its_end_whatever_is_answered(
    found: ListeningSet, n_pairs: int, n_anchors: int, data: st.DataObject
) -> None:
    small, answers = subset(found, n_pairs, n_anchors), Answers()
    choices = data.draw(st.sampled_from([["unsure"], ["unsure", "same"], ["first", "unsure", "unsure"]]))
    planned = [progress(small, answers, "Ann")]
    while (given := next_presentation(small, answers, "Ann")) is not None:
        answers.judgements[given.presentation_id] = Judgement(given, data.draw(st.sampled_from(choices)))
        planned.append(progress(small, answers, "Ann"))
        assert planned[-1].n_planned <= planned[-2].n_planned  # nothing is added that was not said before
    assert [each.n_done for each in planned] == list(range(len(planned)))
    assert planned[-1].n_done == planned[-1].n_planned
    assert all(each.n_planned > each.n_done for each in planned[:-1])


def test_progress_by_hand(found: ListeningSet) -> None:
    small, answers = subset(found, 14, 2), Answers()
    for n, n_planned in enumerate([18] * 9):  # 16 pairs and anchors, 16 // 7 repeats
        assert progress(small, answers, "Ann") == (n, n_planned)
        given = next_presentation(small, answers, "Ann")
        assert given is not None
        answers.judgements[given.presentation_id] = Judgement(given, "unsure")
    while (given := next_presentation(small, answers, "Ann")) is not None:
        answers.judgements[given.presentation_id] = Judgement(given, "unsure")
    assert progress(small, answers, "Ann") == (16, 16)


@settings(max_examples=40, deadline=None)
@given(n_pairs=st.integers(1, 20), n_anchors=st.integers(0, 4))
def test_any_set_ends_at_what_was_planned(found: ListeningSet, n_pairs: int, n_anchors: int) -> None:
    small, answers = subset(found, n_pairs, n_anchors), Answers()
    planned = progress(small, answers, "Ann")
    assert planned.n_done == 0
    asked = session(small)
    for each in asked:
        answers.judgements[each.presentation_id] = Judgement(each, "same")
    assert progress(small, answers, "Ann") == (len(asked), planned.n_planned)
    assert len(asked) == planned.n_planned


def test_nothing_is_written(found: ListeningSet, tmp_path: Path) -> None:
    session(found)
    assert list(tmp_path.iterdir()) == []
