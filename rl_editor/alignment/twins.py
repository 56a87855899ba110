"""Which of several places that sound alike was played: the samples tell near-identical repeats apart.

Descriptors cannot choose between a bar and its repeat with another hi-hat, nor see that a join between two repeats is
a few milliseconds off the grid. For every few seconds of a run the raw's other diagonals that come within
``RIVAL_MARGIN`` of it are refined to the sample, and the run's own lag is looked for once more. Between these
candidates a best path over windows of 0.19 s decides, and may change as often as it pays::

    cost(window, lag) = log(unexplained(window, lag) + LEAST_GAIN),   a change costs SWITCH_COST

Where a gain is as good as constant over the pair, a twin at another level is not the same.

Repeats that are equal to the sample stay as the best path of frames has them: a tie continues.

Conventions: samples at the analysis rate; unexplained is 1 - r^2, r the correlation with the prediction.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int64

from rl_editor.alignment.refine import SAME_LAG_SAMPLES, SILENT_SHARE, Mastering, Placed, refined, stretches
from rl_editor.alignment.viterbi import Stacked

HARMLESS_RIVAL = 0.6  # share of the own similarity that any other place of the same song reaches
PICKED_FRAMES = 16  # frames of a stretch that are compared with every diagonal
RIVAL_MARGIN = 0.06  # of similarity
MOST_RIVALS = 32
RIVAL_PROBES = 2
NEIGHBOUR_FRAMES = 4  # diagonals this near are the run itself
WINDOW_SAMPLES = 4096
CHUNK_WINDOWS = 32  # 5.9 s
LEAST_GAIN = 2e-4  # -37 dB of a window's power are explained as well as can be
SWITCH_COST = 2.0  # of log unexplained: a tenth less over 4 s, or nearly nothing left in half a second
BAD_SHARE, BAD_FACTOR = 0.2, 3.0  # unexplained, and times the pair's usual, that asks for other candidates ...
BAD_WINDOWS = 2  # ... where so many windows in a row have it
NOTHING_SHARE = 0.7
STEADY_GAIN = 0.02  # 0.17 dB: gains that vary by more say little


class Profile:
    """Mean similarity of a few frames of a run with every diagonal of the raw."""

    def __init__(self, run: Placed, left: Stacked, right: Stacked, *, hop: int) -> None:
        self.diagonal = round((run.lag or 0.0) / hop)
        start = max(round(run.start / hop), 0, -self.diagonal)
        end = min(round(run.end / hop), len(left.scale), len(right.scale) - self.diagonal)
        self.empty = end <= start
        if self.empty:
            return
        self.picks = np.unique(np.linspace(start, end - 1, PICKED_FRAMES).astype(np.int64))
        self.low = -int(self.picks[0])  # the diagonal of column 0
        self.similarity = self._means(similarity_to_all(left, self.picks, right))
        self.own = float(self.similarity[self.diagonal - self.low])
        near = self.diagonal - self.low
        self.others = self.similarity.copy()
        self.others[max(0, near - NEIGHBOUR_FRAMES) : near + NEIGHBOUR_FRAMES + 1] = -1.0

    def rival(self, right: Stacked) -> float:
        """0 when no other diagonal comes near, or the nearest is this very music again; 1 for an equal stranger."""
        if self.empty or self.own <= 0:
            return 1.0
        closeness = float(np.clip(self.others.max() / self.own, 0.0, 1.0))
        closeness = max(0.0, closeness - HARMLESS_RIVAL) / (1.0 - HARMLESS_RIVAL)
        return closeness * float(np.clip(1.0 - self.twin_of_best(right), 0.0, 1.0))

    def twin_of_best(self, right: Stacked) -> float:
        """How alike the raw itself is here and at the best other diagonal."""
        here, there = (self.picks + d for d in (self.diagonal, int(self.others.argmax()) + self.low))
        products = sum(
            np.einsum("ij,ij->i", right.rows[here + k], right.rows[there + k]) for k in range(2 * right.reach + 1)
        )
        return float(np.mean(products * right.scale[here] * right.scale[there]))

    def rivals(self) -> list[int]:
        """Diagonals that come near, best first, each a local maximum."""
        found: list[int] = []
        left = self.others.copy()
        while len(found) < MOST_RIVALS and left.max() > max(0.0, self.own - RIVAL_MARGIN):
            best = int(left.argmax())
            found.append(best + self.low)
            left[max(0, best - NEIGHBOUR_FRAMES) : best + NEIGHBOUR_FRAMES + 1] = -1.0
        return found

    def _means(self, table: Float32[np.ndarray, "picks frames"]) -> Float[np.ndarray, " diagonals"]:
        """Means along the diagonals on which every pick has a raw frame."""
        width = table.shape[1] - int(self.picks[-1] - self.picks[0])
        first = self.picks - self.picks[0]
        return np.asarray(np.mean([row[a : a + width] for row, a in zip(table, first, strict=True)], axis=0))


def truest_twins(runs: Sequence[Placed], mastering: Mastering, left: Stacked, *, hop: int) -> list[Placed]:
    """Every stretch of every run on the diagonal that its samples speak for, its neighbours' among the candidates."""
    around = [Placed(0, 0, None), *runs, Placed(0, 0, None)]
    usual = _Usual.of(runs, mastering)
    return [
        piece
        for a, run, b in zip(around, runs, around[2:], strict=False)
        for piece in _pieces(run, [n for n in (a, b) if _is_kin(n, run)], mastering, left, usual, hop)
    ]


