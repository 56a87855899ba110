"""How far a run is to be believed, and stretches of it that the sound does not bear out.

Conventions: similarity is the cosine of stacked descriptors, agreement the correlation coefficient of the edit with
what the mastering filter predicts; both near 1 where a run is right. Samples at the analysis rate.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import exp, log2, log10
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32

from rl_editor.alignment.refine import HEARD_SCORE, SILENT_SHARE, Mastering, Placed, power_gain, spread, stretches
from rl_editor.alignment.viterbi import Stacked, diagonal_similarity

WINDOW_SAMPLES = 4096
WINDOWS_PER_RUN = 8
# Weights of 1 and of ``terms_of``: where samples follow, and where only the sound is alike.
FOLLOWED = (-7.02, 6.77, 0.45, 1.63, 0.10)
HEARD_ALIKE = (-4.28, 5.82, 0.52)
SHORTEST_S, LONGEST_S = 0.1, 16.0
LEAST_SHARE = 1e-4  # of unexplained power: -40 dB
LEAST_GAIN = 1e-3  # -60 dB
MOST_ODDS = 7.0  # log; nobody is surer than 0.999
FOREIGN_FRAMES = 16  # 0.37 s: shorter stretches are left to the run
FOREIGN_SIMILARITY = 0.65  # only what sounds less alike than this is checked by its samples
FOREIGN_AGREEMENT = 0.35
UNLIKE = 0.45  # where samples do not follow, this little likeness is foreign
BORNE_OUT_SHARE = 0.9  # of the frames of an unmatched run, to be given to a neighbour
QUIET_SHARE = 1e-2  # -20 dB: what is this soft may be buried in noise, and is left to the run if it should be soft
QUIET_EXCESS = 4.0  # the power that the prediction of a soft stretch may have over it


class Evidence(NamedTuple):
    """What speaks for a run. ``agreement`` and ``peak`` are None where samples do not follow."""

    similarity: float  # mean cosine of the descriptors
    agreement: float | None  # correlation coefficient with the prediction, median over windows
    peak: float | None  # of the whitened correlation, in deviations
    seconds: float


class Belief(NamedTuple):
    """Of one run: what speaks for it, and its level against the whole pair's filter (1 is none)."""

    evidence: Evidence
    gain: float

    @property
    def confidence(self) -> float:
        """The chance that nine tenths of the run are right to 10 ms; see ``confidence_of``."""
        return confidence_of(self.evidence)


def confidence_of(evidence: Evidence) -> float:
    """The chance that nine tenths of a run are right to 10 ms, by logistic regression on runs whose truth is known.

    Of ``terms_of``, with weights that ``python -m benchmarks.align.calibrate`` fits (docs/alignment.md has its table).
    """
    weights = FOLLOWED if evidence.agreement is not None else HEARD_ALIKE
    odds = weights[0] + sum(w * term for w, term in zip(weights[1:], terms_of(evidence), strict=True))
    return 1.0 / (1.0 + exp(-max(-MOST_ODDS, min(MOST_ODDS, odds))))


def terms_of(evidence: Evidence) -> tuple[float, ...]:
    """Similarity and log2 seconds; where samples follow also the unexplained power and the peak in decades."""
    base = evidence.similarity, log2(min(max(evidence.seconds, SHORTEST_S), LONGEST_S))
    if evidence.agreement is None or evidence.peak is None:
        return base
    return *base, -log10(1.0 - max(0.0, evidence.agreement) ** 2 + LEAST_SHARE), log10(max(1.0, evidence.peak))


def believe(run: Placed, mastering: Mastering, left: Stacked, *, hop: int, sample_rate: int) -> Belief:
    """What speaks for a run; nothing does for an unmatched one."""
    seconds = (run.end - run.start) / sample_rate
    if run.lag is None:
        return Belief(Evidence(0.0, None, None, seconds), 1.0)
    similarity = run_similarity(run, left, mastering.pair.views[run.view].stacked, hop=hop)
    alike = float(similarity.mean()) if len(similarity) else 0.0
    if mastering.pair.sound(run) is None:
        gain = power_gain([run], mastering.pair) / (abs(mastering.gain) + 1e-9)
        return Belief(Evidence(alike, None, None, seconds), gain)
    agreement, gain = _agreement(run, mastering)
    return Belief(Evidence(alike, agreement, run.score, seconds), gain)


