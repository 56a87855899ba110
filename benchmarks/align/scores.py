"""A recovered time line against the truth.

Conventions: shares are of the output time that plays the raw, sampled every millisecond. An instant is *right* where
the recovered raw instant is within the tolerance of the true one or plays the same sound: the 0.1 s around both differ
by at most ``SAME_ENERGY`` of their energy (repeats). *Plain* shares do not know repeats. NaN: does not apply.
"""

from dataclasses import dataclass, field

import numpy as np

from benchmarks.align.truth import Timeline

STEP_S = 0.001
SAME_HALF_S, SAME_ENERGY = 0.05, 0.003
HEARD_AFTER_S = (0.05, 0.15, 0.25)  # a join after which all of these sound the same is not heard
JOIN_REACH_S = 0.25  # a found join further from a true one is another join
RIGHT_SHARE = 0.9  # of a segment's time within 10 ms makes the segment right
CHUNK = 256  # windows compared at a time


@dataclass(frozen=True)
class Segment:
    """A recovered segment: how sure it was, and whether it was right."""

    confidence: float
    right: bool
    seconds: float


@dataclass(frozen=True)
class Score:
    """One pair by one method; every share is 0 where the pair was rejected."""

    seconds: float
    edit_s: float
    rejected: bool = False
    within: dict[int, float] = field(default_factory=dict)  # ms -> share, repeats count
    plain_10ms: float = 0.0
    exact_1ms: float = float("nan")  # of what is within 10 ms
    join_errors_ms: tuple[float, ...] = ()
    heard_errors_ms: tuple[float, ...] = ()  # of that, what sounds different
    n_joins: int = 0  # that can be heard
    missing_joins: int = 0  # of these
    extra_joins: int = 0
    foreign_found: float = float("nan")  # share of foreign time that is null
    foreign_false: float = 0.0  # share of the raw's time that is null
    edge_errors_ms: tuple[float, ...] = ()  # of foreign stretches; infinite where none is near
    speed_error: float = float("nan")  # mean |speed - true speed|, in per cent
    pitch_error: float = float("nan")  # mean |semitones - true semitones|
    keep_accuracy: float = float("nan")  # KEEP/CUT of the raw's beats, balanced
    segments: tuple[Segment, ...] = ()


TOLERANCES_MS = (1, 5, 10, 20, 70, 250)


def rejection(truth: Timeline, seconds: float) -> Score:
    """A pair that was refused."""
    zero = dict.fromkeys(TOLERANCES_MS, 0.0)
    return Score(seconds, truth.duration_s, rejected=True, within=zero, n_joins=len(truth.joins_s()))


def score(
    found: Timeline,
    truth: Timeline,
    raw: np.ndarray,
    rate: int,
    beats_s: np.ndarray,
    *,
    seconds: float,
    has_joins: bool = True,
) -> Score:
    """Compare at every millisecond of output."""
    times = np.arange(STEP_S / 2, truth.duration_s, STEP_S)
    true, mine = truth.source_at(times), found.source_at(times)
    sourced, matched = ~np.isnan(true), ~np.isnan(mine)
    error = np.where(sourced & matched, np.abs(np.nan_to_num(mine) - np.nan_to_num(true)), np.inf)
    same = _same_sound(raw, rate, mine, true, np.flatnonzero((error > STEP_S) & np.isfinite(error)))
    count = max(1, int(sourced.sum()))
    within = {ms: float(((error <= ms / 1000) | same)[sourced].sum() / count) for ms in TOLERANCES_MS}
    audible = _audible(truth, raw, rate)
    exact = (error <= STEP_S) | same
    joins = _match_joins(truth.joins_s(), audible, found.joins_s(), exact) if has_joins else _Joins()
    known = sourced & matched & (error <= 1.0)
    index, true_index = found.index_at(times), truth.index_at(times)
    return Score(
        seconds=seconds,
        edit_s=truth.duration_s,
        within=within,
        plain_10ms=float((error <= 0.01)[sourced].sum() / count),
        exact_1ms=within[1] / within[10] if within[10] else 0.0,
        join_errors_ms=joins.errors_ms,
        heard_errors_ms=joins.heard_ms,
        n_joins=int(audible.sum()),
        missing_joins=joins.missing,
        extra_joins=joins.extra,
        foreign_found=float((~matched)[~sourced].mean()) if not sourced.all() else float("nan"),
        foreign_false=float((~matched)[sourced].sum() / count),
        edge_errors_ms=_edge_errors_ms(truth, found),
        speed_error=100 * _mean_gap("speed", found, truth, index, true_index, known),
        pitch_error=_mean_gap("pitch_semitones", found, truth, index, true_index, known),
        keep_accuracy=balanced_accuracy(kept_beats(found, beats_s), kept_beats(truth, beats_s)),
        segments=_segments(found, index, (error <= 0.01) | same, sourced),
    )


