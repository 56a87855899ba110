"""Which beat a join lies on: both sides moved together to where the join sounds most as the song does there.

Conventions: positions are frames at the source's rate. A join from E to S may lie k beats earlier or later: the left
side plays on to E + d and the right side starts at S + d, d being how far the k-th beat from E is, so that length, beat
and bar stay and only what plays within those beats changes sides. The k of least cost is taken,

    cost(k) = 11 a(k) + |e(k)| / 10 ms + 0.05 |k|

of those with which no more of the source plays twice than before, nor, ``in_order``, plays for the first time after
what follows it. a is how unlike the song the join sounds (``sound``), e how far the beats of both sides come apart.
Where on the beat the join then sits, to the millisecond, is ``render.settle_joins``'s matter.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from rl_editor.edits import EditList, Segment
from rl_editor.intervals import overlap, total, union
from rl_editor.negotiation.demands import Jump, TimeSpan
from rl_editor.negotiation.sound import BeatSound

REACH_BEATS = 8
UNLIKE, APART_S, PER_BEAT = 11.0, 0.010, 0.05  # what a = 1 costs, what costs 1, and a beat's cost
_ON_BEAT_S = 0.06  # a join farther from a beat stays where it is
_LEAST_BEATS = 4  # that every passage keeps, if it had them: less than a bar is a stutter
_VETO_BEATS = 4  # a vetoed join does not come back this near to where it was, on both sides: about a bar


def place_joins(
    edit: EditList,
    sound: BeatSound,
    *,
    frozen: Sequence[TimeSpan] = (),
    only: Sequence[int] | None = None,
    barred: Sequence[Jump] = (),
    in_order: bool = False,
) -> EditList:
    """The same edit with every join on the best beat near it; its length stays to the sample.

    Args:
        edit: what plays.
        sound: of the recording that it cuts, at its beats.
        frozen: spans of the source of which nothing changes sides.
        only: numbers of the joins to move, from 1 in output order; all by default.
        barred: joins that none becomes.
        in_order: move nothing of the source behind what follows it.
    """
    merged = edit.merged()
    if len(merged.segments) < 2 or len(sound.bounds_s) < 3:
        return edit
    rate = edit.source.sample_rate
    segments = list(merged.segments)
    for k in range(1, len(segments)):
        if only is None or k in only:
            shift = _best_shift(segments, k, sound, frozen, barred, rate, in_order=in_order)
            segments[k - 1] = replace(segments[k - 1], frames=segments[k - 1].frames + shift)
            start = segments[k].source_start_frame
            if shift and start is not None:
                segments[k] = replace(segments[k], source_start_frame=start + shift, frames=segments[k].frames - shift)
    return replace(merged, segments=tuple(segments))


def nearest_bounds(times_s: Float[np.ndarray, " bounds"], jump: Jump) -> tuple[int, int]:
    """The boundaries nearest to where a join leaves and lands."""
    leave, land = (int(np.argmin(np.abs(times_s - at_s))) for at_s in jump)
    return leave, land


def comes_back(
    leave: Int[np.ndarray, " joins"], land: Int[np.ndarray, " joins"], vetoed: Sequence[tuple[int, int]]
) -> Bool[np.ndarray, " joins"]:
    """Which joins, by their boundaries, are so near on both sides to one that was vetoed that they are heard as it."""
    near = np.zeros(len(leave), bool)
    for p, q in vetoed:
        near |= (np.abs(leave - p) <= _VETO_BEATS) & (np.abs(land - q) <= _VETO_BEATS)
    return near


def _best_shift(
    segments: Sequence[Segment],
    number: int,
    sound: BeatSound,
    frozen: Sequence[TimeSpan],
    barred: Sequence[Jump],
    rate: int,
    *,
    in_order: bool,
) -> int:
    """How many frames later a join lies; 0 where it cannot be moved."""
    left, right = segments[number - 1], segments[number]
    end, start = left.source_end_frame, right.source_start_frame
    plain = all(s.speed == 1.0 and not s.pitch_semitones for s in (left, right))
    if end is None or start is None or not plain:
        return 0
    beats: Int[np.ndarray, " beats"] = np.rint(sound.bounds_s * rate).astype(np.int64)
    i, j = (int(np.argmin(np.abs(beats - at))) for at in (end, start))
    if max(abs(beats[i] - end), abs(beats[j] - start)) > _ON_BEAT_S * rate:
        return 0
    spans = np.array([(s.source_start_frame or 0, s.source_end_frame or 0) for s in segments])
    least = _LEAST_BEATS * int(np.median(np.diff(beats)))
    bars = [nearest_bounds(sound.bounds_s, jump) for jump in barred]
    best, best_cost = 0, np.inf
    for k in sorted(range(-REACH_BEATS, REACH_BEATS + 1), key=abs):
        if not (0 < i + k < len(beats) - 1 and 0 < j + k < len(beats) - 1):
            continue
        shift = int(beats[i + k] - beats[i])
        apart = shift - int(beats[j + k] - beats[j])
        room = left.frames + shift >= min(least, left.frames) and right.frames - shift >= min(least, right.frames)
        if not room or start + shift < 0 or end + shift > beats[-1] or _touches(end, start, shift, frozen, rate):
            continue
        if _repeats_more(spans, number, shift) or comes_back(np.array([i + k]), np.array([j + k]), bars)[0]:
            continue
        if in_order and _moved_frames(_shifted(spans, number, shift)) > _moved_frames(spans):
            continue
        unlike = float(sound.unlikeness(np.array([i + k]), np.array([j + k]))[0])
        cost = UNLIKE * unlike + abs(apart) / (APART_S * rate) + PER_BEAT * abs(k)
        if cost < best_cost:
            best, best_cost = shift, cost
    return best


def _touches(end: int, start: int, shift: int, frozen: Sequence[TimeSpan], rate: int) -> bool:
    """Whether what changes sides overlaps a frozen span."""
    for at in (end, start):
        low, high = sorted((at / rate, (at + shift) / rate))
        if any(overlap((low, high), span) > 1e-3 for span in frozen):
            return True
    return False


def _repeats_more(spans: Int[np.ndarray, "passages two"], number: int, shift: int) -> bool:
    """Whether what one side gains plays elsewhere as well, and more of it than of what the other side gives up."""
    end, start = int(spans[number - 1, 1]), int(spans[number, 0])
    gained, lost = (
        ((end, end + shift), (start, start + shift)) if shift > 0 else ((start + shift, start), (end + shift, end))
    )
    spans = spans.copy()
    if shift > 0:
        spans[number, 0] = start + shift
    else:
        spans[number - 1, 1] = end + shift

    def elsewhere(span: tuple[int, int]) -> int:
        return int(np.maximum(np.minimum(spans[:, 1], span[1]) - np.maximum(spans[:, 0], span[0]), 0).sum())

    return elsewhere(gained) > elsewhere(lost)


def _shifted(spans: Int[np.ndarray, "passages two"], number: int, shift: int) -> Int[np.ndarray, "passages two"]:
    """Passages with a join later, on both sides."""
    spans = spans.copy()
    spans[number - 1, 1] += shift
    spans[number, 0] += shift
    return spans


def _moved_frames(spans: Int[np.ndarray, "passages two"]) -> int:
    """How much of the source plays for the first time after what follows it."""
    heard: list[tuple[int, int]] = []
    moved, last = 0, 0
    for start, end in spans.tolist():
        late = (start, max(start, min(end, last)))
        moved += total([late]) - sum(overlap(late, span) for span in union(heard))
        heard.append((start, end))
        last = max(last, end)
    return moved
