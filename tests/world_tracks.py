"""Synthetic tracks for the tests of the world room: beats with features that have sections, bars and levels."""

import numpy as np

from rl_editor.edits import SourceInfo
from rl_editor.features import FEATURE_NAMES, BeatFeatures
from rl_editor.grid import BeatGrid
from rl_editor.state import AudioState

RATE_HZ = 22050
FORM = "iaabbaabbco"  # intro, verse, chorus, bridge, outro; 8 bars each
LEVELS = {"i": 0.05, "a": 0.1, "b": 0.25, "c": 0.08, "o": 0.05}


def track(
    seed: int = 0,
    *,
    form: str = FORM,
    bars_per_section: int = 8,
    beats_per_bar: int = 4,
    beat_s: float = 0.5,
    lead_in_s: float = 0.0,
    tail_s: float = 0.0,
    mode: str = "enhanced",
    style: int = 0,
) -> AudioState:
    """A song whose equal letters sound alike: each bar of a section has its chord, each beat of a bar its timbre."""
    rng = np.random.default_rng(seed)
    names = FEATURE_NAMES[mode]
    chords = {letter: rng.normal(size=(4, len(names))) for letter in sorted(set(form))}
    section = {letter: rng.normal(size=len(names)) for letter in sorted(set(form))}
    accents = 0.5 * rng.normal(size=(beats_per_bar, len(names)))
    rows, bar_position = [], []
    for letter in form:
        for bar in range(bars_per_section):
            for beat in range(beats_per_bar):
                row = section[letter] + chords[letter][bar % 4] + accents[beat] + 0.15 * rng.normal(size=len(names))
                row[names.index("rms")] = LEVELS.get(letter, 0.1) * np.exp(0.05 * rng.normal())
                rows.append(row)
                bar_position.append(beat)
    intervals = beat_s * (1.0 + 0.005 * rng.normal(size=len(rows)))
    if lead_in_s:
        rows, bar_position, intervals = [rows[0], *rows], [-1, *bar_position], np.append(lead_in_s, intervals)
    if tail_s:
        rows, bar_position, intervals = [*rows, rows[-1]], [*bar_position, -1], np.append(intervals, tail_s)
    times = np.concatenate([[0.0], np.cumsum(intervals)])
    frames = round(times[-1] * RATE_HZ)
    times[-1] = frames / RATE_HZ
    grid = BeatGrid(times, np.array(bar_position), beats_per_bar)
    features = BeatFeatures(np.array(rows, np.float32), names)
    return AudioState(grid, features, SourceInfo(f"track_{seed}.wav", "", RATE_HZ, 2, frames), style)
