"""Audio in memory, the mean of its channels, and what a file says about itself.

Conventions: samples are float32 in [-1, 1] nominally (peaks may pass 1.0 in float files), shape
``[frames, channels]``; a frame holds one sample of every channel. Channels are in WAVE's order (``speakers``).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from rl_editor.utils.streams import begun, gathered

BLOCK_FRAMES = 1 << 16  # frames read or written at a time; libsndfile crashes when a long OGG is written in one call


@dataclass(frozen=True, eq=False)
class Samples:
    """Audio in memory: float32 frames by channels, at ``sample_rate`` Hz."""

    data: Float32[np.ndarray, "frames channels"]
    sample_rate: int

    @property
    def frames(self) -> int:
        """Number of frames."""
        return int(self.data.shape[0])

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.data.shape[1])

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate


@dataclass(frozen=True)
class AudioInfo:
    """What a file says about itself; ``format`` and ``subtype`` in libsndfile's words (WAV, PCM_16)."""

    sample_rate: int  # Hz
    channels: int
    frames: int
    format: str
    subtype: str

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate


def to_mono(samples: Samples, sample_rate_hz: int) -> Float32[np.ndarray, " samples"]:
    """The mean of the channels at ``sample_rate_hz``: what ``load_mono`` gives for the same audio."""
    starts = range(0, max(samples.frames, 1), BLOCK_FRAMES)
    blocks = (Samples(samples.data[a : a + BLOCK_FRAMES], samples.sample_rate) for a in starts)
    return mixed_down(blocks, sample_rate_hz)


def mixed_down(blocks: Iterable[Samples], sample_rate_hz: int) -> Float32[np.ndarray, " samples"]:
    """The mean of the channels of a recording in blocks, ceil(frames * sample_rate_hz / rate) samples of it."""
    first, blocks = begun(blocks)
    mixed = (mean_of_channels(block.data)[:, None] for block in blocks)
    return gathered(mixed, first.sample_rate, sample_rate_hz)[:, 0]


def mean_of_channels(data: Float32[np.ndarray, "frames channels"]) -> Float32[np.ndarray, " frames"]:
    """One channel, as loud as each of them."""
    mixed = data[:, 0].copy()
    for channel in range(1, data.shape[1]):
        mixed += data[:, channel]
    if data.shape[1] > 1:
        mixed *= np.float32(1.0 / data.shape[1])
    return mixed
