"""Recordings from files: whole, streamed, or as the mono analysis view; what is broken is refused and says why.

libsndfile reads; what it cannot goes ``elsewhere``. All of them stream, so that memory holds the result and a small
block.
"""

import logging
import math
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import soundfile as sf
from jaxtyping import Float32

from rl_editor.edits import SourceInfo
from rl_editor.errors import AudioFileError
from rl_editor.files import file_sha256, legible
from rl_editor.speakers import from_file_order, places_of
from rl_editor.utils.elsewhere import decode_elsewhere, places_by_ffmpeg, tags_by_ffmpeg
from rl_editor.utils.headers import announced
from rl_editor.utils.mp3 import says_length
from rl_editor.utils.samples import BLOCK_FRAMES, AudioInfo, Samples, mixed_down

TAGS = ("title", "artist", "album", "date", "genre", "tracknumber", "comment", "copyright", "license")
LOUDEST = 2.0**31  # 32-bit integers stored as floats without scaling; above it powers leave float32
_LOSSY = frozenset({"MP3", "OGG"})  # their headers may only estimate the number of frames
_LEAST_RATE_HZ = 1000
_ANY_NUMBER = (1 << 63) - 1  # frames of a FLAC that was written to a pipe; libsndfile stops before its end
_LOSSY_LENGTH_TOLERANCE = 0.95  # share of the announced frames below which a lossy file is cut off
_OGG_PAGE_BYTES, _OGG_FLAGS, _OGG_LAST = 65_307, 5, 4  # RFC 3533: largest page, where its flags are, "last page"
_OGG_STREAM = slice(14, 18)  # the same: the stream that a page belongs to
_log = logging.getLogger(__name__)


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
    for block in decode_elsewhere(path):
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
    for block in decode_elsewhere(path) if info is None else _libsndfile_blocks(path, info):
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
    return mixed_down(read_blocks(path), sample_rate_hz)


def check_length(name: str, *, duration_s: float, min_duration_s: float) -> None:
    """Refuse a recording shorter than ``min_duration_s`` (``config.audio.min_duration_s``)."""
    if duration_s < min_duration_s:
        lasts_s = math.floor(100 * duration_s) / 100  # never rounded up to what is needed
        raise AudioFileError(
            f"{name}: {lasts_s:.2f} s of audio, at least {min_duration_s:g} s are needed; is the file cut off? "
            "(the limit is audio.min_duration_s)"
        )


def read_tags(path: str | Path) -> dict[str, str]:
    """Title, artist and the like, by libsndfile's names (``TAGS``): those that are there and can be read."""
    path = Path(path)
    try:
        with sf.SoundFile(str(path)) as file:
            found = file.copy_metadata()
    except sf.LibsndfileError:
        found = tags_by_ffmpeg(path)
    return {name: found[name] for name in TAGS if found.get(name)}


def read_places(path: str | Path) -> tuple[int, ...]:
    """Which loudspeaker each channel is for, as ``speakers`` numbers them; none where nobody says."""
    path = Path(path)
    try:
        with sf.SoundFile(str(path)) as file:
            return places_of(file)
    except sf.LibsndfileError:
        return places_by_ffmpeg(path)


def source_info(path: str | Path, *, sha256: str | None = None) -> SourceInfo:
    """The recording as an edit list names it; ``sha256`` saves hashing where it is known."""
    info = audio_info(path)
    digest = sha256 or file_sha256(path)
    return SourceInfo(Path(path).name, digest, info.sample_rate, info.channels, info.frames)


def _check_file(path: Path) -> None:
    if (shown := legible(path)) != str(path):
        raise AudioFileError(f"{shown}: the name is no UTF-8 text, and no edit list can name it; rename it")
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
    _check_announced(path)


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
    if (info.format == "MP3" and not says_length(path)) or (info.format == "OGG" and _is_chained(path)):
        return None
    if info.frames == _ANY_NUMBER:
        return None
    _check_frames(path, info.frames)
    if info.samplerate < _LEAST_RATE_HZ:
        raise AudioFileError(
            f"{path}: a sample rate of {info.samplerate} Hz, at least {_LEAST_RATE_HZ} Hz are needed; "
            "is its header damaged? Export it again"
        )
    if info.format == "OGG":
        _say_if_cut_off(path)
    return AudioInfo(info.samplerate, info.channels, info.frames, info.format, info.subtype)


def _is_chained(path: Path) -> bool:
    """Of Ogg streams one after the other, as radio sends a song each, libsndfile reads the first."""
    with path.open("rb") as file:
        first = file.read(_OGG_STREAM.stop)
        file.seek(max(path.stat().st_size - _OGG_PAGE_BYTES, 0))
        end = file.read()
    last = end[max(end.rfind(b"OggS"), 0) :]
    return len(last) >= _OGG_STREAM.stop and first[_OGG_STREAM] != last[_OGG_STREAM]


@cache
def _say_if_cut_off(path: Path) -> None:
    """An Ogg stream says on its last page that it ends; what a radio recorder wrote may not, so this is no error."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _OGG_PAGE_BYTES, 0))
        end = file.read()
    at = end.rfind(b"OggS")
    if 0 <= at < len(end) - _OGG_FLAGS and not end[at + _OGG_FLAGS] & _OGG_LAST:
        _log.warning("%s: has no end; is the file whole? What there is of it counts", path)


def _is_mp4(path: Path) -> bool:
    """Libsndfile takes whatever is named .mp3 for MP3, and finds some frames even in an MP4."""
    with path.open("rb") as file:
        return file.read(8)[4:] == b"ftyp"


def _check_announced(path: Path) -> None:
    """Decoders silently take what is there of a cut-off file; its header knows how much there was."""
    found = announced(path)
    if found is not None and found.there < found.frames:
        raise _truncated(path, found.there, found.frames)


def _truncated(path: Path, frames: int, announced: int) -> AudioFileError:
    return AudioFileError(
        f"{path}: truncated: {frames} of the {announced} frames that its header announces are there; "
        "copy or export it again"
    )


def _libsndfile_blocks(path: Path, info: AudioInfo) -> Iterator[Samples]:
    """Blocks as libsndfile decodes them; from where on it calls Opus malformed, as some of ffmpeg's, as ffmpeg does."""
    frames = 0
    try:
        with sf.SoundFile(str(path)) as file:
            while len(data := file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
                frames += len(data)
                yield Samples(from_file_order(data, info.subtype), info.sample_rate)
    except sf.LibsndfileError as error:
        if info.subtype == "OPUS":
            for rest in _from(frames, decode_elsewhere(path)):
                frames += rest.frames
                yield rest
        elif info.format in _LOSSY:
            raise AudioFileError(f"{path}: decoding stops after {frames} frames: {error}; export it again") from None
    if frames < info.frames * (_LOSSY_LENGTH_TOLERANCE if info.format in _LOSSY else 1.0):
        raise _truncated(path, frames, info.frames)


def _from(frame: int, blocks: Iterator[Samples]) -> Iterator[Samples]:
    """Blocks without the frames before one."""
    at = 0
    for block in blocks:
        rest = block.data[max(frame - at, 0) :]
        at += block.frames
        if len(rest):
            yield Samples(rest, block.sample_rate)
