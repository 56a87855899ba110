"""What is measured at the joins of rendered audio: independent of how they were chosen.

Conventions: ``samples`` is the rendered edit; positions in seconds of output; a join is the middle of its crossfade.
"Natural" places are the beats of the rendered edit at least ``CLEAR_S`` away from every join: the song itself.

    level_step_db            |level of the 0.2 s after - level of the 0.2 s before|, RMS over channels
    level_percentile         share of natural beats with a smaller step
    spectral_percentile      share of natural beats whose spectral distance (0.25 s before to 0.25 s after, 40 bands
                             from 60 Hz up, RMS difference in dB) is lower; 50 is the song's own median
    beat_error_ms            how much later than it was due the next beat comes (below 0: earlier): with b(t) the beat
                             count at source time t, the fractional part of b(leaving) - b(landing) in (-1/2, 1/2],
                             times the beat interval
    bar_phase_kept           the beat of the bar that was due is the one that comes; None outside whole beats
    click                    peak / RMS of the sample differences in the 10 ms around the join, times
                             sqrt(44.1 kHz / rate), so that a step out of nothing, which is all of n differences and
                             sqrt(n) times their RMS, measures 21 at every rate; above ``CLICK`` is heard
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from rl_editor.edits import EditList
from rl_editor.grid import PARTIAL, BeatGrid
from rl_editor.state import AudioState
from rl_editor.utils import Samples

LEVEL_S = 0.2
SPECTRUM_S = 0.25
CLICK_S = 0.01
CLICK, CLICK_RATE_HZ = 15.0, 44_100
CLEAR_S = 0.5
MIN_NATURAL = 8  # fewer natural beats give no percentile
_N_BANDS, _LOWEST_HZ = 40, 60.0
POWER_FLOOR = 1e-10  # power, -100 dB


class JoinDiagnostics(NamedTuple):
    """One join; None where a number is not defined."""

    output_s: float
    leave_s: float  # source time at which the left side ends
    land_s: float  # source time at which the right side starts
    level_step_db: float
    level_percentile: float | None
    spectral_percentile: float | None
    beat_error_ms: float
    bar_phase_kept: bool | None
    click: float


def join_diagnostics(edit: EditList, samples: Samples, state: AudioState) -> list[JoinDiagnostics]:
    """Every join between source material of a rendered edit, in output order."""
    rate = samples.sample_rate
    merged = edit.merged()
    starts_s = [start / edit.source.sample_rate for start in merged.output_start_frames()]
    natural_s = _natural_places(merged, starts_s, state.grid)
    places = [round(t * rate) for t in natural_s] if len(natural_s) >= MIN_NATURAL else []
    natural_steps = [level_step_db(samples, at) for at in places]
    natural_distances = [spectral_distance(samples, at) for at in places]
    found = []
    for at_s, left, right in zip(starts_s[1:], merged.segments, merged.segments[1:], strict=False):
        if left.source_end_frame is None or right.source_start_frame is None:
            continue
        leave_s, land_s = (f / edit.source.sample_rate for f in (left.source_end_frame, right.source_start_frame))
        at = round(at_s * rate)
        step_db = level_step_db(samples, at)
        found.append(
            JoinDiagnostics(
                at_s,
                leave_s,
                land_s,
                step_db,
                _percentile(step_db, natural_steps),
                _percentile(spectral_distance(samples, at), natural_distances),
                _beat_error_ms(state.grid, leave_s, land_s),
                bar_phase_kept(state.grid, leave_s, land_s),
                _click(samples, at),
            )
        )
    return found


def _natural_places(edit: EditList, starts_s: list[float], grid: BeatGrid) -> list[float]:
    """Output times of beats that no join is near."""
    edges = np.array([*starts_s, edit.duration_s])
    return [float(t) for t in output_beats_s(edit, starts_s, grid) if np.abs(edges - t).min() >= CLEAR_S]


def _percentile(value: float, natural: list[float]) -> float | None:
    return 100.0 * float((np.array(natural) < value).mean()) if natural else None


def output_beats_s(edit: EditList, starts_s: list[float], grid: BeatGrid) -> Float[np.ndarray, " beats"]:
    """Where the source's beats fall in the output."""
    rate, beats = edit.source.sample_rate, []
    for at_s, segment in zip(starts_s, edit.segments, strict=True):
        if segment.source_start_frame is None or segment.source_end_frame is None:
            continue
        first_s, last_s = segment.source_start_frame / rate, segment.source_end_frame / rate
        inside = grid.times_s[(grid.times_s >= first_s) & (grid.times_s < last_s)]
        beats.append(at_s + (inside - first_s) / segment.speed)
    return np.concatenate(beats) if beats else np.zeros(0)


