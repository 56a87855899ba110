"""Whether a file can take a recording, asked before anything is computed."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rl_editor.errors import AudioFileError
from rl_editor.files import scratch_folder
from rl_editor.utils import Samples, read_blocks, read_places, save_audio


def check_format(source: Path, output: Path, *, write: Callable[[Path, Samples], None] | None = None) -> None:
    """Write a moment of silence as ``output`` would be written, by ``write`` where ``save_audio`` does not.

    Raises:
        AudioFileError: the source cannot be read; or the format is unknown, or does not take the recording's rate,
            channels or loudspeakers.
    """
    like = next(read_blocks(source))
    silence = Samples(np.zeros((like.sample_rate // 10, like.channels), np.float32), like.sample_rate)
    with scratch_folder() as folder:
        trial = folder / output.name
        try:
            if write is None:
                save_audio(trial, silence, places=read_places(source))
            else:
                write(trial, silence)
        except AudioFileError as error:
            fault = re.sub(r"Error opening '[^']*': (Error : )?", "", str(error)).replace(str(trial), str(output))
            known = "can be written" in fault  # the extension is at fault, and the message names those that are known
            raise AudioFileError(fault if known else f"{fault}, as .wav, or convert {source.name} first") from None
