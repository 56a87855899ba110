"""From activations to beats: the best path through beats of changing length and bars of one metre.

A beat that starts at frame t, lasts tau frames and is number p of its bar scores

    S(t, tau, p) = sum over its first tau/16 frames of log b_p + sum over the others of log((1 - b) / 15),

where b is the probability of a beat, b_0 that of a downbeat and b_p (p > 0) that of a beat which is no downbeat. A
frame that lies in the first sixteenth by a part counts by that part: in whole frames short beats would sound for less
of their time than long ones, and fast songs be taken at half their tempo. Each beat after one of tau' frames costs
lambda |tau - tau'|, and each second at a tempo mu log2(tempo / 125 bpm)^2. The best path is exact: a beat's score needs
only its start and length, and the best predecessor for every length comes from two passes over the lengths, up and down
(Felzenszwalb and Huttenlocher 2012, "Distance transforms of sampled functions", for a cost that grows linearly). Times
come out between frames. A path that counts a stretch in 3/2 or 2/3 of its usual beats gives way to the best that keeps
to these, where that costs little: half or twice the beats are a way to count the same music, three halves are not.

Source: Krebs, Böck and Widmer 2015, "An efficient state-space model for joint tempo and meter tracking" (its states
walk through the beat frame by frame; here a beat is one step, with the same score), and Böck, Krebs and Widmer 2016 for
the observation model. They charge lambda |tau / tau' - 1|, which favours slow tempi where intervals are whole frames.
"""

from typing import NamedTuple, no_type_check

import numba
import numpy as np
from jaxtyping import Float64, Int

from rl_editor.beats.spectrum import FRAME_RATE_HZ, Activations

TEMPO_RANGE_BPM = (50.0, 220.0)
TEMPO_CHANGE_COST = 400.0  # lambda, per second by which neighbouring beats differ in length
TEMPO_PRIOR, LIKELIEST_BPM = 1.0, 125.0  # mu, nats per second and squared octave
PULSE_OCTAVES = 0.25  # beats that differ less in length from a song's usual ones are of one pulse with them
THIRDS_OCTAVES = 0.1  # of 3/2 or 2/3 of their length: beats of another pulse, which cannot be the same song's
THIRDS_SHARE = 0.05  # of the time, from which such beats are looked into
THIRDS_COST = 10.0  # nats per second of such beats, below which a song keeps its pulse; a change of tempo costs more
BEAT_SHARE = 16  # the first 1/16 of a beat is where it sounds
_OVERSAMPLING = 2  # so that intervals are whole frames of 10 ms
_RATE_HZ = FRAME_RATE_HZ * _OVERSAMPLING
SOUNDING_FRAMES_PER_S = _RATE_HZ / BEAT_SHARE  # of a beat's length, in how many frames it sounds
_FLOOR, _LEAST_SHARE = 1e-4, 0.02  # of a beat's probability; of it that a downbeat has, and leaves


class Decoded(NamedTuple):
    """Beats in order."""

    beats_s: Float64[np.ndarray, " beats"]
    position: Int[np.ndarray, " beats"]  # in the bar; 0 is the downbeat
    beats_per_bar: int


