"""What of an analysis is computed anew when something changes that it hangs on, and what is not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from threadpoolctl import threadpool_info, threadpool_limits

from rl_editor import analysis
from rl_editor.analysis import analyse
from rl_editor.beats import regular_grid
from rl_editor.cache import get_cache
from rl_editor.config import AudioConfig, Config
from rl_editor.edits import SourceInfo
from rl_editor.features import FrameFeatures, StemFrames
from rl_editor.stems import STEM_NAMES

SOURCE = SourceInfo("a.wav", "1" * 64, 44100, 2, 4 * 44100)
N_FRAMES = 200
EVERYTHING = ["frames", "mel", "grid", "stems"]


class Shelf:
    """An analysis whose parts are made up; ``made`` names those that were computed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cache_dir: Path) -> None:
        self.config = Config()
        self.config.data.cache_dir = str(cache_dir)
        self.config.features.feature_mode, self.config.stems.model = "full", "hpss"
        self.made: list[str] = []
        self.threads: dict[str, set[int]] = {}  # by which each part was computed
        self.monkeypatch = monkeypatch

        def stand_in(name: str, part: str, make: Callable[[], object]) -> None:
            def computed(*_: object, **__: object) -> object:
                self.made.append(part)
                self.threads[part] = {library["num_threads"] for library in threadpool_info()}
                return make()

            monkeypatch.setattr(analysis, name, computed)

        values = np.zeros((N_FRAMES, 52), np.float32)
        stand_in("extract_frames", "frames", lambda: FrameFeatures(values, 22050, 512, 4 * 22050))
        stand_in("log_mel", "mel", lambda: np.zeros((N_FRAMES, 2), np.float16))
        stand_in("grid_of", "grid", lambda: regular_grid(4.0, self.config.beats))
        stand_in("stem_frames", "stems", lambda: StemFrames(*np.zeros((2, N_FRAMES, 4), np.float32)))
        monkeypatch.setattr(analysis, "listened", lambda *_: None)

    def computed(self, source: SourceInfo = SOURCE, *, view: str = "file") -> list[str]:
        """What this look-up computes."""
        self.made.clear()
        mono = np.zeros(4 * 22050, np.float32)
        analyse(lambda: mono, source, self.config, track_id="a", stems=dict, view=view)
        return [part for part in EVERYTHING if part in self.made]

    def touch(self, module: str) -> None:
        """As if somebody had changed a module."""
        digest = analysis.code_digest

        def touched(*modules: str) -> str:
            return digest(*modules) + "!" * any(f"{module}/".startswith(f"{each}/") for each in modules)

        self.monkeypatch.setattr(analysis, "code_digest", touched)


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shelf:
    monkeypatch.delenv("RL_EDITOR_CACHE", raising=False)
    shelf = Shelf(monkeypatch, tmp_path)
    assert shelf.computed() == EVERYTHING
    assert shelf.computed() == []
    return shelf


def test_everything_hangs_on_the_content_and_the_view(shelf: Shelf) -> None:
    assert shelf.computed(replace(SOURCE, sha256="2" * 64)) == EVERYTHING
    assert shelf.computed(view="stage") == EVERYTHING
    assert shelf.computed(replace(SOURCE, name="b.wav")) == []


@pytest.mark.parametrize("setting", ["sample_rate", "hop_length", "n_fft", "n_mels"])
def test_everything_hangs_on_every_setting_of_the_mono_view(shelf: Shelf, setting: str) -> None:
    shelf.config.audio = AudioConfig(**{setting: getattr(AudioConfig(), setting) // 2})
    assert shelf.computed() == EVERYTHING


@pytest.mark.parametrize(
    ("setting", "value"), [("start_bpm", 90.0), ("latency_s", 0.01), ("beats_per_bar", 3), ("tracker", "librosa")]
)
def test_the_grid_alone_hangs_on_how_beats_are_tracked(shelf: Shelf, setting: str, value: float | str) -> None:
    setattr(shelf.config.beats, setting, value)
    assert shelf.computed() == ["grid"]


def test_a_correction_by_hand_computes_nothing(shelf: Shelf) -> None:
    shelf.config.beats.overrides = {"a": {"downbeat_shift_beats": 1}}
    assert shelf.computed() == []


@pytest.mark.parametrize(("setting", "value"), [("overlap", 0.5), ("segment_s", 4.0), ("precision", "bfloat16")])
def test_stems_alone_hang_on_how_they_are_separated(shelf: Shelf, setting: str, value: float | str) -> None:
    setattr(shelf.config.stems, setting, value)
    assert shelf.computed() == ["stems"]


@pytest.mark.parametrize(
    ("module", "parts"),
    [
        ("features/pooling", ["frames", "grid", "stems"]),  # beats are tracked where frames sound
        ("beats/decoding", ["grid"]),
        ("beats/network", ["mel", "grid"]),
        ("utils/reading", EVERYTHING),
    ],
)
def test_what_a_module_computes_is_computed_anew_when_it_changes(shelf: Shelf, module: str, parts: list[str]) -> None:
    shelf.touch(module)
    assert shelf.computed() == parts


def test_whoever_comes_first_computes_by_one_thread(shelf: Shelf) -> None:
    """Sums split over threads differ in their last bits: a command on one song, and workers of a stage, share them."""
    with threadpool_limits(2):
        before = threadpool_info()
        assert shelf.computed(replace(SOURCE, sha256="3" * 64)) == EVERYTHING
        assert threadpool_info() == before
    assert shelf.threads == {part: {1} for part in EVERYTHING}


def test_what_stems_leave_out_counts_beside_the_mix_or_what_is_just_not_silent() -> None:
    """Half of the amplitude is 6 dB; a mix at -120 dB is measured against -100 dB."""

    def residual_db(mix: float, *stems: float) -> float:
        level = {str(k): np.full(1000, stem, np.float32) for k, stem in enumerate(stems)}
        return analysis._residual_db(level, np.full(1000, mix, np.float32))

    assert residual_db(0.1, 0.05, 0.0) == pytest.approx(-20 * np.log10(2), abs=1e-3)
    assert residual_db(0.1, 0.15, 0.05) == pytest.approx(0.0, abs=1e-3)  # what they add counts as well
    assert residual_db(1e-6, 0.0, 0.0) == pytest.approx(-20.0, abs=1e-3)
    assert residual_db(0.0, 0.0, 0.0) == pytest.approx(-120.0)


def test_stems_at_another_rate_or_separated_otherwise_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config()
    config.data.cache_dir, config.stems.model = str(tmp_path / "cache"), "hpss"
    path, made = tmp_path / "a.wav", []
    sf.write(path, np.random.default_rng(0).normal(scale=0.1, size=4 * 22050), 22050)

    def stand_in(path: Path, config: Config) -> dict[str, np.ndarray]:
        made.append(config.audio.sample_rate)
        return {name: np.zeros(4 * config.audio.sample_rate, np.float32) for name in STEM_NAMES}

    def n_samples() -> int:
        return len(analysis.separated(path, config, sha256=get_cache(config).hash_file(path))["bass"])

    monkeypatch.setattr(analysis, "_mono_stems", stand_in)
    assert [n_samples(), n_samples()] == [4 * 22050] * 2
    config.audio = AudioConfig(sample_rate=11025)
    assert n_samples() == 4 * 11025
    config.stems.overlap = 0.5
    n_samples()
    assert made == [22050, 11025, 11025]
