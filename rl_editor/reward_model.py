"""A learned reward: which of two edits a listener prefers, from their judgements (RLHF).

Conventions: an edit is its summary (``rl_editor.reward.SUMMARY_NAMES``, S numbers); a judgement says whether the first
edit of a pair was preferred. Bradley and Terry 1952: ``P(a over b) = sigmoid(w . (x_a - x_b))``.

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
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rl_editor.errors import CheckpointError, DatasetError
from rl_editor.files import write_json
from rl_editor.reward import SUMMARY_NAMES

FORMAT = "rl-editor/reward-model"
MIN_JUDGEMENTS_PER_WEIGHT = 5  # half of the ten events per variable of Peduzzi et al. 1996, as the fit is ridged
_LENGTH = SUMMARY_NAMES.index("output_share")
_NOT_HEARD = ("output_share", "duration_error", "has_target")  # length, and what was asked of it
FEATURES = tuple(name for name in SUMMARY_NAMES if name not in _NOT_HEARD)
_COLUMNS = [SUMMARY_NAMES.index(name) for name in FEATURES]
_NEWTON_STEPS = 25  # the ridged problem is convex; it settles in under ten
_EPSILON = 1e-9
_MIN_SHARE = 1e-3  # of an empty edit, whose length has no logarithm


class Preference(NamedTuple):
    """One A/B judgement of two edits, each given by its summary."""

    first: Float[np.ndarray, " summary"]
    second: Float[np.ndarray, " summary"]
    first_preferred: bool


class Scores(NamedTuple):
    """One number per edit, in [0, 1]; 0.5 is the average edit that was judged."""

    mean: Float[Tensor, " edits"]
    lower_bound: Float[Tensor, " edits"]


class RewardModel:
    """An ensemble of Bradley-Terry models; called with summaries it is the learned reward of an environment.

    Args:
        n_members: models, each on its own resampling of the judgements.
        doubt: how many standard deviations of the ensemble the lower bound lies below its mean.
        ridge: L2 penalty on standardised weights.
    """

    def __init__(self, *, n_members: int = 5, doubt: float = 1.0, ridge: float = 1.0) -> None:
        self.n_members, self.doubt, self.ridge = n_members, doubt, ridge
        self._fitted: _Fitted | None = None

    def fit(self, preferences: Sequence[Preference], generator: np.random.Generator) -> None:
        """Learn from judgements.

        Raises:
            DatasetError: fewer judgements than five per weight.
        """
        _require_enough(len(preferences))
        first, second = (np.array([getattr(p, side) for p in preferences], np.float64) for side in ("first", "second"))
        preferred = np.array([p.first_preferred for p in preferences])
        scale = _scale_of(np.concatenate([first, second]))
        longer = (_log_length(first) - _log_length(second))[:, None]
        design = np.hstack([_features(first, scale) - _features(second, scale), longer / (longer.std() + _EPSILON)])
        draws = generator.integers(len(preferences), size=(self.n_members, len(preferences)))
        fits = np.array([_bradley_terry(design[draw], preferred[draw], ridge=self.ridge) for draw in draws])
        self._fitted = _Fitted(fits[:, :-1], scale)  # the weight of length explained; it does not reward

    def score(self, summaries: Float[Tensor, "edits summary"]) -> Scores:
        """How likely each edit is preferred to the average judged one."""
        assert self._fitted is not None, "fit or load a reward model before asking it"
        weights, scale = self._fitted
        offset, matrix = _as_linear(weights, scale)
        x = torch.cat([summaries[:, _COLUMNS], summaries[:, _LENGTH, None].clamp(min=_MIN_SHARE).log()], dim=1)
        utilities = x.double() @ matrix.to(summaries.device) + offset.to(summaries.device)
        mean, spread = utilities.mean(1), utilities.std(1, unbiased=False)
        bound = mean - self.doubt * spread
        return Scores(mean.sigmoid().to(summaries), bound.sigmoid().to(summaries))

    def __call__(self, summaries: Float[Tensor, "edits summary"]) -> Float[Tensor, " edits"]:
        """The lower confidence bound: the learned reward."""
        return self.score(summaries).lower_bound

    def save(self, path: str | Path) -> None:
        """Write the fitted model as JSON."""
        assert self._fitted is not None, "fit a reward model before saving it"
        scale = {name: np.asarray(value).tolist() for name, value in self._fitted.scale._asdict().items()}
        settings = {"n_members": self.n_members, "doubt": self.doubt, "ridge": self.ridge}
        values = {"format": FORMAT, "features": FEATURES, "scale": scale, "settings": settings}
        write_json(path, values | {"weights": self._fitted.weights.tolist()})

    @classmethod
    def load(cls, path: str | Path) -> "RewardModel":
        """Read what ``save`` wrote.

        Raises:
            CheckpointError: the file is missing, or no reward model over these features.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            if values["format"] != FORMAT or values["features"] != list(FEATURES):
                raise ValueError(f"features {values['features']}")
            model = cls(**values["settings"])
            scale = {name: np.array(value) for name, value in values["scale"].items()}
            model._fitted = _Fitted(np.array(values["weights"]), _Scale(**scale))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path}: no reward model ({error}); write one with RewardModel.save") from None
        return model