def decoded(heard: Activations, *, metres: tuple[int, ...]) -> Decoded:
    """The best beats and bars, in bars of one of ``metres``, of one pulse where that suits nearly as well."""
    sums, beat = _observed(heard)
    n_frames = len(beat)
    shortest, longest = (round(60.0 * _RATE_HZ / bpm) for bpm in reversed(TEMPO_RANGE_BPM))
    lengths = np.arange(shortest, min(longest, max(n_frames // 2, shortest)) + 1)
    starts, position, metre, _ = _of_one_pulse(sums, lengths, metres)
    return Decoded(_settled(starts, lengths, beat) / _RATE_HZ, position, metre)


def beat_scores(
    heard: Activations, bounds_s: Float64[np.ndarray, " bounds"], position: Int[np.ndarray, " beats"]
) -> Float64[np.ndarray, " beats"]:
    """S of each beat of a grid: how well what is heard suits that a beat of this place in the bar lies there."""
    sums, beat = _observed(heard)
    on_peaks = np.clip(np.rint(bounds_s * _RATE_HZ).astype(int), 0, len(beat))
    bounds = np.maximum(on_peaks - 1, 0)  # a beat sounds from just before its peak on
    ways = zip(bounds[:-1], bounds[1:], position, strict=True)
    return np.array([_beat_score(sums, start, end, end - start, place) for start, end, place in ways])


def _observed(heard: Activations) -> tuple[Float64[np.ndarray, "3 bounds"], Float64[np.ndarray, " frames"]]:
    """Sums to each frame of the log-likelihoods of downbeat, other beat and no beat; and the beats' probability."""
    n_frames = len(heard.beat) * _OVERSAMPLING
    fine, frames = np.arange(n_frames) / _OVERSAMPLING, np.arange(len(heard.beat))
    beat = np.clip(np.interp(fine, frames, heard.beat), _FLOOR, 1.0 - _FLOOR)
    downbeat = np.clip(np.interp(fine, frames, heard.downbeat), _LEAST_SHARE * beat, (1.0 - _LEAST_SHARE) * beat)
    sums = np.zeros((3, n_frames + 1))
    opens = np.log(downbeat / beat), np.log1p(-downbeat / beat)
    none = np.log((1.0 - beat) / (BEAT_SHARE - 1))
    for row, values in enumerate((*(np.log(beat) + o for o in opens), none)):
        sums[row, 1:] = np.cumsum(values)
    return sums, beat


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


class _Path(NamedTuple):
    starts: Int[np.ndarray, " beats"]
    position: Int[np.ndarray, " beats"]
    beats_per_bar: int
    score: float


def _of_one_pulse(
    sums: Float64[np.ndarray, "3 bounds"], lengths: Int[np.ndarray, " lengths"], metres: tuple[int, ...]
) -> _Path:
    """The best path; where it changes to 3/2 or 2/3 of its usual beats and keeping to these costs little, that path."""
    free = _best(sums, lengths, metres)
    lasting = np.diff(free.starts)
    if not len(lasting):
        return free
    usual = np.median(np.repeat(lasting, lasting))  # the beat at half the frames
    thirds = lasting[np.abs(_octaves(lasting, usual) - np.log2(1.5)) < THIRDS_OCTAVES].sum()
    if thirds < THIRDS_SHARE * lasting.sum():
        return free
    kept = _best(sums, lengths[_octaves(lengths, usual) < PULSE_OCTAVES], metres)
    return kept if free.score - kept.score < THIRDS_COST * thirds / _RATE_HZ else free


def _octaves(lengths: Int[np.ndarray, " lengths"], usual: float) -> Float64[np.ndarray, " lengths"]:
    octaves: np.ndarray = np.abs(np.log2(lengths / usual))
    return octaves


def _best(
    sums: Float64[np.ndarray, "3 bounds"], lengths: Int[np.ndarray, " lengths"], metres: tuple[int, ...]
) -> _Path:
    """The best path in bars of one of ``metres``."""
    prior = -TEMPO_PRIOR * np.log2(60.0 * _RATE_HZ / lengths / LIKELIEST_BPM) ** 2 * lengths / _RATE_HZ  # per beat
    return max((_path(sums, lengths, prior, metre) for metre in metres), key=lambda path: path.score)


def _path(
    sums: Float64[np.ndarray, "3 bounds"],
    lengths: Int[np.ndarray, " lengths"],
    prior: Float64[np.ndarray, " lengths"],
    metre: int,
) -> _Path:
    """The best path in bars of ``metre`` beats."""
    most = sums.shape[1] // int(lengths[0]) + 2
    starts, position = np.empty(most, np.int64), np.empty(most, np.int64)
    first, score = _best_path(sums, lengths, prior, metre, TEMPO_CHANGE_COST / _RATE_HZ, starts, position)
    return _Path(starts[first:], position[first:], metre, score)


@no_type_check  # compiled, not wrapped by the checkers of tests
@numba.njit(cache=True)
def _best_path(sums, lengths, prior, metre, step, starts, positions):
    """Write starts and positions in the bar of the best path at the ends of the caller's arrays: from where on, and its
    score. Arrays made and returned here would crash where Ctrl-C or SIGTERM came meanwhile.

    ``entry`` holds the best score of a path whose next beat starts at t, has length j and position p; only the longest
    beat's time of it is kept. ``back`` holds the length of the beat before (one byte), 255 where there is none.
    """
    n_frames, n_lengths = sums.shape[1] - 1, len(lengths)
    kept = lengths[-1] + 1
    entry = np.full((kept, metre, n_lengths), -np.inf)
    back = np.full((n_frames, metre, n_lengths), 255, np.uint8)
    best_end, end_t, end_p, end_i = -np.inf, 0, 0, 0
    arrival, came = np.empty(n_lengths), np.empty(n_lengths, np.uint8)
    for t in range(n_frames):
        for p in range(metre):
            before = (p - 1) % metre
            for i in range(n_lengths):
                start = t - lengths[i]
                came[i] = i
                arrival[i] = -np.inf
                if start >= 0:
                    arrival[i] = (
                        entry[start % kept, before, i] + _beat_score(sums, start, t, lengths[i], before) + prior[i]
                    )
            for i in range(1, n_lengths):
                value = arrival[i - 1] - step
                if value > arrival[i]:
                    arrival[i], came[i] = value, came[i - 1]
            for i in range(n_lengths - 2, -1, -1):
                value = arrival[i + 1] - step
                if value > arrival[i]:
                    arrival[i], came[i] = value, came[i + 1]
            for j in range(n_lengths):
                best = arrival[j]
                if t <= lengths[j] and sums[2, t] >= best:
                    best = sums[2, t]
                else:
                    back[t, p, j] = came[j]
                entry[t % kept, p, j] = best
                if t + lengths[j] > n_frames:
                    total = (
                        best + _beat_score(sums, t, n_frames, lengths[j], p) + prior[j] * (n_frames - t) / lengths[j]
                    )
                    if total > best_end:
                        best_end, end_t, end_p, end_i = total, t, p, j
    t, p, i = end_t, end_p, end_i
    first = len(starts) - 1
    starts[first], positions[first] = t, p
    while back[t, p, i] != 255:
        came_from = int(back[t, p, i])
        t, p, i = t - lengths[came_from], (p - 1) % metre, came_from
        first -= 1
        starts[first], positions[first] = t, p
    return first, best_end


@no_type_check  # compiled, not wrapped by the checkers of tests
@numba.njit(cache=True)
def _beat_score(sums, start, end, length, position):
    row = 0 if position == 0 else 1
    sounds = length / BEAT_SHARE
    last = start + int(sounds)
    if last >= end:
        return sums[row, end] - sums[row, start]
    part = sounds - int(sounds)
    sounding = sums[row, last] - sums[row, start] + part * (sums[row, last + 1] - sums[row, last])
    silent = sums[2, end] - sums[2, last] - part * (sums[2, last + 1] - sums[2, last])
    return sounding + silent
