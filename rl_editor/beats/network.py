"""A small network that hears where beats and downbeats are; its weights lie in this package.

Conventions: frames and bands are those of ``spectrum.log_mel``; what comes out are logits per frame, of a beat and of
a downbeat. Shapes: batch, bands, frames, channels.

Architecture after Davies and Böck 2019, "Temporal convolutional networks for musical audio beat tracking": a
convolutional front end over a log-mel spectrum, then dilated convolutions over time, whose reach doubles from layer to
layer; two dilations per layer as in Böck and Davies 2020. The weights were learned from rendered songs alone, whose
beats are exact: ``python -m benchmarks.beats.train``, figures in docs/beats.md.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float16, Float64
from safetensors.torch import load_file
from torch import Tensor, nn

from rl_editor.devices import torch_threads

WEIGHTS = Path(__file__).with_name("weights.safetensors")

_CHANNELS = 24
_DILATIONS = tuple(2**k for k in range(10))  # the last reaches 20 s, its far half 41
_FRONT_REACH = 2  # frames to either side that the front end hears
_FRONT_FRAMES = 4096  # and how many it takes at a time: it holds 6 kB of each


class BeatNetwork(nn.Module):
    """Log-mel frames to logits of beat and downbeat."""

    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Sequential(
            nn.BatchNorm2d(1),
            nn.Conv2d(1, 12, (3, 3), padding=(0, 1)), nn.BatchNorm2d(12), nn.ELU(), nn.MaxPool2d((3, 1)),
            nn.Conv2d(12, _CHANNELS, (3, 3), padding=(0, 1)), nn.BatchNorm2d(_CHANNELS), nn.ELU(), nn.MaxPool2d((3, 1)),
            nn.Conv2d(_CHANNELS, _CHANNELS, (6, 1)), nn.ELU(),
        )  # fmt: skip
        self.layers = nn.ModuleList(_Dilated(_CHANNELS, dilation) for dilation in _DILATIONS)
        self.out = nn.Linear(_CHANNELS, 2)

    def forward(self, log_mel: Float[Tensor, "batch frames bands"]) -> Float[Tensor, "batch frames 2"]:
        """Logits of beat and downbeat per frame."""
        hidden = torch.cat([self._fronted(log_mel, at) for at in range(0, log_mel.shape[1], _FRONT_FRAMES)], dim=2)
        for layer in self.layers:
            hidden = layer(hidden)
        logits: Tensor = self.out(nn.functional.elu(hidden).transpose(1, 2))
        return logits

    def _fronted(self, log_mel: Float[Tensor, "batch frames bands"], at: int) -> Float[Tensor, "batch channels piece"]:
        """The front end's output from frame ``at`` on, as if it had heard all frames at once."""
        first, last = max(at - _FRONT_REACH, 0), at + _FRONT_FRAMES + _FRONT_REACH
        heard: Tensor = self.front(log_mel[:, first:last].float().transpose(1, 2)[:, None]).squeeze(2)
        return heard[:, :, at - first : at - first + _FRONT_FRAMES]


class _Dilated(nn.Module):
    """Two dilated convolutions side by side, mixed and added to what came in."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.near = nn.Conv1d(channels, channels, 5, dilation=dilation, padding=2 * dilation)
        self.far = nn.Conv1d(channels, channels, 5, dilation=2 * dilation, padding=4 * dilation)
        self.mix = nn.Conv1d(2 * channels, channels, 1)
        self.dropout = nn.Dropout(0.1)

    def forward(self, hidden: Float[Tensor, "batch channels frames"]) -> Float[Tensor, "batch channels frames"]:
        heard = self.dropout(nn.functional.elu(torch.cat([self.near(hidden), self.far(hidden)], dim=1), inplace=True))
        mixed: Tensor = hidden + self.mix(heard)
        return mixed


@cache
def trained_network() -> BeatNetwork:
    """The network with the weights of this package."""
    network = BeatNetwork()
    network.load_state_dict(load_file(str(WEIGHTS)))
    return network.eval()


def probabilities(mel: Float16[np.ndarray, "frames bands"]) -> Float64[np.ndarray, "frames 2"]:
    """How likely each frame is a beat and a downbeat, by ``spectrum.log_mel``.

    By one thread, as sums split over threads differ in their last bits: torch may be imported only now, and then
    ``executor.one_thread`` around it could not hold it back.
    """
    with torch.inference_mode(), torch_threads(1):
        probable: np.ndarray = torch.sigmoid(trained_network()(torch.from_numpy(mel)[None])[0]).double().numpy()
    return probable
