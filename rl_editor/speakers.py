"""Which loudspeaker each channel of a file is for, and in which order a format stores them.

Conventions: inside this package channels are in WAVE's order (front left, front right, centre, bass, rear, side), as
WAV, FLAC and what ffmpeg decodes have them. Vorbis and Opus store them in an order of their own and libsndfile hands
them on as they are. Places are libsndfile's numbers (``SF_CHANNEL_MAP_*`` in sndfile.h); no places: nobody says.
Mono and stereo need neither.

Sources: Vorbis I specification, 4.3.9; RFC 7845, 5.1.1.2 (Opus); RFC 9639, 9.1.3 and 8.6.2 (FLAC); Microsoft's
WAVEFORMATEXTENSIBLE. The orders are measured against ffmpeg, both ways.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from jaxtyping import Shaped

_SFC_GET_CHANNEL_MAP_INFO, _SFC_SET_CHANNEL_MAP_INFO = 0x1100, 0x1101  # sndfile.h
# _VORBIS_ORDER[n][k]: where a Vorbis file of n channels has channel k of WAVE
_VORBIS_ORDER = {3: [0, 2, 1], 5: [0, 2, 1, 3, 4], 6: [0, 2, 1, 5, 3, 4], 7: [0, 2, 1, 6, 5, 3, 4],
                 8: [0, 2, 1, 7, 5, 6, 3, 4]}  # fmt: skip
_IN_VORBIS_ORDER = frozenset({"VORBIS", "OPUS"})
# places by the bits of a WAVE channel mask, from the lowest: front left and right, centre, bass, rear left and right,
# left and right of centre, rear centre, side left and right; the ceiling has none here
_MASK_PLACES = (2, 3, 4, 11, 9, 10, 12, 13, 8, 14, 15)
_REAR_OF_SIDE = {14: 9, 15: 10}  # 5.1 of films says side, of games rear, and both mean the same loudspeakers
# what FLAC, Vorbis and Opus mean by a number of channels
_BY_COUNT = {3: (2, 3, 4), 4: (2, 3, 9, 10), 5: (2, 3, 4, 9, 10), 6: (2, 3, 4, 11, 9, 10),
             7: (2, 3, 4, 11, 8, 14, 15), 8: (2, 3, 4, 11, 9, 10, 14, 15)}  # fmt: skip
_FLAC_MASK = re.compile(rb"WAVEFORMATEXTENSIBLE_CHANNEL_MASK=0x([0-9A-F]{1,8})", re.IGNORECASE)
_FLAC_HEAD_BYTES = 1 << 16  # tags lie before pictures and sound

Frames = Shaped[np.ndarray, "frames channels"]


def from_file_order(data: Frames, subtype: str) -> Frames:
    """Channels as a file of this subtype stores them, in WAVE's order."""
    order = _VORBIS_ORDER.get(data.shape[1]) if subtype in _IN_VORBIS_ORDER else None
    return data if order is None else np.take(data, order, axis=1)


def to_file_order(data: Frames, subtype: str) -> Frames:
    """Channels in WAVE's order, as a file of this subtype stores them."""
    order = _VORBIS_ORDER.get(data.shape[1]) if subtype in _IN_VORBIS_ORDER else None
    return data if order is None else np.take(data, np.argsort(order), axis=1)


def places_of(file: Any) -> tuple[int, ...]:
    """The place of each channel of an open ``SoundFile``; none for mono and stereo, and where nobody says."""
    if file.channels <= 2:
        return ()
    if file.subtype in _IN_VORBIS_ORDER:
        return _BY_COUNT.get(file.channels, ())
    if file.format == "FLAC":
        return _flac_places(Path(file.name), file.channels)
    if file.format == "AIFF":  # libsndfile 1.2.2 gives memory that was never written
        return ()
    places = sf._ffi.new("int[]", file.channels)
    known = sf._snd.sf_command(file._file, _SFC_GET_CHANNEL_MAP_INFO, places, sf._ffi.sizeof(places))
    return tuple(places) if known else ()


def set_places(file: Any, places: tuple[int, ...]) -> None:
    """Say them in a ``SoundFile`` that was opened for writing; formats that have no room for them stay without."""
    sf._snd.sf_command(file._file, _SFC_SET_CHANNEL_MAP_INFO, sf._ffi.new("int[]", places), 4 * len(places))


def means_other_places(subtype: str, places: tuple[int, ...]) -> bool:
    """Whether a format that knows one arrangement by each number of channels means another one than this."""
    rear = tuple(_REAR_OF_SIDE.get(place, place) for place in places) if len(places) < 7 else places
    return subtype in _IN_VORBIS_ORDER and bool(places) and rear != _BY_COUNT.get(len(places))


def _flac_places(path: Path, channels: int) -> tuple[int, ...]:
    """What a FLAC file's mask says, else what its number of channels means."""
    with path.open("rb") as file:
        said = _FLAC_MASK.search(file.read(_FLAC_HEAD_BYTES))
    mask = int(said[1], 16) if said else 0
    places = tuple(place for bit, place in enumerate(_MASK_PLACES) if mask >> bit & 1)
    return places if len(places) == channels else _BY_COUNT.get(channels, ())
