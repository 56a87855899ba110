"""Between edit lists and action sequences: ``decode`` plays actions, ``encode`` reads them out of an edit.

Conventions: U units over a beat grid, 0-based; ``encode`` snaps every segment to the nearest unit boundaries, folds
block repeats into LOOP, lets the heaviest increasing sequence of runs stay and moves the others (REORDER). What
actions cannot say (a region used twice in separate places, a join in mid-unit, foreign material) is left out, and
``coverage`` says how much of the edit's duration the actions do explain. On edits made by ``decode`` the two are
inverse, the same runs play again, except where very many moves leave one another no room.
"""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from rl_editor.actions import (
    CUT,
    KEEP,
    ActionLedger,
    ActionSpace,
    ActionType,
    ReorderAction,
    output_runs,
    output_units,
    replay,
)
from rl_editor.edits import EditList, Region, Segment, SourceInfo
from rl_editor.errors import EditListError
from rl_editor.grid import BeatGrid, UnitGrid
from rl_editor.intervals import overlaps

_LEAST_CLEAR = 0.4  # share of a unit that does what its label says: half where labels are the nearest, but for rounding


@dataclass(frozen=True, eq=False)
class EditLabels:
    """What an edit did with each unit.

    Attributes:
        actions: number of the decision per unit, a legal sequence.
        confidence: how sure each label is, in [0, 1].
        coverage: share of the edit's duration that the actions explain, in [0, 1].
    """

    actions: Int[np.ndarray, " units"]
    confidence: Float[np.ndarray, " units"]
    coverage: float


class _Piece(NamedTuple):
    """Units ``start`` to ``end`` that play in a row, once."""

    start: int
    end: int


def decode(
    actions: Sequence[int] | Int[np.ndarray, " units"],
    units: UnitGrid,
    space: ActionSpace,
    *,
    source: SourceInfo,
    crossfade_ms: float,
    beat_times_s: Sequence[float] = (),
    unit_beats: int = 1,
) -> EditList:
    """The edit list that ``actions`` mean on a recording.

    Raises:
        EditListError: not one action per unit, or an illegal one.
    """
    if len(actions) != units.n_units:
        raise EditListError(f"{len(actions)} actions for {units.n_units} units; one per unit is needed")
    numbers = replay([int(a) for a in actions], units.n_units, space).actions
    bounds = source.frame_bounds(units.times_s)
    regions = _regions_in_beats(numbers, units, space)
    named = {region.beat_index: i for i, region in enumerate(regions)}
    segments: list[Segment] = []
    for run in output_runs(numbers, space):
        start, end = int(bounds[run.start]), int(bounds[run.end])
        region = named.get(int(units.beat_bounds[run.start])) if run.n_times > 1 or run.place % 1 else None
        for _ in range(run.n_times if end > start else 0):
            seamless = not segments or segments[-1].source_end_frame == start
            fade = 0.0 if seamless else crossfade_ms
            segments.append(Segment(start, end - start, crossfade_in_ms=fade, region=region))
    return EditList(
        source,
        tuple(segments),
        tuple(float(t) for t in beat_times_s),
        unit_beats,
        tuple(regions),
        tuple(space.name(a) for a in numbers),
    )


def encode(edit: EditList, grid: BeatGrid, space: ActionSpace, *, unit_beats: int) -> EditLabels:
    """The action sequence nearest to an edit list, with its coverage."""
    units = grid.units(unit_beats)
    pieces, weights = _snap(edit, units)
    path = [unit for piece in pieces for unit in range(piece.start, piece.end)]
    loops, single = _fold_loops(path, space.max_loop_times)
    pieces = _claim(_split(single))
    first, most = ({block: choose(times) for block, times in loops.items()} for choose in (itemgetter(0), max))
    ways = _ways(pieces, first, units.n_units, space)
    if most != first:  # which of its places a block keeps shows in what they explain
        ways += _ways(pieces, most, units.n_units, space)
    explained, actions = max(
        ((_explained_s(path, weights, output_units(way, space)), way) for way in ways), key=lambda way: way[0]
    )
    coverage = min(explained / edit.duration_s, 1.0) if edit.segments else 1.0
    return EditLabels(np.array(actions), _confidence(edit, units, actions), coverage)


def _regions_in_beats(actions: Sequence[int], units: UnitGrid, space: ActionSpace) -> list[Region]:
    regions: list[Region] = []
    beat = [int(b) for b in units.beat_bounds]
    for unit, index in enumerate(actions):
        kind = space.type_of(index)
        if kind is ActionType.LOOP:
            regions.append(Region("LOOP", beat[unit], beat[unit + 1] - beat[unit], n_times=index))
        elif kind is ActionType.REORDER:
            action = space.describe(index, unit)
            assert isinstance(action, ReorderAction)
            target = beat[action.target_position]
            regions.append(Region("REORDER", beat[unit], beat[unit + 1] - beat[unit], target_position=target))
        elif kind is ActionType.EXTEND:
            regions[-1] = replace(regions[-1], n_beats=beat[unit + 1] - regions[-1].beat_index)
    return regions


