"""An edit list for other programs: OpenTimelineIO, CMX 3600 EDL, REAPER project, Audacity labels, CSV.

Conventions: an export names the recording by the edit list's bare file name unless the caller gives ``media``, and has
the same bytes every time. Neighbours that continue each other are one clip, but in CSV, which lists every segment.

    otio       a clip per segment, a gap where the material is not in the source, a dissolve per crossfade; positions
               in frames of the sample rate, or whole video frames if a frame rate is given: a video editor takes the
               rate for the project's; the whole edit list as metadata under "rl_editor"
    edl        CMX 3600, non-drop, cuts and dissolves in whole video frames. Of 23.976 frames per second, 24000/1001,
               timecode counts 24 as a second (of 29.97 thirty ..)
    rpp        REAPER: overlapping items with fades; speed changes the pitch, as in the edit list
    audacity   a label track over the *output*: what plays; speed, pitch and gain where they are changed; crossfades
    csv        a row per segment, seconds and frames

In video frames every boundary is rounded by itself, so that rounding does not add up; what is shorter than half a frame
and crossfades below a whole one vanish.

Sources: OpenTimelineIO 0.18 schema; CMX 3600 as in SMPTE ST 258 (A mode, M2 speed); REAPER's RPP text format.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import floor
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from rl_editor.edits import Crossfade, EditList, Segment, SourceInfo, crossfades
from rl_editor.errors import EditListError
from rl_editor.files import write_text

ExportFormat = Literal["otio", "edl", "rpp", "audacity", "csv"]

SUFFIXES: Mapping[str, str] = {"otio": ".otio", "edl": ".edl", "rpp": ".rpp", "audacity": ".txt", "csv": ".csv"}
DEFAULT_FRAME_RATE = 25  # video frames per second of an EDL; 24, 25, 30, 50 and 60 are common, and those of NTSC
_NTSC_SLOWER = Fraction(1000, 1001)
_SAME_RATE = 5e-4  # 23.98 is 24000/1001 as well; 24 and 24000/1001 are twice as far apart
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
        EditListError: the format is unknown, counts no video frames or has crossfades only, the frame rate is none, or
            the edit list plays nothing.
    """
    export_format(to)
    if not edit.segments:
        raise EditListError(f"{edit.source.name}: the edit list plays nothing; keep at least one segment")
    if cuts_only and to != "edl":
        raise EditListError(f"cuts only: {to} is not written without crossfades, edl is")
    match to:
        case "edl":
            frame_rate = DEFAULT_FRAME_RATE if frame_rate is None else frame_rate
            text = to_edl(_cuts_of(edit) if cuts_only else edit, media, frame_rate=frame_rate)
        case "otio":
            text = str(to_otio(edit, media, frame_rate=frame_rate).to_json_string(indent=1)) + "\n"
        case _:
            if frame_rate is not None:
                raise EditListError(f"frame rate {frame_rate:g}: {to} counts no video frames, otio and edl do")
            text = _WRITERS[to](edit, media or edit.source.name)
    write_text(path, text)


def export_format(name: str) -> ExportFormat:
    """The format of that name.

    Raises:
        EditListError: there is none.
    """
    found: ExportFormat | None = next((known for known in get_args(ExportFormat) if known == name), None)
    if found is None:
        raise EditListError(f"{name!r}: not an export format; take one of {', '.join(SUFFIXES)}")
    return found


def to_otio(edit: EditList, media: str | None = None, *, frame_rate: int | float | None = None) -> Any:
    """The edit list as an ``opentimelineio.schema.Timeline``, in samples or in whole video frames."""
    import opentimelineio as otio

    clock = Fraction(edit.source.sample_rate) if frame_rate is None else _exact_rate(frame_rate)
    track = otio.schema.Track(name="edit", kind=otio.schema.TrackKind.Audio)
    for tile in _tiles(edit.merged(), clock):
        if tile.fade.frames:
            track.append(_otio_transition(tile, clock))
        track.append(_otio_item(tile, edit, media or edit.source.name, clock))
    timeline = otio.schema.Timeline(name=Path(edit.source.name).stem, metadata={"rl_editor": edit.to_dict()})
    timeline.tracks.append(track)
    return timeline


def to_edl(edit: EditList, media: str | None = None, *, frame_rate: int | float = DEFAULT_FRAME_RATE) -> str:
    """The edit list as a CMX 3600 EDL."""
    video = _exact_rate(frame_rate)
    lines = [f"TITLE: {Path(edit.source.name).stem}", "FCM: NON-DROP FRAME"]
    before: _Event | None = None
    for number, event in enumerate(_edl_events(edit.merged(), video), start=1):
        lines += ["", *_edl_lines(number, event, before, edit, round(video))]
        if media is not None and event.reel == "AX":
            lines.append("* SOURCE FILE: " + media)
        before = event
    return "\n".join(lines) + "\n"


