"""OpenTimelineIO: a clip per segment, a gap where the material is not in the source, a dissolve per crossfade."""

import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from math import floor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from rl_editor.crossfades import Crossfade, crossfades
from rl_editor.edits import EditList, Segment
from rl_editor.exporters.ticks import exact_rate, nearest, within

_NOT_AS_WRITTEN = re.compile(r"[#?\t\r\n]|%[\da-fA-F]{2}|^\s|^[\w+.-]{2,}:")  # in a URL; a scheme is no drive


def to_otio(edit: EditList, media: str | None = None, *, frame_rate: int | float | None = None) -> Any:
    """The edit list as an ``opentimelineio.schema.Timeline``, in samples or in whole video frames."""
    import opentimelineio as otio

    clock = Fraction(edit.source.sample_rate) if frame_rate is None else exact_rate(frame_rate)
    track = otio.schema.Track(name="edit", kind=otio.schema.TrackKind.Audio)
    for tile in _tiles(edit.merged(), clock):
        if tile.fade.frames:
            track.append(_transition(tile, clock))
        track.append(_item(tile, edit, _url(media or edit.source.name), clock))
    timeline = otio.schema.Timeline(name=Path(edit.source.name).stem, metadata={"rl_editor": edit.to_dict()})
    timeline.tracks.append(track)
    return timeline


class _Tile(NamedTuple):
    """A segment and the crossfade into it, in units of a clock; tiles follow each other without gap or overlap."""

    segment: Segment
    source_start: int
    frames: int
    fade: Crossfade  # none for a dip, whose sides have nothing to play beyond the join


def _tiles(merged: EditList, clock: Fraction) -> Iterator[_Tile]:
    """What plays, on a clock that ticks as the samples do or more slowly."""
    unit = clock / merged.source.sample_rate
    bounds = [nearest(at * unit) for at in (*merged.output_start_frames(), merged.frames)]
    for segment, (start, end), fade in zip(merged.segments, pairwise(bounds), crossfades(merged)[:-1], strict=True):
        if start == end:
            continue
        first = within(segment.source_start_frame or 0, end - start, segment, merged.source, clock)
        mixed = 0 if fade.dip or not start else floor(fade.frames * unit)
        before = min(nearest(fade.before * unit), mixed)
        yield _Tile(segment, first, end - start, Crossfade(before, mixed - before))


def _url(media: str) -> str:
    """A path as a URL of it, where it would be read as that of another file; most paths are their own."""
    return quote(media) if "://" not in media and _NOT_AS_WRITTEN.search(media) else media


def _item(tile: _Tile, edit: EditList, media: str, clock: Fraction) -> Any:
    import opentimelineio as otio

    segment = tile.segment
    if not segment.plays:
        # A dissolve into silence begins before it: there must be some.
        span = _range(tile.fade.before, tile.frames, clock)
        return otio.schema.Gap(source_range=span, metadata={"rl_editor": {"not_in_source": True, **_unsaid_fade(tile)}})
    values = {"gain_db": segment.gain_db, "pitch_semitones": segment.pitch_semitones, "confidence": segment.confidence}
    whole = _range(0, nearest(edit.source.frames * clock / edit.source.sample_rate), clock)
    span = _range(tile.source_start, tile.frames, clock)
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


def _transition(tile: _Tile, clock: Fraction) -> Any:
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


def _range(start: int, frames: int, clock: Fraction) -> Any:
    from opentimelineio.opentime import RationalTime, TimeRange

    return TimeRange(RationalTime(start, float(clock)), RationalTime(frames, float(clock)))
