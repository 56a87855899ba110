"""What may be concluded from answers: of each listener, of each way of editing, and how many answers are missing.

Shares come with Wilson's interval (95 %). Habits are weights in a logistic regression of one listener's answers on the
features of the reward model, what came first, which was longer and which was louder, so that a taste that happens to
go with length is not taken for a habit; a habit is *sure* where leaving it out costs the likelihood what ``SURE``
standard errors would. What sounded first is up to the listener, and mostly the side that was put first: the habit of
choosing it is looked for beside the three, and takes part in their fit only where it is sure; else the order explains
what the two have in common. Strengths of ways are Bradley-Terry log odds against the average way, an order effect
taken out.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import norm

from rl_editor.config import RewardModelConfig
from rl_editor.errors import DatasetError
from rl_editor.judgements import Judgement, Pair
from rl_editor.judgements.sets import Preferences
from rl_editor.reward import SUMMARY_NAMES
from rl_editor.reward_model import bradley_terry
from rl_editor.reward_model.bradley_terry import information, ridged_logistic, sigmoid
from rl_editor.reward_model.learning import Learned, learn
from rl_editor.reward_model.model import Preference, feature_differences
from rl_editor.reward_model.opinions import contrary, judged, rated

HABITS = (*bradley_terry.HABITS, "played_first")
"""Those that the reward is fitted beside, and what sounded first."""
LEVEL = 0.95
SURE = 2.58  # standard errors: one in a hundred by chance
_RIDGE, _HABIT_RIDGE, _WAY_RIDGE = 1.0, 0.01, 0.1
_SAME_LENGTH = 0.002  # difference of log lengths below which neither is longer: a tenth of a second in a minute
_SAME_LOUDNESS_DB = 0.1
_TOO_MANY = 20.0
_SHARES = ("repeats", "anchors", "first", "played_first", "longer", "louder")
_Z = float(norm.ppf((1 + LEVEL) / 2))


class Share(NamedTuple):
    """k of n, with Wilson's interval; NaN where n is 0."""

    k: int
    n: int

    @property
    def value(self) -> float:
        """The share."""
        return self.k / self.n if self.n else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson 1927."""
        if not self.n:
            return float("nan"), float("nan")
        centre = (self.value + _Z**2 / (2 * self.n)) / (1 + _Z**2 / self.n)
        half = _Z * np.sqrt(self.value * (1 - self.value) / self.n + (_Z / (2 * self.n)) ** 2) / (1 + _Z**2 / self.n)
        return max(float(centre - half), 0.0), min(float(centre + half), 1.0)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; None for what is not known."""
        low, high = self.interval
        return {"k": self.k, "n": self.n, "share": _known(self.value), "low": _known(low), "high": _known(high)}


class Effect(NamedTuple):
    """A weight in log odds, its standard error, and twice what it adds to the log likelihood."""

    weight: float
    error: float
    deviance: float = 0.0

    @property
    def sure(self) -> bool:
        """Not 0 by chance, by the likelihood ratio: a habit without exception has no standard error."""
        return self.deviance > SURE**2


@dataclass(frozen=True)
class ListenerReport:
    """One listener.

    Attributes:
        name: of the listener.
        n: judgements of pairs and anchors, repeats included.
        n_same: "no difference".
        n_unsure: "can't tell".
        repeats: answers given again alike.
        anchors: anchors whose good side was chosen.
        first: decided answers for what was presented first.
        played_first: decided answers for what sounded first, where that is known.
        longer: decided answers for the longer side, where one is.
        louder: and for the louder one.
        habits: order and what sounded first (log odds), length (per standard deviation of its difference), loudness
            (per dB).
        median_s: of the time an answer took.
    """

    name: str
    n: int
    n_same: int
    n_unsure: int
    repeats: Share
    anchors: Share
    first: Share
    played_first: Share
    longer: Share
    louder: Share
    habits: dict[str, Effect]
    median_s: float


class Way(NamedTuple):
    """A way of editing and how it fares."""

    name: str
    n: int
    strength: Effect  # log odds against the average way

    @property
    def wins(self) -> tuple[float, float, float]:
        """Chance to be preferred to the average way, with its interval."""
        reach = _Z * self.strength.error
        low, middle, high = sigmoid(self.strength.weight + np.array([-reach, 0.0, reach])).tolist()
        return middle, low, high


