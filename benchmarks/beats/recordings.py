"""What trackers are scored on: MIDI songs, rendered, and recordings with annotated beats.

In a folder, ``name.mid`` is a song whose tempo map is the truth. ``name.beats`` annotates the recording of that name
beside it: a line per beat, its time in seconds and, after white space, its number in the bar from 1, as in the field's
data sets.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from jaxtyping import Float32, Float64

from rl_editor.utils import AUDIO_SUFFIXES, load_mono

ANALYSIS_RATE = 22_050


@dataclass(frozen=True, eq=False)
class Recording:
    """A signal at ``ANALYSIS_RATE`` and where its beats are."""

    mono: Float32[np.ndarray, " samples"]
    beats_s: Float64[np.ndarray, " beats"]
    downbeats_s: Float64[np.ndarray, " bars"]  # empty where bars are not annotated


def find_recordings(folder: Path) -> dict[str, Path]:
    """MIDI files and annotations of a folder, by name."""
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix in (".mid", ".beats")}


def read_recording(path: Path, soundfont: Path, *, tempo: float = 1.0) -> Recording:
    """Render a MIDI file, at so many times its tempo, or read an annotation and its audio."""
    if path.suffix == ".mid":
        from benchmarks.beats.midi import RATE, read_song, rendered, rendered_file, warped  # of the extra "bench"

        song = read_song(path)
        if tempo == 1.0:
            stereo = rendered_file(path, soundfont)
        else:
            end_s = song.notes.get_end_time()
            song = warped(song, np.array([0.0, end_s]), np.array([0.0, end_s / tempo]))
            stereo = rendered(song.notes, soundfont)
        mono = soxr.resample(stereo.mean(axis=1), RATE, ANALYSIS_RATE).astype(np.float32)
        return Recording(mono, song.beats_s, song.downbeats_s)
    if tempo != 1.0:
        raise SystemExit(f"{path}: --tempo {tempo:g}: recordings have their own; take .mid files")
    audio = next((file for s in sorted(AUDIO_SUFFIXES) if (file := path.with_suffix(s)).exists()), None)
    if audio is None:
        raise SystemExit(f"{path}: no audio of that name beside it ({', '.join(sorted(AUDIO_SUFFIXES))})")
    beats, downbeats = read_annotation(path)
    return Recording(load_mono(audio, ANALYSIS_RATE), beats, downbeats)


def read_annotation(path: Path) -> tuple[Float64[np.ndarray, " beats"], Float64[np.ndarray, " bars"]]:
    """Beats and downbeats of a ``.beats`` file."""
    try:
        lines = [[float(field) for field in line.split()] for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError as fault:
        raise SystemExit(
            f"{path}: {fault}; each line is a time in seconds and, if known, a number in the bar"
        ) from None
    beats = [line for line in lines if line]
    return (
        np.array([line[0] for line in beats]),
        np.array([line[0] for line in beats if len(line) > 1 and line[1] == 1.0]),
    )
