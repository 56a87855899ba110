"""What is asked is met, the rest stays where it was, and what cannot be met is said."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_tracks import RATE_HZ, track

from rl_editor.clock import read_seconds
from rl_editor.config import Config
from rl_editor.edits import EditList, Segment, keep_all
from rl_editor.errors import ConfigError, EditListError
from rl_editor.negotiation import Anchor, Demands, Jump, Revised, TimeSpan, paths, revise, table
from rl_editor.negotiation.costs import Costs
from rl_editor.negotiation.demands import read_anchor, read_span, spoken, spoken_up
from rl_editor.negotiation.paths import Terms, Way, Ways, blocked, cheapest
from rl_editor.negotiation.record import forgotten, joined, lasting, recorded, recorded_json
from rl_editor.negotiation.results import spans_changed
from rl_editor.negotiation.score import written_out
from rl_editor.negotiation.table import Table
from rl_editor.negotiation.words import anchor_lines, held_line, missed_line, pace_lines, screen
from rl_editor.state import AudioState

BAR = 4


@pytest.fixture(scope="module")
def state() -> AudioState:
    return track(1)


def of_beats(state: AudioState, *runs: tuple[int, int], off: int = 0) -> EditList:
    """Runs of beats; their joins ``off`` frames beside the beats."""
    bounds = np.rint(state.grid.times_s * RATE_HZ).astype(int)
    bounds[-1] = state.recording.frames
    segments = []
    for index, (a, b) in enumerate(runs):
        start = int(bounds[a]) + (off if index else 0)
        end = int(bounds[b]) + (off if index < len(runs) - 1 else 0)
        segments.append(Segment(start, end - start, crossfade_in_ms=25.0 if index else 0.0))
    return EditList(state.recording, tuple(segments), tuple(float(t) for t in state.grid.times_s))


def plays(edit: EditList, at_s: float) -> bool:
    rate = edit.source.sample_rate
    return any((s.source_start_frame or 0) <= at_s * rate < (s.source_end_frame or 0) for s in edit.segments)


def heard_at(edit: EditList, source_s: float) -> float:
    """When a moment of the source plays first."""
    rate = edit.source.sample_rate
    for at, segment in zip(edit.output_start_frames(), edit.segments, strict=True):
        if (segment.source_start_frame or 0) <= source_s * rate < (segment.source_end_frame or 0):
            return at / rate + source_s - (segment.source_start_frame or 0) / rate
    raise AssertionError(source_s)


def asked(edit: EditList, state: AudioState, **demands: object) -> Revised:
    return revise(edit, state, Demands(**demands), Config())  # type: ignore[arg-type]


def joins_near(found: Revised, leave: int, land: int, state: AudioState) -> bool:
    """Whether a new join lies within four beats of one, on both sides."""
    beats = [[int(np.argmin(np.abs(state.grid.times_s - t))) for t in (j.leave_s, j.land_s)] for j in found.new_joins]
    return any(abs(a - leave) <= 4 and abs(b - land) <= 4 for a, b in beats)


def repeated(edit: EditList) -> int:
    """Frames of the source that play again."""
    times = np.zeros(edit.source.frames + 1, int)
    for segment in edit.segments:
        times[segment.source_start_frame] += 1
        times[segment.source_end_frame] -= 1
    return int(np.maximum(np.cumsum(times) - 1, 0).sum())


def moved(edit: EditList) -> int:
    """Frames of the source that play for the first time after later ones."""
    first = np.full(edit.source.frames, -1)
    for at, segment in zip(edit.output_start_frames(), edit.segments, strict=True):
        if segment.source_start_frame is not None:
            part = first[segment.source_start_frame : segment.source_end_frame]
            part[part < 0] = at + np.flatnonzero(part < 0)
    heard = first[first >= 0]
    return int((heard > np.minimum.accumulate(heard[::-1])[::-1]).sum()) if len(heard) else 0


class TestRevise:
    @pytest.mark.parametrize("runs", [((0, 96), (160, 352)), ((0, 64), (32, 64), (128, 352)), ((16, 300),)])
    def test_without_a_demand_nothing_changes(self, state: AudioState, runs: tuple[tuple[int, int], ...]) -> None:
        edit = of_beats(state, *runs, off=137)  # joins beside the beats stay there, to the sample
        found = asked(edit, state)
        assert found.edit.segments == edit.segments
        assert (found.new_joins, found.dropped_s, found.added_s) == ((), (), ())

    @pytest.mark.parametrize("by", [137, -4410])
    def test_a_join_of_less_than_half_a_beat_stays_unless_it_is_vetoed(self, state: AudioState, by: int) -> None:
        """Beats 64 and 65 follow each other, and yet something is left out, or plays twice."""
        plain = of_beats(state, (0, 64), (64, 352))
        second = plain.segments[1]
        start = (second.source_start_frame or 0) + by
        moved = Segment(start, second.frames - by, crossfade_in_ms=25.0)
        edit = EditList(state.recording, (plain.segments[0], moved), plain.beat_times_s)
        assert asked(edit, state).edit.segments == edit.segments
        assert len(asked(edit, state, vetoes=(1,)).edit.merged().segments) == 1

    def test_silence_after_the_end_stays_with_it(self, state: AudioState) -> None:
        edit = of_beats(state, (0, 96), (160, 320))
        ending = Segment(None, 700, crossfade_in_ms=60.0)
        faded = EditList(state.recording, (*edit.segments, ending), edit.beat_times_s)
        pinned = asked(faded, state, keep=(TimeSpan(5.0, 9.0),))
        assert pinned.edit.segments == faded.segments
        shorter = asked(faded, state, duration_s=60.0).edit  # another end is another matter
        assert all(segment.source_start_frame is not None for segment in shorter.segments)

    def test_where_nothing_may_be_repeated_only_what_plays_nowhere_is_offered(self, state: AudioState) -> None:
        """A passage from the middle opens; without repeats it has no second chance at its own place."""
        edit = of_beats(state, (128, 160), (0, 128), (160, 320))
        every, once = (written_out(edit, state.grid, repeats=repeats) for repeats in (True, False))
        assert np.bincount(every.beat).max() == 2
        assert np.bincount(once.beat).max() == 1
        longer = Demands(duration_s=edit.duration_s + 8.0, no_loop=True)
        found = revise(edit, state, longer, Config()).edit
        bounds = sorted((s.source_start_frame or 0, s.source_end_frame or 0) for s in found.segments)
        assert all(one[1] <= two[0] for one, two in pairwise(bounds))
        assert found.duration_s > edit.duration_s + 4.0  # what was left out at the end plays

    def test_what_repeats_plays_in_the_order_of_the_source_where_nothing_may_be_moved(self, state: AudioState) -> None:
        """Bars 20 to 49 play twice; of the first time the end can go, of the second the start: then it comes late."""
        edit, shorter = of_beats(state, (0, 200), (80, 352)), Demands(60.0)
        assert moved(revise(edit, state, shorter, Config()).edit) > 0
        found = revise(edit, state, replace(shorter, no_reorder=True), Config())
        assert moved(found.edit) == 0
        assert abs(found.missed_s) < 1.0
        assert found.price["no reorder"] > 0.0

    def test_a_moment_of_a_repeat_is_heard_earlier_though_nothing_may_be_moved(self) -> None:
        """Beat 32 is heard again at 56 + 32 - 24 = 64 beats, 32.0 s, and asked for at 28.1 s: 8 beats have to go.

        At least cost they are beats 28 to 35 of the first time, and the moment that is asked for would come late.
        """
        state = track(1, bars_per_section=2)
        edit, demands = of_beats(state, (0, 56), (24, 68)), Demands(anchors=(Anchor(16.1, 28.1),))
        assert moved(revise(edit, state, demands, Config()).edit) > 0
        found = revise(edit, state, replace(demands, no_reorder=True), Config()).edit
        assert moved(found) == 0
        again_s = (found.output_start_frames()[-1] - (found.segments[-1].source_start_frame or 0)) / RATE_HZ + 16.1
        assert again_s == pytest.approx(28.1, abs=0.25)  # half a beat

    def test_a_repeat_is_shortened_elsewhere_rather_than_that_its_end_goes_where_nothing_may_be_moved(self) -> None:
        """Of 92 beats 84 stay. Without beats 28 to 35 of the first time those of the second would come late; to leave
        these out too costs the end of the edit, 12, where without beats 44 to 51 everything is in order.
        """
        state = track(1, bars_per_section=2)
        edit, shorter = of_beats(state, (0, 68), (8, 32)), Demands(42.0)
        assert moved(revise(edit, state, shorter, Config()).edit) > 0
        found = revise(edit, state, replace(shorter, no_reorder=True), Config())
        assert moved(found.edit) == 0
        assert found.edit.segments[-1].source_end_frame == edit.segments[-1].source_end_frame
        assert found.price["no reorder"] < 1.0

    def test_what_may_not_be_done_has_a_price_only_where_it_hinders(self, state: AudioState) -> None:
        opened = of_beats(state, (128, 160), (0, 128), (160, 320))
        longer = Demands(duration_s=opened.duration_s + 24.0, no_loop=True)
        found = revise(opened, state, longer, Config())
        assert repeated(found.edit) == 0
        assert found.price["no loop"] > 1.0  # 16 s more are left at the end, for 24
        assert repeated(revise(opened, state, replace(longer, no_loop=False), Config()).edit) > 0
        plain = of_beats(state, (0, 96), (160, 320))
        assert revise(plain, state, Demands(duration_s=60.0, no_loop=True), Config()).price["no loop"] == 0.0

    def test_a_moment_of_the_lead_in_cannot_be_the_first_to_be_heard(self) -> None:
        state = track(1, lead_in_s=1.2)  # plays as a whole
        edit = of_beats(state, (0, 100))
        with pytest.raises(
            EditListError, match=r"no edit meets .* anchor 0:01=0:00 \(what comes before the first beat"
        ):
            asked(edit, state, anchors=(Anchor(1.0, 0.0),))

    def test_a_vetoed_join_goes_and_the_other_stays_to_the_sample(self, state: AudioState) -> None:
        edit = of_beats(state, (0, 64), (96, 192), (256, 352), off=137)
        found = asked(edit, state, vetoes=(1,))
        old = {
            (a.source_end_frame, b.source_start_frame) for a, b in zip(edit.segments, edit.segments[1:], strict=False)
        }
        new = [
            (a.source_end_frame, b.source_start_frame)
            for a, b in zip(found.edit.segments, found.edit.segments[1:], strict=False)
        ]
        assert (edit.segments[0].source_end_frame, edit.segments[1].source_start_frame) not in new
        assert set(new) & old == {(edit.segments[1].source_end_frame, edit.segments[2].source_start_frame)}
        assert found.n_joins_kept == 1
        assert abs(found.edit.duration_s - edit.duration_s) < 4.0
        assert found.price["veto join 1"] > 0.0

    @pytest.mark.parametrize(("leave", "land"), [(40, 72), (40, 88), (40, 160)])
    def test_a_vetoed_join_does_not_come_back_a_bar_on(self, state: AudioState, leave: int, land: int) -> None:
        found = asked(of_beats(state, (0, leave), (land, 352)), state, vetoes=(1,))
        assert found.new_joins
        assert not joins_near(found, leave, land, state)

    def test_a_join_that_was_vetoed_once_does_not_come_back(self, state: AudioState) -> None:
        """What the second revision asks can only be met by the join that the first took out."""
        edit, times = of_beats(state, (0, 96), (160, 352)), state.grid.times_s
        vetoed = Demands(vetoes=(1,))
        first = revise(edit, state, vetoed, Config()).edit
        between = Demands(
            keep=(TimeSpan(float(times[80]), float(times[94])), TimeSpan(float(times[162]), float(times[180]))),
            drop=(TimeSpan(float(times[96]), float(times[160])),),
        )
        assert joins_near(revise(first, state, between, Config()), 96, 160, state)
        with pytest.raises(EditListError, match=r"no join 0:48.* to 1:20"):
            revise(first, state, joined(lasting(vetoed, edit), between), Config())

    def test_a_length_that_the_edit_has_keeps_its_ending(self, state: AudioState) -> None:
        edit = of_beats(state, (0, 96), (160, 320))
        faded = EditList(state.recording, (*edit.segments, Segment(None, 700, crossfade_in_ms=60.0)))
        assert asked(faded, state, duration_s=faded.duration_s).edit.segments == faded.segments

    def test_a_pin_plays_in_one_piece(self, state: AudioState) -> None:
        edit = of_beats(state, (0, 64), (192, 352))
        span = TimeSpan(45.0, 52.0)
        found = asked(edit, state, keep=(span,)).edit
        holds = [
            s
            for s in found.segments
            if (s.source_start_frame or 0) <= span.start_s * RATE_HZ
            and (s.source_end_frame or 0) >= span.end_s * RATE_HZ
        ]
        assert len(holds) == 1

    def test_what_is_dropped_does_not_play(self, state: AudioState) -> None:
        edit = of_beats(state, (0, 96), (160, 352))
        found = asked(edit, state, drop=(TimeSpan(10.0, 18.0),)).edit
        assert not any(plays(found, t) for t in np.arange(10.1, 17.9, 0.25))
        assert plays(found, 5.0)
        assert plays(found, 25.0)

    def test_an_anchor_is_heard_at_its_time(self, state: AudioState) -> None:
        edit = of_beats(state, (0, 96), (160, 352))
        found = asked(edit, state, anchors=(Anchor(120.0, 60.0),)).edit
        assert abs(heard_at(found, 120.0) - 60.0) <= 0.5 * 60.0 / state.grid.tempo_bpm + 1e-3

    @pytest.mark.parametrize("into", [0.1, 0.9])
    def test_an_anchor_at_the_start_starts_with_its_beat(self, state: AudioState, into: float) -> None:
        """A moment late in a beat cannot be the first to be heard: the beat plays as a whole, from 0 on."""
        starts, ends = (float(t) for t in state.grid.times_s[120:122])
        found = asked(of_beats(state, (0, 352)), state, anchors=(Anchor(starts + into * (ends - starts), 0.0),)).edit
        assert found.segments[0].source_start_frame == pytest.approx(starts * RATE_HZ, abs=1)

    @pytest.mark.parametrize("goal_s", [60.0, 100.0, 150.0])
    def test_a_length_is_met_within_half_a_bar_and_both_ends_stay(self, state: AudioState, goal_s: float) -> None:
        edit = of_beats(state, (0, 352))
        found = asked(edit, state, duration_s=goal_s)
        assert abs(found.edit.duration_s - goal_s) <= 0.5 * BAR * 60.0 / state.grid.tempo_bpm + 0.1
        assert found.edit.segments[0].source_start_frame == 0
        assert found.edit.segments[-1].source_end_frame == state.recording.frames
        assert found.missed_s == pytest.approx(found.edit.duration_s - goal_s)

    def test_new_joins_keep_the_count_of_the_bar(self, state: AudioState) -> None:
        found = asked(of_beats(state, (0, 352)), state, duration_s=90.0, drop=(TimeSpan(21.3, 24.0),))
        beats = state.grid.times_s
        assert found.new_joins
        for join in found.new_joins:
            leave, land = (int(np.argmin(np.abs(beats - t))) for t in (join.leave_s, join.land_s))
            assert leave % BAR == land % BAR

    def test_edits_of_hours_try_fewer_joins(self, state: AudioState, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of 88 bars: 88 * 88 = 7744 pairs are four times 1936, so every second bar, half of it ahead."""
        monkeypatch.setattr(table, "_LONG_PLACES", 300)
        edit, shorter = of_beats(state, (0, 352)), Demands(120.0)
        monkeypatch.setattr(table, "_MOST_PAIRS", 1936)
        found = Table(edit, state, Config(), Costs(state, Config(), None), draft="", repeats=True)
        assert 0 < len(found.join) <= 44 * 44 / 2
        assert abs(revise(edit, state, shorter, Config()).missed_s) < 4.0  # two bars

    @pytest.mark.parametrize("shorter_s", [0.0, 60.0])
    def test_the_length_of_hours_is_met_where_a_bin_holds_many_beats(
        self, state: AudioState, monkeypatch: pytest.MonkeyPatch, shorter_s: float
    ) -> None:
        """By cost alone the cheapest way in each bin loses some of the length at every join: two minutes in all."""
        edit = of_beats(state, *[(0, 128), (96, 160), (64, 224)] * 6, (192, 352))
        monkeypatch.setattr(paths, "_MOST_CELLS", 20_000)
        demands = Demands(edit.duration_s - shorter_s, keep=(TimeSpan(40.0, 50.0),))
        found = revise(edit, state, demands, Config(), draft="rough", priced=False)
        assert abs(found.missed_s) < 0.5 * BAR * 60.0 / state.grid.tempo_bpm + 0.1

    def test_longer_than_can_be_played_gives_all_there_is(self, state: AudioState) -> None:
        found = asked(of_beats(state, (0, 64), (128, 352)), state, duration_s=400.0)
        assert found.edit.frames == state.recording.frames
        assert found.missed_s < -200.0

    def test_what_costs_a_length_is_named(self, state: AudioState) -> None:
        """After beat 340 of 352 come 12: as it plays at the 40th, 48 of 100 are missing. Two moments cost the same."""
        edit, times = of_beats(state, (0, 352)), state.grid.times_s
        first, second = (Anchor(float(times[beat]), float(times[beat - 300])) for beat in (340, 341))
        goal_s = float(times[100])
        found = asked(edit, state, anchors=(first,), drop=(TimeSpan(20.0, 22.0),), duration_s=goal_s)
        assert found.missed_s < -20.0
        assert found.length_costs == f"anchor {first}"
        assert f"off the length asked for by {found.missed_s:+.2f} s: to meet it take back anchor {first}" in screen(
            edit, found
        )
        assert abs(asked(edit, state, drop=(TimeSpan(20.0, 22.0),), duration_s=goal_s).missed_s) < 1.0
        both = asked(edit, state, anchors=(first, second), duration_s=goal_s, exact=True)
        assert both.length_costs == f"anchor {first} and anchor {second}"
        assert asked(edit, state, duration_s=400.0).length_costs == ""  # no demand costs what the recording has not

    def test_a_loop_stays_a_loop(self, state: AudioState) -> None:
        edit = of_beats(state, (0, 96), (64, 192), (256, 352))
        found = asked(edit, state, vetoes=(2,)).edit
        assert found.segments[1].source_start_frame == edit.segments[1].source_start_frame

    def test_contradictions_are_named(self, state: AudioState) -> None:
        edit = of_beats(state, (0, 352))
        with pytest.raises(EditListError, match=r"keep 0:20-0:30, drop 0:22-0:24 contradict each other; take back "):
            asked(edit, state, keep=(TimeSpan(20.0, 30.0),), drop=(TimeSpan(22.0, 24.0),))
        with pytest.raises(EditListError, match=r"anchor 0:20=2:00"):
            asked(edit, state, anchors=(Anchor(20.0, 120.0),))

    @pytest.mark.parametrize(("keep_to", "drop_from", "plays_it"), [(0.7, 0.7, True), (0.3, 0.3, False)])
    @pytest.mark.parametrize("by", [0.0, 0.15, -0.05])
    def test_a_beat_in_which_passages_meet_belongs_to_the_one_that_covers_most_of_it(
        self, state: AudioState, keep_to: float, drop_from: float, plays_it: bool, by: float
    ) -> None:
        """They meet, leave a gap, or overlap by a twentieth of a beat."""
        times, edit = state.grid.times_s, of_beats(state, (0, 352))
        beat_s = float(times[101] - times[100])
        keep = TimeSpan(float(times[92]), float(times[100]) + keep_to * beat_s)
        drop = TimeSpan(float(times[100]) + (drop_from + by) * beat_s, float(times[120]))
        found = asked(edit, state, keep=(keep,), drop=(drop,)).edit
        assert plays(found, float(times[100]) + 0.5 * beat_s) == plays_it
        assert plays(found, float(times[99]) + 0.5 * beat_s)
        assert not plays(found, float(times[101]) + 0.5 * beat_s)

    def test_a_passage_that_gets_no_beat_of_those_it_meets_in_is_refused(self, state: AudioState) -> None:
        times, edit = state.grid.times_s, of_beats(state, (0, 352))
        beat_s = float(times[101] - times[100])
        keep = TimeSpan(float(times[100]), float(times[100]) + 0.3 * beat_s)
        drop = TimeSpan(keep.end_s, float(times[120]))
        with pytest.raises(EditListError, match=rf"take back keep {keep}$"):
            asked(edit, state, keep=(keep,), drop=(drop,))

    def test_a_passage_shorter_than_a_tenth_of_a_beat_has_the_beat_that_it_lies_in(self, state: AudioState) -> None:
        """A click of 20 ms to be taken out, a moment to be kept: a twenty-fifth of a beat of half a second."""
        start_s = float(state.grid.times_s[100]) + 0.2
        span, edit = TimeSpan(start_s, start_s + 0.02), of_beats(state, (0, 352))
        assert not plays(asked(edit, state, drop=(span,)).edit, start_s + 0.01)
        without = of_beats(state, (0, 92), (108, 352))
        assert plays(asked(without, state, keep=(span,)).edit, start_s + 0.01)
        with pytest.raises(EditListError, match=rf"keep {span} and drop .* contradict each other: they meet within a"):
            asked(edit, state, keep=(span,), drop=(TimeSpan(start_s - 5.0, start_s + 5.0),))

    def test_passages_and_moments_beyond_the_length_are_named_with_a_length_that_holds_them(
        self, state: AudioState
    ) -> None:
        edit = of_beats(state, (0, 352))
        keep = (TimeSpan(10.0, 30.0), TimeSpan(25.0, 40.0), TimeSpan(60.0, 70.0))  # 30 s and 10 s
        named = r"keep 0:10-0:30 and keep 0:25-0:40 and keep 1:00-1:10 last 0:40 together, longer than the 0:35 asked"
        with pytest.raises(EditListError, match=rf"{named} for; ask for 0:4") as refused:
            asked(edit, state, keep=keep, duration_s=35.0)
        longer_s = read_seconds(str(refused.value).rsplit("ask for ", 1)[1])
        for exact in (False, True):
            assert asked(edit, state, keep=keep, duration_s=longer_s, exact=exact).missed_s == pytest.approx(0, abs=1.0)
        with pytest.raises(EditListError, match=r"anchor 2:00=0:40 would be heard after the end of the 0:30 asked for"):
            asked(edit, state, anchors=(Anchor(120.0, 40.0),), duration_s=30.0)
        just_as_long = asked(edit, state, keep=keep[:1], duration_s=20.0, exact=True)
        assert just_as_long.missed_s == pytest.approx(0.0, abs=1.1)  # two beats that it meets in part

    def test_what_a_refusal_says_to_take_back_is_enough(self, state: AudioState) -> None:
        edit = of_beats(state, (0, 352))
        demands = Demands(
            keep=(TimeSpan(20.0, 30.0),), anchors=(Anchor(20.0, 120.0), Anchor(100.0, 170.0), Anchor(40.0, 30.0))
        )
        with pytest.raises(EditListError, match=r"no edit meets all of these: keep 0:20-0:30, .*; take back ") as said:
            revise(edit, state, demands, Config())
        named = str(said.value).rsplit("take back ", 1)[1].split(" and ")
        assert named == ["anchor 0:20=2:00", "anchor 1:40=2:50"]
        assert revise(edit, state, demands.without(named), Config()).edit.segments

    @pytest.mark.parametrize(
        ("keep", "moments", "offered"),
        [
            ((0, 24), ((120, 20),), 24),  # the kept start lasts 24 beats, and bars are counted on
            ((0, 24), ((122, 20),), 26),  # this one starts two later in its bar
            ((24, 48), ((44, 8),), 20),  # so far into what has to play as a whole
            ((24, 48), ((140, 8),), 24),
            (None, ((60, 20), (80, 22)), 24),  # a bar after the first
        ],
    )
    def test_a_moment_in_the_way_is_offered_at_the_nearest_time_that_can_be_had(
        self, state: AudioState, keep: tuple[int, int] | None, moments: tuple[tuple[int, int], ...], offered: int
    ) -> None:
        times, edit = state.grid.times_s, of_beats(state, (0, 352))
        spans = () if keep is None else (TimeSpan(float(times[keep[0]]), float(times[keep[1]])),)
        anchors = tuple(Anchor(float(times[beat]) + 0.1, float(times[due]) + 0.1) for beat, due in moments)
        with pytest.raises(EditListError, match=r"; take back .*, or ask for anchor ") as refused:
            asked(edit, state, keep=spans, anchors=anchors)
        offer = read_anchor(str(refused.value).rsplit("or ask for anchor ", 1)[1])  # one: the last moment's
        instead = anchors[-1]._replace(output_s=offer.output_s)
        assert instead.output_s == pytest.approx(times[offered] + 0.1, abs=0.03)  # beats differ by 0.02 s
        found = asked(edit, state, keep=spans, anchors=(*anchors[:-1], instead)).edit
        assert heard_at(found, instead.source_s) == pytest.approx(instead.output_s, abs=0.26)

    def test_a_time_that_another_moment_has_is_not_offered(self, state: AudioState) -> None:
        """Beat 100 could be heard after the kept start, but there beat 120 is to be heard."""
        edit, times = of_beats(state, (0, 352)), state.grid.times_s
        after_s = round(float(times[24]), 3)
        anchors = (Anchor(float(times[120]), after_s), Anchor(float(times[100]), float(times[20])))
        with pytest.raises(EditListError, match=r"take back keep [^,;]* or anchor [^,;]*$"):
            asked(edit, state, keep=(TimeSpan(0.0, after_s),), anchors=anchors)

    def test_a_time_beyond_the_length_is_not_offered(self, state: AudioState) -> None:
        """The nearest to 0:30 at which 0:20 can be heard is 0:20, but of 10 s."""
        edit, late = of_beats(state, (0, 352)), Anchor(20.0, 30.0)
        with pytest.raises(EditListError, match=r"take back anchor 0:20=0:30$"):
            asked(edit, state, duration_s=10.0, anchors=(late,))
        with pytest.raises(EditListError, match=r"or ask for anchor 0:20=0:(19|20)"):
            asked(edit, state, anchors=(late,))

    def test_two_times_for_one_beat_and_two_moments_for_one_time_are_refused(self, state: AudioState) -> None:
        edit = of_beats(state, (0, 352))
        with pytest.raises(EditListError, match=r"anchor 0:50=0:20 and anchor 0:50=0:30 contradict .* 10\.00 s apart"):
            asked(edit, state, anchors=(Anchor(50.0, 20.0), Anchor(50.0, 30.0)))
        with pytest.raises(EditListError, match=r"anchor 0:50=0:30 and anchor 1:10=0:30 .* two moments"):
            asked(edit, state, anchors=(Anchor(50.0, 30.0), Anchor(70.0, 30.0)))

    def test_two_times_for_one_beat_are_both_met_where_they_can_be(self, state: AudioState) -> None:
        edit, beat_s = of_beats(state, (0, 352)), 60.0 / state.grid.tempo_bpm
        alone_s = heard_at(asked(edit, state, anchors=(Anchor(50.0, 30.0),)).edit, 50.0)
        both = tuple(Anchor(50.0, alone_s + share * beat_s) for share in (-0.4, 0.4))
        heard_s = heard_at(asked(edit, state, anchors=both).edit, 50.0)
        assert all(abs(heard_s - anchor.output_s) <= 0.5 * beat_s + 1e-3 for anchor in both)

    def test_an_anchor_on_a_looped_passage_means_the_pass_heard_nearest_to_its_time(self, state: AudioState) -> None:
        edit, times = of_beats(state, (0, 96), (64, 192), (256, 352)), state.grid.times_s
        first, second = float(times[70]), float(times[96] + times[70] - times[64])  # beat 70 plays in both runs
        both = (Anchor(float(times[70]), first), Anchor(float(times[70]), second))
        for anchors in ((both[1],), both):  # the edit has them there already
            found = asked(edit, state, anchors=anchors)
            assert (found.edit.segments, found.new_joins) == (edit.segments, ())

    def test_a_passage_outside_is_refused(self, state: AudioState) -> None:
        with pytest.raises(EditListError, match="lies outside the recording"):
            asked(of_beats(state, (0, 352)), state, keep=(TimeSpan(500.0, 510.0),))

    @pytest.mark.parametrize(
        "changed", [{"gain_db": -3.0}, {"pitch_semitones": 1.0}, {"speed": 1.03}, {"speed": 0.97}, {"speed": 1.01}]
    )
    def test_a_passage_at_another_level_pitch_or_speed_is_refused(
        self, state: AudioState, changed: dict[str, float]
    ) -> None:
        other = Segment(30 * RATE_HZ, 20 * RATE_HZ, **changed)  # type: ignore[arg-type]
        with pytest.raises(EditListError, match="or changes speed, pitch or level"):
            written_out(EditList(state.recording, (Segment(0, 20 * RATE_HZ), other)), state.grid)
        whole = EditList(state.recording, (other,))
        if changed == {"speed": 1.01}:  # all of it up to 2 % faster or slower
            assert written_out(whole, state.grid).speed == 1.01
            return
        with pytest.raises(EditListError, match="or changes speed, pitch or level"):
            written_out(whole, state.grid)

    def test_material_from_elsewhere_is_refused(self, state: AudioState) -> None:
        edit = EditList(state.recording, (Segment(None, 1000), Segment(0, RATE_HZ * 20)))
        with pytest.raises(EditListError, match="material from elsewhere"):
            asked(edit, state, duration_s=10.0)

    def test_polish_moves_bad_joins_alone(self, state: AudioState) -> None:
        edit = of_beats(state, (0, 66), (161, 352))  # in the middle of sections, out of the bar
        kept = revise(edit, state, Demands(), Config())
        moved = revise(edit, state, Demands(), Config(), draft="rough")
        assert kept.edit.segments == edit.segments
        assert moved.new_joins

    @pytest.mark.parametrize("spans", [((0, 98), (82, 352)), ((0, 66), (90, 200), (212, 352)), ((0, 86), (82, 352))])
    def test_loops_and_cuts_that_are_meant_stay(self, state: AudioState, spans: tuple[tuple[int, int], ...]) -> None:
        edit = of_beats(state, *spans)
        meant = revise(edit, state, Demands(), Config(), draft="meant").edit
        assert len(meant.segments) == len(edit.segments)
        assert meant.duration_s == pytest.approx(edit.duration_s, abs=0.5 * state.grid.bar_s)

    def test_a_short_loop_that_nobody_means_goes(self, state: AudioState) -> None:
        # to undo its beats costs 4 x (0.06 + 0.03), the join 0.25 + 6 c with c above 0.02
        edit = of_beats(state, (0, 86), (82, 352))
        assert len(revise(edit, state, Demands(), Config(), draft="rough").edit.segments) == 1

    def test_a_moment_asked_for_may_change_the_length_that_is_meant(self, state: AudioState) -> None:
        edit = of_beats(state, (0, 96), (160, 352))
        earlier = Anchor(float(state.grid.times_s[200]), float(state.grid.times_s[104]))
        found = revise(edit, state, Demands(anchors=(earlier,)), Config(), draft="meant").edit
        assert found.duration_s < edit.duration_s - state.grid.bar_s

    def test_words(self, state: AudioState) -> None:
        edit = of_beats(state, (0, 96), (160, 352))
        text = screen(edit, asked(edit, state, vetoes=(1,), duration_s=100.0))
        assert "what each demand costs" in text
        assert "; 1 is a bad one)" in text  # c goes beyond 1, where the level steps
        assert "veto join 1" in text
        left_out = TimeSpan(48.0, 80.0)  # already
        assert "; 1 join as before, 0 new" in screen(edit, asked(edit, state, drop=(left_out,)))


