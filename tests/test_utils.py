"""Reading refuses what is broken and says why; writing is whole or absent; spectra equal librosa's."""

import os
import shutil
import stat
import subprocess
import sys

import librosa
import numpy as np
import pytest
import scipy.signal
import soundfile as sf

from rl_editor import utils
from rl_editor.config import AudioConfig
from rl_editor.errors import AudioFileError, OutputError
from rl_editor.utils import Samples, audio_info, load_audio, load_mono, save_audio, source_info, to_mono
from rl_editor.utils.samples import BLOCK_FRAMES
from rl_editor.utils.spectra import hann

RATE = 44100


def noise(frames, channels=2, *, level=0.2, seed=0):
    data = level * np.random.default_rng(seed).standard_normal((frames, channels))
    return Samples(np.clip(data, -0.9, 0.9).astype(np.float32), RATE)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".aiff", ".w64", ".caf", ".au"])
def test_lossless_formats_give_back_24_bits(tmp_path, suffix):
    samples = noise(70_000, 3)  # more than one block
    path = tmp_path / f"song{suffix}"
    save_audio(path, samples)
    loaded = load_audio(path)
    assert (loaded.sample_rate, loaded.data.shape) == (RATE, (70_000, 3))
    assert np.abs(loaded.data - samples.data).max() <= 2.0**-23  # one step of 24 bits


def test_float_is_kept_when_asked(tmp_path):
    loud = Samples(np.array([[1.5], [-2.0], [0.1]], np.float32), RATE)
    save_audio(tmp_path / "loud.wav", loud, subtype="FLOAT")
    np.testing.assert_array_equal(load_audio(tmp_path / "loud.wav").data, loud.data)
    save_audio(tmp_path / "clipped.wav", loud, subtype="PCM_16")
    np.testing.assert_allclose(load_audio(tmp_path / "clipped.wav").data[:2, 0], [1.0, -1.0], atol=1e-4)


def test_sixteen_bit_sources_survive_bit_for_bit(tmp_path):
    steps = np.random.default_rng(0).integers(-32768, 32768, (1000, 1))
    samples = Samples((steps / 32768).astype(np.float32), RATE)
    save_audio(tmp_path / "a.wav", samples, subtype="PCM_16")
    np.testing.assert_array_equal(load_audio(tmp_path / "a.wav").data, samples.data)


@pytest.mark.parametrize("suffix", [".mp3", ".ogg"])
def test_lossy_formats_keep_length_and_sound(tmp_path, suffix):
    smooth = scipy.signal.sosfilt(scipy.signal.butter(4, 0.2, output="sos"), noise(RATE, 1).data, axis=0)
    samples = Samples(smooth.astype(np.float32), RATE)
    save_audio(tmp_path / f"a{suffix}", samples)
    loaded = load_audio(tmp_path / f"a{suffix}")
    assert loaded.frames == samples.frames == audio_info(tmp_path / f"a{suffix}").frames
    likeness = scipy.signal.correlate(loaded.data[:, 0], samples.data[:, 0], method="fft")
    assert np.argmax(likeness) == RATE - 1  # no delay


def test_a_long_ogg_is_written_in_blocks(tmp_path):
    save_audio(tmp_path / "long.ogg", Samples(np.zeros((RATE * 120, 1), np.float32), RATE))
    assert audio_info(tmp_path / "long.ogg").frames == RATE * 120


def test_the_mono_view_equals_librosa(tmp_path):
    samples = noise(150_001)
    save_audio(tmp_path / "a.wav", samples, subtype="FLOAT")
    mono = load_mono(tmp_path / "a.wav", 22050)
    expected, _ = librosa.load(tmp_path / "a.wav", sr=22050)
    assert len(mono) == len(expected) == 75_001  # ceil(150001 / 2)
    np.testing.assert_allclose(mono, expected, atol=1e-6)
    np.testing.assert_array_equal(mono, to_mono(samples, 22050))


@pytest.mark.parametrize("rate", [22050, 44100])
def test_the_mono_view_of_nothing_is_empty(rate):
    assert to_mono(Samples(np.zeros((0, 2), np.float32), 44100), rate).shape == (0,)


def test_mono_at_the_files_own_rate_is_the_mean_of_the_channels(tmp_path):
    samples = noise(1000)
    save_audio(tmp_path / "a.wav", samples, subtype="FLOAT")
    mean = (samples.data[:, 0] + samples.data[:, 1]) * np.float32(0.5)
    np.testing.assert_array_equal(load_mono(tmp_path / "a.wav", RATE), mean)


