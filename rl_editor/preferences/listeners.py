"""What may be concluded from one listener's answers: attention, habits, and whether they lasted.

Shares come with Wilson's interval (95 %). Habits are weights in a logistic regression of the listener's answers on the
features of the reward model, what came first, which was longer and which was louder, so that a taste that happens to
go with length is not taken for a habit; a habit is *sure* where leaving it out costs the likelihood what ``SURE``
standard errors would. Of n answers and k weights, 1 - k / n of that cost counts: chance alone gains more where answers
are few for each weight (Sur & Candes 2019, "A modern maximum-likelihood theory for high-dimensional logistic
regression"). What sounded first is up to the listener, and mostly the side that was put first: the habit of
choosing it is looked for beside the three, and takes part in their fit only where it is sure; else the order explains
what the two have in common. Whether the earlier half of the answers differs from the later is said by Fisher's exact
test, as surely.

Whether attention fell is looked for wherever it began to: with the anchors of a listener ranked in time, 1 to m, and
likewise the repeats,

    z = sum over both of (R - k (m + 1) / 2) / sqrt(sum over both of k (m - k) (m + 1) / 12)

where R are the ranks of the k that were missed, added up (Wilcoxon's rank sum, in strata: van Elteren 1960).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float
from scipy.stats import fisher_exact, norm

from rl_editor.judgements import Judgement, Pair
from rl_editor.preferences.turning import turned
from rl_editor.reward import SUMMARY_NAMES
from rl_editor.reward_model import bradley_terry
from rl_editor.reward_model.bradley_terry import information, ridged_logistic, sigmoid
from rl_editor.reward_model.model import Preference, feature_differences
from rl_editor.reward_model.opinions import Anchored, louder_db

HABITS = (*bradley_terry.HABITS, "played_first")
"""Those that the reward is fitted beside, and what sounded first."""
LEVEL = 0.95
SURE = 2.58  # standard errors: one in a hundred by chance
Z = float(norm.ppf((1 + LEVEL) / 2))
_RIDGE, _HABIT_RIDGE = 1.0, 0.01
_SAME_LENGTH = 0.002  # difference of log lengths below which neither is longer: a tenth of a second in a minute
_SAME_LOUDNESS_DB = 0.1
_T = TypeVar("_T")
_SHARES = ("repeats", "anchors", "first", "played_first", "longer", "louder")


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
        centre = (self.value + Z**2 / (2 * self.n)) / (1 + Z**2 / self.n)
        half = Z * np.sqrt(self.value * (1 - self.value) / self.n + (Z / (2 * self.n)) ** 2) / (1 + Z**2 / self.n)
        return max(float(centre - half), 0.0), min(float(centre + half), 1.0)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; None for what is not known."""
        low, high = self.interval
        return {"k": self.k, "n": self.n, "share": _known(self.value), "low": _known(low), "high": _known(high)}


class Effect(NamedTuple):
    """A weight in log odds, its standard error, and twice what it adds to the log likelihood beyond chance."""

    weight: float
    error: float
    deviance: float = 0.0

    @property
    def sure(self) -> bool:
        """Not 0 by chance, by the likelihood ratio: a habit without exception has no standard error."""
        return self.deviance > SURE**2


class Halves(NamedTuple):
    """A share in the first half of a listener's answers, and in the second."""

    early: Share
    late: Share

    @property
    def differ(self) -> bool:
        """More than by chance, by Fisher's exact test."""
        return _unlike(self.early, self.late)


class KeyAfter(NamedTuple):
    """Answers for A right after one for A, and right after one for B; sides are drawn, so a taste has them alike."""

    first: Share
    second: Share

    @property
    def depends(self) -> bool:
        """More than by chance, by Fisher's exact test: a key sticks, or keys alternate."""
        return _unlike(self.first, self.second)


def _unlike(one: Share, other: Share, *, n_tests: int = 1) -> bool:
    table = [[share.k, share.n - share.k] for share in (one, other)]
    return bool(fisher_exact(table).pvalue < 2 * norm.sf(SURE) / n_tests)


def fell(*kinds: Sequence[bool]) -> bool:
    """Whether what was right earlier is wrong later, more than by chance in as many cases as two-sided ``SURE`` allows.

    Args:
        kinds: of questions, as anchors and repeats; right or wrong, oldest first. They are compared each with its own.
    """
    by_how_much, variance = 0.0, 0.0
    for right in kinds:
        missed, m = 1 + np.flatnonzero(~np.array(right, bool)), len(right)
        by_how_much += float(missed.sum() - len(missed) * (m + 1) / 2)
        variance += len(missed) * (m - len(missed)) * (m + 1) / 12
    return by_how_much > float(norm.isf(2 * norm.sf(SURE))) * float(np.sqrt(variance))