def test_what_is_asked_twice_has_one_price(state: AudioState) -> None:
    edit, span = of_beats(state, (0, 96), (160, 352)), TimeSpan(10.0, 18.0)
    once = asked(edit, state, drop=(span,), vetoes=(1,)).price
    assert once["together"] >= max(price for name, price in once.items() if name != "together") - 1e-3
    assert asked(edit, state, drop=(span, span), vetoes=(1, 1)).price == once
    assert min(once.values()) > 0.0


def test_places_hold_what_is_left_out(state: AudioState) -> None:
    score = written_out(of_beats(state, (8, 64), (96, 340)), state.grid)
    np.testing.assert_array_equal(score.beat, np.arange(state.grid.n_beats))
    np.testing.assert_array_equal(np.flatnonzero(score.played), [*range(8, 64), *range(96, 340)])
    assert list(score.joins) == [(63, 96)]


def test_a_join_back_offers_four_bars_to_either_side_and_the_end_of_the_recording_no_more(state: AudioState) -> None:
    """After beat 200 of 352 come 16 more and after 350 but two; before beat 100 come 16, and before 8 but eight."""
    for leave, land, on, before in ((200, 100, 16, 16), (350, 8, 2, 8)):
        score = written_out(of_beats(state, (0, leave), (land, land + 40)), state.grid)
        (left, come_to), *_ = score.joins
        between = score.beat[left + 1 : come_to].tolist()
        assert between == [*range(leave, leave + on), *range(land - before, land)]
        assert not score.played[left + 1 : come_to].any()


