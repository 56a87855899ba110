"""How long an MP3 says it is: whether libsndfile, which does not look at all of it, reads it to its end.

Libsndfile 1.2 goes by the header that LAME and others write into the first frame: ``Xing`` (variable bitrate) or
``Info`` (constant), flags, and what these announce, 4 bytes each: the number of frames that follow, then the number of
bytes, this frame's among them. Where frames are not counted, or are in Fraunhofer's ``VBRI``, it estimates how many
there are by the size of the first, and stops there. Where another MP3 follows, joined by ``cat``, it stops before it.

Sources: ISO/IEC 11172-3, 2.4.1 and 2.4.2.3, and 13818-3, 2.4.2.3 (headers of frames); mp3-tech.org, "Xing header";
id3.org, ID3v2.4 and ID3v1. What libsndfile does was measured on files with such headers (tests/test_utils.py).
"""

from pathlib import Path
from typing import BinaryIO

_ID3_BYTES, _ID3V1_BYTES = 10, 128  # ID3v2's header, whose last four bytes of 7 bits are its size; the tag at the end
_LARGEST_FRAME_BYTES = 1441
_FRAMES, _BYTES = 1, 2  # flags of what a Xing header counts
_MPEG_1, _NO_MPEG = 3, 1  # of the two bits that name the version; 2 and 0 are MPEG-2 and 2.5
_RATES_HZ = {_MPEG_1: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_KBPS = {  # by four bits from 1 to 14; 0 says nothing of a frame's size
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG-1
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def says_length(path: Path) -> bool:
    """Whether an MP3's first frame counts all that there are."""
    with path.open("rb") as file:
        start = _after_id3(file, 0)
        file.seek(start)
        frame = file.read(_LARGEST_FRAME_BYTES)
        n_frames, n_bytes = _counted(frame)
        if n_frames is None:
            return False
        end = _after_frames(file, start, n_frames + 1) if n_bytes is None else start + n_bytes
        return end is None or not _goes_on(file, end)


def _counted(frame: bytes) -> tuple[int | None, int | None]:
    """Frames and bytes that the first frame counts; None where it does not say."""
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0:
        return None, None
    flags, *counts = (int.from_bytes(frame[at + k : at + k + 4], "big") for k in (4, 8, 12))
    n_frames = counts.pop(0) if flags & _FRAMES else None
    n_bytes = counts.pop(0) if flags & _BYTES else None
    return n_frames or None, n_bytes or None


def _after_frames(file: BinaryIO, at: int, n_frames: int) -> int | None:
    """Where so many frames end; None where they cannot be followed so far: the file ends, or none has a size."""
    for _ in range(n_frames):
        file.seek(at)
        size = _frame_bytes(file.read(4))
        if size is None:
            return None
        at += size
    return at


def _frame_bytes(header: bytes) -> int | None:
    """The size of the frame of layer III that starts so; None where none does, or it does not say."""
    if not _starts_frame(header):
        return None
    version, bitrate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == _NO_MPEG or not 1 <= bitrate <= len(_KBPS[True]) or rate == len(_RATES_HZ[_MPEG_1]):
        return None
    samples = 1152 if version == _MPEG_1 else 576
    padding = header[2] >> 1 & 1
    return samples // 8 * 1000 * _KBPS[version == _MPEG_1][bitrate - 1] // _RATES_HZ[version][rate] + padding


def _starts_frame(data: bytes) -> bool:
    """Eleven bits set, and layer III."""
    return len(data) >= 4 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2


def _goes_on(file: BinaryIO, at: int) -> bool:
    """Whether another MP3 starts there: a frame, maybe after a tag, and more."""
    at = _after_id3(file, _after_id3v1(file, at))
    file.seek(at)
    frame = file.read(_LARGEST_FRAME_BYTES)
    return len(frame) == _LARGEST_FRAME_BYTES and _starts_frame(frame)


def _after_id3(file: BinaryIO, at: int) -> int:
    """Where an ID3v2 tag that starts there ends; there where none does."""
    file.seek(at)
    head = file.read(_ID3_BYTES)
    size = sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=False))
    return at + _ID3_BYTES + size if head.startswith(b"ID3") else at


def _after_id3v1(file: BinaryIO, at: int) -> int:
    """The same of an ID3v1 tag, which stands at the end of the MP3 before."""
    file.seek(at)
    return at + _ID3V1_BYTES if file.read(3) == b"TAG" else at
