"""Features of what is heard: 52 per frame from one STFT, pooled to 4, 109 or 121 per beat.

Conventions: frame t is centred on sample ``t * hop_length``; frame features equal librosa's (to 1e-4 of a standard
deviation), named by ``FRAME_NAMES``; beat features are the means over the frames of a beat (at least one), followed
by rhythmic columns, by derivatives along beats, and in mode ``full`` by stem columns. Everything is finite on any
input: silence, DC, one beat. Frame features are what is worth caching: pooling is redone when the grid changes.
Pitch classes count from C; keys 0..11 are C major .. B major, 12..23 C minor .. B minor.

Memory: the signal is taken in blocks; an hour needs its features (about 32 MB), its mel spectrum (80 MB) and, up to
``_KEPT_POWER_BYTES``, its power spectrum, which otherwise is computed a second time for the chroma.

Sources: librosa 0.11 (``feature``, ``onset``, ``pitch_tuning``, ``piptrack``) for the definitions; Jiang et al. 2002
(spectral contrast); Krumhansl and Kessler 1982, the probe-tone profiles, for the key.
"""

from rl_editor.features.frames import extract_frames, stem_frames
from rl_editor.features.names import (
    FEATURE_NAMES,
    FRAME_NAMES,
    PITCH_CLASSES,
    STEM_NAMES,
    feature_dim,
)
from rl_editor.features.pooling import estimate_key, pool_beats
from rl_editor.features.values import BeatFeatures, FrameFeatures, StemFrames

__all__ = [
    "FEATURE_NAMES",
    "FRAME_NAMES",
    "PITCH_CLASSES",
    "STEM_NAMES",
    "BeatFeatures",
    "FrameFeatures",
    "StemFrames",
    "estimate_key",
    "extract_frames",
    "feature_dim",
    "pool_beats",
    "stem_frames",
]
