"""All hyperparameters, as one validated tree of sections; ``params.yaml`` holds the values of a run.

Conventions: the unit is in the name (``_s _ms _hz _db _bpm _beats _units``); probabilities and ratios are
in [0, 1]; every section refuses unknown names, values of the wrong type (a string where a number is due:
PyYAML reads ``1e-4`` as a string), values out of bounds, NaN and infinity, at construction and at assignment.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, field, fields
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from rl_editor.errors import ConfigError

_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]+)?")
_STRICT = ConfigDict(extra="forbid", validate_assignment=True, strict=True, allow_inf_nan=False)


def _check_range(low_name: str, low: float, high_name: str, high: float) -> None:
    if low > high:
        raise ValueError(f"{low_name} {low:g} is more than {high_name} {high:g}; turn them round")


def check_device(name: str, *, setting: str) -> None:
    """Refuse what names no device.

    Raises:
        ConfigError: it is neither ``auto`` nor a CPU nor a CUDA GPU.
    """
    if not _DEVICE.fullmatch(name):
        raise ConfigError(f"{setting} {name!r}: unknown; expected auto, cpu, cuda or cuda:0")


Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=1 << 63)]
BeatTracker = Literal["network", "librosa", "beat_this", "auto"]
EditMethod = Literal["policy", "dp"]
Precision = Literal["float32", "bfloat16"]
FeatureMode = Literal["basic", "enhanced", "full"]
Split = Literal["train", "validation", "test"]

NO_RESULT_SECTIONS = ("executor", "tracking")  # scheduling and tracking change no result

_T = TypeVar("_T")


def _section(cls: type[_T]) -> Callable[[], _T]:
    return cls


@dataclass(config=_STRICT)
class AudioConfig:
    """The mono analysis view of a recording."""

    sample_rate: Annotated[int, Field(ge=8000, le=192000)] = 22050  # Hz
    hop_length: Count = 512  # samples between frames
    n_fft: Count = 2048  # samples per frame
    n_mels: Annotated[int, Field(ge=13)] = 128  # the timbre's 13 coefficients are made of them
    min_duration_s: Positive = 3.0  # shorter recordings are refused

    @model_validator(mode="after")
    def _check_frames(self) -> "AudioConfig":
        if self.n_mels > self.n_fft // 2 + 1:
            raise ValueError(
                f"n_fft {self.n_fft}: a spectrum of at least n_mels, {self.n_mels}, bins is expected; make it "
                f"{2 * (self.n_mels - 1)} or more, or lower n_mels"
            )
        if self.hop_length > self.n_fft:
            raise ValueError(
                f"hop_length {self.hop_length}: at most n_fft, {self.n_fft}, is expected, or no frame hears what lies "
                f"between two; {max(self.n_fft // 4, 1)} is usual"
            )
        return self


@dataclass(config=_STRICT)
class BeatOverride:
    """A correction of one track's beat grid, applied without recomputing audio features."""

    tempo_multiplier: Literal[1, 2, "half"] = 1  # 2 doubles the beats, "half" drops every second
    shift_beats: Annotated[float, Field(ge=-0.5, le=0.5)] = 0.0  # moves all beats by this share of a beat
    downbeat_shift_beats: int = 0  # which beat of the bar comes first, rotated by whole beats


@dataclass(config=_STRICT)
class BeatsConfig:
    """Beat tracking."""

    tracker: BeatTracker = "network"  # auto takes beat_this where it is installed, else network
    start_bpm: Positive = 120.0  # of a regular grid where no beat is heard
    latency_s: float = 0.0  # added to every tracked beat after the tracker's own bias is removed
    beats_per_bar: Literal[0, 2, 3, 4, 6] = 0  # 0 decides between 3 and 4 from the audio
    overrides: dict[str, dict[str, Any]] = field(default_factory=dict)  # track id -> BeatOverride fields

    @model_validator(mode="after")
    def _check_overrides(self) -> "BeatsConfig":
        for track_id in self.overrides:
            self.override_for(track_id)
        return self

    def override_for(self, track_id: str) -> BeatOverride:
        """The correction of this track, or the neutral one."""
        return _build(BeatOverride, self.overrides.get(track_id, {}), f"beats.overrides.{track_id}")


