"""A line per segment: Audacity labels, and CSV; conventions as in ``importers``."""

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar

from rl_editor.edits import Segment, SourceInfo
from rl_editor.errors import EditListError
from rl_editor.importers.edit_lists import MOST_FRAMES, SAME_S

_Row: TypeAlias = Mapping[str, str]
_Number = TypeVar("_Number", int, float)
_LINE = "line"  # of the file, from 1, where a row ends
_CSV_COLUMNS = ("source_start_frame", "frames", "crossfade_in_ms", "gain_db", "speed", "pitch_semitones", "confidence")
_NUMBER = r"-?\d+(?:[.,]\d+)?(?:e-?\d+)?"
_OVER_OUTPUT = re.compile(
    r"(?:source (?P<start>\d+[.,]\d{6})-\d+[.,]\d{6} s|not in source)"
    rf"(?:, speed (?P<speed>{_NUMBER}))?(?:, pitch (?P<pitch>{_NUMBER}))?"
    rf"(?:, gain (?P<gain>{_NUMBER}) dB)?(?:, crossfade (?P<fade>{_NUMBER}) ms)?"
)


def from_labels(path: Path, source: SourceInfo, fade_ms: float) -> list[Segment]:
    """What Audacity labels play; ``fade_ms`` is the crossfade where they name none.

    Raises:
        EditListError: a line is no label, they are of two kinds, or one leaves the recording that it marks.
    """
    labels, rate = _labels(_text(path)), source.sample_rate
    _require_one_kind(labels)
    segments: list[Segment] = []
    for label in sorted(labels):
        end_s = label.end_s if label.over_output else _end_within(label, source)
        frames = round(end_s * rate) - round(label.start_s * rate)
        if frames > 0:
            segments.append(_label_segment(label, frames, rate, fade_ms, joined=bool(segments)))
    return segments


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


def _label_segment(label: _Label, frames: int, rate: int, fade_ms: float, *, joined: bool) -> Segment:
    """What plays for ``frames`` by a label over the output, or of the passage that it marks."""
    named = label.over_output
    said = {} if named is None else {name: _decimal(value) for name, value in named.groupdict().items() if value}
    first = label.start_s if named is None else said.get("start")
    return Segment(
        None if first is None else round(first * rate),
        frames,
        crossfade_in_ms=said.get("fade", fade_ms) if joined else 0.0,
        gain_db=said.get("gain", 0.0),
        speed=said.get("speed", 1.0),
        pitch_semitones=said.get("pitch", 0.0),
    )


def from_csv(path: Path, rate: int) -> list[Segment]:
    """What the rows of a table play.

    Raises:
        EditListError: it is no table of segments, or seconds, frames and order contradict each other.
    """
    try:
        reader = csv.DictReader(io.StringIO(_text(path), newline=""))  # no line ends where Unicode has one more
        rows = [row | {_LINE: str(reader.line_num)} for row in reader]
    except csv.Error as fault:
        raise EditListError(f"not an edit list as CSV ({fault}); 'rl-editor export --to csv' writes one") from None
    missing = [column for column in _CSV_COLUMNS if rows and column not in rows[0]]
    if missing:
        raise EditListError(
            f"not an edit list as CSV, without {', '.join(missing)}; are columns separated by commas and "
            "named in the first line as 'rl-editor export --to csv' does?"
        )
    segments: list[Segment] = []
    last_index: int | None = None
    for row in rows:
        try:
            index = _cell(row, "index", int)
            _check_order(last_index, index)
            segments.append(_row_segment(row))
            _check_seconds(row, segments[-1], rate)
        except EditListError as fault:
            named = f"row of index {row['index']}" if row.get("index") else f"line {row[_LINE]}"
            raise EditListError(f"{named}: {fault}") from None
        last_index = last_index if index is None else index
    return segments


def _row_segment(row: _Row) -> Segment:
    """What a row plays."""
    return Segment(
        _cell(row, "source_start_frame", int),
        _filled(row, "frames", int),
        crossfade_in_ms=_filled(row, "crossfade_in_ms", float),
        gain_db=_filled(row, "gain_db", float),
        speed=_filled(row, "speed", float),
        pitch_semitones=_filled(row, "pitch_semitones", float),
        confidence=_filled(row, "confidence", float),
    )


def _cell(row: _Row, column: str, kind: type[_Number]) -> _Number | None:
    """The number in a cell; None where it is empty, or the table has no such column.

    Raises:
        EditListError: it holds something else.
    """
    text = row.get(column)
    if not text:
        return None
    try:
        number = kind(text)
    except ValueError:
        number = None
    if number is None or (isinstance(number, int) and abs(number) > MOST_FRAMES):
        raise EditListError(f"{column} {text[:60]!r}, {_needed(kind)} is needed")
    return number


def _filled(row: _Row, column: str, kind: type[_Number]) -> _Number:
    number = _cell(row, column, kind)
    if number is None:
        raise EditListError(f"{column} is empty, {_needed(kind)} is needed")
    return number


def _needed(kind: type[int] | type[float]) -> str:
    return "a whole number" if kind is int else "a number with a decimal point"


def _check_order(before: int | None, index: int | None) -> None:
    """Refuse rows that stand in another order than their numbers say."""
    if before is not None and index is not None and index <= before:
        raise EditListError(
            f"index {index} stands after that of index {before}: index and the order of rows contradict each other; "
            "number the rows anew, or empty the index"
        )


def _check_seconds(row: _Row, segment: Segment, rate: int) -> None:
    """Refuse seconds that say something else than the frames beside them; empty ones say nothing."""
    start, end = segment.source_start_frame, segment.source_end_frame
    plays_from, plays_to = _cell(row, "output_start_s", float), _cell(row, "output_end_s", float)
    length_s = None if plays_from is None or plays_to is None else plays_to - plays_from
    for columns, said_s, frames in (
        ("source_start_s and source_start_frame", _cell(row, "source_start_s", float), start),
        ("source_end_s and source_start_frame + frames * speed", _cell(row, "source_end_s", float), end),
        ("output_end_s - output_start_s and frames", length_s, segment.frames),
        ("output_start_s and output_start_frame", plays_from, _cell(row, "output_start_frame", int)),
    ):
        if said_s is not None and (frames is None or not abs(said_s - frames / rate) <= SAME_S):
            means = "nothing" if frames is None else f"{frames / rate:.6f} s"
            raise EditListError(
                f"{columns} contradict each other: {said_s:.6f} s and {means} at {rate} Hz; change both, or empty the "
                "seconds: frames alone are enough"
            )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as fault:
        raise EditListError(f"not readable text ({fault}); save it as UTF-8") from None
