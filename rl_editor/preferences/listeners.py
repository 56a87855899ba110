"""What may be concluded from one listener's answers: attention, habits, and whether they lasted.

How sure shares of answers are, and whether they changed, is said in ``measures``; how habits are told from a taste, in
``listener_habits``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from rl_editor.judgements import Judgement, Pair
from rl_editor.preferences.listener_habits import habits_of
from rl_editor.preferences.measures import Effect, Halves, KeyAfter, Share, fell, rounded, unlike
from rl_editor.preferences.turning import turned
from rl_editor.reward_model.model import Preference
from rl_editor.reward_model.opinions import Anchored, louder_db

_SAME_LENGTH = 0.002  # difference of log lengths below which neither is longer: a tenth of a second in a minute
_SAME_LOUDNESS_DB = 0.1
_T = TypeVar("_T")
_SHARES = ("repeats", "anchors", "first", "played_first", "longer", "louder")


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
        habits: what choosing by each of ``HABITS`` weighs.
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
    return by_music and more and unlike(between, own, n_tests=n_tests)


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
        habits=habits_of(opinions, [_sounded(j) for _, j in said]),
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
    return counts | shares | {"habits": habits, "halves": halves, "median_s": rounded(each.median_s)}
