"""From an embedding and what was done before to logits and a value.

Shapes as in ``rl_editor.agent``. Logits are ``log P(kind) + log P(target | REORDER)``: REORDER is one kind among KEEP,
CUT, LOOP n and EXTEND, however many targets it has, so that neither initialisation nor entropy favours it by number.
Targets are pointed at (Vinyals et al. 2015, "Pointer networks"): a query from the position against the song-map token
at the target place, plus a bias per offset. The value reads the embedding without training it, so that an untrained
value cannot spoil a cloned policy.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from rl_editor.config import AgentConfig
from rl_editor.habits import Habits
from rl_editor.state import PROGRESS_NAMES, ObservationLayout

ILLEGAL = -1.0e9  # the logit of a masked action: exp gives 0, and differences stay finite
_KEY_DIM = 32  # width in which REORDER points at places
FEW_TRACKS = 32  # up to so many, dot products with all their tokens take less memory than a copy of one's keys
# Progress that repeats earlier decisions; place, target, what is missing of it and open regions are no such thing.
_PAST = (
    *("output", "replayed", "kept", "cut", "looped", "moved", "since_change", "last_plays"),
    *("twin_known", "twin_cut", "twin_looped", "twin_moved"),
)


class Seen(NamedTuple):
    """What a decision sees beside the audible."""

    style: Float[Tensor, "envs style"]
    history: Float[Tensor, "envs history"]
    progress: Float[Tensor, "envs progress"]
    mask: Bool[Tensor, "envs actions"]
    target_token: Int[Tensor, "envs offsets"]  # song-map token at the place that each REORDER targets
    starts: Float[Tensor, "envs ways"]  # 1 where a span starts at the unit
    forgets: Bool[Tensor, " envs"] | None = None  # where only habits know the decisions before


class Keys(NamedTuple):
    """Song maps as keys, and whose map each environment points into."""

    of_tracks: Float[Tensor, "tracks tokens key"]
    track: Int[Tensor, " envs"]

    def pointed_at(
        self, query: Float[Tensor, "envs key"], token: Int[Tensor, "envs offsets"]
    ) -> Float[Tensor, "envs offsets"]:
        """``query . key / sqrt(d)`` at the tokens asked for.

        Against all songs at once where they are few, which spares every environment its own copy of the keys.
        """
        n_tracks, n_tokens, width = self.of_tracks.shape
        query = query / width**0.5
        if n_tracks <= FEW_TRACKS:
            everywhere = query @ self.of_tracks.flatten(0, 1).T
            return everywhere.gather(1, self.track[:, None] * n_tokens + token)
        pointed = torch.bmm(self.of_tracks.index_select(0, self.track), query[:, :, None])[:, :, 0]
        return pointed.gather(1, token)


class PolicyNetwork(nn.Module):
    """Embedding, style, history and progress to logits; layout and section of sizes are its contract."""

    def __init__(self, layout: ObservationLayout, config: AgentConfig) -> None:
        super().__init__()
        self.first_reorder = layout.first_reorder
        self.trunk = _Trunk(layout, config)
        self.kinds = nn.Linear(config.d_head, layout.first_reorder + 1)
        self.query = nn.Linear(config.d_head, _KEY_DIM)
        self.key = nn.Linear(config.d_model, _KEY_DIM, bias=False)
        self.offset = nn.Linear(config.d_head, layout.n_actions - layout.first_reorder)
        self.habits = Habits(layout.n_styles, layout.first_reorder + 1, dropout=config.habit_dropout)

    def forward(self, embedding: Float[Tensor, "envs width"], keys: Keys, seen: Seen) -> Float[Tensor, "envs actions"]:
        """Masked logits, already normalised over targets."""
        hidden = self.trunk(embedding, seen)
        habit = self.habits(seen.progress, seen.style, seen.starts)
        kinds = self.kinds(hidden).float() + habit.float()
        targets = (self.offset(hidden) + keys.pointed_at(self.query(hidden), seen.target_token)).float()
        legal = seen.mask[:, self.first_reorder :]
        targets = functional.log_softmax(targets.masked_fill(~legal, ILLEGAL), dim=1)
        logits = torch.cat([kinds[:, :-1], kinds[:, -1:] + targets], dim=1)
        return logits.masked_fill(~seen.mask, ILLEGAL)

    @torch.no_grad()
    def sharpen(self, factor: float) -> None:
        """Multiply the logits of kinds and of targets: the likeliest decisions stay, the others get rarer."""
        for layer in (self.kinds, self.query, self.offset):
            layer.weight.mul_(factor)
            layer.bias.mul_(factor)
        self.habits.table.weight.mul_(factor)

    def begin_refining(self) -> None:
        """Before a reward is learned: habits stay the editor's, frozen.

        One number of them speaks for every song, so a reward would move them first, and all songs at once.
        """
        self.habits.requires_grad_(requires_grad=False)


class ValueNetwork(nn.Module):
    """Embedding, style, history and progress to the expected rest of the reward."""

    def __init__(self, layout: ObservationLayout, config: AgentConfig) -> None:
        super().__init__()
        self.trunk = _Trunk(layout, config)
        self.out = nn.Linear(config.d_head, 1)

    def forward(self, embedding: Float[Tensor, "envs width"], seen: Seen) -> Float[Tensor, " envs"]:
        """The value of each state; the embedding is not trained by it."""
        value: Tensor = self.out(self.trunk(embedding.detach(), seen))
        return value[:, 0].float()


class _Trunk(nn.Module):
    """Two layers over embedding, history and progress; the style scales and shifts the embedding.

    While it learns, a share ``agent.path_dropout`` of decisions is taken without the history and without ``_PAST``:
    what was decided before predicts the next decision so well that a clone copies it instead of listening (de Haan,
    Jayaraman & Levine 2019, "Causal confusion in imitation learning").
    """

    past: Tensor

    def __init__(self, layout: ObservationLayout, config: AgentConfig) -> None:
        super().__init__()
        self.style = nn.Linear(layout.n_styles, 2 * config.d_model, bias=False)
        nn.init.zeros_(self.style.weight)  # every style starts as the same editor
        self.heard = nn.Linear(config.d_model, config.d_head)
        self.done = nn.Linear(layout.history_dim + layout.progress_dim + layout.n_styles, config.d_head)
        self.deep = nn.Linear(config.d_head, config.d_head)
        self.dropout = nn.Dropout(config.dropout)
        self.path_dropout = config.path_dropout
        is_past = [True] * layout.history_dim + [name in _PAST for name in PROGRESS_NAMES]
        self.register_buffer("past", torch.tensor(is_past), persistent=False)

    def forward(self, embedding: Float[Tensor, "envs width"], seen: Seen) -> Float[Tensor, "envs hidden"]:
        scale, shift = self.style(seen.style).chunk(2, dim=1)
        path = torch.cat([seen.history, seen.progress], dim=1)
        forgets = seen.forgets
        if self.training and self.path_dropout:
            forgets = torch.rand(len(path), device=path.device) < self.path_dropout
        if forgets is not None:
            path = path.masked_fill(forgets[:, None] & self.past, 0.0)
        done = self.done(torch.cat([path, seen.style], dim=1))
        hidden: Tensor = self.dropout(functional.gelu(self.heard(embedding * (1.0 + scale) + shift) + done))
        return hidden + functional.gelu(self.deep(hidden))
