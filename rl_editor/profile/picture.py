"""Profiles as one picture, a colour per style.

Conventions: bars of a panel stand side by side, one per style, in the legend's order; what is not defined has none, and
where nothing is, a word says so. The same profiles give the same bytes. Hues after Okabe and Ito (2008), which the
colour-blind tell apart.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rl_editor.command import counted
from rl_editor.profile import Numbers, StyleProfile
from rl_editor.publishing import save_png

_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#4d4d4d")
_LENGTHS = (1, 3, 5, 9, 17, 10_000)  # bars at which a bin begins
_OFFSETS_MS = (0, 5, 15, 30, 100, 300, 100_000)
_INK, _GRID = "#2b2b2b", "#dddddd"
_SIZE_IN, _DPI = (14.0, 7.6), 130


def save_picture(profiles: Sequence[StyleProfile], path: str | Path) -> None:
    """Draw profiles as PNG, whole or not at all."""
    save_png(picture(profiles), path, dpi=_DPI)


def picture(profiles: Sequence[StyleProfile]) -> Figure:
    """Eight panels: what is done, what plays by strength, place and repetition, lengths, loops and joins."""
    figure = Figure(figsize=_SIZE_IN)
    panels = figure.subplots(2, 4).ravel()
    kinds = list(profiles[0].actions)
    _groups(panels[0], "What is done with a bar", kinds, [list(p.actions.values()) for p in profiles])
    quarters = ["weakest", "", "", "strongest"]
    _groups(panels[1], "What plays, by strength of the section", quarters, [p.plays_by_strength for p in profiles])
    fifths = ["start", "", "middle", "", "end"]
    _groups(panels[2], "What plays, by place in the song", fifths, [p.plays_by_place for p in profiles])
    once = [[p.plays_first, p.plays_again] for p in profiles]
    _groups(panels[3], "What plays, by repetition", ["heard first", "heard before"], once)
    names = _bins(_LENGTHS)
    _groups(
        panels[4],
        "Stretches kept, bars",
        names,
        [_histogram(p.kept_bars, _LENGTHS) for p in profiles],
        without="no bars kept",
    )
    _groups(
        panels[5], "Stretches cut, bars", names, [_histogram(p.cut_bars, _LENGTHS) for p in profiles], without="no cuts"
    )
    looped = [_histogram(p.loop_bars, _LENGTHS) for p in profiles]
    _groups(panels[6], "Looped blocks, bars", names, looped, without="no loops")
    offsets = [_histogram(p.join_off_ms, _OFFSETS_MS) for p in profiles]
    _groups(panels[7], "Joins, ms from a downbeat", _bins(_OFFSETS_MS), offsets, without="no joins")
    handles = [panels[0].bar(0, 0, color=_COLOURS[k % len(_COLOURS)]) for k in range(len(profiles))]
    labels = [f"{p.style} ({counted(p.n_songs, 'edit')})" for p in profiles]
    figure.legend(handles, labels, loc="lower center", ncols=4, frameon=False)
    figure.subplots_adjust(left=0.045, right=0.985, top=0.94, bottom=0.12, wspace=0.24, hspace=0.34)
    return figure


def _groups(
    axes: Axes, title: str, names: Sequence[str], values: Sequence[Sequence[float]], *, without: str = "no data"
) -> None:
    """Groups of bars, one bar per style; ``without``: what is said where there are none."""
    if np.isnan(values).all():
        axes.text(0.5, 0.5, without, transform=axes.transAxes, ha="center", va="center", fontsize=11, color=_INK)
    width = 0.8 / len(values)
    for k, heights in enumerate(values):
        at = np.arange(len(names)) + (k - (len(values) - 1) / 2.0) * width
        axes.bar(at, 100.0 * np.array(heights), width, color=_COLOURS[k % len(_COLOURS)])
    axes.set_title(title, fontsize=10, color=_INK)
    axes.set_xticks(range(len(names)), names, fontsize=8, color=_INK)
    axes.set_ylim(0, 100)
    axes.yaxis.set_major_formatter("{x:.0f} %")
    axes.tick_params(axis="y", labelsize=8, colors=_INK)
    axes.grid(axis="y", color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _histogram(values: Numbers, edges: Sequence[int]) -> list[float]:
    """Share of values per bin, ``edges[k] <= value < edges[k + 1]``; NaN where there are none."""
    counts, _ = np.histogram(values, bins=edges)
    return list(counts / len(values)) if values else [np.nan] * (len(edges) - 1)


def _bins(edges: Sequence[int]) -> list[str]:
    """Names of bins of whole numbers."""
    named = [f"{low}–{high - 1}" if high - low > 1 else f"{low}" for low, high in pairwise(edges)]
    return [*named[:-1], f"{edges[-2]}+"]
