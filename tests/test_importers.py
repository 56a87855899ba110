"""What other programs give back plays the same: exports are read again, and edited ones as their user meant them."""

import codecs
import csv
import errno
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rl_editor.crossfades import crossfades
from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.errors import EditListError
from rl_editor.exporters import SUFFIXES, ExportFormat, export_edit
from rl_editor.importers import load_edit, read_edit
from rl_editor.importers.timelines import _from_frame, _rounded_back

RATE = 44_100
SOURCE = SourceInfo("song.wav", "0" * 64, RATE, 2, 60 * RATE)
EDIT = EditList(
    SOURCE,
    (
        Segment(100, 10 * RATE + 7),
        Segment(30 * RATE + 1, 5 * RATE, crossfade_in_ms=30.0),
        Segment(None, RATE // 2, crossfade_in_ms=10.0),
        Segment(12 * RATE, 3 * RATE, crossfade_in_ms=20.0),
    ),
)


def read(path: Path, fade_ms: float = 50.0) -> EditList:
    return read_edit(path, SOURCE, default_crossfade_ms=fade_ms)


@pytest.mark.parametrize("to", ["otio", "audacity", "csv"])
def test_exports_come_back_to_the_sample(tmp_path: Path, to: str) -> None:
    path = tmp_path / f"edit{SUFFIXES[to]}"
    export_edit(EDIT, path, to)  # type: ignore[arg-type]
    found = read(path)
    assert [(s.source_start_frame, s.frames) for s in found.segments] == [
        (s.source_start_frame, s.frames) for s in EDIT.segments
    ]
    fades = [s.crossfade_in_ms for s in found.segments]
    assert fades == pytest.approx([s.crossfade_in_ms for s in EDIT.segments], abs=0.05)


@pytest.mark.parametrize("to", ["otio", "audacity", "csv"])
@pytest.mark.parametrize("n_segments", [1, 4])
def test_how_an_edit_fades_comes_back(tmp_path: Path, to: ExportFormat, n_segments: int) -> None:
    path = tmp_path / f"edit{SUFFIXES[to]}"
    export_edit(replace(EDIT, segments=EDIT.segments[:n_segments], fade_in_ms=3.0, fade_out_ms=62.5), path, to)
    found = read(path)
    assert (found.fade_in_ms, found.fade_out_ms) == (3.0, 62.5)
    assert [s.frames for s in found.segments] == [s.frames for s in EDIT.segments[:n_segments]]
    export_edit(EDIT, path, to)
    assert (read(path).fade_in_ms, read(path).fade_out_ms) == (0.0, 0.0)


def test_a_crossfade_clipped_on_one_side_comes_back_from_otio(tmp_path: Path) -> None:
    """Beyond the recording's end there is nothing: 60 ms around the join are 30 ms before it and none after."""
    clipped = EditList(SOURCE, (Segment(50 * RATE, 10 * RATE), Segment(20 * RATE, RATE, crossfade_in_ms=60.0)))
    assert [(fade.before, fade.after) for fade in crossfades(clipped)][1] == (1323, 0)
    path = tmp_path / "edit.otio"
    export_edit(clipped, path, "otio")
    assert read(path).segments == clipped.segments
    longer = path.read_text(encoding="utf-8").replace('"value": 1323.0', '"value": 882.0')
    path.write_text(longer, encoding="utf-8")
    assert read(path).segments[1].crossfade_in_ms == pytest.approx(20.0)  # changed in another program


def test_every_clipped_crossfade_comes_back_from_otio(tmp_path: Path) -> None:
    """OpenTimelineIO's JSON rounds the last digit of some seconds, and a dissolve that nobody changed is no other."""
    path = tmp_path / "edit.otio"
    for left in range(1, 1323, 60):  # frames after the end, where 1323 are to be mixed
        frames = 10 * RATE - left
        clipped = EditList(SOURCE, (Segment(50 * RATE, frames), Segment(20 * RATE, RATE, crossfade_in_ms=60.0)))
        assert crossfades(clipped)[1].after == left
        export_edit(clipped, path, "otio")
        assert read(path).segments == clipped.segments


def test_what_no_dissolve_stands_for_comes_back_from_otio(tmp_path: Path) -> None:
    """A join with nothing beyond it on either side, and one of 30 ms, shorter than a frame of 25 per second."""
    path = tmp_path / "edit.otio"
    dips = EditList(SOURCE, (Segment(50 * RATE, 10 * RATE), Segment(0, RATE, crossfade_in_ms=60.0)))
    export_edit(dips, path, "otio")
    assert read(path).segments == dips.segments
    short = EditList(SOURCE, (Segment(0, 2 * RATE), Segment(8 * RATE, RATE, crossfade_in_ms=30.0)))
    export_edit(short, path, "otio", frame_rate=25)
    assert read(path).segments == short.segments


def test_a_timeline_in_video_frames_comes_back_within_half_of_one(tmp_path: Path) -> None:
    path = tmp_path / "edit.otio"
    export_edit(EDIT, path, "otio", frame_rate=25)
    found = read(path)
    assert [s.crossfade_in_ms for s in found.segments] == [s.crossfade_in_ms for s in EDIT.segments]
    half = RATE / 25 / 2
    for ours, theirs in zip(EDIT.output_start_frames(), found.output_start_frames(), strict=True):
        assert abs(ours - theirs) <= half
    for ours, theirs in zip(EDIT.segments, found.segments, strict=True):
        assert abs((ours.source_start_frame or 0) - (theirs.source_start_frame or 0)) <= half


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "a.txt",
            "0.0\t2.0\tsource 1.000000-3.000000 s\n2.0\t4.0\tsource 9.000000-11.000000 s, crossfade -50 ms\n",
            "crossfade_in_ms -50.0",
        ),
        ("a.txt", "0.0\t2.0\tsource 1.000000-3.000000 s, gain 9999 dB\n", "gain_db 9999.0"),
        ("a.csv", "0,9,0,nan,1,0,1", "line 2: gain_db nan"),
        ("a.csv", "0,9,0,0,inf,0,1", "line 2: speed inf"),
        ("a.csv", "0,9,0,0,1,0,7", "line 2: confidence 7.0"),
    ],
)
def test_numbers_beyond_all_music_are_refused_in_every_format(tmp_path: Path, name: str, text: str, said: str) -> None:
    columns = "source_start_frame,frames,crossfade_in_ms,gain_db,speed,pitch_semitones,confidence\n"
    (tmp_path / name).write_text(columns + text if name.endswith("csv") else text, encoding="utf-8")
    with pytest.raises(EditListError, match=rf"{name}: {said}, a number from"):
        read(tmp_path / name)


