"""Where two edits differ, by hand: a song of 32 beats of half a second in bars of four."""

from itertools import pairwise

import numpy as np
import pytest

from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.grid import BeatGrid
from rl_editor.preferences.excerpts import LONGEST_S, Excerpt, clip, excerpts, written_out

RATE, BEAT_S, N_BEATS, BAR_S = 1000, 0.5, 128, 2
SONG = SourceInfo("song.wav", "0" * 64, RATE, 1, round(N_BEATS * BEAT_S * RATE))
GRID = BeatGrid(np.arange(N_BEATS + 1) * BEAT_S, np.arange(N_BEATS) % 4)


def bars(*spans: tuple[int, int]) -> EditList:
    """Bars of the song, ends exclusive, in this order."""
    return EditList(
        SONG, tuple(Segment(2000 * a, 2000 * (b - a), crossfade_in_ms=50.0 * (i > 0)) for i, (a, b) in enumerate(spans))
    )


def test_an_edit_as_beats() -> None:
    row = written_out(bars((4, 5), (1, 2)), GRID)
    assert row.beats.tolist() == [16, 17, 18, 19, 4, 5, 6, 7]
    assert row.starts.tolist() == [0, 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000]
    late = EditList(
        SONG, (Segment(900, 1200),)
    )  # from 0.9 s: beat 1 has begun, beat 2 and 3 play; beat 4 by its first 0.1 s
    assert written_out(late, GRID).beats.tolist() == [2, 3]
    fast = written_out(EditList(SONG, (Segment(500, 500, speed=2.0),)), GRID)  # a second of the song in half of one
    assert (fast.beats.tolist(), fast.starts.tolist()) == ([1, 2], [0, 250, 500])


def test_what_differs_with_a_frame_of_two_bars() -> None:
    # Eight bars in common, then bars 8 to 11 against 16 to 19, then bars 24 to 31 in common.
    one, two = excerpts(bars((0, 12), (24, 32)), bars((0, 8), (16, 20), (24, 32)), GRID)  # type: ignore[misc]
    assert [s.source_start_frame for s in one.edit.segments] == [6 * 2000, 24 * 2000]  # from bar 6
    assert [s.frames for s in one.edit.segments] == [6 * 2000, 2 * 2000]  # to bar 12, and two bars after the join
    assert [s.source_start_frame for s in two.edit.segments] == [6 * 2000, 16 * 2000, 24 * 2000]
    assert one.differs_s == two.differs_s == ((4.0, 12.0),)
    assert one.beats_s == two.beats_s == tuple(np.arange(33) * 0.5)
    assert [s.crossfade_in_ms for s in two.edit.segments] == [0.0, 50.0, 50.0]


def test_the_passage_that_shows_most_in_the_shortest_time_is_taken() -> None:
    """Seconds that differ, 12 at the most, less 0.4 for every second that is heard; bars of two seconds."""
    straight = bars((0, 23))
    # One bar and, ten bars later, four: with a bar beside it 2 - 0.4 * 4 = 0.4, 8 - 0.4 * 8 = 4.8, both 10 - 0.4 * 30.
    other = bars((0, 4), (24, 25), (5, 15), (26, 30), (19, 23))
    _, two = excerpts(straight, other, GRID)  # type: ignore[misc]
    assert [(s.source_start_frame, s.frames) for s in two.edit.segments] == [
        (13 * 2000, 2 * 2000), (26 * 2000, 4 * 2000), (19 * 2000, 2 * 2000)
    ]  # fmt: skip
    # Four and three bars, a bar between them: 12 - 0.4 * 16 = 5.6 for both. Four between: 12 - 0.4 * 22 = 3.2.
    near = bars((0, 4), (24, 28), (8, 9), (28, 31), (12, 23))
    _, two = excerpts(straight, near, GRID)  # type: ignore[misc]
    assert (two.differs_s, two.edit.duration_s) == (((4.0, 12.0), (14.0, 20.0)), 24.0)
    far = bars((0, 4), (24, 28), (8, 12), (28, 31), (15, 23))
    _, two = excerpts(straight, far, GRID)  # type: ignore[misc]
    assert (two.differs_s, two.edit.duration_s) == (((4.0, 12.0),), 16.0)


def test_of_two_passages_the_one_of_equal_length_is_taken() -> None:
    """Four bars against four show 8 - 0.4 * 8 = 4.8, four against five 9 - 0.4 * 9 = 5.4, less 2 for 2 s."""
    other = bars((0, 4), (23, 27), (8, 18), (27, 32), (22, 23))
    _, two = excerpts(bars((0, 23)), other, GRID)  # type: ignore[misc]
    assert [s.source_start_frame for s in two.edit.segments] == [2 * 2000, 23 * 2000, 8 * 2000]