def _is_kin(neighbour: Placed, run: Placed) -> bool:
    return neighbour.lag is not None and neighbour.view == run.view


class _Usual(NamedTuple):
    """Over all windows of a pair: the median unexplained share, the median gain, and how far the gain may be held."""

    unexplained: float
    gain: float
    held: float  # weight of a gain's difference from the usual: 1 where it never changes

    @classmethod
    def of(cls, runs: Sequence[Placed], mastering: Mastering) -> "_Usual":
        """From the runs as they are."""
        sampled = [run for run in runs if run.lag is not None and mastering.pair.sound(run) is not None]
        fits = [_fit(run, _windows(run), mastering) for run in sampled]
        if not fits:
            return cls(1.0, 1.0, 0.0)
        rest, gains = (np.concatenate(column) for column in zip(*fits, strict=True))
        heard = gains[(rest <= np.median(rest)) & (gains > 0)]
        if not len(heard):
            return cls(1.0, 1.0, 0.0)
        spread = float(np.median(np.abs(np.log(heard / np.median(heard)))))
        return cls(float(np.median(rest)), float(np.median(heard)), STEADY_GAIN**2 / (STEADY_GAIN**2 + spread**2))


def _pieces(
    run: Placed, neighbours: Sequence[Placed], mastering: Mastering, left: Stacked, usual: _Usual, hop: int
) -> Iterator[Placed]:
    if run.lag is None:
        yield run
        return
    view = mastering.pair.views[run.view]
    bounds = _windows(run)
    spans = [(k, min(k + CHUNK_WINDOWS, len(bounds) - 1)) for k in range(0, len(bounds) - 1, CHUNK_WINDOWS)]
    profiles = [_profile(run, bounds, span, left, view.stacked, hop) for span in spans]
    run = replace(run, rival=float(np.median([profile.rival(view.stacked) for profile in profiles])))
    if view.sound is None:
        yield run
        return
    own = _unexplained(run, bounds, mastering, usual)
    wrong = stretches(own > max(BAD_SHARE, BAD_FACTOR * usual.unexplained), at_least=BAD_WINDOWS)
    profiles += [_profile(run, bounds, span, left, view.stacked, hop) for span in wrong]
    candidates, costs = [run], [np.log(own + LEAST_GAIN)]
    for (first, last), profile in zip([*spans, *wrong], profiles, strict=True):
        if own[first:last].mean() < LEAST_GAIN:
            continue
        chunk = replace(run, start=int(bounds[first]), end=int(bounds[last]))
        low, high = max(0, first - CHUNK_WINDOWS), min(len(own), last + CHUNK_WINDOWS)
        for rival in _candidates(chunk, profile, neighbours, mastering, hop):
            near = (i for i, c in enumerate(candidates) if abs(_lag(c) - _lag(rival)) < SAME_LAG_SAMPLES / 4)
            known = next(near, len(candidates))
            if known == len(candidates):
                candidates.append(rival)
                costs.append(np.full(len(own), np.inf))
            fresh = np.flatnonzero(np.isinf(costs[known][low:high])) + low
            if len(fresh):
                a, b = int(fresh[0]), int(fresh[-1]) + 1
                rest = _unexplained(candidates[known], bounds[a : b + 1], mastering, usual)
                costs[known][a:b] = np.log(rest + LEAST_GAIN)
    chosen = _cheapest_path(np.stack(costs, axis=1))
    changes = [0, *(np.flatnonzero(np.diff(chosen)) + 1).tolist(), len(chosen)]
    for a, b in pairwise(changes):
        best = candidates[chosen[a]]
        yield replace(run, start=int(bounds[a]), end=int(bounds[b]), lag=best.lag, score=best.score)


