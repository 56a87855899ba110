"""The action space: numbers and decisions are inverse, and illegal decisions are masked."""

import numpy as np
import pytest
from gymnasium.spaces import Discrete

from rl_editor.actions import (
    CUT,
    KEEP,
    UNIT_KINDS,
    ActionSpace,
    ActionType,
    CutAction,
    ExtendAction,
    KeepAction,
    LoopAction,
    ReorderAction,
    output_runs,
    output_units,
    replay,
    unit_kinds,
)
from rl_editor.config import ActionSpaceConfig
from rl_editor.errors import EditListError

SPACE = ActionSpace()
E = SPACE.extend


def to(unit: int, target: int) -> int:
    return SPACE.encode(ReorderAction(unit, target))


def test_size_and_numbers() -> None:
    # KEEP, CUT, LOOP2..4, EXTEND and 64 + 63 offsets: -64..-1 and 2..64
    assert SPACE.n_discrete_actions == 2 + 3 + 1 + 64 + 63 == 133
    assert SPACE.names[:8] == ("KEEP", "CUT", "LOOP2", "LOOP3", "LOOP4", "EXTEND", "REORDER-64", "REORDER-63")
    assert isinstance(SPACE, Discrete)
    assert SPACE.contains(132)
    assert not SPACE.contains(133)


def test_numbers_and_decisions_are_inverse() -> None:
    for number in range(SPACE.n_discrete_actions):
        assert SPACE.encode(SPACE.describe(number, 100)) == number
        assert SPACE.index(SPACE.name(number)) == number


def test_decisions_by_hand() -> None:
    assert SPACE.describe(KEEP, 3) == KeepAction(3)
    assert SPACE.describe(CUT, 3) == CutAction(3)
    assert SPACE.describe(3, 7) == LoopAction(7, n_times=3)
    assert SPACE.describe(5, 7) == ExtendAction(7)
    assert SPACE.describe(6, 70) == ReorderAction(70, target_position=6)
    assert SPACE.describe(132, 70) == ReorderAction(70, target_position=134)
    assert SPACE.type_of(4) is ActionType.LOOP


@pytest.mark.parametrize("action", [LoopAction(0, 5), LoopAction(0, 1), ReorderAction(5, 5), ReorderAction(5, 6)])
def test_what_has_no_number_is_refused(action: LoopAction | ReorderAction) -> None:
    with pytest.raises(EditListError):
        SPACE.encode(action)


def test_number_outside_is_refused() -> None:
    with pytest.raises(EditListError, match="outside"):
        SPACE.describe(133, 0)


def test_looping_a_block_of_four() -> None:
    assert output_units([3, E, E, E, KEEP, CUT], SPACE) == [0, 1, 2, 3] * 3 + [4]


def test_moving_a_block_to_the_front() -> None:
    actions = [KEEP, KEEP, CUT, to(3, 0), E, KEEP]
    assert output_units(actions, SPACE) == [3, 4, 0, 1, 5]
    assert [(r.start, r.end) for r in output_runs(actions, SPACE)] == [(3, 5), (0, 2), (5, 6)]


def test_two_moves_to_one_place_keep_source_order() -> None:
    assert output_units([KEEP, KEEP, to(2, 0), to(3, 0)], SPACE) == [2, 3, 0, 1]


def test_moving_to_the_end() -> None:
    assert output_units([to(0, 3), KEEP, KEEP], SPACE) == [1, 2, 0]


def test_extend_needs_a_region() -> None:
    assert not replay([], 4, SPACE).mask()[E]
    assert not replay([KEEP], 4, SPACE).mask()[E]
    assert not replay([2, CUT], 4, SPACE).mask()[E]
    assert replay([2], 4, SPACE).mask()[E]
    assert replay([2, E], 4, SPACE).mask()[E]


def test_extend_may_not_swallow_a_target() -> None:
    forward = to(0, 3)
    assert not replay([forward, KEEP, 2], 5, SPACE).mask()[E]  # unit 3 is a target: it would end up inside the loop
    assert not replay([forward, E], 5, SPACE).mask()[E]  # units 0..2 moved before 3 stand where they stood


def test_targets_inside_regions_or_outside_the_track_are_masked() -> None:
    mask = replay([2, E, KEEP], 6, SPACE).mask()
    legal = [3 + int(o) for o, ok in zip(SPACE.target_offsets, mask[SPACE.first_reorder :], strict=True) if ok]
    assert legal == [0, 2, 5, 6]  # 1 lies inside the loop, 3 and 4 are the unit's own place


def test_an_illegal_sequence_is_refused_with_its_unit() -> None:
    with pytest.raises(EditListError, match="unit 1 of 3: EXTEND is not legal"):
        replay([KEEP, E], 3, SPACE)


def test_a_smaller_space() -> None:
    space = ActionSpace(ActionSpaceConfig(max_loop_times=2, reorder_reach_units=2))
    assert space.names == ("KEEP", "CUT", "LOOP2", "EXTEND", "REORDER-2", "REORDER-1", "REORDER+2")
    assert space == ActionSpace(ActionSpaceConfig(max_loop_times=2, reorder_reach_units=2))
    assert space != SPACE


def test_seeded_samples_are_legal_with_a_mask() -> None:
    space = ActionSpace(seed=1)
    mask = replay([KEEP], 2, space).mask().astype(np.int8)
    assert all(mask[space.sample(mask)] for _ in range(50))


def test_extend_becomes_what_the_region_does() -> None:
    move = SPACE.first_reorder
    actions = [KEEP, CUT, 3, SPACE.extend, SPACE.extend, move, SPACE.extend]
    kept, cut, loop, moved = UNIT_KINDS
    assert (kept, cut, loop, moved) == (ActionType.KEEP, ActionType.CUT, ActionType.LOOP, ActionType.REORDER)
    assert unit_kinds(actions, SPACE) == [kept, cut, loop, loop, loop, moved, moved]
    assert unit_kinds([], SPACE) == []
