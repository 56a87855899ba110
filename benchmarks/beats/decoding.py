"""From activations to beats: the best path through beats of changing length and bars of three or four.

A beat that starts at frame t, lasts tau frames and is number p of its bar scores

    S(t, tau, p) = sum over its first tau/16 frames of log b_p + sum over the others of log((1 - b) / 15),

where b is the probability of a beat, b_0 that of a downbeat and b_p (p > 0) that of a beat which is no downbeat. Each
beat after one of tau' frames costs lambda |tau / tau' - 1|. The best path is exact, since a beat's score needs only its
start and length. Times come out between frames.

Source: Krebs, Böck and Widmer 2015, "An efficient state-space model for joint tempo and meter tracking" (its states
walk through the beat frame by frame; here a beat is one step, with the same score), and Böck, Krebs and Widmer 2016 for
the observation model.
"""

from typing import NamedTuple

import numba
import numpy as np
from jaxtyping import Float64, Int

from benchmarks.beats.network import FRAME_RATE_HZ, Activations

TEMPO_RANGE_BPM = (50.0, 220.0)
TEMPO_CHANGE_COST = 100.0  # lambda
BEAT_SHARE = 16  # the first 1/16 of a beat is where it sounds
METRES = (3, 4)
_OVERSAMPLING = 2  # so that intervals are whole frames of 10 ms
_FLOOR = 1e-4
_NO_CHANGE = 0.25  # intervals further apart than this share never follow each other


class Decoded(NamedTuple):
    """Beats in order."""

    beats_s: Float64[np.ndarray, " beats"]
    position: Int[np.ndarray, " beats"]  # in the bar; 0 is the downbeat
    beats_per_bar: int
    score: float  # log-likelihood per frame


def decoded(heard: Activations, *, metres: tuple[int, ...] = METRES) -> Decoded:
    """The best beats and bars."""
    n_frames = len(heard.beat) * _OVERSAMPLING
    fine = np.arange(n_frames) / _OVERSAMPLING
    frames = np.arange(len(heard.beat))
    beat = np.clip(np.interp(fine, frames, heard.beat), _FLOOR, 1.0 - _FLOOR)
    downbeat = np.clip(np.interp(fine, frames, heard.downbeat), _FLOOR / 2, beat - _FLOOR / 4)
    rate = FRAME_RATE_HZ * _OVERSAMPLING
    shortest, longest = (round(60.0 * rate / bpm) for bpm in reversed(TEMPO_RANGE_BPM))
    lengths = np.arange(shortest, min(longest, max(n_frames // 2, shortest)) + 1)
    sums = np.zeros((3, n_frames + 1))
    for row, values in enumerate((downbeat, beat - downbeat, (1.0 - beat) / (BEAT_SHARE - 1))):
        sums[row, 1:] = np.cumsum(np.log(np.maximum(values, _FLOOR / 4)))
    paths = [(_best_path(sums, lengths, metre, TEMPO_CHANGE_COST), metre) for metre in metres]
    (starts, position, score), metre = max(paths, key=lambda path: path[0][2])
    return Decoded(_settled(starts, lengths, beat) / rate, position, metre, score / n_frames)


def _settled(
    starts: Int[np.ndarray, " beats"], lengths: Int[np.ndarray, " lengths"], beat: Float64[np.ndarray, " frames"]
) -> Float64[np.ndarray, " beats"]:
    """Each beat where it sounds loudest within its first 1/16, between frames by its neighbours' weights."""
    sounding = np.append(np.diff(starts), lengths[-1]) // BEAT_SHARE + 1
    settled = []
    for start, width in zip(starts, sounding, strict=True):
        low = max(start - 1, 0)
        peak = low + int(np.argmax(beat[low : start + width + 1]))
        around = np.arange(max(peak - 3, 0), min(peak + 4, len(beat)))
        settled.append(float(np.average(around, weights=beat[around] ** 2)))
    return np.array(settled)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _best_path(sums, lengths, metre, cost):  # type: ignore[no-untyped-def]
    n_frames, n_lengths = sums.shape[1] - 1, len(lengths)
    entry = np.full((n_frames, metre, n_lengths), -np.inf)
    back = np.full((n_frames, metre, n_lengths), -1, np.int16)
    best_end, end_t, end_p, end_i = -np.inf, 0, 0, 0
    arrival = np.empty(n_lengths)
    for t in range(n_frames):
        for p in range(metre):
            before = (p - 1) % metre
            for i in range(n_lengths):
                start = t - lengths[i]
                arrival[i] = -np.inf
                if start >= 0:
                    arrival[i] = entry[start, before, i] + _beat_score(sums, start, t, lengths[i], before)
            for j in range(n_lengths):
                best, which = -np.inf, -1
                if t <= lengths[j]:
                    best = sums[2, t]
                low, high = lengths[j] * (1.0 - _NO_CHANGE), lengths[j] * (1.0 + _NO_CHANGE)
                for i in range(n_lengths):
                    if lengths[i] < low or lengths[i] > high:
                        continue
                    value = arrival[i] - cost * abs(lengths[j] / lengths[i] - 1.0)
                    if value > best:
                        best, which = value, i
                entry[t, p, j] = best
                back[t, p, j] = which
                if t + lengths[j] > n_frames:
                    total = best + _beat_score(sums, t, n_frames, lengths[j], p)
                    if total > best_end:
                        best_end, end_t, end_p, end_i = total, t, p, j
    starts, positions = [end_t], [end_p]
    t, p, i = end_t, end_p, end_i
    while back[t, p, i] >= 0:
        came = back[t, p, i]
        t, p, i = t - lengths[came], (p - 1) % metre, came
        starts.append(t)
        positions.append(p)
    return np.array(starts)[::-1], np.array(positions)[::-1], best_end


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _beat_score(sums, start, end, length, position):  # type: ignore[no-untyped-def]
    row = 0 if position == 0 else 1
    sounding = min(start + max(length // BEAT_SHARE, 1), end)
    return sums[row, sounding] - sums[row, start] + sums[2, end] - sums[2, sounding]
