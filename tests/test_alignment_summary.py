"""What an edit did, counted by hand: sources of 100 s at 1000 frames per second, segments in seconds."""

import json

import pytest

from rl_editor.alignment.folding import folded, plays_of, staying, straights_of
from rl_editor.alignment.summary import Action, AlignmentSummary, Cut, Foreign, Loop, Move, summarise, weighted_median
from rl_editor.edits import EditList, Segment, SourceInfo

RATE = 1000
SOURCE = SourceInfo("song_raw.wav", "", RATE, 1, 100 * RATE)
KEEP, LOOP, MOVE, FOREIGN = Action.KEEP, Action.LOOP, Action.MOVE, Action.FOREIGN


def play(start_s: float, end_s: float, **values: float) -> Segment:
    return Segment(round(start_s * RATE), round((end_s - start_s) * RATE), **values)  # type: ignore[arg-type]


def nothing(seconds: float) -> Segment:
    return Segment(None, round(seconds * RATE), confidence=0.0)


def summary(*segments: Segment) -> AlignmentSummary:
    return summarise(EditList(SOURCE, segments))


def rows(found: AlignmentSummary) -> list[tuple[float, float | None, float, Action, int, int]]:
    return [
        (round(p.output_start_s, 3), p.source_start_s, round(p.duration_s, 3), p.action, p.time, p.n_times)
        for p in found.passages
    ]


def test_cuts_are_source_that_never_plays() -> None:
    found = summary(play(5, 20), play(30, 100))
    assert found.cuts == (Cut(0.0, 5.0), Cut(20.0, 30.0))
    assert found.cut_s == 15.0
    assert (found.loops, found.moves, found.foreign) == ((), (), ())
    assert rows(found) == [(0.0, 5.0, 15.0, KEEP, 1, 1), (15.0, 30.0, 70.0, KEEP, 1, 1)]
    assert (found.n_segments, found.n_joins) == (2, 1)


def test_a_slip_at_a_join_is_no_cut() -> None:
    found = summary(play(0, 50), play(50.04, 100))
    assert found.cuts == ()
    assert found.cut_s == pytest.approx(0.04)


def test_a_loop_is_cut_out_of_what_leads_in_and_on() -> None:
    found = summary(play(0, 30), play(20, 30, crossfade_in_ms=10.0), play(20, 50))
    assert found.loops == (Loop(20.0, 30.0, 3, 20.0),)
    assert rows(found) == [
        (0.0, 0.0, 20.0, KEEP, 1, 1),
        (20.0, 20.0, 10.0, LOOP, 1, 3),
        (30.0, 20.0, 10.0, LOOP, 2, 3),
        (40.0, 20.0, 10.0, LOOP, 3, 3),
        (50.0, 30.0, 20.0, KEEP, 1, 1),
    ]
    assert [p.crossfade_in_ms for p in found.passages] == [None, None, 10.0, 0.0, None]
    assert [p.segment for p in found.passages] == [0, 0, 1, 2, 2]
    assert found.repeated_s == 20.0
    assert found.moves == ()


def test_joins_of_a_loop_may_be_off_by_a_hand() -> None:
    found = summary(play(0, 30), play(20.03, 30.04), play(19.98, 50))
    assert [(x.n_times, x.source_start_s, x.source_end_s) for x in found.loops] == [(3, 20.03, 30.0)]
    assert [p.action for p in found.passages] == [KEEP, LOOP, LOOP, LOOP, KEEP]  # no slivers of 40 ms


def test_the_last_time_of_a_loop_may_stop_half_way_but_not_the_only_repeat() -> None:
    found = summary(play(20, 30), play(20, 30), play(20, 26), play(40, 60))
    assert [x.n_times for x in found.loops] == [3]
    found = summary(play(20, 30), play(20, 26), play(40, 60))
    assert found.loops == ()
    assert [(m.source_start_s, m.copied) for m in found.moves] == [(20.0, True)]


def test_two_loops_in_a_row_are_two() -> None:
    found = summary(play(0, 10), play(5, 10), play(5, 20), play(16, 20), play(16, 30))
    assert [(x.source_start_s, x.source_end_s, x.n_times) for x in found.loops] == [(5.0, 10.0, 3), (16.0, 20.0, 3)]


def test_source_that_plays_again_much_later_is_no_loop() -> None:
    found = summary(play(0, 40), play(60, 80), play(10, 20), play(80, 100))
    assert found.loops == ()
    # It goes from the end of its own place, 20 s, to after 80 s.
    assert found.moves == (Move(10.0, 20.0, 60.0, "later", 60.0, copied=True),)


def test_a_block_moved_to_the_front_is_earlier_and_to_the_end_later() -> None:
    found = summary(play(60, 70), play(0, 60), play(70, 100))
    assert found.moves == (Move(60.0, 70.0, 0.0, "earlier", 60.0, copied=False),)  # it stood 60 s after where 0 s is
    assert [p.action for p in found.passages] == [MOVE, KEEP, KEEP]
    found = summary(play(20, 100), play(0, 20))
    assert found.moves == (Move(0.0, 20.0, 80.0, "later", 80.0, copied=False),)
    assert found.cuts == ()


