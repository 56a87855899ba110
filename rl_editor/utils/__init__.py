"""Audio files and spectra.

samples    audio in memory, and the mean of its channels
streams    audio in pieces: resampled, cut to length, overlapping
reading    recordings from files; what is broken is refused
writing    recordings to files, whole or not at all
headers    how much audio a header announces
mp3        whether an MP3 says how long it is
elsewhere  what libsndfile cannot read: ffmpeg, PyAV
spectra    one STFT for all, mel spectrograms
"""

from rl_editor.utils.reading import (
    LOUDEST,
    TAGS,
    audio_info,
    check_length,
    load_audio,
    load_mono,
    read_blocks,
    read_places,
    read_tags,
    source_info,
)
from rl_editor.utils.samples import BLOCK_FRAMES, AudioInfo, Samples, mean_of_channels, to_mono
from rl_editor.utils.spectra import (
    mel_filters,
    mel_spectrogram,
    n_spectrum_frames,
    padded_span,
    power,
    stft_blocks,
    to_db,
)
from rl_editor.utils.writing import (
    AUDIO_SUFFIXES,
    FFMPEG_SUFFIXES,
    WHOLE_BLOCKS,
    format_of,
    open_output,
    save_audio,
    write_frames,
)

__all__ = [
    "AUDIO_SUFFIXES",
    "BLOCK_FRAMES",
    "FFMPEG_SUFFIXES",
    "LOUDEST",
    "TAGS",
    "WHOLE_BLOCKS",
    "AudioInfo",
    "Samples",
    "audio_info",
    "check_length",
    "format_of",
    "load_audio",
    "load_mono",
    "mean_of_channels",
    "mel_filters",
    "mel_spectrogram",
    "n_spectrum_frames",
    "open_output",
    "padded_span",
    "power",
    "read_blocks",
    "read_places",
    "read_tags",
    "save_audio",
    "source_info",
    "stft_blocks",
    "to_db",
    "to_mono",
    "write_frames",
]
