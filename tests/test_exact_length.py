"""An edit near a length is made that long to the sample, and says where the difference went."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from test_negotiation import moved, of_beats, repeated
from test_negotiation import state as state  # the fixture
from world_tracks import RATE_HZ

from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.errors import EditListError
from rl_editor.grid import BeatGrid
from rl_editor.negotiation import Anchor, Demands, TimeSpan, exact
from rl_editor.negotiation.demands import MOST_STRETCH
from rl_editor.negotiation.exact import MOST_SILENCE_S, ExactLength, _silent_tail, met_from_below, most_silence_s
from rl_editor.negotiation.pace import at_own_pace, at_pace, within
from rl_editor.negotiation.wanted import beyond_length
from rl_editor.negotiation.words import exact_line
from rl_editor.state import AudioState
from rl_editor.utils import Samples


def to_length(
    edit: EditList,
    recording: Samples | Path,
    frames: int,
    *,
    allow_stretch: bool,
    only: Collection[int] | None = None,
    costs: str = "",
    **asked: Any,
) -> ExactLength:
    """The edit, so many frames long; ``asked`` is what else is demanded."""
    demands = Demands(frames / RATE_HZ, exact=True, **asked)
    return exact.to_length(
        edit, recording, demands, allow_stretch=allow_stretch, silence_s=MOST_SILENCE_S, costs=costs, only=only
    )


class TestExact:
    @staticmethod
    def recording(seconds: float, silent_s: float = 0.0) -> Samples:
        data = 0.2 * np.random.default_rng(0).standard_normal((round(seconds * RATE_HZ), 2)).astype(np.float32)
        if silent_s:
            data[-round(silent_s * RATE_HZ) :] = 0.0
        return Samples(data, RATE_HZ)

    @pytest.mark.parametrize("missing", [-9000, -40, -1, 0, 1, 40, 9000])
    @pytest.mark.parametrize("silent_s", [0.0, 2.0])
    @pytest.mark.parametrize("last", [352, 320])
    def test_to_the_sample(self, state: AudioState, missing: int, silent_s: float, last: int) -> None:
        edit = of_beats(state, (0, 96), (160, last))
        recording = self.recording(state.grid.duration_s, silent_s)
        found = to_length(edit, recording, edit.frames + missing, allow_stretch=False)
        assert found.edit.frames == edit.frames + missing
        moved = found.silence_s + found.joins_s + found.tail_s
        assert round(moved * RATE_HZ) == missing
        assert "to the sample" in exact_line(found)

    @pytest.mark.parametrize(
        ("stretch", "said"), [(0.0123, "1.23% slower (-21 cents)"), (-2e-5, "0.002% faster (+0.035 cents)")]
    )
    def test_a_stretch_too_small_to_hear_is_said_with_its_digits(
        self, state: AudioState, stretch: float, said: str
    ) -> None:
        """1200 log2(1.0123) = 21.2 cents, 1200 * 2e-5 / ln 2 = 0.0346."""
        found = ExactLength(of_beats(state, (0, 96)), stretch=stretch)
        assert exact_line(found) == f"to the sample: everything plays {said}"

    def test_the_end_goes_on_neither_into_what_plays_nor_out_of_order(self, state: AudioState) -> None:
        recording = self.recording(state.grid.duration_s)

        def longer(*runs: tuple[int, int], no_loop: bool = False, no_reorder: bool = False) -> EditList:
            edit = of_beats(state, *runs)
            frames = edit.frames + 9000
            no = {"no_loop": no_loop, "no_reorder": no_reorder}
            found = to_length(edit, recording, frames, allow_stretch=False, only=(), **no).edit
            assert found.frames == frames
            return found

        opened = ((96, 160), (0, 96))  # what follows the end plays already
        assert repeated(longer(*opened)) == 9000
        assert repeated(longer(*opened, no_loop=True)) == 0
        again = ((0, 60), (80, 160), (0, 60))  # what follows the end plays nowhere, but later parts did
        assert moved(longer(*again)) == 9000
        assert moved(longer(*again, no_reorder=True)) == 0
        plain = ((0, 60), (80, 160))
        assert longer(*plain, no_loop=True, no_reorder=True) == longer(*plain)

    def test_the_end_plays_nothing_of_what_must_not_play(self, state: AudioState) -> None:
        edit, recording = of_beats(state, (0, 96)), self.recording(state.grid.duration_s)
        end_s = float(state.grid.times_s[96])
        on = to_length(edit, recording, edit.frames + 9000, allow_stretch=False)
        assert on.edit.segments[-1].source_end_frame == edit.frames + 9000
        drop = (TimeSpan(end_s, end_s + 20.0),)
        off = to_length(edit, recording, edit.frames + 9000, allow_stretch=False, drop=drop).edit
        assert off.frames == edit.frames + 9000
        assert off.segments[0] == edit.segments[0]
        assert off.segments[1].source_start_frame is None

    def test_the_end_cuts_nothing_of_what_has_to_play(self, state: AudioState) -> None:
        edit, recording = of_beats(state, (0, 96)), self.recording(state.grid.duration_s)
        end_s = float(state.grid.times_s[96])
        with pytest.raises(EditListError, match="contradict each other"):
            to_length(edit, recording, edit.frames - 9000, allow_stretch=False, keep=(TimeSpan(0.0, end_s),))
        twice = of_beats(state, (0, 96), (0, 96))  # the first time in full
        to_length(twice, recording, twice.frames - 9000, allow_stretch=False, keep=(TimeSpan(0.0, end_s),))
        keep = (TimeSpan(0.0, end_s - 1.0),)
        assert to_length(edit, recording, edit.frames - 9000, allow_stretch=False, keep=keep).edit.frames == (
            edit.frames - 9000
        )

    def test_an_end_that_a_settled_join_moved_by_milliseconds_is_the_recordings(self, state: AudioState) -> None:
        """3 ms short of it as much silence may follow as after it; 20 ms short of it as little as anywhere."""
        edit, recording = of_beats(state, (0, 96), (160, 352)), self.recording(state.grid.duration_s)
        keep = (TimeSpan(state.grid.duration_s - 5.0, state.grid.duration_s),)

        def ending(earlier_s: float) -> EditList:
            last = edit.segments[-1]
            short = replace(last, frames=last.frames - round(earlier_s * RATE_HZ))
            moved = replace(edit, segments=(*edit.segments[:-1], short))
            frames = moved.frames + round(1.9 * RATE_HZ)
            return to_length(moved, recording, frames, allow_stretch=False, only=(), keep=keep).edit

        assert ending(0.003).segments[-1] == Segment(None, round(1.9 * RATE_HZ), crossfade_in_ms=60.0)
        with pytest.raises(EditListError, match=r"its end may give 1\.5 s"):
            ending(0.02)

    def test_an_edit_below_is_aimed_at_until_one_is(self, state: AudioState) -> None:
        """The edits here are 30 s long but for goals of 28 s and less, as where another join is cheaper by far."""
        aimed: list[float] = []

        def settle(less_s: float) -> float:
            aimed.append(less_s)
            return 27.5 if 30.0 - less_s <= 28.0 else 30.2

        def meet(length_s: float) -> ExactLength:
            if length_s > 30.0:
                raise EditListError(f"{length_s} after aiming at {aimed}")
            return ExactLength(of_beats(state, (0, 96)))

        keep = (TimeSpan(0.0, 5.0),)
        assert met_from_below(settle, meet, keep=keep, silence_s=3.0)[0] == 27.5
        assert aimed == [0.0, 1.5, 3.0]
        aimed.clear()
        with pytest.raises(EditListError, match=r"after aiming at \[0\.0\]$"):  # the first refusal is told
            met_from_below(settle, meet, keep=keep, silence_s=1.0)
        aimed.clear()
        with pytest.raises(EditListError):
            met_from_below(settle, meet, keep=(), silence_s=3.0)
        assert aimed == [0.0]

    def test_after_an_end_that_has_to_play_two_seconds_may_be_silent(self, state: AudioState) -> None:
        """Others give 1.5 s: one within the recording, and one of which only what comes 1.5 s before has to play."""
        whole, recording = of_beats(state, (0, 96), (160, 352)), self.recording(state.grid.duration_s)
        end_s, more = state.grid.duration_s, round(1.9 * RATE_HZ)
        last = (TimeSpan(end_s - 5.0, end_s),)
        found = to_length(whole, recording, whole.frames + more, allow_stretch=False, only=(), keep=last).edit
        assert found.segments[:-1] == whole.segments
        assert (found.segments[-1].source_start_frame, found.segments[-1].frames) == (None, more)
        before = (TimeSpan(end_s - 5.0, end_s - 1.6),)
        within = of_beats(state, (160, 300))
        within_s = float(state.grid.times_s[300])
        for edit, keep in ((whole, before), (within, (TimeSpan(within_s - 5.0, within_s),))):
            with pytest.raises(EditListError, match=r"its end may give 1\.5 s"):
                to_length(edit, recording, edit.frames + more, allow_stretch=False, only=(), keep=keep)
        with pytest.raises(EditListError, match=r"its end may give 2 s"):
            to_length(whole, recording, whole.frames + round(2.1 * RATE_HZ), allow_stretch=False, only=(), keep=last)

    def test_where_an_end_cannot_be_cut_a_stretch_is_named_if_it_is_in_reach(self, state: AudioState) -> None:
        edit, recording = of_beats(state, (0, 96)), self.recording(state.grid.duration_s)
        keep = (TimeSpan(0.0, float(state.grid.times_s[96])),)
        for missing, said in ((-0.01, True), (-0.025, False)):
            frames = round(edit.frames * (1.0 + missing))
            with pytest.raises(EditListError, match="contradict each other") as refused:
                to_length(edit, recording, frames, allow_stretch=False, keep=keep)
            assert ("or give --allow-stretch" in str(refused.value)) == said

    def test_stretched(self, state: AudioState) -> None:
        edit = of_beats(state, (0, 96), (160, 352))
        recording = self.recording(state.grid.duration_s)
        for share in (-0.9 * MOST_STRETCH, 0.9 * MOST_STRETCH):
            frames = round(edit.frames * (1.0 + share))
            found = to_length(edit, recording, frames, allow_stretch=True)
            assert found.edit.frames == frames
            assert found.stretch == pytest.approx(share, abs=1e-6)
            assert all((s.source_end_frame or 0) <= state.recording.frames for s in found.edit.segments)

    def test_a_stretch_is_counted_from_the_recording_s_own_speed(self, state: AudioState) -> None:
        edit = of_beats(state, (0, 96), (160, 352))
        recording = self.recording(state.grid.duration_s)
        faster = to_length(edit, recording, round(edit.frames * 0.985), allow_stretch=True).edit
        back = to_length(faster, recording, round(edit.frames * 1.015), allow_stretch=True)  # 3 % from there
        assert [segment.speed for segment in back.edit.segments] == pytest.approx([1 / 1.015] * 2, rel=1e-5)
        assert back.stretch == pytest.approx(0.015, abs=1e-5)
        with pytest.raises(EditListError, match="cannot be met") as refused:  # 1.5 % on, and so 3 % in all
            to_length(faster, recording, round(faster.frames * 0.985), allow_stretch=True)
        assert "--allow-stretch" not in str(refused.value)

    @pytest.mark.parametrize("missing", [60, -60, 180, 300, -300, 9000])
    def test_joins_give_four_milliseconds_each_alike_where_that_is_enough(
        self, state: AudioState, missing: int
    ) -> None:
        """4 ms are 88 frames: two joins give up to 176, three up to 264; what is more comes from the end alone."""
        edit = of_beats(state, (0, 96), (128, 160), (192, 224), (256, 320))
        recording = self.recording(state.grid.duration_s)
        most = round(0.004 * RATE_HZ)
        for only, n in (((1, 2, 3), 3), ((1, 3), 2), ((), 0)):
            found = to_length(edit, recording, edit.frames + missing, allow_stretch=False, only=only).edit
            earlier = [
                old.source_start_frame - new.source_start_frame
                for old, new in zip(edit.segments[1:], found.segments[1:], strict=False)
            ]
            each = round(missing / n) if n and abs(missing) <= n * most else 0
            assert found.frames == edit.frames + missing
            assert earlier == [each if number in only else 0 for number in (1, 2, 3)]

    def test_what_joins_give_adds_up_to_what_is_missing(self, state: AudioState) -> None:
        """Two frames for three joins: two thirds are 1, half of what is left is 0 (rounded to even), and then 1."""
        edit = of_beats(state, (0, 96), (128, 160), (192, 224), (256, 320))
        found = to_length(edit, self.recording(state.grid.duration_s), edit.frames + 2, allow_stretch=False)
        assert (round(found.joins_s * RATE_HZ), found.tail_s) == (2, 0.0)

    def test_a_join_starts_no_earlier_than_the_recording_and_takes_no_more_than_half_a_passage(
        self, state: AudioState
    ) -> None:
        recording = self.recording(state.grid.duration_s)
        opened = of_beats(state, (96, 160), (0, 96))
        found = to_length(opened, recording, opened.frames + 60, allow_stretch=False)
        assert (found.joins_s, round(found.tail_s * RATE_HZ)) == (0.0, 60)
        first, last = of_beats(state, (0, 96), (160, 352)).segments
        brief = EditList(state.recording, (first, Segment(last.source_start_frame, 100)))
        for missing, by_joins in ((50, 50), (51, 0)):  # half of its 100; what they cannot give as a whole the end gives
            found = to_length(brief, recording, brief.frames - missing, allow_stretch=False)
            given = (found.joins_s * RATE_HZ, found.tail_s * RATE_HZ)
            assert given == (pytest.approx(-by_joins), pytest.approx(by_joins - missing))

    def test_the_end_goes_on_as_far_as_it_may(self, state: AudioState) -> None:
        edit, recording = of_beats(state, (0, 96)), self.recording(state.grid.duration_s)
        drop = (TimeSpan((edit.frames + 9000) / RATE_HZ, state.grid.duration_s),)
        for missing, on in ((9000, 9000), (9001, 0)):
            found = to_length(edit, recording, edit.frames + missing, allow_stretch=False, drop=drop).edit
            assert found.segments[0].source_end_frame == edit.frames + on

    def test_what_has_to_play_and_plays_in_part_elsewhere_is_not_cut(self, state: AudioState) -> None:
        edit, keep = of_beats(state, (0, 50), (0, 96)), (TimeSpan(0.0, float(state.grid.times_s[96])),)
        with pytest.raises(EditListError, match="contradict each other"):
            to_length(
                edit, self.recording(state.grid.duration_s), edit.frames - 9000, allow_stretch=False, only=(), keep=keep
            )

    def test_a_last_passage_that_would_be_gone_is_refused(self, state: AudioState) -> None:
        first, last = of_beats(state, (0, 96), (160, 352)).segments
        edit, recording = EditList(state.recording, (first, replace(last, frames=500))), self.recording(176.0)
        assert to_length(edit, recording, edit.frames - 499, allow_stretch=False, only=()).edit.segments[1].frames == 1
        with pytest.raises(EditListError, match="its last passage is too short to be shortened"):
            to_length(edit, recording, edit.frames - 500, allow_stretch=False, only=())

    @pytest.mark.parametrize(("left", "goes"), [(RATE_HZ - 1, True), (RATE_HZ, False), (-300, True)])
    def test_a_last_passage_of_which_less_than_a_second_would_be_left_goes_with_its_join(
        self, state: AudioState, left: int, goes: bool
    ) -> None:
        """What plays before it goes on for as long, or ends earlier."""
        first, last = of_beats(state, (0, 96), (160, 352)).segments
        edit, recording = EditList(state.recording, (first, replace(last, frames=30_000))), self.recording(176.0)
        frames = first.frames + left
        found = to_length(edit, recording, frames, allow_stretch=False, only=(1,))
        assert found.edit.frames == frames
        assert len(found.edit.segments) == (1 if goes else 2)
        assert exact_line(found).endswith(", and the last join with it") == goes
        assert found.tail_s == pytest.approx((left - 30_000) / RATE_HZ)

    def test_a_brief_last_passage_stays_where_somebody_asked_for_it(self, state: AudioState) -> None:
        """Or where what plays before it cannot go on, or the join is one of an edit that was there before."""
        first, last = of_beats(state, (0, 96), (160, 352)).segments
        edit, recording = EditList(state.recording, (first, replace(last, frames=20_000))), self.recording(176.0)
        start_s, end_s = ((last.source_start_frame or 0) / RATE_HZ, (first.source_end_frame or 0) / RATE_HZ)
        reasons: list[dict[str, object]] = [
            {"keep": (TimeSpan(start_s - 5.0, start_s + 0.2),)},
            {"anchors": (Anchor(start_s + 0.1, 0.0),)},
            {"drop": (TimeSpan(end_s + 0.2, end_s + 1.0),)},
            {"only": ()},
        ]
        for reason in reasons:
            asked = {"allow_stretch": False, "only": (1,), **reason}
            found = to_length(edit, recording, first.frames + 9000, **asked)  # type: ignore[arg-type]
            assert found.edit.segments == (first, replace(last, frames=9000))
        elsewhere = (TimeSpan(0.0, 9.0),)
        assert to_length(
            edit, recording, first.frames + 9000, allow_stretch=False, keep=elsewhere, anchors=(Anchor(3.0, 0.0),)
        ).join_gone

    def test_silence_is_what_comes_after_the_last_loud_frame_of_the_passage(self) -> None:
        data = np.zeros((1000, 1), np.float32)
        data[600] = 0.5
        assert [_silent_tail(Samples(data, 100), a, b) for a, b in ((0, 1000), (0, 700), (700, 900))] == [399, 99, 200]

    def test_of_a_silent_end_one_frame_stays(self, state: AudioState) -> None:
        """A second of silence: a length that is a second less is met but for that frame, which the end gives."""
        edit, recording = of_beats(state, (0, 352)), self.recording(state.grid.duration_s, 1.0)
        found = to_length(edit, recording, edit.frames - RATE_HZ, allow_stretch=False)
        assert (round(found.silence_s * RATE_HZ), round(found.tail_s * RATE_HZ)) == (1 - RATE_HZ, -1)

    def test_an_end_that_comes_earlier_fades_out_over_sixty_milliseconds(self, state: AudioState) -> None:
        edit = of_beats(state, (0, 96))
        found = to_length(edit, self.recording(state.grid.duration_s), edit.frames - 9000, allow_stretch=False).edit
        assert found.segments == (replace(edit.segments[0], frames=edit.frames - 9000),)
        assert (found.fade_in_ms, found.fade_out_ms) == (0.0, 60.0)

    def test_dither_in_a_soft_file_is_silence(self, state: AudioState, tmp_path: Path) -> None:
        frames = state.recording.frames
        soft = np.random.default_rng(0).integers(-300, 301, (frames, 2)).astype(np.int16)  # -41 dB of full scale
        soft[-RATE_HZ:] = np.random.default_rng(1).integers(-1, 2, (RATE_HZ, 2))
        sf.write(tmp_path / "soft.wav", soft, RATE_HZ, subtype="PCM_16")
        edit = of_beats(state, (0, 352))
        found = to_length(edit, tmp_path / "soft.wav", edit.frames - 9000, allow_stretch=False)
        assert found.silence_s == pytest.approx(-9000 / RATE_HZ)
        assert found.edit.segments == (replace(edit.segments[0], frames=edit.frames - 9000),)

    def test_the_whole_recording_twice_is_stretched_to_any_length(self, state: AudioState) -> None:
        """Of an odd length one half has a frame more, which at a speed over 1 ends a frame past the recording."""
        edit, recording = of_beats(state, (0, 352), (0, 352)), self.recording(state.grid.duration_s)
        whole = state.recording.frames
        assert [(s.source_start_frame, s.frames) for s in edit.segments] == [(0, whole)] * 2
        for frames in range(round(1.99 * whole), round(1.99 * whole) + 4):
            found = to_length(edit, recording, frames, allow_stretch=True).edit
            assert found.frames == frames
            assert all(whole - 2 <= (s.source_end_frame or 0) <= whole for s in found.segments)
            (speed,) = {segment.speed for segment in found.segments}
            assert speed == pytest.approx(2 * whole / frames, rel=1.0 / whole)
            assert at_pace(at_own_pace(found).segments, found) == found.segments  # which may end alike: 2,499 and 2,500

    def test_a_frame_of_rounding_past_the_end_goes(self) -> None:
        """At 1.02, 25 frames of the recording are 24.5, so 25 of output, which reach over 25.5: 26."""
        played = Segment(975, 25, speed=1.02)
        assert played.source_end_frame == 1001
        assert within(played, 1001, as_long=True) == within(played, 1001, as_long=False) == played
        longest, settled = (within(played, 1000, as_long=as_long) for as_long in (True, False))
        assert (longest.source_start_frame, longest.frames, longest.source_end_frame) == (974, 25, 1000)
        assert (settled.source_start_frame, settled.frames, settled.source_end_frame) == (975, 24, 999)
        like = EditList(SourceInfo("a.wav", "", RATE_HZ, 1, 1000), (Segment(0, 100, speed=1.02),))
        assert at_pace([Segment(975, 25)], like) == (settled,)  # its join is where it was
        opening = Segment(0, 25, speed=1.02)
        assert within(opening, 25, as_long=True) == replace(opening, frames=24)

    def test_a_passage_heard_for_a_frame_more_or_less_stays_so(self) -> None:
        """2,500 and 2,499 frames at 0.985 both reach over 2,462: 2,462.5, rounded to even, and 2,461.515."""
        segments = (Segment(0, 2500, speed=0.985), Segment(0, 2499, speed=0.985))
        stretched = EditList(SourceInfo("a.wav", "", RATE_HZ, 1, 3000), segments)
        assert [s.source_end_frame for s in segments] == [2462, 2462]
        assert at_pace(at_own_pace(stretched).segments, stretched) == segments

    @pytest.mark.parametrize("silent_s", [0.0, 2.0])
    def test_too_far_is_refused(self, state: AudioState, silent_s: float) -> None:
        """Nobody asks for minutes of silence, whatever the recording ends with."""
        edit = of_beats(state, (0, 96), (160, 352))
        recording = self.recording(state.grid.duration_s, silent_s)
        for missing in (4 * RATE_HZ, -4 * RATE_HZ):
            with pytest.raises(EditListError, match="to the sample cannot be met"):
                to_length(edit, recording, edit.frames + missing, allow_stretch=False)
        with pytest.raises(EditListError, match=r"ask for .*, or take back anchor 0:20=0:10$"):
            to_length(edit, recording, edit.frames + 4 * RATE_HZ, allow_stretch=False, costs="anchor 0:20=0:10")


def regular(beat_s: float) -> BeatGrid:
    return BeatGrid(np.arange(401) * beat_s, np.arange(400) % 4)


def test_what_has_to_play_may_be_as_long_as_a_length_can_be_met() -> None:
    """Of 60 s half a beat more, 0.25 s; to the sample 2 %, 1.2 s; twice as much at twice the speed."""
    grid, asked = regular(0.5), Demands(duration_s=60.0, keep=(TimeSpan(0.0, 61.0),))
    assert "lasts 1:01, longer than the 1:00 asked for" in beyond_length(asked, grid)
    assert beyond_length(replace(asked, exact=True), grid) == ""
    assert beyond_length(replace(asked, keep=(TimeSpan(0.0, 100.0),)), grid, speed=2.0) == ""


def test_an_end_that_has_to_play_is_silent_for_two_seconds_or_a_bar() -> None:
    assert [most_silence_s(regular(beat_s)) for beat_s in (0.4, 1.0)] == [2.0, 4.0]
