"""Where one run hands over to the next, and over how long: the join and crossfade that leave least unexplained.

With e the edit, L and R what the runs left and right of the join predict (mastering filter and a gain for each side)::

    cost(p, c) = sum_t (e_t - a(t - p) L_t - b(t - p) R_t)^2

where (a, b) go from (1, 0) to (0, 1) over c samples centred on p, linearly or at equal power; where that leaves much,
also by laws that few use. For every c the cost of all p at once is a running sum outside the ramp and one correlation
inside it. Where the longest of the usual lengths wins, longer ones are tried too, and what is found then is sought
again with gains measured beside it.
A side that is unmatched explains nothing: it costs a fixed share of the edit's own power. Where a side follows by its
spectrum alone, both are compared by descriptors 5.8 ms apart, and the join is a hard cut.

Conventions: samples at the analysis rate; the join is the middle of the crossfade.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import scipy.fft
from jaxtyping import Complex, Float, Float32

from rl_editor.alignment.descriptors import mel_bank, mel_power, shapes
from rl_editor.alignment.refine import SILENT_SHARE, Mastering, Placed, joined
from rl_editor.alignment.views import SHORTEST_RUN_FRAMES
from rl_editor.utils import padded_span

REACH_SAMPLES = 6000  # the join is sought this far to either side of the estimate: 0.27 s
FOREIGN_REACH_SAMPLES = 12000
WIDENINGS = 4  # times that the search doubles while its best place lies at its edge (both sides sound nearly alike)
EDGE_SHARE = 0.9
GAIN_SAMPLES = 8820  # 0.4 s of a side give its gain, or more where they are soft:
SOFT_SHARE = 0.03  # -15 dB
CROSSFADES_MS = (5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0)
LONG_CROSSFADES_MS = (60.0, 80.0, 100.0, 125.0, 150.0, 200.0, 250.0, 300.0, 400.0, 500.0, 600.0, 800.0, 1000.0)
LENGTHENINGS, ROOM = 2, 3  # searches more for a long one, and lengths of it that they must hold to either side
CROSSFADE_GAIN = 0.25  # share of the hard cut's excess cost that a crossfade must explain to be believed
LONGER_GAIN = 0.05  # and that a longer one must explain beyond the longest of the usual
MOST_GAIN, UNEXPLAINED = 2.0, 0.25  # explain at most, and leave at most, by gains that are measured beside it
_Law = Callable[[Float[np.ndarray, " samples"]], Float[np.ndarray, " samples"]]  # b by time in the ramp, both 0 to 1
LAWS: Mapping[str, _Law] = {
    "linear": lambda t: t,
    "equal power": lambda t: np.sin(t * np.pi / 2),
    "square": lambda t: t**2,
    "fourth power": lambda t: t**4,
    "fourth root": lambda t: t**0.25,
}
USUAL_LAWS, OTHER_LAWS = tuple(LAWS)[:2], tuple(LAWS)[2:]
ODD = 0.1  # share of the hard cut's excess cost that the usual laws leave where others are tried
FOREIGN_COST = 0.5  # of the edit's power; a right prediction leaves less, a wrong one more
TIE = 1e-9  # of the range of costs: what is left of rounding where both sides are the same sound
SPECTRUM_HOP, SPECTRUM_FFT, SPECTRUM_BANDS = 128, 1024, 80


class Join(NamedTuple):
    """A join at an edit sample, and the length of its crossfade (0 is a hard cut, or not to be told)."""

    position: int
    crossfade_ms: float

    @property
    def is_long(self) -> bool:
        """Whether its crossfade is longer than the usual ones."""
        return self.crossfade_ms > CROSSFADES_MS[-1]


class Spliced(NamedTuple):
    """Runs that meet at their joins, and the length of the crossfade into each; 0 into the first."""

    runs: list[Placed]
    crossfades_ms: list[float]


def spliced(runs: Sequence[Placed], mastering: Mastering, *, hop: int, sample_rate: int) -> Spliced:
    """Runs between the joins that the sound tells; slivers that are left go.

    Args:
        runs: neighbours that tile the edit, ends as estimated.
        mastering: of their pair.
        hop: samples per frame; a run of fewer than ``SHORTEST_RUN_FRAMES`` is a sliver between two others, and at the
            ends unless it is unmatched.
        sample_rate: of the analysis.
    """
    joins = _joins(runs, mastering, sample_rate)
    runs = _between(runs, joins)
    while slivers := [k for k in range(1, len(runs) - 1) if _is_sliver(runs[k], hop)]:
        k = min(slivers, key=lambda k: _length(runs[k]))
        middle = (runs[k].start + runs[k].end) // 2
        around = joined([replace(runs[k - 1], end=middle), replace(runs[k + 1], start=middle)], mastering.pair)
        joins[k - 1 : k + 1] = _joins(around, mastering, sample_rate)
        runs = _between([*runs[: k - 1], *around, *runs[k + 2 :]], joins)
    if len(runs) > 1 and _is_sliver(runs[0], hop) and runs[0].lag is not None:
        runs, joins = [replace(runs[1], start=runs[0].start), *runs[2:]], joins[1:]
    if len(runs) > 1 and _is_sliver(runs[-1], hop) and runs[-1].lag is not None:
        runs, joins = [*runs[:-2], replace(runs[-2], end=runs[-1].end)], joins[:-1]
    crossfades_ms = [0.0, *(join.crossfade_ms for join in joins)]
    kept = [(run, fade) for run, fade in zip(runs, crossfades_ms, strict=True) if _length(run) > 0]
    return Spliced([run for run, _ in kept], [0.0, *(fade for _, fade in kept[1:])])


def _joins(runs: Sequence[Placed], mastering: Mastering, sample_rate: int) -> list[Join]:
    return [find_join(left, right, mastering, sample_rate=sample_rate) for left, right in pairwise(runs)]


def _between(runs: Sequence[Placed], joins: Sequence[Join]) -> list[Placed]:
    """Runs from join to join; none ends before it starts."""
    bounds = np.maximum.accumulate([runs[0].start, *(join.position for join in joins), runs[-1].end]).tolist()
    return [replace(run, start=a, end=b) for run, (a, b) in zip(runs, pairwise(bounds), strict=True)]


def _is_sliver(run: Placed, hop: int) -> bool:
    return not run.brief and _length(run) < SHORTEST_RUN_FRAMES * hop


def _length(run: Placed) -> int:
    return run.end - run.start


def find_join(left: Placed, right: Placed, mastering: Mastering, *, sample_rate: int) -> Join:
    """The best join of two neighbouring runs, at most one of them unmatched."""
    join = found = _find(left, right, mastering, sample_rate=sample_rate, lengthens=True)
    for _ in range(LENGTHENINGS):
        if not found.is_long:
            break
        length = round(found.crossfade_ms * sample_rate / 1000)
        search = _Search(max(REACH_SAMPLES, ROOM * length), mixed=length // 2)
        around = replace(left, end=found.position), replace(right, start=found.position)
        found = _find_within(search, *around, mastering, sample_rate=sample_rate)
    if join.is_long and not found.is_long:
        return _find(left, right, mastering, sample_rate=sample_rate, lengthens=False)
    return found


class _Search(NamedTuple):
    """How far off a join is sought, and what it may be."""

    reach: int  # samples to either side of where the runs meet
    mixed: int = 0  # samples to either side of there in which both runs sound, so that they tell no gain
    lengthens: bool = True  # whether crossfades longer than the usual ones are tried


def _find(left: Placed, right: Placed, mastering: Mastering, *, sample_rate: int, lengthens: bool) -> Join:
    """The best join near where the runs meet, or farther off where it lies at an edge."""
    reach = REACH_SAMPLES if left.lag is not None and right.lag is not None else FOREIGN_REACH_SAMPLES
    for widened in range(WIDENINGS + 1):
        search = _Search(reach << widened, lengthens=lengthens)
        join = _find_within(search, left, right, mastering, sample_rate=sample_rate)
        if abs(join.position - left.end) < EDGE_SHARE * search.reach:
            break
    return join


def _find_within(search: _Search, left: Placed, right: Placed, mastering: Mastering, *, sample_rate: int) -> Join:
    """The best join within reach of where the runs meet."""
    start, end = max(left.start, left.end - search.reach), min(right.end, left.end + search.reach)
    edit = padded_span(mastering.pair.edit, start, end - start).astype(np.float64)
    if any(side.lag is not None and mastering.pair.sound(side) is None for side in (left, right)):
        return Join(_by_spectrum(left, right, start, end, mastering, sample_rate=sample_rate), 0.0)
    before, after = (_heard(side, left.end, start, end, mastering, mixed=search.mixed) for side in (left, right))
    if before is None or after is None:
        nothing = FOREIGN_COST * (edit**2 + SILENT_SHARE * mastering.loudness)  # silence goes to a side that is silent
        costs = [nothing if side is None else (edit - side) ** 2 for side in (before, after)]
        return Join(start + _cheapest(_hard_cut(*costs), left.end - start), 0.0)
    best = _best(_Sides(edit, before, after), search, estimate=left.end - start, sample_rate=sample_rate)
    return Join(start + best.position, best.crossfade_ms)


def _heard(
    run: Placed, join: int, start: int, end: int, mastering: Mastering, *, mixed: int
) -> Float[np.ndarray, " samples"] | None:
    """What a run predicts in [start, end), at the level that it has on its own side of the join."""
    if run.lag is None:
        return None
    mixed = min(mixed, (run.end - run.start) // 2)
    first, last = (run.start, run.end - mixed) if run.end == join else (run.start + mixed, run.end)
    for widened in range(WIDENINGS + 1):
        reach = mixed + (GAIN_SAMPLES << widened)
        low, high = max(first, join - reach), min(last, join + reach)
        sound = mastering.predict(run, start=low, length=high - low)
        if sound @ sound > SOFT_SHARE * mastering.loudness * (high - low):
            break
    gain = float(np.clip(mastering.pair.edit[low:high] @ sound / (sound @ sound + 1e-9), 0.25, 4.0))
    return np.asarray(gain * mastering.predict(run, start=start, length=end - start))


def _by_spectrum(left: Placed, right: Placed, start: int, end: int, mastering: Mastering, *, sample_rate: int) -> int:
    """The edit sample at which the better spectrum changes sides."""
    count = (end - start) // SPECTRUM_HOP
    edit = _spectrum(mastering.pair.edit, start, count, float(SPECTRUM_HOP), 0.0, sample_rate)
    costs = []
    for side in (left, right):
        if side.lag is None:
            costs.append(np.full(count, FOREIGN_COST))
            continue
        view = mastering.pair.views[side.view]
        first = round((start + side.lag) * view.speed)
        raw = _spectrum(mastering.pair.raw, first, count, SPECTRUM_HOP * view.speed, view.semitones, sample_rate)
        norms = np.sqrt((edit**2).sum(axis=1) * (raw**2).sum(axis=1)) + 1e-6
        costs.append(1.0 - (edit * raw).sum(axis=1) / norms)
    cut = _cheapest(_hard_cut(costs[0], costs[1]), round((left.end - start) / SPECTRUM_HOP))
    return min(end, max(start, start + cut * SPECTRUM_HOP - SPECTRUM_HOP // 2))


def _spectrum(
    mono: Float32[np.ndarray, " samples"], start: int, count: int, hop: float, semitones: float, sample_rate: int
) -> Float32[np.ndarray, "count bands"]:
    bank = mel_bank(sample_rate, SPECTRUM_FFT, SPECTRUM_BANDS, semitones=semitones)
    span = padded_span(mono, start - SPECTRUM_FFT, round(count * hop) + 2 * SPECTRUM_FFT)
    return shapes(mel_power(span, bank, n_fft=SPECTRUM_FFT, hop=hop, first=SPECTRUM_FFT, count=count))


def _hard_cut(
    left: Float[np.ndarray, " samples"], right: Float[np.ndarray, " samples"]
) -> Float[np.ndarray, " positions"]:
    """Cost of each position 0..n: left costs before it, right costs from it on."""
    return np.asarray(_before(left) + _after(right))


def _before(values: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " positions"]:
    """Sums of what lies before each position."""
    return np.concatenate([[0.0], np.cumsum(values)])


def _after(values: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " positions"]:
    """Sums of what lies from each position on."""
    return _before(values[::-1])[::-1]


def _cheapest(cost: Float[np.ndarray, " positions"], estimate: int) -> int:
    """The cheapest position; among equals (both sides sound the same, or silence) the one nearest the estimate."""
    near = np.flatnonzero(cost <= cost.min() + TIE * (cost.max() - cost.min()) + 1e-12)
    return int(near[np.abs(near - estimate).argmin()])


class _Sides(NamedTuple):
    """The edit around a join, and what the runs to either side predict of it."""

    edit: Float[np.ndarray, " samples"]
    left: Float[np.ndarray, " samples"]
    right: Float[np.ndarray, " samples"]


class _Found(NamedTuple):
    """A join and what it leaves unexplained; of equals the first is the best."""

    cost: float
    position: int  # in the samples of its sides
    crossfade_ms: float


def _best(sides: _Sides, search: _Search, *, estimate: int, sample_rate: int) -> _Found:
    """The best of a hard cut and of the crossfades that a search may find."""
    ramps = _Ramps.of(sides)
    hard = ramps.before + ramps.after
    cut = _Found(float(hard.min()), _cheapest(hard, estimate), 0.0)
    floor = _floor(sides, cut.position, max(search.mixed, round(CROSSFADES_MS[-1] * sample_rate / 1000)))
    excess = max(0.0, cut.cost - floor)
    laws = USUAL_LAWS
    best = min((cut, *_crossfades(CROSSFADES_MS, laws, ramps, sample_rate)))
    if best.cost > floor + ODD * excess:
        laws = tuple(LAWS)
        best = min((best, *_crossfades(CROSSFADES_MS, OTHER_LAWS, ramps, sample_rate)))
    if best.cost >= cut.cost - CROSSFADE_GAIN * excess:
        best = cut
    if search.lengthens and (search.mixed or best.crossfade_ms == CROSSFADES_MS[-1]):
        longer = min((best, *_crossfades(LONG_CROSSFADES_MS, laws, ramps, sample_rate)))
        gain = best.cost - longer.cost
        sure = gain < MOST_GAIN * excess and longer.cost < floor + UNEXPLAINED * excess
        best = longer if gain > LONGER_GAIN * excess and (sure or not search.mixed) else best
    return best


class _Ramps(NamedTuple):
    """What the cost of every crossfade at every place is made of."""

    n: int
    spectra: list[Complex[np.ndarray, " bins"]]  # of e L, e R, L^2, L R and R^2
    power: Float[np.ndarray, " positions"]  # of e, summed to there
    before: Float[np.ndarray, " positions"]  # of (e - L)^2, summed to there
    after: Float[np.ndarray, " positions"]  # of (e - R)^2, summed from there

    @classmethod
    def of(cls, sides: _Sides) -> "_Ramps":
        """Of both sides of a join."""
        edit, left, right = sides
        n = scipy.fft.next_fast_len(len(edit), real=True)
        parts = (edit * left, edit * right, left**2, left * right, right**2)
        spectra = [scipy.fft.rfft(part, n) for part in parts]
        return cls(n, spectra, _before(edit**2), _before((edit - left) ** 2), _after((edit - right) ** 2))

    def best(self, length: int, law: str) -> tuple[float, int]:
        """Lowest cost of a crossfade of ``length`` samples by a law, and where it begins."""
        kernels = _ramp_spectra(length, self.n, law)
        ramp = scipy.fft.irfft(sum(s * k for s, k in zip(self.spectra, kernels, strict=True)), self.n)
        places = np.arange(len(self.power) - length)
        inside = self.power[places + length] - self.power[places] + ramp[places]
        cost = inside + (self.before[: len(self.before) - length] + self.after[length:])
        best = int(cost.argmin())
        return float(cost[best]), best


def _crossfades(lengths_ms: Sequence[float], laws: Sequence[str], ramps: _Ramps, sample_rate: int) -> Iterator[_Found]:
    """The best join by every length and law; those that the window does not hold are left out."""
    for milliseconds in lengths_ms:
        length = round(milliseconds * sample_rate / 1000)
        if length >= len(ramps.power) - 1:
            return
        for law in laws:
            cost, place = ramps.best(length, law)
            yield _Found(cost, place + length // 2, milliseconds)


def _floor(sides: _Sides, position: int, reach: int) -> float:
    """What would be left if the residual near the join were no larger than further out."""
    edit, left, right = sides
    residual = np.concatenate([(edit - left)[:position], (edit - right)[position:]]) ** 2
    power = edit**2
    near = np.zeros(len(edit), np.bool_)
    near[max(0, position - reach) : position + reach] = True
    share = residual[~near].sum() / (power[~near].sum() + 1e-12)
    return float(residual[~near].sum() + share * power[near].sum())


@lru_cache(maxsize=256)
def _ramp_spectra(length: int, n: int, law: str) -> tuple[Complex[np.ndarray, " bins"], ...]:
    """Spectra that correlate with e L, e R, L^2, L R and R^2 to the ramp's cost less e^2."""
    rise = (np.arange(length) + 0.5) / length
    a, b = LAWS[law](1 - rise), LAWS[law](rise)
    return tuple(np.conj(scipy.fft.rfft(k, n)) for k in (-2 * a, -2 * b, a**2, 2 * a * b, b**2))
