"""MP4 files (.m4a, .mp4) by ffmpeg: AAC, or Apple Lossless where the recording is.

AAC holds blocks of 1024 samples; how many play is said by an edit list in units of the movie's timescale. ffmpeg's
usual timescale is 1000 per second, which rounds a length to the millisecond and may lose the last block; here it is
the sample rate. Players that heed the edit list play the length to the sample; ffmpeg (5.1 and 8, measured) plays the
last block to its end. Apple Lossless counts samples itself.

Source: ISO/IEC 14496-12, 8.6.6 (edit list), 8.2.2 (movie header).
"""

from pathlib import Path

from rl_editor.delivery.belongings import Belongings
from rl_editor.delivery.programs import muxer_takes
from rl_editor.delivery.tagging import cover_arguments, say_without_cover, write_tag_file
from rl_editor.errors import AudioFileError
from rl_editor.files import scratch_folder
from rl_editor.utils import Samples
from rl_editor.utils.elsewhere import named
from rl_editor.utils.writing import save_with_ffmpeg, within_full_scale

MP4_SUFFIXES = frozenset({".m4a", ".mp4"})


def says_length_exactly() -> bool:
    """Whether files of ``write_mp4`` say their length to the sample: by ffmpeg 5.0 and later."""
    return muxer_takes("mp4", "movie_timescale")


def write_mp4(path: Path, samples: Samples, belongings: Belongings, *, places: tuple[int, ...]) -> None:
    """Write audio with what its recording says of itself, whole or not at all; a cover failing, without it.

    Raises:
        AudioFileError: ffmpeg cannot write it, or the codec holds no such rate.
        OutputError: the disk is full.
    """
    samples = within_full_scale(path, samples)
    coding = ["-map", "0:a", *_codec(belongings.alac_bits), "-map_metadata", "1", "-map_chapters", "-1"]
    if says_length_exactly():
        coding += ["-movie_timescale", str(samples.sample_rate)]
    with scratch_folder() as folder:
        tags = folder / "tags.txt"
        write_tag_file(tags, belongings, path.suffix.lower())
        inputs = ["-f", "ffmetadata", "-i", named(tags)]
        pictures, mapped = cover_arguments(belongings)
        try:
            save_with_ffmpeg(path, samples, inputs=[*inputs, *pictures], coding=[*coding, *mapped], places=places)
        except AudioFileError:
            if not mapped:
                raise
            save_with_ffmpeg(path, samples, inputs=inputs, coding=coding, places=places)
            say_without_cover(path)


def _codec(alac_bits: int) -> list[str]:
    """ffmpeg's encoder of Apple Lossless takes 16 or 24 bits of a sample: of 20 it makes 24, and cuts 32 to 24."""
    if not alac_bits:
        return ["-c:a", "aac"]
    return ["-c:a", "alac", "-sample_fmt", "s16p" if alac_bits <= 16 else "s32p"]
