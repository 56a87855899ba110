"""What an edit is handed over with: the tags and the cover of its recording, the exact length and depth of an .m4a."""

import json
import shutil
import struct
import subprocess
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import soundfile as sf

from rl_editor import delivery
from rl_editor.config import Config
from rl_editor.delivery import check_delivery, deliver, exactness_notes, mp4, programs
from rl_editor.delivery.belongings import Belongings, read_belongings, still_true
from rl_editor.delivery.ogg import _packets, _pages
from rl_editor.delivery.programs import muxer_takes
from rl_editor.delivery.tagging import add_belongings, picture_block
from rl_editor.edits import EditList, Segment
from rl_editor.errors import AudioFileError, OutputError
from rl_editor.render import render_file
from rl_editor.utils import load_audio, read_tags, source_info

RATE = 44_100
TAGS = {
    "title": "Übung; eins",
    "artist": "A=B",
    "album_artist": "All of them",
    "composer": "C # D",
    "disc": "2/3",
    "track": "4/9",
    "bpm": "120",
    "isrc": "XX0000000001",
    "lyrics": "one\\\ntwo",
    "my own": "words",
}
FALSE = {"REPLAYGAIN_TRACK_GAIN": "-7 dB", "iTunSMPB": "0 1 2", "ACOUSTID_ID": "x", "CUESHEET": "FILE", "LENGTH": "9"}

needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None, reason="no ffmpeg and ffprobe on the PATH"
)


def ffmpeg(*arguments: str | Path) -> bytes:
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def told(path: Path) -> dict[str, str]:
    """What ffprobe says of a file, by names of the common vocabulary, nothing left out."""
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", str(path)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    tags: dict[str, str] = {}
    for part in (found["format"], *(s for s in found["streams"] if s["codec_type"] == "audio")):
        tags |= part.get("tags", {})
    return {name.lower(): value for name, value in tags.items()}


def cover_of(path: Path) -> bytes:
    return ffmpeg("-i", path, "-map", "0:v:0", "-c", "copy", "-f", "image2pipe", "-")


def recording(folder: Path, suffix: str, *codec: str, tags: dict[str, str] = TAGS, cover: bool = True) -> Path:
    """Noise with tags, chapters and a cover, by ffmpeg."""
    noise = np.random.default_rng(0).integers(-9_000, 9_000, (3 * RATE, 2)).astype(np.int16)
    sf.write(folder / "noise.wav", noise, RATE)
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=32x32", "-frames:v", "1", folder / "cover.png")
    lines = [f"{name}={value}" if "\n" in value else f"{name}={escaped(value)}" for name, value in tags.items()]
    chapters = ["[CHAPTER]", "TIMEBASE=1/1000", "START=0", "END=2000", "title=first of the whole"]
    (folder / "tags.txt").write_text("\n".join([";FFMETADATA1", *lines, *chapters, ""]), encoding="utf-8")
    path = folder / f"tune{suffix}"
    picture = [
        "-i",
        folder / "cover.png",
        "-map",
        "0:a",
        "-map",
        "2:v",
        "-disposition:v",
        "attached_pic",
        "-c:v",
        "copy",
    ]
    inputs = ["-i", folder / "noise.wav", "-f", "ffmetadata", "-i", folder / "tags.txt"]
    where = "-map_metadata:s:a:0" if suffix == ".ogg" else "-map_metadata"
    ffmpeg(*inputs, *(picture if cover else ["-map", "0:a"]), where, "1:g", *codec, path)
    return path


def escaped(text: str) -> str:
    return text.replace("=", "\\=").replace(";", "\\;").replace("#", "\\#")


def edit_of(path: Path, frames: int) -> EditList:
    """The recording from its 100th sample on."""
    return EditList(source_info(path), (Segment(100, frames),))


@needs_ffmpeg
@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".ogg", ".m4a"])
@pytest.mark.parametrize("source", [".flac", ".mp3", ".ogg"])
def test_what_a_recording_says_of_itself_survives(tmp_path: Path, source: str, suffix: str) -> None:
    path = recording(tmp_path, source, tags=TAGS | FALSE, cover=source != ".ogg")
    deliver(edit_of(path, 2 * RATE), path, tmp_path / f"out{suffix}", Config())
    found = told(tmp_path / f"out{suffix}")
    own = {name: value.replace("\\\n", "\n") for name, value in TAGS.items()}
    if suffix == ".mp3":
        own |= {"tbpm": own.pop("bpm"), "tsrc": own.pop("isrc")}
    if suffix == ".m4a":  # ffmpeg reads no tempo, and writes no names of a person's own
        own = {name: value for name, value in own.items() if name not in ("bpm", "isrc", "my own")}
        assert b"tmpo" in (tmp_path / "out.m4a").read_bytes()
    assert {name: found.get(name) for name in own} == own
    assert not {name.lower() for name in FALSE} & set(found)
    assert "first of the whole" not in str(found)
    if source != ".ogg":
        assert cover_of(tmp_path / f"out{suffix}") == (tmp_path / "cover.png").read_bytes()