def test_what_is_put_around_a_passage_ends_where_the_next_begins() -> None:
    """Six bars are all that counts, 12 s; a bar behind them one more differs, within two bars of their end."""
    _, two = excerpts(bars((0, 23)), bars((0, 4), (23, 29), (10, 11), (29, 30), (12, 23)), GRID)  # type: ignore[misc]
    assert [s.frames for s in two.edit.segments] == [2 * 2000, 6 * 2000, 1 * 2000]


def test_a_passage_that_only_one_plays_is_a_difference() -> None:
    """The two bars before it make the 4 s that either side has to last; two more are put before those."""
    one, two = excerpts(bars((0, 12)), bars((0, 4), (20, 21), (4, 12)), GRID)  # type: ignore[misc]
    assert (one.differs_s, two.differs_s) == ((), ((8.0, 10.0),))


def test_excerpts_begin_with_a_bar_though_what_differs_does_not() -> None:
    """From 17 s on, in the middle of a bar; bars within two before it begin at 14 s and 16 s."""
    one, two = (
        EditList(SONG, (Segment(0, 17_000), Segment(start, 8000), Segment(48_000, 8000))) for start in (17_000, 33_000)
    )
    for side in excerpts(one, two, GRID):  # type: ignore[union-attr]
        assert side.edit.segments[0].source_start_frame == 14_000


def test_what_an_edit_begins_with_belongs_to_its_beginning() -> None:
    silent = Segment(None, 1000)
    one, two = (EditList(SONG, (silent, Segment(0, 4000), Segment(start, 8000))) for start in (4000, 40_000))
    for side in excerpts(one, two, GRID):  # type: ignore[union-attr]
        assert side.edit.segments[0] == silent


def test_no_passage_is_longer_than_forty_seconds_or_differs_by_more_than_a_bar_in_length() -> None:
    """With nineteen bars in another place 38 seconds are one passage; twenty-one are cut off after twenty seconds."""
    bar = BAR_S * RATE
    song = SourceInfo("song.wav", "0" * 64, RATE, 1, 96 * bar)
    grid = BeatGrid(np.arange(4 * 96 + 1) * BEAT_S, np.arange(4 * 96) % 4)

    def lengths(n: int, more: int = 0) -> list[float]:
        plays = [((0, 4 + n), (90, 96)), ((0, 4), (40, 40 + n + more), (90, 96))]
        edits = [EditList(song, tuple(Segment(bar * a, bar * (b - a)) for a, b in spans)) for spans in plays]
        return [side.edit.duration_s for side in excerpts(*edits, grid) or ()]

    assert lengths(19) == [2 * (2 + 19 + 2)] * 2
    assert lengths(21) == [20.0] * 2  # two bars before, and eight of what differs
    plays = [EditList(song, (Segment(0, 8 * bar), Segment(bar * at, 21 * bar))) for at in (20, 60)]
    one, two = excerpts(*plays, grid)  # type: ignore[misc]
    assert [(s.source_start_frame, s.frames) for s in one.edit.segments] == [(6 * bar, 2 * bar), (20 * bar, 8 * bar)]
    assert [(s.source_start_frame, s.frames) for s in two.edit.segments] == [(6 * bar, 2 * bar), (60 * bar, 8 * bar)]
    assert lengths(4, more=1) == [2 * (2 + 4 + 2), 2 * (2 + 5 + 2)]
    assert lengths(4, more=2) == [20.0] * 2  # two bars more would tell them apart by their lengths


def test_moments_are_of_the_music_where_one_side_plays_more() -> None:
    # From bar 5: three bars in common, then bars 10 and 11 against bar 16 alone, then bars 24 and 25 in common.
    one, two = excerpts(bars((0, 8), (10, 12), (24, 32)), bars((0, 8), (16, 17), (24, 32)), GRID)  # type: ignore[misc]
    assert one.beats_s == tuple(np.arange(29) * 0.5)
    assert one.differs_s == ((6.0, 10.0),)
    before, waiting, after = np.arange(16) * 0.5, [8.0] * 4, 8.0 + np.arange(9) * 0.5  # bar 24 waits while bar 11 plays
    assert two.beats_s == (*before, *waiting, *after)
    assert two.differs_s == ((6.0, 8.0),)


