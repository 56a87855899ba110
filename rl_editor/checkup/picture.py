"""A grid as a picture: the tempo along the track, and close looks at what is heard and where beats were put."""

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rl_editor.beats.spectrum import FRAME_RATE_HZ
from rl_editor.checkup import Checkup
from rl_editor.publishing import save_png

_INK, _BEAT, _DOWNBEAT = "#33383f", "#2a78b5", "#c8452e"
_CLOSE_S = 8.0  # of each close look
_DPI = 110
_TITLE_CHARS = 110  # to a line


def save_picture(found: Checkup, path: Path) -> None:
    """Draw a grid as PNG, whole or not at all."""
    save_png(picture(found), path, dpi=_DPI)


def picture(found: Checkup) -> Figure:
    """The picture, of the grid and the log-mel spectrum that the network heard."""
    spectrum = found.mel.astype(np.float32)
    looks_s = close_looks_s(found.grid.duration_s)
    figure = Figure(figsize=(13.0, 2.3 + 3.6 * len(looks_s)), layout="constrained")
    rows = figure.subplots(1 + 2 * len(looks_s), 1, height_ratios=[1.5, *(2.2, 0.9) * len(looks_s)])
    said = (
        f"{found.track_id}: {found.grid.tempo_bpm:.1f} bpm, {found.grid.beats_per_bar} in a bar, "
        f"expected F-measure {found.grid.confidence:.2f}"
    )
    figure.suptitle(textwrap.fill(said, _TITLE_CHARS), fontsize=13, color=_INK, parse_math=False)
    _draw_tempo(rows[0], found)
    for look, start_s in enumerate(looks_s):
        _draw_close(rows[1 + 2 * look], rows[2 + 2 * look], found, spectrum, start_s)
    return figure


def close_looks_s(duration_s: float) -> list[float]:
    """Where close looks begin: two places within the track; its start and end where these would overlap."""
    last_s = max(duration_s - _CLOSE_S, 0.0)
    within = [share * duration_s for share in (0.25, 0.65)]
    if within[1] - within[0] >= _CLOSE_S and within[1] <= last_s:
        return within
    return [0.0, last_s] if last_s else [0.0]


def _draw_tempo(axes: Axes, found: Checkup) -> None:
    beats = found.beats_s
    if len(beats) > 1:
        axes.plot(beats[:-1], 60.0 / np.diff(beats), color=_BEAT, lw=1.0)
    axes.set_ylim(found.grid.tempo_bpm * 0.8, found.grid.tempo_bpm * 1.25)
    axes.set_xlim(0.0, found.grid.duration_s)
    axes.set_xlabel("seconds", fontsize=9, color=_INK)
    axes.set_ylabel("bpm", color=_INK)
    axes.set_title("tempo from beat to beat", fontsize=10, color=_INK, loc="left")


def _draw_close(above: Axes, below: Axes, found: Checkup, spectrum: np.ndarray, start_s: float) -> None:
    end_s = min(start_s + _CLOSE_S, found.grid.duration_s)
    first, last = (round(t * FRAME_RATE_HZ) for t in (start_s, end_s))
    above.imshow(
        spectrum[first:last].T, origin="lower", aspect="auto", cmap="Greys",
        extent=(start_s, end_s, 0.0, spectrum.shape[1]), interpolation="nearest",
    )  # fmt: skip
    above.set_yticks([])
    above.set_ylabel("mel bands", color=_INK)
    above.tick_params(axis="x", labelbottom=False)
    above.set_title(
        f"what is heard from {start_s:.0f} s on; lines: beats (blue) and downbeats (red)",
        fontsize=10, color=_INK, loc="left",
    )  # fmt: skip
    times = np.arange(first, last) / FRAME_RATE_HZ
    below.fill_between(times, found.heard.beat[first:last], color=_BEAT, alpha=0.35, lw=0, label="beat")
    below.fill_between(times, found.heard.downbeat[first:last], color=_DOWNBEAT, alpha=0.5, lw=0, label="downbeat")
    below.set_ylim(0.0, 1.0)
    below.set_xlabel("seconds", fontsize=9, color=_INK)
    below.set_ylabel("probability", color=_INK)
    below.legend(loc="upper right", fontsize=8, frameon=False, ncols=2)
    for axes in (above, below):
        axes.set_xlim(start_s, end_s)
        for lines, colour in ((found.beats_s, _BEAT), (found.downbeats_s, _DOWNBEAT)):
            for time in lines[(lines >= start_s) & (lines < end_s)]:
                axes.axvline(time, color=colour, lw=1.1)