def _profile(
    run: Placed, bounds: Int64[np.ndarray, " bounds"], span: tuple[int, int], left: Stacked, right: Stacked, hop: int
) -> "Profile":
    return Profile(replace(run, start=int(bounds[span[0]]), end=int(bounds[span[1]])), left, right, hop=hop)


def _lag(run: Placed) -> float:
    assert run.lag is not None
    return run.lag


def _windows(run: Placed) -> Int64[np.ndarray, " bounds"]:
    """Bounds of windows that tile a run, each at least ``WINDOW_SAMPLES`` long where the run is."""
    count = max(1, (run.end - run.start) // WINDOW_SAMPLES)
    return np.asarray(np.linspace(run.start, run.end, count + 1).astype(np.int64))


def _candidates(
    chunk: Placed, profile: "Profile", neighbours: Sequence[Placed], mastering: Mastering, hop: int
) -> Iterator[Placed]:
    """The chunk's own lag once more, its neighbours', and every diagonal that sounds about the same."""
    polarity = float(np.sign(mastering.gain))
    yield refined(chunk, mastering.pair, polarity=polarity)
    for lag in (*(_lag(n) for n in neighbours), *(float(diagonal * hop) for diagonal in profile.rivals())):
        yield refined(replace(chunk, lag=lag), mastering.pair, polarity=polarity, n_probes=RIVAL_PROBES)


class _Fit(NamedTuple):
    """Per window, the share of its power that the prediction leaves, and the gain that fits it best."""

    unexplained: Float[np.ndarray, " windows"]
    gain: Float[np.ndarray, " windows"]


def _fit(run: Placed, bounds: Int64[np.ndarray, " bounds"], mastering: Mastering) -> _Fit:
    start, length = int(bounds[0]), int(bounds[-1] - bounds[0])
    edit = mastering.pair.edit[start : start + length].astype(np.float64)
    sound = mastering.predict(run, start=start, length=length)
    cross, own, theirs = (np.add.reduceat(x, bounds[:-1] - start) for x in (edit * sound, edit**2, sound**2))
    silence = SILENT_SHARE * mastering.loudness * np.diff(bounds)
    rest = own - np.maximum(cross, 0.0) ** 2 / (theirs + 1e-12)
    return _Fit((np.maximum(rest, 0.0) + silence) / (own + silence), np.maximum(cross, 0.0) / (theirs + silence))


def _unexplained(
    run: Placed, bounds: Int64[np.ndarray, " bounds"], mastering: Mastering, usual: _Usual
) -> Float[np.ndarray, " windows"]:
    """With what an unusual gain leaves; above ``NOTHING_SHARE`` nothing is explained, however little."""
    fit = _fit(run, bounds, mastering)
    ratio = np.maximum(fit.gain, 1e-3) / usual.gain
    odd = usual.held * (1.0 - np.minimum(ratio, 1.0 / ratio)) ** 2
    return np.asarray(np.minimum(fit.unexplained + odd, NOTHING_SHARE))


def _cheapest_path(cost: Float[np.ndarray, "windows candidates"]) -> Int64[np.ndarray, " windows"]:
    """The candidate of every window, changes paid for; a tie stays, and the first candidate is the run's own."""
    total, back = cost[0] + SWITCH_COST * (np.arange(cost.shape[1]) > 0), []
    for row in cost[1:]:
        best = int(total.argmin())
        stays = total <= total[best] + SWITCH_COST
        back.append(np.where(stays, np.arange(len(total)), best))
        total = np.where(stays, total, total[best] + SWITCH_COST) + row
    path = [int(total.argmin())]
    for pointers in back[::-1]:
        path.append(int(pointers[path[-1]]))
    return np.array(path[::-1], np.int64)


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
