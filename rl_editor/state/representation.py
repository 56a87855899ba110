"""What the agent observes: per-track tables made once, and small per-episode parts that point into them.

Conventions: T tracks padded to U units, E episodes in lockstep, C context units on each side (W = 2C + 1 rows of R
columns: F features, STRUCTURE_DIM structure columns, one flag "is a unit"), M map tokens, H history numbers, P progress
numbers. The window of unit u is rows u .. u + 2C of its track. A flat observation is window, song map, static, style,
history, progress, mask, each row by row. Features and timbre are standard scores within their own track: editors choose
by comparison within a song, and what is learned on few songs must hold on others. Nothing else is normalised.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rl_editor.actions import ActionSpace, ActionType
from rl_editor.config import Config
from rl_editor.errors import EditListError
from rl_editor.features import estimate_key, feature_dim
from rl_editor.grid import UnitGrid
from rl_editor.state.audio import AudioState
from rl_editor.state.hearing import level_db, within_track
from rl_editor.state.reward_tables import RewardTables, padded, reward_tables
from rl_editor.state.structure import STRUCTURE_DIM, STRUCTURE_NAMES, Structure, structure
from rl_editor.state.tables import ReferenceStatistics

_TIMBRE = ("onset", "centroid", "mfcc_1", "mfcc_2", "mfcc_3")
_TIMBRE_BASIC = ("onset", "centroid", "zcr")  # where there are no MFCCs
_MAP_STRUCTURE = (
    "earlier_likeness",
    "earlier_distance",
    "later_likeness",
    "later_distance",
    "strength_rank",
    "block_strength_rank",
    "section_strength_rank",
    "novelty",
    "place",
)
_N_PITCH_CLASSES, _N_KEYS, _CONTOUR_POINTS = 12, 24, 16
MAP_DIM = len(_TIMBRE) + _N_PITCH_CLASSES + len(_MAP_STRUCTURE)  # 26
_SMOOTH_BEATS = 8  # of the contour's level
_SCALAR_NAMES = ("tempo", "duration", "units", "beats_per_bar", "grid_confidence", "level_spread")
_UNITS_OCTAVES = 8.0  # 256 units are 1
STATIC_DIM = len(_SCALAR_NAMES) + _N_KEYS + _N_PITCH_CLASSES + _CONTOUR_POINTS  # 58

DECISION_NAMES = ("keep", "cut", "loop", "extend", "reorder", "n_times", "offset", "taken")
DECISION_DIM = len(DECISION_NAMES)

PROGRESS_NAMES = (
    "place",  # units decided, as a share
    "remaining",  # source not yet decided, as a share of its seconds
    "output",  # seconds of output so far over the source's
    "has_target",
    "target",  # asked seconds over the source's, 0 without a target
    "output_of_target",  # output so far over the target
    "missing_of_remaining",  # seconds still missing over seconds still to decide, -1..4
    "replayed",  # share of the output so far that is heard again
    "replay_limit",  # of the style
    "kept",  # shares of the decisions so far
    "cut",
    "looped",
    "moved",
    "since_change",  # units since playing began or stopped: log2(1 + n) / 5
    "last_plays",
    "open_loop",  # a LOOP region can go on
    "open_move",  # a moved region can go on
    "bar_phase",  # of the unit's start, as a share of the bar
    "phrase_phase",  # bar within the phrase, as a share
    "twin_known",  # there is an earlier passage; the most alike one, however alike (structure says how much)
    "twin_cut",  # and that was cut
    "twin_looped",
    "twin_moved",
)
PROGRESS_DIM = len(PROGRESS_NAMES)


@dataclass(frozen=True)
class ObservationLayout:
    """Sizes of the parts of an observation, in their order in the flat vector: every width that networks depend on."""

    window_units: int
    row_dim: int
    map_tokens: int
    map_dim: int
    static_dim: int
    n_styles: int
    history_dim: int
    progress_dim: int
    n_actions: int
    first_reorder: int  # number of the first REORDER; actions from it on differ by their target alone

    @property
    def context_units(self) -> int:
        """Units of the window on each side of the position."""
        return self.window_units // 2

    @property
    def n_features(self) -> int:
        """Columns of a row that come first; structure and the flag follow."""
        return self.row_dim - STRUCTURE_DIM - 1

    @property
    def parts(self) -> dict[str, int]:
        """Name -> numbers, in order."""
        return {
            "window": self.window_units * self.row_dim,
            "song_map": self.map_tokens * self.map_dim,
            "static": self.static_dim,
            "style": self.n_styles,
            "history": self.history_dim,
            "progress": self.progress_dim,
            "mask": self.n_actions,
        }

    @property
    def size(self) -> int:
        """Numbers in a flat observation."""
        return sum(self.parts.values())


@dataclass(frozen=True, eq=False)
class TrackBatch:
    """T tracks as tensors, padded with zeros to the longest."""

    rows: Float[Tensor, "tracks padded columns"]
    song_map: Float[Tensor, "tracks tokens map_columns"]
    static: Float[Tensor, "tracks static"]
    n_units: Int[Tensor, " tracks"]
    earlier_match: Int[Tensor, "tracks units"]  # most alike earlier unit, -1 where none
    reward: RewardTables

    @property
    def n_tracks(self) -> int:
        """How many tracks."""
        return int(self.n_units.shape[0])

    def to(self, device: torch.device | str) -> "TrackBatch":
        """The same on another device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})


