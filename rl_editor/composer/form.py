"""The plan of a song: its traits, form, tempo and beat grid.

Conventions: bars and beats are 0-based, counted from the first downbeat; pickup beats come before bar 0. Traits
belong to an index, so that every corpus of 12 songs or more has each of them.
Source: the structure statistics of the Harmonix set (912 pop songs): bars per section, the commonest moves between
sections, quantiles of the tempo, variation of the beat interval.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rl_editor.composer.theory import Beats
from rl_editor.config import CorpusConfig
from rl_editor.grid import PARTIAL, BeatGrid

# trait -> (period, phase): song i has it when i % period == phase
TRAITS = {
    "fade": (4, 0),  # the last bars fade out
    "pickup": (6, 1),  # beats before the first downbeat
    "swing": (6, 2),  # late off-beats
    "drift": (4, 3),  # played without a click
    "silence": (6, 4),  # seconds of silence before the first beat
    "waltz": (12, 5),  # 3/4
    "break": (6, 3),  # a bar in which nobody plays, before the last chorus
    "sequenced": (3, 0),  # a machine plays: repeats are alike to the sample but for what was varied
    "lift": (5, 4),  # the last choruses are a tone higher
    "loose": (3, 1),  # some passages are weak takes
}

_BPM_SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_BPM_QUANTILES = (70.0, 74.0, 93.0, 119.0, 128.0, 150.0, 170.0)
_DURATION_SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_DURATION_QUANTILES = (0.0, 0.02, 0.08, 0.14, 0.24, 0.5, 0.9)  # share of the way from shortest to longest
_GOLDEN = 0.6180339887498949  # steps of the golden ratio spread any number of songs evenly over the quantiles
_BARS = (8, 16, 4, 12, 10, 9, 6, 7, 24)
_BARS_WEIGHTS = (44.0, 14.0, 12.0, 5.5, 3.0, 3.0, 2.0, 2.0, 1.0)
_MOVES: dict[str, tuple[tuple[str, float], ...]] = {
    "intro": (("verse", 0.85), ("chorus", 0.15)),
    "verse": (("chorus", 0.5), ("prechorus", 0.4), ("breakdown", 0.1)),
    "prechorus": (("chorus", 1.0),),
    "chorus": (("verse", 0.5), ("chorus", 0.15), ("bridge", 0.17), ("breakdown", 0.08), ("solo", 0.1)),
    "bridge": (("chorus", 0.8), ("breakdown", 0.2)),
    "breakdown": (("chorus", 0.6), ("verse", 0.4)),
    "solo": (("chorus", 0.5), ("verse", 0.5)),
}
_N_FORMS = 400  # drawn; the one nearest to the wanted length is played
_FEW_SECTIONS = 7  # the Harmonix set's 10 % quantile; fewer are taken only where nothing else fits the length
_SHORT_SONG_S = 40.0  # below, sections shrink to 2 and 4 bars
_TAIL_S = 2.2  # ring-out after the last beat
_TIGHT_VARIATION = 0.0006  # of the beat interval: the median of the Harmonix set
_DRIFT_VARIATION = 0.018  # near its 90 % quantile, 0.023


class Part(NamedTuple):
    """A section of the form; ``repeat`` counts the earlier sections of its label."""

    label: str
    start_bar: int
    n_bars: int
    repeat: int
    is_last: bool = False  # of its label


@dataclass(frozen=True)
class SongPlan:
    """Everything decided before the first note."""

    index: int
    traits: frozenset[str]
    bpm: float
    beats_per_bar: int
    pickup_beats: int
    parts: tuple[Part, ...]
    beat_times_s: Float[np.ndarray, " beats"]  # of every beat, pickup first, and the end of the last one
    grid: BeatGrid
    frames: int

    @property
    def n_bars(self) -> int:
        """Whole bars, without the pickup."""
        return self.parts[-1].start_bar + self.parts[-1].n_bars

    def has(self, trait: str) -> bool:
        """Whether the song has a trait."""
        return trait in self.traits

    def time_s(self, beat: Beats) -> float:
        """When a beat position (0 is the first downbeat) comes, beyond the ends at the nearest beat's tempo."""
        at, times = beat + self.pickup_beats, self.beat_times_s
        low = int(np.clip(np.floor(at), 0, len(times) - 2))
        return float(times[low] + (at - low) * (times[low + 1] - times[low]))


def traits_of(index: int) -> frozenset[str]:
    """The traits of a song."""
    return frozenset(name for name, (period, phase) in TRAITS.items() if index % period == phase)


