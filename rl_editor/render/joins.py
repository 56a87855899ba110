"""Where a join lies: away from onsets, where both sides agree; and how an edit begins and ends within the recording.

A join moves in two ways, and in neither does the length of the edit change:

position d, within ``render.join_search_ms``: the left side plays d longer and the right side starts d later, so what
plays at every output instant outside stays, and the beat is unbroken. The d with the least cost is taken,

    cost(d) = T_left(d) + T_right(d) + W_AGREE (1 - r(d)) + W_STAY |d| / D

T is the mean over the crossfade of the rise of log energy (2 ms steps of the differenced signal; an onset is a rise),
r the normalised correlation of both sides over the crossfade, D the limit of the search.

micro-shift m, at most ``MICRO_MS``: the right side starts m later *in the source*, which moves its beats by -m. Taken
only where the correlation gains at least ``MICRO_GAIN``; 3 ms are below what is heard as uneven (some 6 ms). The
shifts of all joins together stay within ``MICRO_MS`` as well, and the last segment ends as much later, so the
length stays. An edit that plays to the recording's end may end as much before it, and not after.

Joins to silence, or between segments with another speed or pitch, stay where they are.

An edit that begins within the recording fades in for ``FADE_IN_MS``, so short that an attack on its first beat stays
one; an edit that ends within it fades out for ``FADE_OUT_MS``, which also hides what already sounds of the next beat.
Source: Wenner et al. 2013, "Scalable Music: Automatic Music Retargeting and Synthesis", and radiotool (S. Rubin),
which place joins by least transient energy and shift one side to the best correlation.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rl_editor.config import Config
from rl_editor.edits import EditList, Segment
from rl_editor.render.sources import Source, check_source, open_source
from rl_editor.utils import Samples

MICRO_MS = 3.0
MICRO_GAIN = 0.15  # of normalised correlation
FADE_IN_MS = 3.0
FADE_OUT_MS = 60.0

_W_AGREE = 0.5  # T is 1 where the energy rises by a factor e within every step
_W_STAY = 0.02
_STEP_MS = 2.0  # of the energy envelope
_MIN_HALF_MS = 5.0  # what is compared around a join is at least this far to each side
_QUIET = 1e-3  # of the loudest step: rises below it are no onsets


class _Side(NamedTuple):
    """Mono samples around a point of the source; ``at`` is the point's index."""

    samples: Float[np.ndarray, " samples"]
    at: int


def settle_joins(
    edit: EditList, recording: str | Path | Samples, config: Config, *, only: Collection[int] | None = None
) -> EditList:
    """The same edit with every join moved to where it is heard least, its ends faded; its length stays.

    Args:
        edit: what plays.
        recording: what it cuts.
        config: reads ``render``.
        only: numbers of the joins to move, from 1 in output order; all by default.

    Raises:
        EditListError: the edit list was made for another recording.
        AudioFileError: the recording cannot be read.
    """
    segments = list(edit.merged().segments)
    with open_source(recording) as source:
        check_source(edit, source)
        limit = round(config.render.join_search_ms * source.sample_rate / 1000)
        chosen = range(1, len(segments)) if only is None else only
        micro = min(limit, _micro_frames(source.sample_rate))
        settled = _settle(segments, source, limit, (-micro, micro), chosen)
        if sum(s.frames for s in settled) != edit.frames:  # the last segment cannot end so much later, or earlier
            earliest, latest = _leeway(segments[-1], source.frames)
            settled = _settle(segments, source, limit, (max(-micro, earliest), min(micro, latest)), chosen)
    return with_faded_ends(replace(edit, segments=tuple(settled)))


def with_faded_ends(edit: EditList) -> EditList:
    """The same edit without a click where it begins or ends within the recording; fades that it has there stay.

    At the recording's own ends there is none, but for one that is longer: that was asked for. Where settled joins have
    the edit end just before the recording does, nothing has to be hidden, and it fades out for ``MICRO_MS``.
    """
    if not edit.segments:
        return edit
    start, end = edit.segments[0].source_start_frame, edit.segments[-1].source_end_frame
    unplayed = 0 if end is None else edit.source.frames - end
    just_before = 0 < unplayed <= _micro_frames(edit.source.sample_rate)
    return replace(
        edit,
        fade_in_ms=_fade_ms(edit.fade_in_ms, FADE_IN_MS, within=bool(start)),
        fade_out_ms=_fade_ms(edit.fade_out_ms, MICRO_MS if just_before else FADE_OUT_MS, within=unplayed > 0),
    )


def _fade_ms(own_ms: float, usual_ms: float, *, within: bool) -> float:
    return (own_ms or usual_ms) if within or own_ms > usual_ms else 0.0


def _micro_frames(rate: int) -> int:
    return round(MICRO_MS * rate / 1000)


def _settle(
    segments: Sequence[Segment], source: Source, limit: int, drifts: tuple[int, int], chosen: Collection[int]
) -> list[Segment]:
    """Every join at its best; the sum of micro-shifts stays within ``drifts`` from join to join."""
    settled, drift = list(segments), 0
    for k in range(1, len(settled)):
        left, right = settled[k - 1], settled[k]
        if k not in chosen or not (_is_plain(left) and _is_plain(right)):
            continue
        shift = _best_position(left, right, source, limit)
        left, right = _moved(left, right, shift)
        extra = _micro_shift(left, right, source, (drifts[0] - drift, drifts[1] - drift))
        drift += extra
        settled[k - 1], settled[k] = left, _starting_later(right, extra)
    if settled:
        settled[-1] = _longer(settled[-1], drift, source.frames)
    return settled


