"""What many runs add up to: per editor and method the mean over held-out songs, with a bootstrap interval over songs.

A song that several seeds hold out counts once, with its mean over them.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from benchmarks.learn.runs import AGAIN, OTHER_EARS, PPO, share_of_the_way
from rl_editor.evaluation.bootstrap import Interval, bootstrap_mean, song_means
from rl_editor.evaluation.comparison import BASELINES
from rl_editor.evaluation.verdicts import EDITOR

METHODS = (*BASELINES, "bc", PPO, OTHER_EARS, AGAIN)
AGREEMENT = ("balanced_accuracy", "action_balanced_accuracy", "run_f1", "loop_f1", "reorder_f1")
N_SAMPLES, LEVEL = 1000, 0.95


def interval(rows: pd.DataFrame, metric: str) -> Interval:
    """The mean over songs."""
    values = np.array(list(song_means(list(rows[metric]), list(rows["song"])).values()), dtype=np.float64)
    return bootstrap_mean(values, n_samples=N_SAMPLES, level=LEVEL, rng=np.random.default_rng(0))


def agreement_table(rows: pd.DataFrame, *, condition: str) -> Iterator[str]:
    """Markdown: per editor and measure, every method, and how far of the way to the ceiling BC and PPO come."""
    methods = [m for m in METHODS if m in set(rows["method"])]
    learned = [m for m in methods if m in ("bc", "ppo")]
    yield "| editor | measure | " + " | ".join(methods) + " | " + " | ".join(f"share, {m}" for m in learned) + " |"
    yield "| --- " * (2 + len(methods) + len(learned)) + "|"
    part = rows[rows["condition"] == condition]
    for editor, group in part.groupby("editor", sort=False):
        for metric in AGREEMENT:
            found = {m: interval(group[group["method"] == m], metric) for m in methods}
            if not found[AGAIN].n_songs or not found[AGAIN].mean > 0.0:
                continue
            best = max(found[m].mean for m in BASELINES)
            shares = [share_of_the_way(found[m].mean, best, found[AGAIN].mean) for m in learned]
            cells = [_cell(found[m]) for m in methods] + [f"{share:.2f}" for share in shares]
            yield f"| {editor} | {metric} | " + " | ".join(cells) + " |"


def reward_table(rows: pd.DataFrame) -> Iterator[str]:
    """Markdown: PPO against BC, song by song."""
    heads = ("way", "editor", "condition", "reward", "KEEP/CUT agreement")
    heads += ("length error, BC", "PPO", "gap, BC", "PPO", "the editor")
    yield "| " + " | ".join(heads) + " |"
    yield "| --- " * len(heads) + "|"
    for names, group in rows.groupby(["way", "editor", "condition"], sort=False):
        by = {m: group[group["method"] == m].set_index(["track", "seed"]) for m in ("bc", PPO)}
        cells = []
        for metric in ("reward_total", "balanced_accuracy"):
            difference = by[PPO][metric] - by["bc"][metric]
            cells.append(_cell(interval(by["bc"].assign(**{metric: difference}), metric), signed=True))
        cells += [_cell(interval(by[m], "duration_error")) for m in ("bc", PPO)]
        cells += [_cell(interval(group[group["method"] == m], "optimality_gap")) for m in ("bc", PPO, EDITOR)]
        yield "| " + " | ".join((*names, *cells)) + " |"


def choice_table(rows: pd.DataFrame) -> Iterator[str]:
    """Markdown: per way in which PPO's policy chooses among its edits, the mean over editors of what it changes.

    The last column is the editor with whom most agreement is lost.
    """
    metrics = ("reward_total", "balanced_accuracy", "run_f1", "loop_f1", "reorder_f1")
    yield "| choice | condition | " + " | ".join(metrics) + " | worst KEEP/CUT |"
    yield "| --- " * (3 + len(metrics)) + "|"
    own = _using(rows, metrics)
    for method in sorted({name for name in rows["method"] if name.startswith(PPO)}):
        for condition in dict.fromkeys(own["condition"]):
            part = own[own["condition"] == condition].set_index(["editor", "track", "seed"])
            difference = part[part["method"] == method][list(metrics)] - part[part["method"] == "bc"][list(metrics)]
            by_editor = difference.groupby("editor").mean()
            cells = [f"{mean:+.3f}" for mean in by_editor.mean()] + [f"{by_editor['balanced_accuracy'].min():+.3f}"]
            yield f"| {method} | {condition} | " + " | ".join(cells) + " |"


def ablation_table(rows: pd.DataFrame, *, condition: str) -> Iterator[str]:
    """Markdown: per way to learn, the telling measure of every editor, and their mean."""
    part = rows[rows["condition"] == condition]
    editors = list(dict.fromkeys(part["editor"]))
    yield "| way | mean | " + " | ".join(f"{e}, {_telling(part, e)}" for e in editors) + " |"
    yield "| --- " * (2 + len(editors)) + "|"
    for way, group in part.groupby("way", sort=False):
        means = []
        for editor in editors:
            bc = group[(group["editor"] == editor) & (group["method"] == "bc")]
            means.append(interval(bc, _telling(part, editor)).mean)
        yield f"| {way} | {np.nanmean(means):.3f} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |"


def curve_table(rows: pd.DataFrame, *, condition: str) -> Iterator[str]:
    """Markdown: what is learned of every editor from so many pairs, between the best baseline and the ceiling.

    In brackets is the share of the way from the one to the other.
    """
    part = rows[rows["condition"] == condition]
    telling = {editor: _telling(part, editor) for editor in dict.fromkeys(part["editor"])}
    yield "| pairs | method | " + " | ".join(f"{editor}, {metric}" for editor, metric in telling.items()) + " |"
    yield "| --- " * (2 + len(telling)) + "|"
    ends = {editor: _ends(part[part["editor"] == editor], metric) for editor, metric in telling.items()}
    yield "| | best baseline | " + " | ".join(f"{low:.3f}" for low, _ in ends.values()) + " |"
    for n_train, group in part.groupby("n_train"):
        for method in (m for m in ("bc", PPO) if m in set(group["method"])):
            cells = []
            for editor, metric in telling.items():
                own = group[(group["editor"] == editor) & (group["method"] == method)]
                mean = interval(own, metric).mean
                cells.append(f"{mean:.3f} ({share_of_the_way(mean, *ends[editor]):.2f})")
            yield f"| {n_train} | {method} | " + " | ".join(cells) + " |"
    yield "| | ceiling | " + " | ".join(f"{high:.3f}" for _, high in ends.values()) + " |"


def _ends(rows: pd.DataFrame, metric: str) -> tuple[float, float]:
    """The best baseline's mean over songs, and the ceiling."""
    means = {m: interval(rows[rows["method"] == m], metric).mean for m in (*BASELINES, AGAIN)}
    return np.nanmax([means[m] for m in BASELINES]), means[AGAIN]


def _using(rows: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """The rows, without numbers of what an editor never does."""
    used = rows.copy()
    for editor, own in rows[rows["method"] == AGAIN].groupby("editor"):
        for metric in metrics:
            if not own[metric].mean() > 0.0:
                used.loc[used["editor"] == editor, metric] = np.nan
    return used


def _telling(rows: pd.DataFrame, editor: str) -> str:
    """The measure that shows whether this editor was learned: of what it does most beside keeping."""
    own = rows[(rows["editor"] == editor) & (rows["method"] == AGAIN)]
    order: Sequence[str] = ("balanced_accuracy", "loop_f1", "reorder_f1")
    return next((metric for metric in order if own[metric].notna().mean() > 0.5), order[0])


def _cell(found: Interval, *, signed: bool = False) -> str:
    """A mean with its interval; of differences, which are small, to the third decimal with signs."""
    if not found.n_songs:
        return "–"
    if signed:
        return f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
    return f"{found.mean:.3f} ({found.low:.2f}–{found.high:.2f})"
