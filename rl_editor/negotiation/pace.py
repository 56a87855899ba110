"""An edit all of which plays a little faster or slower, as an exact length may be stretched to.

Conventions: ``pace`` source frames pass per output frame, everywhere alike. ``at_own_pace`` is the same edit as the
recording plays it, for what cuts it to the frame; ``at_pace`` is the way back, and what did not change on the way is
as it was, to the sample.
"""

from collections.abc import Sequence
from dataclasses import replace

from rl_editor.edits import EditList, Segment


def pace(edit: EditList) -> float:
    """The speed of what plays first; silence has none."""
    return next((s.speed for s in edit.segments if s.plays), 1.0)


def at_own_pace(edit: EditList) -> EditList:
    """The same passages at the recording's own speed; silence stays as long as it is."""
    if pace(edit) == 1.0:
        return edit
    return replace(edit, segments=tuple(_as_recorded(segment) for segment in edit.segments))


def at_pace(segments: Sequence[Segment], like: EditList) -> tuple[Segment, ...]:
    """Passages at the recording's own speed played at that of ``like``; those that it has as long as it has them."""
    speed = pace(like)
    if speed == 1.0:
        return tuple(segments)
    known: dict[tuple[int | None, int | None], list[int]] = {}  # one passage may be heard for a frame more or less
    for segment in like.segments:
        known.setdefault((segment.source_start_frame, segment.source_end_frame), []).append(segment.frames)
    return tuple(_at(segment, speed, known, like.source.frames) for segment in segments)


def within(segment: Segment, source_frames: int, *, as_long: bool) -> Segment:
    """The segment without the frame of rounding by which a speed may carry it past the recording's end.

    It starts a frame earlier where it has to stay ``as_long`` and can; else it is a frame shorter from the same start.
    """
    start, end = segment.source_start_frame, segment.source_end_frame
    if start is None or end is None or end <= source_frames:
        return segment
    over = end - source_frames
    if as_long and start >= over:
        return replace(segment, source_start_frame=start - over)
    return replace(segment, frames=max(segment.frames - 1, 1))


def _as_recorded(segment: Segment) -> Segment:
    start, end = segment.source_start_frame, segment.source_end_frame
    return segment if start is None or end is None else replace(segment, frames=max(end - start, 1), speed=1.0)


def _at(
    segment: Segment, speed: float, known: dict[tuple[int | None, int | None], list[int]], source_frames: int
) -> Segment:
    if segment.source_end_frame is None:
        return segment
    same = known.get((segment.source_start_frame, segment.source_end_frame))
    if same:
        return replace(segment, frames=same.pop(0) if len(same) > 1 else same[0], speed=speed)
    played = replace(segment, frames=max(round(segment.frames / speed), 1), speed=speed)
    return within(played, source_frames, as_long=False)
