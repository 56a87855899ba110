"""How much audio a file without compression announces: of one that was cut off, decoders take what is there.

Conventions: sizes in bytes. A chunk is a name, the size of what follows it, and that; layouts differ in widths. What is
written to a pipe has a size that stands for none: 0, or one near the largest (SoX writes 7F00 0000 and 7FFF F000).

Sources: EA IFF 85 and AIFF-C (Apple 1991); Microsoft's WAVEFORMATEX; EBU Tech 3306 (RF64, BW64); Sony's Wave64; Apple's
Core Audio Format; the header of Sun/NeXT .au.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

_ENCODED_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}  # of a sample in .au, by its encoding


class Announced(NamedTuple):
    """The samples that a header announces, and those that the file has room for; in frames."""

    frames: int
    there: int


class _Layout(NamedTuple):
    """How chunks follow each other."""

    first: int  # where the first chunk begins
    name: int  # bytes of a name
    size: str  # as struct reads it
    aligned: int
    counts_itself: bool = False  # the size includes name and size


_RIFF = _Layout(12, 4, "<I", 2)
_LAYOUTS = {
    b"RIFF": _RIFF,
    b"RF64": _RIFF,
    b"BW64": _RIFF,
    b"FORM": _Layout(12, 4, ">I", 2),
    b"riff": _Layout(40, 16, "<Q", 8, counts_itself=True),
    b"caff": _Layout(8, 4, ">Q", 1),
}


def announced(path: Path) -> Announced | None:
    """What a header announces; None where it is of another kind, or does not say."""
    with path.open("rb") as file:
        magic, end = file.read(4), path.stat().st_size
        try:
            found = _au(file) if magic == b".snd" else _in_chunks(file, _LAYOUTS[magic]) if magic in _LAYOUTS else None
        except struct.error:  # it ends within its header
            return None
    if found is None or found.frame < 1 or not _is_known(found.size):
        return None
    return Announced(found.size // found.frame, max(end - found.start, 0) // found.frame)


class _Data(NamedTuple):
    """Where the samples begin, how many bytes they take, and one frame of them."""

    start: int
    size: int
    frame: int


def _au(file: BinaryIO) -> _Data:
    start, size, encoding, _, channels = struct.unpack(">5I", file.read(20))
    return _Data(start, size, _ENCODED_BYTES.get(encoding, 0) * channels)


def _in_chunks(file: BinaryIO, layout: _Layout) -> _Data | None:
    frame, long_size = 0, 0
    for name, size in _chunks(file, layout):
        match name:
            case b"fmt ":
                (frame,) = struct.unpack("<12xH", file.read(14))
            case b"COMM":
                channels, bits = struct.unpack(">H4xH", file.read(8))
                frame = channels * -(-bits // 8)
            case b"desc":
                (frame,) = struct.unpack(">16xI", file.read(20))
            case b"ds64":
                (long_size,) = struct.unpack("<8xQ", file.read(16))
            case b"data" | b"SSND":
                before = {b"SSND": 8}.get(name, 4 if layout is _LAYOUTS[b"caff"] else 0)  # offsets, a count of edits
                return _Data(file.tell() + before, long_size or size - before, frame)
    return None


def _chunks(file: BinaryIO, layout: _Layout) -> Iterator[tuple[bytes, int]]:
    """Name and size of each chunk, at whose content the file stands then."""
    at, head = layout.first, layout.name + struct.calcsize(layout.size)
    file.seek(at)
    while len(header := file.read(head)) == head:
        (size,) = struct.unpack(layout.size, header[layout.name :])
        size -= head if layout.counts_itself else 0
        if size < 0:
            return
        yield header[:4], size
        at += head + size + -size % layout.aligned
        file.seek(at)


def _is_known(size: int) -> bool:
    """Sizes written before anybody knew are near the largest of 31, 32, 63 or 64 bits."""
    return 0 < size < 1 << 62 and not (size < 1 << 32 and size & 0x7F000000 == 0x7F000000)
