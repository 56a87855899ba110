"""From frames to samples: the lag of each run by whitened correlation, and what mastering did as one short filter.

Conventions: positions are samples at the analysis rate; a run with ``lag`` plays raw sample t + lag at edit sample t
(lag may be a fraction: a native rate may be finer). ``Mastering`` predicts the edit from the raw: a FIR that holds
gain, polarity, static EQ and any phase they turned.

Whitening: cross-spectrum / |cross-spectrum|^0.7, between plain correlation (broad peaks on tonal music) and GCC-PHAT
(Knapp & Carter 1976; all weight on noise). The transfer function is Welch's H1 = S_xy / S_xx.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
import scipy.signal
from jaxtyping import Complex, Float, Float32

from rl_editor.alignment.viterbi import Run

WHITENING = 0.7  # exponent
PROBE_SAMPLES = 8192  # 0.37 s at 22 050 Hz
PROBES_PER_RUN = 5
SEARCH_SAMPLES = 1024  # to either side of the estimate: two frames
FINE_STEPS = 4  # parts of a sample
SHORTEST_RUN_FRAMES = 7  # shorter runs (0.16 s) are hops that no editor makes
SAME_LAG_SAMPLES = 11.0  # 0.5 ms: neighbours this close are one run
TRANSFER_SAMPLES = 4096
TRANSFER_WINDOWS = 64
TAPS_REACH = 256  # taps to either side
REGULARISATION = 1e-3  # of the mean spectral power


@dataclass(frozen=True)
class Placed:
    """Edit samples [start, end) that play the raw ``lag`` samples further on; None is unmatched.

    ``score`` is the height of the correlation peak over the standard deviation of its surroundings.
    """

    start: int
    end: int
    lag: float | None
    score: float = 0.0


@dataclass(frozen=True, eq=False)
class Pair:
    """The two recordings at the analysis rate."""

    raw: Float32[np.ndarray, " raw_samples"]
    edit: Float32[np.ndarray, " edit_samples"]


@dataclass(frozen=True, eq=False)
class Mastering:
    """The edit predicted from the raw by a filter of 2 * ``TAPS_REACH`` + 1 taps, the middle one at lag 0."""

    pair: Pair
    taps: Float[np.ndarray, " taps"]
    gain: float  # root of the power gain, signed by polarity

    def predict(self, *, lag: float, start: int, length: int) -> Float[np.ndarray, " samples"]:
        """What edit samples [start, start + length) should be if they play the raw at this lag."""
        whole = int(np.floor(lag))
        sound = padded_slice(self.pair.raw, start + whole - TAPS_REACH, length + 2 * TAPS_REACH)
        return np.asarray(scipy.signal.oaconvolve(sound, _shifted(self.taps, lag - whole), mode="valid"))


def place(runs: Sequence[Run], pair: Pair, *, hop: int) -> list[Placed]:
    """Runs in samples, their lags refined, hops dropped and neighbours of one lag joined; they tile the edit."""
    estimates = [_in_samples(run, hop, len(pair.edit)) for run in without_hops(runs)]
    polarity = _polarity([_correlations(pair, estimate) for estimate in _longest(estimates)])
    return joined(
        [refined(estimate, pair, polarity=polarity) for estimate in estimates if estimate.end > estimate.start]
    )


def refined(run: Placed, pair: Pair, *, polarity: float) -> Placed:
    """The run with its lag moved to the correlation peak, and the peak's score."""
    if run.lag is None or (found := _correlations(pair, run)) is None:
        return run
    values = polarity * found.values
    peak = int(values.argmax())
    away = np.abs(np.arange(len(values)) - peak) > SEARCH_SAMPLES // 32
    score = float(values[peak] / (values[away].std() + 1e-12))
    return replace(run, lag=run.lag + _fine_peak(found, polarity, peak) - SEARCH_SAMPLES, score=score)