class Counting(NamedTuple):
    """What counts toward ``reward_model.min_judgements``, and what does not.

    A repeat of a pair counts as its first presentation does. "Can't tell" says nothing, and an anchor tells of the
    listener only.
    """

    n_needed: int
    n_pairs: int  # judgements of pairs that count
    n_anchors: int  # judgements of anchors, which do not
    n_unsure: int  # "can't tell" of pairs, which do not
    n_contrary: int  # of pairs, by listeners who prefer the broken side of anchors, which do not
    n_by_ratings: float  # what comparisons of ratings count for

    @property
    def n(self) -> float:
        """All that counts."""
        return self.n_pairs + self.n_by_ratings


@dataclass(frozen=True, eq=False)
class PreferencesReport:
    """All of it.

    Attributes:
        n_judgements: of all listeners.
        counting: which of them, and of the ratings, count toward ``reward_model.min_judgements``.
        listeners: in order of their names.
        ways: the strongest first.
        learned: the reward model that would be learned.
        n_missing: how many more judgements are needed, for what; 0 where there are enough.
    """

    n_judgements: int
    counting: Counting
    listeners: tuple[ListenerReport, ...]
    ways: tuple[Way, ...]
    learned: Learned
    n_missing: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "judgements": self.n_judgements,
            "counting": self.counting._asdict(),
            "listeners": [_listener_to_dict(each) for each in self.listeners],
            "ways": [
                {"way": w.name, "n": w.n, "log_odds": round(w.strength.weight, 4), "error": round(w.strength.error, 4)}
                for w in self.ways
            ],
            "reward": {"status": self.learned.status, "reason": self.learned.reason, **self.learned.metrics()},
            "missing": self.n_missing,
        }


def report(
    collected: Sequence[Preferences], config: RewardModelConfig, generator: np.random.Generator
) -> PreferencesReport:
    """What the answers say.

    Args:
        collected: sets and answers to them.
        config: of the reward model that would be learned.
        generator: of its resampling.

    Raises:
        DatasetError: a set was described by another version, or answers are given twice.
    """
    asked = [(pair, judgement) for each in collected for pair, judgement in _asked(each)]
    ids = [judgement.presentation.presentation_id for _, judgement in asked]
    if len(set(ids)) < len(ids):
        raise DatasetError(
            "the same answers are given twice; leave out the set, or the file that was collected from it"
        )
    opinions = [preference for each in collected for preference in judged(each)]
    names = sorted({judgement.presentation.listener for _, judgement in asked})
    listeners = tuple(
        _listener(
            name,
            [(pair, j) for pair, j in asked if j.presentation.listener == name],
            [p for p in opinions if p.listener == name],
        )
        for name in names
    )
    learned = learn(collected, config, generator)
    left_out = contrary(collected)
    compared = [
        (pair, j)
        for pair, j in asked
        if pair.kind == "pair" and j.choice != "unsure" and j.presentation.listener not in left_out
    ]
    ways = _ways(compared)
    counting = _counting(collected, asked, left_out, config)
    return PreferencesReport(
        len(asked), counting, listeners, ways, learned, _missing(learned, ways, config, n_compared=len(compared))
    )


def _counting(
    collected: Sequence[Preferences],
    asked: Sequence[tuple[Pair, Judgement]],
    left_out: Collection[str],
    config: RewardModelConfig,
) -> Counting:
    def kind(pair: Pair, judgement: Judgement) -> str:
        if pair.kind == "anchor" or judgement.choice == "unsure":
            return "anchor" if pair.kind == "anchor" else "unsure"
        return "contrary" if judgement.presentation.listener in left_out else "pair"

    kinds = Counter(kind(pair, j) for pair, j in asked)
    ratings = [p.weight for each in collected for p in rated(each) if p.listener not in left_out]
    return Counting(
        config.min_judgements, kinds["pair"], kinds["anchor"], kinds["unsure"], kinds["contrary"], float(sum(ratings))
    )


def _asked(collected: Preferences) -> list[tuple[Pair, Judgement]]:
    pairs = {pair.pair_id: pair for pair in collected.listening_set.pairs}
    return [(pairs[j.presentation.pair_id], j) for j in collected.judgements]


