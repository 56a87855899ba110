"""How recordings are heard and edits are rendered."""

from dataclasses import field
from math import ceil
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from rl_editor.config.checks import (
    STRICT,
    Copies,
    Count,
    Few,
    Name,
    Positive,
    Probability,
    built,
    check_device,
    check_range,
)

_SHORTEST_HOP_S = 0.001  # between frames of features: no beat or onset is known more exactly
BeatTracker = Literal["network", "librosa", "beat_this", "auto"]
Precision = Literal["float32", "bfloat16"]
FeatureMode = Literal["basic", "enhanced", "full"]
Speed = Annotated[float, Field(ge=0.25, le=4.0)]  # two octaves either way
Decibels = Annotated[float, Field(ge=-200.0, le=200.0)]
Metre = Literal[0, 2, 3, 4, 5, 6, 7]  # beats in a bar; 0 says nothing


@dataclass(config=STRICT)
class AudioConfig:
    """The mono analysis view of a recording."""

    sample_rate: Annotated[int, Field(ge=8000, le=192000)] = 22050  # Hz
    hop_length: Count = 512  # samples between frames
    n_fft: Annotated[int, Field(ge=1, le=1 << 17)] = 2048  # samples per frame
    n_mels: Annotated[int, Field(ge=13, le=4096)] = 128  # the timbre's 13 coefficients are made of them
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
        least = ceil(self.sample_rate * _SHORTEST_HOP_S)
        if self.hop_length < least:
            raise ValueError(
                f"hop_length {self.hop_length}: at least {least} samples, a millisecond, are expected: shorter steps "
                f"take hours and gigabytes, and tell no more; {max(self.n_fft // 4, least)} is usual"
            )
        return self


@dataclass(config=STRICT)
class BeatOverride:
    """A correction of one track's beat grid, applied without recomputing audio features."""

    tempo_multiplier: Literal[1, 2, "half"] = 1  # 2 doubles the beats, "half" drops every second
    shift_beats: Annotated[float, Field(ge=-0.5, le=0.5)] = 0.0  # moves all beats by this share of a beat
    beats_per_bar: Metre = 0  # bars of so many beats from the first downbeat on; 0 leaves them
    downbeat_shift_beats: Annotated[int, Field(ge=-64, le=64)] = 0  # rotates which beat of the bar comes first


@dataclass(config=STRICT)
class BeatsConfig:
    """Beat tracking."""

    tracker: BeatTracker = "network"  # auto takes beat_this where it is installed, else network
    start_bpm: Annotated[float, Field(ge=10.0, le=1000.0)] = 120.0  # of a regular grid where no beat is heard
    latency_s: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.0  # added to tracked beats, the tracker's bias removed
    beats_per_bar: Metre = 0  # 0 decides among 3, 4, 5 and 7 from the audio
    overrides: dict[str, dict[str, Any]] = field(default_factory=dict)  # track id -> BeatOverride fields

    @model_validator(mode="after")
    def _check_overrides(self) -> "BeatsConfig":
        for track_id in self.overrides:
            self.override_for(track_id)
        return self

    def override_for(self, track_id: str) -> BeatOverride:
        """The correction of this track, or the neutral one."""
        return built(BeatOverride, self.overrides.get(track_id, {}), f"beats.overrides.{track_id}")


@dataclass(config=STRICT)
class StemsConfig:
    """Source separation with Demucs."""

    model: Name = "htdemucs"  # hpss needs no weights: drums, bass and other, coarsely
    repo: str | None = None  # local model folder; null asks Demucs' hub
    overlap: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.25  # share of a segment
    segment_s: Positive | None = None  # null is the model's own training length
    precision: Precision = "float32"  # bfloat16 is faster on a GPU; samples differ by up to a 250th of the peak
    device: str = "auto"  # auto, cpu, cuda, cuda:1 ...
    batch_segments: Few = 0  # segments at a time; 0 is 1 on a CPU and up to 16 on a GPU

    @model_validator(mode="after")
    def _check_device(self) -> "StemsConfig":
        check_device(self.device, setting="stems.device")
        return self


@dataclass(config=STRICT)
class FeaturesConfig:
    """Beat-synchronous features: basic 4, enhanced 109, full 121 columns."""

    feature_mode: FeatureMode = "enhanced"
    device: str = "cpu"  # of the spectra; cuda, cuda:1 ..., auto: a GPU where there is one

    @model_validator(mode="after")
    def _check_device(self) -> "FeaturesConfig":
        check_device(self.device, setting="features.device")
        return self


@dataclass(config=STRICT)
class AugmentationConfig:
    """Draws applied alike to raw, edit and beat grid."""

    enabled: bool = True
    pitch_shift_prob: Probability = 0.5
    pitch_shift_semitones: Annotated[float, Field(ge=0.0, le=24.0)] = 2.0
    time_stretch_prob: Probability = 0.5
    time_stretch_min: Speed = 0.9
    time_stretch_max: Speed = 1.1
    noise_prob: Probability = 0.3
    noise_snr_min_db: Decibels = 20.0
    noise_snr_max_db: Decibels = 40.0
    gain_prob: Probability = 0.5
    gain_db: Annotated[float, Field(ge=0.0, le=60.0)] = 6.0
    eq_prob: Probability = 0.3
    eq_db: Annotated[float, Field(ge=0.0, le=60.0)] = 6.0
    draws_per_track: Copies = 1  # augmented copies of each training track

    @model_validator(mode="after")
    def _check_ranges(self) -> "AugmentationConfig":
        check_range("time_stretch_min", self.time_stretch_min, "time_stretch_max", self.time_stretch_max)
        check_range("noise_snr_min_db", self.noise_snr_min_db, "noise_snr_max_db", self.noise_snr_max_db)
        return self


@dataclass(config=STRICT)
class RenderConfig:
    """How an edit list becomes audio."""

    join_search_ms: Annotated[float, Field(ge=0.0, le=100.0)] = 20.0  # a join may move this far either way
    block_s: Annotated[float, Field(ge=0.001, le=3600.0)] = 10.0  # streamed block
