"""What crosses the room's walls: features per frame, stems per frame, features per beat."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from rl_editor.errors import DatasetError
from rl_editor.features.names import CHROMA, FRAME_NAMES


@dataclass(frozen=True, eq=False)
class FrameFeatures:
    """The 52 features of every frame (``FRAME_NAMES``)."""

    values: Float32[np.ndarray, "frames 52"]
    sample_rate: int  # Hz
    hop_length: int  # samples
    n_samples: int

    @property
    def duration_s(self) -> float:
        """Length of the signal in seconds."""
        return self.n_samples / self.sample_rate

    @property
    def frame_rate_hz(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop_length

    def column(self, name: str) -> Float32[np.ndarray, " frames"]:
        """One feature over time."""
        column: np.ndarray = self.values[:, FRAME_NAMES.index(name)]
        return column

    @property
    def chroma(self) -> Float32[np.ndarray, "frames 12"]:
        """Pitch classes from C, the loudest of each frame 1."""
        chroma: np.ndarray = self.values[:, -len(CHROMA) :]
        return chroma

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays without objects, for an npz."""
        sizes = np.array([self.sample_rate, self.hop_length, self.n_samples], np.int64)
        return {"values": self.values, "sizes": sizes}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "FrameFeatures":
        """What ``to_arrays`` gave."""
        rate, hop, n_samples = (int(v) for v in arrays["sizes"])
        return cls(arrays["values"], rate, hop, n_samples)


@dataclass(frozen=True, eq=False)
class StemFrames:
    """Power and spectral centroid of every frame of the four stems (``STEM_NAMES``)."""

    power: Float32[np.ndarray, "frames 4"]  # mean square
    centroid_hz: Float32[np.ndarray, "frames 4"]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays without objects, for an npz."""
        return {"power": self.power, "centroid_hz": self.centroid_hz}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "StemFrames":
        """What ``to_arrays`` gave."""
        return cls(arrays["power"], arrays["centroid_hz"])


@dataclass(frozen=True, eq=False)
class BeatFeatures:
    """One row of finite numbers per beat, one name per column.

    Raises:
        DatasetError: columns and names differ in number, or a number is not finite.
    """

    values: Float32[np.ndarray, "beats dims"]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.values.shape[1] != len(self.names):
            raise DatasetError(
                f"beat features: {self.values.shape[1]} columns and {len(self.names)} names, one name each is needed; "
                "FEATURE_NAMES has those of every mode"
            )
        beats, columns = np.nonzero(~np.isfinite(self.values))
        if len(beats):
            raise DatasetError(
                f"beat features: {self.names[columns[0]]} of beat {beats[0]} is {self.values[beats[0], columns[0]]}, "
                "finite numbers are needed; is the audio finite?"
            )

    @property
    def n_beats(self) -> int:
        """Number of rows."""
        return int(self.values.shape[0])

    def column(self, name: str) -> Float32[np.ndarray, " beats"]:
        """One feature along the beats."""
        column: np.ndarray = self.values[:, self.names.index(name)]
        return column

    def columns(self, prefix: str) -> Float32[np.ndarray, "beats chosen"]:
        """All features whose names start with ``prefix``."""
        chosen = [index for index, name in enumerate(self.names) if name.startswith(prefix)]
        columns: np.ndarray = self.values[:, chosen]
        return columns
