"""The cheapest way through the places of an edit that meets what is asked.

Conventions: costs have no unit; one is about a bad join. With ``CHANGED`` for a beat of the edit that no longer plays,
and for one that did not play before, ``NEW_JOIN + JOIN * c`` for a join that was not there (c as in
``costs``), and so much per beat for missing the length, the cost of a way is their sum; the edit itself costs 0.
Of a draft its own joins cost as new ones do, and every join ``DRAFT_JOIN`` instead of ``NEW_JOIN``: where nobody has
heard the edit yet two joins that are not heard are better than one that is. Of a policy's draft a changed beat costs
``MEANT``, and its length counts as one asked for.

    C[m, d + l_m] = min over n < m of C[n, d] + cost(n, m) + added(m)

over places m and lengths d, the true length riding along with its bin. Places that must play cannot be jumped over;
an anchor's place can only be reached at its time. Joins that were not there keep the count of the bar.

Source: the recurrence of Wenner et al. 2013 and radiotool (``baselines``), on the edit's own places instead of the
whole recording, which is what keeps the rest of an edit as it is.
"""

from typing import NamedTuple, no_type_check

import numba
import numpy as np
from jaxtyping import Bool, Float, Int

CHANGED, MEANT = 0.06, 0.15  # per beat; where what plays is an editor's way
NEW_JOIN, DRAFT_JOIN, JOIN = 1.0, 0.25, 6.0
MISSED, MISSED_ASKED, MISSED_EXACT = 0.03, 1.0, 3.0  # per beat of length: the edit's own, one asked for, to the sample
EDGE = 12.0  # starting or ending elsewhere than the edit: an intro and an outro are rarely given up ..
EDGE_BEAT = 0.3  # .. but for the last beats where a length is asked to the sample, each at this
_BINS_PER_BEAT = 4
_MOST_BINS = 6000  # of length, counted in 16 bits ..
_MOST_CELLS = 18_000_000  # .. of all places, 14 bytes each; on recordings of an hour a bin is a beat or two
_MOST_STEPS = 400_000_000  # of the innermost loop: some seconds


class Ways(NamedTuple):
    """From every place the places that may follow, in compressed rows."""

    first: Int[np.ndarray, " places_and_one"]
    target: Int[np.ndarray, " ways"]
    cost: Float[np.ndarray, " ways"]


class Terms(NamedTuple):
    """What playing, starting and ending costs at every place, in seconds and costs."""

    length_s: Float[np.ndarray, " places"]
    cost: Float[np.ndarray, " places"]  # of playing it at all
    start: Float[np.ndarray, " places"]  # infinite where the output cannot start
    end: Float[np.ndarray, " places"]
    earliest_s: Float[np.ndarray, " places"]  # of output, when it may start to play
    latest_s: Float[np.ndarray, " places"]


class Way(NamedTuple):
    """Places in output order, and what they cost."""

    places: list[int]
    cost: float
    length_s: float


def cheapest(
    ways: Ways, terms: Terms, *, goal_s: float, per_s: float, longest_s: float, left_s: Float[np.ndarray, " places"]
) -> Way | None:
    """The way of least cost, missing ``goal_s`` counted at ``per_s``; None where there is none.

    Where a bin holds more than a beat, the ways in it are told apart by the length that they come to as well, if all
    goes on as it plays: ``left_s`` after each place.
    """
    n_places = len(terms.length_s)
    beat_s = float(np.median(terms.length_s))
    bin_s = max(beat_s / _BINS_PER_BEAT, longest_s / _most_bins(n_places))
    foreseen_per_s = per_s if bin_s > beat_s else 0.0
    n_bins = int(np.ceil(longest_s / bin_s)) + 2
    best = np.full((n_places, n_bins), np.inf, np.float32)
    length_s = np.zeros((n_places, n_bins), np.float32)
    from_place = np.full((n_places, n_bins), -1, np.int32)
    from_bin = np.full((n_places, n_bins), -1, np.int16)
    _fill(*ways, *terms, bin_s, goal_s - left_s, foreseen_per_s, best, length_s, from_place, from_bin)
    cost, place, column = np.inf, -1, -1
    for last in np.flatnonzero(terms.end < np.inf).tolist():  # row by row: the tables take most of the memory
        total = best[last] + terms.end[last] + per_s * np.abs(length_s[last] - goal_s)
        at = int(np.argmin(total))
        if total[at] < cost:
            cost, place, column = float(total[at]), last, at
    if place < 0:
        return None
    reached_s = float(length_s[place, column])
    places = []
    while place >= 0:
        places.append(place)
        place, column = int(from_place[place, column]), int(from_bin[place, column])
    return Way(places[::-1], cost, reached_s)


def fitting(n_ways: int, n_places: int, longest_s: float, beat_s: float) -> int:
    """How many ways from each place can be tried in reasonable time; all of them where that is more."""
    bins = min(longest_s / beat_s * _BINS_PER_BEAT, _most_bins(n_places))
    return max(int(_MOST_STEPS / max(bins * n_places, 1.0)), 16) if n_ways * bins > _MOST_STEPS else n_ways


def _most_bins(n_places: int) -> int:
    return max(min(_MOST_BINS, _MOST_CELLS // max(n_places, 1)), 2)


@no_type_check  # compiled, not wrapped by the checkers of tests
@numba.njit(cache=True)
def _fill(
    first, target, cost, dur, play, start, end, earliest, latest,
    bin_s, due, per_s, best, length, from_place, from_bin,
):  # fmt: skip
    """Into the caller's tables: arrays made here crash on return where Ctrl-C or SIGTERM came meanwhile."""
    n_places, n_bins = best.shape
    for n in range(n_places):
        if start[n] < np.inf and earliest[n] <= 0.0 <= latest[n]:
            at = min(max(int(dur[n] / bin_s + 0.5), 0), n_bins - 1)
            value = start[n] + play[n]
            if value < best[n, at]:
                best[n, at], length[n, at], from_place[n, at], from_bin[n, at] = value, dur[n], -1, -1
        low, high = n_bins, 0  # bins of this place that anything comes to
        for b in range(n_bins):
            if best[n, b] < np.inf:
                low, high = min(low, b), b + 1
        for k in range(first[n], first[n + 1]):  # way by way: along the rows of two places memory is read in order
            m = target[k]
            for b in range(low, high):
                here = best[n, b]
                so_far = length[n, b]
                if here == np.inf or so_far < earliest[m] or so_far > latest[m]:
                    continue
                value = here + cost[k] + play[m]
                longer = so_far + dur[m]
                at = int(longer / bin_s + 0.5)
                if at >= n_bins:
                    continue
                missed = per_s * (abs(longer - due[m]) - abs(length[m, at] - due[m]))
                if value + missed < best[m, at]:
                    best[m, at], length[m, at], from_place[m, at], from_bin[m, at] = value, longer, n, b


def blocked(must: Bool[np.ndarray, " places"]) -> Int[np.ndarray, " places"]:
    """For every place the last one that may follow it: no place that must play is jumped over."""
    n_places = len(must)
    last = np.full(n_places, n_places - 1)
    following = n_places - 1
    for place in range(n_places - 1, -1, -1):
        last[place] = following
        if must[place]:
            following = place
    return last
