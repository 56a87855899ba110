"""The edit list: what of a recording plays, in which order, to the sample. Audio is a rendering of it.

Conventions: positions are sample frames at the *source's* rate (a frame holds one sample of every channel);
seconds appear only in the JSON, beside the frames. Segments are in output order and tile the output; a join
is the point between two segments and the middle of its crossfade, so each side plays half the crossfade
beyond it. ``source_start_frame`` None is material that is not in the source. What plays first may fade in, and what
plays last may fade out, within the edit. The JSON is
``rl-editor/edit-list`` version 1: it holds no times of day and no paths: the same bytes for the same edit.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from itertools import pairwise
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Int64

from rl_editor.errors import EditListError, first_lines

FORMAT = "rl-editor/edit-list"
VERSION = 1
MOST_FADE_S = 60.0
_MOST_FADE_MS = 1000.0 * MOST_FADE_S
# What a segment may ask for, and the ends of an edit; wider than any music, and no renderer overflows.
_OF_SEGMENTS: Mapping[str, tuple[float, float]] = {
    "crossfade_in_ms": (0.0, _MOST_FADE_MS),
    "gain_db": (-200.0, 200.0),
    "speed": (1e-3, 1e3),
    "pitch_semitones": (-60.0, 60.0),
    "confidence": (0.0, 1.0),
}
_OF_ENDS: Mapping[str, tuple[float, float]] = {"fade_in_ms": (0.0, _MOST_FADE_MS), "fade_out_ms": (0.0, _MOST_FADE_MS)}
_KEYS = ("format", "version", "source", "duration", "segments", "beats", "regions", "actions", "demands", *_OF_ENDS)
_SECONDS_OF_SEGMENTS = ("output_start", "source_start", "duration")  # beside the frames
_REGION_ACTIONS = ("LOOP", "REORDER")
_Record = TypeVar("_Record", "SourceInfo", "Region", "Segment")
SHORTEST_EDIT_S = 0.01  # that an edit can be asked to be


@dataclass(frozen=True)
class SourceInfo:
    """The recording that an edit list cuts.

    Raises:
        EditListError: rate, channels or frames is no whole number, or too small.
    """

    name: str
    sha256: str
    sample_rate: int  # Hz
    channels: int
    frames: int

    def __post_init__(self) -> None:
        for name, least in {"sample_rate": 1, "channels": 1, "frames": 0}.items():
            check_whole(f"source: {name}", getattr(self, name), least)

    def frame_bounds(self, times_s: Float[np.ndarray, " bounds"]) -> Int64[np.ndarray, " bounds"]:
        """Boundaries that tile the recording (of beats, of units) in frames; the last is its end, none lies beyond."""
        bounds = np.minimum(np.round(times_s * self.sample_rate).astype(np.int64), self.frames)
        bounds[-1] = self.frames
        return bounds


@dataclass(frozen=True)
class Segment:
    """A run of output that plays the source straight on.

    ``frames`` counts output frames at the source's rate; ``speed`` source frames pass per output frame.
    ``region`` names the entry of ``EditList.regions`` that made it, if any.

    Raises:
        EditListError: a number is none, or beyond all music.
    """

    source_start_frame: int | None
    frames: int
    crossfade_in_ms: float = 0.0
    gain_db: float = 0.0
    speed: float = 1.0
    pitch_semitones: float = 0.0
    confidence: float = 1.0
    region: int | None = None

    def __post_init__(self) -> None:
        for name, bounds in _OF_SEGMENTS.items():
            _checked_number(name, getattr(self, name), bounds)

    @property
    def plays(self) -> bool:
        """Whether it plays some of the source; else it is material that is not in it, which plays as silence."""
        return self.source_start_frame is not None

    @property
    def source_end_frame(self) -> int | None:
        """The first source frame that no longer plays."""
        return None if self.source_start_frame is None else self.source_span[1]

    @property
    def source_span(self) -> tuple[int, int]:
        """Source frames from and to, of a segment that plays any."""
        start = self.source_start_frame
        assert start is not None, "foreign material lies nowhere in the source"
        return start, start + round(self.frames * self.speed)


@dataclass(frozen=True)
class Region:
    """A block of beats that was looped or moved; ``beat_index`` and ``n_beats`` in units of the edit's beats.

    Raises:
        EditListError: another action, or a count that is none.
    """

    action: str  # LOOP or REORDER
    beat_index: int
    n_beats: int
    n_times: int = 1
    target_position: int | None = None

    def __post_init__(self) -> None:
        if self.action not in _REGION_ACTIONS:
            raise EditListError(f"region: action {self.action!r}, {' or '.join(_REGION_ACTIONS)} is needed")
        for name, least in {"beat_index": 0, "n_beats": 1, "n_times": 1}.items():
            check_whole(f"region: {name}", getattr(self, name), least)
        if self.target_position is not None:
            check_whole("region: target_position", self.target_position, 0)


@dataclass(frozen=True)
class EditList:
    """Segments in output order over one source.

    Raises:
        EditListError: a segment is empty, leaves the source, or names no region of the edit; a unit has no beat; or a
            fade is no number, or beyond all music.
    """

    source: SourceInfo
    segments: tuple[Segment, ...]
    beat_times_s: tuple[float, ...] = ()  # N+1 boundaries, or empty
    unit_beats: int = 1
    regions: tuple[Region, ...] = ()
    actions: tuple[str, ...] = ()  # one per unit, or empty
    fade_in_ms: float = 0.0  # of what plays first
    fade_out_ms: float = 0.0  # of what plays last

    def __post_init__(self) -> None:
        check_whole("unit_beats", self.unit_beats, 1)
        for name, bounds in _OF_ENDS.items():
            _checked_number(name, getattr(self, name), bounds)
        for index, segment in enumerate(self.segments):
            end = segment.source_end_frame
            if segment.frames <= 0:
                raise EditListError(f"segment {index}: {segment.frames} frames; at least one is needed")
            if segment.region is not None and not 0 <= segment.region < len(self.regions):
                raise EditListError(f"segment {index}: region {segment.region}; the edit has {len(self.regions)}")
            if end is not None and not 0 <= (segment.source_start_frame or 0) < end <= self.source.frames:
                raise EditListError(
                    f"segment {index}: source frames {segment.source_start_frame} to {end} leave {self.source.name!r}, "
                    f"which has {self.source.frames}; was it made for another file?"
                )

    @property
    def frames(self) -> int:
        """Length of the output in frames at the source's rate."""
        return sum(segment.frames for segment in self.segments)

    @property
    def duration_s(self) -> float:
        """Length of the output in seconds."""
        return self.frames / self.source.sample_rate

    def output_start_frames(self) -> list[int]:
        """Where each segment starts in the output."""
        starts, at = [], 0
        for segment in self.segments:
            starts.append(at)
            at += segment.frames
        return starts

    def source_spans(self) -> list[tuple[int, int]]:
        """Source frames from and to of every segment that plays any, in output order."""
        return [segment.source_span for segment in self.segments if segment.plays]

    def merged(self) -> "EditList":
        """The same edit with neighbours joined that continue each other in the source without change."""
        merged: list[Segment] = []
        for segment in self.segments:
            if merged and continues(merged[-1], segment):
                merged[-1] = replace(merged[-1], frames=merged[-1].frames + segment.frames)
            else:
                merged.append(segment)
        return replace(self, segments=tuple(merged))

    def undecided(self) -> "EditList":
        """What plays, without the decisions that it came of."""
        return replace(self, segments=tuple(replace(s, region=None) for s in self.segments), regions=(), actions=())

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that docs/architecture.md shows."""
        rate = self.source.sample_rate
        return {
            "format": FORMAT,
            "version": VERSION,
            "source": asdict(self.source),
            "duration": self.frames / rate,
            "segments": [
                {
                    "output_start": start / rate,
                    "source_start": None if s.source_start_frame is None else s.source_start_frame / rate,
                    "duration": s.frames / rate,
                    **asdict(s),
                }
                for start, s in zip(self.output_start_frames(), self.segments, strict=True)
            ],
            "beats": {"times_s": list(self.beat_times_s), "unit_beats": self.unit_beats},
            "regions": [asdict(region) for region in self.regions],
            "actions": list(self.actions),
            **{name: getattr(self, name) for name in _OF_ENDS if getattr(self, name)},
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "EditList":
        """Read the JSON object; exact frames win over seconds, which may stand alone.

        Raises:
            EditListError: another format or version, or a field that is missing, unknown or of the wrong type.
        """
        if value.get("format") != FORMAT or value.get("version") != VERSION:
            raise EditListError(
                f"format {value.get('format')!r} version {value.get('version')!r}: "
                f"expected {FORMAT!r} version {VERSION}"
            )
        _check_names(value, _KEYS, "edit list")
        try:
            source = _read(SourceInfo, value.get("source"), "source")
            beats = _object(value.get("beats") or {}, "beats")
            _check_names(beats, ("times_s", "unit_beats"), "beats")
            segments, regions = (enumerate(_listed(value, name)) for name in ("segments", "regions"))
            return cls(
                source=source,
                segments=tuple(_segment_from_dict(s, f"segment {i}", source.sample_rate) for i, s in segments),
                beat_times_s=_rising(beats.get("times_s", ())),
                unit_beats=beats.get("unit_beats", 1),
                regions=tuple(_read(Region, region, f"region {i}") for i, region in regions),
                actions=tuple(str(a) for a in _listed(value, "actions")),
                **{name: _checked_number(name, value[name], of) for name, of in _OF_ENDS.items() if name in value},
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise EditListError(
                f"edit list: {type(error).__name__}: {error}; see the format in docs/architecture.md"
            ) from error

    def to_json(self) -> str:
        """The edit list as text, the same bytes every time."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def load(cls, path: str | Path) -> "EditList":
        """Read an edit list file.

        Raises:
            EditListError: the file is missing, is not JSON, or breaks the format.
        """
        try:
            value = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError) as error:  # no text, no JSON, more digits than Python reads
            raise EditListError(f"{path}: not a readable edit list ({first_lines(error)})") from error
        if not isinstance(value, dict):
            raise EditListError(f"{path}: holds a {type(value).__name__}, expected an edit list object")
        try:
            return cls.from_dict(value)
        except EditListError as fault:
            raise EditListError(f"{path}: {fault}") from None


