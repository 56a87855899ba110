"""Policies and baselines on held-out tracks: their edits, rows of numbers per track, and what these come to.

Conventions: a *method* gives one edit per track and condition. Conditions: ``target`` (the length of the editor's own
edit is asked for) and ``free`` (no length is asked for). Baselines are told that length in both, which is to their
advantage; ``editor`` is the demonstration itself, the upper end of likeness. Styles: each editor's, and ``all``.
Values are rounded to ``DIGITS``; a number that is not defined is NaN in tables and left out of ``metrics``.
"""

import zlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from rl_editor import baselines
from rl_editor.config import Config, Split
from rl_editor.demonstrations import Demonstration, in_split
from rl_editor.edits import EditList, keep_all
from rl_editor.errors import DatasetError
from rl_editor.evaluation.metrics import KEY_METRICS, METRICS, SCORE_METRICS, GapScale, TrackJudge
from rl_editor.evaluation.verdicts import (
    ALL_STYLES,
    CONDITIONS,
    DIGITS,
    EDITOR,
    Verdict,
    collapsed_policies,
    decision_shares,
    means_over_songs,
    verdicts_on,
)
from rl_editor.reward import ReferenceStatistics
from rl_editor.state import AudioState

if TYPE_CHECKING:
    from rl_editor.checkpoint import Policy

BASELINES = ("keep_all", "loudest", "random", "dp")
FIXED = frozenset({EDITOR, *BASELINES})  # methods whose edits are the same in both conditions
_RANDOM_EDITS = 20  # whose mean path cost is 1 of the optimality gap: a single one is chance

Plan = Callable[[Demonstration, AudioState, float | None], EditList]
"""Edits a recording in the manner of a demonstration, to a length in seconds or none."""


