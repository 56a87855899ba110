"""What the reward knows of a track: one row per boundary, from which the cost of every join is a pair of gathers.

Conventions: N beats, N + 1 boundaries; boundary p is where beat p starts and beat p - 1 ends. A join leaves the source
at one boundary and comes back at another; what *would have* played is what starts at the boundary it leaves. Positions
are sample frames of the source (``SourceInfo.frame_bounds``). Never an N x N table: memory is O(N * columns).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from rl_editor.demonstrations import Analysis
from rl_editor.grid import PARTIAL, BeatGrid
from rl_editor.state.audio import AudioState
from rl_editor.state.hearing import Sides, heard, level_db, means_beside, novelty, rank

AHEAD_WEIGHTS = (1.0, 0.5, 0.25, 0.125)  # of the beats from a boundary on, in what is heard to start there
LEVEL_BEATS = 2  # averaged on each side of a boundary: kick and snare alternate
INTERVAL_BEATS = 4  # over which the local beat interval is averaged
NATURAL_QUANTILE = 0.9  # a step that the song itself makes at one beat in ten
NOVELTY_BEATS = 16  # compared on each side of a boundary
STRENGTH_REACH_BEATS = 1  # a section may start this far from the peak of novelty
_MIN_DISTANCE = 0.05  # of z-scored descriptors: a song that never changes
_MIN_LEVEL_STEP_DB = 1.0  # about the smallest step that is heard in music

# Columns of ``points``; the descriptors follow.
LEVEL_BEFORE, LEVEL_AFTER, LOG2_INTERVAL, BAR_PHASE, BAR, STRENGTH = range(6)
N_POINT_SCALARS = 6


@dataclass(frozen=True)
class ReferenceStatistics:
    """How finished music continues: what the reward measures against instead of each song's own statistics.

    Attributes:
        continuation_distance: distance of descriptors (z-scored, root mean square) at one beat in ten.
        level_step_db: step of level at one beat in ten.
        shortest_s: 5th percentile of durations.
        longest_s: 95th percentile of durations.
    """

    continuation_distance: float
    level_step_db: float
    shortest_s: float
    longest_s: float

    @classmethod
    def from_tracks(cls, tracks: Sequence[AudioState]) -> "ReferenceStatistics":
        """Statistics pooled over finished tracks, of which one or more go on after their first beat."""
        assert any(t.grid.n_beats > 1 for t in tracks), "a reference track of at least two beats is needed"
        distance = np.concatenate([_natural_distances(_ahead(heard(t.features))) for t in tracks])
        steps = np.concatenate([_natural_level_steps(t) for t in tracks])
        durations = np.array([t.grid.duration_s for t in tracks])
        return cls(
            max(float(np.quantile(distance, NATURAL_QUANTILE)), _MIN_DISTANCE),
            max(float(np.quantile(steps, NATURAL_QUANTILE)), _MIN_LEVEL_STEP_DB),
            float(np.quantile(durations, 0.05)),
            float(np.quantile(durations, 0.95)),
        )

    @classmethod
    def of_analyses(cls, analyses: Iterable[Analysis]) -> "ReferenceStatistics | None":
        """Statistics of analysed recordings; None where none has two beats, so that nothing continues."""
        tracks = [AudioState(a.grid, a.features, a.source) for a in analyses]
        return cls.from_tracks(tracks) if any(t.grid.n_beats > 1 for t in tracks) else None


class BeatTable(NamedTuple):
    """One track at beat resolution, N beats."""

    points: Float[np.ndarray, "bounds columns"]  # N + 1 rows
    frames: Int[np.ndarray, " bounds"]  # position of every boundary in the source
    energy_rank: Float[np.ndarray, " beats"]
    level_scale_db: float
    sample_rate: int


def join_bounds(grid: BeatGrid, unit_beats: int | None) -> Int[np.ndarray, " bounds"]:
    """The boundaries that joins may lie at: those of decision units, or every one where ``unit_beats`` is None."""
    return np.arange(grid.n_beats + 1) if unit_beats is None else grid.units(unit_beats).beat_bounds


def beat_table(state: AudioState, reference: ReferenceStatistics | None = None) -> BeatTable:
    """Tables of one track at every beat."""
    grid, columns, level = state.grid, heard(state.features), level_db(state.features)
    ahead = _ahead(columns)
    natural = reference.continuation_distance if reference else _natural(_natural_distances(ahead), _MIN_DISTANCE)
    step_db = reference.level_step_db if reference else _natural(_natural_level_steps(state), _MIN_LEVEL_STEP_DB)
    before, after = _levels(level)
    phase, bar = _metre(grid)
    strength = _dilated(novelty(columns, span=NOVELTY_BEATS), STRENGTH_REACH_BEATS)
    scalars = np.column_stack([before, after, _log2_interval(grid), phase, bar, strength])
    descriptors = ahead / (natural * np.sqrt(ahead.shape[1]))
    points = np.concatenate([scalars, descriptors], axis=1)
    frames = state.recording.frame_bounds(grid.times_s)
    return BeatTable(points, frames, rank(level), step_db, state.recording.sample_rate)


def _ahead(columns: Float[np.ndarray, "beats columns"]) -> Float[np.ndarray, "bounds columns"]:
    """What is heard to start at each boundary: the next beats, the nearest heaviest; the end repeats the last."""
    n = len(columns)
    total = np.zeros((n + 1, columns.shape[1]))
    weight = np.zeros((n + 1, 1))
    for offset, share in enumerate(AHEAD_WEIGHTS[:n]):
        total[: n - offset] += share * columns[offset:]
        weight[: n - offset] += share
    total[n], weight[n] = total[n - 1], weight[n - 1]
    return total / weight


def _natural_distances(ahead: Float[np.ndarray, "bounds columns"]) -> Float[np.ndarray, " steps"]:
    """Root mean square difference between what starts at neighbouring beats."""
    steps = np.diff(ahead[:-1], axis=0)
    return np.asarray(np.sqrt((steps**2).mean(axis=1)))


def _natural_level_steps(state: AudioState) -> Float[np.ndarray, " steps"]:
    before, after = _levels(level_db(state.features))
    return np.asarray(np.abs(after - before)[1:-1, 0])


def _natural(values: Float[np.ndarray, " steps"], floor: float) -> float:
    return max(float(np.quantile(values, NATURAL_QUANTILE)), floor) if len(values) else floor


def _levels(level: Float[np.ndarray, " beats"]) -> Sides:
    """Mean level of the last and next beats at each boundary, a column; at the ends, of what there is."""
    before, after = means_beside(level[:, None], span=LEVEL_BEATS)
    before[0], after[-1] = after[0], before[-1]
    return Sides(before, after)


def _log2_interval(grid: BeatGrid) -> Float[np.ndarray, " bounds"]:
    """log2 seconds of the beats that start at each boundary, averaged; what is no whole beat borrows a neighbour's."""
    whole = np.flatnonzero(grid.bar_position != PARTIAL)
    at = np.arange(grid.n_beats)
    source = at if not len(whole) else whole[np.clip(np.searchsorted(whole, at), 0, len(whole) - 1)]
    interval = np.diff(grid.times_s)[source]
    total = np.concatenate([[0.0], np.cumsum(interval)])
    high = np.minimum(at + INTERVAL_BEATS, grid.n_beats)
    local = np.log2((total[high] - total[at]) / (high - at))
    return np.append(local, local[-1])


