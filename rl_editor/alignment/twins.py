"""Which of several places that sound alike was played: the samples tell near-identical repeats apart.

Descriptors cannot choose between a bar and its repeat with another hi-hat, nor see that a join between two repeats is
a few milliseconds off the grid. For every few seconds of a run the raw's other diagonals that come within
``RIVAL_MARGIN`` of it are refined to the sample, and the run's own lag is looked for once more. Between these
candidates a best path over windows of 0.19 s decides, and may change as often as it pays; what it leaves unexplained
is asked about again, stretch by stretch::

    cost(window, lag) = log(unexplained(window, lag) + LEAST_GAIN),   a change costs SWITCH_COST

Where a gain is as good as constant over the pair, a twin at another level is not the same.

Repeats that are equal to the sample stay as the best path of frames has them: a tie continues.

Conventions: samples at the analysis rate; unexplained is 1 - r^2, r the correlation with the prediction.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int64

from rl_editor.alignment.confidence import Frames
from rl_editor.alignment.refine import (
    PROBES_PER_RUN,
    SEARCH_SAMPLES,
    SILENT_SHARE,
    Mastering,
    Placed,
    at_peaks,
    cheapest_path,
    settled,
    settled_piece,
    stretches,
)
from rl_editor.alignment.viterbi import Stacked

PICKED_FRAMES = 16  # frames of a stretch that are compared with every diagonal
RIVAL_MARGIN = 0.06  # of similarity
MOST_RIVALS = 32
RIVAL_PROBES = 2
NEIGHBOUR_FRAMES = 4  # diagonals this near are the run itself
WINDOW_SAMPLES = 4096
CHUNK_WINDOWS = 32  # 5.9 s
BESIDE_WINDOWS = 8  # a place that comes up in a chunk is tried this far beside it
JOIN_WINDOWS = 2  # at the ends of a run
LEAST_GAIN = 2e-4  # -37 dB of a window's power are explained as well as can be
SWITCH_COST = 2.0  # of log unexplained: a tenth less over 4 s, or nearly nothing left in half a second
BAD_SHARE, BAD_FACTOR = 0.003, 4.0  # unexplained, and times the pair's usual, that asks for other candidates ...
BAD_WINDOWS = 2  # ... where so many windows in a row have it ...
BAD_ROUNDS = 4  # ... for what the ones before have left
NOTHING_SHARE = 0.7
WIDE_SAMPLES = 4096  # 0.19 s: a drone is as like itself so much later
SAME_PLACE_SAMPLES = 0.25  # by a sample, bright music leaves a third unexplained
STEADY_GAIN = 0.02  # 0.17 dB: gains that vary by more say little


def rivals(run: Placed, left: Stacked, right: Stacked, *, hop: int) -> list[int]:
    """Diagonals whose mean similarity to a few of the run's frames comes near its own, best first.

    Each is a local maximum; a run that plays no frame of the raw has none.
    """
    start, end, diagonal = Frames.of(run, left, right, hop=hop)
    if end <= start:
        return []
    picks = np.unique(np.linspace(start, end - 1, PICKED_FRAMES).astype(np.int64))
    low = -int(picks[0])  # the diagonal of column 0
    others = _means(similarity_to_all(left, picks, right), picks)
    own = float(others[diagonal - low])
    found: list[int] = []
    best = diagonal - low
    while True:
        others[max(0, best - NEIGHBOUR_FRAMES) : best + NEIGHBOUR_FRAMES + 1] = -1.0
        best = int(others.argmax())
        if len(found) == MOST_RIVALS or others[best] <= max(0.0, own - RIVAL_MARGIN):
            return found
        found.append(best + low)


def _means(
    table: Float32[np.ndarray, "picks frames"], picks: Int64[np.ndarray, " picks"]
) -> Float[np.ndarray, " diagonals"]:
    """Means along the diagonals on which every pick has a raw frame."""
    width = table.shape[1] - int(picks[-1] - picks[0])
    first = picks - picks[0]
    return np.asarray(np.mean([row[a : a + width] for row, a in zip(table, first, strict=True)], axis=0))


def truest_twins(runs: Sequence[Placed], mastering: Mastering, left: Stacked, *, hop: int) -> list[Placed]:
    """Every stretch of every run on the diagonal that its samples speak for, its neighbours' among the candidates."""
    fits = [_fit(run, _windows(run), mastering) if mastering.pair.is_sampled(run) else None for run in runs]
    context = _Context(mastering, left, _Usual.of([fit for fit in fits if fit is not None]), hop)
    found: list[Placed] = []
    for k, (run, fit) in enumerate(zip(runs, fits, strict=True)):
        kin = [n for n in (*runs[max(0, k - 1) : k], *runs[k + 1 : k + 2]) if _is_kin(n, run)]
        found += _pieces(run, fit, kin, context)
    return found


