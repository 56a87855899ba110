"""The comments of an Ogg Vorbis or Opus file replaced; its audio packets and what they count stay as they are.

ffmpeg's copy would count anew, and loses or adds samples where all audio lies in one page. The first page (alone) is
the identification, then come the comments and, in Vorbis, the setup; audio begins on a page of its own. Streams get the
number 0, where libsndfile gives one by chance, and so the same audio the same bytes.

Sources: RFC 3533, 6 (pages); Vorbis I, 4.2.1 and 5.2.1 (headers, comments); RFC 7845, 3 and 5.2 (Opus).
"""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

_HEADER = struct.Struct("<4sBBq3IB")  # "OggS", version, flags, granule, serial, sequence, checksum, number of lacings
_CONTINUED, _CHECKSUM_AT, _MOST_LACINGS, _NO_PACKET_ENDS = 1, 22, 255, -1
_LENGTH = struct.Struct("<I")
_VORBIS, _OPUS = b"\x03vorbis", b"OpusTags"
_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


class _Page(NamedTuple):
    flags: int
    granule: int
    lacings: bytes
    body: bytes


def replace_comments(path: Path, written: Path, comments: Sequence[tuple[str, str]]) -> None:
    """Write ``path``, one stream as libsndfile writes it, to ``written`` with these comments in place of its own."""
    with path.open("rb") as source, written.open("wb") as target:
        first = _next_page(source)
        assert first is not None
        n_packets = 1 if first.body.startswith(b"OpusHead") else 2
        lacings, body = b"", b""
        while sum(lacing < _MOST_LACINGS for lacing in lacings) < n_packets:
            page = _next_page(source)
            assert page is not None
            lacings, body = lacings + page.lacings, body + page.body
        comment, *setup = _packets(lacings, body)
        pages = [first, *_pages([_commented(comment, comments), *setup])]
        for number, page in enumerate(pages):
            target.write(_bytes(page, number))
        number = len(pages)
        while (page := _next_page(source)) is not None:
            target.write(_bytes(page, number))
            number += 1


def _next_page(file: BinaryIO) -> _Page | None:
    header = file.read(_HEADER.size)
    if not header:
        return None
    magic, _, flags, granule, _, _, _, n_lacings = _HEADER.unpack(header)
    assert magic == b"OggS"
    lacings = file.read(n_lacings)
    return _Page(flags, granule, lacings, file.read(sum(lacings)))


def _packets(lacings: bytes, body: bytes) -> list[bytes]:
    """Packets end with a lacing below 255."""
    packets, start, end = [], 0, 0
    for lacing in lacings:
        end += lacing
        if lacing < _MOST_LACINGS:
            packets.append(body[start:end])
            start = end
    return packets


def _pages(packets: list[bytes]) -> list[_Page]:
    """Headers in as few pages as hold them."""
    lacings = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    body, pages, continued = b"".join(packets), [], False
    for at in range(0, len(lacings), _MOST_LACINGS):
        some = lacings[at : at + _MOST_LACINGS]
        granule = _NO_PACKET_ENDS if min(some) == _MOST_LACINGS else 0
        pages.append(_Page(_CONTINUED * continued, granule, some, body[: sum(some)]))
        body, continued = body[sum(some) :], some[-1] == _MOST_LACINGS
    return pages


def _commented(packet: bytes, comments: Sequence[tuple[str, str]]) -> bytes:
    """A comment packet by the same vendor: lengths before what they count; Vorbis ends it with a bit that is set."""
    magic, end = (_OPUS, b"") if packet.startswith(_OPUS) else (_VORBIS, b"\x01")
    (n_vendor,) = _LENGTH.unpack_from(packet, len(magic))
    vendor = packet[len(magic) + _LENGTH.size :][:n_vendor]
    parts = [vendor, *(f"{name}={value}".encode() for name, value in comments)]
    counted = [_LENGTH.pack(len(part)) + part for part in parts]
    return b"".join((magic, counted[0], _LENGTH.pack(len(comments)), *counted[1:], end))


def _bytes(page: _Page, number: int) -> bytes:
    header = _HEADER.pack(b"OggS", 0, page.flags, page.granule, 0, number, 0, len(page.lacings))
    data = header + page.lacings + page.body
    return data[:_CHECKSUM_AT] + _LENGTH.pack(_checksum(data)) + data[_CHECKSUM_AT + _LENGTH.size :]


def _checksum(data: bytes) -> int:
    """CRC-32 of 0x04c11db7, the highest bit first, from 0: zlib's, of the bits in the other order and not inverted."""
    other = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{other:032b}"[::-1], 2)
