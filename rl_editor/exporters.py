"""An edit list for other programs: OpenTimelineIO, CMX 3600 EDL, REAPER project, Audacity labels, CSV.

Conventions: an export names the recording by the edit list's bare file name unless the caller gives ``media``, and has
the same bytes every time. Neighbours that continue each other are one clip, but in CSV, which lists every segment.

    otio       a clip per segment, a gap where the material is not in the source, a dissolve per crossfade; positions
               in frames of the sample rate; the whole edit list as metadata under "rl_editor"
    edl        CMX 3600, non-drop, plain cuts rounded to video frames; rounding does not add up
    rpp        REAPER: overlapping items with fades; speed changes the pitch, as in the edit list
    audacity   a label track over the *output*
    csv        a row per segment, seconds and frames

Sources: OpenTimelineIO 0.18 schema; CMX 3600 as in SMPTE ST 258 (A-mode cuts, M2 speed); REAPER's RPP text format.
"""

import csv
import io
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

from rl_editor.edits import Crossfade, EditList, Segment, crossfades
from rl_editor.errors import EditListError
from rl_editor.files import write_text

ExportFormat = Literal["otio", "edl", "rpp", "audacity", "csv"]

SUFFIXES: Mapping[str, str] = {"otio": ".otio", "edl": ".edl", "rpp": ".rpp", "audacity": ".txt", "csv": ".csv"}
DEFAULT_FRAME_RATE = 25  # video frames per second of an EDL; 24, 25, 30, 50 and 60 are common
_RPP_SOURCES = {".flac": "FLAC", ".mp3": "MP3", ".ogg": "VORBIS", ".opus": "VORBIS"}
_CSV_COLUMNS = (
    "index", "source", "output_start_s", "output_end_s", "source_start_s", "source_end_s", "output_start_frame",
    "source_start_frame", "frames", "crossfade_in_ms", "gain_db", "speed", "pitch_semitones", "confidence", "action",
)  # fmt: skip
_RPP_FADE = 1  # REAPER's shape nearest to equal power


def export_edit(
    edit: EditList,
    path: str | Path,
    to: ExportFormat,
    *,
    media: str | None = None,
    frame_rate: int = DEFAULT_FRAME_RATE,
) -> None:
    """Write an edit list for another program, whole or not at all.

    Args:
        edit: what plays.
        path: the file to write.
        to: the format.
        media: how the program finds the recording: a path or URL; None names it as the edit list does.
        frame_rate: video frames per second, of an EDL.

    Raises:
        EditListError: the format is unknown, the frame rate is not positive, or the edit list plays nothing.
    """
    if to not in get_args(ExportFormat):
        raise EditListError(f"{to!r}: not an export format; take one of {', '.join(get_args(ExportFormat))}")
    if not edit.segments:
        raise EditListError(f"{edit.source.name}: the edit list plays nothing; keep at least one segment")
    if to == "edl":
        write_text(path, to_edl(edit, frame_rate=frame_rate))
    else:
        write_text(path, _WRITERS[to](edit, media or edit.source.name))


def to_otio(edit: EditList, media: str | None = None) -> Any:
    """The edit list as an ``opentimelineio.schema.Timeline``."""
    import opentimelineio as otio

    merged = edit.merged()
    track = otio.schema.Track(name="edit", kind=otio.schema.TrackKind.Audio)
    for segment, fade in zip(merged.segments, crossfades(merged), strict=True):
        if fade.frames:
            track.append(_otio_transition(fade, edit.source.sample_rate))
        track.append(_otio_item(segment, edit, media or edit.source.name))
    timeline = otio.schema.Timeline(name=Path(edit.source.name).stem, metadata={"rl_editor": edit.to_dict()})
    timeline.tracks.append(track)
    return timeline


def to_edl(edit: EditList, *, frame_rate: int = DEFAULT_FRAME_RATE) -> str:
    """The edit list as a CMX 3600 EDL of plain cuts. Events shorter than half a video frame vanish."""
    if frame_rate < 1:
        raise EditListError(f"frame rate {frame_rate}: an EDL counts at least 1 frame per second; 25 is usual")
    merged, rate = edit.merged(), edit.source.sample_rate
    bounds = [*merged.output_start_frames(), merged.frames]
    lines = [f"TITLE: {Path(edit.source.name).stem}", "FCM: NON-DROP FRAME"]
    number = 0
    for segment, (start, end) in zip(merged.segments, pairwise(bounds), strict=True):
        record_in, record_out = (_nearest(at * frame_rate, rate) for at in (start, end))
        if record_out > record_in:
            number += 1
            lines += ["", *_edl_event(number, segment, record_in, record_out, edit, frame_rate)]
    return "\n".join(lines) + "\n"


def timecode(frame: int, frame_rate: int) -> str:
    """A video frame count as HH:MM:SS:FF, non-drop."""
    seconds, frames = divmod(frame, frame_rate)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}:{frames:02}"


def _otio_json(edit: EditList, media: str) -> str:
    return str(to_otio(edit, media).to_json_string(indent=1)) + "\n"


def _otio_item(segment: Segment, edit: EditList, media: str) -> Any:
    import opentimelineio as otio

    rate = edit.source.sample_rate
    start = segment.source_start_frame
    span = _otio_range(start or 0, segment.frames, rate)
    if start is None:
        return otio.schema.Gap(source_range=span, metadata={"rl_editor": {"not_in_source": True}})
    values = {"gain_db": segment.gain_db, "pitch_semitones": segment.pitch_semitones, "confidence": segment.confidence}
    reference = otio.schema.ExternalReference(media, _otio_range(0, edit.source.frames, rate))
    clip = otio.schema.Clip(edit.source.name, reference, span, metadata={"rl_editor": values})
    if segment.speed != 1.0:
        clip.effects.append(otio.schema.LinearTimeWarp(name="speed", time_scalar=segment.speed))
    return clip


