"""What libsndfile cannot read or write: ffmpeg on the PATH, then PyAV where it is installed.

Source: the header of Sun/NeXT .au, as which ffmpeg streams without a known length.
"""

import contextlib
import importlib.util
import logging
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from itertools import takewhile
from pathlib import Path

import numpy as np
import soundfile as sf

from rl_editor.errors import AudioFileError
from rl_editor.files import scratch_folder
from rl_editor.speakers import places_of
from rl_editor.utils.samples import BLOCK_FRAMES, Samples

_log = logging.getLogger(__name__)
_AU_MAGIC, _AU_HEADER = b".snd", struct.Struct(">4s5I")  # magic, data offset, size, encoding, rate, channels


def decode_elsewhere(path: Path) -> Iterator[Samples]:
    """Decode what libsndfile cannot, with ffmpeg or PyAV."""
    if (program := shutil.which("ffmpeg")) is not None:
        return _ffmpeg_blocks(path, program)
    if importlib.util.find_spec("av") is not None:
        return _pyav_blocks(path)
    raise AudioFileError(
        f"{path}: libsndfile cannot read it, and neither ffmpeg (on the PATH) nor PyAV is there to try; is it audio? "
        "Convert it to WAV or FLAC, or install ffmpeg or rl-editor[av]"
    )


def named(path: Path) -> str:
    """A path as FFmpeg takes it: in ``Song: mix.m4a`` it would see a protocol named Song."""
    return str(path.absolute())


def _ffmpeg_blocks(path: Path, program: str) -> Iterator[Samples]:
    """Decode through a pipe as .au, whose header is fixed and streams without a known length."""
    command = [program, "-v", "error", "-nostdin", "-i", named(path), "-vn", "-c:a", "pcm_f32be", "-f", "au", "-"]
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
        failed = child.wait() != 0
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip().splitlines()
        if failed:
            raise AudioFileError(
                f"{path}: neither libsndfile nor ffmpeg can read it ({said[-1] if said else 'no reason given'}); "
                "is it audio? Convert it to WAV or FLAC"
            )
        if said:
            _say_damaged(path, re.sub(r"^\[.*?\] ", "", said[0]))


@cache
def _say_damaged(path: Path, said: str) -> None:
    """Once; ffmpeg takes what there is of a file that is cut off, and says so in many ways."""
    _log.warning("%s: ffmpeg says: %s; is the file whole? What there is of it counts", path, said)


def _pyav_blocks(path: Path) -> Iterator[Samples]:
    import av

    try:
        with av.open(named(path)) as container:
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


def tags_by_ffmpeg(path: Path) -> dict[str, str]:
    """Tags as ffmpeg writes them out, not those of chapters; none where it is not there or cannot read the file."""
    program = shutil.which("ffmpeg")
    if program is None:
        return {}
    command = [program, "-v", "error", "-nostdin", "-i", named(path), "-f", "ffmetadata", "-"]
    said = subprocess.run(command, capture_output=True, check=False).stdout.decode(errors="replace")
    lines = re.findall(r"(?:\\.|[^\\\n])+", said, re.DOTALL)  # after a backslash even a line break is text
    own = takewhile(lambda line: line != "[CHAPTER]", lines)
    parts = (line.partition("=") for line in own if "=" in line and not line.startswith(";"))
    found = {name.lower(): re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL) for name, _, value in parts}
    return found | ({"tracknumber": found["track"]} if "track" in found else {})


def places_by_ffmpeg(path: Path) -> tuple[int, ...]:
    """The places that ffmpeg writes into a WAV; none where it is not there or cannot read the file."""
    program = shutil.which("ffmpeg")
    if program is None:
        return ()
    with scratch_folder() as folder:
        moment = folder / "moment.wav"
        command = [program, "-v", "error", "-nostdin", "-t", "0.1", "-i", named(path), "-vn", str(moment)]
        subprocess.run(command, capture_output=True, check=False)
        with contextlib.suppress(sf.LibsndfileError), sf.SoundFile(str(moment)) as file:
            return places_of(file)
    return ()
