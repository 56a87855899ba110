"""Augmented copies: what they hang on, and what makes one another than the next."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rl_editor import copies
from rl_editor.analysis import Analysis
from rl_editor.augmentation import AugmentationDraw
from rl_editor.beats import regular_grid
from rl_editor.config import AudioConfig, Config
from rl_editor.copies import augmented_copy
from rl_editor.edits import SourceInfo
from rl_editor.features import FrameFeatures, pool_beats

SOURCE = SourceInfo("a.wav", "1" * 64, 44100, 2, 4 * 44100)


class Shelf:
    """Copies of which only the draw is real; ``draws`` are those that were computed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cache_dir: Path) -> None:
        monkeypatch.delenv("RL_EDITOR_CACHE", raising=False)
        self.config = Config()
        self.config.data.cache_dir = str(cache_dir)
        self.draws: list[AugmentationDraw] = []
        self.noises: list[float] = []
        frames = FrameFeatures(np.zeros((200, 52), np.float32), 22050, 512, 4 * 22050)
        grid = regular_grid(4.0, self.config.beats)
        self.analysis = Analysis(SOURCE, grid, pool_beats(frames, grid, mode="enhanced"))

        def augmented(mono: np.ndarray, _rate: int, draw: AugmentationDraw, rng: np.random.Generator) -> np.ndarray:
            self.draws.append(draw)
            self.noises.append(float(rng.random()))
            return mono

        monkeypatch.setattr(copies, "augment_mono", augmented)
        monkeypatch.setattr(copies, "extract_frames", lambda *_: frames)

    def computes(self, source: SourceInfo = SOURCE, *, number: int = 1, view: str = "file") -> bool:
        """Whether this copy is computed, and not found."""
        before, mono = len(self.draws), np.zeros(4 * 22050, np.float32)
        analysis = replace(self.analysis, source=source)
        augmented_copy(lambda: mono, analysis, self.config, track_id="a", number=number, view=view)
        return len(self.draws) > before


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shelf:
    shelf = Shelf(monkeypatch, tmp_path)
    assert shelf.computes()
    assert not shelf.computes()
    return shelf


def test_a_copy_hangs_on_the_content_and_the_view(shelf: Shelf) -> None:
    assert shelf.computes(replace(SOURCE, sha256="2" * 64))
    assert shelf.computes(view="stage")
    assert not shelf.computes(replace(SOURCE, name="b.wav"))


@pytest.mark.parametrize("setting", ["sample_rate", "hop_length", "n_fft", "n_mels"])
def test_a_copy_hangs_on_every_setting_of_the_mono_view(shelf: Shelf, setting: str) -> None:
    shelf.config.audio = AudioConfig(**{setting: getattr(AudioConfig(), setting) // 2})
    assert shelf.computes()


def test_a_copy_hangs_on_its_draw(shelf: Shelf) -> None:
    shelf.config.augmentation.gain_prob = 0.0 if shelf.draws[0].gain_db else 1.0
    assert shelf.computes()


def test_copies_of_a_recording_are_drawn_each_by_itself_and_alike_every_time(shelf: Shelf, tmp_path: Path) -> None:
    assert shelf.computes(number=2)
    assert shelf.computes(replace(SOURCE, sha256="2" * 64))
    shelf.config.data.cache_dir = str(tmp_path / "another")
    assert shelf.computes()
    first, second, others, again = zip(shelf.draws, shelf.noises, strict=True)
    assert again == first
    assert first[0] != second[0] != others[0] != first[0]
    assert len({first[1], second[1], others[1]}) == 3  # the noise as well
