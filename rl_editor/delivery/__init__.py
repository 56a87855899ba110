"""An edit handed over: its audio, with what its recording says of itself and stays true of an edit.

Rendering keeps rate, channels, depth and the few tags that libsndfile knows. Where ffmpeg and ffprobe are on the PATH,
FLAC, MP3, Ogg, Opus and MP4 outputs get the others too, and the cover; WAV, AIFF and CAF have no room for them in
libsndfile. Without these programs an edit is what ``render`` makes.

    belongings  what a recording says of itself
    tagging     tags and covers into a file that is written, its audio untouched
    ogg         comments into Ogg Vorbis and Opus
    mp4         .m4a and .mp4: their exact length, lossless where the recording is
    programs    ffmpeg and ffprobe
"""

from collections.abc import Mapping
from pathlib import Path

from rl_editor.config import Config
from rl_editor.delivery.belongings import Belongings, read_belongings
from rl_editor.delivery.mp4 import MP4_SUFFIXES, says_length_exactly, write_mp4
from rl_editor.delivery.programs import has_programs
from rl_editor.delivery.tagging import TAGGED_SUFFIXES, add_belongings
from rl_editor.edits import EditList
from rl_editor.files import replacing_together, scratch_folder, write_text
from rl_editor.render import check_format, render_file
from rl_editor.utils import Samples, load_audio, read_places

__all__ = ["check_delivery", "deliver", "exactness_notes"]


def deliver(
    edit: EditList,
    source: Path,
    output: Path,
    config: Config,
    *,
    recording: Samples | None = None,
    beside: Mapping[Path, str] | None = None,
) -> None:
    """Write the audio of an edit list, and what its recording says of itself; takes and raises as ``render_file``.

    ``beside`` are texts to write into further files, such as the edit list. All files are there at once or not at all:
    no audio is without its tags or its edit list, or with that of an edit before.
    """
    with replacing_together() as stage:
        for path, text in (beside or {}).items():
            write_text(stage(path), text)
        _write(edit, source, stage(output), config, recording)


def _write(edit: EditList, source: Path, output: Path, config: Config, recording: Samples | None) -> None:
    suffix = output.suffix.lower()
    if suffix in MP4_SUFFIXES and has_programs():
        with scratch_folder() as folder:
            rendered = folder / "rendered.rf64"
            render_file(edit, source, rendered, config, recording=recording)
            write_mp4(output, load_audio(rendered), read_belongings(source), places=read_places(source))
        return
    render_file(edit, source, output, config, recording=recording)
    if suffix in TAGGED_SUFFIXES and has_programs():
        add_belongings(output, read_belongings(source))


def exactness_notes(source: Path, output: Path) -> tuple[str, ...]:
    """What somebody has to know who asked for an exact length; nothing where every player plays just that."""
    if output.suffix.lower() not in MP4_SUFFIXES or (has_programs() and read_belongings(source).alac_bits):
        return ()
    if not has_programs() or not says_length_exactly():
        return (
            f"{output.name} says its length to the millisecond, and may lack the end or play up to 1023 samples more: "
            "to say it exactly takes ffmpeg 5 or later and ffprobe; .flac is exact",
        )
    return (
        f"{output.name} says its exact length, but some players (ffmpeg's) play the last block of AAC to its end, "
        "up to 1023 samples more; .flac has none",
    )


def check_delivery(source: Path, output: Path, *, length_s: float = 0.0) -> None:
    """Whether ``output`` takes the recording, and so much of it, asked before anything is computed.

    Args:
        source: the recording.
        output: the file to write.
        length_s: of what is to be written, where that is known.

    Raises:
        AudioFileError: as of ``render.check_format``.
    """
    if output.suffix.lower() in MP4_SUFFIXES and has_programs():
        plain, places = Belongings(source, alac_bits=read_belongings(source).alac_bits), read_places(source)
        check_format(source, output, write=lambda trial, silence: write_mp4(trial, silence, plain, places=places))
        return
    check_format(source, output, length_s=length_s)
