"""How many passages an editor usually loops and moves."""

import math

import pytest
import torch

from rl_editor.actions import CUT, FIRST_LOOP, KEEP, ActionSpace
from rl_editor.config import Config
from rl_editor.usual_regions import UsualRegions, opened

LASTS_S = torch.tensor([60.0, 120.0, 180.0])


def test_what_goes_on_with_a_passage_opens_none() -> None:
    space = ActionSpace(Config().action_space)
    edits = [
        [FIRST_LOOP, space.extend, KEEP, space.extend - 1, space.extend],
        [space.first_reorder, space.extend, CUT, KEEP, KEEP],
        [space.n_discrete_actions - 1, FIRST_LOOP, space.first_reorder, KEEP, CUT],
    ]
    assert opened(torch.tensor(edits), space).tolist() == [[2, 0], [0, 1], [1, 2]]


def test_the_habit_is_what_varies_less_over_the_pairs() -> None:
    """Two pairs' worth of doubt, one passage each: (0 + 2) / (3 - 1 + 2) * (1 + 1/3) = 2/3."""
    usual = UsualRegions(2)
    usual.fit(torch.tensor([[1, 1], [2, 1], [3, 1]]), LASTS_S, torch.tensor([1, 1, 1]))
    (a_loop, loops_a_minute, _), (a_move, moves_a_minute, _) = usual.table[1].tolist()
    assert (a_loop, loops_a_minute, a_move, moves_a_minute) == pytest.approx((0.0, 1.0, 1.0, 0.0))
    assert usual.table[1, :, 2].tolist() == pytest.approx([math.sqrt(2 / 3)] * 2)
    assert usual.table[0, :, 2].isinf().all()  # of the other editor nothing is known


def test_editors_are_told_apart() -> None:
    """One loops once in every song, whatever its length, the other moves two passages."""
    usual, lasts_s = UsualRegions(2), torch.tensor([60.0, 90.0, 120.0, 200.0])
    usual.fit(torch.tensor([[1, 0], [0, 2], [1, 0], [0, 2]]), lasts_s, torch.tensor([0, 1, 0, 1]))
    assert usual.table[:, :, 0].tolist() == [[1.0, 0.0], [0.0, 2.0]]
    edits = torch.tensor([[1, 0], [0, 2]])
    assert [int(usual.log_prob(edits, 100.0, style).argmax()) for style in (0, 1)] == [0, 1]


def test_pairs_that_disagree_say_less() -> None:
    usual = UsualRegions(1)
    usual.fit(torch.tensor([[0, 0], [4, 0], [0, 0]]), LASTS_S, torch.zeros(3, dtype=torch.long))
    mean = 4 / 3
    off = 2 * mean**2 + (4 - mean) ** 2
    assert usual.table[0, 0].tolist() == pytest.approx([mean, 0.0, math.sqrt((off + 2) / 4 * (4 / 3))])


def test_too_few_count_by_how_far_they_are_off() -> None:
    usual = UsualRegions(1)
    assert usual.log_prob(torch.tensor([[0, 0], [9, 9]]), 60.0, 0).tolist() == [0.0, 0.0]
    usual.fit(torch.tensor([[1, 1], [2, 1], [3, 1]]), LASTS_S, torch.zeros(3, dtype=torch.long))
    counts = torch.tensor([[4, 1], [4, 0], [1, 1], [1, 0], [9, 3]])  # in four minutes four loops and a move are usual
    expected = [0.0, -0.75, -0.75 * 9, -0.75 * (9 + 1), 0.0]
    assert usual.log_prob(counts, 240.0, 0).tolist() == pytest.approx(expected, abs=1e-5)
