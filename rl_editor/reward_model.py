"""A learned reward: which of two edits a listener prefers, from their judgements (RLHF).

Conventions: an edit is a row of features (``FEATURES``, plus whatever columns the caller adds); a judgement says
whether the first edit of a pair was preferred. Bradley and Terry 1952: ``P(a over b) = sigmoid(w . (x_a - x_b))``.

Two guards, because preference data is small and listeners have habits. Length: every feature is reduced to what
length does not explain, and length itself takes part in the fit but not in the score, so that "shorter is better"
cannot be learned. Doubt: several members are fitted on resampled judgements, and the reward is their mean minus a
multiple of their spread (a lower confidence bound), so that a policy gains nothing where the judges said nothing.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rl_editor.edits import EditList
from rl_editor.errors import CheckpointError, DatasetError
from rl_editor.files import write_json

FEATURES = ("tempo", "energy", "phrase", "transition", "loop", "joins_per_minute", "repeated_share")
FORMAT = "rl-editor/reward-model"
MIN_JUDGEMENTS_PER_WEIGHT = 5  # half of the ten events per variable of Peduzzi et al. 1996, as the fit is ridged
_NEWTON_STEPS = 25  # the ridged problem is convex; it settles in under ten
_EPSILON = 1e-9
_MIN_SECONDS = 1e-3  # of an empty edit, whose length has no logarithm


class EditSummary(NamedTuple):
    """What the model hears of one edit."""

    features: Float[np.ndarray, " features"]
    log_length: float  # of output over source


class Preference(NamedTuple):
    """One A/B judgement."""

    first: EditSummary
    second: EditSummary
    first_preferred: bool


class Scores(NamedTuple):
    """One number per edit, in [0, 1]; 0.5 is the average edit that was judged."""

    mean: Float[np.ndarray, " edits"]
    lower_bound: Float[np.ndarray, " edits"]


class _Scale(NamedTuple):
    """Standardisation and the part of every feature that log length explains."""

    mean: Float[np.ndarray, " features"]
    deviation: Float[np.ndarray, " features"]
    slope: Float[np.ndarray, " features"]  # of the standardised features on centred log length
    length: float  # mean log length


class RewardModel:
    """An ensemble of Bradley-Terry models.

    Args:
        n_members: models, each on its own resampling of the judgements.
        doubt: how many standard deviations of the ensemble the lower bound lies below its mean.
        ridge: L2 penalty on standardised weights.
    """

    def __init__(self, *, n_members: int = 5, doubt: float = 1.0, ridge: float = 1.0) -> None:
        self.n_members, self.doubt, self.ridge = n_members, doubt, ridge
        self._scale: _Scale | None = None
        self._weights: Float[np.ndarray, "members features"] | None = None

    def fit(self, preferences: Sequence[Preference], generator: np.random.Generator) -> None:
        """Learn from judgements.

        Raises:
            DatasetError: fewer judgements than five per weight.
        """
        _require_enough(preferences)
        self._scale = _scale_of([edit for p in preferences for edit in (p.first, p.second)])
        difference = self._features([p.first for p in preferences]) - self._features([p.second for p in preferences])
        longer = np.array([[p.first.log_length - p.second.log_length] for p in preferences])
        preferred = np.array([float(p.first_preferred) for p in preferences])
        design = np.hstack([difference, longer / (longer.std() + _EPSILON)])
        draws = generator.integers(len(preferences), size=(self.n_members, len(preferences)))
        fits = np.array([_bradley_terry(design[draw], preferred[draw], self.ridge) for draw in draws])
        self._weights = fits[:, :-1]  # the weight of length is dropped: it explained, it does not reward

    def score(self, edits: Sequence[EditSummary]) -> Scores:
        """How likely each edit is preferred to the average judged one."""
        assert self._weights is not None, "fit or load a reward model before asking it"
        utilities = self._features(edits) @ self._weights.T
        mean, spread = utilities.mean(1), utilities.std(1)
        return Scores(_sigmoid(mean), _sigmoid(mean - self.doubt * spread))

    def save(self, path: str | Path) -> None:
        """Write the fitted model as JSON."""
        assert self._weights is not None, "fit a reward model before saving it"
        assert self._scale is not None
        scale = {name: np.asarray(value).tolist() for name, value in self._scale._asdict().items()}
        settings = {"n_members": self.n_members, "doubt": self.doubt, "ridge": self.ridge}
        write_json(path, {"format": FORMAT, "weights": self._weights.tolist(), "scale": scale, "settings": settings})

    @classmethod
    def load(cls, path: str | Path) -> "RewardModel":
        """Read what ``save`` wrote.

        Raises:
            CheckpointError: the file is missing or is no reward model.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            model = cls(**values["settings"])
            model._weights = np.array(values["weights"])
            scale = values["scale"]
            model._scale = _Scale(
                np.array(scale["mean"]), np.array(scale["deviation"]), np.array(scale["slope"]), float(scale["length"])
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path}: no reward model ({error}); write one with RewardModel.save") from None
        return model

    def _features(self, edits: Sequence[EditSummary]) -> Float[np.ndarray, "edits features"]:
        assert self._scale is not None
        scale = self._scale
        raw = np.array([edit.features for edit in edits])
        length = np.array([[edit.log_length] for edit in edits]) - scale.length
        return np.asarray((raw - scale.mean) / scale.deviation - length * scale.slope)


