"""From runs in samples at the analysis rate to segments in frames at the source's own rate.

A segment lies within the source: where a run plays on beyond its end (encoder delay, padding), that part is
unexplained. ``gain_db`` is a segment's level against the median of the pair, so that mastering the whole edit louder
shows in no segment.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import ceil

import numpy as np

from rl_editor.alignment.confidence import Belief
from rl_editor.alignment.joins import Spliced
from rl_editor.alignment.refine import Pair, Placed
from rl_editor.alignment.summary import weighted_median
from rl_editor.edits import Segment, SourceInfo

LEVEL_DEADBAND_DB = 0.5  # smaller level differences are what a compressor does
LARGEST_JOIN_SHIFT_S = 0.05  # a join may move this little to where the source begins or ends
SPEED_DECIMALS, PITCH_DECIMALS, CONFIDENCE_DECIMALS = 7, 2, 4  # 1e-7 of a speed is a frame in four minutes
LARGEST_SLIP_FRAMES = 3  # a segment may be moved this little to stay inside the source ...
FOLLOWED_SLIP_S = 0.01  # ... or this, where only the sound is alike: its place is right to some milliseconds


def segments_of(
    spliced: Spliced,
    beliefs: Sequence[Belief],
    pair: Pair,
    source: SourceInfo,
    *,
    sample_rate: int,
    output_frames: int,
) -> list[Segment]:
    """Segments in output order that tile the output.

    Args:
        spliced: runs that tile the edit, with the crossfades into them.
        beliefs: of each run.
        pair: what the runs play.
        source: the raw recording.
        sample_rate: of the analysis.
        output_frames: length of the edit at the source's rate.
    """
    runs, ratio = spliced.runs, source.sample_rate / sample_rate
    levels = _levels_db(runs, beliefs)
    bounds = _bounds(runs, pair, ratio, source, output_frames)
    segments: list[Segment] = []
    for k, run in enumerate(runs):
        start, end = bounds[k], bounds[k + 1]
        if end <= start:
            continue
        if run.lag is None:
            segments.append(Segment(None, end - start, confidence=0.0))
            continue
        view = pair.views[run.view]
        speed = round(view.speed, SPEED_DECIMALS)
        segment = Segment(
            round((start + run.lag * ratio) * speed),
            end - start,
            crossfade_in_ms=spliced.crossfades_ms[k],
            gain_db=levels[k],
            speed=speed,
            pitch_semitones=round(view.semitones, PITCH_DECIMALS),
            confidence=round(beliefs[k].confidence, CONFIDENCE_DECIMALS),
        )
        slip = LARGEST_SLIP_FRAMES if view.sound is not None else round(FOLLOWED_SLIP_S * source.sample_rate)
        segments += _inside(segment, source.frames, slip)
    return _without_seams(segments)


def _without_seams(segments: list[Segment]) -> list[Segment]:
    """Neighbours that are unexplained as one: what hangs over the source lies beside what is from elsewhere."""
    merged: list[Segment] = []
    for segment in segments:
        if merged and not segment.plays and not merged[-1].plays:
            merged[-1] = replace(merged[-1], frames=merged[-1].frames + segment.frames)
        else:
            merged.append(segment)
    return merged


def _bounds(runs: list[Placed], pair: Pair, ratio: float, source: SourceInfo, output_frames: int) -> list[int]:
    """Where runs meet, in output frames; a join that would leave the source by a little moves to its end."""
    bounds = [0, *(min(output_frames, round(run.start * ratio)) for run in runs[1:]), output_frames]
    slack = round(LARGEST_JOIN_SHIFT_S * source.sample_rate)
    for k, (left, right) in enumerate(pairwise(runs), start=1):
        if left.lag is None or right.lag is None:
            continue
        last = int(source.frames / pair.views[left.view].speed) - round(left.lag * ratio)
        first = -round(right.lag * ratio)
        if 0 < bounds[k] - last <= slack:
            bounds[k] = last
        if 0 < first - bounds[k] <= slack:
            bounds[k] = first
    return bounds


def _levels_db(runs: list[Placed], beliefs: Sequence[Belief]) -> list[float]:
    """Level of each run against the median, in tenths; small differences are none."""
    levels, middle = [20 * float(np.log10(b.gain)) for b in beliefs], median_level_db(runs, beliefs)
    return [0.0 if abs(x - middle) < LEVEL_DEADBAND_DB else round(x - middle, 1) for x in levels]


def median_level_db(runs: Sequence[Placed], beliefs: Sequence[Belief]) -> float:
    """The level that half of what is matched is below, against the pair's filter."""
    matched = [
        (belief.gain, run.end - run.start) for belief, run in zip(beliefs, runs, strict=True) if run.lag is not None
    ]
    return 20 * float(np.log10(weighted_median([gain for gain, _ in matched], [n for _, n in matched]) or 1.0))


def _inside(segment: Segment, source_frames: int, slip: int) -> list[Segment]:
    """The segment, moved by up to ``slip`` or cut to the source; what is cut off (encoder delay) is unexplained."""
    start, end = segment.source_start_frame or 0, segment.source_end_frame or 0
    if 0 < -start <= slip and end - start <= source_frames:
        start, end = 0, end - start
    if 0 < end - source_frames <= slip and start >= end - source_frames:
        start, end = start - (end - source_frames), source_frames
    early, late = (ceil(max(0, over) / segment.speed) for over in (-start, end - source_frames))
    inner = segment.frames - early - late
    if inner <= 0:
        return [Segment(None, segment.frames, confidence=0.0)]
    start = max(0, round(start + early * segment.speed))
    while start + round(inner * segment.speed) > source_frames:  # rounding: by a frame at most
        inner, late = inner - 1, late + 1
    head = [Segment(None, early, confidence=0.0)] if early else []
    tail = [Segment(None, late, confidence=0.0)] if late else []
    fade = 0.0 if early else segment.crossfade_in_ms
    return [*head, replace(segment, source_start_frame=start, frames=inner, crossfade_in_ms=fade), *tail]
