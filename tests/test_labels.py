"""Edit lists and action sequences: inverse where actions can say it, honest coverage where they cannot."""

from dataclasses import replace

import numpy as np
import pytest

from rl_editor.actions import CUT, KEEP, ActionLedger, ActionSpace, ReorderAction, output_units
from rl_editor.config import ActionSpaceConfig
from rl_editor.edits import EditList, Segment, SourceInfo, keep_all
from rl_editor.errors import EditListError
from rl_editor.grid import BeatGrid
from rl_editor.labels import EditLabels, decode, encode

SPACE = ActionSpace()
E = SPACE.extend
N_BEATS = 40
GRID = BeatGrid(np.arange(N_BEATS + 1) * 0.5, np.arange(N_BEATS) % 4)
SOURCE = SourceInfo("song", "00", sample_rate=1000, channels=1, frames=N_BEATS * 500)


def beats(*spans: tuple[int, int], shift: int = 0) -> EditList:
    """An edit that plays the given spans of beats, in frames of 500 a beat, ``shift`` frames late on both sides."""
    return EditList(SOURCE, tuple(Segment(a * 500 + shift, (b - a) * 500) for a, b in spans))


def labels(edit: EditList, unit_beats: int = 1) -> EditLabels:
    return encode(edit, GRID, SPACE, unit_beats=unit_beats)


def played(found: EditLabels) -> list[int]:
    return output_units(found.actions.tolist(), SPACE)


def play(actions: list[int], unit_beats: int = 1) -> EditList:
    return decode(actions, GRID.units(unit_beats), SPACE, source=SOURCE, crossfade_ms=50.0, unit_beats=unit_beats)


def test_keep_all_is_the_whole_file_without_a_join() -> None:
    assert play([KEEP] * N_BEATS).segments == keep_all(SOURCE).segments
    assert (labels(keep_all(SOURCE)).actions == KEEP).all()


def test_cut_all_is_empty() -> None:
    assert play([CUT] * N_BEATS).segments == ()
    assert labels(EditList(SOURCE, ())).coverage == 1.0


def test_a_cut_by_hand() -> None:
    found = labels(beats((0, 8), (12, 40)))
    assert np.flatnonzero(found.actions == CUT).tolist() == [8, 9, 10, 11]
    assert found.coverage == 1.0


def test_a_loop_by_hand() -> None:
    # beats 4..7 three times: the file plays on into the block, twice more from its start, then on
    found = labels(beats((0, 8), (4, 8), (4, 40)))
    assert found.actions[4:8].tolist() == [3, E, E, E]
    assert (found.actions[:4] == KEEP).all()
    assert (found.actions[8:] == KEEP).all()


def test_a_loop_longer_than_the_space_allows_is_counted_as_uncovered() -> None:
    found = labels(beats((0, 4), *[(0, 4)] * 5))  # six times, at most four can be said
    assert found.actions[0] == 4
    assert found.coverage == pytest.approx(4 / 6)


def test_a_chorus_moved_to_the_front() -> None:
    found = labels(beats((24, 32), (0, 24), (32, 40)))
    assert found.actions[24] == SPACE.encode(ReorderAction(24, 0))
    assert found.actions[25:32].tolist() == [E] * 7
    assert found.coverage == 1.0


def test_three_beats_backwards_turn_about_the_middle_one() -> None:
    # beside 3 or 1 in its place the other two would share one (4, or 1) and play in source order
    found = labels(beats((0, 1), (3, 4), (2, 3), (1, 2), (4, 40)))
    assert played(found) == [0, 3, 2, 1, *range(4, 40)]
    backwards = [SPACE.encode(ReorderAction(1, 3)), KEEP, SPACE.encode(ReorderAction(3, 1))]
    assert found.actions[:5].tolist() == [KEEP, *backwards, KEEP]
    assert found.coverage == 1.0


@pytest.mark.parametrize(
    ("path", "plays"),
    [
        ([2, 0, 0], [2, 0, 0]),  # what moves cannot loop: 0 stays, and 2 moves before it
        ([2, 2, 2, 0, 1, 1], [2, 2, 2, 0, 1]),  # 0 and 1 move, though more than 2: it loops more often
        ([1, 2, 2, 2, 1, 2, 2], [1, 2, 2, 2]),  # beat 2 loops once: the first of its loops
        ([3, 4, 2, 2, 1, 1, 0], [3, 4, 2, 2, 1, 0]),  # 1 goes before 3, and 0 before 5: before 4 is within what moves
    ],
)
def test_what_loops_stays_and_what_else_plays_moves_around_it(path: list[int], plays: list[int]) -> None:
    found = labels(beats(*((beat, beat + 1) for beat in path)))
    assert played(found) == plays
    assert found.coverage == pytest.approx(len(plays) / len(path))


