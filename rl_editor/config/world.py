"""What is decided, what an observation holds, and what is rewarded."""

from dataclasses import field
from typing import Annotated

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from rl_editor.config.checks import STRICT, Count, Few, NonNegative, Positive, Probability, Width
from rl_editor.files import safe_name


@dataclass(config=STRICT)
class ActionSpaceConfig:
    """What one decision covers and may do."""

    max_loop_times: Annotated[int, Field(ge=2, le=4)] = 4
    default_crossfade_ms: Annotated[float, Field(ge=0.0, le=60_000.0)] = 50.0  # what an edit list may hold
    unit_beats: Annotated[int, Field(ge=1, le=32)] = 4  # 4 is a bar of 4/4 (3 beats in 3/4); 1 is a beat
    reorder_reach_units: Annotated[int, Field(ge=1, le=256)] = 64


@dataclass(config=STRICT)
class StateConfig:
    """What an observation holds."""

    context_units: Few = 5  # on each side of the position
    map_tokens: Annotated[int, Field(ge=1, le=1024)] = 64  # whole-song map
    history_units: Few = 8  # latest decisions
    n_styles: Width = 8  # editors one policy can tell apart


@dataclass(config=STRICT)
class RewardConfig:
    """Weights and limits of the reward terms; each term is in [0, 1]."""

    target_max_duration_s: Positive = 600.0
    max_loop_ratio: Probability = 0.15
    loop_ratio_by_style: dict[str, Probability] = field(default_factory=lambda: {"extended_mix": 0.6})
    tempo_weight: NonNegative = 1.0
    energy_weight: NonNegative = 1.0
    phrase_weight: NonNegative = 1.0
    transition_weight: NonNegative = 2.0
    loop_weight: NonNegative = 1.0
    duration_weight: NonNegative = 2.0
    human_rating_weight: NonNegative = 1.0
    learned_weight: NonNegative = 1.0
    duration_tolerance: Positive = 0.1  # relative length error at which the duration term reaches 1/e
    phrase_bars: Count = 4

    @model_validator(mode="after")
    def _check_weights(self) -> "RewardConfig":
        if not any(value for name, value in vars(self).items() if name.endswith("_weight")):
            raise ValueError(
                "tempo_weight 0, as all other weights are: no edit would be better than another; at least one above 0 "
                "is needed"
            )
        return self

    def loop_limit(self, style: str) -> float:
        """The share of an edit in this style that may be heard again; editors may be spelled as in ``pairs.csv``."""
        limits = {safe_name(name): ratio for name, ratio in self.loop_ratio_by_style.items()}
        return limits.get(safe_name(style), self.max_loop_ratio)


@dataclass(config=STRICT)
class RewardModelConfig:
    """The reward learned from listeners' judgements."""

    min_judgements: Annotated[int, Field(ge=60, le=1_000_000)] = 60  # fewer teach nothing
    n_members: Annotated[int, Field(ge=2, le=1000)] = 10  # models of the ensemble, each on resampled judgements
    doubt: NonNegative = 1.0  # standard deviations of the ensemble that the reward lies below the mean
