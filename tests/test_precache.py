"""Filling the cache ahead of training."""

import errno
import importlib.util
import io
import json
import os
import shutil
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import typer
from test_data import RATE, song
from tqdm import tqdm

from rl_editor import analysis
from rl_editor.analysis import analyse_track
from rl_editor.beats.trackers import TRACKERS, Counted, Counter
from rl_editor.cache import get_cache
from rl_editor.config import Config
from rl_editor.errors import (
    BeatTrackerError,
    ConfigError,
    DatasetError,
    MissingWeightsError,
    OutputError,
    SeparationModelError,
)
from rl_editor.library import find_library
from rl_editor.loading import load_demonstrations, load_library
from rl_editor.precache import main, precache


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


@pytest.mark.parametrize(("seconds", "reason"), [(1.0, "1.00 s of audio"), (16.0, "NaN or infinite samples")])
def test_what_is_left_out_is_named_once(folder: Path, config: Config, seconds: float, reason: str) -> None:
    """Of the two errors one begins with the file's name, the other with its path."""
    broken = song(0, seconds)
    broken[-1] = np.nan if seconds > 3.0 else 0.0
    sf.write(folder / "input/b_raw.wav", broken, RATE, subtype="FLOAT")
    (problem,) = (p for p in precache(find_library(folder), config).problems if p.name == "b_raw.wav")
    assert str(problem).startswith(f"b_raw.wav: {reason}")