def test_speed_pitch_gain_and_a_silence_without_crossfade_survive(tmp_path: Path) -> None:
    changed = EditList(
        SOURCE,
        (
            Segment(0, RATE, speed=1.25, pitch_semitones=-2.0, gain_db=-3.5),
            Segment(5 * RATE, 3 * RATE, speed=1.0 / 0.9873, crossfade_in_ms=25.0),
            Segment(None, RATE),
        ),
    )
    for to in ("otio", "csv", "audacity"):
        path = tmp_path / f"edit{SUFFIXES[to]}"
        export_edit(changed, path, to)  # type: ignore[arg-type]
        found = read(path).segments
        fades = [s.crossfade_in_ms for s in found]
        assert fades == pytest.approx([0.0, 25.0, 0.0], abs=0.05)  # OpenTimelineIO has whole frames
        assert tuple(replace(s, crossfade_in_ms=0.0) for s in found) == tuple(
            replace(s, crossfade_in_ms=0.0) for s in changed.segments
        )


def test_a_clip_trimmed_in_another_program(tmp_path: Path) -> None:
    import opentimelineio as otio

    path = tmp_path / "edit.otio"
    export_edit(EDIT, path, "otio")
    timeline = otio.adapters.read_from_file(str(path))
    clips = [c for c in timeline.tracks[0] if isinstance(c, otio.schema.Clip)]
    clips[0].source_range = otio.opentime.TimeRange(
        otio.opentime.RationalTime(24, 24),
        otio.opentime.RationalTime(48, 24),  # in video frames: 1 s to 3 s
    )
    otio.adapters.write_to_file(timeline, str(path))
    assert (read(path).segments[0].source_start_frame, read(path).segments[0].frames) == (RATE, 2 * RATE)


def test_media_whose_time_does_not_begin_at_nothing(tmp_path: Path) -> None:
    """A camera counts from an hour on: what begins there at 1:00:30 is 30 s in."""
    import opentimelineio as otio

    path = tmp_path / "edit.otio"
    export_edit(EDIT, path, "otio")
    timeline, hour = otio.adapters.read_from_file(str(path)), otio.opentime.RationalTime(3600, 1)
    for clip in timeline.find_clips():
        for holder, name in ((clip, "source_range"), (clip.media_reference, "available_range")):
            span = getattr(holder, name)
            setattr(holder, name, otio.opentime.TimeRange(span.start_time + hour, span.duration))
    otio.adapters.write_to_file(timeline, str(path))
    assert read(path).segments == EDIT.segments


def test_what_a_faster_clip_leaves_the_recording_by_is_less_of_the_edit() -> None:
    """100 frames at twice the speed end 10 frames behind the recording: without the last five they do not."""
    assert _rounded_back(Segment(0, 100, speed=2.0), 190, clip_frame=20.0) == Segment(0, 95, speed=2.0)


def test_what_is_cut_off_a_faster_clip_is_as_much_more_of_the_recording() -> None:
    """Ten frames at twice the speed are twenty; without them it starts so much later, with ten more as much earlier."""
    fast = Segment(1000, 100, speed=2.0)
    assert _from_frame(fast, 10) == Segment(1020, 90, speed=2.0)
    assert _from_frame(fast, -10) == Segment(980, 110, speed=2.0)


def test_seconds_may_be_rounded_to_milliseconds_beside_frames(tmp_path: Path) -> None:
    path, line = tmp_path / "edit.csv", "source_start_frame,frames,source_start_s\n44100,100,{}\n"
    path.write_text(line.format(1.0009), encoding="utf-8")
    assert read(path).segments == (Segment(RATE, 100),)
    path.write_text(line.format(1.0011), encoding="utf-8")
    with pytest.raises(EditListError, match="source_start_s and source_start_frame contradict each other"):
        read(path)


def test_time_warps_of_one_clip_multiply(tmp_path: Path) -> None:
    import opentimelineio as otio

    path = tmp_path / "edit.otio"
    export_edit(EditList(SOURCE, (Segment(RATE, RATE, speed=1.5),)), path, "otio")
    timeline = otio.adapters.read_from_file(str(path))
    timeline.tracks[0][0].effects.append(otio.schema.LinearTimeWarp(time_scalar=0.5))
    otio.adapters.write_to_file(timeline, str(path))
    assert read(path).segments == (Segment(RATE, RATE, speed=0.75),)


