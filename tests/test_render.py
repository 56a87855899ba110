"""Rendering: untouched samples bit for bit, joins without clicks or level steps, everything streamed."""

import itertools
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf

from rl_editor.config import Config
from rl_editor.crossfades import Crossfade, crossfades
from rl_editor.edits import EditList, Segment, SourceInfo, keep_all
from rl_editor.errors import AudioFileError, EditListError, OutputError
from rl_editor.files import scratch_folder
from rl_editor.render import crossfade_gains, held_in_memory, render_file, render_samples, settle_joins, sources
from rl_editor.render.joins import FADE_IN_MS, FADE_OUT_MS, MICRO_MS
from rl_editor.render.mixing import correlation
from rl_editor.utils import Samples, open_output, write_frames

RATE = 8000  # Hz
CONFIG = Config()


def noise(frames, channels=2, seed=0, scale=0.2):
    return (np.random.default_rng(seed).standard_normal((frames, channels)) * scale).astype(np.float32)


def edit_of(frames, *segments, rate=RATE, channels=2, name="song.wav"):
    return EditList(SourceInfo(name, "0" * 64, rate, channels, frames), segments)


def seg(start, frames, crossfade_in_ms=0.0, **kwargs):
    return Segment(start, frames, crossfade_in_ms, **kwargs)


def render(data, *segments, rate=RATE, config=CONFIG):
    edit = edit_of(len(data), *segments, rate=rate, channels=data.shape[1])
    return render_samples(edit, Samples(data, rate), config).data


def write(path, data, subtype):
    with sf.SoundFile(str(path), "w", RATE, data.shape[1], subtype=subtype) as file:
        file.write(data)
    return path


# ------------------------------------------------------------------------------------ bits


@pytest.mark.parametrize(
    ("suffix", "subtype", "dtype"),
    [
        ("wav", "PCM_16", "int16"),
        ("wav", "PCM_24", "int32"),
        ("wav", "PCM_32", "int32"),
        ("wav", "PCM_U8", "int16"),
        ("wav", "FLOAT", "float32"),
        ("wav", "DOUBLE", "float64"),
        ("flac", "PCM_16", "int16"),
        ("flac", "PCM_24", "int32"),
        ("flac", "PCM_S8", "int16"),
        ("aiff", "PCM_24", "int32"),
    ],
)
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_keep_all_is_the_input_bit_for_bit(tmp_path, suffix, subtype, dtype, channels):
    scale = 3.0 if dtype.startswith("float") else 0.2  # float peaks pass 1.0 and stay
    path = tmp_path / f"in.{suffix}"
    with open_output(path, sample_rate=RATE, channels=channels, subtype=subtype) as file:
        file.write(noise(12345, channels, scale=scale))
    out = tmp_path / f"out.{suffix}"
    render_file(keep_all(SourceInfo("in", "", RATE, channels, 12345)), path, out, CONFIG)
    assert sf.read(out, dtype=dtype)[0].tobytes() == sf.read(path, dtype=dtype)[0].tobytes()
    assert out.read_bytes() == path.read_bytes()  # the same writer makes the same header
    assert (sf.info(out).subtype, sf.info(out).samplerate) == (subtype, RATE)


@pytest.mark.parametrize(("subtype", "dtype"), [("PCM_16", "int16"), ("PCM_24", "int32"), ("FLOAT", "float32")])
@pytest.mark.parametrize("block_s", [0.0105, 10.0])
def test_outside_crossfades_the_samples_are_the_source_s(tmp_path, subtype, dtype, block_s):
    path = write(tmp_path / "in.wav", noise(8000), subtype)
    config = Config()
    config.render.block_s = block_s  # 84 frames, or all at once
    edit = edit_of(8000, seg(1000, 2000), seg(5000, 1500, 50.0), seg(200, 1000, 20.0))
    render_file(edit, path, tmp_path / "out.wav", config)
    source, out = (sf.read(tmp_path / name, dtype=dtype)[0] for name in ("in.wav", "out.wav"))
    assert len(out) == 4500
    # 50 ms are 400 frames, 200 on each side of the join at 2000; 20 ms are 160, 80 on each side of 3500
    for start, end, at in [(0, 1800, 1000), (2200, 3420, 5200), (3580, 4500, 280)]:
        assert (out[start:end] == source[at : at + end - start]).all()
    assert (out[1800:2200] != source[2800:3200]).any()
    if subtype == "PCM_24":
        assert (out % 256 == 0).all()


def test_a_crossfade_is_rounded_to_the_nearest_step(tmp_path):
    path = write(tmp_path / "in.wav", noise(4000), "PCM_24")
    edit = edit_of(4000, seg(0, 1000), seg(2000, 1000, 20.0))  # 80 frames to each side of frame 1000
    render_file(edit, path, tmp_path / "out.wav", CONFIG)
    source, out = (sf.read(tmp_path / name, dtype="float64")[0] for name in ("in.wav", "out.wav"))
    left, right = source[920:1080], source[1920:2080]
    gains = crossfade_gains(160, correlation=correlation(left, right))
    exact = left * gains[0][:, None] + right * gains[1][:, None]
    assert np.abs(out[920:1080] - exact).max() <= 0.5000001 / 2**23  # half a step of 24 bits