def keep_all(source: SourceInfo) -> EditList:
    """The edit that plays the whole source once."""
    return EditList(source, (Segment(0, source.frames),))


def joins(edit: EditList) -> list[tuple[Segment, Segment]]:
    """Neighbouring segments that do not simply continue each other."""
    merged = edit.merged().segments
    return list(pairwise(merged))


def continues(left: Segment, right: Segment) -> bool:
    """Whether the right one plays on where the left one ends, in the same way; so does silence after silence."""
    if not (left.plays and right.plays):
        return left.plays == right.plays
    same = (left.gain_db, left.speed, left.pitch_semitones) == (right.gain_db, right.speed, right.pitch_semitones)
    if not same or left.source_end_frame != right.source_start_frame:
        return False
    return replace(left, frames=left.frames + right.frames).source_end_frame == right.source_end_frame  # or rounding


def check_length_asked(seconds: object) -> None:
    """Refuse what no edit can be as long as.

    Raises:
        EditListError: it is no number, or not from ``SHORTEST_EDIT_S`` up.
    """
    if not isinstance(seconds, Real) or not SHORTEST_EDIT_S <= float(seconds) < math.inf:  # NaN is nowhere
        raise EditListError(
            f"length asked for: {seconds!r} s, a finite length of at least {SHORTEST_EDIT_S:g} s is needed"
        )


