"""Recordings, pairs and splits; demonstrations of a folder; data sets and padded batches."""

import hashlib
import itertools
import json
import shutil
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from rl_editor.config import Config, DataConfig
from rl_editor.copies import n_copies
from rl_editor.data import (
    PADDING,
    AudioDataset,
    PairedAudioDataset,
    create_dataloader,
    features_on,
)
from rl_editor.demonstrations import (
    Analysis,
    Placed,
    coverage_gaps,
    load_analysis,
    load_labels,
    rescaled,
    save_analysis,
    save_labels,
    split_gaps,
)
from rl_editor.edits import EditList, Segment, SourceInfo, joins
from rl_editor.errors import ConfigError, DatasetError, MissingWeightsError
from rl_editor.features import BeatFeatures
from rl_editor.files import file_sha256, safe_name
from rl_editor.grid import BeatGrid
from rl_editor.library import Problem, find_library
from rl_editor.loading import load_demonstrations
from rl_editor.splits import SMALL_SET, assign_splits, split_of, unknown_songs

RATE = 22050
NEGATIVE = json.dumps(asdict(SourceInfo("a", "", 44100, 2, 1)) | {"frames": -1})


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def song(seed: int, seconds: float) -> np.ndarray:
    """Clicks at 120 bpm over a melody that never repeats: every passage is where it is and nowhere else."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    notes = rng.choice(np.arange(48, 84), size=int(seconds * 4) + 1)
    tone = 0.2 * np.sin(2 * np.pi * 440 * 2 ** ((notes[(t * 4).astype(int)] - 69) / 12) * t)
    click = np.exp(-((t % 0.5) * 60)) * rng.standard_normal(len(t)) * 0.3
    return (tone + click).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two songs of 24 s whose edits leave out 8 s to 16 s, and an edit that comes from neither."""
    root = tmp_path_factory.mktemp("recordings")
    for name in ("input", "desired_output"):
        (root / name).mkdir()
    for number in range(2):
        raw = song(number, 24.0)
        sf.write(root / f"input/song{number}_raw.wav", raw, RATE)
        cut = np.concatenate([raw[: 8 * RATE], raw[16 * RATE :]])
        sf.write(root / f"desired_output/song{number}_edit.wav", cut, RATE)
    sf.write(root / "input/other_raw.wav", song(7, 20.0), RATE)
    sf.write(root / "desired_output/other_edit.wav", song(8, 12.0), RATE)
    return root


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    config = Config()
    config.data.cache_dir = str(tmp_path_factory.mktemp("cache"))
    config.executor.workers = 1
    return config


