"""Whether a file can take a recording, asked before anything is computed."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile as sf

from rl_editor.errors import AudioFileError
from rl_editor.files import scratch_folder
from rl_editor.render.sources import subtype_of
from rl_editor.utils import FFMPEG_SUFFIXES, Samples, format_of, open_output, read_blocks, read_places, save_audio


def check_format(
    source: Path, output: Path, *, length_s: float = 0.0, write: Callable[[Path, Samples], None] | None = None
) -> None:
    """Write a moment of silence as ``output`` would be written, by ``write`` where ``save_audio`` does not.

    Raises:
        AudioFileError: the source cannot be read; or the format is unknown, or does not take the recording's rate,
            channels or loudspeakers, or cannot count ``length_s`` of it.
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
    if output.suffix.lower() not in FFMPEG_SUFFIXES:
        open_output(  # refuses what is too long, and opens nothing
            output,
            sample_rate=like.sample_rate,
            channels=like.channels,
            subtype=output_subtype(output, subtype_of(source), like.channels),
            frames=round(length_s * like.sample_rate),
        )


def output_subtype(output: Path, subtype: str | None, channels: int) -> str | None:
    """The source's own subtype where the output's format has it; None leaves it to the format."""
    if subtype is None or not sf.check_format(format_of(output), subtype):
        return None
    if subtype.startswith("ALAC") and channels > 2:
        return None  # libsndfile 1.2.2 may end the whole program in writing it
    return subtype