def test_block_length_does_not_change_a_bit():
    data = noise(6000)
    parts = (seg(10, 2000), seg(3000, 1500, 50.0, speed=1.03), seg(500, 900, 30.0, gain_db=-3.0), seg(None, 100, 10.0))
    config = Config()
    config.render.block_s = 0.011
    assert np.abs(render(data, *parts) - render(data, *parts, config=config)).max() < 1e-7


def test_neighbours_that_continue_are_not_touched():
    data = noise(4000)
    out = render(data, seg(0, 1000), seg(1000, 500, 50.0), seg(1500, 2500, 50.0))
    assert (out == data).all()


def test_mono_rendering_of_a_stem_with_the_edit_of_a_stereo_song():
    edit, stem = edit_of(4000, seg(0, 1000), seg(2000, 1000, 20.0)), noise(4000, 1)
    out = render_samples(edit, Samples(stem, RATE), CONFIG).data
    assert out.shape == (2000, 1)
    assert (out[:900] == stem[:900]).all()
    assert (out[1100:] == stem[2100:3000]).all()


# ------------------------------------------------------------------------------------ crossfades


@pytest.mark.parametrize("r", [0.0, 0.3, 1.0, -0.7, 2.0])
def test_gains_keep_the_power_whatever_the_correlation(r):
    out, into = crossfade_gains(50, correlation=r)
    clipped = min(max(r, 0.0), 1.0)
    np.testing.assert_allclose(out**2 + into**2 + 2 * clipped * out * into, 1.0)
    np.testing.assert_allclose(out, into[::-1])


def test_alike_sides_fade_almost_linearly_and_unlike_sides_with_equal_power():
    # one frame is t = 1/2: 1/2 each when alike, sqrt(1/2) each when not
    np.testing.assert_allclose(crossfade_gains(1, correlation=1.0), [[0.5], [0.5]])
    np.testing.assert_allclose(crossfade_gains(1, correlation=0.0), [[0.5**0.5], [0.5**0.5]])
    out, into = crossfade_gains(200, correlation=1.0)
    np.testing.assert_allclose(out + into, 1.0)
    assert np.abs(into - (np.arange(200) + 0.5) / 200).max() < 0.05


def test_correlation_by_hand():
    a = np.array([[1.0], [0.0], [2.0]])
    assert correlation(a, 2 * a) == pytest.approx(1.0)
    assert correlation(a, np.array([[1.0], [5.0], [1.0]])) == pytest.approx(3 / (5 * 27) ** 0.5)
    assert correlation(a, 0 * a) == 0.0
    assert correlation(np.hstack([a, a]), np.hstack([a, -a])) == 0.0  # alike on the left, opposite on the right


def test_looping_exactly_periodic_sound_leaves_it_unbroken():
    t = np.arange(8000)
    data = np.sin(2 * np.pi * t / 80)[:, None].astype(np.float32) * 0.5  # 100 Hz
    out = render(data, seg(800, 4000), seg(800, 4000, 50.0))  # 4000 frames are 50 periods
    np.testing.assert_allclose(out[:, 0], 0.5 * np.sin(2 * np.pi * (800 + t) / 80), atol=2e-6)


def test_level_is_kept_across_a_join_of_unlike_sides():
    data = noise(60000, 1)
    out = render(data, seg(0, 20000), seg(40000, 20000, 500.0))  # 4000 frames mixed around 20000
    power = np.square(out[18000:22000, 0]).reshape(8, 500).mean(axis=1)
    assert np.abs(10 * np.log10(power / 0.04)).max() < 1.0  # dB; 500 samples of noise scatter by 0.27 dB


@pytest.mark.parametrize(
    ("left", "right", "fade"),
    [
        (seg(1000, 1000), seg(3000, 1000, 50.0), Crossfade(200, 200)),
        (seg(1000, 1000), seg(3000, 1000, 0.0), Crossfade(0, 0)),
        (seg(1000, 100), seg(3000, 1000, 50.0), Crossfade(50, 200)),  # half of a short neighbour
        (seg(1000, 1000), seg(3000, 100, 50.0), Crossfade(200, 50)),
        (seg(1000, 1000), seg(60, 1000, 50.0), Crossfade(60, 200)),  # only 60 frames before the right side
        (seg(6990, 1000), seg(3000, 1000, 50.0), Crossfade(200, 10)),  # only 10 after the left
        (seg(1000, 1000), seg(100, 1000, 50.0, speed=2.0), Crossfade(50, 200)),  # 100 frames pass in 50 of output
        (seg(7000, 1880, speed=0.5), seg(3000, 1000, 50.0), Crossfade(200, 120)),  # and 60 in 120
        (seg(7000, 1000), seg(0, 1000, 50.0), Crossfade(24, 24, dip=True)),  # nothing on either side; 3 ms are 24
        (seg(7990, 10), seg(0, 1000, 50.0), Crossfade(5, 24, dip=True)),  # 24, or half of a passage
        (seg(6986, 1000), seg(10, 1000, 50.0), Crossfade(10, 14)),  # as long as a dip, which is not needed
        (seg(6987, 1000), seg(10, 1000, 50.0), Crossfade(24, 24, dip=True)),
        (seg(None, 1000), seg(3000, 1000, 50.0), Crossfade(200, 200)),
        (seg(1000, 1000), seg(None, 1000, 50.0), Crossfade(200, 200)),
    ],
)
def test_crossfades_are_clipped_where_material_ends(left, right, fade):
    assert crossfades(edit_of(8000, left, right)) == [Crossfade(dip=True), fade, Crossfade(dip=True)]