@pytest.mark.parametrize("exact", [False, True])
def test_a_repeat_gets_as_long_as_a_length_needs_at_once(state: AudioState, exact: bool) -> None:
    """Beats 100 to 200 play twice, 452 beats of half a second; four bars more to either side would be 484."""
    edit = of_beats(state, (0, 200), (100, 352))
    first = asked(edit, state, duration_s=290.0, exact=exact)
    assert abs(first.missed_s) <= 0.5 * state.grid.bar_s
    assert len(first.edit.segments) == 2  # no other repeat
    assert asked(first.edit, state, duration_s=290.0).edit.segments == first.edit.segments
    furthest = asked(edit, state, duration_s=500.0, exact=exact).edit  # the whole recording twice
    assert furthest.duration_s == pytest.approx(2 * state.grid.duration_s, abs=0.5)


def test_a_draft_is_not_made_longer_than_joins_near_its_own_make_it(state: AudioState) -> None:
    """Whoever drafted it drafts another; four bars to either side are 32 beats of half a second."""
    draft = of_beats(state, (0, 200), (100, 352))
    found = revise(draft, state, Demands(duration_s=290.0), Config(), draft="meant")
    assert found.edit.duration_s == pytest.approx(draft.duration_s + 16.0, abs=0.5)


def test_what_is_shorter_than_a_beat_at_the_very_end_stands_for_the_last(state: AudioState) -> None:
    end = state.recording.frames
    score = written_out(EditList(state.recording, (Segment(0, 20 * RATE_HZ), Segment(end - 100, 100))), state.grid)
    assert score.beat[score.played][-1] == state.grid.n_beats - 1