def test_of_a_block_that_loops_in_two_places_the_times_are_said_that_explain_more() -> None:
    """Beat 1 plays twice alone and three times among its neighbours, which keep it: 8 of 10 beats can be said."""
    found = labels(beats((5, 6), (1, 2), (1, 2), (7, 8), (0, 2), (1, 2), (1, 4)))
    assert played(found) == [5, 7, 0, 1, 1, 1, 2, 3]
    assert found.coverage == pytest.approx(0.8)
    turned = labels(beats((0, 2), (1, 4), (7, 8), (1, 2), (1, 2), (1, 2)))  # here it keeps the place of the two
    assert played(turned) == [0, 1, 1, 2, 3, 7]


def test_a_chorus_that_also_stays_cannot_be_said() -> None:
    found = labels(beats((24, 32), (0, 40)))
    assert found.coverage == pytest.approx(40 / 48)
    assert played(found) == list(range(40))


def test_a_block_beyond_the_reach_is_left_out_and_counted_as_uncovered() -> None:
    near = ActionSpace(ActionSpaceConfig(reorder_reach_units=8))
    for edit, start, end in (
        (beats((24, 32), (0, 24), (32, 40)), 24, 32),  # 24 back, or 24 beats 32 ahead
        (beats((16, 40), (0, 16)), 0, 16),  # 40 ahead, or 24 beats 16 back
    ):
        found = encode(edit, GRID, near, unit_beats=1)
        assert np.flatnonzero(found.actions == CUT).tolist() == list(range(start, end))
        assert found.coverage == pytest.approx(1 - (end - start) / 40)
    within = encode(beats((16, 24), (8, 16), (24, 40)), GRID, near, unit_beats=1)
    assert within.actions[16] == near.encode(ReorderAction(16, 8))


@pytest.mark.parametrize("shift", [0, 5])  # of 500 frames
def test_a_label_that_says_otherwise_than_the_edit_teaches_nothing(shift: int) -> None:
    """However little of the unit: of a kind that is rare, the slightest confidence is balanced up."""
    near = ActionSpace(ActionSpaceConfig(reorder_reach_units=8))
    found = encode(beats((24, 32), (0, 23), (32, 39), shift=shift), GRID, near, unit_beats=1)
    assert found.actions[[*range(24, 32), 23, 39]].tolist() == [CUT] * 10
    assert found.confidence[24:32].tolist() == [0.0] * 8
    assert found.confidence[[23, 39]] == pytest.approx(1.0, abs=0.02)  # these do not play


def test_foreign_material_lowers_the_coverage() -> None:
    """By its length as heard: ten seconds at twice the speed are five."""
    for speed in (1.0, 2.0):
        edit = EditList(SOURCE, (Segment(0, 5000, speed=speed), Segment(None, 5000)))
        assert labels(edit).coverage == 0.5


def test_joins_off_the_grid_snap_to_it() -> None:
    found = labels(beats((0, 8), (12, 39), shift=40))
    assert np.flatnonzero(found.actions == CUT).tolist() == [8, 9, 10, 11, 39]
    assert found.coverage == pytest.approx(1 - 0.04 * 2 / 17.5)  # 40 ms of each segment lie in a neighbour beat


def test_bars_as_units() -> None:
    found = labels(beats((0, 8), (12, 40)), unit_beats=4)
    assert found.actions.tolist() == [KEEP, KEEP, CUT] + [KEEP] * 7


def test_a_region_names_its_beats() -> None:
    edit = play([KEEP, 2, E, *[CUT] * 7], unit_beats=4)
    assert [(r.action, r.beat_index, r.n_beats, r.n_times) for r in edit.regions] == [("LOOP", 4, 8, 2)]
    assert [s.region for s in edit.segments] == [None, 0, 0]
    assert [s.crossfade_in_ms for s in edit.segments] == [0.0, 0.0, 50.0]  # the loop's entry continues the file
    assert edit.actions[:3] == ("KEEP", "LOOP2", "EXTEND")


