"""Data sets: from folders of raw and edited recordings to labelled demonstrations and padded batches.

Everything per track goes through the side cache and the executor. A pair that cannot be read or explained is left out
and named (``Loaded.problems``); the others go on. Labels come from aligning the edit to the raw, never from loudness.

Augmentation is one draw per (seed, epoch, index), applied alike to raw, edit and beat grid; the labels stay. Noise has
the drawn SNR in both and samples of its own in each: one recording's noise is not in the other at the same time.
Batches: ``[B, ...]`` padded with zeros (labels with ``PADDING``) to the longest of the batch, with lengths beside.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from rl_editor.actions import ActionSpace
from rl_editor.alignment import recover_files
from rl_editor.analysis import Mono, analyse_track
from rl_editor.augmentation import AugmentationDraw, augment_grid, augment_mono, draw_augmentation
from rl_editor.cache import get_cache
from rl_editor.config import Config, Split
from rl_editor.demonstrations import Analysis, Demonstration, in_split
from rl_editor.edits import EditList
from rl_editor.errors import ConfigError, DatasetError, said
from rl_editor.executor import run_tracks
from rl_editor.features import BeatFeatures, extract_frames, pool_beats
from rl_editor.grid import BeatGrid
from rl_editor.labelling import aligned
from rl_editor.labels import EditLabels, encode
from rl_editor.library import Library, Pair, Problem, Recording, find_library, first_of, has_recordings, unknown_tracks
from rl_editor.sources import require_unchanged, source_of
from rl_editor.splits import assign_splits, split_of, unknown_songs
from rl_editor.stems import stems_key
from rl_editor.utils import load_mono

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

__all__ = [
    "Analysis", "AudioDataset", "AudioItem", "Demonstration", "Library", "Loaded", "Pair", "PairItem",
    "PairedAudioDataset", "Problem", "Recording", "Split", "align_pair", "analyse_track", "assign_splits",
    "create_dataloader", "find_library", "has_recordings", "in_split", "label_pair", "load_demonstrations",
    "load_library", "load_references", "split_of",
]  # fmt: skip

_SHOWN = 5  # reasons in a message
PADDING = -100  # label of what is not there; torch's ignore_index
_log = logging.getLogger("rl_editor")


class Labelled(NamedTuple):
    """A pair as it was explained."""

    analysis: Analysis
    edit: EditList
    labels: EditLabels


class Loaded(NamedTuple):
    """What a folder of recordings gave to learn from, and what was left out."""

    demonstrations: list[Demonstration]
    problems: tuple[Problem, ...]


def align_pair(pair: Pair, config: Config) -> EditList:
    """The edit list of a pair, from the cache or aligned now.

    Raises:
        AudioFileError: one of the recordings cannot be read, or is changed meanwhile.
        AlignmentError: they cannot be compared, or the edit is not of this raw.
    """
    shelf = get_cache(config)
    source, edit_sha256 = source_of(pair.raw.path, shelf), source_of(pair.edit.path, shelf).sha256

    def explain() -> EditList:
        try:
            return recover_files(pair.raw.path, pair.edit.path, config, source=source).edit
        finally:  # that a pair is refused is kept, too
            for path, sha256 in ((pair.raw.path, source.sha256), (pair.edit.path, edit_sha256)):
                require_unchanged(path, sha256, shelf)

    return aligned(pair.pair_id, explain, config, source=source, edit_sha256=edit_sha256)


def label_pair(pair: Pair, config: Config) -> Labelled:
    """Analysis, edit list and labels of a pair.

    Raises:
        AudioFileError: one of the recordings cannot be read.
        AlignmentError: they cannot be compared, or the edit is not of this raw.
    """
    analysis = analyse_track(pair.raw.path, config, track_id=pair.raw.track_id)
    edit = align_pair(pair, config)
    labels = encode(edit, analysis.grid, ActionSpace(config.action_space), unit_beats=config.action_space.unit_beats)
    return Labelled(analysis, edit, labels)


def load_library(library: Library, config: Config) -> Loaded:
    """Demonstrations of every pair that can be explained, in the order of the pairs.

    Raises:
        MissingWeightsError: mode ``full``, and the separation model's weights cannot be had.
    """
    if config.features.feature_mode == "full":
        stems_key(config.stems)  # what no recording can be heard without is missed once, not by each of them
    shelf = get_cache(config)
    problems, demonstrations = list(library.problems), []
    hashes: dict[str, str] = {}
    for pair in library.pairs:
        try:
            hashes[pair.song] = shelf.hash_file(pair.raw.path)
        except OSError as error:
            problems.append(Problem(pair.pair_id, said(error)))
    problems += unknown_songs(hashes, config.data)
    problems += unknown_tracks((recording.track_id for recording in library.heard), config.beats)
    splits, pairs = assign_splits(hashes, config.data), [p for p in library.pairs if p.song in hashes]
    outcomes = run_tracks(partial(label_pair, config=config), pairs, workers=config.executor.workers, label="pairs")
    for outcome in outcomes:
        pair, found = outcome.item, outcome.value
        if found is None:
            problems.append(Problem(pair.pair_id, outcome.error or "left out"))
            continue
        analysis, edit, labels = found
        demonstrations.append(
            Demonstration(
                pair.pair_id, pair.song, pair.style, analysis.grid, analysis.features, labels, edit, splits[pair.song]
            )
        )
    return Loaded(demonstrations, tuple(problems))


def load_demonstrations(data_dir: str | Path, config: Config) -> list[Demonstration]:
    """Demonstrations of a folder of recordings; what is left out is logged with its reason.

    Raises:
        DatasetError: no pair is left.
    """
    library = find_library(data_dir)
    loaded = load_library(library, config)
    for problem in loaded.problems:
        _log.warning("left out: %s", problem)
    if not loaded.demonstrations:
        reasons = first_of(loaded.problems, _SHOWN) or "it holds reference tracks only"
        raise DatasetError(f"{data_dir}: no pair to learn from: {reasons}")
    return loaded.demonstrations


def load_references(data_dir: str | Path, config: Config) -> list[Analysis]:
    """The finished tracks of a folder that no raw belongs to; what cannot be read is logged with its reason."""
    outcomes = run_tracks(
        partial(_analysed, config=config),
        find_library(data_dir).references,
        workers=config.executor.workers,
        label="references",
    )
    analyses: list[Analysis] = []
    for outcome in outcomes:
        if outcome.value is None:
            _log.warning("left out: %s", Problem(outcome.item.track_id, outcome.error or "left out"))
        else:
            analyses.append(outcome.value)
    return analyses


def _analysed(recording: Recording, config: Config) -> Analysis:
    return analyse_track(recording.path, config, track_id=recording.track_id)


@dataclass(frozen=True, eq=False)
class AudioItem:
    """One recording of a data set."""

    track_id: str
    features: Float32[np.ndarray, "beats dims"]
    times_s: Float32[np.ndarray, " boundaries"]


@dataclass(frozen=True, eq=False)
class PairItem:
    """One pair of a data set: what was heard, and what the editor did with each unit."""

    pair_id: str
    features: Float32[np.ndarray, "beats dims"]
    times_s: Float32[np.ndarray, " boundaries"]
    labels: Int64[np.ndarray, " units"]
    confidence: Float32[np.ndarray, " units"]
    raw: Float32[np.ndarray, " raw_samples"]
    edit: Float32[np.ndarray, " edit_samples"]


class AudioDataset:
    """Recordings with their beats and features; a map-style data set for ``torch.utils.data``.

    Items are computed when first asked for, through the cache.
    """

    def __init__(self, recordings: str | Path | Sequence[Recording], config: Config) -> None:
        self.recordings = (
            find_library(recordings).recordings if isinstance(recordings, str | Path) else tuple(recordings)
        )
        self.config = config

    def __len__(self) -> int:
        return len(self.recordings)

    def __getitem__(self, index: int) -> AudioItem:
        recording = self.recordings[index]
        analysis = analyse_track(recording.path, self.config, track_id=recording.track_id)
        return AudioItem(recording.track_id, analysis.features.values, analysis.grid.times_s.astype(np.float32))


class PairedAudioDataset:
    """Raw and edited recordings with labels; augmentation is drawn anew for every (seed, epoch, index).

    ``set_epoch`` starts another round of draws. The same seed, epoch and index give the same item in any process.
    """

    def __init__(
        self,
        pairs: str | Path | Sequence[Pair],
        config: Config,
        *,
        use_augmentation: bool | None = None,
        seed: int | None = None,
    ) -> None:
        self.pairs = find_library(pairs).pairs if isinstance(pairs, str | Path) else tuple(pairs)
        self.config = config
        self.use_augmentation = config.augmentation.enabled if use_augmentation is None else use_augmentation
        self.seed = config.training.seed if seed is None else seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the round of draws."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> PairItem:
        pair, rate = self.pairs[index], self.config.audio.sample_rate
        found = label_pair(pair, self.config)
        raw, edit = load_mono(pair.raw.path, rate), load_mono(pair.edit.path, rate)
        grid, features = found.analysis.grid, found.analysis.features
        if self.use_augmentation:
            draw = self.draw(index)
            noises = (np.random.default_rng([*self._entropy(index), number]) for number in (1, 2))  # as in the stage
            raw, edit = (augment_mono(mono, rate, draw, rng) for mono, rng in zip((raw, edit), noises, strict=True))
            grid = augment_grid(grid, draw)
            features = features_on(raw, grid, self.config)
        return PairItem(
            pair.pair_id,
            features.values,
            grid.times_s.astype(np.float32),
            found.labels.actions.astype(np.int64),
            found.labels.confidence.astype(np.float32),
            raw,
            edit,
        )

    def draw(self, index: int) -> AugmentationDraw:
        """The draw of an item in this epoch."""
        return draw_augmentation(self.config.augmentation, np.random.default_rng(self._entropy(index)))

    def _entropy(self, index: int) -> list[int]:
        return [self.seed, self.epoch, index % max(len(self), 1)]


def features_on(mono: Mono, grid: BeatGrid, config: Config) -> BeatFeatures:
    """Features of augmented audio on its grid.

    Raises:
        ConfigError: mode ``full``, whose stems nobody separates of augmented audio (the features stage makes no
            augmented copies in that mode).
    """
    if config.features.feature_mode == "full":
        raise ConfigError(
            "features.feature_mode: 'full', and augmented audio has no stems, which it needs; set augmentation.enabled "
            "to false, or use 'enhanced'"
        )
    return pool_beats(extract_frames(mono, config), grid, mode=config.features.feature_mode)


def create_dataloader(
    dataset: AudioDataset | PairedAudioDataset,
    config: Config,
    *,
    batch_size: int = 1,
    shuffle: bool = False,
    num_workers: int | None = None,
) -> "DataLoader[Any]":
    """A torch ``DataLoader`` of padded batches; shuffling is seeded by ``training.seed``.

    Args:
        dataset: what to load.
        config: ``data.num_workers`` and ``training.seed``.
        batch_size: items per batch.
        shuffle: another order every epoch, the same for the same seed.
        num_workers: loader processes; ``data.num_workers`` by default.
    """
    import torch
    from torch.utils.data import DataLoader

    workers = config.data.num_workers if num_workers is None else num_workers
    return DataLoader(
        dataset,  # type: ignore[arg-type]
        batch_size=batch_size,
        shuffle=shuffle,
        num_workers=workers,
        collate_fn=collate,
        generator=torch.Generator().manual_seed(config.training.seed),
        multiprocessing_context="spawn" if workers else None,
    )


def collate(items: Sequence[AudioItem | PairItem]) -> dict[str, Any]:
    """A batch as a dict of tensors, padded to its longest item, with the true lengths."""
    import torch

    batch: dict[str, Any] = {}
    for name in items[0].__dataclass_fields__:
        values = [getattr(item, name) for item in items]
        if isinstance(values[0], str):
            batch[name] = values
            continue
        fill = PADDING if name == "labels" else 0
        batch[name] = torch.from_numpy(_padded(values, fill=fill))
        batch[f"n_{name}"] = torch.tensor([len(v) for v in values])
    return batch


def _padded(values: Sequence[np.ndarray], *, fill: int) -> np.ndarray:
    longest = max(len(v) for v in values)
    out = np.full((len(values), longest, *values[0].shape[1:]), fill, values[0].dtype)
    for row, value in zip(out, values, strict=True):
        row[: len(value)] = value
    return out
