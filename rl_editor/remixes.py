"""Songs that nobody recorded: the sections of a recording in another order, for PPO to edit.

A clone knows the songs that it learned from by heart: it edits them as their editor did, so there is next to nothing
for a reward to teach on them, and what it teaches does not hold on other songs. Of a remix nobody ever made an edit,
and none is needed: a reward is a function of the edit alone. (Laskin et al. 2020, "Reinforcement learning with
augmented data", change pixels; here it is the form of the song.)

Conventions: units, spans and sections as in ``state``. A remix begins and ends as the recording does and is at most as
long; what lies between is cut into sections and into blocks of four, eight or sixteen bars, of which some stay out,
some come twice and all are shuffled. Every unit keeps its beats and features. The length asked for is the same share.
"""

from dataclasses import replace

import numpy as np

from rl_editor.features import BeatFeatures
from rl_editor.grid import UnitGrid
from rl_editor.lessons import Task
from rl_editor.state import AudioState, passage_units, sections

_PASSAGES = (1, 2, 2, 4)  # lengths of blocks, drawn per section
_LEFT_OUT, _TWICE = 0.2, 0.15  # shares of the blocks


def remix(task: Task, *, unit_beats: int, rng: np.random.Generator) -> Task:
    """The same recording in another order; itself where it has too few sections."""
    state = task.state
    units = state.grid.units(unit_beats)
    order = _order(_blocks(state, units, rng), units.n_units, rng)
    beats = np.concatenate([np.arange(*units.beat_bounds[[start, end]]) for start, end in order])
    seconds = np.diff(state.grid.times_s)[beats]
    grid = replace(
        state.grid,
        times_s=np.concatenate([[0.0], np.cumsum(seconds)]),
        bar_position=state.grid.bar_position[beats],
    )
    features = BeatFeatures(state.features.values[beats], state.features.names)
    return Task(AudioState(grid, features, style=state.style), task.target_ratio, labels=None)


def _blocks(state: AudioState, units: UnitGrid, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Units from and to: sections, long ones in blocks; what remains of one joins its last block."""
    passage = passage_units(units)
    starts = np.flatnonzero(np.diff(sections(state.features, units), prepend=-1))
    blocks: list[tuple[int, int]] = []
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), units.n_units], strict=True):
        cuts = list(range(start, end, passage * int(rng.choice(_PASSAGES))))
        if len(cuts) > 1 and end - cuts[-1] < passage:
            cuts.pop()
        blocks += zip(cuts, [*cuts[1:], end], strict=True)
    return blocks


def _order(blocks: list[tuple[int, int]], longest: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """The first, the others in any order as far as there is room, the last."""
    if len(blocks) < 3:
        return blocks
    first, *middle, last = blocks
    room = longest - sum(end - start for start, end in (first, last))
    order = [first]
    for index in rng.permutation(len(middle)).tolist():
        start, end = middle[index]
        chance = float(rng.random())
        n_times = 0 if chance < _LEFT_OUT else 2 if chance > 1.0 - _TWICE else 1
        n_times = min(n_times, room // (end - start))
        order += [(start, end)] * n_times
        room -= n_times * (end - start)
    return [*order, last]