@needs_ffmpeg
@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".ogg"])
def test_tags_leave_the_audio_as_it_was_rendered(tmp_path: Path, suffix: str) -> None:
    path = recording(tmp_path, ".flac")
    edit = edit_of(path, 2 * RATE + 17)
    deliver(edit, path, tmp_path / f"a{suffix}", Config())
    render_file(edit, path, tmp_path / f"b{suffix}", Config())
    delivered, rendered = (sf.read(tmp_path / f"{name}{suffix}")[0] for name in "ab")
    np.testing.assert_array_equal(delivered, rendered)
    assert len(delivered) == 2 * RATE + 17
    assert len(ffmpeg("-i", tmp_path / f"a{suffix}", "-f", "s16le", "-")) == 4 * (2 * RATE + 17)


@needs_ffmpeg
@pytest.mark.parametrize("suffix", [".ogg", ".opus"])
@pytest.mark.parametrize(("frames", "channels", "loud"), [
    (12_001, 2, 0.3), (12_001, 6, 0.3), (66_151, 1, 0.0), (88_201, 1, 0.0), (220_501, 1, 0.0), (30 * RATE + 1, 2, 0.3),
])  # fmt: skip
def test_tags_and_a_large_cover_leave_every_page_of_ogg_as_it_counts(
    tmp_path: Path, suffix: str, frames: int, channels: int, loud: float
) -> None:
    """Short and silent ones have all their audio in one page, in which ffmpeg's copy counts wrongly."""
    rate = 48_000 if suffix == ".opus" else RATE
    data = np.random.default_rng(2).uniform(-loud, loud, (frames, channels))
    with sf.SoundFile(tmp_path / f"a{suffix}", "w", rate, channels, format="OGG") as file:
        file.write(data)
    shutil.copy(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}")
    path = recording(tmp_path, ".flac")
    noise = np.random.default_rng(3).integers(0, 256, (300, 300, 3), np.uint8)  # 270 kB: more than a page holds
    ffmpeg(
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        "300x300",
        "-i",
        raw(tmp_path / "noise", noise),
        cover := tmp_path / "big.png",
    )
    ffmpeg("-i", path, "-i", cover, "-map", "0:a", "-map", "1:v", "-disposition:v", "attached_pic", "-c", "copy",
           big := tmp_path / "big.flac")  # fmt: skip
    add_belongings(tmp_path / f"b{suffix}", read_belongings(big))
    before, after = (sf.read(tmp_path / f"{name}{suffix}")[0] for name in "ab")
    np.testing.assert_array_equal(after, before)
    assert len(after) == frames
    heard = [ffmpeg("-i", tmp_path / f"{name}{suffix}", "-f", "f32le", "-") for name in "ab"]
    assert heard[0] == heard[1]
    found = told(tmp_path / f"b{suffix}")
    assert {name: found.get(name) for name in TAGS} == TAGS | {"lyrics": "one\ntwo"}
    assert cover_of(tmp_path / f"b{suffix}") == cover.read_bytes()
    assert cover.stat().st_size > 65_025


def test_packets_come_back_from_pages_of_ogg() -> None:
    """RFC 3533: pieces of 255 bytes and one that is shorter, if of none; 255 of them to a page at the most."""
    for n in (1, 254, 255, 256, 510, 65_024, 65_025, 65_026):
        packets = [bytes(7), bytes([1]) * n, bytes([2]) * 255]
        pages = _pages(packets)
        assert _packets(b"".join(page.lacings for page in pages), b"".join(page.body for page in pages)) == packets
    first, second, third = _pages([bytes(2 * 65_025 + 1)])
    assert [len(page.body) for page in (first, second, third)] == [65_025, 65_025, 1]
    assert [page.flags for page in (first, second, third)] == [0, 1, 1]  # 1: goes on with what the page before began
    assert [page.granule for page in (first, second, third)] == [-1, -1, 0]  # -1: no packet ends here