def test_what_a_video_frame_was_rounded_to_ends_with_the_recording(tmp_path: Path) -> None:
    """A frame of 1/24 s are 41.7 ms: half of it at the start, and at the end, where both round, a whole one."""
    import opentimelineio as otio

    def read_back(source: SourceInfo, first: float, count: float, rate: float) -> list[Segment]:
        timeline = otio.schema.Timeline()
        timeline.tracks.append(otio.schema.Track(kind=otio.schema.TrackKind.Audio))
        span = otio.opentime.TimeRange(otio.opentime.RationalTime(first, rate), otio.opentime.RationalTime(count, rate))
        timeline.tracks[0].append(otio.schema.Clip("song", None, span))
        otio.adapters.write_to_file(timeline, str(tmp_path / "edit.otio"))
        return list(read_edit(tmp_path / "edit.otio", source, default_crossfade_ms=50.0).segments)

    at_60_s = replace(SOURCE, frames=60 * RATE - 573)  # 13 ms less than 1440 frames of 1/24 s
    assert read_back(at_60_s, 24, 1416, 24) == [Segment(RATE, 59 * RATE - 573)]
    assert read_back(SOURCE, -0.4, 48, 24) == [Segment(0, 2 * RATE)]
    short_of_2_s = replace(SOURCE, frames=2 * RATE - 100)  # left only by what begins 735 samples later than it says
    assert read_back(short_of_2_s, -0.4, 48, 24) == [Segment(0, 2 * RATE - 100)]
    both = replace(SOURCE, frames=60 * RATE - 1_800)  # 40.8 ms
    assert read_back(both, 24, 1416, 24) == [Segment(RATE, 59 * RATE - 1_800)]
    with pytest.raises(EditListError, match="leave"):
        read_back(replace(SOURCE, frames=60 * RATE - 1_764), 1499, 1, 25)  # of the clip's one frame nothing is left
    short = replace(SOURCE, frames=60 * RATE - 1_850)  # 42.0 ms
    for first, count, rate in ((24, 1416, 24), (1.0, 59.0, 1.0), (-0.6, 48, 24)):
        with pytest.raises(EditListError, match="leave"):
            read_back(short, first, count, rate)


def test_a_track_plays_as_far_as_its_source_range(tmp_path: Path) -> None:
    """Of 10 s and 7 samples, 5, 0.5 and 3 s, what lies from 2 s to 12 s; then, of these, the last 9 s."""
    import opentimelineio as otio

    path = tmp_path / "edit.otio"
    export_edit(EDIT, path, "otio")
    timeline = otio.adapters.read_from_file(str(path))

    def seconds(start: float, length: float) -> Any:
        return otio.opentime.TimeRange(otio.opentime.RationalTime(start, 1), otio.opentime.RationalTime(length, 1))

    timeline.tracks[0].source_range = seconds(2, 10)
    otio.adapters.write_to_file(timeline, str(path))
    first, second = read(path).segments
    assert (first.source_start_frame, first.frames) == (100 + 2 * RATE, 8 * RATE + 7)
    assert (second.source_start_frame, second.frames, second.crossfade_in_ms) == (30 * RATE + 1, 2 * RATE - 7, 30.0)
    timeline.tracks.source_range = seconds(1, 30)
    otio.adapters.write_to_file(timeline, str(path))
    assert [s.source_start_frame for s in read(path).segments] == [100 + 3 * RATE, 30 * RATE + 1]
    assert read(path).frames == 9 * RATE
    timeline.tracks[0].source_range, timeline.tracks.source_range = seconds(11, 1), None
    otio.adapters.write_to_file(timeline, str(path))
    assert read(path).segments == (Segment(31 * RATE + 1 - 7, RATE),)  # from within the second, without its crossfade


def test_a_dissolve_of_uneven_sides_joins_in_its_middle(tmp_path: Path) -> None:
    """10 ms before the cut and 50 ms after it: 60 ms around a join 20 ms later, 882 frames."""
    import opentimelineio as otio

    path = tmp_path / "edit.otio"
    export_edit(EDIT, path, "otio")
    timeline = otio.adapters.read_from_file(str(path))
    dissolve = next(item for item in timeline.tracks[0] if isinstance(item, otio.schema.Transition))
    dissolve.in_offset, dissolve.out_offset = otio.opentime.RationalTime(10, 1000), otio.opentime.RationalTime(50, 1000)
    otio.adapters.write_to_file(timeline, str(path))
    first, second = read(path).segments[:2]
    assert (first.source_start_frame, first.frames) == (100, 10 * RATE + 7 + 882)
    assert (second.source_start_frame, second.frames) == (30 * RATE + 1 + 882, 5 * RATE - 882)
    assert second.crossfade_in_ms == pytest.approx(60.0)
    assert read(path).frames == EDIT.frames
    too_long = r"the transition into 'song\.wav' is longer than a clip beside it, or as long; shorten"
    for before_s, after_s in ((0, 12), (0, 10)):  # 6 s later; or 5 s, all that the second clip has
        dissolve.in_offset = otio.opentime.RationalTime(before_s, 1)
        dissolve.out_offset = otio.opentime.RationalTime(after_s, 1)
        otio.adapters.write_to_file(timeline, str(path))
        with pytest.raises(EditListError, match=too_long):
            read(path)


