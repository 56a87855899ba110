"""Audio files and spectra: reading, writing, the mono analysis view, one STFT, mel spectrograms.

Conventions: samples are float32 in [-1, 1] nominally (peaks may pass 1.0 in float files), shape
``[frames, channels]``; a frame holds one sample of every channel. Spectra have shape ``[frames, bins]``; frame t
is centred on sample ``t * hop_length`` with zeros beyond the ends, as in librosa's ``center=True``.
Reading: libsndfile; what it cannot read goes to ffmpeg on the PATH, then to PyAV where it is installed. All three
stream, so that memory holds the result and a small block. Writing: libsndfile by extension; .m4a through ffmpeg.
Channels are in WAVE's order whatever the file's (``speakers``).

Sources: librosa 0.11 ``stft``/``melspectrogram``/``power_to_db`` (what the numbers equal); Sun/NeXT .au header.
"""

import contextlib
import errno
import importlib.util
import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import scipy.fft
import scipy.signal
import soundfile as sf
import soxr
from jaxtyping import Complex, Float, Float32, Shaped

from rl_editor.config import AudioConfig
from rl_editor.edits import SourceInfo
from rl_editor.errors import AudioFileError, OutputError, RlEditorError
from rl_editor.files import SCRATCH, file_sha256, replacing, scratch_folder
from rl_editor.speakers import from_file_order, means_other_places, places_of, set_places, to_file_order

LIBSNDFILE_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64", ".rf64"}
)
TAGS = ("title", "artist", "album", "date", "genre", "tracknumber", "comment", "copyright", "license")
FFMPEG_SUFFIXES = frozenset({".m4a", ".aac", ".mp4", ".wma", ".webm", ".mka"})
AUDIO_SUFFIXES = LIBSNDFILE_SUFFIXES | FFMPEG_SUFFIXES

BLOCK_FRAMES = 1 << 16  # frames read or written at a time; libsndfile crashes when a long OGG is written in one call
SPECTRUM_BLOCK_FRAMES = 256  # STFT frames at a time: 2 MiB of complex64 at n_fft 2048
POWER_FLOOR = 1e-10  # librosa's amin: -100 dB
DYNAMIC_RANGE_DB = 80.0  # librosa's top_db

# 24 bits hold every 16- and 24-bit source exactly; float is kept when asked for.
_DEFAULT_SUBTYPES = {".wav": "PCM_24", ".flac": "PCM_24", ".aif": "PCM_24", ".aiff": "PCM_24", ".w64": "PCM_24",
                     ".rf64": "PCM_24", ".caf": "PCM_24", ".au": "PCM_24", ".ogg": "VORBIS", ".oga": "VORBIS",
                     ".opus": "OPUS", ".mp3": "MPEG_LAYER_III"}  # fmt: skip
_FORMATS = {".aif": "AIFF", ".oga": "OGG", ".opus": "OGG", ".aifc": "AIFF"}
_HOLDING_BACK = frozenset({"OGG", "MP3", "FLAC"})  # formats whose encoders write their last frames on closing
LOUDEST = 2.0**31  # 32-bit integers stored as floats without scaling; above it powers leave float32
_LOSSY = frozenset({"MP3", "OGG"})  # their headers may only estimate the number of frames
_LOSSY_LENGTH_TOLERANCE = 0.95  # share of the announced frames below which a lossy file is cut off
_AU_MAGIC, _AU_HEADER = b".snd", struct.Struct(">4s5I")  # magic, data offset, size, encoding, rate, channels
_SFC_SET_ADD_PEAK_CHUNK = 0x1050  # sndfile.h
_COUNT_32_BITS = frozenset({"WAV", "AIFF"})  # libsndfile writes on beyond and says nothing
_MOST_BYTES = (1 << 32) - (1 << 16)  # of samples; the rest is for headers and tags
_SAMPLE_BYTES = {"PCM_U8": 1, "PCM_S8": 1, "ALAW": 1, "ULAW": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4,
                 "DOUBLE": 8}  # fmt: skip
_SF_ERR_SYSTEM = 2  # sndfile.h: the operating system refused
_UNKNOWN_SIZES = frozenset({0, 0xFFFFFFFF, 0x7FFFFFFF})  # a WAV header written to a pipe


