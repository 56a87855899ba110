"""What else a grid could be, how likely each is, and how sure the grid itself.

Conventions: an alternative is a ``BeatOverride``; its score is the log-likelihood per second of what the network hears
under the grid that the override makes (``decoding.beat_scores``), and of what changes at its downbeats (``bars``).
Bars of different lengths are compared by their *gain*: how much better they score where they begin likeliest than on
average over all their beats, since where no downbeat is heard the fewest score best. Probabilities are over the grid as
it is and its alternatives.
"""

from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Float64

from rl_editor.beats.bars import changes
from rl_editor.beats.decoding import SOUNDING_FRAMES_PER_S, beat_scores
from rl_editor.beats.grids import apply_override
from rl_editor.beats.spectrum import Activations
from rl_editor.config import BeatOverride
from rl_editor.config.sound import Metre as BeatsPerBar
from rl_editor.features import FrameFeatures
from rl_editor.grid import PARTIAL, BeatGrid

# Fitted on generated songs that the network was not trained on: on 170 the temperature at which the probability of the
# grid as tracked is on average the share of songs in which no alternative scores better in beats and downbeats (0.84),
# and on 298 a logistic regression of F-measure on how likely beats are heard on the beats of the grid and half-way
# between.
_TEMPERATURE = 1.3  # nats per second
_BASE, _ON_BEATS, _BETWEEN = -1.50, 5.19, -1.48


ODD_METRES = (5, 7)  # beats of a bar, heard where they gain more by ODD_COST than bars of three or four
ODD_COST = 0.5  # nats per second; of 152 songs in three or four one gained more so, by 0.2, one in five by 1.4
_METRES = (3, 4, *ODD_METRES)  # two and six are heard as four and three


class Alternative(NamedTuple):
    """A grid that could be meant, as the override that makes it."""

    name: str
    override: BeatOverride
    score: float  # nats per second
    probability: float


def recounted(heard: Activations, grid: BeatGrid, frames: FrameFeatures, *, metres: tuple[int, ...]) -> BeatGrid:
    """The same beats in the likeliest bars: of as many beats, or of ``metres``, which cost ``ODD_COST``."""
    changed = changes(frames, grid)
    ways = [_counted(heard, grid, changed, metre) for metre in (grid.beats_per_bar, *metres)]
    gains = [way.gain - ODD_COST * (place > 0) for place, way in enumerate(ways)]
    return apply_override(grid, ways[int(np.argmax(gains))].override)


def alternatives(heard: Activations, grid: BeatGrid, frames: FrameFeatures) -> list[Alternative]:
    """The grid as it is, at twice and half its tempo, half a beat later, with each other downbeat, in other bars.

    Bars of another length begin at their likeliest beat; their score is that of the likeliest bars of this length, and
    what they gain more. The likeliest alternative comes first.
    """
    ways = {
        "as tracked": BeatOverride(),
        "x2": BeatOverride(tempo_multiplier=2),
        "/2": BeatOverride(tempo_multiplier="half"),
        "half a beat later": BeatOverride(shift_beats=0.5),
    }
    grids = [apply_override(grid, way) for way in ways.values()]
    scores = [grid_score(heard, each, changes(frames, each)) for each in grids]
    changed = changes(frames, grid)
    own = _counted(heard, grid, changed, grid.beats_per_bar)
    for beats in range(1, grid.beats_per_bar):
        ways[f"downbeat {beats} later"] = BeatOverride(downbeat_shift_beats=beats)
        scores.append(own.scores[beats])
    for metre in (metre for metre in _METRES if metre != grid.beats_per_bar):
        other = _counted(heard, grid, changed, metre)
        ways[f"{metre} in a bar"] = other.override
        scores.append(max(own.scores) + other.gain - own.gain)
    likely = np.exp((np.array(scores) - max(scores)) / _TEMPERATURE)
    likely /= likely.sum()
    found = [Alternative(n, w, float(s), float(p)) for (n, w), s, p in zip(ways.items(), scores, likely, strict=True)]
    return sorted(found, key=lambda way: -way.probability)


class _Counted(NamedTuple):
    """Beats in bars of a length, where these begin likeliest."""

    override: BeatOverride
    scores: list[float]  # of bars that begin so many beats later than the grid's
    gain: float


def _counted(heard: Activations, grid: BeatGrid, changed: Float64[np.ndarray, " beats"], metre: int) -> _Counted:
    """The beats in bars of ``metre`` where these begin likeliest; as they are where all are alike."""
    bars = cast("BeatsPerBar", metre)
    ways = [BeatOverride(beats_per_bar=bars, downbeat_shift_beats=beats) for beats in range(metre)]
    scores = [grid_score(heard, apply_override(grid, way), changed) for way in ways]
    best = int(np.argmax(scores))
    return _Counted(ways[best], scores, scores[best] - float(np.mean(scores)))


def grid_score(heard: Activations, grid: BeatGrid, changed: Float64[np.ndarray, " beats"]) -> float:
    """Log-likelihood per second of what is heard and of what changes at downbeats, over the grid's whole beats.

    What changes counts in every frame in which a downbeat sounds, as what is heard does.
    """
    whole = np.flatnonzero(grid.bar_position != PARTIAL)
    if len(whole) == 0:
        return float("-inf")
    bounds: Float64[np.ndarray, " bounds"] = grid.times_s[whole[0] : whole[-1] + 2]
    opens = grid.bar_position == 0
    at_downbeats = (changed * np.diff(grid.times_s) * SOUNDING_FRAMES_PER_S)[opens].sum()
    return float((beat_scores(heard, bounds, grid.bar_position[whole]).sum() + at_downbeats) / (bounds[-1] - bounds[0]))


def confidence_of(heard: Activations, grid: BeatGrid) -> float:
    """The F-measure to be expected: how much of the grid is within 70 ms of true beats, and of them in the grid."""
    whole = grid.bar_position != PARTIAL
    if not whole.any():
        return 0.0
    beats, length = grid.times_s[:-1][whole], np.diff(grid.times_s)[whole]
    on, between = heard.near(beats).beat.mean(), heard.near(beats + length / 2.0).beat.mean()
    return float(1.0 / (1.0 + np.exp(-(_BASE + _ON_BEATS * on + _BETWEEN * between))))
