"""Small listening sets of synthetic audio: noise bursts on beats over a tone, no other module needed."""

from pathlib import Path

import numpy as np
import soundfile as sf

from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.judgements import Heard, Kind, Pair
from rl_editor.judgements.sets import AUDIO, ListeningSet

RATE_HZ = 22050
BEAT_S = {"a": 0.5, "b": 0.4}
"""Side b plays the same beats faster, so that equal moments have unequal times."""

SECRETS = ("way-of-a", "way-of-b", "edit-id", "pair-id", "song-name", "anchor", "repeat", ".flac")
"""What nothing that a listener gets may hold."""


def sound(seed: int, seconds: float, beat_s: float) -> np.ndarray:
    """A soft tone and a burst of noise on every beat."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    since_beat_s = time_s % beat_s
    burst = rng.normal(size=len(time_s)) * np.exp(-since_beat_s / 0.05) * (0.5 + 0.5 * np.sin(time_s))
    samples: np.ndarray = 0.1 * np.sin(2 * np.pi * (220 + 20 * seed) * time_s) + 0.15 * burst
    return samples.astype(np.float32)


def heard(folder: Path, name: str, side: str, *, seed: int, n_beats: int) -> Heard:
    """One side, written to ``folder/audio``."""
    beat_s = BEAT_S[side]
    seconds = n_beats * beat_s
    (folder / AUDIO).mkdir(parents=True, exist_ok=True)
    file = f"{name}-way-of-{side}.flac"
    sf.write(folder / AUDIO / file, sound(seed, seconds, beat_s), RATE_HZ)
    frames = round(seconds * RATE_HZ)
    source = SourceInfo("song-name.wav", "0" * 64, RATE_HZ, 1, 10 * frames)
    return Heard(
        edit_id=f"edit-id-{name}-{side}",
        song="song-name",
        way=f"way-of-{side}",
        edit=EditList(source, (Segment(0, frames),)),
        summary=(float(seed), 0.5),
        loudness_lufs=-23.0,
        beats_s=tuple(float(t) for t in np.arange(n_beats + 1) * beat_s),
        differs_s=((beat_s, 3 * beat_s),),
        audio=file,
    )


def pair(folder: Path, number: int, *, kind: Kind = "pair", n_beats: int = 8) -> Pair:
    """A pair of two sides."""
    name = f"{kind}{number}"
    sides = [heard(folder, name, side, seed=number, n_beats=n_beats) for side in ("a", "b")]
    return Pair(f"pair-id-{name}", kind, *sides)


def make_set(
    folder: Path, *, n_pairs: int = 4, n_anchors: int = 1, n_whole: int = 2, n_beats: int = 8, seed: int = 1
) -> ListeningSet:
    """A listening set, written to ``folder``."""
    pairs = [pair(folder, number, n_beats=n_beats) for number in range(n_pairs)]
    anchors = [pair(folder, number, kind="anchor", n_beats=n_beats) for number in range(n_anchors)]
    whole = [heard(folder, f"whole{n}", "a", seed=50 + n, n_beats=2 * n_beats) for n in range(n_whole)]
    found = ListeningSet("toy", seed, ("duration", "joins"), (*pairs, *anchors), tuple(whole))
    found.save(folder)
    return found
