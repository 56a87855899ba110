"""Beat tracking: where beats and downbeats lie, how sure that is, and corrections by hand.

Conventions: times in seconds from the start of the file; a beat time is the perceived onset. A grid tiles the file:
whole beats between the first and the last sound, a lead-in before and a tail after, marked partial.

Method: a small network hears how likely each frame is a beat and a downbeat (``network``); the best path through beats
of changing length and bars of one metre makes beats of that (``decoding``), or another tracker does (``trackers``); the
attacks' exact place comes from energy at a finer scale (``attacks``). Which beat opens the bars is heard from what
changes there as well (``bars``). What else the grid could be, and how likely, is the doctor's to say (``doctor``).

Sources: beside the modules'; Davies et al. 2009 for the tolerance of 70 ms that tests and the confidence use.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float16, Float32, Float64

from rl_editor.beats.attacks import attack_offsets_s, energy_rise
from rl_editor.beats.doctor import ODD_METRES, Alternative, alternatives, confidence_of, recounted
from rl_editor.beats.grids import (
    MIN_BEATS,
    Metre,
    Span,
    apply_override,
    assemble_grid,
    extended_times,
    regular_grid,
    sounding_span_s,
)
from rl_editor.beats.spectrum import Activations, activations, log_mel
from rl_editor.beats.trackers import KNOWS_BARS, METRES, TRACKERS, Counter, chosen_tracker, tracker_version
from rl_editor.config import BeatsConfig, Config
from rl_editor.features import FrameFeatures, extract_frames
from rl_editor.grid import BeatGrid

__all__ = [
    "Activations",
    "Alternative",
    "Listened",
    "activations",
    "alternatives",
    "apply_override",
    "chosen_tracker",
    "grid_of",
    "listened",
    "log_mel",
    "regular_grid",
    "track_beats",
    "tracker_version",
]

_HEARD = 0.05  # mean probability of a frame at beats, below which there is no beat
_STEADY_DB = 0.1  # onset strength that one frame in twenty must pass: tones and hums that never change have no beat


def track_beats(
    mono: Float32[np.ndarray, " samples"],
    config: Config,
    *,
    track_id: str = "",
    frames: FrameFeatures | None = None,
    mel: Float16[np.ndarray, "frames bands"] | None = None,
) -> BeatGrid:
    """The beat grid of a signal at ``config.audio.sample_rate``, corrected by ``config.beats.overrides[track_id]``.

    ``frames`` and ``mel`` (of ``log_mel``) save computing them where they are known. Without a beat to be found the
    grid is regular at ``config.beats.start_bpm`` and its confidence 0.

    Raises:
        BeatTrackerError: the tracker that ``config.beats.tracker`` names cannot be had.
    """
    frames = extract_frames(mono, config) if frames is None else frames
    mel = log_mel(mono, config.audio.sample_rate) if mel is None else mel
    grid = grid_of(listened(mono, frames, config.beats), frames, mel, config.beats)
    return apply_override(grid, config.beats.override_for(track_id))


class Listened(NamedTuple):
    """What tracking takes from the samples of a signal: they may go then, which are 320 MB of an hour."""

    sounds: Span
    rise: Float64[np.ndarray, " blocks"]
    counter: Counter


def listened(mono: Float32[np.ndarray, " samples"], frames: FrameFeatures, config: BeatsConfig) -> Listened | None:
    """The first half of ``track_beats``; None where there is no beat.

    Raises:
        BeatTrackerError: as ``track_beats``.
    """
    sound = sounding_span_s(frames)
    if sound is None or np.percentile(frames.column("onset"), 95.0) < _STEADY_DB:
        return None
    counter = TRACKERS[chosen_tracker(config.tracker)](mono, frames.sample_rate)
    return Listened(sound, energy_rise(mono), counter)


def grid_of(
    found: Listened | None,
    frames: FrameFeatures,
    mel: Float16[np.ndarray, "frames bands"],
    config: BeatsConfig,
) -> BeatGrid:
    """The second half of ``track_beats``, before corrections."""
    tracked = None if found is None else _tracked(found, frames, mel, config)
    return tracked or regular_grid(frames.duration_s, config)


def _tracked(
    listened: Listened, frames: FrameFeatures, mel: Float16[np.ndarray, "frames bands"], config: BeatsConfig
) -> BeatGrid | None:
    """None where there is no beat."""
    heard = activations(mel)
    found = listened.counter(heard, (config.beats_per_bar,) if config.beats_per_bar else METRES)
    if len(found.beats_s) < MIN_BEATS or heard.near(found.beats_s).beat.mean() < _HEARD:
        return None
    offsets_s = attack_offsets_s(listened.rise, found.beats_s, sample_rate=frames.sample_rate)
    exact = found.beats_s + offsets_s + config.latency_s
    times_s = extended_times(exact, listened.sounds, frames.duration_s)
    if len(times_s) < MIN_BEATS:
        return None
    middle = len(exact) // 2  # beats at the ends may have gone
    downbeat = int(np.abs(times_s - exact[middle]).argmin()) - int(found.position[middle])
    grid = assemble_grid(times_s, frames.duration_s, Metre(found.beats_per_bar, downbeat), confidence=0.0)
    if chosen_tracker(config.tracker) not in KNOWS_BARS:
        grid = recounted(heard, grid, frames, metres=() if config.beats_per_bar else ODD_METRES)
    return replace(grid, confidence=confidence_of(heard, grid))
