"""What else a grid could be, how likely each is, and how sure the grid itself.

Conventions: an alternative is a ``BeatOverride``; its score is the log-likelihood per second of what the network hears
under the grid that the override makes (``decoding.beat_scores``), and of what changes at its downbeats (``bars``).
Bars of different lengths are compared by their *gain*: how much better they score where they begin likeliest than on
average over all their beats, since where no downbeat is heard the fewest score best. Probabilities are over the grid as
it is and its alternatives: exp((score - that of the grid) / T), with one T for other bars and a larger one for other
beats.
"""

from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Float64, Int

from rl_editor.beats.bars import changes
from rl_editor.beats.decoding import SOUNDING_FRAMES_PER_S, beat_scores
from rl_editor.beats.grids import apply_override
from rl_editor.beats.spectrum import Activations
from rl_editor.config import BeatOverride
from rl_editor.config.sound import Metre as BeatsPerBar
from rl_editor.features import FrameFeatures
from rl_editor.grid import PARTIAL, BeatGrid

# Fitted on generated songs that the network was not trained on: on 170 the temperature of bars at which the probability
# of the grid as tracked is on average the share of songs in which no alternative scores better in beats and downbeats
# (0.84), and on 298 a logistic regression of F-measure on how likely beats are heard on the beats of the grid and
# half-way between. The network is surer of where beats are than it should be: of 72 songs composed for that, 10 of them
# at twice their tempo, other beats were as likely as the log loss of that temperature is least.
_TEMPERATURE, _BEATS_TEMPERATURE = 1.3, 5.0  # nats per second, of other bars and of other beats
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
    suits = _suiting(heard, grid, changes(frames, grid))
    ways = [_counted(suits, grid, metre) for metre in (grid.beats_per_bar, *metres)]
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
    suits = _suiting(heard, grid, changes(frames, grid))
    others = [apply_override(grid, way) for way in ways.values()][1:]
    scores = [suits.score(grid.bar_position), *(grid_score(heard, each, changes(frames, each)) for each in others)]
    own = _counted(suits, grid, grid.beats_per_bar)
    for beats in range(1, grid.beats_per_bar):
        ways[f"downbeat {beats} later"] = BeatOverride(downbeat_shift_beats=beats)
        scores.append(own.scores[beats])
    for metre in (metre for metre in _METRES if metre != grid.beats_per_bar):
        other = _counted(suits, grid, metre)
        ways[f"{metre} in a bar"] = other.override
        scores.append(max(own.scores) + other.gain - own.gain)
    moved = [way.tempo_multiplier != 1 or way.shift_beats != 0.0 for way in ways.values()]
    gained = (np.array(scores) - scores[0]) / np.where(moved, _BEATS_TEMPERATURE, _TEMPERATURE)
    likely = np.exp(gained - gained.max())
    likely /= likely.sum()
    found = [Alternative(n, w, float(s), float(p)) for (n, w), s, p in zip(ways.items(), scores, likely, strict=True)]
    return sorted(found, key=lambda way: -way.probability)


class _Counted(NamedTuple):
    """Beats in bars of a length, where these begin likeliest; as they are where all are alike."""

    override: BeatOverride
    scores: list[float]  # of bars that begin so many beats later than the grid's
    gain: float


def _counted(suits: "_Suiting", grid: BeatGrid, metre: int) -> _Counted:
    opens = np.flatnonzero(grid.bar_position == 0)
    from_first = np.arange(grid.n_beats) - (opens[0] if len(opens) else 0)
    counts = [np.where(grid.bar_position == PARTIAL, PARTIAL, (from_first - beats) % metre) for beats in range(metre)]
    scores = [suits.score(position) for position in counts]
    best = int(np.argmax(scores))
    override = BeatOverride(beats_per_bar=cast("BeatsPerBar", metre), downbeat_shift_beats=best)
    return _Counted(override, scores, scores[best] - float(np.mean(scores)))


def grid_score(heard: Activations, grid: BeatGrid, changed: Float64[np.ndarray, " beats"]) -> float:
    """Log-likelihood per second of what is heard and of what changes at downbeats, over the grid's whole beats.

    What changes counts in every frame in which a downbeat sounds, as what is heard does.
    """
    return _suiting(heard, grid, changed).score(grid.bar_position)


class _Suiting(NamedTuple):
    """How well each beat of a grid suits, in nats: as a downbeat and as another, and by what changes if a downbeat."""

    downbeat: Float64[np.ndarray, " beats"]
    other: Float64[np.ndarray, " beats"]
    changed: Float64[np.ndarray, " beats"]
    whole_s: float

    def score(self, position: Int[np.ndarray, " beats"]) -> float:
        """Nats per second of whole beats that have these places in the bar."""
        opens, whole = position == 0, position != PARTIAL
        if not whole.any():
            return float("-inf")
        beats: float = np.where(opens, self.downbeat, self.other)[whole].sum()
        return float((beats + self.changed[opens].sum()) / self.whole_s)


def _suiting(heard: Activations, grid: BeatGrid, changed: Float64[np.ndarray, " beats"]) -> _Suiting:
    downbeat, other = (beat_scores(heard, grid.times_s, np.full(grid.n_beats, place)) for place in (0, 1))
    whole = np.flatnonzero(grid.bar_position != PARTIAL)
    whole_s = float(grid.times_s[whole[-1] + 1] - grid.times_s[whole[0]]) if len(whole) else 0.0
    return _Suiting(downbeat, other, changed * np.diff(grid.times_s) * SOUNDING_FRAMES_PER_S, whole_s)


def confidence_of(heard: Activations, grid: BeatGrid) -> float:
    """The F-measure to be expected: how much of the grid is within 70 ms of true beats, and of them in the grid."""
    whole = grid.bar_position != PARTIAL
    if not whole.any():
        return 0.0
    beats, length = grid.times_s[:-1][whole], np.diff(grid.times_s)[whole]
    on, between = heard.near(beats).beat.mean(), heard.near(beats + length / 2.0).beat.mean()
    return float(1.0 / (1.0 + np.exp(-(_BASE + _ON_BEATS * on + _BETWEEN * between))))
