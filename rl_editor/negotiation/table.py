"""An edit over its recording, to be solved for one demand after another: its places, and all the ways through them.

Conventions: as in ``negotiation``; places are those of ``score``, ways those of ``paths``.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal

import numpy as np
from jaxtyping import Int

from rl_editor.config import Config
from rl_editor.edits import EditList, Segment
from rl_editor.negotiation import paths
from rl_editor.negotiation.costs import Costs
from rl_editor.negotiation.demands import Anchor, Demands
from rl_editor.negotiation.pace import at_pace
from rl_editor.negotiation.paths import Terms, Way, Ways, blocked, cheapest, fitting
from rl_editor.negotiation.placing import comes_back, nearest_bounds
from rl_editor.negotiation.results import NewJoin, Revised, spans_changed
from rl_editor.negotiation.score import AROUND_BARS, Cut, written_out
from rl_editor.negotiation.wanted import Wanted, anchored, wanted
from rl_editor.state import AudioState

Draft = Literal["", "rough", "meant"]
"""What an edit is before it is changed: finished (""), so that its joins stay; a rough draft, whose joins may move
wherever they are heard less; or a policy's, where so they may, but what plays, and how long, is an editor's way."""

_LONG_PLACES = 2000
_NEAREST = 1000.0  # per beat beside the time asked for: above all else that a way may cost
_MOST_PAIRS = 16_000_000  # of bars to join: of four hours at 120 beats a minute some 50 million, and gigabytes


class Table:
    """One edit over one recording, to be solved many times over."""

    def __init__(
        self,
        edit: EditList,
        state: AudioState,
        config: Config,
        costs: Costs,
        *,
        draft: Draft,
        repeats: bool,
        less_s: float = 0.0,
        around_bars: int = AROUND_BARS,
    ) -> None:
        self.edit, self.state, self.config, self.grid = edit, state, config, state.grid
        self._draft, self._repeats, self._less_s, self._around_bars = draft, repeats, less_s, around_bars
        self._per_beat = paths.MEANT if draft == "meant" else paths.CHANGED
        self._per_join = paths.DRAFT_JOIN if draft else paths.NEW_JOIN
        self._other: Table | None = None
        self.score = written_out(edit, state.grid, repeats=repeats, around_bars=around_bars)
        self.played_s = edit.duration_s - sum(segment.frames for segment in self.score.ending) / edit.source.sample_rate
        self.costs = costs
        self.beat_s = np.diff(state.grid.times_s) / self.score.speed
        self.typical_s = state.grid.beat_s / self.score.speed
        self.leave, self.land, self.join = self._new_joins()
        self.straight = self._straight()
        self.old = np.array(list(self.score.joins), int).reshape(-1, 2)
        self.own = np.zeros(len(self.old))
        if draft:
            leave, land = self.score.beat[self.old[:, 0]] + 1, self.score.beat[self.old[:, 1]]
            self.own = self._per_join + paths.JOIN * self.costs.between(leave, land)

    def _new_joins(self) -> tuple[Int[np.ndarray, " joins"], Int[np.ndarray, " joins"], np.ndarray]:
        """Joins in order of places that keep the count of the bar, and their costs; long edits join at bars alone.

        Those of hours join at every second bar, or third ..
        """
        score, metre = self.score, self.grid.beats_per_bar
        number = self.grid.bar_position[score.beat]
        leaves, lands = [], []
        for phase in range(metre) if score.n_places <= _LONG_PLACES else (metre - 1,):
            ends, starts = np.flatnonzero(number == phase), np.flatnonzero(number == (phase + 1) % metre)
            step = math.ceil(math.sqrt(len(ends) * len(starts) / _MOST_PAIRS))
            a, b = np.meshgrid(ends[:: max(step, 1)], starts[:: max(step, 1)], indexing="ij")
            ahead = (b > a) & (score.beat[b] != score.beat[a] + 1)
            leaves.append(a[ahead])
            lands.append(b[ahead])
        leave, land = np.concatenate(leaves), np.concatenate(lands)
        cost = self.costs.between(score.beat[leave] + 1, score.beat[land])
        order = np.argsort(leave, kind="stable")
        return leave[order], land[order], cost[order]

    def solve(self, demands: Demands) -> Way | None:
        """The cheapest way, where nothing may be moved the cheaper of two in order; None where there is none.

        Where it may repeat as the table may not, it is another's.
        """
        if demands.no_loop == self._repeats and not self._is_in_order():
            return self._repeating_otherwise().solve(demands)
        way = self._solve(demands)
        if way is None or not demands.no_reorder or not _out_of_order(self.score.beat, way.places):
            return way
        ways = (self._in_order(demands, way, in_time=in_time) for in_time in (False, True))
        return min((way for way in ways if way is not None), key=lambda way: way.cost, default=None)

    def _in_order(self, demands: Demands, way: Way | None, *, in_time: bool) -> Way | None:
        """From ``way``, one in the source's order: what would come late does not play.

        Or, ``in_time``, it plays before as well, where the edit has it first; or else what is ahead of it does not.
        """
        beat, playing = self.score.beat, np.flatnonzero(self.score.played)
        barred: list[int] = []
        required: list[int] = []
        while way is not None and (late := _out_of_order(beat, way.places)):
            for place in late:
                before = playing[(playing < place) & (beat[playing] == beat[place])]
                if not in_time:
                    barred.append(place)
                elif len(before):
                    required.append(int(before[0]))
                else:
                    barred += np.flatnonzero(beat[:place] > beat[place]).tolist()
            way = self._solve(demands, barred=barred, required=required)
        return way

    def _is_in_order(self) -> bool:
        """Whether the edit plays the source once and in its order: then all that it leaves out plays nowhere."""
        return bool((np.diff(self.score.beat[self.score.played]) > 0).all())

    def reaching_farther(self) -> "Table | None":
        """The same edit where joins that jump back may move twice as far; None where that opens no place.

        None of a draft either: whoever made it is asked for another.
        """
        if self._draft:
            return None
        wider = self._retold(repeats=self._repeats, around_bars=2 * self._around_bars)
        return wider if wider.score.n_places > self.score.n_places else None

    def _repeating_otherwise(self) -> "Table":
        """The same edit where repeats are allowed, or are not, as it is not here."""
        if self._other is None:
            self._other = self._retold(repeats=not self._repeats, around_bars=self._around_bars)
        return self._other

    def _retold(self, *, repeats: bool, around_bars: int) -> "Table":
        """The same edit with other places."""
        return Table(
            self.edit,
            self.state,
            self.config,
            self.costs,
            draft=self._draft,
            repeats=repeats,
            less_s=self._less_s,
            around_bars=around_bars,
        )

    def _solve(self, demands: Demands, *, barred: Sequence[int] = (), required: Sequence[int] = ()) -> Way | None:
        """The cheapest way without the barred places and with the required ones."""
        has = self.has_length(demands)  # silence at the end is part of it
        goal_s = self.played_s if demands.duration_s is None or has else demands.duration_s - self._less_s
        held = demands.duration_s is not None or (self._draft == "meant" and not demands.anchors)
        asks = wanted(self.score, self.grid, demands, self.edit.source.name)
        asks.may[list(barred)] = False
        asks.must[list(required)] = True
        if (asks.must & ~asks.may).any():
            return None
        longest_s = self._longest_s(goal_s)
        ways = self._ways(demands, asks, longest_s)
        terms = self._terms(demands, asks)
        per_beat = paths.MISSED_EXACT if demands.exact else paths.MISSED_ASKED if held else paths.MISSED
        per_s = per_beat / self.typical_s
        left_s = self.played_s - np.cumsum(np.where(self.score.played, terms.length_s, 0.0))
        return cheapest(ways, terms, goal_s=goal_s, per_s=per_s, longest_s=longest_s, left_s=left_s)

    def _longest_s(self, goal_s: float) -> float:
        """How long a way may get on its way to a length."""
        return max(goal_s, self.edit.duration_s) + 4 * self.grid.beats_per_bar * self.typical_s

    def has_length(self, demands: Demands) -> bool:
        """Whether the edit has the length asked for already, to the sample."""
        return self.edit.frames == demands.frames(self.edit.source.sample_rate)

    def _ways(self, demands: Demands, asks: Wanted, longest_s: float) -> Ways:
        score, may = self.score, asks.may
        last = blocked(asks.must)
        skipped = np.concatenate([[0], np.cumsum(score.played)])
        vetoed = [list(score.joins)[number - 1] for number in demands.vetoes]
        bars = [(int(score.beat[a]) + 1, int(score.beat[b])) for a, b in vetoed]
        bars += [nearest_bounds(self.grid.times_s, jump) for jump in demands.barred]
        stays = np.array([join not in vetoed for join in score.joins], bool)
        old, straight = self.old[stays], self.straight
        leave, land, join = self.leave, self.land, self.join
        allowed = ~comes_back(score.beat[leave] + 1, score.beat[land], bars)
        most = fitting(len(leave), score.n_places, longest_s, self.typical_s)
        if most * score.n_places < len(leave):
            order = np.lexsort((join, leave))
            number_in_row = np.arange(len(leave)) - np.searchsorted(leave[order], leave[order], "left")
            allowed[order[number_in_row >= most]] = False
        source = np.concatenate([straight[:, 0], old[:, 0], leave[allowed]])
        target = np.concatenate([straight[:, 1], old[:, 1], land[allowed]])
        new = self._per_join + paths.JOIN * join[allowed]
        cost = np.concatenate([np.zeros(len(straight)), self.own[stays], new])
        cost = cost + self._per_beat * (skipped[target] - skipped[source + 1])
        fine = (target <= last[source]) & may[source] & may[target]
        source, target, cost = source[fine], target[fine], cost[fine]
        order = np.argsort(source, kind="stable")
        first = np.searchsorted(source[order], np.arange(score.n_places + 1))
        return Ways(first, target[order], cost[order])

    def _straight(self) -> Int[np.ndarray, "ways two"]:
        """Pairs of places whose beats follow each other in the source."""
        by_beat: dict[int, list[int]] = {}
        for place, beat in enumerate(self.score.beat.tolist()):
            by_beat.setdefault(beat, []).append(place)
        pairs = [
            (place, after)
            for place, beat in enumerate(self.score.beat.tolist())
            for after in by_beat.get(beat + 1, [])
            if after > place
        ]
        return np.array(pairs, int).reshape(-1, 2)

    def _terms(self, demands: Demands, asks: Wanted) -> Terms:
        score, n_places = self.score, self.score.n_places
        played = np.concatenate([[0], np.cumsum(score.played)])
        playing = np.flatnonzero(score.played)
        place = np.arange(n_places)
        start = self._per_beat * played[:-1] + np.where(place == playing[0], 0.0, paths.EDGE)
        per_beat = paths.EDGE_BEAT if demands.exact else paths.EDGE
        short = np.where(place < playing[-1], per_beat * (played[-1] - played[1:]), paths.EDGE)
        end = self._per_beat * (played[-1] - played[1:]) + np.where(
            place == playing[-1], 0.0, np.minimum(short, paths.EDGE)
        )
        required = np.flatnonzero(asks.must)
        if len(required):
            start[required[0] + 1 :] = np.inf
            end[: required[-1]] = np.inf
        start[~asks.may], end[~asks.may] = np.inf, np.inf
        length = self.beat_s[score.beat].copy()
        rate = self.edit.source.sample_rate
        early_s = float(self.grid.times_s[score.beat[playing[0]]]) - score.start_frame / rate
        late_s = score.end_frame / rate - float(self.grid.times_s[score.beat[playing[-1]] + 1])
        length[playing[0]] += early_s / score.speed
        length[playing[-1]] += late_s / score.speed
        return Terms(length, np.where(score.played, 0.0, self._per_beat), start, end, asks.earliest_s, asks.latest_s)

    def misses(self, way: Way, demands: Demands) -> bool:
        """Whether a length is missed by more than half a bar, as anybody would hear."""
        if demands.duration_s is None or demands.exact:
            return False
        return abs(self.revised(way, demands, {}).missed_s) > self.half_bar_s

    @property
    def half_bar_s(self) -> float:
        """Half a bar of output."""
        return 0.5 * self.grid.beats_per_bar * self.typical_s

    def insisting(self, demands: Demands, way: Way) -> Way:
        """The way that comes nearest to the length asked for, at whatever else that costs; ``way`` where none does."""
        nearest = self.solve(replace(demands, exact=True))
        return way if nearest is None else nearest

    def nearest_s(self, anchor: Anchor, rest: Demands) -> float | None:
        """The time nearest to an anchor's at which what plays before its moment can have ended, beside the rest."""
        grid, name = self.grid, self.edit.source.name
        place = anchored(self.score, grid, anchor, name)
        asks = wanted(self.score, grid, rest, name)
        asks.must[place] = True
        if not asks.may[place]:
            return None
        terms, longest_s = self._terms(rest, asks), self._longest_s(anchor.output_s)
        end = np.full_like(terms.end, np.inf)
        end[place] = 0.0
        within_s = (anchor.source_s - float(grid.times_s[self.score.beat[place]])) / self.score.speed
        until_s = terms.length_s[place] - within_s  # from the moment to the end of its beat
        way = cheapest(
            self._ways(rest, asks, longest_s),
            terms._replace(end=end),
            goal_s=anchor.output_s + until_s,
            per_s=_NEAREST / self.typical_s,
            longest_s=longest_s,
            left_s=np.zeros(self.score.n_places),
        )
        return None if way is None else way.length_s - until_s

    def revised(self, way: Way, demands: Demands, price: dict[str, float]) -> Revised:
        """The way as an edit list."""
        score = self.score
        segments, new_joins = self._cut(way.places, demands)
        played = at_pace(segments, self.edit.merged())
        same_end = way.places[-1] == np.flatnonzero(score.played)[-1]
        if same_end and self._keeps_ending(demands, sum(s.frames for s in (*played, *score.ending))):
            played += score.ending
        edit = replace(self.edit.undecided(), segments=played)
        dropped_s, added_s = spans_changed(self.edit, edit)
        return Revised(
            edit=edit,
            new_joins=tuple(new_joins),
            n_joins_kept=len(segments) - 1 - len(new_joins),
            dropped_s=dropped_s,
            added_s=added_s,
            price=price,
            missed_s=0.0 if demands.duration_s is None else edit.duration_s - demands.duration_s,
        )

    def _cut(self, places: Sequence[int], demands: Demands) -> tuple[list[Segment], list[NewJoin]]:
        """What plays where these places do, at the recording's pace, and the joins that the edit does not have.

        Joins that it has, and where it begins and ends, stay to the sample; all else is cut at beats.
        """
        score, rate = self.score, self.edit.source.sample_rate
        bounds = self.edit.source.frame_bounds(self.grid.times_s)
        fade_ms = self.config.action_space.default_crossfade_ms
        first, last = np.flatnonzero(score.played)[[0, -1]]
        start = score.start_frame if places[0] == first else int(bounds[score.beat[places[0]]])
        end = score.end_frame if places[-1] == last else int(bounds[score.beat[places[-1]] + 1])
        stay = {join: cut for number, (join, cut) in enumerate(score.joins.items(), 1) if number not in demands.vetoes}
        segments: list[Segment] = []
        new_joins: list[NewJoin] = []
        fade_in_ms = 0.0
        for a, b in pairwise(places):
            old = stay.get((a, b))
            if old is None and score.beat[b] == score.beat[a] + 1:
                continue
            cut = old or Cut(int(bounds[score.beat[a] + 1]), int(bounds[score.beat[b]]), fade_ms)
            segments.append(Segment(start, cut.leave - start, crossfade_in_ms=fade_in_ms))
            start, fade_in_ms = cut.land, cut.crossfade_ms
            if old is None:
                cost = float(self.costs.between(score.beat[[a]] + 1, score.beat[[b]])[0])
                new_joins.append(NewJoin(len(segments), cut.leave / rate, cut.land / rate, cost))
        segments.append(Segment(start, end - start, crossfade_in_ms=fade_in_ms))
        return segments, new_joins

    def _keeps_ending(self, demands: Demands, frames: int) -> bool:
        """Whether the silence after the end stays; where a length is asked to the sample, only if it comes to that."""
        if demands.duration_s is None:
            return True
        asked = demands.frames(self.edit.source.sample_rate)
        return self.has_length(demands) and (not demands.exact or frames == asked)


def _out_of_order(beat: Int[np.ndarray, " places"], places: Sequence[int]) -> list[int]:
    """Places of a way where a beat plays for the first time after a later one."""
    found: list[int] = []
    heard: set[int] = set()
    last = -1
    for place in places:
        at = int(beat[place])
        if at < last and at not in heard:
            found.append(place)
        heard.add(at)
        last = max(last, at)
    return found