@needs_ffmpeg
def test_names_of_tags_as_ogg_has_them(tmp_path: Path) -> None:
    """Printable ASCII without =, which ends a name; and for some what other programs look for."""
    sf.write(tmp_path / "a.ogg", np.zeros((RATE, 1)), RATE)
    given = {"a=b": "c", "größe": "1", "album_artist": "All", "disc": "2/3", "track": "4", "comment": "so"}
    add_belongings(tmp_path / "a.ogg", Belongings(tmp_path / "a.ogg", given))
    data = (tmp_path / "a.ogg").read_bytes()
    for said in (b"A_B=c", b"GR_SSE=1", b"ALBUMARTIST=All", b"DISCNUMBER=2/3", b"TRACKNUMBER=4", b"DESCRIPTION=so"):
        assert struct.pack("<I", len(said)) + said in data


@needs_ffmpeg
def test_a_cover_without_a_tag_goes_along_and_capitals_in_a_suffix_change_nothing(tmp_path: Path) -> None:
    path = recording(tmp_path, ".flac", tags={})
    deliver(edit_of(path, RATE), path, tmp_path / "OUT.FLAC", Config())
    assert cover_of(tmp_path / "OUT.FLAC") == (tmp_path / "cover.png").read_bytes()


def raw(path: Path, data: np.ndarray) -> Path:
    path.write_bytes(data.tobytes())
    return path


@needs_ffmpeg
@pytest.mark.parametrize("channels", [1, 6])
@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".opus", ".m4a"])
def test_mono_and_5_1_are_handed_over_as_they_are_rendered(tmp_path: Path, suffix: str, channels: int) -> None:
    """A tone for each channel: 300 Hz, 400 Hz .. by WAVE's order, told apart by its strongest bin of 1 Hz."""
    times_s = np.arange(48_000 + 100) / 48_000
    tones = [0.3 * np.sin(2 * np.pi * (300 + 100 * k) * times_s) for k in range(channels)]
    if channels == 6:
        tones[3] = 0.3 * np.sin(2 * np.pi * 40 * times_s)  # the bass, which AAC holds up to about 100 Hz
    sf.write(tmp_path / "plain.flac", np.stack(tones, axis=1), 48_000)
    source, output = tmp_path / "tune.flac", tmp_path / f"out{suffix}"
    ffmpeg("-i", tmp_path / "plain.flac", "-metadata", "composer=Me", "-c", "copy", source)
    check_delivery(source, output)
    deliver(edit_of(source, 48_000), source, output, Config())
    assert told(output)["composer"] == "Me"
    heard = load_audio(output).data[:48_000]
    expected_hz = [300, 400, 500, 40, 700, 800][:channels]
    assert [int(np.abs(np.fft.rfft(heard[:, k])).argmax()) for k in range(channels)] == expected_hz
    if suffix != ".m4a":
        render_file(edit_of(source, 48_000), source, tmp_path / f"rendered{suffix}", Config())
        np.testing.assert_array_equal(sf.read(output)[0], sf.read(tmp_path / f"rendered{suffix}")[0])


@needs_ffmpeg
@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".ogg", ".m4a"])
def test_the_same_edit_has_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    path = recording(tmp_path, ".flac")
    for name in ("a", "b"):
        deliver(edit_of(path, RATE), path, tmp_path / f"{name}{suffix}", Config())
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@needs_ffmpeg
def test_what_fails_or_is_killed_at_the_tags_leaves_no_audio_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, output = recording(tmp_path, ".flac"), tmp_path / "out" / "out.flac"
    for fault in (OutputError("the disk is full"), SystemExit(143)):
        monkeypatch.setattr(delivery, "add_belongings", Mock(side_effect=fault))
        with pytest.raises(type(fault)):
            deliver(edit_of(path, RATE), path, output, Config(), beside={tmp_path / "out" / "e.json": "{}"})
        assert not output.parent.exists()


@needs_ffmpeg
def test_what_is_clipped_is_said_by_the_name_of_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sf.write(tmp_path / "loud.wav", np.full((RATE, 1), 2.0), RATE, subtype="FLOAT")
    for suffix in (".flac", ".m4a", ".aac"):
        deliver(edit_of(tmp_path / "loud.wav", 40_000), tmp_path / "loud.wav", tmp_path / f"out{suffix}", Config())
    assert [message.split()[0] for message in caplog.messages] == [
        f"{tmp_path}/out{suffix}:" for suffix in (".flac", ".m4a", ".aac")
    ]


