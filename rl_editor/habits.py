"""Where an editor changes its mind: how what was decided last goes on, at the starts of spans and elsewhere.

Editors leave and come back at the lines of bars, phrases and sections. A network that hears a song through dropout and
noise learns *what* plays, and misses by a bar *where* it starts. So beside the deep network there is a wide one (Cheng
et al. 2016, "Wide & deep learning for recommender systems"): a table of log odds per kind of decision, by what was
decided last and by which spans start here, for all editors and for each. docs/learning.md says what it brings.

Shapes: E environments, S ways to divide a song (``STARTS``), K kinds of decisions (KEEP, CUT, LOOP n, EXTEND, REORDER).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rl_editor.state import PROGRESS_NAMES, SPAN_WAYS, STRUCTURE_NAMES

# Columns that are 0 where a span starts.
STARTS = tuple(STRUCTURE_NAMES.index(f"{way}_units_before") for way in SPAN_WAYS)
_BEFORE = ("last_plays", "since_change", "open_loop", "open_move")
_N_BEFORE = 4  # played, cut, within a loop, within a move; none of them before the first decision
# Adam moves all weights at one pace. Inputs of this size let log odds of three be reached within a hundred steps.
_SIZE = 10.0


class Habits(nn.Module):
    """Log odds of every kind of decision; 0 until they are learned.

    Args:
        n_styles: editors that are told apart.
        n_kinds: kinds of decisions.
        dropout: share of decisions learned without what was decided last, so that the deep network does not rely on it.
    """

    columns: Tensor

    def __init__(self, n_styles: int, n_kinds: int, *, dropout: float) -> None:
        super().__init__()
        n_ways = len(STARTS)
        self.table = nn.Linear((_N_BEFORE * (1 + n_ways) + n_ways) * (1 + n_styles), n_kinds, bias=False)
        nn.init.zeros_(self.table.weight)
        self.dropout = dropout
        self.register_buffer(
            "columns", torch.tensor([PROGRESS_NAMES.index(name) for name in _BEFORE]), persistent=False
        )

    def forward(
        self,
        progress: Float[Tensor, "envs progress"],
        style: Float[Tensor, "envs styles"],
        starts: Float[Tensor, "envs ways"],
    ) -> Float[Tensor, "envs kinds"]:
        """What habit says.

        Args:
            progress: ``state.PROGRESS_NAMES``.
            style: one-hot.
            starts: 1 where a span starts at the unit that is decided.
        """
        plays, since_change, in_loop, in_move = progress.index_select(1, self.columns).unbind(1)
        straight_on = (1.0 - in_loop) * (1.0 - in_move)
        was_cut = (since_change > 0.0) * (1.0 - plays)
        before = torch.stack([plays * straight_on, was_cut, in_loop, in_move], dim=1)
        if self.training and self.dropout:
            before = before * (torch.rand(len(before), 1, device=before.device) >= self.dropout)
        here = torch.cat([torch.ones_like(starts[:, :1]), starts], dim=1)
        known = torch.cat([(before[:, :, None] * here[:, None, :]).flatten(1), starts], dim=1)
        of_style = (known[:, :, None] * style[:, None, :]).flatten(1)
        odds: Tensor = self.table(_SIZE * torch.cat([known, of_style], dim=1))
        return odds