def test_what_no_edit_list_can_say_is_refused(tmp_path: Path) -> None:
    import opentimelineio as otio

    def seconds(start: float, length: float) -> Any:
        return otio.opentime.TimeRange(otio.opentime.RationalTime(start, 1), otio.opentime.RationalTime(length, 1))

    def changed(change: Callable[[Any], None]) -> EditList:
        path = tmp_path / "edit.otio"
        export_edit(EDIT, path, "otio")
        timeline = otio.adapters.read_from_file(str(path))
        change(timeline.tracks[0])
        otio.adapters.write_to_file(timeline, str(path))
        return read(path)

    def off(track: Any) -> None:
        next(item for item in track if isinstance(item, otio.schema.Clip)).enabled = False

    def loud(track: Any) -> None:
        next(item for item in track if isinstance(item, otio.schema.Clip)).metadata["rl_editor"] = {"gain_db": "loud"}

    warp, noise = otio.schema.LinearTimeWarp(time_scalar=2.0), otio.schema.GeneratorReference("", "noise")
    for change, said in (
        (lambda track: track.append(otio.schema.Stack(name="compound")), "'compound' is a Stack"),
        (lambda track: track.append(otio.schema.Clip("offline")), "No available_range"),
        (off, "'song.wav' is switched off"),
        (lambda track: setattr(track, "enabled", False), "'edit' is switched off, and no other track plays"),
        (lambda track: track.effects.append(warp), "'edit' has a LinearTimeWarp"),
        (lambda track: track[0].effects.append(otio.schema.TimeEffect("ramp")), "'song.wav' has a TimeEffect"),
        (lambda track: setattr(track[0], "source_range", seconds(0, -1)), "lasts -1.000000 s, less than nothing"),
        (lambda track: setattr(track[0], "source_range", seconds(0, math.inf)), "a time beyond all audio"),
        (lambda track: setattr(track[0].media_reference, "target_url", "take%202.wav"), r"\(take 2\.wav, song\.wav\)"),
        (lambda track: setattr(track[0], "media_reference", noise), "plays no recording but 'noise'"),
        (loud, "could not convert"),
    ):
        with pytest.raises(EditListError, match=said):
            changed(change)


def test_a_timeline_of_video_alone_whose_first_clip_was_taken_out(tmp_path: Path) -> None:
    """Its dissolve is now into nothing: what begins an edit has no crossfade."""
    import opentimelineio as otio

    path = tmp_path / "edit.otio"
    export_edit(EDIT, path, "otio")
    timeline = otio.adapters.read_from_file(str(path))
    timeline.tracks[0].kind = otio.schema.TrackKind.Video
    del timeline.tracks[0][0]
    otio.adapters.write_to_file(timeline, str(path))
    assert read(path).segments == (replace(EDIT.segments[1], crossfade_in_ms=0.0), *EDIT.segments[2:])


def test_a_second_track_is_refused_unless_it_is_empty_or_the_same(tmp_path: Path) -> None:
    import opentimelineio as otio

    path = tmp_path / "edit.otio"
    export_edit(EDIT, path, "otio")
    timeline = otio.adapters.read_from_file(str(path))
    alone = read(path).segments
    timeline.tracks.append(timeline.tracks[0].deepcopy())
    timeline.tracks.insert(0, otio.schema.Track(kind=otio.schema.TrackKind.Audio))
    otio.adapters.write_to_file(timeline, str(path))
    assert read(path).segments == alone
    del timeline.tracks[2][0]
    otio.adapters.write_to_file(timeline, str(path))
    with pytest.raises(EditListError, match="2 tracks hold different clips"):
        read(path)
    timeline.tracks[2].enabled = False  # muted: an older version, perhaps
    otio.adapters.write_to_file(timeline, str(path))
    assert read(path).segments == alone
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # saved by an editor that marks UTF-8
    assert read(path).segments == alone


@pytest.mark.parametrize(
    ("row", "column", "value", "said"),
    [
        (1, "source_start_s", "31.5", "row of index 1: source_start_s and source_start_frame contradict"),
        (1, "source_start_s", "30.01", "row of index 1: source_start_s and source_start_frame contradict"),
        (1, "source_end_s", "36.5", "row of index 1: source_end_s and source_start_frame"),
        (0, "frames", "44100", "row of index 0: source_end_s and source_start_frame"),
        (3, "output_end_s", "19.5", r"row of index 3: output_end_s - output_start_s and frames"),
        (3, "output_start_frame", "5", "row of index 3: output_start_s and output_start_frame"),
        (2, "source_end_s", "2.0", "2.000000 s and nothing"),
        (3, "index", "0", "index 0 stands after that of index 2"),
        (3, "index", "2", "index 2 stands after that of index 2"),
        (1, "frames", "22050.0", "row of index 1: frames '22050.0', a whole number is needed"),
        (1, "frames", "0", "row of index 1: source_end_s and source_start_frame"),
        (1, "gain_db", "", "row of index 1: gain_db is empty, a number with a decimal point is needed; 0 is usual"),
        (1, "frames", "9" * 400, "row of index 1: frames '9{60}', a whole number is needed"),
        (1, "gain_db", "1,5", "row of index 1: gain_db '1,5', a number with a decimal point is needed"),
        (1, "source_start_s", "nan", "row of index 1: source_start_s and source_start_frame contradict"),
    ],
)
def test_rows_changed_by_hand_that_contradict_themselves(
    tmp_path: Path, row: int, column: str, value: str, said: str
) -> None:
    path = tmp_path / "edit.csv"
    rows = csv_rows(path)
    rows[row][column] = value
    write_rows(path, rows)
    with pytest.raises(EditListError, match=said):
        read(path)