def test_each_end_fades_over_its_own_passage_up_to_the_crossfade_at_its_other_end():
    """Both take 480 frames, of which the one of 100 has those that the crossfade, half of it at the most, leaves."""
    fading = {"fade_in_ms": 60.0, "fade_out_ms": 60.0}
    first, inner, last = crossfades(replace(edit_of(8000, seg(0, 4000), seg(5000, 100)), **fading))
    assert (first, last) == (Crossfade(0, 480, dip=True), Crossfade(100 - inner.after, 0, dip=True))
    first, inner, last = crossfades(replace(edit_of(8000, seg(0, 100), seg(3000, 4000)), **fading))
    assert (first, last) == (Crossfade(0, 100 - inner.before, dip=True), Crossfade(480, 0, dip=True))
    assert crossfades(edit_of(8000)) == [Crossfade()]


def jump(signal):
    """The largest second difference: 0 for a line, twice the step for a click."""
    return np.abs(np.diff(signal, 2, axis=0)).max()


def test_whole_file_looped_does_not_click():
    data = np.cos(2 * np.pi * np.arange(8000) / 83.0)[:, None].astype(np.float32) * 0.5
    smooth = render(data, seg(0, 8000), seg(0, 8000, 50.0))
    hard = render(data, seg(0, 8000), seg(0, 8000, 0.0))
    assert len(smooth) == 16000
    assert jump(smooth) < 4 * jump(data)
    assert jump(hard) > 25 * jump(data)
    assert (smooth[:7976] == data[:7976]).all()  # the dip takes 3 ms, 24 frames
    assert (smooth[8024:] == data[24:]).all()


def test_many_random_joins_do_not_click():
    t = np.arange(40000)
    data = (0.3 * np.sin(2 * np.pi * t / 91.3) + 0.2 * np.sin(2 * np.pi * t / 40.1))[:, None].astype(np.float32)
    rng = np.random.default_rng(1)
    parts = [seg(int(rng.integers(0, 39000)), int(rng.integers(300, 1000)), 20.0) for _ in range(100)]
    assert jump(render(data, *parts)) < 1.5 * jump(data)


# ------------------------------------------------------------------------------------ other segments


def test_silence_is_faded_into_and_out_of():
    data = np.full((4000, 1), 0.5, np.float32)
    out = render(data, seg(0, 1000), seg(None, 1000, 50.0), seg(1000, 1000, 50.0))
    assert (out[1200:1800] == 0).all()
    assert (out[:800] == 0.5).all()
    assert jump(out) < 0.01


def test_gain_is_in_decibels():
    data = noise(1000)
    np.testing.assert_allclose(render(data, seg(0, 1000, gain_db=-6.0)), data * 10 ** (-0.3), rtol=1e-6)


def test_gain_clips_integer_samples_at_full_scale(tmp_path):
    path = write(tmp_path / "in.wav", np.full((100, 1), 0.9), "PCM_24")
    render_file(edit_of(100, seg(0, 100, gain_db=6.0)), path, tmp_path / "out.wav", CONFIG)
    assert (sf.read(tmp_path / "out.wav", dtype="int32")[0] == 2**31 - 256).all()


def test_speed_plays_more_source_in_the_same_time():
    t = np.arange(20000)
    data = np.sin(2 * np.pi * t / 100)[:, None].astype(np.float32) * 0.5
    out = render(data, seg(1000, 8000, speed=1.25))[:, 0]
    expected = 0.5 * np.sin(2 * np.pi * (1000 + 1.25 * np.arange(8000)) / 100)
    np.testing.assert_allclose(out, expected, atol=1e-3)


def test_a_faster_passage_is_on_time_after_its_crossfade():
    ramp = np.linspace(-0.5, 0.5, 40000, dtype=np.float32)[:, None]
    out = render(ramp, seg(0, 4000), seg(20000, 8000, 100.0, speed=2.0))
    after = np.arange(4500, 11500)  # the fade of 800 frames is over 400 after the join
    np.testing.assert_allclose(out[after, 0], ramp[20000 + 2 * (after - 4000), 0], atol=1e-4)


def test_speed_at_the_edges_of_the_source_keeps_its_length():
    data = noise(1000)
    for speed in (0.97, 1.0301):
        frames = int(1000 / speed)
        assert render(data, seg(0, frames, speed=speed)).shape == (frames, 2)


def test_pitch_raises_a_tone_and_keeps_its_length():
    t = np.arange(22050)
    data = np.sin(2 * np.pi * 440 * t / 22050)[:, None].astype(np.float32) * 0.5
    out = render(data, seg(0, 22050, pitch_semitones=12.0), rate=22050)[:, 0]
    assert len(out) == 22050
    assert abs(int(np.abs(np.fft.rfft(out)).argmax()) - 880) <= 2  # an octave above 440 Hz, 1 Hz bins


