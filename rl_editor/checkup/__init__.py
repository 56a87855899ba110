"""A beat grid to look at, to listen to and to doubt: what was tracked, what it could be instead, and how to say so.

Conventions: times in seconds of the recording. Nothing here changes a grid; the alternatives are entries for
``beats.overrides``, which ``apply_override`` applies wherever a grid is used.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float16, Float32, Float64

from rl_editor.beats import Activations, Alternative, activations, alternatives, chosen_tracker, log_mel, track_beats
from rl_editor.config import BeatOverride, BeatTracker, Config
from rl_editor.features import extract_frames
from rl_editor.grid import PARTIAL, BeatGrid
from rl_editor.library import track_name
from rl_editor.utils import check_length, load_audio, load_mono, read_places, save_audio

_CLICK_HZ, _DOWNBEAT_HZ, _CLICK_S, _DECAY_S = 1000.0, 1600.0, 0.03, 0.008
_CLICK_LEVEL, _MUSIC_LEVEL = 0.5, 0.6


@dataclass(frozen=True, eq=False)
class Checkup:
    """What is known about the beats of one recording."""

    track_id: str
    tracker: BeatTracker  # never "auto"
    grid: BeatGrid  # corrected
    override: BeatOverride
    alternatives: list[Alternative]  # of the corrected grid, likeliest first
    heard: Activations
    mel: Float16[np.ndarray, "frames bands"]  # that it was heard in

    @property
    def is_unheard(self) -> bool:
        """Whether no beat was heard, so that the grid is regular and its alternatives are no better or worse."""
        return self.grid.confidence == 0.0

    @property
    def beats_s(self) -> Float64[np.ndarray, " beats"]:
        """Where whole beats start."""
        beats: np.ndarray = self.grid.times_s[:-1][self.grid.bar_position != PARTIAL]
        return beats

    @property
    def downbeats_s(self) -> Float64[np.ndarray, " bars"]:
        """Where bars start."""
        downbeats: np.ndarray = self.grid.times_s[:-1][self.grid.bar_position == 0]
        return downbeats

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "track": self.track_id,
            "tracker": self.tracker,
            "tempo_bpm": round(self.grid.tempo_bpm, 2),
            "beats_per_bar": self.grid.beats_per_bar,
            "confidence": round(self.grid.confidence, 3),
            "override": asdict(self.override),
            "beats_s": [round(float(t), 4) for t in self.beats_s],
            "downbeats_s": [round(float(t), 4) for t in self.downbeats_s],
            "alternatives": [
                {"name": a.name, "probability": round(a.probability, 4), "score": round(a.score, 3)}
                | asdict(a.override)
                for a in self.alternatives
            ],
        }


def check_up(path: Path, config: Config) -> Checkup:
    """Track a recording and ask what else its grid could be.

    Args:
        path: the recording.
        config: reads ``audio`` and ``beats``, whose ``overrides`` know the file as a library calls it.

    Raises:
        AudioFileError: the file cannot be read, or is too short.
        BeatTrackerError: the tracker cannot be had.
    """
    name, rate = track_name(path), config.audio.sample_rate
    mono = load_mono(path, rate)
    check_length(path.name, duration_s=len(mono) / rate, min_duration_s=config.audio.min_duration_s)
    mel, frames = log_mel(mono, rate), extract_frames(mono, config)
    grid, heard = track_beats(mono, config, track_id=name, frames=frames, mel=mel), activations(mel)
    return Checkup(
        name,
        chosen_tracker(config.beats.tracker),
        grid,
        config.beats.override_for(name),
        alternatives(heard, grid, frames),
        heard,
        mel,
    )


def write_click_track(found: Checkup, source: Path, output: Path) -> None:
    """The recording, softer, with a click on every beat and a higher one on every downbeat."""
    recording = load_audio(source)
    data = recording.data  # changed in place: of an hour it is 1.27 GB
    data *= np.float32(_MUSIC_LEVEL / _peak(data))  # floats may pass full scale, and clicks are heard beside
    for times, frequency in ((found.beats_s, _CLICK_HZ), (found.downbeats_s, _DOWNBEAT_HZ)):
        click = _click(frequency, recording.sample_rate)
        for start in np.rint(times * recording.sample_rate).astype(int):
            end = min(start + len(click), len(data))
            data[start:end] += click[: end - start, None]
    data /= np.float32(_peak(data))
    save_audio(output, recording, places=read_places(source))


def _peak(data: Float32[np.ndarray, "frames channels"]) -> float:
    """The loudest sample, or full scale where none reaches it."""
    return max(float(data.max(initial=1.0)), -float(data.min(initial=-1.0)))


def _click(frequency_hz: float, sample_rate: int) -> Float32[np.ndarray, " samples"]:
    t = np.arange(round(_CLICK_S * sample_rate)) / sample_rate
    click: np.ndarray = _CLICK_LEVEL * np.sin(2.0 * np.pi * frequency_hz * t) * np.exp(-t / _DECAY_S)
    return click.astype(np.float32)
