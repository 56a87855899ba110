"""The result's tables as the page shows them: text cells, nothing left to compute."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rl_editor.actions import ActionType
from rl_editor.evaluation import METRICS, EvaluationResult, Verdict
from rl_editor.evaluation.comparison import FIXED
from rl_editor.evaluation.metrics import ALL_STYLES_METRICS, STYLE_METRICS
from rl_editor.evaluation.verdicts import ALL_STYLES, CONDITIONS, EDITOR
from rl_editor.report.words import CONDITION_TITLES, in_reading_order


class Cell(NamedTuple):
    """A mean and, below it, its interval."""

    mean: str
    interval: str
    best: bool  # of all methods but the editor's own


class Row(NamedTuple):
    """One method."""

    method: str
    cells: list[Cell]


class Table(NamedTuple):
    """One style and condition."""

    style: str
    title: str
    n_songs: int
    n_of: Mapping[str, int]  # metric -> songs that it is defined for, of some method
    metrics: Sequence[str]
    rows: list[Row]


class Claim(NamedTuple):
    """One comparison over all styles, under each condition."""

    first: str
    second: str
    title: str
    verdicts: list[Verdict]


class HistogramRow(NamedTuple):
    """Shares of decisions of one method, in percent."""

    method: str
    condition: str
    shares: list[str]


def comparison_tables(result: EvaluationResult) -> list[Table]:
    """All styles under both conditions, then every style."""
    found = [_table(result, ALL_STYLES, condition, ALL_STYLES_METRICS) for condition in CONDITIONS]
    for style in result.styles[1:]:
        found += [_table(result, style, condition, STYLE_METRICS) for condition in CONDITIONS]
    return found


def histogram_rows(result: EvaluationResult) -> list[HistogramRow]:
    """Over all styles."""
    table = result.histogram[result.histogram["style"] == ALL_STYLES]
    share = table.set_index(["method", "condition", "action"])["share"].to_dict()
    return [
        HistogramRow(
            method, condition, [f"{100.0 * share[method, condition, kind.value]:.1f} %" for kind in ActionType]
        )
        for method in in_reading_order(result.methods)
        for condition in CONDITIONS
        if condition == CONDITIONS[0] or method not in FIXED
    ]


def claims(result: EvaluationResult) -> list[Claim]:
    """The comparisons over all styles, PPO against BC first; conditions side by side."""
    found: dict[tuple[str, str, str], list[Verdict]] = {}
    for verdict in result.verdicts:
        if verdict.style == ALL_STYLES:
            found.setdefault((verdict.first, verdict.second, verdict.metric), []).append(verdict)
    return [Claim(first, second, METRICS[metric].title, both) for (first, second, metric), both in found.items()]


def ppo_against_bc(result: EvaluationResult) -> list[Verdict]:
    """What must be said first: does PPO beat BC on the reward that it was trained on?"""
    return [v for v in result.verdicts if v[:3] == ("ppo", "bc", "reward_total") and v.style == ALL_STYLES]


def _table(result: EvaluationResult, style: str, condition: str, metrics: Sequence[str]) -> Table:
    summary = result.summary
    part = summary[(summary["style"] == style) & (summary["condition"] == condition)]
    shown = [metric for metric in metrics if (part[part["metric"] == metric]["n_songs"] > 0).any()]
    best = {metric: _best(part[part["metric"] == metric], metric) for metric in shown}
    values = {(row["method"], row["metric"]): row for row in part.to_dict("records")}
    rows = [
        Row(method, [_cell(values[method, metric], best[metric]) for metric in shown])
        for method in in_reading_order(result.methods)
    ]
    n_of = {metric: int(part[part["metric"] == metric]["n_songs"].max()) for metric in shown}
    return Table(style, CONDITION_TITLES[condition], int(part["n_songs"].max()), n_of, shown, rows)


def _best(part: pd.DataFrame, metric: str) -> float:
    """NaN, which nothing equals, where nobody is better than another."""
    means = part[(part["method"] != EDITOR) & (part["n_songs"] > 0)]["mean"]
    if means.nunique() < 2:
        return np.nan
    return float(means.max() if METRICS[metric].higher_is_better else means.min())


def _cell(row: Mapping[Hashable, Any], best: float) -> Cell:
    mean, low, high = (float(row[name]) for name in ("mean", "low", "high"))
    if not np.isfinite(mean):
        return Cell("–", "", best=False)
    return Cell(f"{mean:.3f}", f"{low:.3f} – {high:.3f}", best=mean == best and row["method"] != EDITOR)
