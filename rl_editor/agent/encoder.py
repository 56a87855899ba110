"""What is heard of a track: rows around every position and the song map, to one embedding per position.

Shapes as in ``rl_editor.agent``. Nothing here depends on what was decided before, so a track is encoded once.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from rl_editor.config import AgentConfig
from rl_editor.state import ObservationLayout

_STD_FLOOR = 1e-3  # a column that hardly varies is not blown up
_CLAMP = 8.0  # standard deviations beyond which a feature says no more
_SIZE_OF_INIT = 0.02  # of learned positions


class EncodedTracks(NamedTuple):
    """What the encoder gives."""

    units: Float[Tensor, "tracks units width"]
    song: Float[Tensor, "tracks tokens width"]


class Normalisation(nn.Module):
    """Mean and deviation per column, kept with the weights; ``n_flags`` last columns are left as they are."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, n_columns: int, *, n_flags: int = 0) -> None:
        super().__init__()
        self.n_flags = n_flags
        self.register_buffer("mean", torch.zeros(n_columns))
        self.register_buffer("deviation", torch.ones(n_columns))

    def fit(self, values: Float[Tensor, "n columns"]) -> None:
        """Take mean and deviation from these rows."""
        fitted = slice(0, len(self.mean) - self.n_flags)
        self.mean[fitted] = values.double().mean(0)[fitted].to(self.mean.dtype)
        deviation = values.double().std(0, unbiased=False).clamp(min=_STD_FLOOR)
        self.deviation[fitted] = deviation[fitted].to(self.mean.dtype)

    def forward(self, values: Float[Tensor, "*n columns"]) -> Float[Tensor, "*n columns"]:
        """In standard deviations, at most 8 from the mean."""
        normal: Tensor = ((values - self.mean) / self.deviation).clamp(-_CLAMP, _CLAMP)
        return normal


class TrackEncoder(nn.Module):
    """Rows around a position and the song map, to one embedding per position.

    Features pass a bottleneck of ``agent.d_row`` columns (few songs must not teach what a single song sounds like);
    structure, which compares a unit with the rest of its song and so holds on other songs, has a way of its own. Then
    comes convolution over the window, then attention to the song map, whose tokens have attended to each other.
    Positions know the size of the track from ``static`` and their place from their row.
    """

    def __init__(self, layout: ObservationLayout, config: AgentConfig) -> None:
        super().__init__()
        width = config.d_model
        self.context = layout.context_units
        self.n_features = layout.n_features
        self.columns = nn.Dropout1d(config.dropout)  # a feature goes silent for a whole song
        self.parts = nn.Dropout1d(config.structure_dropout)
        self.row = nn.Linear(layout.n_features, config.d_row)
        self.structure = nn.Linear(layout.row_dim - layout.n_features, config.d_structure)
        self.hidden = nn.Dropout(config.structure_dropout)
        n_heard = config.d_row + config.d_structure
        self.lift = nn.Linear(n_heard, width)
        self.window = nn.Conv1d(n_heard, width, 2 * layout.context_units + 1)
        self.static = nn.Linear(layout.static_dim, width)
        self.token = nn.Linear(layout.map_dim, width)
        self.place = nn.Parameter(_SIZE_OF_INIT * torch.randn(layout.map_tokens, width))
        self.song = nn.ModuleList([_SelfAttention(config) for _ in range(config.n_layers)])
        self.attend = _CrossAttention(config)
        self.out = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        rows: Float[Tensor, "tracks padded_units row"],
        song_map: Float[Tensor, "tracks tokens token"],
        static: Float[Tensor, "tracks static"],
    ) -> EncodedTracks:
        """Embeddings of the units that have a whole window in ``rows``: ``2 * context`` fewer than rows."""
        whole = self.static(static)[:, None]
        song = self.token(song_map) + self.place + whole
        for layer in self.song:
            song = layer(song)
        features, structure = rows[..., : self.n_features], rows[..., self.n_features :]
        features = self.columns(features.transpose(1, 2)).transpose(1, 2)
        structure = self.parts(structure.transpose(1, 2)).transpose(1, 2)
        projected = torch.cat(
            [
                self.dropout(functional.gelu(self.row(features))),
                self.hidden(functional.gelu(self.structure(structure))),
            ],
            dim=-1,
        )
        units = (
            self.lift(centre(projected, self.context))
            + functional.gelu(self.window(projected.transpose(1, 2))).transpose(1, 2)
            + whole
        )
        return EncodedTracks(self.out(self.attend(units, song)), song)


def centre(rows: Float[Tensor, "tracks padded_units columns"], context: int) -> Float[Tensor, "tracks units columns"]:
    """The positions that have a whole window."""
    return rows[:, context : rows.shape[1] - context]


class _SelfAttention(nn.Module):
    """A transformer layer over tokens, normalised first."""

    def __init__(self, config: AgentConfig) -> None:
        super().__init__()
        self.attend = _CrossAttention(config)
        self.norm = nn.LayerNorm(config.d_model)

    def forward(self, tokens: Float[Tensor, "tracks tokens width"]) -> Float[Tensor, "tracks tokens width"]:
        attended: Tensor = self.attend(tokens, self.norm(tokens))
        return attended


class _CrossAttention(nn.Module):
    """Positions attend to tokens, then a feed-forward layer; both residual."""

    def __init__(self, config: AgentConfig) -> None:
        super().__init__()
        width = config.d_model
        self.norm, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, config.n_heads, dropout=config.dropout, batch_first=True)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Float[Tensor, "tracks positions width"], memory: Float[Tensor, "tracks tokens width"]
    ) -> Float[Tensor, "tracks positions width"]:
        attended, _ = self.attention(self.norm(x), memory, memory, need_weights=False)
        x = x + self.dropout(attended)
        fed: Tensor = x + self.dropout(self.feed(self.norm_out(x)))
        return fed
