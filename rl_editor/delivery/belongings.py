"""What a recording says of itself, as far as it stays true of an edit of it.

Conventions: tags are by names of one vocabulary, ffmpeg's (``album_artist``, ``disc``, ``track`` ..) and the names of
Vorbis comments in lower case (``bpm``, ``isrc`` ..), whatever the format calls them.

Not true of an edit: loudness and gain measured on the whole, fingerprints and checksums, how long it is and how much
silence is at its ends, where chapters, cues and words of lyrics are, what a DJ program, a player or a game has marked,
which recording of a database it is; and what the encoder or container says of itself. An ISRC names the recording that
was edited, and stays.

Sources: ID3v2.4, "ID3 tag version 2.4.0 - Native Frames"; tag mappings of MusicBrainz Picard.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rl_editor.delivery.programs import probed

_ALIASES = {
    "tbpm": "bpm", "tmpo": "bpm", "tsrc": "isrc", "text": "lyricist", "tkey": "initialkey", "tmoo": "mood",
    "tdor": "originaldate", "tpe4": "remixer", "albumartist": "album_artist", "discnumber": "disc",
    "tracknumber": "track",
}  # fmt: skip
_LYRICS = re.compile(r"(?:unsynced ?)?lyrics(?:-[a-z]{3})?")
_SAYS_NOTHING = frozenset({"", "und"})  # "und": the language of an MP4's stream
_WORD_TIMES = re.compile(r"^\[\d+:\d\d", re.MULTILINE)  # LRC: [01:23.45] before each line
_NO_LONGER_TRUE = re.compile(
    r"replaygain_.*|r128_.*|itunnorm|itunsmpb|itunpgap|itunes_cddb.*|gapless_playback"  # loudness, gaps
    r"|acoustid.*|accuraterip.*|ctdb.*|md5.*|mcdi|umid|fingerprint.*"
    r"|musicbrainz[_ ]?(release)?[_ ]?track[_ ]?id"
    r"|tlen|length|duration|bps|number_of_.*|_statistics_.*|time_reference|timecode|coding_history"
    r"|mixramp_.*|loop_?start|loop_?length|loop_?end|cue_in|cue_out|cue_track.*|liq_.*"  # places, in samples or seconds
    r"|cue ?sheet|chapter.*|syncedlyrics|sylt|serato.*|traktor.*|id3v2_priv\..*"
    r"|encoder|encoder_.*|encoded[_ -]?by|encoding.*|tsse|tool|software|handler_name|vendor_id|creation_time"
    r"|major_brand|minor_version|compatible_brands|waveformatextensible_channel_mask|metadata_block_picture|coverart.*"
)


class Belongings(NamedTuple):
    """What an edit inherits."""

    source: Path
    tags: Mapping[str, str] = {}
    covers: tuple[int, ...] = ()  # streams of the source that are pictures
    alac_bits: int = 0  # of a sample in Apple Lossless; 0: it is something else


def read_belongings(source: Path) -> Belongings:
    """What a recording says of itself and stays true; nothing where ffprobe cannot read it."""
    found = probed(source)
    streams: list[dict[str, Any]] = found.get("streams", [])
    sound = next((stream for stream in streams if stream.get("codec_type") == "audio"), {})
    lossless = sound.get("codec_name") == "alac"
    return Belongings(
        source,
        still_true({**sound.get("tags", {}), **found.get("format", {}).get("tags", {})}),
        tuple(stream["index"] for stream in streams if stream.get("disposition", {}).get("attached_pic")),
        int(sound.get("bits_per_raw_sample", 16)) if lossless else 0,
    )


def still_true(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags by their common names, without those that an edit makes false."""
    kept: dict[str, str] = {}
    for name, value in tags.items():
        common = _common(name)
        timed = common == "lyrics" and _WORD_TIMES.search(value)
        if value not in _SAYS_NOTHING and not timed and not _NO_LONGER_TRUE.fullmatch(common):
            kept.setdefault(common, value)
    return kept


def _common(name: str) -> str:
    lower = name.lower()
    return "lyrics" if _LYRICS.fullmatch(lower) else _ALIASES.get(lower, lower)
