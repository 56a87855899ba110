"""One edit against the demonstration of the same recording, as named numbers.

Conventions: U decision units, 0-based; seconds of the source unless "output" is said. A unit *plays* when at least half
of it plays at least once. A *run* is a stretch of output that plays the source straight on. A number that is not
defined on a track (the balanced accuracy of KEEP and CUT where the editor cut nothing) is left out, never guessed.

    balanced accuracy     mean recall over the classes that the editor used, at least two; chance is 1 / classes
    equivalence-aware     units that sound the same may stand for each other: of a class with n units of which the
                          editor plays t and the edit p, min(t, p) are rightly played and min(n-t, n-p) rightly cut
    F1                    2 m / (n_edit + n_editor), m matched one to one
    run F1                a run matches where source start and source end are both within the tolerance
    cut F1                of source times at which the output leaves (run ends) and lands (run starts); the recording's
                          own start and end are no cuts; a leaving matches a leaving, a landing a landing
    LOOP, REORDER F1      units inside such regions, both edits read out as actions by ``labels.encode``
    optimality gap        (cost - DP's) / (random's - DP's) of the path cost (``baselines``), at the editor's length:
                          0 is the best attainable, 1 is random; below 0 an edit gains by starting late or ending early;
                          not defined for edits whose length is off by more than ``SAME_LENGTH``

Source: mir_eval (one-to-one matching within a tolerance).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from rl_editor.actions import UNIT_KINDS, ActionSpace, ActionType, unit_kinds
from rl_editor.baselines import JoinCosts
from rl_editor.config import Config
from rl_editor.demonstrations import Demonstration
from rl_editor.edits import EditList
from rl_editor.grid import UnitGrid
from rl_editor.intervals import overlaps, union
from rl_editor.labels import encode
from rl_editor.reward import ReferenceStatistics, RewardCalculator
from rl_editor.state import AudioState
from rl_editor.state.hearing import heard

PLAYS_SHARE = 0.5  # of a unit
ALIKE_COSINE = 0.9  # of standardised timbre and harmony, beat by beat: the same music played again
SAME_LENGTH = 0.1  # relative; between longer and shorter edits join costs do not compare
_EDGE_S = 1e-3  # a cut this near the recording's own start or end is none
_SMALLEST_SPREAD = 1e-6  # between random's path cost and the DP's


class Metric(NamedTuple):
    """What a number means."""

    title: str
    higher_is_better: bool
    unit: str = ""


METRICS: Mapping[str, Metric] = {
    "balanced_accuracy": Metric("KEEP/CUT balanced accuracy", True),
    "balanced_accuracy_weighted": Metric("KEEP/CUT balanced accuracy, by duration", True),
    "balanced_accuracy_equivalent": Metric("KEEP/CUT balanced accuracy, repeats alike", True),
    "action_balanced_accuracy": Metric("balanced accuracy of all actions", True),
    "run_f1": Metric("runs F1", True),
    "cut_f1": Metric("cut times F1", True),
    "loop_f1": Metric("LOOP F1", True),
    "reorder_f1": Metric("REORDER F1", True),
    "duration_error": Metric("length error, relative to the editor's", False),
    "reward_total": Metric("reward", True),
    "reward_tempo": Metric("reward: tempo at joins", True),
    "reward_energy": Metric("reward: energy at joins", True),
    "reward_phrase": Metric("reward: phrases", True),
    "reward_transition": Metric("reward: transitions", True),
    "reward_loop": Metric("reward: loop share", True),
    "reward_duration": Metric("reward: duration", True),
    "mean_join_cost": Metric("mean join cost", False),
    "joins_per_minute": Metric("joins per minute of output", False, "1/min"),
    "path_cost": Metric("path cost", False),
    "optimality_gap": Metric("optimality gap (0 DP, 1 random)", False),
}
KEY_METRICS = ("balanced_accuracy", "action_balanced_accuracy", "reward_total", "duration_error")  # with intervals
SCORE_METRICS = ("reward_total", "action_balanced_accuracy")  # whose mean chooses a champion
HEADLINE_METRICS = ("balanced_accuracy", "run_f1", "loop_f1", "reorder_f1", "reward_total", "duration_error")
BASELINE_METRICS = ("balanced_accuracy", "reward_total")  # of likeness and of quality
# Columns of the report, of all styles and of each.
ALL_STYLES_METRICS = ("balanced_accuracy", "action_balanced_accuracy", "balanced_accuracy_equivalent", "cut_f1",
                      "duration_error", "reward_total", "mean_join_cost", "optimality_gap")  # fmt: skip
STYLE_METRICS = ("balanced_accuracy", "action_balanced_accuracy", "loop_f1", "reorder_f1", "duration_error",
                 "reward_total")  # fmt: skip
_REWARD_TERMS = ("total", "tempo", "energy", "phrase", "transition", "loop", "duration")


@dataclass(frozen=True)
class GapScale:
    """Path costs between which the optimality gap counts: 0 at ``best``, 1 at ``random``, the mean of random edits."""

    best: float
    random: float

    def gap(self, cost: float) -> float:
        """Where a cost lies; NaN where random is no worse than the best."""
        spread = self.random - self.best
        return (cost - self.best) / spread if spread > _SMALLEST_SPREAD else np.nan


class TrackJudge:
    """Scores edits of one recording against one demonstration; what hangs on the recording is worked out once."""

    def __init__(
        self,
        demonstration: Demonstration,
        config: Config,
        *,
        state: AudioState,
        reference: ReferenceStatistics | None = None,
    ) -> None:
        self.demonstration, self.config, self.state = demonstration, config, state
        self.costs = JoinCosts(state, config, reference=reference)
        self._reward = RewardCalculator(config, reference=reference)
        self._space = ActionSpace(config.action_space)
        self._units = demonstration.grid.units(config.action_space.unit_beats)
        self._alike = alike_units(state, self._units)
        self._truth = units_played(demonstration.edit, self._units)
        self._truth_kinds = self.kinds(demonstration.edit)

    def actions(self, edit: EditList) -> Int[np.ndarray, " units"]:
        """The edit read out as one action per unit."""
        grid, unit_beats = self.demonstration.grid, self.config.action_space.unit_beats
        return encode(edit, grid, self._space, unit_beats=unit_beats).actions

    def kinds(self, edit: EditList) -> list[ActionType]:
        """What becomes of every unit, as ``actions.unit_kinds``."""
        return unit_kinds(self.actions(edit), self._space)

    def action_counts(self, edit: EditList) -> dict[ActionType, int]:
        """How often each kind of decision is taken."""
        kinds = [self._space.type_of(int(action)) for action in self.actions(edit)]
        return {kind: kinds.count(kind) for kind in ActionType}

    def score(
        self, edit: EditList, *, target_duration_s: float | None = None, scale: GapScale | None = None
    ) -> dict[str, float]:
        """Every number of ``METRICS`` that is defined; ``scale`` adds the optimality gap."""
        numbers = self._likeness(edit) | self._quality(edit, target_duration_s, scale)
        return {name: numbers[name] for name in METRICS if name in numbers and np.isfinite(numbers[name])}

    def _likeness(self, edit: EditList) -> dict[str, float]:
        plays, truth = units_played(edit, self._units), self._truth
        kinds, own = self.kinds(edit), self.demonstration.edit
        tolerance_s = self.config.evaluation.join_tolerance_s
        numbers = [np.array([UNIT_KINDS.index(kind) for kind in some]) for some in (kinds, self._truth_kinds)]
        return {
            "balanced_accuracy": balanced_accuracy(plays.astype(int), truth.astype(int)),
            "balanced_accuracy_weighted": balanced_accuracy(
                plays.astype(int), truth.astype(int), weights=np.diff(self._units.times_s)
            ),
            "balanced_accuracy_equivalent": equivalent_accuracy(plays, truth, self._alike),
            "action_balanced_accuracy": balanced_accuracy(*numbers),
            "run_f1": run_f1(edit, own, tolerance_s=tolerance_s),
            "cut_f1": cut_f1(edit, own, tolerance_s=tolerance_s),
            "loop_f1": self._region_f1(kinds, ActionType.LOOP),
            "reorder_f1": self._region_f1(kinds, ActionType.REORDER),
            "duration_error": duration_error(edit, own),
        }

    def _quality(self, edit: EditList, target_duration_s: float | None, scale: GapScale | None) -> dict[str, float]:
        reward = self._reward.score(
            edit, self.state, target_duration_s=target_duration_s, style=self.demonstration.style
        )
        cost = self.costs.of_edit(edit)
        comparable = duration_error(edit, self.demonstration.edit) <= SAME_LENGTH
        return {f"reward_{term}": float(getattr(reward, term)) for term in _REWARD_TERMS} | {
            "mean_join_cost": cost.inner / cost.n_joins if cost.n_joins else np.nan,
            "joins_per_minute": 60.0 * cost.n_joins / edit.duration_s if edit.frames else np.nan,
            "path_cost": cost.total,
            "optimality_gap": scale.gap(cost.total) if scale and comparable else np.nan,
        }

    def _region_f1(self, kinds: list[ActionType], kind: ActionType) -> float:
        mine = np.array([k is kind for k in kinds])
        theirs = np.array([k is kind for k in self._truth_kinds])
        return f1(int((mine & theirs).sum()), int(mine.sum()), int(theirs.sum()))


def units_played(edit: EditList, units: UnitGrid) -> Bool[np.ndarray, " units"]:
    """Which units play at least once, by ``PLAYS_SHARE``."""
    covered = np.zeros(units.n_units)
    for span in union((float(a), float(b)) for a, b in _runs(edit)):
        covered += overlaps(units.times_s, span)
    played: np.ndarray = covered >= PLAYS_SHARE * np.diff(units.times_s)
    return played


def duration_error(edit: EditList, own: EditList) -> float:
    """|length / the editor's - 1|; NaN where the editor lets nothing play."""
    return abs(edit.duration_s / own.duration_s - 1.0) if own.frames else np.nan