def test_a_row_without_an_index_lets_none_go_back(tmp_path: Path) -> None:
    rows = csv_rows(tmp_path / "edit.csv")
    rows[2]["index"], rows[3]["index"] = "", "0"
    write_rows(tmp_path / "edit.csv", rows)
    with pytest.raises(EditListError, match="index 0 stands after that of index 1"):
        read(tmp_path / "edit.csv")


def test_rows_taken_out_moved_and_given_in_frames_alone(tmp_path: Path) -> None:
    path = tmp_path / "edit.csv"
    rows = [{k: v for k, v in row.items() if not k.endswith("_s") and k != "index"} for row in csv_rows(path)]
    rows[0]["frames"] = str(RATE)
    write_rows(path, [rows[3], rows[0]])
    assert [(s.source_start_frame, s.frames) for s in read(path).segments] == [(12 * RATE, 3 * RATE), (100, RATE)]


def test_seconds_count_where_there_are_no_frames(tmp_path: Path) -> None:
    """A chorus at 20.5 s, then the verse from 1 s to 4.25 s; the second row one beat in, by where it plays."""
    path = tmp_path / "edit.csv"
    path.write_text("source_start_s,source_end_s\n20.5,30\n\n1,4.25\n,\n", encoding="utf-8")
    chorus = Segment(round(20.5 * RATE), round(9.5 * RATE))
    assert read(path).segments == (chorus, Segment(RATE, round(3.25 * RATE), crossfade_in_ms=50.0))
    path.write_text(
        "output_start_s,output_end_s,source_start_s,speed,crossfade_in_ms\n0,2,1,1.5,0\n2,2.5,,1,10\n", encoding="utf-8"
    )
    assert read(path).segments == (
        Segment(RATE, 2 * RATE, speed=1.5),
        Segment(None, RATE // 2, crossfade_in_ms=10.0),
    )
    path.write_text("source_start_s,source_end_s,speed\n1,4,1.5\n", encoding="utf-8")  # 3 s in 2
    assert read(path).segments == (Segment(RATE, 2 * RATE, speed=1.5),)
    path.write_text("source_start_s,source_end_s,speed\n0.00004,0.00007,4\n", encoding="utf-8")
    assert read(path).segments == (Segment(2, 1, speed=4.0),)  # from 1.8 to 3.1 frames, a quarter of one
    rows = csv_rows(path)
    rows[1] |= {"frames": "", "source_start_frame": "", "source_end_s": ""}
    write_rows(path, rows)
    assert read(path).segments == EDIT.segments


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("source_start_s,frames\n1,\n", "line 2: frames is empty, a whole number is needed; or, in seconds"),
        ("source_start_s,source_end_s\n,4\n", "line 2: frames is empty"),
        ("source_start_s,source_end_s\n4,1\n", "line 2: it ends before it starts"),
        ("source_start_s,source_end_s\n4,4\n", "line 2: it ends before it starts, or as it does"),
        ("source_start_s,source_end_s\nnan,1\n", "line 2: source_start_s 'nan', seconds of a recording are needed"),
        ("source_start_s,source_end_s\n1,1e300\n", "line 2: source_end_s '1e300', seconds of a recording"),
        ("source_start_s,source_end_s\n1,5,4,0\n", "line 2: 4 cells under 2 columns; .* numbers with a decimal point"),
        ("source_start_s;source_end_s\n1.000,5;4\n", "source_start_s '1.000,5', a number"),
        ('source_start_s,source_end_s\n1,"2\n3,4\n', "not an edit list as CSV .unexpected end of data"),
        ("source_start_s,output_start_s\n1,2\n", "without frames, or output_start_s and output_end_s, or source_end_s"),
        ("source,source_start_s,source_end_s\na/x.wav,1,2\ny.wav,1,2\n", r"several recordings \(x\.wav, y\.wav\)"),
    ],
)
def test_tables_of_seconds_that_say_nothing(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "edit.csv").write_text(text, encoding="utf-8")
    with pytest.raises(EditListError, match=said):
        read(tmp_path / "edit.csv")


@pytest.mark.parametrize("to", ["otio", "csv"])
@pytest.mark.parametrize(
    ("name", "said"),
    [("other.wav", "cuts other.wav by name, here song.wav is cut"), ("Song.flac", ""), ("song.wav", "")],
)
def test_another_recording_by_name_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, to: ExportFormat, name: str, said: str
) -> None:
    """It plays positions of the one that is given; the same one in another format is no other."""
    path = tmp_path / f"edit{SUFFIXES[to]}"
    export_edit(replace(EDIT, source=replace(SOURCE, name=name)), path, to)
    assert read(path).source == SOURCE
    assert [f"{path}: {said}" in record.getMessage() for record in caplog.records] == ([True] if said else [])