def _same_sound(raw: np.ndarray, rate: int, a_s: np.ndarray, b_s: np.ndarray, doubtful: np.ndarray) -> np.ndarray:
    """Where the raw sounds the same around both instants; only the doubtful ones are asked about."""
    same = np.zeros(len(a_s), np.bool_)
    if not len(doubtful):
        return same
    stride = 1 if len(doubtful) < 5000 else 5
    half = round(SAME_HALF_S * rate)
    padded = np.pad(raw.astype(np.float32), ((half, half), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half, axis=0)
    asked, answers = doubtful[::stride], []
    for k in range(0, len(asked), CHUNK):
        a, b = (windows[np.clip(np.round(x[asked[k : k + CHUNK]] * rate).astype(int), 0, len(raw))] for x in (a_s, b_s))
        difference = ((a - b) ** 2).sum(axis=(1, 2))
        answers.append(difference <= SAME_ENERGY * ((a**2).sum(axis=(1, 2)) + (b**2).sum(axis=(1, 2))))
    same[doubtful] = np.repeat(np.concatenate(answers), stride)[: len(doubtful)]
    return same


@dataclass(frozen=True)
class _Joins:
    errors_ms: tuple[float, ...] = ()
    heard_ms: tuple[float, ...] = ()
    missing: int = 0
    extra: int = 0


def _audible(truth: Timeline, raw: np.ndarray, rate: int) -> np.ndarray:
    """Which joins of the truth sound unlike playing straight on."""
    joins = np.array(truth.joins_s())
    same = np.ones(len(joins), np.bool_)
    left, right = truth.source_at(joins - 1e-9), truth.source_at(joins)
    sourced = np.flatnonzero(~np.isnan(left + right))
    for after_s in HEARD_AFTER_S:
        same &= _same_sound(raw, rate, left + after_s, right + after_s, sourced)
    return ~same


def _match_joins(true_s: list[float], audible: np.ndarray, found_s: list[float], right: np.ndarray) -> _Joins:
    """Pair the nearest first; what is heard is the time between both that does not sound right."""
    near = sorted(
        (abs(t - f), i, j) for i, t in enumerate(true_s) for j, f in enumerate(found_s) if abs(t - f) <= JOIN_REACH_S
    )
    taken: dict[int, int] = {}
    used: set[int] = set()
    for _, i, j in near:
        if i not in taken and j not in used:
            taken[i] = j
            used.add(j)
    errors, heard = [], []
    for i, j in sorted(taken.items()):
        low, high = sorted((true_s[i], found_s[j]))
        errors.append(1000 * (high - low))
        wrong = int((~right[round(low / STEP_S) : round(high / STEP_S)]).sum())
        heard.append(min(1000 * (high - low), 1000 * STEP_S * wrong))
    missing = sum(bool(a) and i not in taken for i, a in enumerate(audible))
    return _Joins(tuple(errors), tuple(heard), missing, len(found_s) - len(taken))


def _edge_errors_ms(truth: Timeline, found: Timeline) -> tuple[float, ...]:
    """From each edge of true foreign sound inside the edit to the nearest edge of recovered null."""
    end = truth.duration_s
    edges = [e for span in found.foreign_s() for e in span]
    wanted = [e for span in truth.foreign_s() for e in span if 0 < e < end - 1e-6]
    return tuple(1000 * min((abs(e - f) for f in edges), default=np.inf) for e in wanted)


def _mean_gap(
    name: str, found: Timeline, truth: Timeline, index: np.ndarray, true_index: np.ndarray, known: np.ndarray
) -> float:
    mine, true = (np.array([getattr(s, name) for s in line.stretches]) for line in (found, truth))
    return float(np.abs(mine[index] - true[true_index])[known].mean()) if known.any() else float("nan")


def _segments(found: Timeline, index: np.ndarray, right: np.ndarray, sourced: np.ndarray) -> tuple[Segment, ...]:
    counts = np.bincount(index, minlength=len(found.stretches))
    good = np.bincount(index, weights=right & sourced, minlength=len(found.stretches))
    return tuple(
        Segment(s.confidence, bool(good[k] >= RIGHT_SHARE * counts[k]), float(counts[k]) * STEP_S)
        for k, s in enumerate(found.stretches)
        if s.source_s is not None and counts[k]
    )


def kept_beats(line: Timeline, beats_s: np.ndarray) -> np.ndarray:
    """Which beats of the raw play: half of the beat or more."""
    spans = sorted((s.source_s, s.source_end_s) for s in line.stretches if s.source_s is not None)
    edges = np.union1d(beats_s, np.clip(np.array(spans).ravel(), beats_s[0], beats_s[-1]))
    middles = (edges[1:] + edges[:-1]) / 2
    plays = np.zeros(len(middles))
    for a, b in spans:
        plays[np.searchsorted(middles, a) : np.searchsorted(middles, b)] = 1.0
    covered = np.concatenate([[0], np.cumsum(plays * np.diff(edges))])[np.searchsorted(edges, beats_s)]
    return np.asarray(np.diff(covered) >= 0.5 * np.diff(beats_s))


def balanced_accuracy(found: np.ndarray, true: np.ndarray) -> float:
    """Mean of the shares of KEEP and of CUT beats that are labelled so; NaN where the truth has but one label."""
    if true.all() or not true.any():
        return float("nan")
    return float((found[true].mean() + (~found[~true]).mean()) / 2)
