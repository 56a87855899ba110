"""The beats of a track beside each other: standard scores of what is heard, levels, ranks, and where a track changes.

Conventions: N beats, or U units, 0-based; standard scores are over the track; ranks are in [0, 1]. ``novelty`` and
``section_bounds`` work on rows of either kind. Source: Foote 2000, "Automatic audio segmentation using a measure of
audio novelty" (here as the distance of two means, which needs no self-similarity matrix).
"""

import re
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from rl_editor.features import BeatFeatures

HEARD = re.compile(r"(mfcc_[1-9]\d*|chroma_[A-G]#?|contrast_\d+)")  # mfcc_0 is level, which gain changes
MOST_DEVIATIONS = 4.0  # a silent intro must not be all that is heard
DEVIATION_FLOOR = 1e-6
_LEVEL_FLOOR = 1e-4  # -80 dB
_NORMAL_DEVIATION = 1.4826  # standard deviation of a normal distribution over its median absolute deviation
_LEAST_SPREAD = 0.35  # of the standard deviation: most of a song may be level


def heard(features: BeatFeatures) -> Float[np.ndarray, "beats columns"]:
    """Timbre and harmony per beat, standardised over the track; every column where the mode has neither."""
    chosen = [i for i, name in enumerate(features.names) if HEARD.fullmatch(name)]
    values = features.values[:, chosen] if chosen else features.values
    return _in_deviations(values.astype(np.float64) - values.mean(axis=0, dtype=np.float64))


def within_track(values: Float[np.ndarray, "n columns"]) -> Float[np.ndarray, "n columns"]:
    """Standard scores per column, at most 4 from the mean; 0 where a column does not vary."""
    scores = _in_deviations(values - values.mean(axis=0))
    return np.asarray(np.clip(scores, -MOST_DEVIATIONS, MOST_DEVIATIONS))


def _in_deviations(centred: Float[np.ndarray, "n columns"]) -> Float[np.ndarray, "n columns"]:
    deviation = centred.std(axis=0)
    return np.where(deviation > DEVIATION_FLOOR, centred / np.maximum(deviation, DEVIATION_FLOOR), 0.0)


def robust_scores(values: Float[np.ndarray, "n columns"]) -> Float[np.ndarray, "n columns"]:
    """Scores by median and median deviation, at most 4: a silent intro does not flatten what the rest differs by."""
    centred = values - np.median(values, axis=0)
    spread = np.maximum(_NORMAL_DEVIATION * np.median(np.abs(centred), axis=0), _LEAST_SPREAD * values.std(axis=0))
    return np.asarray(np.clip(centred / np.maximum(spread, DEVIATION_FLOOR), -MOST_DEVIATIONS, MOST_DEVIATIONS))


def unit_rows(values: Float[np.ndarray, "n columns"]) -> Float[np.ndarray, "n columns"]:
    """Rows of length 1; silence stays 0."""
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.where(length > DEVIATION_FLOOR, values / np.maximum(length, DEVIATION_FLOOR), 0.0)


def level_db(features: BeatFeatures) -> Float[np.ndarray, " beats"]:
    """Level of every beat in dB re full scale."""
    return 20.0 * np.log10(np.maximum(features.column("rms").astype(np.float64), _LEVEL_FLOOR))


def rank(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Share of the others that are lower, ties halved: 0 the lowest, 1 the highest, 1/2 where there is one."""
    if len(values) == 1:
        return np.full(1, 0.5)
    ordered = np.sort(values)
    below, up_to = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return (below + up_to - 1) / (2.0 * (len(values) - 1))


class Sides(NamedTuple):
    """Means of the rows on either side of each boundary; 0 where there are none."""

    before: Float[np.ndarray, "bounds columns"]
    after: Float[np.ndarray, "bounds columns"]


def means_beside(rows: Float[np.ndarray, "n columns"], *, span: int) -> Sides:
    """Over ``span`` rows, or as many as there are."""
    n, at = len(rows), np.arange(len(rows) + 1)
    total = np.vstack([np.zeros(rows.shape[1]), np.cumsum(rows, axis=0)])
    low, high = np.maximum(at - span, 0), np.minimum(at + span, n)
    before = (total - total[low]) / np.maximum(at - low, 1)[:, None]
    return Sides(before, (total[high] - total) / np.maximum(high - at, 1)[:, None])


def novelty(columns: Float[np.ndarray, "n columns"], *, span: int) -> Float[np.ndarray, " bounds"]:
    """At each boundary, distance of the mean over ``span`` rows after it to the mean before; 0 at both ends.

    Divided by the track's largest, so in [0, 1].
    """
    before, after = means_beside(columns, span=span)
    at = np.arange(len(columns) + 1)
    weight = np.sqrt(np.minimum(np.minimum(at, at[::-1]), span) / span)  # a mean of few rows is unsure
    curve = np.linalg.norm(after - before, axis=1) * weight
    return np.asarray(curve / max(float(curve.max()), DEVIATION_FLOOR))


def section_bounds(curve: Float[np.ndarray, " bounds"], *, shortest: int, least: float) -> Int[np.ndarray, " cuts"]:
    """Indices where sections start, and the end: the highest peaks of novelty at least ``shortest`` apart.

    From the song's start and end they keep half of that, rounded down. Peaks count from the share ``least`` of the
    highest on.
    """
    n = len(curve) - 1
    free = np.ones(n + 1, bool)
    cuts = [0, n]
    threshold = least * float(curve.max())
    for at in np.argsort(-curve, kind="stable"):
        if curve[at] <= threshold:
            break
        near = slice(max(int(at) - shortest + 1, 0), int(at) + shortest)
        if free[at] and min(at, n - at) >= shortest // 2:
            cuts.append(int(at))
            free[near] = False
    return np.unique(cuts)