def test_no_join_is_made_beside_a_beat_that_is_not_whole() -> None:
    """Such a beat, at either end, has no number in the bar."""
    state = track(1, lead_in_s=1.2, tail_s=0.3)
    whole, costs = keep_all(state.recording), Costs(state, Config(), None)
    found = Table(whole, state, Config(), costs, draft="rough", repeats=True)
    numbers = state.grid.bar_position[found.score.beat]
    assert numbers.tolist() == [-1, *[0, 1, 2, 3] * 88, -1]
    assert set(numbers[found.leave]) == set(numbers[found.land]) == {0, 1, 2, 3}


def test_what_no_longer_plays_of_a_loop_is_said_once(state: AudioState) -> None:
    """Beats 80 to 88 play three times. They go with those to 96 twice, the third time with those from 72 on."""
    looped, times = of_beats(state, (0, 96), (64, 96), (64, 352)), state.grid.times_s
    found = revise(looped, state, Demands(drop=(TimeSpan(float(times[80]), float(times[88])),)), Config())
    (dropped,) = found.dropped_s
    assert dropped == pytest.approx((times[72], times[96]), abs=1.0 / RATE_HZ)
    assert found.added_s == ()


def test_what_changed_is_what_plays_less_often_and_more_often(state: AudioState) -> None:
    """Frames at 22,050 Hz; what two segments make together is one span, and 20 ms (441 frames) are not worth a word."""

    def plays_frames(*spans: tuple[int, int]) -> EditList:
        return EditList(state.recording, tuple(Segment(a, b - a) for a, b in spans))

    before = plays_frames((0, 100_000), (50_000, 150_000), (200_000, 300_000))
    after = plays_frames((0, 60_000), (60_441, 90_000), (90_000, 150_000), (200_000, 300_442))
    dropped, added = spans_changed(before, after)
    assert dropped == (TimeSpan(50_000 / RATE_HZ, 100_000 / RATE_HZ),)
    assert added == (TimeSpan(300_000 / RATE_HZ, 300_442 / RATE_HZ),)