@dataclass(frozen=True)
class ListenerReport:
    """One listener.

    Attributes:
        name: of the listener.
        n: judgements of pairs and anchors, repeats included.
        n_same: "no difference".
        n_unsure: "can't tell".
        repeats: answers given again alike.
        n_repeats_same: those that were "no difference" both times.
        repeats_decided: of repeats of which one side was chosen both times, those where it was the same.
        anchors: anchors whose good side was chosen.
        n_anchors_same: those of which "no difference" was said.
        first: decided answers for what was presented first.
        played_first: decided answers for what sounded first, where that is known.
        longer: decided answers for the longer side, where one is.
        louder: and for the louder one.
        habits: order and what sounded first (log odds), length (per standard deviation of its difference), loudness
            (per dB).
        halves: of ``attention`` (anchors told, repeats answered alike), of ``anchors`` alone and of ``first``.
        key_after: whether an answer's key goes with the one pressed before, anchors included.
        tired: whether attention fell, at once or by and by (``fell``).
        turned: whether the second half of the answers follows another taste (``turning``).
        median_s: of the time an answer took.
    """

    name: str
    n: int
    n_same: int
    n_unsure: int
    repeats: Share
    n_repeats_same: int
    repeats_decided: Share
    anchors: Share
    n_anchors_same: int
    first: Share
    played_first: Share
    longer: Share
    louder: Share
    habits: dict[str, Effect]
    halves: dict[str, Halves]
    key_after: KeyAfter
    tired: bool
    turned: bool
    median_s: float

    @property
    def contrary(self) -> bool:
        """Whether the broken side of anchors is preferred, for which the reward leaves a listener out."""
        return Anchored(self.anchors.k, self.n_anchors_decided).contrary

    @property
    def by_place(self) -> bool:
        """Whether sides are chosen by where they are, or by which sounded first."""
        return self.habits["order"].sure or self.habits["played_first"].sure

    @property
    def n_anchors_decided(self) -> int:
        """Anchors of which one side was chosen."""
        return self.anchors.n - self.n_anchors_same

    @property
    def repeats_told(self) -> Share:
        """Repeats answered alike, without those that were "no difference" both times."""
        return Share(self.repeats.k - self.n_repeats_same, self.repeats.n - self.n_repeats_same)

    @property
    def told(self) -> Share:
        """Anchors told and repeats answered alike, without repeats that were "no difference" both times."""
        return Share(self.anchors.k + self.repeats_told.k, self.anchors.n + self.repeats_told.n)


def agree_beyond_themselves(between: Share, one: ListenerReport, other: ListenerReport, *, n_tests: int) -> bool:
    """Whether two listeners chose alike more often than each does when asked again, more than by chance.

    Two who answer for themselves, however alike their tastes, do so at most as often: with p and q their chances to
    choose one side of a pair, the mean of ``p q + (1 - p)(1 - q)`` is at most that of both with themselves. It holds
    of who goes by the music, as repeats have their sides exchanged.

    Args:
        between: pairs that both decided, and those where they chose the same edit.
        one: listener.
        other: likewise.
        n_tests: how many twos are compared so.
    """
    own = Share(*(sum(counts) for counts in zip(one.repeats_decided, other.repeats_decided, strict=True)))
    by_music = not (one.by_place or other.by_place)
    more = bool(between.n and own.n) and between.value > own.value
    return by_music and more and _unlike(between, own, n_tests=n_tests)


def listener_report(
    name: str,
    asked: Sequence[tuple[Pair, Judgement]],
    opinions: Sequence[Preference],
    generator: np.random.Generator,
) -> ListenerReport:
    """What the answers say of who gave them.

    Args:
        name: of the listener.
        asked: every answer with its pair, oldest first.
        opinions: those of pairs that say something, in the same order.
        generator: draws what ``turning`` compares with.
    """
    mine = [judgement for _, judgement in asked]
    anchors = [j for pair, j in asked if pair.kind == "anchor" and j.choice != "unsure"]
    seconds = [j.seconds for j in mine if j.seconds > 0]
    again, told = _repeats(asked), [(j, j.preferred == "a") for j in anchors]
    repeats = [(two, one.preferred == two.preferred) for one, two in again]
    said = [(pair, j) for pair, j in asked if pair.kind == "pair" and j.choice != "unsure"]
    decided = [(pair, j) for pair, j in said if j.preferred is not None]
    return ListenerReport(
        name=name,
        n=len(mine),
        n_same=sum(j.choice == "same" for j in mine),
        n_unsure=sum(j.choice == "unsure" for j in mine),
        repeats=_share([alike for _, alike in repeats]),
        n_repeats_same=sum(alike and j.choice == "same" for j, alike in repeats),
        repeats_decided=_share(
            [one.preferred == two.preferred for one, two in again if one.preferred and two.preferred]
        ),
        anchors=_share([right for _, right in told]),
        n_anchors_same=sum(j.choice == "same" for j in anchors),
        first=_share([j.choice == "first" for _, j in decided]),
        played_first=_share_for(decided, _played_first, 0.0),
        longer=_share_for(decided, _longer_by, _SAME_LENGTH),
        louder=_share_for(decided, _louder_by, _SAME_LOUDNESS_DB),
        habits=_habits(opinions, [_sounded(j) for _, j in said]),
        halves={
            "attention": _halves(mine, told + repeats),
            "anchors": _halves(mine, told),
            "first": _halves(mine, [(j, j.choice == "first") for _, j in decided]),
        },
        key_after=_key_after(mine),
        tired=fell(_in_time(told), _in_time(repeats)),
        turned=turned(_in_time([(j, p) for (_, j), p in zip(said, opinions, strict=False)]), generator),
        median_s=float(np.median(seconds)) if seconds else float("nan"),
    )


