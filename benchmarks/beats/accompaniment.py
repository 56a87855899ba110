"""Songs by Musical MIDI Accompaniment (the program ``mma``): its grooves under random chords, with a random melody.

Grooves in 3/4 and 4/4 are used, some 1,900 of them in 250 styles; what their beats are is then known from the tempo.
Programs, velocities and timing are varied, players drop out for whole sections, and the tempo may bend.
"""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pretty_midi

from benchmarks.beats.midi import Song, warped

LIBRARY = Path("/usr/share/mma/lib")
PROGRESSIONS = (
    (0, 5, 7, 0), (0, 9, 5, 7), (0, 7, 9, 5), (9, 5, 0, 7), (0, 2, 7, 0), (2, 7, 0, 9), (0, 0, 5, 0, 7, 5, 0, 7),
    (0, 10, 5, 0), (9, 7, 5, 4), (0, 4, 9, 5), (0, 0, 0, 0), (0, 5, 0, 7), (4, 9, 2, 7), (0, 11, 9, 7),
)  # fmt: skip
_MINOR_STEPS = {2, 4, 9, 11}
_NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
_MELODY_PROGRAMS = (0, 4, 11, 16, 22, 24, 25, 26, 27, 29, 30, 40, 41, 52, 56, 57, 60, 64, 65, 66, 71, 73, 75, 80, 81,
                    82, 85, 87, 90)  # fmt: skip
_SCALE = np.array([0, 2, 4, 5, 7, 9, 11])


@dataclass(frozen=True)
class Style:
    """A file of grooves in one metre."""

    path: Path
    grooves: tuple[str, ...]
    beats_per_bar: int
    tempo_bpm: tuple[float, float]  # plausible range


@cache
def styles() -> tuple[Style, ...]:
    """All styles of the library in 3/4 or 4/4."""
    found = [_style(path) for path in sorted(LIBRARY.glob("*/*.mma"))]
    return tuple(style for style in found if style is not None)


def _style(path: Path) -> Style | None:
    text = path.read_text(encoding="utf-8", errors="replace")
    grooves = tuple(re.findall(r"(?im)^\s*DefGroove\s+(\S+)", text))
    times = {float(t) for t in re.findall(r"(?im)^\s*Time\s+([\d.]+)", text)}
    signatures = {tuple(s.replace("/", " ").split()) for s in re.findall(r"(?im)^\s*TimeSig\s+(.*)", text)}
    if not grooves or len(times) != 1 or not times <= {3.0, 4.0} or not signatures <= {("3", "4"), ("4", "4")}:
        return None
    advised = re.search(r"(?i)tempo\D{0,20}(\d{2,3})\s*(?:-|to)\s*(\d{2,3})", text)
    name = path.stem.lower()
    if advised:
        tempo = (float(advised[1]) * 0.9, float(advised[2]) * 1.1)
    elif "slow" in name or "ballad" in name:
        tempo = (58.0, 92.0)
    elif "fast" in name or "polka" in name or "bebop" in name:
        tempo = (160.0, 215.0)
    else:
        tempo = (70.0, 190.0)
    return Style(path, grooves, int(times.pop()), tempo)


def accompanied_song(rng: np.random.Generator, *, seconds: float) -> Song | None:
    """A song of about ``seconds``; None where mma makes nothing of the draw."""
    program = shutil.which("mma")
    if program is None:
        raise SystemExit("mma: not on the PATH; install it from your system's packages")
    style = styles()[rng.integers(len(styles()))]
    bpm = float(round(np.clip(rng.uniform(*style.tempo_bpm), 50.0, 215.0)))  # mma keeps whole numbers
    n_bars = max(int(seconds * bpm / 60.0 / style.beats_per_bar), 8)
    key, sections = int(rng.integers(12)), _sections(style, n_bars, rng)
    with tempfile.TemporaryDirectory() as folder:
        script, midi = Path(folder) / "song.mma", Path(folder) / "song.mid"
        script.write_text(_script(style, bpm, key, sections, rng), encoding="utf-8")
        done = subprocess.run(
            [program, "-w", "-f", str(midi), str(script)], capture_output=True, text=True, check=False
        )
        if done.returncode or not midi.exists():
            return None
        notes = pretty_midi.PrettyMIDI(str(midi))
    if not _sounds(notes):
        return None
    beats = np.arange(n_bars * style.beats_per_bar) * 60.0 / bpm
    song = Song(notes, beats, beats[:: style.beats_per_bar])
    _vary(song, sections, key, style.beats_per_bar, rng)
    if not _sounds(notes):
        return None
    return bent(song, rng)


def _sounds(notes: pretty_midi.PrettyMIDI) -> bool:
    return any(instrument.notes for instrument in notes.instruments)


def _sections(style: Style, n_bars: int, rng: np.random.Generator) -> list[tuple[str, int]]:
    """Grooves and their lengths in bars."""
    chosen = rng.choice(len(style.grooves), size=min(4, len(style.grooves)), replace=False)
    sections, left = [], n_bars
    while left > 0:
        length = min(int(rng.choice([2, 4, 8, 8, 8, 16])), left)
        sections.append((style.grooves[rng.choice(chosen)], length))
        left -= length
    return sections