class TestCheapest:
    """Four places of a second. One goes on to the next, or from the first over the second, which costs 0.2 to play."""

    @staticmethod
    def found(goal_s: float, **changed: list[float]) -> Way | None:
        ways = Ways(np.array([0, 2, 3, 4, 4]), np.array([1, 2, 2, 3]), np.array([0.0, 0.5, 0.0, 0.0]))
        never = [np.inf] * 4
        terms = {
            "length_s": [1.0] * 4, "cost": [0.0, 0.2, 0.0, 0.0], "start": [0.0, 0.31, *never[2:]],
            "end": [*never[:3], 0.0], "earliest_s": [0.0] * 4, "latest_s": never,
        }  # fmt: skip
        given = Terms(*(np.array(values) for values in (terms | changed).values()))
        return cheapest(ways, given, goal_s=goal_s, per_s=1.0, longest_s=6.0, left_s=np.zeros(4))

    @pytest.mark.parametrize(
        ("goal_s", "changed", "places", "cost"),
        [
            (4.0, {}, [0, 1, 2, 3], 0.2),
            (3.0, {}, [0, 2, 3], 0.5),  # to start at the second is 0.31 + 0.2
            (3.0, {"start": [0.0, 0.2, np.inf, np.inf]}, [1, 2, 3], 0.4),
            (3.0, {"end": [np.inf, np.inf, 0.1, 0.0]}, [0, 1, 2], 0.3),
            (4.0, {"latest_s": [np.inf, np.inf, 1.0, np.inf]}, [0, 2, 3], 1.5),  # a second is missed, at 1
            (3.0, {"earliest_s": [0.0, 0.0, 2.0, 0.0]}, [0, 1, 2, 3], 1.2),  # a second too much
            (4.0, {"latest_s": [-0.1, np.inf, np.inf, np.inf]}, [1, 2, 3], 1.51),  # the first is not in time
        ],
    )
    def test_by_hand(self, goal_s: float, changed: dict[str, list[float]], places: list[int], cost: float) -> None:
        way = self.found(goal_s, **changed)
        assert way is not None
        assert (way.places, way.length_s, way.cost) == (places, len(places), pytest.approx(cost))

    def test_there_may_be_none(self) -> None:
        assert self.found(4.0, latest_s=[np.inf, np.inf, np.inf, 0.5]) is None