def _leeway(last: Segment, source_frames: int) -> tuple[int, int]:
    """How many frames earlier (below 0: a quarter of it) and later (as the source goes on) the last segment may end."""
    if last.source_start_frame is None:
        return -(last.frames // 4), source_frames  # silence may be any longer
    return -(last.frames // 4), int((source_frames - last.source_start_frame) / last.speed) - last.frames


def _is_plain(segment: Segment) -> bool:
    return segment.plays and segment.speed == 1.0 and segment.pitch_semitones == 0.0


def _moved(left: Segment, right: Segment, shift: int) -> tuple[Segment, Segment]:
    return replace(left, frames=left.frames + shift), _starting_later(right, shift)


def _starting_later(segment: Segment, frames: int) -> Segment:
    assert segment.source_start_frame is not None
    return replace(segment, source_start_frame=segment.source_start_frame + frames, frames=segment.frames - frames)


def _longer(segment: Segment, frames: int, source_frames: int) -> Segment:
    """So much longer, where the source goes on and something is left of it; else as it was."""
    longer = replace(segment, frames=segment.frames + frames)
    return longer if longer.frames > 0 and (longer.source_end_frame or 0) <= source_frames else segment


def _half_frames(right: Segment, rate: int) -> int:
    return round(max(right.crossfade_in_ms / 2, _MIN_HALF_MS) * rate / 1000)


def _best_position(left: Segment, right: Segment, source: Source, limit: int) -> int:
    """The shift of both sides with the least cost, in frames."""
    end, start = left.source_end_frame, right.source_start_frame
    assert end is not None
    assert start is not None
    low = -min(limit, left.frames // 4, start, end)
    high = min(limit, right.frames // 4, source.frames - end, source.frames - start)
    if high <= low:
        return 0
    half = _half_frames(right, source.sample_rate)
    a, b = _side(source, end, limit + half), _side(source, start, limit + half)
    shifts = np.arange(low, high + 1)
    step = max(1, round(_STEP_MS * source.sample_rate / 1000))
    loudest = max(_energy(a.samples, step).max(initial=0.0), _energy(b.samples, step).max(initial=0.0))
    floor = _QUIET * loudest
    cost = _transients(a, shifts, half, step, floor=floor) + _transients(b, shifts, half, step, floor=floor)
    cost = cost + _W_AGREE * (1 - _correlations(a, b, shifts, half)) + _W_STAY * np.abs(shifts) / limit
    return int(shifts[np.argmin(cost)])


def _micro_shift(left: Segment, right: Segment, source: Source, room: tuple[int, int]) -> int:
    """How much later in the source, within ``room``, the right side starts, in frames; 0 unless that clearly helps."""
    end, start = left.source_end_frame, right.source_start_frame
    assert end is not None
    assert start is not None
    limit = _micro_frames(source.sample_rate)
    low, high = max(-limit, room[0], -start), min(limit, room[1], right.frames // 4)
    half = _half_frames(right, source.sample_rate)
    if high <= low:
        return 0
    a, b = _side(source, end, half).samples, _side(source, start, half + limit)
    shifts = np.arange(low, high + 1)
    windows = np.lib.stride_tricks.sliding_window_view(b.samples, len(a))[shifts + limit]
    power = np.sqrt(np.einsum("ij,ij->i", windows, windows) * (a @ a))
    r = np.divide(windows @ a, power, out=np.zeros(len(shifts)), where=power > 0)
    best = int(np.argmax(r))
    return int(shifts[best]) if r[best] - r[int(np.flatnonzero(shifts == 0)[0])] >= MICRO_GAIN else 0


def _side(source: Source, at: int, reach: int) -> _Side:
    """Mono float samples from ``at - reach`` to ``at + reach``, zeros beyond the source."""
    low, high = max(0, at - reach), min(source.frames, at + reach)
    mono = source.read(low, high - low).mean(axis=1, dtype=np.float64) / source.sample_type.full_scale
    return _Side(np.pad(mono, (low - (at - reach), at + reach - high)), reach)


def _energy(samples: Float[np.ndarray, " samples"], step: int) -> Float[np.ndarray, " samples"]:
    """Energy of the differenced signal in the ``step`` samples up to each sample."""
    total = np.cumsum(np.square(np.diff(samples, prepend=samples[:1])))
    total[step:] -= total[:-step].copy()
    energy: np.ndarray = np.maximum(total, 0.0)
    return energy


def _transients(side: _Side, shifts: np.ndarray, half: int, step: int, *, floor: float) -> Float[np.ndarray, " shifts"]:
    """Mean rise of log energy over the crossfade, for every shift."""
    level = np.log(_energy(side.samples, step) + floor + np.finfo(float).tiny)
    rise = np.zeros(len(level))
    rise[step:] = np.maximum(level[step:] - level[:-step], 0.0)
    mean: np.ndarray = _spans(rise, side.at + shifts, half) / (2 * half)
    return mean


def _correlations(a: _Side, b: _Side, shifts: np.ndarray, half: int) -> Float[np.ndarray, " shifts"]:
    """Normalised correlation of both sides over the crossfade, for every shift of both."""
    dot, aa, bb = (
        _spans(product, a.at + shifts, half)
        for product in (a.samples * b.samples, np.square(a.samples), np.square(b.samples))
    )
    power = np.sqrt(np.maximum(aa * bb, 0.0))
    r: np.ndarray = np.divide(dot, power, out=np.zeros(len(shifts)), where=power > np.finfo(float).tiny)
    return r


def _spans(values: Float[np.ndarray, " samples"], centres: np.ndarray, half: int) -> Float[np.ndarray, " centres"]:
    """Sums of ``values`` from centre - half to centre + half."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    spans: np.ndarray = total[centres + half] - total[centres - half]
    return spans