def _is_kin(neighbour: Placed, run: Placed) -> bool:
    return neighbour.lag is not None and neighbour.view == run.view


class _Fit(NamedTuple):
    """Per window, the share of its power that the prediction leaves, and the gain that fits it best.

    A silent window is explained by silence alone.
    """

    unexplained: Float[np.ndarray, " windows"]
    gain: Float[np.ndarray, " windows"]


class _Usual(NamedTuple):
    """Of the windows of a pair: the unexplained share of a good one (the lower quartile: many may be wrong), the median
    gain of the better half, and how far the gain may be held."""

    unexplained: float
    gain: float
    held: float  # weight of a gain's difference from the usual: 1 where it never changes

    @classmethod
    def of(cls, fits: Sequence[_Fit]) -> "_Usual":
        """From the fits of the runs as they are."""
        if not fits:
            return cls(1.0, 1.0, 0.0)
        rest, gains = (np.concatenate(column) for column in zip(*fits, strict=True))
        heard = gains[(rest <= np.median(rest)) & (gains > 0)]
        if not len(heard):
            return cls(1.0, 1.0, 0.0)
        spread = float(np.median(np.abs(np.log(heard / np.median(heard)))))
        return cls(
            float(np.quantile(rest, 0.25)), float(np.median(heard)), STEADY_GAIN**2 / (STEADY_GAIN**2 + spread**2)
        )

    def unexplained_by(self, fit: _Fit) -> Float[np.ndarray, " windows"]:
        """With what an unusual gain leaves; above ``NOTHING_SHARE`` nothing is explained, however little."""
        ratio = np.maximum(fit.gain, 1e-3) / self.gain
        odd = self.held * (1.0 - np.minimum(ratio, 1.0 / ratio)) ** 2
        return np.asarray(np.minimum(fit.unexplained + odd, NOTHING_SHARE))


class _Places:
    """Where a run may play, the run's own place first, and what each of its windows leaves unexplained there."""

    def __init__(self, run: Placed, own: Float[np.ndarray, " windows"], context: "_Context") -> None:
        self.run, self.own, self.context = run, own, context
        self.bounds = _windows(run)
        self._candidates, self._costs = [run], [np.log(own + LEAST_GAIN)]

    def add(self, candidate: Placed, first: int, last: int) -> None:
        """Ask about these windows, if they were not asked about yet."""
        same = (k for k, c in enumerate(self._candidates) if abs(_lag(c) - _lag(candidate)) < SAME_PLACE_SAMPLES)
        k = next(same, len(self._candidates))
        if k == len(self._candidates):
            self._candidates.append(candidate)
            self._costs.append(np.full(len(self.own), np.inf))
        fresh = np.flatnonzero(np.isinf(self._costs[k][first:last])) + first
        if len(fresh):
            a, b = int(fresh[0]), int(fresh[-1]) + 1
            fit = _fit(self._candidates[k], self.bounds[a : b + 1], self.context.mastering)
            self._costs[k][a:b] = np.log(self.context.usual.unexplained_by(fit) + LEAST_GAIN)

    def left_over(self) -> Float[np.ndarray, " windows"]:
        """What the best path so far leaves unexplained."""
        costs = np.stack(self._costs, axis=1)
        return np.asarray(np.exp(costs[np.arange(len(costs)), _cheapest_path(costs)]) - LEAST_GAIN)

    def best(self) -> Iterator[Placed]:
        """The run cut where another place takes over."""
        chosen = _cheapest_path(np.stack(self._costs, axis=1))
        changes = [0, *(np.flatnonzero(np.diff(chosen)) + 1).tolist(), len(chosen)]
        for a, b in pairwise(changes):
            place = self._candidates[chosen[a]]
            start, end = int(self.bounds[a]), int(self.bounds[b])
            yield settled_piece(replace(self.run, start=start, end=end, lag=place.lag), self.context.mastering)


class _Context(NamedTuple):
    """What all runs of a pair share."""

    mastering: Mastering
    left: Stacked
    usual: _Usual
    hop: int


def _pieces(run: Placed, fit: _Fit | None, neighbours: Sequence[Placed], context: _Context) -> list[Placed]:
    if fit is None:
        return [run]
    n = len(_windows(run)) - 1
    spans = [(k, min(k + CHUNK_WINDOWS, n)) for k in range(0, n, CHUNK_WINDOWS)]
    places = _Places(run, context.usual.unexplained_by(fit), context)
    for first, last in spans:
        if (rest := _mean_within(places.own, first, last)) > LEAST_GAIN:
            _ask(places, first, last, rest, neighbours)
    asked: set[tuple[int, int]] = set()
    limit = max(BAD_SHARE, BAD_FACTOR * context.usual.unexplained)
    for _ in range(BAD_ROUNDS):
        left_over = places.left_over()
        wrong = set(stretches(left_over > limit, at_least=BAD_WINDOWS)) - asked
        for first, last in sorted(wrong):
            _ask(places, first, last, float(left_over[first:last].mean()), neighbours)
        asked |= wrong
    return list(places.best())


