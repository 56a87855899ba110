"""The manifest of decoded recordings: what every later stage knows about tracks and pairs.

Conventions: paths are relative to the library's folder; hashes are of the original files; ``scale`` is what the stored
samples are multiplied with to get the original level (more than 1 for float files whose peaks pass 1.0). A recording
whose left and right go against each other has a second view, with one channel turned over: of a pair in which one
does, the one that fits may be the turned one (``rl_editor.channels``).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from rl_editor.config import Config, Split
from rl_editor.edits import SourceInfo
from rl_editor.errors import DatasetError, first_lines
from rl_editor.files import write_json
from rl_editor.library import Role, has_recordings
from rl_editor.utils import Samples, load_audio, save_audio
from stages.layout import CORPUS, DECODED, MANIFEST

VIEW = "decoded"  # names this view of a recording in cache keys


@dataclass(frozen=True)
class Track:
    """One decoded recording."""

    track_id: str
    path: str  # relative to the library's folder
    role: Role
    source: SourceInfo
    scale: float
    turned_scale: float | None = None  # of the view with one channel turned over, where there is one


@dataclass(frozen=True)
class PairEntry:
    """A raw and an edit, by track id."""

    pair_id: str
    raw: str
    edit: str
    style: str
    song: str
    split: Split


@dataclass(frozen=True)
class Manifest:
    """All decoded recordings and pairs, in order of their ids."""

    tracks: tuple[Track, ...]
    pairs: tuple[PairEntry, ...]

    def track(self, track_id: str) -> Track:
        """A recording by its id."""
        return next(track for track in self.tracks if track.track_id == track_id)

    def with_role(self, *roles: Role) -> list[Track]:
        """The recordings of these roles."""
        return [track for track in self.tracks if track.role in roles]

    @property
    def training_raws(self) -> set[str]:
        """Track ids of the raws of training songs."""
        return {pair.raw for pair in self.pairs if pair.split == "train"}

    def save(self, folder: Path) -> None:
        """Write ``manifest.json``."""
        write_json(folder / MANIFEST, asdict(self))


def load_manifest(folder: Path = DECODED) -> Manifest:
    """Read ``manifest.json``.

    Raises:
        DatasetError: the decode stage has not run.
    """
    path = folder / MANIFEST
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise DatasetError(f"{path}: not readable ({first_lines(error)}); run the decode stage") from error
    tracks = tuple(Track(**{**t, "source": SourceInfo(**t["source"])}) for t in value["tracks"])
    return Manifest(tracks, tuple(PairEntry(**p) for p in value["pairs"]))


def library_root(config: Config) -> Path:
    """The folder of recordings of this run: ``data.raw_dir``, or the default corpus where that is empty."""
    raw_dir = Path(config.data.raw_dir)
    return raw_dir if has_recordings(raw_dir) else CORPUS


def write_view(path: Path, mono: Float32[np.ndarray, " samples"], sample_rate: int) -> float:
    """Store a mono signal as 24-bit FLAC; gives the scale."""
    peak = float(np.abs(mono).max(initial=0.0))
    scale = max(1.0, peak)
    save_audio(path, Samples((mono / np.float32(scale))[:, None], sample_rate), subtype="PCM_24")
    return scale


def view_file(track_id: str, *, turned: bool = False) -> str:
    """Where a view lies, in ``data/decoded``."""
    return f"turned/{track_id}.flac" if turned else f"{track_id}.flac"


def read_view(track: Track) -> Float32[np.ndarray, " samples"]:
    """The mono signal of a track."""
    return read_scaled(DECODED / view_file(track.track_id), track.scale)


def read_turned(track: Track) -> Float32[np.ndarray, " samples"] | None:
    """The mono signal of a track with one channel turned over; None where left and right go together."""
    if track.turned_scale is None:
        return None
    return read_scaled(DECODED / view_file(track.track_id, turned=True), track.turned_scale)


def read_scaled(path: Path, scale: float) -> Float32[np.ndarray, " samples"]:
    """A mono signal that was divided by ``scale`` to fit into its file."""
    return load_audio(path).data[:, 0] * np.float32(scale)