def test_moments_are_of_the_music_where_sides_play_more_by_turns() -> None:
    # The first has bars 8 and 9 before bars 24 and 25, the other has bars 28 and 29 after them.
    one, two = excerpts(bars((0, 10), (24, 26), (30, 32)), bars((0, 8), (24, 26), (28, 32)), GRID)  # type: ignore[misc]
    assert (one.differs_s, two.differs_s) == (((4.0, 8.0),), ((8.0, 12.0),))  # both begin with bar 6
    assert (two.beats_s[8:17], one.beats_s[24:33]) == ((4.0,) * 9, (12.0,) * 9)
    assert len(one.beats_s) == len(two.beats_s)


def test_equal_edits_have_nothing_to_tell() -> None:
    assert excerpts(bars((0, 8), (12, 20)), bars((0, 8), (12, 20)), GRID) is None
    assert excerpts(bars((0, 8)), EditList(SONG, ()), GRID) is None
    assert excerpts(bars((0, 1)), bars((20, 21)), GRID) is None  # 2 s tell nothing


def test_sides_are_equally_long_within_a_bar() -> None:
    # One keeps bars 4 to 7 and drops 20 to 23, the other the reverse: each difference alone is four bars long.
    pair = excerpts(bars((0, 20), (24, 32)), bars((0, 4), (8, 32)), GRID)
    assert pair is not None
    lengths = [side.edit.duration_s for side in pair]
    assert abs(lengths[0] - lengths[1]) <= 4 * BEAT_S + 1e-9
    assert max(lengths) <= LONGEST_S + 4 * 2 * BEAT_S * 4


def test_edits_that_never_meet_again_are_cut_off_alike() -> None:
    one, two = excerpts(bars((0, 2), (2, 14)), bars((0, 2), (18, 30)), GRID)  # type: ignore[misc]
    assert one.edit.duration_s == two.edit.duration_s
    assert one.edit.segments[0].source_start_frame == two.edit.segments[0].source_start_frame == 0


def test_a_part_of_an_edit_plays_as_it_does_there() -> None:
    edit = bars((0, 4), (10, 14))
    part = clip(edit, 7000, 9000)  # the last second before the join at 8 s, and one after it
    assert [(s.source_start_frame, s.frames) for s in part.segments] == [(7000, 1000), (20000, 1000)]
    assert [s.crossfade_in_ms for s in part.segments] == [0.0, 50.0]
    assert clip(edit, 0, edit.frames).segments == edit.segments
    assert clip(edit, 8000, 9000).segments == (Segment(20000, 1000),)  # nothing is before it to fade from
    fast = EditList(SONG, (Segment(0, 1000, speed=2.0),))
    assert clip(fast, 500, 1000).segments == (Segment(1000, 500, speed=2.0),)
    to_the_end = EditList(SONG, (Segment(63_000, 667, speed=1.5),))  # 1000.5 frames; less 1.5 and 999 were one too many
    assert clip(to_the_end, 1, 667).segments == (Segment(63_002, 665, speed=1.5),)


@pytest.mark.parametrize("seed", range(12))
def test_random_pairs_keep_their_promises(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def random_edit() -> EditList:
        cuts = np.sort(rng.choice(np.arange(1, 32), 4, replace=False))
        spans = list(zip([0, *cuts[1::2].tolist()], [*cuts[::2].tolist(), 32], strict=True))
        return bars(*[(a, b) for a, b in spans if b > a])

    pair = excerpts(random_edit(), random_edit(), GRID)
    if pair is None:
        return
    for side in pair:
        assert isinstance(side, Excerpt)
        assert side.beats_s[-1] == pytest.approx(side.edit.duration_s, abs=0.01)
        assert all(0 <= a < b <= side.edit.duration_s + 0.01 for a, b in side.differs_s)
    assert abs(pair[0].edit.duration_s - pair[1].edit.duration_s) <= 2.0 + 1e-9
    assert any(side.differs_s for side in pair)
    assert len(pair[0].beats_s) == len(pair[1].beats_s)
    for times in zip(*(moments(side) for side in pair), strict=True):
        shaded = {any(a <= t < b for a, b in side.differs_s) for t, side in zip(times, pair, strict=True)}
        if True not in shaded:
            assert source_frame(pair[0].edit, times[0]) == source_frame(pair[1].edit, times[1])


def moments(side: Excerpt) -> list[float]:
    """The middles between moments of beats."""
    return [(a + b) / 2 for a, b in pairwise(side.beats_s)]


def source_frame(edit: EditList, time_s: float) -> int:
    """What plays then."""
    at = np.searchsorted(edit.output_start_frames(), time_s * RATE, side="right") - 1
    start = edit.segments[at].source_start_frame
    assert start is not None
    return round(start + time_s * RATE - edit.output_start_frames()[at])