def test_source_info_hashes_the_bytes(tmp_path):
    save_audio(tmp_path / "a.wav", noise(1000))
    info = source_info(tmp_path / "a.wav")
    assert (info.name, info.sample_rate, info.channels, info.frames) == ("a.wav", RATE, 2, 1000)
    assert len(info.sha256) == 64
    assert source_info(tmp_path / "a.wav", sha256="known").sha256 == "known"


def test_silence_loads(tmp_path):
    save_audio(tmp_path / "silent.wav", Samples(np.zeros((100, 1), np.float32), RATE))
    assert load_audio(tmp_path / "silent.wav").data.max() == 0.0


def broken(tmp_path, kind):
    path = tmp_path / "song.wav"
    save_audio(path, noise(10_000, 1), subtype="PCM_16")
    whole = path.read_bytes()
    match kind:
        case "folder":
            return tmp_path
        case "pipe":
            path.unlink()
            os.mkfifo(path)
        case "missing":
            return tmp_path / "other.wav"
        case "0 bytes":
            path.write_bytes(b"")
        case "garbage":
            path.write_bytes(np.random.default_rng(1).bytes(5000))
        case "1 Hz":
            path.write_bytes(whole[:24] + (1).to_bytes(4, "little") + whole[28:])
        case "truncated":
            path.write_bytes(whole[: len(whole) // 2])
        case "0 frames":
            sf.write(path, np.zeros((0, 1)), RATE)
        case "NaN":
            sf.write(path, np.array([0.0, 0.1, np.nan, 0.2]), RATE, subtype="FLOAT")
        case "infinite":
            sf.write(path, np.array([0.0, -np.inf, np.inf]), RATE, subtype="FLOAT")
    return path


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("folder", "is a folder"),
        ("missing", "no such file"),
        ("pipe", "is a device or pipe"),
        ("0 bytes", "0 bytes"),
        ("garbage", "cannot read"),
        ("truncated", "truncated: 4989 of the 10000 frames"),  # (20044 // 2 - 44) / 2
        ("0 frames", "0 frames"),
        ("1 Hz", "a sample rate of 1 Hz, at least 1000 Hz are needed"),
        ("NaN", "NaN or infinite"),
        ("infinite", "NaN or infinite"),
    ],
)
def test_broken_files_are_named_with_the_fault(tmp_path, monkeypatch, kind, said):
    monkeypatch.setenv("PATH", str(tmp_path))  # no ffmpeg
    path = broken(tmp_path, kind)
    for read in (load_audio, lambda p: load_mono(p, 22050)):
        with pytest.raises(AudioFileError, match=said) as caught:
            read(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", [".flac", ".mp3"])
def test_truncated_compressed_files_are_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    save_audio(path, noise(200_000))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioFileError, match="truncated"):
        load_audio(path)


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".aifc", ".w64", ".rf64", ".caf", ".au"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_files_without_compression_are_refused_where_they_are_cut_off(tmp_path, suffix, subtype):
    path = tmp_path / f"a{suffix}"
    save_audio(path, noise(10_000), subtype=subtype)
    assert load_audio(path).frames == 10_000
    frame = 2 * {"PCM_16": 2, "PCM_24": 3}[subtype]
    path.write_bytes(path.read_bytes()[: -4000 * frame])
    for read in (audio_info, load_audio):
        with pytest.raises(AudioFileError, match="of the 10000 frames that its header announces") as caught:
            read(path)
        there = int(str(caught.value).split("truncated: ")[1].split()[0])
        assert 6000 <= there <= 6002  # chunks of W64 end at a multiple of 8 bytes