@pytest.mark.parametrize("name", ["take #3.wav", "why? 1.wav", "100%20off.wav", "Suite: I.wav"])
def test_a_name_that_means_something_else_in_a_url_is_no_other_recording(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    source, path = replace(SOURCE, name=name), tmp_path / "edit.otio"
    export_edit(replace(EDIT, source=source), path, "otio")
    assert read_edit(path, source, default_crossfade_ms=50.0).source.name == name
    assert not caplog.records


@pytest.mark.parametrize(
    ("delimiter", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-16"), (" ; ", "utf-8"), ("\t", "utf-16-be")]
)
def test_tables_of_spreadsheets_elsewhere(tmp_path: Path, delimiter: str, encoding: str) -> None:
    """Semicolons or tabs, decimal commas, spaces beside cells, line ends and encodings of Windows."""
    path = tmp_path / "edit.csv"
    export_edit(EDIT, path, "csv")
    text = path.read_text(encoding="utf-8").replace(",", delimiter).replace(".", ",").replace("song,wav", "song.wav")
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    path.write_bytes(mark + text.replace("\n", "\r\n").encode(encoding))
    assert read(path).segments == EDIT.segments


def csv_rows(path: Path) -> list[dict[str, str]]:
    export_edit(EDIT, path, "csv")
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_labels_of_the_recording_itself(tmp_path: Path) -> None:
    path = tmp_path / "keep.txt"
    path.write_text("20.0\t30.5\tchorus\n\\\t100\t200\n1.0\t4.0\n", encoding="utf-8")
    found = read(path)
    assert [(s.source_start_frame, s.frames) for s in found.segments] == [
        (RATE, 3 * RATE),
        (20 * RATE, round(10.5 * RATE)),
    ]


def test_labels_side_by_side_lose_no_frame(tmp_path: Path) -> None:
    """From 0 to 10.4 and to 20.8 frames: ten, and eleven up to 21; a length of 10.4 alone would be ten again."""
    (tmp_path / "keep.txt").write_text("0\t0.0104\ta\n0.0104\t0.0208\tb\n", encoding="utf-8")
    found = read_edit(tmp_path / "keep.txt", replace(SOURCE, sample_rate=1000), default_crossfade_ms=0.0)
    assert [(s.source_start_frame, s.frames) for s in found.segments] == [(0, 10), (10, 11)]


@pytest.mark.parametrize(
    "text",
    [
        "source 20-30 s, gain +3 dB",
        "source 20-30 s",
        "source 20.0-30.5 s",
        "Source 20.000000-30.000000 s",
        "source 20.000000-30.000000 s, louder",
        "source of the riff",
    ],
)
def test_a_persons_own_words_mark_the_recording(tmp_path: Path, text: str) -> None:
    """Only what an export of this package says is taken for the output."""
    (tmp_path / "keep.txt").write_text(f"1.0\t4.0\t{text}\n", encoding="utf-8")
    assert read(tmp_path / "keep.txt").segments == (Segment(RATE, 3 * RATE),)


def test_a_label_that_was_made_shorter_plays_less(tmp_path: Path) -> None:
    path = tmp_path / "edit.txt"
    path.write_text(  # labels without a crossfade have the usual one
        "0.0\t2.0\tsource 10.000000-14.000000 s\n4.0\t5.0\tsource 20.000000-21.000000 s\n", encoding="utf-8"
    )
    found = read(path).segments
    assert [(s.source_start_frame, s.frames) for s in found] == [(10 * RATE, 2 * RATE), (20 * RATE, RATE)]
    assert [s.crossfade_in_ms for s in found] == [0.0, 50.0]


@pytest.mark.parametrize(
    ("starts_s", "n_moved"),
    [
        ((0.0, 4.0, 9.0), 0),
        ((0.0, 5.5, 9.0), 2),  # the second is 1.5 s late, and ends beyond the start of the third
        ((0.0, 12.0, 9.0), 1),  # after the third, which leaves a gap before that one
        ((0.0, 4.0, 9.0004), 0),  # rounded
        ((1.0, 5.0, 10.0), 1),
    ],
)
def test_labels_moved_over_the_output_play_one_after_the_other_which_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, starts_s: tuple[float, ...], n_moved: int
) -> None:
    """How long each is: 4, 5 and 3 s."""
    labels = zip(starts_s, (4.0, 5.0, 3.0), (10.0, 20.0, 30.0), strict=True)
    path = tmp_path / "edit.txt"
    path.write_text(
        "".join(f"{at:.6f}\t{at + long:.6f}\tsource {a:.6f}-{a + long:.6f} s\n" for at, long, a in labels),
        encoding="utf-8",
    )
    found = read(path)
    assert found.frames == 12 * RATE
    assert sorted((s.source_start_frame, s.frames) for s in found.segments) == [
        (10 * RATE, 4 * RATE),
        (20 * RATE, 5 * RATE),
        (30 * RATE, 3 * RATE),
    ]
    assert [f"ends: {n_moved} of 3; all play" in record.getMessage() for record in caplog.records] == [True] * bool(
        n_moved
    )


def test_labels_of_the_recording_may_lie_anywhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "keep.txt").write_text("3.0\t9.0\tb\n1.0\t5.0\ta\n", encoding="utf-8")
    assert read(tmp_path / "keep.txt").frames == 10 * RATE
    assert not caplog.records


@pytest.mark.parametrize("order", [(1, 0), (0, 1)])
def test_the_edit_fades_as_before_where_its_labels_change_places(tmp_path: Path, order: tuple[int, int]) -> None:
    texts = (
        "source 10.000000-14.000000 s, fade in 3 ms",
        "source 20.000000-24.000000 s, crossfade 50 ms, fade out 60 ms",
    )
    labels = (f"{4 * at}.0\t{4 * at + 4}.0\t{text}\n" for at, text in zip(order, texts, strict=True))
    (tmp_path / "edit.txt").write_text("".join(labels), encoding="utf-8")
    found = read(tmp_path / "edit.txt")
    assert (found.fade_in_ms, found.fade_out_ms) == (3.0, 60.0)
    assert [s.crossfade_in_ms for s in found.segments] == [0.0, 50.0]