class _Scale(NamedTuple):
    """Standardisation, and the part of every feature that log length explains."""

    mean: Float[np.ndarray, " features"]
    deviation: Float[np.ndarray, " features"]
    slope: Float[np.ndarray, " features"]  # of the standardised features on centred log length
    length: Float[np.ndarray, ""]  # mean log length


class _Fitted(NamedTuple):
    weights: Float[np.ndarray, "members features"]
    scale: _Scale


def _require_enough(n_judgements: int) -> None:
    n_weights = len(FEATURES) + 1
    needed = MIN_JUDGEMENTS_PER_WEIGHT * n_weights
    if n_judgements < needed:
        raise DatasetError(
            f"preferences: {n_judgements} judgements, at least {needed} are needed "
            f"({MIN_JUDGEMENTS_PER_WEIGHT} for each of {n_weights} weights); judge more pairs"
        )


def _log_length(summaries: Float[np.ndarray, "edits summary"]) -> Float[np.ndarray, " edits"]:
    return np.asarray(np.log(np.maximum(summaries[:, _LENGTH], _MIN_SHARE)))


def _scale_of(summaries: Float[np.ndarray, "edits summary"]) -> _Scale:
    raw, lengths = summaries[:, _COLUMNS], _log_length(summaries)
    mean, deviation = raw.mean(0), raw.std(0)
    deviation = np.where(deviation > _EPSILON, deviation, 1.0)
    centred = lengths - lengths.mean()
    slope = centred @ ((raw - mean) / deviation) / (centred @ centred + _EPSILON)
    return _Scale(mean, deviation, slope, np.array(lengths.mean()))


def _features(summaries: Float[np.ndarray, "edits summary"], scale: _Scale) -> Float[np.ndarray, "edits features"]:
    """Standardised, less what length explains."""
    length = _log_length(summaries)[:, None] - scale.length
    return np.asarray((summaries[:, _COLUMNS] - scale.mean) / scale.deviation - length * scale.slope)


def _as_linear(weights: Float[np.ndarray, "members features"], scale: _Scale) -> "_Linear":
    """``_features(.) @ weights.T`` as one matrix on raw features and log length, which can stay on the device."""
    raw = (weights / scale.deviation).T
    length = -(weights @ scale.slope)[None]
    offset = -(scale.mean / scale.deviation) @ weights.T + scale.length * (weights @ scale.slope)
    return _Linear(torch.as_tensor(offset), torch.as_tensor(np.concatenate([raw, length])))


class _Linear(NamedTuple):
    offset: Float[Tensor, " members"]
    matrix: Float[Tensor, "features_and_length members"]


def _bradley_terry(
    x: Float[np.ndarray, "judgements weights"], preferred: Bool[np.ndarray, " judgements"], *, ridge: float
) -> Float[np.ndarray, " weights"]:
    """Maximise ``sum log sigmoid(+-w.x) - ridge/2 |w|^2`` by Newton's method."""
    w = np.zeros(x.shape[1])
    for _ in range(_NEWTON_STEPS):
        p = 0.5 * (1.0 + np.tanh(0.5 * (x @ w)))  # sigmoid that does not overflow
        gradient = x.T @ (preferred - p) - ridge * w
        curvature = (x.T * (p * (1.0 - p))) @ x + ridge * np.eye(len(w))
        w = w + np.linalg.solve(curvature, gradient)
    return w
