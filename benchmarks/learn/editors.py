"""Editors that the library does not know, after the kinds that people name: for measuring, never for training defaults.

Conventions as in ``rl_editor.editors``. Their taste is coarser than that of the library's editors (``TASTE`` against
0.02), as people's is: an editor that edits a song twice agrees with itself only so far, and no learner can do better.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from benchmarks.learn.outsiders import OUTSIDERS
from rl_editor.editors import EDITORS
from rl_editor.editors.cutting import Plan, cut
from rl_editor.editors.listening import Hearing, Span, listen
from rl_editor.editors.styles import Editor, TrackView
from rl_editor.edits import EditList

TASTE = 0.25  # standard scores of strength
EAR = 0.03  # standard deviation of the noise on likeness


@dataclass(frozen=True)
class DropsWeak:
    """Drops the weakest two fifths of all blocks of four bars, counted from the start."""

    name: str = "drops_weak"
    bars: int = 4
    dropped: float = 0.4

    def plan(self, view: TrackView, rng: np.random.Generator) -> EditList:
        """Cut what is weak."""
        heard = listen(view.grid, view.features)
        plan, blocks = Plan.keeping(heard.n_units), _blocks(heard, self.bars)
        strengths = _strengths(heard, blocks, rng)
        for block, strength in zip(blocks, strengths, strict=True):
            if strength < np.quantile(strengths, self.dropped):
                plan.cut(block)
        return cut(plan, heard, view.grid, view.source, rng)


@dataclass(frozen=True)
class DropsRepeats:
    """Trims both ends and drops every section that is like one that stays already."""

    name: str = "drops_repeats"
    ends: tuple[float, float] = (0.06, 0.08)  # of the song, at either end
    alike: float = 0.6

    def plan(self, view: TrackView, rng: np.random.Generator) -> EditList:
        """Cut the ends, then what comes again."""
        heard = listen(view.grid, view.features)
        plan, n = Plan.keeping(heard.n_units), heard.n_units
        start, end = (round(n * float(rng.uniform(*self.ends))) for _ in range(2))
        plan.cut(Span(0, start))
        plan.cut(Span(n - end, n))
        kept: list[Span] = []
        for section in heard.sections:
            if any(heard.span_likeness(section, other) + rng.normal(0.0, EAR) > self.alike for other in kept):
                plan.cut(section)
            else:
                kept.append(section)
        return cut(plan, heard, view.grid, view.source, rng)


@dataclass(frozen=True)
class LoopsStrong:
    """Plays the strongest fifth of all blocks of four bars twice."""

    name: str = "loops_strong"
    bars: int = 4
    looped: float = 0.2

    def plan(self, view: TrackView, rng: np.random.Generator) -> EditList:
        """Loop what is strong."""
        heard = listen(view.grid, view.features)
        plan, blocks = Plan.keeping(heard.n_units), _blocks(heard, self.bars)
        strengths = _strengths(heard, blocks, rng)
        for index in np.argsort(-strengths)[: max(1, round(self.looped * len(blocks)))]:
            if blocks[index].n_units == self.bars:
                plan.loop(blocks[index], n_times=2)
        return cut(plan, heard, view.grid, view.source, rng)


@dataclass(frozen=True)
class ChorusFirst:
    """Moves up to eight bars of the strongest section, if it repeats all the better, to the front."""

    name: str = "chorus_first"
    bars: int = 8
    taste: float = 0.1

    def plan(self, view: TrackView, rng: np.random.Generator) -> EditList:
        """Move the chorus."""
        heard = listen(view.grid, view.features)
        plan = Plan.keeping(heard.n_units)
        later = [s for s in heard.sections if 4 <= s.start <= plan.space.reorder_reach_units]
        scores = [heard.span_strength(s) + 0.5 * heard.repetition(s) + rng.normal(0.0, self.taste) for s in later]
        if later:
            best = later[int(np.argmax(scores))]
            plan.move(Span(best.start, min(best.end, best.start + self.bars)), target=0)
        return cut(plan, heard, view.grid, view.source, rng)


OTHERS: dict[str, Editor] = {
    editor.name: editor for editor in (DropsWeak(), DropsRepeats(), LoopsStrong(), ChorusFirst())
}
HEARING_ALIKE: dict[str, Editor] = {**EDITORS, **OTHERS}  # with the library's own ears
ALL: dict[str, Editor] = {**HEARING_ALIKE, **OUTSIDERS}


def _blocks(heard: Hearing, n_bars: int) -> list[Span]:
    return [Span(at, min(at + n_bars, heard.n_units)) for at in range(0, heard.n_units, n_bars)]


def _strengths(heard: Hearing, spans: list[Span], rng: np.random.Generator) -> Float[np.ndarray, " spans"]:
    strengths = np.array([heard.span_strength(span) for span in spans])
    return np.asarray(strengths + rng.normal(0.0, TASTE, len(spans)))
