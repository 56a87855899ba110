"""A REAPER project: a track of overlapping items with fades."""

from itertools import pairwise
from pathlib import Path

from rl_editor.crossfades import Crossfade, crossfades
from rl_editor.edits import EditList, Segment
from rl_editor.errors import EditListError

_SOURCES = {".flac": "FLAC", ".mp3": "MP3", ".ogg": "VORBIS", ".opus": "VORBIS"}
_FADE = 1  # REAPER's shape nearest to equal power


def to_rpp(edit: EditList, media: str) -> str:
    """The edit list as a REAPER project.

    Raises:
        EditListError: the recording's name cannot be quoted.
    """
    merged, rate = edit.merged(), edit.source.sample_rate
    items = []
    rows = zip(merged.segments, merged.output_start_frames(), pairwise(crossfades(merged)), strict=True)
    for segment, start, (fade, following) in rows:
        if segment.plays:
            items += _item(segment, start, fade, following, rate, media)
    head = ['<REAPER_PROJECT 0.1 "7.0" 0', f"  SAMPLERATE {rate} 1 0", "  <TRACK", f"    NAME {_quoted(media)}"]
    return "\n".join([*head, *items, "  >", ">"]) + "\n"


def _item(segment: Segment, start: int, fade: Crossfade, following: Crossfade, rate: int, media: str) -> list[str]:
    """An item reaches from the start of its fade in to the end of its fade out."""
    assert segment.source_start_frame is not None
    first = segment.source_start_frame - fade.lead * segment.speed
    frames = fade.lead + segment.frames + following.tail
    fade_in = fade.after if fade.dip else fade.frames
    fade_out = following.before if following.dip else following.frames
    volume = 10 ** (segment.gain_db / 20)
    return [
        "    <ITEM",
        f"      POSITION {(start - fade.lead) / rate:.9f}",
        f"      LENGTH {frames / rate:.9f}",
        "      LOOP 0",
        f"      FADEIN {_FADE} {fade_in / rate:.9f} 0 {_FADE} 0 0 0",
        f"      FADEOUT {_FADE} {fade_out / rate:.9f} 0 {_FADE} 0 0 0",
        f"      NAME {_quoted(Path(media).name)}",
        f"      VOLPAN {volume:.9f} 0 1 -1",
        f"      SOFFS {first / rate:.9f}",
        f"      PLAYRATE {segment.speed:.9f} 0 {segment.pitch_semitones:.6f} -1 0 0.0025",
        f"      <SOURCE {_SOURCES.get(Path(media).suffix.lower(), 'WAVE')}",
        f"        FILE {_quoted(media)}",
        "      >",
        "    >",
    ]


def _quoted(text: str) -> str:
    """RPP has no escapes: a text is quoted by a mark that it does not hold.

    Raises:
        EditListError: it holds all three. REAPER itself writes apostrophes for backticks then, and loses the recording.
    """
    for mark in ('"', "'", "`"):
        if mark not in text:
            return mark + text + mark
    raise EditListError(
        f"{text}: holds \", ' and `, of which a REAPER project can hold but two in a name; rename the recording, and "
        "give --media its new name"
    )