def _script(style: Style, bpm: float, key: int, sections: list[tuple[str, int]], rng: np.random.Generator) -> str:
    lines = [f"Use {style.path}", f"Tempo {bpm:.0f}", f"TimeSig {style.beats_per_bar} 4"]
    for groove, length in sections:
        lines.append(f"Groove {groove}")
        progression = PROGRESSIONS[rng.integers(len(PROGRESSIONS))]
        per_bar = int(rng.choice([1, 1, 2])) if style.beats_per_bar == 4 else 1
        for bar in range(length):
            steps = [progression[(bar * per_bar + k) % len(progression)] for k in range(per_bar)]
            chords = [_NAMES[(key + s) % 12] + ("m" if s in _MINOR_STEPS else "") for s in steps]
            lines.append(" / ".join(chords) if per_bar == 2 else chords[0])
    return "\n".join(lines) + "\n"


def _vary(song: Song, sections: list[tuple[str, int]], key: int, beats_per_bar: int, rng: np.random.Generator) -> None:
    """Other instruments, levels, players who rest, a melody, human timing."""
    instruments = song.notes.instruments
    if rng.random() < 0.2 and any(not i.is_drum for i in instruments):
        song.notes.instruments = instruments = [i for i in instruments if not i.is_drum]
    bounds = np.cumsum([0, *[length for _, length in sections]])
    times = np.append(song.downbeats_s, song.beats_s[-1] + 10.0)
    for instrument in instruments:
        if not instrument.is_drum and rng.random() < 0.4:
            family = instrument.program // 8 * 8
            instrument.program = int(family + rng.integers(8))
        scale = rng.uniform(0.35, 1.1)
        resting = [(times[a], times[b]) for a, b in pairwise(bounds) if rng.random() < 0.2]
        instrument.notes = [n for n in instrument.notes if not any(a - 0.05 <= n.start < b - 0.05 for a, b in resting)]
        for note in instrument.notes:
            note.velocity = int(np.clip(note.velocity * scale, 8, 127))
    if rng.random() < 0.75:
        instruments.append(melody(song, key, beats_per_bar, rng))
    spread = float(rng.choice([0.0, 0.004, 0.008, 0.012]))
    for instrument in instruments:
        late = float(rng.normal(0.0, spread / 2))
        for note in instrument.notes:
            move = late + float(rng.normal(0.0, spread))
            note.start, note.end = max(note.start + move, 0.0), max(note.end + move, note.start + move + 0.03)


def melody(song: Song, key: int, beats_per_bar: int, rng: np.random.Generator) -> pretty_midi.Instrument:
    """Motifs that come back, on eighths, triplets or sixteenths, more or less syncopated."""
    instrument = pretty_midi.Instrument(int(rng.choice(_MELODY_PROGRAMS)))
    parts = int(rng.choice([1, 2, 2, 2, 3, 4]))
    density, syncopation = rng.uniform(0.2, 0.8), rng.uniform(0.0, 0.8)
    weight = np.full(beats_per_bar * parts, density * syncopation)
    weight[::parts] = density
    motifs = [rng.random(len(weight)) < weight for _ in range(int(rng.integers(1, 4)))]
    period = float(np.diff(song.beats_s[:2])[0])
    degree, velocity = int(rng.integers(0, 14)), int(rng.integers(60, 120))
    register = int(rng.choice([48, 60, 60, 72]))
    bar = 0
    while bar < len(song.downbeats_s):
        if rng.random() < 0.15:  # a rest of some bars
            bar += int(rng.integers(1, 5))
            continue
        onsets = np.flatnonzero(motifs[rng.integers(len(motifs))])
        ends = np.append(onsets, len(weight))[1:]
        for onset, end in zip(onsets, ends, strict=True):
            degree = int(np.clip(degree + rng.choice([-2, -1, -1, 0, 1, 1, 2, 4, -4]), 0, 16))
            start = song.downbeats_s[bar] + onset * period / parts
            stop = start + (end - onset) * period / parts * rng.uniform(0.4, 1.0)
            pitch = int(register + key + _SCALE[degree % 7] + 12 * (degree // 7))
            instrument.notes.append(
                pretty_midi.Note(int(np.clip(velocity + rng.integers(-12, 12), 20, 127)), min(pitch, 108), start, stop)
            )
        bar += 1
    return instrument


def bent(song: Song, rng: np.random.Generator) -> Song:
    """A pause before, and sometimes a tempo that wanders or steps."""
    lead = float(rng.choice([0.0, rng.uniform(0.0, 3.0)]))
    end = max(song.notes.get_end_time(), float(song.beats_s[-1])) + 1.0
    from_s = np.append(song.beats_s, end)
    kind = rng.random()
    factor = np.ones(len(from_s) - 1)
    if kind < 0.25:
        factor = np.exp(np.cumsum(rng.normal(0.0, 0.004, len(factor))))
    elif kind < 0.35:
        for at in rng.integers(0, len(factor), int(rng.integers(1, 3))):
            factor[at:] *= rng.uniform(0.88, 1.14)
    to_s = lead + np.concatenate([[0.0], np.cumsum(np.diff(from_s) * factor)])
    return warped(song, from_s, to_s)
