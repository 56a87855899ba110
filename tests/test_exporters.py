"""Exports, opened by readers that are not ours: OpenTimelineIO, its CMX 3600 adapter, rpp, mir_eval and pandas."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from urllib.parse import unquote, urlsplit

import mir_eval
import opentimelineio as otio
import pandas as pd
import pytest
import rpp

from rl_editor.edits import EditList, Region, Segment, SourceInfo
from rl_editor.errors import EditListError
from rl_editor.exporters import SUFFIXES, export_edit, export_format, timecode, to_edl
from rl_editor.exporters.ticks import within

RATE = 48000
SOURCE = SourceInfo("song raw.wav", "ab" * 32, RATE, 2, 100 * RATE)
EDIT = EditList(
    SOURCE,
    (
        Segment(10 * RATE, 4 * RATE, region=0),
        Segment(10 * RATE, 4 * RATE, 50.0, region=0),
        Segment(None, RATE, 20.0),
        Segment(50 * RATE, 2 * RATE, 20.0, gain_db=-6.0, speed=1.25, pitch_semitones=1.0),
        Segment(80 * RATE, RATE, 0.0),
        Segment(81 * RATE, RATE, 50.0),  # continues the one before
    ),
    regions=(Region("LOOP", 4, 2, 2),),
)


def exported(tmp_path, to, **kwargs):
    path = tmp_path / f"edit{SUFFIXES[to]}"
    export_edit(EDIT, path, to, **kwargs)
    return path


@pytest.fixture
def track(tmp_path):
    timeline = otio.adapters.read_from_file(str(exported(tmp_path, "otio")))
    return timeline.tracks[0]


def test_otio_reads_back_with_positions_to_the_sample(track):
    items = [item for item in track if not isinstance(item, otio.schema.Transition)]
    kinds = [type(item).__name__ for item in items]
    assert kinds == ["Clip", "Clip", "Gap", "Clip", "Clip"]
    placed = [track.range_of_child(item) for item in items]
    assert [(r.start_time.value, r.duration.value) for r in placed] == [
        (at * RATE, frames * RATE) for at, frames in [(0, 4), (4, 4), (8, 1), (9, 2), (11, 2)]
    ]
    starts = [item.source_range.start_time.value / RATE for item in items if isinstance(item, otio.schema.Clip)]
    assert starts == [10.0, 10.0, 50.0, 80.0]
    assert track.kind == "Audio"
    assert {r.start_time.rate for r in placed} == {RATE}


def test_otio_transitions_are_the_crossfades(track):
    offsets = [(t.in_offset.value, t.out_offset.value) for t in track if isinstance(t, otio.schema.Transition)]
    # 50 ms at 48 kHz: 1200 frames on each side; 20 ms: 480; a join without a crossfade has none
    assert offsets == [(1200, 1200), (480, 480), (480, 480)]


@pytest.mark.parametrize(
    "name",
    ["take #3.wav", "why? 1.wav", "100%20off.wav", "Suite: I.wav", " led.wav", "a\tb.wav", "/music/#1/50%.wav"],
)
def test_otio_names_a_recording_whose_name_means_something_else_in_a_url(tmp_path, name):
    """Readers take ``target_url`` for what it is called: so do the adapters for Kdenlive and Final Cut Pro."""
    path = exported(tmp_path, "otio", media=name)
    named = [clip.media_reference.target_url for clip in otio.adapters.read_from_file(str(path)).find_clips()]
    assert {unquote(urlsplit(url).path) for url in named} == {name}


@pytest.mark.parametrize("media", ["Mein Stück 1.wav", "file:///a%20b.wav", r"C:\Musik\a b.wav", "5% & more.wav"])
def test_otio_names_other_recordings_as_they_are(tmp_path, media):
    path = exported(tmp_path, "otio", media=media)
    clips = otio.adapters.read_from_file(str(path)).find_clips()
    assert {clip.media_reference.target_url for clip in clips} == {media}


def test_otio_keeps_gain_speed_and_the_whole_edit_list(tmp_path, track):
    clip = track.find_clips()[2]
    assert clip.metadata["rl_editor"]["gain_db"] == -6.0
    assert "crossfade_in_ms" not in clip.metadata["rl_editor"]  # its dissolve says it, and may be taken out there
    assert clip.effects[0].time_scalar == 1.25
    assert clip.media_reference.target_url == "song raw.wav"
    timeline = otio.adapters.read_from_file(str(tmp_path / "edit.otio"))
    text = otio.core.serialize_json_to_string(timeline.metadata["rl_editor"])
    assert EditList.from_dict(json.loads(text)) == EDIT


def test_otio_counts_whole_video_frames_where_a_frame_rate_is_given(tmp_path):
    track = otio.adapters.read_from_file(str(exported(tmp_path, "otio", frame_rate=25))).tracks[0]
    items = [item for item in track if not isinstance(item, otio.schema.Transition)]
    placed = [track.range_of_child(item) for item in items]
    # 0, 4, 8, 9, 11 and 13 s at 25 frames per second; the source at 10, 10, 50 and 80 s, 100 s long
    assert [(r.start_time.value, r.duration.value) for r in placed] == [
        (0, 100), (100, 100), (200, 25), (225, 50), (275, 50)
    ]  # fmt: skip
    clips = [item for item in items if isinstance(item, otio.schema.Clip)]
    assert [clip.source_range.start_time.value for clip in clips] == [250, 250, 1250, 2000]
    assert {clip.media_reference.available_range.duration.value for clip in clips} == {2500}
    assert {clip.source_range.start_time.rate for clip in clips} == {25}
    # 50 ms are one frame and a quarter, mixed as one; 20 ms are none
    offsets = [(t.in_offset.value, t.out_offset.value) for t in track if isinstance(t, otio.schema.Transition)]
    assert offsets == [(1, 0)]


def test_otio_in_video_frames_does_not_add_up_rounding_and_stays_in_the_recording(tmp_path):
    # 100 segments of 1.01 frames of 24000/1001 per second, which is 2002 samples of 48 kHz: 101 frames in all, not 100
    segments = tuple(Segment(SOURCE.frames - 2022, 2022) for _ in range(100))
    export_edit(EditList(SOURCE, segments), tmp_path / "x.otio", "otio", frame_rate=23.976)
    timeline = otio.adapters.read_from_file(str(tmp_path / "x.otio"))
    assert timeline.duration() == otio.opentime.RationalTime(101, 24000 / 1001)
    clips = timeline.find_clips()
    assert sorted({clip.source_range.duration.value for clip in clips}) == [1, 2]
    # 4,800,000 samples are 2397.6 frames and the clips begin at 2396.6: of two frames they begin one earlier
    assert {clip.source_range.end_time_exclusive().value for clip in clips} == {2398}
    assert clips[0].media_reference.available_range.duration.value == 2398


def test_otio_has_no_dissolve_where_neither_side_has_more_to_play(tmp_path):
    end_then_start = EditList(SOURCE, (Segment(99 * RATE, RATE), Segment(0, RATE, 50.0)))
    export_edit(end_then_start, tmp_path / "x.otio", "otio")
    track = otio.adapters.read_from_file(str(tmp_path / "x.otio")).tracks[0]
    assert [type(item).__name__ for item in track] == ["Clip", "Clip"]


def test_an_otio_dissolve_reaches_no_farther_than_it_lasts_and_has_something_to_begin_from(tmp_path):
    """Of 1.6 video frames before a join and 0.2 after it one is mixed, before it, and none after."""
    before_end = EditList(SOURCE, (Segment(98 * RATE, 2 * RATE - 384), Segment(50 * RATE, RATE, 128.0)))
    of_nothing = EditList(SOURCE, (Segment(10 * RATE, 480), Segment(50 * RATE, RATE, 200.0)))  # a quarter of a frame
    kinds = []
    for edit in (before_end, of_nothing):
        export_edit(edit, tmp_path / "x.otio", "otio", frame_rate=25)
        track = otio.adapters.read_from_file(str(tmp_path / "x.otio")).tracks[0]
        kinds.append([type(item).__name__ for item in track])
        offsets = [(t.in_offset.value, t.out_offset.value) for t in track if isinstance(t, otio.schema.Transition)]
        assert set(offsets) <= {(1, 0)}
    assert kinds == [["Clip", "Transition", "Clip"], ["Clip"]]


def test_otio_silence_has_what_a_dissolve_into_it_begins_with(track):
    gap = next(item for item in track if isinstance(item, otio.schema.Gap))
    assert gap.source_range.start_time.value == 480  # 20 ms at 48 kHz, half of them before it


def seconds(code, frame_rate=25):
    hours, minutes, secs, frames = map(int, code.split(":"))
    return hours * 3600 + minutes * 60 + secs + frames / frame_rate


def read_edl(edit, frame_rate=25):
    """The first track as the adapter of CMX 3600 reads it."""
    return otio.adapters.read_from_string(to_edl(edit, frame_rate=frame_rate), "cmx_3600", rate=frame_rate).tracks[0]


def frames_of(track):
    """(source in, length, record in) of every clip, in video frames."""
    clips = [item for item in track if isinstance(item, otio.schema.Clip)]
    return [
        (c.source_range.start_time.value, c.source_range.duration.value, c.range_in_parent().start_time.value)
        for c in clips
    ]


def test_edl_reads_back_where_it_was_cut():
    track = read_edl(EDIT)
    # The dissolve of 50 ms begins 25 ms before 4 s: frame 99.375, and 9.975 s of the source: 249.375.
    assert frames_of(track) == [(250, 99, 0), (249, 101, 99), (0, 25, 200), (1250, 50, 225), (2000, 50, 275)]
    names = [item.name for item in track if isinstance(item, otio.schema.Clip)]
    assert [name for name in names if name != "003"] == ["song raw.wav"] * 4
    assert track[3].media_reference.generator_kind == "black"  # 003, what is not in the source


def test_edl_says_speed():
    text = to_edl(EDIT)
    assert "M2   AX       031.2                00:00:50:00" in text  # 25 * 1.25 = 31.25, printed as 31.2
    assert "00:00:50:00 00:00:52:12 00:00:09:00 00:00:11:00" in text  # 50 frames at 1.25 are 62.5, to the even 62
    track = read_edl(EDIT)
    scalars = [effect.time_scalar for item in track for effect in getattr(item, "effects", ())]
    assert scalars == pytest.approx([31.2 / 25])


def test_edl_dissolves_where_a_crossfade_lasts_a_video_frame():
    track = read_edl(EDIT)
    dissolves = [(i, t.out_offset.value) for i, t in enumerate(track) if isinstance(t, otio.schema.Transition)]
    assert dissolves == [(1, 1)]  # 50 ms are 1.25 frames of 40 ms; those of 20 ms are cuts
    half_second = EditList(SOURCE, (Segment(10 * RATE, 4 * RATE), Segment(50 * RATE, 4 * RATE, 500.0)))
    track = read_edl(half_second, frame_rate=24)
    assert track[1].out_offset.value == 12
    assert frames_of(track) == [(240, 90, 0), (1194, 102, 90)]  # it begins 250 ms before 4 s, and before 50 s


def test_an_edl_dissolves_from_where_the_passage_before_has_come_to():
    """From 3.75 s of output on, 13.75 s of the source: frames 90 and 330 of 24 per second."""
    half_second = EditList(SOURCE, (Segment(10 * RATE, 4 * RATE), Segment(50 * RATE, 4 * RATE, 500.0)))
    assert re.findall(r"^002 .*", to_edl(half_second, frame_rate=24), re.MULTILINE) == [
        "002  AX       AA    C        00:00:13:18 00:00:13:18 00:00:03:18 00:00:03:18",
        "002  AX       AA    D    012 00:00:49:18 00:00:54:00 00:00:03:18 00:00:08:00",
    ]


def test_an_edl_dissolves_into_a_faster_passage_from_as_much_earlier_in_the_source():
    """At twice the speed 250 ms of output are 500 ms of source before 50 s: frame 49.5 * 24 = 1188."""
    faster = EditList(SOURCE, (Segment(10 * RATE, 4 * RATE), Segment(50 * RATE, 4 * RATE, 500.0, speed=2.0)))
    assert " D    012 00:00:49:12 " in to_edl(faster, frame_rate=24)


def test_an_edl_cuts_where_a_crossfade_is_no_video_frame_and_leaves_out_what_is_none():
    """20 ms around 8.02 s are a cut there, at 200.5 frames, up to 201; a passage from there to 200.75 is none."""
    near = EditList(
        SOURCE, (Segment(0, 385_440 - 480), Segment(50 * RATE, 480), Segment(60 * RATE, RATE), Segment(0, RATE, 20.0))
    )
    assert [at for _, _, at in frames_of(read_edl(near))] == [0, 201, 226]
    half_a_frame = EditList(SOURCE, (Segment(10 * RATE, 384_960), Segment(50 * RATE, RATE, 20.0)))
    assert [at for _, _, at in frames_of(read_edl(half_a_frame))] == [0, 201]


@pytest.mark.parametrize("frame_rate", [24, 25, 30, 50, 60])
def test_edl_reads_back_at_usual_frame_rates(frame_rate):
    found = [at for _, _, at in frames_of(read_edl(EDIT, frame_rate))]
    # A dissolve leads its join by up to 25 ms: 1.5 frames at 60 per second, which round to 1 before 4 s.
    assert all(abs(a - b * frame_rate) <= 1 for a, b in zip(found, [0, 4, 8, 9, 11], strict=True))


@pytest.mark.parametrize("frame_rate", [23.976, 23.98, 29.97, 59.94])
def test_edl_of_ntsc_video_counts_its_own_frames_an_hour_on(frame_rate):
    """An hour is 3600 * 24000 / 1001 = 86313.7 frames of 23.976: timecode 00:59:56:10; at 24 it would be 3.6 s off."""
    nominal = round(frame_rate)
    hour = 3600 * RATE
    edit = EditList(replace(SOURCE, frames=2 * hour), (Segment(0, hour), Segment(hour + 10 * RATE, 60 * RATE)))
    track = otio.adapters.read_from_string(to_edl(edit, frame_rate=frame_rate), "cmx_3600", rate=nominal).tracks[0]
    exact = nominal * 1000 / 1001
    (_, first, _), (start, length, at) = frames_of(track)
    assert (first, at) == (round(3600 * exact),) * 2
    assert (start, length) == (round(3610 * exact), round(3660 * exact) - at)


def test_an_edl_of_cuts_alone_is_of_one_channel_and_dissolves_nowhere(tmp_path):
    text = exported(tmp_path, "edl", cuts_only=True).read_text()
    events = re.findall(r"^(\d+)  (\S+) +(\S+) +(\S+) +\S+ \S+ (\S+) (\S+)$", text, re.MULTILINE)
    assert [event[:4] for event in events] == [
        ("001", "AX", "A", "C"), ("002", "AX", "A", "C"), ("003", "BL", "A", "C"), ("004", "AX", "A", "C"),
        ("005", "AX", "A", "C"),
    ]  # fmt: skip
    bounds = [(seconds(start), seconds(end)) for *_, start, end in events]
    assert bounds == [(0, 4), (4, 8), (8, 9), (9, 11), (11, 13)]
    with pytest.raises(EditListError, match="cuts only: rpp is not written without crossfades, edl is"):
        exported(tmp_path, "rpp", cuts_only=True)


def test_an_edl_of_the_recordings_last_frames_does_not_leave_it():
    # 2499.4 video frames, 1920 samples each, played from 2397.6 on: at 1.4 to 103.2, which are 102 from 1 on, and 2398
    # and 102 were 2500
    cut = EditList(replace(SOURCE, frames=4_798_848), (Segment(0, 2688), Segment(4_603_392, 195_456)))
    assert re.findall(r" C +(\S+) (\S+) (\S+) \S+$", to_edl(cut), re.MULTILINE) == [
        ("00:00:00:00", "00:00:00:01", "00:00:00:00"), ("00:01:35:22", "00:01:39:24", "00:00:00:01")
    ]  # fmt: skip


def test_a_clip_begins_early_enough_to_end_with_the_recording():
    """At 25 frames per second and twice the speed, ten frames take twenty: of 2500 from 2480 on, and of none from 0."""
    fast, clock = Segment(99 * RATE, RATE // 2, speed=2.0), Fraction(25)
    assert within(2450 * RATE // 25, 10, fast, SOURCE, clock) == 2450
    assert within(2490 * RATE // 25, 10, fast, SOURCE, clock) == 2480
    assert within(0, 10, fast, replace(SOURCE, frames=RATE // 2), clock) == 0


def test_an_edl_names_where_the_recording_is_found(tmp_path):
    lines = exported(tmp_path, "edl", media="media/song raw.wav").read_text().splitlines()
    assert lines.count("* SOURCE FILE: media/song raw.wav") == 4  # of silence there is none


def test_an_edl_of_silence_and_sound_dissolves_into_black():
    edit = EditList(SOURCE, (Segment(0, 2 * RATE), Segment(None, 2 * RATE, 200.0)))
    assert "* FROM CLIP NAME: song raw.wav\n* TO CLIP NAME: BL\n" in to_edl(edit)
    # from 1.9 s on, frame 47.5 of 25 per second; black begins with its first frame
    assert "D    005 00:00:00:00 00:00:02:02 00:00:01:23 00:00:04:00\n" in to_edl(edit)
    track = read_edl(edit)
    assert track[2].media_reference.generator_kind == "black"


def test_an_edl_does_not_dissolve_where_sound_fades_out_before_silence_or_in_after_it():
    silence = Segment(None, 2 * RATE)
    edit = EditList(SOURCE, (silence, Segment(0, 4 * RATE), silence), fade_in_ms=1000.0, fade_out_ms=1000.0)
    assert re.findall(r" ([CD]) +(?:\d{3} )?\S+ \S+ (\S+) \S+$", to_edl(edit), re.MULTILINE) == [
        ("C", "00:00:00:00"), ("C", "00:00:02:00"), ("C", "00:00:06:00"),
    ]  # fmt: skip


def test_edl_rounding_does_not_add_up():
    # 100 segments of 1.01 video frames: 101 frames in all, not 100
    frames = round(1.01 * RATE / 25)
    segments = tuple(Segment(index * 7000 + 3, frames) for index in range(100))
    events = re.findall(r"C +\S+ \S+ (\S+) (\S+)$", to_edl(EditList(SOURCE, segments)), re.MULTILINE)
    assert seconds(events[-1][1]) == 101 / 25
    assert all(a[1] == b[0] for a, b in pairwise(events))


@pytest.mark.parametrize(
    ("frame", "rate", "code"),
    [(0, 25, "00:00:00:00"), (24, 25, "00:00:00:24"), (25, 25, "00:00:01:00"), (90000, 25, "01:00:00:00"),
     (86399 * 30 + 29, 30, "23:59:59:29"), (86314, 24, "00:59:56:10")],
)  # fmt: skip
def test_timecode(frame, rate, code):
    assert timecode(frame, rate) == code


def test_rpp_items_overlap_by_their_crossfade(tmp_path):
    text = exported(tmp_path, "rpp", media="media/song raw.wav").read_text()
    assert text.count("<") == text.count("\n>") + text.count(" >")

    def numbers(field):
        return [float(value) for value in re.findall(rf"^ +{field} (\S+)", text, re.MULTILINE)]

    position, length, offset = numbers("POSITION"), numbers("LENGTH"), numbers("SOFFS")
    # the fades are 50 ms at 4 s, 20 ms at 8 s and at 9 s; the source runs 25 ms earlier where its item does
    assert position == pytest.approx([0.0, 3.975, 8.99, 11.0])
    assert length == pytest.approx([4.025, 4.035, 2.01, 2.0])
    assert offset == pytest.approx([10.0, 9.975, 50 - 0.01 * 1.25, 80.0])
    assert position[0] + length[0] - position[1] == pytest.approx(0.05)
    assert 'FILE "media/song raw.wav"' in text
    assert "PLAYRATE 1.250000000 0 1.000000 -1" in text
    assert "VOLPAN 0.501187234 0 1 -1" in text  # 10^(-6/20)


def test_rpp_fades_the_ends_of_an_edit(tmp_path):
    export_edit(replace(EDIT, fade_in_ms=3.0, fade_out_ms=60.0), tmp_path / "x.rpp", "rpp")
    (track,) = rpp.loads((tmp_path / "x.rpp").read_text()).findall("TRACK")
    first, *_, last = track.findall("ITEM")
    assert float(first.find("FADEIN")[2]) == pytest.approx(0.003)
    assert float(last.find("FADEOUT")[2]) == pytest.approx(0.06)
    assert (float(first.find("POSITION")[1]), float(last.find("LENGTH")[1])) == (0.0, 2.0)


def test_rpp_fades_through_silence_where_neither_side_of_a_join_has_more_to_play(tmp_path):
    """3 ms each way, and no item reaches beyond the join; where one side has more, both are mixed there for 25 ms."""
    start_and_end = (Segment(0, RATE + 12, 50.0), Segment(99 * RATE, RATE))  # 1.00025 s
    edit = EditList(SOURCE, (Segment(99 * RATE, RATE), *start_and_end, Segment(50 * RATE, RATE + 48, 50.0)))
    export_edit(edit, tmp_path / "x.rpp", "rpp")
    (track,) = rpp.loads((tmp_path / "x.rpp").read_text()).findall("TRACK")

    def numbers(field, place):
        return [float(item.find(field)[place]) for item in track.findall("ITEM")]

    assert numbers("POSITION", 1) == [0.0, 1.0, 2.00025, 2.97525]
    assert numbers("LENGTH", 1) == [1.0, 1.00025, 1.0, 1.026]
    assert {*numbers("FADEIN", 1), *numbers("FADEOUT", 1)} == {1}  # the shape nearest to equal power
    assert (numbers("FADEIN", 2), numbers("FADEOUT", 2)) == ([0.0, 0.003, 0.0, 0.025], [0.003, 0.0, 0.025, 0.0])
    assert numbers("SOFFS", 1) == [99.0, 0.0, 99.0, 49.975]


def test_a_reader_of_reaper_projects_finds_the_items(tmp_path):
    project = rpp.loads(exported(tmp_path, "rpp", media="me\"dia/it's raw.wav").read_text())
    assert project.tag == "REAPER_PROJECT"
    (track,) = project.findall("TRACK")
    items = track.findall("ITEM")
    assert [float(item.find("POSITION")[1]) for item in items] == pytest.approx([0.0, 3.975, 8.99, 11.0])
    assert [float(item.find("FADEIN")[2]) for item in items] == pytest.approx([0.0, 0.05, 0.02, 0.0])
    assert [item.find("SOURCE").attrib for item in items] == [["WAVE"]] * 4
    # It holds both marks, so the backtick quotes it.
    assert items[0].find("SOURCE").find("FILE")[1] == "me\"dia/it's raw.wav"
    assert project.find("SAMPLERATE")[1] == str(RATE)


@pytest.mark.parametrize(
    ("name", "kind"), [("a.mp3", "MP3"), ("a.OGG", "VORBIS"), ("a.flac", "FLAC"), ("a.aiff", "WAVE")]
)
def test_rpp_says_what_reads_the_recording(tmp_path, name, kind):
    assert f"<SOURCE {kind}\n" in exported(tmp_path, "rpp", media=name).read_text()


def test_a_name_with_all_marks_is_refused_where_none_is_left_to_quote_it(tmp_path):
    """A backtick became an apostrophe, as REAPER does it, and the project named a recording that there is not."""
    name = "a\"b'c`d.wav"
    for media, edit in ((f"/music/{name}", EDIT), (None, replace(EDIT, source=replace(SOURCE, name=name)))):
        with pytest.raises(EditListError, match=r"d\.wav: holds \", ' and `, of which a REAPER project"):
            export_edit(edit, tmp_path / "x.rpp", "rpp", media=media)
    assert not list(tmp_path.iterdir())
    export_edit(edit, tmp_path / "x.rpp", "rpp", media='a"b`d.wav')  # by the name that it got
    (track,) = rpp.loads((tmp_path / "x.rpp").read_text()).findall("TRACK")
    assert track.findall("ITEM")[0].find("SOURCE").find("FILE")[1] == 'a"b`d.wav'


def test_labels_read_back_and_tile_the_output(tmp_path):
    intervals, labels = mir_eval.io.load_labeled_intervals(str(exported(tmp_path, "audacity")), delimiter="\t")
    assert intervals.tolist() == [[0, 4], [4, 8], [8, 9], [9, 11], [11, 13]]
    assert labels == [
        "source 10.000000-14.000000 s", "source 10.000000-14.000000 s, crossfade 50 ms",
        "not in source, crossfade 20 ms",
        "source 50.000000-52.500000 s, speed 1.25, pitch 1.0, gain -6.0 dB, crossfade 20 ms",
        "source 80.000000-82.000000 s, crossfade 0 ms",
    ]  # fmt: skip


def test_csv_lists_every_segment(tmp_path):
    table = pd.read_csv(exported(tmp_path, "csv"), keep_default_na=True)
    assert table["output_start_s"].tolist() == [0.0, 4.0, 8.0, 9.0, 11.0, 12.0]
    assert table["output_end_s"].tolist() == [4.0, 8.0, 9.0, 11.0, 12.0, 13.0]
    assert table["source_start_frame"].dropna().tolist() == [480000, 480000, 2400000, 3840000, 3888000]
    assert table["source_end_s"].dropna().tolist() == [14.0, 14.0, 52.5, 81.0, 82.0]
    assert table.index[table["source_start_s"].isna()].tolist() == [2]
    assert table["action"].fillna("").tolist() == ["LOOP", "LOOP", "", "", "", ""]
    assert table["frames"].sum() == EDIT.frames
    assert (table["speed"] == [1, 1, 1, 1.25, 1, 1]).all()
    export_edit(replace(EDIT, fade_in_ms=3.0, fade_out_ms=60.0), tmp_path / "faded.csv", "csv")
    fades = pd.read_csv(tmp_path / "faded.csv")[["fade_in_ms", "fade_out_ms"]].fillna(-1.0)
    assert fades.to_numpy().tolist() == [[3.0, -1.0], *[[-1.0, -1.0]] * 4, [-1.0, 60.0]]


@pytest.mark.parametrize("to", list(SUFFIXES))
def test_exports_have_the_same_bytes_and_no_path_of_ours(tmp_path, to):
    (tmp_path / "b").mkdir()
    first, second = exported(tmp_path, to), exported(tmp_path / "b", to)
    assert first.read_bytes() == second.read_bytes()
    assert str(tmp_path) not in first.read_text()


def test_bad_requests_are_named(tmp_path):
    with pytest.raises(EditListError, match="plays nothing"):
        export_edit(EditList(SOURCE, ()), tmp_path / "x.otio", "otio")
    with pytest.raises(EditListError, match="'xml': not an export format; take one of otio, edl"):
        export_format("xml")
    with pytest.raises(EditListError, match="frame rate 0"):
        export_edit(EDIT, tmp_path / "x.edl", "edl", frame_rate=0)
    with pytest.raises(EditListError, match="frame rate 25: csv counts no video frames, otio and edl do"):
        export_edit(EDIT, tmp_path / "x.csv", "csv", frame_rate=25)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("to", ["edl", "rpp"])
def test_a_line_break_in_a_name_is_refused_where_a_name_is_a_line(tmp_path, to):
    """It would end the line, and have what follows read as something else."""
    named = replace(EDIT, source=replace(SOURCE, name="song\nraw.wav"))
    with pytest.raises(EditListError, match=rf"'song\\nraw\.wav': a line break in a name, which {to} cannot hold"):
        export_edit(named, tmp_path / "x", to)
    with pytest.raises(EditListError, match="a line break in a name"):
        export_edit(EDIT, tmp_path / "x", to, media="/music/song\r.wav")
    assert not list(tmp_path.iterdir())
    export_edit(named, tmp_path / "x.csv", "csv")
    assert set(pd.read_csv(tmp_path / "x.csv")["source"]) == {"song\nraw.wav"}


def test_exporters_bring_no_audio_library():
    code = (
        "import sys, rl_editor.exporters; print({'soundfile', 'librosa', 'torch', 'opentimelineio'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
