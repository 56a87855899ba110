"""How many passages an editor usually loops and moves in an edit.

Where it is sure that something moves, but not what, every single move is unlikely, and the likeliest edit has none. How
many passages an editor loops or moves is known better than which. So an edit is chosen by both (``decoding``): the same
number in every song, or so many per minute of it, whichever varies less over the pairs, is the habit, and how much that
varies says how much it counts. Too few count against an edit; every one too many costs its own likelihood already. As
in ``usual_length``, a few pairs that happen to agree prove no habit.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from rl_editor.actions import FIRST_LOOP, ActionSpace
from rl_editor.usual_length import doubted_deviation

_DOUBT = 1.0  # passages
_N_KINDS = 2  # looped, moved


class UsualRegions(nn.Module):
    """Per editor and kind: in every song, per minute (one of them is 0), deviation; infinite where no pair says."""

    table: Tensor

    def __init__(self, n_styles: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.tensor([0.0, 0.0, torch.inf]).repeat(n_styles, _N_KINDS, 1))

    def fit(
        self, counts: Int[Tensor, "pairs kinds"], duration_s: Float[Tensor, " pairs"], style: Int[Tensor, " pairs"]
    ) -> None:
        """Learn from pairs: what ``opened`` counts, length of the recording, and whose edit it is."""
        for number in sorted(set(style.tolist())):
            own = style == number
            seen, minutes = counts[own].double(), duration_s[own].double()[:, None] / 60.0
            in_each, per_minute = seen.mean(0), seen.sum(0) / minutes.sum()
            off = torch.stack([((seen - usual) ** 2).sum(0) for usual in (in_each, per_minute * minutes)])
            deviation = doubted_deviation(off.amin(0), n_pairs=len(seen), doubt=_DOUBT)
            by_minute = off[1] < off[0]
            usual = [in_each.where(~by_minute, 0.0), per_minute.where(by_minute, 0.0), deviation]
            self.table[number] = torch.stack(usual, dim=1).to(self.table.dtype)

    def log_prob(self, counts: Int[Tensor, "edits kinds"], duration_s: float, style: int) -> Float[Tensor, " edits"]:
        """How usual so few are in a recording of ``duration_s``; 0 for the usual number or more, or if unknown."""
        in_each, per_minute, deviation = self.table[style].unbind(1)
        off = (counts - in_each - per_minute * (duration_s / 60.0)) / deviation
        return -0.5 * (off.clamp(max=0.0) ** 2).sum(1)


def opened(actions: Int[Tensor, "edits units"], space: ActionSpace) -> Int[Tensor, "edits kinds"]:
    """How many passages are looped, and how many are moved; EXTEND goes on with one and counts for none."""
    looped = (actions >= FIRST_LOOP) & (actions < space.extend)
    return torch.stack([looped.sum(1), (actions >= space.first_reorder).sum(1)], dim=1)