def test_training_finds_all_of_it(folder: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    precache(find_library(folder), config)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("rl_editor.analysis.extract_frames", never)
    monkeypatch.setattr("rl_editor.loading.recover_files", never)
    assert [d.pair_id for d in load_demonstrations(folder, config)] == ["a"]


def test_beats_are_tracked_anew_in_the_spectrum_that_is_kept(
    folder: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    precache(find_library(folder), config)
    (kept,) = Path(config.data.cache_dir).glob("mel/a_raw_*_mel.npz")

    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("rl_editor.analysis.extract_frames", never)
    monkeypatch.setattr("rl_editor.analysis.log_mel", never)
    raw, before = folder / "input/a_raw.wav", kept.stat().st_size
    tracked = analyse_track(raw, config).grid
    config.beats.latency_s = 0.02
    later = analyse_track(raw, config).grid
    assert kept.stat().st_size == before
    np.testing.assert_allclose(later.times_s[1:-1] - tracked.times_s[1:-1], 0.02, atol=1e-6)


def test_auto_takes_no_grid_of_the_tracker_that_it_was_before(
    folder: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The grid hangs on the tracker that ``auto`` means, and on the version of its package where that is not ours."""
    tracks: list[str] = []

    def once_a_second(mono: np.ndarray, sample_rate: int) -> Counter:
        tracks.append("beat_this")
        return lambda heard, metres: Counted(np.arange(16.0), np.arange(16) % 4, 4)

    find_spec, installed = importlib.util.find_spec, False

    def found(name: str, *given: Any) -> Any:
        return installed if name == "beat_this" else find_spec(name, *given)

    def install(version: str) -> None:
        (tmp_path / f"beat_this-{version}.dist-info").mkdir()
        (tmp_path / f"beat_this-{version}.dist-info/METADATA").write_text(f"Name: beat-this\nVersion: {version}\n")
        monkeypatch.syspath_prepend(tmp_path)

    monkeypatch.setattr(importlib.util, "find_spec", found)
    monkeypatch.setitem(TRACKERS, "beat_this", once_a_second)  # type: ignore[arg-type]
    config.beats.tracker, raw = "auto", folder / "input/a_raw.wav"
    before = analyse_track(raw, config).grid.tempo_bpm
    installed = True
    install("1.1.0")
    assert before == pytest.approx(120, abs=2)
    assert analyse_track(raw, config).grid.tempo_bpm == pytest.approx(60, abs=1)
    assert len(tracks) == 1
    config.beats.tracker = "beat_this"  # what auto means
    analyse_track(raw, config)
    assert len(tracks) == 1
    shutil.rmtree(tmp_path / "beat_this-1.1.0.dist-info")
    install("1.2.0")
    analyse_track(raw, config)
    assert len(tracks) == 2


def test_the_signal_is_let_go_of_before_the_network_hears(
    folder: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an hour it is 320 MB, beside which what the network and the decoder hold would pass 1 GB."""
    held: list[weakref.ref[Any]] = []
    load, track = analysis.load_mono, analysis.grid_of

    def loaded(*given: Any) -> Any:
        mono = load(*given)
        held.append(weakref.ref(mono))
        return mono

    def tracked(*given: Any) -> Any:
        assert [mono() for mono in held] == [None]
        return track(*given)

    monkeypatch.setattr(analysis, "load_mono", loaded)
    monkeypatch.setattr(analysis, "grid_of", tracked)
    assert analyse_track(folder / "input/a_raw.wav", config).grid.n_beats > 1


def test_the_second_run_computes_nothing_and_starts_no_process(
    folder: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in folder.rglob("*.wav"):
        os.utime(path, (0, 0))
    monkeypatch.setattr("rl_editor.cache._SETTLED_NS", -1)
    first = precache(find_library(folder), config)
    config.executor.workers = 2
    monkeypatch.setattr("rl_editor.executor._pool", lambda *_: pytest.fail("a process was started"))
    assert precache(find_library(folder), config) == first


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (song(1, 10.0), "% of the edit is found"),  # of another song
        (song(0, 2.0), "2.0 s of audio, at least 3 s are needed"),
        (np.zeros(10 * RATE), "dBFS is needed"),
        (None, "neither libsndfile nor ffmpeg can read it"),
    ],
)
def test_a_pair_that_was_refused_is_not_aligned_again(
    folder: Path, config: Config, monkeypatch: pytest.MonkeyPatch, edit: np.ndarray | None, reason: str
) -> None:
    if edit is None:
        (folder / "desired_output/a_edit.wav").write_bytes(b"RIFF but no audio")
    else:
        sf.write(folder / "desired_output/a_edit.wav", edit, RATE)
    library = find_library(folder)
    first = precache(library, config)
    assert first.n_pairs == 0
    monkeypatch.setattr("rl_editor.loading.recover_files", lambda *_, **__: pytest.fail("aligned again"))
    again = precache(library, config)
    assert again == first
    assert reason in next(str(p) for p in again.problems if p.name == "a")


def test_an_override_of_a_track_that_is_not_there_is_named(folder: Path, config: Config) -> None:
    """A name is the recording's, not the song's; what corrects an edit corrects nothing."""
    config.beats.overrides = {"a_raw": {}, "a": {"tempo_multiplier": 2}, "a_edit": {"tempo_multiplier": 2}}
    library = find_library(folder)
    told = "named in beats.overrides, and no track that is left is called so; tracks here are "
    for problems in (precache(library, config).problems, load_library(library, config).problems):
        found = {p.name: p.reason for p in problems if "beats.overrides" in p.reason}
        assert sorted(found) == ["a", "a_edit"]
        assert all(reason.startswith(told) and "a_raw" in reason for reason in found.values())


def test_a_damaged_entry_is_computed_again_and_said_once(
    folder: Path, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    precache(find_library(folder), config)
    (entry,) = (Path(config.data.cache_dir) / "features").iterdir()
    good = entry.read_bytes()
    entry.write_bytes(good[:-100])
    precache(find_library(folder), config)
    assert entry.read_bytes() == good
    assert caplog.text.count("damaged cache entry") == 1


def test_a_full_disk_ends_it_and_a_cache_that_is_off_is_refused(
    folder: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("numpy.savez", full)
        with pytest.raises(OSError, match="No space left on device"):
            precache(find_library(folder), config)
    monkeypatch.setenv("RL_EDITOR_CACHE", "off")
    with pytest.raises(ConfigError, match="the cache is off"):
        precache(find_library(folder), config)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_cache_that_takes_nothing_ends_it_before_all_is_computed(folder: Path, config: Config, workers: int) -> None:
    """A file stands where a folder of the cache belongs, as when it is somebody else's: no recording is at fault."""
    config.executor.workers = workers
    (cache := Path(config.data.cache_dir)).mkdir()
    (cache / "features").write_text("")
    with pytest.raises(OutputError, match="features"):
        precache(find_library(folder), config)


def test_one_bar_counts_recordings_and_pairs(folder: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = []

    def counted(n_items: int, label: str) -> Any:
        bars.append(tqdm(total=n_items, desc=label, disable=False, file=io.StringIO()))
        return bars[-1]

    monkeypatch.setattr("rl_editor.precache.progress", counted)
    for _ in range(2):
        precache(find_library(folder), config)
    assert [(bar.n, bar.total) for bar in bars] == [(4, 4), (4, 4)]  # 2 recordings and 2 pairs


def test_nothing_done_is_an_error(folder: Path, config: Config) -> None:
    (folder / "input/a_raw.wav").write_bytes(b"")
    with pytest.raises(DatasetError, match="nothing could be computed"):
        precache(find_library(folder), config)


def test_a_thousand_reasons_are_a_line_each_and_not_one_line(
    folder: Path, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    config.audio.min_duration_s = 60.0
    (folder / "reference").mkdir()
    for n in range(6):
        shutil.copy(folder / "input/a_raw.wav", folder / f"reference/{n}.wav")
    with pytest.raises(DatasetError, match="and 5 more, see above") as error:  # 8 recordings and 2 pairs
        precache(find_library(folder), config)
    assert "5.wav" not in str(error.value)
    assert "left out: 5.wav" in caplog.text


def test_weights_that_cannot_be_had_are_missed_once(folder: Path, config: Config, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    config.data.use_stems, config.stems.repo = True, str(tmp_path / "empty")
    with pytest.raises(MissingWeightsError, match="is not in"):
        precache(find_library(folder), config)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_damaged_model_is_no_recordings_fault(folder: Path, config: Config, tmp_path: Path, workers: int) -> None:
    """Else every recording that comes new would be left out, and the others be all that is learned from."""
    (tmp_path / "htdemucs.safetensors").write_bytes(b"half a download")
    config.executor.workers, config.data.use_stems, config.stems.repo = workers, True, str(tmp_path)
    shutil.copy(folder / "input/a_raw.wav", folder / "input/c_raw.wav")
    with pytest.raises(SeparationModelError, match=r"htdemucs\.safetensors: not a Demucs model"):
        precache(find_library(folder), config)


def test_a_tracker_that_is_missing_is_no_recordings_fault(
    folder: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "beat_this.inference", None)  # cannot be imported
    config.beats.tracker = "beat_this"
    with pytest.raises(BeatTrackerError, match="cannot be imported"):
        precache(find_library(folder), config)


def test_settings_of_a_file_count(folder: Path, tmp_path: Path) -> None:
    """The remedy that a missing model names can be taken."""
    params = tmp_path / "p.yaml"
    params.write_text("stems:\n  model: hpss\n", encoding="utf-8")
    cache = tmp_path / "cache"
    with pytest.raises(typer.Exit):  # one of the recordings is none
        main(folder, stems=True, workers=1, cache_dir=cache, settings=params)
    assert list((cache / "stems").iterdir())


def test_only_what_is_given_goes_before_the_file(folder: Path, tmp_path: Path) -> None:
    params, kept = tmp_path / "p.yaml", tmp_path / "kept"
    values = {
        "features": {"feature_mode": "basic"},
        "data": {"cache_dir": str(kept)},
        "executor": {"workers": 1},
    }
    params.write_text(json.dumps(values), encoding="utf-8")
    (folder / "input/b_raw.wav").unlink()
    (folder / "desired_output/b_edit.wav").unlink()
    main(folder, settings=params)
    assert list((kept / "features").iterdir())
    main(folder, settings=params, cache_dir=tmp_path / "other")
    assert list((tmp_path / "other" / "features").iterdir())
