"""Beat trackers of one shape: a mono signal and its rate in, beats and downbeats in seconds out."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from rl_editor.beats import track_beats
from rl_editor.config import Config


class Tracked(NamedTuple):
    """Beats in order; no downbeats where the tracker knows none."""

    beats_s: Float64[np.ndarray, " beats"]
    downbeats_s: Float64[np.ndarray, " bars"] | None


def librosa_tracker(mono: Float32[np.ndarray, " samples"], rate: int) -> Tracked:
    """librosa's dynamic programming with its defaults."""
    import librosa

    _, beats = librosa.beat.beat_track(y=mono, sr=rate, units="time")
    return Tracked(beats, None)


def default_tracker(mono: Float32[np.ndarray, " samples"], rate: int) -> Tracked:
    """What the pipeline and ``rl-editor edit`` use."""
    config = Config()
    config.audio.sample_rate = rate
    grid = track_beats(mono, config)
    starts = grid.times_s[:-1]
    return Tracked(starts[grid.bar_position >= 0], starts[grid.bar_position == 0])


def network_tracker(mono: Float32[np.ndarray, " samples"], rate: int) -> Tracked:
    """The trained network and its decoding, not yet what the pipeline uses."""
    from benchmarks.beats.decoding import decoded
    from benchmarks.beats.network import activations

    found = decoded(activations(mono, rate))
    return Tracked(found.beats_s, found.beats_s[found.position == 0])


TRACKERS: dict[str, Callable[[Float32[np.ndarray, " samples"], int], Tracked]] = {
    "librosa": librosa_tracker,
    "default": default_tracker,
    "network": network_tracker,
}
