"""From a recording to beats and features, through the side cache.

Four things are remembered separately, since they change for different reasons: frame features and the mel spectrum
that beats are heard in (both hang on the audio alone), the tracked grid, and stem features. Pooling is done on the
corrected grid each time, so that an entry in ``beats.overrides`` recomputes no audio. Keys hold the content's SHA-256,
the parameters that matter and a digest of the source code that computes them: whoever changes an algorithm cannot
forget to say so.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float16, Float32

from rl_editor.beats import apply_override, chosen_tracker, grid_of, listened, log_mel, tracker_version
from rl_editor.cache import FeatureCache, get_cache
from rl_editor.config import Config
from rl_editor.demonstrations import Analysis
from rl_editor.edits import SourceInfo
from rl_editor.executor import one_thread
from rl_editor.features import FrameFeatures, StemFrames, extract_frames, pool_beats, stem_frames
from rl_editor.grid import BeatGrid
from rl_editor.library import track_name
from rl_editor.sources import require_unchanged, source_of
from rl_editor.utils import (
    BLOCK_FRAMES,
    Samples,
    check_length,
    load_mono,
    mean_of_channels,
    read_blocks,
    to_mono,
)
from rl_editor.utils.streams import begun, gathered
from rl_editor.versions import READING, code_digest

Mono = Float32[np.ndarray, " samples"]
_Key = Mapping[str, Any]

LOUD_RESIDUAL_DB = -10.0  # re the mix; what stems of music leave out of it is quieter
_SILENT = 1e-10  # mean square below which nothing is heard: -100 dB re full scale
_TINY = 1e-12

_log = logging.getLogger("rl_editor")


def analyse_track(
    path: str | Path, config: Config, *, track_id: str = "", recording: Samples | None = None
) -> Analysis:
    """Beats and features of an audio file.

    Args:
        path: the recording.
        config: reads ``audio``, ``beats``, ``features``, ``data`` and, in mode ``full``, ``stems``.
        track_id: names the cache entries and picks the entry of ``beats.overrides``; what a library calls the file by
            default.
        recording: the file's samples where they are at hand, so that it is not decoded again.

    Raises:
        AudioFileError: the file cannot be read, is too short, or is changed meanwhile.
        StemError: mode ``full`` and the separation model cannot run.
    """
    file, shelf = Path(path), get_cache(config)
    if recording is None:
        source = source_of(file, shelf)
    else:
        sha256, rate = shelf.hash_file(file), recording.sample_rate
        source = SourceInfo(file.name, sha256, rate, recording.channels, recording.frames)
    rate = config.audio.sample_rate

    def load() -> Mono:
        mono = load_mono(file, rate) if recording is None else to_mono(recording, rate)
        require_unchanged(file, source.sha256, shelf)
        return mono

    return analyse(
        load,
        source,
        config,
        track_id=track_id or track_name(file),
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
    signal = _Signal(load)
    with one_thread():  # so that it is the same bits whoever comes first: a stage's worker, or a command on one song
        frames = _cached_frames(shelf, signal, key, config, track_id)
        tracked = _cached_grid(shelf, signal, frames, key, config, track_id)
    grid = apply_override(tracked, config.beats.override_for(track_id))
    stem_features = None
    if mode == "full" and stems is not None:
        stem_features = _cached_stem_frames(shelf, stems, key, config, track_id)
    return Analysis(source, grid, pool_beats(frames, grid, mode=mode, stems=stem_features))


def separated(path: Path, config: Config, *, sha256: str) -> dict[str, Mono]:
    """The mono stems of a recording, from the cache (as FLAC) or separated now; the same bits either way."""
    from rl_editor.stems import load_stems, save_stems, stems_key

    shelf = get_cache(config)

    def make(folder: Path) -> None:
        rate = config.audio.sample_rate
        stems = _mono_stems(path, config)
        residual_db = _residual_db(stems, load_mono(path, rate))
        require_unchanged(path, sha256, shelf)
        if residual_db > LOUD_RESIDUAL_DB:
            _log.warning(
                "%s: its stems miss it by %.0f dB re the recording, %.0f dB or less is expected; are the weights of "
                "stems.model %s what they should be?",
                *(path.name, residual_db, LOUD_RESIDUAL_DB, config.stems.model),
            )
        found = {name: Samples(mono[:, None], rate) for name, mono in stems.items()}
        save_stems(folder, found, residual_db=round(residual_db, 1))

    key = {"sha256": sha256, "stems": stems_key(config.stems), "rate": config.audio.sample_rate, "stored": "flac"}
    with shelf.folder("stems", path.stem, key, make) as folder:
        return {name: stem.data[:, 0] for name, stem in load_stems(folder).items()}


def _mono_stems(path: Path, config: Config) -> dict[str, Mono]:
    """Mixed down as they come: memory holds the mono views."""
    from rl_editor.stems import STEM_NAMES, separated_pieces

    first, pieces = begun(separated_pieces(lambda: read_blocks(path), config.stems))
    mixed = (np.stack([mean_of_channels(piece[name].data) for name in STEM_NAMES], axis=1) for piece in pieces)
    columns = gathered(mixed, first[STEM_NAMES[0]].sample_rate, config.audio.sample_rate)
    return dict(zip(STEM_NAMES, columns.T, strict=True))


def _residual_db(stems: Mapping[str, Mono], mix: Mono) -> float:
    """Power of what stems leave out of the mix, or add to it, beside the mix's; of silence they miss nothing."""
    missed, heard = 0.0, 0.0
    for start in range(0, len(mix), BLOCK_FRAMES):
        part = mix[start : start + BLOCK_FRAMES]
        error = part - sum(stem[start : start + BLOCK_FRAMES] for stem in stems.values())
        missed, heard = missed + float(error @ error), heard + float(part @ part)
    return float(10.0 * np.log10(max(missed / max(heard, _SILENT * len(mix)), _TINY)))


