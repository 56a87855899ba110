"""From frames to beats: means, the rhythm of the grid, derivatives along beats, stems; and the key."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int

from rl_editor.config import FeatureMode
from rl_editor.errors import ConfigError
from rl_editor.features.names import BASIC, FEATURE_NAMES
from rl_editor.features.values import BeatFeatures, FrameFeatures, StemFrames
from rl_editor.grid import PARTIAL, BeatGrid

_ENERGY_FLOOR = 1e-8  # -80 dB re full scale
_BEAT_RATIO_LIMIT = 4.0  # tempo deviation and IBI ratio are clipped here: beyond are tracking faults

# Krumhansl and Kessler 1982: how well each pitch class fits a key whose tonic is the first.
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


def pool_beats(
    frames: FrameFeatures, grid: BeatGrid, *, mode: FeatureMode, stems: StemFrames | None = None
) -> BeatFeatures:
    """The features of every beat of the grid, in the columns ``FEATURE_NAMES[mode]``.

    Raises:
        ConfigError: mode ``full`` without stems.
    """
    frame_rate_hz = frames.frame_rate_hz
    spectral = _mean_per_beat(frames.values, grid, frame_rate_hz=frame_rate_hz)
    if mode == "basic":
        return BeatFeatures(spectral[:, : len(BASIC)].astype(np.float32), BASIC)
    parts = [spectral, _rhythm(grid), _along_beats(spectral)]
    if mode == "full":
        if stems is None:
            raise ConfigError(
                "features.feature_mode: 'full' needs separated stems and there are none; "
                "set data.use_stems to true (or --stems), or use 'enhanced'"
            )
        parts.append(_stem_columns(stems, grid, frame_rate_hz=frame_rate_hz))
    return BeatFeatures(np.concatenate(parts, axis=1).astype(np.float32), FEATURE_NAMES[mode])


def estimate_key(features: BeatFeatures | FrameFeatures) -> int:
    """The key whose probe-tone profile correlates best with the mean chroma; 0 (C major) where there is no pitch.

    Raises:
        ConfigError: beat features of mode ``basic``, which have no chroma.
    """
    chroma = features.chroma if isinstance(features, FrameFeatures) else features.columns("chroma_")
    if chroma.shape[1] == 0:
        raise ConfigError("features.feature_mode: 'basic' has no chroma to tell a key from; use 'enhanced' or 'full'")
    mean = chroma.mean(axis=0, dtype=np.float64)
    centred = mean - mean.mean()
    return int(np.argmax(_key_profiles() @ centred))


class _FrameSpans(NamedTuple):
    start: Int[np.ndarray, " beats"]
    end: Int[np.ndarray, " beats"]  # at least start + 1


def _frame_spans(grid: BeatGrid, *, n_frames: int, frame_rate_hz: float) -> _FrameSpans:
    """From the frame nearest to each beat's start, up to half a frame earlier, to before the one nearest to its end.

    A beat shorter than a frame takes the nearest one; the last takes all that are left.
    """
    edges = np.rint(grid.times_s * frame_rate_hz).astype(np.int64)
    edges[-1] = n_frames
    start = np.minimum(edges[:-1], n_frames - 1)
    return _FrameSpans(start, np.minimum(np.maximum(edges[1:], start + 1), n_frames))


def _mean_per_beat(
    values: Float[np.ndarray, "frames columns"], grid: BeatGrid, *, frame_rate_hz: float
) -> Float64[np.ndarray, "beats columns"]:
    start, end = _frame_spans(grid, n_frames=len(values), frame_rate_hz=frame_rate_hz)
    means = np.empty((grid.n_beats, values.shape[1]))
    for beat, (first, last) in enumerate(zip(start, end, strict=True)):
        values[first:last].mean(axis=0, dtype=np.float64, out=means[beat])
    return means


def _rhythm(grid: BeatGrid) -> Float64[np.ndarray, "beats 5"]:
    """Sine, cosine and share of the bar phase; 60 / (interval * tempo) - 1; interval over the one before.

    Partial beats (lead-in, tail) have phase 0 without direction, deviation 0 and ratio 1.
    """
    whole = grid.bar_position != PARTIAL
    interval = np.diff(grid.times_s)
    phase = np.where(whole, grid.bar_position / grid.beats_per_bar, 0.0)
    deviation = np.where(whole, 60.0 / (interval * grid.tempo_bpm) - 1.0, 0.0)
    ratio = np.ones(grid.n_beats)
    ratio[1:] = np.where(whole[1:] & whole[:-1], interval[1:] / interval[:-1], 1.0)
    columns = [
        np.where(whole, np.sin(2 * np.pi * phase), 0.0),
        np.where(whole, np.cos(2 * np.pi * phase), 0.0),
        phase,
        np.clip(deviation, -1.0, _BEAT_RATIO_LIMIT - 1.0),
        np.clip(ratio, 1.0 / _BEAT_RATIO_LIMIT, _BEAT_RATIO_LIMIT),
    ]
    return np.stack(columns, axis=1)


def _along_beats(values: Float64[np.ndarray, "beats columns"]) -> Float64[np.ndarray, "beats columns"]:
    """Central difference per beat, one-sided at the ends; zero for a single beat."""
    if len(values) < 2:
        return np.zeros_like(values)
    gradient: np.ndarray = np.gradient(values, axis=0)
    return gradient


def _stem_columns(stems: StemFrames, grid: BeatGrid, *, frame_rate_hz: float) -> Float64[np.ndarray, "beats 12"]:
    """Per stem: energy in dB re full scale, centroid in Hz, share of the energy of all stems (0 where silent)."""
    level = _mean_per_beat(stems.power, grid, frame_rate_hz=frame_rate_hz)
    centroid = _mean_per_beat(stems.centroid_hz, grid, frame_rate_hz=frame_rate_hz)
    total = level.sum(axis=1, keepdims=True)
    share = np.where(total > _ENERGY_FLOOR, level / np.maximum(total, _ENERGY_FLOOR), 0.0)
    energy_db = 10.0 * np.log10(np.maximum(level, _ENERGY_FLOOR))
    columns: np.ndarray = np.stack([energy_db, centroid, share], axis=2).reshape(grid.n_beats, -1)
    return columns


@lru_cache(maxsize=1)
def _key_profiles() -> Any:
    """[24, 12] profiles of all keys over their deviation: products with what is centred are in order of correlation."""
    profiles = np.array([np.roll(profile, tonic) for profile in (_MAJOR, _MINOR) for tonic in range(12)])
    return profiles / profiles.std(axis=1, keepdims=True)
