"""What may be concluded from answers: of each listener, of each way of editing, and how many answers are missing.

What is said of a listener is in ``listeners``. Strengths of ways are Bradley-Terry log odds against the average way, an
order effect taken out. Which pairs were asked about is chance as well, and many answers to one pair say little of the
ways in general; so with H the curvature, s the scores of answers and S those of the answers to one pair, added up, the
variance of a strength is that of

    H^-1 + H^-1 (sum S S' - sum s s') H^-1

(the second term only where it adds; Liang & Zeger 1986, "Longitudinal data analysis using generalized linear models").
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import norm

from rl_editor.config import RewardModelConfig
from rl_editor.errors import DatasetError
from rl_editor.judgements import Judgement, Pair
from rl_editor.judgements.sets import Preferences
from rl_editor.preferences.listeners import ListenerReport, agree_beyond_themselves, listener_report, listener_to_dict
from rl_editor.preferences.measures import Effect, Share, Z
from rl_editor.reward_model.accord import Accord
from rl_editor.reward_model.bradley_terry import information, ridged_logistic, sigmoid
from rl_editor.reward_model.learning import Learned, learn
from rl_editor.reward_model.opinions import judged, rated

_WAY_RIDGE = 0.1
_TOO_MANY = 20.0
_HINT = 0.1  # of answers without a taste look as much like one by chance; beyond, there is none to be told from a coin


class Way(NamedTuple):
    """A way of editing and how it fares."""

    name: str
    n: int  # answers that set it against another way
    strength: Effect  # log odds against the average way

    @property
    def wins(self) -> tuple[float, float, float]:
        """Chance to be preferred to the average way, with its interval."""
        reach = Z * self.strength.error
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


class Rater(NamedTuple):
    """Who rated whole edits, and on how much of the scale."""

    name: str
    n: int
    lowest: int
    highest: int


@dataclass(frozen=True, eq=False)
class PreferencesReport:
    """All of it.

    Attributes:
        n_judgements: of all listeners.
        n_ratings: of all listeners, changed ones once.
        counting: which of them, and of the ratings, count toward ``reward_model.min_judgements``.
        listeners: in order of their names.
        raters: likewise.
        ways: the strongest first.
        learned: the reward model that would be learned.
        n_missing: how many more judgements are needed, for what; 0 where there are enough.
    """

    n_judgements: int
    n_ratings: int
    counting: Counting
    listeners: tuple[ListenerReport, ...]
    raters: tuple[Rater, ...]
    ways: tuple[Way, ...]
    learned: Learned
    n_missing: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "judgements": self.n_judgements,
            "ratings": self.n_ratings,
            "counting": self.counting._asdict(),
            "listeners": [listener_to_dict(each) for each in self.listeners],
            "raters": [rater._asdict() for rater in self.raters],
            "ways": [
                {"way": w.name, "n": w.n, "log_odds": round(w.strength.weight, 4), "error": round(w.strength.error, 4)}
                for w in self.ways
            ],
            "reward": {"status": self.learned.status, "reason": self.learned.reason, **self.learned.metrics()},
            "accords": [self._accord_to_dict(two) for two in self.learned.accords],
            "trust": {name: round(trust, 4) for name, trust in self.trust.items()},
            "missing": self.n_missing,
        }

    def as_one(self, two: Accord) -> bool:
        """Whether two listeners agree more with each other than with themselves (``agree_beyond_themselves``)."""
        one, other = (next(each for each in self.listeners if each.name == name) for name in (two.one, two.other))
        between = Share(two.n_alike, two.n_both)
        return agree_beyond_themselves(between, one, other, n_tests=len(self.learned.accords))

    def _accord_to_dict(self, two: Accord) -> dict[str, Any]:
        values = {name: round(value, 4) if isinstance(value, float) else value for name, value in two._asdict().items()}
        return values | {"as_one": self.as_one(two)}

    @property
    def trust(self) -> dict[str, float]:
        """How far each listener judges by the taste that was learned (``bradley_terry``), by name."""
        model = self.learned.model
        return {} if model is None else {name: habit.trust for name, habit in model.habits.items()}


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
    learned = learn(collected, config, generator)
    listeners = tuple(
        listener_report(
            name,
            [(pair, j) for pair, j in asked if j.presentation.listener == name],
            [p for p in opinions if p.listener == name],
            drawing,
        )
        for name, drawing in zip(names, generator.spawn(len(names)), strict=True)
    )
    compared = [
        (pair, j)
        for pair, j in asked
        if pair.kind == "pair" and j.choice != "unsure" and j.presentation.listener not in learned.left_out
    ]
    ways = _ways(compared)
    return PreferencesReport(
        n_judgements=len(asked),
        n_ratings=sum(len(each.ratings) for each in collected),
        counting=_counting(collected, asked, learned.left_out, config),
        listeners=listeners,
        raters=_raters(collected),
        ways=ways,
        learned=learned,
        n_missing=_missing(learned, ways, config, n_compared=len(compared)),
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
        n_needed=config.min_judgements,
        n_pairs=kinds["pair"],
        n_anchors=kinds["anchor"],
        n_unsure=kinds["unsure"],
        n_contrary=kinds["contrary"],
        n_by_ratings=float(sum(ratings)),
    )


def _raters(collected: Sequence[Preferences]) -> tuple[Rater, ...]:
    given = defaultdict(list)
    for rating in (rating for each in collected for rating in each.ratings):
        given[rating.listener].append(rating.rating)
    return tuple(Rater(name, len(all_), min(all_), max(all_)) for name, all_ in sorted(given.items()))


def _asked(collected: Preferences) -> list[tuple[Pair, Judgement]]:
    """Every answer with its pair; none is from before the one that it follows, as a clock that was set back says.

    Names of audio are left out: a set and what was collected from a copy of it ask about the same pairs.
    """
    pairs = {
        pair.pair_id: replace(pair, a=replace(pair.a, audio=""), b=replace(pair.b, audio=""))
        for pair in collected.listening_set.pairs
    }
    times = accumulate((j.at for j in collected.judgements), max)
    return [
        (pairs[j.presentation.pair_id], replace(j, at=at)) for j, at in zip(collected.judgements, times, strict=True)
    ]


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
            counts[names.index(pair.side(side).way)] += pair.a.way != pair.b.way
        x[row, -1] = 1.0
        outcome[row] = 0.5 if judgement.preferred is None else float(judgement.preferred == asked.first)
    penalty = np.full(x.shape[1], _WAY_RIDGE)
    w = ridged_logistic(x, outcome, penalty=penalty)
    p = sigmoid(x @ w)
    centring = np.eye(len(names), len(w)) - np.append(np.ones(len(names)), 0.0) / len(names)
    reached = centring @ np.linalg.inv(information(x, p, penalty=penalty))
    alone = np.einsum("wc,wc->w", reached, centring)
    shared = _shared([pair for pair, _ in told], (outcome - p)[:, None] * x)
    strengths = centring @ w
    errors = np.sqrt(alone + np.maximum(np.einsum("wc,cd,wd->w", reached, shared, reached), 0.0))
    found = [
        Way(name, int(n), Effect(float(strength), float(error)))
        for name, n, strength, error in zip(names, counts, strengths, errors, strict=True)
    ]
    return tuple(sorted(found, key=lambda way: -way.strength.weight))


def _shared(pairs: Sequence[Pair], scores: Float[np.ndarray, "n columns"]) -> Float[np.ndarray, "columns columns"]:
    """What the scores of answers to one pair have in common: products of every two, over all pairs."""
    numbers = {pair: number for number, pair in enumerate(dict.fromkeys(pairs))}
    sums = np.zeros((len(numbers), scores.shape[1]))
    np.add.at(sums, [numbers[pair] for pair in pairs], scores)
    return np.asarray(sums.T @ sums - scores.T @ scores)


def _missing(learned: Learned, ways: Sequence[Way], config: RewardModelConfig, *, n_compared: int) -> dict[str, int]:
    """More judgements needed: to learn a reward, to know that it beats a coin, to tell the two best ways apart.

    Standard errors shrink with the square root of the number of judgements; so where an effect is z standard errors
    from nothing and Z are needed, it takes (Z / z)^2 times the judgements, and as many times the pairs; of ways, those
    that compare them.
    """
    n = max(learned.n_judgements, 1.0)
    missing = {"to learn a reward": max(int(np.ceil(config.min_judgements - learned.n_judgements)), 0)}
    if learned.trial is not None and learned.status == "no taste":
        hinted = learned.trial.by_chance <= _HINT and learned.trial.accuracy > 0.5
        missing["to tell it from a coin"] = _more(n, float(norm.isf(learned.trial.by_chance))) if hinted else -1
    if len(ways) >= 2:
        one, two = ways[0].strength, ways[1].strength
        missing["to tell the two best ways apart"] = _more(
            max(float(n_compared), 1.0), (one.weight - two.weight) / float(np.hypot(one.error, two.error))
        )
    return missing


def _more(n: float, z: float) -> int:
    """How many more than n, given z; -1 where nothing is to be seen: it would take more than ``_TOO_MANY`` n."""
    if z * np.sqrt(_TOO_MANY + 1.0) < Z:
        return -1
    return max(int(np.ceil(n * ((Z / z) ** 2 - 1.0))), 0)