def test_places_that_must_play_are_not_jumped_over() -> None:
    np.testing.assert_array_equal(blocked(np.array([False, False, True, False, True, False])), [2, 2, 4, 4, 5, 5])


class TestRecord:
    HELD = Demands(
        90.0,
        exact=True,
        keep=(TimeSpan(40.0, 55.0),),
        drop=(TimeSpan(1.0, 2.5),),
        anchors=(Anchor(65.0, 45.0),),
        barred=(Jump(30.5, 10.25),),
    )

    def test_demands_come_back_and_the_edit_is_the_same(self, state: AudioState, tmp_path: Path) -> None:
        edit, path = of_beats(state, (0, 96), (160, 352)), tmp_path / "e.json"
        path.write_text(recorded_json(edit, replace(self.HELD, vetoes=(1,))), encoding="utf-8")
        assert recorded(path) == self.HELD  # numbers of joins are this edit's
        assert EditList.load(path) == edit

    def test_what_may_not_be_done_is_recorded_where_it_is_asked_and_released_by_name(
        self, state: AudioState, tmp_path: Path
    ) -> None:
        edit, path = of_beats(state, (0, 96), (160, 352)), tmp_path / "e.json"
        assert "no_" not in recorded_json(edit, self.HELD)  # as programs before wrote it, and read it
        path.write_text(recorded_json(edit, Demands(no_loop=True, no_reorder=True)), encoding="utf-8")
        held = recorded(path)
        assert held == Demands(no_loop=True, no_reorder=True)
        assert joined(held, Demands(90.0)) == Demands(90.0, no_loop=True, no_reorder=True)
        assert forgotten(held, ["no loop"]) == Demands(no_reorder=True)
        assert forgotten(held, ["no loop", "no reorder"]) == Demands()
        assert held_line(held, named_in="take back no reorder").startswith("held from before: no reorder;")

    def test_what_a_refusal_says_to_take_back_is_the_example_of_what_to_forget(self) -> None:
        keep, drop, anchor = "keep 0:40-0:55", "drop 0:01-0:02.5", "anchor 1:05=0:45"
        held = replace(self.HELD, barred=(), duration_s=None, exact=False)
        fault = f"{anchor} and pin 0:03-0:04 cannot be met beside the rest ({keep}, {drop}, {anchor})"
        said = held_line(held, named_in=f"{fault}; take back {anchor} or pin 0:03-0:04")
        assert said.startswith(f"held from before: {keep}, {drop}, {anchor}; --forget '{anchor}' releases that")
        assert f"--forget '{drop}'" in held_line(held, named_in="--pin 0:02-0:04 and --drop 0:01-0:02.5; take back one")
        assert held_line(held, named_in="the recording ends; take back it") == ""

    def test_an_edit_list_without_a_record_holds_nothing(self, state: AudioState, tmp_path: Path) -> None:
        edit, path = of_beats(state, (0, 96), (160, 352)), tmp_path / "e.json"
        assert recorded_json(edit, Demands()) == edit.to_json()
        path.write_text(edit.to_json(), encoding="utf-8")
        assert recorded(path) == Demands()

    @pytest.mark.parametrize(
        "broken",
        [
            None, [], 3, {"keep": [[1.0]]}, {"keep": 3}, {"keep": None}, {"keep": ["12"]}, {"keep": [["1", "2"]]},
            {"keep": [[5.0, 4.0]]}, {"drop": [[5.0, 5.0]]}, {"drop": [["a", 2]]}, {"drop": [[False, True]]},
            {"keep": {"a": 1}}, {"duration_s": "90"}, {"duration_s": 0}, {"duration_s": 1e-9}, {"barred": [[-1, 2]]},
            {"exact": True}, {"duration_s": 9.0, "exact": 1},
            {"anchor": [[1.0, 2.0]]}, {"vetoes": [1]}, {"anchors": [[1.0, float("inf")]]},
            {"no_loop": 1}, {"no_reorder": None}, {"keep": {}}, {"drop": ""}, {"anchors": [[10**400, 1]]},
            {"duration_s": 10**400}, {"duration_s": 86_401}, {"barred": [[1.0, float("nan")]]},
        ],
    )  # fmt: skip
    def test_a_broken_record_is_named(self, state: AudioState, tmp_path: Path, broken: object) -> None:
        path = tmp_path / "e.json"
        path.write_text(json.dumps(of_beats(state, (0, 352)).to_dict() | {"demands": broken}), encoding="utf-8")
        with pytest.raises(EditListError, match=r"e\.json: demands: .* delete 'demands'"):
            recorded(path)

    def test_what_is_broken_in_a_record_is_named_and_what_is_needed(self, state: AudioState, tmp_path: Path) -> None:
        path = tmp_path / "e.json"
        whole = of_beats(state, (0, 352)).to_dict() | {"demands": {"keep": [[1.0, 2.0]], "drop": [[3.0, "4"]]}}
        path.write_text(json.dumps(whole), encoding="utf-8")
        with pytest.raises(EditListError, match=r"demands: drop \[3\.0, '4'\], 2 numbers of seconds from 0 to 86400"):
            recorded(path)

    def test_a_vetoed_join_is_the_one_of_its_number(self, state: AudioState) -> None:
        edit, times = of_beats(state, (0, 96), (160, 200), (240, 352)), state.grid.times_s
        (first,) = lasting(Demands(vetoes=(1,)), edit).barred
        assert first == pytest.approx((times[96], times[160]), abs=1e-4)

    def test_a_vetoed_join_is_known_by_what_it_joins(self, state: AudioState) -> None:
        edit, times = of_beats(state, (0, 96), (160, 352)), state.grid.times_s
        found = lasting(Demands(vetoes=(1,), barred=self.HELD.barred), edit)
        assert found.vetoes == ()
        assert found.barred[0] == self.HELD.barred[0]
        assert found.barred[1] == pytest.approx((times[96], times[160]), abs=1e-4)

    def test_the_last_length_is_held_and_what_is_forgotten_is_not(self) -> None:
        assert joined(self.HELD, Demands()) == self.HELD
        assert joined(self.HELD, Demands(80.0, keep=(TimeSpan(0.0, 1.0),))) == replace(
            self.HELD, duration_s=80.0, exact=False, keep=(TimeSpan(40.0, 55.0), TimeSpan(0.0, 1.0))
        )
        names = [name for name, _ in self.HELD.each()]
        assert forgotten(self.HELD, names) == forgotten(self.HELD, ["all"]) == Demands()
        assert forgotten(self.HELD, ["no join 0:30.5 to 0:10.25"]) == replace(self.HELD, barred=())
        with pytest.raises(ConfigError, match=r"'pin': not held; give one of 'keep 0:40-0:55'"):
            forgotten(self.HELD, ["pin"])
        with pytest.raises(ConfigError, match="'pin': nothing is held from before; leave it out"):
            forgotten(Demands(), ["pin"])
        assert forgotten(Demands(), ["all"]) == Demands()