class Example(NamedTuple):
    """The edits of one held-out track, to the editor's length."""

    pair_id: str
    song: str
    style: str
    edits: Mapping[str, EditList]  # method -> edit
    state: AudioState


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """What an evaluation found.

    Attributes:
        rows: one row per track, method and condition: track, song, style, method, condition, then ``METRICS``.
        summary: style, method, condition, metric, mean, low, high, n_songs.
        histogram: style, method, condition, action, share of decisions; EXTEND goes on with a region.
        verdicts: comparisons in words.
        collapsed: methods whose decisions are nearly all of one kind though the editor's are not.
        examples: the edits of every held-out track.
        learned: the editors that policies learned, where that is known.
    """

    rows: pd.DataFrame
    summary: pd.DataFrame
    histogram: pd.DataFrame
    verdicts: tuple[Verdict, ...]
    collapsed: tuple[str, ...]
    examples: tuple[Example, ...]
    learned: tuple[str, ...] = ()

    @property
    def unjudged(self) -> tuple[str, ...]:
        """Editors that were learned, and of whom no song is held out."""
        return tuple(sorted(set(self.learned) - set(self.rows["style"])))

    @property
    def unlearned(self) -> tuple[str, ...]:
        """Editors of held-out songs whom no policy learned."""
        return tuple(sorted(set(self.rows["style"]) - set(self.learned))) if self.learned else ()

    @property
    def metrics(self) -> dict[str, float]:
        """Flat numbers ``method/condition/style/metric``; key metrics with ``_low`` and ``_high`` over all styles.

        What is fixed (the editor's edit, the baselines) is given under ``target`` only. ``method/score`` is what a
        champion is chosen by: the mean of reward and likeness (``SCORE_METRICS``) over all styles at the editor's
        length, so that neither the reward alone nor imitation alone decides.
        """
        flat: dict[str, float] = {"n_tracks": float(self.rows["track"].nunique()), "n_songs": float(self.n_songs)}
        for row in self.summary.to_dict("records"):
            if not np.isfinite(row["mean"]) or not _is_headline(row):
                continue
            key = f"{row['method']}/{row['condition']}/{row['style']}/{row['metric']}"
            flat[key] = float(row["mean"])
            if row["style"] == ALL_STYLES and row["metric"] in KEY_METRICS:
                flat |= {f"{key}_low": float(row["low"]), f"{key}_high": float(row["high"])}
        for verdict in self.verdicts:
            if verdict.style == ALL_STYLES and verdict.n_songs:
                key = f"{verdict.first}_minus_{verdict.second}/{verdict.condition}/{verdict.metric}"
                flat |= {key: verdict.difference, f"{key}_low": verdict.low, f"{key}_high": verdict.high}
        return dict(sorted((flat | self._scores(flat)).items()))

    def _scores(self, flat: Mapping[str, float]) -> dict[str, float]:
        keys = {m: [f"{m}/{CONDITIONS[0]}/{ALL_STYLES}/{metric}" for metric in SCORE_METRICS] for m in self.methods}
        known = {method: [flat[key] for key in names if key in flat] for method, names in keys.items()}
        return {f"{method}/score": round(float(np.mean(values)), DIGITS) for method, values in known.items() if values}

    @property
    def n_songs(self) -> int:
        """How many songs were held out."""
        return int(self.rows["song"].nunique())

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods in the order of the tables."""
        return tuple(dict.fromkeys(self.rows["method"]))

    @property
    def styles(self) -> tuple[str, ...]:
        """``all``, then each editor."""
        return tuple(dict.fromkeys(self.summary["style"]))


class Evaluator:
    """Judges edits and compares policies, with the settings of ``config``."""

    def __init__(self, config: Config | None = None, *, reference: ReferenceStatistics | None = None) -> None:
        self.config, self.reference = config or Config(), reference

    def score(
        self, edit: EditList, demonstration: Demonstration, *, target_duration_s: float | None = None
    ) -> dict[str, float]:
        """The numbers of one edit beside the demonstration of the same recording."""
        return self.judge(demonstration).score(edit, target_duration_s=target_duration_s)

    def judge(self, demonstration: Demonstration) -> TrackJudge:
        """What scores edits of one recording."""
        return TrackJudge(demonstration, self.config, state=state_of(demonstration), reference=self.reference)

    def evaluate(
        self,
        policies: Mapping[str, "Policy"],
        demonstrations: Sequence[Demonstration],
        *,
        split: Split = "test",
        seed: int = 0,
    ) -> EvaluationResult:
        """Compare policies with each other and with the baselines on the tracks of one split.

        Raises:
            DatasetError: no demonstration is in that split.
        """
        plans = {name: policy_plan(policy) for name, policy in policies.items()}
        result = evaluate_plans(plans, demonstrations, self.config, split=split, seed=seed, reference=self.reference)
        learned = {style for policy in policies.values() for style in policy.styles}
        return replace(result, learned=tuple(sorted(learned)))


def evaluate_plans(
    plans: Mapping[str, Plan],
    demonstrations: Sequence[Demonstration],
    config: Config,
    *,
    split: Split = "test",
    seed: int = 0,
    reference: ReferenceStatistics | None = None,
) -> EvaluationResult:
    """As ``Evaluator.evaluate``, for anything that edits.

    Raises:
        DatasetError: no demonstration is in that split, or a method has a baseline's name.
    """
    taken = sorted(FIXED & set(plans))
    if taken:
        raise DatasetError(f"method {taken[0]!r}: the name of a baseline; call it otherwise")
    held_out = sorted(in_split(demonstrations, split), key=lambda d: d.pair_id)
    if not held_out:
        raise DatasetError(
            f"split {split!r}: none of {len(demonstrations)} demonstrations is in it, at least one is needed; "
            "add songs or raise data.test_fraction"
        )
    rows: list[dict[str, str | float]] = []
    counts: list[dict[str, str | int]] = []
    examples: list[Example] = []
    for demonstration in held_out:
        track = _Track(demonstration, config, seed=seed, reference=reference)
        edits = track.edits(plans)
        rows += track.rows(edits)
        counts += track.counts(edits)
        examples.append(track.example(edits))
    table = pd.DataFrame(rows, columns=["track", "song", "style", "method", "condition", *METRICS])
    histogram = decision_shares(pd.DataFrame(counts))
    return EvaluationResult(
        table.round(DIGITS),
        means_over_songs(table, config, seed),
        histogram,
        tuple(verdicts_on(table, list(plans), config, seed)),
        collapsed_policies(histogram, list(plans)),
        tuple(examples),
    )


def state_of(demonstration: Demonstration) -> AudioState:
    """The recording of a demonstration as the world sees it."""
    return AudioState(demonstration.grid, demonstration.features, demonstration.source)


_Edits = Mapping[tuple[str, str], EditList]  # (method, condition) -> edit


class _Track:
    """One held-out demonstration, its edits and their numbers."""

    def __init__(
        self, demonstration: Demonstration, config: Config, *, seed: int, reference: ReferenceStatistics | None
    ) -> None:
        self.demonstration, self.config = demonstration, config
        self.state, self.reference = state_of(demonstration), reference
        self.judge = TrackJudge(demonstration, config, state=self.state, reference=reference)
        self._rng = np.random.default_rng([seed, zlib.crc32(demonstration.pair_id.encode())])

    def edits(self, plans: Mapping[str, Plan]) -> dict[tuple[str, str], EditList]:
        """Every method's edit under both conditions."""
        length_s = self.demonstration.edit.duration_s
        fixed = {EDITOR: self.demonstration.edit, **self._baselines()}
        asked = {"target": length_s, "free": None}
        planned = {
            (name, condition): plan(self.demonstration, self.state, asked[condition])
            for name, plan in plans.items()
            for condition in CONDITIONS
        }
        return planned | {(name, condition): edit for name, edit in fixed.items() for condition in CONDITIONS}

    def rows(self, edits: _Edits) -> list[dict[str, str | float]]:
        """The numbers of every edit."""
        scale = self._gap_scale(edits["dp", "target"])
        length_s = self.demonstration.edit.duration_s
        return [
            {**self._names(method, condition), **self.judge.score(
                edit,
                target_duration_s=length_s if condition == "target" else None,
                scale=scale if condition == "target" else None,
            )}
            for (method, condition), edit in edits.items()
        ]  # fmt: skip

    def counts(self, edits: _Edits) -> list[dict[str, str | int]]:
        """How often each method takes each kind of decision."""
        return [
            {**self._names(method, condition), "action": kind.value, "count": count}
            for (method, condition), edit in edits.items()
            for kind, count in self.judge.action_counts(edit).items()
        ]

    def example(self, edits: _Edits) -> Example:
        """The edits to the editor's length."""
        d = self.demonstration
        chosen = {method: edit for (method, condition), edit in edits.items() if condition == "target"}
        return Example(d.pair_id, d.song, d.style, chosen, self.state)

    def _gap_scale(self, best: EditList) -> GapScale:
        costs = [self.judge.costs.of_edit(edit).total for edit in (self._at_random() for _ in range(_RANDOM_EDITS))]
        return GapScale(self.judge.costs.of_edit(best).total, float(np.mean(costs)))

    def _at_random(self) -> EditList:
        length_s = self.demonstration.edit.duration_s
        return baselines.random_at_ratio(self.state, self.config, duration_s=length_s, rng=self._rng)

    def _names(self, method: str, condition: str) -> dict[str, str]:
        d = self.demonstration
        return {"track": d.pair_id, "song": d.song, "style": d.style, "method": method, "condition": condition}

    def _baselines(self) -> dict[str, EditList]:
        state, config, length_s = self.state, self.config, self.demonstration.edit.duration_s
        return {
            "keep_all": keep_all(state.recording),
            "loudest": baselines.loudest(state, config, duration_s=length_s),
            "random": self._at_random(),
            "dp": baselines.retarget_dp(state, config, duration_s=length_s, reference=self.reference),
        }


def policy_plan(policy: "Policy") -> Plan:
    """Edits as the policy does, in the demonstration's style where it knows it."""
    from rl_editor.infer import edit_recording

    def plan(demonstration: Demonstration, state: AudioState, target_duration_s: float | None) -> EditList:
        style = demonstration.style if demonstration.style in policy.styles else None
        return edit_recording(policy, state, target_duration_s=target_duration_s, style=style)

    return plan


def _is_headline(row: Mapping[Hashable, Any]) -> bool:
    fixed = row["method"] in FIXED and row["condition"] != CONDITIONS[0]
    return not fixed and (row["style"] == ALL_STYLES or row["metric"] in KEY_METRICS)