def test_a_region_that_moves_says_where_in_beats() -> None:
    """Bars 6 and 7, beats 24 to 32, before bar 2, beat 8."""
    edit = play([*[KEEP] * 6, SPACE.encode(ReorderAction(6, 2)), E, KEEP, KEEP], unit_beats=4)
    assert [(r.action, r.beat_index, r.n_beats, r.target_position) for r in edit.regions] == [("REORDER", 24, 8, 8)]
    assert [s.region for s in edit.segments] == [None, 0, None, None]
    assert [(s.source_start_frame, s.frames) for s in edit.segments] == [
        (0, 4000), (12_000, 4000), (4000, 8000), (16_000, 4000)
    ]  # fmt: skip


def test_a_unit_beyond_the_last_frame_plays_nothing() -> None:
    """The last beat begins where a recording of 19.5 s ends."""
    shorter = replace(SOURCE, frames=19_500)
    actions = [*[KEEP] * 38, CUT, KEEP]
    edit = decode(actions, GRID.units(1), SPACE, source=shorter, crossfade_ms=50.0)
    assert edit.segments == (Segment(0, 19_000),)


def test_confidence_follows_the_segments() -> None:
    edit = EditList(SOURCE, (Segment(0, 5000, confidence=0.9), Segment(15000, 2500, confidence=0.6)))
    found = labels(edit)
    assert found.confidence[0] == pytest.approx(0.9)
    assert found.confidence[34] == pytest.approx(0.6)
    assert found.confidence[20] == pytest.approx(0.8)  # cut: the edit's mean, (2 * 0.9 + 0.6) / 3


def test_a_seam_within_a_unit_costs_no_confidence() -> None:
    seamed = EditList(SOURCE, (Segment(0, 5250), Segment(5250, SOURCE.frames - 5250)))
    assert labels(seamed).confidence.tolist() == [1.0] * N_BEATS
    assert labels(seamed).coverage == 1.0


def random_actions(rng: np.random.Generator, weights: list[float]) -> list[int]:
    keep, cut, loop, extend, move = weights
    ledger = ActionLedger(N_BEATS, SPACE)
    each = np.full(SPACE.n_discrete_actions, move / 127)
    each[[KEEP, CUT]], each[2:E], each[E] = (keep, cut), loop / 3, extend
    while ledger.unit < N_BEATS:
        likely = each * ledger.mask()
        ledger.push(int(rng.choice(len(likely), p=likely / likely.sum())))
    return ledger.actions


def spans(edit: EditList) -> list[tuple[int | None, int, float]]:
    return [(s.source_start_frame, s.frames, s.crossfade_in_ms) for s in edit.merged().segments]


@pytest.mark.parametrize(
    "weights", [[0.6, 0.2, 0.05, 1.0, 0.0], [0.6, 0.2, 0.05, 3.0, 0.02], [0.3, 0.3, 0.1, 1.0, 0.1]]
)
def test_encode_is_the_inverse_of_decode(weights: list[float]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        actions = random_actions(rng, weights)
        found = labels(play(actions))
        assert played(found) == output_units(actions, SPACE)
        assert found.coverage == pytest.approx(1.0)
        assert spans(play(found.actions.tolist())) == spans(play(actions))


def common(path: list[int], other: list[int]) -> int:
    """Length of the longest common subsequence, by the textbook."""
    table = [[0] * (len(other) + 1) for _ in range(len(path) + 1)]
    for i, one in enumerate(path):
        for j, two in enumerate(other):
            table[i + 1][j + 1] = table[i][j] + 1 if one == two else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def test_coverage_counts_all_that_plays_in_the_edits_order() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        starts, lengths = rng.integers(0, N_BEATS - 5, 10), rng.integers(1, 5, 10)
        edit = beats(*((int(a), int(a + n)) for a, n in zip(starts, lengths, strict=True)))
        path = [unit for a, n in zip(starts, lengths, strict=True) for unit in range(a, a + n)]
        found = labels(edit)
        assert found.coverage == pytest.approx(common(path, played(found)) / len(path))


def test_wrong_length_is_refused() -> None:
    with pytest.raises(EditListError, match="3 actions for 40 units"):
        play([KEEP] * 3)