class TestReading:
    @pytest.mark.parametrize(
        ("text", "seconds"), [("95", 95.0), ("95.5", 95.5), ("1:35.5", 95.5), ("1:02:03", 3723.0), (" 0:07 ", 7.0)]
    )
    def test_times(self, text: str, seconds: float) -> None:
        assert read_seconds(text) == seconds

    @pytest.mark.parametrize("text", ["", "abc", "-5", "1:2:3:4", "inf", "nan", "1e3", "30:00:00"])
    def test_what_is_no_time(self, text: str) -> None:
        with pytest.raises(ConfigError, match=r"time|day"):
            read_seconds(text)

    def test_spans_and_anchors(self) -> None:
        assert read_span("0:40-0:55.25") == TimeSpan(40.0, 55.25)
        assert read_span("0:40\N{EN DASH}0:55") == TimeSpan(40.0, 55.0)  # from a message or a document
        assert read_anchor("1:05=0:45") == Anchor(65.0, 45.0)
        for read, text in ((read_span, "0:40"), (read_anchor, "1:05")):
            with pytest.raises(ConfigError):
                read(text)
        for text, wrong in (("0:50-0:40", "ends before it starts"), ("0:40-0:40", "is empty")):
            with pytest.raises(ConfigError, match=wrong):
                read_span(text)

    def test_a_length_to_ask_for_instead_is_never_less(self) -> None:
        """16.1 * 1000 is 16,100.000000000002 in floats: no millisecond more for that."""
        assert [spoken_up(seconds) for seconds in (16.1, 16.1004, 75.0)] == ["0:16.1", "0:16.101", "1:15"]

    @settings(deadline=None)
    @given(st.integers(0, 86_399_999))
    def test_spoken_times_are_read_back(self, milliseconds: int) -> None:
        assert round(1000 * read_seconds(spoken(milliseconds / 1000))) == milliseconds