class _Signal:
    """The mono view, loaded once for all that listens to it, until it is forgotten: of an hour it is 320 MB."""

    def __init__(self, load: Callable[[], Mono]) -> None:
        self._load = load

    @cached_property
    def mono(self) -> Mono:
        return self._load()

    def forget(self) -> None:
        self.__dict__.pop("mono", None)


def _cached_frames(shelf: FeatureCache, signal: _Signal, key: _Key, config: Config, name: str) -> FrameFeatures:
    full = {**key, "what": "frames", "code": code_digest("features", *READING)}
    return FrameFeatures.from_arrays(
        shelf.get_or_compute("features", name, full, lambda: extract_frames(signal.mono, config).to_arrays())
    )


def _cached_grid(
    shelf: FeatureCache, signal: _Signal, frames: FrameFeatures, key: _Key, config: Config, name: str
) -> BeatGrid:
    tracker = chosen_tracker(config.beats.tracker)  # auto is another one where another is installed
    beats = {k: v for k, v in asdict(config.beats).items() if k != "overrides"}
    beats |= {"tracker": tracker, "version": tracker_version(tracker)}
    full = {**key, "what": "grid", "beats": beats, "code": code_digest("beats", "features", *READING)}

    def track() -> dict[str, np.ndarray]:
        mel = _cached_mel(shelf, signal, key, config, name)
        found = listened(signal.mono, frames, config.beats)
        signal.forget()
        return grid_of(found, frames, mel, config.beats).to_arrays()

    return BeatGrid.from_arrays(shelf.get_or_compute("metadata", name, full, track))


def _cached_mel(
    shelf: FeatureCache, signal: _Signal, key: _Key, config: Config, name: str
) -> Float16[np.ndarray, "frames bands"]:
    full = {**key, "what": "mel", "code": code_digest("beats/network", *READING)}
    arrays = shelf.get_or_compute("mel", name, full, lambda: {"mel": log_mel(signal.mono, config.audio.sample_rate)})
    mel: np.ndarray = arrays["mel"]
    return mel


def _cached_stem_frames(
    shelf: FeatureCache, stems: Callable[[], Mapping[str, Mono]], key: _Key, config: Config, name: str
) -> StemFrames:
    from rl_editor.stems import stems_key

    full = {**key, "what": "stem frames", "stems": stems_key(config.stems), "code": code_digest("features", *READING)}

    def listen() -> dict[str, np.ndarray]:
        separate = stems()  # by as many threads as there are: a model takes minutes
        with one_thread():
            return stem_frames(separate, config).to_arrays()

    return StemFrames.from_arrays(shelf.get_or_compute("features", f"{name}_stems", full, listen))
