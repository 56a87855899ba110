"""Edit lists back from other programs: OpenTimelineIO, Audacity labels, CSV; exports of this package, or made there.

Conventions: times are rounded to frames of the recording. What a format does not say is the default: crossfades of
labels that name none are ``default_crossfade_ms``, and nobody's confidence is known.

    .otio   clips and gaps of the one track with audio, in order (more are refused, unless they play alike, as the two
            sides of a stereo recording do), as far as the source ranges of track and timeline reach; dissolves, time
            warps; gain, pitch and a crossfade without a dissolve where this package's metadata say so. A dissolve that
            reaches farther to one side of its cut is a join in its middle. What leaves the recording by half a frame of
            the clip's own rate at its start, or by a whole one at its end (start and length are rounded each), was
            rounded there and ends with the recording. Whatever the clips are called, they play the recording that is
            given
    .txt    Audacity labels. One whose text is as ``exporters`` writes it, ``source A-B s`` with six decimals each, lies
            over the *output* and plays the recording from A on for as long as the label is; ``not in source`` is
            silence; after a comma each may say ``speed 1.1``, ``pitch -2.0`` (semitones), ``gain -3.0 dB`` and
            ``crossfade 25 ms``, in this order. Any other text, a person's own, marks a passage of the *recording*
            itself. One file holds one kind. In order of their start
    .csv    rows of ``exporters``, in order: ``source_start_frame`` and ``frames`` say what plays; where it plays in the
            output follows from the rows before. Seconds and ``index`` may be empty; where they contradict frames or
            order (after an edit by hand, say) the file is refused
    .json   this package's own. Seconds may stand without the frames beside them; where they contradict these the file
            is refused, for whoever changes one means it. Where a segment plays in the output follows from those before
"""

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.errors import EditListError, first_lines

SUFFIXES = (".json", ".otio", ".txt", ".csv")
_OTHER_KINDS = {".otio": "an OpenTimelineIO timeline", ".txt": "a file of labels", ".csv": "a table of segments"}
_Row: TypeAlias = Mapping[str, str]
_CSV_COLUMNS = ("source_start_frame", "frames", "crossfade_in_ms", "gain_db", "speed", "pitch_semitones", "confidence")
_SAME_S = 0.001  # seconds that a person or a spreadsheet rounded
_JSON_FRAMES = {"source_start": "source_start_frame", "duration": "frames"}
_SLOWEST_HZ = 12.0  # video frames; what counts slower (in seconds, at a rate of 1) was not rounded to them
_MOST_FRAMES = 1 << 53  # the last that seconds (floats) count one by one: 6,500 years of audio
_NUMBER = r"-?\d+(?:[.,]\d+)?(?:e-?\d+)?"
_OVER_OUTPUT = re.compile(
    r"(?:source (?P<start>\d+[.,]\d{6})-\d+[.,]\d{6} s|not in source)"
    rf"(?:, speed (?P<speed>{_NUMBER}))?(?:, pitch (?P<pitch>{_NUMBER}))?"
    rf"(?:, gain (?P<gain>{_NUMBER}) dB)?(?:, crossfade (?P<fade>{_NUMBER}) ms)?"
)