def _snap(edit: EditList, units: UnitGrid) -> tuple[list[_Piece], list[float]]:
    """Segments as whole units, and the seconds of the edit that each unit of the path stands for."""
    rate, bounds = edit.source.sample_rate, units.times_s
    pieces: list[_Piece] = []
    weights: list[float] = []
    for segment in edit.merged().segments:
        if segment.source_start_frame is None or segment.source_end_frame is None:
            continue
        start_s, end_s = segment.source_start_frame / rate, segment.source_end_frame / rate
        first, last = _nearest(bounds, start_s), _nearest(bounds, end_s)
        if last <= first:
            continue
        pieces.append(_Piece(first, last))
        inside_s = overlaps(bounds[first : last + 1], (start_s, end_s))
        weights += [float(length_s) / segment.speed for length_s in inside_s]
    return pieces, weights


def _nearest(bounds: Float[np.ndarray, " bounds"], time_s: float) -> int:
    return int(np.argmin(np.abs(bounds - time_s)))


def _fold_loops(path: list[int], max_times: int) -> tuple[dict[_Piece, list[int]], list[int]]:
    """Fold blocks that play several times in a row into one visit; returns how often each plays, place by place."""
    loops: dict[_Piece, list[int]] = {}
    looped: set[int] = set()
    at = 1
    path = list(path)
    while at < len(path):
        block = _Piece(path[at], path[at - 1] + 1)
        length = block.end - block.start
        if length <= 0 or path[max(at - length, 0) : at] != list(range(*block)):
            at += 1
            continue
        times = 1
        while path[at + (times - 1) * length : at + times * length] == list(range(*block)):
            times += 1
        if times == 1:
            at += 1
            continue
        if block in loops or not looped & set(range(*block)):
            loops.setdefault(block, []).append(min(times, max_times))
            looped |= set(range(*block))
        del path[at : at + (times - 1) * length]
    return loops, path


def _split(path: Sequence[int]) -> list[_Piece]:
    pieces: list[_Piece] = []
    for unit in path:
        if pieces and pieces[-1].end == unit:
            pieces[-1] = _Piece(pieces[-1].start, unit + 1)
        else:
            pieces.append(_Piece(unit, unit + 1))
    return pieces


def _claim(pieces: list[_Piece]) -> list[_Piece]:
    """Give every unit to one piece, the longest that plays it; output order is kept."""
    owner: dict[int, int] = {}
    for index in sorted(range(len(pieces)), key=lambda i: pieces[i].start - pieces[i].end):
        for unit in range(*pieces[index]):
            owner.setdefault(unit, index)
    kept = [_split([unit for unit in range(*piece) if owner[unit] == i]) for i, piece in enumerate(pieces)]
    return [part for parts in kept for part in parts]


def _ways(pieces: list[_Piece], loops: dict[_Piece, int], n_units: int, space: ActionSpace) -> list[list[int]]:
    """Actions that play the pieces, the likeliest first; each lets other pieces stay.

    What the heaviest pieces leave may have no room: units 0, 3, 2, 1, 4 can be said with 2 in its place alone, as two
    moves to one place play in source order. Where a piece is lost either way, each in turn is held in its place.
    """
    looped = {unit for block in loops for unit in range(*block)}
    fixed = {index for index, piece in enumerate(pieces) if looped & set(range(*piece))}
    ways = [_assign(pieces, stays, loops, n_units, space) for stays in _staying(pieces, [fixed])]
    if all(any(CUT in way[piece.start : piece.end] for piece in pieces) for way in ways):
        others = _staying(pieces, [fixed | {index} for index in range(len(pieces))])
        ways += [_assign(pieces, stays, loops, n_units, space) for stays in others]
    return ways


def _assign(
    pieces: list[_Piece], stays: Set[int], loops: dict[_Piece, int], n_units: int, space: ActionSpace
) -> list[int]:
    wanted = [CUT] * n_units
    for index, piece in enumerate(pieces):
        if index in stays:
            wanted[piece.start : piece.end] = [KEEP] * (piece.end - piece.start)
    for block, times in loops.items():
        if all(wanted[unit] == KEEP for unit in range(*block)):
            wanted[block.start : block.end] = [times] + [space.extend] * (block.end - block.start - 1)
    for piece, target in _targets(pieces, stays, n_units, space.reorder_reach_units):
        number = space.encode(ReorderAction(piece.start, target))
        wanted[piece.start : piece.end] = [number] + [space.extend] * (piece.end - piece.start - 1)
    return _legalised(wanted, n_units, space)


