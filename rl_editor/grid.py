"""The beat grid: where the beats of a recording lie, and the decision units made of them.

Conventions: N beats are N+1 boundaries in seconds; boundary 0 is 0.0 and boundary N is the end of the file,
so beats tile the file. ``bar_position`` counts from 0, the downbeat; -1 marks what comes before the first
tracked beat (a lead-in) and after the last (a tail): beats that are not whole. Indices are 0-based.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from rl_editor.errors import BeatGridError

PARTIAL = -1


@dataclass(frozen=True, eq=False)
class BeatGrid:
    """N beats that tile a recording.

    Attributes:
        times_s: N+1 boundaries, strictly increasing, the first 0.0 and the last the end of the file.
        bar_position: beat number within its bar, 0 is the downbeat; -1 for a lead-in or tail.
        beats_per_bar: beats in a whole bar.
        confidence: how sure the grid is, in [0, 1]: the F-measure to be expected at 70 ms; 0 where no beat was heard,
            1 where it was corrected by hand.

    Raises:
        BeatGridError: something else than that.
    """

    times_s: Float[np.ndarray, " boundaries"]
    bar_position: Int[np.ndarray, " beats"]
    beats_per_bar: int = 4
    confidence: float = 1.0

    def __post_init__(self) -> None:
        if len(self.times_s) < 2 or len(self.bar_position) != len(self.times_s) - 1:
            raise BeatGridError(
                f"beat grid: {len(self.times_s)} boundaries and {len(self.bar_position)} bar positions; "
                "N beats need N+1 boundaries and N positions, N at least 1"
            )
        wrong = ~np.isfinite(self.times_s) | (np.diff(self.times_s, prepend=-1.0) <= 0)
        if self.times_s[0] != 0.0 or wrong.any():
            at = int(wrong.argmax())
            raise BeatGridError(
                f"beat grid: boundary {at} is {self.times_s[at]} s; finite ones that start at 0.0 and strictly "
                "increase are needed; sort them, and put 0.0 before and the end of the file after"
            )
        out = (self.bar_position < PARTIAL) | (self.bar_position >= self.beats_per_bar)
        if out.any():
            at = int(out.argmax())
            raise BeatGridError(
                f"beat grid: beat {at} has bar position {self.bar_position[at]}; the downbeat's 0 to "
                f"{self.beats_per_bar - 1} are needed, or {PARTIAL} for a lead-in or tail; is beats_per_bar right?"
            )
        if not 0.0 <= self.confidence <= 1.0:
            raise BeatGridError(f"beat grid: confidence {self.confidence}; 0 to 1 is needed, leave it out if unknown")

    @property
    def n_beats(self) -> int:
        """Number of beats, partial ones included."""
        return len(self.bar_position)

    @property
    def duration_s(self) -> float:
        """End of the last beat, which is the end of the file."""
        return float(self.times_s[-1])

    @property
    def tempo_bpm(self) -> float:
        """60 over the median interval of whole beats."""
        whole = self.bar_position != PARTIAL
        intervals = np.diff(self.times_s)
        return float(60.0 / np.median(intervals[whole] if whole.any() else intervals))

    @property
    def beat_s(self) -> float:
        """Length of the median whole beat."""
        return 60.0 / self.tempo_bpm

    @property
    def bar_s(self) -> float:
        """Length of a bar of such beats."""
        return self.beats_per_bar * 60.0 / self.tempo_bpm

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays without objects, for an npz."""
        return {
            "times_s": self.times_s,
            "bar_position": self.bar_position,
            "beats_per_bar": np.array(self.beats_per_bar),
            "confidence": np.array(self.confidence),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "BeatGrid":
        """What ``to_arrays`` gave."""
        beats_per_bar, confidence = int(arrays["beats_per_bar"]), float(arrays["confidence"])
        return cls(arrays["times_s"], arrays["bar_position"], beats_per_bar, confidence)

    def units(self, unit_beats: int) -> "UnitGrid":
        """Group beats into decision units, in phase with the downbeats.

        ``unit_beats`` of 4, 8, ... are whole bars (``beats_per_bar`` beats each); other values count beats. A unit
        starts at the first beat, then wherever the count since the first downbeat is a multiple of its length.
        """
        length = self.beats_per_bar * (unit_beats // 4) if unit_beats % 4 == 0 else unit_beats
        whole = np.flatnonzero(self.bar_position != PARTIAL)
        first = int(whole[0]) if len(whole) else 0
        end = int(whole[-1]) + 1 if len(whole) else self.n_beats
        downbeats = np.flatnonzero(self.bar_position == 0)
        anchor = int(downbeats[0]) if len(downbeats) and length > 1 else first
        starts = set(range(anchor, end, length)) | set(range(anchor, first - 1, -length)) | {0, first, end}
        bounds = np.array(sorted(b for b in starts | {self.n_beats} if 0 <= b <= self.n_beats))
        partial = np.diff(bounds) != length
        partial[bounds[:-1] < first] = True
        partial[bounds[1:] > end] = True
        return UnitGrid(bounds, self.times_s[bounds], partial)


class UnitGrid(NamedTuple):
    """U decision units over a beat grid."""

    beat_bounds: Int[np.ndarray, " bounds"]  # U+1 beat indices
    times_s: Float[np.ndarray, " bounds"]  # U+1 seconds
    partial: Bool[np.ndarray, " units"]  # not a whole unit

    @property
    def n_units(self) -> int:
        """Number of units."""
        return len(self.partial)

    def means(self, values: Float[np.ndarray, "beats columns"]) -> Float[np.ndarray, "units columns"]:
        """Mean over the beats of every unit, each beat counting alike."""
        sums: np.ndarray = np.add.reduceat(values.astype(np.float64), self.beat_bounds[:-1], axis=0)
        return sums / np.diff(self.beat_bounds)[:, None]
