"""Augmented copies of a recording to learn from: another sound, the same decisions.

A draw hangs on the recording's content and the copy's number alone: whoever makes the copy makes the same one.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace

import numpy as np

from rl_editor.analysis import Mono
from rl_editor.augmentation import augment_grid, augment_mono, draw_augmentation
from rl_editor.cache import get_cache
from rl_editor.config import Config
from rl_editor.demonstrations import Analysis
from rl_editor.features import FrameFeatures, extract_frames, pool_beats
from rl_editor.versions import READING, code_digest


def n_copies(config: Config) -> int:
    """How many each training song has: none in mode ``full``, as nobody separates stems of them."""
    makes = config.augmentation.enabled and config.features.feature_mode != "full"
    return config.augmentation.draws_per_track if makes else 0


def augmented_copy(
    load: Callable[[], Mono], analysis: Analysis, config: Config, *, track_id: str, number: int, view: str = "file"
) -> Analysis:
    """The analysis of copy ``number`` of a recording.

    Args:
        load: gives the recording's mono analysis view; called only when the copy is not in the cache.
        analysis: of the recording itself.
        config: reads ``audio``, ``augmentation``, ``features`` and ``data``.
        track_id: names the cache entry.
        number: which of its copies.
        view: names how ``load`` gets its samples, as in ``analysis.analyse``.
    """
    entropy = [number, int(analysis.source.sha256[:16], 16)]
    draw = draw_augmentation(config.augmentation, np.random.default_rng(entropy))

    def compute() -> Mapping[str, np.ndarray]:
        mono = augment_mono(load(), config.audio.sample_rate, draw, np.random.default_rng([*entropy, 1]))
        return extract_frames(mono, config).to_arrays()

    key = {
        "sha256": analysis.source.sha256,
        "view": view,
        "audio": asdict(config.audio),
        "draw": asdict(draw),
        "number": number,
        "code": code_digest("augmentation", "features", *READING),
    }
    arrays = get_cache(config).get_or_compute("features", f"{track_id}.aug{number}", key, compute)
    grid = augment_grid(analysis.grid, draw)
    source = replace(analysis.source, frames=max(1, round(grid.duration_s * analysis.source.sample_rate)))
    pooled = pool_beats(FrameFeatures.from_arrays(arrays), grid, mode=config.features.feature_mode)
    return Analysis(source, grid, pooled)
