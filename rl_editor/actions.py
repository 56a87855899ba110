"""The action space: what a decision about one unit of beats means in sound, and its code as a number.

Conventions: U decision units, 0-based (``UnitGrid``; a unit is a beat when ``unit_beats`` is 1). A position is a
boundary between units, 0..U; ``target_position`` t means "just before the unit that stands at t in the source".
The output is a stable sort of regions by place: KEEP and LOOP at their own index, REORDER at t - 1/2.

    KEEP       the unit plays at its place
    CUT        it does not play
    LOOP n     it plays n times in a row
    REORDER t  it plays just before source position t
    EXTEND     the LOOP or REORDER region of the unit before goes on through this one

Numbers: 0 KEEP, 1 CUT, n LOOP n (2..max), then EXTEND, then REORDER with t = unit + offset for the offsets
-reach..-1 and 2..reach (offsets 0 and 1 are the unit's own place). Converting between edit lists and actions is
the business of ``rl_editor.labels``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, assert_never

import gymnasium
import numpy as np
from jaxtyping import Bool, Int

from rl_editor.config import ActionSpaceConfig
from rl_editor.errors import EditListError


class ActionType(Enum):
    """The five kinds of decision."""

    KEEP = "KEEP"
    CUT = "CUT"
    LOOP = "LOOP"
    EXTEND = "EXTEND"
    REORDER = "REORDER"


@dataclass(frozen=True)
class KeepAction:
    """The unit plays at its place."""

    beat_index: int


@dataclass(frozen=True)
class CutAction:
    """The unit does not play."""

    beat_index: int


@dataclass(frozen=True)
class LoopAction:
    """The unit plays ``n_times`` in a row."""

    beat_index: int
    n_times: int


@dataclass(frozen=True)
class ExtendAction:
    """The region of the unit before goes on through this one."""

    beat_index: int


@dataclass(frozen=True)
class ReorderAction:
    """The unit plays just before source position ``target_position``."""

    beat_index: int
    target_position: int


UNIT_KINDS = tuple(kind for kind in ActionType if kind is not ActionType.EXTEND)  # what may become of a unit

Action = KeepAction | CutAction | LoopAction | ExtendAction | ReorderAction

KEEP, CUT = 0, 1
FIRST_LOOP = 2  # LOOP n has number n
OWN_PLACE = (0, 1)  # offsets that leave a unit where it is


class Limits(NamedTuple):
    """What may not be decided, per unit and at all."""

    keep: Bool[np.ndarray, " units"]  # these play at their place
    drop: Bool[np.ndarray, " units"]  # these do not play; ``keep`` comes first
    loops: bool = True
    moves: bool = True


class ActionSpace(gymnasium.spaces.Discrete):
    """All decisions as numbers 0..n-1.

    Attributes:
        extend: the number of EXTEND.
        first_reorder: the number of the first REORDER.
        target_offsets: offset in units of every REORDER, in the order of their numbers.
    """

    def __init__(self, config: ActionSpaceConfig | None = None, seed: int | np.random.Generator | None = None) -> None:
        config = config or ActionSpaceConfig()
        reach = config.reorder_reach_units
        self.max_loop_times = config.max_loop_times
        self.reorder_reach_units = reach
        self.extend = self.max_loop_times + 1
        self.first_reorder = self.extend + 1
        self.target_offsets: Int[np.ndarray, " offsets"] = np.array(
            [offset for offset in range(-reach, reach + 1) if offset not in OWN_PLACE]
        )
        super().__init__(self.first_reorder + len(self.target_offsets), seed=seed)

    @property
    def n_discrete_actions(self) -> int:
        """How many numbers there are."""
        return int(self.n)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of every number: KEEP, CUT, LOOP2 .., EXTEND, REORDER-64 .. REORDER+64."""
        return tuple(self.name(index) for index in range(self.n_discrete_actions))

    def name(self, index: int) -> str:
        """The name of one number."""
        match self.describe(index, 0):
            case KeepAction():
                return "KEEP"
            case CutAction():
                return "CUT"
            case LoopAction(n_times=n_times):
                return f"LOOP{n_times}"
            case ExtendAction():
                return "EXTEND"
            case ReorderAction(target_position=offset):
                return f"REORDER{offset:+d}"
            case other:
                assert_never(other)

    def index(self, name: str) -> int:
        """The number of a name.

        Raises:
            EditListError: no decision has this name.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise EditListError(f"action {name!r}: unknown; expected KEEP, CUT, LOOP2, EXTEND or REORDER-8") from None

    def describe(self, index: int, unit: int) -> Action:
        """The decision that number ``index`` means for ``unit``."""
        if not 0 <= index < self.n_discrete_actions:
            raise EditListError(f"action {index}: outside 0..{self.n_discrete_actions - 1}")
        if index == KEEP:
            return KeepAction(unit)
        if index == CUT:
            return CutAction(unit)
        if index < self.extend:
            return LoopAction(unit, index)
        if index == self.extend:
            return ExtendAction(unit)
        return ReorderAction(unit, unit + int(self.target_offsets[index - self.first_reorder]))

    def encode(self, action: Action) -> int:
        """The number of a decision; the inverse of ``describe``."""
        match action:
            case KeepAction():
                return KEEP
            case CutAction():
                return CUT
            case LoopAction(n_times=n_times):
                if not FIRST_LOOP <= n_times <= self.max_loop_times:
                    raise EditListError(f"LOOP {n_times}: a unit plays 2 to {self.max_loop_times} times")
                return n_times
            case ExtendAction():
                return self.extend
            case ReorderAction(beat_index=unit, target_position=target):
                offset = target - unit
                if offset in OWN_PLACE:
                    raise EditListError(f"REORDER of unit {unit} to {target}: its own place; KEEP plays it there")
                if abs(offset) > self.reorder_reach_units:
                    raise EditListError(
                        f"REORDER of unit {unit} to {target}: offset {offset} is beyond {self.reorder_reach_units} "
                        "units; raise action_space.reorder_reach_units"
                    )
                return self.first_reorder + int(np.searchsorted(self.target_offsets, offset))
            case other:
                assert_never(other)

    def type_of(self, index: int) -> ActionType:
        """The kind of a number."""
        if index < FIRST_LOOP:
            return ActionType.KEEP if index == KEEP else ActionType.CUT
        if index < self.first_reorder:
            return ActionType.LOOP if index < self.extend else ActionType.EXTEND
        return ActionType.REORDER

    def __repr__(self) -> str:
        return f"ActionSpace(max_loop_times={self.max_loop_times}, reorder_reach_units={self.reorder_reach_units})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActionSpace) and repr(self) == repr(other)

    __hash__ = None  # type: ignore[assignment]  # as in gymnasium: spaces are compared, not hashed


class ActionLedger:
    """The decisions taken so far on a track of U units, and which are legal next.

    Illegal are: EXTEND after KEEP or CUT; EXTEND over a unit that an earlier REORDER targets; EXTEND that brings a
    moved region up to its own target; REORDER to a position outside the track or strictly inside a region.
    """

    def __init__(self, n_units: int, space: ActionSpace) -> None:
        self.space = space
        self.n_units = n_units
        self.actions: list[int] = []
        self._inside = np.zeros(n_units + 1, bool)  # position lies strictly inside a LOOP or moved region
        self._targeted = np.zeros(n_units + 1, bool)
        self._open = False  # the unit before belongs to a region
        self._target: int | None = None  # of the open region, if it moves

    @property
    def unit(self) -> int:
        """The unit that is decided next."""
        return len(self.actions)

    def mask(self) -> Bool[np.ndarray, " actions"]:
        """Which numbers are legal for the next unit."""
        space, unit = self.space, self.unit
        mask = np.ones(space.n_discrete_actions, bool)
        mask[space.extend] = self._may_extend(unit)
        targets = unit + space.target_offsets
        inside_track = (targets >= 0) & (targets <= self.n_units)
        mask[space.first_reorder :] = inside_track & ~self._inside[np.clip(targets, 0, self.n_units)]
        return mask

    def push(self, index: int) -> None:
        """Take a decision.

        Raises:
            EditListError: the decision is illegal here.
        """
        if self.unit >= self.n_units or not self.mask()[index]:
            raise EditListError(f"unit {self.unit} of {self.n_units}: {self.space.name(index)} is not legal there")
        match self.space.describe(index, self.unit):
            case KeepAction() | CutAction():
                self._open, self._target = False, None
            case LoopAction():
                self._open, self._target = True, None
            case ReorderAction(target_position=target):
                self._open, self._target = True, target
                self._targeted[target] = True
            case ExtendAction():
                self._inside[self.unit] = True
        self.actions.append(index)

    def _may_extend(self, unit: int) -> bool:
        if not self._open or self._targeted[unit]:
            return False
        return self._target is None or not unit <= self._target <= unit + 1


def unit_kinds(actions: Sequence[int] | Int[np.ndarray, " units"], space: ActionSpace) -> list[ActionType]:
    """What becomes of every unit, of ``UNIT_KINDS``: EXTEND counts as the region that it extends."""
    kinds: list[ActionType] = []
    for action in actions:
        kind = space.type_of(int(action))
        kinds.append(kinds[-1] if kind is ActionType.EXTEND else kind)
    return kinds


class UnitRun(NamedTuple):
    """Units ``start`` to ``end`` (exclusive) that play ``n_times`` in a row."""

    start: int
    end: int
    n_times: int
    place: float


def replay(actions: Iterable[int], n_units: int, space: ActionSpace) -> ActionLedger:
    """A ledger in which ``actions`` have been taken.

    Raises:
        EditListError: one of them is illegal.
    """
    ledger = ActionLedger(n_units, space)
    for action in actions:
        ledger.push(int(action))
    return ledger


def output_runs(actions: Sequence[int], space: ActionSpace) -> list[UnitRun]:
    """What plays, in output order; units that simply continue each other are one run."""
    runs: list[UnitRun] = []
    for run in sorted(_regions(actions, space), key=lambda run: run.place):
        if runs and run.n_times == 1 and runs[-1].n_times == 1 and runs[-1].end == run.start:
            runs[-1] = runs[-1]._replace(end=run.end)
        else:
            runs.append(run)
    return runs


def output_units(actions: Sequence[int], space: ActionSpace) -> list[int]:
    """The units as they play, one entry each time a unit plays."""
    return [
        unit for run in output_runs(actions, space) for _ in range(run.n_times) for unit in range(run.start, run.end)
    ]


def _regions(actions: Sequence[int], space: ActionSpace) -> list[UnitRun]:
    regions: list[UnitRun] = []
    for unit, index in enumerate(actions):
        match space.describe(int(index), unit):
            case CutAction():
                pass
            case KeepAction():
                regions.append(UnitRun(unit, unit + 1, 1, unit))
            case LoopAction(n_times=n_times):
                regions.append(UnitRun(unit, unit + 1, n_times, unit))
            case ReorderAction(target_position=target):
                regions.append(UnitRun(unit, unit + 1, 1, target - 0.5))
            case ExtendAction():
                regions[-1] = regions[-1]._replace(end=unit + 1)
            case other:
                assert_never(other)
    return regions
