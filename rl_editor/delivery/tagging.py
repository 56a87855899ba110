"""Tags and covers into files that are written: Ogg's by ``ogg``, others by ffmpeg, which copies the audio as it is.

Sources: ffmpeg's ``ffmetadata`` (escapes); RFC 9639, 8.8 (the picture block, which Ogg holds as base64 in a comment);
Vorbis I, 5.2 (comments); names of tags by the tables of ffmpeg's ID3v2, Vorbis and MP4 writers, but for those it leaves
to the caller (below).
"""

import base64
import logging
import re
import struct
from pathlib import Path

from rl_editor.delivery.belongings import Belongings
from rl_editor.delivery.ogg import replace_comments
from rl_editor.errors import AudioFileError
from rl_editor.files import replacing, scratch_folder, target_of
from rl_editor.utils.elsewhere import named
from rl_editor.utils.writing import run_ffmpeg

_OGG = frozenset({".ogg", ".oga", ".opus"})
TAGGED_SUFFIXES = _OGG | {".flac", ".mp3"}
_ID3_NAMES = {"bpm": "TBPM", "isrc": "TSRC", "lyricist": "TEXT", "initialkey": "TKEY", "mood": "TMOO",
              "originaldate": "TDOR", "remixer": "TPE4"}  # fmt: skip
_MP4_NAMES = {"bpm": "tmpo"}
_OGG_NAMES = {"album_artist": "ALBUMARTIST", "disc": "DISCNUMBER", "track": "TRACKNUMBER", "comment": "DESCRIPTION"}
_NO_OGG_NAME = re.compile(r"[^ -<>-}]")  # printable ASCII but for = and ~
_KINDS = {rb"\xff\xd8\xff": "image/jpeg", rb"\x89PNG": "image/png", rb"GIF8": "image/gif", rb"BM": "image/bmp",
          rb"RIFF....WEBP": "image/webp"}  # fmt: skip
_FRONT_COVER = 3  # picture types of ID3v2, APIC
_log = logging.getLogger(__name__)


def add_belongings(path: Path, belongings: Belongings) -> None:
    """Put tags and covers into a FLAC, MP3, Ogg or Opus file, in place of the tags that it has.

    A cover that fails is left out, with a warning.

    Raises:
        AudioFileError: ffmpeg cannot write the tags; the file is as it was.
        OutputError: the disk is full; the file is as it was.
    """
    if not belongings.tags and not belongings.covers:
        return
    try:
        _retag(path, belongings)
    except AudioFileError:
        if not belongings.covers:
            raise
        _retag(path, belongings._replace(covers=()))
        say_without_cover(path)


def say_without_cover(path: Path) -> None:
    """That the format takes no picture of the recording's kind."""
    path = target_of(path)
    _log.warning("%s: without the recording's cover, which %s does not take; add a JPEG or PNG", path, path.suffix)


def write_tag_file(path: Path, belongings: Belongings, suffix: str) -> None:
    """All tags for ffmpeg to read, by the names of a format."""
    names = _ID3_NAMES if suffix == ".mp3" else {} if suffix in TAGGED_SUFFIXES else _MP4_NAMES
    tags = {names.get(name, name): value for name, value in belongings.tags.items()}
    lines = (f"{_escaped(name)}={_escaped(value)}\n" for name, value in tags.items())
    path.write_text(";FFMETADATA1\n" + "".join(lines), encoding="utf-8", newline="\n")


def cover_arguments(belongings: Belongings) -> tuple[list[str], list[str]]:
    """For ffmpeg: its third input, the recording's pictures, and what to do with them in the output."""
    if not belongings.covers:
        return [], []
    maps = [part for index in belongings.covers for part in ("-map", f"2:{index}")]
    return ["-i", named(belongings.source)], [*maps, "-c:v", "copy", "-disposition:v", "attached_pic"]


def _retag(path: Path, belongings: Belongings) -> None:
    with scratch_folder() as folder, replacing(path) as temporary:
        if path.suffix.lower() in _OGG:
            replace_comments(path, temporary, _comments(belongings))
            return
        tags = folder / "tags.txt"
        write_tag_file(tags, belongings, path.suffix.lower())
        given, mapped = cover_arguments(belongings)
        run_ffmpeg(
            path, "-i", named(path), "-f", "ffmetadata", "-i", named(tags), *given, "-map", "0:a", *mapped,
            "-map_metadata", "1:g", "-c:a", "copy", "-map_chapters", "-1", "-fflags", "+bitexact", named(temporary),
        )  # fmt: skip


def _comments(belongings: Belongings) -> list[tuple[str, str]]:
    """Tags as Vorbis names them, and a picture."""
    tags = [(_NO_OGG_NAME.sub("_", _OGG_NAMES.get(name, name.upper())), text) for name, text in belongings.tags.items()]
    if belongings.covers:
        tags.append(("METADATA_BLOCK_PICTURE", base64.b64encode(picture_block(_cover(belongings))).decode()))
    return tags


def _cover(belongings: Belongings) -> bytes:
    """The first picture of a recording."""
    with scratch_folder() as folder:
        picture = folder / "cover"
        run_ffmpeg(
            belongings.source, "-i", named(belongings.source), "-map", f"0:{belongings.covers[0]}", "-c", "copy",
            "-frames:v", "1", "-f", "image2pipe", named(picture),
        )  # fmt: skip
        return picture.read_bytes()


def picture_block(picture: bytes) -> bytes:
    """Type, kind, description, width, height, depth, colours (0: not said), data; lengths before what they count."""
    kind = next((kind for magic, kind in _KINDS.items() if re.match(magic, picture, re.DOTALL)), "").encode()
    return b"".join(
        (struct.pack(">2I", _FRONT_COVER, len(kind)), kind, struct.pack(">6I", 0, 0, 0, 0, 0, len(picture)), picture)
    )


def _escaped(text: str) -> str:
    """As ffmpeg reads it back: CR and NUL end a line, but nothing does after a backslash, be it escaped itself."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    escaped = re.sub(r"([=;#\[\\\n])", r"\\\1", lines)
    return f"{escaped} " if lines.endswith("\\") else escaped