class Observation(NamedTuple):
    """What E episodes observe, beside the tables of their tracks."""

    track: Int[Tensor, " episodes"]
    unit: Int[Tensor, " episodes"]  # decided next; the last one when the episode is over
    style: Float[Tensor, "episodes styles"]  # one-hot
    history: Float[Tensor, "episodes history"]
    progress: Float[Tensor, "episodes progress"]
    mask: Bool[Tensor, "episodes actions"]


class FlatParts(NamedTuple):
    """A flat observation taken apart."""

    window: Float[Tensor, "episodes window columns"]
    song_map: Float[Tensor, "episodes tokens map_columns"]
    static: Float[Tensor, "episodes static"]
    style: Float[Tensor, "episodes styles"]
    history: Float[Tensor, "episodes history"]
    progress: Float[Tensor, "episodes progress"]
    mask: Bool[Tensor, "episodes actions"]


class StateRepresentation:
    """Turns recordings into tables, and episodes into observations."""

    def __init__(self, config: Config, *, reference: ReferenceStatistics | None = None) -> None:
        self.config, self.reference = config, reference
        self.space = ActionSpace(config.action_space)
        self.layout = ObservationLayout(
            window_units=2 * config.state.context_units + 1,
            row_dim=feature_dim(config.features.feature_mode) + STRUCTURE_DIM + 1,
            map_tokens=config.state.map_tokens,
            map_dim=MAP_DIM,
            static_dim=STATIC_DIM,
            n_styles=config.state.n_styles,
            history_dim=config.state.history_units * DECISION_DIM,
            progress_dim=PROGRESS_DIM,
            n_actions=self.space.n_discrete_actions,
            first_reorder=self.space.first_reorder,
        )

    @property
    def size(self) -> int:
        """Numbers in a flat observation."""
        return self.layout.size

    def batch(self, states: Sequence[AudioState]) -> TrackBatch:
        """Tables of one or more tracks.

        Raises:
            EditListError: a track is to be edited in a style beyond ``state.n_styles``.
        """
        for state in states:
            if state.style >= self.layout.n_styles:
                raise EditListError(
                    f"{state.recording.name}: style {state.style}, numbers from 0 to {self.layout.n_styles - 1} are "
                    "known; name another editor, or raise state.n_styles and train again"
                )
        unit_beats = self.config.action_space.unit_beats
        units = [state.grid.units(unit_beats) for state in states]
        forms = [structure(s.features, s.grid, u) for s, u in zip(states, units, strict=True)]
        context, tokens = self.config.state.context_units, self.config.state.map_tokens
        rows = [_rows(s, u, form) for s, u, form in zip(states, units, forms, strict=True)]
        maps = [_song_map(s, u, form, n_tokens=tokens) for s, u, form in zip(states, units, forms, strict=True)]
        return TrackBatch(
            rows=torch.nn.functional.pad(padded(rows), (0, 0, context, context)),
            song_map=padded(maps),
            static=padded([_static(s, u.n_units) for s, u in zip(states, units, strict=True)]),
            n_units=torch.tensor([u.n_units for u in units]),
            earlier_match=padded([form.earlier + 1 for form in forms]).long() - 1,  # none where padded
            reward=reward_tables(states, unit_beats=unit_beats, reference=self.reference),
        )

    def window(
        self, batch: TrackBatch, track: Int[Tensor, " episodes"], unit: Int[Tensor, " episodes"]
    ) -> Float[Tensor, "episodes window columns"]:
        """The rows around each episode's position."""
        offsets = torch.arange(self.layout.window_units, device=unit.device)
        return batch.rows[track[:, None], unit[:, None] + offsets]

    def flatten(self, observation: Observation, batch: TrackBatch) -> Float[Tensor, "episodes size"]:
        """Observations as vectors that need no tables."""
        track = observation.track
        parts = (
            self.window(batch, track, observation.unit),
            batch.song_map[track],
            batch.static[track],
            observation.style,
            observation.history,
            observation.progress,
            observation.mask.to(batch.static.dtype),
        )
        return torch.cat([part.flatten(1) for part in parts], dim=1)

    def split(self, flat: Float[Tensor, "episodes size"]) -> FlatParts:
        """The inverse of ``flatten``."""
        layout = self.layout
        window, map_, static, style, history, progress, mask = torch.split(flat, list(layout.parts.values()), dim=1)
        return FlatParts(
            window.reshape(-1, layout.window_units, layout.row_dim),
            map_.reshape(-1, layout.map_tokens, layout.map_dim),
            static,
            style,
            history,
            progress,
            mask > 0.5,
        )


