"""Which of several places that sound alike was played: the samples tell near-identical repeats apart.

Descriptors cannot choose between a bar and its repeat with another hi-hat. For every run the raw's other diagonals
that come within ``RIVAL_MARGIN`` of it are refined to the sample, and one that leaves clearly less unexplained takes
its place. Repeats that are equal to the sample stay as the best path has them: a tie continues.

Conventions: samples at the analysis rate; unexplained is 1 - r^2, r the correlation with the prediction.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Float32, Int64

from rl_editor.alignment.refine import Mastering, Placed, refined, spread
from rl_editor.alignment.viterbi import Stacked

HARMLESS_RIVAL = 0.6  # share of the own similarity that any other place of the same song reaches
PICKED_FRAMES = 16  # frames of a run that are compared with every diagonal
RIVAL_MARGIN = 0.06  # of similarity
MOST_RIVALS = 6
NEIGHBOUR_FRAMES = 4  # diagonals this near are the run itself
WINDOW_SAMPLES = 4096
WINDOWS = 8
CLEARLY_LESS, LEAST_GAIN = 0.9, 2e-4  # share of the unexplained that may remain, and -37 dB at least to gain


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
    """Every run on the diagonal that its samples speak for, its neighbours' among the candidates."""
    around = [Placed(0, 0, None), *runs, Placed(0, 0, None)]
    return [
        _truest(run, [n.lag for n in (a, b) if n.lag is not None and n.view == run.view], mastering, left, hop=hop)
        for a, run, b in zip(around, runs, around[2:], strict=False)
    ]


def _truest(run: Placed, neighbours: Sequence[float], mastering: Mastering, left: Stacked, *, hop: int) -> Placed:
    if run.lag is None:
        return run
    view = mastering.pair.views[run.view]
    profile = Profile(run, left, view.stacked, hop=hop)
    if profile.empty or view.sound is None:
        return replace(run, rival=profile.rival(view.stacked))
    best, least = run, _unexplained(run, mastering)
    for lag in (*neighbours, *(float(diagonal * hop) for diagonal in profile.rivals())):
        if least < LEAST_GAIN:
            break
        rival = refined(replace(run, lag=lag), mastering.pair, polarity=float(np.sign(mastering.gain)))
        rest = _unexplained(rival, mastering)
        if rest < CLEARLY_LESS * least and least - rest > LEAST_GAIN:
            best, least = rival, rest
    if best is not run:
        profile = Profile(best, left, view.stacked, hop=hop)
    return replace(best, rival=profile.rival(view.stacked))


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


def _unexplained(run: Placed, mastering: Mastering) -> float:
    length = min(WINDOW_SAMPLES, run.end - run.start)
    rest, power = 0.0, 1e-12
    for start in spread(run, length, WINDOWS):
        edit = mastering.pair.edit[start : start + length].astype(np.float64)
        sound = mastering.predict(run, start=start, length=length)
        rest += float(edit @ edit - max(0.0, float(edit @ sound)) ** 2 / (sound @ sound + 1e-12))
        power += float(edit @ edit)
    return rest / power
