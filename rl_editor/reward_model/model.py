"""The learned reward itself: an ensemble of Bradley-Terry models over summaries of edits.

Conventions: an edit is its summary (``rl_editor.reward.SUMMARY_NAMES``, S numbers); its utility is ``w . features``.

Guards, because preference data is small and listeners have habits. What ought not to matter: order, length and loudness
take part in the fit, listener by listener, but not in the score; and every feature is reduced to what length does not
explain, so that "shorter is better" cannot be learned by another name. Doubt: several members are fitted on resampled
judgements, and the reward is the utility minus a multiple of their spread (a lower confidence bound), so that a policy
gains nothing where the judges said nothing. Shrinkage: the ridge is the one that predicts best what it was not fitted
on, so that answers without a taste behind them make weights near 0.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from rl_editor.command import counted
from rl_editor.errors import CheckpointError, DatasetError, first_lines
from rl_editor.files import write_json
from rl_editor.reward import SUMMARY_NAMES
from rl_editor.reward_model.bradley_terry import Comparisons, fit, sigmoid

FORMAT = "rl-editor/reward-model"
MIN_JUDGEMENTS_PER_WEIGHT = 5  # half of the ten events per variable of Peduzzi et al. 1996, as the fit is ridged
_LENGTH = SUMMARY_NAMES.index("output_share")
_NOT_HEARD = ("output_share", "duration_error", "has_target")  # length, and what was asked of it
FEATURES = tuple(name for name in SUMMARY_NAMES if name not in _NOT_HEARD)
MIN_JUDGEMENTS = MIN_JUDGEMENTS_PER_WEIGHT * (len(FEATURES) + 1)  # and one weight for length
RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
FOLDS = 5
LOUDNESS_UNIT_DB = 1.0
_COLUMNS = [SUMMARY_NAMES.index(name) for name in FEATURES]
_EPSILON = 1e-9
_MIN_SHARE = 1e-3  # of an empty edit, whose length has no logarithm


class Preference(NamedTuple):
    """One comparison of two edits, each given by its summary.

    ``first_preferred`` is None for a tie. ``louder_db`` is by how much the first was louder as heard. Comparisons of
    one ``group`` (a song, or a pair of edits) never are on both sides of a split. A comparison without an order, as of
    two ratings, is not ``ordered``.
    """

    first: Float[np.ndarray, " summary"]
    second: Float[np.ndarray, " summary"]
    first_preferred: bool | None
    listener: str = ""
    louder_db: float = 0.0
    group: str = ""
    weight: float = 1.0
    ordered: bool = True


class Scores(NamedTuple):
    """One number per edit, in [0, 1]; 0.5 is the average edit that was judged, or that the model is centred on."""

    mean: Float[Tensor, " edits"]
    lower_bound: Float[Tensor, " edits"]


class Habit(NamedTuple):
    """What a listener minds that ought not to matter, in log odds, and how far the common taste explains answers."""

    order: float  # for what comes first
    length: float  # per standard deviation of the difference in log length
    loudness: float  # per dB
    trust: float


class RewardModel:
    """An ensemble of Bradley-Terry models; called with summaries it is the learned reward of an environment.

    Args:
        n_members: models, each on its own resampling of the judgements and drawn towards weights of its own; 0 learns
            the taste alone, which scores nothing.
        doubt: how many spreads of the ensemble the lower bound lies below the utility.
        ridge: L2 penalty on standardised weights; None takes the one of ``RIDGES`` that predicts best across ``FOLDS``.
    """

    def __init__(self, *, n_members: int = 5, doubt: float = 1.0, ridge: float | None = None) -> None:
        self.n_members, self.doubt, self.ridge = n_members, doubt, ridge
        self._fitted: _Fitted | None = None
        self._placed: tuple[_Fitted, torch.device, _Linear] | None = None  # what was scored with last

    def fit(
        self, preferences: Sequence[Preference], generator: np.random.Generator, *, least: int = MIN_JUDGEMENTS
    ) -> None:
        """Learn from comparisons.

        Args:
            preferences: what was said.
            generator: resamples.
            least: fewer comparisons are refused.

        Raises:
            DatasetError: there are fewer.
        """
        _require(len(preferences), least)
        scale = _scale(*_sides(preferences))
        data, listeners = _comparisons(preferences, scale), _listeners(preferences)
        groups, n = groups_of(preferences), len(listeners)
        ridges, chances = (
            (RIDGES, ridge_chances(data, groups, n)) if self.ridge is None else ((self.ridge,), np.ones(1))
        )
        self.ridge = ridges[int(chances.argmax())]
        whole = fit(data, ridge=self.ridge, n_listeners=n)
        draws = _resampled(groups, self.n_members, generator)
        drawn = generator.choice(ridges, size=self.n_members, p=chances)
        towards = generator.normal(size=(self.n_members, data.x.shape[1])) / np.sqrt(drawn)[:, None]
        members = [
            fit(data.of(draw), ridge=ridge, n_listeners=n, towards=w0).taste
            for draw, ridge, w0 in zip(draws, drawn, towards, strict=True)
        ]
        habits = {
            name: Habit._make([*whole.habits[i].tolist(), float(whole.trust[i])]) for i, name in enumerate(listeners)
        }
        self._fitted = _Fitted(whole.taste, np.array(members), scale, habits)

    def calibrate(self, slope: float) -> None:
        """Multiply utilities by ``slope``: below 1 where the fit was too sure of itself."""
        known = self._known()
        self._fitted = known._replace(taste=slope * known.taste, members=slope * known.members)

    def centred(self, summaries: Float[Tensor, "edits summary"]) -> "RewardModel":
        """The same taste, its scores relative to these edits: 0.5 is their average, and there is no doubt about it.

        Who the listeners were and what their habits are is left out.
        """
        known, edits = self._known(), summaries.detach().cpu().double().numpy()
        scale = known.scale._replace(mean=edits[:, _COLUMNS].mean(0), length=np.array(_log_length(edits).mean()))
        found = RewardModel(n_members=self.n_members, doubt=self.doubt, ridge=self.ridge)
        found._fitted = known._replace(scale=scale, habits={})
        return found

    def score(self, summaries: Float[Tensor, "edits summary"]) -> Scores:
        """How likely each edit is preferred to the average judged one; nothing is read back from a device."""
        offset, matrix = self._linear_on(summaries.device)
        x = torch.cat([summaries[:, _COLUMNS], summaries[:, _LENGTH, None].clamp(min=_MIN_SHARE).log()], dim=1)
        utilities = x.double() @ matrix + offset
        mean = utilities[:, 0]
        spread = (utilities[:, 1:] - mean[:, None]).square().mean(1).sqrt()
        bound = mean - self.doubt * spread
        return Scores(mean.sigmoid().to(summaries), bound.sigmoid().to(summaries))

    def _linear_on(self, device: torch.device) -> "_Linear":
        """Utilities of the mean and of every member as one matrix, copied to a device once."""
        known = self._known()
        if self._placed is None or self._placed[0] is not known or self._placed[1] != device:
            linear = _as_linear(np.vstack([known.taste, known.members]), known.scale)
            self._placed = known, device, _Linear(*(part.to(device) for part in linear))
        return self._placed[2]

    def __call__(self, summaries: Float[Tensor, "edits summary"]) -> Float[Tensor, " edits"]:
        """The lower confidence bound: the learned reward."""
        return self.score(summaries).lower_bound

    def predict(self, preferences: Sequence[Preference]) -> Float[np.ndarray, " n"]:
        """Chance that the first edit is preferred, by taste alone: no order, length or loudness."""
        return sigmoid(self.better_by(preferences))

    def better_by(self, preferences: Sequence[Preference]) -> Float[np.ndarray, " n"]:
        """Utility of the first edit less that of the second: log odds, by taste alone, of a listener of trust 1."""
        known = self._known()
        return np.asarray(_comparisons(preferences, known.scale).x @ known.taste)

    @property
    def weights(self) -> dict[str, tuple[float, float]]:
        """Feature -> its weight, per standard deviation of the feature, and the members' spread about it."""
        known = self._known()
        spreads = np.sqrt(np.square(known.members - known.taste).mean(0))
        return dict(zip(FEATURES, zip(known.taste.tolist(), spreads.tolist(), strict=True), strict=True))

    @property
    def habits(self) -> dict[str, Habit]:
        """What each listener minds beside the taste."""
        return dict(self._known().habits)

    def to_dict(self) -> dict[str, Any]:
        """The fitted model as JSON holds it."""
        known = self._known()
        return {
            "format": FORMAT,
            "features": list(FEATURES),
            "scale": {name: np.asarray(value).tolist() for name, value in known.scale._asdict().items()},
            "settings": {"n_members": self.n_members, "doubt": self.doubt, "ridge": self.ridge},
            "habits": {name: habit._asdict() for name, habit in known.habits.items()},
            "taste": known.taste.tolist(),
            "members": known.members.tolist(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RewardModel":
        """The inverse of ``to_dict``.

        Raises:
            CheckpointError: no reward model over these features.
        """
        try:
            if not isinstance(values, dict) or values.get("format") != FORMAT:
                raise ValueError(f"another format than {FORMAT}")
            if values["features"] != list(FEATURES):
                raise ValueError(f"features {values['features']}")
            model = cls(**values["settings"])
            scale = {name: np.array(value) for name, value in values["scale"].items()}
            habits = {name: Habit(**habit) for name, habit in values["habits"].items()}
            taste, members = np.array(values["taste"]), np.array(values["members"])
            model._fitted = _Fitted(taste, members, _Scale(**scale), habits)
            _check_shapes(model._fitted)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"no reward model ({first_lines(error)}); write one with RewardModel.save") from None
        return model

    def save(self, path: str | Path) -> None:
        """Write the fitted model as JSON."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> "RewardModel":
        """Read what ``save`` wrote.

        Raises:
            CheckpointError: the file is missing, or no reward model over these features.
        """
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            fault = first_lines(error)
            raise CheckpointError(f"{path}: no reward model ({fault}); write one with RewardModel.save") from None
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None

    def _known(self) -> "_Fitted":
        if self._fitted is None:
            raise DatasetError("reward model: it has learned nothing yet; fit it to preferences, or load one")
        return self._fitted


class _Scale(NamedTuple):
    """Standardisation, and the part of every feature that log length explains."""

    mean: Float[np.ndarray, " features"]
    deviation: Float[np.ndarray, " features"]
    slope: Float[np.ndarray, " features"]  # of the standardised features on centred log length
    length: Float[np.ndarray, ""]  # mean log length
    longer: Float[np.ndarray, ""]  # standard deviation of the difference in log length of two edits


class _Fitted(NamedTuple):
    taste: Float[np.ndarray, " features"]  # on all judgements
    members: Float[np.ndarray, "members features"]  # what it may be
    scale: _Scale
    habits: dict[str, Habit]


def _check_shapes(fitted: _Fitted) -> None:
    n, (mean, deviation, slope, length, longer) = len(FEATURES), fitted.scale
    vectors = [part.shape for part in (fitted.taste, mean, deviation, slope)]
    if vectors != [(n,)] * 4 or fitted.members.shape[1:] != (n,) or length.shape or longer.shape:
        raise ValueError(f"weights of other shapes than those of {n} features")


def _require(n_judgements: int, least: int) -> None:
    if n_judgements < least:
        raise DatasetError(
            f"preferences: {counted(n_judgements, 'judgement')}, at least {least} are needed "
            f"({MIN_JUDGEMENTS_PER_WEIGHT} for each of {len(FEATURES) + 1} weights); judge more pairs"
        )


def ridge_chances(data: Comparisons, groups: Sequence[str], n_listeners: int) -> Float[np.ndarray, " ridges"]:
    """How likely each of ``RIDGES`` is: as likely as it makes judgements of groups left out."""
    folds = folds_of(groups)
    reached = np.zeros(len(RIDGES))  # log likelihoods
    for fold in range(FOLDS):
        held, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if not len(held) or not len(rest):
            continue
        for index, ridge in enumerate(RIDGES):
            p = sigmoid(fit(data.of(rest), ridge=ridge, n_listeners=n_listeners).logits(data.of(held)))
            y = data.outcome[held]
            reached[index] += data.weight[held] @ (y * np.log(p + _EPSILON) + (1 - y) * np.log(1 - p + _EPSILON))
    likely = np.exp(reached - reached.max())
    return np.asarray(likely / likely.sum())


def groups_of(preferences: Sequence[Preference]) -> list[str]:
    """The group of every comparison; one without a group is a group of its own."""
    return [p.group or str(i) for i, p in enumerate(preferences)]


def folds_of(groups: Sequence[str], n_folds: int = FOLDS) -> Int[np.ndarray, " n"]:
    """A fold for every comparison, the same within a group; groups are dealt out by size, so folds are about equal."""
    names, counts = np.unique(np.array(groups), return_counts=True)
    sizes, fold_of = np.zeros(n_folds), {}
    for index in np.argsort(-counts, kind="stable"):
        fold_of[str(names[index])] = int(sizes.argmin())
        sizes[sizes.argmin()] += counts[index]
    return np.array([fold_of[group] for group in groups], np.int64)


def feature_differences(
    first: Float[np.ndarray, "n summary"], second: Float[np.ndarray, "n summary"]
) -> Float[np.ndarray, "n features"]:
    """Standardised features of the first less those of the second, less what length explains."""
    scale = _scale(first, second)
    return np.asarray(_features(first, scale) - _features(second, scale))


def comparisons_of(preferences: Sequence[Preference]) -> Comparisons:
    """As numbers, standardised; listeners in order of their names."""
    return _comparisons(preferences, _scale(*_sides(preferences)))


def _resampled(groups: Sequence[str], n: int, generator: np.random.Generator) -> list[Int[np.ndarray, " chosen"]]:
    """n draws of groups with replacement, as numbers of comparisons."""
    names, members = np.unique(np.array(groups), return_inverse=True)
    within = [np.flatnonzero(members == index) for index in range(len(names))]
    return [
        np.concatenate([within[index] for index in generator.integers(len(names), size=len(names))]) for _ in range(n)
    ]


def _listeners(preferences: Sequence[Preference]) -> list[str]:
    return sorted({p.listener for p in preferences})


def _sides(preferences: Sequence[Preference]) -> tuple[np.ndarray, np.ndarray]:
    first, second = (np.array([getattr(p, side) for p in preferences], np.float64) for side in ("first", "second"))
    return first, second


def _comparisons(preferences: Sequence[Preference], scale: _Scale) -> Comparisons:
    first, second = _sides(preferences)
    longer = (_log_length(first) - _log_length(second)) / scale.longer
    ordered = np.array([float(p.ordered) for p in preferences])
    louder = np.array([p.louder_db for p in preferences]) / LOUDNESS_UNIT_DB
    names = _listeners(preferences)
    return Comparisons(
        _features(first, scale) - _features(second, scale),
        np.stack([ordered, longer, louder], axis=1),
        np.array([0.5 if p.first_preferred is None else float(p.first_preferred) for p in preferences]),
        np.array([names.index(p.listener) for p in preferences], np.int64),
        np.array([p.weight for p in preferences], np.float64),
    )


def _log_length(summaries: Float[np.ndarray, "edits summary"]) -> Float[np.ndarray, " edits"]:
    return np.asarray(np.log(np.maximum(summaries[:, _LENGTH], _MIN_SHARE)))


def _scale(first: Float[np.ndarray, "n summary"], second: Float[np.ndarray, "n summary"]) -> _Scale:
    summaries = np.concatenate([first, second])
    raw, lengths = summaries[:, _COLUMNS], _log_length(summaries)
    mean, deviation = raw.mean(0), raw.std(0)
    deviation = np.where(deviation > _EPSILON, deviation, 1.0)
    centred = lengths - lengths.mean()
    slope = centred @ ((raw - mean) / deviation) / (centred @ centred + _EPSILON)
    longer = max(float((_log_length(first) - _log_length(second)).std()), _EPSILON)
    return _Scale(mean, deviation, slope, np.array(lengths.mean()), np.array(longer))


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
