"""Beat grids tile the file; units stay in phase with the downbeats."""

import numpy as np
import pytest

from rl_editor.errors import EditListError
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


def test_one_beat() -> None:
    units = grid([-1]).units(4)
    assert units.n_units == 1
    assert units.partial.all()


def test_tempo_is_of_whole_beats() -> None:
    times = np.array([0.0, 3.0, 3.5, 4.0, 9.0])
    found = BeatGrid(times, np.array([-1, 0, 1, -1]), beats_per_bar=3)
    assert (found.tempo_bpm, found.beat_s, found.bar_s) == (120.0, 0.5, 1.5)


@pytest.mark.parametrize(
    ("times", "positions"),
    [([0.0, 1.0, 1.0], [0, 1]), ([0.5, 1.0], [0]), ([0.0, np.nan], [0]), ([0.0, 1.0], [0, 1]), ([0.0, 1.0], [4])],
)
def test_malformed_grids_are_refused(times: list[float], positions: list[int]) -> None:
    with pytest.raises(EditListError, match="beat grid"):
        BeatGrid(np.array(times), np.array(positions))
