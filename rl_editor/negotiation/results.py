"""What a revision came to: the new edit, its new joins, what plays and what no longer does, prices.

Conventions: as in ``demands``; spans in seconds of the source.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from rl_editor.edits import EditList
from rl_editor.negotiation.demands import TimeSpan

SHORTEST_S = 0.02  # as far as settling may move a join: spans up to it are not worth a word


class NewJoin(NamedTuple):
    """A join that the edit did not have."""

    number: int  # in the new edit, from 1
    leave_s: float
    land_s: float
    cost: float  # c, from 0; above 1 with a step of level that the recording hardly makes


@dataclass(frozen=True, eq=False)
class Revised:
    """A changed edit and what the change came to.

    Attributes:
        edit: the new edit; of ``revise`` its new joins lie on beats, of ``described`` where they were moved to.
        new_joins: in output order.
        n_joins_kept: joins of the old edit that are still there, to the sample.
        dropped_s: source spans that no longer play, or less often.
        added_s: source spans that did not play before, or more often.
        price: of each demand, by its name: cost with it less cost without it (``paths``), the others in place; and of
            several ``TOGETHER``, which demands that ask for the same do not hide from each other.
        missed_s: length reached less length asked for; 0 without a wish.
        length_costs: demands to take back for a length that is missed by more than half a bar, or by more than the
            end may give, in words; empty where none are in its way.
    """

    edit: EditList
    new_joins: tuple[NewJoin, ...]
    n_joins_kept: int
    dropped_s: tuple[TimeSpan, ...]
    added_s: tuple[TimeSpan, ...]
    price: dict[str, float]
    missed_s: float
    length_costs: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "duration_s": round(self.edit.duration_s, 6),
            "segments": len(self.edit.segments),
            "n_joins_kept": self.n_joins_kept,
            "new_joins": [{k: round(v, 4) for k, v in join._asdict().items()} for join in self.new_joins],
            "dropped_s": [[round(t, 4) for t in span] for span in self.dropped_s],
            "added_s": [[round(t, 4) for t in span] for span in self.added_s],
            "price": self.price,
            "missed_s": round(self.missed_s, 6),
        }


def spans_changed(before: EditList, after: EditList) -> tuple[tuple[TimeSpan, ...], tuple[TimeSpan, ...]]:
    """Spans of the source that play less often than before, and those that play more often."""
    change: Counter[int] = Counter()  # of how often the source plays, from each frame on
    for edit, by in ((before, -1), (after, 1)):
        for start, end in edit.source_spans():
            change[start] += by
            change[end] -= by
    at = sorted(frame for frame, by in change.items() if by)
    more, rate = np.cumsum([change[frame] for frame in at]), after.source.sample_rate

    def spans(chosen: Bool[np.ndarray, " starts"]) -> tuple[TimeSpan, ...]:
        found: list[TimeSpan] = []
        for k in np.flatnonzero(chosen):
            start_s, end_s = at[k] / rate, at[k + 1] / rate
            if found and found[-1].end_s == start_s:
                start_s = found.pop().start_s
            found.append(TimeSpan(start_s, end_s))
        return tuple(span for span in found if span.end_s - span.start_s > SHORTEST_S)

    return spans(more < 0), spans(more > 0)
