"""Settings: refused when unknown, mistyped or out of bounds; the defaults that the documentation promises."""

from typing import Any

import pytest
from pydantic import ValidationError

from rl_editor import Config
from rl_editor.config import section_types
from rl_editor.errors import ConfigError
from rl_editor.features.names import MFCC

WEIGHTS = [name for name in Config().to_dict()["reward"] if name.endswith("_weight")]


def test_documented_defaults() -> None:
    config = Config()
    assert (config.audio.sample_rate, config.audio.hop_length) == (22050, 512)
    assert (config.action_space.max_loop_times, config.action_space.default_crossfade_ms) == (4, 50)
    assert (config.reward.target_max_duration_s, config.reward.max_loop_ratio) == (600.0, 0.15)
    assert (config.ppo.learning_rate, config.ppo.clip_ratio, config.ppo.entropy_coeff) == (1e-4, 0.2, 0.05)
    assert (config.data.cache_dir, config.data.use_stems) == ("./rl_editor/cache", False)
    assert config.features.feature_mode == "enhanced"
    assert (config.augmentation.enabled, config.augmentation.pitch_shift_prob) == (True, 0.5)


def test_dict_round_trip() -> None:
    config = Config()
    config.ppo.clip_ratio = 0.1
    assert Config.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ppo": {"learning_rate": "1e-4"}}, "write 1.0e-04"),
        ({"ppo": {"learning_rte": 1.0}}, "ppo.learning_rte: unknown setting"),
        ({"pop": {}}, "unknown section 'pop'"),
        ({"ppo": {"clip_ratio": 2.0}}, "less than 1"),
        ({"ppo": None}, "not a section"),
        ({"features": {"feature_mode": "fancy"}}, "features.feature_mode"),
        (
            {"augmentation": {"time_stretch_min": 1.2}},
            r"^augmentation\.time_stretch_min 1\.2 is more than time_stretch_max 1\.1; turn them round$",
        ),
        ({"augmentation": {"noise_snr_max_db": 5.0}}, "noise_snr_min_db 20 is more than noise_snr_max_db 5"),
        ({"beats": {"latency_s": float("nan")}}, r"beats\.latency_s: nan is refused: .* finite"),
        ({"bc": {"learning_rate": float("inf")}}, r"bc\.learning_rate: inf is refused: .* finite"),
        (
            {"data": {"test_fraction": 0.7, "validation_fraction": 0.6}},
            r"^data\.test_fraction 0\.7 and validation_fraction 0\.6 leave no song to learn from",
        ),
        ({"corpus": {"editors": []}}, r"corpus\.editors: \[\] is refused: .* at least 1 item"),
        ({"reward": {"loop_ratio_by_style": {"long": -1.0}}}, r"reward\.loop_ratio_by_style\.long: -1\.0 is refused"),
        ({"reward": {"loop_ratio_by_style": {"long": float("nan")}}}, r"loop_ratio_by_style\.long: nan is refused"),
        ({"training": {"seed": 1 << 63}}, r"training\.seed: 9223372036854775808 is refused: .* less than"),
        ({"beats": {"overrides": {"song": {"tempo": 2}}}}, r"^beats\.overrides\.song\.tempo: unknown setting"),
        (
            {"audio": {"n_fft": 1, "hop_length": 1}},
            r"^audio\.n_fft 1: a spectrum of at least n_mels, 128, bins is expected; make it 254 or more, or lower",
        ),
        ({"audio": {"n_fft": 253, "hop_length": 1}}, r"^audio\.n_fft 253: a spectrum of at least n_mels, 128"),
        (
            {"state": {"map_tokens": 10**12}},
            r"^state\.map_tokens: 1000000000000 is refused: .* less than or equal to 1024$",
        ),
        (
            {"reward": {"target_max_duration_s": 1e300}},
            r"^reward\.target_max_duration_s: 1e\+300 is refused",
        ),
        ({"data": {"cache_dir": ""}}, r"^data\.cache_dir: '' is refused: .* at least 1 character"),
        (
            {"reward": dict.fromkeys(WEIGHTS, 0.0)},
            r"^reward\.tempo_weight 0, as all other weights are: no edit would be better than another;",
        ),
        ({"audio": {"n_mels": 12}}, r"^audio\.n_mels: 12 is refused: .* greater than or equal to 13"),
        (
            {"audio": {"n_mels": 1026}},
            r"^audio\.n_fft 2048: a spectrum of at least n_mels, 1026, bins .* 2050 or",
        ),
        (
            {"audio": {"hop_length": 2049}},
            r"^audio\.hop_length 2049: at most n_fft, 2048, is expected, .*; 512 is usual$",
        ),
        (
            {"audio": {"hop_length": 1}},
            r"^audio\.hop_length 1: at least 23 samples, a millisecond, are expected: .*; 512 is usual$",
        ),
        ({"training": {"device": "gpu"}}, r"^training\.device 'gpu': unknown; expected auto, cpu, cuda or cuda:0$"),
        ({"training": {"device": "cuda:"}}, r"^training\.device 'cuda:': unknown"),
        ({"features": {"device": "cuda7"}}, r"^features\.device 'cuda7': unknown"),
        ({"stems": {"device": "GPU"}}, r"^stems\.device 'GPU': unknown"),
        ({"augmentation": {"noise_snr_min_db": -1e4}}, r"^augmentation\.noise_snr_min_db: -10000\.0 is refused"),
        ({"augmentation": {"gain_db": 1e5}}, r"^augmentation\.gain_db: 100000\.0 is refused: .* equal to 60$"),
        ({"augmentation": {"eq_db": 1e4}}, r"^augmentation\.eq_db: 10000\.0 is refused: .* equal to 60$"),
        ({"augmentation": {"pitch_shift_semitones": 1e5}}, r"pitch_shift_semitones: .* equal to 24$"),
        ({"augmentation": {"time_stretch_min": 1e-9}}, r"time_stretch_min: 1e-09 is refused: .* 0\.25$"),
        ({"action_space": {"default_crossfade_ms": 1e6}}, r"default_crossfade_ms: .* equal to 60000$"),
        ({"beats": {"overrides": {"song": {"downbeat_shift_beats": 1 << 70}}}}, "downbeat_shift_beats: .* to 64$"),
        ({"bc": {"epoch": 3}}, r"^bc\.epoch: unknown setting; is epochs meant\?$"),
        ({"features": {"window": 3}}, r"^features\.window: unknown setting; known are feature_mode, device$"),
        ({"bc": {3: 60}}, r"^bc\.3: unknown setting"),
        ({"bc": {"epochs": "60"}}, r"^bc\.epochs: '60' is refused: .* \(it is text: take the quotes away;"),
        ({"bc": {"epochs": "sixty"}}, r"^bc\.epochs: 'sixty' is refused: Input should be a valid integer$"),
        ({"ppo": {"total_timesteps": 6e5}}, r"^ppo\.total_timesteps: 600000\.0 is refused: .* \(write 600000\)$"),
        ({"ppo": {"total_timesteps": 6.5}}, r"^ppo\.total_timesteps: 6\.5 is refused: .* valid integer$"),
        (
            {"beats": {"overrides": {7: {"tempo_multiplier": 2}}}},
            r"^beats\.overrides\.7\.\[key\]: 7 is refused: .* \(write it in quotes: '7'\)$",
        ),
        (
            {"tracking": {"registered_model": "team/policy"}},
            r"^tracking\.registered_model 'team/policy': the model registry expects a name without slashes",
        ),
        ({"tracking": {"registered_model": " "}}, r"^tracking\.registered_model ' ': the model registry expects"),
        ({"corpus": {"min_duration_s": 300.0}}, r"corpus\.min_duration_s 300 is more than max_duration_s 240"),
    ],
)
def test_bad_values_name_the_setting(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config.from_dict(values)


def test_what_is_just_enough_is_taken() -> None:
    config = Config.from_dict({"audio": {"n_fft": 254, "hop_length": 254}})  # 254 / 2 + 1 = 128 bins for 128 bands
    assert config.audio.hop_length == 254
    assert Config.from_dict({"audio": {"hop_length": 23}}).audio.hop_length == 23  # 22050 / 1000, rounded up
    assert Config().audio.n_mels >= len(MFCC) == 13
    for device in ("auto", "cpu", "cuda", "cuda:1"):
        assert Config.from_dict({"training": {"device": device}}).training.device == device


def test_limits_of_loops_may_name_editors_as_the_table_of_pairs_does() -> None:
    config = Config.from_dict({"reward": {"loop_ratio_by_style": {"Björn (loops)": 0.5}}})
    assert config.reward.loop_limit("Björn_loops") == 0.5  # as the library calls him
    assert config.reward.loop_limit("Björn") == 0.15


def test_assignment_is_validated() -> None:
    config = Config()
    with pytest.raises(ValidationError):
        config.ppo.learning_rte = 1.0  # type: ignore[attr-defined]
    with pytest.raises(ValidationError):
        config.ppo.clip_ratio = 1.5
    with pytest.raises(ConfigError, match=r"training\.device 'gpu': unknown"):  # as `--device gpu` assigns it
        config.training.device = "gpu"


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_dict({"bc": {"epochs": 0, "learning_rate": -1.0}})
    assert "bc.epochs" in str(caught.value)
    assert "bc.learning_rate" in str(caught.value)


def test_overrides_of_one_track() -> None:
    config = Config.from_dict({"beats": {"overrides": {"song": {"tempo_multiplier": 2}}}})
    assert config.beats.override_for("song").tempo_multiplier == 2
    assert config.beats.override_for("other").tempo_multiplier == 1
    with pytest.raises(
        ConfigError, match=r"^beats\.overrides\.song\.tempo_multiplier: 3 is refused: .* 1, 2 or 'half'"
    ):
        config.beats.overrides = {"song": {"tempo_multiplier": 3}}


def test_sections_are_listed() -> None:
    assert {"audio", "ppo", "bc", "executor"} <= set(section_types())