def level_step_db(samples: Samples, at: int) -> float:
    """How far the levels of the 0.2 s before and after a frame lie apart."""
    width = round(LEVEL_S * samples.sample_rate)
    power = [float(np.mean(np.square(side, dtype=np.float64))) for side in _sides(samples, at, width)]
    before, after = (10.0 * np.log10(max(p, POWER_FLOOR)) for p in power)
    return float(abs(after - before))


def spectral_distance(samples: Samples, at: int) -> float:
    """How far the spectra of the 0.25 s before and after a frame lie apart, in dB, root mean square over bands."""
    width = round(SPECTRUM_S * samples.sample_rate)
    before, after = (bands_db(side, samples.sample_rate) for side in _sides(samples, at, width))
    return float(np.sqrt(np.mean((after - before) ** 2)))


def bands_db(data: Float[np.ndarray, "frames channels"], rate: int) -> Float[np.ndarray, " bands"]:
    """Mean power of the channels' sum in 40 bands from 60 Hz up, under a Hann window, in dB."""
    found: np.ndarray = spans_bands_db(data.mean(axis=1, dtype=np.float64)[None], rate)[0]
    return found


def spans_bands_db(spans: Float[np.ndarray, "spans frames"], rate: int) -> Float[np.ndarray, "spans bands"]:
    """``bands_db`` of many spans of one channel at once."""
    bands = _bands(spans.shape[1], rate)
    spectra = np.abs(np.fft.rfft(spans * bands.window, axis=1))
    total = np.zeros((len(spectra), spectra.shape[1] + 1))
    np.cumsum(spectra**2 / max(spans.shape[1], 1), axis=1, out=total[:, 1:])
    mean = (total[:, bands.high] - total[:, bands.low]) / np.maximum(bands.high - bands.low, 1)
    return np.asarray(10.0 * np.log10(np.maximum(mean, POWER_FLOOR)))


class _Bands(NamedTuple):
    """The window, and of each band the first line of the spectrum and the first past it."""

    window: Float[np.ndarray, " frames"]
    low: Int[np.ndarray, " bands"]
    high: Int[np.ndarray, " bands"]


@lru_cache(maxsize=8)
def _bands(n_frames: int, rate: int) -> _Bands:
    n_lines = n_frames // 2 + 1
    edges = np.geomspace(_LOWEST_HZ, rate / 2.0, _N_BANDS + 1)
    at = np.minimum(np.searchsorted(np.fft.rfftfreq(max(n_frames, 1), 1.0 / rate)[:n_lines], edges), n_lines)
    return _Bands(np.hanning(n_frames), at[:-1], np.minimum(np.maximum(at[1:], at[:-1] + 1), n_lines))


def _beat_error_ms(grid: BeatGrid, leave_s: float, land_s: float) -> float:
    beats = np.arange(grid.n_beats + 1)
    jump = float(np.interp(land_s, grid.times_s, beats) - np.interp(leave_s, grid.times_s, beats))
    late = 0.5 - (jump + 0.5) % 1.0
    interval_s = (_interval_s(grid, leave_s) + _interval_s(grid, land_s)) / 2.0
    return 1000.0 * late * interval_s


def _interval_s(grid: BeatGrid, time_s: float) -> float:
    beat = int(np.clip(np.searchsorted(grid.times_s, time_s, "right") - 1, 0, grid.n_beats - 1))
    return float(grid.times_s[beat + 1] - grid.times_s[beat])


def bar_phase_kept(grid: BeatGrid, leave_s: float, land_s: float) -> bool | None:
    """Whether the beat of the bar comes that was due; None outside whole beats."""
    due, comes = (int(np.argmin(np.abs(grid.times_s - t))) for t in (leave_s, land_s))
    if due == 0 or comes >= grid.n_beats:
        return None
    before, after = int(grid.bar_position[due - 1]), int(grid.bar_position[comes])
    if PARTIAL in (before, after):
        return None
    return (before + 1) % grid.beats_per_bar == after


def _click(samples: Samples, at: int) -> float:
    half = round(CLICK_S * samples.sample_rate / 2)
    steps = np.diff(samples.data[max(at - half, 0) : at + half].mean(axis=1, dtype=np.float64))
    rms = float(np.sqrt(np.mean(steps**2))) if len(steps) else 0.0
    scale = (CLICK_RATE_HZ / samples.sample_rate) ** 0.5
    return scale * float(np.abs(steps).max() / rms) if rms > 0 else 0.0


def _sides(samples: Samples, at: int, width: int) -> list[Float[np.ndarray, "frames channels"]]:
    """``width`` frames before and after; silence where there is nothing."""
    sides = []
    for low, high in ((at - width, at), (at, at + width)):
        inside = samples.data[max(low, 0) : max(high, 0)]
        missing = width - len(inside)
        pad = (missing, 0) if low < 0 else (0, missing)
        sides.append(np.pad(inside, (pad, (0, 0))))
    return sides
