"""MP3s that do not say how long they are, or of which several stand in one file, are read to their end."""

import subprocess
from pathlib import Path

import pytest
import soundfile as sf
from test_utils import RATE, needs_ffmpeg, noise

from rl_editor.utils import audio_info, load_audio, save_audio
from rl_editor.utils.mp3 import _after_frames, _frame_bytes


def mp3(folder: Path, name: str, seconds: int, *options: str) -> bytes:
    """Noise as LAME writes it: a tag, a first frame with the header ``Info``, and what that counts."""
    save_audio(folder / f"{name}.wav", noise(seconds * RATE))
    written = folder / f"{name}.mp3"
    command = ["ffmpeg", "-v", "error", "-i", folder / f"{name}.wav", "-c:a", "libmp3lame", *options, written]
    subprocess.run(command, check=True)
    return written.read_bytes()


def with_header(data: bytes, header: bytes) -> bytes:
    """An MP3 with another header in its first frame: 4 bytes say what frame it is, 32 of side information are 0."""
    at = data.find(b"Info") - 4 - 32
    end = at + _frame_bytes(data[at : at + 4])
    return data[: at + 4] + (bytes(32) + header).ljust(end - at - 4, b"\0") + data[end:]


@needs_ffmpeg
@pytest.mark.parametrize("between", [b"", b"TAG" + bytes(125)])
def test_of_mp3s_one_after_the_other_the_first_may_count_frames_and_no_bytes(tmp_path: Path, between: bytes) -> None:
    """Two seconds are 77 frames of 1152 samples, some 2.03 s with the encoder's delay; then come three."""
    one, other = mp3(tmp_path, "a", 2), mp3(tmp_path, "b", 3)
    at = one.find(b"Info")
    n_frames = int.from_bytes(one[at + 8 : at + 12], "big")
    assert n_frames in (77, 78)
    frames_only = with_header(one, b"Xing" + (1).to_bytes(4, "big") + n_frames.to_bytes(4, "big"))
    for name, data, seconds in (("both", frames_only + between + other, 5), ("one", frames_only + between, 2)):
        path = tmp_path / f"{name}.mp3"
        path.write_bytes(data)
        assert abs(load_audio(path).frames - seconds * RATE) < 4 * 1152
        assert audio_info(path).frames == load_audio(path).frames
    assert audio_info(tmp_path / "one.mp3").format == "MP3"
    assert (
        sf.info(tmp_path / "one.mp3").frames == load_audio(tmp_path / "one.mp3").frames
    )  # libsndfile's, as it is right
    with sf.SoundFile(tmp_path / "both.mp3") as file:
        assert len(file.read()) < 2.1 * RATE  # whereas here it stops


@needs_ffmpeg
@pytest.mark.parametrize("header", ["vbri", "xing without frames"])
def test_an_mp3_whose_frames_libsndfile_does_not_find_counted_is_read_to_its_end(tmp_path: Path, header: str) -> None:
    """It takes VBRI for sound, and expects as many frames as fit, all as large as the first: here twice as many."""
    one = mp3(tmp_path, "a", 2, "-q:a", "0")
    at = one.find(b"Xing") if b"Xing" in one else one.find(b"Info")
    n_frames, n_bytes = one[at + 8 : at + 12], one[at + 12 : at + 16]
    version_delay_quality, table = bytes([0, 1, 4, 0x90, 0, 75]), bytes([0, 0, 0, 1, 0, 2, 0, 1])
    vbri = b"VBRI" + version_delay_quality + n_bytes + n_frames + table
    one = with_header(one.replace(b"Xing", b"Info"), vbri if header == "vbri" else b"Xing" + bytes(4))
    (tmp_path / "a.mp3").write_bytes(one)
    assert abs(load_audio(tmp_path / "a.mp3").frames - 2 * RATE) < 3 * 1152
    assert audio_info(tmp_path / "a.mp3").frames == load_audio(tmp_path / "a.mp3").frames


@needs_ffmpeg
@pytest.mark.parametrize(
    ("rate", "channels", "kbps"), [(44_100, 2, 128), (48_000, 1, 64), (22_050, 2, 32), (8_000, 1, 8)]
)
def test_frames_of_an_mp3_are_followed_to_its_end(tmp_path: Path, rate: int, channels: int, kbps: int) -> None:
    """By its header's own count of frames one comes to its last byte: 144 * 128,000 / 44,100 = 417 or 418 a frame."""
    coding = ["-ar", str(rate), "-ac", str(channels), "-b:a", f"{kbps}k", "-id3v2_version", "0", "-write_id3v2", "0"]
    data = mp3(tmp_path, "a", 1, *coding)
    at = data.find(b"Info")
    n_frames = int.from_bytes(data[at + 8 : at + 12], "big")
    assert n_frames > 10
    with (tmp_path / "a.mp3").open("rb") as file:
        assert _after_frames(file, 0, 1 + n_frames) == len(data)
        assert _after_frames(file, 0, 2 + n_frames) is None