def without_hops(runs: Sequence[Run]) -> list[Run]:
    """Drop runs that are too short to be meant, closing the gap from both sides, and join runs of one diagonal."""
    kept = [run for run in runs if run.end - run.start >= SHORTEST_RUN_FRAMES] or list(runs[:1])
    closed: list[Run] = []
    for run in kept:
        if closed and closed[-1].offset == run.offset:
            closed[-1] = closed[-1]._replace(end=run.end)
        elif closed:
            middle = (closed[-1].end + run.start) // 2
            closed[-1] = closed[-1]._replace(end=middle)
            closed.append(run._replace(start=middle))
        else:
            closed.append(run._replace(start=0))
    closed[-1] = closed[-1]._replace(end=runs[-1].end)
    return closed


def joined(runs: Sequence[Placed]) -> list[Placed]:
    """Neighbours of (nearly) one lag as one run; the longer one's lag stands."""
    merged: list[Placed] = []
    for run in runs:
        if merged and _same_lag(merged[-1].lag, run.lag):
            longer = max(merged[-1], run, key=lambda r: r.end - r.start)
            merged[-1] = replace(longer, start=merged[-1].start, end=run.end)
        else:
            merged.append(run)
    return merged


def learn_mastering(runs: Sequence[Placed], pair: Pair) -> Mastering:
    """Estimate the filter from windows spread over all matched runs; loud ones do not outweigh the usual."""
    matched = [run for run in runs if run.lag is not None and run.end - run.start >= TRANSFER_SAMPLES]
    total = sum(run.end - run.start for run in matched)
    window = scipy.signal.windows.hann(TRANSFER_SAMPLES, sym=False)
    cross = np.zeros(TRANSFER_SAMPLES // 2 + 1, np.complex128)
    power = np.zeros(TRANSFER_SAMPLES // 2 + 1)
    usual = float(np.mean(pair.raw**2)) * TRANSFER_SAMPLES**2 / 8  # of a window's spectrum, summed over its bins
    for run in matched:
        n_windows = max(1, round(TRANSFER_WINDOWS * (run.end - run.start) / total))
        for start in spread(run, TRANSFER_SAMPLES, n_windows):
            x = scipy.fft.rfft(fractional_slice(pair.raw, start + (run.lag or 0.0), TRANSFER_SAMPLES) * window)
            y = scipy.fft.rfft(pair.edit[start : start + TRANSFER_SAMPLES] * window)
            weight = 1.0 / (np.sum(np.abs(x) ** 2) + usual)
            cross += weight * y * np.conj(x)
            power += weight * np.abs(x) ** 2
    transfer = cross / (power + REGULARISATION * power.mean() + 1e-12)
    gain = float(np.sqrt(np.sum(np.abs(transfer) ** 2 * power) / (power.sum() + 1e-12)))
    return Mastering(pair, _taps(transfer), gain if np.sum(cross.real) >= 0 else -gain)


def spread(run: Placed, length: int, count: int) -> list[int]:
    """Up to ``count`` starts of windows of ``length`` samples, evenly over a run and not crowded."""
    room = run.end - run.start - length
    if room <= 0:
        return [max(run.start, (run.start + run.end - length) // 2)] if room == 0 else []
    count = min(count, 1 + room // (length // 2))
    return [run.start + int((k + 0.5) * room / count) for k in range(count)]


def padded_slice(samples: Float[np.ndarray, " n"], start: int, length: int) -> Float[np.ndarray, " m"]:
    """``samples[start : start + length]`` with zeros where there are none."""
    low, high = max(0, start), min(len(samples), start + length)
    if low == start and high == start + length:
        return samples[low:high]
    out = np.zeros(length, samples.dtype)
    if low < high:
        out[low - start : high - start] = samples[low:high]
    return out


def fractional_slice(samples: Float[np.ndarray, " n"], start: float, length: int) -> Float[np.ndarray, " m"]:
    """The same from a fractional position, by turning the phase of a slice with 64 samples to spare."""
    whole = int(np.floor(start))
    spare = 64
    sound = padded_slice(samples, whole - spare, length + 2 * spare)
    if start == whole:
        return sound[spare : spare + length]
    spectrum = scipy.fft.rfft(sound) * _turn(len(sound), start - whole)
    return np.asarray(scipy.fft.irfft(spectrum, len(sound))[spare : spare + length])


def _turn(n: int, delay: float) -> Complex[np.ndarray, " bins"]:
    return np.asarray(np.exp(2j * np.pi * np.arange(n // 2 + 1) * delay / n))


def _shifted(taps: Float[np.ndarray, " taps"], advance: float) -> Float[np.ndarray, " taps"]:
    """Taps whose output comes ``advance`` samples earlier."""
    if advance == 0.0:
        return taps
    n = len(taps) + 1
    return np.asarray(scipy.fft.irfft(scipy.fft.rfft(taps, n) * _turn(n, advance), n)[: len(taps)])


def _taps(transfer: Complex[np.ndarray, " bins"]) -> Float[np.ndarray, " taps"]:
    impulse = scipy.fft.irfft(transfer)
    middle = np.roll(impulse, TAPS_REACH)[: 2 * TAPS_REACH + 1]
    return np.asarray(middle * scipy.signal.windows.tukey(2 * TAPS_REACH + 1, 0.5))


def _in_samples(run: Run, hop: int, n_samples: int) -> Placed:
    """Frame i is centred on i * hop, so a boundary before it lies half a hop earlier."""
    start = max(0, run.start * hop - hop // 2)
    end = min(n_samples, max(0, run.end * hop - hop // 2))
    if run.end * hop + hop // 2 > n_samples:
        end = n_samples
    return Placed(start, end, None if run.offset is None else float(run.offset * hop))


def _longest(runs: Sequence[Placed]) -> list[Placed]:
    matched = [run for run in runs if run.lag is not None]
    return sorted(matched, key=lambda run: run.start - run.end)[:3]


@dataclass(frozen=True, eq=False)
class _Correlation:
    spectrum: Complex[np.ndarray, " bins"]  # summed over probes, whitened
    n: int
    values: Float[np.ndarray, " lags"]  # lag k is k - SEARCH_SAMPLES beside the estimate


def _correlations(pair: Pair, run: Placed) -> _Correlation | None:
    length = min(PROBE_SAMPLES, run.end - run.start)
    n = scipy.fft.next_fast_len(length + 2 * SEARCH_SAMPLES, real=True)
    total = np.zeros(n // 2 + 1, np.complex128)
    window = scipy.signal.windows.hann(length, sym=False)
    for start in _probe_starts(run, length):
        y = padded_slice(pair.raw, start + int(run.lag or 0) - SEARCH_SAMPLES, length + 2 * SEARCH_SAMPLES)
        cross = scipy.fft.rfft(y, n) * np.conj(scipy.fft.rfft(pair.edit[start : start + length] * window, n))
        cross[0] = 0.0  # DC tells nothing
        size = np.abs(cross)
        white = cross / (size**WHITENING + 1e-12)
        total += white / (np.sqrt(np.mean(np.abs(white) ** 2)) + 1e-12)
    if not np.any(total):
        return None
    return _Correlation(total, n, scipy.fft.irfft(total, n)[: 2 * SEARCH_SAMPLES + 1])


def _probe_starts(run: Placed, length: int) -> Iterator[int]:
    yield from spread(run, length, PROBES_PER_RUN)


def _polarity(correlations: Sequence[_Correlation | None]) -> float:
    """+1 or -1: the sign of the tallest peaks of the longest runs together."""
    peaks = [c.values[np.abs(c.values).argmax()] / (c.values.std() + 1e-12) for c in correlations if c is not None]
    return -1.0 if sum(peaks) < 0 else 1.0


def _fine_peak(found: _Correlation, polarity: float, peak: int) -> float:
    """The maximum within a sample of ``peak``: the correlation on a fine grid, then a parabola."""
    steps = peak + np.arange(-FINE_STEPS, FINE_STEPS + 1) / FINE_STEPS
    bins = np.arange(len(found.spectrum))
    values = polarity * (np.exp(2j * np.pi * np.outer(steps, bins) / found.n) @ found.spectrum).real
    k = int(np.clip(values.argmax(), 1, len(steps) - 2))
    before, here, after = values[k - 1 : k + 2]
    bend = before - 2 * here + after
    return float(steps[k] + (0.5 * (before - after) / bend if bend < 0 else 0.0) / FINE_STEPS)


def _same_lag(left: float | None, right: float | None) -> bool:
    if left is None or right is None:
        return left is None and right is None
    return abs(left - right) < SAME_LAG_SAMPLES
