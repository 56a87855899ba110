"""All hyperparameters, as one validated tree of sections; ``params.yaml`` holds the values of a run.

Conventions: the unit is in the name (``_s _ms _hz _db _bpm _beats _units``); probabilities and ratios are
in [0, 1]; every section refuses unknown names, values of the wrong type (a string where a number is due:
PyYAML reads ``1e-4`` as a string), values out of bounds, NaN and infinity, at construction and at assignment.

    sound     how recordings are heard and edits are rendered
    pairs     where raw recordings and their edits come from
    world     decisions, observations, rewards
    learning  networks and their training
    checks    bounds, and errors that name the setting
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, field, fields
from typing import Any, Literal

from pydantic import model_validator
from pydantic.dataclasses import dataclass

from rl_editor.config.checks import MAX_SEED, STRICT, Few, Name, built, check_device
from rl_editor.config.learning import AgentConfig, BCConfig, EvaluationConfig, PPOConfig, TrainingConfig
from rl_editor.config.pairs import AlignmentConfig, CorpusConfig, DataConfig, Split
from rl_editor.config.sound import (
    AudioConfig,
    AugmentationConfig,
    BeatOverride,
    BeatsConfig,
    BeatTracker,
    FeatureMode,
    FeaturesConfig,
    Precision,
    RenderConfig,
    StemsConfig,
)
from rl_editor.config.world import ActionSpaceConfig, RewardConfig, RewardModelConfig, StateConfig
from rl_editor.errors import ConfigError

__all__ = [
    "MAX_SEED",
    "NO_RESULT_SECTIONS",
    "ActionSpaceConfig",
    "AgentConfig",
    "AlignmentConfig",
    "AudioConfig",
    "AugmentationConfig",
    "BCConfig",
    "BeatOverride",
    "BeatTracker",
    "BeatsConfig",
    "Config",
    "CorpusConfig",
    "DataConfig",
    "EditMethod",
    "EvaluationConfig",
    "ExecutorConfig",
    "FeatureMode",
    "FeaturesConfig",
    "PPOConfig",
    "Precision",
    "RenderConfig",
    "RewardConfig",
    "RewardModelConfig",
    "Split",
    "StateConfig",
    "StemsConfig",
    "TrackingConfig",
    "TrainingConfig",
    "check_device",
    "get_default_config",
    "section_types",
]

EditMethod = Literal["policy", "dp"]
NO_RESULT_SECTIONS = ("executor", "tracking")  # scheduling and tracking change no result

_NO_MODEL_NAME = re.compile(r"""[/:'"\n]|^\s*$""")


@dataclass(config=STRICT)
class ExecutorConfig:
    """Scheduling only: never changes a result."""

    workers: Few = 0  # processes for per-track work; 0 is one per core


@dataclass(config=STRICT)
class TrackingConfig:
    """Experiment tracking and the model registry; a side effect that changes no output."""

    backend: Literal["mlflow", "tensorboard", "wandb", "none"] = "mlflow"
    experiment: Name = "rl-editor"
    registered_model: Name = "rl-editor-policy"

    @model_validator(mode="after")
    def _check_name(self) -> "TrackingConfig":
        if _NO_MODEL_NAME.search(self.registered_model):
            raise ValueError(
                f"registered_model {self.registered_model!r}: the model registry expects a name without slashes, "
                "colons and quotes; is team-policy meant, rather than team/policy?"
            )
        return self


@dataclass(config=STRICT)
class Config:
    """The whole tree; ``Config()`` holds the defaults."""

    audio: AudioConfig = field(default_factory=AudioConfig)
    beats: BeatsConfig = field(default_factory=BeatsConfig)
    stems: StemsConfig = field(default_factory=StemsConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    data: DataConfig = field(default_factory=DataConfig)
    executor: ExecutorConfig = field(default_factory=ExecutorConfig)
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    action_space: ActionSpaceConfig = field(default_factory=ActionSpaceConfig)
    state: StateConfig = field(default_factory=StateConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    reward_model: RewardModelConfig = field(default_factory=RewardModelConfig)
    agent: AgentConfig = field(default_factory=AgentConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    bc: BCConfig = field(default_factory=BCConfig)
    ppo: PPOConfig = field(default_factory=PPOConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    render: RenderConfig = field(default_factory=RenderConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dicts, in declaration order."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Config":
        """Build from nested dicts; sections and keys left out keep their defaults.

        Raises:
            ConfigError: unknown section or key, wrong type, value out of bounds; every fault is named.
        """
        known = section_types()
        unknown = [name for name in values if name not in known]
        if unknown:
            raise ConfigError(f"params: unknown section {unknown[0]!r}; known sections are {', '.join(known)}")
        return cls(**{name: built(known[name], values[name], name) for name in values})


def section_types() -> dict[str, type[Any]]:
    """Section name -> its class, in declaration order."""
    return {f.name: f.type for f in fields(Config)}  # type: ignore[misc]


def get_default_config() -> Config:
    """A fresh tree of defaults."""
    return Config()
