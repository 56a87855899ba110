"""What edits are made of: recordings of a folder, or songs composed by the library, with their beats.

Conventions: audio float32 ``[frames, 2]``, peak at most ``PEAK`` so that crossfades do not clip; beats in frames.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from rl_editor.beats import track_beats
from rl_editor.composer import compose_song
from rl_editor.config import Config
from rl_editor.utils import AUDIO_SUFFIXES, Samples, audio_info, load_audio, to_mono

SHORTEST_S = 40.0
PEAK = 0.8
SPARE_SONG = 999  # index of a composed song that is in no shelf


@dataclass(frozen=True, eq=False)
class Material:
    """One recording."""

    name: str
    samples: np.ndarray
    rate: int
    beats: np.ndarray

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate


@dataclass(frozen=True, eq=False)
class Shelf:
    """Recordings that are loaded when asked for."""

    loaders: tuple[Callable[[], Material], ...]

    def __len__(self) -> int:
        return len(self.loaders)

    def __getitem__(self, index: int) -> Material:
        return _kept(self.loaders[index])

    def other(self, index: int) -> Material:
        """Another recording: the next, or a composed song where there is but one."""
        alone = len(self) == 1
        return _kept(partial(_composed, SPARE_SONG, 100.0)) if alone else self[(index + 1) % len(self)]


@lru_cache(maxsize=3)  # of partials, which compare by identity
def _kept(load: Callable[[], Material]) -> Material:
    return load()


def recordings(folder: Path, *, tracks: int, seconds: float, exclude: str = "") -> Shelf:
    """``tracks`` recordings spread over the folder, the first ``seconds`` of each."""
    files = recording_files(folder, tracks=tracks, shortest_s=SHORTEST_S, exclude=exclude)
    return Shelf(tuple(partial(_recorded, file, seconds) for file in files))


def recording_files(
    folder: Path,
    *,
    tracks: int | None,
    shortest_s: float,
    longest_s: float = math.inf,
    exclude: str = "",
    names: Sequence[str] = (),
) -> list[Path]:
    """Up to ``tracks`` recordings (None: all) spread over the folder, of more than one length and at most another.

    ``names`` are parts of paths, of which one has to be there.
    """
    files = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in AUDIO_SUFFIXES and p.stem != exclude]
    files = [p for p in files if not names or any(name in str(p) for name in names)]
    files = [p for p in files if shortest_s < audio_info(p).duration_s <= longest_s]
    if not files:
        most = f" and up to {longest_s:g} s" if math.isfinite(longest_s) else ""
        raise SystemExit(f"{folder}: no recordings longer than {shortest_s:g} s{most}; name another folder")
    chosen = np.unique(np.linspace(0, len(files) - 1, min(tracks or len(files), len(files))).round().astype(int))
    return [files[k] for k in chosen]


def composed(*, tracks: int, seconds: float) -> Shelf:
    """Songs of the default corpus."""
    return Shelf(tuple(partial(_composed, k, seconds) for k in range(tracks)))


def shelf_of(folder: Path | None, *, tracks: int, seconds: float, exclude: str = "") -> Shelf:
    """Recordings of a folder, or composed songs where none is named."""
    if folder is None:
        return composed(tracks=tracks, seconds=seconds)
    return recordings(folder, tracks=tracks, seconds=seconds, exclude=exclude)


def _recorded(path: Path, seconds: float) -> Material:
    return _material(f"{path.parent.name}/{path.stem}", load_audio(path), seconds)


def _composed(index: int, seconds: float) -> Material:
    song = compose_song(index, config=Config().corpus)
    return _material(song.name, song.mix, seconds, song.grid.times_s)


def _material(name: str, audio: Samples, seconds: float, beats_s: np.ndarray | None = None) -> Material:
    stereo = audio.data[: round(seconds * audio.sample_rate), :2]
    stereo = np.repeat(stereo, 2, axis=1) if stereo.shape[1] == 1 else stereo
    stereo = stereo * np.float32(min(1.0, PEAK / (np.abs(stereo).max() + 1e-9)))
    if beats_s is None:
        config = Config()
        mono = to_mono(Samples(np.ascontiguousarray(stereo), audio.sample_rate), config.audio.sample_rate)
        beats_s = track_beats(mono, config).times_s
    beats = np.round(beats_s * audio.sample_rate).astype(int)
    return Material(name, np.ascontiguousarray(stereo), audio.sample_rate, beats[beats <= len(stereo)])


def concatenated(shelf: Shelf, *, seconds: float) -> Material:
    """One long take made of the shelf's recordings, each played once, all at the first one's rate."""
    import soxr

    parts, beats, at, rate = [], [], 0, shelf[0].rate
    for k in range(len(shelf)):
        part = shelf[k]
        sound = part.samples if part.rate == rate else soxr.resample(part.samples, part.rate, rate)
        parts.append(sound)
        beats.append(at + np.round(part.beats * (rate / part.rate)).astype(int))
        at += len(sound)
        if at >= seconds * rate:
            break
    samples = np.concatenate(parts)[: round(seconds * rate)]
    grid = np.unique(np.concatenate(beats))
    return Material("a long take", samples, rate, grid[grid <= len(samples)])
