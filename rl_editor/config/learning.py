"""Networks, how they are trained, and how they are compared."""

from typing import Annotated

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from rl_editor.config.checks import (
    STRICT,
    Copies,
    Count,
    Few,
    Natural,
    NonNegative,
    Positive,
    Probability,
    Seed,
    Width,
    check_device,
)


@dataclass(config=STRICT)
class AgentConfig:
    """Size of the policy and value networks."""

    d_row: Width = 16  # what is taken from the features of a unit
    d_structure: Width = 32  # and from its structure
    d_model: Width = 96
    n_heads: Width = 4
    n_layers: Annotated[int, Field(ge=1, le=64)] = 2  # transformer layers over the song map
    d_head: Width = 128  # hidden width of the decision heads
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.4
    structure_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1  # of structure: it says the same on other songs
    path_dropout: Probability = 0.7  # share of decisions learned without seeing the decisions before
    habit_dropout: Probability = 0.5  # the same for habits, which see the latest one alone

    @model_validator(mode="after")
    def _check_heads(self) -> "AgentConfig":
        if self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model}: a multiple of n_heads, {self.n_heads}, is needed")
        return self


@dataclass(config=STRICT)
class TrainingConfig:
    """What both learners share."""

    device: str = "auto"  # auto, cpu, cuda, cuda:1 ...
    seed: Seed = 0
    threads: Few = 1  # torch threads; only 1 gives the same bytes every time, 0 leaves torch's default
    mixed_precision: bool = False  # bfloat16 on a GPU; a CPU computes in float32 all the same
    gradient_accumulation_steps: Count = 1
    duration_dropout: Probability = 0.5  # share of episodes trained without a target duration
    resume: bool = False

    @model_validator(mode="after")
    def _check_device(self) -> "TrainingConfig":
        check_device(self.device, setting="training.device")
        return self


@dataclass(config=STRICT)
class BCConfig:
    """Behavioural cloning."""

    epochs: Count = 100
    learning_rate: Positive = 1.0e-3
    weight_decay: NonNegative = 1.0e-1
    batch_tracks: Count = 4
    patience_epochs: Count = 20
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    trees: Few = 100  # of each editor, that say beside the network what to play; 0 leaves it to the network
    class_balance: Probability = 0.75  # exponent on inverse class frequency
    weight_average: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.8  # kept of the averaged weights per epoch
    own_decisions: Probability = 1.0  # most that the learner decides itself while it collects lessons; 0 replays only
    feature_noise: NonNegative = 0.5  # standard deviations, on normalised features, training only


@dataclass(config=STRICT)
class PPOConfig:
    """Proximal policy optimisation."""

    learning_rate: Positive = 1.0e-4
    clip_ratio: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.2
    entropy_coeff: NonNegative = 0.05
    value_coeff: NonNegative = 0.5
    kl_coeff: NonNegative = 0.1  # penalty towards the behavioural-cloning policy ..
    kl_balance: Probability = 1.0  # .. with this exponent on the inverse frequency of each kind of decision
    weight_average: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.8  # kept of the averaged weights per update
    learned_reward: bool = True  # weigh in what listeners prefer, where the stage reward_model learned it
    audit_loss: NonNegative = 0.01  # of the reward without it on validation songs, that the policy kept may lose
    agreement_loss: NonNegative = 0.02  # of balanced accuracy and mean recall in validation, that may be lost
    gamma: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0  # below it, gains early in a song count more than in the score
    gae_lambda: Probability = 0.95
    target_kl: Positive = 0.05
    remixes: Copies = 1  # of every song, to train on instead of it; 0 trains on the song itself
    n_envs: Annotated[int, Field(ge=1, le=1 << 20)] = 512
    epochs: Count = 2
    minibatches: Annotated[int, Field(ge=1, le=1 << 20)] = 16
    max_grad_norm: Positive = 0.5
    total_timesteps: Count = 1000000
    reward_nats: NonNegative = 40.0  # what a point of reward is worth beside log likelihood, choosing among edits
    listener_nats: NonNegative = 16.0  # the same where listeners' preferences take part


@dataclass(config=STRICT)
class EvaluationConfig:
    """Comparison on held-out tracks."""

    bootstrap_samples: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    confidence_level: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    join_tolerance_s: Positive = 0.07
    audio_examples: Natural = 2  # rendered per style into the report
