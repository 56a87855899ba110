"""Whether a taste that turns into another is told from one that stays."""

import numpy as np
import pytest

from rl_editor.preferences.turning import LEAST, turned
from rl_editor.reward import SUMMARY_NAMES
from rl_editor.reward_model.model import Preference

JOINS, STRENGTH = SUMMARY_NAMES.index("joins"), SUMMARY_NAMES.index("energy_rank")


def told(early: int | None, late: int | None, seed: int, *, n: int = 120, order: float = 0.0) -> list[Preference]:
    """Answers by one number of a summary and then by another; None: by chance."""
    rng = np.random.default_rng(seed)
    edits = rng.normal(size=(2, n, len(SUMMARY_NAMES)))
    edits[:, :, SUMMARY_NAMES.index("output_share")] = 0.3
    said = []
    for i, (one, two) in enumerate(zip(*edits, strict=True)):
        column = early if i < n // 2 else late
        by = order + (2.0 * (one[column] - two[column]) if column is not None else 0.0)
        said.append(Preference(one, two, bool(rng.random() < 1 / (1 + np.exp(-by))), group=str(i % 20)))
    return said


def named(early: int | None, late: int | None, n_sessions: int, **how: float) -> int:
    return sum(turned(told(early, late, seed, **how), np.random.default_rng(seed)) for seed in range(n_sessions))


def test_a_taste_for_something_else_halfway_is_named() -> None:
    assert named(JOINS, STRENGTH, 10) >= 9


@pytest.mark.parametrize("how", [(JOINS, JOINS, 0.0), (None, None, 0.0), (None, None, 1.5), (JOINS, JOINS, 1.5)])
def test_one_taste_or_none_is_named_in_one_session_of_a_hundred(how: tuple[int | None, int | None, float]) -> None:
    early, late, order = how
    assert named(early, late, 50, order=order) <= 3  # 0.5 expected


def test_of_few_answers_nothing_is_said() -> None:
    answers = told(JOINS, STRENGTH, 0, n=2 * LEAST)
    assert not turned(answers[1:], np.random.default_rng(0))
    assert not turned([], np.random.default_rng(0))