def read_edit(path: str | Path, source: SourceInfo, *, default_crossfade_ms: float) -> EditList:
    """An edit of ``source`` from a file in any known format; a JSON keeps the source that it names.

    Raises:
        EditListError: the format is unknown, the file cannot be read, plays nothing, or leaves the recording.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        return load_edit(path)
    try:
        segments = _segments(path, source, default_crossfade_ms)
        if not segments:
            raise EditListError("plays nothing; does it hold clips, labels or rows?")
        return EditList(source, tuple(segments))
    except EditListError as fault:
        raise EditListError(f"{path}: {fault}") from None


def load_edit(path: str | Path) -> EditList:
    """An edit list from this package's JSON, which a person may have changed by hand.

    Raises:
        EditListError: as of ``EditList.load``, it is in another format, a number is beyond all audio, a name is no
            text, or seconds say something else than the frames beside them.
    """
    try:
        found = EditList.load(path)
    except EditListError:
        _say_other_format(Path(path))
        raise
    _check_size(path, found)
    for name, value in {"name": found.source.name, "sha256": found.source.sha256}.items():
        if not isinstance(value, str) or not _is_text(value):
            raise EditListError(
                f'{path}: source: {name} {json.dumps(value)}, text is needed; where it is not known, ""'
            )
    whole = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    for index, said in enumerate(whole["segments"]):
        for name, beside in _JSON_FRAMES.items():
            if beside in said:
                _check_json_seconds(f"{path}: segment {index}", name, said[name], beside, said[beside], found)
    return found


def _say_other_format(path: Path) -> None:
    """Refuse an export by what it is: it does not say all that an edit list does, its recording for one."""
    if (kind := _OTHER_KINDS.get(path.suffix.lower())) and path.is_file():
        raise EditListError(
            f"{path}: is {kind}, an edit list (.json, as edit, revise and align write it) is needed here; name the one "
            "that it comes from (render, evaluate and preview take both, with the recording)"
        ) from None


def _is_text(value: str) -> bool:
    """Whether it can be written again; JSON can name halves of characters, which no file holds."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def _check_size(path: str | Path, edit: EditList) -> None:
    """Refuse counts of frames with which nothing can be computed."""
    counts = {"source: frames": edit.source.frames, "source: sample_rate": edit.source.sample_rate}
    counts |= {f"segment {index}: frames": segment.frames for index, segment in enumerate(edit.segments)}
    for name, value in counts.items():
        if value > _MOST_FRAMES:
            written = str(value) if value < 10 * _MOST_FRAMES else f"of {math.floor(math.log10(value)) + 1} digits"
            raise EditListError(f"{path}: {name} {written}, at most {_MOST_FRAMES} is needed; is a number misspelt?")


def _check_json_seconds(where: str, name: str, value: Any, beside: str, frames: int | None, edit: EditList) -> None:
    """Refuse a time of a segment that is not that of its frames."""
    rate = edit.source.sample_rate
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if (value is None and frames is None) or (known and frames is not None and abs(value - frames / rate) <= _SAME_S):
        return
    means = "null" if frames is None else f"{frames / rate:.6f} s"
    raise EditListError(
        f"{where}: {name} {json.dumps(value)} and {beside} {json.dumps(frames)} ({means} at {rate} Hz) contradict each "
        f"other; change both, or delete {beside}: then {name} counts"
    )


def _segments(path: Path, source: SourceInfo, fade_ms: float) -> list[Segment]:
    match path.suffix.lower():
        case ".otio":
            return _from_otio(path, source)
        case ".txt":
            return _from_labels(path, source, fade_ms)
        case ".csv":
            return _from_csv(path, source.sample_rate)
        case suffix:
            raise EditListError(f"{suffix or 'no extension'} is no edit list; known are {', '.join(SUFFIXES)}")


def _from_otio(path: Path, source: SourceInfo) -> list[Segment]:
    import opentimelineio as otio

    try:
        timeline = otio.adapters.read_from_file(str(path))
        tracks = [t for t in timeline.tracks if t.kind == otio.schema.TrackKind.Audio] or list(timeline.tracks)
        played = [t for t in tracks if any(isinstance(item, otio.schema.Clip) for item in t)] or tracks[:1]
    except (otio.exceptions.OTIOError, AttributeError, OSError, ValueError) as fault:
        raise EditListError(f"not a readable OpenTimelineIO timeline ({fault})") from None
    try:
        found = [_otio_track(track, timeline.tracks.source_range, source) for track in played]
    except (otio.exceptions.OTIOError, AttributeError, TypeError, ValueError, KeyError) as fault:
        raise EditListError(f"a timeline with what no edit list can say ({first_lines(fault)}); flatten it") from None
    if any(segments != found[0] for segments in found[1:]):
        raise EditListError(
            f"{len(found)} tracks hold different clips, an edit list has one; put all clips on "
            "one track, or remove the other tracks"
        )
    return found[0] if found else []


class _Dissolve(NamedTuple):
    """A crossfade, and how far its middle lies behind the cut."""

    fade_ms: float = 0.0
    late_frames: int = 0


def _otio_track(track: Any, shown: Any, source: SourceInfo) -> list[Segment]:
    """What a track plays, within its own source range and the timeline's (``shown``)."""
    import opentimelineio as otio

    segments: list[Segment] = []
    dissolve = _Dissolve()
    for item in track:
        if isinstance(item, otio.schema.Transition):
            dissolve = _otio_dissolve(item, source.sample_rate)
            continue
        segment = _otio_segment(item, source, _otio_fade_ms(item, dissolve) if segments else 0.0)
        if segments and dissolve.late_frames:
            segments[-1], segment = _with_later_join(segments[-1], segment, dissolve.late_frames, item.name)
        dissolve = _Dissolve()
        if segment.frames > 0:
            segments.append(segment)
    for span in (track.source_range, shown):
        if span is not None:
            first_s, end_s = span.start_time.to_seconds(), span.end_time_exclusive().to_seconds()
            segments = _between(segments, round(first_s * source.sample_rate), round(end_s * source.sample_rate))
    return segments