# ------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("suffix", ["ogg", "mp3"])
def test_lossy_sources_are_cut_as_decoded_from_the_start(tmp_path, suffix):
    path = tmp_path / f"in.{suffix}"
    sf.write(path, noise(44100), 44100)
    decoded = sf.read(path, dtype="float32", always_2d=True)[0]
    edit = edit_of(len(decoded), seg(30000, 5000), seg(1000, 5000), rate=44100)
    render_file(edit, path, tmp_path / "out.wav", CONFIG)
    out = sf.read(tmp_path / "out.wav", dtype="float32", always_2d=True)[0]
    np.testing.assert_array_equal(out, np.concatenate([decoded[30000:35000], decoded[1000:6000]]))
    render_file(edit, path, tmp_path / "held.wav", CONFIG, recording=held_in_memory(path))
    assert (tmp_path / "held.wav").read_bytes() == (tmp_path / "out.wav").read_bytes()


def test_16_bits_are_read_from_the_file_whatever_is_in_memory(tmp_path):
    path = write(tmp_path / "in.wav", noise(1000), "PCM_16")
    held = Samples(np.zeros((1000, 2), np.float32), RATE)
    render_file(edit_of(1000, seg(0, 500)), path, tmp_path / "out.wav", CONFIG, recording=held)
    out, wanted = (sf.read(p, dtype="int16")[0] for p in (tmp_path / "out.wav", path))
    np.testing.assert_array_equal(out, wanted[:500])
    assert sf.info(tmp_path / "out.wav").subtype == "PCM_16"


def test_what_is_long_is_not_held(tmp_path, monkeypatch):
    path = write(tmp_path / "in.wav", noise(1000), "PCM_16")
    monkeypatch.setattr(sources, "_IN_MEMORY_BYTES", 1000 * 2 * 4)
    assert held_in_memory(path) is not None
    monkeypatch.setattr(sources, "_IN_MEMORY_BYTES", 1000 * 2 * 4 - 1)
    assert held_in_memory(path) is None


@pytest.mark.parametrize(("suffix", "subtype"), [("flac", "PCM_16"), ("ogg", "VORBIS"), ("mp3", "MPEG_LAYER_III")])
def test_the_extension_is_the_format(tmp_path, suffix, subtype):
    path = tmp_path / "in.wav"
    sf.write(path, noise(30000), 44100, subtype="PCM_16")
    out = tmp_path / f"out.{suffix}"
    render_file(edit_of(30000, seg(0, 20000), rate=44100), path, out, CONFIG)
    assert sf.info(out).subtype == subtype
    assert sf.info(out).samplerate == 44100


def test_a_float_file_does_not_carry_the_time_of_writing(tmp_path):
    path = write(tmp_path / "in.wav", noise(100), "FLOAT")
    render_file(edit_of(100, seg(0, 50)), path, tmp_path / "out.wav", CONFIG)
    assert b"PEAK" in path.read_bytes()
    assert b"PEAK" not in (tmp_path / "out.wav").read_bytes()


def test_a_foreign_or_cut_off_recording_is_refused(tmp_path):
    path = write(tmp_path / "in.wav", noise(1000), "PCM_16")
    with pytest.raises(EditListError, match=r"needs 2000 frames.*has 1000"):
        render_file(edit_of(2000, seg(0, 2000)), path, tmp_path / "out.wav", CONFIG)
    with pytest.raises(EditListError, match="44100 Hz"):
        render_file(edit_of(1000, seg(0, 1000), rate=44100), path, tmp_path / "out.wav", CONFIG)
    with pytest.raises(EditListError, match="plays nothing"):
        render_file(edit_of(1000), path, tmp_path / "out.wav", CONFIG)
    with pytest.raises(AudioFileError, match="no such file"):
        render_file(edit_of(1000, seg(0, 1000)), tmp_path / "none.wav", tmp_path / "out.wav", CONFIG)
    assert [p.name for p in tmp_path.iterdir()] == ["in.wav"]


def test_a_cut_off_flac_is_named_and_leaves_no_output(tmp_path):
    path = tmp_path / "in.flac"
    sf.write(path, noise(100000), RATE)
    path.write_bytes(path.read_bytes()[:-50000])
    with pytest.raises(AudioFileError, match=r"in\.flac: \d+ of \d+ frames from frame \d+ on could be read"):
        render_file(edit_of(100000, seg(50000, 50000), seg(0, 50000)), path, tmp_path / "out.wav", CONFIG)
    assert [p.name for p in tmp_path.iterdir()] == ["in.flac"]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("suffix", [".mp3", ".ogg"])
def test_16_bits_to_a_lossy_format_sound_the_same(tmp_path, suffix, channels):
    """Libsndfile's own 16-bit way to a stereo MP3 gives noise (its pull request 1106)."""
    t = np.arange(RATE) / RATE
    tone = np.tile(0.3 * np.sin(2 * np.pi * 440 * t)[:, None], (1, channels))
    sf.write(tmp_path / "in.wav", tone, RATE, subtype="PCM_16")
    render_file(edit_of(RATE, seg(0, RATE)), tmp_path / "in.wav", tmp_path / f"out{suffix}", CONFIG)
    heard = sf.read(tmp_path / f"out{suffix}", always_2d=True)[0][:RATE]
    error_db = 10 * np.log10(np.mean((heard - tone) ** 2) / np.mean(tone**2))
    assert error_db < -20.0