@dataclass(frozen=True, eq=False)
class Samples:
    """Audio in memory: float32 frames by channels, at ``sample_rate`` Hz."""

    data: Float32[np.ndarray, "frames channels"]
    sample_rate: int

    @property
    def frames(self) -> int:
        """Number of frames."""
        return int(self.data.shape[0])

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.data.shape[1])

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate


@dataclass(frozen=True)
class AudioInfo:
    """What a file says about itself; ``format`` and ``subtype`` in libsndfile's words (WAV, PCM_16)."""

    sample_rate: int  # Hz
    channels: int
    frames: int
    format: str
    subtype: str

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate


def audio_info(path: str | Path) -> AudioInfo:
    """Rate, channels and length of a recording; from the header, or by decoding where libsndfile cannot read it.

    Raises:
        AudioFileError: the file is missing, empty, unreadable, truncated or has no frames.
    """
    path = Path(path)
    _check_file(path)
    if (info := _libsndfile_info(path)) is not None:
        return info
    rate, frames, channels = 0, 0, 0
    for block in _decode_elsewhere(path):
        rate, channels, frames = block.sample_rate, block.channels, frames + block.frames
    _check_frames(path, frames)
    return AudioInfo(rate, channels, frames, path.suffix.lstrip(".").upper(), "")


def read_blocks(path: str | Path) -> Iterator[Samples]:
    """Stream a recording in blocks at its own rate, channels kept; every sample is checked to be finite.

    Raises:
        AudioFileError: the file is missing, empty, unreadable, truncated, without frames or holds NaN or infinity.
    """
    path = Path(path)
    _check_file(path)
    info = _libsndfile_info(path)
    at = 0
    for block in _decode_elsewhere(path) if info is None else _libsndfile_blocks(path, info):
        _check_finite(path, block, at)
        at += block.frames
        yield block
    _check_frames(path, at)


def load_audio(path: str | Path) -> Samples:
    """The whole recording at its own rate with its own channels. Raises as ``read_blocks``."""
    buffer, rate, channels = bytearray(), 0, 1
    for block in read_blocks(path):
        rate, channels = block.sample_rate, block.channels
        buffer += block.data.data
    return Samples(np.frombuffer(buffer, dtype=np.float32).reshape(-1, channels), rate)


def load_mono(path: str | Path, sample_rate_hz: int) -> Float32[np.ndarray, " samples"]:
    """The mean of the channels at ``sample_rate_hz``, streamed: memory holds the result and one block.

    The length is ceil(frames * sample_rate_hz / rate), as librosa's ``resample`` gives. Raises as ``read_blocks``.
    """
    return _mono(read_blocks(path), sample_rate_hz)


def to_mono(samples: Samples, sample_rate_hz: int) -> Float32[np.ndarray, " samples"]:
    """The mean of the channels at ``sample_rate_hz``: what ``load_mono`` gives for the same audio."""
    starts = range(0, samples.frames, BLOCK_FRAMES)
    blocks = (Samples(samples.data[a : a + BLOCK_FRAMES], samples.sample_rate) for a in starts)
    return _mono(blocks, sample_rate_hz)


def check_length(name: str, *, duration_s: float, min_duration_s: float) -> None:
    """Refuse a recording shorter than ``min_duration_s`` (``config.audio.min_duration_s``)."""
    if duration_s < min_duration_s:
        raise AudioFileError(
            f"{name}: {duration_s:.2f} s of audio, at least {min_duration_s:g} s are needed; is the file cut off? "
            "(the limit is audio.min_duration_s)"
        )


def read_tags(path: str | Path) -> dict[str, str]:
    """Title, artist and the like, by libsndfile's names (``TAGS``): those that are there and can be read."""
    path = Path(path)
    try:
        with sf.SoundFile(str(path)) as file:
            found = file.copy_metadata()
    except sf.LibsndfileError:
        found = _tags_by_ffmpeg(path)
    return {name: found[name] for name in TAGS if found.get(name)}


