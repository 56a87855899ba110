"""Remixes: the same music in another order, and PPO learns on it."""

import numpy as np
import pytest
from test_trainer import STYLES, fast, trainer_of
from toy_tracks import toy_demonstration, toy_demonstrations

from rl_editor.features import FEATURE_NAMES, BeatFeatures
from rl_editor.grid import BeatGrid
from rl_editor.lessons import Task, task_of
from rl_editor.remixes import _blocks, _order, remix
from rl_editor.state import AudioState

NAMES = FEATURE_NAMES["basic"]
FORM = (0.05, 0.3, 0.12, 0.3, 0.12, 0.3, 0.05)  # levels of seven sections of eight bars


def song(*, lead_in: bool = False) -> Task:
    """Eight bars a section; the centroid of every beat says which beat it is."""
    n = len(FORM) * 32
    values = np.zeros((n, len(NAMES)), np.float32)
    values[:, NAMES.index("rms")] = np.repeat(FORM, 32)
    values[:, NAMES.index("centroid")] = np.arange(n)
    position = np.arange(n) % 4
    if lead_in:
        values, position = np.vstack([values[:1], values]), np.concatenate([[-1], position])
    times = np.cumsum(np.concatenate([[0.0], 0.5 + 0.001 * np.sin(np.arange(len(position)))]))
    return Task(AudioState(BeatGrid(times, position), BeatFeatures(values, NAMES), style=3), 0.6, labels=None)


def beats_of(task: Task) -> np.ndarray:
    return task.state.features.column("centroid").astype(int)


@pytest.mark.parametrize("unit_beats", [1, 4])
@pytest.mark.parametrize("seed", range(6))
def test_whole_bars_in_another_order(seed: int, unit_beats: int) -> None:
    before = song()
    after = remix(before, unit_beats=unit_beats, rng=np.random.default_rng(seed))
    beats = beats_of(after)
    assert after.target_ratio == 0.6
    assert (after.state.style, after.labels) == (3, None)
    assert (beats[0], beats[-1]) == (0, len(FORM) * 32 - 1)  # it begins and ends as before
    assert len(beats) <= len(FORM) * 32
    joins = np.flatnonzero(np.diff(beats) != 1) + 1
    assert len(joins) >= 2
    assert (beats[joins] % 4 == 0).all()  # what comes next starts on a bar line
    assert (joins % 4 == 0).all()
    assert (after.state.grid.bar_position == beats % 4).all()
    own = np.diff(before.state.grid.times_s)[beats]
    np.testing.assert_allclose(np.diff(after.state.grid.times_s), own)
    np.testing.assert_array_equal(after.state.features.values, before.state.features.values[beats])


def test_remixes_differ_and_repeat() -> None:
    def order(seed: int) -> list[int]:
        return beats_of(remix(song(), unit_beats=4, rng=np.random.default_rng(seed))).tolist()

    orders = [order(seed) for seed in range(20)]
    assert orders[3] == order(3)
    assert len({tuple(one) for one in orders}) == 20
    assert any(len(set(one)) < len(one) for one in orders)  # something comes twice
    assert any(len(set(one)) < len(FORM) * 32 for one in orders)  # something stays out


def test_sections_are_cut_into_blocks_of_one_length_each() -> None:
    """Four bars or eight, which is all of a section here."""
    state = song().state
    lengths = [
        end - start
        for seed in range(10)
        for start, end in _blocks(state, state.grid.units(4), np.random.default_rng(seed))
    ]
    assert set(lengths) == {4, 8}


def test_a_fifth_of_the_blocks_stays_out_and_three_in_twenty_come_twice_as_far_as_there_is_room() -> None:
    """Of 2,000 blocks, with deviations of 18 and 16."""
    blocks = [(k, k + 1) for k in range(2002)]
    order = _order(blocks, 4000, np.random.default_rng(0))
    times = np.bincount([start for start, _ in order], minlength=2002)[1:-1]
    assert (times == 0).sum() == pytest.approx(400, abs=60)
    assert (times == 2).sum() == pytest.approx(300, abs=60)
    assert len(_order(blocks, 1000, np.random.default_rng(0))) == 1000
    assert _order([(0, 4), (4, 8), (8, 12)], 8, np.random.default_rng(3)) == [(0, 4), (8, 12)]


def test_a_lead_in_stays_in_front() -> None:
    after = remix(song(lead_in=True), unit_beats=4, rng=np.random.default_rng(1))
    assert after.state.grid.bar_position[0] == -1
    assert (after.state.grid.bar_position[1:] >= 0).all()


def test_a_song_of_one_section_is_left_as_it_is() -> None:
    config = fast()
    task = task_of(toy_demonstration(0, config, n_beats=8), STYLES, config)
    after = remix(task, unit_beats=1, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(after.state.features.values, task.state.features.values)


class TestTraining:
    def test_it_edits_remixes_and_is_judged_on_songs_and_remixes(self) -> None:
        trainer = trainer_of(fast(ppo={"remixes": 2}))
        assert len(trainer.songs) == 2 * 6  # of the six that teach
        assert float(trainer.songs.weight.sum()) == 0.0  # nobody has edited them
        assert len(trainer.validation_songs) == 2 + 2 * 2
        assert int((trainer.validation_songs.weight.sum(1) > 0).sum()) == 2
        alone = trainer_of(fast(ppo={"remixes": 0}))
        assert (len(alone.songs), len(alone.validation_songs)) == (6, 2)
        assert float(alone.songs.weight.min(1).values.max()) > 0.0

    def test_remixes_of_a_song_hang_on_it_alone(self) -> None:
        config = fast(ppo={"remixes": 2})
        some, more = (trainer_of(config)._tasks(toy_demonstrations(config, n_train=n)[:n]) for n in (2, 4))
        for one, other in zip(some.remixes, more.remixes[:4], strict=True):
            np.testing.assert_array_equal(one.state.features.values, other.state.features.values)
