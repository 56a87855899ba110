"""Songs from MIDI: notes on a known grid, played by a soundfont.

Conventions: times in seconds; a ``Song`` counts notes from the start of the file, and its beats and downbeats are those
of the score. Rendering is fluidsynth's (a program, from the system's packages): float samples at 44,100 Hz, which may
pass 1.0.
"""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pretty_midi
from jaxtyping import Float32, Float64

from rl_editor.utils import load_audio

RATE = 44_100


@dataclass(frozen=True, eq=False)
class Song:
    """Notes and the truth about their beats."""

    notes: pretty_midi.PrettyMIDI
    beats_s: Float64[np.ndarray, " beats"]
    downbeats_s: Float64[np.ndarray, " bars"]


def read_song(path: Path) -> Song:
    """A MIDI file; beats are those of its tempo map and time signatures, to the end of its last note."""
    notes = pretty_midi.PrettyMIDI(str(path))
    end_s = notes.get_end_time()
    beats, downbeats = notes.get_beats(), notes.get_downbeats()
    return Song(notes, beats[beats < end_s], downbeats[downbeats < end_s])


def warped(song: Song, from_s: Float64[np.ndarray, " anchors"], to_s: Float64[np.ndarray, " anchors"]) -> Song:
    """The song in another time: what was at ``from_s`` happens at ``to_s``, straight lines between."""
    for instrument in song.notes.instruments:
        for note in instrument.notes:
            note.start, note.end = (float(t) for t in np.interp([note.start, note.end], from_s, to_s))
        for event in [*instrument.control_changes, *instrument.pitch_bends]:
            event.time = float(np.interp(event.time, from_s, to_s))
    return Song(song.notes, np.interp(song.beats_s, from_s, to_s), np.interp(song.downbeats_s, from_s, to_s))


def rendered(notes: pretty_midi.PrettyMIDI, soundfont: Path) -> Float32[np.ndarray, "frames 2"]:
    """The notes as sound."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "song.mid"
        notes.write(str(path))
        return rendered_file(path, soundfont)


def rendered_file(path: Path, soundfont: Path) -> Float32[np.ndarray, "frames 2"]:
    """A MIDI file as sound."""
    program = shutil.which("fluidsynth")
    if program is None:
        raise SystemExit("fluidsynth: not on the PATH; install it from your system's packages")
    if not soundfont.exists():
        raise SystemExit(f"{soundfont}: no such soundfont; install fluid-soundfont-gm or name another with --soundfont")
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "song.wav"
        options = ["-ni", "-q", "-T", "wav", "-O", "float", "-r", str(RATE), "-g", "0.5"]
        settings = ["-o", "synth.polyphony=1024", "-o", "player.timing-source=sample"]
        subprocess.run([program, *options, *settings, "-F", str(wav), str(soundfont), str(path)], check=True)
        return load_audio(wav).data
