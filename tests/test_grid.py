"""Beat grids tile the file; units stay in phase with the downbeats."""

import numpy as np
import pytest

from rl_editor.errors import BeatGridError
from rl_editor.grid import BeatGrid


def grid(bar_position: list[int], beats_per_bar: int = 4) -> BeatGrid:
    return BeatGrid(np.arange(len(bar_position) + 1) * 0.5, np.array(bar_position), beats_per_bar)


def test_units_of_a_bar_follow_the_downbeats() -> None:
    # lead-in | pickup 2 3 | bar 0 1 2 3 | bar 0 1 (incomplete) | tail
    units = grid([-1, 2, 3, 0, 1, 2, 3, 0, 1, -1]).units(4)
    assert units.beat_bounds.tolist() == [0, 1, 3, 7, 9, 10]
    assert units.partial.tolist() == [True, True, False, True, True]
    assert units.times_s.tolist() == [0.0, 0.5, 1.5, 3.5, 4.5, 5.0]


def test_units_of_a_beat_are_the_beats() -> None:
    units = grid([-1, 0, 1, 2, -1]).units(1)
    assert units.beat_bounds.tolist() == [0, 1, 2, 3, 4, 5]
    assert units.partial.tolist() == [True, False, False, False, True]


def test_means_over_the_beats_of_units() -> None:
    # lead-in | bar 0 1 2 3 | tail: the beats 1 2 3 6 have the mean 3
    units = grid([-1, 0, 1, 2, 3, -1]).units(4)
    values = np.array([[9, 0], [1, 1], [2, 1], [3, 0], [6, 0], [4, 0]], np.float32)
    assert units.means(values).tolist() == [[9.0, 0.0], [3.0, 0.5], [4.0, 0.0]]


def test_bars_of_three() -> None:
    assert grid([0, 1, 2] * 4, beats_per_bar=3).units(4).beat_bounds.tolist() == [0, 3, 6, 9, 12]
    assert grid([0, 1, 2] * 4, beats_per_bar=3).units(8).beat_bounds.tolist() == [0, 6, 12]


def test_units_of_two_beats_are_counted_from_the_first_downbeat_both_ways() -> None:
    # pickup 1 2 3 | bar 0 1 2 3: back from the downbeat 2 3, then a 1 that is no whole unit
    units = grid([1, 2, 3, 0, 1, 2, 3]).units(2)
    assert units.beat_bounds.tolist() == [0, 1, 3, 5, 7]
    assert units.partial.tolist() == [True, False, False, False]


def test_one_beat() -> None:
    units = grid([-1]).units(4)
    assert units.n_units == 1
    assert units.partial.all()


def test_tempo_is_of_whole_beats() -> None:
    # of whole beats of 0.5, 0.5 and 0.8 s the median is 0.5, the mean is not
    times = np.array([0.0, 3.0, 3.5, 4.0, 4.8, 9.0])
    found = BeatGrid(times, np.array([-1, 0, 1, 2, -1]), beats_per_bar=3)
    assert (found.tempo_bpm, found.beat_s, found.bar_s) == (120.0, 0.5, 1.5)


def test_arrays_hold_all_of_a_grid() -> None:
    kept = BeatGrid(np.array([0.0, 1.0, 2.5]), np.array([2, 0]), beats_per_bar=3, confidence=0.25)
    read = BeatGrid.from_arrays(kept.to_arrays())
    assert read.times_s.tolist() == [0.0, 1.0, 2.5]
    assert (read.bar_position.tolist(), read.beats_per_bar, read.confidence) == ([2, 0], 3, 0.25)


@pytest.mark.parametrize(
    ("times", "positions", "said"),
    [
        ([0.0, 1.0, 1.0], [0, 1], r"boundary 2 is 1\.0 s; finite ones .* are needed; sort them"),
        ([0.5, 1.0], [0], r"boundary 0 is 0\.5 s"),
        ([0.0, 1.0, np.inf], [0, 1], "boundary 2 is inf s"),
        ([0.0, 1.0, 2.0], [0, 4], r"beat 1 has bar position 4; the downbeat's 0 to 3 are needed.* beats_per_bar"),
        ([0.0, 1.0, 2.0], [-2, 0], "beat 0 has bar position -2"),
    ],
)
def test_what_is_wrong_in_a_grid_is_named(times: list[float], positions: list[int], said: str) -> None:
    with pytest.raises(BeatGridError, match=said):
        BeatGrid(np.array(times), np.array(positions))


@pytest.mark.parametrize("confidence", [np.nan, -0.1, 1.1])
def test_a_confidence_lies_between_0_and_1(confidence: float) -> None:
    with pytest.raises(BeatGridError, match=r"confidence .* 0 to 1 is needed"):
        BeatGrid(np.array([0.0, 1.0]), np.array([0]), confidence=confidence)


@pytest.mark.parametrize(
    ("times", "positions"),
    [([0.0, 1.0, 1.0], [0, 1]), ([0.5, 1.0], [0]), ([0.0, np.nan], [0]), ([0.0, 1.0], [0, 1]), ([0.0, 1.0], [4])],
)
def test_malformed_grids_are_refused(times: list[float], positions: list[int]) -> None:
    with pytest.raises(BeatGridError, match="beat grid"):
        BeatGrid(np.array(times), np.array(positions))