def _share(said: Sequence[bool]) -> Share:
    return Share(sum(said), len(said))


def _halves(mine: Sequence[Judgement], said: Sequence[tuple[Judgement, bool]]) -> Halves:
    """What was said with the first half of all answers, and with the second."""
    mine = sorted(mine, key=lambda j: j.at)  # of several sets, whichever was judged first
    early = {j.presentation.presentation_id for j in mine[: len(mine) // 2]}
    in_early = [(j.presentation.presentation_id in early, right) for j, right in said]
    return Halves(*(_share([right for is_early, right in in_early if is_early is half]) for half in (True, False)))


def _key_after(mine: Sequence[Judgement]) -> KeyAfter:
    in_time = [j.choice for j in sorted(mine, key=lambda j: j.at)]
    follows = [(one, two == "first") for one, two in pairwise(in_time) if two in ("first", "second")]
    return KeyAfter(*(_share([a for one, a in follows if one == before]) for before in ("first", "second")))


def _in_time(said: Sequence[tuple[Judgement, _T]]) -> list[_T]:
    """What goes with answers, oldest first; of several sets, whichever was judged first."""
    return [each for _, each in sorted(said, key=lambda each: each[0].at)]


def _repeats(asked: Sequence[tuple[Pair, Judgement]]) -> list[tuple[Judgement, Judgement]]:
    """First answers, and those to the same pairs asked again.

    Sets of one song share names of pairs.
    """
    earlier = {pair: j for pair, j in asked if not j.presentation.repeat}
    again = [(earlier[pair], j) for pair, j in asked if j.presentation.repeat and pair in earlier]
    return [(one, two) for one, two in again if "unsure" not in (one.choice, two.choice)]


def _share_for(
    decided: Sequence[tuple[Pair, Judgement]], by_how_much: Callable[[Pair, Judgement], float], least: float
) -> Share:
    """Answers for side a where it has more of something than b by ``least``, for b where it has less."""
    told = [(by_how_much(pair, j), j.preferred) for pair, j in decided]
    told = [(d, side) for d, side in told if abs(d) > least]
    return _share([(d > 0) == (side == "a") for d, side in told])


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
    return louder_db(pair.a, pair.b)


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
    few = max(1.0 - x.shape[1] / len(x), 0.0)  # with few answers for each weight, chance gains more likelihood
    penalty = np.array([_RIDGE] * features.shape[1] + [_HABIT_RIDGE] * len(habits))
    w = ridged_logistic(x, outcome, penalty=penalty)
    errors = np.sqrt(np.diag(np.linalg.inv(information(x, sigmoid(x @ w), penalty=penalty))))
    found = {}
    for column, name in enumerate(habits, start=features.shape[1]):
        rest = np.delete(x, column, axis=1)
        without = ridged_logistic(rest, outcome, penalty=np.delete(penalty, column))
        deviance = 2.0 * few * (_log_likelihood(x @ w, outcome) - _log_likelihood(rest @ without, outcome))
        found[name] = Effect(float(w[column]), float(errors[column]), deviance)
    return found


def _log_likelihood(logits: Float[np.ndarray, " n"], outcome: Float[np.ndarray, " n"]) -> float:
    return float(outcome @ logits - np.logaddexp(0.0, logits).sum())


def _lengths(summaries: Float[np.ndarray, "n summary"]) -> Float[np.ndarray, " n"]:
    return np.asarray(np.maximum(summaries[:, SUMMARY_NAMES.index("output_share")], 1e-3))


def _standardised(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    deviation = float(np.sqrt(np.square(values).mean()))
    return np.asarray(values / deviation if deviation > 1e-9 else values)


def listener_to_dict(each: ListenerReport) -> dict[str, Any]:
    """Plain values, for JSON."""
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
    counts |= {"repeats_same": each.n_repeats_same, "repeats_decided": each.repeats_decided.to_dict()}
    counts |= {"anchors_same": each.n_anchors_same, "contrary": each.contrary}
    halves = {
        name: {"early": half.early.to_dict(), "late": half.late.to_dict(), "differ": half.differ}
        for name, half in each.halves.items()
    }
    key_after = {before: share.to_dict() for before, share in each.key_after._asdict().items()}
    counts |= {"tired": each.tired, "turned": each.turned, "key_after": key_after | {"depends": each.key_after.depends}}
    return counts | shares | {"habits": habits, "halves": halves, "median_s": _known(each.median_s)}


def _known(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None
