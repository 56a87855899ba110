"""An editor's way of editing in numbers, read off pairs: what plays, how long, what loops, how joins are set.

Conventions: shares are in [0, 1] and over bars (decision units) of all songs of a style, every song counting alike;
NaN where there is nothing to count (an editor who never loops has no length of loops). Quarters and fifths go from
weak to strong and from the start to the end. Whether something plays, loops or moves is read off the labels
(``labels.encode``), where joins lie off the edit list itself. ``words`` says it, ``picture`` draws it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby, pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from rl_editor.actions import UNIT_KINDS, ActionSpace, ActionType, ReorderAction, unit_kinds
from rl_editor.audition.joins import bar_phase_kept
from rl_editor.baselines import JoinCosts
from rl_editor.config import Config
from rl_editor.demonstrations import Demonstration
from rl_editor.errors import DatasetError
from rl_editor.state import STRUCTURE_NAMES, AudioState
from rl_editor.state.structure import LIKE, structure
from rl_editor.usual_fades import fades_of

Numbers = Sequence[int] | Sequence[float]

QUARTERS, FIFTHS = 4, 5
ON_THE_BEAT_MS = 30.0  # nearer to a downbeat counts as on it
_RANDOM_JOINS = 200  # per song, that joins are compared with


@dataclass(frozen=True)
class StyleProfile:
    """One editor.

    Attributes:
        style: its name.
        n_songs: how many edits were read.
        length_ratio: edit over recording, per song.
        actions: share of bars that are kept, cut, looped and moved.
        plays_by_strength: share that plays of the weakest to the strongest quarter of sections.
        plays_by_place: share that plays of the first to the last fifth of the song.
        plays_first: share that plays of what is heard for the first time.
        plays_again: share that plays of what was heard before.
        kept_bars: lengths of all stretches that play on at their place.
        cut_bars: lengths of all stretches left out.
        loop_bars: lengths of all looped blocks.
        loop_times: how often each plays.
        loop_strength: strength rank of each in its song, 1 the strongest.
        move_bars: lengths of all moved blocks.
        move_distance: bars that each moves, negative towards the start.
        joins_per_minute: of output, per song.
        join_off_ms: distance of each landing to the nearest downbeat.
        phase_kept: share of joins after which the beat of the bar comes that was due.
        join_cost: mean cost of its joins over that of random joins in the same songs: 0 seamless, 1 careless.
        fade_in_s: of each edit that begins within its recording, how long it fades in; 0 where it does not.
        fade_out_s: the same of each that ends within it.
        crossfade_s: how long each join crossfades; 0 where no longer than keeps it from clicking.
    """

    style: str
    n_songs: int
    length_ratio: tuple[float, ...]
    actions: Mapping[str, float]
    plays_by_strength: tuple[float, ...]
    plays_by_place: tuple[float, ...]
    plays_first: float
    plays_again: float
    kept_bars: tuple[int, ...]
    cut_bars: tuple[int, ...]
    loop_bars: tuple[int, ...]
    loop_times: tuple[int, ...]
    loop_strength: tuple[float, ...]
    move_bars: tuple[int, ...]
    move_distance: tuple[int, ...]
    joins_per_minute: tuple[float, ...]
    join_off_ms: tuple[float, ...]
    phase_kept: float
    join_cost: float
    fade_in_s: tuple[float, ...]
    fade_out_s: tuple[float, ...]
    crossfade_s: tuple[float, ...]


def profiles(demonstrations: Iterable[Demonstration], config: Config) -> list[StyleProfile]:
    """One profile per style, in the order of their names.

    Raises:
        DatasetError: there are no demonstrations.
    """
    ordered = sorted(demonstrations, key=lambda d: (d.style, d.pair_id))
    if not ordered:
        raise DatasetError("no pairs to read a way of editing from; add pairs, or see why they were left out")
    return [_profile(style, list(group), config) for style, group in groupby(ordered, key=lambda d: d.style)]


class _Read:
    """One demonstration, read."""

    def __init__(self, demonstration: Demonstration, config: Config) -> None:
        self.d, self.config, self.space = demonstration, config, ActionSpace(config.action_space)
        self.units = demonstration.grid.units(config.action_space.unit_beats)
        self.kinds = unit_kinds(demonstration.labels.actions, self.space)
        columns = structure(demonstration.features, demonstration.grid, self.units).columns
        self._columns = dict(zip(STRUCTURE_NAMES, columns.T, strict=True))
        self.plays = np.array([kind is not ActionType.CUT for kind in self.kinds])

    def column(self, name: str) -> Float[np.ndarray, " units"]:
        """A structure column."""
        return np.asarray(self._columns[name])

    def plays_where(self, part: Bool[np.ndarray, " units"]) -> float:
        """Share of these units that plays; NaN where there are none."""
        return float(self.plays[part].mean()) if part.any() else np.nan

    def by_part(self, name: str, n_parts: int) -> list[float]:
        """Share that plays of each part of a column in [0, 1)."""
        part = (self.column(name) * n_parts).astype(int)
        return [self.plays_where(part == k) for k in range(n_parts)]

    def again(self) -> Bool[np.ndarray, " units"]:
        """What was heard before."""
        return self.column("earlier_likeness") >= LIKE

    def stretches(self, kind: ActionType) -> list[int]:
        """Lengths of unbroken stretches of one kind."""
        return [len(list(group)) for value, group in groupby(self.kinds) if value is kind]

    def regions(self, kind: ActionType) -> list[tuple[int, int]]:
        """First unit and length of every region that such a decision opens."""
        actions = self.d.labels.actions
        opens = [u for u, number in enumerate(actions) if self.space.type_of(int(number)) is kind]
        return [(unit, 1 + _extended(actions, unit, self.space)) for unit in opens]

    def joins(self) -> "_Joins":
        """Where joins lie, and what they cost."""
        edit, grid = self.d.edit.merged(), self.d.grid
        rate = edit.source.sample_rate
        pairs = [
            (left.source_end_frame / rate, right.source_start_frame / rate)
            for left, right in pairwise(edit.segments)
            if left.source_end_frame is not None and right.source_start_frame is not None
        ]
        downbeats = grid.times_s[:-1][grid.bar_position == 0]
        lands = np.array([land for _, land in pairs])
        off_ms = np.abs(lands[:, None] - downbeats).min(axis=1) * 1000.0 if len(downbeats) else np.zeros(0)
        kept = [bar_phase_kept(grid, leave, land) for leave, land in pairs]
        state = AudioState(grid, self.d.features, self.d.source)
        costs = JoinCosts(state, self.config)
        drawn = np.random.default_rng(0).integers(0, costs.n_points, (2, _RANDOM_JOINS))
        found = costs.of_edit(self.d.edit)
        scale = found.n_joins * float(costs.between(*drawn).mean())  # 0: no joins, or all seamless
        cost = found.inner / scale if scale > 0.0 else np.nan
        return _Joins(len(pairs), off_ms, [k for k in kept if k is not None], cost)


@dataclass(frozen=True, eq=False)
class _Joins:
    n: int
    off_ms: Float[np.ndarray, " joins"]
    phase_kept: Sequence[bool]
    cost: float


def _profile(style: str, demonstrations: Sequence[Demonstration], config: Config) -> StyleProfile:
    read = [_Read(d, config) for d in demonstrations]
    loops = [(song, *region) for song in read for region in song.regions(ActionType.LOOP)]
    moves = [(song, *region) for song in read for region in song.regions(ActionType.REORDER)]
    joins = [song.joins() for song in read]
    fades = [fades_of(d.edit) for d in demonstrations]
    return StyleProfile(
        style=style,
        n_songs=len(read),
        length_ratio=tuple(song.d.edit.duration_s / song.d.grid.duration_s for song in read),
        actions={kind.value: _mean([song.kinds.count(kind) / len(song.kinds) for song in read]) for kind in UNIT_KINDS},
        plays_by_strength=_means([song.by_part("section_strength_rank", QUARTERS) for song in read]),
        plays_by_place=_means([song.by_part("place", FIFTHS) for song in read]),
        plays_first=_mean([song.plays_where(~song.again()) for song in read]),
        plays_again=_mean([song.plays_where(song.again()) for song in read]),
        kept_bars=tuple(n for song in read for n in song.stretches(ActionType.KEEP)),
        cut_bars=tuple(n for song in read for n in song.stretches(ActionType.CUT)),
        loop_bars=tuple(n for _, _, n in loops),
        loop_times=tuple(int(song.d.labels.actions[unit]) for song, unit, _ in loops),
        loop_strength=tuple(float(song.column("strength_rank")[unit : unit + n].mean()) for song, unit, n in loops),
        move_bars=tuple(n for _, _, n in moves),
        move_distance=tuple(_distance(song, unit) for song, unit, _ in moves),
        joins_per_minute=tuple(
            60.0 * found.n / max(song.d.edit.duration_s, 1.0) for found, song in zip(joins, read, strict=True)
        ),
        join_off_ms=tuple(float(ms) for found in joins for ms in found.off_ms),
        phase_kept=_mean([float(kept) for found in joins for kept in found.phase_kept]),
        join_cost=_mean([found.cost for found in joins]),
        fade_in_s=tuple(length_s for fade in fades for length_s in fade.in_s),
        fade_out_s=tuple(length_s for fade in fades for length_s in fade.out_s),
        crossfade_s=tuple(length_s for fade in fades for length_s in fade.joins_s),
    )


def rows(profile: StyleProfile) -> list[dict[str, str | float]]:
    """The profile as a table: style, measure, value, and over how much it was taken."""
    out: list[dict[str, str | float]] = []
    for field in fields(profile):
        value = getattr(profile, field.name)
        if field.name in ("style", "n_songs"):
            continue
        match value:
            case float():
                out.append(_row(profile, field.name, value, profile.n_songs))
            case Mapping():
                out += [_row(profile, f"{field.name}_{key.lower()}", v, profile.n_songs) for key, v in value.items()]
            case tuple() if field.name.startswith("plays_by"):
                out += [_row(profile, f"{field.name}_{k + 1}", v, profile.n_songs) for k, v in enumerate(value)]
            case _:
                out.append(_row(profile, f"{field.name}_median", _median(value), len(value)))
    return out


def _row(profile: StyleProfile, measure: str, value: float, n: int) -> dict[str, str | float]:
    return {"style": profile.style, "measure": measure, "value": round(float(value), 4), "n": n}


def _extended(actions: Int[np.ndarray, " units"], unit: int, space: ActionSpace) -> int:
    """How many units go on with the region that this one opens."""
    n = 0
    while unit + 1 + n < len(actions) and actions[unit + 1 + n] == space.extend:
        n += 1
    return n


def _distance(song: _Read, unit: int) -> int:
    action = song.space.describe(int(song.d.labels.actions[unit]), unit)
    assert isinstance(action, ReorderAction)
    return action.target_position - unit


def _means(per_song: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(_mean(column) for column in zip(*per_song, strict=True))


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else np.nan


def _median(values: Numbers) -> float:
    return float(np.median(values)) if len(values) else np.nan
