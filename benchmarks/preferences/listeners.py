"""Simulated listeners. They stand for no person: they are there to test what is learned from answers.

A listener's utility is a weighted sum of an edit's summary, each number in standard deviations over the excerpts of a
set. The first of two wins with ``sigmoid(sharpness (u_first - u_second) + order + length * d + loudness * dB)``, d the
difference of log lengths in tenths. ``TIES`` of the answers to pairs that are hardly different are "no difference".
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from jaxtyping import Float

from rl_editor.judgements import Choice, Heard, Judgement, Pair, Presentation
from rl_editor.judgements.log import Answers
from rl_editor.judgements.sets import ListeningSet, Preferences
from rl_editor.preferences.planning import Chooser, next_presentation
from rl_editor.reward_model.bradley_terry import sigmoid

TIES, TIE_LOGITS = 0.3, 0.3
CEILING = 0.88  # of the best prediction of a listener's answers, which sets the sharpness
_TENTH = float(np.log(1.1))


@dataclass(frozen=True)
class Listener:
    """A taste and what disturbs it."""

    name: str
    taste: Mapping[str, float] = field(default_factory=dict)
    sharpness: float = 1.0
    order: float = 0.0
    length: float = 0.0
    loudness: float = 0.0

    def utilities(
        self,
        summaries: Float[np.ndarray, "edits summary"],
        names: tuple[str, ...],
        scale: Float[np.ndarray, " summary"],
    ) -> Float[np.ndarray, " edits"]:
        """How much edits are liked."""
        weights = np.array([self.taste.get(name, 0.0) for name in names]) / scale
        return np.asarray(self.sharpness * summaries @ weights)


TASTES: tuple[Listener, ...] = (
    Listener("smooth joins", {"transition_faults": -1.0, "energy_faults": -0.6}),
    Listener("few cuts", {"joins": -1.0}),
    Listener("strong passages", {"energy_rank": 1.0}),
    Listener("no repeats", {"replayed": -1.0, "backward": -0.5}),
    Listener("whole phrases", {"phrase_faults": -1.0, "tempo_faults": -0.4}),
    Listener("strong and smooth", {"energy_rank": 0.7, "transition_faults": -0.7, "joins": -0.3}),
)


def scale_of(found: ListeningSet) -> Float[np.ndarray, " summary"]:
    """Standard deviations of the summaries of a set's excerpts; 1 where all are alike."""
    summaries = np.array([side.summary for pair in found.pairs for side in (pair.a, pair.b)])
    deviation = summaries.std(0)
    return np.where(deviation > 1e-9, deviation, 1.0)


def sharpened(listener: Listener, found: ListeningSet, ceiling: float = CEILING) -> Listener:
    """The listener as sure as lets the best prediction of the answers to a set be right in ``ceiling`` of the cases."""
    low, high = 0.01, 100.0
    for _ in range(40):
        middle = float(np.sqrt(low * high))
        best = certainty(replace(listener, sharpness=middle), found)
        low, high = (middle, high) if best < ceiling else (low, middle)
    return replace(listener, sharpness=low)


def differences(
    listener: Listener, found: ListeningSet, scale: Float[np.ndarray, " summary"]
) -> Float[np.ndarray, " n"]:
    """By how much side a of every pair is liked better."""
    sides = [np.array([pair.side(s).summary for pair in found.pairs]) for s in ("a", "b")]
    one, two = (listener.utilities(side, found.summary_names, scale) for side in sides)
    return np.asarray(one - two)


def certainty(listener: Listener, found: ListeningSet) -> float:
    """The best share of the answers to a set that can be predicted, habits aside."""
    p = sigmoid(differences(listener, found, scale_of(found)))
    return float(np.maximum(p, 1.0 - p).mean())


def session(
    found: ListeningSet,
    listeners: list[Listener],
    n_judgements: int,
    rng: np.random.Generator,
    *,
    choose: Chooser | None = None,
) -> Preferences:
    """Judgements of the listeners in turn, asked as the page asks; repeats and anchors on top of ``n_judgements``."""
    answers, scale = Answers(), scale_of(found)
    pairs = {pair.pair_id: pair for pair in found.pairs}
    finished: set[str] = set()
    done, turn = 0, 0
    while done < n_judgements and len(finished) < len(listeners):
        listener = listeners[turn % len(listeners)]
        turn += 1
        asked = next_presentation(found, answers, listener.name, choose=choose)
        if asked is None:
            finished.add(listener.name)
            continue
        pair = pairs[asked.pair_id]
        choice = _answer(listener, pair, asked, found, scale, rng)
        answers.take({"event": "judged", **asdict(Judgement(asked, choice))})
        done += pair.kind == "pair" and not asked.repeat
    return Preferences(found, tuple(answers.judgements.values()))


def _answer(
    listener: Listener,
    pair: Pair,
    asked: Presentation,
    found: ListeningSet,
    scale: Float[np.ndarray, " summary"],
    rng: np.random.Generator,
) -> Choice:
    first, second = pair.side(asked.first), pair.side(asked.second)
    logit = listener.order + listener.length * np.log(first.duration_s / second.duration_s) / _TENTH
    if first.loudness_lufs is not None and second.loudness_lufs is not None:
        logit += listener.loudness * (first.loudness_lufs - second.loudness_lufs)
    if pair.kind == "anchor":
        logit += (4.0 if asked.first == "a" else -4.0) * bool(listener.taste)
    else:
        liked = listener.utilities(_summaries(first, second), found.summary_names, scale)
        logit += float(liked[0] - liked[1])
    if abs(logit) < TIE_LOGITS and rng.random() < TIES:
        return "same"
    return "first" if rng.random() < float(sigmoid(np.array(logit))) else "second"


def _summaries(*sides: Heard) -> Float[np.ndarray, "sides summary"]:
    return np.array([side.summary for side in sides])
