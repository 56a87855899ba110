"""From a plan to every note of every player.

Conventions: an event's ``beat`` counts from the first downbeat (pickup beats are negative); stems are ``drums``,
``bass``, ``vocals`` (the lead melody) and ``other`` (the chords). Sections of one label share their chords, hook and
groove; each repeat is varied by its own generator. Off-beats of swinging songs are moved by ``swung``.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from rl_editor.composer.bands import BLUEPRINTS, FILLS, GENRES, STRENGTH, WALTZ, Blueprint, Genre
from rl_editor.composer.form import Part, SongPlan
from rl_editor.composer.synthesis import Note
from rl_editor.composer.theory import Beats, Key, MelodyNote, chord_degrees, phrase, progression, voicing

STEP_BEATS = 0.25
_SWING_PLACE = 0.62  # where the off-beat falls within a swinging beat
_BREAK_BARS = 1
_CHORD_CENTRE = 60  # middle C: chords lie around it
_BASS_OCTAVE, _LEAD_OCTAVE = 1, 4


class Event(NamedTuple):
    """A note of one stem."""

    stem: str
    note: Note
    beat: float
    velocity: float


@dataclass
class Score:
    """The notes of a song as they are written."""

    plan: SongPlan
    genre: Genre
    key: Key
    rng: np.random.Generator  # of what is shared by all sections of a label
    events: list[Event] = field(default_factory=list)
    kicks: list[float] = field(default_factory=list)  # beats, for the ducking

    @cached_property
    def chords(self) -> dict[str, tuple[int, ...]]:
        """The chord turn of each kind of material."""
        kinds = ("verse", "prechorus", "chorus", "bridge")
        return {kind: progression(self.rng, section=kind, key=self.key) for kind in kinds}

    @cached_property
    def hooks(self) -> dict[str, tuple[MelodyNote, ...]]:
        """A four-bar melody for each kind of lead, over the chords of each kind of material."""
        return {
            label: phrase(
                self.rng,
                chords=self.chords[blueprint.material],
                beats_per_bar=self.plan.beats_per_bar,
                rest_probability=blueprint.rest_probability,
                span=7 if blueprint.lead == "solo" else 5,
            )
            for label, blueprint in BLUEPRINTS.items()
        }

    def add(self, stem: str, patch: str, pitch: int, beat: Beats, length_beats: Beats, velocity: float, *,
            brightness: float = 0.5, variant: int = 0) -> None:  # fmt: skip
        """Write a note; lengths and brightness are rounded so that equal notes are rendered once."""
        length_ms = 0 if stem == "drums" and patch != "riser" else round(length_beats * 60000.0 / self.plan.bpm)
        if velocity > 0:
            note = Note(patch, pitch, length_ms, round(brightness * 10) / 10, variant)
            self.events.append(Event(stem, note, float(beat), velocity))


def write_score(plan: SongPlan, rng: np.random.Generator) -> Score:
    """Arrange a song."""
    shared, varied = rng.spawn(2)
    fitting = [genre for genre in GENRES if genre.bpm[0] <= plan.bpm <= genre.bpm[1]]
    genre = WALTZ if plan.has("waltz") else fitting[plan.index % len(fitting)]
    mode = str(shared.choice(("major", "minor", "dorian", "mixolydian"), p=(0.45, 0.37, 0.1, 0.08)))
    score = Score(plan, genre, Key(int(shared.integers(12)), mode), shared)
    for i, part in enumerate(plan.parts):
        following = plan.parts[i + 1] if i + 1 < len(plan.parts) else None
        _arrange(score, part, following, varied)
    if plan.pickup_beats:
        _pickup(score)
    return _with_break(score) if plan.has("break") else score


def swung(beat: Beats, *, swings: bool) -> float:
    """Move the off-beat of a swinging song late, and what is around it in proportion."""
    whole = float(np.floor(beat))
    inside = beat - whole
    if not swings:
        return beat
    if inside < 0.5:
        return whole + inside / 0.5 * _SWING_PLACE
    return whole + _SWING_PLACE + (inside - 0.5) / 0.5 * (1.0 - _SWING_PLACE)


# ---------------------------------------------------------------- sections


def _arrange(score: Score, part: Part, following: Part | None, rng: np.random.Generator) -> None:
    blueprint = BLUEPRINTS[part.label]
    loose = score.plan.has("loose") and part.repeat % 2 == 1 and part.label != "chorus"
    first = len(score.events)
    lift = 2 if score.plan.has("lift") and part.label == "chorus" and part.is_last and part.repeat else 0
    for bar in range(part.n_bars):
        _drum_bar(score, part, blueprint, bar, following, rng)
        _bass_bar(score, part, blueprint, bar, rng, lift=lift)
        _chord_bar(score, part, blueprint, bar, lift=lift)
    _lead(score, part, blueprint, rng, lift=lift)
    if following is not None and BLUEPRINTS[following.label].energy >= 0.9:
        _riser(score, part)
    touch = 0.65 + 0.35 * blueprint.energy  # quieter sections are played more softly, not only by fewer
    score.events[first:] = [event._replace(velocity=event.velocity * touch) for event in score.events[first:]]
    if loose:
        score.events[first:] = _loosened(score.events[first:], rng)


def _loosened(events: list[Event], rng: np.random.Generator) -> list[Event]:
    """A weak take: quieter, with notes left out and late."""
    return [
        event._replace(velocity=0.6 * event.velocity, beat=event.beat + float(rng.normal(0.015, 0.02)))
        for event in events
        if rng.random() > 0.22
    ]


def _drum_bar(score: Score, part: Part, blueprint: Blueprint, bar: int, following: Part | None,
              rng: np.random.Generator) -> None:  # fmt: skip
    if blueprint.drums == "none":
        return
    genre, start = score.genre, (part.start_bar + bar) * score.plan.beats_per_bar
    groove = genre.high if blueprint.drums == "high" else genre.low
    is_last = bar == part.n_bars - 1
    fill_beats = 0.0 if not is_last or following is None else min(2.0, score.plan.beats_per_bar - 1.0)
    until = score.plan.beats_per_bar - fill_beats
    if blueprint.drums != "hats":
        _strokes(score, "kick", groove.kick, start, until, rng, level=1.0)
        _strokes(score, "snare", groove.snare, start, until, rng, level=0.85)
    enters = blueprint.drums != "hats" or bar >= part.n_bars // 2 or part.label == "outro"
    if enters:
        cymbal = "ride" if part.label == "solo" else "hat"
        _strokes(score, cymbal, groove.hat, start, until, rng, level=0.3 + 0.2 * blueprint.energy)
    if blueprint.drums == "high" and (bar % 2 == 1 or part.is_last):
        _strokes(
            score, "open", "..............x." if len(groove.hat) == 16 else "..........x.", start, until, rng, level=0.4
        )
    if part.repeat > 0 and part.label in ("verse", "chorus"):
        _strokes(score, "shaker", "xoxo" * score.plan.beats_per_bar, start, until, rng, level=0.25)
    if bar == 0 and blueprint.energy >= 0.8:
        score.add("drums", "crash", 60, start, 1.0, 0.6, variant=part.repeat % 2)
    if fill_beats:
        _fill(score, start + until, fill_beats, rng, level=0.5 + 0.4 * BLUEPRINTS[following.label].energy
              if following else 0.5)  # fmt: skip


def _strokes(score: Score, role: str, pattern: str, start: Beats, until: Beats, rng: np.random.Generator, *,
             level: float) -> None:  # fmt: skip
    for step, letter in enumerate(pattern):
        beat = step * STEP_BEATS
        if letter == "." or beat >= until:
            continue
        variant = 0 if role == "kick" or score.plan.has("sequenced") else int(rng.integers(3))
        score.add("drums", score.genre.kit[role], 60, start + beat, 0.25, level * STRENGTH[letter], variant=variant)
        if role == "kick":
            score.kicks.append(float(start + beat))


def _fill(score: Score, start: Beats, n_beats: Beats, rng: np.random.Generator, *, level: float) -> None:
    snare, toms = FILLS[int(rng.integers(len(FILLS)))]
    for step in range(round(n_beats / STEP_BEATS)):
        rise = level * (0.6 + 0.4 * step * STEP_BEATS / n_beats)
        if snare[step] != ".":
            score.add("drums", score.genre.kit["snare"], 60, start + step * STEP_BEATS, 0.25, rise, variant=step % 3)
        if toms[step] != ".":
            score.add("drums", "tom", 50 - 2 * step, start + step * STEP_BEATS, 0.25, rise)
    score.add("drums", score.genre.kit["kick"], 60, start, 0.25, level)


def _riser(score: Score, part: Part) -> None:
    bar = score.plan.beats_per_bar
    end = (part.start_bar + part.n_bars) * bar
    score.add("drums", "riser", 60, end - bar, bar, 0.3)


def _root(score: Score, blueprint: Blueprint, bar: int) -> int:
    chords = score.chords[blueprint.material]
    return chords[bar % len(chords)]


def _bass_bar(score: Score, part: Part, blueprint: Blueprint, bar: int, rng: np.random.Generator, *,
              lift: int) -> None:  # fmt: skip
    if blueprint.bass == "none":
        return
    plan = score.plan
    start, root = (part.start_bar + bar) * plan.beats_per_bar, _root(score, blueprint, bar)
    low = score.key.pitch(root, octave=_BASS_OCTAVE) + lift
    low += 12 if low < 30 else 0
    if blueprint.bass == "long":
        score.add("bass", score.genre.bass, low, start, plan.beats_per_bar * 0.95, 0.8, brightness=0.3)
        return
    pattern = score.genre.bassline if blueprint.bass == "groove" else "X.x." * plan.beats_per_bar
    steps = [i for i, letter in enumerate(pattern) if letter != "." and i * STEP_BEATS < plan.beats_per_bar]
    for i, step in enumerate(steps):
        until = steps[i + 1] if i + 1 < len(steps) else round(plan.beats_per_bar / STEP_BEATS)
        length = min(until - step, 6) * STEP_BEATS * 0.9
        leap = 12 if i and i % 4 == 3 and blueprint.bass == "groove" and rng.random() < 0.3 else 0
        approach = step >= round(plan.beats_per_bar / STEP_BEATS) - 2 and bar % 4 == 3
        pitch = score.key.pitch(root + (4 if approach else 0), octave=_BASS_OCTAVE) + lift
        pitch += 12 if pitch < 30 else 0
        score.add("bass", score.genre.bass, pitch + leap, start + step * STEP_BEATS, length, STRENGTH[pattern[step]],
                  brightness=blueprint.brightness)  # fmt: skip


def _chord_bar(score: Score, part: Part, blueprint: Blueprint, bar: int, *, lift: int) -> None:
    plan, genre = score.plan, score.genre
    start = (part.start_bar + bar) * plan.beats_per_bar
    degrees = chord_degrees(_root(score, blueprint, bar), sevenths=genre.sevenths)
    chord = voicing([score.key.pitch(d, octave=4) + lift for d in degrees], centre=_CHORD_CENTRE)
    build = (bar + 1) / part.n_bars if part.label in ("prechorus", "intro", "breakdown") else 1.0
    bright = blueprint.brightness * (0.6 + 0.4 * build)
    level = blueprint.energy**0.5 / len(chord) ** 0.5
    if "pad" in blueprint.chords:
        for pitch in chord:
            score.add("other", genre.pad, pitch, start, plan.beats_per_bar, 0.7 * level, brightness=bright)
    if "comp" in blueprint.chords:
        _comp(score, chord, start, level=level, brightness=bright)
    if "arpeggio" in blueprint.chords:
        ladder = [*chord, *(pitch + 12 for pitch in chord)]
        for step in range(2 * plan.beats_per_bar):
            score.add("other", genre.comp, ladder[(step * 2) % len(ladder)], start + 0.5 * step, 0.5, 0.6,
                      brightness=bright)  # fmt: skip


def _comp(score: Score, chord: tuple[int, ...], start: Beats, *, level: float, brightness: float) -> None:
    total = round(score.plan.beats_per_bar / STEP_BEATS)
    pattern = score.genre.comping[:total]
    steps = [i for i, letter in enumerate(pattern) if letter != "."]
    for i, step in enumerate(steps):
        until = steps[i + 1] if i + 1 < len(steps) else total
        length = min(until - step, 8) * STEP_BEATS * 0.8
        strum = 0.02 if score.genre.comp in ("guitar", "overdriven", "keys") else 0.0  # beats between strings
        for string, pitch in enumerate(chord):
            score.add("other", score.genre.comp, pitch, start + step * STEP_BEATS + string * strum, length,
                      1.3 * level * STRENGTH[pattern[step]], brightness=brightness)  # fmt: skip


def _lead(score: Score, part: Part, blueprint: Blueprint, rng: np.random.Generator, *, lift: int) -> None:
    if blueprint.lead == "none":
        return
    plan = score.plan
    patch = score.genre.leads[1 if blueprint.lead == "solo" else 0]
    octave = _LEAD_OCTAVE + (blueprint.lead == "solo")
    hook = score.hooks[part.label]
    for first_bar in range(0, part.n_bars, 4):
        is_close = part.repeat > 0 and first_bar + 4 >= part.n_bars
        for note in hook:
            bar = first_bar + int(note.beat // plan.beats_per_bar)
            if bar >= part.n_bars or (blueprint.lead == "verse" and bar % 8 == 7 and part.repeat == 0):
                continue
            ornament = int(rng.integers(-1, 2)) if is_close and bar % 4 >= 2 else 0
            beat = (part.start_bar + first_bar) * plan.beats_per_bar + note.beat
            velocity = 0.55 + 0.3 * blueprint.energy + 0.1 * float(note.beat.is_integer())
            pitch = score.key.pitch(note.degree + ornament, octave=octave) + lift
            score.add("vocals", patch, pitch, beat, note.length_beats * 0.92, velocity,
                      brightness=blueprint.brightness)  # fmt: skip
            if blueprint.lead == "chorus" and (part.repeat > 0 or part.is_last):
                harmony = score.key.pitch(note.degree + ornament + 2, octave=octave) + lift
                score.add("vocals", patch, harmony, beat, note.length_beats * 0.92, 0.45 * velocity,
                          brightness=blueprint.brightness)  # fmt: skip


def _pickup(score: Score) -> None:
    """The beats before the first downbeat: sticks, and a run up to the tonic."""
    n_beats = score.plan.pickup_beats
    for step in range(2 * n_beats):
        beat = step / 2.0 - n_beats
        pitch = score.key.pitch(step - 2 * n_beats, octave=4)
        score.add("other", score.genre.comp, pitch, beat, 0.45, 0.7, brightness=0.5)
        if step % 2 == 0:
            score.add("drums", "rim", 60, beat, 0.25, 0.6)


def _with_break(score: Score) -> Score:
    """Silence the bar before the last chorus."""
    last = next(part for part in reversed(score.plan.parts) if part.label == "chorus")
    end = last.start_bar * score.plan.beats_per_bar
    start = end - _BREAK_BARS * score.plan.beats_per_bar
    score.events = [event for event in score.events if not start <= event.beat < end - 1e-6]
    return score
