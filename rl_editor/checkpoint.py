"""Policies and training states on disk: safetensors bytes, under a ``.pt`` name where that is documented.

A file holds tensors and one metadata key, ``rl_editor``, with sorted JSON: format, version, settings, styles, metrics,
and, of a policy that was trained on a reward, what that was (``Objective``). The same policy gives the same bytes;
scheduling and tracking settings are left out, as they change no result. Pickles run code when they are read and are
refused.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from rl_editor.agent import Agent
from rl_editor.config import NO_RESULT_SECTIONS, Config
from rl_editor.errors import CheckpointError, ConfigError, first_lines
from rl_editor.files import replacing
from rl_editor.reward_model import RewardModel
from rl_editor.state import ReferenceStatistics

METADATA_KEY = "rl_editor"
_CLONE, _OPTIMIZER = "clone", "optimizer"  # before the names of their tensors
POLICY_FORMAT, STATE_FORMAT = "rl-editor/policy", "rl-editor/training-state"
_VERSIONS = {POLICY_FORMAT: 1, STATE_FORMAT: 2}
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80")  # torch's zip archive, a bare pickle
_HEADER_AT = 8  # safetensors: the length of the header, whose lowest byte may be 0x80 as well, then its JSON object


@dataclass(frozen=True, eq=False)
class Objective:
    """What PPO maximised, for choosing among edits by it; the weights of its terms are in the settings.

    Attributes:
        nats: what a whole point of reward is worth beside the log likelihood of the decisions.
        enough: of each style, the reward of its editor's own edits, beyond which more counts for nothing.
        reference: statistics of finished music that the reward measures against.
        learned: what listeners prefer, where that was weighed in.
        clone: what training started from and was to stay close to.
    """

    nats: float
    enough: tuple[float, ...] = ()
    reference: ReferenceStatistics | None = None
    learned: RewardModel | None = None
    clone: Agent | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it, the clone aside."""
        return {
            "nats": self.nats,
            "enough": list(self.enough),
            "reference": asdict(self.reference) if self.reference else None,
            "learned": self.learned.to_dict() if self.learned else None,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, clone: Agent | None = None) -> "Objective":
        """The inverse of ``to_dict``."""
        reference, learned = values["reference"], values["learned"]
        return cls(
            values["nats"],
            tuple(values["enough"]),
            ReferenceStatistics(**reference) if reference else None,
            RewardModel.from_dict(learned) if learned else None,
            clone,
        )


@dataclass(frozen=True, eq=False)
class Policy:
    """A trained agent with all that is needed to use it.

    Attributes:
        agent: the networks.
        config: the settings it was trained with.
        styles: names of the editors, in the order of the agent's style inputs.
        metrics: the numbers of the epoch or update that was kept.
        objective: what it was trained to maximise; None for a clone, which knows nothing but its editors.
    """

    agent: Agent
    config: Config
    styles: tuple[str, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    objective: Objective | None = None


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What training gives: the best policy, and the numbers of every epoch or update."""

    policy: Policy
    history: tuple[Mapping[str, float], ...]
    best_step: int

    @property
    def metrics(self) -> Mapping[str, float]:
        """The numbers of the best epoch or update."""
        return self.policy.metrics


class TrainingState(NamedTuple):
    """Tensors and plain values from which training goes on to the same result."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]


def save_policy(path: str | Path, policy: Policy) -> None:
    """Write a policy, whole or not at all."""
    settings = {name: section for name, section in policy.config.to_dict().items() if name not in NO_RESULT_SECTIONS}
    settings["training"] = settings["training"] | {"resume": False}
    values: dict[str, Any] = {"config": settings, "styles": list(policy.styles), "metrics": dict(policy.metrics)}
    tensors = dict(policy.agent.state_dict())
    if policy.objective is not None:
        values["objective"] = policy.objective.to_dict()
        if policy.objective.clone is not None:
            tensors |= with_prefix(_CLONE, policy.objective.clone.state_dict())
    _write(path, tensors, POLICY_FORMAT, values)


def load_policy(path: str | Path) -> Policy:
    """Read a policy, onto the CPU.

    Raises:
        CheckpointError: the file is missing, a pickle, no policy of this project, or of another shape.
    """
    tensors, values = _read(path, POLICY_FORMAT)
    try:
        config = Config.from_dict(values["config"])
        config.training.device = "cpu"
        cloned = below_prefix(_CLONE, tensors)
        own = {name: tensor for name, tensor in tensors.items() if not name.startswith(f"{_CLONE}.")}
        agent, clone = _agent(config, own), _agent(config, cloned) if cloned else None
        objective = Objective.from_dict(values["objective"], clone=clone) if "objective" in values else None
        return Policy(agent, config, tuple(values["styles"]), values["metrics"], objective)
    except (RuntimeError, ConfigError, CheckpointError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path}: does not fit this version's networks ({first_lines(error, 2)}); train it again"
        ) from None


def _agent(config: Config, weights: Mapping[str, Tensor]) -> Agent:
    agent = Agent(config)
    agent.load_state_dict(weights)
    return agent


def save_state(path: str | Path, state: TrainingState) -> None:
    """Write a training state, whole or not at all."""
    _write(path, state.tensors, STATE_FORMAT, state.values)


def load_state(path: str | Path) -> TrainingState:
    """Read a training state.

    Raises:
        CheckpointError: the file is missing, a pickle, or no training state of this project.
    """
    return TrainingState(*_read(path, STATE_FORMAT))


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The moments of an optimizer as named copies; its settings come from the config again."""
    return {
        f"{_OPTIMIZER}.{index}.{name}": value.clone()
        for index, entry in optimizer.state_dict()["state"].items()
        for name, value in entry.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what ``optimizer_tensors`` gave, of tensors among which it is."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in below_prefix(_OPTIMIZER, tensors).items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor.clone()
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under ``prefix.``."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def below_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under ``prefix.``, without it."""
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _write(path: str | Path, tensors: Mapping[str, Tensor], kind: str, values: Mapping[str, Any]) -> None:
    text = json.dumps({"format": kind, "version": _VERSIONS[kind], **values}, sort_keys=True, allow_nan=False)
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in sorted(tensors.items())}
    with replacing(path) as temporary:
        temporary.write_bytes(save(plain, metadata={METADATA_KEY: text}))


def _read(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    path = Path(path)
    remedy = "train it again" if kind == POLICY_FORMAT else "delete it, or set training.resume: false"
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; training writes it, or check the path")
    with path.open("rb") as file:
        start = file.read(_HEADER_AT + 1)
    if start.startswith(_PICKLE_STARTS) and start[_HEADER_AT:] != b"{":
        raise CheckpointError(
            f"{path}: a pickle, which would run code when read; only safetensors written by this project are "
            "read: train it again"
        )
    try:
        with safe_open(str(path), framework="pt") as opened:
            values = json.loads((opened.metadata() or {})[METADATA_KEY])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise CheckpointError(f"{path}: not a file of this project ({first_lines(error, 2)}); {remedy}") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: not a file of this project (its description is no object); {remedy}")
    if values.get("format") != kind or values.get("version") != _VERSIONS[kind]:
        found = f"{values.get('format')} version {values.get('version')}"
        raise CheckpointError(f"{path}: holds {found}, expected {kind} version {_VERSIONS[kind]}; {remedy}")
    return tensors, values
