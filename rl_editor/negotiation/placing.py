"""Which beat a join lies on: both sides moved together to where they are most alike.

Conventions: positions are frames at the source's rate. A join from E to S may lie k beats earlier or later: the left
side plays on to E + d and the right side starts at S + d, d being how far the k-th beat from E is, so that length, beat
and bar stay and only what plays within those beats changes sides. The k of least cost is taken,

    cost(k) = D(k) / D_natural + |L(k)| / 3 dB + |e(k)| / 10 ms + 0.05 |k|

D is the distance of spectra, 0.25 s before E + d against 0.25 s after S + d (40 bands from 60 Hz up, dB), D_natural its
median over the song's own beats, L the step of level over 0.2 s, e how far the beats of both sides come apart. Spectra
and levels are of the mono sum. Where on the beat the join then sits, to the millisecond, is ``render.settle_joins``'s
matter.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Int

from rl_editor.edits import EditList, Segment
from rl_editor.evaluation.joins import level_step_db, spectral_distance
from rl_editor.negotiation.demands import TimeSpan
from rl_editor.utils import Samples, load_audio

REACH_BEATS = 8
LEVEL_DB, APART_S, PER_BEAT = 3.0, 0.010, 0.05  # what each costs 1
_ON_BEAT_S = 0.06  # a join farther from a beat stays where it is
_LEAST_BEATS = 2  # that every passage keeps
_MOST_NATURAL = 150  # beats that D_natural is taken from


def place_joins(
    edit: EditList,
    recording: str | Path | Samples,
    *,
    frozen: Sequence[TimeSpan] = (),
    only: Sequence[int] | None = None,
) -> EditList:
    """The same edit with every join on the best beat near it; its length stays to the sample.

    Args:
        edit: what plays, with its beats.
        recording: what it cuts, at its own rate or another.
        frozen: spans of the source of which nothing changes sides.
        only: numbers of the joins to move, from 1 in output order; all by default.

    Raises:
        AudioFileError: the recording cannot be read.
    """
    merged = edit.merged()
    if len(merged.segments) < 2 or len(edit.beat_times_s) < 3:
        return edit
    samples = recording if isinstance(recording, Samples) else load_audio(recording)
    mono = Samples(samples.data.mean(axis=1, keepdims=True), samples.sample_rate)
    rate = edit.source.sample_rate
    beats = np.rint(np.array(edit.beat_times_s) * rate).astype(np.int64)
    natural = _natural_distance(mono, np.rint(np.array(edit.beat_times_s) * mono.sample_rate).astype(np.int64))
    segments = list(merged.segments)
    for k in range(1, len(segments)):
        if only is None or k in only:
            shift = _best_shift(segments[k - 1], segments[k], mono, beats, natural, frozen, rate)
            segments[k - 1] = replace(segments[k - 1], frames=segments[k - 1].frames + shift)
            start = segments[k].source_start_frame
            if shift and start is not None:
                segments[k] = replace(segments[k], source_start_frame=start + shift, frames=segments[k].frames - shift)
    return replace(merged, segments=tuple(segments))


def _natural_distance(mono: Samples, beats: Int[np.ndarray, " beats"]) -> float:
    inner = beats[2:-2]
    chosen = inner[:: max(len(inner) // _MOST_NATURAL, 1)]
    distances = [spectral_distance(mono, int(at)) for at in chosen]
    return max(float(np.median(distances)) if distances else 1.0, 1e-3)


def _best_shift(
    left: Segment,
    right: Segment,
    mono: Samples,
    beats: Int[np.ndarray, " beats"],
    natural: float,
    frozen: Sequence[TimeSpan],
    rate: int,
) -> int:
    """How many frames later the join lies; 0 where it cannot be moved."""
    end, start = left.source_end_frame, right.source_start_frame
    plain = all(s.speed == 1.0 and not s.pitch_semitones for s in (left, right))
    if end is None or start is None or not plain:
        return 0
    i, j = (int(np.argmin(np.abs(beats - at))) for at in (end, start))
    if max(abs(beats[i] - end), abs(beats[j] - start)) > _ON_BEAT_S * rate:
        return 0
    least = _LEAST_BEATS * int(np.median(np.diff(beats)))
    best, best_cost = 0, np.inf
    for k in sorted(range(-REACH_BEATS, REACH_BEATS + 1), key=abs):
        if not (0 < i + k < len(beats) - 1 and 0 < j + k < len(beats) - 1):
            continue
        shift = int(beats[i + k] - beats[i])
        apart = shift - int(beats[j + k] - beats[j])
        room = left.frames + shift >= min(least, left.frames) and right.frames - shift >= min(least, right.frames)
        if not room or start + shift < 0 or end + shift > beats[-1] or _touches(end, start, shift, frozen, rate):
            continue
        leave, land = (round((frame + shift) * mono.sample_rate / rate) for frame in (end, start))
        cost = _cost(mono, leave, land, natural) + abs(apart) / (APART_S * rate) + PER_BEAT * abs(k)
        if cost < best_cost:
            best, best_cost = shift, cost
    return best


def _touches(end: int, start: int, shift: int, frozen: Sequence[TimeSpan], rate: int) -> bool:
    """Whether what changes sides overlaps a frozen span."""
    for at in (end, start):
        low, high = sorted((at / rate, (at + shift) / rate))
        if any(min(high, span.end_s) - max(low, span.start_s) > 1e-3 for span in frozen):
            return True
    return False


def _cost(mono: Samples, end: int, start: int, natural: float) -> float:
    joined = _joined(mono, end, start)
    middle = joined.frames // 2
    return spectral_distance(joined, middle) / natural + level_step_db(joined, middle) / LEVEL_DB


def _joined(mono: Samples, end: int, start: int) -> Samples:
    """Half a second before ``end``, then half a second from ``start``; silence beyond the recording."""
    reach = mono.sample_rate // 2
    before, after = mono.data[max(end - reach, 0) : end], mono.data[start : start + reach]
    return Samples(
        np.concatenate(
            [np.pad(before, ((reach - len(before), 0), (0, 0))), np.pad(after, ((0, reach - len(after)), (0, 0)))]
        ),
        mono.sample_rate,
    )