def balanced_accuracy(
    guess: Int[np.ndarray, " units"],
    truth: Int[np.ndarray, " units"],
    *,
    weights: Float[np.ndarray, " units"] | None = None,
) -> float:
    """Mean recall over the classes in ``truth``; NaN where that is one class."""
    share = np.ones(len(truth)) if weights is None else weights
    classes = np.unique(truth)
    if len(classes) < 2:
        return np.nan
    return float(np.mean([share[(truth == c) & (guess == c)].sum() / share[truth == c].sum() for c in classes]))


def equivalent_accuracy(
    plays: Bool[np.ndarray, " units"], truth: Bool[np.ndarray, " units"], alike: Int[np.ndarray, " units"]
) -> float:
    """Balanced accuracy of playing where the units of one class of ``alike`` may stand for each other."""
    if truth.all() or not truth.any():
        return np.nan
    size, kept, played = (np.bincount(alike, weights) for weights in (None, truth, plays))
    rightly_played, rightly_cut = np.minimum(kept, played), np.minimum(size - kept, size - played)
    return float((rightly_played.sum() / truth.sum() + rightly_cut.sum() / (~truth).sum()) / 2.0)


def alike_units(state: AudioState, units: UnitGrid) -> Int[np.ndarray, " units"]:
    """Class of every unit: that of the first earlier unit it is like by ``ALIKE_COSINE`` beat by beat, or a new one."""
    columns = heard(state.features)
    leaders: list[np.ndarray] = []
    classes = np.zeros(units.n_units, int)
    for unit in range(units.n_units):
        sound = columns[units.beat_bounds[unit] : units.beat_bounds[unit + 1]].ravel()
        sound = sound / max(float(np.linalg.norm(sound)), 1e-9)
        like = (n for n, other in enumerate(leaders) if len(other) == len(sound) and other @ sound >= ALIKE_COSINE)
        first = None if units.partial[unit] else next(like, None)
        if first is not None:
            classes[unit] = first
        else:
            classes[unit] = len(leaders)
            leaders.append(sound)
    return classes