def _otio_fade_ms(item: Any, dissolve: _Dissolve) -> float:
    """Into an item: its dissolve, or what it was exported with where that was none."""
    return dissolve.fade_ms or float(item.metadata.get("rl_editor", {}).get("crossfade_in_ms", 0.0))


def _otio_dissolve(transition: Any, rate: int) -> _Dissolve:
    """As it lies around the cut; the one it was exported with, unless its sides have been changed since."""
    before_s, after_s = transition.in_offset.to_seconds(), transition.out_offset.to_seconds()
    own = transition.metadata.get("rl_editor", {})
    sides_s = [float(side) for side in own.get("sides_s", ())]
    if len(sides_s) == 2 and all(map(math.isclose, sides_s, (before_s, after_s))):  # OTIO rounds the last digit
        return _Dissolve(float(own["crossfade_ms"]))
    return _Dissolve(1000.0 * (before_s + after_s), round((after_s - before_s) / 2 * rate))


def _with_later_join(ending: Segment, beginning: Segment, frames: int, name: str) -> tuple[Segment, Segment]:
    """Two neighbours whose join lies ``frames`` later (or earlier, below 0); what plays outside the crossfade stays."""
    if ending.frames + frames <= 0 or beginning.frames - frames <= 0:
        raise EditListError(f"the transition into {name!r} is longer than a clip beside it, or as long; shorten it")
    return replace(ending, frames=ending.frames + frames), _from_frame(beginning, frames)


def _between(segments: Sequence[Segment], first: int, end: int) -> list[Segment]:
    """What plays from output frame ``first`` to before ``end``."""
    at, kept = 0, []
    for segment in segments:
        cut = max(first - at, 0)
        frames = min(segment.frames, end - at) - cut
        at += segment.frames
        if frames > 0:
            kept.append(replace(_from_frame(segment, cut), frames=frames))
    return [replace(segment, crossfade_in_ms=segment.crossfade_in_ms if k else 0.0) for k, segment in enumerate(kept)]


def _from_frame(segment: Segment, frames: int) -> Segment:
    """A segment without its first ``frames``, or with as many more before it."""
    start = segment.source_start_frame
    later = None if start is None else start + round(frames * segment.speed)
    return replace(segment, source_start_frame=later, frames=segment.frames - frames)


def _otio_segment(item: Any, source: SourceInfo, fade_ms: float) -> Segment:
    import opentimelineio as otio

    if not isinstance(item, otio.schema.Clip | otio.schema.Gap):
        raise EditListError(f"{item.name!r} is a {type(item).__name__}, clips and gaps are needed; flatten it")
    if not item.enabled:
        raise EditListError(f"{item.name!r} is switched off, which no edit list can say; remove it, or switch it on")
    span, rate = item.trimmed_range(), source.sample_rate
    frames = round(span.duration.to_seconds() * rate)
    if isinstance(item, otio.schema.Gap):
        return Segment(None, frames, crossfade_in_ms=fade_ms)
    media = item.media_reference
    origin_s = media.available_range.start_time.to_seconds() if getattr(media, "available_range", None) else 0.0
    start = round((span.start_time.to_seconds() - origin_s) * rate)
    speed = 1.0
    for effect in item.effects:
        if isinstance(effect, otio.schema.LinearTimeWarp):
            speed *= effect.time_scalar
    own = item.metadata.get("rl_editor", {})
    segment = Segment(
        start,
        frames,
        crossfade_in_ms=fade_ms,
        gain_db=float(own.get("gain_db", 0.0)),
        speed=speed,
        pitch_semitones=float(own.get("pitch_semitones", 0.0)),
        confidence=float(own.get("confidence", 1.0)),
    )
    clip_hz = span.duration.rate
    return _rounded_back(segment, source.frames, clip_frame=rate / clip_hz if clip_hz >= _SLOWEST_HZ else 0.0)