def summarise_edit(edit: EditList, terms: dict[str, float]) -> EditSummary:
    """The features of an edit: its reward terms (``RewardComponents._asdict()``) and counts over its edit list."""
    minutes = max(edit.duration_s, _MIN_SECONDS) / 60.0
    source_s = edit.source.frames / edit.source.sample_rate
    values = [terms[name] for name in FEATURES[:-2]]
    values += [len(edit.segments[1:]) / minutes, _repeated_share(edit)]
    return EditSummary(np.array(values), float(np.log(max(edit.duration_s, _MIN_SECONDS) / source_s)))


def _repeated_share(edit: EditList) -> float:
    """Share of the output that plays source material for the second time or later."""
    known = [s for s in edit.segments if s.source_start_frame is not None]
    spans = sorted((s.source_start_frame or 0, s.source_end_frame or 0) for s in known)
    distinct, reached = 0, 0
    for start, end in spans:
        distinct += max(end - max(start, reached), 0)
        reached = max(reached, end)
    played = sum(end - start for start, end in spans)
    return 1.0 - distinct / played if played else 0.0


def _require_enough(preferences: Sequence[Preference]) -> None:
    weights = len(preferences[0].first.features) + 1 if preferences else len(FEATURES) + 1
    needed = MIN_JUDGEMENTS_PER_WEIGHT * weights
    if len(preferences) < needed:
        raise DatasetError(
            f"preferences: {len(preferences)} judgements, at least {needed} are needed "
            f"({MIN_JUDGEMENTS_PER_WEIGHT} for each of {weights} weights); judge more pairs"
        )


def _scale_of(edits: Sequence[EditSummary]) -> _Scale:
    raw = np.array([edit.features for edit in edits])
    lengths = np.array([edit.log_length for edit in edits])
    mean, deviation = raw.mean(0), raw.std(0)
    deviation = np.where(deviation > _EPSILON, deviation, 1.0)
    length = float(lengths.mean())
    centred = lengths - length
    slope = centred @ ((raw - mean) / deviation) / (centred @ centred + _EPSILON)
    return _Scale(mean, deviation, slope, length)


def _bradley_terry(
    x: Float[np.ndarray, "judgements weights"], y: Float[np.ndarray, " judgements"], ridge: float
) -> Float[np.ndarray, " weights"]:
    """Maximise ``sum log sigmoid(+-w.x) - ridge/2 |w|^2`` by Newton's method."""
    w = np.zeros(x.shape[1])
    for _ in range(_NEWTON_STEPS):
        p = _sigmoid(x @ w)
        gradient = x.T @ (y - p) - ridge * w
        curvature = (x.T * (p * (1.0 - p))) @ x + ridge * np.eye(len(w))
        w = w + np.linalg.solve(curvature, gradient)
    return w


def _sigmoid(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))  # does not overflow