def test_the_edit_fades_as_before_where_its_rows_change_places(tmp_path: Path) -> None:
    heading = "source_start_frame,frames,fade_in_ms,fade_out_ms"
    (tmp_path / "edit.csv").write_text(f"{heading}\n20000,9000,,60\n10000,9000,3,\n", encoding="utf-8")
    found = read(tmp_path / "edit.csv")
    assert (found.fade_in_ms, found.fade_out_ms) == (3.0, 60.0)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "hello\n", "line 1 is no label"),
        ("a.txt", "0\tinf\tx\n", "line 1 is no label"),
        ("a.txt", "nan\t4\tx\n", "line 1 is no label"),
        ("a.txt", "1\t4\tx\n9\t7\ty\n", "line 2 is no label"),
        (
            "a.csv",
            "source_start_frame|frames\n0|1\n",
            "not an edit list as CSV, without source_start_frame, or source_start_s; .* by commas, semicolons or tabs",
        ),
        ("a.txt", "", "plays nothing"),
        ("a.txt", "0\t1\tsource 1.000000-2.000000 s\n2\t3\tchorus\n", "some labels say"),
        ("a.txt", "70.0\t80.0\tbeyond\n", "leave"),
        ("a.txt", "5.0\t5.0\tbridge\n", "line 1: 'bridge' .* marks a point, .* points play nothing; drag them"),
        ("a.txt", f"0\t2\tsource {'9' * 400}.000000-3.000000 s\n", "holds a time beyond all audio"),
        ("a.txt", "0\t1e300\tnot in source\n", "segment 0: frames of 305 digits, at most"),
        ("a.csv", "a,b\n1,2\n", "not an edit list as CSV"),
        ("a.otio", "{}", "not a readable OpenTimelineIO timeline"),
        ("a.xml", "<a/>", "is no edit list"),
        ("a.edl", "TITLE: a", "edl is for other programs, and not read; known are .json, .otio, .txt, .csv"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(EditListError, match=said):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"source_start": 31.0}, r"source_start 31\.0 and source_start_frame 1323001 \(30\.000023 s at 44100 Hz\)"),
        ({"duration": 4.0}, r"duration 4\.0 and frames 220500 \(5\.000000 s at 44100 Hz\)"),
        ({"source_start_frame": 1_400_000}, r"source_start 30\.00002\d+ and source_start_frame 1400000"),
        ({"source_start": None}, r"source_start null and source_start_frame 1323001"),
        ({"source_start_frame": None}, r"source_start 30\.0\d+ and source_start_frame null \(null at 44100 Hz\)"),
        ({"duration": True}, r"duration true and frames 220500"),
        ({"duration": 10**310}, r"duration 10{310} and frames 220500"),
        ({"source_start": 30.0, "duration": 5.0004}, None),  # rounded by a person
        ({"source_start": 31.0, "source_start_frame": 31 * RATE}, None),
    ],
)
def test_seconds_of_json_that_contradict_its_frames(tmp_path: Path, changed: dict[str, Any], said: str | None) -> None:
    """Frames win in ``EditList.load``: whoever changes seconds alone would hear no change."""
    value = EDIT.to_dict()
    value["segments"][1] |= changed
    path = tmp_path / "hand.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    if said is None:
        assert read(path) == EditList.load(path)
        return
    with pytest.raises(EditListError, match=rf"hand\.json: segment 1: {said}.* change both, or delete"):
        read(path)


def test_seconds_of_json_alone_count(tmp_path: Path) -> None:
    value = EDIT.to_dict()
    value["segments"][1] |= {"source_start": 31.5}
    del value["segments"][1]["source_start_frame"]
    path = tmp_path / "hand.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    assert read(path).segments[1] == replace(EDIT.segments[1], source_start_frame=round(31.5 * RATE))


def test_frames_of_json_alone_count(tmp_path: Path) -> None:
    value = EDIT.to_dict()
    for segment in value["segments"]:
        del segment["source_start"], segment["duration"]
    path = tmp_path / "hand.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    assert read(path) == EDIT


@pytest.mark.parametrize(("to", "kind"), [("audacity", "a file of labels"), ("csv", "a table of segments"),
                                          ("otio", "an OpenTimelineIO timeline")])  # fmt: skip
def test_where_only_json_will_do_another_format_is_called_by_its_name(
    tmp_path: Path, to: ExportFormat, kind: str
) -> None:
    path = tmp_path / f"edit{SUFFIXES[to]}"
    export_edit(EDIT, path, to)
    with pytest.raises(EditListError, match=rf"{path}: is {kind}, an edit list \(\.json, .*\) is needed here; name"):
        load_edit(path)
    path.write_text(EDIT.to_json(), encoding="utf-8")  # one under another name is read all the same
    assert load_edit(path) == EDIT


