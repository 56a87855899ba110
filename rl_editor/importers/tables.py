"""A row per segment: CSV; conventions as in ``importers``."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.errors import EditListError
from rl_editor.importers.reading import MOST_FRAMES, SAME_S, check_one_source, read_text

_Number = TypeVar("_Number", int, float)
_DELIMITERS = (",", ";", "\t")  # spreadsheets of many countries write semicolons, and decimal commas with them
_STARTS = (("source_start_frame",), ("source_start_s",))  # any one of these says where a row starts ..
_LENGTHS = (("frames",), ("output_start_s", "output_end_s"), ("source_end_s",))  # .. and how long it plays


class _Row(NamedTuple):
    """A line of the table; of a missing column and of an empty cell there is nothing in ``cells``."""

    cells: Mapping[str, str]
    columns: Sequence[str]  # of the heading
    line: int  # of the file, from 1, where it ends
    decimal_comma: bool  # numbers may be written so

    def __str__(self) -> str:
        return f"row of index {self.cells['index']}" if "index" in self.cells else f"line {self.line}"


def from_csv(path: Path, source: SourceInfo, fade_ms: float) -> EditList:
    """What the rows of a table play; ``fade_ms`` is the crossfade where it has no such column.

    Raises:
        EditListError: it is no table of segments, cuts several recordings, or seconds, frames and order contradict
            each other.
    """
    rows = _rows(read_text(path))
    check_one_source(path, (Path(row.cells["source"]).name for row in rows if "source" in row.cells), source)
    rate = source.sample_rate
    segments: list[Segment] = []
    last_index: int | None = None
    for row in rows:
        try:
            index = _cell(row, "index", int)
            _check_order(last_index, index)
            segments.append(_segment(row, rate, fade_ms if segments else 0.0))
            _check_seconds(row, segments[-1], rate)
        except EditListError as fault:
            raise EditListError(f"{row}: {fault}") from None
        last_index = last_index if index is None else index
    fade_in_ms, fade_out_ms = (_of_any_row(rows, column) for column in ("fade_in_ms", "fade_out_ms"))
    return EditList(source, tuple(segments), fade_in_ms=fade_in_ms, fade_out_ms=fade_out_ms)


def _rows(text: str) -> list[_Row]:
    """The rows that hold anything."""
    heading = text.strip().partition("\n")[0]
    delimiter = max(_DELIMITERS, key=heading.count)
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)  # line ends of ASCII alone
        stripped = ((lines.line_num, [cell.strip() for cell in line]) for line in lines)
        found = [(number, cells) for number, cells in stripped if any(cells)]
    except csv.Error as fault:
        raise EditListError(f"not an edit list as CSV ({fault}); 'rl-editor export --to csv' writes one") from None
    if not found:
        return []
    (_, columns), *below = found
    for what in (_STARTS, _LENGTHS):
        if not any(set(together) <= set(columns) for together in what):
            needed = ", or ".join(" and ".join(together) for together in what)
            raise EditListError(
                f"not an edit list as CSV, without {needed}; are columns separated by commas, semicolons or tabs, and "
                "named in the first line as 'rl-editor export --to csv' does?"
            )
    rows = []
    for line, cells in below:
        if any(cells[len(columns) :]):
            raise EditListError(
                f"line {line}: {len(cells)} cells under {len(columns)} columns; quote what holds {delimiter!r}, and "
                "where commas separate cells write numbers with a decimal point"
            )
        filled = {name: cell for name, cell in zip(columns, cells, strict=False) if cell}
        rows.append(_Row(filled, columns, line, delimiter != ","))
    return rows


def _segment(row: _Row, rate: int, fade_ms: float) -> Segment:
    """What a row plays; seconds count where there are no frames."""
    speed = _filled(row, "speed", 1.0)
    start = _cell(row, "source_start_frame", int)
    if start is None:
        start = _frame_of_seconds(row, "source_start_s", rate)
    frames = _cell(row, "frames", int)
    return Segment(
        start,
        _frames_of_seconds(row, start, speed, rate) if frames is None else frames,
        crossfade_in_ms=_filled(row, "crossfade_in_ms", fade_ms),
        gain_db=_filled(row, "gain_db", 0.0),
        speed=speed,
        pitch_semitones=_filled(row, "pitch_semitones", 0.0),
        confidence=_filled(row, "confidence", 1.0),
    )


def _frames_of_seconds(row: _Row, start: int | None, speed: float, rate: int) -> int:
    """How long a row plays, by where it does in the output, else by where in the recording."""
    first, end = (_frame_of_seconds(row, column, rate) for column in ("output_start_s", "output_end_s"))
    pace = 1.0
    if first is None or end is None:
        first, end, pace = start, _frame_of_seconds(row, "source_end_s", rate), speed
    if first is None or end is None:
        raise EditListError(
            "frames is empty, a whole number is needed; or, in seconds, output_start_s and output_end_s, or where "
            "source_start_s is, source_end_s"
        )
    if end <= first or pace <= 0.0:
        raise EditListError("it ends before it starts, or as it does; change where it ends")
    return max(round((end - first) / pace), 1)


def _frame_of_seconds(row: _Row, column: str, rate: int) -> int | None:
    at_s = _cell(row, column, float)
    if at_s is None:
        return None
    if not abs(at_s) * rate <= MOST_FRAMES:  # NaN is nowhere
        raise EditListError(f"{column} {row.cells[column]!r:.60}, seconds of a recording are needed")
    return round(at_s * rate)


def _cell(row: _Row, column: str, kind: type[_Number]) -> _Number | None:
    """The number in a cell; None where it is empty, or the table has no such column.

    Raises:
        EditListError: it holds something else.
    """
    text = row.cells.get(column)
    if text is None:
        return None
    try:
        number = kind(text.replace(",", ".") if row.decimal_comma else text)
    except ValueError:
        number = None
    if number is None or (isinstance(number, int) and abs(number) > MOST_FRAMES):
        needed = "a whole number" if kind is int else "a number with a decimal point"
        raise EditListError(f"{column} {text[:60]!r}, {needed} is needed")
    return number


def _of_any_row(rows: Sequence[_Row], column: str) -> float:
    """What the first row that fills the column says of the whole edit, wherever it has been moved to; else 0."""
    said = (_cell(row, column, float) for row in rows)
    return next((number for number in said if number is not None), 0.0)


def _filled(row: _Row, column: str, usual: float) -> float:
    """The number in a cell, which must not be empty; ``usual`` where the table has no such column."""
    number = _cell(row, column, float)
    if number is None and column in row.columns:
        raise EditListError(f"{column} is empty, a number with a decimal point is needed; {usual:g} is usual")
    return usual if number is None else number


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
    place = _cell(row, "output_start_frame", int)
    for columns, said_s, frames in (
        ("source_start_s and source_start_frame", _cell(row, "source_start_s", float), start),
        ("source_end_s and source_start_frame + frames * speed", _cell(row, "source_end_s", float), end),
        ("output_end_s - output_start_s and frames", length_s, segment.frames),
        ("output_start_s and output_start_frame", None if place is None else plays_from, place),
    ):
        if said_s is not None and (frames is None or not abs(said_s - frames / rate) <= SAME_S):
            means = "nothing" if frames is None else f"{frames / rate:.6f} s"
            raise EditListError(
                f"{columns} contradict each other: {said_s:.6f} s and {means} at {rate} Hz; change both, or empty the "
                "seconds: frames alone are enough"
            )
