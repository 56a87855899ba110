"""Means over songs with percentile bootstrap intervals.

Conventions: one number per song (edits of the same song are averaged first, since they are not independent); NaN is a
number that is not defined for that song and is left out. The interval at level L lies between the (1-L)/2 and (1+L)/2
quantiles of the means of resampled songs (Efron 1979). Chance is a generator.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Interval(NamedTuple):
    """A mean and what it may be; all NaN where there was nothing to average."""

    mean: float
    low: float
    high: float
    n_songs: int


def song_means(values: Sequence[float], songs: Sequence[str]) -> dict[str, float]:
    """Mean per song, songs sorted; undefined values, and songs that have no other, are left out."""
    by_song: dict[str, list[float]] = {}
    for value, song in sorted(zip(values, songs, strict=True), key=lambda pair: pair[1]):
        if np.isfinite(value):
            by_song.setdefault(song, []).append(float(value))
    return {song: float(np.mean(numbers)) for song, numbers in by_song.items()}


def bootstrap_mean(
    values: Float[np.ndarray, " songs"], *, n_samples: int, level: float, rng: np.random.Generator
) -> Interval:
    """Mean of one number per song, with its interval."""
    if not len(values):
        return Interval(np.nan, np.nan, np.nan, 0)
    draws = rng.integers(len(values), size=(n_samples, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(float(values.mean()), float(low), float(high), len(values))
