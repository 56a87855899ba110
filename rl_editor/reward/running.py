"""The output of many edits while they are decided, and what it adds up to: O(1) joins per decision.

Conventions: E episodes in lockstep, U units (padded), 0-based. The output is a stable sort of regions by place
(``actions``): a unit that keeps its place has slot 2u + 1, one that moves to just before t has slot 2t, so slots
0..2U are in output order. A slot holds the first and last unit of what plays there. A decision opens or lengthens a
region at the end of its slot, so it changes at most four joins: those beside it, the one that it separates, and the
one from its own end to its own start if it loops. No value is read back to the host.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rl_editor.actions import CUT, FIRST_LOOP, KEEP, ActionSpace
from rl_editor.reward.faults import N_FAULTS, faults_of
from rl_editor.reward.terms import Totals, stacked
from rl_editor.state.reward_tables import RewardTables

_NOBODY = -1


class RunningEdits:
    """E edits being decided over the tables of T tracks.

    ``track`` and ``unit`` say where each episode stands; decisions handed to ``advance`` must be legal.
    """

    def __init__(
        self,
        tables: RewardTables,
        n_units: Int[Tensor, " tracks"],
        space: ActionSpace,
        *,
        n_edits: int,
        phrase_bars: int,
    ) -> None:
        self.tables, self.space, self.phrase_bars = tables, space, phrase_bars
        self._n_units_of, self._device = n_units, n_units.device
        self._longest = int(tables.span_s.shape[1])
        self._targets = torch.as_tensor(space.target_offsets, device=self._device)
        self._offset_of = torch.zeros(space.n_discrete_actions, dtype=torch.long, device=self._device)
        self._offset_of[space.first_reorder :] = self._targets
        self._slots = torch.arange(2 * self._longest + 1, dtype=torch.int32, device=self._device)
        self._always = torch.ones(n_edits, space.first_reorder, dtype=torch.bool, device=self._device)
        self.begin(torch.zeros(n_edits, dtype=torch.long, device=self._device))

    def begin(self, track: Int[Tensor, " edits"]) -> None:
        """Begin every episode anew, on ``track``; nothing that was is read."""
        n_edits = len(track)
        self.track, self.n_units = track, self._n_units_of[track]
        self.unit = self._numbers(n_edits)
        self._head = torch.full((n_edits, len(self._slots)), _NOBODY, dtype=torch.int32, device=self._device)
        self._tail = self._head.clone()
        self._inside = torch.zeros(n_edits, self._longest + 1, dtype=torch.bool, device=self._device)
        self._targeted = self._inside.clone()
        self.region_slot, self.region_start, self.region_times = (self._numbers(n_edits) for _ in range(3))
        self.region_open = torch.zeros(n_edits, dtype=torch.bool, device=self._device)
        self.region_target = self._numbers(n_edits) + _NOBODY
        self._faults = torch.zeros(n_edits, N_FAULTS, dtype=torch.float64, device=self._device)
        self._sums = torch.zeros(n_edits, 4, dtype=torch.float64, device=self._device)
        self._first_slot, self._last_slot = self._numbers(n_edits) + len(self._slots), self._numbers(n_edits) + _NOBODY
        self._first_unit, self._last_unit = self._numbers(n_edits) + _NOBODY, self._numbers(n_edits) + _NOBODY

    @property
    def done(self) -> Bool[Tensor, " edits"]:
        """Every unit is decided."""
        return self.unit >= self.n_units

    def restart(self, which: Bool[Tensor, " edits"], track: Int[Tensor, " edits"]) -> None:
        """Begin anew, on ``track``, where ``which``."""
        self.track = torch.where(which, track, self.track)
        self.n_units = self._n_units_of[self.track]
        row = which[:, None]
        self._head.masked_fill_(row, _NOBODY)
        self._tail.masked_fill_(row, _NOBODY)
        for flags in (self._inside, self._targeted, self._faults, self._sums):
            flags.masked_fill_(row, 0)
        self.unit = self.unit.masked_fill(which, 0)
        self.region_open = self.region_open & ~which
        self._first_slot = self._first_slot.masked_fill(which, len(self._slots))
        self._last_slot, self._first_unit, self._last_unit, self.region_target = (
            numbers.masked_fill(which, _NOBODY)
            for numbers in (self._last_slot, self._first_unit, self._last_unit, self.region_target)
        )

    def mask(self) -> Bool[Tensor, "edits actions"]:
        """Legal decisions, as ``ActionLedger.mask`` has them; KEEP alone where the episode is over."""
        mask = self._always.clone()
        mask[:, self.space.extend] = self._may_extend()
        targets = self.unit[:, None] + self._targets
        reachable = (targets >= 0) & (targets <= self.n_units[:, None])
        inside = self._inside.gather(1, targets.clamp(0, self._longest))
        mask = torch.cat([mask, reachable & ~inside], dim=1)
        mask[:, KEEP + 1 :] &= ~self.done[:, None]
        return mask

    def advance(self, action: Int[Tensor, " edits"]) -> None:
        """Take one decision in every episode that is not over."""
        active = ~self.done
        unit = self.unit.clamp(max=self._longest - 1)
        extends = (action == self.space.extend) & active
        moves = (action >= self.space.first_reorder) & active
        plays = (action != CUT) & active
        opens = plays & ~extends
        loops = (action >= FIRST_LOOP) & (action < self.space.extend)
        times = torch.where(extends, self.region_times, torch.where(loops, action, torch.ones_like(action)))
        target = unit + self._offset_of[action]
        slot = torch.where(extends, self.region_slot, torch.where(moves, 2 * target, 2 * unit + 1))
        start = torch.where(extends, self.region_start, unit)
        self._join(slot, unit, start, times, opens=opens, extends=extends)
        self._place(slot, unit, plays)
        self._count(unit, times, plays, active)
        self._remember(unit, target, extends=extends, moves=moves)
        self.region_slot, self.region_start, self.region_times = slot, start, times
        held = extends & self.region_open
        self.region_open = torch.where(active, extends | moves | (opens & loops), self.region_open)
        kept_target = torch.where(held, self.region_target, torch.full_like(target, _NOBODY))
        self.region_target = torch.where(moves, target, kept_target)
        self.unit = self.unit + active

    def totals(self) -> Totals:
        """What the output so far adds up to."""
        output, replayed, energy, decided = self._sums.unbind(1)
        remaining = (self.tables.duration_s[self.track] - decided).clamp(min=0.0)
        opening, ending = self._first_unit == 0, self._last_unit == self.n_units - 1
        remaining = remaining.masked_fill(self.done, 0.0)
        return Totals(self._faults, output, replayed, energy, remaining, opening.double(), ending.double())

    def _numbers(self, n: int) -> Int[Tensor, " edits"]:
        return torch.zeros(n, dtype=torch.long, device=self._device)

    def _may_extend(self) -> Bool[Tensor, " edits"]:
        unit = self.unit.clamp(max=self._longest)
        targeted = self._targeted.gather(1, unit[:, None])[:, 0]
        own = (self.region_target >= self.unit) & (self.region_target <= self.unit + 1)
        return self.region_open & ~targeted & ~own

    def _join(
        self,
        slot: Int[Tensor, " edits"],
        unit: Int[Tensor, " edits"],
        start: Int[Tensor, " edits"],
        times: Int[Tensor, " edits"],
        *,
        opens: Bool[Tensor, " edits"],
        extends: Bool[Tensor, " edits"],
    ) -> None:
        """Add the joins that the decision makes and take away those that it undoes::

        opens a region                                    extends one
        + from what plays before it to its start          + from its end to its start, times - 1
        + from its end to what plays after it             + from its end to what plays after it
        - from what plays before it to what plays after   - from the end that it had to what plays after it
        + from its end to its start, times - 1            - from the end that it had to its start, times - 1
        """
        before, after = self._neighbours(slot)
        again = (times - 1) * (opens | extends)
        end, former_end = unit + 1, torch.where(opens, before, unit - 1) + 1
        has_before, has_after = opens & (before != _NOBODY), (opens | extends) & (after != _NOBODY)
        joins = (  # where the source is left, where it comes back, and how often that counts
            (torch.where(opens, former_end, end), start, torch.where(opens, has_before, again)),
            (end, after, has_after),
            (former_end, after, -(has_after & (has_before | extends)).long()),
            (torch.where(opens, end, former_end), start, torch.where(opens, again, -again)),
        )
        out, into, counts = (
            torch.stack([part.to(torch.long) for part in row], dim=1) for row in zip(*joins, strict=True)
        )
        faults = self._costs(out.clamp(min=0), into.clamp(min=0))
        self._faults += (faults * counts.to(self._faults.dtype)[..., None]).sum(dim=1)

    def _neighbours(self, slot: Int[Tensor, " edits"]) -> tuple[Int[Tensor, " edits"], Int[Tensor, " edits"]]:
        """The unit that ends right before the end of this slot, and the one that starts right after it."""
        last = len(self._slots)
        at, taken = slot.to(torch.int32)[:, None], self._head >= 0
        below = torch.where(taken & (self._slots <= at), self._slots, _NOBODY).amax(dim=1).long()
        above = torch.where(taken & (self._slots > at), self._slots, last).amin(dim=1).long()
        before = self._tail.gather(1, below.clamp(min=0)[:, None])[:, 0].masked_fill(below < 0, _NOBODY)
        after = self._head.gather(1, above.clamp(max=last - 1)[:, None])[:, 0].masked_fill(above >= last, _NOBODY)
        return before.long(), after.long()

    def _costs(
        self, out: Int[Tensor, "edits joins"], into: Int[Tensor, "edits joins"]
    ) -> Float[Tensor, "edits joins faults"]:
        rows = self.tables.points[self.track[:, None], torch.cat([out, into], dim=1)]
        n = out.shape[1]
        faults = faults_of(
            rows[:, :n],
            rows[:, n:],
            moved=out != into,
            level_scale_db=self.tables.level_scale_db[self.track][:, None],
            beats_per_bar=self.tables.beats_per_bar[self.track][:, None],
            phrase_bars=self.phrase_bars,
        )
        return stacked(faults)

    def _place(self, slot: Int[Tensor, " edits"], unit: Int[Tensor, " edits"], plays: Bool[Tensor, " edits"]) -> None:
        at, value = slot.clamp(0, len(self._slots) - 1)[:, None], unit.to(torch.int32)[:, None]
        head, tail = self._head.gather(1, at), self._tail.gather(1, at)
        self._head.scatter_(1, at, torch.where(plays[:, None] & (head < 0), value, head))
        self._tail.scatter_(1, at, torch.where(plays[:, None], value, tail))
        begins, ends = plays & (slot < self._first_slot), plays & (slot >= self._last_slot)
        self._first_slot = torch.where(begins, slot, self._first_slot)
        self._first_unit = torch.where(begins, unit, self._first_unit)
        self._last_slot = torch.where(ends, slot, self._last_slot)
        self._last_unit = torch.where(ends, unit, self._last_unit)

    def _count(
        self,
        unit: Int[Tensor, " edits"],
        times: Int[Tensor, " edits"],
        plays: Bool[Tensor, " edits"],
        active: Bool[Tensor, " edits"],
    ) -> None:
        length = self.tables.span_s[self.track, unit].double() * active
        heard = times * plays
        energy = self.tables.energy_rank[self.track, unit]
        self._sums += torch.stack(
            [length * heard, length * (times - 1) * plays, length * heard * energy, length], dim=1
        )

    def _remember(
        self,
        unit: Int[Tensor, " edits"],
        target: Int[Tensor, " edits"],
        *,
        extends: Bool[Tensor, " edits"],
        moves: Bool[Tensor, " edits"],
    ) -> None:
        for flags, position, which in ((self._inside, unit, extends), (self._targeted, target, moves)):
            at = position.clamp(0, self._longest)[:, None]
            flags.scatter_(1, at, flags.gather(1, at) | which[:, None])