def run_f1(edit: EditList, own: EditList, *, tolerance_s: float) -> float:
    """F1 of runs that start and end at the same places of the source."""
    mine, theirs = _runs(edit), _runs(own)
    near = (np.abs(mine[:, None] - theirs[None]) <= tolerance_s).all(axis=2)
    return f1(_n_matched(near), len(mine), len(theirs))


def cut_f1(edit: EditList, own: EditList, *, tolerance_s: float) -> float:
    """F1 of the source times at which the output leaves and lands; NaN where neither edit cuts."""
    matched, counts = 0, [0, 0]
    for side in (0, 1):
        edge_s = 0.0 if side == 0 else own.source.frames / own.source.sample_rate
        mine, theirs = (
            times[np.abs(times - edge_s) > _EDGE_S] for times in (_runs(edit)[:, side], _runs(own)[:, side])
        )
        matched += _n_matched(np.abs(mine[:, None] - theirs[None]) <= tolerance_s)
        counts = [counts[0] + len(mine), counts[1] + len(theirs)]
    return f1(matched, *counts)


def f1(n_matched: int, n_mine: int, n_theirs: int) -> float:
    """2 m / (a + b); NaN where there was nothing to find and nothing was found."""
    return 2.0 * n_matched / (n_mine + n_theirs) if n_mine + n_theirs else np.nan


def _runs(edit: EditList) -> Float[np.ndarray, "runs 2"]:
    """Source start and end of every run, in output order."""
    spans = np.array(edit.merged().source_spans(), dtype=np.float64).reshape(-1, 2)
    return np.asarray(spans / edit.source.sample_rate)


def _n_matched(near: Bool[np.ndarray, "mine theirs"]) -> int:
    """Size of the largest one-to-one matching."""
    if not near.any():
        return 0
    return int((maximum_bipartite_matching(csr_array(near), perm_type="column") >= 0).sum())
