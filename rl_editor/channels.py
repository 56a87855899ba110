"""Stereo edits with the polarity of one channel inverted: their mono sum is the raw's side signal."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from rl_editor.utils import BLOCK_FRAMES, Samples, audio_info, read_blocks
from rl_editor.utils.samples import mixed_down

HEARD_S = 60.0


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
