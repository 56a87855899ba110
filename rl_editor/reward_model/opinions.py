"""Judgements and ratings as comparisons of summaries.

A judgement of a pair counts once, a tie as half a win for each; "can't tell" says nothing. Anchors only tell of the
listener: who chooses their good side so rarely that a coin would in ``CONTRARY`` of cases has the buttons the wrong way
round or listens for something else, and is left out. Ratings by one listener of edits of one song become comparisons
of every two that differ; each counts 1 / (ratings - 1), so that n ratings weigh about as much as n / 2 judgements.

What is held out or resampled only as a whole (``Preference.group``) is a song; of fewer than ``FEW_SONGS``, a pair of
edits, whoever judged it and however often. What is learned then holds for other pairs of these songs.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rl_editor.errors import DatasetError
from rl_editor.judgements import Heard, Judgement, Pair
from rl_editor.judgements.sets import ListeningSet, Preferences
from rl_editor.reward import SUMMARY_NAMES
from rl_editor.reward_model.model import Preference

FEW_SONGS = 8  # below, songs are too few to tell a taste from a coin
CONTRARY = 0.05  # chance of so few good sides of anchors, or fewer, by tossing a coin


class Anchored(NamedTuple):
    """How a listener decided between the sides of anchors."""

    good: int  # answers for the good side
    n: int  # for either side

    @property
    def contrary(self) -> bool:
        """Whether the broken side was chosen more often than a coin would."""
        return sum(comb(self.n, k) for k in range(self.good + 1)) <= CONTRARY * 2.0**self.n


def opinions(collected: Iterable[Preferences], *, without: Collection[str] | None = None) -> list[Preference]:
    """Every comparison that answers hold, judgements before ratings within each set.

    Args:
        collected: sets and the answers to them.
        without: listeners who are left out; None looks for the contrary ones.

    Raises:
        DatasetError: a set knows less of its edits than the reward model needs.
    """
    found: list[Preference] = []
    collected = list(collected)
    for each in collected:
        found += judged(each) + rated(each)
    without = contrary(collected) if without is None else without
    found = [p for p in found if p.listener not in without]
    return found if len({p.group for p in found}) >= FEW_SONGS else [p._replace(group=_pair(p)) for p in found]


def contrary(collected: Iterable[Preferences]) -> dict[str, Anchored]:
    """Listeners who prefer the broken side of anchors, by name, sorted."""
    found = {name: Anchored(sum(chosen), len(chosen)) for name, chosen in sorted(_anchors(collected).items())}
    return {name: anchored for name, anchored in found.items() if anchored.contrary}


def _anchors(collected: Iterable[Preferences]) -> dict[str, list[bool]]:
    """Of every listener, for each decided anchor whether its good side was chosen."""
    found: dict[str, list[bool]] = defaultdict(list)
    for each in collected:
        anchors = {pair.pair_id for pair in each.listening_set.pairs if pair.kind == "anchor"}
        for judgement in each.judgements:
            asked = judgement.presentation
            if asked.pair_id in anchors and judgement.preferred is not None:
                found[asked.listener].append(judgement.preferred == "a")
    return found


def _pair(preference: Preference) -> str:
    """The two edits, in either order; for ratings, which compare an edit with several, the song."""
    sides = sorted(side.tobytes().hex() for side in (preference.first, preference.second))
    return " ".join([preference.group, *sides]) if preference.ordered else preference.group


def judged(collected: Preferences) -> list[Preference]:
    """Judgements of pairs."""
    columns = columns_of(collected.listening_set)
    pairs = {pair.pair_id: pair for pair in collected.listening_set.pairs}
    return [
        comparison(pairs[j.presentation.pair_id], j, columns)
        for j in collected.judgements
        if j.choice != "unsure" and pairs[j.presentation.pair_id].kind == "pair"
    ]


def rated(collected: Preferences) -> list[Preference]:
    """Ratings of whole edits, two and two."""
    columns = columns_of(collected.listening_set)
    edits = {heard.edit_id: heard for heard in collected.listening_set.whole}
    together = defaultdict(list)
    for rating in collected.ratings:
        together[rating.listener, edits[rating.edit_id].song].append(rating)
    found = []
    for (listener, song), ratings in together.items():
        for one, two in combinations(ratings, 2):
            if one.rating == two.rating:
                continue
            a, b = edits[one.edit_id], edits[two.edit_id]
            found.append(
                Preference(
                    _summary(a, columns),
                    _summary(b, columns),
                    one.rating > two.rating,
                    listener=listener,
                    louder_db=louder_db(a, b),
                    group=song,
                    weight=1.0 / (len(ratings) - 1),
                    ordered=False,
                )
            )
    return found


def comparison(pair: Pair, judgement: Judgement, columns: Sequence[int]) -> Preference:
    """One judgement, in the order in which the sides were presented."""
    asked = judgement.presentation
    first, second = pair.side(asked.first), pair.side(asked.second)
    chosen = None if judgement.preferred is None else judgement.preferred == asked.first
    return Preference(
        _summary(first, columns),
        _summary(second, columns),
        chosen,
        listener=asked.listener,
        louder_db=louder_db(first, second),
        group=pair.song,
    )


def louder_db(one: Heard, other: Heard) -> float:
    """By how much one was louder as heard; 0 where it was not measured."""
    if one.loudness_lufs is None or other.loudness_lufs is None:
        return 0.0
    return one.loudness_lufs - other.loudness_lufs


def columns_of(found: ListeningSet) -> list[int]:
    """Where the reward's summary lies in a set's summaries.

    Raises:
        DatasetError: something is missing there.
    """
    if missing := missing_columns(found):
        raise DatasetError(
            f"{found.name}: its summaries lack {', '.join(missing)}; it was made by another version: "
            "make the set again with rl-editor candidates"
        )
    return [found.summary_names.index(name) for name in SUMMARY_NAMES]


def missing_columns(found: ListeningSet) -> list[str]:
    """What a set's summaries lack."""
    return [name for name in SUMMARY_NAMES if name not in found.summary_names]


def _summary(heard: Heard, columns: Sequence[int]) -> Float[np.ndarray, " summary"]:
    return np.array([heard.summary[column] for column in columns], np.float64)