def test_the_least_material_is_what_moved() -> None:
    found = summary(play(30, 50), play(0, 30), play(50, 100))  # 30 s and 50 s outweigh 20 s and 50 s
    assert [p.action for p in found.passages] == [MOVE, KEEP, KEEP]
    found = summary(play(30, 70), play(0, 30), play(70, 100))  # 40 s and 30 s outweigh 30 s and 30 s
    assert [p.action for p in found.passages] == [KEEP, MOVE, KEEP]


def test_foreign_material_splits_nothing_else() -> None:
    found = summary(play(0, 20), nothing(5), play(20, 100))
    assert found.foreign == (Foreign(20.0, 25.0),)
    assert found.matched_share == pytest.approx(100 / 105)
    assert [p.action for p in found.passages] == [KEEP, FOREIGN, KEEP]
    assert found.passages[1].source_start_s is None
    assert found.cuts == ()


def test_a_loop_goes_over_a_short_foreign_stretch_and_not_over_a_long_one() -> None:
    assert len(summary(play(0, 20), nothing(0.3), play(10, 40)).loops) == 1
    assert summary(play(0, 20), nothing(3), play(10, 40)).loops == ()
    assert len(summary(play(0, 20), nothing(0.4), play(20, 30), play(15, 30)).loops) == 1  # nor within a time
    assert summary(play(0, 20), nothing(3), play(20, 30), play(15, 30)).loops == ()


def test_levels_split_segments_but_not_loops_nor_runs() -> None:
    found = summary(play(0, 20), play(20, 30, gain_db=-3.0), play(20, 30, gain_db=-3.0), play(30, 100, gain_db=2.0))
    assert [(x.source_start_s, x.n_times) for x in found.loops] == [(20.0, 2)]
    assert (found.softest_db, found.loudest_db) == (-3.0, 2.0)
    assert [p.gain_db for p in found.passages] == [0.0, -3.0, -3.0, 2.0]


def test_speed_maps_the_parts_of_a_segment() -> None:
    # Twice as fast: 0..30 s of source in 15 s; the loop's first time, 20..30 s, begins after 10 s.
    fast = Segment(0, 15 * RATE, speed=2.0)
    found = summary(fast, Segment(20 * RATE, 5 * RATE, speed=2.0))
    assert rows(found) == [(0.0, 0.0, 10.0, KEEP, 1, 1), (10.0, 20.0, 5.0, LOOP, 1, 2), (15.0, 20.0, 5.0, LOOP, 2, 2)]
    assert found.passages[1].source_end_s == 30.0


def test_passages_tile_the_output() -> None:
    found = summary(play(0, 30), play(20, 30), nothing(1), play(80, 90), play(30, 60), play(50, 70))
    ends = [0.0, *(p.output_end_s for p in found.passages)]
    assert [p.output_start_s for p in found.passages] == pytest.approx(ends[:-1])
    assert ends[-1] == pytest.approx(found.duration_s)


def test_confidence_weighs_by_length_and_names_the_lowest() -> None:
    found = summary(play(0, 30, confidence=0.9), play(40, 50, confidence=0.2), nothing(1))
    assert (found.median_confidence, found.lowest_confidence) == (0.9, 0.2)


def test_the_whole_edits_level_is_passed_on() -> None:
    found = summarise(EditList(SOURCE, (play(0, 10),)), gain_db=-4.5, polarity_flipped=True)
    assert (found.gain_db, found.polarity_flipped) == (-4.5, True)


def test_plain_values_hold_counts_and_go_through_json() -> None:
    values = json.loads(json.dumps(summary(play(0, 30), play(20, 50), nothing(1), play(10, 15)).to_dict()))
    counts = {name: values[f"n_{name}"] for name in ("segments", "joins", "cuts", "loops", "moves", "foreign")}
    assert counts == {"segments": 4, "joins": 3, "cuts": 1, "loops": 1, "moves": 1, "foreign": 1}
    assert values["loops"] == [{"source_start_s": 20.0, "source_end_s": 30.0, "n_times": 2, "output_start_s": 20.0}]
    assert [p["action"] for p in values["passages"]] == ["keep", "loop", "loop", "keep", "foreign", "move"]


@pytest.mark.parametrize("segments", [(), (nothing(3),)])
def test_nothing_matched(segments: tuple[Segment, ...]) -> None:
    found = summary(*segments)
    assert (found.median_confidence, found.lowest_confidence, found.repeated_s) == (0.0, 0.0, 0.0)
    assert found.cut_s == 100.0


class TestFolding:
    def test_runs_hold_their_loops_and_the_chain_what_stays(self) -> None:
        edit = EditList(SOURCE, (play(60, 70), play(0, 30), play(20, 40), play(50, 55)))
        plays, foreign = plays_of(edit)
        straights = straights_of(plays, RATE)
        runs, loops = folded(straights, RATE)
        assert (len(straights), foreign) == (4, [])
        assert [(run.start, run.end, run.frames) for run in runs] == [
            (60000, 70000, 10000), (0, 40000, 50000), (50000, 55000, 5000),
        ]  # fmt: skip
        assert [(x.start, x.end, x.n_times, x.at) for x in loops] == [(20000, 30000, 2, 30000)]
        assert staying(runs) == {1, 2}

    def test_weighted_median(self) -> None:
        assert weighted_median([0.1, 0.9, 0.5], [1, 5, 1]) == 0.9
        assert weighted_median([], []) == 0.0
