"""An edit over its waveform, as SVG: what plays when, coloured by where in the recording it comes from.

Conventions: all rows share one time axis in seconds of source or output; x and y in SVG units, ``WIDTH`` wide; peaks
are one number in [0, 1] per bin of the *source*, from which output rows are put together. Numbers are written with one
decimal, so that the same edit gives the same text.
"""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.colors import to_hex

from rl_editor.clock import clock
from rl_editor.edits import EditList
from rl_editor.report.words import method_title

WIDTH, LABEL_WIDTH = 1000.0, 150.0
N_COLOURS = 32  # slices of the recording
BINS_PER_S = 8.0
_ROW, _GAP, _STRIP = 46.0, 10.0, 7.0
_JOIN = "#c1121f"
_COLOURS = [to_hex(colormaps["viridis"](0.95 * i / (N_COLOURS - 1))) for i in range(N_COLOURS)]
_TICK_STEPS_S = (5, 10, 30, 60, 120, 300, 600, 1200)


class Span(NamedTuple):
    """A stretch of one row: where it is drawn, and what of the source it shows; seconds."""

    at_s: float
    source_s: float
    length_s: float
    speed: float = 1.0


def timeline_svg(edits: Mapping[str, EditList], peaks: Float[np.ndarray, " bins"], *, duration_s: float) -> str:
    """The recording with strips of what each method plays, then a row per edit."""
    longest_s = max([duration_s, *(edit.duration_s for edit in edits.values())])
    scale = (WIDTH - LABEL_WIDTH) / longest_s
    parts, y = [_label("The recording", _ROW / 2)], 0.0
    parts.append(_row([Span(0.0, 0.0, duration_s)], peaks, duration_s, scale, y))
    y += _ROW + 4.0
    for method, edit in edits.items():
        parts += [_label(f"{method_title(method)}: plays", y + _STRIP / 2, small=True), _strip(edit, scale, y)]
        y += _STRIP + 4.0
    for method, edit in edits.items():
        y += _GAP
        spans = spans_of(edit)
        parts += [_label(method_title(method), y + _ROW / 2), _row(spans, peaks, duration_s, scale, y)]
        parts.append(_joins(spans, scale, y))
        y += _ROW
    parts.append(_axis(longest_s, scale, y + 4.0))
    return (
        f'<svg viewBox="0 0 {WIDTH:.0f} {y + 24:.0f}" role="img" class="timeline" xmlns="http://www.w3.org/2000/svg">'
        f"{''.join(parts)}</svg>"
    )


def spans_of(edit: EditList) -> list[Span]:
    """The source stretches of an edit in output order."""
    merged, rate = edit.merged(), edit.source.sample_rate
    starts = merged.output_start_frames()
    return [
        Span(start / rate, s.source_start_frame / rate, s.frames / rate, s.speed)
        for start, s in zip(starts, merged.segments, strict=True)
        if s.source_start_frame is not None
    ]


def source_peaks(mono: Float[np.ndarray, " frames"], *, sample_rate: int) -> Float[np.ndarray, " bins"]:
    """Loudness along a recording, ``BINS_PER_S`` bins per second: RMS relative to the loudest, square-rooted."""
    size = max(round(sample_rate / BINS_PER_S), 1)
    padded = np.pad(mono.astype(np.float64), (0, -len(mono) % size))
    rms = np.sqrt((padded.reshape(-1, size) ** 2).mean(axis=1))
    peaks: np.ndarray = np.sqrt(rms / max(float(rms.max(initial=0.0)), 1e-9))
    return peaks


def _row(spans: Sequence[Span], peaks: np.ndarray, duration_s: float, scale: float, y: float) -> str:
    return "".join(_shape(piece, peaks, duration_s, scale, y) for span in spans for piece in _slices(span, duration_s))


def _slices(span: Span, duration_s: float) -> list[Span]:
    """A span cut where the colour changes."""
    end_s = span.source_s + span.length_s * span.speed
    edges = duration_s * np.arange(1, N_COLOURS) / N_COLOURS
    inside = edges[(edges > span.source_s) & (edges < end_s)]
    cuts = [span.source_s, *(float(edge) for edge in inside), end_s]
    return [
        Span(span.at_s + (a - span.source_s) / span.speed, a, (b - a) / span.speed, span.speed)
        for a, b in pairwise(cuts)
    ]


def _shape(piece: Span, peaks: np.ndarray, duration_s: float, scale: float, y: float) -> str:
    """The waveform of a piece as a polygon, mirrored about the middle of its row."""
    count = max(int(piece.length_s * BINS_PER_S), 1) + 1
    offset = np.linspace(0.0, piece.length_s, count)
    at = (piece.source_s + offset * piece.speed) * BINS_PER_S
    height = np.interp(at, np.arange(len(peaks)) + 0.5, peaks) if len(peaks) else np.ones(count)
    half, middle = np.maximum(height, 0.04) * _ROW / 2.0, y + _ROW / 2.0
    x = LABEL_WIDTH + (piece.at_s + offset) * scale
    upper = [f"{a:.1f},{middle - b:.1f}" for a, b in zip(x, half, strict=True)]
    lower = [f"{a:.1f},{middle + b:.1f}" for a, b in zip(x[::-1], half[::-1], strict=True)]
    middle_s = piece.source_s + piece.length_s * piece.speed / 2.0
    colour = _COLOURS[min(int(N_COLOURS * middle_s / duration_s), N_COLOURS - 1)]
    return f'<polygon fill="{colour}" stroke="{colour}" stroke-width="0.6" points="{" ".join(upper + lower)}"/>'


def _strip(edit: EditList, scale: float, y: float) -> str:
    """What of the recording plays: darker where it plays more than once."""
    return "".join(
        f'<rect x="{LABEL_WIDTH + s.source_s * scale:.1f}" y="{y:.1f}" width="{s.length_s * s.speed * scale:.1f}" '
        f'height="{_STRIP:.1f}" fill="#333333" fill-opacity="0.45"/>'
        for s in spans_of(edit)
    )


def _joins(spans: Sequence[Span], scale: float, y: float) -> str:
    return "".join(
        f'<line x1="{LABEL_WIDTH + s.at_s * scale:.1f}" x2="{LABEL_WIDTH + s.at_s * scale:.1f}" y1="{y:.1f}" '
        f'y2="{y + _ROW:.1f}" stroke="{_JOIN}" stroke-width="1.2"/>'
        for s in spans[1:]
    )


def _label(text: str, y: float, *, small: bool = False) -> str:
    place = f'x="{LABEL_WIDTH - 8:.0f}" y="{y:.1f}" dy="0.35em" text-anchor="end"'
    return f'<text {place} font-size="{9 if small else 12}">{escape(text)}</text>'


def _axis(longest_s: float, scale: float, y: float) -> str:
    step = next((s for s in _TICK_STEPS_S if longest_s / s <= 12), _TICK_STEPS_S[-1])
    return "".join(
        f'<text x="{LABEL_WIDTH + t * scale:.1f}" y="{y + 10:.1f}" font-size="10" fill="#666" text-anchor="middle">'
        f"{clock(float(t), digits=0)}</text>"
        for t in range(0, int(longest_s) + 1, step)
    )
