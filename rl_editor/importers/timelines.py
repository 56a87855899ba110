"""OpenTimelineIO timelines; conventions as in ``importers``."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.errors import EditListError, first_lines
from rl_editor.importers.reading import check_one_source, read_text

_SLOWEST_HZ = 12.0  # video frames; what counts slower (in seconds, at a rate of 1) was not rounded to them


def from_otio(path: Path, source: SourceInfo) -> EditList:
    """What a timeline plays.

    Raises:
        EditListError: it cannot be read, or holds what no edit list can say.
    """
    import opentimelineio as otio

    text = read_text(path)
    try:
        timeline = otio.adapters.read_from_string(text, "otio_json")
        played = _played(timeline)
    except (otio.exceptions.OTIOError, AttributeError, OSError, TypeError, ValueError) as fault:
        raise EditListError(f"not a readable OpenTimelineIO timeline ({fault})") from None
    try:
        check_one_source(path, _named(played), source)
        found = [_otio_track(track, timeline.tracks.source_range, source) for track in played]
        own = timeline.metadata.get("rl_editor", {})
        fade_in_ms, fade_out_ms = (float(own.get(name, 0.0)) for name in ("fade_in_ms", "fade_out_ms"))
    except (otio.exceptions.OTIOError, AttributeError, TypeError, ValueError, KeyError) as fault:
        raise EditListError(f"a timeline with what no edit list can say ({first_lines(fault)}); flatten it") from None
    if any(segments != found[0] for segments in found[1:]):
        raise EditListError(
            f"{len(found)} tracks hold different clips, an edit list has one; put all clips on "
            "one track, or remove the other tracks"
        )
    return EditList(source, tuple(found[0] if found else ()), fade_in_ms=fade_in_ms, fade_out_ms=fade_out_ms)


def _played(timeline: Any) -> list[Any]:
    """The tracks that are heard: those with audio, else all; of these the ones that are on, and hold clips."""
    import opentimelineio as otio

    tracks = list(timeline.tracks)
    heard = [t for t in tracks if t.kind == otio.schema.TrackKind.Audio] or tracks
    on = [track for track in heard if track.enabled]
    if heard and not on:
        raise EditListError(f"{heard[0].name!r} is switched off, and no other track plays; switch on what is to play")
    return [track for track in on if any(isinstance(item, otio.schema.Clip) for item in track)] or on[:1]


def _named(tracks: Sequence[Any]) -> list[str]:
    """The recordings that clips name; refuses what plays none."""
    import opentimelineio as otio

    named: list[str] = []
    for item in (item for track in tracks for item in track if isinstance(item, otio.schema.Clip)):
        media = item.media_reference
        if isinstance(media, otio.schema.GeneratorReference):
            raise EditListError(f"{item.name!r} plays no recording but {media.generator_kind!r}; remove it")
        if isinstance(media, otio.schema.ExternalReference):
            named.append(PurePosixPath(unquote(urlsplit(media.target_url).path)).name)
    return named


class _Dissolve(NamedTuple):
    """A crossfade, and how far its middle lies behind the cut."""

    fade_ms: float = 0.0
    late_frames: int = 0


def _otio_track(track: Any, shown: Any, source: SourceInfo) -> list[Segment]:
    """What a track plays, within its own source range and the timeline's (``shown``)."""
    import opentimelineio as otio

    segments: list[Segment] = []
    dissolve = _Dissolve()
    _check_effects(track)
    for item in track:
        if isinstance(item, otio.schema.Transition):
            dissolve = _otio_dissolve(item, source.sample_rate)
            continue
        segment = _otio_segment(item, source, _otio_fade_ms(item, dissolve) if segments else 0.0)
        if segments and dissolve.late_frames:
            segments[-1], segment = _with_later_join(segments[-1], segment, dissolve.late_frames, item.name)
        dissolve = _Dissolve()
        if segment.frames > 0:
            segments.append(segment)
    for span in (track.source_range, shown):
        if span is not None:
            first_s, end_s = span.start_time.to_seconds(), span.end_time_exclusive().to_seconds()
            segments = _between(segments, round(first_s * source.sample_rate), round(end_s * source.sample_rate))
    return segments


def _otio_fade_ms(item: Any, dissolve: _Dissolve) -> float:
    """Into an item: its dissolve, or what it was exported with where that was none."""
    return dissolve.fade_ms or float(item.metadata.get("rl_editor", {}).get("crossfade_in_ms", 0.0))


