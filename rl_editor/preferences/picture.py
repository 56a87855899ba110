"""The report on preferences as a picture: listeners, habits, ways of editing, and what held-out answers say."""

from collections.abc import Sized

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rl_editor.preferences.listener_habits import HABITS
from rl_editor.preferences.listeners import ListenerReport
from rl_editor.preferences.measures import SURE
from rl_editor.preferences.report import PreferencesReport
from rl_editor.preferences.words import FEATURES_SAID, percent
from rl_editor.reward_model.bradley_terry import sigmoid

_INK, _SOFT, _SOUND, _FAULT, _THIRD, _FOURTH = "#33383f", "#9aa0a6", "#22577a", "#c1121f", "#b7791f", "#2d8659"
_COLOURS = {"order": _SOUND, "length": _FAULT, "loudness": _THIRD, "played_first": _FOURTH}
_MOST_LOG_ODDS = 5.0  # of error that is drawn to scale
_MOST_LISTENERS, _MOST_WAYS = 20, 16


def draw(found: PreferencesReport) -> Figure:
    """Four panels; those of which nothing is known say so."""
    listeners, ways = found.listeners[:_MOST_LISTENERS], found.ways[:_MOST_WAYS]
    left_out = _left_out(listeners, found.listeners)
    rows = max(len(listeners), len(ways), 4)
    figure = Figure(figsize=(12.0, 2.4 + 0.62 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2)
    _listeners(axes[0, 0], listeners, left_out)
    _habits(axes[0, 1], listeners, left_out)
    _ways(axes[1, 0], found)
    _reward(axes[1, 1], found)
    return figure


def _left_out(drawn: Sized, known: Sized) -> str:
    return f" (first {len(drawn)} of {len(known)})" if len(drawn) < len(known) else ""


def _listeners(axes: Axes, listeners: tuple[ListenerReport, ...], left_out: str) -> None:
    """Repeats and anchors."""
    axes.set_title(f"Repeats answered alike, anchors told{left_out}", loc="left", fontsize=10.5, color=_INK)
    for row, each in enumerate(listeners):
        for share, offset, colour in ((each.repeats, -0.13, _SOUND), (each.anchors, 0.13, _THIRD)):
            if share.n:
                low, high = share.interval
                axes.plot([low, high], [row + offset] * 2, color=colour, lw=2, solid_capstyle="round")
                axes.plot(share.value, row + offset, "o", color=colour, ms=6)
    axes.axvline(0.5, color=_SOFT, lw=0.8, ls="--")
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("share", fontsize=9)
    axes.plot([], [], "o-", color=_SOUND, label="repeats")
    axes.plot([], [], "o-", color=_THIRD, label="anchors")
    _named_rows(axes, [each.name for each in listeners])
    _legend(axes)


def _habits(axes: Axes, listeners: tuple[ListenerReport, ...], left_out: str) -> None:
    """Order, length, loudness, what sounded first; an arrow is a habit without exception."""
    axes.set_title(f"Habits: chosen of two else alike (filled: sure){left_out}", loc="left", fontsize=10.5, color=_INK)
    offsets = dict(zip(HABITS, (-0.27, -0.09, 0.09, 0.27), strict=True))
    for row, each in enumerate(listeners):
        for name, effect in each.habits.items():
            at, colour = row + offsets[name], _COLOURS[name]
            if not np.isfinite(effect.error) or effect.error > _MOST_LOG_ODDS:
                if effect.sure:  # every answer went one way: there is no telling how far out it lies
                    axes.plot(*((1.0, at, ">") if effect.weight > 0 else (0.0, at, "<")), color=colour, ms=7)
                continue
            low, middle, high = sigmoid(effect.weight + SURE * effect.error * np.array([-1.0, 0.0, 1.0]))
            axes.plot([low, high], [at, at], color=colour, lw=1.6)
            axes.plot(middle, at, "o", color=colour, ms=6, mfc=colour if effect.sure else "white")
    axes.axvline(0.5, color=_SOFT, lw=0.8, ls="--")
    axes.set_xlim(-0.02, 1.02)
    for name in HABITS:
        axes.plot([], [], "o-", color=_COLOURS[name], label=name.replace("_", " "))
    axes.set_xlabel("share: second, shorter, softer  |  first, longer, louder", fontsize=9)
    _named_rows(axes, [each.name for each in listeners])
    _legend(axes)


def _ways(axes: Axes, found: PreferencesReport) -> None:
    """Bradley-Terry strengths."""
    ways = found.ways[:_MOST_WAYS]
    axes.set_title(f"Preferred to the average way{_left_out(ways, found.ways)}", loc="left", fontsize=10.5, color=_INK)
    for row, way in enumerate(ways):
        middle, low, high = way.wins
        axes.plot([low, high], [row, row], color=_SOUND, lw=2, solid_capstyle="round")
        axes.plot(middle, row, "o", color=_SOUND, ms=6)
    if not ways:
        _nothing(axes, "nothing compared yet")
        return
    axes.axvline(0.5, color=_SOFT, lw=0.8, ls="--")
    axes.set_xlim(0, 1)
    axes.set_xlabel("share", fontsize=9)
    _named_rows(axes, [f"{way.name} ({way.n})" for way in ways])


def _reward(axes: Axes, found: PreferencesReport) -> None:
    """What the reward likes; else why there is none."""
    model, trial = found.learned.model, found.learned.trial
    if model is None or trial is None:
        axes.set_title("Learned reward", loc="left", fontsize=10.5, color=_INK)
        _nothing(axes, f"{found.learned.status}")
        return
    said = f"{percent(trial.accuracy)} ({100 * trial.low:.0f} to {percent(trial.high)}) predicted"
    axes.set_title(f"Learned reward: {said}", loc="left", fontsize=10.5, color=_INK)
    weights = sorted(model.weights.items(), key=lambda item: -item[1][0])
    for row, (_, (weight, spread)) in enumerate(weights):
        reach = SURE * spread
        colour = _SOUND if abs(weight) > reach else _SOFT
        axes.plot([weight - reach, weight + reach], [row, row], color=colour, lw=2, solid_capstyle="round")
        axes.plot(weight, row, "o", color=colour, ms=6)
    axes.axvline(0.0, color=_SOFT, lw=0.8, ls="--")
    axes.set_xlabel("weight per standard deviation", fontsize=9)
    _named_rows(axes, [FEATURES_SAID[name] for name, _ in weights])


def _named_rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=9, parse_math=False)
    axes.set_ylim(max(len(names), 1) - 0.4, -0.6)
    axes.tick_params(axis="x", labelsize=8, colors="#666666")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _legend(axes: Axes) -> None:
    axes.legend(
        frameon=False,
        fontsize=8.5,
        ncols=4,
        loc="lower left",
        bbox_to_anchor=(-0.12, 1.06),
        columnspacing=1.0,
        handlelength=1.4,
    )


def _nothing(axes: Axes, said: str) -> None:
    axes.text(0.5, 0.5, said, transform=axes.transAxes, ha="center", color=_SOFT, fontsize=11)
    axes.set_axis_off()
