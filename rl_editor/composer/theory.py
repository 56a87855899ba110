"""Notes, keys, chords and melodies, as numbers.

Conventions: pitches are MIDI numbers (69 is A4, 440 Hz); scale degrees count from 0 (the tonic) and go on past the
octave (7 is the tonic above); a beat position is counted from the start of its phrase.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Beats = float | int  # a place or length in beats

MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
SCALE_DEGREES = 7

# Four-chord turns that pop songs use over and over, by section and by whether the third is major.
PROGRESSIONS: dict[tuple[str, bool], tuple[tuple[int, ...], ...]] = {
    ("verse", True): ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 0, 4), (0, 2, 3, 4), (5, 3, 0, 4)),
    ("verse", False): ((0, 5, 2, 6), (0, 6, 5, 6), (0, 3, 0, 6), (0, 2, 6, 3), (0, 0, 5, 6)),
    ("prechorus", True): ((3, 4, 3, 4), (1, 3, 4, 4), (5, 4, 3, 4)),
    ("prechorus", False): ((5, 6, 5, 6), (3, 5, 6, 6), (3, 2, 5, 6)),
    ("chorus", True): ((3, 0, 4, 5), (0, 4, 5, 3), (5, 3, 0, 4), (0, 3, 5, 4), (3, 4, 0, 5)),
    ("chorus", False): ((5, 6, 0, 0), (0, 5, 2, 6), (5, 2, 6, 0), (0, 3, 5, 6), (2, 6, 0, 5)),
    ("bridge", True): ((5, 2, 3, 0), (1, 4, 2, 5), (3, 3, 1, 4)),
    ("bridge", False): ((3, 6, 2, 5), (5, 3, 0, 6), (2, 2, 5, 6)),
}

# Rhythms of one bar as (beat, length) in beats; each is cut off at the bar line of a shorter bar.
RHYTHMS: tuple[tuple[tuple[float, float], ...], ...] = (
    ((0.0, 1.0), (1.0, 0.5), (1.5, 0.5), (2.0, 1.5)),
    ((0.0, 0.5), (0.5, 0.5), (1.0, 1.0), (2.0, 0.5), (2.5, 1.0)),
    ((0.5, 0.5), (1.0, 0.5), (1.5, 1.0), (2.5, 1.5)),
    ((0.0, 1.5), (1.5, 0.5), (2.0, 1.0), (3.0, 1.0)),
    ((0.0, 0.75), (0.75, 0.75), (1.5, 0.5), (2.0, 0.75), (2.75, 1.25)),
    ((0.0, 0.5), (0.5, 0.5), (1.0, 0.5), (1.5, 0.5), (2.0, 2.0)),
)


@dataclass(frozen=True)
class Key:
    """A tonic (0..11, C is 0) and a mode."""

    tonic: int
    mode: str

    @property
    def is_major(self) -> bool:
        """Whether the third is major."""
        return MODES[self.mode][2] == 4

    def pitch(self, degree: int, *, octave: int) -> int:
        """The MIDI pitch of a scale degree; octave 4 starts at middle C."""
        steps = MODES[self.mode]
        return 12 * (octave + 1) + self.tonic + 12 * (degree // SCALE_DEGREES) + steps[degree % SCALE_DEGREES]


class MelodyNote(NamedTuple):
    """A note of a melody: where it starts and how long it lasts in beats, and its scale degree."""

    beat: float
    length_beats: float
    degree: int


def progression(rng: np.random.Generator, *, section: str, key: Key) -> tuple[int, ...]:
    """A four-chord turn for a kind of section."""
    pool = PROGRESSIONS[section, key.is_major]
    return pool[int(rng.integers(len(pool)))]


def chord_degrees(root: int, *, sevenths: bool) -> tuple[int, ...]:
    """Stacked thirds on a scale degree."""
    return (root, root + 2, root + 4, root + 6) if sevenths else (root, root + 2, root + 4)


def voicing(pitches: Sequence[int], *, centre: int) -> tuple[int, ...]:
    """Each pitch class in the octave nearest to ``centre``: chords in a row move little."""
    return tuple(sorted(centre + (pitch - centre + 6) % 12 - 6 for pitch in pitches))


def phrase(
    rng: np.random.Generator, *, chords: Sequence[int], beats_per_bar: int, rest_probability: float, span: int = 5
) -> tuple[MelodyNote, ...]:
    """A melody over one bar per chord: a motif, its answer, the motif again and a close (rhythm A B A C).

    Strong beats take chord tones, the others step from the note before.
    """
    cells = rng.choice(len(RHYTHMS), size=3, replace=False)
    order = [cells[0], cells[1], cells[0], cells[2]]
    degree = int(rng.integers(0, span))
    notes: list[MelodyNote] = []
    for bar, root in enumerate(chords):
        for beat, length in RHYTHMS[order[bar % len(order)]]:
            if beat >= beats_per_bar or (beat > 0 and rng.random() < rest_probability):
                continue
            degree = _next_degree(rng, degree, root, strong=float(beat).is_integer(), span=span)
            notes.append(MelodyNote(bar * beats_per_bar + beat, min(length, beats_per_bar - beat), degree))
    return tuple(notes)


def _next_degree(rng: np.random.Generator, degree: int, root: int, *, strong: bool, span: int) -> int:
    wanted = degree + int(rng.choice((-2, -1, -1, 0, 1, 1, 2)))
    wanted = int(np.clip(wanted, -span // 2, span + 2))
    if not strong:
        return wanted
    tones = [root + third + 7 * octave for octave in (-2, -1, 0, 1) for third in (0, 2, 4)]
    return min(tones, key=lambda tone: (abs(tone - wanted), tone))
