"""Backends of one shape: a signal, in; then what the network hears in it, in; beats and their places in the bar, out.

In two steps, since what the network and the way through its bars need is no signal: of an hour it can go before them.

``network`` is this package's own. ``librosa`` takes the beats of librosa's ``beat_track`` and counts bars by the
network's downbeats. ``beat_this`` is Foscarin, Schlüter and Widmer 2024, "Beat This! Accurate beat tracking without DBN
postprocessing", of the optional extra ``beat_this``; its weights come from its authors' server on first use.
"""

import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64, Int

from rl_editor.beats.decoding import decoded
from rl_editor.beats.spectrum import Activations
from rl_editor.config import BeatTracker
from rl_editor.errors import BeatTrackerError

METRES = (3, 4)
_LIBROSA_LATE_S = 0.044  # median on songs of known beats
_SURE = 0.98  # no single beat decides where bars begin


class Counted(NamedTuple):
    """Beats in order and their number in the bar, 0 the downbeat."""

    beats_s: Float64[np.ndarray, " beats"]
    position: Int[np.ndarray, " beats"]
    beats_per_bar: int


Counter = Callable[[Activations, tuple[int, ...]], Counted]  # what the network hears and metres, in; holds no signal
Tracker = Callable[[Float32[np.ndarray, " samples"], int], Counter]


def chosen_tracker(name: BeatTracker) -> BeatTracker:
    """What ``auto`` means here: ``beat_this`` where it is installed, else ``network``; other names are themselves."""
    if name != "auto":
        return name
    return "beat_this" if importlib.util.find_spec("beat_this") else "network"


def tracker_version(name: BeatTracker) -> str:
    """The version of the package that a tracker of somebody else's comes from; none of ours, or where it is missing."""
    if name == "network":
        return ""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def network_tracker(mono: Float32[np.ndarray, " samples"], sample_rate: int) -> Counter:
    """The best path through what the network hears."""

    def count(heard: Activations, metres: tuple[int, ...]) -> Counted:
        found = decoded(heard, metres=metres)
        return Counted(found.beats_s, found.position, found.beats_per_bar)

    return count


def librosa_tracker(mono: Float32[np.ndarray, " samples"], sample_rate: int) -> Counter:
    """librosa's dynamic programming with its defaults; bars where the network hears them."""
    from librosa.beat import beat_track

    _, beats = beat_track(y=mono, sr=sample_rate, units="time")
    return lambda heard, metres: counted(beats, heard.near(beats - _LIBROSA_LATE_S).downbeat, metres)


def beat_this_tracker(mono: Float32[np.ndarray, " samples"], sample_rate: int) -> Counter:
    """Beat This! with its own peak picking; bars of one metre where its downbeats lie.

    Raises:
        BeatTrackerError: the package or its weights cannot be had.
    """
    beats, downbeats = (np.asarray(times, np.float64) for times in _beat_this_model()(mono, sample_rate))
    opens = np.zeros(len(beats))
    if len(downbeats) and len(beats):
        opens[np.abs(beats - downbeats[:, None]).argmin(axis=1)] = 1.0
    return lambda _, metres: counted(beats, opens, metres)


@cache
def _beat_this_model() -> Callable[[Float32[np.ndarray, " samples"], int], Any]:
    remedy = "install the extra beat_this, or set beats.tracker to network, which needs nothing"
    try:
        from beat_this.inference import Audio2Beats
    except ImportError as fault:
        raise BeatTrackerError(f"beats.tracker: beat_this cannot be imported ({fault}); {remedy}") from None
    try:
        model: Callable[..., Any] = Audio2Beats()
    except (ValueError, OSError, RuntimeError) as fault:
        raise BeatTrackerError(f"beats.tracker: the weights of beat_this cannot be had ({fault}); {remedy}") from None
    return model


TRACKERS: Mapping[BeatTracker, Tracker] = {
    "network": network_tracker,
    "librosa": librosa_tracker,
    "beat_this": beat_this_tracker,
}

KNOWS_BARS: frozenset[BeatTracker] = frozenset({"beat_this"})  # whose bars are its own; others take what is heard here


def counted(
    beats_s: Float64[np.ndarray, " beats"], opens: Float[np.ndarray, " beats"], metres: tuple[int, ...]
) -> Counted:
    """Bars of one length: that and the phase under which beats open bars most likely, given how likely each does."""
    likely = np.clip(opens, 1.0 - _SURE, _SURE)
    gain = np.log(likely) - np.log1p(-likely)
    ways = [(metre, phase) for metre in metres for phase in range(metre)]
    metre, phase = max(ways, key=lambda way: float(gain[way[1] :: way[0]].sum()))
    return Counted(beats_s, (np.arange(len(beats_s)) - phase) % metre, metre)
