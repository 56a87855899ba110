"""For how long an editor's edits usually fade where they begin and end within the recording.

An end that is the recording's own says nothing: the recording begins or ends there by itself. Of an editor's other
ends more than half have to fade, and two at least, as one proves no habit; the usual length is the median of theirs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rl_editor.crossfades import fading_segments
from rl_editor.edits import EditList

SHORTEST_S = 0.25  # shorter ones keep a cut from clicking
_OWN_END_S = 0.5  # what is left out of the recording's start or end does not make another of it, if it is no more
_FEWEST = 2


class Fades(NamedTuple):
    """For how long an edit fades in and out, in seconds; 0 where it does not, None at the recording's own ends."""

    in_s: float | None
    out_s: float | None


class UsualFades(nn.Module):
    """Per editor: seconds of the fade in and of the fade out; 0 where it usually has none."""

    table: Tensor

    def __init__(self, n_styles: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(n_styles, len(Fades._fields)))

    def fit(self, edits: Sequence[EditList], styles: Sequence[int]) -> None:
        """Learn from edits, and whose each is."""
        for number in sorted(set(styles)):
            own = [fades_of(edit) for edit, style in zip(edits, styles, strict=True) if style == number]
            usual = _usual(fades.in_s for fades in own), _usual(fades.out_s for fades in own)
            self.table[number] = torch.tensor(usual)

    def faded(self, edit: EditList, style: int) -> EditList:
        """The edit with an editor's usual fades where it begins and ends within the recording."""
        if not edit.segments:
            return edit
        begins, ends = _within(edit, *fading_segments(edit))
        in_ms, out_ms = (float(round(1000.0 * length_s)) for length_s in self.table[style].tolist())
        return replace(
            edit,
            fade_in_ms=in_ms if begins and in_ms else edit.fade_in_ms,
            fade_out_ms=out_ms if ends and out_ms else edit.fade_out_ms,
        )


def fades_of(edit: EditList) -> Fades:
    """How an edit fades; fades that only keep it from clicking are none. Silence at an end says nothing either."""
    if not edit.segments:
        return Fades(None, None)
    begins, ends = _within(edit, 0, -1)
    in_s, out_s = (ms / 1000.0 if ms >= 1000.0 * SHORTEST_S else 0.0 for ms in (edit.fade_in_ms, edit.fade_out_ms))
    return Fades(in_s if begins else None, out_s if ends else None)


def _within(edit: EditList, first: int, last: int) -> tuple[bool, bool]:
    """Whether the first segment begins, and the last one ends, within the recording; silence does not."""
    most = round(_OWN_END_S * edit.source.sample_rate)
    start, end = edit.segments[first].source_start_frame, edit.segments[last].source_end_frame
    return start is not None and start > most, end is not None and edit.source.frames - end > most


def _usual(lengths_s: Iterable[float | None]) -> float:
    known = [length_s for length_s in lengths_s if length_s is not None]
    faded = [length_s for length_s in known if length_s]
    return median(faded) if len(faded) >= _FEWEST and 2 * len(faded) > len(known) else 0.0
