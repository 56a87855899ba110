"""Training material: rendered songs as the network hears them, and which frames are beats.

Each example is a function of its seed alone. Songs are accompaniments of mma or a band's, through a random soundfont,
or songs of this package's composer; then the recording is made rougher: EQ, saturation, noise, a low-pass.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.signal
import soxr
from jaxtyping import Bool, Float32, Float64

from benchmarks.beats.accompaniment import accompanied_song
from benchmarks.beats.band import band_song
from benchmarks.beats.midi import RATE, rendered
from rl_editor.augmentation import AugmentationDraw, augment_mono
from rl_editor.beats.spectrum import FRAME_RATE_HZ, RATE_HZ, log_mel
from rl_editor.composer import compose_song
from rl_editor.config import CorpusConfig
from rl_editor.files import replacing

SOUNDFONTS = ("sf2/FluidR3_GM.sf2", "sf2/TimGM6mb.sf2", "sf2/sf_GMbank.sf2", "sf3/FluidR3Mono_GM.sf3",
              "sf3/MuseScore_General_Lite.sf3")  # fmt: skip
SONG_S = 50.0  # of music in an example, about
_SHARES = {"accompaniment": 0.45, "band": 0.45, "composed": 0.1}


@dataclass(frozen=True, eq=False)
class Example:
    """What is heard per frame, and where beats are."""

    log_mel: Float32[np.ndarray, "frames bands"]
    beats_s: Float64[np.ndarray, " beats"]
    is_downbeat: Bool[np.ndarray, " beats"]


def make_example(seed: int, *, folder: Path) -> Path | None:
    """Write example ``seed`` into a folder, if it is not there; None where the draw gives no song."""
    path = folder / f"{seed:05d}.npz"
    if path.exists():
        return path
    rng = np.random.default_rng([2026, seed])
    kind = rng.choice(list(_SHARES), p=list(_SHARES.values()))
    found = _composed(seed) if kind == "composed" else _played(str(kind), rng)
    if found is None:
        return None
    mono, beats, downbeats = found
    heard = log_mel(_rougher(mono, rng), RATE_HZ)
    is_downbeat = np.abs(beats[:, None] - downbeats).min(axis=1) < 1e-3
    with replacing(path) as part:
        np.savez(part, log_mel=heard, beats_s=beats, is_downbeat=is_downbeat)
    return path


def read_example(path: Path) -> Example:
    """An example that ``make_example`` wrote."""
    with np.load(path) as arrays:
        return Example(arrays["log_mel"].astype(np.float32), arrays["beats_s"], arrays["is_downbeat"])


_Found = tuple[Float32[np.ndarray, " samples"], Float64[np.ndarray, " beats"], Float64[np.ndarray, " bars"]]


def _played(kind: str, rng: np.random.Generator) -> _Found | None:
    song = band_song(rng, seconds=SONG_S) if kind == "band" else accompanied_song(rng, seconds=SONG_S)
    if song is None:
        return None
    stereo = rendered(song.notes, Path("/usr/share/sounds") / SOUNDFONTS[rng.integers(len(SOUNDFONTS))])
    mono = soxr.resample(stereo.mean(axis=1), RATE, RATE_HZ).astype(np.float32)
    return mono, song.beats_s, song.downbeats_s


def _composed(seed: int) -> _Found:
    config = CorpusConfig(seed=seed, min_duration_s=SONG_S, max_duration_s=1.3 * SONG_S, sample_rate=RATE_HZ)
    song = compose_song(0, config=config)
    starts, position = song.grid.times_s[:-1], song.grid.bar_position
    return song.mix.data.mean(axis=1), starts[position >= 0], starts[position == 0]


def _rougher(mono: Float32[np.ndarray, " samples"], rng: np.random.Generator) -> Float32[np.ndarray, " samples"]:
    level = mono / max(float(np.sqrt(np.mean(mono**2))), 1e-6) * 0.1
    eq = tuple(float(g) for g in rng.uniform(-8.0, 8.0, 4)) if rng.random() < 0.7 else ()
    noise = float(rng.uniform(15.0, 45.0)) if rng.random() < 0.5 else None
    rough = augment_mono(level, RATE_HZ, AugmentationDraw(noise_snr_db=noise, eq_db=eq), rng)
    if rng.random() < 0.5:
        drive = rng.uniform(1.0, 12.0)
        rough = np.tanh(drive * rough) / np.float32(drive)
    if rng.random() < 0.3:
        sos = scipy.signal.butter(4, rng.uniform(3000.0, 10000.0), fs=RATE_HZ, output="sos")
        rough = scipy.signal.sosfilt(sos, rough)
    return rough.astype(np.float32)


def targets(example: Example, n_frames: int, start_s: float) -> Float32[np.ndarray, "frames 2"]:
    """1 on the frame of a beat (a downbeat), 0.5 on the frames beside it, from ``start_s`` on."""
    wanted = np.zeros((n_frames, 2), np.float32)
    for column, times in enumerate((example.beats_s, example.beats_s[example.is_downbeat])):
        at = np.rint((times - start_s) * FRAME_RATE_HZ).astype(int)
        for offset, value in ((-1, 0.5), (1, 0.5), (0, 1.0)):
            inside = at[(at + offset >= 0) & (at + offset < n_frames)] + offset
            wanted[inside, column] = np.maximum(wanted[inside, column], value)
    return wanted
