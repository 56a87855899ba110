"""A line per segment: Audacity labels over the output, and CSV."""

import csv
import io
from itertools import pairwise

from rl_editor.edits import EditList, Segment

_CSV_COLUMNS = (
    "index", "source", "output_start_s", "output_end_s", "source_start_s", "source_end_s", "output_start_frame",
    "source_start_frame", "frames", "crossfade_in_ms", "gain_db", "speed", "pitch_semitones", "confidence", "action",
    "fade_in_ms", "fade_out_ms",
)  # fmt: skip


def to_audacity(edit: EditList, media: str) -> str:
    """The edit list as a label track; labels name no recording."""
    merged, rate = edit.merged(), edit.source.sample_rate
    bounds = [*merged.output_start_frames(), merged.frames]
    labels = [_label(segment, rate, joined=at > 0) for segment, at in zip(merged.segments, bounds, strict=False)]
    for index, name, fade_ms in ((0, "in", merged.fade_in_ms), (-1, "out", merged.fade_out_ms)):
        labels[index] += f", fade {name} {fade_ms:g} ms" if fade_ms else ""
    spans = zip(labels, pairwise(bounds), strict=True)
    return "".join(f"{start / rate:.6f}\t{end / rate:.6f}\t{label}\n" for label, (start, end) in spans)


def _label(segment: Segment, rate: int, *, joined: bool) -> str:
    """What plays, then how where it is not as it is in the recording."""
    start, end = segment.source_start_frame, segment.source_end_frame
    what = "not in source" if start is None or end is None else f"source {start / rate:.6f}-{end / rate:.6f} s"
    how = [
        f", {name} {value!r}{unit}"
        for name, value, usual, unit in (
            ("speed", segment.speed, 1.0, ""),
            ("pitch", segment.pitch_semitones, 0.0, ""),
            ("gain", segment.gain_db, 0.0, " dB"),
        )
        if value != usual
    ]
    fade = f", crossfade {segment.crossfade_in_ms:g} ms" if joined else ""
    return what + "".join(how) + fade


def to_csv(edit: EditList, media: str) -> str:
    """The edit list as CSV."""
    rate, text = edit.source.sample_rate, io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    last = len(edit.segments) - 1
    for index, (segment, at) in enumerate(zip(edit.segments, edit.output_start_frames(), strict=True)):
        start, end = segment.source_start_frame, segment.source_end_frame
        seconds = [at / rate, (at + segment.frames) / rate, *("" if x is None else x / rate for x in (start, end))]
        action = "" if segment.region is None else edit.regions[segment.region].action
        sound = [segment.crossfade_in_ms, segment.gain_db, segment.speed, segment.pitch_semitones, segment.confidence]
        frames = [at, "" if start is None else start, segment.frames]
        fades = [edit.fade_in_ms if index == 0 else "", edit.fade_out_ms if index == last else ""]
        writer.writerow([index, media, *seconds, *frames, *sound, action, *fades])
    return text.getvalue()
