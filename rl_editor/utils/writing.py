"""Recordings to files, in the format of the extension, whole or not at all: libsndfile, and .m4a through ffmpeg."""

import contextlib
import errno
import logging
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import soundfile as sf
from jaxtyping import Shaped

from rl_editor.errors import AudioFileError, OutputError, RlEditorError
from rl_editor.files import SCRATCH, replacing, scratch_folder, target_of
from rl_editor.speakers import means_other_places, set_places, to_file_order
from rl_editor.utils.elsewhere import decode_elsewhere, named
from rl_editor.utils.samples import BLOCK_FRAMES, Samples

LIBSNDFILE_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64", ".rf64"}
)
FFMPEG_SUFFIXES = frozenset({".m4a", ".aac", ".mp4", ".wma", ".webm", ".mka"})
AUDIO_SUFFIXES = LIBSNDFILE_SUFFIXES | FFMPEG_SUFFIXES
WHOLE_BLOCKS = frozenset({".aac", ".wma"})  # say nowhere how much silence lies before and after

# 24 bits hold every 16- and 24-bit source exactly; float is kept when asked for.
_DEFAULT_SUBTYPES = {".wav": "PCM_24", ".flac": "PCM_24", ".aif": "PCM_24", ".aiff": "PCM_24", ".w64": "PCM_24",
                     ".rf64": "PCM_24", ".caf": "PCM_24", ".au": "PCM_24", ".ogg": "VORBIS", ".oga": "VORBIS",
                     ".opus": "OPUS", ".mp3": "MPEG_LAYER_III"}  # fmt: skip
_FORMATS = {".aif": "AIFF", ".oga": "OGG", ".opus": "OGG", ".aifc": "AIFF"}
_HOLDING_BACK = frozenset({"OGG", "MP3", "FLAC"})  # formats whose encoders write their last frames on closing
_SFC_SET_ADD_PEAK_CHUNK = 0x1050  # sndfile.h
_COUNT_32_BITS = frozenset({"WAV", "AIFF"})  # libsndfile writes on beyond and says nothing
_MOST_BYTES = (1 << 32) - (1 << 16)  # of samples; the rest is for headers and tags
_SAMPLE_BYTES = {"PCM_U8": 1, "PCM_S8": 1, "ALAW": 1, "ULAW": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4,
                 "DOUBLE": 8}  # fmt: skip
_FFMPEG_GUESSES_OTHERS = {3: (2, 3, 4)}  # left, right, centre, as FLAC means them; 2.1 would lose what is not bass
_log = logging.getLogger(__name__)
_SF_ERR_SYSTEM = 2  # sndfile.h: the operating system refused


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
        tagged = {"track" if name == "tracknumber" else name: value for name, value in (tags or {}).items()}
        metadata = [part for name, value in tagged.items() for part in ("-metadata", f"{name}={value}")]
        save_with_ffmpeg(path, samples, coding=metadata, places=places)
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


def format_of(path: Path) -> str:
    """Libsndfile's name of the format that the extension stands for."""
    suffix = path.suffix.lower()
    return _FORMATS.get(suffix, suffix.lstrip(".").upper())


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
        self._format = format_of(self._path)
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
        from rl_editor.command import counted  # which loads what command lines need

        if error.code == _SF_ERR_SYSTEM:
            return _unwritten(self._path, error.error_string)
        return AudioFileError(
            f"{self._path}: {self._format}/{self._subtype} does not take {counted(self._channels, 'channel')} at "
            f"{self._rate} Hz ({error}); choose another extension"
        )

    def _leave(self, fault: RlEditorError) -> NoReturn:
        """Take away what was written, and raise."""
        self._replacing.__exit__(type(fault), fault, None)
        raise fault from None


def _leave_out_peak_chunk(file: Any) -> None:
    """Float WAV and AIFF files would carry the time of writing in it: other bytes every second."""
    sf._snd.sf_command(file._file, _SFC_SET_ADD_PEAK_CHUNK, sf._ffi.NULL, 0)


def save_with_ffmpeg(
    path: Path,
    samples: Samples,
    *,
    coding: Sequence[str] = (),
    inputs: Sequence[str] = (),
    places: tuple[int, ...] = (),
) -> None:
    """Write by ffmpeg, whole or not at all: ``coding`` is what it is told of the output, whose audio is input 0.

    ``inputs`` are further ones, each with what is told of it.

    Raises:
        AudioFileError: ffmpeg is not there, or the format does not take this audio or holds no such rate.
        OutputError: the disk is full.
    """
    if shutil.which("ffmpeg") is None:
        raise AudioFileError(f"{path}: {path.suffix} is written by ffmpeg, which is not on the PATH; save as .flac")
    places = places or _FFMPEG_GUESSES_OTHERS.get(samples.channels, ())
    with scratch_folder() as folder, replacing(path) as temporary:
        plain = folder / "audio.rf64"
        save_audio(plain, within_full_scale(path, samples), subtype="FLOAT", places=places)
        run_ffmpeg(path, "-i", named(plain), *inputs, *coding, "-fflags", "+bitexact", named(temporary))
        written_hz = next(decode_elsewhere(temporary)).sample_rate
        if written_hz != samples.sample_rate:
            raise AudioFileError(
                f"{path}: {path.suffix} holds no {samples.sample_rate} Hz (ffmpeg would make it {written_hz} Hz); save "
                "as .flac"
            )


def run_ffmpeg(target: Path, *arguments: str) -> None:
    """Run ffmpeg; ``target`` is what errors name.

    Raises:
        AudioFileError: ffmpeg refuses.
        OutputError: the disk is full.
    """
    # -xerror: without it ffmpeg says nothing of a disk that is full when it writes the end
    command = ["ffmpeg", "-v", "error", "-xerror", "-nostdin", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode == 0:
        return
    full = os.strerror(errno.ENOSPC)
    if full in done.stderr:
        raise _unwritten(target, full)
    lines = done.stderr.strip().splitlines() or ["no reason given"]
    cause = re.sub(r"^\[.*?\] ", "", lines[0])  # what follows from it comes after
    raise AudioFileError(f"{target}: ffmpeg cannot write it ({cause}); save as .flac")


def within_full_scale(path: Path, samples: Samples) -> Samples:
    """Clipped, with a warning: encoders of AAC make noise of what lies beyond."""
    peak = float(np.abs(samples.data).max(initial=0.0))
    if peak <= 1.0:
        return samples
    over_db = 20.0 * np.log10(peak)
    path = target_of(path)
    _log.warning("%s: clipped, since %s holds nothing beyond full scale (%+.1f dBFS)", path, path.suffix, over_db)
    return Samples(np.clip(samples.data, -1.0, 1.0), samples.sample_rate)
