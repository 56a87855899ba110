"""One channel of a stereo edit with its polarity turned over: its mono mix is the raw's difference."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from rl_editor.utils import Samples, audio_info, load_audio, to_mono


def load_turned(path: str | Path, sample_rate: int) -> Float32[np.ndarray, " samples"] | None:
    """The mono view of a recording with its left channel turned over; None where there are not two channels.

    Raises:
        AudioFileError: the file cannot be read.
    """
    if audio_info(path).channels != 2:
        return None
    audio = load_audio(path)
    return to_mono(Samples(audio.data * np.array([-1, 1], np.float32), audio.sample_rate), sample_rate)
