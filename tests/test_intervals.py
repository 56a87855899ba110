"""Stretches of a line."""

import numpy as np

from rl_editor.intervals import gaps, overlap, overlaps, repeated, total, union


def test_what_overlaps_or_touches_becomes_one() -> None:
    assert union([(5, 7), (0, 2), (1, 4), (7, 8)]) == [(0, 4), (5, 8)]
    assert union([(0, 9), (2, 3)]) == [(0, 9)]  # one within another
    assert union([]) == []


def test_small_gaps_may_count_as_covered() -> None:
    assert union([(0.0, 1.0), (1.25, 2.0), (2.5, 3.0)], slack=0.25) == [(0.0, 2.0), (2.5, 3.0)]


def test_lengths() -> None:
    assert total([(5, 7), (0, 2), (1, 4)]) == 2 + 2 + 3
    assert total(union([(5, 7), (0, 2), (1, 4)])) == 2 + 4
    assert total(union([])) == 0
    assert repeated([(5, 7), (0, 2), (1, 4), (1, 4)]) == 1 + 3
    assert repeated([]) == 0


def test_what_is_left() -> None:
    assert gaps([(1, 4), (5, 8)], 8) == [(0, 1), (4, 5)]
    assert gaps([], 8) == [(0, 8)]


def test_what_two_share() -> None:
    assert [overlap((2, 6), other) for other in ((0, 3), (3, 4), (5, 9), (6, 9), (8, 9))] == [1, 1, 1, 0, 0]
    assert overlap((0.0, 1.5), (1.0, 4.0)) == 0.5


def test_what_a_span_shares_with_each_of_neighbours() -> None:
    shared = overlaps(np.array([0, 2, 5, 9, 10]), (1, 6))
    assert shared.tolist() == [1, 3, 1, 0]
    assert shared.dtype.kind == "i"
    assert overlaps(np.array([0.0, 1.0, 2.5]), (0.25, 2.0)).tolist() == [0.75, 1.0]
