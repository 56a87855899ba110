"""Figures, drawn without a display and without global state; the same numbers give the same bytes."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rl_editor.actions import ActionType
from rl_editor.evaluation import METRICS, EvaluationResult
from rl_editor.evaluation.metrics import KEY_METRICS
from rl_editor.evaluation.verdicts import ALL_STYLES, CONDITIONS
from rl_editor.report.words import ACTION_COLOURS, in_reading_order, method_title

DPI = 130
_STYLES = {"target": {"marker": "o", "color": "#4477aa"}, "free": {"marker": "s", "color": "#ee8866"}}
_LABELS = {"target": "editor's length given", "free": "no length given"}
_OFFSET = {"target": -0.13, "free": 0.13}


def comparison_figure(result: EvaluationResult) -> Figure:
    """Means with intervals over songs, all styles, one panel per number."""
    methods = in_reading_order(result.methods)
    figure = Figure(figsize=(12.0, 0.38 * len(methods) + 1.4))
    for panel, metric in enumerate(KEY_METRICS):
        axes = figure.add_subplot(1, len(KEY_METRICS), panel + 1)
        _dots(axes, result, metric, methods)
        axes.set_title(METRICS[metric].title.replace(", relative", ",\nrelative"), fontsize=9)
        axes.set_yticks(range(len(methods)), [method_title(m) if panel == 0 else "" for m in methods], fontsize=9)
        axes.set_ylim(len(methods) - 0.5, -0.5)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=2, frameon=False, fontsize=9)
    figure.tight_layout(rect=(0.0, 0.07, 1.0, 1.0))
    return figure


def histogram_figure(result: EvaluationResult) -> Figure:
    """Shares of decisions per method, all styles, at the editor's length."""
    methods = in_reading_order(result.methods)
    figure = Figure(figsize=(9.0, 0.36 * len(methods) + 1.2))
    axes = figure.add_subplot()
    h = result.histogram
    chosen = h[(h["style"] == ALL_STYLES) & (h["condition"] == CONDITIONS[0])]
    share = chosen.set_index(["method", "action"])["share"].to_dict()
    left = [0.0] * len(methods)
    for kind in ActionType:
        widths = [100.0 * float(share[method, kind.value]) for method in methods]
        axes.barh(
            range(len(methods)), widths, left=left, color=ACTION_COLOURS[kind.value], label=kind.value, height=0.7
        )
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(methods)), [method_title(method) for method in methods], fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of decisions, %", fontsize=9)
    axes.legend(ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize=9)
    _bare(axes)
    figure.tight_layout()
    return figure


def _dots(axes: Axes, result: EvaluationResult, metric: str, methods: list[str]) -> None:
    s = result.summary
    part = s[(s["style"] == ALL_STYLES) & (s["metric"] == metric) & (s["n_songs"] > 0)]
    for condition in CONDITIONS:
        rows = part[part["condition"] == condition].to_dict("records")
        at = [methods.index(row["method"]) + _OFFSET[condition] for row in rows]
        means = [row["mean"] for row in rows]
        errors = [[max(r["mean"] - r["low"], 0.0) for r in rows], [max(r["high"] - r["mean"], 0.0) for r in rows]]
        style = _STYLES[condition]
        axes.errorbar(
            means, at, xerr=errors, fmt=style["marker"], color=style["color"], markersize=4.5, elinewidth=1.3,
            label=_LABELS[condition],
        )  # fmt: skip
    axes.grid(axis="y", color="#eeeeee")
    axes.tick_params(axis="x", labelsize=8)
    _bare(axes)


def _bare(axes: Axes) -> None:
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
