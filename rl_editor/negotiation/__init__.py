"""Changing an edit as little as what is asked demands: joins vetoed, passages pinned or dropped, moments anchored.

Conventions: times in seconds, of the source unless named otherwise; joins are counted from 1 in output order. What an
edit plays already stays in its order, to the sample where nothing changes; new joins lie on beats and keep the count of
the bar. Nothing is looped or moved that the edit did not loop or move.

    demands    what may be asked, and reading it
    score      an edit written out beat by beat, with all that it leaves out
    wanted     what demands come to, beat by beat
    sound      how alike the two sides of any join sound
    costs      what joins cost, by that and by their beats
    table      an edit over its recording, solved for one demand after another
    paths      the cheapest way through it
    obstacles  which demand stands in the way
    placing    which beat a join lies on
    pace       all of it a little faster or slower
    exact      the last fraction of a beat, to the sample
    record     what an edit list was asked, for later revisions
    results    what a change came to
    words      that in words
"""

from dataclasses import replace

import numpy as np

from rl_editor.config import Config
from rl_editor.edits import EditList
from rl_editor.errors import EditListError
from rl_editor.negotiation.costs import Costs
from rl_editor.negotiation.demands import Anchor, Demands, Jump, TimeSpan, spoken_up
from rl_editor.negotiation.obstacles import length_costs, why_not
from rl_editor.negotiation.paths import Way
from rl_editor.negotiation.results import NewJoin, Revised, spans_changed
from rl_editor.negotiation.sound import BeatSound
from rl_editor.negotiation.table import Draft, Table
from rl_editor.negotiation.wanted import beyond_length
from rl_editor.state import AudioState

__all__ = ["Anchor", "BeatSound", "Demands", "Draft", "Jump", "NewJoin", "Revised", "TimeSpan", "described", "revise"]

TOGETHER = "together"  # the price of all demands


def revise(
    edit: EditList,
    state: AudioState,
    demands: Demands,
    config: Config,
    *,
    sound: BeatSound | None = None,
    draft: Draft = "",
    priced: bool = True,
    less_s: float = 0.0,
) -> Revised:
    """The edit nearest to ``edit`` that meets ``demands``; a length within half a bar, where there is such an edit.

    Args:
        edit: what plays.
        state: its recording, analysed.
        demands: what is asked.
        config: reads ``action_space`` and ``reward``.
        sound: of the recording, so that new joins are weighed by it too; without it by the features of beats alone.
        draft: whether the edit is one, so that bad joins move to better places, and whether what it plays is meant.
        priced: work out what each demand costs.
        less_s: aim at so much less than the length asked for.

    Raises:
        EditListError: the demands contradict each other, or cannot be met by what the edit plays and leaves out; or
            the edit plays something else than the recording as it is.
    """
    table = Table(
        edit, state, config, Costs(state, config, sound), draft=draft, repeats=not demands.no_loop, less_s=less_s
    )
    way = table.solve(demands)
    if way is None:
        raise EditListError(f"{edit.source.name}: {why_not(table, demands)}")
    if fault := beyond_length(demands, state.grid, speed=table.score.speed):
        nearest_s = table.revised(table.insisting(demands, way), demands, {}).edit.duration_s
        raise EditListError(f"{edit.source.name}: {fault}; ask for {spoken_up(nearest_s)}")
    if table.misses(way, demands):
        way, demands = table.insisting(demands, way), replace(demands, exact=True)
    table, way = _reaching(table, way, demands)
    price = {}
    for name, rest in demands.each() if priced else ():
        without = table.solve(rest)
        if without is not None:
            price[name] = round(max(way.cost - without.cost, 0.0), 4)
    if len(price) > 1 and (unasked := table.solve(Demands())) is not None:
        price[TOGETHER] = round(max(way.cost - unasked.cost, 0.0), 4)
    found = table.revised(way, demands, price)
    return replace(found, length_costs=length_costs(table, found.missed_s, demands))


def _reaching(table: Table, way: Way, demands: Demands) -> tuple[Table, Way]:
    """A way insisted on and too short: joins that jump back move farther until it is long enough, or no longer.

    Else it would be asked for again, and each revision come nearer by as much as joins may move in one.
    """
    while demands.exact and table.revised(way, demands, {}).missed_s < -table.half_bar_s:
        wider = table.reaching_farther()
        longer = None if wider is None else wider.solve(demands)
        if wider is None or longer is None or longer.length_s <= way.length_s:
            break
        table, way = wider, longer
    return table, way


def described(
    before: EditList, found: Revised, edit: EditList, state: AudioState, config: Config, sound: BeatSound
) -> Revised:
    """A revision of ``before`` as ``edit``, made of ``found.edit`` by moving its joins, has it."""
    rate, times = edit.source.sample_rate, state.grid.times_s
    costs, segments = Costs(state, config, sound), edit.merged().segments
    new_joins = []
    for join in found.new_joins:
        if join.number >= len(segments):  # the last one, which an exact length has given up
            continue
        leave, land = segments[join.number - 1].source_end_frame, segments[join.number].source_start_frame
        assert leave is not None
        assert land is not None
        p, q = (np.array([np.argmin(np.abs(times - frame / rate))]) for frame in (leave, land))
        new_joins.append(NewJoin(join.number, leave / rate, land / rate, float(costs.between(p, q)[0])))
    dropped, added = spans_changed(before, edit)
    return replace(found, edit=edit, new_joins=tuple(new_joins), dropped_s=dropped, added_s=added)