def read_places(path: str | Path) -> tuple[int, ...]:
    """Which loudspeaker each channel is for, as ``speakers`` numbers them; none where nobody says."""
    path = Path(path)
    try:
        with sf.SoundFile(str(path)) as file:
            return places_of(file)
    except sf.LibsndfileError:
        return _places_by_ffmpeg(path)


def save_audio(
    path: str | Path,
    samples: Samples,
    *,
    subtype: str | None = None,
    tags: Mapping[str, str] | None = None,
    places: tuple[int, ...] = (),
) -> None:
    """Write a file in the format of its extension, in blocks, whole or not at all.

    ``subtype`` is libsndfile's (PCM_16, PCM_24, FLOAT, VORBIS ...); None takes 24 bits where the format has them.
    Integer subtypes clip at full scale. ``tags`` are as ``read_tags`` gives them, ``places`` as ``read_places`` does.

    Raises:
        AudioFileError: the format is unknown or does not take this subtype, rate, channel count or places.
        OutputError: the disk is full, or the folder takes no files.
    """
    path = Path(path)
    if path.suffix.lower() in FFMPEG_SUFFIXES:
        _save_with_ffmpeg(path, samples, tags or {}, places)
        return
    with open_output(
        path,
        sample_rate=samples.sample_rate,
        channels=samples.channels,
        subtype=subtype,
        tags=tags,
        places=places,
        frames=samples.frames,
    ) as file:
        write_frames(file, samples.data, path)


def write_frames(file: Any, data: Shaped[np.ndarray, "frames channels"], path: Path) -> None:
    """Write channels in WAVE's order to what ``open_output`` gave, in blocks.

    Raises:
        OutputError: the disk takes no more.
    """
    try:
        for start in range(0, len(data), BLOCK_FRAMES):
            block = to_file_order(data[start : start + BLOCK_FRAMES], file.subtype)
            if file.subtype == "MPEG_LAYER_III" and block.dtype == np.int16:
                block = block.astype(np.int32) << 16  # libsndfile 1.2.2 makes noise of every other 16-bit sample
            file.write(block)
    except sf.LibsndfileError as error:
        raise _unwritten(path, error) from None


def _unwritten(path: Path, reason: object) -> OutputError:
    remedy = "set TMPDIR to another folder" if _is_scratch(path) else "name another place"
    return OutputError(f"{path}: writing fails ({reason}); is the disk full? Free some space, or {remedy}")


def _is_scratch(path: Path) -> bool:
    return path.parent.name.startswith(SCRATCH)


def source_info(path: str | Path, *, sha256: str | None = None) -> SourceInfo:
    """The recording as an edit list names it; ``sha256`` saves hashing where it is known."""
    info = audio_info(path)
    digest = sha256 or file_sha256(path)
    return SourceInfo(Path(path).name, digest, info.sample_rate, info.channels, info.frames)


def n_spectrum_frames(n_samples: int, *, hop_length: int) -> int:
    """STFT frames of a signal: 1 + n // hop."""
    return 1 + n_samples // hop_length


