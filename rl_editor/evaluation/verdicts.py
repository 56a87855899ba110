"""What tables of many tracks come to: means over songs, decisions by kind, and what may be said of two methods.

Conventions: ``rows`` have one row per track, method and condition, and a column per metric; a number that is not
defined is NaN. Styles: each editor's, and ``all``. Values are rounded to ``DIGITS``.

A verdict compares two methods song by song: the mean difference with a bootstrap interval over songs (paired). *yes*:
the interval lies above 0; *no*: below; *not shown*: it holds 0, or there are fewer than ``FEWEST_SONGS`` songs.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from rl_editor.actions import ActionType
from rl_editor.command import counted
from rl_editor.config import Config
from rl_editor.evaluation.bootstrap import Interval, bootstrap_mean, song_means
from rl_editor.evaluation.metrics import METRICS

DIGITS = 6
FEWEST_SONGS = 5  # of three songs all differ one way in a quarter of cases by chance, of five in one of 16
COLLAPSE_SHARE = 0.9  # of one kind of decision, where the editor's own largest share is below it
CONDITIONS = ("target", "free")
EDITOR = "editor"
ALL_STYLES = "all"
_CONDITION_WORDS = {"target": "the length asked for", "free": "no length asked for"}


class Verdict(NamedTuple):
    """What may be said of two methods."""

    first: str
    second: str
    metric: str
    condition: str
    style: str
    answer: str  # yes, no, not shown
    difference: float  # first - second
    low: float
    high: float
    n_songs: int

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        claim = f"{_shown(self.first)} beats {_shown(self.second)} on {METRICS[self.metric].title}"
        where = f"{'all styles' if self.style == ALL_STYLES else self.style}, {_CONDITION_WORDS[self.condition]}"
        if not self.n_songs:
            return f"{claim} ({where}): {self.answer}; it is defined on no held-out song."
        numbers = f"{self.difference:+.3f} ({self.low:+.3f} to {self.high:+.3f}, {counted(self.n_songs, 'song')})"
        why = f" by fewer than {FEWEST_SONGS} songs" if self.n_songs < FEWEST_SONGS else ""
        return f"{claim} ({where}): {self.answer}{why}; difference {numbers}."


def means_over_songs(table: pd.DataFrame, config: Config, seed: int) -> pd.DataFrame:
    """Every metric of every style, method and condition: mean, interval and number of songs."""
    rows = [
        {"style": style, "method": method, "condition": condition, "metric": metric}
        | _interval(song_means(list(group[metric]), list(group["song"])), config, seed)._asdict()
        for style, part in _by_style(table)
        for (method, condition), group in part.groupby(["method", "condition"], sort=False)
        for metric in METRICS
    ]
    return pd.DataFrame(rows).round(DIGITS)


def in_tables(style: str) -> str:
    """An editor's name beside ``all``, as somebody may be called."""
    return f"{style}_" if style == ALL_STYLES else style


def _by_style(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    yield ALL_STYLES, table
    for style in sorted(table["style"].unique()):
        yield in_tables(style), table[table["style"] == style]


def _interval(per_song: Mapping[str, float], config: Config, seed: int) -> Interval:
    settings = config.evaluation
    return bootstrap_mean(
        np.array(list(per_song.values()), dtype=np.float64),
        n_samples=settings.bootstrap_samples,
        level=settings.confidence_level,
        rng=np.random.default_rng(seed),
    )


def decision_shares(counts: pd.DataFrame) -> pd.DataFrame:
    """How often each kind of decision is taken, as a share of a method's decisions."""
    parts = []
    for style, part in _by_style(counts):
        total = part.groupby(["method", "condition", "action"], sort=False)["count"].sum().reset_index()
        total.insert(0, "style", style)
        total["share"] = total["count"] / total.groupby(["method", "condition"])["count"].transform("sum")
        parts.append(total)
    return pd.concat(parts, ignore_index=True).round(DIGITS)


def collapsed_policies(histogram: pd.DataFrame, policies: Sequence[str]) -> tuple[str, ...]:
    """Policies of which one kind of decision takes over in some style and condition, the editor's not."""
    decisions = histogram[histogram["action"] != ActionType.EXTEND.value]
    largest = decisions.groupby(["style", "method", "condition"])["share"].max().reset_index().to_dict("records")
    share = {(row["style"], row["method"], row["condition"]): row["share"] for row in largest}
    return tuple(
        f"{method} ({style}, {_CONDITION_WORDS[condition]})"
        for (style, method, condition), most in share.items()
        if method in policies and most > COLLAPSE_SHARE >= share[style, EDITOR, condition]
    )


def verdicts_on(table: pd.DataFrame, policies: Sequence[str], config: Config, seed: int) -> Iterator[Verdict]:
    """All that is asked of policies, in every style and condition."""
    for style, part in _by_style(table):
        for first, second, metric in _questions(policies):
            for condition in CONDITIONS:
                yield _verdict(part[part["condition"] == condition], (first, second), metric, style, config, seed)


def _questions(policies: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """PPO against BC, then every policy against what needs no learning."""
    if {"ppo", "bc"} <= set(policies):
        yield from (
            ("ppo", "bc", metric) for metric in ("reward_total", "balanced_accuracy", "action_balanced_accuracy")
        )
    for policy in policies:
        for other in ("loudest", "random"):
            yield from ((policy, other, metric) for metric in ("balanced_accuracy", "action_balanced_accuracy"))
        yield policy, "dp", "reward_total"


def _verdict(
    part: pd.DataFrame, methods: tuple[str, str], metric: str, style: str, config: Config, seed: int
) -> Verdict:
    condition = str(part["condition"].iloc[0])
    first, second = (part[part["method"] == method].set_index("track") for method in methods)
    difference = first[metric] - second[metric].reindex(first.index)
    interval = _interval(song_means(list(difference), list(first["song"])), config, seed)
    mean, low, high = (round(value, DIGITS) for value in interval[:3])
    return Verdict(*methods, metric, condition, style, _answer(interval), mean, low, high, interval.n_songs)


def _answer(interval: Interval) -> str:
    if interval.n_songs < FEWEST_SONGS or interval.low <= 0.0 <= interval.high:
        return "not shown"
    return "yes" if interval.low > 0.0 else "no"


def _shown(method: str) -> str:
    return {"ppo": "PPO", "bc": "BC", "dp": "the DP"}.get(method, method.replace("_", " "))