def _ask(places: _Places, first: int, last: int, rest: float, neighbours: Sequence[Placed]) -> None:
    """Try every place that the windows [first, last), of which ``rest`` is unexplained, may play."""
    chunk = replace(places.run, start=int(places.bounds[first]), end=int(places.bounds[last]))
    reach = WIDE_SAMPLES if rest > BAD_FACTOR * places.context.usual.unexplained else SEARCH_SAMPLES
    low, high = max(0, first - BESIDE_WINDOWS), min(len(places.own), last + BESIDE_WINDOWS)
    for candidate in _candidates(chunk, neighbours, places.context, reach=reach):
        places.add(settled(candidate, places.context.mastering), low, high)


def _mean_within(unexplained: Float[np.ndarray, " windows"], first: int, last: int) -> float:
    """Over the windows [first, last), but those at the run's ends that a join may lie in."""
    inner = unexplained[max(first, JOIN_WINDOWS) : min(last, len(unexplained) - JOIN_WINDOWS)]
    return float((inner if len(inner) else unexplained[first:last]).mean())


def _lag(run: Placed) -> float:
    assert run.lag is not None
    return run.lag


def _windows(run: Placed) -> Int64[np.ndarray, " bounds"]:
    """Bounds of windows that tile a run, each at least ``WINDOW_SAMPLES`` long where the run is."""
    count = max(1, (run.end - run.start) // WINDOW_SAMPLES)
    return np.asarray(np.linspace(run.start, run.end, count + 1).astype(np.int64))


def _candidates(chunk: Placed, neighbours: Sequence[Placed], context: _Context, *, reach: int) -> Iterator[Placed]:
    """The own lag once more within ``reach``, the neighbours', and every diagonal that sounds about the same."""
    pair = context.mastering.pair
    diagonals = rivals(chunk, context.left, pair.views[chunk.view].stacked, hop=context.hop)
    peaks = partial(at_peaks, pair=pair, polarity=context.mastering.polarity)
    yield from peaks(chunk, n_probes=PROBES_PER_RUN, reach=reach)
    for lag in (*(_lag(n) for n in neighbours), *(float(diagonal * context.hop) for diagonal in diagonals)):
        yield from peaks(replace(chunk, lag=lag), n_probes=RIVAL_PROBES)


def _fit(run: Placed, bounds: Int64[np.ndarray, " bounds"], mastering: Mastering) -> _Fit:
    start, length = int(bounds[0]), int(bounds[-1] - bounds[0])
    edit = mastering.pair.edit[start : start + length].astype(np.float64)
    sound = mastering.predict(run, start=start, length=length)
    cross, own, theirs = (np.add.reduceat(x, bounds[:-1] - start) for x in (edit * sound, edit**2, sound**2))
    silence = SILENT_SHARE * mastering.loudness * np.diff(bounds)
    rest = np.maximum(own - np.maximum(cross, 0.0) ** 2 / (theirs + 1e-12), 0.0)
    unexplained = np.where(own < silence, theirs / (theirs + silence), rest / (own + 1e-12))
    return _Fit(unexplained, np.maximum(cross, 0.0) / (theirs + silence))


def _cheapest_path(cost: Float[np.ndarray, "windows candidates"]) -> Int64[np.ndarray, " windows"]:
    """The candidate of every window, changes paid for; the first candidate is the run's own."""
    paid = cost.copy()
    paid[0, 1:] += SWITCH_COST
    return cheapest_path(paid, change=SWITCH_COST)


def similarity_to_all(
    rows: Stacked, picks: Int64[np.ndarray, " picks"], right: Stacked
) -> Float32[np.ndarray, "picks frames"]:
    """Cosine of chosen stacked frames with every raw frame."""
    m, n_rows = len(right.scale), 2 * rows.reach + 1
    products = (rows.rows[picks[:, None] + np.arange(n_rows)].reshape(-1, rows.rows.shape[1]) @ right.rows.T).reshape(
        len(picks), n_rows, -1
    )
    out = products[:, 0, :m].copy()
    for k in range(1, n_rows):
        out += products[:, k, k : k + m]
    out *= right.scale
    out *= rows.scale[picks, None]
    return np.asarray(out)