def test_alac_of_many_channels_becomes_pcm(tmp_path):
    """Libsndfile 1.2.2 aborts in writing some of it."""
    sf.write(tmp_path / "in.caf", noise(1000, 3), RATE, subtype="ALAC_16")
    render_file(edit_of(1000, seg(0, 1000), channels=3), tmp_path / "in.caf", tmp_path / "out.caf", CONFIG)
    assert sf.info(str(tmp_path / "out.caf")).subtype == "PCM_24"


def test_an_edit_too_long_for_its_format_is_refused_before_writing(tmp_path):
    path = tmp_path / "in.wav"
    sf.write(path, noise(1000), RATE, subtype="PCM_16")
    silence = Segment(None, 1 << 40)
    with pytest.raises(AudioFileError, match=r"out\.wav: .* GiB of audio, \.wav holds at most 4"):
        render_file(edit_of(1000, seg(0, 1000), silence), path, tmp_path / "out.wav", CONFIG)
    assert [p.name for p in tmp_path.iterdir()] == ["in.wav"]


@pytest.mark.parametrize(("suffix", "clips"), [(".wav", False), (".flac", True), (".ogg", False)])
def test_peaks_that_are_clipped_are_said(tmp_path, caplog, suffix, clips):
    sf.write(tmp_path / "in.wav", np.full((1000, 1), 2.0), RATE, subtype="FLOAT")
    render_file(edit_of(1000, seg(0, 1000)), tmp_path / "in.wav", tmp_path / f"out{suffix}", CONFIG)
    said = f"{tmp_path}/out.flac: peaks up to +6.0 dBFS are clipped; .wav keeps them"  # 20 log10(2) = 6.02
    assert caplog.messages == ([said] if clips else [])


def test_a_full_disk_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"out\.wav: writing fails .*is the disk full"):
        write_frames(_FullDisk(), noise(10), tmp_path / "out.wav")


def test_full_scratch_space_says_how_to_have_it_elsewhere():
    with scratch_folder() as folder, pytest.raises(OutputError, match="or set TMPDIR to another folder"):
        write_frames(_FullDisk(), noise(10), folder / "decoded.rf64")


class _FullDisk:
    subtype = "PCM_16"

    def write(self, _):
        raise sf.LibsndfileError(2)