@dataclass(config=_STRICT)
class StemsConfig:
    """Source separation with Demucs."""

    model: str = "htdemucs"  # hpss needs no weights: drums, bass and other, coarsely
    repo: str | None = None  # local model folder; null asks Demucs' hub
    overlap: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.25  # share of a segment
    segment_s: Positive | None = None  # null is the model's own training length
    precision: Precision = "float32"  # bfloat16 is faster on a GPU; samples differ by up to a 250th of the peak
    device: str = "auto"  # auto, cpu, cuda, cuda:1 ...
    batch_segments: Annotated[int, Field(ge=0)] = 0  # segments at a time; 0 is 1 on a CPU and up to 16 on a GPU

    @model_validator(mode="after")
    def _check_device(self) -> "StemsConfig":
        check_device(self.device, setting="stems.device")
        return self


@dataclass(config=_STRICT)
class FeaturesConfig:
    """Beat-synchronous features: basic 4, enhanced 109, full 121 columns."""

    feature_mode: FeatureMode = "enhanced"
    device: str = "cpu"  # of the spectra; cuda, cuda:1 ..., auto: a GPU where there is one

    @model_validator(mode="after")
    def _check_device(self) -> "FeaturesConfig":
        check_device(self.device, setting="features.device")
        return self


@dataclass(config=_STRICT)
class DataConfig:
    """Where recordings lie and how tracks are split."""

    raw_dir: str = "data/raw"  # input/ desired_output/ reference/ [pairs.csv]
    cache_dir: str = "./rl_editor/cache"
    use_cache: bool = True
    use_stems: bool = False
    test_fraction: Probability = 0.25  # of songs, chosen by a hash of the song
    validation_fraction: Probability = 0.2
    splits: dict[str, Split] = field(default_factory=dict)  # song -> its split, where the hash is not to decide
    num_workers: Natural = 0  # data loader processes


@dataclass(config=_STRICT)
class ExecutorConfig:
    """Scheduling only: never changes a result."""

    workers: Natural = 0  # processes for per-track work; 0 is one per core


@dataclass(config=_STRICT)
class CorpusConfig:
    """The embedded default corpus, made only when ``data.raw_dir`` holds no recordings."""

    n_songs: Annotated[int, Field(ge=1)] = 24
    seed: Seed = 2025
    min_duration_s: Positive = 60.0
    max_duration_s: Positive = 240.0
    sample_rate: Annotated[int, Field(ge=16000, le=192000)] = 24000  # Hz, of the composed songs
    editors: Annotated[list[str], Field(min_length=1)] = field(
        default_factory=lambda: ["radio_edit", "jam_cleanup", "extended_mix"]
    )

    @model_validator(mode="after")
    def _check_ranges(self) -> "CorpusConfig":
        _check_range("min_duration_s", self.min_duration_s, "max_duration_s", self.max_duration_s)
        return self


@dataclass(config=_STRICT)
class AlignmentConfig:
    """Recovery of the edit list from a raw recording and its edit."""

    n_bands: Count = 64
    stack_frames: Natural = 2  # frames stacked on each side
    jump_cost: Positive = 6.0  # lambda, in units of frame cost
    unmatched_cost: Positive = 0.5  # theta, per frame
    min_matched_share: Probability = 0.8  # of the edit's duration, else the pair is rejected
    min_confidence: Probability = 0.3  # median over segments, else the pair is rejected
    coarse_above_cells: Positive = 4.0e6  # larger problems run a coarse pass and then a band
    speed_reach: Annotated[float, Field(ge=0.0, le=0.25)] = 0.07  # changes of speed that are looked for: 0.93 to 1.07
    pitch_reach_semitones: Annotated[float, Field(ge=0.0, le=6.0)] = 2.5  # and of pitch, up and down


@dataclass(config=_STRICT)
class ActionSpaceConfig:
    """What one decision covers and may do."""

    max_loop_times: Annotated[int, Field(ge=2, le=4)] = 4
    default_crossfade_ms: NonNegative = 50.0
    unit_beats: Annotated[int, Field(ge=1, le=32)] = 4  # 4 is a bar of 4/4 (3 beats in 3/4); 1 is a beat
    reorder_reach_units: Annotated[int, Field(ge=1, le=256)] = 64


