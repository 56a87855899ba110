"""Channels keep their loudspeakers from one format to another; ffmpeg, where it is there, is the other opinion."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from rl_editor.audition import Audition, JudgedJoin, audition
from rl_editor.audition.joins import JoinDiagnostics
from rl_editor.audition.pages import write_preview
from rl_editor.beats import Activations
from rl_editor.checkup import Checkup, write_click_track
from rl_editor.config import BeatOverride, Config
from rl_editor.editors.mastering import _through_codec
from rl_editor.edits import SourceInfo, keep_all
from rl_editor.errors import AudioFileError
from rl_editor.grid import PARTIAL, BeatGrid
from rl_editor.render import render_file
from rl_editor.speakers import from_file_order, to_file_order
from rl_editor.utils import Samples, load_audio, read_places, save_audio, source_info

RATE = 48_000
TONES_HZ = [60, 90, 30, 75, 45, 105, 36, 54]  # by channel; low enough for the bass channel of every codec
PLACES = {
    "3.0": (2, 3, 4),
    "quad": (2, 3, 9, 10),
    "5.0": (2, 3, 4, 9, 10),
    "5.1": (2, 3, 4, 11, 9, 10),
    "6.1": (2, 3, 4, 11, 8, 14, 15),
    "7.1": (2, 3, 4, 11, 9, 10, 14, 15),
}
OTHERS = {"5.1(side)": (2, 3, 4, 11, 14, 15), "2.1": (2, 3, 11)}
with_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on the PATH")
every_layout = pytest.mark.parametrize("layout", PLACES)


def tones(n_channels: int) -> Samples:
    """Another tone in every channel, 3 s."""
    t = np.arange(3 * RATE) / RATE
    data = 0.1 * np.stack([np.sin(2 * np.pi * hz * t) for hz in TONES_HZ[:n_channels]], axis=1)
    return Samples(data.astype(np.float32), RATE)


def order(samples: Samples) -> list[int]:
    """Which channel of ``tones`` each channel plays: the tone with the largest Fourier coefficient."""
    middle = samples.data[RATE : 2 * RATE]  # 1 s: every tone is a whole number of periods, so they do not mix
    t = np.arange(RATE) / RATE
    heard = np.abs(np.exp(-2j * np.pi * np.outer(TONES_HZ, t)) @ middle)
    return heard.argmax(axis=0).tolist()


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


def wav_of(layout: str, folder: Path) -> Path:
    """What ffmpeg writes as WAV of this layout."""
    raw, wav, n = folder / "tones.raw", folder / "tones.wav", len((PLACES | OTHERS)[layout])
    tones(n).data.astype("<f4").tofile(raw)
    ffmpeg(
        "-f", "f32le", "-ar", str(RATE), "-ac", str(n), "-channel_layout", layout, "-i", raw, "-c:a", "pcm_s24le", wav
    )
    return wav


def layout_by_ffprobe(path: Path) -> str:
    command = ["ffprobe", "-v", "error", "-show_entries", "stream=channel_layout", "-of", "csv=p=0", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_five_point_one_by_hand() -> None:
    """Vorbis I 4.3.9, six channels: front left, centre, front right, rear left, rear right, LFE."""
    wave = np.array([["FL", "FR", "FC", "LFE", "RL", "RR"]])
    vorbis = np.array([["FL", "FC", "FR", "RL", "RR", "LFE"]])
    np.testing.assert_array_equal(to_file_order(wave, "VORBIS"), vorbis)
    np.testing.assert_array_equal(from_file_order(vorbis, "OPUS"), wave)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS", "PCM_24"])
@pytest.mark.parametrize("n_channels", range(1, 10))
def test_there_and_back_is_where_it_was(n_channels: int, subtype: str) -> None:
    data = np.arange(2 * n_channels).reshape(2, n_channels)
    np.testing.assert_array_equal(from_file_order(to_file_order(data, subtype), subtype), data)
    if n_channels <= 2 or subtype == "PCM_24":
        assert to_file_order(data, subtype) is data


@with_ffmpeg
@every_layout
@pytest.mark.parametrize("suffix", [".ogg", ".opus", ".flac", ".wav", ".m4a", ".caf", ".aiff"])
def test_ffmpeg_hears_every_channel_where_we_put_it(tmp_path: Path, layout: str, suffix: str) -> None:
    n, decoded = len(PLACES[layout]), tmp_path / "decoded.au"
    save_audio(tmp_path / f"a{suffix}", tones(n), places=PLACES[layout])
    ffmpeg("-i", tmp_path / f"a{suffix}", decoded)
    assert order(load_audio(decoded)) == list(range(n))


@with_ffmpeg
@every_layout
@pytest.mark.parametrize("suffix", [".ogg", ".flac", ".wav", ".m4a", ".mka"])
def test_we_read_every_channel_where_ffmpeg_put_it(tmp_path: Path, layout: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    codec = ["-c:a", "libvorbis"] if suffix == ".ogg" else []
    ffmpeg("-i", wav_of(layout, tmp_path), *codec, path)
    assert order(load_audio(path)) == list(range(len(PLACES[layout])))


@with_ffmpeg
@pytest.mark.parametrize("layout", [*PLACES, *OTHERS])
def test_an_edit_of_a_wav_has_its_layout(tmp_path: Path, layout: str) -> None:
    source, out = wav_of(layout, tmp_path), tmp_path / "out.wav"
    render_file(keep_all(source_info(source)), source, out, Config())
    assert layout_by_ffprobe(out) == layout_by_ffprobe(source) == layout
    np.testing.assert_array_equal(load_audio(out).data, load_audio(source).data)


@with_ffmpeg
@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".m4a", ".w64"])
def test_an_edit_to_wav_has_the_layout_of_other_formats(tmp_path: Path, suffix: str) -> None:
    source, out = tmp_path / f"in{suffix}", tmp_path / "out.wav"
    ffmpeg("-i", wav_of("5.1", tmp_path), source)
    render_file(keep_all(source_info(source)), source, out, Config())
    assert layout_by_ffprobe(out) == "5.1"
    assert order(load_audio(out)) == list(range(6))


@pytest.mark.parametrize("places", [*PLACES.values(), *OTHERS.values()])
def test_places_survive_without_ffmpeg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: tuple[int, ...]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    save_audio(tmp_path / "a.wav", tones(len(places)), places=places)
    assert read_places(tmp_path / "a.wav") == places
    save_audio(tmp_path / "b.wav", tones(len(places)))
    assert read_places(tmp_path / "b.wav") == ()


def test_mono_and_stereo_have_no_places_and_stay_plain_wav(tmp_path: Path) -> None:
    save_audio(tmp_path / "a.wav", tones(2))
    assert read_places(tmp_path / "a.wav") == ()
    assert sf.info(str(tmp_path / "a.wav")).format == "WAV"


def test_a_flac_says_by_its_mask_or_by_its_number_of_channels(tmp_path: Path) -> None:
    save_audio(tmp_path / "a.flac", tones(4))
    assert read_places(tmp_path / "a.flac") == (2, 3, 9, 10)
    tagged = {"comment": "WAVEFORMATEXTENSIBLE_CHANNEL_MASK=0x107"}  # bits 0, 1, 2 and 8: left, right, centre, rear
    save_audio(tmp_path / "b.flac", tones(4), tags=tagged)
    assert read_places(tmp_path / "b.flac") == (2, 3, 4, 8)


def test_vorbis_refuses_loudspeakers_that_it_would_take_for_others(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match=r"a\.ogg: \.ogg means other loudspeakers by 4 channels"):
        save_audio(tmp_path / "a.ogg", tones(4), places=(2, 3, 4, 8))
    save_audio(tmp_path / "b.ogg", tones(6), places=(2, 3, 4, 11, 14, 15))  # side or rear are the same boxes
    assert [p.name for p in tmp_path.iterdir()] == ["b.ogg"]


@with_ffmpeg
def test_what_ffmpeg_refuses_is_said_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match=r"a\.wma: ffmpeg cannot write it \(.*channels.*\); save as \.flac$"):
        save_audio(tmp_path / "a.wma", tones(6))
    assert list(tmp_path.iterdir()) == []


def test_a_codec_in_memory_keeps_the_order() -> None:
    """The bass channel of Vorbis loses its treble, and no other: which one does, says where it was."""
    rng = np.random.default_rng(0)
    noise = (0.1 * rng.standard_normal((2 * RATE, 6))).astype(np.float32)
    coded = _through_codec(noise, RATE, ("OGG", "VORBIS"))
    level = np.sqrt(np.mean(coded[RATE // 2 : -RATE // 2] ** 2, axis=0))
    assert level.argmin() == 3  # WAVE's fourth: LFE


def test_excerpts_of_joins_have_the_places(tmp_path: Path) -> None:
    places, sound = PLACES["5.1"], tones(6)
    join = JudgedJoin(1, JoinDiagnostics(1.5, 1.0, 2.0, 0.0, None, None, 0.0, None, 0.0), ())
    found = Audition(keep_all(SourceInfo("a.wav", "", RATE, 6, sound.frames)), sound, [join], 120.0, 1.0, places)
    write_preview(found, tmp_path, seconds=0.5)
    assert read_places(tmp_path / "join_01.wav") == read_places(tmp_path / "all_joins.wav") == places


def test_an_edit_is_judged_with_its_places(tmp_path: Path) -> None:
    save_audio(tmp_path / "a.wav", tones(6), places=PLACES["5.1"])
    source, config = source_info(tmp_path / "a.wav"), Config()
    config.data.use_cache = False
    assert audition(keep_all(source), tmp_path / "a.wav", config).places == PLACES["5.1"]


def test_a_click_track_has_the_places(tmp_path: Path) -> None:
    save_audio(tmp_path / "a.wav", tones(6), places=PLACES["5.1"])
    nothing, mel = np.zeros(1, np.float32), np.zeros((1, 1), np.float16)
    grid = BeatGrid(np.array([0.0, 0.1, 0.2]), np.array([0, PARTIAL]))
    found = Checkup("a", "librosa", grid, BeatOverride(), [], Activations(nothing, nothing), mel)
    write_click_track(found, tmp_path / "a.wav", tmp_path / "c.wav")
    assert read_places(tmp_path / "c.wav") == PLACES["5.1"]