@pytest.mark.parametrize("size", [0x7F000000, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_that_was_written_to_a_pipe_is_whole(tmp_path, size):
    """Its header was written before anybody knew how long it would be; SoX's says 7FFF F000."""
    path = tmp_path / "a.wav"
    save_audio(path, noise(1000), subtype="PCM_16")
    whole = bytearray(path.read_bytes())
    at = whole.index(b"data") + 4
    whole[at : at + 4] = size.to_bytes(4, "little")
    path.write_bytes(whole)
    assert audio_info(path).frames == load_audio(path).frames == 1000


def test_the_wrong_extension_does_not_matter(tmp_path):
    save_audio(tmp_path / "a.flac", noise(100))
    (tmp_path / "a.flac").rename(tmp_path / "a.wav")
    assert load_audio(tmp_path / "a.wav").frames == 100


def test_check_length_names_the_limit():
    utils.check_length("a.wav", duration_s=3.0, min_duration_s=3.0)
    with pytest.raises(AudioFileError, match=r"a\.wav: 0\.40 s of audio, at least 3 s"):
        utils.check_length("a.wav", duration_s=0.4, min_duration_s=3.0)
    with pytest.raises(AudioFileError, match=r"2\.99 s of audio, at least 3 s"):
        utils.check_length("a.wav", duration_s=2.99999, min_duration_s=3.0)


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.m4a"])
def test_unknown_outputs_are_refused_and_leave_nothing(tmp_path, monkeypatch, name):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AudioFileError):
        save_audio(tmp_path / name, noise(10))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".w64"])
def test_more_than_a_format_can_count_is_refused(tmp_path, suffix):
    """Five hours of six channels in 24 bits at 48 kHz: 5 * 3600 * 48000 * 6 * 3 = 15.55e9 bytes, 14.5 GiB."""
    path, frames = tmp_path / f"a{suffix}", 5 * 3600 * 48_000
    if suffix == ".w64":
        utils.open_output(path, sample_rate=48_000, channels=6, frames=frames)
        return
    with pytest.raises(AudioFileError, match=rf"a\{suffix}: 14\.5 GiB of audio, \{suffix} holds at most 4"):
        utils.open_output(path, sample_rate=48_000, channels=6, frames=frames)


def test_a_format_that_refuses_the_channels_leaves_nothing(tmp_path):
    with pytest.raises(AudioFileError, match="does not take 9 channels"):
        save_audio(tmp_path / "a.mp3", noise(10, 9))
    with pytest.raises(AudioFileError, match="does not take 1 channel at 7 Hz"):
        save_audio(tmp_path / "a.mp3", Samples(noise(10, 1).data, 7))
    assert list(tmp_path.iterdir()) == []


def test_writing_that_fails_keeps_the_old_file(tmp_path):
    save_audio(tmp_path / "a.wav", noise(10))
    before = (tmp_path / "a.wav").read_bytes()
    with pytest.raises(RuntimeError), utils.open_output(tmp_path / "a.wav", sample_rate=RATE, channels=1):
        raise RuntimeError
    assert (tmp_path / "a.wav").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


FAKE_FFMPEG = """#!{python}
import sys, soundfile as sf, numpy as np
source = sys.argv[sys.argv.index("-i") + 1]
if ":" in source[: source.find("/")]:
    sys.exit("fake: Protocol not found")
if open(source, "rb").read(4) != b"FAKE":
    sys.exit("fake: Invalid data found")
import struct
x = np.frombuffer(open(source, "rb").read()[4:], "<f4").astype(">f4")
sys.stdout.buffer.write(struct.pack(">4s5I", b".snd", 28, 0xFFFFFFFF, 6, 48000, 2) + b"none" + x.tobytes())
"""


