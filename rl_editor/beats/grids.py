"""Grids over a whole file: from tracked beats, at a regular tempo, and corrected by hand."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from rl_editor.config import BeatOverride, BeatsConfig
from rl_editor.features import FrameFeatures
from rl_editor.grid import PARTIAL, BeatGrid

MIN_BEATS = 4  # fewer are no beat
FALLBACK_BEATS_PER_BAR = 4
SNAP_BEATS = 0.15  # a lead-in or tail shorter than this share of a beat joins its neighbour
CORRECTED_CONFIDENCE = 1.0  # of a grid corrected by hand
_SILENCE_DB = -60.0  # below the loudest frame


class Metre(NamedTuple):
    """How beats are counted."""

    beats_per_bar: int
    first_downbeat: int  # index of a beat that opens a bar; any representative of its class


def regular_grid(duration_s: float, config: BeatsConfig) -> BeatGrid:
    """Beats at ``start_bpm`` from 0.0, with no confidence."""
    period_s = 60.0 / config.start_bpm
    duration_s = max(duration_s, 1e-3)
    bounds = np.arange(0.0, duration_s + period_s * SNAP_BEATS, period_s)
    beats_per_bar = config.beats_per_bar or FALLBACK_BEATS_PER_BAR
    return assemble_grid(bounds, duration_s, Metre(beats_per_bar, 0), confidence=0.0)


def apply_override(grid: BeatGrid, override: BeatOverride) -> BeatGrid:
    """Double or halve beats, shift them by a share of a beat, count them in other bars, rotate these; in this order.

    Halving keeps the beats in step with the downbeats. The neutral override returns the grid itself; what any other
    makes counts as sure, since somebody listened: how likely the tracked beats were says nothing about these.
    """
    if override == BeatOverride():
        return grid
    whole = np.flatnonzero(grid.bar_position != PARTIAL)
    if len(whole) == 0:
        return grid
    bounds = grid.times_s[whole[0] : whole[-1] + 2]
    downbeats = np.flatnonzero(grid.bar_position[whole] == 0)
    first_downbeat = int(downbeats[0]) if len(downbeats) else 0
    match override.tempo_multiplier:
        case 2:
            bounds = np.interp(np.arange(2 * len(bounds) - 1) / 2, np.arange(len(bounds)), bounds)
            first_downbeat *= 2
        case "half":
            bounds, first_downbeat = bounds[first_downbeat % 2 :: 2], first_downbeat // 2
    if len(bounds) < 2:
        return grid
    bounds = _shifted(bounds, override.shift_beats)
    beats_per_bar = override.beats_per_bar or grid.beats_per_bar
    metre = Metre(beats_per_bar, first_downbeat + override.downbeat_shift_beats)
    return assemble_grid(bounds, grid.duration_s, metre, confidence=CORRECTED_CONFIDENCE)


def _shifted(bounds_s: Float64[np.ndarray, " bounds"], beats: float) -> Float64[np.ndarray, " bounds"]:
    """Boundaries moved by a share of a beat: towards the next one, or back towards the one before.

    Half a beat later and half a beat earlier are the same places, whatever the tempo does, and order is kept.
    """
    step = np.diff(bounds_s)
    moved: np.ndarray = bounds_s + beats * (np.append(step, step[-1]) if beats > 0.0 else np.append(step[0], step))
    return moved


def assemble_grid(
    bounds_s: Float64[np.ndarray, " bounds"], duration_s: float, metre: Metre, *, confidence: float
) -> BeatGrid:
    """A grid over the whole file from the boundaries of its whole beats.

    Boundaries outside the file are dropped; a lead-in or tail of less than ``SNAP_BEATS`` of a beat joins the
    beat beside it, a longer one is a partial beat.
    """
    period_s = float(np.median(np.diff(bounds_s))) if len(bounds_s) > 1 else duration_s
    snap = SNAP_BEATS * period_s
    kept: Bool[np.ndarray, " bounds"] = (bounds_s >= -snap) & (bounds_s <= duration_s + snap)
    index = np.flatnonzero(kept)
    inner = bounds_s[kept]
    if len(inner) < 2:
        return BeatGrid(np.array([0.0, duration_s]), np.array([PARTIAL]), metre.beats_per_bar, 0.0)
    inner[0] = 0.0 if inner[0] < snap else inner[0]
    inner[-1] = duration_s if inner[-1] > duration_s - snap else inner[-1]
    position = (index[:-1] - metre.first_downbeat) % metre.beats_per_bar
    lead, tail = inner[0] > 0.0, inner[-1] < duration_s
    times_s = np.concatenate([[0.0] if lead else [], inner, [duration_s] if tail else []])
    position = np.concatenate([[PARTIAL] if lead else [], position, [PARTIAL] if tail else []]).astype(np.int64)
    return BeatGrid(times_s, position, metre.beats_per_bar, confidence)


class Span(NamedTuple):
    """A stretch of time in seconds."""

    start: float
    end: float


def sounding_span_s(frames: FrameFeatures) -> Span | None:
    """From the first to the last frame within 60 dB of the loudest; None in silence."""
    rms = frames.column("rms")
    loud = np.flatnonzero(rms > rms.max(initial=0.0) * 10.0 ** (_SILENCE_DB / 20.0))
    if len(loud) == 0:
        return None
    return Span(loud[0] / frames.frame_rate_hz, min((loud[-1] + 1) / frames.frame_rate_hz, frames.duration_s))


def extended_times(
    times_s: Float64[np.ndarray, " beats"], sound: Span, duration_s: float
) -> Float64[np.ndarray, " bounds"]:
    """Beat boundaries from the first to the last sound: beats outside dropped, missing ones added regularly."""
    period_s = float(np.median(np.diff(times_s)))
    slack = period_s / 2
    inside = times_s[(times_s >= max(sound.start - slack, -slack)) & (times_s <= sound.end + slack)]
    inside = inside[np.concatenate([[True], np.diff(inside) > period_s / 4])] if len(inside) else inside
    if len(inside) < MIN_BEATS:
        return inside
    head, tail = _end_period(inside[:9]), _end_period(inside[-9:])
    n_before = max(int((inside[0] - sound.start) / head + SNAP_BEATS), 0)
    n_after = max(int((min(sound.end, duration_s) - inside[-1]) / tail + 1 - SNAP_BEATS), 0)
    before = inside[0] - head * np.arange(n_before, 0, -1)
    return np.concatenate([before, inside, inside[-1] + tail * np.arange(1, n_after + 1)])


def _end_period(times_s: Float64[np.ndarray, " beats"]) -> float:
    return float(np.median(np.diff(times_s)))