@pytest.mark.parametrize("suffix", [".json", ".otio", ".txt", ".csv", ""])
def test_what_is_not_there_or_a_folder_is_said_in_words(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"edit{suffix}"
    for fault in ("no such file; is the path spelt right?", "is a folder, an edit list is needed; name a file in it"):
        with pytest.raises(EditListError) as refused:
            read_edit(path, SOURCE, default_crossfade_ms=25.0)
        assert str(refused.value) == f"{path}: {fault}"
        with pytest.raises(EditListError, match=re.escape(fault)):
            load_edit(path)
        path.mkdir(exist_ok=True)


def test_json_keeps_its_own_source(tmp_path: Path) -> None:
    path = tmp_path / "edit.json"
    path.write_text(EDIT.to_json(), encoding="utf-8")
    assert read_edit(path, replace(SOURCE, name="other.wav"), default_crossfade_ms=50.0) == EDIT


@pytest.mark.parametrize("decimal", [".", ","])
def test_labels_with_a_decimal_comma(tmp_path: Path, decimal: str) -> None:
    """Audacity takes both; which one a person or a program writes hangs on the language."""
    own = "20.0\t30.5\tchorus, loud\n1.0\t4.0\tverse\n"
    times = "".join(
        "\t".join([*(t.replace(".", decimal) for t in row.split("\t")[:2]), "x\n"]) for row in own.split("\n")[:2]
    )
    (tmp_path / "keep.txt").write_bytes(b"\xef\xbb\xbf" + times.replace("\n", "\r\n").encode())
    passages = [(s.source_start_frame, s.frames) for s in read(tmp_path / "keep.txt").segments]
    assert passages == [(RATE, 3 * RATE), (20 * RATE, round(10.5 * RATE))]
    export_edit(EDIT, tmp_path / "edit.txt", "audacity")
    text = (tmp_path / "edit.txt").read_text(encoding="utf-8")
    (tmp_path / "edit.txt").write_text(text.replace(".", decimal), encoding="utf-8")
    assert read(tmp_path / "edit.txt") == EDIT


def test_a_label_holds_what_unicode_takes_for_an_end_of_line(tmp_path: Path) -> None:
    (tmp_path / "keep.txt").write_text("1.0\t4.0\tverse\u2028one\n", encoding="utf-8")
    assert read(tmp_path / "keep.txt").segments == (Segment(RATE, 3 * RATE),)


@pytest.mark.parametrize("end", ["\u2028", "\x0b", "\x85", "\n"])
def test_a_csv_holds_names_with_what_unicode_takes_for_an_end_of_line(tmp_path: Path, end: str) -> None:
    source = replace(SOURCE, name=f"song{end}two.wav")
    export_edit(replace(EDIT, source=source), tmp_path / "a.csv", "csv")
    assert read_edit(tmp_path / "a.csv", source, default_crossfade_ms=50.0).segments == EDIT.segments


def test_a_label_to_the_end_ends_with_the_recording(tmp_path: Path) -> None:
    """A project at 48 kHz shows a recording of 44.1 kHz up to a sample longer; a person rounds to the millisecond."""
    (tmp_path / "keep.txt").write_text("50.0\t60.0009\touttro\n", encoding="utf-8")
    assert read(tmp_path / "keep.txt").segments == (Segment(50 * RATE, 10 * RATE),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "1\t4\tx\n50.0\t60.5\toutro\n",
            r"line 2: 'outro' from 50\.0+ to 60\.50+ s leaves 'song\.wav', which lasts 60\.0",
        ),
        ("-1\t4\tintro\n", r"line 1: 'intro' from -1\.0+ to 4\.0+ s leaves 'song\.wav'"),
        ("9\t7\ty\n", "it ends before it starts"),
    ],
)
def test_a_wrong_label_is_named_as_audacity_shows_it(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "keep.txt").write_text(text, encoding="utf-8")
    with pytest.raises(EditListError, match=said):
        read(tmp_path / "keep.txt")


def test_text_in_another_encoding_says_which_is_needed(tmp_path: Path) -> None:
    (tmp_path / "keep.txt").write_text("1.0\t4.0\tStück\n", encoding="utf-16")
    assert read(tmp_path / "keep.txt").segments == (Segment(RATE, 3 * RATE),)  # which says that it is that
    (tmp_path / "keep.txt").write_text("1.0\t4.0\tStück\n", encoding="latin-1")
    with pytest.raises(EditListError, match=r"keep\.txt: not readable text .*; save it as UTF-8"):
        read(tmp_path / "keep.txt")


def test_a_fault_of_the_system_is_none_of_the_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> str:
        raise OSError(errno.EIO, "Input/output error", "keep.txt")

    (tmp_path / "keep.txt").write_text("1.0\t4.0\tverse\n", encoding="utf-8")
    monkeypatch.setattr(Path, "read_text", fails)
    with pytest.raises(OSError, match="Input/output error"):
        read(tmp_path / "keep.txt")


def test_a_csv_cell_longer_than_any_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("f" * 200_000 + ",frames\n1,2\n", encoding="utf-8")
    with pytest.raises(EditListError, match=r"not an edit list as CSV \(field larger than"):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"frames": 2646000', '"frames": ' + "9" * 5000, r"not a readable edit list \(Exceeds the limit"),
        ('"frames": 2646000', f'"frames": {10**30}', "source: frames of 31 digits, at most 9007199254740992 is needed"),
        ('"frames": 22050,', '"frames": 9007199254740993,', "segment 2: frames 9007199254740993, at most"),
        ('"frames": 22050,', f'"frames": {10**400},', "segment 2: frames of 401 digits, at most"),
        ('"name": "song.wav"', '"name": "\\ud800.wav"', r'source: name "\\ud800.wav", text is needed'),
    ],
)
def test_what_nothing_can_be_computed_with_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "edits.json"
    assert old in EDIT.to_json()
    path.write_text(EDIT.to_json().replace(old, new, 1), encoding="utf-8")
    with pytest.raises(EditListError, match=f"edits.json: {said}"):
        load_edit(path)
