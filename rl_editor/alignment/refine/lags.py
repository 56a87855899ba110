"""The lag of each run, by whitened correlation of probes with the sound that it plays.

Conventions as in ``refine``. Whitening: cross-spectrum / |cross-spectrum|^0.7, between plain correlation (broad peaks
on tonal music) and GCC-PHAT (Knapp & Carter 1976; all weight on noise).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import scipy.fft
import scipy.signal
import scipy.stats
from jaxtyping import Bool, Complex, Float, Float32, Int64

from rl_editor.alignment.views import SHORTEST_RUN_FRAMES, View
from rl_editor.alignment.viterbi import Run
from rl_editor.utils import padded_span

WHITENING = 0.7  # exponent
PROBE_SAMPLES = 8192  # 0.37 s at 22 050 Hz
PROBES_PER_RUN, PROBES_PER_DRIFT = 5, 40
SEARCH_SAMPLES = 1024  # to either side of the estimate: two frames
FINE_STEPS = 4  # parts of a sample
MOST_PEAKS, PEAK_SHARE = 3, 0.5  # of the highest
SAME_LAG_SAMPLES = 11.0  # 0.5 ms: neighbours this close are one run
FOLLOWED_SAMPLES = 441.0  # 20 ms: the same where only a spectrum follows
HEARD_SCORE = 7.0  # deviations that a probe's peak must stand out; noise reaches 5 in 2049 lags
SILENT_SHARE = 1e-5  # of the edit's mean power: -50 dB
LEAST_HEARD, DRIFT_SLIPS = 3, 2 / 3  # probes, and the share of them beside a line for it to be none
SLIP_STEP_SAMPLES, SLIP_CHUNK_SAMPLES = PROBE_SAMPLES // 2, 64 * PROBE_SAMPLES  # of the probes that say where
SLIP_COST = 10.0  # deviations of a probe's correlation
STEADY_SAMPLES = 3.0  # probes this near a line have one lag, or one drift
SETTLING_REACH = 12  # samples to either side: of a peak that are its own, and over which a lag is settled


@dataclass(frozen=True)
class Placed:
    """Edit samples [start, end) that play their view ``lag`` samples further on; None is unmatched.

    ``score`` is the height of the correlation peak over the standard deviation of its surroundings; ``drift`` the
    samples per sample by which the lag grows along the run, where its probes show one. A ``brief`` run is meant,
    however short it is.
    """

    start: int
    end: int
    lag: float | None
    score: float = 0.0
    view: int = 0
    drift: float = 0.0
    brief: bool = False


@dataclass(frozen=True, eq=False)
class Pair:
    """The raw recording in its views, and the edit, at the analysis rate."""

    views: tuple[View, ...]
    edit: Float32[np.ndarray, " edit_samples"]

    def sound(self, run: Placed) -> Float32[np.ndarray, " view_samples"] | None:
        """The samples that a run plays; None where only a spectrum follows."""
        return self.views[run.view].sound

    def is_sampled(self, run: Placed) -> bool:
        """Whether samples of the edit follow samples of the raw in a run: it is matched, and not by its sound alone."""
        return run.lag is not None and self.sound(run) is not None

    @property
    def raw(self) -> Float32[np.ndarray, " raw_samples"]:
        """The raw as it is: the first view."""
        sound = self.views[0].sound
        assert sound is not None
        return sound

    def n_samples(self, run: Placed) -> int:
        """Length of the raw in the time of a run's view."""
        return int(len(self.raw) / self.views[run.view].speed)


class Placement(NamedTuple):
    """Runs in samples, which tile the edit, and the sign of its polarity."""

    runs: list[Placed]
    polarity: float


def place(runs: Sequence[Run], pair: Pair, *, hop: int) -> Placement:
    """Runs in samples, their lags refined and hops dropped."""
    estimates = [_in_samples(run, hop, len(pair.edit)) for run in without_hops(runs)]
    polarity = _polarity([_correlations(pair, estimate) for estimate in _longest(estimates, pair)])
    placed = [refined(estimate, pair, polarity=polarity) for estimate in estimates if estimate.end > estimate.start]
    steady = [_at_another_speed(run, pair, polarity) for run in placed]
    return Placement([piece for run in steady for piece in _unslipped(run, pair, polarity)], polarity)


def refined(run: Placed, pair: Pair, *, polarity: float) -> Placed:
    """The run with its lag moved to the correlation peak, the peak's score, and its drift."""
    if not pair.is_sampled(run) or (found := _correlations(pair, run, PROBES_PER_RUN)) is None:
        return run
    values = polarity * found.values
    peak = int(values.argmax())
    score = _peak_score(values, peak)
    drift, shift = _drift(run, found, polarity)
    if drift:
        return replace(run, lag=found.whole + shift, score=score, drift=drift)
    return replace(run, lag=found.whole + _fine_peak(found, polarity, peak) - found.reach, score=score)