def draw_plan(index: int, *, config: CorpusConfig, rng: np.random.Generator) -> SongPlan:
    """The plan of song ``index``."""
    traits = traits_of(index)
    bpm = float(np.interp(_spread(index, 0.31), _BPM_SHARES, _BPM_QUANTILES)) * float(rng.uniform(0.98, 1.02))
    bpm = float(np.round(np.clip(bpm, 70.0, 170.0), 1))
    beats_per_bar = 3 if "waltz" in traits else 4
    share = float(np.interp(_spread(3 * index, 0.77), _DURATION_SHARES, _DURATION_QUANTILES))
    target_s = config.min_duration_s + share * (config.max_duration_s - config.min_duration_s)
    parts = _draw_form(rng, bar_s=beats_per_bar * 60.0 / bpm, target_s=target_s - _TAIL_S)
    pickup = int(rng.integers(1, 3)) if "pickup" in traits else 0
    n_beats = pickup + beats_per_bar * (parts[-1].start_bar + parts[-1].n_bars)
    lead_in_s = float(rng.uniform(1.5, 3.0)) if "silence" in traits else float(rng.choice((0.0, 0.12, 0.35)))
    times = lead_in_s + _beat_times(rng, n_beats, bpm=bpm, traits=traits)
    frames = round((float(times[-1]) + _TAIL_S) * config.sample_rate)
    grid = _grid(times, pickup, beats_per_bar, duration_s=frames / config.sample_rate)
    return SongPlan(index, traits, bpm, beats_per_bar, pickup, parts, times, grid, frames)


def _spread(index: int, start: float) -> float:
    return (start + index * _GOLDEN) % 1.0


def _draw_form(rng: np.random.Generator, *, bar_s: float, target_s: float) -> tuple[Part, ...]:
    """The drawn form nearest to the wanted length; one off by less than 4 % is taken at once."""
    best: list[tuple[str, int]] = []
    best_miss = np.inf
    for _ in range(_N_FORMS):
        form = _walk(rng, short=target_s < _SHORT_SONG_S, target_bars=target_s / bar_s)
        miss = abs(sum(n for _, n in form) * bar_s / target_s - 1.0) + 0.05 * max(_FEW_SECTIONS - len(form), 0)
        if miss < best_miss:
            best, best_miss = form, miss
        if miss < 0.04:
            break
    return _parts(best)


def _walk(rng: np.random.Generator, *, short: bool, target_bars: float) -> list[tuple[str, int]]:
    """Walk over the moves until the bars are full, then close with a chorus and an outro."""
    usual = {label: _n_bars(rng, label, short=short) for label in ("verse", "chorus", "solo", *_SMALL)}
    form = [("intro", usual["intro"])]
    close = usual["chorus"] + usual["outro"]
    while sum(n for _, n in form) + close < target_bars - 2 or len(form) < 3:
        labels, weights = zip(*_MOVES[form[-1][0]], strict=True)
        label = str(rng.choice(labels, p=weights))
        halved = usual[label] >= 8 and rng.random() < 0.12 and any(known == label for known, _ in form)
        form.append((label, usual[label] // 2 if halved else usual[label]))
    return [*form, ("chorus", usual["chorus"]), ("outro", usual["outro"])]


_SMALL = ("intro", "prechorus", "bridge", "breakdown", "outro")


def _n_bars(rng: np.random.Generator, label: str, *, short: bool) -> int:
    if short:
        return 2 if label in _SMALL else 4
    if label in _SMALL:
        return int(rng.choice((4, 8), p=(0.6, 0.4)))
    weights = np.array(_BARS_WEIGHTS)
    return int(rng.choice(_BARS, p=weights / weights.sum()))


def _parts(form: list[tuple[str, int]]) -> tuple[Part, ...]:
    parts: list[Part] = []
    at = 0
    for i, (label, n_bars) in enumerate(form):
        repeat = sum(known == label for known, _ in form[:i])
        is_last = all(later != label for later, _ in form[i + 1 :])
        parts.append(Part(label, at, n_bars, repeat, is_last))
        at += n_bars
    return tuple(parts)


def _beat_times(
    rng: np.random.Generator, n_beats: int, *, bpm: float, traits: frozenset[str]
) -> Float[np.ndarray, " beats"]:
    """Beat times from 0.0: constant for machines, a slow wander of the interval for people."""
    if "sequenced" in traits and "drift" not in traits:
        variation = 0.0
    else:
        variation = _DRIFT_VARIATION if "drift" in traits else _TIGHT_VARIATION
    wander = np.convolve(rng.standard_normal(n_beats + 15), np.hanning(18)[1:-1], mode="valid")
    wander = (wander - wander.mean()) / max(float(wander.std()), 1e-9)
    intervals = 60.0 / bpm * (1.0 + variation * np.clip(wander, -2.5, 2.5))
    return np.concatenate([[0.0], np.cumsum(intervals)])


def _grid(times_s: Float[np.ndarray, " beats"], pickup: int, beats_per_bar: int, *, duration_s: float) -> BeatGrid:
    positions = (np.arange(len(times_s) - 1) - pickup) % beats_per_bar
    lead_in = [0.0] if times_s[0] > 0 else []
    bounds = np.concatenate([lead_in, times_s, [duration_s]])
    bar_position = np.concatenate([[PARTIAL] * len(lead_in), positions, [PARTIAL]]).astype(int)
    return BeatGrid(bounds, bar_position, beats_per_bar)
