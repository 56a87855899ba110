"""Reading spans of a recording in its own sample type, from a file or from memory.

Integer samples are left-aligned as libsndfile gives them: 24 bits come as int32 whose low 8 bits are zero, so one step
of the recording is ``step`` in the array. Lossy files are decoded once, in order, into a temporary float file: a seek
in an MP3 does not give the same bits as reading up to the place.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import soundfile as sf
from jaxtyping import Shaped

from rl_editor.edits import EditList
from rl_editor.errors import AudioFileError, EditListError
from rl_editor.files import file_sha256, scratch_folder
from rl_editor.utils import Samples, audio_info, open_output, read_blocks, write_frames

# subtype -> how its samples are held; all others are read as float32
_DTYPES = {"PCM_S8": "int16", "PCM_U8": "int16", "PCM_16": "int16", "PCM_24": "int32", "PCM_32": "int32",
           "ALAC_16": "int16", "ALAC_20": "int32", "ALAC_24": "int32", "ALAC_32": "int32",
           "ULAW": "int16", "ALAW": "int16", "DOUBLE": "float64"}  # fmt: skip
_STEPS = {"PCM_S8": 1 << 8, "PCM_U8": 1 << 8, "PCM_24": 1 << 8, "ALAC_20": 1 << 12, "ALAC_24": 1 << 8}
_SHOWN_DIGITS = 12  # of a hash in a message
_LOSSY_FORMATS = frozenset({"MP3", "OGG"})
_IN_MEMORY_BYTES = 256 << 20  # 12 minutes of stereo at 48 kHz


@dataclass(frozen=True)
class SampleType:
    """How samples are held: numpy dtype, the size of one step, and libsndfile's subtype if from a file."""

    dtype: str
    step: int = 1
    subtype: str | None = None

    @property
    def full_scale(self) -> int | float:
        """What a sample of 1 is held as."""
        return np.iinfo(self.dtype).max if self.dtype.startswith("int") else 1.0

    def store(self, block: Shaped[np.ndarray, "frames channels"]) -> Shaped[np.ndarray, "frames channels"]:
        """A block as samples of this type: unchanged if it is, else rounded to the nearest step and clipped."""
        if block.dtype == self.dtype:
            return block
        if self.dtype.startswith("float"):
            return block.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        stepped = np.round(block / self.step) * self.step
        clipped: np.ndarray = np.clip(stepped, limits.min, limits.max - (self.step - 1))
        return clipped.astype(self.dtype)


@runtime_checkable
class Source(Protocol):
    """A recording whose spans can be read in any order."""

    sample_rate: int
    channels: int
    frames: int
    sample_type: SampleType

    def read(self, start: int, count: int) -> Shaped[np.ndarray, "frames channels"]:
        """``count`` frames from ``start``, in the recording's own type."""
        ...


class MemorySource:
    """Samples in memory."""

    def __init__(self, samples: Samples) -> None:
        self._data = samples.data
        self.sample_rate = samples.sample_rate
        self.channels, self.frames = samples.channels, samples.frames
        self.sample_type = SampleType("float32", subtype="FLOAT")

    def read(self, start: int, count: int) -> Shaped[np.ndarray, "frames channels"]:
        """``count`` frames from ``start``."""
        return self._data[start : start + count]


class FileSource:
    """A file that libsndfile reads and seeks to the sample; give an open ``SoundFile``."""

    def __init__(self, file: Any, name: str) -> None:
        self._file, self._name = file, name
        self.sample_rate, self.channels, self.frames = file.samplerate, file.channels, file.frames
        subtype = file.subtype
        self.sample_type = SampleType(_DTYPES.get(subtype, "float32"), _STEPS.get(subtype, 1), subtype)

    def read(self, start: int, count: int) -> Shaped[np.ndarray, "frames channels"]:
        """``count`` frames from ``start``.

        Raises:
            AudioFileError: the file ends before.
        """
        data = self._read(start, count)
        if len(data) != count:
            raise AudioFileError(
                f"{self._name}: {len(data)} of {count} frames from frame {start} on could be read; is the file cut off?"
            )
        return data

    def _read(self, start: int, count: int) -> Shaped[np.ndarray, "frames channels"]:
        """What can be read; nothing where decoding fails."""
        try:
            if self._file.tell() != start:
                self._file.seek(start)
            data: np.ndarray = self._file.read(count, dtype=self.sample_type.dtype, always_2d=True)
        except sf.LibsndfileError:
            return np.zeros((0, self.channels), self.sample_type.dtype)
        return data


