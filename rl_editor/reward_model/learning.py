"""From answers to a learned reward, or to the reason why there is none.

A model is learned only from enough judgements, and used only if answers without a taste would hardly look so much like
one: answers by chance, or by habits such as "the longer one", leave no reward behind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from rl_editor.command import counted
from rl_editor.config import RewardModelConfig
from rl_editor.errors import CheckpointError
from rl_editor.files import write_json
from rl_editor.judgements.sets import Preferences
from rl_editor.reward_model.accord import Accord, accords, opposed
from rl_editor.reward_model.model import Preference, RewardModel
from rl_editor.reward_model.opinions import Anchored, contrary, opinions
from rl_editor.reward_model.trials import Trial, held_out_trial

Status = Literal["none", "too few", "no taste", "learned"]
STATUS_FILE, MODEL_FILE = "status.json", "reward_model.json"
LEAST_SLOPE, MOST_SLOPE = 0.1, 3.0


@dataclass(frozen=True, eq=False)
class Learned:
    """What came of the answers.

    Attributes:
        status: ``none`` without answers; ``too few`` of them; ``no taste`` that predicts anything; or ``learned``.
        reason: in words.
        n_judgements: comparisons that say something, ratings weighed in.
        left_out: listeners whose answers do not count, since they prefer the broken side of anchors, by name.
        model: where it was learned.
        trial: where there were enough answers to hold some out.
        accords: what every two listeners have in common, likewise.
    """

    status: Status
    reason: str
    n_judgements: float
    left_out: Mapping[str, Anchored] = field(default_factory=dict)
    model: RewardModel | None = None
    trial: Trial | None = None
    accords: Sequence[Accord] = ()

    def metrics(self) -> dict[str, float]:
        """Numbers, for trackers."""
        numbers = {"judgements": self.n_judgements, "learned": float(self.status == "learned")}
        if self.trial is not None:
            names = ("accuracy", "low", "high", "calibration_error", "slope", "by_chance")
            numbers |= {f"held_out/{name}": float(getattr(self.trial, name)) for name in names}
            numbers["held_out/n"] = float(self.trial.n)
        if self.model is not None:
            numbers |= {f"weights/{name}": weight for name, (weight, _) in self.model.weights.items()}
        return numbers

    def save(self, folder: Path) -> None:
        """Write ``status.json`` and, where a model was learned, ``reward_model.json``."""
        write_json(folder / STATUS_FILE, {"status": self.status, "reason": self.reason, "metrics": self.metrics()})
        if self.model is not None:
            self.model.save(folder / MODEL_FILE)


def learn(collected: Sequence[Preferences], config: RewardModelConfig, generator: np.random.Generator) -> Learned:
    """Learn a reward from collected answers.

    Args:
        collected: sets and the answers to them.
        config: how many judgements are needed, and the ensemble.
        generator: resamples.

    Raises:
        DatasetError: a set was described by another version.
    """
    against = contrary(collected)
    found, left_out = opinions(collected, without=against), _left_out(against)
    total = float(sum(p.weight for p in found))
    if not found and not left_out:
        n = sum(len(each.judgements) + len(each.ratings) for each in collected)
        silent = f"none of {n} answers says which of two edits is better"
        return Learned("none", silent if n else "no judgements were collected", 0.0, against)
    if total < config.min_judgements:
        needed = (
            f"{counted(total, 'judgement')}, at least {config.min_judgements} are needed (reward_model.min_judgements)"
        )
        return Learned("too few", f"{needed}; judge more pairs{left_out}", total, against)
    trial = held_out_trial(found, generator)
    if trial is None:
        return Learned("too few", f"{_undecided(found)}; judge more pairs{left_out}", total, against)
    together = accords(found, generator.spawn(1)[0])
    divided = f"; {words}: one reward is not for both" if (words := opposed(together)) else ""
    said = f"predicts {_share(trial.accuracy)} ({_share(trial.low)} to {_share(trial.high)}) of held-out judgements"
    if not trial.beats_chance:
        doubt = f"as answers without a taste would in {_share(trial.by_chance)} of cases"
        reason = f"{said}, {doubt}: no reward is learned{divided}{left_out}"
        return Learned("no taste", reason, total, against, trial=trial, accords=together)
    model = RewardModel(n_members=config.n_members, doubt=config.doubt)
    model.fit(found, generator)
    model.calibrate(float(np.clip(trial.slope, LEAST_SLOPE, MOST_SLOPE)))
    return Learned("learned", said + divided + left_out, total, against, model, trial, together)


def load_learned(folder: str | Path) -> RewardModel | None:
    """The model that ``Learned.save`` wrote; None where none was learned.

    Raises:
        CheckpointError: the folder holds no result.
    """
    if not (Path(folder) / STATUS_FILE).is_file():
        raise CheckpointError(f"{folder}: no {STATUS_FILE}; run the stage reward_model")
    path = Path(folder) / MODEL_FILE
    return RewardModel.load(path) if path.is_file() else None


def _left_out(against: Mapping[str, Anchored]) -> str:
    """Whose answers do not count, in words."""
    said = [f"{name}, who chose the good side of {a.good} of {a.n} decided anchors" for name, a in against.items()]
    return f"; left out are the answers of {', and '.join(said)}" if said else ""


def _undecided(found: Sequence[Preference]) -> str:
    """Why no answers can be held out, in words."""
    n_decided = sum(p.ordered and p.first_preferred is not None for p in found)
    return f"{n_decided} of {len(found)} comparisons are answers for one side of a pair, too few to hold some out"


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"
