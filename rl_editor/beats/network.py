"""A small network that hears where beats and downbeats are; its weights lie in this package.

Conventions: the signal at 22,050 Hz; frame t is centred on sample 441 t, 50 frames per second; what comes out are
logits per frame, of a beat and of a downbeat. Shapes: batch, bands, frames, channels.

Architecture after Davies and Böck 2019, "Temporal convolutional networks for musical audio beat tracking": a
convolutional front end over a log-mel spectrum, then dilated convolutions over time, whose reach doubles from layer to
layer; two dilations per layer as in Böck and Davies 2020. The weights were learned from rendered songs alone, whose
beats are exact: ``python -m benchmarks.beats.train``, figures in docs/beats.md.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soxr
import torch
from jaxtyping import Float, Float16, Float32
from safetensors.torch import load_file
from torch import Tensor, nn

from rl_editor.utils import mel_filters, n_spectrum_frames, power, stft_blocks

RATE_HZ, HOP_SAMPLES, FFT_SAMPLES, N_BANDS = 22_050, 441, 1024, 64
FRAME_RATE_HZ = RATE_HZ / HOP_SAMPLES
WEIGHTS = Path(__file__).with_name("weights.safetensors")

_CHANNELS = 24
_DILATIONS = tuple(2**k for k in range(10))  # the last reaches 20 s, its far half 41
_COMPRESSION = 30.0  # log1p of this times magnitude over its mean
_FRONT_REACH = 2  # frames to either side that the front end hears
_FRONT_FRAMES = 4096  # and how many it takes at a time: it holds 6 kB of each


class Activations(NamedTuple):
    """Probabilities per frame."""

    beat: Float[np.ndarray, " frames"]
    downbeat: Float[np.ndarray, " frames"]  # a downbeat is a beat as well

    def near(self, times_s: Float[np.ndarray, " times"]) -> "Activations":
        """The largest probabilities within a frame of each time."""
        at = np.rint(times_s * FRAME_RATE_HZ).astype(int)
        around = np.clip(at[:, None] + np.arange(-1, 2), 0, len(self.beat) - 1)
        return Activations(self.beat[around].max(axis=1), self.downbeat[around].max(axis=1))


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


def log_mel(mono: Float32[np.ndarray, " samples"], sample_rate: int) -> Float16[np.ndarray, "frames bands"]:
    """What the network hears: log(1 + c m / mean(m)) of the mel magnitude m, whatever the signal's level.

    In half precision, which it learned from and which is kept.
    """
    signal = mono if sample_rate == RATE_HZ else soxr.resample(mono, sample_rate, RATE_HZ)
    filters = mel_filters(RATE_HZ, FFT_SAMPLES, N_BANDS)
    mel, at = np.zeros((n_spectrum_frames(len(signal), hop_length=HOP_SAMPLES), N_BANDS), np.float32), 0
    for spectrum in stft_blocks(signal, n_fft=FFT_SAMPLES, hop_length=HOP_SAMPLES):
        mel[at : at + len(spectrum)] = np.sqrt(power(spectrum) @ filters)
        at += len(spectrum)
    mean = float(mel.mean(dtype=np.float64))
    mel *= np.float32(_COMPRESSION / max(mean, 1e-9))
    return np.log1p(mel, out=mel).astype(np.float16)


@cache
def trained_network() -> BeatNetwork:
    """The network with the weights of this package."""
    network = BeatNetwork()
    network.load_state_dict(load_file(str(WEIGHTS)))
    return network.eval()


def activations(mel: Float16[np.ndarray, "frames bands"]) -> Activations:
    """How likely each frame is a beat and a downbeat, by ``log_mel``."""
    with torch.inference_mode():
        probable = torch.sigmoid(trained_network()(torch.from_numpy(mel)[None])[0]).double().numpy()
    return Activations(probable[:, 0], np.minimum(probable[:, 1], probable[:, 0]))
