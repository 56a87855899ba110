"""Beat trackers of one shape: a mono signal and its rate in, beats and downbeats in seconds out."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from rl_editor.beats import track_beats
from rl_editor.config import BeatTracker, Config


class Tracked(NamedTuple):
    """Beats in order; no downbeats where the tracker knows none."""

    beats_s: Float64[np.ndarray, " beats"]
    downbeats_s: Float64[np.ndarray, " bars"] | None


def librosa_tracker(mono: Float32[np.ndarray, " samples"], rate: int) -> Tracked:
    """librosa's dynamic programming with its defaults."""
    import librosa

    _, beats = librosa.beat.beat_track(y=mono, sr=rate, units="time")
    return Tracked(beats, None)


def ours(name: BeatTracker) -> Callable[[Float32[np.ndarray, " samples"], int], Tracked]:
    """What the pipeline and ``rl-editor edit`` use with ``beats.tracker`` of that name."""

    def track(mono: Float32[np.ndarray, " samples"], rate: int) -> Tracked:
        config = Config()
        config.audio.sample_rate, config.beats.tracker = rate, name
        grid = track_beats(mono, config)
        starts = grid.times_s[:-1]
        return Tracked(starts[grid.bar_position >= 0], starts[grid.bar_position == 0])

    return track


TRACKERS: dict[str, Callable[[Float32[np.ndarray, " samples"], int], Tracked]] = {
    "librosa": librosa_tracker,
    "network": ours("network"),
    "beat_this": ours("beat_this"),
}