def _listener(name: str, asked: Sequence[tuple[Pair, Judgement]], opinions: Sequence[Preference]) -> ListenerReport:
    mine = [judgement for _, judgement in asked]
    anchors = [j for pair, j in asked if pair.kind == "anchor" and j.choice != "unsure"]
    seconds = [j.seconds for j in mine if j.seconds > 0]
    decided = [(pair, j) for pair, j in asked if j.preferred is not None and pair.kind == "pair"]
    return ListenerReport(
        name,
        len(mine),
        sum(j.choice == "same" for j in mine),
        sum(j.choice == "unsure" for j in mine),
        _repeats(asked),
        Share(sum(j.preferred == "a" for j in anchors), len(anchors)),
        Share(sum(j.choice == "first" for _, j in decided), len(decided)),
        _share_for(decided, _played_first, 0.0),
        _share_for(decided, _longer_by, _SAME_LENGTH),
        _share_for(decided, _louder_by, _SAME_LOUDNESS_DB),
        _habits(opinions, [_sounded(j) for pair, j in asked if pair.kind == "pair" and j.choice != "unsure"]),
        float(np.median(seconds)) if seconds else float("nan"),
    )


def _repeats(asked: Sequence[tuple[Pair, Judgement]]) -> Share:
    """Repeats whose answer, in terms of the edits, is the first one again; sets of one song share names of pairs."""
    earlier = {pair: j for pair, j in asked if not j.presentation.repeat}
    again = [(earlier[pair], j) for pair, j in asked if j.presentation.repeat and pair in earlier]
    told = [(one, two) for one, two in again if "unsure" not in (one.choice, two.choice)]
    return Share(sum(one.preferred == two.preferred for one, two in told), len(told))


def _share_for(
    decided: Sequence[tuple[Pair, Judgement]], by_how_much: Callable[[Pair, Judgement], float], least: float
) -> Share:
    """Answers for side a where it has more of something than b by ``least``, for b where it has less."""
    told = [(by_how_much(pair, j), j.preferred) for pair, j in decided]
    told = [(d, side) for d, side in told if abs(d) > least]
    return Share(sum((d > 0) == (side == "a") for d, side in told), len(told))


def _played_first(_: Pair, judgement: Judgement) -> float:
    return 0.0 if judgement.played_first is None else 1.0 if judgement.played_first == "a" else -1.0


def _sounded(judgement: Judgement) -> float:
    """1 where what was put first sounded first, -1 where the other did, 0 where that is not known."""
    if judgement.played_first is None:
        return 0.0
    return 1.0 if judgement.played_first == judgement.presentation.first else -1.0


def _longer_by(pair: Pair, _: Judgement) -> float:
    return float(np.log(pair.a.duration_s / pair.b.duration_s))


def _louder_by(pair: Pair, _: Judgement) -> float:
    if pair.a.loudness_lufs is None or pair.b.loudness_lufs is None:
        return 0.0
    return pair.a.loudness_lufs - pair.b.loudness_lufs


def _habits(opinions: Sequence[Preference], sounded: Sequence[float]) -> dict[str, Effect]:
    """Weights of order, length, loudness and what sounded first beside the features."""
    if not opinions:
        return {name: Effect(0.0, float("inf")) for name in HABITS}
    first, second = (np.array([getattr(p, side) for p in opinions]) for side in ("first", "second"))
    longer = _standardised(np.log(_lengths(first) / _lengths(second)))
    louder = np.array([p.louder_db for p in opinions])
    habits = np.stack([np.ones(len(opinions)), longer, louder, np.array(sounded)], axis=1)
    features = feature_differences(first, second)
    outcome = np.array([0.5 if p.first_preferred is None else float(p.first_preferred) for p in opinions])
    with_all = _effects(features, dict(zip(HABITS, habits.T, strict=True)), outcome)
    if with_all["played_first"].sure:
        return with_all
    without = _effects(features, dict(zip(bradley_terry.HABITS, habits.T, strict=False)), outcome)
    return without | {"played_first": with_all["played_first"]}


def _effects(
    features: Float[np.ndarray, "n features"],
    habits: Mapping[str, Float[np.ndarray, " n"]],
    outcome: Float[np.ndarray, " n"],
) -> dict[str, Effect]:
    x = np.hstack([features, np.stack([*habits.values()], axis=1)])
    penalty = np.array([_RIDGE] * features.shape[1] + [_HABIT_RIDGE] * len(habits))
    w = ridged_logistic(x, outcome, penalty=penalty)
    errors = np.sqrt(np.diag(np.linalg.inv(information(x, sigmoid(x @ w), penalty=penalty))))
    found = {}
    for column, name in enumerate(habits, start=features.shape[1]):
        rest = np.delete(x, column, axis=1)
        without = ridged_logistic(rest, outcome, penalty=np.delete(penalty, column))
        deviance = 2.0 * (_log_likelihood(x @ w, outcome) - _log_likelihood(rest @ without, outcome))
        found[name] = Effect(float(w[column]), float(errors[column]), deviance)
    return found