def _cuts_of(edit: EditList) -> EditList:
    """What an EDL of one audio channel says without a dissolve."""
    segments = tuple(replace(segment, crossfade_in_ms=0.0) for segment in edit.segments)
    return replace(edit, source=replace(edit.source, channels=1), segments=segments)


def _exact_rate(frame_rate: int | float) -> Fraction:
    """Video frames per second, exactly: those of NTSC are a thousandth and one slower than a whole number."""
    nominal = max(round(frame_rate), 1)
    for exact in (Fraction(nominal), nominal * _NTSC_SLOWER):
        if abs(frame_rate / float(exact) - 1) < _SAME_RATE:
            return exact
    raise EditListError(
        f"frame rate {frame_rate:g}: video has whole frames per second from 1 up, or 23.976, 29.97 or 59.94"
    )


def timecode(frame: int, frame_rate: int) -> str:
    """A video frame count as HH:MM:SS:FF, non-drop."""
    seconds, frames = divmod(frame, frame_rate)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}:{frames:02}"


class _Tile(NamedTuple):
    """A segment and the crossfade into it, in units of a clock; tiles follow each other without gap or overlap."""

    segment: Segment
    source_start: int
    frames: int
    fade: Crossfade  # none for a dip, whose sides have nothing to play beyond the join


def _tiles(merged: EditList, clock: Fraction) -> Iterator[_Tile]:
    """What plays, on a clock that ticks as the samples do or more slowly."""
    unit = clock / merged.source.sample_rate
    bounds = [_nearest(at * unit) for at in (*merged.output_start_frames(), merged.frames)]
    for segment, (start, end), fade in zip(merged.segments, pairwise(bounds), crossfades(merged), strict=True):
        if start == end:
            continue
        first = _within(segment.source_start_frame or 0, end - start, segment, merged.source, clock)
        mixed = 0 if fade.dip or not start else floor(fade.frames * unit)
        before = min(_nearest(fade.before * unit), mixed)
        yield _Tile(segment, first, end - start, Crossfade(before, mixed - before))


def _within(frame: int, length: int, segment: Segment, source: SourceInfo, clock: Fraction) -> int:
    """A frame of the recording on the clock, early enough that ``length`` there does not leave the recording."""
    last = _nearest(source.frames * clock / source.sample_rate) - round(length * segment.speed)
    return min(_nearest(frame * clock / source.sample_rate), max(last, 0))


def _otio_item(tile: _Tile, edit: EditList, media: str, clock: Fraction) -> Any:
    import opentimelineio as otio

    segment = tile.segment
    if segment.source_start_frame is None:
        # A dissolve into silence begins before it: there must be some.
        span = _otio_range(tile.fade.before, tile.frames, clock)
        return otio.schema.Gap(source_range=span, metadata={"rl_editor": {"not_in_source": True, **_unsaid_fade(tile)}})
    values = {"gain_db": segment.gain_db, "pitch_semitones": segment.pitch_semitones, "confidence": segment.confidence}
    whole = _otio_range(0, _nearest(edit.source.frames * clock / edit.source.sample_rate), clock)
    span = _otio_range(tile.source_start, tile.frames, clock)
    reference = otio.schema.ExternalReference(media, whole)
    metadata = {"rl_editor": values | _unsaid_fade(tile)}
    clip = otio.schema.Clip(edit.source.name, reference, span, metadata=metadata)
    if segment.speed != 1.0:
        clip.effects.append(otio.schema.LinearTimeWarp(name="speed", time_scalar=segment.speed))
    return clip


def _unsaid_fade(tile: _Tile) -> dict[str, float]:
    """A crossfade that no dissolve stands for, to be read back."""
    asked_ms = tile.segment.crossfade_in_ms
    return {"crossfade_in_ms": asked_ms} if asked_ms and not tile.fade.frames else {}


def _otio_transition(tile: _Tile, clock: Fraction) -> Any:
    """As it is mixed, its sides clipped to what there is; and as it was asked for, to be read back."""
    import opentimelineio as otio

    before, after = (otio.opentime.RationalTime(side, float(clock)) for side in (tile.fade.before, tile.fade.after))
    asked_ms = tile.segment.crossfade_in_ms
    return otio.schema.Transition(
        name="crossfade",
        transition_type=otio.schema.TransitionTypes.SMPTE_Dissolve,
        in_offset=before,
        out_offset=after,
        metadata={"rl_editor": {"crossfade_ms": asked_ms, "sides_s": [before.to_seconds(), after.to_seconds()]}},
    )


