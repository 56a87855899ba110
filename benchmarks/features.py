"""Beat features as a user would get them from librosa, and ours, from samples and from files.

Conventions: a composed song of some four minutes, mono at 22,050 Hz; both sides use the same beats: only features
are compared. The peer calls librosa once per feature with the signal, as its documentation has it.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import librosa
import numpy as np
import soxr
from jaxtyping import Float32

from rl_editor.beats import regular_grid
from rl_editor.composer import compose_song
from rl_editor.config import Config, CorpusConfig
from rl_editor.features import extract_frames, pool_beats
from rl_editor.utils import Samples, load_mono, save_audio, to_mono

SECONDS, RATE, FILE_RATE = 240.0, 22_050, 44_100

Mono = Float32[np.ndarray, " samples"]


class Features(NamedTuple):
    """What one side took, and its features, of which one per beat only ours."""

    seconds: float
    frames: Float32[np.ndarray, "frames 52"]
    beats: Float32[np.ndarray, "beats 109"] | None = None


@cache
def song() -> Samples:
    """The song, stereo at 44,100 Hz."""
    config = CorpusConfig(min_duration_s=SECONDS, max_duration_s=1.2 * SECONDS)
    made = compose_song(0, config=config).mix
    data = soxr.resample(made.data, made.sample_rate, FILE_RATE).astype(np.float32)
    return Samples(data / max(1.0, float(np.abs(data).max())), FILE_RATE)


@cache
def mono() -> Mono:
    """The song as it is analysed."""
    return to_mono(song(), RATE)


@contextmanager
def file_of(suffix: str) -> Iterator[Path]:
    """The song as a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"song{suffix}"
        save_audio(path, song(), subtype="PCM_16" if suffix == ".wav" else None)
        yield path


def librosa_frames(y: Mono) -> Float32[np.ndarray, "frames 52"]:
    """The frame features in our order, each by its own call with the signal."""
    f = librosa.feature
    mfcc = f.mfcc(y=y, sr=RATE, n_mfcc=13)
    parts = [
        librosa.onset.onset_strength(y=y, sr=RATE)[None], f.rms(y=y), f.spectral_centroid(y=y, sr=RATE),
        f.zero_crossing_rate(y), f.spectral_rolloff(y=y, sr=RATE), f.spectral_bandwidth(y=y, sr=RATE),
        f.spectral_flatness(y=y), f.spectral_contrast(y=y, sr=RATE), mfcc, f.delta(mfcc),
        f.chroma_stft(y=y, sr=RATE),
    ]  # fmt: skip
    return np.concatenate(parts).T


def by_librosa(path: Path | None) -> Features:
    """Every feature by its own call, then means over beats."""
    start = time.perf_counter()
    y = mono() if path is None else librosa.load(path, sr=RATE)[0]
    frames = librosa_frames(y)
    beats = librosa.time_to_frames(regular_grid(len(y) / RATE, Config().beats).times_s, sr=RATE)
    pooled = librosa.util.sync(frames.T, beats)
    np.diff(pooled, axis=1)  # the deltas from beat to beat
    return Features(time.perf_counter() - start, frames)


def by_ours(path: Path | None, *, device: str = "cpu") -> Features:
    """One STFT, then pooling to the 109 columns."""
    start = time.perf_counter()
    config = Config()
    config.features.device = device
    y = mono() if path is None else load_mono(path, RATE)
    frames = extract_frames(y, config)
    pooled = pool_beats(frames, regular_grid(frames.duration_s, config.beats), mode="enhanced")
    return Features(time.perf_counter() - start, frames.values, pooled.values)


def difference(one: Float32[np.ndarray, "rows columns"], other: Float32[np.ndarray, "rows columns"]) -> float:
    """The worst column's largest difference, in standard deviations of the first."""
    n = min(len(one), len(other))
    error = np.abs(one[:n] - other[:n]).max(axis=0)
    return float((error / np.maximum(one[:n].std(axis=0), 1e-9)).max())