@pytest.fixture
def fake_ffmpeg(tmp_path, monkeypatch):
    """A program that decodes files starting with FAKE as ffmpeg would: an .au of unknown length on its output."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "ffmpeg"
    program.write_text(FAKE_FFMPEG.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("fake_ffmpeg")
def test_ffmpeg_reads_what_libsndfile_cannot(tmp_path):
    data = noise(70_000).data
    (tmp_path / "a.m4a").write_bytes(b"FAKE" + data.tobytes())
    loaded = load_audio(tmp_path / "a.m4a")
    assert loaded.sample_rate == 48000
    np.testing.assert_array_equal(loaded.data, data)
    assert audio_info(tmp_path / "a.m4a").frames == 70_000


@pytest.mark.usefixtures("fake_ffmpeg")
def test_a_colon_in_a_name_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Song: mix").write_bytes(b"FAKE" + noise(10).data.tobytes())
    assert load_audio("Song: mix").frames == 10


@pytest.mark.usefixtures("fake_ffmpeg")
def test_an_mp4_named_mp3_is_left_to_ffmpeg(tmp_path):
    """Libsndfile takes whatever is named so for MP3, and finds a few frames in it."""
    path = tmp_path / "a.mp3"
    save_audio(path, noise(RATE))
    path.write_bytes(b"\x00\x00\x00\x20ftypM4A " + path.read_bytes())
    with pytest.raises(AudioFileError, match="fake: Invalid data found"):
        load_audio(path)


def test_a_place_that_takes_no_file_is_not_blamed_on_the_format():
    with pytest.raises(OutputError, match=r"/proc/a\.wav: writing fails .* or name another place"):
        save_audio("/proc/a.wav", noise(10))


def test_an_extension_is_refused_without_naming_a_subtype_nobody_gave(tmp_path):
    with pytest.raises(AudioFileError, match="cannot write a file without extension; extensions"):
        save_audio(tmp_path / "a", noise(10))


@pytest.mark.usefixtures("fake_ffmpeg")
def test_what_ffmpeg_refuses_too_is_named_with_its_words(tmp_path):
    (tmp_path / "a.m4a").write_bytes(b"something else")
    with pytest.raises(AudioFileError, match="Invalid data found"):
        load_audio(tmp_path / "a.m4a")


@pytest.mark.parametrize("frames", [0, 1, 2047, 200_000])
def test_the_mel_spectrogram_equals_librosa(frames):
    config = AudioConfig()
    mono = noise(frames, 1).data[:, 0]
    mel = utils.mel_spectrogram(mono, config)
    padded = mono if frames else np.zeros(1, np.float32)
    power = librosa.feature.melspectrogram(y=padded, sr=22050, n_fft=2048, hop_length=512, n_mels=128)
    assert mel.shape == (128, 1 + frames // 512)
    np.testing.assert_allclose(mel, librosa.power_to_db(power), atol=1e-4)


@pytest.mark.parametrize("n_fft", [512, 661, 2048, 4096])
def test_the_window_equals_scipys_to_the_bit(n_fft):
    np.testing.assert_array_equal(hann(n_fft), scipy.signal.get_window("hann", n_fft))


@pytest.mark.parametrize(("rate", "n_fft", "n_mels"), [(22050, 2048, 128), (22050, 1024, 81), (8000, 512, 20)])
def test_mel_filters_equal_librosa_to_the_bit(rate, n_fft, n_mels):
    theirs = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels)
    np.testing.assert_array_equal(utils.mel_filters(rate, n_fft, n_mels).toarray().T, theirs)


def test_stft_blocks_equal_one_long_stft():
    mono = noise(200_000, 1).data[:, 0]
    blocks = np.concatenate(list(utils.stft_blocks(mono, n_fft=1024, hop_length=300)))
    expected = librosa.stft(mono, n_fft=1024, hop_length=300).T
    np.testing.assert_allclose(blocks, expected, atol=1e-4)


@pytest.fixture
def full_disk(tmp_path):
    """A file system of 256 KiB; only root may mount one."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no small disk can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_an_end_that_found_no_room_is_missed(full_disk):
    """Room for all of an .ogg but some pages, 4 KiB at a time: libsndfile reports no error for the last ones."""
    samples, path = noise(5 * RATE, 1), full_disk / "out.ogg"
    for room in range(0, 128 * 1024, 4096):
        (full_disk / "fill").write_bytes(bytes(256 * 1024 - room))
        try:
            save_audio(path, samples)
        except OutputError:
            continue
        assert audio_info(path).frames == 5 * RATE
        break
    else:
        pytest.fail("128 KiB are enough")


@pytest.mark.parametrize("room", [0, 4096, 16384])
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".m4a"])
def test_a_full_disk_is_said_and_the_good_file_stays(full_disk, suffix, room):
    """Encoders hold sound back, and ffmpeg forgives what fails at the end of an .m4a."""
    if suffix == ".m4a" and shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg")
    path = full_disk / f"out{suffix}"
    path.write_bytes(b"good")
    (full_disk / "fill").write_bytes(bytes(256 * 1024 - 4096 - room))
    with pytest.raises(OutputError, match=rf"out\{suffix}: writing fails .* is the disk full\?"):
        save_audio(path, noise(5 * RATE, 1))
    assert sorted(p.name for p in full_disk.iterdir()) == ["fill", path.name]
    assert path.read_bytes() == b"good"


needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg")


@needs_ffmpeg
def test_a_rate_that_the_format_does_not_hold_is_refused(tmp_path):
    with pytest.raises(AudioFileError, match=r"a\.m4a: \.m4a holds no 192000 Hz \(ffmpeg would make it 96000 Hz\)"):
        save_audio(tmp_path / "a.m4a", Samples(noise(19_200).data, 192_000))
    assert not list(tmp_path.iterdir())


