"""What two listeners have in common: shares by hand, and who wants opposite things."""

from dataclasses import replace

import numpy as np
import pytest
from opinion_sets import random_set

from benchmarks.preferences.listeners import Listener, session, sharpened
from rl_editor.judgements.sets import ListeningSet
from rl_editor.reward import SUMMARY_NAMES
from rl_editor.reward_model.accord import LEAST, Accord, accords, opposed
from rl_editor.reward_model.model import Preference
from rl_editor.reward_model.opinions import opinions

FOUND = random_set()
FEWER = sharpened(Listener("Ann", {"joins": -1.0}), FOUND, 0.9)
MORE = replace(FEWER, name="Bob", taste={"joins": 1.0})


def between(*listeners: Listener, found: ListeningSet = FOUND, n: int = 240) -> list[Accord]:
    answers = session(found, list(listeners), n, np.random.default_rng(1))
    return accords(opinions([answers]), np.random.default_rng(0))


def said(listener: str, firsts: list[bool], *, turned: bool = False) -> list[Preference]:
    """Of so many pairs of edits on 8 songs, for each whether its first edit was chosen."""
    edits = np.random.default_rng(0).normal(size=(len(firsts), 2, len(SUMMARY_NAMES)))
    edits[:, :, SUMMARY_NAMES.index("output_share")] = 0.3
    found = []
    for number, ((a, b), first) in enumerate(zip(edits, firsts, strict=True)):
        found.append(Preference(a, b, first, listener=listener, group=f"song {number % 8}"))
    if turned:
        return [p._replace(first=p.second, second=p.first, first_preferred=not p.first_preferred) for p in found]
    return found


def test_pairs_that_both_decided_by_hand() -> None:
    ann, bob = said("Ann", [True] * 24), said("Bob", [True] * 6 + [False] * 18, turned=True)
    again = [ann[0]._replace(first_preferred=False)]  # of a pair only the first answer counts
    tie = [said("Bob", [True] * 25)[24]._replace(first_preferred=None)]
    (two,) = accords([*ann, *again, *bob, *tie], np.random.default_rng(0))
    assert (two.one, two.other, two.n_alike, two.n_both) == ("Ann", "Bob", 6, 24)
    assert two.low <= two.predicted <= two.high


def test_few_answers_say_nothing() -> None:
    ann, bob = said("Ann", [True] * 24), said("Bob", [True] * (LEAST - 1))
    assert accords([*ann, *bob], np.random.default_rng(0)) == []
    assert accords(ann, np.random.default_rng(0)) == []


def test_opposite_tastes_are_found() -> None:
    (two,) = between(FEWER, MORE)
    assert two.opposed
    assert two.high < 0.5
    assert opposed([two]) == "Ann and Bob want opposite things"


def test_opposite_tastes_are_found_though_no_pair_was_judged_by_both() -> None:
    one = session(replace(FOUND, pairs=FOUND.pairs[::2]), [FEWER], 120, np.random.default_rng(1))
    other = session(replace(FOUND, pairs=FOUND.pairs[1::2]), [MORE], 120, np.random.default_rng(2))
    (two,) = accords(opinions([one, other]), np.random.default_rng(0))
    assert (two.n_both, two.opposed) == (0, True)


@pytest.mark.parametrize(
    "other",
    [
        replace(FEWER, name="Bob"),
        Listener("Bob"),
        Listener("Bob", order=-3.0),
        Listener("Bob", length=3.0),
        sharpened(Listener("Bob", {"energy_rank": 1.0}), FOUND, 0.9),
    ],
    ids=["alike", "by chance", "by order", "by length", "of another taste"],
)
def test_others_are_not_said_to_be_opposed(other: Listener) -> None:
    assert not any(two.opposed for two in between(FEWER, other))
    assert opposed(between(FEWER, other)) == ""


def test_of_three_the_two_twos_are_named() -> None:
    found = between(FEWER, MORE, replace(FEWER, name="Cy"), n=450)
    assert opposed(found) == "Ann and Bob, Bob and Cy want opposite things"