def _log_likelihood(logits: Float[np.ndarray, " n"], outcome: Float[np.ndarray, " n"]) -> float:
    return float(outcome @ logits - np.logaddexp(0.0, logits).sum())


def _lengths(summaries: Float[np.ndarray, "n summary"]) -> Float[np.ndarray, " n"]:
    return np.asarray(np.maximum(summaries[:, SUMMARY_NAMES.index("output_share")], 1e-3))


def _standardised(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    deviation = float(np.sqrt(np.square(values).mean()))
    return np.asarray(values / deviation if deviation > 1e-9 else values)


def _ways(told: Sequence[tuple[Pair, Judgement]]) -> tuple[Way, ...]:
    """Strengths of the ways that were set against each other."""
    names = sorted({side.way for pair, _ in told for side in (pair.a, pair.b)})
    if len(names) < 2:
        return ()
    x = np.zeros((len(told), len(names) + 1))
    outcome, counts = np.zeros(len(told)), np.zeros(len(names), int)
    for row, (pair, judgement) in enumerate(told):
        asked = judgement.presentation
        for side, sign in ((asked.first, 1.0), (asked.second, -1.0)):
            x[row, names.index(pair.side(side).way)] += sign
            counts[names.index(pair.side(side).way)] += 1
        x[row, -1] = 1.0
        outcome[row] = 0.5 if judgement.preferred is None else float(judgement.preferred == asked.first)
    penalty = np.full(x.shape[1], _WAY_RIDGE)
    w = ridged_logistic(x, outcome, penalty=penalty)
    covariance = np.linalg.inv(information(x, sigmoid(x @ w), penalty=penalty))[:-1, :-1]
    centring = np.eye(len(names)) - 1.0 / len(names)
    strengths, errors = centring @ w[:-1], np.sqrt(np.diag(centring @ covariance @ centring))
    found = [
        Way(name, int(n), Effect(float(strength), float(error)))
        for name, n, strength, error in zip(names, counts, strengths, errors, strict=True)
    ]
    return tuple(sorted(found, key=lambda way: -way.strength.weight))


def _missing(learned: Learned, ways: Sequence[Way], config: RewardModelConfig, *, n_compared: int) -> dict[str, int]:
    """More judgements needed: to learn a reward, to know that it beats a coin, to tell the two best ways apart.

    Standard errors shrink with the square root of the number of judgements; so where an effect is z standard errors
    from nothing and Z are needed, it takes (Z / z)^2 times the judgements; of ways, those that compare them.
    """
    n = max(learned.n_judgements, 1.0)
    missing = {"to learn a reward": max(int(np.ceil(config.min_judgements - learned.n_judgements)), 0)}
    if learned.trial is not None and learned.status == "no taste":
        missing["to tell it from a coin"] = _more(n, float(norm.isf(learned.trial.by_chance)))
    if len(ways) >= 2:
        one, two = ways[0].strength, ways[1].strength
        missing["to tell the two best ways apart"] = _more(
            max(float(n_compared), 1.0), (one.weight - two.weight) / float(np.hypot(one.error, two.error))
        )
    return missing


def _more(n: float, z: float) -> int:
    """How many more than n, given z; -1 where nothing is to be seen: it would take more than ``_TOO_MANY`` n."""
    if z * np.sqrt(_TOO_MANY + 1.0) < _Z:
        return -1
    return max(int(np.ceil(n * ((_Z / z) ** 2 - 1.0))), 0)


def _listener_to_dict(each: ListenerReport) -> dict[str, Any]:
    shares = {name: getattr(each, name).to_dict() for name in _SHARES}
    habits = {
        name: {
            "weight": round(e.weight, 4),
            "error": round(e.error, 4) if np.isfinite(e.error) else None,
            "sure": e.sure,
        }
        for name, e in each.habits.items()
    }
    counts = {"listener": each.name, "n": each.n, "same": each.n_same, "unsure": each.n_unsure}
    return counts | shares | {"habits": habits, "median_s": _known(each.median_s)}


def _known(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None