class TestWords:
    def test_a_length_missed_by_more_than_an_end_may_give_is_not_promised(self) -> None:
        """1.5 s; a twentieth of a second nobody minds."""
        assert missed_line(0.05) == missed_line(-0.05) == ""
        for missed_s in (1.4, -1.4):
            assert missed_line(missed_s).startswith(f"off the length asked for by {missed_s:+.2f} s: nearer would need")
            assert "--exact insists" in missed_line(missed_s)
        for missed_s in (1.6, -1.6):
            assert "--exact" not in missed_line(missed_s)

    def test_an_anchor_is_heard_where_the_nearest_segment_plays_it(self, state: AudioState) -> None:
        """10 s of source at a speed of 2 last 5 s, then 20 s to 40 s follow: second 8 is heard at 4 s, 30 at 15 s."""
        segments = (Segment(0, 5 * RATE_HZ, speed=2.0), Segment(20 * RATE_HZ, 20 * RATE_HZ))
        edit = EditList(state.recording, segments)
        said = anchor_lines(edit, [Anchor(8.0, 4.0), Anchor(8.0, 2.5), Anchor(30.0, 16.0)])
        assert said == [
            "anchor 0:08=0:02.5 is heard at 0:04 (+1.50 s): passages move by whole beats",
            "anchor 0:30=0:16 is heard at 0:15 (-1.00 s): passages move by whole beats",
        ]

    def test_a_stretch_is_said_as_it_was(self, state: AudioState) -> None:
        """At 1 / 1.01 of its speed everything lasts a hundredth longer: -1200 log2(1.01) is -17.2 cents."""
        edit = EditList(state.recording, (Segment(0, RATE_HZ, speed=1.0 / 1.01),))
        assert pace_lines(edit) == ["everything plays 1% slower (-17 cents), as before"]

    def test_six_spans_are_named_and_the_rest_counted(self, state: AudioState) -> None:
        edit, spans = of_beats(state, (0, 352)), tuple(TimeSpan(10.0 * k, 10.0 * k + 1.0) for k in range(9))
        found = Revised(edit, (), 0, spans, spans[:6], {}, 0.0)
        lines = screen(edit, found).splitlines()
        assert lines[1].startswith("  no longer plays: 0:00-0:01, 0:10-0:11, ")
        assert lines[1].endswith(", 0:40-0:41, 0:50-0:51 and 3 more")
        assert lines[2].endswith("0:50-0:51")


def test_a_passage_shorter_than_a_beat_keeps_the_numbers_of_joins(state: AudioState) -> None:
    rate = RATE_HZ
    edit = EditList(
        state.recording,
        (
            Segment(0, 20 * rate),
            Segment(30 * rate, rate // 10, crossfade_in_ms=10.0),
            Segment(60 * rate, 50 * rate, crossfade_in_ms=10.0),
        ),
        tuple(float(t) for t in state.grid.times_s),
    )
    assert asked(edit, state).edit.segments == edit.segments
    assert len(written_out(edit, state.grid).joins) == 2


def test_a_signal_while_ways_are_sought_ends_it_without_a_crash() -> None:
    """Compiled code cannot be interrupted; what the signal raises comes when it returns, and is to be raised then."""
    program = """
import signal, sys
import numpy as np
from rl_editor.negotiation.paths import Terms, Ways, cheapest

def search(n_places, n_following):
    rows = [np.arange(n + 1, min(n + 1 + n_following, n_places)) for n in range(n_places)]
    first = np.cumsum([0, *map(len, rows)])
    ways = Ways(first, np.concatenate(rows), np.full(first[-1], 0.5))
    nothing, latest = np.zeros(n_places), np.full(n_places, 1e6)
    terms = Terms(np.full(n_places, 0.5), nothing, nothing, nothing, nothing, latest)
    return cheapest(ways, terms, goal_s=n_places / 4, per_s=1.0, longest_s=n_places / 2, left_s=nothing)

def ended(number, frame):
    sys.exit(40)

search(10, 2)  # compiled
signal.signal(signal.SIGALRM, ended)
signal.setitimer(signal.ITIMER_REAL, 0.33)
while True:
    search(3000, 200)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 40, (done.returncode, done.stderr)
