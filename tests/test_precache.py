"""Filling the cache ahead of training."""

from pathlib import Path

import pytest
import soundfile as sf

from rl_editor.cache import get_cache
from rl_editor.config import Config
from rl_editor.data import find_library, load_demonstrations
from rl_editor.errors import DatasetError
from rl_editor.precache import precache
from tests.test_data import RATE, song


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = Config()
    config.data.cache_dir = str(tmp_path / "cache")
    config.executor.workers = 1
    return config


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One pair that cuts nothing but its end, and a raw that is no audio."""
    root = tmp_path / "recordings"
    for name in ("input", "desired_output"):
        (root / name).mkdir(parents=True)
    raw = song(0, 16.0)
    sf.write(root / "input/a_raw.wav", raw, RATE)
    sf.write(root / "desired_output/a_edit.wav", raw[: 10 * RATE], RATE)
    sf.write(root / "desired_output/b_edit.wav", raw, RATE)
    (root / "input/b_raw.wav").write_bytes(b"no audio at all")
    return root


def test_bad_recordings_are_listed_and_the_others_done(folder: Path, config: Config) -> None:
    done = precache(find_library(folder), config)
    assert (done.n_recordings, done.n_pairs) == (1, 1)
    assert [p.name for p in done.problems] == ["b", "b_raw.wav"]
    kinds = get_cache(config).info().kinds
    assert kinds["features"].entries == 1
    assert kinds["labels"].entries == 1


def test_training_finds_all_of_it(folder: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    precache(find_library(folder), config)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("rl_editor.analysis.extract_frames", never)
    monkeypatch.setattr("rl_editor.labelling.align", never)
    assert [d.pair_id for d in load_demonstrations(folder, config)] == ["a"]


def test_nothing_done_is_an_error(folder: Path, config: Config) -> None:
    (folder / "input/a_raw.wav").write_bytes(b"")
    with pytest.raises(DatasetError, match="nothing could be computed"):
        precache(find_library(folder), config)