def run_similarity(run: Placed, left: Stacked, right: Stacked, *, hop: int) -> Float32[np.ndarray, " frames"]:
    """Cosines of the run's frames with the raw frames that it plays."""
    start, end, diagonal = Frames.of(run, left, right, hop=hop)
    if start >= end:
        return np.zeros(0, np.float32)
    return diagonal_similarity(left, right, start=start, end=end, diagonal=diagonal)


def without_foreign(runs: Sequence[Placed], mastering: Mastering, left: Stacked, *, hop: int) -> list[Placed]:
    """Runs with the stretches cut out (as unmatched) that neither descriptors nor samples bear out.

    Runs without a peak, or of which nothing is in the edit (what is silent or soft), go to a neighbour where the
    samples bear them out as part of it.
    """
    healed = [replace(run, lag=None) if _is_absent(run, mastering) else run for run in runs]
    for order, step in ((range(1, len(runs)), -1), (range(len(runs) - 2, -1, -1), 1)):
        for k in order:
            healed[k] = _healed(healed[k], healed[k + step], mastering, hop=hop)
    return [part for run in healed for part in _split(run, _foreign(run, mastering, left, hop=hop), hop=hop)]


def _is_absent(run: Placed, mastering: Mastering) -> bool:
    """Whether samples should follow, and nothing of what they predict is in the edit."""
    return mastering.pair.is_sampled(run) and _agreement(run, mastering)[1] <= LEAST_GAIN


def _healed(run: Placed, neighbour: Placed, mastering: Mastering, *, hop: int) -> Placed:
    """The run, or the neighbour going on in its place."""
    n_frames = (run.end - run.start) // hop
    if n_frames == 0 or is_heard(run, mastering) or not is_heard(neighbour, mastering):
        return run
    if (
        run.lag is not None
        and _borne_out(run, 0, n_frames, mastering, hop=hop).mean() > BORNE_OUT_SHARE
        and _agreement(run, mastering)[0] > FOREIGN_AGREEMENT
    ):
        return run
    continued = replace(neighbour, start=run.start, end=run.end)
    if mastering.pair.sound(neighbour) is None:
        return run
    if not _inside(continued, mastering.pair.n_samples(neighbour), slack=FOREIGN_FRAMES * hop):
        return run
    share = _borne_out(continued, 0, n_frames, mastering, hop=hop).mean()
    return continued if share > BORNE_OUT_SHARE else run


def is_heard(run: Placed, mastering: Mastering) -> bool:
    """Whether a run stands by itself: its samples have a peak, or only its sound is known."""
    return run.lag is not None and (run.score >= HEARD_SCORE or mastering.pair.sound(run) is None)


def _inside(run: Placed, n_raw: int, *, slack: int) -> bool:
    lag = run.lag or 0.0
    return run.start + lag >= -slack and run.end + lag <= n_raw + slack


class Frames(NamedTuple):
    """Edit frames [start, end) that play the raw's frames ``diagonal`` further on."""

    start: int
    end: int
    diagonal: int

    @classmethod
    def of(cls, run: Placed, left: Stacked, right: Stacked, *, hop: int) -> "Frames":
        """Of a run, as far as both recordings have them; none where ``end`` is no more than ``start``."""
        diagonal = round((run.lag or 0.0) / hop)
        start = max(round(run.start / hop), 0, -diagonal)
        return cls(start, min(round(run.end / hop), len(left.scale), len(right.scale) - diagonal), diagonal)


def _agreement(run: Placed, mastering: Mastering) -> tuple[float, float]:
    """Median correlation coefficient over windows, and the gain that fits them all best."""
    length = min(WINDOW_SAMPLES, run.end - run.start)
    coefficients, cross, power = [], 0.0, 1e-12
    for start in spread(run, length, WINDOWS_PER_RUN):
        edit = mastering.pair.edit[start : start + length].astype(np.float64)
        sound = mastering.predict(run, start=start, length=length)
        cross += float(edit @ sound)
        power += float(sound @ sound)
        coefficients.append(_coefficient(edit, sound))
    return max(0.0, float(np.median(coefficients))) if coefficients else 0.0, max(cross / power, LEAST_GAIN)