def _checked_number(name: str, value: object, bounds: tuple[float, float]) -> float:
    low, high = bounds
    if not isinstance(value, int | float) or not low <= value <= high:  # NaN is nowhere
        raise EditListError(f"{name} {value!r}, a number from {low:g} to {high:g} is needed")
    return value


def check_whole(name: str, value: object, least: int) -> None:
    """Refuse what is no whole number from ``least`` up.

    Raises:
        EditListError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise EditListError(f"{name} {value!r}, a whole number of at least {least} is needed")


def _rising(times_s: Sequence[float]) -> tuple[float, ...]:
    times = tuple(float(t) for t in times_s)
    if not all(math.isfinite(t) for t in times) or any(b < a for a, b in pairwise(times)):
        raise ValueError("beats: times_s that are finite and rise are needed")
    return times


def _listed(value: Mapping[str, Any], name: str) -> list[Any]:
    found = value.get(name, None if name == "segments" else [])  # there are always segments
    if not isinstance(found, list):
        raise EditListError(f"{name}: {found!r:.60}, a list is needed")
    return found


def _read(kind: type[_Record], value: object, what: str) -> _Record:
    """An object of the JSON form, with all fields that it must have and no others."""
    given, known = _object(value, what), fields(kind)
    names = [each.name for each in known]
    if missing := [each.name for each in known if each.default is MISSING and each.name not in given]:
        raise EditListError(f"{what}: without {', '.join(missing)}; it has {', '.join(names)}")
    _check_names(given, names, what)
    try:
        return kind(**given)
    except EditListError as fault:
        raise EditListError(f"{what}: {str(fault).removeprefix(what.split()[0] + ': ')}") from None


def _segment_from_dict(value: object, what: str, sample_rate: int) -> Segment:
    given = _object(value, what)
    _check_names(given, [each.name for each in fields(Segment)] + list(_SECONDS_OF_SEGMENTS), what)
    own = {k: v for k, v in given.items() if k not in _SECONDS_OF_SEGMENTS}
    for name, of in (("source_start_frame", "source_start"), ("frames", "duration")):
        if name not in own and of not in given:
            raise EditListError(f"{what}: neither {name} nor {of}, one of them is needed")
        seconds = given.get(of)
        if name not in own and not (seconds is None and of == "source_start"):  # that is silence
            if not isinstance(seconds, int | float) or not math.isfinite(seconds):
                raise EditListError(f"{what}: {of} {seconds!r:.60}, a number of seconds is needed")
            own[name] = round(seconds * sample_rate)
    for name in ("source_start_frame", "frames", "region"):
        whole = isinstance(own.get(name), int) and not isinstance(own[name], bool)
        if not (whole or (own.setdefault(name) is None and name != "frames")):
            raise EditListError(f"{what}: {name} {own[name]!r:.60}, a whole number is needed")
    return _read(Segment, own, what)


def _check_names(given: Mapping[str, Any], names: Sequence[str], what: str) -> None:
    """Refuse what would be passed over: a name that is misspelt."""
    if unknown := [str(name) for name in given if name not in names]:
        raise EditListError(f"{what}: unknown {', '.join(unknown)}; it has {', '.join(names)}")


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise EditListError(f"{what}: {value!r:.60}, an object is needed")
    return value