class TestLibrary:
    def test_pairs_go_by_name(self, tmp_path: Path) -> None:
        touch(tmp_path, "input/a_raw.wav", "input/B_RAW.FLAC", "desired_output/a_edit.mp3", "desired_output/b_edit.wav")
        library = find_library(touch(tmp_path, "reference/hit.ogg", "input/.DS_Store"))
        assert [(p.pair_id, p.raw.track_id, p.edit.track_id, p.style, p.song) for p in library.pairs] == [
            ("a", "a_raw", "a_edit", "default", "a_raw"),
            ("b", "B_RAW", "b_edit", "default", "B_RAW"),
        ]
        assert [r.track_id for r in library.references] == ["hit"]
        assert library.problems == ()
        assert [r.track_id for r in library.recordings] == ["a_edit", "b_edit", "B_RAW", "a_raw", "hit"]

    def test_what_does_not_fit_is_named_and_left_out(self, tmp_path: Path) -> None:
        touch(tmp_path, "input/a_raw.wav", "desired_output/a_edit.wav", "input/alone_raw.wav", "input/notes.txt")
        touch(tmp_path, "desired_output/widow_edit.wav", "input/take.wav", "input/d_raw.wav", "input/d_raw.flac")
        library = find_library(touch(tmp_path, "desired_output/d_edit.wav"))
        assert [p.pair_id for p in library.pairs] == ["a"]
        problems = {p.name: p.reason for p in library.problems}
        assert set(problems) == {
            "input/alone_raw.wav", "input/notes.txt", "input/take.wav", "desired_output/widow_edit.wav",
            "input/d_raw.wav", "input/d_raw.flac",
        }  # fmt: skip
        assert "without its edit" in problems["input/alone_raw.wav"]
        assert "without its raw" in problems["desired_output/widow_edit.wav"]
        assert "rename it take_raw" in problems["input/take.wav"]
        assert "duplicate" in problems["input/d_raw.wav"]

    def test_a_table_names_editors_and_shares_raws(self, tmp_path: Path) -> None:
        touch(tmp_path, "input/a_raw.wav", "desired_output/one.wav", "desired_output/two.wav", "desired_output/x.wav")
        (tmp_path / "pairs.csv").write_text(
            "raw,edit,style\na_raw.wav,one.wav,ann\na_raw.wav,two.wav,bob\na_raw.wav,gone.wav,bob\n", encoding="utf-8"
        )
        library = find_library(tmp_path)
        assert [(p.pair_id, p.style, p.song) for p in library.pairs] == [
            ("one", "ann", "a_raw"),
            ("two", "bob", "a_raw"),
        ]
        assert library.styles == ("ann", "bob")
        assert library.problems == (
            Problem("desired_output/x.wav", "not listed in pairs.csv; add a line for it"),
            Problem("pairs.csv line 4", "gone.wav: no such file in desired_output/"),
        )

    @pytest.mark.parametrize("heading", ["raw,edit,style", "raw, edit, style", "Raw,Edit,STYLE ", "style;raw;edit"])
    def test_a_table_is_read_however_its_columns_are_spelt(self, tmp_path: Path, heading: str) -> None:
        """An editor whose column is not known would be nobody in particular, silently."""
        touch(tmp_path, "input/a_raw.wav", "desired_output/one.wav")
        row = "ann;a_raw.wav;one.wav" if ";" in heading else "a_raw.wav,one.wav,ann"
        (tmp_path / "pairs.csv").write_text(f"{heading}\n{row}\n", encoding="utf-8")
        library = find_library(tmp_path)
        assert [(pair.pair_id, pair.style) for pair in library.pairs] == [("one", "ann")]
        assert library.problems == ()

    def test_a_value_without_a_column_is_named_by_its_line(self, tmp_path: Path) -> None:
        touch(tmp_path, "input/a_raw.wav", "desired_output/one.wav", "desired_output/two.wav")
        rows = ["raw,edit", "", "a_raw.wav,one.wav,", "", "a_raw.wav,two.wav,ann"]  # lines 1 to 5, spreadsheets' commas
        (tmp_path / "pairs.csv").write_text("\n".join(rows), encoding="utf-8")
        library = find_library(tmp_path)
        assert [pair.pair_id for pair in library.pairs] == ["one"]
        said = "ann: more values than columns; name the column, of raw,edit,style, or quote commas"
        assert Problem("pairs.csv line 5", said) in library.problems

    def test_nothing_at_all_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match=r"no recordings; put raw takes into input/"):
            find_library(touch(tmp_path, "input/.gitkeep", "input/readme.txt"))

    @pytest.mark.parametrize(("made", "said"), [(False, "there is no such folder"), (True, "is a file")])
    def test_what_is_no_folder_is_not_called_empty(self, tmp_path: Path, made: bool, said: str) -> None:
        if made:
            touch(tmp_path, "music")
        with pytest.raises(ConfigError, match=f"music: {said}; name a folder"):
            find_library(tmp_path / "music")

    def test_ids_are_safe_and_unique(self, tmp_path: Path) -> None:
        touch(tmp_path, "input/my song_raw.wav", "desired_output/my song_edit.wav")
        touch(tmp_path, "input/my_song_raw.wav", "desired_output/my_song_edit.wav")
        library = find_library(tmp_path)
        assert sorted(p.raw.track_id for p in library.pairs) == ["my_song_raw", "my_song_raw-2"]
        assert len({p.pair_id for p in library.pairs}) == 2
        assert safe_name("../../etc/pass wd") == "etc_pass_wd"
        assert safe_name("...") == "track"


