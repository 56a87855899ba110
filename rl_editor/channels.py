"""Edits whose mono sum is not the raw's: the polarity of one channel inverted, or one channel of a stereo recording."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from rl_editor.utils import BLOCK_FRAMES, Samples, audio_info, read_blocks
from rl_editor.utils.samples import mixed_down

HEARD_S = 60.0
ONE_SIGNAL_SHARE = 1e-4  # of the louder channel's power: what a lossy codec or dither leaves of nothing


def load_turned(path: str | Path, sample_rate: int) -> Float32[np.ndarray, " samples"] | None:
    """The mono view of a recording with its left channel turned over, streamed; None where there are not two channels.

    Raises:
        AudioFileError: the file cannot be read.
    """
    if audio_info(path).channels != 2:
        return None
    turns = np.array([-1, 1], np.float32)
    return mixed_down((Samples(block.data * turns, block.sample_rate) for block in read_blocks(path)), sample_rate)


def looks_turned(path: str | Path, raw_path: str | Path) -> bool:
    """Whether left and right, over the first minute, go together in one of the two files and against each other in
    the other; a hint alone, since other passages of a song may be mixed otherwise."""
    return channel_product(path) * channel_product(raw_path) < 0


def channel_product(path: str | Path) -> float:
    """The inner product of left and right over the first minute, below 0 where they go against each other; 0 where
    there are not two channels."""
    product = 0.0
    for k, block in enumerate(read_blocks(path)):
        if block.channels != 2 or k * BLOCK_FRAMES > HEARD_S * block.sample_rate:
            break
        product += float(block.data[:, 0] @ block.data[:, 1])
    return product


def load_channel(path: str | Path, sample_rate: int, *, channel: int) -> Float32[np.ndarray, " samples"]:
    """One channel of a recording, streamed.

    Raises:
        AudioFileError: the file cannot be read.
    """
    blocks = (Samples(block.data[:, channel : channel + 1], block.sample_rate) for block in read_blocks(path))
    return mixed_down(blocks, sample_rate)


def is_one_signal(path: str | Path) -> bool:
    """Whether a recording has one channel, or two of which, over the first minute, one is silent or both are alike."""
    channels = audio_info(path).channels
    if channels != 2:
        return channels == 1
    powers = np.zeros(3)  # of left, right and what they differ by
    for k, block in enumerate(read_blocks(path)):
        if k * BLOCK_FRAMES > HEARD_S * block.sample_rate:
            break
        left, right = block.data.T
        powers += [float(x @ x) for x in (left, right, left - right)]
    return bool(powers.min() <= ONE_SIGNAL_SHARE * powers[:2].max())
