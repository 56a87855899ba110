"""The edit list: exact frames, a stable JSON form, and clear refusals."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rl_editor.edits import EditList, Region, Segment, SourceInfo, check_length_asked, joins, keep_all
from rl_editor.errors import EditListError

SOURCE = SourceInfo("song_raw.wav", "ab" * 32, sample_rate=1000, channels=2, frames=10_000)


def test_output_positions_are_sums_of_frames() -> None:
    edit = EditList(SOURCE, (Segment(2000, 1500), Segment(2000, 1500, 50.0), Segment(None, 250), Segment(0, 1000)))
    assert edit.output_start_frames() == [0, 1500, 3000, 3250]
    assert edit.duration_s == 4.25
    assert [s["output_start"] for s in edit.to_dict()["segments"]] == [0.0, 1.5, 3.0, 3.25]
    assert [s["source_start"] for s in edit.to_dict()["segments"]] == [2.0, 2.0, None, 0.0]


def test_json_round_trip(tmp_path: Path) -> None:
    region = Region("LOOP", beat_index=1, n_beats=2, n_times=2)
    edit = EditList(SOURCE, (Segment(5, 7, region=0),), (0.0, 4.0, 10.0), 1, (region,), ("CUT", "LOOP2"))
    path = tmp_path / "edits.json"
    for each in (edit, replace(edit, fade_in_ms=3.0, fade_out_ms=60.0)):
        path.write_text(each.to_json())
        assert EditList.load(path) == each
        assert EditList.load(path).to_json() == each.to_json()


@pytest.mark.parametrize("value", ["60", None, -1.0, float("nan"), 1e9])
def test_a_fade_of_an_end_that_is_none_is_refused(value: object) -> None:
    given = {**keep_all(SOURCE).to_dict(), "fade_out_ms": value}
    with pytest.raises(EditListError, match=r"fade_out_ms .*, a number from 0 to 60000 is needed"):
        EditList.from_dict(given)


def test_seconds_alone_are_enough_to_read() -> None:
    value = keep_all(SOURCE).to_dict()
    value["segments"] = [{"output_start": 0.0, "source_start": 1.2506, "duration": 2.0007}]
    assert EditList.from_dict(value).segments == (Segment(1251, 2001),)  # the nearest frames


def test_boundaries_in_frames_end_where_the_recording_does() -> None:
    # 1.2346 s is 1234.6 frames of 1000 a second; a beat heard past the end lies at it, and a grid cut short reaches it
    assert SOURCE.frame_bounds(np.array([0.0, 1.2346, 10.002, 10.003])).tolist() == [0, 1235, 10_000, 10_000]
    assert SOURCE.frame_bounds(np.array([0.0, 5.0, 9.9])).tolist() == [0, 5000, 10_000]


def test_speed_stretches_the_source_span() -> None:
    assert Segment(100, 1000, speed=1.5).source_end_frame == 1600  # 100 + 1000 * 1.5
    edit = EditList(SOURCE, (Segment(2000, 1500), Segment(None, 250), Segment(0, 1000, speed=0.5)))
    assert edit.source_spans() == [(2000, 3500), (0, 500)]


def test_merging_joins_only_what_continues() -> None:
    higher = {"gain_db": 1.0, "pitch_semitones": 1.0}
    parts = (Segment(0, 10), Segment(10, 5), Segment(15, 5, gain_db=1.0), Segment(20, 5, **higher))
    parts += (Segment(25, 5, **higher), Segment(None, 4), Segment(None, 3), Segment(0, 3))
    merged = EditList(SOURCE, parts).merged().segments
    found = [(s.source_start_frame, s.frames) for s in merged]
    assert found == [(0, 15), (15, 5), (20, 10), (None, 7), (0, 3)]
    assert len(joins(EditList(SOURCE, parts))) == 4


def test_what_plays_without_decisions_names_none() -> None:
    region = Region("LOOP", beat_index=0, n_beats=1, n_times=2)
    parts = (Segment(0, 5000, region=0), Segment(0, 5000, 50.0, region=0))
    edit = EditList(SOURCE, parts, (0.0, 5.0, 10.0), 1, (region,), ("LOOP2", "CUT"), fade_out_ms=60.0)
    plain = (Segment(0, 5000), Segment(0, 5000, 50.0))
    assert edit.undecided() == EditList(SOURCE, plain, (0.0, 5.0, 10.0), 1, fade_out_ms=60.0)


def test_keep_all_has_no_join() -> None:
    assert joins(keep_all(SOURCE)) == []
    assert keep_all(SOURCE).duration_s == 10.0


@pytest.mark.parametrize("segment", [Segment(0, 0), Segment(-1, 5), Segment(9_999, 2), Segment(0, 5, region=0)])
def test_impossible_segments_are_refused(segment: Segment) -> None:
    with pytest.raises(EditListError, match="segment 0"):
        EditList(SOURCE, (segment,))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("speed", 0.0),
        ("gain_db", float("nan")),
        ("crossfade_in_ms", -5.0),
        ("confidence", 7.0),
        ("speed", float("inf")),
    ],
)
def test_numbers_beyond_all_music_are_refused(name: str, value: float) -> None:
    with pytest.raises(EditListError, match=f"{name} .* is needed"):
        Segment(0, 5, **{name: value})


@pytest.mark.parametrize("change", [{"sample_rate": 0}, {"channels": True}, {"frames": -1}])
def test_a_source_that_is_none_is_refused(change: dict) -> None:
    with pytest.raises(EditListError, match=f"source: {next(iter(change))} .* whole number"):
        replace(SOURCE, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"beats": {"times_s": [0.0, 2.0, 1.0], "unit_beats": 1}},
        {"beats": {"times_s": [0.0, float("nan")], "unit_beats": 1}},
        {"beats": {"times_s": [], "unit_beats": 0}},
        {"regions": [{"action": "FOO", "beat_index": 0, "n_beats": 1}]},
        {"regions": [{"action": "LOOP", "beat_index": "x", "n_beats": 1}]},
    ],
)
def test_beats_and_regions_that_are_none_are_refused(change: dict) -> None:
    with pytest.raises(EditListError):
        EditList.from_dict(keep_all(SOURCE).to_dict() | change)


@pytest.mark.parametrize("seconds", [0.0, -5.0, 1e-300, float("nan"), float("inf")])
def test_lengths_that_are_none_are_refused(seconds: float) -> None:
    with pytest.raises(EditListError, match="length asked for"):
        check_length_asked(seconds)
    check_length_asked(0.01)  # the shortest


def test_segments_are_not_merged_where_rounding_would_play_another_frame() -> None:
    """round(10 * 1.04) = 10 frames of the source each, and round(20 * 1.04) = 21 of 20."""
    source = replace(SOURCE, frames=20)
    edit = EditList(source, (Segment(0, 10, speed=1.04), Segment(10, 10, speed=1.04)))
    assert edit.merged().segments == edit.segments


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": "x"}', '{"format": "rl-editor/edit-list", "version": 1}'])
def test_unreadable_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "edits.json"
    path.write_text(text)
    with pytest.raises(EditListError):
        EditList.load(path)


def test_json_is_plain() -> None:
    plain = json.loads(keep_all(SOURCE).to_json())
    assert plain["segments"][0]["source_start_frame"] == 0
    assert not {"fade_in_ms", "fade_out_ms"} & set(plain)  # said where there are any


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    value = json.loads(keep_all(SourceInfo("a.wav", "", 44100, 1, 10)).to_json())
    for frames, said in ((20, "leave 'a.wav'"), (True, "frames True, a whole number is needed")):
        value["segments"][0]["frames"] = frames
        (tmp_path / "e.json").write_text(json.dumps(value), encoding="utf-8")
        with pytest.raises(EditListError, match=rf"e\.json: .*{said}"):
            EditList.load(tmp_path / "e.json")


@pytest.mark.parametrize(
    ("at", "broken", "said"),
    [
        (("segments",), None, "segments: None, a list is needed"),
        (("segments", 0), 7, "segment 0: 7, an object is needed"),
        (("segments", 0, "foo"), 1, "segment 0: unknown foo; it has source_start_frame, frames"),
        (("segments", 0, "gain_db"), 1e9, "segment 0: gain_db 1000000000.0, a number from -200 to 200 is needed"),
        (("segments", 0, "crossfade_in_ms"), float("nan"), "segment 0: crossfade_in_ms nan, a number from 0"),
        (("fade_out",), 3.0, "edit list: unknown fade_out; it has format, version, source, "),
        (("beats",), {"times": []}, "beats: unknown times; it has times_s, unit_beats"),
        (("source",), {"name": "a.wav"}, "source: without sha256, sample_rate, channels, frames; it has name"),
        (("regions",), [{"action": "LOOP"}], "region 0: without beat_index, n_beats; it has action"),
        (("regions",), [{"action": "LOOP", "beat_index": 0, "n_beats": 0}], "region 0: n_beats 0"),
        (("actions",), "KEEP", "actions: 'KEEP', a list is needed"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(at: tuple[str | int, ...], broken: object, said: str) -> None:
    value = json.loads(keep_all(SourceInfo("a.wav", "", 44100, 1, 10)).to_json())
    inner = value
    for name in at[:-1]:
        inner = inner[name]
    inner[at[-1]] = broken
    with pytest.raises(EditListError, match=re.escape(said)):
        EditList.from_dict(value)


@pytest.mark.parametrize(
    ("kept", "said"),
    [("source_start_frame", "neither frames nor duration"), ("frames", "neither source_start_frame nor source_start")],
)
def test_a_segment_has_frames_or_seconds(kept: str, said: str) -> None:
    value = json.loads(keep_all(SourceInfo("a.wav", "", 44100, 1, 10)).to_json())
    value["segments"] = [{kept: 4}]
    with pytest.raises(EditListError, match=f"segment 0: {said}, one of them is needed"):
        EditList.from_dict(value)