class TestSplits:
    def test_editors_that_the_splits_pass_by_are_named(self) -> None:
        ann = [Placed("ann", "a", "train"), Placed("ann", "b", "test")]
        bob = [Placed("bob", "a", "train"), Placed("bob", "c", "validation")]
        (line,) = split_gaps(ann + bob)
        assert line.startswith("style 'bob' (2 songs): none is held out, ")
        assert split_gaps(ann) == []
        assert split_gaps(bob) == []  # nothing is held out at all, which is wanted or said elsewhere
        (line,) = split_gaps([*ann, Placed("bob", "b", "test")])
        assert line.startswith("style 'bob' (1 song): none teaches, so that it is not learned")

    def test_editors_of_whose_edits_decisions_tell_little_are_named(self) -> None:
        told = [("ann", 0.0), ("ann", 1.0), ("bob", 0.0), ("bob", 0.5)]  # 50 % of ann's, 25 % of bob's
        (line,) = coverage_gaps(told)
        assert line.startswith("style 'bob' (2 pairs): decisions tell 25% of what plays in its edits, ")

    def test_the_hash_decides(self) -> None:
        config = DataConfig(test_fraction=0.25, validation_fraction=0.25)
        # the first 52 bits as a share of 2**52: 0x3fff.. is just under 0.25, 0x4000.. is 0.25, 0x8000.. is 0.5
        assert split_of("3" + "f" * 63, config) == "test"
        assert split_of("4" + "0" * 63, config) == "validation"
        assert split_of("8" + "0" * 63, config) == "train"

    def test_other_songs_do_not_matter_where_no_repair_is_needed(self) -> None:
        config = DataConfig(test_fraction=0.25, validation_fraction=0.25)
        songs = {"a": "1" + "0" * 63, "b": "5" + "0" * 63, "c": "c" + "0" * 63, "d": "d" + "0" * 63}
        alone = assign_splits(songs, config)
        more = assign_splits({**songs, "e": "2" + "0" * 63, "f": "f" + "0" * 63}, config)
        assert alone == {"a": "test", "b": "validation", "c": "train", "d": "train"}
        assert {name: more[name] for name in songs} == alone

    def test_tiny_sets_are_repaired(self) -> None:
        config = DataConfig(test_fraction=0.25, validation_fraction=0.25)
        high = {name: name + "0" * 63 for name in "cdef"}  # all of them in train by their hash
        assert assign_splits({"d": high["d"]}, config) == {"d": "train"}
        assert assign_splits({"d": high["d"], "e": high["e"]}, config) == {"d": "test", "e": "train"}
        three = {name: high[name] for name in "def"}
        assert assign_splits(three, config) == {"d": "test", "e": "train", "f": "train"}  # two teach, and none chooses
        assert assign_splits(high, config) == {"c": "test", "d": "validation", "e": "train", "f": "train"}

    def test_most_of_a_handful_teach_whatever_their_hashes(self) -> None:
        config = DataConfig(test_fraction=0.2, validation_fraction=0.2)
        held_out = {name: f"0{name}" + "0" * 62 for name in "123456789abc"}  # all of them by their hashes
        chooses = {name: f"4{name}" + "0" * 62 for name in "123"}
        for three in (chooses, dict(itertools.islice(held_out.items(), 3))):
            assert Counter(assign_splits(three, config).values()) == {"train": 2, "test": 1}
        for n in range(4, SMALL_SET):
            counts = Counter(assign_splits(dict(itertools.islice(held_out.items(), n)), config).values())
            assert counts["train"] == min(round(0.6 * n), n - 2)
            assert min(counts["test"], counts["validation"]) >= 1
        assert Counter(assign_splits(held_out, config).values()) == {"test": 10, "train": 1, "validation": 1}
        few = dict(itertools.islice(held_out.items(), 5))
        placed = DataConfig(test_fraction=0.2, validation_fraction=0.2, splits=dict.fromkeys(few, "test"))
        assert set(assign_splits(few, placed).values()) == {"test"}  # where a person wants them

    def test_of_two_songs_one_tests_whatever_their_hashes(self) -> None:
        config = DataConfig(test_fraction=0.25, validation_fraction=0.25)  # 0 to 3 test, 4 to 7 validate, 8 to f train
        for one, two in itertools.product("048", "37c"):
            songs = {"a": one + "0" * 63, "b": two + "0" * 63}
            assert sorted(assign_splits(songs, config).values()) == ["test", "train"]
        placed = DataConfig(test_fraction=0.25, validation_fraction=0.25, splits={"b": "validation"})
        songs = {"a": "c" + "0" * 63, "b": "5" + "0" * 63}  # one is put to validate, the other has to train
        assert assign_splits(songs, placed) == {"a": "train", "b": "validation"}

    def test_none_of_three_chooses_where_none_is_held_out_either(self) -> None:
        """One chooses by its hash (0x8d of 256 is 0.55): of four songs, and of three where a person puts it there."""
        config = DataConfig(test_fraction=0.0, validation_fraction=0.6)
        three = {"8": "8d" + "0" * 62} | {name: name + "0" * 63 for name in "de"}
        assert split_of(three["8"], config) == "validation"
        assert set(assign_splits(three, config).values()) == {"train"}
        four = assign_splits({**three, "f": "f" + "0" * 63}, config)
        assert four == {"8": "validation", "d": "train", "e": "train", "f": "train"}
        config.splits = {"8": "validation"}
        assert assign_splits(three, config) == {"8": "validation", "d": "train", "e": "train"}

    def test_a_split_of_no_share_stays_empty_and_copies_stay_together(self) -> None:
        config = DataConfig(test_fraction=0.0, validation_fraction=0.25)
        same = {"a": "c" + "0" * 63, "copy": "c" + "0" * 63} | {name: name + "0" * 63 for name in "def"}
        expected = {"a": "validation", "copy": "validation", "d": "train", "e": "train", "f": "train"}
        assert assign_splits(same, config) == expected

    def test_a_song_stays_where_a_person_puts_it(self) -> None:
        # test, validation, train and train by the hash
        songs = {"a": "1" + "0" * 63, "b": "5" + "0" * 63, "c": "c" + "0" * 63, "d": "d" + "0" * 63}
        config = DataConfig(test_fraction=0.25, validation_fraction=0.25, splits={"a": "train", "c": "test"})
        assert assign_splits(songs, config) == {"a": "train", "b": "validation", "c": "test", "d": "train"}
        config.splits = dict.fromkeys("abd", "train")  # validation is empty then, and no song is free to go there
        assert assign_splits(songs, config) == {"a": "train", "b": "train", "c": "test", "d": "train"}
        # test is empty then, and the hash lets c and d train: b, the lowest, is taken
        config.splits = {"a": "validation"}
        low = assign_splits({**songs, "b": "b" + "0" * 63}, config)
        assert low == {"a": "validation", "b": "test", "c": "train", "d": "train"}
        three = {name: songs[name] for name in "abd"}
        assert assign_splits(three, config) == {"a": "validation", "b": "test", "d": "train"}

    def test_copies_of_a_song_in_two_splits_are_refused_and_unknown_songs_are_named(self) -> None:
        config = DataConfig(splits={"a": "train", "copy": "test", "slip": "test"})
        with pytest.raises(ConfigError, match=r"data\.splits\.copy: 'test', and a copy .* is in 'train'"):
            assign_splits({"a": "d" * 64, "copy": "d" * 64}, config)
        problems = unknown_songs(["a", "copy"], config)
        assert [str(p) for p in problems] == [
            "slip: named in data.splits, and no song that is left is called so; songs here are a, copy"
        ]
        with pytest.raises(ConfigError, match=r"data\.splits"):
            Config.from_dict({"data": {"splits": {"a": "held out"}}})


