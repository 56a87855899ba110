"""Which pair a listener hears next, and which side first.

Of every ``CYCLE`` presentations one is an anchor and one a repeat of a pair answered at least ``GAP`` judgements ago,
its sides exchanged; the others are pairs that the listener has not judged. Which place these two have in a cycle is
drawn, so that nobody learns where to attend. Places and sides are drawn from the set's seed, the listener and the cycle
or pair, so a presentation is the same whenever it is drawn; the order among pairs is the chooser's.
"""

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Literal, NamedTuple

from rl_editor.judgements import Judgement, Pair, Presentation, Side, other
from rl_editor.judgements.log import Answers
from rl_editor.judgements.sets import ListeningSet

CYCLE, GAP = 8, 5

Chooser = Callable[[Sequence[Pair], Sequence[Judgement]], Pair]
"""Of pairs that a listener has not judged, and all judgements so far, the one to ask next."""


class Progress(NamedTuple):
    """How far a listener is."""

    n_done: int
    n_planned: int


def next_presentation(
    found: ListeningSet, answers: Answers, listener: str, *, choose: Chooser | None = None
) -> Presentation | None:
    """What to put before a listener: what is still open, else the next; None where everything is answered.

    Args:
        found: the set.
        answers: so far, everybody's.
        listener: who asks.
        choose: among pairs; without one they come in an order of chance, another for every listener.
    """
    if listener in answers.open:
        return answers.open[listener]
    mine = answers.of(listener)
    judged = {j.presentation.pair_id for j in mine}
    fresh = [p for p in found.pairs if p.kind == "pair" and p.pair_id not in judged]
    anchors = [p for p in found.pairs if p.kind == "anchor" and p.pair_id not in judged]
    again = [place for place in _repeatable(found, mine) if place < len(mine) - GAP]
    rota = _Rota(found, listener)
    match rota.turn(len(mine), fresh=bool(fresh), anchors=bool(anchors), again=bool(again)):
        case "repeat":
            pair_id = mine[again[0]].presentation.pair_id
        case "anchor":
            pair_id = _shuffled(found, listener, anchors)[0].pair_id
        case "fresh":
            shuffled = _shuffled(found, listener, fresh)
            chosen = shuffled[0] if choose is None else choose(shuffled, list(answers.judgements.values()))
            pair_id = chosen.pair_id
        case None:
            return None
    asked = _presentation(found, listener, pair_id, repeat=pair_id in judged)
    return replace(asked, presentation_id=answers.unused(asked.presentation_id))


def progress(found: ListeningSet, answers: Answers, listener: str) -> Progress:
    """How much of the set a listener has answered, repeats included, if all that is left can be told.

    What a listener could not tell is not asked again, so ``n_planned`` falls where too little is left to repeat; at the
    end it is what was done.
    """
    mine = answers.of(listener)
    judged = {j.presentation.pair_id for j in mine}
    left = Counter(pair.kind for pair in found.pairs if pair.pair_id not in judged)
    told, n_repeats, rota = deque(_repeatable(found, mine)), _n_repeats_left(found, mine), _Rota(found, listener)
    for n_planned in count(len(mine)):
        again = n_repeats > 0 and bool(told) and told[0] < n_planned - GAP
        match rota.turn(n_planned, fresh=left["pair"] > 0, anchors=left["anchor"] > 0, again=again):
            case "repeat":
                told.popleft()
                n_repeats -= 1
            case "anchor":
                left["anchor"] -= 1
            case "fresh":
                left["pair"] -= 1
                told.append(n_planned)
            case None:
                return Progress(len(mine), n_planned)
    raise AssertionError


class _Rota(NamedTuple):
    """What a listener is asked when."""

    found: ListeningSet
    listener: str

    def turn(
        self, n_done: int, *, fresh: bool, anchors: bool, again: bool
    ) -> Literal["repeat", "anchor", "fresh"] | None:
        """What comes after so many answers, of what there is."""
        cycle, place = divmod(n_done, CYCLE)
        places = list(range(CYCLE))
        repeat_at = self._drawn(cycle, "repeat", places if cycle else places[GAP + 1 :])  # there is one by then
        places.remove(repeat_at)
        if again and (place == repeat_at or not (fresh or anchors)):
            return "repeat"
        if anchors and (place == self._drawn(cycle, "anchor", places) or not fresh):
            return "anchor"
        return "fresh" if fresh else None

    def _drawn(self, cycle: int, what: str, places: Sequence[int]) -> int:
        return places[_chance(self.found, self.listener, cycle, what) % len(places)]


def _repeatable(found: ListeningSet, mine: Sequence[Judgement]) -> list[int]:
    """Places of answers that may be asked again, sooner or later, oldest first."""
    if not _n_repeats_left(found, mine):
        return []
    never = {j.presentation.pair_id for j in mine if j.presentation.repeat}
    never |= {pair.pair_id for pair in found.pairs if pair.kind == "anchor"}
    return [n for n, j in enumerate(mine) if j.choice != "unsure" and j.presentation.pair_id not in never]


def _n_repeats_left(found: ListeningSet, mine: Sequence[Judgement]) -> int:
    """One in ``CYCLE`` is a repeat."""
    return len(found.pairs) // (CYCLE - 1) - sum(j.presentation.repeat for j in mine)


def _presentation(found: ListeningSet, listener: str, pair_id: str, *, repeat: bool) -> Presentation:
    first: Side = "a" if _chance(found, listener, pair_id) % 2 else "b"
    pair = found.pair(pair_id)
    plays = pair.a.edit.to_json(), pair.b.edit.to_json()  # two sets may share name, seed and names of pairs
    identifier = f"{_chance(found, listener, pair_id, repeat, *plays):016x}"
    return Presentation(identifier, listener, pair_id, other(first) if repeat else first, repeat)


def _shuffled(found: ListeningSet, listener: str, pairs: Sequence[Pair]) -> list[Pair]:
    return sorted(pairs, key=lambda pair: _chance(found, listener, pair.pair_id, "order"))


def _chance(found: ListeningSet, *parts: object) -> int:
    text = "\0".join([found.name, str(found.seed), *map(str, parts)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
