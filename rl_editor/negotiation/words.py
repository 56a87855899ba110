"""What a revision did, in words."""

import math
from collections.abc import Sequence

from rl_editor.clock import NEAR_S
from rl_editor.command import counted
from rl_editor.edits import EditList
from rl_editor.negotiation import Revised
from rl_editor.negotiation.demands import NO, Anchor, Demands, TimeSpan, spoken
from rl_editor.negotiation.exact import MOST_TAIL_S, ExactLength
from rl_editor.negotiation.pace import pace

MOST_NAMED = 6
_TAKE_BACK = "take back "


def screen(before: EditList, found: Revised) -> str:
    """What changed, and what each demand cost."""
    edit = found.edit
    lines = [
        f"{edit.source.name}: {spoken(before.duration_s)} became {spoken(edit.duration_s)}; "
        f"{counted(found.n_joins_kept, 'join')} as before, {len(found.new_joins)} new"
    ]
    lines += [
        f"  new join {join.number}: {spoken(join.leave_s)} to {spoken(join.land_s)} "
        f"(cost {join.cost:.2f}; 1 is a bad one)"
        for join in found.new_joins[:MOST_NAMED]
    ]
    for name, spans in (("no longer plays", found.dropped_s), ("plays as well", found.added_s)):
        if spans:
            lines.append(f"  {name}: {_listed(spans)}")
    if missed := missed_line(found.missed_s, found.length_costs):
        lines.append(f"  {missed}")
    if found.price:
        lines += ["", "what each demand costs (1 is about a bad join):"]
        lines += [f"  {price:7.2f}  {name}" for name, price in found.price.items()]
    return "\n".join(lines)


def held_line(held: Demands, *, named_in: str | None = None) -> str:
    """What is held of earlier demands, and how to release it; only what a text names, where there is one.

    Where the text says which to take back, one of those is the example.
    """
    names = [name for name, _ in held.each()]
    released = names
    if named_in is not None:
        names = _named(names, named_in)
        released = _named(names, named_in.rpartition(_TAKE_BACK)[2]) or names
    if not names:
        return ""
    return f"held from before: {', '.join(names)}; --forget '{released[0]}' releases that, --forget all everything"


def _named(names: Sequence[str], text: str) -> list[str]:
    """Demands that a text names, be it by the options that asked for them."""
    return [name for name in names if (name if name in NO else name.split(" ", 1)[1]) in text]


def missed_line(missed_s: float, costs: str = "") -> str:
    """How far a length is off and why, by the demands that it ``costs`` to meet it; empty where nobody would mind."""
    if abs(missed_s) <= NEAR_S:
        return ""
    off = f"off the length asked for by {missed_s:+.2f} s"
    if costs:
        return f"{off}: to meet it {_TAKE_BACK}{costs}"
    why = f"{off}: nearer would need a worse join, or other than may play"
    if abs(missed_s) > MOST_TAIL_S:
        return why
    return f"{why}; --exact insists, where it need not cut into what has to play"


def anchor_lines(edit: EditList, anchors: Sequence[Anchor]) -> list[str]:
    """Anchors that are heard at another time than asked for, by more than anybody would call the same."""
    rate, starts = edit.source.sample_rate, edit.output_start_frames()
    lines = []
    for anchor in anchors:
        heard_s = [
            (start + (anchor.source_s * rate - segment.source_start_frame) / segment.speed) / rate
            for start, segment in zip(starts, edit.segments, strict=True)
            if segment.source_start_frame is not None
            and segment.source_end_frame is not None
            and segment.source_start_frame <= anchor.source_s * rate <= segment.source_end_frame
        ]
        nearest = min(heard_s, key=lambda at: abs(at - anchor.output_s), default=None)
        if nearest is not None and abs(nearest - anchor.output_s) > NEAR_S:
            off = f"{nearest - anchor.output_s:+.2f} s"
            lines.append(
                f"anchor {anchor} is heard at {spoken(round(nearest, 3))} ({off}): passages move by whole beats"
            )
    return lines


def exact_line(exact: ExactLength) -> str:
    """Where the last fraction of a beat went."""
    if exact.stretch:
        return f"to the sample: everything plays {_slower(exact.stretch)}"
    parts = (("silence at the end", exact.silence_s), ("joins", exact.joins_s), ("the end", exact.tail_s))
    said = ", ".join(f"{name} {value * 1000:+.1f} ms" for name, value in parts if value)
    gone = ", and the last join with it" if exact.join_gone else ""
    return f"to the sample: {said or 'nothing to change'}{gone}"


def pace_lines(edit: EditList) -> list[str]:
    """That an edit was stretched, and stays so."""
    speed = pace(edit)
    return [] if speed == 1.0 else [f"everything plays {_slower(1.0 / speed - 1.0)}, as before"]


def _slower(stretch: float) -> str:
    cents = -1200.0 * math.log2(1.0 + stretch)
    return f"{100 * abs(stretch):.3g}% {'slower' if stretch > 0 else 'faster'} ({cents:+.2g} cents)"


def _listed(spans: tuple[TimeSpan, ...]) -> str:
    named = [str(span) for span in spans[:MOST_NAMED]]
    more = len(spans) - len(named)
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")
