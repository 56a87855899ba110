"""Editors drawn at random, to learn what editors have in common before learning one of them.

An editor hears spans (sections, or blocks or phrases of so many bars), gives each a score of strength, place,
repetition and unrest in a mixture of its own, and does one thing by it: drops the worst, keeps the best that differ,
drops what comes again, loops or moves the best, or leaves a stretch out. Some trim the ends or do a second thing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from rl_editor.editors.cutting import Plan, cut
from rl_editor.editors.listening import Heard, Span, listen
from rl_editor.editors.styles import TrackView
from rl_editor.edits import EditList

Spans = Literal["sections", "blocks", "phrases"]
Deed = Literal["drop_worst", "keep_best", "drop_repeats", "drop_worse_repeats", "loop_best", "move_best", "leave_out"]

_DEED_CHANCES = (0.2, 0.2, 0.15, 0.1, 0.15, 0.15, 0.05)
_EAR = 0.03  # standard deviation of the noise on likeness
_LOOPED_BARS = (2, 16)


@dataclass(frozen=True)
class DrawnEditor:
    """One way of editing; shares are of the recording, scores are standard scores."""

    name: str
    spans: Spans
    bars: int  # of a block or phrase
    deed: Deed
    strength: float  # weights of the score
    place: float
    repetition: float
    unrest: float
    taste: float  # standard deviation of the noise on the score
    share: float  # of the recording that goes, or how wide the stretch is
    alike: float  # likeness from which a span comes again
    variety: float  # what a span loses for being like one that stays
    n_best: int
    n_times: int
    front_bars: int  # of what is moved
    trim: tuple[float, float]
    latest_stays: bool  # of spans that are alike
    ends_stay: bool
    drops_too: bool  # after looping, moving or leaving out

    def plan(self, view: TrackView, rng: np.random.Generator) -> EditList:
        """The edit of a recording."""
        heard = listen(view.grid, view.features)
        plan = Plan.keeping(heard.n_units)
        task = _Task(self, plan, heard, self._spans(heard), rng)
        _DEEDS[self.deed](task)
        if self.drops_too and self.deed in ("loop_best", "move_best", "leave_out"):
            task.drop_few()
        task.trim()
        if not (plan.actions != 1).any():  # everything is cut
            plan.keep(task.spans[int(np.argmax(task.score))])
        return cut(plan, heard, view.grid, view.source, rng)

    def _spans(self, heard: Heard) -> list[Span]:
        if self.spans == "sections":
            return list(heard.sections)
        whole = [Span(0, heard.n_units)] if self.spans == "blocks" else list(heard.sections)
        return [Span(at, min(at + self.bars, s.end)) for s in whole for at in range(s.start, s.end, self.bars)]


def drawn_editor(name: str, rng: np.random.Generator) -> DrawnEditor:
    """An editor at random."""
    return DrawnEditor(
        name=name,
        spans=str(rng.choice(get_args(Spans), p=(0.3, 0.4, 0.3))),  # type: ignore[arg-type]
        bars=int(rng.choice((2, 4, 8))),
        deed=str(rng.choice(get_args(Deed), p=_DEED_CHANCES)),  # type: ignore[arg-type]
        strength=float(rng.choice((1, 1, 1, -1)) * rng.uniform(0.5, 1.5)),
        place=float(rng.normal(0.0, 0.7)),
        repetition=float(rng.normal(0.0, 0.7)),
        unrest=float(rng.normal(0.0, 0.4)),
        taste=float(rng.choice((0.02, 0.1, 0.25))),
        share=float(rng.uniform(0.15, 0.7)),
        alike=float(rng.uniform(0.5, 0.75)),
        variety=float(rng.uniform(0.0, 2.0)),
        n_best=int(rng.integers(1, 4)),
        n_times=int(rng.integers(2, 4)),
        front_bars=int(rng.choice((4, 8, 16))),
        trim=(float(rng.uniform(0.0, 0.1)), float(rng.uniform(0.0, 0.1))) if rng.random() < 0.4 else (0.0, 0.0),
        latest_stays=bool(rng.random() < 0.3),
        ends_stay=bool(rng.random() < 0.4),
        drops_too=bool(rng.random() < 0.35),
    )


class _Task:
    """One recording on an editor's table."""

    def __init__(
        self, editor: DrawnEditor, plan: Plan, heard: Heard, spans: list[Span], rng: np.random.Generator
    ) -> None:
        self.editor, self.plan, self.heard, self.spans, self.rng = editor, plan, heard, spans, rng
        self.score: Float[np.ndarray, " spans"] = np.array([self._scored(span) for span in spans])
        self.score += rng.normal(0.0, editor.taste, len(spans))
        self.seconds = np.array([float(heard.seconds[slice(*span)].sum()) for span in spans])
        self.free = [i for i in range(len(spans)) if not (editor.ends_stay and i in (0, len(spans) - 1))]

    def _scored(self, span: Span) -> float:
        editor, heard = self.editor, self.heard
        again = editor.repetition * heard.repetition(span) if editor.spans == "sections" else 0.0
        unrest = float(np.std(heard.strength[slice(*span)]))
        return (
            editor.strength * heard.span_strength(span)
            + editor.place * span.start / heard.n_units
            + editor.unrest * unrest
            + again
        )

    def drop_worst(self) -> None:
        """Cut the lowest scores, as near to the share as spans allow."""
        gone_s, aim_s = 0.0, self.editor.share * self.seconds.sum()
        for i in sorted(self.free, key=lambda i: self.score[i]):
            if abs(gone_s + self.seconds[i] - aim_s) < abs(gone_s - aim_s):
                self.plan.cut(self.spans[i])
                gone_s += self.seconds[i]

    def keep_best(self) -> None:
        """Keep high scores that are unlike what stays already."""
        self.plan.cut(Span(0, self.heard.n_units))
        chosen: list[int] = []
        left, got_s, aim_s = list(range(len(self.spans))), 0.0, (1.0 - self.editor.share) * self.seconds.sum()
        while left:
            best = max(left, key=lambda i: self.score[i] - self.editor.variety * self._likeness(i, chosen))
            if chosen and abs(got_s + self.seconds[best] - aim_s) >= abs(got_s - aim_s):
                break
            chosen.append(best)
            left.remove(best)
            got_s += self.seconds[best]
            self.plan.keep(self.spans[best])

    def drop_repeats(self, *, worse_than: float = np.inf) -> None:
        """Cut what is like something that stays; only scores below ``worse_than``."""
        stays: list[int] = []
        order = range(len(self.spans))
        for i in reversed(order) if self.editor.latest_stays else order:
            again = self._likeness(i, stays) + self.rng.normal(0.0, _EAR) > self.editor.alike
            if again and i in self.free and self.score[i] < worse_than:
                self.plan.cut(self.spans[i])
            else:
                stays.append(i)

    def drop_worse_repeats(self) -> None:
        """Cut what comes again and is none of the better half."""
        self.drop_repeats(worse_than=float(np.median(self.score)))

    def loop_best(self) -> None:
        """Play the highest scores several times."""
        for i in np.argsort(-self.score)[: self.editor.n_best]:
            span = self.spans[i]
            silent = bool(self.heard.silent[slice(*span)].any())
            if _LOOPED_BARS[0] <= span.n_units <= _LOOPED_BARS[1] and not silent:
                self.plan.loop(span, n_times=self.editor.n_times)

    def move_best(self) -> None:
        """Play the start of the highest score first."""
        later = [i for i, span in enumerate(self.spans) if 4 <= span.start <= self.plan.space.reorder_reach_units]
        if later:
            span = self.spans[max(later, key=lambda i: self.score[i])]
            self.plan.move(Span(span.start, min(span.end, span.start + self.editor.front_bars)), target=0)

    def leave_out(self) -> None:
        """Cut one stretch."""
        n = self.heard.n_units
        start = int(self.editor.share * n / 2)
        self.plan.cut(Span(start, min(n, start + int(self.editor.share * n / 2))))

    def drop_few(self) -> None:
        """Cut some of the lowest scores, of what merely plays."""
        few = max(1, int(self.editor.share * len(self.spans) / 2))
        for i in np.argsort(self.score)[:few]:
            if i in self.free and not self.plan.actions[slice(*self.spans[i])].any():
                self.plan.cut(self.spans[i])

    def trim(self) -> None:
        """Cut the ends, where nothing is looped or moved."""
        n = self.heard.n_units
        start, end = (round(share * n) for share in self.editor.trim)
        if start and (self.plan.actions[: start + 1] <= 1).all():
            self.plan.cut(Span(0, start))
        if end and (self.plan.actions[n - end :] <= 1).all():
            self.plan.cut(Span(n - end, n))

    def _likeness(self, i: int, others: list[int]) -> float:
        return max((self.heard.span_likeness(self.spans[i], self.spans[j]) for j in others), default=-1.0)


_DEEDS: dict[str, Callable[[_Task], None]] = {deed: getattr(_Task, deed) for deed in get_args(Deed)}