@needs_ffmpeg
def test_aac_is_clipped_with_a_word(tmp_path, caplog):
    t = np.arange(RATE) / RATE
    loud = (3.0 * np.sin(2 * np.pi * 220 * t)).astype(np.float32)[:, None]
    save_audio(tmp_path / "loud.m4a", Samples(loud, RATE))
    assert "loud.m4a: clipped, since .m4a holds nothing beyond full scale (+9.5 dBFS)" in caplog.text  # 20 log10(3)
    found = load_audio(tmp_path / "loud.m4a").data[:, 0]
    clipped = np.clip(loud[:, 0], -1.0, 1.0)
    assert np.sqrt((found**2).mean()) == pytest.approx(float(np.sqrt((clipped**2).mean())), rel=0.15)


@needs_ffmpeg
def test_a_third_channel_is_no_bass(tmp_path):
    """In a plain WAV nobody says what it is for; as 2.1 it would lose all but its lowest notes."""
    three = noise(2 * RATE, 3)
    save_audio(tmp_path / "three.m4a", three)
    found = load_audio(tmp_path / "three.m4a").data
    assert np.sqrt((found**2).mean(axis=0)) == pytest.approx(np.sqrt((three.data**2).mean(axis=0)), rel=0.2)


def test_an_ogg_that_does_not_end_is_said(tmp_path, caplog):
    save_audio(tmp_path / "whole.ogg", noise(5 * RATE))
    data = (tmp_path / "whole.ogg").read_bytes()
    (tmp_path / "half.ogg").write_bytes(data[: len(data) // 2])
    audio_info(tmp_path / "whole.ogg")
    assert not caplog.text
    assert audio_info(tmp_path / "half.ogg").frames < 5 * RATE
    assert "half.ogg: has no end; is the file whole?" in caplog.text


@needs_ffmpeg
def test_a_flac_that_was_written_to_a_pipe_is_whole(tmp_path, caplog):
    """It counts 0 samples in the last 36 bits of 8 bytes, the 18th on; libsndfile takes it for cut off."""
    save_audio(tmp_path / "a.flac", noise(100_000), subtype="PCM_16")
    whole = load_audio(tmp_path / "a.flac").data
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[21:26] = bytes([data[21] & 0xF0, 0, 0, 0, 0])
    (tmp_path / "a.flac").write_bytes(data)
    np.testing.assert_array_equal(load_audio(tmp_path / "a.flac").data, whole)
    assert audio_info(tmp_path / "a.flac").frames == 100_000
    assert not caplog.text


@needs_ffmpeg
@pytest.mark.parametrize("suffix", [".mka", ".wma", ".aac"])
def test_what_ffmpeg_finds_cut_off_is_said_once(tmp_path, caplog, suffix):
    whole, half = tmp_path / f"whole{suffix}", tmp_path / f"half{suffix}"
    save_audio(whole, Samples(0.2 * noise(5 * RATE).data, RATE))
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    frames = load_audio(whole).frames
    assert not caplog.text
    assert 0 < audio_info(half).frames == load_audio(half).frames < 0.7 * frames
    assert caplog.text.count(f"{half}: ffmpeg says: ") == 1
    assert caplog.text.count("is the file whole?") == 1


@needs_ffmpeg
@pytest.mark.parametrize("first", ["loud", "silent"])
def test_an_mp3_that_does_not_say_its_length_is_read_to_its_end(tmp_path, first):
    """Of its 10 s libsndfile expects 1.6 s or 13.3 s, by the size of the first frame."""
    parts = {"loud": 0.2 * noise(RATE).data[:, :1], "silent": np.zeros((9 * RATE, 1), np.float32)}
    data = np.concatenate([parts.pop(first), *parts.values()])
    save_audio(tmp_path / "a.wav", Samples(data, RATE))
    for name, counted in (("says.mp3", "1"), ("mute.mp3", "0")):
        coding = ["-c:a", "libmp3lame", "-q:a", "0", "-write_xing", counted]
        subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "a.wav", *coding, tmp_path / name], check=True)
    said, found = (load_audio(tmp_path / name) for name in ("says.mp3", "mute.mp3"))
    assert said.frames == 10 * RATE
    assert 0 < found.frames - said.frames < 3 * 1152  # the encoder's own delay and padding, of which nobody knows
    assert audio_info(tmp_path / "mute.mp3").frames == found.frames