class TestDemonstrations:
    def test_labels_come_from_aligning(self, folder: Path, config: Config, caplog: pytest.LogCaptureFixture) -> None:
        found = load_demonstrations(folder, config)
        assert [d.pair_id for d in found] == ["song0", "song1"]
        assert "left out: other" in caplog.text
        for demonstration in found:
            first, second = demonstration.edit.merged().segments
            # 8 s are kept, 8 s left out, 8 s kept, to the sample or nearly
            assert first.source_start_frame == 0
            assert abs((first.source_end_frame or 0) - 8 * RATE) <= 0.03 * RATE
            assert abs((second.source_start_frame or 0) - 16 * RATE) <= 0.03 * RATE
            assert demonstration.labels.coverage > 0.8

    def test_training_songs_have_copies_where_they_are_asked_for(
        self, folder: Path, config: Config, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As the stages make them: ``behavioral_cloning`` learned without, whatever ``augmentation.enabled`` said."""
        config = replace(config, data=replace(config.data, splits={"song0_raw": "train", "song1_raw": "test"}))
        plain = load_demonstrations(folder, config)
        found = load_demonstrations(folder, config, augmented=True)
        (taught,) = (d for d in plain if d.split == "train")
        (copy,) = (d for d in found if d.is_copy)
        assert [d.pair_id for d in found if not d.is_copy] == [d.pair_id for d in plain]
        assert (copy.pair_id, copy.split, copy.style) == (f"{taught.pair_id}.aug0", "train", taught.style)
        np.testing.assert_array_equal(copy.labels.actions, taught.labels.actions)
        assert copy.features.values.shape == taught.features.values.shape
        assert not np.allclose(copy.features.values, taught.features.values)
        assert copy.edit.source.frames == round(copy.grid.duration_s * RATE)
        monkeypatch.setattr("rl_editor.copies.extract_frames", None)  # the second time they are in the cache
        (again,) = (d for d in load_demonstrations(folder, config, augmented=True) if d.is_copy)
        np.testing.assert_array_equal(again.features.values, copy.features.values)

        off, full = replace(config.augmentation, enabled=False), replace(config.features, feature_mode="full")
        assert len(load_demonstrations(folder, replace(config, augmentation=off), augmented=True)) == len(plain)
        assert n_copies(replace(config, augmentation=replace(config.augmentation, draws_per_track=3))) == 3
        assert n_copies(replace(config, features=full)) == 0  # nobody separates stems of them

    def test_a_song_that_is_left_out_takes_no_place(self, folder: Path, config: Config, tmp_path: Path) -> None:
        """Of two songs the one with the higher hash teaches: one that could not be read did, the other was held out."""
        for name in ("input/song0_raw.wav", "desired_output/song0_edit.wav"):
            (tmp_path / name).parent.mkdir()
            shutil.copyfile(folder / name, tmp_path / name)
        own = file_sha256(tmp_path / "input/song0_raw.wav")
        texts = (f"no audio {number}".encode() for number in itertools.count())
        text = next(text for text in texts if hashlib.sha256(text).hexdigest() > own)
        for name in ("input/broken_raw.wav", "desired_output/broken_edit.wav"):
            (tmp_path / name).write_bytes(text)
        assert [(d.song, d.split) for d in load_demonstrations(tmp_path, config)] == [("song0_raw", "train")]

    def test_nothing_left_is_an_error_that_says_why(self, tmp_path: Path, config: Config) -> None:
        for name, seed in (("input/x_raw.wav", 1), ("desired_output/x_edit.wav", 2)):
            (tmp_path / name).parent.mkdir(parents=True)
            sf.write(tmp_path / name, song(seed, 12.0), RATE)
        with pytest.raises(DatasetError, match=r"no pair to learn from: x: "):
            load_demonstrations(tmp_path, config)

    def test_of_many_reasons_a_few_are_said(self, tmp_path: Path, config: Config) -> None:
        for number in range(7):
            (path := tmp_path / f"input/{number}_raw.wav").parent.mkdir(exist_ok=True)
            path.touch()
        with pytest.raises(DatasetError, match=r"input/4_raw\.wav: [^;]*;[^;]*; and 2 more, see above$"):  # 7 - 5
            load_demonstrations(tmp_path, config)

    def test_weights_that_cannot_be_had_are_missed_once(self, folder: Path, config: Config, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        full = {"features": {"feature_mode": "full"}, "stems": {"repo": str(tmp_path / "empty")}}
        with pytest.raises(MissingWeightsError, match="is not in"):
            load_demonstrations(folder, Config.from_dict(config.to_dict() | full))

    def test_files_give_back_what_was_written(self, folder: Path, config: Config, tmp_path: Path) -> None:
        from rl_editor.loading import label_pair

        found = label_pair(find_library(folder).pairs[1], config)
        save_analysis(tmp_path / "a.npz", found.analysis)
        save_analysis(tmp_path / "b.npz", found.analysis)
        save_labels(tmp_path / "l.npz", found.labels)
        again, labels = load_analysis(tmp_path / "a.npz"), load_labels(tmp_path / "l.npz")
        assert again.source == found.analysis.source
        np.testing.assert_array_equal(again.features.values, found.analysis.features.values)
        np.testing.assert_array_equal(again.grid.times_s, found.analysis.grid.times_s)
        np.testing.assert_array_equal(labels.actions, found.labels.actions)
        assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
        with pytest.raises(DatasetError, match=r"l\.npz: not a whole file"):
            load_analysis(tmp_path / "l.npz")

    def test_a_damaged_file_is_always_named(self, folder: Path, config: Config, tmp_path: Path) -> None:
        """Whatever bit is turned: nothing but our own error comes of it."""
        from rl_editor.loading import label_pair

        save_analysis(tmp_path / "a.npz", label_pair(find_library(folder).pairs[1], config).analysis)
        whole, rng = (tmp_path / "a.npz").read_bytes(), np.random.default_rng(0)
        refused = 0
        for at in rng.integers(0, len(whole), 150):
            damaged = bytearray(whole)
            damaged[at] ^= 1 << int(rng.integers(8))
            (tmp_path / "b.npz").write_bytes(damaged)
            try:
                load_analysis(tmp_path / "b.npz")
            except DatasetError:
                refused += 1
        assert refused > 75  # dates in the archive matter to nobody

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"values": np.array([[1.0, 2.0], [3.0, np.nan]], np.float32)}, "mfcc_1 of beat 1 is nan"),
            ({"names": np.array(["rms"])}, "2 columns and 1 names"),
            ({"values": np.ones((1, 2), np.float32)}, "features of 1 beats on a grid of 2"),
            ({"values": np.ones(2, np.float32)}, ""),
            ({"times_s": np.array([0.0, 2.0, 1.0])}, r"boundary 2 is 1\.0 s"),
            ({"times_s": np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])}, ""),
            ({"bar_position": np.array([0, 4])}, "beat 1 has bar position 4"),
            ({"beats_per_bar": np.array([4, 4])}, ""),
            ({"confidence": np.array(np.nan)}, "confidence nan"),
            ({"source": np.frombuffer(b'{"name": "a"}', np.uint8)}, "missing"),
            ({"source": np.frombuffer(b"[" * 9, np.uint8)}, ""),
            ({"source": np.frombuffer(NEGATIVE.encode(), np.uint8)}, "source: frames -1"),
        ],
    )
    def test_a_file_with_what_no_analysis_holds_is_named(
        self, tmp_path: Path, changed: dict[str, np.ndarray], said: str
    ) -> None:
        grid = BeatGrid(np.array([0.0, 1.0, 2.0]), np.array([0, 1]))
        features = BeatFeatures(np.ones((2, 2), np.float32), ("rms", "mfcc_1"))
        save_analysis(tmp_path / "a.npz", Analysis(SourceInfo("a.wav", "", 44100, 2, 88200), grid, features))
        with np.load(tmp_path / "a.npz") as stored:
            arrays = dict(stored)
        np.savez(tmp_path / "b.npz", **(arrays | changed))  # type: ignore[arg-type]
        with pytest.raises(DatasetError, match=rf"(?s)b\.npz: not a whole file .*{said}.*; write it again"):
            load_analysis(tmp_path / "b.npz")

    def test_what_goes_on_without_a_join_does_so_in_a_rescaled_edit(self) -> None:
        segments = tuple(Segment(1001 * i, 1001) for i in range(50))
        found = rescaled(
            EditList(SourceInfo("a", "", 100, 1, 60000), segments), SourceInfo("a", "", 100, 1, 54730), beat_times_s=()
        )
        assert len(joins(found)) == 0
        assert found.frames == round(50 * 1001 * 54730 / 60000)

    def test_a_rescaled_edit_stays_inside_its_source(self) -> None:
        source = SourceInfo("a", "", 100, 1, 1000)
        edit = EditList(source, (Segment(0, 400), Segment(600, 400)))
        half = rescaled(edit, SourceInfo("a", "", 100, 1, 500), beat_times_s=())
        assert [(s.source_start_frame, s.frames) for s in half.segments] == [(0, 200), (300, 200)]


class TestDatasets:
    def test_batches_are_padded_and_carry_lengths(self, folder: Path, config: Config) -> None:
        dataset = AudioDataset([r for r in find_library(folder).recordings if r.role == "raw"], config)
        batch = next(iter(create_dataloader(dataset, config, batch_size=3)))
        lengths = batch["n_features"].tolist()
        assert batch["features"].shape == (3, max(lengths), 109)
        assert min(lengths) < max(lengths)  # 20 s beside 24 s
        shortest = int(np.argmin(lengths))
        assert not batch["features"][shortest, min(lengths) :].any()

    def test_augmentation_is_one_draw_per_seed_epoch_and_index(self, folder: Path, config: Config) -> None:
        pairs = [p for p in find_library(folder).pairs if p.pair_id != "other"]
        dataset = PairedAudioDataset(pairs, config, use_augmentation=True, seed=3)
        assert dataset.draw(0) == PairedAudioDataset(pairs, config, use_augmentation=True, seed=3).draw(0)
        first = dataset.draw(0)
        dataset.set_epoch(1)
        assert dataset.draw(0) != first
        assert dataset.draw(1) != dataset.draw(0)

    def test_raw_edit_and_grid_are_stretched_alike_and_labels_stay(self, folder: Path, config: Config) -> None:
        pairs = [p for p in find_library(folder).pairs if p.pair_id != "other"]
        plain = PairedAudioDataset(pairs, config, use_augmentation=False)[0]
        stretched = Config.from_dict(config.to_dict())
        stretched.augmentation.time_stretch_prob = 1.0
        dataset = PairedAudioDataset(pairs, stretched, use_augmentation=True, seed=1)
        item, rate = dataset[0], dataset.draw(0).stretch_rate
        assert rate != 1.0
        assert len(item.raw) == round(len(plain.raw) / rate)
        assert len(item.edit) == round(len(plain.edit) / rate)
        np.testing.assert_allclose(item.times_s, plain.times_s / rate, rtol=1e-5)
        np.testing.assert_array_equal(item.labels, plain.labels)
        assert item.features.shape == plain.features.shape

    def test_noise_is_as_loud_in_raw_and_edit_and_another_in_each(self, folder: Path, config: Config) -> None:
        pairs = [p for p in find_library(folder).pairs if p.pair_id != "other"]
        noisy = Config.from_dict(config.to_dict())
        for effect in ("pitch_shift", "time_stretch", "gain", "eq"):
            setattr(noisy.augmentation, f"{effect}_prob", 0.0)
        noisy.augmentation.noise_prob = 1.0
        plain = PairedAudioDataset(pairs, config, use_augmentation=False)[0]
        dataset = PairedAudioDataset(pairs, noisy, use_augmentation=True, seed=1)
        item, again = dataset[0], dataset[0]
        noises = [getattr(item, side) - getattr(plain, side) for side in ("raw", "edit")]
        for side, noise in zip(("raw", "edit"), noises, strict=True):
            snr_db = 10 * np.log10(np.mean(getattr(plain, side) ** 2) / np.mean(noise**2))
            assert snr_db == pytest.approx(dataset.draw(0).noise_snr_db, abs=0.1)
            np.testing.assert_array_equal(getattr(item, side), getattr(again, side))
        n = min(map(len, noises))
        assert abs(np.corrcoef(noises[0][:n], noises[1][:n])[0, 1]) < 5 / np.sqrt(n)  # of independent ones 1 / sqrt(n)

    def test_augmented_audio_has_no_stems(self, config: Config) -> None:
        full = Config.from_dict(config.to_dict())
        full.features.feature_mode = "full"
        grid = BeatGrid(np.arange(9) * 0.5, np.arange(8) % 4)
        with pytest.raises(ConfigError, match=r"augmented audio has no stems.*; set augmentation\.enabled to false"):
            features_on(song(0, 4.0), grid, full)

    def test_labels_are_padded_with_what_losses_ignore(self, folder: Path, config: Config) -> None:
        pairs = find_library(folder).pairs[1:]
        batch = next(iter(create_dataloader(PairedAudioDataset(pairs, config, use_augmentation=False), config)))
        assert PADDING == -100  # torch's default ignore_index
        assert (batch["labels"] >= 0).all()
        assert batch["pair_id"] == ["song0"]
