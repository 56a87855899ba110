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
    return next((s.speed for s in edit.segments if s.source_start_frame is not None), 1.0)


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
    frames = {(s.source_start_frame, s.source_end_frame): s.frames for s in like.segments}
    return tuple(
        s if s.source_end_frame is None else _at(s, speed, frames.get((s.source_start_frame, s.source_end_frame)), like)
        for s in segments
    )


def _as_recorded(segment: Segment) -> Segment:
    start, end = segment.source_start_frame, segment.source_end_frame
    return segment if start is None or end is None else replace(segment, frames=max(end - start, 1), speed=1.0)


def _at(segment: Segment, speed: float, known: int | None, like: EditList) -> Segment:
    frames = max(round(segment.frames / speed), 1) if known is None else known
    played = replace(segment, frames=frames, speed=speed)
    over = (played.source_end_frame or 0) > like.source.frames  # by a frame of rounding, at the recording's end
    return replace(played, frames=max(frames - 1, 1)) if over else played
