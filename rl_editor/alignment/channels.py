"""One channel of a stereo edit with its polarity turned over: its mono mix would be the raw's difference.

Conventions: correlation is that of the left with the right channel, over the first minute; files of other channel
counts have none.
"""

from math import sqrt
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from rl_editor.utils import BLOCK_FRAMES, Samples, load_audio, load_mono, read_blocks, to_mono

HEARD_S = 60.0
CLEAR = 0.2  # correlations of opposite signs, each this far from 0, are no matter of which passages were kept


def load_like(path: str | Path, raw_path: str | Path, sample_rate: int) -> Float32[np.ndarray, " samples"]:
    """The edit's mono view, its left channel turned over where that is what makes it like the raw.

    Raises:
        AudioFileError: a file cannot be read.
    """
    raw, edit = channel_correlation(raw_path), channel_correlation(path)
    if abs(raw) < CLEAR or abs(edit) < CLEAR or raw * edit > 0:
        return load_mono(path, sample_rate)
    audio = load_audio(path)
    return to_mono(Samples(audio.data * np.array([-1, 1], np.float32), audio.sample_rate), sample_rate)


def channel_correlation(path: str | Path) -> float:
    """Of left with right; 0 where there are not two channels, or one is silent."""
    cross = left = right = 0.0
    for k, block in enumerate(read_blocks(path)):
        if block.channels != 2 or k * BLOCK_FRAMES > HEARD_S * block.sample_rate:
            break
        x, y = block.data[:, 0].astype(np.float64), block.data[:, 1].astype(np.float64)
        cross, left, right = cross + float(x @ y), left + float(x @ x), right + float(y @ y)
    return cross / sqrt(left * right) if left * right > 0 else 0.0
