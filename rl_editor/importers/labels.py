"""Audacity labels; conventions as in ``importers``."""

import logging
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.errors import EditListError
from rl_editor.importers.reading import SAME_S, read_text

_log = logging.getLogger(__name__)
_NUMBER = r"-?\d+(?:[.,]\d+)?(?:e-?\d+)?"
_FADES = ("fade_in", "fade_out")  # of the edit, whichever label says so: it may have been moved
_OVER_OUTPUT = re.compile(
    r"(?:source (?P<start>\d+[.,]\d{6})-\d+[.,]\d{6} s|not in source)"
    rf"(?:, speed (?P<speed>{_NUMBER}))?(?:, pitch (?P<pitch>{_NUMBER}))?"
    rf"(?:, gain (?P<gain>{_NUMBER}) dB)?(?:, crossfade (?P<fade>{_NUMBER}) ms)?"
    rf"(?:, fade in (?P<fade_in>{_NUMBER}) ms)?(?:, fade out (?P<fade_out>{_NUMBER}) ms)?"
)


def from_labels(path: Path, source: SourceInfo, fade_ms: float) -> EditList:
    """What Audacity labels play; ``fade_ms`` is the crossfade where they name none.

    Raises:
        EditListError: a line is no label, they are of two kinds, or one leaves the recording that it marks.
    """
    labels, rate = sorted(_labels(read_text(path))), source.sample_rate
    _require_one_kind(labels)
    _say_moved(path, labels)
    segments: list[Segment] = []
    said: list[dict[str, float]] = []
    for label in labels:
        end_s = label.end_s if label.over_output else _end_within(label, source)
        frames = round(end_s * rate) - round(label.start_s * rate)
        if frames > 0:
            said.append(_said(label))
            segments.append(_label_segment(label, said[-1], frames, rate, fade_ms, joined=bool(segments)))
    if labels and not segments:
        raise EditListError(
            f"{labels[0]}: marks a point, as all labels do here, and points play nothing; drag them to what is to play"
        )
    fade_in_ms, fade_out_ms = (next((each[name] for each in said if name in each), 0.0) for name in _FADES)
    return EditList(source, tuple(segments), fade_in_ms=fade_in_ms, fade_out_ms=fade_out_ms)


class _Label(NamedTuple):
    """A line of a label track."""

    start_s: float
    end_s: float
    text: str
    line: int  # of the file, from 1

    @property
    def over_output(self) -> re.Match[str] | None:
        """What it says of the source, where it lies over the output; else it marks a passage of the recording."""
        return _OVER_OUTPUT.fullmatch(self.text)

    def __str__(self) -> str:
        return f"line {self.line}: {self.text[:60]!r} from {self.start_s:.6f} to {self.end_s:.6f} s"


def _labels(text: str) -> list[_Label]:
    labels = []
    for number, line in enumerate(text.split("\n"), start=1):  # not at what else Unicode takes for an end of line
        if not line.strip() or line.startswith("\\"):  # a label's frequencies, on a line of their own
            continue
        fields = line.split("\t")
        wanted = "each is start, end and text, by tabs"
        try:
            start_s, end_s = _decimal(fields[0]), _decimal(fields[1])
            if start_s > end_s:
                wanted = "it ends before it starts; change both times"
            if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s <= end_s):
                raise ValueError
            labels.append(_Label(start_s, end_s, fields[2].strip() if len(fields) > 2 else "", number))
        except (ValueError, IndexError):
            raise EditListError(f"line {number} is no label: {line[:60]!r}; {wanted}") from None
    return labels


def _decimal(text: str) -> float:
    """A number with a decimal point or comma; of thousands there are no marks."""
    return float(text.replace(",", "."))


def _end_within(label: _Label, source: SourceInfo) -> float:
    """Where a passage of the recording ends, at the latest with it.

    Raises:
        EditListError: it leaves the recording, by more than was rounded.
    """
    whole_s = source.frames / source.sample_rate
    if label.start_s < 0 or label.end_s > whole_s + SAME_S:
        raise EditListError(
            f"{label} leaves {source.name!r}, which lasts {whole_s:.6f} s; change the label, or name the recording "
            "that it was set on"
        )
    return min(label.end_s, whole_s)


def _require_one_kind(labels: Sequence[_Label]) -> None:
    """Refuse labels of which some lie over the output and some mark passages of the recording."""
    own = [label.text for label in labels if not label.over_output]
    if 0 < len(own) < len(labels):
        raise EditListError(
            f"some labels say what of the source plays, {own[0]!r} does not; label passages of the recording "
            "alone, or write it as 'source 12.000000-15.500000 s', six decimals each"
        )


def _say_moved(path: Path, labels: Sequence[_Label]) -> None:
    """That labels over the output with gaps between them, or overlaps, play one after the other all the same."""
    over = [label for label in labels if label.over_output]
    ends_s = [0.0, *(label.end_s for label in over)]
    moved = sum(abs(label.start_s - end_s) > SAME_S for label, end_s in zip(over, ends_s, strict=False))
    if moved:
        _log.warning(
            "%s: labels over the output that do not begin where the one before ends: %d of %d; all play one after the "
            "other, in order of their start",
            path,
            moved,
            len(over),
        )


def _label_segment(
    label: _Label, said: Mapping[str, float], frames: int, rate: int, fade_ms: float, *, joined: bool
) -> Segment:
    """What plays for ``frames`` by a label over the output, which ``said`` so, or of the passage that it marks."""
    first = said.get("start") if label.over_output else label.start_s
    return Segment(
        None if first is None else round(first * rate),
        frames,
        crossfade_in_ms=said.get("fade", fade_ms) if joined else 0.0,
        gain_db=said.get("gain", 0.0),
        speed=said.get("speed", 1.0),
        pitch_semitones=said.get("pitch", 0.0),
    )


def _said(label: _Label) -> dict[str, float]:
    """The numbers in a label over the output."""
    named = label.over_output
    return {} if named is None else {name: _decimal(value) for name, value in named.groupdict().items() if value}
