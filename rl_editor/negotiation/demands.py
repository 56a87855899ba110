"""What a person may ask of an edit, and reading it from the command line.

Conventions: times in seconds; spans and the first time of an anchor are in the *source*, an anchor's second time is in
the output, joins are counted from 1 in output order.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from rl_editor.clock import clock, read_seconds
from rl_editor.errors import ConfigError

MOST_STRETCH = 0.02  # for an exact length; 0.34 semitones
NO = {"no loop": "no_loop", "no reorder": "no_reorder"}  # demands that are made or not, by name
_DASHES = str.maketrans("\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}", "---")
_T = TypeVar("_T")


class TimeSpan(NamedTuple):
    """A stretch of the source."""

    start_s: float
    end_s: float

    def __str__(self) -> str:
        return f"{spoken(self.start_s)}-{spoken(self.end_s)}"


class Anchor(NamedTuple):
    """A moment of the source and when it is to be heard in the output."""

    source_s: float
    output_s: float

    def __str__(self) -> str:
        return f"{spoken(self.source_s)}={spoken(self.output_s)}"


class Jump(NamedTuple):
    """A join by what it joins: the moments of the source where the output leaves and where it lands."""

    leave_s: float
    land_s: float

    def __str__(self) -> str:
        return f"{spoken(self.leave_s)} to {spoken(self.land_s)}"


@dataclass(frozen=True)
class Demands:
    """All that is asked; nothing by default. What is asked twice counts once.

    Attributes:
        duration_s: length of the output to aim at.
        exact: meet the length to the sample.
        keep: what has to play.
        drop: what must not play.
        anchors: what has to play when.
        vetoes: joins of the edit at hand that must go, from 1.
        barred: joins that edits before had, and that must not come back.
        no_loop: nothing plays twice that does not in the edit at hand.
        no_reorder: nothing plays for the first time after what follows it in the source.
    """

    duration_s: float | None = None
    exact: bool = False
    keep: tuple[TimeSpan, ...] = ()
    drop: tuple[TimeSpan, ...] = ()
    anchors: tuple[Anchor, ...] = ()
    vetoes: tuple[int, ...] = ()
    barred: tuple[Jump, ...] = ()
    no_loop: bool = False
    no_reorder: bool = False

    def __post_init__(self) -> None:
        for name in ("keep", "drop", "anchors", "vetoes", "barred"):
            object.__setattr__(self, name, tuple(dict.fromkeys(getattr(self, name))))

    def frames(self, sample_rate: int) -> int | None:
        """The length asked for, to the sample."""
        return None if self.duration_s is None else round(self.duration_s * sample_rate)

    def each(self) -> list[tuple[str, "Demands"]]:
        """Every demand by its name, with what is left when it alone is taken back."""
        found = [(f"keep {span}", replace(self, keep=_without(self.keep, k))) for k, span in enumerate(self.keep)]
        found += [(f"drop {span}", replace(self, drop=_without(self.drop, k))) for k, span in enumerate(self.drop)]
        for k, anchor in enumerate(self.anchors):
            found.append((f"anchor {anchor}", replace(self, anchors=_without(self.anchors, k))))
        for k, join in enumerate(self.vetoes):
            found.append((f"veto join {join}", replace(self, vetoes=_without(self.vetoes, k))))
        for k, jump in enumerate(self.barred):
            found.append((f"no join {jump}", replace(self, barred=_without(self.barred, k))))
        found += [("no loop", replace(self, no_loop=False))] if self.no_loop else []
        found += [("no reorder", replace(self, no_reorder=False))] if self.no_reorder else []
        if self.duration_s is not None:
            found.append((f"duration {spoken(self.duration_s)}", replace(self, duration_s=None, exact=False)))
        return found

    def without(self, names: Iterable[str]) -> "Demands":
        """The same without the demands of these names, as ``each`` has them."""
        rest = self
        for name in names:
            rest = dict(rest.each())[name]
        return rest


def _without(values: tuple[_T, ...], index: int) -> tuple[_T, ...]:
    return values[:index] + values[index + 1 :]


def spoken(seconds: float) -> str:
    """Seconds as ``read_seconds`` reads them, to the millisecond."""
    return clock(seconds, digits=None)


def spoken_up(seconds: float) -> str:
    """Seconds as ``spoken``, never less: as a length to ask for instead."""
    return spoken(math.ceil(seconds * 1000 - 1e-6) / 1000)


def read_span(text: str) -> TimeSpan:
    """A span from ``0:40-0:55``; the dash may be a long one, as programs for text make it.

    Raises:
        ConfigError: it is none, or ends before it starts.
    """
    start, dash, end = text.translate(_DASHES).partition("-")
    if not dash:
        raise ConfigError(f"{text!r}: not a span; write start-end, as 0:40-0:55")
    span = TimeSpan(read_seconds(start), read_seconds(end))
    if span.end_s <= span.start_s:
        wrong = "is empty" if span.end_s == span.start_s else "ends before it starts"
        raise ConfigError(f"{text!r}: {wrong}; write start-end, as 0:40-0:55")
    return span


def read_anchor(text: str) -> Anchor:
    """An anchor from ``1:05=0:45``: this source moment at that output time.

    Raises:
        ConfigError: it is none.
    """
    source, equals, output = text.partition("=")
    if not equals:
        raise ConfigError(f"{text!r}: not an anchor; write source=output, as 1:05=0:45")
    return Anchor(read_seconds(source), read_seconds(output))
