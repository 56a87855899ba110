"""What trees are told of every unit of a song: its structure, where it lies, and which excerpts it belongs to.

Editors who go by count ("the last but one") need places counted from both ends; editors who take one excerpt, as for a
trailer or a ringtone, compare all excerpts of a length, of which no bar, block or section tells (by level, and by
``strength`` as ``state.spans`` has it).

Shapes: T tracks padded to U units.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from rl_editor.habits import STARTS
from rl_editor.state import STRUCTURE_NAMES

_MANY = 4  # units or spans, that count half
_EXCERPT_UNITS = (8, 12, 16, 24, 32, 48)
_FORCES = tuple(STRUCTURE_NAMES.index(name) for name in ("strength", "level"))
N_EXCERPTS = len(_FORCES) * len(_EXCERPT_UNITS)  # the last columns


def places(
    structure: Float[Tensor, "tracks units structure"], n_units: Int[Tensor, " tracks"]
) -> Float[Tensor, "tracks units places"]:
    """The columns; rows past a track's end mean nothing.

    Args:
        structure: ``state.STRUCTURE_NAMES``.
        n_units: of every track.
    """
    exists = torch.arange(structure.shape[1], device=structure.device) < n_units[:, None]
    excerpts = [_excerpts(structure[..., force], exists, length=n) for force in _FORCES for n in _EXCERPT_UNITS]
    return torch.cat([structure, _counts(structure, exists), torch.stack(excerpts, dim=2)], dim=2)


def _counts(
    structure: Float[Tensor, "tracks units structure"], exists: Bool[Tensor, "tracks units"]
) -> Float[Tensor, "tracks units counts"]:
    """Units, and spans of each kind, before and after: n / (n + 4)."""
    unit = torch.arange(exists.shape[1], device=exists.device)
    spans = ((structure[..., STARTS] == 0.0) & exists[..., None]).cumsum(dim=1) - 1
    after = spans.amax(dim=1, keepdim=True) - spans
    units = torch.stack([unit.expand_as(exists), exists.sum(1, keepdim=True) - 1 - unit], dim=2)
    counts = torch.cat([units, spans, after], dim=2).clamp(min=0)
    return counts / (counts + _MANY)


def _excerpts(
    force: Float[Tensor, "tracks units"], exists: Bool[Tensor, "tracks units"], *, length: int
) -> Float[Tensor, "tracks units"]:
    """Share of the song's excerpts of ``length`` units that are weaker than the strongest that holds the unit.

    1 where the song is shorter than that.
    """
    whole = functional.pad(exists, (0, length)).unfold(1, length, 1)[:, : exists.shape[1]].all(2)  # by where it starts
    sums = functional.pad(force.double() * exists, (1, length)).cumsum(1)
    totals = (sums[:, length:-1] - sums[:, : -length - 1]).masked_fill(~whole, -torch.inf)
    rank = totals.argsort(dim=1, stable=True).argsort(dim=1) - (~whole).sum(1, keepdim=True) + 0.5
    share = (rank / whole.sum(1, keepdim=True).clamp(min=1)).masked_fill(~whole, 0.0)
    of_unit = functional.max_pool1d(functional.pad(share, (length - 1, 0))[:, None], length, stride=1)[:, 0]
    return torch.where(whole.any(1, keepdim=True), of_unit, 1.0).to(force.dtype)