def held_in_memory(path: Path) -> Samples | None:
    """The whole recording, decoded once for all that reads it; None where it is too long for that.

    Raises:
        AudioFileError: the file cannot be read.
    """
    held, rate, channels = bytearray(), 0, 1
    for block in read_blocks(path):  # to know its length first, what libsndfile cannot read would be decoded twice
        rate, channels = block.sample_rate, block.channels
        held += block.data.data
        if len(held) > _IN_MEMORY_BYTES:
            return None
    return Samples(np.frombuffer(held, np.float32).reshape(-1, channels), rate)


@contextmanager
def open_source(recording: str | Path | Samples, *, decoded: Samples | None = None) -> Iterator[Source]:
    """Open a file, or samples in memory, for reading spans.

    Args:
        recording: the file or the samples.
        decoded: the file's samples where they are at hand; read in its stead if it cannot be read in any order.

    Raises:
        AudioFileError: the file cannot be read.
    """
    if isinstance(recording, Samples):
        yield MemorySource(recording)
        return
    path = Path(recording)
    seeks = _seeks_exactly(path)
    if decoded is not None and not seeks:
        yield MemorySource(decoded)
        return
    with scratch_folder() as folder:
        seekable = path if seeks else _decoded(path, folder)
        with sf.SoundFile(str(seekable)) as file:
            yield FileSource(file, str(path))


def check_source(edit: EditList, source: Source) -> None:
    """Refuse a recording that the edit list cannot be about. Other channel counts are fine: stems of the recording.

    Raises:
        EditListError: another sample rate, or too few frames.
    """
    needed = max((segment.source_end_frame or 0 for segment in edit.segments), default=0)
    if source.sample_rate != edit.source.sample_rate or source.frames < needed:
        raise EditListError(
            f"{edit.source.name}: the edit list needs {needed} frames at {edit.source.sample_rate} Hz, the recording "
            f"has {source.frames} at {source.sample_rate} Hz; was it made for another file?"
        )


def check_recording(edit: EditList, path: Path) -> None:
    """Refuse a file with other content than the edit list was made for; one that holds no hash cuts any.

    Raises:
        EditListError: the SHA-256 is another.
        AudioFileError: it is no file, or no audio.
    """
    audio_info(path)  # which names a folder, or what is no audio, in our words
    wanted = edit.source.sha256.lower()
    if wanted and (found := file_sha256(path)) != wanted:
        raise EditListError(
            f"{path}: SHA-256 {found[:_SHOWN_DIGITS]}..., the edit list was made for {edit.source.name} with "
            f"{wanted[:_SHOWN_DIGITS]}...; name that file; render, evaluate and preview "
            "take another, say a stem of it, with --any-source"
        )


def subtype_of(path: Path) -> str:
    """How a recording's samples are read, by libsndfile's name: as they are stored, or as they were decoded."""
    return str(sf.info(str(path)).subtype) if _seeks_exactly(path) else "FLOAT"


def _seeks_exactly(path: Path) -> bool:
    try:
        return sf.info(str(path)).format not in _LOSSY_FORMATS
    except sf.LibsndfileError:
        return False


def _decoded(path: Path, folder: Path) -> Path:
    """The recording as 32-bit float, decoded from the start; RF64 has no limit of 4 GiB."""
    target = folder / "decoded.rf64"
    blocks = read_blocks(path)
    first = next(blocks)
    with open_output(target, sample_rate=first.sample_rate, channels=first.channels, subtype="FLOAT") as file:
        for block in chain((first,), blocks):
            write_frames(file, block.data, target)
    return target
