"""The last fraction of a beat: an edit near a length made that long to the sample.

Conventions: positions are frames at the source's rate. What is missing, or too much, is found in this order, and all of
it is reported:

    stretch   where it is allowed: everything plays up to ``MOST_STRETCH`` faster or slower than the recording, pitch
              with it
    silence   the recording's own silence at the end of the output is lengthened, up to ``MOST_TAIL_S``, or shortened
    joins     right sides start up to ``MOST_NUDGE_MS`` earlier or later, alike at all joins that may move; only where
              that is enough: joins were settled to where both sides correlate, and an end that has to give more than
              they can gives all of it as well
    tail      the end fades out earlier, or goes on into what follows in the source, or into silence; never out of
              what has to play, nor into what must not; up to ``MOST_TAIL_S``, or up to ``most_silence_s`` of silence
              after the recording's own end where that has to play: edits are whole bars apart, so a bar reaches one;
              a last passage of which less than ``BRIEF_S`` would be left goes as a whole, and what plays before it goes
              on instead, or ends earlier
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from rl_editor.edits import EditList, Segment
from rl_editor.errors import EditListError
from rl_editor.grid import BeatGrid
from rl_editor.intervals import gaps, union
from rl_editor.negotiation.demands import MOST_STRETCH, Demands, TimeSpan, spoken, spoken_up
from rl_editor.negotiation.pace import pace, within
from rl_editor.render import FADE_OUT_MS, with_faded_ends
from rl_editor.render.sources import open_source
from rl_editor.utils import Samples

_T = TypeVar("_T")

MOST_NUDGE_MS = 4.0  # below what is heard as uneven (some 6 ms)
MOST_TAIL_S = 1.5
MOST_SILENCE_S = 2.0  # after an end that has to play, which cannot be cut; a bar where that is longer
BRIEF_S = 1.0  # what is left of a last passage is not worth a join
_AT_END_S = 0.01  # of the recording
_SILENT_DB = -60.0  # re the loudest sample of the last ten seconds, or the floor where those are quieter
_ROUNDS_DOWN = 0.4  # of a frame
_LOUDEST_FLOOR = 0.05  # of full scale


@dataclass(frozen=True)
class ExactLength:
    """An edit of exactly the length asked for, and where the difference went; seconds, longer is positive."""

    edit: EditList
    stretch: float = 0.0  # share by which the output got longer; its pitch is as much lower
    silence_s: float = 0.0
    joins_s: float = 0.0
    tail_s: float = 0.0
    join_gone: bool = False  # the last one, with what the end had to give


def to_length(
    edit: EditList,
    recording: str | Path | Samples,
    demands: Demands,
    *,
    allow_stretch: bool,
    silence_s: float,
    costs: str,
    only: Collection[int] | None = None,
) -> ExactLength:
    """The edit at the length that is demanded, with what has to play, and without what must not.

    Args:
        edit: an edit near that length; it may be stretched already, and stays so where it is not stretched anew.
        recording: what it cuts.
        demands: the end is not cut off passages to keep, nor off moments; it goes on into no passage to drop, without
            loops into nothing that plays already, without moves into nothing that would play for the first time after
            what follows it.
        allow_stretch: play everything a little faster or slower instead of touching ends and joins.
        silence_s: how much may follow the recording's own end, where that has to play.
        costs: which demands to take back where the edit is further off, in words.
        only: numbers of the joins that may move, from 1 in output order; all by default.

    Raises:
        EditListError: it is further off than the end may give, or would cut into what has to play.
    """
    rate, frames = edit.source.sample_rate, demands.frames(edit.source.sample_rate)
    assert frames is not None
    in_reach = abs(edit.frames / frames * pace(edit) - 1.0) <= MOST_STRETCH
    if allow_stretch and in_reach:
        stretched = _stretched(edit, frames)
        return ExactLength(stretched, stretch=frames / edit.frames / pace(edit) - 1.0)
    missing = frames - edit.frames
    edit, silence = _with_silence(edit, recording, missing)
    edit, joins = _nudged(edit, frames - edit.frames, only)
    tail = frames - edit.frames
    most_s = silence_s if tail > 0 and _ends_in_what_has_to_play(edit, demands.keep) else MOST_TAIL_S
    if abs(tail) > most_s * rate:
        raise EditListError(
            f"{edit.source.name}: {spoken(frames / rate)} to the sample cannot be met: the edit negotiated for it is "
            f"{spoken((frames - missing) / rate)} long, and its end may give {most_s:.3g} s; ask for "
            f"{spoken_up((frames - missing) / rate)}"
            + (", or give --allow-stretch" if in_reach else "")
            + (f", or take back {costs}" if costs else "")
        )
    barred = [(round(span.start_s * rate), round(span.end_s * rate)) for span in demands.drop]
    heard = union(edit.source_spans())
    barred += heard if demands.no_loop else []
    barred += gaps(heard, heard[-1][1]) if heard and demands.no_reorder else []
    moments_s = [anchor.source_s for anchor in demands.anchors]
    held = [(a * rate, b * rate) for a, b in (*demands.keep, *zip(moments_s, moments_s, strict=True))]
    n_joins = len(edit.segments) - 1
    if only is None or n_joins in only:
        edit = _without_brief_end(edit, tail, held, barred)
    gone = len(edit.segments) - 1 < n_joins
    edit = _with_tail(edit, frames - edit.frames, demands.keep, barred, stretches=in_reach and not allow_stretch)
    return ExactLength(
        with_faded_ends(edit), silence_s=silence / rate, joins_s=joins / rate, tail_s=tail / rate, join_gone=gone
    )


def most_silence_s(grid: BeatGrid) -> float:
    """How long it may be silent after an end that has to play."""
    return max(MOST_SILENCE_S, grid.bar_s)


def met_from_below(
    settle: Callable[[float], _T], meet: Callable[[_T], ExactLength], *, keep: Sequence[TimeSpan], silence_s: float
) -> tuple[_T, ExactLength]:
    """What is negotiated and settled, at its length; for less where passages that have to play forbid that.

    The middle of the lengths from which silence is enough is aimed at first: the edit there may be too long by a
    little, as what is cheaper to play counts too. Aiming at the shortest of them comes out below.

    Args:
        settle: negotiates to so many seconds less than is asked, and settles.
        meet: takes what was settled to the sample.
        keep: what has to play.
        silence_s: how much silence may follow an end that has to play.

    Raises:
        EditListError: none meets the length; it says what is wrong with the first.
    """
    refused: EditListError | None = None
    for less_s in (0.0, silence_s / 2.0, silence_s) if keep else (0.0,):
        settled = settle(less_s)
        try:
            return settled, meet(settled)
        except EditListError as fault:
            refused = refused or fault
    assert refused is not None
    raise refused


def _ends_in_what_has_to_play(edit: EditList, keep: Sequence[TimeSpan]) -> bool:
    """Whether the edit goes on to the recording's end, and cannot be cut there by as much as an end may give.

    Where a join before it was settled it ends some milliseconds earlier.
    """
    rate, end = edit.source.sample_rate, edit.segments[-1].source_end_frame
    if end is None or edit.source.frames - end > _AT_END_S * rate:
        return False
    return any(span.end_s > end / rate - MOST_TAIL_S for span in keep)


def _stretched(edit: EditList, frames: int) -> EditList:
    """Every segment at one speed; boundaries are rounded by themselves, so rounding does not add up."""
    speed, whole = edit.frames / frames, edit.source.frames
    bounds = np.rint(np.array([*edit.output_start_frames(), edit.frames]) / speed).astype(int)
    lengths = [int(length) for length in np.diff(bounds)]
    # What plays from the recording's first frame to its last cannot start earlier, so all play a hair slower.
    opening = [(s, n) for s, n in zip(edit.segments, lengths, strict=True) if s.source_start_frame == 0 and n]
    speed = min([speed, *((whole + _ROUNDS_DOWN) / n / segment.speed for segment, n in opening)])
    segments = (
        within(replace(segment, frames=n, speed=segment.speed * speed), whole, as_long=True)
        for segment, n in zip(edit.segments, lengths, strict=True)
    )
    return replace(edit, segments=tuple(segments))


def _with_silence(edit: EditList, recording: str | Path | Samples, missing: int) -> tuple[EditList, int]:
    """Silence at the end of the output shorter, as far as it is there, or a little longer."""
    last = edit.segments[-1]
    start, end = last.source_start_frame, last.source_end_frame
    if start is None or end is None or not missing:
        return edit, 0
    silent = _silent_tail(recording, start, end)
    if missing < 0:
        cut = min(-missing, max(int(silent / last.speed) - 1, 0), last.frames - 1)
        return replace(edit, segments=(*edit.segments[:-1], replace(last, frames=last.frames - cut))), -cut
    if silent == 0 or missing > MOST_TAIL_S * edit.source.sample_rate:
        return edit, 0
    return replace(edit, segments=(*edit.segments, Segment(None, missing))), missing


def _silent_tail(recording: str | Path | Samples, start: int, end: int) -> int:
    """How many frames before ``end`` are silent, 10 s at most."""
    with open_source(recording) as source:
        rate = source.sample_rate
        first = max(start, end - 10 * rate)
        data = np.abs(source.read(first, end - first).astype(np.float64)).max(axis=1) / source.sample_type.full_scale
    loud = np.flatnonzero(data > 10.0 ** (_SILENT_DB / 20.0) * max(float(data.max(initial=0.0)), _LOUDEST_FLOOR))
    return len(data) - 1 - int(loud[-1]) if len(loud) else len(data)


def _nudged(edit: EditList, missing: int, only: Collection[int] | None) -> tuple[EditList, int]:
    """Right sides of joins start earlier (the output gets longer) or later, each by the same share; all, or none."""
    plain = [
        index
        for index in range(1, len(edit.segments))
        if edit.segments[index].plays and edit.segments[index - 1].plays and (only is None or index in only)
    ]
    if not plain or not missing:
        return edit, 0
    limit = round(MOST_NUDGE_MS * edit.source.sample_rate / 1000)
    segments, done = list(edit.segments), 0
    for number, index in enumerate(plain):
        segment = segments[index]
        assert segment.source_start_frame is not None
        share = round((missing - done) / (len(plain) - number))
        most = min(limit, int(segment.source_start_frame / segment.speed))
        share = int(np.clip(share, -min(limit, segment.frames // 2), most))
        start = segment.source_start_frame - round(share * segment.speed)
        moved = replace(segment, source_start_frame=start, frames=segment.frames + share)
        segments[index] = within(moved, edit.source.frames, as_long=True)
        done += share
    return (replace(edit, segments=tuple(segments)), done) if done == missing else (edit, 0)


def _without_brief_end(
    edit: EditList, missing: int, held: Sequence[tuple[float, float]], barred: Sequence[tuple[int, int]]
) -> EditList:
    """The edit without its last passage, where less than ``BRIEF_S`` would be left of that, and nobody asked for it.

    What plays before it has to be able to go on for as long.
    """
    if missing >= 0 or len(edit.segments) < 2:
        return edit
    last, rest = edit.segments[-1], replace(edit, segments=edit.segments[:-1])
    start, end, left = last.source_start_frame, last.source_end_frame, last.frames + missing
    silent_before = rest.segments[-1].source_end_frame is None
    if start is None or end is None or silent_before or left >= BRIEF_S * edit.source.sample_rate:
        return edit
    if left * last.speed > _room(rest, barred) or any(a < end and b > start for a, b in held):
        return edit
    return rest


def _room(edit: EditList, barred: Sequence[tuple[int, int]]) -> int:
    """How many frames of the source follow the end before its own end, or before what is barred."""
    end = edit.segments[-1].source_end_frame
    return 0 if end is None else min([edit.source.frames, *(max(a, end) for a, b in barred if b > end)]) - end


def _with_tail(
    edit: EditList,
    missing: int,
    keep: Sequence[TimeSpan],
    barred: Sequence[tuple[int, int]],
    *,
    stretches: bool,
) -> EditList:
    """The end earlier, faded; or later, into what follows in the source and is not barred, else into silence."""
    if not missing:
        return edit
    last, rate = edit.segments[-1], edit.source.sample_rate
    end = last.source_end_frame
    for span in keep if end is not None and missing < 0 else ():
        assert end is not None
        cut = span.start_s * rate < end and end + missing * last.speed < span.end_s * rate
        if cut and not any(_plays(segment, span, rate) for segment in edit.segments[:-1]):
            length = spoken((edit.frames + missing) / rate)
            raise EditListError(
                f"{edit.source.name}: keep {span} and {length} to the sample contradict each other: the end would come "
                f"{-missing / rate:.2f} s too early; ask for {spoken_up(edit.frames / rate)}"
                + (", or give --allow-stretch" if stretches else "")
            )
    if 0 < missing * last.speed <= _room(edit, barred):
        longer = within(replace(last, frames=last.frames + missing), edit.source.frames, as_long=True)
        if longer.frames == last.frames + missing:
            return replace(edit, segments=(*edit.segments[:-1], longer))
    if missing > 0:
        return replace(edit, segments=(*edit.segments, Segment(None, missing, crossfade_in_ms=FADE_OUT_MS)))
    if last.frames + missing <= 0:
        length = spoken_up(edit.frames / rate)
        raise EditListError(f"{edit.source.name}: its last passage is too short to be shortened; ask for {length}")
    return replace(edit, segments=(*edit.segments[:-1], replace(last, frames=last.frames + missing)))


def _plays(segment: Segment, span: TimeSpan, rate: int) -> bool:
    """Whether a segment plays all of a span."""
    start, end = segment.source_start_frame, segment.source_end_frame
    return start is not None and end is not None and start <= span.start_s * rate and end >= span.end_s * rate
