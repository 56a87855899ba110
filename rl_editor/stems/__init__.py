"""Stems: drums, bass, vocals and other, separated by the real Demucs (or, without weights, ``hpss``), kept as FLAC.

Conventions: every stem has the rate, channels and length of the recording; stems add up to the recording as closely as
the model's do. Channels beyond two are separated in pairs; a single one is played to the model on both sides. The same
weights, recording and settings give the same samples on one kind of CPU (``shifts=0``: Demucs' random shifts are off).

names        what stems are called
weights      of Demucs' models: from a folder or its hub, and nothing that runs foreign code
separation   of a recording in memory, or piece by piece of any length
segments     a Demucs model over a recording, in batches of segments
hpss         without a model
storage      FLAC with a scale
"""

from rl_editor.stems.names import HPSS, STEM_NAMES
from rl_editor.stems.separation import (
    segments_at_a_time,
    separate,
    separated_pieces,
    separating_workers,
    stems_key,
)
from rl_editor.stems.storage import load_stems, save_stems
from rl_editor.stems.weights import Weights, find_weights, load_model

__all__ = [
    "HPSS",
    "STEM_NAMES",
    "Weights",
    "find_weights",
    "load_model",
    "load_stems",
    "save_stems",
    "segments_at_a_time",
    "separate",
    "separated_pieces",
    "separating_workers",
    "stems_key",
]
