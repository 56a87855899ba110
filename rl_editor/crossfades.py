"""Where an edit list mixes what it plays: the crossfades of its joins, and the fades at its ends, in output frames."""

from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from rl_editor.edits import EditList, Segment, SourceInfo, continues, joins

DIP_MS = 3.0  # each way, where neither side of a join has more to play: short, yet no click


class Crossfade(NamedTuple):
    """The output frames around a join, or at an end, that are mixed; ``dip`` fades through silence instead."""

    before: int = 0
    after: int = 0
    dip: bool = False

    @property
    def lead(self) -> int:
        """Frames that the beginning side plays before its start."""
        return 0 if self.dip else self.before

    @property
    def tail(self) -> int:
        """Frames that the ending side plays beyond its end."""
        return 0 if self.dip else self.after

    @property
    def frames(self) -> int:
        """Frames that are mixed."""
        return self.before + self.after


def crossfades(edit: EditList) -> list[Crossfade]:
    """The fade into every segment and, last, out of the last one: one more than segments.

    Crossfades are clipped to what the source has beyond the join and to half of a segment; where neither side has
    anything beyond the join, both dip for ``DIP_MS``. At both ends of the edit there are ``fade_in_ms`` and
    ``fade_out_ms``, dips with one side, up to the crossfade at the other end of the segment, or to half of an only one;
    where silence begins or ends the edit they are of what plays beside it.
    """
    segments, rate = edit.segments, edit.source.sample_rate
    if not segments:
        return [Crossfade()]
    inner = [_crossfade(left, right, edit.source) for left, right in pairwise(segments)]
    fades = [Crossfade(dip=True), *inner, Crossfade(dip=True)]
    first, last = fading_segments(edit)
    if first > last:
        return fades
    if first == last:
        most_in = most_out = segments[first].frames // 2
    else:
        most_in, most_out = segments[first].frames - fades[first + 1].before, segments[last].frames - fades[last].after
    if fade_in := round(edit.fade_in_ms * rate / 1000):
        fades[first] = Crossfade(after=min(fade_in, most_in), dip=True)
    if fade_out := round(edit.fade_out_ms * rate / 1000):
        fades[last + 1] = Crossfade(before=min(fade_out, most_out), dip=True)
    return fades


def fading_segments(edit: EditList) -> tuple[int, int]:
    """Which segments fade in and out: the first and the last, or what plays beside it where such a one is silence.

    Of silence alone, in two segments, the first comes after the last.
    """
    end, silent = len(edit.segments) - 1, [not segment.plays for segment in edit.segments]
    return int(end > 0 and silent[0]), end - int(end > 0 and silent[-1])


def mixed_joins(edit: EditList) -> list[Segment]:
    """What each join leads to, where both of its sides play something; ``crossfade_in_ms`` is the join's."""
    return [right for left, right in joins(edit) if _both_play(left, right)]


def with_crossfades(edit: EditList, crossfade_ms: float) -> EditList:
    """The same edit with crossfades of one length; into and out of silence they stay."""
    pairs = pairwise(edit.segments)
    mixed = [_both_play(left, right) and not continues(left, right) for left, right in pairs]
    mended = [
        replace(segment, crossfade_in_ms=crossfade_ms) if is_mixed else segment
        for segment, is_mixed in zip(edit.segments, [False, *mixed], strict=False)
    ]
    return replace(edit, segments=tuple(mended))


def _both_play(left: Segment, right: Segment) -> bool:
    return left.plays and right.plays


def _crossfade(left: Segment, right: Segment, source: SourceInfo) -> Crossfade:
    half = round(right.crossfade_in_ms * source.sample_rate / 2000)
    most_before, most_after = min(half, left.frames // 2), min(half, right.frames // 2)
    before = min(most_before, _frames_before(right))
    after = min(most_after, _frames_after(left, source.frames))
    dip = min(half, round(DIP_MS * source.sample_rate / 1000))
    if before + after >= dip:
        return Crossfade(before, after)
    return Crossfade(min(dip, most_before), min(dip, most_after), dip=True)


def _frames_before(segment: Segment) -> int:
    """Output frames that the source has before a segment; silence has as many as it takes."""
    start = segment.source_start_frame
    return segment.frames if start is None else int(start / segment.speed)


def _frames_after(segment: Segment, source_frames: int) -> int:
    end = segment.source_end_frame
    return segment.frames if end is None else int((source_frames - end) / segment.speed)
