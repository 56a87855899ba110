"""Map-style data sets for ``torch.utils.data``: recordings, and pairs with their labels, in padded batches.

Augmentation is one draw per (seed, epoch, index), applied alike to raw, edit and beat grid; the labels stay. Noise has
the drawn SNR in both and samples of its own in each: one recording's noise is not in the other at the same time.
Batches: ``[B, ...]`` padded with zeros (labels with ``PADDING``) to the longest of the batch, with lengths beside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Int64

from rl_editor.analysis import Mono, analyse_track
from rl_editor.augmentation import AugmentationDraw, augment_grid, augment_mono, draw_augmentation
from rl_editor.config import Config
from rl_editor.errors import ConfigError
from rl_editor.features import BeatFeatures, extract_frames, pool_beats
from rl_editor.grid import BeatGrid
from rl_editor.library import Pair, Recording, find_library
from rl_editor.loading import label_pair
from rl_editor.utils import load_mono

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

PADDING = -100  # label of what is not there; torch's ignore_index


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
