"""Which demands stand in the way where not all can be met, and what could be had instead, in words.

Conventions: demands by their names, as ``Demands.each`` has them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from rl_editor.errors import EditListError
from rl_editor.negotiation.demands import Anchor, Demands, spoken
from rl_editor.negotiation.exact import MOST_TAIL_S
from rl_editor.negotiation.table import Table
from rl_editor.negotiation.wanted import LONG_BEATS, beyond_length


def why_not(table: Table, demands: Demands) -> str:
    """Which demand to take back where no edit meets all, and when moments could be heard beside the rest."""
    names = [name for name, _ in demands.each()]
    asked = ", ".join(names)
    alone = [name for name, rest in demands.each() if table.solve(rest) is not None]
    if len(alone) == len(names) > 1:
        why, taken = f"{asked} contradict each other", " or ".join(alone)
    elif alone and len(names) > 1:
        why, taken = f"{' and '.join(alone)} cannot be met beside the rest ({asked})", " or ".join(alone)
    else:
        together = _in_the_way(names, demands, lambda rest: table.solve(rest) is not None)
        why, taken = f"no edit meets all of these: {asked}{_of_the_lead_in(table, demands)}", " and ".join(together)
    moments = {f"anchor {anchor}": anchor for anchor in demands.anchors}
    nearest = (moment_to_be_had(table, anchor, demands.without([name])) for name, anchor in moments.items())
    instead = " or ".join(f"anchor {near}" for near in nearest if near is not None)
    return f"{why}; take back {taken}{f', or ask for {instead}' if instead else ''}"


def length_costs(table: Table, missed_s: float, demands: Demands) -> str:
    """Which demands to take back for a length that is missed by more than an end may give; empty where none are."""
    most_s = min(table.half_bar_s, MOST_TAIL_S)
    if abs(missed_s) <= most_s:
        return ""

    def meets(rest: Demands) -> bool:
        nearest = table.solve(replace(rest, exact=True))
        return nearest is not None and abs(nearest.length_s - (demands.duration_s or 0.0)) <= most_s

    others = {name: rest for name, rest in demands.each() if rest.duration_s is not None}
    if alone := [name for name, rest in others.items() if meets(rest)]:
        return " or ".join(alone)
    if not meets(demands.without(others)):
        return ""
    return " and ".join(_in_the_way(list(others), demands, meets))


def moment_to_be_had(table: Table, anchor: Anchor, rest: Demands) -> Anchor | None:
    """A moment at the nearest time at which it can be heard beside the rest and within its length, if there is one."""
    try:
        at_s = table.nearest_s(anchor, rest)
        if at_s is None:
            return None
        near = Anchor(anchor.source_s, round(at_s, 3))
        demands = replace(rest, anchors=(*rest.anchors, near))
        if table.solve(demands) is None or beyond_length(demands, table.grid, speed=table.score.speed):
            return None
    except EditListError:  # another moment has that time, or the rest contradicts itself
        return None
    return near


def _in_the_way(names: Sequence[str], demands: Demands, fine: Callable[[Demands], bool]) -> list[str]:
    """Of demands without all of which what is left is fine, those that have to go for it."""
    taken = list(names)
    for name in names:
        fewer = [other for other in taken if other != name]
        if fine(demands.without(fewer)):  # it is not in the way
            taken = fewer
    return taken


def _of_the_lead_in(table: Table, demands: Demands) -> str:
    """That moments before the first beat are no better than that, where there are any."""
    first_s = float(table.grid.times_s[1])
    if first_s <= LONG_BEATS * table.typical_s or all(anchor.source_s >= first_s for anchor in demands.anchors):
        return ""
    return f" (what comes before the first beat, at {spoken(round(first_s, 3))}, plays as a whole or not at all)"
