"""Tables of many tracks side by side, as tensors (``tables`` says what a row holds).

Conventions: T tracks; P boundaries 0..P-1 (between beats, or between decision units: a subset of them), zero where
padded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from rl_editor.state.audio import AudioState
from rl_editor.state.tables import BeatTable, ReferenceStatistics, beat_table, join_bounds


@dataclass(frozen=True, eq=False)
class RewardTables:
    """T tracks, padded to P boundaries.

    Attributes:
        points: level before and after each boundary (dB), log2 of the beat interval, bar phase, bar number, strength
            as a section boundary, then descriptors divided by the distance that counts as natural.
        span_s: length of what lies between two boundaries.
        energy_rank: its rank in the song.
        level_scale_db: step of level that counts as natural.
        duration_s: of the whole source.
        bar_s: length of a bar.
        beats_per_bar: of the track.
    """

    points: Float[Tensor, "tracks bounds columns"]
    span_s: Float[Tensor, "tracks spans"]
    energy_rank: Float[Tensor, "tracks spans"]
    level_scale_db: Float[Tensor, " tracks"]
    duration_s: Float[Tensor, " tracks"]
    bar_s: Float[Tensor, " tracks"]
    beats_per_bar: Float[Tensor, " tracks"]

    def to(self, device: torch.device | str) -> "RewardTables":
        """The same on another device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def reward_tables(
    states: Sequence[AudioState], *, unit_beats: int | None, reference: ReferenceStatistics | None = None
) -> RewardTables:
    """Tables of tracks at the boundaries of decision units; at every beat where ``unit_beats`` is None."""
    beats = [beat_table(state, reference) for state in states]
    chosen = [join_bounds(state.grid, unit_beats) for state in states]
    spans = [np.diff(b.frames[c]) / b.sample_rate for b, c in zip(beats, chosen, strict=True)]
    energy = [_span_means(b, c) for b, c in zip(beats, chosen, strict=True)]
    return RewardTables(
        points=padded([b.points[c] for b, c in zip(beats, chosen, strict=True)]),
        span_s=padded(spans),
        energy_rank=padded(energy),
        level_scale_db=_vector([b.level_scale_db for b in beats]),
        duration_s=_vector([int(b.frames[-1]) / b.sample_rate for b in beats]),
        bar_s=_vector([s.grid.bar_s for s in states]),
        beats_per_bar=_vector([float(s.grid.beats_per_bar) for s in states]),
    )


def padded(rows: Sequence[np.ndarray]) -> Tensor:
    """Arrays of different lengths as one float32 tensor, zero where padded."""
    length = max(len(r) for r in rows)
    out = np.zeros((len(rows), length, *rows[0].shape[1:]), np.float32)
    for target, row in zip(out, rows, strict=True):
        target[: len(row)] = row
    return torch.from_numpy(out)


def _vector(values: Sequence[float]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float32)


def _span_means(table: BeatTable, bounds: Int[np.ndarray, " cuts"]) -> np.ndarray:
    """Energy rank of every span: mean over its beats, weighted by their length."""
    length = np.diff(table.frames).astype(np.float64)
    weighted = np.add.reduceat(table.energy_rank * length, bounds[:-1])
    return np.asarray(weighted / np.maximum(np.add.reduceat(length, bounds[:-1]), 1.0))
