"""For how long an editor's edits usually fade: where they begin and end within the recording, and at their joins.

An end that is the recording's own says nothing: the recording begins or ends there by itself. Of an editor's other
ends, or joins, more than half have to fade for longer than takes away a click, and two at least, as one proves no
habit; the usual length is the median of theirs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rl_editor.crossfades import fading_segments, mixed_joins, with_crossfades
from rl_editor.edits import EditList

SHORTEST_S = 0.25  # shorter fades keep an end from clicking
SHORTEST_CROSSFADE_S = 0.1  # and shorter crossfades a join
_OWN_END_S = 0.5  # what is left out of the recording's start or end does not make another of it, if it is no more
_FEWEST = 2


class Fades(NamedTuple):
    """For how long an edit fades, in seconds; 0 where it does not, nothing at the recording's own ends."""

    in_s: tuple[float, ...]
    out_s: tuple[float, ...]
    joins_s: tuple[float, ...]


class UsualFades(nn.Module):
    """Per editor: milliseconds of the fade in, the fade out and the crossfades; 0 where there usually is none."""

    table: Tensor

    def __init__(self, n_styles: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(n_styles, len(Fades._fields)))

    def fit(self, edits: Sequence[EditList], styles: Sequence[int]) -> None:
        """Learn from edits, and whose each is."""
        for number in sorted(set(styles)):
            own = [fades_of(edit) for edit, style in zip(edits, styles, strict=True) if style == number]
            usual_s = [_usual(chain.from_iterable(lengths)) for lengths in zip(*own, strict=True)]
            self.table[number] = torch.tensor([round(1000.0 * length_s) for length_s in usual_s])

    def crossfade_ms(self, style: int) -> float:
        """How long an editor's crossfades usually are; 0 where they only keep joins from clicking."""
        return float(self.table[style, Fades._fields.index("joins_s")])

    def faded(self, edit: EditList, style: int) -> EditList:
        """The edit with an editor's usual crossfades, and fades where it begins and ends within the recording."""
        if not edit.segments:
            return edit
        begins, ends = _within(edit, *fading_segments(edit))
        in_ms, out_ms, joins_ms = self.table[style].tolist()
        faded = replace(
            edit,
            fade_in_ms=in_ms if begins and in_ms else edit.fade_in_ms,
            fade_out_ms=out_ms if ends and out_ms else edit.fade_out_ms,
        )
        return with_crossfades(faded, joins_ms) if joins_ms else faded


def fades_of(edit: EditList) -> Fades:
    """How an edit fades; what only keeps it from clicking is none. Silence at an end, or a join to it, says nothing."""
    if not edit.segments:
        return Fades((), (), ())
    begins, ends = _within(edit, 0, -1)
    return Fades(
        (_heard_s(edit.fade_in_ms, SHORTEST_S),) if begins else (),
        (_heard_s(edit.fade_out_ms, SHORTEST_S),) if ends else (),
        tuple(_heard_s(segment.crossfade_in_ms, SHORTEST_CROSSFADE_S) for segment in mixed_joins(edit)),
    )


def _heard_s(fade_ms: float, shortest_s: float) -> float:
    return fade_ms / 1000.0 if fade_ms >= 1000.0 * shortest_s else 0.0


def _within(edit: EditList, first: int, last: int) -> tuple[bool, bool]:
    """Whether the first segment begins, and the last one ends, within the recording; silence does not."""
    most = round(_OWN_END_S * edit.source.sample_rate)
    start, end = edit.segments[first].source_start_frame, edit.segments[last].source_end_frame
    return start is not None and start > most, end is not None and edit.source.frames - end > most


def _usual(lengths_s: Iterable[float]) -> float:
    known = list(lengths_s)
    faded = [length_s for length_s in known if length_s]
    return median(faded) if len(faded) >= _FEWEST and 2 * len(faded) > len(known) else 0.0