def _otio_range(start: int, frames: int, clock: Fraction) -> Any:
    from opentimelineio.opentime import RationalTime, TimeRange

    return TimeRange(RationalTime(start, float(clock)), RationalTime(frames, float(clock)))


def _nearest(number: Fraction) -> int:
    """Round half up, exactly; floats would break ties at random."""
    return floor(number + Fraction(1, 2))


class _Event(NamedTuple):
    """A run of video frames; a dissolve begins with it, while the event before it still plays."""

    segment: Segment
    source_in: int
    record_in: int
    record_out: int
    dissolve: int

    @property
    def source_out(self) -> int:
        return self.source_in + round((self.record_out - self.record_in) * self.segment.speed)

    @property
    def reel(self) -> str:
        return "BL" if self.segment.source_start_frame is None else "AX"


def _edl_events(merged: EditList, frame_rate: Fraction) -> Iterator[_Event]:
    rate = merged.source.sample_rate
    dissolves, starts = [], []
    for fade, at in zip(crossfades(merged), merged.output_start_frames(), strict=True):
        dissolves.append(0 if fade.dip else floor(fade.frames * frame_rate / rate))
        starts.append(at - (fade.lead if dissolves[-1] else 0))
    bounds = [_nearest(at * frame_rate / rate) for at in (*starts, merged.frames)]
    rows = zip(merged.segments, merged.output_start_frames(), starts, pairwise(bounds), dissolves, strict=True)
    for segment, at, start, (record_in, record_out), dissolve in rows:
        if record_out > record_in:
            first = max(0, (segment.source_start_frame or 0) - round((at - start) * segment.speed))
            source_in = _within(first, record_out - record_in, segment, merged.source, frame_rate)
            yield _Event(segment, source_in, record_in, record_out, dissolve)


def _edl_lines(number: int, event: _Event, before: _Event | None, edit: EditList, frame_rate: int) -> list[str]:
    """A cut, or a dissolve from the event before: a line of no length for what ends, a line for what begins."""
    channels, name = "AA" if edit.source.channels > 1 else "A", edit.source.name
    frames = min(event.dissolve, event.record_out - event.record_in)

    def line(reel: str, how: str, *codes: int) -> str:
        return f"{number:03}  {reel:<8} {channels:<5} {how:<8} {' '.join(timecode(c, frame_rate) for c in codes)}"

    codes = (event.source_in, event.source_out, event.record_in, event.record_out)
    if before is None or not frames:
        lines = [line(event.reel, "C", *codes)]
        clips = ["* FROM CLIP NAME: " + name] if event.reel == "AX" else []
    else:
        ending = (before.source_out, before.source_out, event.record_in, event.record_in)
        lines = [line(before.reel, "C", *ending), line(event.reel, f"D    {frames:03}", *codes)]
        names = (name if reel == "AX" else reel for reel in (before.reel, event.reel))
        clips = [f"* {what} CLIP NAME: {which}" for what, which in zip(("FROM", "TO"), names, strict=True)]
    if event.segment.speed != 1.0:
        speed = f"{frame_rate * event.segment.speed:05.1f}"
        lines.append(f"M2   {event.reel:<8} {speed}                {timecode(event.source_in, frame_rate)}")
    return lines + clips


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
    return "".join(
        f"{a / rate:.6f}\t{b / rate:.6f}\t{_label(segment, rate, joined=a > 0)}\n" for segment, (a, b) in rows
    )


def _label(segment: Segment, rate: int, *, joined: bool) -> str:
    """What plays, then how where it is not as it is in the recording."""
    start, end = segment.source_start_frame, segment.source_end_frame
    what = "not in source" if start is None or end is None else f"source {start / rate:.6f}-{end / rate:.6f} s"
    how = [
        f", {name} {value!r}{unit}"
        for name, value, usual, unit in (
            ("speed", segment.speed, 1.0, ""),
            ("pitch", segment.pitch_semitones, 0.0, ""),
            ("gain", segment.gain_db, 0.0, " dB"),
        )
        if value != usual
    ]
    fade = f", crossfade {segment.crossfade_in_ms:g} ms" if joined else ""
    return what + "".join(how) + fade


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
    "rpp": _rpp,
    "audacity": _audacity,
    "csv": _csv,
}