def at_speed(run: Placed, old: View, new: View, index: int) -> Placed:
    """The run in a view of another speed, the one at ``index``, unmoved at its middle."""
    middle = (run.start + run.end) / 2
    return replace(run, lag=(middle + (run.lag or 0.0)) * old.speed / new.speed - middle, view=index, drift=0.0)


def _at_another_speed(run: Placed, pair: Pair, polarity: float) -> Placed:
    """A run that slips, in the tape that it plays steadily: a few seconds sound alike at speeds that are near.

    Cut into pieces of one lag each it would be a row of joins that nobody made.
    """
    if run.lag is None or len(pair.views) == 1 or not _slips(run, pair, polarity):
        return run
    old, best = pair.views[run.view], run
    for index, view in enumerate(pair.views):
        if index != run.view and view.sound is not None:
            found = refined(at_speed(run, old, view, index), pair, polarity=polarity)
            if found.score > max(HEARD_SCORE, best.score) and not _slips(found, pair, polarity):
                best = found
    return best


def _unslipped(run: Placed, pair: Pair, polarity: float) -> list[Placed]:
    """The run cut where its lag slips by less than a frame, as after cuts of milliseconds.

    The probes of such a run have no peak in common, or lie about a line as if it drifted.
    """
    if run.lag is None or not _slips(run, pair, polarity):
        return [run]
    at, lags = _lags_along(run, pair, polarity)
    slips = np.flatnonzero(np.abs(np.diff(lags)) > SAME_LAG_SAMPLES) + 1
    bounds = [run.start, *((at[slips - 1] + at[slips]) / 2).round().astype(int).tolist(), run.end]
    parts = zip(pairwise(bounds), np.split(lags, slips), strict=True)
    pieces = [replace(run, start=a, end=b, lag=float(np.median(own)), drift=0.0) for (a, b), own in parts]
    return [refined(piece, pair, polarity=polarity) for piece in pieces]


def _slips(run: Placed, pair: Pair, polarity: float) -> bool:
    """Whether most probes that stand out by themselves lie beside the run's lag, or the line of its drift."""
    found = _correlations(pair, run, PROBES_PER_DRIFT if run.drift else PROBES_PER_RUN)
    if found is None:
        return False
    values = _probe_values(found, polarity)
    peaks = values.argmax(axis=1)
    heard = [_peak_score(row, int(peak)) > HEARD_SCORE for row, peak in zip(values, peaks, strict=True)]
    at = np.array(found.starts) + found.length / 2 - (run.start + run.end) / 2
    away = np.abs(found.whole + peaks - found.reach - (run.lag or 0.0) - run.drift * at)[heard]
    within, share = (STEADY_SAMPLES, DRIFT_SLIPS) if run.drift else (SAME_LAG_SAMPLES, 0.5)
    return len(away) >= LEAST_HEARD and float(np.mean(away > within)) > share


