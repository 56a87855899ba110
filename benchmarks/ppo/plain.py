"""The network that stable-baselines3 calls ``MlpPolicy`` with ``net_arch=[256, 256]``, for our trainer.

Two networks, actor and critic: observation -> 256 -> 256 -> actions or value, tanh between. The function is the one of
a plain network on the flat observation; the part of the first layer that reads window, song map and static numbers,
which no decision changes, is computed once per position and gathered (a test compares both).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rl_editor.agent import ILLEGAL, Agent, EncodedTracks, Keys, Seen
from rl_editor.config import Config
from rl_editor.state import ObservationLayout

WIDTH = 256


class PlainEncoder(nn.Module):
    """First layer of actor and critic side by side, as far as it reads what is audible."""

    def __init__(self, layout: ObservationLayout) -> None:
        super().__init__()
        self.window = nn.Conv1d(layout.row_dim, 2 * WIDTH, 2 * layout.context_units + 1, bias=False)
        self.song = nn.Linear(layout.map_tokens * layout.map_dim, 2 * WIDTH, bias=False)
        self.static = nn.Linear(layout.static_dim, 2 * WIDTH)

    def forward(
        self,
        rows: Float[Tensor, "tracks padded_units row"],
        song_map: Float[Tensor, "tracks tokens token"],
        static: Float[Tensor, "tracks static"],
    ) -> EncodedTracks:
        """Shares of the first layer per position; nothing to point at."""
        whole = self.song(song_map.flatten(1)) + self.static(static)
        window = self.window(rows.transpose(1, 2)).transpose(1, 2)
        return EncodedTracks(window + whole[:, None], song_map[:, :1, :0])


class _Half(nn.Module):
    """The rest of one of the two networks."""

    def __init__(self, layout: ObservationLayout, n_out: int, *, first: bool) -> None:
        super().__init__()
        self.mine = slice(0, WIDTH) if first else slice(WIDTH, 2 * WIDTH)
        path = layout.n_styles + layout.history_dim + layout.progress_dim + layout.n_actions
        self.path = nn.Linear(path, WIDTH, bias=False)
        self.deep, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, n_out)

    def numbers(self, unit: Float[Tensor, "envs width"], seen: Seen) -> Float[Tensor, "envs out"]:
        """What the last layer gives."""
        path = torch.cat([seen.style, seen.history, seen.progress, seen.mask.to(seen.style.dtype)], dim=1)
        hidden = torch.tanh(unit[:, self.mine] + self.path(path))
        numbers: Tensor = self.out(torch.tanh(self.deep(hidden)))
        return numbers


class PlainPolicy(_Half):
    """Masked logits."""

    def __init__(self, layout: ObservationLayout) -> None:
        super().__init__(layout, layout.n_actions, first=True)
        self.key = nn.Identity()

    def forward(self, unit: Float[Tensor, "envs width"], keys: Keys, seen: Seen) -> Float[Tensor, "envs actions"]:
        """No pointing: one logit per action."""
        return self.numbers(unit, seen).float().masked_fill(~seen.mask, ILLEGAL)

    def begin_refining(self) -> None:
        """There are no habits to freeze."""


class PlainValue(_Half):
    """The critic."""

    def __init__(self, layout: ObservationLayout) -> None:
        super().__init__(layout, 1, first=False)

    def forward(self, unit: Float[Tensor, "envs width"], seen: Seen) -> Float[Tensor, " envs"]:
        """The value of each state."""
        return self.numbers(unit, seen)[:, 0].float()


class PlainAgent(Agent):
    """An agent of plain networks, initialised as stable-baselines3 does: orthogonal, the last policy layer small."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        torch.manual_seed(config.training.seed)
        self.encoder = PlainEncoder(self.layout)
        self.policy, self.value = PlainPolicy(self.layout), PlainValue(self.layout)
        _orthogonal(self.encoder, self.policy, self.value)
        self.eval()
        self.to(self.device)


def _orthogonal(encoder: PlainEncoder, policy: PlainPolicy, value: PlainValue) -> None:
    """Gain sqrt(2) inside, 0.01 at the policy's end, 1 at the value's; zero biases (Huang et al. 2022, detail 2)."""
    for layer in (encoder.window, encoder.song, encoder.static, policy.path, value.path, policy.deep, value.deep):
        nn.init.orthogonal_(layer.weight.data.flatten(1), 2.0**0.5)
    nn.init.orthogonal_(policy.out.weight, 0.01)
    nn.init.orthogonal_(value.out.weight, 1.0)
    for layer in (encoder.static, policy.deep, value.deep, policy.out, value.out):
        nn.init.zeros_(layer.bias)