@needs_ffmpeg
def test_a_cover_that_the_format_does_not_take_is_left_out_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = recording(tmp_path, ".flac", cover=False)
    ffmpeg("-i", tmp_path / "cover.png", tmp_path / "cover.tiff")
    picture = ["-i", tmp_path / "cover.tiff", "-map", "0", "-map", "1", "-disposition:v", "attached_pic", "-c", "copy"]
    ffmpeg("-i", path, *picture, tmp_path / "tiff.flac")
    deliver(edit_of(tmp_path / "tiff.flac", RATE), tmp_path / "tiff.flac", tmp_path / "out.m4a", Config())
    assert f"{tmp_path}/out.m4a: without the recording's cover, which .m4a does not take" in caplog.text
    assert told(tmp_path / "out.m4a")["composer"] == TAGS["composer"]


@needs_ffmpeg
@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".ogg", ".m4a"])
def test_no_value_becomes_another_tag_or_swallows_it(tmp_path: Path, suffix: str) -> None:
    """ffmpeg's own names of tags have to be read as they were written: CR, and a backslash at the end."""
    sf.write(tmp_path / "tune.flac", np.zeros((RATE, 2)), RATE)
    given = {
        "title": "back\\",
        "artist": "one\r\ncomposer=two\rgenre=three",
        "album": "ends\n",
        "comment": "[CHAPTER]\n[STREAM]",
        "date": "2001",
    }
    edit, source = edit_of(tmp_path / "tune.flac", 30_000), tmp_path / "tune.flac"
    render_file(edit, source, tmp_path / "out.wav", Config())
    if suffix == ".m4a":
        mp4.write_mp4(tmp_path / "out.m4a", load_audio(tmp_path / "out.wav"), Belongings(source, given), places=())
    else:
        render_file(edit, source, tmp_path / f"out{suffix}", Config())
        add_belongings(tmp_path / f"out{suffix}", Belongings(source, given))
    found = told(tmp_path / f"out{suffix}")
    said = {name: found.get(name, "").replace("\r\n", "\n").replace("\r", "\n").strip() for name in given}
    assert said == {name: value.replace("\r\n", "\n").replace("\r", "\n").strip() for name, value in given.items()}
    assert not {"composer", "genre"} & set(found)


def test_what_an_edit_makes_false_is_not_said_of_it() -> None:
    false = (
        *FALSE, "replaygain_album_peak", "R128_TRACK_GAIN", "Acoustid Fingerprint", "iTunNORM", "CHAPTER001NAME",
        "MusicBrainz Release Track Id", "MUSICBRAINZ_TRACKID", "time_reference", "TLEN", "SERATO_BEATGRID",
        "id3v2_priv.TRAKTOR4", "encoder", "syncedlyrics", "handler_name", "MIXRAMP_START", "mixramp_ref",
        "CUE_IN", "cue_out", "liq_cue_in", "LIQ_AMPLIFY", "cue_track01_title", "LOOPSTART", "LOOPLENGTH",
        "LOOP_END", "loopend",
    )  # fmt: skip
    assert still_true(dict.fromkeys(false, "x")) == {}
    for timed in ("[00:12.50]one", "[ti:One]\n[00:12.50]one"):
        assert still_true({"LYRICS": timed}) == {}
    assert still_true({"language": "und", "title": "", "ALBUMARTIST": "a", "album_artist": "b"}) == {
        "album_artist": "a"
    }
    kept = {"TBPM": "120", "lyrics-eng": "[chorus]", "MUSICBRAINZ_ALBUMID": "x", "TSRC": "y", "Length of hair": "z"}
    assert still_true(kept) == {
        "bpm": "120", "lyrics": "[chorus]", "musicbrainz_albumid": "x", "isrc": "y", "length of hair": "z"
    }  # fmt: skip


@needs_ffmpeg
@pytest.mark.parametrize(("rate", "frames"), [(44_100, 40_961), (48_000, 40_961), (48_000, 100_001), (44_100, 66_370)])
def test_an_m4a_says_its_length_to_the_sample(tmp_path: Path, rate: int, frames: int) -> None:
    """The edit list of the one track, in units of the movie's timescale, which is the sample rate."""
    sf.write(tmp_path / "tune.wav", np.random.default_rng(1).uniform(-0.5, 0.5, (frames + 100, 2)), rate)
    deliver(edit_of(tmp_path / "tune.wav", frames), tmp_path / "tune.wav", tmp_path / "out.m4a", Config())
    data = (tmp_path / "out.m4a").read_bytes()
    header, listed = data.index(b"mvhd") + 4, data.index(b"elst") + 4
    assert struct.unpack_from(">I", data, header + 12) == (rate,)  # after version, creation and modification
    assert struct.unpack_from(">3I", data, listed + 4) == (1, frames, 1024)  # entries; length, start: after priming
    heard = len(ffmpeg("-i", tmp_path / "out.m4a", "-f", "s16le", "-")) // 4
    assert frames <= heard < frames + 1024  # ffmpeg plays the last block to its end


