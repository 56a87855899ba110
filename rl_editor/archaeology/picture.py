"""A picture of an edit: the raw recording above, the edit below, and between them a ribbon for all that plays.

Conventions: raw and edit each fill the width, on their own time axes (an edit of an hour may be minutes long; the axes
say so). A ribbon joins where a passage comes from to where it plays; its colour is the action, its opacity the
confidence, which the strip at the bottom shows again as a number. Loops lie over moves, and moves over what is kept.
Waveforms are drawn from envelopes that are made while the file streams by: memory does not grow with its length.
The same edit gives the same bytes.

Sources: hues after Okabe and Ito (2008), which the colour-blind tell apart; they differ in lightness as well.
"""

from collections.abc import Iterator, Mapping
from math import ceil
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch, Rectangle
from matplotlib.path import Path as Outline

from rl_editor.alignment.folding import SLIP_S
from rl_editor.alignment.summary import Action, AlignmentSummary, Passage
from rl_editor.archaeology.words import headline, shortened
from rl_editor.clock import clock
from rl_editor.intervals import union
from rl_editor.publishing import save_png
from rl_editor.utils import audio_info, read_blocks

COLOURS: Mapping[Action, str] = {
    Action.KEEP: "#7fc4ea",
    Action.LOOP: "#e69f00",
    Action.MOVE: "#aa4499",
    Action.FOREIGN: "#4d4d4d",
}
NAMES: Mapping[Action, str] = {
    Action.KEEP: "kept in place",
    Action.LOOP: "looped",
    Action.MOVE: "moved",
    Action.FOREIGN: "not in the raw",
}
N_BINS = 2000  # of an envelope: about one per pixel
_WIDTH_IN, _HEIGHT_IN, _DPI = 15.0, 7.8, 140
_LEFT, _RIGHT = 0.07, 0.975
_RAW, _RIBBONS, _EDIT, _CONFIDENCE = (0.7, 0.16), (0.355, 0.345), (0.195, 0.16), (0.105, 0.052)  # bottom, height
_INK, _PALE, _CUT = "#2b2b2b", "#c4c4c4", "#efefef"
_OPACITY = (0.15, 0.7)  # of a ribbon without and with full confidence
_DOUBT, _DOUBT_COLOUR = 0.5, "#d55e00"  # confidence below which the strip turns red
_MANY_JOINS = 60  # more are drawn thinner
_LABEL_ROOM = 0.016  # between labels of loops, in widths of the picture
_TICK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 3600)
_MOST_TICKS = 16
_LEAST_WIDTH = 0.0006  # of a ribbon's end, in widths of the picture: thinner ones would vanish
_ORDER = (Action.KEEP, Action.MOVE, Action.LOOP)


def save_picture(found: AlignmentSummary, raw: str | Path, edit: str | Path, path: str | Path) -> None:
    """Draw what was found of a pair of recordings as PNG, whole or not at all.

    Raises:
        AudioFileError: a recording cannot be read.
    """
    figure = picture(found, envelope(raw), envelope(edit), raw_name=Path(raw).name, edit_name=Path(edit).name)
    save_png(figure, path, dpi=_DPI)


