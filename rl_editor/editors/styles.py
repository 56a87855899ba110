"""The editors: what each does with what it hears.

Conventions: strengths are standard scores, ratios are of the recording's duration. Chance is an editor's taste: small
noise on its scores, so that an editor that edits a recording twice nearly agrees with itself. All choices
are functions of what is heard.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float

from rl_editor.editors.cutting import Plan, cut
from rl_editor.editors.listening import Hearing, Span, listen
from rl_editor.edits import EditList, SourceInfo
from rl_editor.features import BeatFeatures
from rl_editor.grid import BeatGrid
from rl_editor.intervals import overlap

_TASTE = 0.02  # standard deviation of the noise on a score, in standard scores


@dataclass(frozen=True, eq=False)
class TrackView:
    """What an editor gets: only what can be heard."""

    grid: BeatGrid
    features: BeatFeatures
    source: SourceInfo


class Editor(Protocol):
    """A way of editing; ``name`` is the style in ``pairs.csv``."""

    @property
    def name(self) -> str:
        """The style."""
        ...

    def plan(self, view: TrackView, rng: np.random.Generator) -> EditList:
        """The edit of a recording."""
        ...


@dataclass(frozen=True)
class RadioEdit:
    """Gets to the point: the intro goes, the strongest chorus opens, repeats are dropped until the length fits."""

    name: str = "radio_edit"
    target_ratio: float = 0.56
    lead_bars: int = 2  # of a weak intro that stay
    hook_bars: int = 8  # of the chorus that open
    early: float = 0.1  # what the hook loses per section that comes before it: settles which of several choruses
    weak: float = -0.35  # an intro is what lies below this strength, against the mean of the recording

    def plan(self, view: TrackView, rng: np.random.Generator) -> EditList:
        """Trim the intro, move the hook to the front, drop what repeats."""
        heard = listen(view.grid, view.features)
        tasted = _tasted_strengths(heard, rng)
        plan = Plan.keeping(heard.n_units)
        start = self._trim_intro(heard)
        hook = self._hook(heard, tasted, start)
        self._drop(plan, heard, tasted, hook, target_s=self.target_ratio * view.grid.duration_s)
        plan.cut(Span(0, start))
        if start + 4 <= hook.start <= start + plan.space.reorder_reach_units:
            plan.move(hook, target=start)
        else:
            plan.keep(hook)
        return cut(plan, heard, view.grid, view.source, rng)

    def _trim_intro(self, heard: Hearing) -> int:
        """The first bar that plays."""
        for span in heard.sections:
            if heard.span_strength(span) > self.weak + float(heard.strength.mean()):
                return max(span.start - self.lead_bars, _first_sound(heard)) if span.start else _first_sound(heard)
        return _first_sound(heard)

    def _hook(self, heard: Hearing, tasted: Float[np.ndarray, " sections"], start: int) -> Span:
        later = [i for i, span in enumerate(heard.sections) if span.start >= start] or [len(heard.sections) - 1]
        best = max(later, key=lambda i: tasted[i] + 0.5 * heard.repetition(heard.sections[i]) - self.early * i)
        span = heard.sections[best]
        return Span(span.start, min(span.end, span.start + self.hook_bars))

    def _drop(
        self, plan: Plan, heard: Hearing, tasted: Float[np.ndarray, " sections"], hook: Span, *, target_s: float
    ) -> None:
        """Cut the most redundant sections (alike to another, weak) while the edit stays nearer to its length."""
        length_s = float(heard.seconds.sum())
        last = len(heard.sections) - 1
        scores = {
            i: heard.repetition(span) - 0.35 * tasted[i] + 0.03 * i
            for i, span in enumerate(heard.sections)
            if not overlap(span, hook) and i != last
        }
        for i in sorted(scores, key=lambda i: -scores[i]):
            seconds = float(heard.seconds[slice(*heard.sections[i])].sum())
            if abs(length_s - seconds - target_s) < abs(length_s - target_s):
                plan.cut(heard.sections[i])
                length_s -= seconds


@dataclass(frozen=True)
class JamCleanup:
    """Boils a long take down: of its four-bar phrases the strong and different ones stay, whole and in order."""

    name: str = "jam_cleanup"
    target_ratio: float = 0.28
    phrase_bars: int = 4
    variety: float = 1.5  # how much a phrase loses for being like one that stays already
    early: float = 0.8  # how much more a phrase at the start is worth than one at the end: settles repeats

    def plan(self, view: TrackView, rng: np.random.Generator) -> EditList:
        """Keep the best phrases up to the length."""
        heard = listen(view.grid, view.features)
        phrases = [phrase for span in heard.sections for phrase in _phrases(span, self.phrase_bars)]
        scores = np.array([heard.span_strength(p) - self.early * p.start / heard.n_units for p in phrases])
        scores += rng.normal(0.0, _TASTE, len(phrases))
        plan = Plan.keeping(heard.n_units)
        plan.cut(Span(0, heard.n_units))
        for chosen in self._choose(heard, phrases, scores, self.target_ratio * view.grid.duration_s):
            plan.keep(chosen)
        return cut(plan, heard, view.grid, view.source, rng)

    def _choose(
        self, heard: Hearing, phrases: list[Span], scores: Float[np.ndarray, " phrases"], target_s: float
    ) -> list[Span]:
        chosen: list[Span] = []
        length_s = 0.0
        left = list(range(len(phrases)))
        while left:
            best = max(left, key=lambda i: scores[i] - self.variety * _most_alike(heard, phrases[i], chosen))
            seconds = float(heard.seconds[slice(*phrases[best])].sum())
            if chosen and abs(length_s + seconds - target_s) >= abs(length_s - target_s):
                break
            chosen.append(phrases[best])
            length_s += seconds
            left.remove(best)
        return chosen


@dataclass(frozen=True)
class ExtendedMix:
    """Makes room to dance: the strongest, steadiest blocks of 4, 8 or 16 bars play two to four times."""

    name: str = "extended_mix"
    target_ratio: float = 1.3
    max_blocks: int = 3
    early: float = 0.6  # how much more a block at the start is worth than one at the end

    def plan(self, view: TrackView, rng: np.random.Generator) -> EditList:
        """Loop the best blocks until the length is reached."""
        heard = listen(view.grid, view.features)
        blocks = [block for span in heard.sections if (block := _block(heard, span)) is not None]
        scores = {i: self._score(heard, b) + float(rng.normal(0.0, _TASTE)) for i, b in enumerate(blocks)}
        missing_s = (self.target_ratio - 1.0) * view.grid.duration_s
        plan = Plan.keeping(heard.n_units)
        for i in sorted(scores, key=lambda i: -scores[i])[: self.max_blocks]:
            seconds = float(heard.seconds[slice(*blocks[i])].sum())
            n_times = int(np.clip(round(missing_s / seconds) + 1, 2, {4: 4, 8: 3}.get(blocks[i].n_units, 2)))
            if missing_s > 0.4 * seconds:
                plan.loop(blocks[i], n_times=n_times)
                missing_s -= (n_times - 1) * seconds
        return cut(plan, heard, view.grid, view.source, rng)

    def _score(self, heard: Hearing, block: Span) -> float:
        """Strong, steady in level, and not too late in the song."""
        unrest = float(np.std(heard.strength[block.start : block.end]))
        return heard.span_strength(block) - 0.5 * unrest - self.early * block.start / heard.n_units


EDITORS: dict[str, Editor] = {editor.name: editor for editor in (RadioEdit(), JamCleanup(), ExtendedMix())}


def _tasted_strengths(heard: Hearing, rng: np.random.Generator) -> Float[np.ndarray, " sections"]:
    strengths = np.array([heard.span_strength(span) for span in heard.sections])
    return np.asarray(strengths + rng.normal(0.0, _TASTE, len(strengths)))


def _first_sound(heard: Hearing) -> int:
    """The first bar that is not silent; 0 where all are."""
    sounding = np.flatnonzero(~heard.silent)
    return int(sounding[0]) if len(sounding) else 0


def _most_alike(heard: Hearing, phrase: Span, chosen: list[Span]) -> float:
    return max((heard.span_likeness(phrase, other) for other in chosen), default=0.0)


def _phrases(span: Span, n_bars: int) -> list[Span]:
    """Whole phrases; what remains joins the last."""
    starts = list(range(span.start, max(span.end - n_bars + 1, span.start + 1), n_bars))
    return [Span(a, b) for a, b in zip(starts, [*starts[1:], span.end], strict=True)]


def _block(heard: Hearing, span: Span) -> Span | None:
    """The longest block of 16, 8 or 4 whole, sounding bars at the start of a section."""
    first = span.start + int(np.argmin(heard.partial[span.start : span.end]))
    for n_bars in (16, 8, 4):
        block = Span(first, first + n_bars)
        unfit = heard.partial | heard.silent
        if block.end <= span.end and not unfit[block.start : block.end].any():
            return block
    return None
