"""Do two listeners want the same? One reward for two who want opposite things is nobody's taste.

Of two listeners k and l, with s_kg the scores of k's answers on the songs g as in ``chance`` (features less what k's
own habits explain, in the metric of all answers) and r_ki what k's habits leave unexplained of the answer to a pair i
that both judged, above 0 for one of its edits,

    T = (sum_g s_kg) . (sum_g s_lg),        U = sum_i r_ki r_li

are above 0 where their answers point the same way and below where they point opposite ways: T whatever pairs they
judged, U whatever they listen for. If one of the two has no taste the answers point either way by a coin; so T is
compared with what it is under draws of a sign for every song (of l, and of k: the larger chance counts), and U under
draws for every pair.

How much they have in common is said in two ways: the share of pairs that both decided where they chose the same edit;
and the share of each one's decided answers that a taste fitted on the other's alone predicts, both ways together, with
percentiles over songs drawn with replacement. A half is nothing in common.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rl_editor.reward_model.chance import ALIKE, FLIPS, beyond_habits, flips, song_scores
from rl_editor.reward_model.model import Preference, RewardModel, groups_of
from rl_editor.reward_model.trials import predicted_right, share_interval

LEAST = 20  # decided answers of each, below which nothing is said
OPPOSED = 0.01  # of sessions in which two listeners have nothing in common; shared among all twos


class Accord(NamedTuple):
    """What two listeners have in common."""

    one: str
    other: str
    n_alike: int  # pairs of which both chose the same edit
    n_both: int  # of so many that both decided
    predicted: float  # share of each one's answers that the other's taste predicts
    low: float
    high: float
    opposed: bool  # more than by chance, and most of the answers


def accords(preferences: Sequence[Preference], generator: np.random.Generator) -> list[Accord]:
    """Of every two listeners with answers enough, in order of their names.

    Args:
        preferences: of all listeners.
        generator: draws signs and songs.
    """
    by_listener: dict[str, list[Preference]] = defaultdict(list)
    for preference, group in zip(preferences, groups_of(preferences), strict=True):
        by_listener[preference.listener].append(preference._replace(group=group))
    enough = [name for name, mine in sorted(by_listener.items()) if len(_decided(mine)) >= LEAST]
    if len(enough) < 2:
        return []
    names, songs = sorted(by_listener), sorted(set(groups_of(preferences)))
    scores = dict(zip(names, song_scores(preferences), strict=True))
    beyond = _by_pair(preferences, beyond_habits(preferences))
    right = {name: _predicted_by(by_listener[name], by_listener, enough) for name in enough}
    twos = list(combinations(enough, 2))
    found = []
    for one, other in twos:
        signs = flips(len(songs), generator)
        by_taste = max(_chance(signs, scores[a] @ scores[b].sum(0)) for a, b in ((one, other), (other, one)))
        products = _products(beyond[one], beyond[other])
        by_pairs = _chance(generator.choice([-1.0, 1.0], size=(FLIPS, len(products))), products)
        n_alike, n_both = _alike(_decided(by_listener[one]), _decided(by_listener[other]))
        share, low, high = _share([right[one][other], right[other][one]], generator)
        chance = 2.0 * min(by_taste, by_pairs)
        against = chance <= OPPOSED / len(twos) and share < 0.5
        found.append(Accord(one, other, n_alike, n_both, share, low, high, against))
    return found


def opposed(found: Sequence[Accord]) -> str:
    """Who wants opposite things, in words; nothing where nobody does."""
    twos = [f"{each.one} and {each.other}" for each in found if each.opposed]
    return f"{', '.join(twos)} want opposite things" if twos else ""


def _decided(mine: Sequence[Preference]) -> list[Preference]:
    return [p for p in mine if p.ordered and p.first_preferred is not None]


def _chance(signs: Float[np.ndarray, "flips songs"], along: Float[np.ndarray, " songs"]) -> float:
    """How often songs turned by signs add up to as little as they do unturned."""
    sums = signs @ along
    return float((sums <= along.sum() + (1.0 - ALIKE) * np.abs(along).sum()).mean())


class _Asked(NamedTuple):
    """A pair of edits, in either order: edits are known by their summaries."""

    song: str
    one: bytes
    other: bytes


def _asked(preference: Preference) -> _Asked:
    return _Asked(preference.group, *sorted((preference.first.tobytes(), preference.second.tobytes())))


def _by_pair(preferences: Sequence[Preference], beyond: Float[np.ndarray, " n"]) -> dict[str, dict[_Asked, float]]:
    """Of every listener and pair, what habits leave unexplained, above 0 for its ``one``; repeats on average."""
    said: dict[str, dict[_Asked, list[float]]] = defaultdict(lambda: defaultdict(list))
    for preference, group, each in zip(preferences, groups_of(preferences), beyond.tolist(), strict=True):
        pair = _asked(preference._replace(group=group))
        if preference.ordered:
            said[preference.listener][pair].append(each if preference.first.tobytes() == pair.one else -each)
    return {name: {pair: sum(all_) / len(all_) for pair, all_ in mine.items()} for name, mine in said.items()}


def _products(one: Mapping[_Asked, float], other: Mapping[_Asked, float]) -> Float[np.ndarray, " pairs"]:
    return np.array([one[pair] * other[pair] for pair in sorted(one.keys() & other.keys())])


def _alike(one: Sequence[Preference], other: Sequence[Preference]) -> tuple[int, int]:
    """Of pairs that both decided, how many alike, and how many; the first answer to each counts."""
    mine, theirs = _chosen(one), _chosen(other)
    both = mine.keys() & theirs.keys()
    return sum(mine[pair] == theirs[pair] for pair in both), len(both)


def _chosen(said: Sequence[Preference]) -> dict[_Asked, bytes]:
    """The edit that was chosen of each pair."""
    found: dict[_Asked, bytes] = {}
    for each in said:
        found.setdefault(_asked(each), (each.first if each.first_preferred else each.second).tobytes())
    return found


class _Right(NamedTuple):
    """Of one song, how many answers were predicted right, and of how many."""

    right: float
    n: int


def _predicted_by(
    mine: Sequence[Preference], by_listener: Mapping[str, Sequence[Preference]], names: Sequence[str]
) -> dict[str, dict[str, _Right]]:
    """What one listener's taste predicts of the others' answers, by their names and songs."""
    model = RewardModel(n_members=0)
    model.fit(mine, np.random.default_rng(0), least=1)
    found = {}
    for name in names:
        theirs = _decided(by_listener[name])
        better_by = model.better_by(theirs)
        outcome = np.array([bool(p.first_preferred) for p in theirs])
        songs: dict[str, _Right] = {}
        for preference, each in zip(theirs, predicted_right(better_by, outcome).tolist(), strict=True):
            before = songs.get(preference.group, _Right(0.0, 0))
            songs[preference.group] = _Right(before.right + each, before.n + 1)
        found[name] = songs
    return found


def _share(both_ways: Sequence[Mapping[str, _Right]], generator: np.random.Generator) -> tuple[float, float, float]:
    """Predicted right, and its interval over songs."""
    songs = sorted({song for way in both_ways for song in way})
    counts = np.array([np.sum([way.get(song, _Right(0.0, 0)) for way in both_ways], axis=0) for song in songs])
    right, n = counts.sum(0)
    return float(right / n), *share_interval(counts, generator)