class _Metre(NamedTuple):
    phase: Float[np.ndarray, " bounds"]  # beat of the bar that is due, 0 the downbeat
    bar: Float[np.ndarray, " bounds"]  # counts downbeats, 0 at the first whole one; what comes before counts back


def _metre(grid: BeatGrid) -> _Metre:
    """Bar phase and bar number of every boundary, counted on through lead-in and tail."""
    at, whole = np.arange(grid.n_beats + 1), np.flatnonzero(grid.bar_position != PARTIAL)
    if not len(whole):
        return _Metre((at % grid.beats_per_bar).astype(float), (at // grid.beats_per_bar).astype(float))
    anchor = whole[np.clip(np.searchsorted(whole, at, "right") - 1, 0, len(whole) - 1)]
    phase = (grid.bar_position[anchor] + at - anchor) % grid.beats_per_bar
    bar, downbeats = np.cumsum(phase == 0), whole[phase[whole] == 0]
    first = downbeats[0] if len(downbeats) else whole[0]
    return _Metre(phase.astype(float), (bar - bar[first]).astype(float))


def _dilated(curve: Float[np.ndarray, " bounds"], reach: int) -> Float[np.ndarray, " bounds"]:
    """Largest value within ``reach`` boundaries."""
    around = np.pad(curve, reach)
    windows = np.lib.stride_tricks.sliding_window_view(around, 2 * reach + 1)
    return np.asarray(windows.max(axis=1))