def _staying(pieces: list[_Piece], fixed: Sequence[Set[int]]) -> list[Set[int]]:
    """The heaviest sets of pieces whose source order is their output order, each once; what is ``fixed`` weighs most.

    Weighed by length the least material moves, weighed alike the fewest pieces do; either may be what is playable.
    """
    lengths = [piece.end - piece.start for piece in pieces]
    most = 1 + sum(lengths)
    weighings = [
        [weight + most * (index in firm) for index, weight in enumerate(each)]
        for each in (lengths, [1] * len(pieces))
        for firm in fixed
    ]
    chains = [heaviest_chain(weights, lambda j, i: pieces[j].end <= pieces[i].start) for weights in weighings]
    return list(dict.fromkeys(frozenset(chain) for chain in chains))


def heaviest_chain(weights: Sequence[int], follows: Callable[[int, int], bool]) -> set[int]:
    """Indices of the heaviest rising chain; ``follows(j, i)`` says whether i may come next after an earlier j."""
    best: list[int] = []
    back: list[int] = []
    for i, weight in enumerate(weights):
        before = max((j for j in range(i) if follows(j, i)), key=lambda j: best[j], default=-1)
        back.append(before)
        best.append(weight + (best[before] if before >= 0 else 0))
    chain: set[int] = set()
    at = max(range(len(weights)), key=lambda i: best[i], default=-1)
    while at >= 0:
        chain.add(at)
        at = back[at]
    return chain


def _targets(pieces: list[_Piece], stays: Set[int], n_units: int, reach: int) -> list[tuple[_Piece, int]]:
    """The first place each moved piece may go between the neighbours that stay; pieces without one are left out."""
    moved = [piece for index, piece in enumerate(pieces) if index not in stays]
    inside = {unit for piece in moved for unit in range(piece.start + 1, piece.end)}
    moves: list[tuple[_Piece, int]] = []
    at, last = 0, -1
    for index, piece in enumerate(pieces):
        if index in stays:
            at, last = piece.end, -1
            continue
        low = max(at + (last > piece.start), piece.start - reach)  # at one place the order is that of the source
        high = min((pieces[i].start for i in stays if i > index), default=n_units)
        places = (p for p in range(low, high + 1) if p not in inside and not piece.start <= p <= piece.end)
        if (place := next(places, None)) is not None and place - piece.start <= reach:
            moves.append((piece, place))
            at, last = place, piece.start
    return moves


def _legalised(wanted: list[int], n_units: int, space: ActionSpace) -> list[int]:
    ledger = ActionLedger(n_units, space)
    for number in wanted:
        ledger.push(number if ledger.mask()[number] else CUT)
    return ledger.actions


def _explained_s(path: list[int], weights: list[float], played: list[int]) -> float:
    """Weight of the heaviest common subsequence of what an edit plays and what actions play."""
    heaviest, actions = np.zeros(len(played) + 1), np.array(played, dtype=int)
    for unit, weight in zip(path, weights, strict=True):
        heaviest[1:] = np.maximum(heaviest[1:], heaviest[:-1] + weight * (actions == unit))
        np.maximum.accumulate(heaviest, out=heaviest)
    return float(heaviest[-1])


def _confidence(edit: EditList, units: UnitGrid, actions: Sequence[int]) -> Float[np.ndarray, " units"]:
    """Of a playing unit: its segments' confidence times how clearly it is in or out; of a cut one: the edit's mean.

    A label that says otherwise than the edit, as of a passage that moves farther than can be said, has none.
    """
    rate, bounds = edit.source.sample_rate, units.times_s

    def shares(s: Segment) -> Float[np.ndarray, " units"]:
        if s.source_start_frame is None or s.source_end_frame is None:
            return np.zeros(units.n_units)
        return overlaps(bounds, (s.source_start_frame / rate, s.source_end_frame / rate)) / np.diff(bounds)

    covered = np.max([shares(s) for s in edit.merged().segments], axis=0, initial=0.0)
    each = np.array([shares(s) for s in edit.segments]).reshape(-1, units.n_units)
    sure = [s.confidence for s in edit.segments] @ each / np.maximum(each.sum(0), 1e-9)
    mean = sum(s.frames * s.confidence for s in edit.segments) / max(edit.frames, 1)
    plays = np.array([a != CUT for a in actions])
    clear = np.where(plays, covered, 1.0 - covered)
    clear = np.where(clear < _LEAST_CLEAR, 0.0, np.minimum(clear, 1.0))
    return np.asarray(np.where(plays, sure, mean) * clear)