def _otio_dissolve(transition: Any, rate: int) -> _Dissolve:
    """As it lies around the cut; the one it was exported with, unless its sides have been changed since."""
    before_s, after_s = transition.in_offset.to_seconds(), transition.out_offset.to_seconds()
    own = transition.metadata.get("rl_editor", {})
    sides_s = [float(side) for side in own.get("sides_s", ())]
    if len(sides_s) == 2 and all(map(math.isclose, sides_s, (before_s, after_s))):  # OTIO rounds the last digit
        return _Dissolve(float(own["crossfade_ms"]))
    return _Dissolve(1000.0 * (before_s + after_s), round((after_s - before_s) / 2 * rate))


def _with_later_join(ending: Segment, beginning: Segment, frames: int, name: str) -> tuple[Segment, Segment]:
    """Two neighbours whose join lies ``frames`` later (or earlier, below 0); what plays outside the crossfade stays."""
    if ending.frames + frames <= 0 or beginning.frames - frames <= 0:
        raise EditListError(f"the transition into {name!r} is longer than a clip beside it, or as long; shorten it")
    return replace(ending, frames=ending.frames + frames), _from_frame(beginning, frames)


def _between(segments: Sequence[Segment], first: int, end: int) -> list[Segment]:
    """What plays from output frame ``first`` to before ``end``."""
    at, kept = 0, []
    for segment in segments:
        cut = max(first - at, 0)
        frames = min(segment.frames, end - at) - cut
        at += segment.frames
        if frames > 0:
            kept.append(replace(_from_frame(segment, cut), frames=frames))
    return [replace(segment, crossfade_in_ms=segment.crossfade_in_ms if k else 0.0) for k, segment in enumerate(kept)]


def _from_frame(segment: Segment, frames: int) -> Segment:
    """A segment without its first ``frames``, or with as many more before it."""
    start = segment.source_start_frame
    later = None if start is None else start + round(frames * segment.speed)
    return replace(segment, source_start_frame=later, frames=segment.frames - frames)


def _otio_segment(item: Any, source: SourceInfo, fade_ms: float) -> Segment:
    import opentimelineio as otio

    if not isinstance(item, otio.schema.Clip | otio.schema.Gap):
        raise EditListError(f"{item.name!r} is a {type(item).__name__}, clips and gaps are needed; flatten it")
    if not item.enabled:
        raise EditListError(f"{item.name!r} is switched off, which no edit list can say; remove it, or switch it on")
    span, rate = item.trimmed_range(), source.sample_rate
    frames = round(span.duration.to_seconds() * rate)
    if frames < 0:
        raise EditListError(f"{item.name!r} lasts {frames / rate:.6f} s, less than nothing; remove it, or trim it anew")
    if isinstance(item, otio.schema.Gap):
        return Segment(None, frames, crossfade_in_ms=fade_ms)
    media = item.media_reference
    origin_s = media.available_range.start_time.to_seconds() if getattr(media, "available_range", None) else 0.0
    start = round((span.start_time.to_seconds() - origin_s) * rate)
    own = item.metadata.get("rl_editor", {})
    segment = Segment(
        start,
        frames,
        crossfade_in_ms=fade_ms,
        gain_db=float(own.get("gain_db", 0.0)),
        speed=_speed(item),
        pitch_semitones=float(own.get("pitch_semitones", 0.0)),
        confidence=float(own.get("confidence", 1.0)),
    )
    clip_hz = span.duration.rate
    return _rounded_back(segment, source.frames, clip_frame=rate / clip_hz if clip_hz >= _SLOWEST_HZ else 0.0)


def _speed(item: Any) -> float:
    """Of a clip, by its effects."""
    import opentimelineio as otio

    _check_effects(item, but=otio.schema.LinearTimeWarp)
    scalars = (effect.time_scalar for effect in item.effects if isinstance(effect, otio.schema.TimeEffect))
    return math.prod(scalars, start=1.0)


def _check_effects(item: Any, *, but: type | tuple[()] = ()) -> None:
    """Refuse changes of speed ``but`` for those of a kind."""
    import opentimelineio as otio

    for effect in item.effects:
        if isinstance(effect, otio.schema.TimeEffect) and not isinstance(effect, but):
            raise EditListError(
                f"{item.name!r} has a {type(effect).__name__}, which no edit list can say; give each of its clips one "
                "speed, or remove it"
            )


def _rounded_back(segment: Segment, source_frames: int, *, clip_frame: float) -> Segment:
    """A segment without what leaves the recording by half a frame of its clip at the start, by one at the end.

    ``clip_frame`` is in frames of the recording. What leaves it farther is as it is, to be refused.
    """
    start, end = segment.source_start_frame or 0, segment.source_end_frame or 0
    if 0 < -start <= clip_frame / 2:
        segment = replace(segment, source_start_frame=0)
        end -= start
    if 0 < end - source_frames <= clip_frame:
        beyond = math.ceil((end - source_frames) / segment.speed)
        return replace(segment, frames=segment.frames - beyond) if beyond < segment.frames else segment
    return segment