@needs_ffmpeg
def test_a_note_on_exactness_says_what_is_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output = tmp_path / "tune.wav", tmp_path / "out.m4a"
    sf.write(source, np.zeros((RATE, 2)), RATE)
    assert exactness_notes(source, tmp_path / "out.flac") == ()
    if muxer_takes("mp4", "movie_timescale"):
        assert "out.m4a says its exact length" in exactness_notes(source, output)[0]
    with monkeypatch.context() as old:
        old.setattr(mp4, "muxer_takes", lambda muxer, option: False)
        assert "out.m4a says its length to the millisecond" in exactness_notes(source, output)[0]
    monkeypatch.setattr(delivery, "has_programs", lambda: False)
    assert "out.m4a says its length to the millisecond" in exactness_notes(source, output)[0]


@pytest.mark.parametrize(
    ("picture", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"\x89PNG\r\n", "png"),
        (b"RIFF\n\x00\x00\x00WEBPVP8 ", "webp"),
        (b"RIFF....WAVE", ""),
    ],
)
def test_a_picture_in_ogg_says_its_kind(picture: bytes, kind: str) -> None:
    """Behind the type of the picture: how long the name of its kind is, and the name."""
    name = f"image/{kind}".encode() if kind else b""
    assert picture_block(picture).startswith(struct.pack(">2I", 3, len(name)) + name + bytes(20))


@needs_ffmpeg
def test_an_ffmpeg_without_the_timescale_writes_an_m4a_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not muxer_takes("mp4", "no_such_option")
    monkeypatch.setattr(mp4, "muxer_takes", lambda muxer, option: False)
    sf.write(tmp_path / "tune.wav", np.zeros((RATE, 2)), RATE)
    deliver(edit_of(tmp_path / "tune.wav", 40_960), tmp_path / "tune.wav", tmp_path / "out.m4a", Config())
    assert len(ffmpeg("-i", tmp_path / "out.m4a", "-f", "s16le", "-")) == 4 * 40_960


@needs_ffmpeg
@pytest.mark.parametrize(("depth", "bits"), [("s16p", 16), ("s32p", 24)])
def test_a_lossless_m4a_stays_lossless(tmp_path: Path, depth: str, bits: int) -> None:
    noise = np.random.default_rng(0).integers(-(2**30), 2**30, (3 * RATE, 2)).astype(np.int32)
    sf.write(tmp_path / "noise.wav", noise, RATE, subtype=f"PCM_{bits}")
    ffmpeg("-i", tmp_path / "noise.wav", "-c:a", "alac", "-sample_fmt", depth, tmp_path / "tune.m4a")
    deliver(edit_of(tmp_path / "tune.m4a", 66_371), tmp_path / "tune.m4a", tmp_path / "out.m4a", Config())
    heard = np.frombuffer(ffmpeg("-i", tmp_path / "out.m4a", "-f", "s32le", "-"), "<i4").reshape(-1, 2)
    whole = sf.read(tmp_path / "noise.wav", dtype="int32")[0]
    np.testing.assert_array_equal(heard, whole[100 : 100 + 66_371])
    stream = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name,bits_per_raw_sample", "-of", "csv=p=0",
         tmp_path / "out.m4a"], check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert stream.stdout.strip() == f"alac,{bits}"
    assert exactness_notes(tmp_path / "tune.m4a", tmp_path / "out.m4a") == ()  # it counts samples itself


@needs_ffmpeg
def test_a_recording_is_asked_once_what_it_says_of_itself_and_again_once_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, asked = recording(tmp_path, ".m4a"), []
    run = subprocess.run
    monkeypatch.setattr(
        programs.subprocess, "run", lambda command, **options: (asked.append(command[0]), run(command, **options))[1]
    )
    check_delivery(path, tmp_path / "out.m4a")
    deliver(edit_of(path, RATE), path, tmp_path / "out.m4a", Config())
    assert exactness_notes(path, tmp_path / "out.m4a")
    assert asked.count("ffprobe") == 1
    recording(tmp_path, ".m4a", tags={"title": "another"})
    assert read_belongings(path).tags["title"] == "another"
    assert read_belongings(tmp_path / "nothing.m4a") == Belongings(tmp_path / "nothing.m4a", {})


