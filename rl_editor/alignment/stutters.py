"""Stutters: less than a beat that plays again and again, too briefly for its sound to tell its place.

What is left unmatched between two runs is compared with itself. Where it comes again after a period L, it may be what
the run before it has just played, or what the run after it is about to play, j periods late or early::

    lag = lag of the run before - j L    or    lag of the run after + j L

A best path over windows of 5.8 ms takes the lag whose prediction leaves least, or none; it counts where it explains
nearly all of the stretch. Where two runs meet, what neither of them explains is asked about in the same way.

Conventions: samples at the analysis rate.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import scipy.fft
import scipy.ndimage
from jaxtyping import Float, Int64

from rl_editor.alignment.refine import SILENT_SHARE, Mastering, Placed, cheapest_path, settled_piece, stretches

SHORTEST_PERIOD, LONGEST_PERIOD = 660, 6600  # 0.03 and 0.3 s; longer times are found as runs
LONGEST_SAMPLES = 132_300  # 6 s of nothing but one stutter
COMES_AGAIN = 0.8  # correlation coefficient of what is left with itself a period later
SHORTER = 0.95  # of the best coefficient, that the shortest period has: after two it comes again as well
WINDOW_SAMPLES = 128
CHANGE_COST, NOTHING_COST = 1.5, 0.5  # in windows of which nothing is explained
EXPLAINED_SHARE = 0.8  # of the windows
POOR = 0.3  # unexplained share of the power of a run that is as good as unmatched
GAP_REACH = 258  # windows to either side of where two runs meet: 1.5 s
GAP_WINDOWS = 9  # that are smoothed over: 52 ms
GAP_COST = 0.4  # unexplained by both


def with_stutters(runs: Sequence[Placed], mastering: Mastering) -> list[Placed]:
    """Runs with the stutters that what is unmatched, or as good as that, holds."""
    found: list[Placed] = []
    is_sampled = mastering.pair.is_sampled
    for k, run in enumerate(runs):
        before, after = (list(filter(is_sampled, side)) for side in (found[-1:], runs[k + 1 : k + 2]))
        if _is_lost(run, mastering) and (before or after):
            found += _stutter(run, [*before, *after], mastering) or [run]
        elif before and is_sampled(run) and before[0].view == run.view:
            found[-1:] = _with_gap(before[0], run, mastering)
        else:
            found.append(run)
    return found


def _with_gap(left: Placed, right: Placed, mastering: Mastering) -> list[Placed]:
    """Two runs that meet, and a stutter between them where neither explains what is heard."""
    n_left, n_right = (min(GAP_REACH, (run.end - run.start) // (2 * WINDOW_SAMPLES)) for run in (left, right))
    bounds = left.end + WINDOW_SAMPLES * np.arange(-n_left, n_right + 1)
    if len(bounds) <= GAP_WINDOWS:
        return [left, right]
    sides = [
        _cost(replace(run, start=int(bounds[0]), end=int(bounds[-1])), bounds, _level(run, mastering), mastering)
        for run in (left, right)
    ]
    poor = scipy.ndimage.uniform_filter1d(np.minimum(*sides), GAP_WINDOWS) > GAP_COST
    spans = stretches(poor, at_least=2 * SHORTEST_PERIOD // WINDOW_SAMPLES)
    if not spans:
        return [left, right]
    start, end = int(bounds[spans[0][0]]), int(bounds[spans[-1][1]])
    around = [replace(left, end=start), replace(right, start=end)]
    pieces = _stutter(Placed(start, end, None), around, mastering)
    return [around[0], *pieces, around[1]] if pieces else [left, right]


def _is_lost(run: Placed, mastering: Mastering) -> bool:
    length = run.end - run.start
    if not 2 * SHORTEST_PERIOD <= length <= LONGEST_SAMPLES:
        return False
    edit = mastering.pair.edit[run.start : run.end].astype(np.float64)
    power = float(edit @ edit)
    if power < SILENT_SHARE * mastering.loudness * length:
        return False
    if run.lag is None:
        return True
    if not mastering.pair.is_sampled(run):
        return False
    sound = mastering.predict(run, start=run.start, length=length)
    return power - max(0.0, float(edit @ sound)) ** 2 / (float(sound @ sound) + 1e-12) > POOR * power


def _stutter(run: Placed, around: Sequence[Placed], mastering: Mastering) -> list[Placed]:
    """The pieces of a stutter in place of a run; none where it is something else."""
    period = period_of(mastering.pair.edit[run.start : run.end].astype(np.float64))
    if period is None:
        return []
    bounds = np.append(np.arange(run.start, run.end - WINDOW_SAMPLES, WINDOW_SAMPLES), run.end)
    places: list[Placed] = []
    columns: list[Float[np.ndarray, " windows"]] = []
    for neighbour in around:
        level = _level(neighbour, mastering)
        here = list(_places(run, neighbour, period))
        places += here
        columns += [_cost(place, bounds, level, mastering) for place in here]
    costs = np.stack([*columns, np.full(len(bounds) - 1, NOTHING_COST)], axis=1)
    chosen = cheapest_path(costs, change=CHANGE_COST)
    if np.mean(chosen < len(places)) < EXPLAINED_SHARE:
        return []
    changes = [0, *(np.flatnonzero(np.diff(chosen)) + 1).tolist(), len(chosen)]
    pieces = []
    for a, b in pairwise(changes):
        start, end = int(bounds[a]), int(bounds[b])
        if chosen[a] == len(places):
            pieces.append(Placed(start, end, None))
        else:
            pieces.append(settled_piece(replace(places[chosen[a]], start=start, end=end, brief=True), mastering))
    return pieces


def period_of(edit: Float[np.ndarray, " samples"]) -> float | None:
    """After how many samples a stretch comes again; None where it does not."""
    n = len(edit)
    longest = min(LONGEST_PERIOD, 2 * n // 3)  # it plays one and a half times at least
    if longest <= SHORTEST_PERIOD:
        return None
    spectrum = scipy.fft.rfft(edit, 2 * n)
    products = scipy.fft.irfft(np.abs(spectrum) ** 2, 2 * n)[: longest + 2]
    sums = np.concatenate([[0.0], np.cumsum(edit**2)])
    periods = np.arange(longest + 2)
    alike = products / np.sqrt(sums[n - periods] * (sums[n] - sums[periods]) + 1e-12)
    inner = alike[SHORTEST_PERIOD : longest + 1]
    is_peak = (inner >= alike[SHORTEST_PERIOD - 1 : longest]) & (inner >= alike[SHORTEST_PERIOD + 1 : longest + 2])
    best = float(inner[is_peak].max(initial=0.0))
    if best < COMES_AGAIN:
        return None
    k = int(np.flatnonzero(is_peak & (inner >= SHORTER * best))[0]) + SHORTEST_PERIOD
    before, here, after = alike[k - 1 : k + 2]
    bend = before - 2 * here + after
    return k + (0.5 * float((before - after) / bend) if bend < 0 else 0.0)


def _places(run: Placed, neighbour: Placed, period: float) -> Iterator[Placed]:
    """A neighbour going on through a run, as it is and some periods away."""
    step = -period if neighbour.end <= run.start else period
    for j in range(int((run.end - run.start) / period) + 3):
        yield replace(neighbour, start=run.start, end=run.end, lag=(neighbour.lag or 0.0) + j * step, drift=0.0)


def _cost(
    place: Placed, bounds: Int64[np.ndarray, " bounds"], level: float, mastering: Mastering
) -> Float[np.ndarray, " windows"]:
    """Share of each window's power that a place leaves at a level."""
    edit = mastering.pair.edit[place.start : place.end].astype(np.float64)
    sound = level * mastering.predict(place, start=place.start, length=place.end - place.start)
    first = bounds[:-1] - place.start
    silence = SILENT_SHARE * mastering.loudness * np.diff(bounds)
    rest, power = (np.add.reduceat(x, first) for x in ((edit - sound) ** 2, edit**2))
    return np.asarray(np.minimum(1.0, (rest + silence) / (power + silence)))


def _level(run: Placed, mastering: Mastering) -> float:
    """Of a run against the mastering filter: about its middle, where no join is."""
    length = min(LONGEST_PERIOD, run.end - run.start)
    start = (run.start + run.end - length) // 2
    edit = mastering.pair.edit[start : start + length].astype(np.float64)
    sound = mastering.predict(run, start=start, length=length)
    return float(np.clip(edit @ sound / (sound @ sound + 1e-12), 0.25, 4.0))