@dataclass(config=_STRICT)
class StateConfig:
    """What an observation holds."""

    context_units: Natural = 5  # on each side of the position
    map_tokens: Count = 64  # whole-song map
    history_units: Natural = 8  # latest decisions
    n_styles: Count = 8  # editors one policy can tell apart


@dataclass(config=_STRICT)
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

    def loop_limit(self, style: str) -> float:
        """The share of an edit in this style that may be heard again."""
        return self.loop_ratio_by_style.get(style, self.max_loop_ratio)


@dataclass(config=_STRICT)
class RewardModelConfig:
    """The reward learned from listeners' judgements."""

    min_judgements: Annotated[int, Field(ge=60)] = 60  # fewer teach nothing
    n_members: Annotated[int, Field(ge=2)] = 10  # models of the ensemble, each on resampled judgements
    doubt: NonNegative = 1.0  # standard deviations of the ensemble that the reward lies below the mean


@dataclass(config=_STRICT)
class AgentConfig:
    """Size of the policy and value networks."""

    d_row: Count = 16  # what is taken from the features of a unit
    d_structure: Count = 32  # and from its structure
    d_model: Count = 96
    n_heads: Count = 4
    n_layers: Count = 2  # transformer layers over the song map
    d_head: Count = 128  # hidden width of the decision heads
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.4
    structure_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1  # of structure columns, which hold on other songs
    path_dropout: Probability = 0.7  # share of decisions learned without seeing the decisions before
    habit_dropout: Probability = 0.5  # the same for habits, which see the latest one alone

    @model_validator(mode="after")
    def _check_heads(self) -> "AgentConfig":
        if self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model}: a multiple of n_heads, {self.n_heads}, is needed")
        return self


@dataclass(config=_STRICT)
class TrainingConfig:
    """What both learners share."""

    device: str = "auto"  # auto, cpu, cuda, cuda:1 ...
    seed: Seed = 0
    threads: Natural = 1  # torch threads; only 1 gives the same bytes every time, 0 leaves torch's default
    mixed_precision: bool = False
    gradient_accumulation_steps: Count = 1
    duration_dropout: Probability = 0.5  # share of episodes trained without a target duration
    resume: bool = False

    @model_validator(mode="after")
    def _check_device(self) -> "TrainingConfig":
        check_device(self.device, setting="training.device")
        return self


@dataclass(config=_STRICT)
class BCConfig:
    """Behavioural cloning."""

    epochs: Count = 100
    learning_rate: Positive = 1.0e-3
    weight_decay: NonNegative = 1.0e-1
    batch_tracks: Count = 4
    patience_epochs: Count = 20
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    class_balance: Probability = 0.75  # exponent on inverse class frequency
    weight_average: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.8  # kept of the averaged weights per epoch
    own_decisions: Probability = 1.0  # most that the learner decides itself while it collects lessons; 0 replays only
    feature_noise: NonNegative = 0.5  # standard deviations, on normalised features, training only


@dataclass(config=_STRICT)
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
    gamma: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    gae_lambda: Probability = 0.95
    target_kl: Positive = 0.05
    remixes: Annotated[int, Field(ge=0)] = 1  # of every song, to train on instead of it; 0 trains on the song itself
    n_envs: Count = 512
    epochs: Count = 2
    minibatches: Count = 16
    max_grad_norm: Positive = 0.5
    total_timesteps: Count = 1000000
    reward_nats: NonNegative = 20.0  # what a point of reward is worth beside log likelihood, choosing among edits
    listener_nats: NonNegative = 50.0  # the same where listeners' preferences take part


@dataclass(config=_STRICT)
class AugmentationConfig:
    """Draws applied alike to raw, edit and beat grid."""

    enabled: bool = True
    pitch_shift_prob: Probability = 0.5
    pitch_shift_semitones: NonNegative = 2.0
    time_stretch_prob: Probability = 0.5
    time_stretch_min: Positive = 0.9
    time_stretch_max: Positive = 1.1
    noise_prob: Probability = 0.3
    noise_snr_min_db: float = 20.0
    noise_snr_max_db: float = 40.0
    gain_prob: Probability = 0.5
    gain_db: NonNegative = 6.0
    eq_prob: Probability = 0.3
    eq_db: NonNegative = 6.0
    draws_per_track: Natural = 1  # augmented copies of each training track

    @model_validator(mode="after")
    def _check_ranges(self) -> "AugmentationConfig":
        _check_range("time_stretch_min", self.time_stretch_min, "time_stretch_max", self.time_stretch_max)
        _check_range("noise_snr_min_db", self.noise_snr_min_db, "noise_snr_max_db", self.noise_snr_max_db)
        return self


