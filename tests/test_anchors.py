"""Anchors: the other side is truly broken, and what is seen of it looks like any other pair."""

import itertools

import numpy as np
import pytest

from rl_editor.edits import EditList, Segment, SourceInfo, joins
from rl_editor.grid import BeatGrid
from rl_editor.preferences.anchors import MOST_BARS, anchor
from rl_editor.preferences.excerpts import FRAME_BARS, LONGEST_S, Excerpt
from rl_editor.reward.audit import LEVEL_DB

RATE, BEAT_S, N_BEATS, BAR = 1000, 0.5, 256, 4
BAR_FRAMES = round(BAR * BEAT_S * RATE)
SONG = SourceInfo("song.wav", "0" * 64, RATE, 1, round(N_BEATS * BEAT_S * RATE))
GRID = BeatGrid(np.arange(N_BEATS + 1) * BEAT_S, np.arange(N_BEATS) % BAR)
SPANS = ((0, 14), (20, 34), (40, 50), (56, 64))  # bars that the good edit plays: 46 of them
GOOD = EditList(SONG, tuple(Segment(BAR_FRAMES * a, BAR_FRAMES * (b - a), crossfade_in_ms=50.0) for a, b in SPANS))


def drawn(n: int = 60, good: EditList = GOOD, grid: BeatGrid = GRID) -> list[tuple[Excerpt, Excerpt]]:
    rng = np.random.default_rng(0)
    found = [anchor(good, grid, rng, crossfade_ms=50.0) for _ in range(n)]
    return [sides for sides in found if sides is not None]


def at_the_wrong_level(edit: EditList) -> list[Segment]:
    return [segment for segment in edit.segments if segment.gain_db]


def test_most_draws_give_one() -> None:
    assert len(drawn()) > 25


def test_the_good_side_is_a_part_of_the_good_edit() -> None:
    for good, _ in drawn():
        assert not at_the_wrong_level(good.edit)
        for left, right in joins(good.edit):
            assert (left.source_end_frame, right.source_start_frame) in [
                (BAR_FRAMES * a[1], BAR_FRAMES * b[0]) for a, b in itertools.pairwise(SPANS)
            ]


def test_the_other_side_loses_the_bar_and_jumps_in_level_at_both_ends_of_a_passage() -> None:
    for good, broken in drawn():
        moved = at_the_wrong_level(broken.edit)
        assert moved
        assert all(LEVEL_DB[0] <= abs(segment.gain_db) <= LEVEL_DB[1] for segment in moved)
        lost = [
            ((right.source_start_frame or 0) - (left.source_end_frame or 0)) % BAR_FRAMES != 0
            for left, right in joins(broken.edit)
        ]
        assert sum(lost) >= 2
        assert sum(lost) + len(joins(good.edit)) >= len(joins(broken.edit))  # and nothing else was put in
        for segment in moved:
            assert segment.frames <= (MOST_BARS + 1) * BAR_FRAMES


def test_it_looks_like_any_other_pair() -> None:
    """Lengths differ in half of them, by a bar at most; shading is seldom the same; either side may be the longer."""
    pairs = drawn(200)
    longer = np.array([b.edit.duration_s - a.edit.duration_s for a, b in pairs])
    assert np.abs(longer).max() <= BAR * BEAT_S + 1e-9
    assert 0.25 < (np.abs(longer) > BEAT_S / 2).mean() < 0.75
    assert min((longer > 0).mean(), (longer < 0).mean()) > 0.1
    same = np.mean([a.differs_s == b.differs_s for a, b in pairs])
    assert same < 0.5
    for sides in pairs:
        assert any(side.differs_s for side in sides)
        for side in sides:
            assert side.edit.duration_s <= LONGEST_S + 2 * FRAME_BARS * BAR * BEAT_S
            assert side.beats_s[-1] == pytest.approx(side.edit.duration_s, abs=0.01)
            assert all(0 <= start < end <= side.edit.duration_s + 1e-9 for start, end in side.differs_s)


def test_a_song_that_ends_a_frame_before_its_last_beat_does() -> None:
    n_beats = 254  # the last one begins no bar, so that a passage off the bar may end with it
    grid = BeatGrid(GRID.times_s[: n_beats + 1], GRID.bar_position[:n_beats])
    song = SourceInfo("song.wav", "0" * 64, RATE, 1, round(n_beats * BEAT_S * RATE) - 1)
    good = EditList(song, tuple(Segment(BAR_FRAMES * a, BAR_FRAMES * (b - a)) for a, b in ((0, 14), (40, 63))))
    assert drawn(400, good, grid)  # none plays beyond the end


def test_an_edit_that_plays_no_whole_bars_straight_on_is_not_broken() -> None:
    crumbs = EditList(SONG, tuple(Segment(BAR_FRAMES * 2 * i, BAR_FRAMES) for i in range(20)))
    rng = np.random.default_rng(0)
    assert all(anchor(crumbs, GRID, rng, crossfade_ms=50.0) is None for _ in range(50))
    assert anchor(EditList(SONG, ()), GRID, rng, crossfade_ms=50.0) is None
    assert anchor(EditList(SONG, (Segment(0, 300),)), GRID, rng, crossfade_ms=50.0) is None