def _lags_along(
    run: Placed, pair: Pair, polarity: float
) -> tuple[Float[np.ndarray, " probes"], Float[np.ndarray, " probes"]]:
    """The middles of probes that follow each other closely, and their lags, where every slip has its cost."""
    at: list[float] = []
    lags: list[float] = []
    n_chunks = -(-(run.end - run.start) // SLIP_CHUNK_SAMPLES)
    for start, end in pairwise(np.linspace(run.start, run.end, n_chunks + 1).astype(int).tolist()):
        chunk = replace(run, start=start, end=end)
        if (found := _correlations(pair, chunk, SLIP_CHUNK_SAMPLES // SLIP_STEP_SAMPLES)) is not None:
            values = _probe_values(found, polarity)
            heights = values / (values.std(axis=1, keepdims=True) + 1e-12)
            at += [first + found.length / 2 for first in found.starts]
            lags += (found.whole + cheapest_path(-heights, change=SLIP_COST) - found.reach).tolist()
    return np.array(at), np.array(lags, np.float64)


def cheapest_path(cost: Float[np.ndarray, "steps choices"], *, change: float) -> Int64[np.ndarray, " steps"]:
    """The choice of every step, changes paid for; a tie stays."""
    total, back = cost[0], []
    for row in cost[1:]:
        best = int(total.argmin())
        stays = total <= total[best] + change
        back.append(np.where(stays, np.arange(len(total)), best))
        total = np.where(stays, total, total[best] + change) + row
    path = [int(total.argmin())]
    for pointers in back[::-1]:
        path.append(int(pointers[path[-1]]))
    return np.array(path[::-1], np.int64)


def at_peaks(
    run: Placed, pair: Pair, *, polarity: float, n_probes: int, reach: int = SEARCH_SAMPLES
) -> Iterator[Placed]:
    """The run at each of the highest peaks within ``reach``, in whole samples: a stretch may hold more than one lag."""
    if run.lag is None or (found := _correlations(pair, run, n_probes, reach)) is None:
        return
    left = polarity * found.values
    highest = float(left.max())
    for _ in range(MOST_PEAKS):
        peak = int(left.argmax())
        if left[peak] < PEAK_SHARE * highest:
            return
        yield replace(run, lag=float(found.whole + peak - reach))
        left[max(0, peak - SETTLING_REACH) : peak + SETTLING_REACH + 1] = 0.0


def unheard(runs: Sequence[Placed], pair: Pair, *, hop: int) -> list[Run]:
    """The runs, in frames, that should play samples and do not."""
    return [
        Run(round(run.start / hop), round(run.end / hop), round(run.lag / hop), run.view)
        for run in runs
        if run.lag is not None and pair.sound(run) is not None and run.score < HEARD_SCORE and not run.drift
    ]


def without_hops(runs: Sequence[Run]) -> list[Run]:
    """Drop runs that are too short to be meant, closing the gap from both sides, and join runs of one diagonal."""
    kept = [run for run in runs if run.end - run.start >= SHORTEST_RUN_FRAMES] or list(runs[:1])
    closed: list[Run] = []
    for run in kept:
        if closed and (closed[-1].offset, closed[-1].view) == (run.offset, run.view):
            closed[-1] = closed[-1]._replace(end=run.end)
        elif closed:
            middle = (closed[-1].end + run.start) // 2
            closed[-1] = closed[-1]._replace(end=middle)
            closed.append(run._replace(start=middle))
        else:
            closed.append(run._replace(start=0))
    closed[-1] = closed[-1]._replace(end=runs[-1].end)
    return closed


def joined(runs: Sequence[Placed], pair: Pair) -> list[Placed]:
    """Neighbours of (nearly) one lag as one run; the longer one's lag stands."""
    merged: list[Placed] = []
    for run in runs:
        if merged and _same_lag(merged[-1], run, SAME_LAG_SAMPLES if pair.sound(run) is not None else FOLLOWED_SAMPLES):
            longer = max(merged[-1], run, key=lambda r: r.end - r.start)
            merged[-1] = replace(longer, start=merged[-1].start, end=run.end)
        else:
            merged.append(run)
    return merged


def spread(run: Placed, length: int, count: int) -> list[int]:
    """Up to ``count`` starts of windows of ``length`` samples, evenly over a run and not crowded."""
    room = run.end - run.start - length
    if room <= 0:
        return [max(run.start, (run.start + run.end - length) // 2)] if room == 0 else []
    count = min(count, 1 + room // (length // 2))
    return [run.start + int((k + 0.5) * room / count) for k in range(count)]


def stretches(mask: Bool[np.ndarray, " n"], *, at_least: int) -> list[tuple[int, int]]:
    """Where a mask is true for ``at_least`` in a row, as half-open spans."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2) if b - a >= at_least]


def _in_samples(run: Run, hop: int, n_samples: int) -> Placed:
    """Frame i is centred on i * hop, so a boundary before it lies half a hop earlier."""
    start = max(0, run.start * hop - hop // 2)
    end = min(n_samples, max(0, run.end * hop - hop // 2))
    if run.end * hop + hop // 2 > n_samples:
        end = n_samples
    return Placed(start, end, None if run.offset is None else float(run.offset * hop), view=run.view)


def _longest(runs: Sequence[Placed], pair: Pair) -> list[Placed]:
    return sorted(filter(pair.is_sampled, runs), key=lambda run: run.start - run.end)[:3]


@dataclass(frozen=True, eq=False)
class _Correlation:
    """Of a run's probes with the sound it plays; value k is of lag ``whole`` + k - reach."""

    whole: int  # the estimate, rounded down
    starts: list[int]
    length: int
    reach: int
    spectra: Complex[np.ndarray, "probes bins"]  # whitened, each of unit power
    total: Complex[np.ndarray, " bins"]
    n: int
    values: Float[np.ndarray, " lags"]


def _correlations(
    pair: Pair, run: Placed, n_probes: int = PROBES_PER_RUN, reach: int = SEARCH_SAMPLES
) -> _Correlation | None:
    length = min(PROBE_SAMPLES, run.end - run.start)
    n = scipy.fft.next_fast_len(length + 2 * reach, real=True)
    window = scipy.signal.windows.hann(length, sym=False).astype(np.float32)
    starts, sound = spread(run, length, n_probes), pair.sound(run)
    if not starts or sound is None:
        return None
    whole = int(np.floor(run.lag or 0.0))
    heard = np.stack([padded_span(sound, start + whole - reach, length + 2 * reach) for start in starts])
    probes = np.stack([pair.edit[start : start + length] for start in starts]) * window
    cross = scipy.fft.rfft(heard, n) * np.conj(scipy.fft.rfft(probes, n))
    cross[:, 0] = 0.0  # DC tells nothing
    white = cross / (np.abs(cross) ** WHITENING + 1e-12)
    white /= np.sqrt(np.mean(np.abs(white) ** 2, axis=1, keepdims=True)) + 1e-12
    if not np.any(white):
        return None
    total = white.sum(axis=0)
    return _Correlation(whole, starts, length, reach, white, total, n, scipy.fft.irfft(total, n)[: 2 * reach + 1])


def _peak_score(values: Float[np.ndarray, " lags"], peak: int) -> float:
    away = np.abs(np.arange(len(values)) - peak) > SEARCH_SAMPLES // 32
    return float(values[peak] / (values[away].std() + 1e-12))


def _probe_values(found: _Correlation, polarity: float) -> Float[np.ndarray, "probes lags"]:
    """The correlation of every probe by itself."""
    return np.asarray(polarity * scipy.fft.irfft(found.spectra, found.n, axis=1)[:, : 2 * found.reach + 1])


class _Line(NamedTuple):
    drift: float
    shift: float  # of the lag at the middle of the run, beside the estimate rounded down


def _drift(run: Placed, found: _Correlation, polarity: float) -> _Line:
    """The slope of the probes' own lags over the run; 0 where they agree, or tell nothing."""
    if len(found.starts) < 3:
        return _Line(0.0, 0.0)
    values = _probe_values(found, polarity)
    peaks = values.argmax(axis=1)
    heard = np.array([_peak_score(row, int(peak)) > HEARD_SCORE for row, peak in zip(values, peaks, strict=True)])
    middle = (run.start + run.end) / 2
    at = (np.array(found.starts) + found.length / 2 - middle)[heard]
    lags = (peaks - found.reach)[heard].astype(np.float64)
    if heard.sum() < 3 or np.ptp(lags) <= STEADY_SAMPLES:
        return _Line(0.0, 0.0)
    slopes = scipy.stats.theilslopes(lags, at)
    rest = np.abs(lags - slopes.intercept - slopes.slope * at)
    straight = rest <= STEADY_SAMPLES
    if straight.sum() < max(3, 0.6 * len(found.starts)) or abs(slopes.slope) * (run.end - run.start) <= STEADY_SAMPLES:
        return _Line(0.0, 0.0)
    slope, level = np.polyfit(at[straight], lags[straight], 1)
    return _Line(float(slope), float(level))


def _polarity(correlations: Sequence[_Correlation | None]) -> float:
    """+1 or -1: the sign of the tallest peaks of the longest runs together."""
    peaks = [c.values[np.abs(c.values).argmax()] / (c.values.std() + 1e-12) for c in correlations if c is not None]
    return -1.0 if sum(peaks) < 0 else 1.0


def _fine_peak(found: _Correlation, polarity: float, peak: int) -> float:
    """The maximum within a sample of ``peak``: the correlation on a fine grid, then a parabola."""
    bins, step = np.arange(len(found.total)), _turns(len(found.total), found.n)
    turned = found.total * np.exp(2j * np.pi * (peak - 1) / found.n * bins)
    values = np.empty(2 * FINE_STEPS + 1)
    for k in range(len(values)):
        values[k] = polarity * turned.real.sum()
        turned = turned * step
    k = int(np.clip(values.argmax(), 1, len(values) - 2))
    before, here, after = values[k - 1 : k + 2]
    bend = before - 2 * here + after
    return peak - 1 + float(k + (0.5 * (before - after) / bend if bend < 0 else 0.0)) / FINE_STEPS


@lru_cache(maxsize=64)
def _turns(n_bins: int, n: int) -> Complex[np.ndarray, " bins"]:
    """The phases that move a signal by one fine step."""
    return np.asarray(np.exp(2j * np.pi * np.arange(n_bins) / (n * FINE_STEPS)))


def _same_lag(left: Placed, right: Placed, within: float) -> bool:
    if left.lag is None or right.lag is None:
        return left.lag is None and right.lag is None
    return left.view == right.view and bool(abs(left.lag - right.lag) < within)
