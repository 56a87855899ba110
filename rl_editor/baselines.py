"""What a learned policy must beat: editors without learning, and the best attainable joins at the same length.

Conventions: U units, 0-based; boundary u is where unit u starts, U the end; lengths in seconds of output. A *path* is
the list of units as they play. ``duration_s`` is the length asked for: the demonstration's own, which a policy without
a target is never told, so the baselines have the advantage.

    loudest           KEEP the loudest units up to the length, CUT the others
    random_at_ratio   KEEP units drawn at random up to the length
    retarget_dp       the path of least join cost from the start to the end of the recording with that length

A join from boundary p (where the output leaves) to boundary q (where it comes back) costs the reward's own faults of a
join (``reward.faults``), weighted as the reward weighs them; what simply goes on (p = q) costs 0:

    c(p, q) = sum_k w_k fault_k(p, q) / sum_k w_k,   k in tempo, energy, phrase, transition;  in [0, 1]

``retarget_dp`` minimises, with d the length so far,

    C[j, d + l_j] = min_i C[i, d] + c(i + 1, j)

starting with unit 0, ending with unit U-1. Sources: Rubin & Agrawala 2014 and Wenner et al. 2013 (radiotool);
jumps that land less than ``MIN_LOOP_BEATS`` beats back are forbidden as there. Not all of it can be said in actions.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int

from rl_editor.actions import CUT, KEEP
from rl_editor.config import Config
from rl_editor.edits import EditList, Segment
from rl_editor.reward.faults import FAULT_NAMES, faults_of
from rl_editor.state import AudioState, EditHistory, ReferenceStatistics
from rl_editor.state.hearing import level_db
from rl_editor.state.tables import beat_table, join_bounds

if TYPE_CHECKING:
    from rl_editor.reward import RewardCalculator

MIN_LOOP_BEATS = 8  # radiotool's shortest loop
DENSE_UNITS = 512  # above this many units only the CANDIDATES cheapest ways to each boundary are tried
CANDIDATES = 24
MAX_BINS = 8192  # of output length
_BINS_PER_UNIT = 2
_PAIRS_AT_A_TIME = 100_000  # some 50 MB of descriptors
_TINY = 1e-9

_Costs = Float32[np.ndarray, " joins"]


class JoinCosts:
    """What joins cost on one recording; pairs are worked out when asked for, never all at once.

    Attributes:
        times_s: boundaries in source seconds.
    """

    def __init__(
        self,
        state: AudioState,
        config: Config,
        *,
        unit_beats: int | None = None,
        reference: ReferenceStatistics | None = None,
    ) -> None:
        table = beat_table(state, reference)
        bounds = join_bounds(state.grid, unit_beats)
        self.times_s = state.grid.times_s[bounds]
        self._state, self._config, self._reference = state, config, reference
        self._points = table.points[bounds].astype(np.float32)
        self._level_scale_db = np.float32(table.level_scale_db)
        weights = np.array([getattr(config.reward, f"{name}_weight") for name in FAULT_NAMES], np.float32)
        self._weights = weights / max(weights.sum(), _TINY)

    @property
    def n_points(self) -> int:
        """How many boundaries there are."""
        return len(self.times_s)

    def between(self, leave: Int[np.ndarray, " joins"], arrive: Int[np.ndarray, " joins"]) -> _Costs:
        """c(leave, arrive) of each pair."""
        faults = faults_of(
            self._points[leave],
            self._points[arrive],
            moved=leave != arrive,
            level_scale_db=self._level_scale_db,
            beats_per_bar=np.float32(self._state.grid.beats_per_bar),
            phrase_bars=self._config.reward.phrase_bars,
        )
        return self._weighted(np.stack(faults[: len(FAULT_NAMES)], axis=-1))

    def into(self, arrive: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "rows points"]:
        """c(p, arrive) for every boundary p."""
        everywhere, rows = np.arange(self.n_points), max(_PAIRS_AT_A_TIME // self.n_points, 1)
        blocks = []
        for start in range(0, len(arrive), rows):
            block = arrive[start : start + rows]
            pairs = self.between(np.tile(everywhere, len(block)), np.repeat(block, self.n_points))
            blocks.append(pairs.reshape(len(block), self.n_points))
        return np.concatenate(blocks)

    def of_edit(self, edit: EditList) -> "PathCost":
        """Cost of an edit, its cuts where they are; its two ends snap to the nearest boundary."""
        spans = edit.merged().source_spans()
        last = self.n_points - 1
        if not spans:
            return PathCost(float(self.between(np.array([0]), np.array([last]))[0]), 0.0, 0)
        rate = edit.source.sample_rate
        start = self._nearest(spans[0][0] / rate)
        end = self._nearest(spans[-1][1] / rate)
        edges = self.between(np.array([0, end]), np.array([start, last]))
        inner = self._weighted(self._reward.join_costs(edit, self._state))
        return PathCost(float(inner.sum() + edges.sum()), float(inner.sum()), len(inner))

    @cached_property
    def _reward(self) -> "RewardCalculator":
        from rl_editor.reward import RewardCalculator  # and torch, for which a path of units does not wait

        return RewardCalculator(self._config, reference=self._reference)

    def _weighted(self, faults: Float[np.ndarray, "joins faults"]) -> _Costs:
        cost: np.ndarray = faults.astype(np.float32) @ self._weights
        return cost

    def _nearest(self, time_s: float) -> int:
        return int(np.argmin(np.abs(self.times_s - time_s)))


class PathCost(NamedTuple):
    """Join cost of an edit; ``total`` counts starting late and ending early as joins, ``inner`` does not."""

    total: float
    inner: float
    n_joins: int


class _Table(NamedTuple):
    """Dynamic programme over (length bin, last unit): least cost, true length and where it came from."""

    cost: Float[np.ndarray, "bins units"]
    length_s: Float[np.ndarray, "bins units"]
    from_unit: Int[np.ndarray, "bins units"]
    from_bin: Int[np.ndarray, "bins units"]


class _Ways(NamedTuple):
    """For every unit the units before it that are tried, and what each costs."""

    source: Int[np.ndarray, "units ways"]
    cost: Float[np.ndarray, "units ways"]


def loudest(state: AudioState, config: Config, *, duration_s: float) -> EditList:
    """The loudest units, as many as come nearest to the length."""
    units = state.grid.units(config.action_space.unit_beats)
    power = 10.0 ** (level_db(state.features) / 10.0) * np.diff(state.grid.times_s)
    level = np.add.reduceat(power, units.beat_bounds[:-1]) / np.diff(units.times_s)
    return _keep_first(np.argsort(-level, kind="stable"), state, config, duration_s=duration_s)


def random_at_ratio(state: AudioState, config: Config, *, duration_s: float, rng: np.random.Generator) -> EditList:
    """Units at random, as many as come nearest to the length."""
    units = state.grid.units(config.action_space.unit_beats)
    return _keep_first(rng.permutation(units.n_units), state, config, duration_s=duration_s)


def retarget_dp(
    state: AudioState, config: Config, *, duration_s: float, reference: ReferenceStatistics | None = None
) -> EditList:
    """The path of least join cost within half a unit of the length; where there is none, the nearest length.

    Joins are measured against ``reference``, finished music, where there is some, as the reward does.
    """
    path = retarget_path(state, config, duration_s=duration_s, reference=reference)
    return edit_of_path(path, state, config)


def retarget_path(
    state: AudioState, config: Config, *, duration_s: float, reference: ReferenceStatistics | None = None
) -> list[int]:
    """The units that ``retarget_dp`` plays."""
    unit_beats = config.action_space.unit_beats
    units = state.grid.units(unit_beats)
    lengths = np.diff(units.times_s)
    if units.n_units == 1:
        return [0]
    costs = JoinCosts(state, config, unit_beats=unit_beats, reference=reference)
    ways = _ways(costs, units.beat_bounds)
    bin_s = max(float(np.median(lengths)) / _BINS_PER_UNIT, duration_s / MAX_BINS)
    slack_s = _BINS_PER_UNIT * bin_s / 2.0
    table = _solve(ways, lengths, bin_s=bin_s, longest_s=duration_s + slack_s + float(lengths[-1]))
    return _trace(table, duration_s=duration_s, slack_s=slack_s)


def edit_of_path(path: Sequence[int], state: AudioState, config: Config) -> EditList:
    """The edit list that plays these units in this order."""
    unit_beats = config.action_space.unit_beats
    source = state.recording
    bounds = source.frame_bounds(state.grid.units(unit_beats).times_s)
    fade_ms = config.action_space.default_crossfade_ms
    segments = [Segment(int(bounds[u]), int(bounds[u + 1] - bounds[u])) for u in path if bounds[u + 1] > bounds[u]]
    merged = EditList(source, tuple(segments), tuple(float(t) for t in state.grid.times_s), unit_beats).merged()
    faded = tuple(
        Segment(s.source_start_frame, s.frames, crossfade_in_ms=fade_ms if i else 0.0)
        for i, s in enumerate(merged.segments)
    )
    return EditList(source, faded, merged.beat_times_s, unit_beats)


def _keep_first(order: Int[np.ndarray, " units"], state: AudioState, config: Config, *, duration_s: float) -> EditList:
    units = state.grid.units(config.action_space.unit_beats)
    total = np.concatenate([[0.0], np.cumsum(np.diff(units.times_s)[order])])
    n_kept = max(int(np.argmin(np.abs(total - duration_s))), 1)
    actions = np.full(units.n_units, CUT)
    actions[order[:n_kept]] = KEEP
    return EditHistory(state, config, [int(a) for a in actions]).edit_list()


def _ways(costs: JoinCosts, beat_bounds: Int[np.ndarray, " bounds"]) -> _Ways:
    """Ways into every unit: all of them, or the cheapest on a long recording (going on is always one, at cost 0)."""
    n_units = costs.n_points - 1
    n_ways = n_units if n_units <= DENSE_UNITS else CANDIDATES
    source, cost = np.zeros((n_units, n_ways), np.int32), np.zeros((n_units, n_ways), np.float32)
    leaves = beat_bounds[1:]  # after unit i the output leaves at boundary i + 1
    for start in range(0, n_units, DENSE_UNITS):
        arrive = np.arange(start, min(start + DENSE_UNITS, n_units))
        block = costs.into(arrive)[:, 1:]  # columns: the boundary after unit i, where it is left
        back = leaves[None, :] - beat_bounds[arrive][:, None]
        block[(back > 0) & (back < MIN_LOOP_BEATS)] = np.inf
        chosen = np.argpartition(block, n_ways - 1, axis=1)[:, :n_ways] if n_ways < n_units else None
        source[arrive] = np.sort(chosen, axis=1) if chosen is not None else np.arange(n_units)
        cost[arrive] = np.take_along_axis(block, source[arrive], axis=1)
    return _Ways(source, cost)


def _solve(ways: _Ways, lengths: Float[np.ndarray, " units"], *, bin_s: float, longest_s: float) -> _Table:
    """Forward over length bins; the true length rides along, so that rounding does not add up."""
    n_units, n_bins = len(lengths), int(np.ceil(longest_s / bin_s)) + 2
    table = _Table(
        np.full((n_bins, n_units), np.inf, np.float32),
        np.zeros((n_bins, n_units), np.float32),
        np.full((n_bins, n_units), -1, np.int32),
        np.zeros((n_bins, n_units), np.int32),
    )
    first = min(max(round(float(lengths[0]) / bin_s), 1), n_bins - 1)
    table.cost[first, 0], table.length_s[first, 0] = 0.0, lengths[0]
    unit = np.arange(n_units)
    for at in range(first, n_bins - 1):
        if not np.isfinite(table.cost[at]).any():
            continue
        reached = table.cost[at][ways.source] + ways.cost
        best = reached.argmin(axis=1)
        cost, source = reached[unit, best], ways.source[unit, best]
        length = table.length_s[at, source] + lengths.astype(np.float32)
        to = np.maximum(np.round(length / bin_s).astype(int), at + 1)
        moved = np.flatnonzero(np.isfinite(cost) & (to < n_bins))
        moved = moved[cost[moved] < table.cost[to[moved], moved] - _TINY]
        table.cost[to[moved], moved], table.length_s[to[moved], moved] = cost[moved], length[moved]
        table.from_unit[to[moved], moved], table.from_bin[to[moved], moved] = source[moved], at
    return table


def _trace(table: _Table, *, duration_s: float, slack_s: float) -> list[int]:
    ended = np.flatnonzero(np.isfinite(table.cost[:, -1]))
    if not len(ended):  # a length shorter than any path from start to end
        return [0, table.cost.shape[1] - 1]
    error = np.abs(table.length_s[ended, -1] - duration_s)
    within = error <= slack_s
    at = ended[np.argmin(np.where(within, table.cost[ended, -1], np.inf))] if within.any() else ended[error.argmin()]
    path, unit = [], table.cost.shape[1] - 1
    while unit >= 0:
        path.append(unit)
        at, unit = table.from_bin[at, unit], int(table.from_unit[at, unit])
    return path[::-1]
