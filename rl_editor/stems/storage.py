"""Stems on disk: 24-bit FLAC, divided by the power of two in ``stems.json`` where a peak passes full scale."""

import json
from collections.abc import Mapping
from math import ceil, log2
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from rl_editor.errors import StemError, first_lines
from rl_editor.files import write_json
from rl_editor.stems.names import STEM_NAMES
from rl_editor.utils import Samples, load_audio, save_audio

_MANIFEST = "stems.json"
_FORMAT = "rl-editor/stems"
_VERSION = 1
_FULL_SCALE = 1.0 - 2.0**-23  # the largest 24-bit sample


def save_stems(folder: str | Path, stems: Mapping[str, Samples], *, residual_db: float | None = None) -> None:
    """Write stems as FLAC beside ``stems.json`` with their scales and how far they are from adding up to the mix."""
    target = Path(folder)
    scales = {name: _scale(stem.data) for name, stem in stems.items()}
    for name, stem in stems.items():
        save_audio(target / f"{name}.flac", _scaled(stem, 1.0 / scales[name]), subtype="PCM_24")
    write_json(
        target / _MANIFEST, {"format": _FORMAT, "version": _VERSION, "scales": scales, "residual_db": residual_db}
    )


def load_stems(folder: str | Path) -> dict[str, Samples]:
    """Stems that ``save_stems`` wrote, to within half a step of 24 bits at their scale.

    Raises:
        StemError: the folder holds no stems of this format.
        AudioFileError: a stem cannot be read.
    """
    manifest = Path(folder) / _MANIFEST
    try:
        value = json.loads(manifest.read_text(encoding="utf-8"))
        if (value["format"], value["version"]) != (_FORMAT, _VERSION):
            raise ValueError(f"format {value['format']!r} version {value['version']!r}")
        scales = {str(name): float(scale) for name, scale in value["scales"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        fault = first_lines(error)
        raise StemError(f"{folder}: no stems of this project ({fault}); separate the recording again") from None
    stored = {name: load_audio(Path(folder) / f"{name}.flac") for name in _ordered(scales)}
    return {name: _scaled(stem, scales[name]) for name, stem in stored.items()}


def _scaled(stem: Samples, factor: float) -> Samples:
    return stem if factor == 1.0 else Samples(stem.data * np.float32(factor), stem.sample_rate)


def _scale(data: Float32[np.ndarray, "frames channels"]) -> float:
    """The power of two, at least 1, that brings the peak within full scale; dividing by it rounds nothing."""
    peak = max(-float(data.min(initial=0.0)), float(data.max(initial=0.0)))
    return 1.0 if peak <= _FULL_SCALE else 2.0 ** ceil(log2(peak / _FULL_SCALE))


def _ordered(scales: Mapping[str, float]) -> list[str]:
    known = [name for name in STEM_NAMES if name in scales]
    return known + sorted(set(scales) - set(known))
