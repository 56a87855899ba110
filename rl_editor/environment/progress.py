"""What an episode remembers of its own decisions, as numbers for the observation.

Conventions: columns of ``numbers`` are ``state.PROGRESS_NAMES``, rows of the history ``state.DECISION_NAMES``, the
latest decision last. Kinds: 0 undecided, 1 kept, 2 cut, 3 looped, 4 moved; EXTEND counts as its region's kind.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rl_editor.actions import CUT, FIRST_LOOP, KEEP, ActionSpace
from rl_editor.config import Config
from rl_editor.reward import RunningEdits
from rl_editor.state import PROGRESS_DIM, TrackBatch, decision_vectors
from rl_editor.state.tables import BAR, BAR_PHASE

_UNDECIDED, _KEPT, _CUT, _LOOPED, _MOVED = range(5)
_MISSING_LIMITS = (-1.0, 4.0)
_OUTPUT_LIMIT = 4.0
_CHANGE_OCTAVES = 5.0  # 31 units are 1
_TINY = 1e-6


class ProgressLedger:
    """Decisions of E episodes: counts, the last few, and which unit was treated how."""

    def __init__(self, batch: TrackBatch, config: Config, *, n_envs: int) -> None:
        space, device = ActionSpace(config.action_space), batch.rows.device
        self._batch, self._phrase_bars, self._extend = batch, config.reward.phrase_bars, space.extend
        vectors = decision_vectors(space)
        self._vectors = torch.cat([vectors, torch.zeros_like(vectors[:1])]).to(device)
        self._nothing = space.n_discrete_actions  # row of a decision not taken
        self._kind_of = torch.tensor([_kind(space, n) for n in range(space.n_discrete_actions)], device=device)
        self._rows = torch.arange(n_envs, device=device)
        self._n_recent = config.state.history_units
        self.begin()

    def begin(self) -> None:
        """Forget every episode; nothing that was is read."""
        n_envs, device, shape = len(self._rows), self._rows.device, self._batch.reward.span_s.shape
        self._recent = torch.full((n_envs, self._n_recent), self._nothing, device=device)
        self._counts = torch.zeros(n_envs, _MOVED + 1, device=device)
        self._kind = torch.zeros(n_envs, dtype=torch.long, device=device)  # of the latest decision
        self._since_change = torch.zeros(n_envs, device=device)
        self._fate = torch.zeros(n_envs, shape[1], dtype=torch.int8, device=device)
        self.actions = torch.zeros(n_envs, shape[1], dtype=torch.int16, device=device)

    def restart(self, which: Bool[Tensor, " episodes"]) -> None:
        """Forget where ``which``."""
        row = which[:, None]
        self._recent = self._recent.masked_fill(row, self._nothing)
        self._counts = self._counts.masked_fill(row, 0.0)
        self._kind = self._kind.masked_fill(which, _UNDECIDED)
        self._since_change = self._since_change.masked_fill(which, 0.0)
        self._fate.masked_fill_(row, _UNDECIDED)

    def record(
        self, action: Int[Tensor, " episodes"], edits: RunningEdits, *, active: Bool[Tensor, " episodes"]
    ) -> None:
        """Remember a decision that is about to be taken."""
        kind = torch.where(action == self._extend, self._kind, self._kind_of[action])
        turned = (kind == _CUT) != (self._kind == _CUT)  # of the first decision either says 1
        self._since_change = torch.where(turned, 1.0, self._since_change + 1.0)
        self._kind = torch.where(active, kind, self._kind)
        self._counts[self._rows, kind] += active
        shifted = torch.cat([self._recent[:, 1:], action[:, None]], dim=1)[:, : self._recent.shape[1]]
        self._recent = torch.where(active[:, None], shifted, self._recent)
        at = edits.unit.clamp(max=self._fate.shape[1] - 1)
        self._fate[self._rows, at] = torch.where(active, kind, self._fate[self._rows, at].long()).to(torch.int8)
        self.actions[self._rows, at] = torch.where(active, action, self.actions[self._rows, at].long()).to(torch.int16)

    def history(self) -> Float[Tensor, "episodes history"]:
        """The latest decisions."""
        return self._vectors[self._recent].flatten(1)

    def numbers(
        self, edits: RunningEdits, *, target_s: Float[Tensor, " episodes"], loop_limit: Float[Tensor, " episodes"]
    ) -> Float[Tensor, "episodes progress"]:
        """PROGRESS_NAMES of every episode; a NaN target is none."""
        track, tables = edits.track, self._batch.reward
        totals, source_s = edits.totals(), tables.duration_s[track]
        output, remaining = totals.output_s.float(), totals.remaining_s.float()
        has_target = ~target_s.isnan()
        target = torch.where(has_target, target_s, source_s)
        missing = ((target - output) / remaining.clamp(min=_TINY)).clamp(*_MISSING_LIMITS)
        point = tables.points[track, torch.minimum(edits.unit, edits.n_units)]
        shares = self._counts / edits.unit.clamp(min=1)[:, None]
        columns = (
            edits.unit / edits.n_units,
            remaining / source_s,
            (output / source_s).clamp(max=_OUTPUT_LIMIT),
            has_target,
            has_target * (target / source_s),
            has_target * (output / target.clamp(min=_TINY)).clamp(max=_OUTPUT_LIMIT),
            has_target * missing,
            totals.replayed_s.float() / output.clamp(min=_TINY),
            loop_limit,
            *shares[:, _KEPT:].unbind(1),
            torch.log2(1.0 + self._since_change) / _CHANGE_OCTAVES,
            (self._kind != _CUT) & (self._kind != _UNDECIDED),
            edits.region_open & (edits.region_target < 0),
            edits.region_open & (edits.region_target >= 0),
            point[:, BAR_PHASE] / tables.beats_per_bar[track],
            point[:, BAR] % self._phrase_bars / self._phrase_bars,
            *self._twin(edits),
        )
        numbers = torch.stack([c.to(torch.float32) for c in columns], dim=1)
        assert numbers.shape[1] == PROGRESS_DIM
        return numbers

    def _twin(self, edits: RunningEdits) -> tuple[Tensor, ...]:
        """Whether there is a passage before the unit that is due; if the most alike one was cut, looped or moved."""
        unit = torch.minimum(edits.unit, edits.n_units - 1)
        twin = self._batch.earlier_match[edits.track, unit]
        known = twin >= 0
        fate = self._fate[self._rows, twin.clamp(min=0)]
        return (known, *(known & (fate == kind) for kind in (_CUT, _LOOPED, _MOVED)))


def _kind(space: ActionSpace, number: int) -> int:
    """Kind of a decision that opens its own region."""
    if number == KEEP:
        return _KEPT
    if number == CUT:
        return _CUT
    return _LOOPED if FIRST_LOOP <= number < space.first_reorder else _MOVED