@dataclass(config=_STRICT)
class RenderConfig:
    """How an edit list becomes audio."""

    join_search_ms: Annotated[float, Field(ge=0.0, le=100.0)] = 20.0  # a join may move this far either way
    block_s: Positive = 10.0  # streamed block


@dataclass(config=_STRICT)
class EvaluationConfig:
    """Comparison on held-out tracks."""

    bootstrap_samples: Count = 1000
    confidence_level: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    join_tolerance_s: Positive = 0.07
    audio_examples: Natural = 2  # rendered per style into the report


@dataclass(config=_STRICT)
class TrackingConfig:
    """Experiment tracking and the model registry; a side effect that changes no output."""

    backend: Literal["mlflow", "tensorboard", "wandb", "none"] = "mlflow"
    experiment: str = "rl-editor"
    registered_model: str = "rl-editor-policy"


@dataclass(config=_STRICT)
class Config:
    """The whole tree; ``Config()`` holds the defaults."""

    audio: AudioConfig = field(default_factory=_section(AudioConfig))
    beats: BeatsConfig = field(default_factory=_section(BeatsConfig))
    stems: StemsConfig = field(default_factory=_section(StemsConfig))
    features: FeaturesConfig = field(default_factory=_section(FeaturesConfig))
    data: DataConfig = field(default_factory=_section(DataConfig))
    executor: ExecutorConfig = field(default_factory=_section(ExecutorConfig))
    corpus: CorpusConfig = field(default_factory=_section(CorpusConfig))
    alignment: AlignmentConfig = field(default_factory=_section(AlignmentConfig))
    action_space: ActionSpaceConfig = field(default_factory=_section(ActionSpaceConfig))
    state: StateConfig = field(default_factory=_section(StateConfig))
    reward: RewardConfig = field(default_factory=_section(RewardConfig))
    reward_model: RewardModelConfig = field(default_factory=_section(RewardModelConfig))
    agent: AgentConfig = field(default_factory=_section(AgentConfig))
    training: TrainingConfig = field(default_factory=_section(TrainingConfig))
    bc: BCConfig = field(default_factory=_section(BCConfig))
    ppo: PPOConfig = field(default_factory=_section(PPOConfig))
    augmentation: AugmentationConfig = field(default_factory=_section(AugmentationConfig))
    render: RenderConfig = field(default_factory=_section(RenderConfig))
    evaluation: EvaluationConfig = field(default_factory=_section(EvaluationConfig))
    tracking: TrackingConfig = field(default_factory=_section(TrackingConfig))

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
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ConfigError(f"params: unknown section {unknown[0]!r}; known sections are {', '.join(known)}")
        return cls(**{name: _build(known[name], values[name], name) for name in values})


def section_types() -> dict[str, type[Any]]:
    """Section name -> its class, in declaration order."""
    return {f.name: f.type for f in fields(Config)}  # type: ignore[misc]


def get_default_config() -> Config:
    """A fresh tree of defaults."""
    return Config()


def _build(cls: type[_T], values: Any, where: str) -> _T:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: {values!r} is not a section of settings; write 'name: value' lines below it")
    try:
        return cls(**values)
    except ValidationError as error:
        faults = [_fault(where, e) for e in error.errors()]
        raise ConfigError("; ".join(faults)) from None


def _fault(where: str, error: Any) -> str:
    key = ".".join([where, *(str(part) for part in error["loc"])])
    hint = (
        " (PyYAML reads 1e-4 as text: write 1.0e-04)"
        if isinstance(error["input"], str) and "number" in error["msg"]
        else ""
    )
    if error["type"] == "unexpected_keyword_argument":
        return f"{key}: unknown setting; is it misspelt?"
    if error["type"] == "value_error":  # what one of our own checks says
        return f"{key}.{error['ctx']['error']}"
    return f"{key}: {error['input']!r} is refused: {error['msg']}{hint}"
