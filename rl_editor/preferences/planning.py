"""Which pair a listener hears next, and which side first.

Of every ``CYCLE`` presentations one is an anchor and one a repeat of a pair answered at least ``GAP`` judgements ago,
its sides exchanged; the others are pairs that the listener has not judged. Sides are drawn from the set's seed, the
listener and the pair, so a presentation is the same whenever it is drawn; the order among pairs is the chooser's.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rl_editor.judgements import Judgement, Pair, Presentation, Side, other
from rl_editor.judgements.log import Answers
from rl_editor.judgements.sets import ListeningSet

CYCLE, ANCHOR_AT, REPEAT_AT = 8, 4, 7
GAP = 5

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
    again = _repeatable(found, mine)
    place = len(mine) % CYCLE
    if again and (place == REPEAT_AT or not (fresh or anchors)):
        return _presentation(found, listener, again[0].presentation.pair_id, repeat=True)
    if anchors and (place == ANCHOR_AT or not fresh):
        return _presentation(found, listener, _shuffled(found, listener, anchors)[0].pair_id, repeat=False)
    if fresh:
        shuffled = _shuffled(found, listener, fresh)
        chosen = shuffled[0] if choose is None else choose(shuffled, list(answers.judgements.values()))
        return _presentation(found, listener, chosen.pair_id, repeat=False)
    return None


def progress(found: ListeningSet, answers: Answers, listener: str) -> Progress:
    """How much of the set a listener has answered, repeats included."""
    n_pairs = sum(pair.kind == "pair" for pair in found.pairs)
    n_repeats = len(found.pairs) // (CYCLE - 1) if n_pairs else 0
    n_done = len(answers.of(listener))
    return Progress(n_done, max(len(found.pairs) + n_repeats, n_done))


def _repeatable(found: ListeningSet, mine: Sequence[Judgement]) -> list[Judgement]:
    """Answers that may be asked again, oldest first; no more than one in ``CYCLE``."""
    repeated = {j.presentation.pair_id for j in mine if j.presentation.repeat}
    if (len(repeated) + 1) * (CYCLE - 1) > len(found.pairs):
        return []
    anchors = {pair.pair_id for pair in found.pairs if pair.kind == "anchor"}
    old = mine[: max(len(mine) - GAP, 0)]
    return [
        j
        for j in old
        if j.choice != "unsure" and j.presentation.pair_id not in repeated | anchors and not j.presentation.repeat
    ]


def _presentation(found: ListeningSet, listener: str, pair_id: str, *, repeat: bool) -> Presentation:
    first: Side = "a" if _chance(found, listener, pair_id) % 2 else "b"
    identifier = f"{_chance(found, listener, pair_id, repeat):016x}"
    return Presentation(identifier, listener, pair_id, other(first) if repeat else first, repeat)


def _shuffled(found: ListeningSet, listener: str, pairs: Sequence[Pair]) -> list[Pair]:
    return sorted(pairs, key=lambda pair: _chance(found, listener, pair.pair_id, "order"))


def _chance(found: ListeningSet, *parts: object) -> int:
    text = "\0".join([found.name, str(found.seed), *map(str, parts)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
