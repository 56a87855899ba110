"""Synthetic tracks for the tests of the world room: beats with features that have sections, bars and levels."""

import numpy as np

from rl_editor.actions import CUT, KEEP, ActionSpace, ReorderAction
from rl_editor.config import Config
from rl_editor.edits import EditList, SourceInfo
from rl_editor.features import FEATURE_NAMES, BeatFeatures
from rl_editor.grid import BeatGrid
from rl_editor.labels import decode
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


def good_edits(state: AudioState, config: Config, rng: np.random.Generator) -> list[EditList]:
    """Edits as a musician makes them: whole sections dropped, a phrase looped, the chorus first, phrases trimmed."""
    units = state.grid.units(4)
    space = ActionSpace(config.action_space)
    first = int(np.flatnonzero(~units.partial)[0])  # bar 0 of the form
    n = units.n_units

    def bars(start: int, count: int) -> range:
        return range(first + start, min(first + start + count, n))

    def edit(actions: list[int]) -> EditList:
        return decode(actions, units, space, source=state.recording, crossfade_ms=50.0)

    drop = [KEEP] * n  # one of two equal verses, and the bridge
    for unit in [*bars(8, 8), *bars(72, 8)]:
        drop[unit] = CUT
    trim = [KEEP] * n  # half of the intro, half of a verse
    for unit in [*bars(0, 4), *bars(44 + 4 * int(rng.integers(2)), 4)]:
        trim[unit] = CUT
    loop = [CUT if unit in bars(0, 8) else KEEP for unit in range(n)]  # four bars of a chorus twice
    start = 24 + 4 * int(rng.integers(3))
    for unit in bars(start, 4):
        loop[unit] = space.extend
    loop[first + start] = 2
    move = [CUT if unit in [*bars(32, 8), *bars(48, 16)] else KEEP for unit in range(n)]  # a chorus to the front
    for unit in bars(24, 8):
        move[unit] = space.extend
    move[first + 24] = space.encode(ReorderAction(first + 24, first + 8))
    return [edit(actions) for actions in (drop, trim, loop, move)]
