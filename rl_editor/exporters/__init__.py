"""An edit list for other programs: OpenTimelineIO, CMX 3600 EDL, REAPER project, Audacity labels, CSV.

Conventions: an export names the recording by the edit list's bare file name unless the caller gives ``media``, and has
the same bytes every time. Neighbours that continue each other are one clip, but in CSV, which lists every segment.

    otio       a clip per segment, a gap where the material is not in the source, a dissolve per crossfade; positions
               in frames of the sample rate, or whole video frames if a frame rate is given: a video editor takes the
               rate for the project's; the whole edit list as metadata under "rl_editor". A name that would mean another
               file in a URL (``take #3.wav``, ``100%20.wav``) is escaped as in one
    edl        CMX 3600, non-drop, cuts and dissolves in whole video frames. Of 23.976 frames per second, 24000/1001,
               timecode counts 24 as a second (of 29.97 thirty ..)
    rpp        REAPER: overlapping items with fades; speed changes the pitch, as in the edit list
    audacity   a label track over the *output*: what plays; speed, pitch and gain where they are changed; crossfades;
               how the first fades in and the last out
    csv        a row per segment, seconds and frames; the first says how the edit fades in, the last how it fades out

In video frames every boundary is rounded by itself, so that rounding does not add up; what is shorter than half a frame
and crossfades below a whole one vanish.

Sources: OpenTimelineIO 0.18 schema; CMX 3600 as in SMPTE ST 258 (A mode, M2 speed); REAPER's RPP text format.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, get_args

from rl_editor.edits import EditList
from rl_editor.errors import EditListError
from rl_editor.exporters.edl import DEFAULT_FRAME_RATE, cuts_of, timecode, to_edl
from rl_editor.exporters.reaper import to_rpp
from rl_editor.exporters.tables import to_audacity, to_csv
from rl_editor.exporters.timelines import to_otio
from rl_editor.files import write_text

__all__ = [
    "DEFAULT_FRAME_RATE",
    "SUFFIXES",
    "ExportFormat",
    "export_edit",
    "export_format",
    "timecode",
    "to_edl",
    "to_otio",
]

ExportFormat = Literal["otio", "edl", "rpp", "audacity", "csv"]

SUFFIXES: Mapping[str, str] = {"otio": ".otio", "edl": ".edl", "rpp": ".rpp", "audacity": ".txt", "csv": ".csv"}
_OF_LINES = ("edl", "rpp")  # whose names stand on a line, without escapes
_WRITERS: Mapping[str, Callable[[EditList, str], str]] = {"rpp": to_rpp, "audacity": to_audacity, "csv": to_csv}


def export_edit(
    edit: EditList,
    path: str | Path,
    to: ExportFormat,
    *,
    media: str | None = None,
    frame_rate: int | float | None = None,
    cuts_only: bool = False,
) -> None:
    """Write an edit list for another program, whole or not at all.

    Args:
        edit: what plays.
        path: the file to write.
        to: the format.
        media: how the program finds the recording: a path or URL; None names it as the edit list does.
        frame_rate: video frames per second: a whole number, or one of NTSC's as 23.976. None is
            ``DEFAULT_FRAME_RATE`` of an EDL, and samples of OpenTimelineIO.
        cuts_only: an EDL without dissolves, of one audio channel, for readers that know no more.

    Raises:
        EditListError: the format is unknown, counts no video frames, has crossfades only or no room for a line break or
            all kinds of quotes in a name, the frame rate is none, or the edit list plays nothing.
    """
    export_format(to)
    if not edit.segments:
        raise EditListError(f"{edit.source.name}: the edit list plays nothing; keep at least one segment")
    if to in _OF_LINES:
        _check_one_line(to, edit.source.name, media)
    if cuts_only and to != "edl":
        raise EditListError(f"cuts only: {to} is not written without crossfades, edl is")
    match to:
        case "edl":
            frame_rate = DEFAULT_FRAME_RATE if frame_rate is None else frame_rate
            text = to_edl(cuts_of(edit) if cuts_only else edit, media, frame_rate=frame_rate)
        case "otio":
            text = str(to_otio(edit, media, frame_rate=frame_rate).to_json_string(indent=1)) + "\n"
        case _:
            if frame_rate is not None:
                raise EditListError(f"frame rate {frame_rate:g}: {to} counts no video frames, otio and edl do")
            text = _WRITERS[to](edit, media or edit.source.name)
    write_text(path, text)


def _check_one_line(to: ExportFormat, name: str, media: str | None) -> None:
    """Refuse names that would end a line of the format, and have the rest of them read as something else."""
    for what in filter(None, (name, media)):
        if not {"\n", "\r"}.isdisjoint(what):
            raise EditListError(
                f"{what!r}: a line break in a name, which {to} cannot hold; rename the recording, or export otio or csv"
            )


def export_format(name: str) -> ExportFormat:
    """The format of that name.

    Raises:
        EditListError: there is none.
    """
    found: ExportFormat | None = next((known for known in get_args(ExportFormat) if known == name), None)
    if found is None:
        raise EditListError(f"{name!r}: not an export format; take one of {', '.join(SUFFIXES)}")
    return found