def envelope(path: str | Path, n_bins: int = N_BINS) -> Float32[np.ndarray, " bins"]:
    """The loudest of every ``n_bins``-th of a recording, all channels, streamed; 0 beyond the end of short ones."""
    frames = audio_info(path).frames
    size = ceil(frames / n_bins)
    peaks = np.zeros(n_bins, np.float32)
    at = 0
    for block in read_blocks(path):
        loudest = np.abs(block.data).max(axis=1)
        starts = np.unique(np.concatenate([[0], np.arange(size - at % size, len(loudest), size)]))
        bins = np.minimum((at + starts) // size, n_bins - 1)  # a lossy file may hold more than it announces
        np.maximum.at(peaks, bins, np.maximum.reduceat(loudest, starts))
        at += len(loudest)
    return peaks[: ceil(frames / size)]


def picture(
    found: AlignmentSummary,
    raw: Float32[np.ndarray, " raw_bins"],
    edit: Float32[np.ndarray, " edit_bins"],
    *,
    raw_name: str,
    edit_name: str,
) -> Figure:
    """The picture, from what was found and two envelopes that cover the recordings."""
    figure = Figure(figsize=(_WIDTH_IN, _HEIGHT_IN))
    FigureCanvasAgg(figure)
    above = _row(figure, _RAW, found.source_s, "raw")
    between = figure.add_axes((_LEFT, _RIBBONS[0], _RIGHT - _LEFT, _RIBBONS[1]))
    below = _row(figure, _EDIT, found.duration_s, "edit")
    strip = _row(figure, _CONFIDENCE, found.duration_s, "confidence")
    _draw_raw(above, found, raw)
    _draw_ribbons(between, found)
    _draw_edit(below, found, edit)
    _draw_confidence(strip, found)
    title = f"{shortened(edit_name, 60)}  made of  {shortened(raw_name, 60)}"
    figure.text(_LEFT, 0.955, title, fontsize=14, weight="bold", color=_INK, parse_math=False)
    figure.text(_LEFT, 0.925, headline(found), fontsize=10.5, color="#555555", parse_math=False)
    handles = [
        *_legend(),
        Line2D([], [], color=_INK, lw=0.8, marker="v", ms=4, label="join"),
        Patch(color=_CUT, label="cut out"),
    ]
    figure.legend(
        handles=handles,
        loc="lower center",
        bbox_to_anchor=((_LEFT + _RIGHT) / 2, 0.0),
        ncols=len(handles),
        frameon=False,
        fontsize=9.5,
    )
    return figure


def _row(figure: Figure, place: tuple[float, float], duration_s: float, label: str) -> Axes:
    axes = figure.add_axes((_LEFT, place[0], _RIGHT - _LEFT, place[1]))
    axes.set_xlim(0.0, duration_s)
    axes.set_ylim(-1.0, 1.0)
    axes.set_yticks([])
    axes.set_ylabel(label, fontsize=10, color=_INK, rotation=0, ha="right", va="center", labelpad=8)
    axes.tick_params(axis="x", labelsize=8.5, color="#888888", labelcolor="#444444", length=3)
    step = next((s for s in _TICK_STEPS_S if duration_s / s <= _MOST_TICKS), _TICK_STEPS_S[-1])
    ticks = np.arange(0.0, duration_s, step)
    axes.set_xticks(ticks, [clock(t, digits=0) for t in ticks])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def _draw_raw(axes: Axes, found: AlignmentSummary, peaks: np.ndarray) -> None:
    axes.xaxis.tick_top()
    for cut in found.cuts:
        axes.axvspan(cut.source_start_s, cut.source_end_s, color=_CUT, lw=0)
    times, heights = _wave(peaks, found.source_s)
    axes.fill_between(times, -heights, heights, color=_PALE, lw=0)
    sources = ((p.source_start_s, p.source_end_s) for p in found.passages)
    known = ((low, high) for low, high in sources if low is not None and high is not None)
    for low, high in union(known, slack=SLIP_S):
        axes.fill_between(times, -heights, heights, where=_inside(times, low, high), color=_INK, lw=0)
    _label_loops(axes, found)


def _label_loops(axes: Axes, found: AlignmentSummary) -> None:
    """A bar under each looped region, and how often it plays, in two rows where labels are close."""
    room_s = _LABEL_ROOM * found.source_s
    taken = [-room_s, -room_s]  # where the last label of each row is
    for loop in sorted(found.loops):
        axes.plot([loop.source_start_s, loop.source_end_s], [-0.97, -0.97], color=COLOURS[Action.LOOP], lw=3.0,
                  solid_capstyle="butt")  # fmt: skip
        middle_s = (loop.source_start_s + loop.source_end_s) / 2.0
        row = next((row for row in (0, 1) if middle_s - taken[row] >= room_s), None)
        if row is not None:
            taken[row] = middle_s
            axes.annotate(f"×{loop.n_times}", (middle_s, -0.97), (0, 4 + 11 * row), textcoords="offset points",
                          ha="center", va="bottom", fontsize=7.5, weight="bold", color="#7a5200",
                          bbox={"boxstyle": "round,pad=0.12", "fc": "white", "ec": "none", "alpha": 0.8})  # fmt: skip


def _draw_ribbons(axes: Axes, found: AlignmentSummary) -> None:
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(0.0, 1.0)
    axes.axis("off")
    for action in _ORDER:
        passages = [p for p in found.passages if p.action is action]
        patches = [PathPatch(_ribbon(p, found)) for p in passages]
        colours = [(COLOURS[action], _opacity(p.confidence)) for p in passages]
        edges = [(COLOURS[action], min(1.0, 1.5 * _opacity(p.confidence))) for p in passages]
        axes.add_collection(PatchCollection(patches, facecolors=colours, edgecolors=edges, linewidths=0.5))


def _ribbon(passage: Passage, found: AlignmentSummary) -> Outline:
    """A band that leaves the raw and reaches the edit upright: cubic curves whose handles are half-way."""
    assert passage.source_start_s is not None
    assert passage.source_end_s is not None
    top = _widened(passage.source_start_s / found.source_s, passage.source_end_s / found.source_s)
    foot = _widened(passage.output_start_s / found.duration_s, passage.output_end_s / found.duration_s)
    points = [
        (top[0], 1.0), (top[0], 0.5), (foot[0], 0.5), (foot[0], 0.0),
        (foot[1], 0.0), (foot[1], 0.5), (top[1], 0.5), (top[1], 1.0), (top[0], 1.0),
    ]  # fmt: skip
    curve = [Outline.CURVE4] * 3
    return Outline(points, [Outline.MOVETO, *curve, Outline.LINETO, *curve, Outline.CLOSEPOLY])


def _widened(low: float, high: float) -> tuple[float, float]:
    more = max(0.0, _LEAST_WIDTH - (high - low)) / 2.0
    return low - more, high + more


def _draw_edit(axes: Axes, found: AlignmentSummary, peaks: np.ndarray) -> None:
    axes.tick_params(axis="x", labelbottom=False, length=0)
    times, heights = _wave(peaks, found.duration_s)
    for passage in found.passages:
        colour = COLOURS[passage.action]
        span = (passage.output_start_s, passage.output_end_s)
        axes.axvspan(*span, color=colour, alpha=0.16, lw=0)
        if passage.action is Action.FOREIGN:
            axes.add_patch(Rectangle((span[0], -1.0), span[1] - span[0], 2.0, fc="none", ec="#999999", hatch="////",
                                     lw=0))  # fmt: skip
    axes.fill_between(times, -heights, heights, color=_INK, lw=0)
    joins = [p.output_start_s for p in found.passages if p.crossfade_in_ms is not None and p.output_start_s > 0.0]
    width = 0.6 if len(joins) <= _MANY_JOINS else 0.35
    axes.vlines(joins, -1.0, 1.0, color="white", lw=2.5 * width)
    axes.vlines(joins, -1.0, 1.0, color=_INK, lw=width)
    axes.plot(joins, [1.0] * len(joins), ls="none", marker="v", ms=3.5, color=_INK, clip_on=False)


def _draw_confidence(axes: Axes, found: AlignmentSummary) -> None:
    axes.set_ylim(0.0, 1.0)
    axes.set_yticks([0.0, 1.0])
    axes.tick_params(axis="y", labelsize=7, length=2, color="#888888", labelcolor="#666666")
    axes.yaxis.tick_right()
    axes.axhspan(0.0, 1.0, color="#f6f6f6", lw=0)
    for passage in found.passages:
        if passage.action is Action.FOREIGN:
            continue
        doubtful = passage.confidence < _DOUBT
        if doubtful:
            axes.axvspan(passage.output_start_s, passage.output_end_s, color=_DOUBT_COLOUR, alpha=0.5, lw=0)
        colour = _DOUBT_COLOUR if doubtful else "#8c8c8c"
        axes.fill_between([passage.output_start_s, passage.output_end_s], passage.confidence, color=colour, lw=0)


def _legend() -> Iterator[Patch]:
    """The actions, as they are drawn."""
    for action in Action:
        if action is Action.FOREIGN:
            yield Patch(fc=(COLOURS[action], 0.16), ec="#999999", hatch="////", lw=0, label=NAMES[action])
        else:
            yield Patch(fc=(COLOURS[action], _OPACITY[1] + 0.2), label=NAMES[action])


def _opacity(confidence: float) -> float:
    low, high = _OPACITY
    return low + (high - low) * confidence


def _wave(peaks: np.ndarray, duration_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Middles of the bins in seconds, and heights relative to the loudest."""
    times = (np.arange(len(peaks)) + 0.5) * duration_s / max(len(peaks), 1)
    return times, 0.92 * peaks / max(float(peaks.max(initial=0.0)), 1e-9)


def _inside(times: np.ndarray, low: float, high: float) -> np.ndarray:
    inside: np.ndarray = (times >= low) & (times <= high)
    return inside