def decision_vectors(space: ActionSpace) -> Float[Tensor, "actions decision"]:
    """One row of DECISION_NAMES per action number: what a decision looks like in the history."""
    kinds = tuple(ActionType)
    table = torch.zeros(space.n_discrete_actions, DECISION_DIM)
    for number in range(space.n_discrete_actions):
        kind = space.type_of(number)
        table[number, kinds.index(kind)] = 1.0
        table[number, DECISION_NAMES.index("taken")] = 1.0
        if kind is ActionType.LOOP:
            table[number, DECISION_NAMES.index("n_times")] = number / space.max_loop_times
        if kind is ActionType.REORDER:
            offset = int(space.target_offsets[number - space.first_reorder])
            table[number, DECISION_NAMES.index("offset")] = offset / space.reorder_reach_units
    return table


def _song_map(
    state: AudioState, units: UnitGrid, form: Structure, *, n_tokens: int
) -> Float[np.ndarray, "tokens map_columns"]:
    """The whole track in ``n_tokens`` equal stretches of beats (at least one each): timbre, harmony, structure."""
    n = state.grid.n_beats
    edges = np.arange(n_tokens + 1) * n / n_tokens
    low = np.minimum(edges[:-1].astype(int), n - 1)
    high = np.maximum(np.ceil(edges[1:] - 1e-9).astype(int), low + 1)
    total = np.vstack([np.zeros(state.features.values.shape[1]), np.cumsum(state.features.values, 0, np.float64)])
    means = within_track((total[high] - total[low]) / (high - low)[:, None])
    unit = np.searchsorted(units.beat_bounds, (low + high - 1) // 2, "right") - 1
    chosen = [STRUCTURE_NAMES.index(name) for name in _MAP_STRUCTURE]
    timbre, chroma = _map_columns(state.features.names)
    out = np.zeros((n_tokens, MAP_DIM))
    out[:, : len(timbre)] = means[:, timbre]
    out[:, len(_TIMBRE) : len(_TIMBRE) + len(chroma)] = means[:, chroma]
    out[:, len(_TIMBRE) + _N_PITCH_CLASSES :] = form.columns[unit][:, chosen]
    return out


class _MapColumns(NamedTuple):
    timbre: list[int]
    chroma: list[int]


def _map_columns(names: Sequence[str]) -> _MapColumns:
    timbre = _TIMBRE if _TIMBRE[-1] in names else _TIMBRE_BASIC
    chroma = [i for i, name in enumerate(names) if name.startswith("chroma_")]
    return _MapColumns([names.index(name) for name in timbre], chroma)


def _rows(state: AudioState, units: UnitGrid, form: Structure) -> Float[np.ndarray, "units columns"]:
    means = within_track(units.means(state.features.values))
    return np.concatenate([means, form.columns, np.ones((len(means), 1))], axis=1)


def n_units_of(static: Float[Tensor, "tracks static"]) -> Int[Tensor, " tracks"]:
    """How many units each track has, read out of its static features."""
    return torch.exp2(static[:, _SCALAR_NAMES.index("units")] * _UNITS_OCTAVES).round().long()


def _static(state: AudioState, n_units: int) -> Float[np.ndarray, " static"]:
    """Tempo, length, key and the contour of level, on scales near one."""
    grid, level = state.grid, level_db(state.features)
    scalars = [
        grid.tempo_bpm / 120.0,
        np.log2(grid.duration_s / 180.0),
        np.log2(n_units) / _UNITS_OCTAVES,
        grid.beats_per_bar / 4.0,
        grid.confidence,
        level.std() / 10.0,
    ]
    chroma = state.features.columns("chroma_")
    key, profile = np.zeros(_N_KEYS), np.zeros(_N_PITCH_CLASSES)
    if chroma.shape[1]:
        key[estimate_key(state.features)] = 1.0
        profile = chroma.mean(axis=0)
    places = (np.arange(_CONTOUR_POINTS) + 0.5) / _CONTOUR_POINTS * grid.duration_s
    middles = (grid.times_s[1:] + grid.times_s[:-1]) / 2.0
    contour = (np.interp(places, middles, _smoothed(level)) - level.max()) / 20.0
    return np.concatenate([scalars, key, profile, contour])


def _smoothed(level: Float[np.ndarray, " beats"]) -> Float[np.ndarray, " beats"]:
    """Running mean over ``_SMOOTH_BEATS``, fewer at the ends."""
    n = len(level)
    total, at = np.concatenate([[0.0], np.cumsum(level)]), np.arange(n)
    low, high = np.maximum(at - _SMOOTH_BEATS // 2, 0), np.minimum(at + _SMOOTH_BEATS // 2, n - 1) + 1
    return np.asarray((total[high] - total[low]) / (high - low))
