"""CMX 3600 EDL: an event per run of video frames, cuts and dissolves, non-drop timecode."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import floor
from pathlib import Path
from typing import NamedTuple

from rl_editor.crossfades import crossfades
from rl_editor.edits import EditList, Segment
from rl_editor.exporters.ticks import exact_rate, nearest, within

DEFAULT_FRAME_RATE = 25  # video frames per second; 24, 25, 30, 50 and 60 are common, and those of NTSC


def to_edl(edit: EditList, media: str | None = None, *, frame_rate: int | float = DEFAULT_FRAME_RATE) -> str:
    """The edit list as a CMX 3600 EDL."""
    video = exact_rate(frame_rate)
    lines = [f"TITLE: {Path(edit.source.name).stem}", "FCM: NON-DROP FRAME"]
    before: _Event | None = None
    for number, event in enumerate(_events(edit.merged(), video), start=1):
        lines += ["", *_lines(number, event, before, edit, round(video))]
        if media is not None and event.reel == "AX":
            lines.append("* SOURCE FILE: " + media)
        before = event
    return "\n".join(lines) + "\n"


def cuts_of(edit: EditList) -> EditList:
    """What an EDL of one audio channel says without a dissolve."""
    segments = tuple(replace(segment, crossfade_in_ms=0.0) for segment in edit.segments)
    return replace(edit, source=replace(edit.source, channels=1), segments=segments)


def timecode(frame: int, frame_rate: int) -> str:
    """A video frame count as HH:MM:SS:FF, non-drop."""
    seconds, frames = divmod(frame, frame_rate)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}:{frames:02}"


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


def _events(merged: EditList, frame_rate: Fraction) -> Iterator[_Event]:
    rate = merged.source.sample_rate
    dissolves, starts = [], []
    for fade, at in zip(crossfades(merged)[:-1], merged.output_start_frames(), strict=True):
        dissolves.append(0 if fade.dip else floor(fade.frames * frame_rate / rate))
        starts.append(at - (fade.lead if dissolves[-1] else 0))
    bounds = [nearest(at * frame_rate / rate) for at in (*starts, merged.frames)]
    rows = zip(merged.segments, merged.output_start_frames(), starts, pairwise(bounds), dissolves, strict=True)
    for segment, at, start, (record_in, record_out), dissolve in rows:
        if record_out > record_in:
            first = max(0, (segment.source_start_frame or 0) - round((at - start) * segment.speed))
            source_in = within(first, record_out - record_in, segment, merged.source, frame_rate)
            yield _Event(segment, source_in, record_in, record_out, dissolve)


def _lines(number: int, event: _Event, before: _Event | None, edit: EditList, frame_rate: int) -> list[str]:
    """A cut, or a dissolve from the event before: a line of no length for what ends, a line for what begins."""
    channels, name = "AA" if edit.source.channels > 1 else "A", edit.source.name

    def line(reel: str, how: str, *codes: int) -> str:
        return f"{number:03}  {reel:<8} {channels:<5} {how:<8} {' '.join(timecode(c, frame_rate) for c in codes)}"

    codes = (event.source_in, event.source_out, event.record_in, event.record_out)
    if before is None or not event.dissolve:
        lines = [line(event.reel, "C", *codes)]
        clips = ["* FROM CLIP NAME: " + name] if event.reel == "AX" else []
    else:
        ending = (before.source_out, before.source_out, event.record_in, event.record_in)
        lines = [line(before.reel, "C", *ending), line(event.reel, f"D    {event.dissolve:03}", *codes)]
        names = (name if reel == "AX" else reel for reel in (before.reel, event.reel))
        clips = [f"* {what} CLIP NAME: {which}" for what, which in zip(("FROM", "TO"), names, strict=True)]
    if event.segment.speed != 1.0:
        speed = f"{frame_rate * event.segment.speed:05.1f}"
        lines.append(f"M2   {event.reel:<8} {speed}                {timecode(event.source_in, frame_rate)}")
    return lines + clips