@needs_ffmpeg
@pytest.mark.parametrize("between", [b"", b"TAG" + bytes(125)])
def test_mp3s_one_after_the_other_are_all_read(tmp_path, between):
    """Each counts its own frames; one alone, whatever stands after it, is libsndfile's, to the sample."""
    for name, seconds in (("a", 2), ("b", 3)):
        save_audio(tmp_path / f"{name}.wav", noise(seconds * RATE))
        coding = ["-c:a", "libmp3lame", tmp_path / f"{name}.mp3"]
        subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / f"{name}.wav", *coding], check=True)
    one, other = ((tmp_path / f"{name}.mp3").read_bytes() for name in "ab")
    (tmp_path / "both.mp3").write_bytes(one + between + other)
    assert abs(load_audio(tmp_path / "both.mp3").frames - 5 * RATE) < 4 * 1152  # delay and padding in the middle
    assert audio_info(tmp_path / "both.mp3").frames == load_audio(tmp_path / "both.mp3").frames
    for name, after in (("plain", b""), ("tagged", between), ("noisy", bytes(3000))):
        (tmp_path / f"{name}.mp3").write_bytes(one + after)
        assert load_audio(tmp_path / f"{name}.mp3").frames == 2 * RATE


@needs_ffmpeg
def test_ogg_streams_one_after_the_other_are_all_read(tmp_path):
    for name, seconds in (("a", 2), ("b", 3)):
        save_audio(tmp_path / f"{name}.wav", noise(seconds * RATE))
        coding = ["-c:a", "libvorbis", tmp_path / f"{name}.ogg"]  # libsndfile may give two files one number
        subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / f"{name}.wav", *coding], check=True)
    (tmp_path / "radio.ogg").write_bytes(b"".join((tmp_path / f"{name}.ogg").read_bytes() for name in "ab"))
    assert abs(load_audio(tmp_path / "radio.ogg").frames - 5 * RATE) < 2048  # of each stream half a block
    assert audio_info(tmp_path / "radio.ogg").frames == load_audio(tmp_path / "radio.ogg").frames


@needs_ffmpeg
def test_an_opus_stream_that_libsndfile_calls_malformed_midway_is_read_to_its_end(tmp_path, monkeypatch):
    """As it does with some that ffmpeg makes; what comes after the good blocks is ffmpeg's, at its place."""
    path, frames = tmp_path / "song.opus", 200_000
    save_audio(path, Samples(noise(frames).data, 48_000))
    whole, blocks = load_audio(path).data, iter(range(2))
    read = sf.SoundFile.read

    def malformed(file, *args, **how):
        if next(blocks, None) is None:
            raise sf.LibsndfileError(4)
        return read(file, *args, **how)

    monkeypatch.setattr(sf.SoundFile, "read", malformed)
    found = load_audio(path).data
    assert len(found) == len(whole) == frames
    np.testing.assert_allclose(found, whole, atol=0.02)  # two decoders
    assert np.abs(found[2 * BLOCK_FRAMES :] - whole[2 * BLOCK_FRAMES :]).max() > 0.0


@needs_ffmpeg
def test_tags_are_those_of_the_file_and_whole(tmp_path):
    """Chapters have titles of their own, a comment more than one line, and an old tag letters that are no UTF-8."""
    save_audio(tmp_path / "plain.wav", noise(RATE))
    parts = "".join(f"[CHAPTER]\nTIMEBASE=1/2\nSTART={k}\nEND={k + 1}\ntitle=Part {k}\n" for k in (0, 1))
    (tmp_path / "parts.txt").write_text(f";FFMETADATA1\n{parts}", encoding="utf-8")
    said = ("-metadata", "title=Whole", "-metadata", "comment=one = 1\r\ntwo")
    command = ["ffmpeg", "-v", "error", "-i", "plain.wav", "-i", "parts.txt", "-map_metadata", "1", *said, "talk.m4a"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert utils.read_tags(tmp_path / "talk.m4a") == {"title": "Whole", "comment": "one = 1\r\ntwo"}
    save_audio(tmp_path / "old.aac", noise(RATE))
    with (tmp_path / "old.aac").open("ab") as file:
        file.write(
            b"TAG" + "\N{LATIN CAPITAL LETTER U WITH DIAERESIS}bung".encode("latin-1").ljust(125, b"\0")
        )  # ID3v1
    assert utils.read_tags(tmp_path / "old.aac")["title"] == "\N{REPLACEMENT CHARACTER}bung"
