"""From a recording to beats and features, through the side cache.

Three things are remembered separately, since they change for different reasons: frame features (hang on the audio
alone), the tracked grid, and stem features. Pooling is done on the corrected grid each time, so that an entry in
``beats.overrides`` recomputes no audio. Keys hold the content's SHA-256, the parameters that matter and a digest of
the source code that computes them: whoever changes an algorithm cannot forget to say so.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from rl_editor.beats import apply_override, track_beats
from rl_editor.cache import FeatureCache, get_cache
from rl_editor.config import Config
from rl_editor.demonstrations import Analysis
from rl_editor.edits import SourceInfo
from rl_editor.features import FrameFeatures, StemFrames, extract_frames, pool_beats, stem_frames
from rl_editor.grid import BeatGrid
from rl_editor.utils import Samples, check_length, load_audio, load_mono, source_info, to_mono
from rl_editor.versions import READING, code_digest

Mono = Float32[np.ndarray, " samples"]
_Key = Mapping[str, Any]


def analyse_track(
    path: str | Path, config: Config, *, track_id: str = "", recording: Samples | None = None
) -> Analysis:
    """Beats and features of an audio file.

    Args:
        path: the recording.
        config: reads ``audio``, ``beats``, ``features``, ``data`` and, in mode ``full``, ``stems``.
        track_id: names the cache entries and picks the entry of ``beats.overrides``; the file's stem by default.
        recording: the file's samples where they are at hand, so that it is not decoded again.

    Raises:
        AudioFileError: the file cannot be read, or is too short.
        StemError: mode ``full`` and the separation model cannot run.
    """
    file, shelf = Path(path), get_cache(config)
    source = source_info(file, sha256=shelf.hash_file(file) if file.is_file() else None)
    rate = config.audio.sample_rate
    return analyse(
        lambda: load_mono(file, rate) if recording is None else to_mono(recording, rate),
        source,
        config,
        track_id=track_id or file.stem,
        stems=lambda: separated(file, config, sha256=source.sha256),
    )


def analyse(
    load: Callable[[], Mono],
    source: SourceInfo,
    config: Config,
    *,
    track_id: str,
    stems: Callable[[], Mapping[str, Mono]] | None = None,
    view: str = "file",
) -> Analysis:
    """Beats and features of what ``load`` gives; it is called only when something is not in the cache.

    Args:
        load: gives the mono analysis view.
        source: the recording that it is a view of; its hash is the key.
        config: as in ``analyse_track``.
        track_id: names the cache entries and picks the entry of ``beats.overrides``.
        stems: gives the mono stems; needed in mode ``full``.
        view: names how ``load`` gets its samples; views that differ in their last bits do not share entries.
    """
    check_length(source.name, duration_s=source.frames / source.sample_rate, min_duration_s=config.audio.min_duration_s)
    shelf, mode = get_cache(config), config.features.feature_mode
    key = {"sha256": source.sha256, "view": view, "audio": asdict(config.audio)}
    mono = cache(load)
    frames = _cached_frames(shelf, mono, key, config, track_id)
    tracked = _cached_grid(shelf, mono, frames, key, config, track_id)
    grid = apply_override(tracked, config.beats.override_for(track_id))
    stem_features = None
    if mode == "full" and stems is not None:
        stem_features = _cached_stem_frames(shelf, stems, key, config, track_id)
    return Analysis(source, grid, pool_beats(frames, grid, mode=mode, stems=stem_features))


def separated(path: Path, config: Config, *, sha256: str) -> dict[str, Mono]:
    """The mono stems of a recording, from the cache (as FLAC) or separated now; the same bits either way."""
    from rl_editor.stems import load_stems, save_stems, separate, stems_key

    def make(folder: Path) -> None:
        found = separate(load_audio(path), config.stems)
        save_stems(folder, {name: _as_mono(samples, config) for name, samples in found.items()})

    key = {"sha256": sha256, "stems": stems_key(config.stems), "rate": config.audio.sample_rate, "stored": "flac"}
    with get_cache(config).folder("stems", path.stem, key, make) as folder:
        return {name: stem.data[:, 0] for name, stem in load_stems(folder).items()}


def _as_mono(samples: Samples, config: Config) -> Samples:
    rate = config.audio.sample_rate
    return Samples(to_mono(samples, rate)[:, None], rate)


def _cached_frames(
    shelf: FeatureCache, load: Callable[[], Mono], key: _Key, config: Config, name: str
) -> FrameFeatures:
    full = {**key, "what": "frames", "code": code_digest("features", *READING)}
    return FrameFeatures.from_arrays(
        shelf.get_or_compute("features", name, full, lambda: extract_frames(load(), config).to_arrays())
    )


def _cached_grid(
    shelf: FeatureCache, load: Callable[[], Mono], frames: FrameFeatures, key: _Key, config: Config, name: str
) -> BeatGrid:
    beats = {k: v for k, v in asdict(config.beats).items() if k != "overrides"}
    full = {**key, "what": "grid", "beats": beats, "code": code_digest("beats", "features", *READING)}
    arrays = shelf.get_or_compute(
        "metadata", name, full, lambda: _grid_arrays(track_beats(load(), config, frames=frames))
    )
    return BeatGrid(
        arrays["times_s"], arrays["bar_position"], int(arrays["beats_per_bar"]), float(arrays["confidence"])
    )


def _cached_stem_frames(
    shelf: FeatureCache, stems: Callable[[], Mapping[str, Mono]], key: _Key, config: Config, name: str
) -> StemFrames:
    from rl_editor.stems import stems_key

    full = {**key, "what": "stem frames", "stems": stems_key(config.stems), "code": code_digest("features", *READING)}
    return StemFrames.from_arrays(
        shelf.get_or_compute("features", f"{name}_stems", full, lambda: stem_frames(stems(), config).to_arrays())
    )


def _grid_arrays(grid: BeatGrid) -> dict[str, np.ndarray]:
    return {
        "times_s": grid.times_s,
        "bar_position": grid.bar_position,
        "beats_per_bar": np.array(grid.beats_per_bar),
        "confidence": np.array(grid.confidence),
    }