@needs_ffmpeg
def test_a_rate_that_only_lossless_holds_is_asked_of_it(tmp_path: Path) -> None:
    sf.write(tmp_path / "noise.wav", np.zeros((19_200, 2)), 192_000)
    ffmpeg("-i", tmp_path / "noise.wav", "-c:a", "alac", tmp_path / "tune.m4a")
    check_delivery(tmp_path / "tune.m4a", tmp_path / "out.m4a")
    with pytest.raises(AudioFileError, match=r"out\.m4a: \.m4a holds no 192000 Hz"):
        check_delivery(tmp_path / "noise.wav", tmp_path / "out.m4a")


@needs_ffmpeg
def test_a_rate_that_aac_does_not_hold_is_refused_in_writing_too(tmp_path: Path) -> None:
    """ffmpeg would make it 96 kHz and say nothing."""
    sf.write(tmp_path / "noise.wav", np.zeros((19_200, 2)), 192_000)
    said = rf"^{tmp_path}/out\.m4a: \.m4a holds no 192000 Hz \(ffmpeg would make it 96000 Hz\)"
    with pytest.raises(AudioFileError, match=said):
        deliver(edit_of(tmp_path / "noise.wav", 9_000), tmp_path / "noise.wav", tmp_path / "out.m4a", Config())
    assert not (tmp_path / "out.m4a").exists()


@needs_ffmpeg
def test_asking_first_says_nothing_of_covers_or_peaks_and_names_the_output(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    loud = np.full((RATE, 2), 0.9)
    sf.write(tmp_path / "noise.wav", loud, RATE)
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=32x32", "-frames:v", "1", tmp_path / "cover.png")
    ffmpeg("-i", tmp_path / "noise.wav", "-i", tmp_path / "cover.png", "-map", "0", "-map", "1", "-c:a", "alac",
           "-c:v", "copy", "-disposition:v", "attached_pic", tmp_path / "tune.m4a")  # fmt: skip
    found = read_belongings(tmp_path / "tune.m4a")
    assert found.covers
    assert found.alac_bits
    monkeypatch.setattr(delivery, "read_belongings", lambda path: found._replace(source=tmp_path / "noise.wav"))
    check_delivery(tmp_path / "tune.m4a", tmp_path / "out.m4a")  # where the cover would be there is none
    assert not caplog.text
    monkeypatch.setattr(delivery, "read_belongings", lambda path: found)
    monkeypatch.setattr(mp4, "_codec", lambda bits: ["-c:a", "no_such_codec"])
    with pytest.raises(AudioFileError, match=rf"^{tmp_path}/out\.m4a: .*no_such_codec.*convert tune\.m4a first$"):
        check_delivery(tmp_path / "tune.m4a", tmp_path / "out.m4a")


@pytest.mark.parametrize(("subtype", "fits"), [("PCM_16", True), ("PCM_24", False)])
def test_more_than_the_output_can_count_is_refused_by_its_own_samples(tmp_path: Path, subtype: str, fits: bool) -> None:
    """Six hours of stereo at 44.1 kHz: 21,600 * 44,100 * 2 samples are 3.81e9 bytes of 16 bits, 5.72e9 of 24."""
    tune, output = tmp_path / "tune.flac", tmp_path / "out.wav"
    sf.write(tune, np.zeros((RATE, 2)), RATE, subtype=subtype)
    check_delivery(tune, output, length_s=60.0)
    check_delivery(tune, tmp_path / "out.flac", length_s=21_600.0)
    if fits:
        check_delivery(tune, output, length_s=21_600.0)
    else:
        with pytest.raises(AudioFileError, match=rf"^{output}: 5\.3 GiB of audio, \.wav holds at most 4"):
            check_delivery(tune, output, length_s=21_600.0)


def test_without_ffmpeg_the_few_tags_of_libsndfile_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with sf.SoundFile(tmp_path / "tune.flac", "w", RATE, 1) as file:
        file.title = "Übung"
        file.write(np.zeros(RATE))
    check_delivery(tmp_path / "tune.flac", tmp_path / "out.flac")
    deliver(edit_of(tmp_path / "tune.flac", 9_000), tmp_path / "tune.flac", tmp_path / "out.flac", Config())
    assert read_tags(tmp_path / "out.flac") == {"title": "Übung"}