def stft_blocks(
    mono: Float32[np.ndarray, " samples"], *, n_fft: int, hop_length: int
) -> Iterator[Complex[np.ndarray, "frames bins"]]:
    """The Hann STFT in blocks of frames, ``SPECTRUM_BLOCK_FRAMES`` each but the last.

    X[t, k] = sum_n w[n] y[t*hop + n - n_fft/2] exp(-2 pi i k n / n_fft), computed in float64 and stored as
    complex64: a float32 FFT moves the last spectral-contrast band by up to 2.7 dB.
    """
    window = scipy.signal.get_window("hann", n_fft, fftbins=True)
    n_frames = n_spectrum_frames(len(mono), hop_length=hop_length)
    for first in range(0, n_frames, SPECTRUM_BLOCK_FRAMES):
        count = min(SPECTRUM_BLOCK_FRAMES, n_frames - first)
        piece = padded_span(mono, first * hop_length - n_fft // 2, (count - 1) * hop_length + n_fft)
        framed = np.lib.stride_tricks.sliding_window_view(piece, n_fft)[::hop_length]
        yield scipy.fft.rfft(framed * window, axis=1, overwrite_x=True).astype(np.complex64)


def padded_span(mono: Float32[np.ndarray, " samples"], start: int, length: int) -> Float32[np.ndarray, " span"]:
    """``length`` samples from ``start`` (which may be negative), zero outside the signal."""
    span = np.zeros(length, np.float32)
    low, high = max(start, 0), min(start + length, len(mono))
    if high > low:
        span[low - start : high - start] = mono[low:high]
    return span


def power(spectrum: Complex[np.ndarray, "frames bins"]) -> Float32[np.ndarray, "frames bins"]:
    """|X|^2."""
    result: np.ndarray = np.square(spectrum.real) + np.square(spectrum.imag)
    return result


@lru_cache(maxsize=8)
def mel_filters(sample_rate: int, n_fft: int, n_mels: int) -> Any:
    """Slaney's mel filters as a sparse matrix, float32 [bins, mels]."""
    import scipy.sparse
    from librosa.filters import mel

    return scipy.sparse.csr_array(mel(sr=sample_rate, n_fft=n_fft, n_mels=n_mels).T)


def mel_spectrogram(mono: Float32[np.ndarray, " samples"], config: AudioConfig) -> Float32[np.ndarray, "mels frames"]:
    """Mel power in dB re 1.0, floored at 80 dB below its maximum (librosa's ``power_to_db(melspectrogram(y))``)."""
    filters = mel_filters(config.sample_rate, config.n_fft, config.n_mels)
    n_frames = n_spectrum_frames(len(mono), hop_length=config.hop_length)
    mel, at = np.empty((n_frames, config.n_mels), np.float32), 0
    for spectrum in stft_blocks(mono, n_fft=config.n_fft, hop_length=config.hop_length):
        mel[at : at + len(spectrum)] = power(spectrum) @ filters
        at += len(spectrum)
    return to_db(mel).T


def to_db(power_values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """10 log10(max(S, 1e-10)), floored at 80 dB below the maximum of the whole array."""
    db: np.ndarray = 10.0 * np.log10(np.maximum(power_values, POWER_FLOOR))
    floored: np.ndarray = np.maximum(db, db.max(initial=-100.0) - DYNAMIC_RANGE_DB).astype(power_values.dtype)
    return floored


# ---------------------------------------------------------------- reading


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise AudioFileError(f"{path}: is a folder, a recording is needed; name one of the files in it")
    if path.exists() and not path.is_file():
        raise AudioFileError(f"{path}: is a device or pipe, a file is needed; save what it gives first")
    if not path.is_file():
        raise AudioFileError(f"{path}: no such file; is the path spelt right?")
    if not os.access(path, os.R_OK):
        raise AudioFileError(f"{path}: may not be read; change the file's permissions")
    if path.stat().st_size == 0:
        raise AudioFileError(f"{path}: an empty file of 0 bytes; copy or export it again")


def _check_frames(path: Path, frames: int) -> None:
    if frames == 0:
        raise AudioFileError(f"{path}: 0 frames of audio, at least one is needed; copy or export it again")


def _check_finite(path: Path, block: Samples, at: int) -> None:
    loudest = max(-float(block.data.min(initial=0.0)), float(block.data.max(initial=0.0)))  # NaN stays NaN
    if loudest <= LOUDEST:
        return
    if np.isfinite(block.data).all():
        raise AudioFileError(
            f"{path}: samples up to {loudest:.3g} after {at / block.sample_rate:.3f} s; full scale is 1 and at most "
            f"{LOUDEST:.3g} is read; export it again"
        )
    bad = np.flatnonzero(~np.isfinite(block.data).all(axis=1))
    where = (at + int(bad[0])) / block.sample_rate
    raise AudioFileError(
        f"{path}: NaN or infinite samples from {where:.3f} s on; samples must be finite numbers; export it again"
    )


def _libsndfile_info(path: Path) -> AudioInfo | None:
    """None where libsndfile cannot read the file."""
    if _is_mp4(path):
        return None
    try:
        info = sf.info(str(path))
    except sf.LibsndfileError:
        return None
    _check_frames(path, info.frames)
    if info.format in {"WAV", "WAVEX"}:
        _check_wav_size(path, info.frames)
    return AudioInfo(info.samplerate, info.channels, info.frames, info.format, info.subtype)


def _is_mp4(path: Path) -> bool:
    """Libsndfile takes whatever is named .mp3 for MP3, and finds some frames even in an MP4."""
    with path.open("rb") as file:
        return file.read(8)[4:] == b"ftyp"


def _check_wav_size(path: Path, frames: int) -> None:
    """Libsndfile silently takes what is there of a cut-off WAV; its header knows how much there was."""
    announced = _wav_frames(path)
    if announced is not None and announced > frames:
        raise _truncated(path, frames, announced)


def _wav_frames(path: Path) -> int | None:
    """Frames that a RIFF header announces; None where it does not say."""
    block_align = 0
    with path.open("rb") as file:
        if file.read(12)[:4] != b"RIFF":
            return None
        while len(header := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", header)
            if name == b"data":
                known = block_align > 0 and size not in _UNKNOWN_SIZES
                return size // block_align if known else None
            if name == b"fmt ":
                block_align = struct.unpack_from("<H", file.read(size), 12)[0]
                size = 0
            file.seek(size + size % 2, 1)
    return None


def _truncated(path: Path, frames: int, announced: int) -> AudioFileError:
    return AudioFileError(
        f"{path}: truncated: {frames} of the {announced} frames that its header announces are there; "
        "copy or export it again"
    )


def _libsndfile_blocks(path: Path, info: AudioInfo) -> Iterator[Samples]:
    frames = 0
    try:
        with sf.SoundFile(str(path)) as file:
            while len(data := file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
                frames += len(data)
                yield Samples(from_file_order(data, info.subtype), info.sample_rate)
    except sf.LibsndfileError as error:
        if info.format in _LOSSY:
            raise AudioFileError(f"{path}: decoding stops after {frames} frames: {error}; export it again") from None
    if frames < info.frames * (_LOSSY_LENGTH_TOLERANCE if info.format in _LOSSY else 1.0):
        raise _truncated(path, frames, info.frames)


def _decode_elsewhere(path: Path) -> Iterator[Samples]:
    """Decode what libsndfile cannot, with ffmpeg or PyAV."""
    if (program := shutil.which("ffmpeg")) is not None:
        return _ffmpeg_blocks(path, program)
    if importlib.util.find_spec("av") is not None:
        return _pyav_blocks(path)
    raise AudioFileError(
        f"{path}: libsndfile cannot read it, and neither ffmpeg (on the PATH) nor PyAV is there to try; is it audio? "
        "Convert it to WAV or FLAC, or install ffmpeg or rl-editor[av]"
    )


def _named(path: Path) -> str:
    """A path as FFmpeg takes it: in ``Song: mix.m4a`` it would see a protocol named Song."""
    return str(path.absolute())


def _ffmpeg_blocks(path: Path, program: str) -> Iterator[Samples]:
    """Decode through a pipe as .au, whose header is fixed and streams without a known length."""
    command = [program, "-v", "error", "-nostdin", "-i", _named(path), "-vn", "-c:a", "pcm_f32be", "-f", "au", "-"]
    with tempfile.TemporaryFile() as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as child:
        assert child.stdout is not None
        try:
            header = child.stdout.read(_AU_HEADER.size)
            if len(header) == _AU_HEADER.size and header.startswith(_AU_MAGIC):
                _, offset, _, _, rate, channels = _AU_HEADER.unpack(header)
                child.stdout.read(offset - _AU_HEADER.size)
                while data := child.stdout.read(BLOCK_FRAMES * channels * 4):
                    values = np.frombuffer(data[: len(data) // (4 * channels) * 4 * channels], ">f4")
                    yield Samples(values.astype(np.float32).reshape(-1, channels), rate)
        finally:
            child.stdout.close()
        if child.wait() != 0:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().splitlines()
            raise AudioFileError(
                f"{path}: neither libsndfile nor ffmpeg can read it ({said[-1] if said else 'no reason given'}); "
                "is it audio? Convert it to WAV or FLAC"
            )


def _pyav_blocks(path: Path) -> Iterator[Samples]:
    import av

    try:
        with av.open(_named(path)) as container:
            stream = container.streams.audio[0]
            resampler = av.AudioResampler(format="flt", layout=stream.layout, rate=stream.rate)
            for frame in container.decode(stream):
                for packed in resampler.resample(frame):
                    values = packed.to_ndarray().reshape(-1, stream.channels)
                    yield Samples(values.astype(np.float32), stream.rate)
    except (av.FFmpegError, IndexError) as error:
        raise AudioFileError(
            f"{path}: neither libsndfile nor PyAV can read it ({error}); is it audio? Convert it to WAV or FLAC"
        ) from None


def _mono(blocks: Iterable[Samples], sample_rate_hz: int) -> Float32[np.ndarray, " samples"]:
    buffer, frames, rate = bytearray(), 0, sample_rate_hz
    stream: soxr.ResampleStream | None = None
    for block in blocks:
        rate, frames = block.sample_rate, frames + block.frames
        mixed = _mix(block.data)
        if rate != sample_rate_hz:
            stream = stream or soxr.ResampleStream(rate, sample_rate_hz, 1, dtype="float32", quality="HQ")
            mixed = stream.resample_chunk(mixed)
        buffer += mixed.data
    if stream is not None:
        buffer += stream.resample_chunk(np.empty(0, np.float32), last=True).data
    length = ceil(frames * sample_rate_hz / rate)
    del buffer[4 * length :]
    buffer += bytes(4 * length - len(buffer))
    return np.frombuffer(buffer, dtype=np.float32)


def _mix(data: Float32[np.ndarray, "frames channels"]) -> Float32[np.ndarray, " frames"]:
    mixed = data[:, 0].copy()
    for channel in range(1, data.shape[1]):
        mixed += data[:, channel]
    if data.shape[1] > 1:
        mixed *= np.float32(1.0 / data.shape[1])
    return mixed


# ---------------------------------------------------------------- writing


class open_output:
    """Context manager that gives a ``soundfile.SoundFile`` to write to; the file appears when the block ends well.

    Write with ``write_frames``. The format is that of the extension. ``frames``: how many are to come, where that is
    known; more than the format can count are refused.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        sample_rate: int,
        channels: int,
        subtype: str | None = None,
        tags: Mapping[str, str] | None = None,
        places: tuple[int, ...] = (),
        frames: int = 0,
    ) -> None:
        self._path, self._tags, self._places = Path(path), dict(tags or {}), places
        suffix = self._path.suffix.lower()
        self._format = _FORMATS.get(suffix, suffix.lstrip(".").upper())
        self._subtype = subtype or _DEFAULT_SUBTYPES.get(suffix)
        self._rate, self._channels = sample_rate, channels
        with_subtype = f" with subtype {subtype}" if subtype else ""
        if not suffix or not sf.check_format(self._format, self._subtype):
            raise AudioFileError(
                f"{path}: cannot write {suffix or 'a file without extension'}{with_subtype}; "
                f"extensions that can be written: {', '.join(sorted(_DEFAULT_SUBTYPES))}, and .m4a with ffmpeg"
            )
        if means_other_places(str(self._subtype), places):
            raise AudioFileError(
                f"{path}: {suffix} means other loudspeakers by {channels} channels than this audio is for; choose "
                "another extension"
            )
        n_bytes = frames * channels * _SAMPLE_BYTES.get(str(self._subtype), 0)
        if self._format in _COUNT_32_BITS and n_bytes > _MOST_BYTES:
            raise AudioFileError(
                f"{path}: {n_bytes / 2**30:.1f} GiB of audio, {suffix} holds at most 4; choose .rf64, .w64 or .flac"
            )
        if self._format == "WAV" and places and sf.check_format("WAVEX", self._subtype):
            self._format = "WAVEX"  # plain WAV has no room for them

    def __enter__(self) -> Any:
        self._replacing = replacing(self._path)
        self._temporary = self._replacing.__enter__()
        try:
            self._file = sf.SoundFile(
                str(self._temporary), "w", self._rate, self._channels, format=self._format, subtype=self._subtype
            )
        except sf.LibsndfileError as error:
            self._leave(self._refused(error))
        _leave_out_peak_chunk(self._file)
        if self._places:
            set_places(self._file, self._places)
        for name, value in self._tags.items():
            with contextlib.suppress(sf.LibsndfileError):  # W64 and some others have no place for it
                setattr(self._file, name, value)
        return self._file

    def __exit__(self, *exception: Any) -> None:
        try:
            n_frames = self._file.frames
            self._file.close()
            if exception[0] is None and self._format in _HOLDING_BACK and n_frames:
                self._check_end(n_frames)
        except sf.LibsndfileError as error:
            if exception[0] is None:
                self._leave(_unwritten(self._path, error))
        self._replacing.__exit__(*exception)

    def _check_end(self, n_frames: int) -> None:
        """Libsndfile says nothing when there is no room for what an encoder has held back."""
        try:
            found = sf.info(str(self._temporary)).frames
        except sf.LibsndfileError:
            found = 0
        if found < n_frames:
            self._leave(_unwritten(self._path, f"{found} of {n_frames} frames are there"))

    def _refused(self, error: sf.LibsndfileError) -> RlEditorError:
        if error.code == _SF_ERR_SYSTEM:
            return _unwritten(self._path, error.error_string)
        return AudioFileError(
            f"{self._path}: {self._format}/{self._subtype} does not take {self._channels} channels at "
            f"{self._rate} Hz ({error}); choose another extension"
        )

    def _leave(self, fault: RlEditorError) -> NoReturn:
        """Take away what was written, and raise."""
        self._replacing.__exit__(type(fault), fault, None)
        raise fault from None


def _leave_out_peak_chunk(file: Any) -> None:
    """Float WAV and AIFF files would carry the time of writing in it: other bytes every second."""
    sf._snd.sf_command(file._file, _SFC_SET_ADD_PEAK_CHUNK, sf._ffi.NULL, 0)


def _tags_by_ffmpeg(path: Path) -> dict[str, str]:
    """Tags as ffmpeg writes them out, a line each; none where it is not there or cannot read the file."""
    program = shutil.which("ffmpeg")
    if program is None:
        return {}
    command = [program, "-v", "error", "-nostdin", "-i", _named(path), "-f", "ffmetadata", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (line.partition("=") for line in done.stdout.splitlines() if "=" in line and not line.startswith(";"))
    found = {name.lower(): re.sub(r"\\(.)", r"\1", value) for name, _, value in lines}
    return found | ({"tracknumber": found["track"]} if "track" in found else {})


def _places_by_ffmpeg(path: Path) -> tuple[int, ...]:
    """The places that ffmpeg writes into a WAV; none where it is not there or cannot read the file."""
    program = shutil.which("ffmpeg")
    if program is None:
        return ()
    with scratch_folder() as folder:
        moment = folder / "moment.wav"
        command = [program, "-v", "error", "-nostdin", "-t", "0.1", "-i", _named(path), "-vn", str(moment)]
        subprocess.run(command, capture_output=True, check=False)
        with contextlib.suppress(sf.LibsndfileError), sf.SoundFile(str(moment)) as file:
            return places_of(file)
    return ()


def _save_with_ffmpeg(path: Path, samples: Samples, tags: Mapping[str, str], places: tuple[int, ...]) -> None:
    program = shutil.which("ffmpeg")
    if program is None:
        raise AudioFileError(f"{path}: {path.suffix} is written by ffmpeg, which is not on the PATH; save as .flac")
    with scratch_folder() as folder, replacing(path) as temporary:
        plain = folder / "audio.rf64"
        save_audio(plain, samples, subtype="FLOAT", places=places)
        named = {"track" if name == "tracknumber" else name: value for name, value in tags.items()}
        metadata = [part for name, value in named.items() for part in ("-metadata", f"{name}={value}")]
        # -xerror: without it ffmpeg says nothing of a disk that is full when it writes the end
        command = [program, "-v", "error", "-xerror", "-nostdin", "-y", "-i", str(plain), *metadata]
        command += ["-fflags", "+bitexact", _named(temporary)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 and os.strerror(errno.ENOSPC) in done.stderr:
            raise _unwritten(path, os.strerror(errno.ENOSPC))
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            cause = re.sub(r"^\[.*?\] ", "", lines[0])  # what follows from it comes after
            raise AudioFileError(f"{path}: ffmpeg cannot write it ({cause}); save as .flac")