def _rounded_back(segment: Segment, source_frames: int, *, clip_frame: float) -> Segment:
    """A segment without what leaves the recording by half a frame of its clip at the start, by one at the end.

    ``clip_frame`` is in frames of the recording. What leaves it farther is as it is, to be refused.
    """
    start, end = segment.source_start_frame or 0, segment.source_end_frame or 0
    if 0 < -start <= clip_frame / 2:
        segment = replace(segment, source_start_frame=0)
        end -= start
    if 0 < end - source_frames <= clip_frame:
        beyond = math.ceil((end - source_frames) / segment.speed)
        return replace(segment, frames=segment.frames - beyond) if beyond < segment.frames else segment
    return segment


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


def _from_labels(path: Path, source: SourceInfo, fade_ms: float) -> list[Segment]:
    labels, rate = _labels(_text(path)), source.sample_rate
    _require_one_kind(labels)
    segments: list[Segment] = []
    for label in sorted(labels):
        end_s = label.end_s if label.over_output else _end_within(label, source)
        frames = round(end_s * rate) - round(label.start_s * rate)
        if frames > 0:
            segments.append(_label_segment(label, frames, rate, fade_ms, joined=bool(segments)))
    return segments


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
    if label.start_s < 0 or label.end_s > whole_s + _SAME_S:
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


def _from_csv(path: Path, rate: int) -> list[Segment]:
    try:
        rows = list(csv.DictReader(io.StringIO(_text(path), newline="")))  # no line ends where Unicode has one more
    except csv.Error as fault:
        raise EditListError(f"not an edit list as CSV ({fault}); 'rl-editor export --to csv' writes one") from None
    missing = [column for column in _CSV_COLUMNS if rows and column not in rows[0]]
    if missing:
        raise EditListError(
            f"not an edit list as CSV, without {', '.join(missing)}; are columns separated by commas and "
            "named in the first line as 'rl-editor export --to csv' does?"
        )
    try:
        segments = [
            Segment(
                int(row["source_start_frame"]) if row["source_start_frame"] else None,
                int(row["frames"]),
                crossfade_in_ms=float(row["crossfade_in_ms"]),
                gain_db=float(row["gain_db"]),
                speed=float(row["speed"]),
                pitch_semitones=float(row["pitch_semitones"]),
                confidence=float(row["confidence"]),
            )
            for row in rows
        ]
        for row, following in pairwise(rows):
            _check_order(row, following)
        for row, segment in zip(rows, segments, strict=True):
            _check_seconds(row, segment, rate)
    except (ValueError, TypeError) as fault:
        raise EditListError(
            f"not an edit list as CSV ({type(fault).__name__}: {fault}); 'rl-editor export --to csv' writes one"
        ) from None
    return segments


def _check_order(row: _Row, following: _Row) -> None:
    """Refuse rows that stand in another order than their numbers say."""
    if row.get("index") and following.get("index") and int(following["index"]) <= int(row["index"]):
        raise EditListError(
            f"the row of index {following['index']} stands after that of index {row['index']}: index and the "
            "order of rows contradict each other; number the rows anew, or empty the index"
        )


def _check_seconds(row: _Row, segment: Segment, rate: int) -> None:
    """Refuse seconds that say something else than the frames beside them; empty ones say nothing."""

    def seconds(column: str) -> float | None:
        return float(row[column]) if row.get(column) else None

    start, end = segment.source_start_frame, segment.source_end_frame
    plays_from, plays_to = seconds("output_start_s"), seconds("output_end_s")
    length_s = None if plays_from is None or plays_to is None else plays_to - plays_from
    at = int(row["output_start_frame"]) if row.get("output_start_frame") else None
    for columns, said_s, frames in (
        ("source_start_s and source_start_frame", seconds("source_start_s"), start),
        ("source_end_s and source_start_frame + frames * speed", seconds("source_end_s"), end),
        ("output_end_s - output_start_s and frames", length_s, segment.frames),
        ("output_start_s and output_start_frame", plays_from, at),
    ):
        if said_s is not None and (frames is None or abs(said_s - frames / rate) > _SAME_S):
            means = "nothing" if frames is None else f"{frames / rate:.6f} s"
            raise EditListError(
                f"row of index {row.get('index') or '(none)'}: {columns} contradict each other: "
                f"{said_s:.6f} s and {means} at {rate} Hz; change both, or empty the seconds: frames alone are enough"
            )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise EditListError(f"not readable text ({fault}); save it as UTF-8") from None
