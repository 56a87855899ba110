"""Recordings as results are kept of them: files that are replaced at work, and files that tell their length late."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from test_data import RATE, song

from rl_editor import analysis, loading, sources
from rl_editor.analysis import analyse_track, separated
from rl_editor.cache import get_cache
from rl_editor.config import Config
from rl_editor.errors import AudioFileError
from rl_editor.library import find_library
from rl_editor.loading import align_pair
from rl_editor.precache import precache
from rl_editor.sources import source_of
from rl_editor.utils import audio_info, load_mono
from stages import decode


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = Config()
    config.data.cache_dir, config.executor.workers = str(tmp_path / "cache"), 1
    return config


def replaced_when(read: Callable[..., Any], path: Path, seed: int) -> Callable[..., Any]:
    """``read``, before whose first call another song takes the place of ``path``."""

    def replacing(*given: Any, **named: Any) -> Any:
        new = path.with_name("new.wav")
        if not new.exists():
            sf.write(new, song(seed, 16.0), RATE)
            os.link(new, path.with_name("kept.wav"))
            os.replace(path.with_name("kept.wav"), path)
        return read(*given, **named)

    return replacing


def test_a_recording_that_is_replaced_gives_no_features_to_the_one_before(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, again = tmp_path / "song.wav", tmp_path / "again.wav"
    for file in (path, again):
        sf.write(file, song(0, 16.0), RATE)
    with monkeypatch.context() as patch:
        patch.setattr(analysis, "load_mono", replaced_when(load_mono, path, 1))
        with pytest.raises(AudioFileError, match=r"song\.wav: was changed while it was read"):
            analyse_track(path, config)
    found = analyse_track(again, config)  # of the content that was there first
    fresh = Config()
    fresh.data.use_cache = False
    assert (found.features.values == analyse_track(again, fresh).features.values).all()


def test_a_recording_that_is_replaced_gives_no_stems_to_the_one_before(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.stems.model, path = "hpss", tmp_path / "song.wav"
    sf.write(path, song(0, 4.0), RATE)
    monkeypatch.setattr(analysis, "read_blocks", replaced_when(analysis.read_blocks, path, 1))
    with pytest.raises(AudioFileError, match="was changed"):
        separated(path, config, sha256=get_cache(config).hash_file(path))
    assert get_cache(config).info().kinds["stems"].entries == 0


@pytest.mark.parametrize("seed", [0, 1])  # of what replaces the edit: the same song, or another one
def test_a_pair_one_of_which_is_replaced_is_explained_when_run_again(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    raw, edit = tmp_path / "input/a_raw.wav", tmp_path / "desired_output/a_edit.wav"
    for path in (raw, edit):
        path.parent.mkdir()
        sf.write(path, song(0, 16.0)[: RATE * (16 if path is raw else 10)], RATE)
    (pair,) = find_library(tmp_path).pairs
    with monkeypatch.context() as patch:
        patch.setattr(loading, "recover_files", replaced_when(loading.recover_files, edit, seed))
        with pytest.raises(AudioFileError, match=r"a_edit\.wav: was changed"):
            align_pair(pair, config)
    assert get_cache(config).info().kinds["labels"].entries == 0
    sf.write(edit, song(0, 16.0), RATE)
    assert align_pair(pair, config).duration_s == pytest.approx(16.0)


def test_the_decode_stage_keeps_no_view_of_what_was_replaced(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "reference/song.wav"
    path.parent.mkdir()
    sf.write(path, song(0, 16.0), RATE)
    (recording,) = find_library(tmp_path).recordings
    monkeypatch.setattr(decode, "load_mono", replaced_when(load_mono, path, 1))
    with pytest.raises(AudioFileError, match="was changed"):
        decode.decode_recording(recording, root=tmp_path, config=config, folder=tmp_path)
    assert not (tmp_path / "song.flac").exists()


def test_the_decode_stage_keeps_a_view_for_its_rate_and_its_recording(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "reference/song.wav"
    path.parent.mkdir()

    def decoded(seed: int, rate: int) -> np.ndarray:
        sf.write(path, song(seed, 4.0), RATE)
        config.audio.sample_rate = rate
        (recording,) = find_library(tmp_path).recordings
        decode.decode_recording(recording, root=tmp_path, config=config, folder=tmp_path)
        return sf.read(tmp_path / f"{recording.track_id}.flac")[0]

    first, slower, other = decoded(0, RATE), decoded(0, RATE // 2), decoded(1, RATE // 2)
    assert [len(view) for view in (first, slower, other)] == [4 * RATE, 2 * RATE, 2 * RATE]
    assert np.abs(other - slower).max() > 0.1
    assert (decoded(0, RATE) == first).all()


def test_a_file_that_must_be_decoded_to_be_measured_is_measured_once(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "reference/song.mp3"
    path.parent.mkdir()
    sf.write(path, song(0, 8.0), RATE)
    expected = audio_info(path)
    measured: list[Path] = []

    def counting(file: Path) -> Any:
        measured.append(file)
        return audio_info(file)

    monkeypatch.setattr(sources, "audio_info", counting)
    assert precache(find_library(tmp_path), config).n_recordings == 1
    assert precache(find_library(tmp_path), config).n_recordings == 1
    found = source_of(path, get_cache(config))
    assert measured == [path]
    assert (found.name, found.frames, found.channels, found.sample_rate) == ("song.mp3", expected.frames, 1, RATE)


def test_what_is_no_file_says_what_it_is(config: Config, tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match="is a folder"):
        source_of(tmp_path, get_cache(config))
