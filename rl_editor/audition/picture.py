"""Joins as pictures: the waveform and the spectrogram around each.

Conventions: seconds before and after the join, which is 0; spectrograms in dB, down to ``_RANGE_DB`` below their
loudest point, over a logarithmic axis of frequency.
"""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal
from jaxtyping import Float32
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from rl_editor.audition import Audition, JudgedJoin
from rl_editor.audition.words import verdict
from rl_editor.command import counted
from rl_editor.publishing import save_png
from rl_editor.utils import Samples

_INK, _FAULT, _SOUND = "#33383f", "#c1121f", "#22577a"
_SMALL: dict[str, Any] = {"fontsize": 7.5, "color": "#666666"}
_DPI, _JOIN_DPI = 90, 130
_SIDE_S = 1.0
_MOST = 12  # joins on one picture
_EMPTY = 0.45  # of the height of a row, where there are none
_NOTHING_TO_DRAW = "The edit never leaves the recording\nfor another place in it: there is no join to draw."
_TITLE_CHARS = 46  # to a line, of each column
_RANGE_DB, _LOWEST_HZ = 80.0, 40.0
_QUIETEST = 1e-5  # of full scale: -100 dBFS


def save_picture(found: Audition, path: Path) -> None:
    """The joins on one picture, faulty ones first where there are more than fit; PNG, whole or not at all."""
    save_png(_sheet(found, found.shown(_MOST)), path, dpi=_DPI)


def save_join(found: Audition, join: JudgedJoin, path: Path) -> None:
    """One join as PNG, whole or not at all."""
    figure = Figure(figsize=(5.2, 3.0), layout="constrained")  # as wide as on the page, or its text gets too small
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.0, 1.6))
    _draw(above, below, found.rendered, join)
    save_png(figure, path, dpi=_JOIN_DPI)


def _sheet(found: Audition, joins: list[JudgedJoin]) -> Figure:
    columns = min(3, max(len(joins), 1))
    rows = -(-len(joins) // columns)
    figure = Figure(figsize=(5.2 * columns, 3.2 * max(rows, _EMPTY) + 0.5), layout="constrained")
    left_out = len(found.joins) - len(joins)
    more = f"; {counted(left_out, 'further join')} not drawn" if left_out else ""
    title = textwrap.fill(verdict(found) + more, _TITLE_CHARS * columns)  # a name may be of any length
    figure.suptitle(title, fontsize=12, color=_INK, parse_math=False)
    if not joins:
        figure.text(0.5, 0.06, _NOTHING_TO_DRAW, fontsize=9, color=_INK, ha="center", va="bottom")
        return figure
    axes = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[1.0, 1.6] * rows)
    for row in axes.flat:
        row.set_visible(False)
    for index, join in enumerate(joins):
        row, column = divmod(index, columns)
        _draw(axes[2 * row, column], axes[2 * row + 1, column], found.rendered, join)
    return figure


def _draw(above: Axes, below: Axes, rendered: Samples, join: JudgedJoin) -> None:
    for axes in (above, below):
        axes.set_visible(True)
        axes.tick_params(labelsize=_SMALL["fontsize"], colors=_SMALL["color"])
    rate, at = rendered.sample_rate, round(join.found.output_s * rendered.sample_rate)
    reach = round(_SIDE_S * rate)
    mono = rendered.data[max(at - reach, 0) : at + reach].mean(axis=1)
    mono = np.pad(mono, (max(reach - at, 0), max(at + reach - rendered.frames, 0)))
    colour = _FAULT if join.faults else _SOUND
    said = f": {', '.join(join.faults)}" if join.faults else ""
    above.set_title(f"join {join.number}{said}", fontsize=9, color=colour, loc="left")
    _draw_wave(above, mono)
    _draw_spectrogram(below, mono, rate)
    above.axvline(0.0, color=colour, lw=0.9)
    below.axvline(0.0, color="white", lw=0.9)  # another colour would drown in it
    for axes in (above, below):
        axes.set_xlim(-_SIDE_S, _SIDE_S)


def _draw_wave(axes: Axes, mono: Float32[np.ndarray, " samples"]) -> None:
    size = max(len(mono) // 1200, 1)
    blocks = mono[: len(mono) // size * size].reshape(-1, size)
    times = np.linspace(-_SIDE_S, _SIDE_S, len(blocks))
    axes.fill_between(times, blocks.min(axis=1), blocks.max(axis=1), color=_INK, lw=0)
    axes.set_yticks([])
    axes.set_ylabel(f"peak {20.0 * np.log10(max(np.abs(mono).max(initial=0.0), _QUIETEST)):.0f} dBFS", **_SMALL)
    axes.tick_params(axis="x", labelbottom=False)


def _draw_spectrogram(axes: Axes, mono: Float32[np.ndarray, " samples"], rate: int) -> None:
    size = 1 << round(np.log2(0.03 * rate))
    frequencies, times, power = scipy.signal.spectrogram(mono, rate, nperseg=size, noverlap=size * 7 // 8, mode="psd")
    level = 10.0 * np.log10(np.maximum(power[1:], 1e-14))
    axes.pcolormesh(
        times - _SIDE_S, frequencies[1:], level,
        cmap="magma", vmin=level.max() - _RANGE_DB, vmax=level.max(), shading="nearest", rasterized=True,
    )  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(max(_LOWEST_HZ, frequencies[1]), rate / 2.0)
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_ylabel("Hz", **_SMALL)
    axes.set_xlabel("seconds from the join", **_SMALL)