def test_memory_does_not_grow_with_the_recording(tmp_path):
    config = Config()
    config.render.block_s = 1.0

    def peak_bytes(seconds):
        path = tmp_path / f"{seconds}.wav"
        with sf.SoundFile(str(path), "w", RATE, 2, subtype="PCM_16") as file:
            for _ in range(seconds):
                file.write(np.zeros((RATE, 2), np.int16))
        frames = seconds * RATE
        edit = edit_of(frames, seg(frames // 2, frames // 2), seg(0, frames // 2, 50.0))
        tracemalloc.start()
        render_file(edit, path, tmp_path / "out.wav", config)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    assert peak_bytes(400) < peak_bytes(40) + 2 * RATE * 4  # ten times the audio, no second more held


# ------------------------------------------------------------------------------------ settling


def song(seconds=8, rate=RATE, seed=0):
    """A pulse of decaying noise bursts every half second over a quiet tone."""
    rng = np.random.default_rng(seed)
    data = 0.05 * np.sin(2 * np.pi * 220 * np.arange(seconds * rate) / rate)
    burst = np.exp(-np.arange(rate // 4) / (0.02 * rate))
    for beat in range(2 * seconds):
        at = beat * rate // 2
        data[at : at + rate // 4] += 0.6 * burst * rng.standard_normal(rate // 4)
    return Samples(data[:, None].astype(np.float32), rate)


def song_edit(samples, *segments):
    return edit_of(samples.frames, *segments, channels=1)


def test_a_join_moves_off_the_onset_and_the_beat_stays():
    samples = song()
    edit = song_edit(samples, seg(0, 8000), seg(24000, 8000, 20.0))  # joined on a burst on both sides
    left, right = settle_joins(edit, samples, CONFIG).segments
    shift = left.frames - 8000
    assert -160 <= shift <= -60  # off by more than half of the 20 ms fade, within 20 ms
    assert right.source_start_frame == 24000 + shift
    assert left.frames + right.frames == edit.frames
    assert right.source_end_frame == 32000


@pytest.mark.parametrize("onset", [8000, 24000])  # where the left side ends, and where the right one starts
def test_an_onset_on_one_side_alone_is_left_out_of_the_crossfade(onset):
    t = np.arange(64000)
    tone = np.sin(2 * np.pi * 220 * t / RATE) * ((t < 16000) == (onset < 16000))  # and the other side is silent
    loudness = np.where((t >= onset) & (t < onset + 2000), 0.3, 0.03)
    samples = Samples((loudness * tone)[:, None].astype(np.float32), RATE)
    left, _ = settle_joins(song_edit(samples, seg(0, 8000), seg(24000, 8000, 20.0)), samples, CONFIG).segments
    assert 60 <= abs(left.frames - 8000) <= 160  # most of half the 20 ms fade away from it, within 20 ms


@pytest.mark.parametrize(("before", "after", "stays"), [(0.3, 0.3, True), (0.3, 0.02, True), (0.02, 0.3, False)])
def test_a_join_leaves_its_place_for_an_attack_alone(before, after, stays):
    t = np.arange(64000)  # 2 s are a whole number of the tone's periods: both sides sound the same
    loudness = np.where(t % 16000 < 8000, before, after)  # changes where the join lies
    samples = Samples((loudness * np.sin(2 * np.pi * 220 * t / RATE))[:, None].astype(np.float32), RATE)
    left, right = settle_joins(song_edit(samples, seg(0, 8000), seg(24000, 8000, 20.0)), samples, CONFIG).segments
    assert right.source_start_frame - left.source_end_frame == 16000
    moved = abs(left.frames - 8000)
    assert moved <= 8 if stays else 60 <= moved <= 160  # within a millisecond, or off by most of half the fade


def test_a_join_moves_to_where_both_sides_sound_alike():
    t = np.arange(64000) / RATE
    high, low = 0.3 * np.sin(2 * np.pi * 660 * t), 0.3 * np.sin(2 * np.pi * 220 * t)
    sound = np.where(t < 2.99, high, low)  # 80 frames before the right side starts it is as on the left, then not
    samples = Samples(sound[:, None].astype(np.float32), RATE)
    left, right = settle_joins(song_edit(samples, seg(0, 8000), seg(24000, 8000, 10.0)), samples, CONFIG).segments
    assert -160 <= left.frames - 8000 <= -120  # the whole fade of 40 frames to each side lies before the change
    assert right.source_start_frame - left.source_end_frame == 16000


def test_settled_joins_lose_no_onset():
    samples = song()
    edit = song_edit(samples, seg(0, 8000), seg(24000, 8000, 20.0))
    settled = render_samples(settle_joins(edit, samples, CONFIG), samples, CONFIG).data
    assert (settled[8000:15520] == samples.data[24000:31520]).all()  # the burst at the join plays whole; the end fades
    assert (render_samples(edit, samples, CONFIG).data[8000:8080] != samples.data[24000:24080]).any()


@pytest.mark.parametrize("block_s", [0.01, 10.0])
def test_fades_of_the_ends_reach_as_far_as_they_say(block_s):
    samples = Samples(np.full((8000, 2), 0.5, np.float32), RATE)
    edit = replace(edit_of(8000, seg(1000, 3000)), fade_in_ms=3.0, fade_out_ms=60.0)  # 24 and 480 frames
    config = Config()
    config.render.block_s = block_s
    found = render_samples(edit, samples, config).data[:, 1]
    assert len(found) == 3000
    assert (found[24:-480] == 0.5).all()
    assert (np.diff(found[:25]) > 0).all()
    assert (np.diff(found[-481:]) < 0).all()
    assert found[0] < 0.02
    assert found[-1] < 0.001


def test_fades_of_the_ends_reach_to_the_next_crossfade():
    """80 frames of crossfade to each side of the join leave 1000 - 80 for each fade: more than half of a segment."""
    edit = replace(edit_of(8000, seg(1000, 1000), seg(4000, 1000, 20.0)), fade_in_ms=5000.0, fade_out_ms=5000.0)
    assert crossfades(edit) == [Crossfade(after=920, dip=True), Crossfade(80, 80), Crossfade(before=920, dip=True)]


@pytest.mark.parametrize("block_s", [0.013, 10.0])
def test_fades_of_the_ends_are_of_what_plays_beside_silence(block_s):
    """As where an exact length ends in silence: of that the fade would be, and the passage stop at full level."""
    samples = Samples(np.full((8000, 1), 0.5, np.float32), RATE)
    edit = edit_of(8000, seg(None, 100), seg(1000, 3000), seg(None, 40), channels=1)
    edit = replace(edit, fade_in_ms=50.0, fade_out_ms=100.0)  # 400 and 800 frames
    assert crossfades(edit)[1:3] == [Crossfade(after=400, dip=True), Crossfade(before=800, dip=True)]
    config = Config()
    config.render.block_s = block_s
    found = render_samples(edit, samples, config).data[:, 0]
    assert len(found) == 3140
    assert not found[:100].any()
    assert not found[-40:].any()
    assert (np.diff(found[100:500]) > 0).all()
    assert (found[500:2300] == 0.5).all()
    assert (np.diff(found[2300:3100]) < 0).all()
    assert found[3099] < 0.001
    assert crossfades(replace(edit, segments=(seg(None, 100), seg(None, 40))))[1].frames == 0  # nothing plays


def test_fades_of_the_ends_take_half_of_a_short_edit_each():
    samples = Samples(np.full((8000, 1), 0.5, np.float32), RATE)
    edit = replace(edit_of(8000, seg(1000, 100), channels=1), fade_in_ms=5000.0, fade_out_ms=5000.0)
    found = render_samples(edit, samples, CONFIG).data[:, 0]
    assert (np.diff(found[:50]) > 0).all()
    assert (np.diff(found[50:]) < 0).all()


@pytest.mark.parametrize(
    ("first", "last", "fades"),
    [
        (seg(0, 8000), seg(56000, 8000), (0.0, 0.0)),
        (seg(800, 8000), seg(56000, 8000), (FADE_IN_MS, 0.0)),
        (seg(0, 8000), seg(48000, 8000), (0.0, FADE_OUT_MS)),
        (seg(None, 800), seg(None, 800), (0.0, 0.0)),
    ],
)
def test_an_edit_fades_where_it_begins_or_ends_within_the_recording(first, last, fades):
    samples = song()
    assert samples.frames == 64000
    settled = settle_joins(song_edit(samples, first, seg(20000, 4000), last), samples, CONFIG)
    assert (settled.fade_in_ms, settled.fade_out_ms) == fades


def test_a_fade_that_was_asked_for_at_an_end_stays():
    samples = song()
    asked = replace(song_edit(samples, seg(0, 8000)), fade_out_ms=2000.0)
    assert settle_joins(asked, samples, CONFIG).fade_out_ms == 2000.0


def test_a_fade_over_the_recording_s_own_end_stays_if_it_is_longer_than_those_against_clicks():
    samples = song()
    whole = song_edit(samples, seg(0, samples.frames))
    settled = settle_joins(replace(whole, fade_in_ms=500.0, fade_out_ms=5000.0), samples, CONFIG)
    assert (settled.fade_in_ms, settled.fade_out_ms) == (500.0, 5000.0)
    settled = settle_joins(replace(whole, fade_in_ms=FADE_IN_MS, fade_out_ms=FADE_OUT_MS), samples, CONFIG)
    assert (settled.fade_in_ms, settled.fade_out_ms) == (0.0, 0.0)


def test_a_small_offset_is_taken_back_where_both_sides_then_agree():
    t = np.arange(64000)
    tone = 0.3 * np.sin(2 * np.pi * 131.0 * t / RATE) + 0.2 * np.sin(2 * np.pi * 311.7 * t / RATE)
    bar = np.tile(tone[:16000], 4)  # four bars, the same to the sample
    samples = Samples(bar[:, None].astype(np.float32), RATE)
    edit = song_edit(samples, seg(0, 20000), seg(20000 + 16000 + 15, 20000, 20.0))  # 15 frames are 1.9 ms late
    left, right = settle_joins(edit, samples, CONFIG).segments
    assert right.source_start_frame - left.source_end_frame == 16000
    assert left.frames + right.frames == edit.frames


def test_an_offset_that_is_hardly_heard_stays():
    tone = 0.3 * np.sin(2 * np.pi * 131.0 * np.arange(64000) / RATE)  # 2 s are a whole number of its periods
    samples = Samples(tone[:, None].astype(np.float32), RATE)
    edit = song_edit(samples, seg(0, 20000), seg(36000 + 4, 20000, 20.0))  # alike to cos(2 pi 131 4 / 8000) = 0.92
    left, right = settle_joins(edit, samples, CONFIG).segments
    assert right.source_start_frame - left.source_end_frame == 16000 + 4


def test_no_offset_is_taken_back_where_the_recording_ends_too_early_for_it():
    t = np.arange(16000) / RATE
    bar = 0.3 * np.sin(2 * np.pi * 131.0 * t) + 0.2 * np.sin(2 * np.pi * 311.7 * t)
    samples = Samples(np.tile(bar, 4)[:, None].astype(np.float32), RATE)
    edit = song_edit(samples, seg(0, 20000), seg(36000 - 15, 28000 + 15, 20.0))  # 15 frames early, and to the end
    settled = settle_joins(edit, samples, CONFIG)
    assert settled.frames == edit.frames
    assert settled.segments[1].source_start_frame - settled.segments[0].source_end_frame == 16000 - 15


@pytest.mark.parametrize(
    ("late", "last", "settled_late"), [(15, seg(None, 10), 15), (-15, seg(62980, 500, speed=2.0), -5)]
)
def test_an_offset_is_taken_back_only_as_far_as_the_last_segment_can_make_up_for_it(late, last, settled_late):
    """Of 10 frames of silence 2 may go, which gains too little; at double speed 10 more are the 20 that are left."""
    t = np.arange(16000) / RATE
    bar = 0.3 * np.sin(2 * np.pi * 131.0 * t) + 0.2 * np.sin(2 * np.pi * 311.7 * t)
    samples = Samples(np.tile(bar, 4)[:, None].astype(np.float32), RATE)
    edit = song_edit(samples, seg(0, 20000), seg(36000 + late, 20000, 20.0), last)
    settled = settle_joins(edit, samples, CONFIG)
    assert settled.frames == edit.frames
    assert settled.segments[1].source_start_frame - settled.segments[0].source_end_frame == 16000 + settled_late


def test_an_edit_to_the_recording_s_end_settles_one_join_though_another_would_play_beyond_the_end():
    t = np.arange(16000) / RATE
    bar = 0.3 * np.sin(2 * np.pi * 131.0 * t) + 0.2 * np.sin(2 * np.pi * 311.7 * t)
    samples = Samples(np.tile(bar, 4)[:, None].astype(np.float32), RATE)
    late, early = seg(20000 + 16000 + 15, 8000 - 30, 20.0), seg(28000 - 30, 36000 + 30, 20.0)
    edit = song_edit(samples, seg(0, 20000), late, early)
    assert early.source_start_frame - late.source_end_frame == -16000 - 15
    settled = settle_joins(edit, samples, CONFIG)
    jumps = [b.source_start_frame - a.source_end_frame for a, b in itertools.pairwise(settled.segments)]
    assert jumps == [16000, -16000]
    assert settled.frames == edit.frames


def test_an_edit_that_settling_ends_just_before_the_recording_s_end_hides_nothing_there():
    t = np.arange(16000) / RATE
    bar = 0.3 * np.sin(2 * np.pi * 131.0 * t) + 0.2 * np.sin(2 * np.pi * 311.7 * t)
    samples = Samples(np.tile(bar, 4)[:, None].astype(np.float32), RATE)
    edit = song_edit(samples, seg(0, 20000), seg(36000 + 15, 28000 - 15, 20.0))
    settled = settle_joins(edit, samples, CONFIG)
    assert settled.segments[1].source_end_frame == samples.frames - 15
    assert settled.fade_out_ms == MICRO_MS


@pytest.mark.parametrize("late", [15, -15])
def test_small_offsets_taken_back_do_not_add_up_beyond_three_milliseconds(late):
    t = np.arange(16000) / RATE
    bar = 0.3 * np.sin(2 * np.pi * 131.0 * t) + 0.2 * np.sin(2 * np.pi * 311.7 * t)
    samples = Samples(np.tile(bar, 12)[:, None].astype(np.float32), RATE)
    starts = [20000 + k * (20000 + 16000 + late) for k in range(4)]  # each 1.9 ms late, or early, after a bar
    edit = song_edit(samples, *(seg(start, 20000, 20.0 if k else 0.0) for k, start in enumerate(starts)))
    settled = settle_joins(edit, samples, CONFIG)
    jumps = [b.source_start_frame - a.source_end_frame for a, b in itertools.pairwise(settled.segments)]
    shifts = np.cumsum([jump - 16000 - late for jump in jumps])
    assert shifts[0] == -late  # the first is taken back whole ..
    assert np.abs(shifts).max() <= 24  # .. and all together no further than the music may be early or late
    assert settled.frames == edit.frames


def test_joins_settle_alike_from_file_and_memory(tmp_path):
    samples = song()
    path = tmp_path / "song.wav"
    sf.write(path, samples.data, RATE, subtype="FLOAT")
    edit = song_edit(samples, seg(0, 8000), seg(24000, 8000, 20.0), seg(9000, 4000, 20.0))
    assert settle_joins(edit, path, CONFIG) == settle_joins(edit, samples, CONFIG)


def test_settling_keeps_length_and_stays_near_on_random_edits():
    samples = song()
    rng = np.random.default_rng(3)
    for _ in range(20):
        starts = rng.integers(0, samples.frames - 9000, 5)
        edit = song_edit(samples, *(seg(int(s), int(rng.integers(50, 9000)), 50.0) for s in starts))
        settled = settle_joins(edit, samples, CONFIG)
        assert settled.frames == edit.frames
        for before, after in zip(edit.segments, settled.segments, strict=True):
            assert abs(after.source_start_frame - before.source_start_frame) <= 160 + 24  # 20 ms and 3 ms


@pytest.mark.parametrize("attacks", ["after", "before"])
def test_a_join_takes_no_more_than_a_quarter_of_a_passage_and_nothing_beyond_the_recording(attacks):
    """Three attacks 10 ms apart in every half second, from the join on or up to it: it wants 20 ms away from them."""
    t = np.arange(16020)  # 4000 frames are a whole number of the tone's periods
    at = (t + 2000) % 4000 - 2000 + (0 if attacks == "after" else 160)
    loudness = 0.02 * 2.0 ** np.clip(np.floor(at / 80) + 1, 0, 3)
    samples = Samples((loudness * np.sin(2 * np.pi * 220 * t / RATE))[:, None].astype(np.float32), RATE)

    def shift(left, right):
        settled = settle_joins(song_edit(samples, left, right), samples, CONFIG).segments[0].frames - left.frames
        return settled if attacks == "before" else -settled

    assert shift(seg(4000, 4000), seg(12000, 4000, 20.0)) >= 60
    if attacks == "after":
        assert shift(seg(7900, 100), seg(12000, 4000, 20.0)) <= 25  # the left side gives a quarter at most
        assert shift(seg(4000, 4000), seg(0, 4000, 20.0)) <= 0  # nothing comes before the first frame
    else:
        assert shift(seg(4000, 4000), seg(12000, 100, 20.0)) <= 25  # and so does the right one
        assert shift(seg(8000, 8000), seg(4000, 4000, 20.0)) <= 20  # the recording ends 20 frames on


@pytest.mark.parametrize("changed", [{"speed": 1.01}, {"pitch_semitones": 1.0}])
def test_joins_of_what_plays_at_another_speed_or_pitch_stay(changed):
    samples = song()
    for sides in (({}, changed), (changed, {})):
        edit = song_edit(samples, seg(0, 8000, **sides[0]), seg(24000, 8000, 20.0, **sides[1]))
        assert settle_joins(edit, samples, CONFIG).segments == edit.segments


def test_nothing_to_settle():
    samples = song()
    limit = Config()
    limit.render.join_search_ms = 0.0
    whole = keep_all(song_edit(samples).source)
    assert settle_joins(whole, samples, CONFIG) == whole
    silent = song_edit(samples, seg(0, 8000), seg(None, 800, 20.0), seg(samples.frames - 8000, 8000, 20.0))
    assert settle_joins(silent, samples, CONFIG) == silent
    edit = song_edit(samples, seg(0, 8000), seg(samples.frames - 8000, 8000, 20.0))
    assert settle_joins(edit, samples, limit) == edit
    assert settle_joins(replace(edit, segments=()), samples, CONFIG).segments == ()