def _coefficient(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> float:
    x, y = x - x.mean(), y - y.mean()
    return float(x @ y / np.sqrt((x @ x) * (y @ y) + 1e-18))


def _foreign(run: Placed, mastering: Mastering, left: Stacked, *, hop: int) -> Bool[np.ndarray, " frames"]:
    """Which frames of a run, counted from its first, are not what it says."""
    n_frames = max(1, (run.end - run.start) // hop)
    if run.lag is None:
        return np.zeros(n_frames, np.bool_)
    right = mastering.pair.views[run.view].stacked
    similarity = np.zeros(n_frames, np.float32)
    start = Frames.of(run, left, right, hop=hop).start
    values = run_similarity(run, left, right, hop=hop)
    first = start - round(run.start / hop)
    values = values[: max(0, n_frames - first)]
    similarity[first : first + len(values)] = values
    similarity = smoothed(similarity)
    if mastering.pair.sound(run) is None:
        return _only_long(similarity < UNLIKE)
    power = frame_sums(mastering.pair.edit[run.start : run.start + n_frames * hop].astype(np.float64) ** 2, hop)
    doubtful = (similarity < FOREIGN_SIMILARITY) | (power < SILENT_SHARE * mastering.loudness * hop)
    doubtful |= run.score < HEARD_SCORE
    foreign = np.zeros(n_frames, np.bool_)
    for a, b in stretches(doubtful, at_least=FOREIGN_FRAMES):
        foreign[a:b] = ~_borne_out(run, a, b, mastering, hop=hop)
    return _only_long(foreign)


def _borne_out(run: Placed, a: int, b: int, mastering: Mastering, *, hop: int) -> Bool[np.ndarray, " frames"]:
    """Frame by frame: does the prediction correlate with the edit, or are both silent?"""
    start, length = run.start + a * hop, (b - a) * hop
    sound = mastering.predict(run, start=start, length=length)
    edit = mastering.pair.edit[start : start + length].astype(np.float64)
    cross, own, theirs = (smoothed(frame_sums(x, hop)) for x in (edit * sound, edit**2, sound**2))
    agreement = cross / np.sqrt(own * theirs + 1e-18)
    quiet, silent = (share * mastering.loudness * hop for share in (QUIET_SHARE, SILENT_SHARE))
    both_soft = (own < quiet) & (theirs < QUIET_EXCESS * own + silent)
    return np.asarray(both_soft | ((agreement > FOREIGN_AGREEMENT) & (own >= silent)))


def frame_sums(values: Float[np.ndarray, " samples"], hop: int) -> Float[np.ndarray, " frames"]:
    """Sums over whole frames."""
    return np.asarray(values[: len(values) // hop * hop].reshape(-1, hop).sum(axis=1))


def smoothed(values: Float[np.ndarray, " frames"]) -> Float[np.ndarray, " frames"]:
    """Means over nine frames."""
    if len(values) < 9:
        return values
    return np.asarray(np.convolve(np.pad(values, 4, mode="edge"), np.ones(9) / 9, mode="valid"))


def _only_long(mask: Bool[np.ndarray, " frames"]) -> Bool[np.ndarray, " frames"]:
    kept = np.zeros_like(mask)
    for a, b in stretches(mask, at_least=FOREIGN_FRAMES):
        kept[a:b] = True
    return kept


def _split(run: Placed, foreign: Bool[np.ndarray, " frames"], *, hop: int) -> list[Placed]:
    parts: list[Placed] = []
    at = run.start
    for a, b in stretches(foreign, at_least=1):
        begin, end = run.start + a * hop, run.end if b == len(foreign) else run.start + b * hop
        if begin > at:
            parts.append(replace(run, start=at, end=begin))
        parts.append(Placed(begin, end, None))
        at = end
    return [*parts, replace(run, start=at)] if at < run.end else parts
