"""Exports: read back by the program's own library where there is one, by arithmetic where not."""

import csv
import json
import re
import subprocess
import sys
from itertools import pairwise

import opentimelineio as otio
import pytest

from rl_editor.edits import EditList, Region, Segment, SourceInfo
from rl_editor.errors import EditListError
from rl_editor.exporters import SUFFIXES, export_edit, timecode, to_edl

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


def test_otio_keeps_gain_speed_and_the_whole_edit_list(tmp_path, track):
    clip = track.find_clips()[2]
    assert clip.metadata["rl_editor"]["gain_db"] == -6.0
    assert clip.effects[0].time_scalar == 1.25
    assert clip.media_reference.target_url == "song raw.wav"
    timeline = otio.adapters.read_from_file(str(tmp_path / "edit.otio"))
    text = otio.core.serialize_json_to_string(timeline.metadata["rl_editor"])
    assert EditList.from_dict(json.loads(text)) == EDIT


def seconds(code, frame_rate=25):
    hours, minutes, secs, frames = map(int, code.split(":"))
    return hours * 3600 + minutes * 60 + secs + frames / frame_rate


def test_edl_events_tile_the_output():
    text = to_edl(EDIT)
    assert text.startswith("TITLE: song raw\nFCM: NON-DROP FRAME\n")
    events = re.findall(r"^(\d{3})  (\w+) +AA +C +(\S+) (\S+) (\S+) (\S+)$", text, re.MULTILINE)
    assert [(n, reel) for n, reel, *_ in events] == [
        ("001", "AX"), ("002", "AX"), ("003", "BL"), ("004", "AX"), ("005", "AX"),
    ]  # fmt: skip
    times = [[seconds(code) for code in event[2:]] for event in events]
    assert times == [
        [10.0, 14.0, 0.0, 4.0],
        [10.0, 14.0, 4.0, 8.0],
        [0.0, 1.0, 8.0, 9.0],
        [50.0, 52.48, 9.0, 11.0],  # 50 frames at 1.25 are 62.5, to the even 62: 2.48 s
        [80.0, 82.0, 11.0, 13.0],
    ]
    assert "M2   AX       031.2                00:00:50:00" in text  # 25 * 1.25 = 31.25, printed as 31.2


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
     (86399 * 30 + 29, 30, "23:59:59:29")],
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


def test_audacity_labels_tile_the_output(tmp_path):
    rows = [line.split("\t") for line in exported(tmp_path, "audacity").read_text().splitlines()]
    assert [(float(a), float(b)) for a, b, _ in rows] == [(0, 4), (4, 8), (8, 9), (9, 11), (11, 13)]
    assert [label for *_, label in rows] == [
        "source 10.000-14.000 s", "source 10.000-14.000 s", "not in source", "source 50.000-52.500 s",
        "source 80.000-82.000 s",
    ]  # fmt: skip


def test_csv_lists_every_segment(tmp_path):
    with exported(tmp_path, "csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["output_start_s"] for row in rows] == ["0.0", "4.0", "8.0", "9.0", "11.0", "12.0"]
    assert rows[2]["source_start_s"] == rows[2]["source_start_frame"] == ""
    assert [row["action"] for row in rows] == ["LOOP", "LOOP", "", "", "", ""]
    assert sum(int(row["frames"]) for row in rows) == EDIT.frames


@pytest.mark.parametrize("to", list(SUFFIXES))
def test_exports_have_the_same_bytes_and_no_path_of_ours(tmp_path, to):
    (tmp_path / "b").mkdir()
    first, second = exported(tmp_path, to), exported(tmp_path / "b", to)
    assert first.read_bytes() == second.read_bytes()
    assert str(tmp_path) not in first.read_text()


def test_bad_requests_are_named(tmp_path):
    with pytest.raises(EditListError, match="plays nothing"):
        export_edit(EditList(SOURCE, ()), tmp_path / "x.otio", "otio")
    with pytest.raises(EditListError, match="frame rate 0"):
        export_edit(EDIT, tmp_path / "x.edl", "edl", frame_rate=0)
    assert not list(tmp_path.iterdir())


def test_exporters_bring_no_audio_library():
    code = (
        "import sys, rl_editor.exporters; print({'soundfile', 'librosa', 'torch', 'opentimelineio'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
