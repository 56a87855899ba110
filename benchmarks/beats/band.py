"""Songs of a band: drums, bass, chords and a melody from patterns drawn at random, from punk to drum and bass.

What mma's styles lack: fast songs, double bass drums, half-time feels, riffs on distorted guitars, breakbeats, bars
without drums. A pattern says for each step of a bar (a quarter or a third of a beat) how likely it is to sound; a
section draws its patterns once and repeats them, with fills where it ends.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import pretty_midi
from jaxtyping import Bool, Float64

from benchmarks.beats.accompaniment import PROGRESSIONS, bent, melody
from benchmarks.beats.midi import Song

KICK, SNARE, CLAP, CLOSED, OPEN, CRASH, RIDE, TOMS = 36, 38, 39, 42, 46, 49, 51, (41, 45, 47, 50)
_FEELS = ("backbeat", "half", "double", "four", "break", "one")
_CHORDS = {
    "power": (29, 30), "strum": (24, 25, 26, 27), "keys": (0, 1, 4, 5, 16, 17, 18), "pad": (48, 50, 52, 88, 89, 90, 91),
    "synth": (62, 63, 80, 81),
}  # fmt: skip
_BASSES = (32, 33, 34, 34, 35, 36, 38, 39, 87)
_MINOR = {2, 4, 9, 11}


@dataclass(frozen=True)
class _Metre:
    beats: int
    parts: int  # steps per beat

    @property
    def steps(self) -> int:
        return self.beats * self.parts


@dataclass(frozen=True, eq=False)
class _Section:
    """What everyone plays in each bar of a section."""

    bars: int
    hits: dict[int, Bool[np.ndarray, " steps"]]  # drum note to the steps it is hit on
    bass: Bool[np.ndarray, " steps"]
    chords: Bool[np.ndarray, " steps"]
    sustained: bool
    progression: tuple[int, ...]


def band_song(rng: np.random.Generator, *, seconds: float) -> Song:
    """A song of about ``seconds``."""
    metre = _Metre(int(rng.choice([4, 4, 4, 4, 4, 3])), int(rng.choice([4, 4, 4, 3])))
    bpm = float(np.exp(rng.uniform(np.log(62.0), np.log(208.0))))
    n_bars = max(int(seconds * bpm / 60.0 / metre.beats), 8)
    beats = np.arange(n_bars * metre.beats) * 60.0 / bpm
    step_s = _step_times(beats, metre, rng)
    feels = rng.choice(_FEELS, size=2, p=[0.45, 0.15, 0.1, 0.15, 0.1, 0.05])
    kinds = [_section(str(feels[k % 2]), metre, bpm, rng) for k in range(3)]
    order = []
    while sum(s.bars for s in order) < n_bars:
        order.append(kinds[rng.integers(3)])
    song = Song(pretty_midi.PrettyMIDI(), beats, beats[:: metre.beats])
    song.notes.instruments = _played(order, step_s, metre, n_bars, rng)
    if rng.random() < 0.7:
        song.notes.instruments.append(melody(song, int(rng.integers(12)), metre.beats, rng))
    return bent(song, rng)


def _step_times(
    beats: Float64[np.ndarray, " beats"], metre: _Metre, rng: np.random.Generator
) -> Float64[np.ndarray, " steps"]:
    """When each step sounds, swung more or less where four make a beat; one beat more than there are."""
    period = beats[1] - beats[0]
    within = np.arange(metre.parts) / metre.parts
    if metre.parts == 4 and rng.random() < 0.25:
        within[1::2] += rng.uniform(0.0, 0.08)
    more = np.append(beats, beats[-1] + period)
    times: np.ndarray = (more[:, None] + within * period).ravel()
    return times


def _section(feel: str, metre: _Metre, bpm: float, rng: np.random.Generator) -> _Section:
    steps, parts = metre.steps, metre.parts
    on_beat = np.arange(steps) % parts == 0
    half = parts // 2 if parts == 4 else 2
    eighth = on_beat | (np.arange(steps) % parts == half)
    dense = bpm < 150 or rng.random() < 0.25
    hits = {} if rng.random() < 0.08 else _drums(feel, metre, on_beat, eighth, dense, rng)
    kick = hits.get(KICK, on_beat)
    follows = rng.choice(["kick", "eighths", "beats", "off", "free"], p=[0.35, 0.3, 0.15, 0.08, 0.12])
    bass = {
        "kick": kick | (np.arange(steps) == 0), "eighths": eighth, "beats": on_beat, "off": eighth & ~on_beat,
        "free": _drawn(np.where(on_beat, 0.6, 0.3 if dense else 0.15), rng),
    }[str(follows)]  # fmt: skip
    riff = rng.choice(["whole", "kick", "eighths", "steps", "free", "off"], p=[0.3, 0.12, 0.2, 0.13, 0.15, 0.1])
    gallop = np.tile(np.array([1, 0, 1, 1], bool) if parts == 4 else np.array([1, 0, 1], bool), metre.beats)
    chords = {
        "whole": np.arange(steps) == 0, "kick": kick, "eighths": eighth,
        "steps": gallop if rng.random() < 0.5 or not dense else np.ones(steps, bool),
        "free": _drawn(np.where(eighth, 0.45, 0.12), rng), "off": eighth & ~on_beat,
    }[str(riff)]  # fmt: skip
    progression = PROGRESSIONS[rng.integers(len(PROGRESSIONS))]
    return _Section(int(rng.choice([4, 8, 8])), hits, bass, chords, bool(riff == "whole"), progression)


def _drums(
    feel: str,
    metre: _Metre,
    on_beat: Bool[np.ndarray, " steps"],
    eighth: Bool[np.ndarray, " steps"],
    dense: bool,
    rng: np.random.Generator,
) -> dict[int, Bool[np.ndarray, " steps"]]:
    steps, parts = metre.steps, metre.parts
    at = np.arange(steps)
    beat = at // parts
    half = on_beat & (beat == metre.beats // 2)
    back = on_beat & (beat % 2 == 1) if metre.beats == 4 else on_beat & (beat > 0) & (rng.random() < 0.5) | half
    snare = {"backbeat": back, "half": half, "double": eighth & ~on_beat, "four": back, "break": back, "one": on_beat}[
        feel
    ]
    if feel == "break":
        snare = snare ^ _drawn(np.where(on_beat, 0.1, 0.15), rng)
    elif rng.random() < 0.3:
        snare = snare | _drawn(np.where(eighth, 0.12, 0.06), rng)
    likely = np.where(on_beat, 0.35, np.where(eighth, 0.25, 0.12 if dense else 0.04))
    if feel in ("double", "four"):
        likely = np.where(on_beat, 1.0, 0.05)
    elif rng.random() < 0.15:  # double bass drum
        likely = np.where(eighth, 1.0, 1.0 if dense else 0.3)
    kick = (_drawn(likely, rng) | (at == 0)) & (~snare | (rng.random() < 0.2))
    hats = rng.choice(["beats", "eighths", "steps", "off", "none"], p=[0.2, 0.42, 0.13, 0.15, 0.1])
    ticks = {
        "beats": on_beat, "eighths": eighth, "steps": np.ones(steps, bool) if dense else eighth,
        "off": eighth & ~on_beat, "none": np.zeros(steps, bool),
    }[str(hats)]  # fmt: skip
    tick = int(rng.choice([CLOSED, CLOSED, CLOSED, OPEN, RIDE, CRASH, TOMS[0], 54, 70]))
    return {KICK: kick, (CLAP if rng.random() < 0.15 else SNARE): snare, tick: ticks}


def _drawn(likely: Float64[np.ndarray, " steps"], rng: np.random.Generator) -> Bool[np.ndarray, " steps"]:
    drawn: np.ndarray = rng.random(len(likely)) < likely
    return drawn


def _played(
    order: list[_Section],
    step_s: Float64[np.ndarray, " steps"],
    metre: _Metre,
    n_bars: int,
    rng: np.random.Generator,
) -> list[pretty_midi.Instrument]:
    drums = pretty_midi.Instrument(int(rng.choice([0, 8, 16, 24, 25])), is_drum=True)
    bass = pretty_midi.Instrument(int(rng.choice(_BASSES)))
    kind = str(rng.choice(list(_CHORDS), p=[0.4, 0.2, 0.2, 0.1, 0.1]))
    chords = pretty_midi.Instrument(int(rng.choice(_CHORDS[kind])))
    key, per_bar = int(rng.integers(12)), int(rng.choice([1, 1, 2, 0]))  # chords per bar; 0 is one in two bars
    level = {id(i): int(rng.integers(55, 120)) for i in (drums, bass, chords)}
    loose = float(rng.choice([0.0, 0.003, 0.008, 0.012]))

    def note(instrument: pretty_midi.Instrument, pitch: int, start: float, end: float, accent: int = 0) -> None:
        velocity = int(np.clip(level[id(instrument)] + accent + rng.integers(-10, 11), 15, 127))
        start = max(start + float(rng.normal(0.0, loose)), 0.0)
        instrument.notes.append(pretty_midi.Note(velocity, pitch, start, max(end, start + 0.04)))

    bar = 0
    for section in order:
        for k in range(min(section.bars, n_bars - bar)):
            first = (bar + k) * metre.steps
            here = step_s[first : first + metre.steps + 1]
            fill = k == section.bars - 1 and bool(section.hits) and rng.random() < 0.5
            quiet_from = int(metre.steps - rng.integers(1, 3) * metre.parts) if fill else metre.steps
            for drum, hit in section.hits.items():
                for s in np.flatnonzero(hit[:quiet_from]):
                    note(drums, drum, here[s], here[s] + 0.1, accent=8 * (s % metre.parts == 0))
            for s in range(quiet_from, metre.steps):
                if rng.random() < 0.75:
                    note(drums, int(rng.choice([SNARE, *TOMS])), here[s], here[s] + 0.1)
            if k == 0 and section.hits and rng.random() < 0.7:
                note(drums, CRASH, here[0], here[0] + 1.0)
            roots = _roots(section, k, metre, key, per_bar)
            for onsets, instrument in ((section.bass, bass), (section.chords, chords)):
                ends = np.append(np.flatnonzero(onsets), metre.steps)
                for s, until in itertools.pairwise(ends):
                    long = section.sustained or rng.random() < 0.6
                    end = here[s] + (here[until] - here[s]) * (0.95 if long else 0.4)
                    if instrument is bass:
                        note(bass, 28 + (roots[s] - 4) % 12 + 12 * int(rng.random() < 0.08), here[s], end)
                    else:
                        for pitch in _voicing(kind, roots[s]):
                            note(chords, pitch, here[s], end, accent=12 * (s == 0))
        bar += section.bars
    playing = [drums, bass, chords]
    if rng.random() < 0.15:
        playing.remove(chords if rng.random() < 0.5 else bass)
    return playing


def _roots(section: _Section, bar: int, metre: _Metre, key: int, per_bar: int) -> list[int]:
    """The chord's root for each step of a bar, 0 to 23: minor ones from 12 on."""
    steps = np.arange(metre.steps)
    at = bar // 2 + 0 * steps if per_bar == 0 else bar * per_bar + steps * per_bar // metre.steps
    degrees = [section.progression[int(k) % len(section.progression)] for k in at]
    return [(key + d) % 12 + 12 * (d in _MINOR) for d in degrees]


def _voicing(kind: str, root: int) -> list[int]:
    low = 40 + (root % 12 - 4) % 12
    if kind == "power":
        return [low, low + 7, low + 12]
    third = low + 12 + (3 if root >= 12 else 4)
    return [low + 12, third, low + 19]