def _otio_transition(fade: Crossfade, rate: int) -> Any:
    import opentimelineio as otio

    return otio.schema.Transition(
        name="crossfade",
        transition_type=otio.schema.TransitionTypes.SMPTE_Dissolve,
        in_offset=otio.opentime.RationalTime(fade.before, rate),
        out_offset=otio.opentime.RationalTime(fade.after, rate),
    )


def _otio_range(start: int, frames: int, rate: int) -> Any:
    from opentimelineio.opentime import RationalTime, TimeRange

    return TimeRange(RationalTime(start, rate), RationalTime(frames, rate))


def _nearest(numerator: int, denominator: int) -> int:
    """Round half up, exactly; floats would break ties at random."""
    return (2 * numerator + denominator) // (2 * denominator)


def _edl_event(
    number: int, segment: Segment, record_in: int, record_out: int, edit: EditList, frame_rate: int
) -> list[str]:
    start = segment.source_start_frame
    reel = "BL" if start is None else "AX"
    source_in = _nearest((start or 0) * frame_rate, edit.source.sample_rate)
    source_out = source_in + round((record_out - record_in) * segment.speed)
    codes = " ".join(timecode(frame, frame_rate) for frame in (source_in, source_out, record_in, record_out))
    channels = "AA" if edit.source.channels > 1 else "A"
    lines = [f"{number:03}  {reel:<8} {channels:<5} C        {codes}"]
    if segment.speed != 1.0:
        lines.append(
            f"M2   {reel:<8} {frame_rate * segment.speed:05.1f}                {timecode(source_in, frame_rate)}"
        )
    if start is not None:
        lines.append(f"* FROM CLIP NAME: {edit.source.name}")
    return lines


def _rpp(edit: EditList, media: str) -> str:
    merged, rate = edit.merged(), edit.source.sample_rate
    fades = crossfades(merged)
    items = []
    rows = zip(merged.segments, merged.output_start_frames(), fades, [*fades[1:], Crossfade()], strict=True)
    for segment, start, fade, following in rows:
        if segment.source_start_frame is not None:
            items += _rpp_item(segment, start, fade, following, rate, media)
    head = ['<REAPER_PROJECT 0.1 "7.0" 0', f"  SAMPLERATE {rate} 1 0", "  <TRACK", f"    NAME {_quoted(media)}"]
    return "\n".join([*head, *items, "  >", ">"]) + "\n"


def _rpp_item(segment: Segment, start: int, fade: Crossfade, following: Crossfade, rate: int, media: str) -> list[str]:
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
        f"      FADEIN {_RPP_FADE} {fade_in / rate:.9f} 0 {_RPP_FADE} 0 0 0",
        f"      FADEOUT {_RPP_FADE} {fade_out / rate:.9f} 0 {_RPP_FADE} 0 0 0",
        f"      NAME {_quoted(Path(media).name)}",
        f"      VOLPAN {volume:.9f} 0 1 -1",
        f"      SOFFS {first / rate:.9f}",
        f"      PLAYRATE {segment.speed:.9f} 0 {segment.pitch_semitones:.6f} -1 0 0.0025",
        f"      <SOURCE {_RPP_SOURCES.get(Path(media).suffix.lower(), 'WAVE')}",
        f"        FILE {_quoted(media)}",
        "      >",
        "    >",
    ]


def _quoted(text: str) -> str:
    """RPP has no escapes: a text is quoted by a mark that it does not hold, a backtick failing all."""
    mark = next((mark for mark in "\"'" if mark not in text), "`")
    return mark + text.replace("`", "'") + mark if mark == "`" else mark + text + mark


def _audacity(edit: EditList, media: str) -> str:
    merged, rate = edit.merged(), edit.source.sample_rate
    bounds = [*merged.output_start_frames(), merged.frames]
    rows = zip(merged.segments, pairwise(bounds), strict=True)
    return "".join(f"{a / rate:.6f}\t{b / rate:.6f}\t{_label(segment, rate)}\n" for segment, (a, b) in rows)


def _label(segment: Segment, rate: int) -> str:
    start, end = segment.source_start_frame, segment.source_end_frame
    return "not in source" if start is None or end is None else f"source {start / rate:.3f}-{end / rate:.3f} s"


def _csv(edit: EditList, media: str) -> str:
    rate, text = edit.source.sample_rate, io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for index, (segment, at) in enumerate(zip(edit.segments, edit.output_start_frames(), strict=True)):
        start, end = segment.source_start_frame, segment.source_end_frame
        seconds = [at / rate, (at + segment.frames) / rate, *("" if x is None else x / rate for x in (start, end))]
        action = "" if segment.region is None else edit.regions[segment.region].action
        sound = [segment.crossfade_in_ms, segment.gain_db, segment.speed, segment.pitch_semitones, segment.confidence]
        frames = [at, "" if start is None else start, segment.frames]
        writer.writerow([index, media, *seconds, *frames, *sound, action])
    return text.getvalue()


_WRITERS: Mapping[str, Callable[[EditList, str], str]] = {
    "otio": _otio_json,
    "rpp": _rpp,
    "audacity": _audacity,
    "csv": _csv,
}
