"""MP4 files (.m4a, .mp4) by ffmpeg: AAC, or Apple Lossless where the recording is.

AAC holds blocks of 1024 samples; how many play is said by an edit list in units of the movie's timescale. ffmpeg's
usual timescale is 1000 per second, which rounds a length to the millisecond and may lose the last block; here it is
the sample rate. Players that heed the edit list play the length to the sample; ffmpeg (5.1 and 8, measured) plays the
last block to its end. Apple Lossless counts samples itself.

Source: ISO/IEC 14496-12, 8.6.6 (edit list), 8.2.2 (movie header).
"""

import logging
from pathlib import Path

import numpy as np

from rl_editor.delivery.belongings import Belongings
from rl_editor.delivery.programs import muxer_takes, run_ffmpeg
from rl_editor.delivery.tagging import cover_arguments, say_without_cover, write_tag_file
from rl_editor.errors import AudioFileError
from rl_editor.files import replacing, scratch_folder
from rl_editor.utils import Samples, save_audio
from rl_editor.utils.elsewhere import named

MP4_SUFFIXES = frozenset({".m4a", ".mp4"})
_THREE = (2, 3, 4)  # left, right, centre, as FLAC means three channels; ffmpeg would take the last for the bass
_log = logging.getLogger(__name__)


def write_mp4(path: Path, samples: Samples, belongings: Belongings, *, places: tuple[int, ...]) -> None:
    """Write audio with what its recording says of itself, whole or not at all; a cover failing, without it.

    Raises:
        AudioFileError: ffmpeg cannot write it.
        OutputError: the disk is full.
    """
    with scratch_folder() as folder, replacing(path) as temporary:
        plain, tags = folder / "audio.rf64", folder / "tags.txt"
        places = places or (_THREE if samples.channels == len(_THREE) else ())
        save_audio(plain, _within_full_scale(path, samples), subtype="FLOAT", places=places)
        write_tag_file(tags, belongings, path.suffix.lower())
        given = ["-i", named(plain), "-f", "ffmetadata", "-i", named(tags)]
        coded = [*_codec(belongings.alac_bits), "-map_metadata", "1", "-map_chapters", "-1"]
        if muxer_takes("mp4", "movie_timescale"):  # ffmpeg 5.0 and later
            coded += ["-movie_timescale", str(samples.sample_rate)]
        coded += ["-fflags", "+bitexact", named(temporary)]
        pictures, mapped = cover_arguments(belongings, 2)
        try:
            run_ffmpeg(path, *given, *pictures, "-map", "0:a", *mapped, *coded)
        except AudioFileError:
            if not mapped:
                raise
            run_ffmpeg(path, *given, "-map", "0:a", *coded)
            say_without_cover(path)


def _codec(alac_bits: int) -> list[str]:
    """ffmpeg's encoder of Apple Lossless takes 16 or 24 bits of a sample."""
    if not alac_bits:
        return ["-c:a", "aac"]
    return ["-c:a", "alac", "-sample_fmt", "s16p" if alac_bits <= 16 else "s32p"]


def _within_full_scale(path: Path, samples: Samples) -> Samples:
    """Clipped, with a word."""
    peak = float(np.abs(samples.data).max(initial=0.0))
    if peak <= 1.0:
        return samples
    over_db = 20.0 * np.log10(peak)
    _log.warning("%s: clipped, since %s holds nothing beyond full scale (%+.1f dBFS)", path, path.suffix, over_db)
    return Samples(np.clip(samples.data, -1.0, 1.0), samples.sample_rate)
