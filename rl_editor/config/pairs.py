"""Where raw recordings and their edits come from, and how an edit list is recovered from them."""

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from rl_editor.config.checks import STRICT, Few, Name, Positive, Probability, Seed, check_range

Split = Literal["train", "validation", "test"]


@dataclass(config=STRICT)
class DataConfig:
    """Where recordings lie and how tracks are split."""

    raw_dir: Name = "data/raw"  # input/ desired_output/ reference/ [pairs.csv]
    cache_dir: Name = "./rl_editor/cache"
    use_cache: bool = True
    use_stems: bool = False
    test_fraction: Probability = 0.25  # of songs, chosen by a hash of the song
    validation_fraction: Probability = 0.2
    splits: dict[str, Split] = field(default_factory=dict)  # song -> its split, where the hash is not to decide
    num_workers: Few = 0  # data loader processes

    @model_validator(mode="after")
    def _check_fractions(self) -> "DataConfig":
        if self.test_fraction + self.validation_fraction >= 1.0:
            raise ValueError(
                f"test_fraction {self.test_fraction:g} and validation_fraction {self.validation_fraction:g} leave no "
                "song to learn from; together they must be less than 1"
            )
        return self


@dataclass(config=STRICT)
class CorpusConfig:
    """The embedded default corpus, made only when ``data.raw_dir`` holds no recordings."""

    n_songs: Annotated[int, Field(ge=1, le=100_000)] = 24
    seed: Seed = 2025
    min_duration_s: Positive = 60.0
    max_duration_s: Positive = 240.0
    sample_rate: Annotated[int, Field(ge=16000, le=192000)] = 24000  # Hz, of the composed songs
    editors: Annotated[list[str], Field(min_length=1)] = field(
        default_factory=lambda: ["radio_edit", "jam_cleanup", "extended_mix"]
    )

    @model_validator(mode="after")
    def _check_ranges(self) -> "CorpusConfig":
        check_range("min_duration_s", self.min_duration_s, "max_duration_s", self.max_duration_s)
        return self


@dataclass(config=STRICT)
class AlignmentConfig:
    """Recovery of the edit list from a raw recording and its edit."""

    n_bands: Annotated[int, Field(ge=1, le=1024)] = 64
    stack_frames: Annotated[int, Field(ge=0, le=32)] = 2  # frames stacked on each side
    jump_cost: Positive = 6.0  # lambda, in units of frame cost
    unmatched_cost: Positive = 0.5  # theta, per frame
    min_matched_share: Probability = 0.8  # of the edit's duration, else the pair is rejected
    min_confidence: Probability = 0.3  # median over segments, else the pair is rejected
    coarse_above_cells: Positive = 4.0e6  # larger problems run a coarse pass and then a band
    speed_reach: Annotated[float, Field(ge=0.0, le=0.25)] = 0.07  # changes of speed that are looked for: 0.93 to 1.07
    pitch_reach_semitones: Annotated[float, Field(ge=0.0, le=6.0)] = 2.5  # and of pitch, up and down
