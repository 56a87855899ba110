"""Whether a file can take a recording, asked before anything is computed."""

import re
from pathlib import Path

import numpy as np

from rl_editor.errors import AudioFileError
from rl_editor.files import scratch_folder
from rl_editor.utils import Samples, read_blocks, read_places, save_audio


def check_format(source: Path, output: Path) -> None:
    """Write a moment of silence as ``output`` would be written.

    Raises:
        AudioFileError: the source cannot be read; or the format is unknown, or does not take the recording's rate,
            channels or loudspeakers.
    """
    like = next(read_blocks(source))
    silence = np.zeros((like.sample_rate // 10, like.channels), np.float32)
    with scratch_folder() as folder:
        trial = folder / output.name
        try:
            save_audio(trial, Samples(silence, like.sample_rate), places=read_places(source))
        except AudioFileError as error:
            fault = re.sub(r"Error opening '[^']*': (Error : )?", "", str(error)).replace(str(trial), str(output))
            known = "can be written" in fault  # the extension is at fault, and the message names those that are known
            raise AudioFileError(fault if known else f"{fault}, as .wav, or convert {source.name} first") from None
