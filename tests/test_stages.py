"""Stages on a small folder of recordings: outputs by track, what is left out, what is computed again."""

import errno
import json
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import yaml
from opinion_sets import random_set
from test_data import RATE, song

from benchmarks.preferences.listeners import Listener, session
from rl_editor.checkpoint import load_policy
from rl_editor.demonstrations import Analysis, load_analysis
from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.errors import AudioFileError, DatasetError, MissingWeightsError, OutputError, said
from rl_editor.library import Problem, find_library
from rl_editor.loading import align_pair, load_references
from rl_editor.registry import Registered
from rl_editor.reward import ReferenceStatistics
from rl_editor.reward_model.learning import load_learned
from stages import align, bc, corpus, decode, evaluate, export, features, layout, ppo, reward_model, separate
from stages.dataset import digest_of, read_demonstrations, read_reference
from stages.manifest import load_manifest, read_view
from stages.params import load_all

PARAMS = Path(__file__).parent.parent / "params.yaml"


def write_params(folder: Path, **changes: dict[str, Any]) -> None:
    values = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    values["executor"]["workers"] = 1
    for section, keys in changes.items():
        values[section] |= keys
    (folder / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")


def add_pair(root: Path, name: str, seed: int) -> None:
    raw = song(seed, 16.0)
    for folder in ("input", "desired_output"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    sf.write(root / f"input/{name}_raw.wav", raw, RATE)
    sf.write(root / f"desired_output/{name}_edit.wav", np.concatenate([raw[: 6 * RATE], raw[10 * RATE :]]), RATE)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)
    for number in range(3):
        add_pair(tmp_path / "data/raw", f"s{number}", number)
    return tmp_path


def run_to_labels() -> None:
    corpus.main()
    decode.main()
    separate.main()
    features.main()
    align.main()


def test_a_song_called_problems_is_labelled_as_any_other(project: Path) -> None:
    """Beside the edit list of every pair lies a list of what was left out: problems.json."""
    add_pair(project / "data/raw", "problems", 3)
    run_to_labels()
    found = read_demonstrations(splits=("train", "validation", "test"))
    assert [d.pair_id for d in found] == ["problems-2", "s0", "s1", "s2"]
    assert json.loads((layout.LABELS / layout.PROBLEMS).read_text()) == []


def test_a_queued_experiment_does_not_learn_from_the_default_corpus_instead(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC runs it in a copy of what is committed, which recordings are not."""
    copy = tmp_path_factory.mktemp("copy")
    write_params(copy)
    (copy / "data/raw/input").mkdir(parents=True)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(project))
    with pytest.raises(
        DatasetError, match=r"data/raw: no recordings in this temporary copy .*`-S data\.raw_dir=\$PWD/"
    ):
        corpus.main()
    write_params(copy, data={"raw_dir": str(project / "data/raw")})
    corpus.main()
    assert json.loads((layout.CORPUS / layout.INDEX).read_text()) == {"songs": 0}


def test_without_songs_to_test_on_the_remedy_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2):
        (project / f"data/raw/input/s{number}_raw.wav").unlink()
    run_to_labels()
    assert "no song is held out, so that the pipeline will end at evaluate" in capsys.readouterr().err
    with pytest.raises(DatasetError, match=r"for test: 1 song decoded, .*; add songs, or name some in data\.splits"):
        read_demonstrations(splits=("test",))


def test_editors_without_a_song_to_test_on_or_to_learn_from_are_named(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"s{number}_raw.wav,s{number}_edit.wav,{style}" for number, style in enumerate(("ann", "bob", "cid"))]
    (project / "data/raw/pairs.csv").write_text("\n".join(["raw,edit,style", *rows]))
    write_params(project, data={"splits": {"s0_raw": "train", "s1_raw": "test", "s2_raw": "validation"}})
    run_to_labels()
    said = capsys.readouterr().err
    assert "style 'ann' (1 song): none is held out, so that nothing will say how well it is learned" in said
    assert "style 'bob' (1 song): none teaches, so that it is not learned" in said
    assert "no song is held out" not in said
    assert "style 'cid' (1 song): none teaches, so that it is not learned" in said


def test_weights_that_cannot_be_had_are_missed_once(project: Path) -> None:
    write_params(project, features={"feature_mode": "full"}, stems={"repo": str(project)})
    corpus.main()
    decode.main()
    with pytest.raises(MissingWeightsError, match="is not in"):
        separate.main()


def test_what_is_not_in_the_raw_makes_no_pair_doubtful(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``align.json`` says the confidence that ``rl-editor align`` does: the median of what is matched, by length."""

    def explained(*_: Any, source: SourceInfo, **__: Any) -> EditList:
        foreign = Segment(None, RATE, confidence=0.0)
        matched = Segment(0, 8 * RATE, confidence=0.9), Segment(12 * RATE, 2 * RATE, confidence=0.4)
        return EditList(source, (foreign, matched[0], foreign, matched[1]))

    monkeypatch.setattr(align, "aligned", explained)
    run_to_labels()
    assert json.loads(Path("metrics/align.json").read_text())["median_confidence"] == 0.9  # of 8 of 10 s


@pytest.mark.parametrize("side", ["input", "desired_output"])
def test_a_channel_turned_over_is_explained(project: Path, side: str) -> None:
    """In the raw or in the edit, to the same edit list as in either alone."""
    middle, beside = song(0, 16.0), song(1, 16.0)
    raw = np.stack([middle + 0.4 * beside, middle - 0.4 * beside], axis=1)
    edit = np.concatenate([raw[: 6 * RATE], raw[10 * RATE :]])
    for folder, name, data in (("input", "s0_raw", raw), ("desired_output", "s0_edit", edit)):
        sf.write(project / f"data/raw/{folder}/{name}.wav", data * (np.array([-1, 1]) if folder == side else 1), RATE)
    run_to_labels()
    manifest = load_manifest()
    turned = [track.role for track in manifest.tracks if track.turned_scale is not None]
    assert turned == ["raw" if side == "input" else "edit"]
    found = EditList.load(layout.LABELS / "s0.json")
    spans = [(s.source_start_frame, s.frames) for s in found.segments]
    np.testing.assert_allclose(spans, [(0, 6 * RATE), (10 * RATE, 6 * RATE)], atol=0.002 * RATE)
    pair = next(pair for pair in find_library(project / "data/raw").pairs if pair.pair_id == "s0")
    by_files = align_pair(pair, load_all())
    assert [(s.source_start_frame, s.frames) for s in by_files.segments] == spans


class TestRewardModel:
    """What listeners said, to a reward or to the reason why there is none."""

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        write_params(tmp_path, tracking={"backend": "none"})

    @staticmethod
    def status() -> tuple[str, bool]:
        reward_model.main()
        said = json.loads((layout.REWARD_MODEL / "status.json").read_text())
        assert json.loads(Path("metrics/reward_model.json").read_text()) == said["metrics"]
        return said["status"], load_learned(layout.REWARD_MODEL) is not None

    @staticmethod
    def collect(name: str, listener: Listener, n: int) -> None:
        found = random_set(n_anchors=2)
        answers = session(found, [listener], n, np.random.default_rng(0))
        layout.PREFERENCES.mkdir(parents=True, exist_ok=True)
        answers.save(layout.PREFERENCES / f"{name}.json")

    def test_none_then_too_few_then_learned(self) -> None:
        assert self.status() == ("none", False)
        self.collect("evening", Listener("Ann", {"joins": -2.0}), 30)
        assert self.status() == ("too few", False)
        self.collect("evening", Listener("Ann", {"joins": -2.0}), 120)
        assert self.status() == ("learned", True)
        bytes_of = contents(layout.REWARD_MODEL)
        reward_model.main()
        assert contents(layout.REWARD_MODEL) == bytes_of

    def test_a_habit_is_no_taste(self) -> None:
        self.collect("evening", Listener("Cy", length=3.0), 120)
        assert self.status() == ("no taste", False)

    def test_the_same_answers_twice_are_refused(self) -> None:
        self.collect("evening", Listener("Ann", {"joins": -2.0}), 20)
        self.collect("again", Listener("Ann", {"joins": -2.0}), 20)
        with pytest.raises(DatasetError, match="is in two files; take the older one away"):
            reward_model.main()


class TestPipeline:
    def test_from_recordings_to_demonstrations(self, project: Path) -> None:
        run_to_labels()
        assert json.loads((layout.CORPUS / "index.json").read_text()) == {"songs": 0}
        manifest = load_manifest()
        assert [p.pair_id for p in manifest.pairs] == ["s0", "s1", "s2"]
        assert sorted(p.split for p in manifest.pairs) == ["test", "train", "train"]
        assert all(not Path(track.path).is_absolute() for track in manifest.tracks)
        copies = sorted(p.name for p in layout.FEATURES.glob("*.aug0.npz"))
        assert copies == sorted(f"{name}.aug0.npz" for name in manifest.training_raws)
        metrics = json.loads((layout.METRICS / "align.json").read_text())
        assert (metrics["n_pairs"], metrics["n_rejected"]) == (3, 0)

        plain = read_demonstrations(splits=("train",))
        both = read_demonstrations(splits=("train",), augmented=True)
        assert len(both) == 2 * len(plain)
        original, copy = both[0], both[1]
        assert copy.pair_id == f"{original.pair_id}.aug0"
        np.testing.assert_array_equal(copy.labels.actions, original.labels.actions)
        assert copy.edit.source.frames == round(copy.grid.duration_s * RATE)

    def test_a_track_whose_copy_fails_is_left_out_as_said(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        corpus.main()
        decode.main()
        separate.main()
        failing = min(load_manifest().training_raws)
        made = features.augmented_copy

        def augmented_copy(*arguments: Any, track_id: str, **options: Any) -> Analysis:
            if track_id == failing:
                raise AudioFileError(f"{failing}: its view is gone")
            return made(*arguments, track_id=track_id, **options)

        monkeypatch.setattr(features, "augmented_copy", augmented_copy)
        features.main()
        problems = json.loads((layout.FEATURES / layout.PROBLEMS).read_text(encoding="utf-8"))
        assert [problem["name"] for problem in problems] == [failing]
        assert not (layout.FEATURES / f"{failing}.npz").exists()
        assert len(list(layout.FEATURES.glob("s*_raw.npz"))) == 2  # of three

    def test_the_same_bytes_twice_without_the_cache(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        run_to_labels()
        first = contents(project / "data")
        monkeypatch.setenv("RL_EDITOR_CACHE", "off")
        run_to_labels()
        assert contents(project / "data") == first
        text = b"".join(data for name, data in first.items() if name.endswith(".json"))
        assert str(project).encode() not in text

    def test_a_new_track_computes_one_track(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        run_to_labels()
        add_pair(project / "data/raw", "t", 9)
        calls: dict[str, int] = {"frames": 0, "align": 0}

        def counting(name: str, fn: Any) -> Any:
            def counted(*args: Any, **kwargs: Any) -> Any:
                calls[name] += 1
                return fn(*args, **kwargs)

            return counted

        import rl_editor.analysis

        monkeypatch.setattr(rl_editor.analysis, "extract_frames", counting("frames", rl_editor.analysis.extract_frames))
        monkeypatch.setattr(align, "recover_either", counting("align", align.recover_either))
        run_to_labels()
        assert calls == {"frames": 1, "align": 1}

    def test_an_override_changes_the_grid_and_no_audio_feature(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_to_labels()
        before = load_analysis(layout.FEATURES / "s0_raw.npz").grid.n_beats
        write_params(project, beats={"overrides": {"s0_raw": {"tempo_multiplier": 2}}})

        def never(*_: object, **__: object) -> None:
            raise AssertionError("computed again")

        monkeypatch.setattr("rl_editor.analysis.extract_frames", never)
        features.main()
        assert load_analysis(layout.FEATURES / "s0_raw.npz").grid.n_beats > 1.5 * before

    def test_an_override_of_a_track_that_is_not_there_is_named(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_params(project, beats={"overrides": {"s0": {"tempo_multiplier": 2}, "s1_raw": {}}})
        decode.main()
        features.main()
        said = "s0: named in beats.overrides, and no track that is left is called so; tracks here are s0_raw, s1_raw"
        assert f"left out: {said}" in capsys.readouterr().err
        (problem,) = json.loads((layout.FEATURES / layout.PROBLEMS).read_text())
        assert f"{problem['name']}: {problem['reason']}".startswith(said)
        with pytest.raises(DatasetError, match=r"--strict: s0: named in beats\.overrides"):
            features.main(strict=True)


class TestReference:
    def test_finished_music_without_a_raw_sets_the_standard_of_the_reward(self, project: Path) -> None:
        run_to_labels()
        demonstrations = read_demonstrations(splits=("test",))
        assert read_reference() is None
        folder = project / "data/raw/reference"
        folder.mkdir()
        for number, duration_s in enumerate((10.0, 20.0)):
            sf.write(folder / f"hit{number}.wav", song(20 + number, duration_s), RATE)
        (folder / "bad.wav").write_bytes(b"RIFF but no audio")
        decode.main()
        features.main()
        reference = read_reference()
        assert reference is not None
        # quantiles 0.05 and 0.95 of 10 s and 20 s: 10 + 0.05 * 10, 10 + 0.95 * 10
        assert reference.shortest_s == pytest.approx(10.5, abs=0.05)
        assert reference.longest_s == pytest.approx(19.5, abs=0.05)
        config = load_all(Path("params.yaml"))
        of_files = ReferenceStatistics.of_analyses(load_references(project / "data/raw", config))
        assert asdict(of_files) == pytest.approx(asdict(reference), rel=1e-3)  # of files, and of 24-bit views of them
        assert digest_of(demonstrations) != digest_of(demonstrations, reference)


class TestLearning:
    """From demonstrations to a registered policy, as small as can be: what each stage is given, and hands on."""

    def test_songs_are_held_out_and_finished_music_and_listeners_are_heard(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_params(
            project,
            agent={"d_model": 8, "d_head": 8, "n_heads": 2, "n_layers": 1},
            bc={"epochs": 1, "trees": 2},
            data={"splits": {"s0_raw": "train", "s1_raw": "validation", "s2_raw": "test"}},
            evaluation={"bootstrap_samples": 20, "audio_examples": 1},
            ppo={"total_timesteps": 8, "n_envs": 2, "epochs": 1, "minibatches": 1, "remixes": 0},
            tracking={"backend": "none"},
        )
        (project / "data/raw/reference").mkdir()
        for number in range(2):
            sf.write(project / f"data/raw/reference/hit{number}.wav", song(20 + number, 12.0), RATE)
        run_to_labels()
        reward_model.main()
        given: dict[str, dict[str, Any]] = {}

        def heard(stage: Any, name: str) -> None:
            made = getattr(stage, name)

            def passed_on(*arguments: Any, **options: Any) -> Any:
                given[name] = {"arguments": arguments} | options
                return made(*arguments, **options)

            monkeypatch.setattr(stage, name, passed_on)

        def learned(summaries: Any) -> Any:
            return summaries[..., 0] * 0.0

        heard(bc, "train_bc")
        heard(ppo, "fine_tune")
        heard(evaluate, "Evaluator")
        monkeypatch.setattr(ppo, "load_learned", lambda _: learned)
        for stage in (bc, ppo, evaluate):
            stage.main()
        reference = read_reference()
        assert [d.pair_id for d in given["train_bc"]["arguments"][0]] == ["s0", "s0.aug0", "s1"]
        assert [d.pair_id for d in given["fine_tune"]["arguments"][1]] == ["s0", "s1"]
        assert given["fine_tune"]["reference"] == given["Evaluator"]["reference"] == reference
        assert given["fine_tune"]["learned_reward"] is learned
        assert {path.name.split("__")[0] for path in (layout.REPORT / "edits").iterdir()} == {"s2"}
        assert list((layout.REPORT / "audio").iterdir())

        class Tracker:
            run_id = "run"

            def log_artifact(self, *_: object) -> None: ...

        monkeypatch.setattr(export, "MLflowLogger", Tracker)
        monkeypatch.setattr(export, "stage_logger", lambda *_: nullcontext(Tracker()))
        monkeypatch.setattr(
            export, "register", lambda *_, **said: given.update(register=said) or Registered("1", True, True)
        )
        export.main()
        assert (layout.EXPORT / export.POLICY).read_bytes() == layout.PPO_CHECKPOINT.read_bytes()
        held_out = given["register"]["held_out"]
        assert held_out.digest == digest_of(read_demonstrations(splits=("test",)), reference)
        assert held_out.score == json.loads((layout.METRICS / "evaluate.json").read_text())[export.SCORE]
        assert given["register"]["measure"](load_policy(layout.PPO_CHECKPOINT)) == pytest.approx(held_out.score)


class TestLeftOut:
    def test_bad_recordings_are_listed_and_the_others_go_on(self, project: Path) -> None:
        raw = project / "data/raw"
        (raw / "input/s1_raw.wav").write_bytes(b"RIFF but no audio")
        sf.write(raw / "desired_output/s2_edit.wav", song(50, 12.0), RATE)  # of another song
        (raw / "input/lonely_raw.wav").write_bytes(b"")
        run_to_labels()
        decoded = {p["name"]: p["reason"] for p in json.loads((layout.DECODED / "problems.json").read_text())}
        assert decoded.keys() == {"input/lonely_raw.wav", "s1", "s1_raw.wav"}
        assert decoded["s1_raw.wav"].startswith("neither libsndfile nor ffmpeg")  # its name is said once
        rejected = json.loads((layout.LABELS / "problems.json").read_text())
        assert [p["name"] for p in rejected] == ["s2"]
        assert sorted(p.name for p in layout.LABELS.glob("*.npz")) == ["s0.npz"]

    def test_strict_fails_and_leaves_the_former_output(self, project: Path) -> None:
        decode.main()
        before = contents(layout.DECODED)
        (project / "data/raw/input/s1_raw.wav").write_bytes(b"")
        with pytest.raises(DatasetError, match=r"--strict: .*s1"):
            decode.main(strict=True)
        assert contents(layout.DECODED) == before
        assert not list(layout.DECODED.parent.glob(".*"))

    def test_nothing_left_fails(self, project: Path) -> None:
        for path in (project / "data/raw/input").iterdir():
            path.write_bytes(b"")
        with pytest.raises(DatasetError, match="no pairs left"):
            decode.main()


class TestLayout:
    def test_float_peaks_above_one_survive(self, project: Path) -> None:
        loud = 2.5 * song(4, 8.0)
        sf.write(project / "data/raw/reference.wav", loud, RATE, subtype="FLOAT")
        (project / "data/raw/reference").mkdir()
        (project / "data/raw/reference.wav").rename(project / "data/raw/reference/loud.wav")
        decode.main()
        track = load_manifest().track("loud")
        assert track.scale == pytest.approx(float(np.abs(loud).max()))
        # 24 bits over a range of 2 * scale: half a step is scale / 2**23 at most, and as much again for rounding
        np.testing.assert_allclose(read_view(track), loud, atol=2 * track.scale / 2**23)

    def test_a_folder_is_whole_or_as_it_was(self, tmp_path: Path) -> None:
        target = tmp_path / "out"

        def write(name: str, *, fails: bool) -> None:
            with layout.fresh_folder(target) as folder:
                (folder / name).write_text("1")
                if fails:
                    raise RuntimeError("killed")

        write("a", fails=False)
        with pytest.raises(RuntimeError):
            write("b", fails=True)
        assert [p.name for p in target.iterdir()] == ["a"]
        assert [p.name for p in tmp_path.iterdir()] == ["out"]

    def test_a_full_disk_names_the_file_and_not_the_folder_that_vanishes(self, tmp_path: Path) -> None:
        target = tmp_path / "decoded"
        with pytest.raises(OSError, match="No space left") as full, layout.fresh_folder(target) as folder:
            raise OSError(errno.ENOSPC, "No space left on device", "view.flac", None, str(folder / "a.flac"))
        assert said(full.value).startswith(f"{target / 'a.flac'}: no space left on device; ")
        with pytest.raises(OutputError, match=f"^{target / 'a.flac'}: full$"), layout.fresh_folder(target) as folder:
            raise OutputError(f"{folder / 'a.flac'}: full")
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "file").write_text("")
        with pytest.raises(OSError, match="Not a directory") as no_folder, layout.fresh_folder(tmp_path / "file/out"):
            pass
        assert said(no_folder.value).startswith(f"{tmp_path / 'file/out'}: not a directory; ")

    @pytest.mark.parametrize(("n_left", "said"), [(1, "1 track, 0 left out"), (2, "2 tracks, 0 left out")])
    def test_what_is_left_is_counted(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], n_left: int, said: str
    ) -> None:
        layout.report_problems(tmp_path, [], n_left=n_left, strict=False, what="tracks")
        assert capsys.readouterr().err == f"{said}\n"

    def test_long_lists_are_cut_in_the_message(self, tmp_path: Path) -> None:
        problems = [Problem(f"t{n}", "bad") for n in range(5)]
        with pytest.raises(DatasetError, match=r"t0: bad; t1: bad; t2: bad; and 2 more, see above$"):
            layout.report_problems(tmp_path, problems, n_left=0, strict=False, what="tracks")
        assert len(json.loads((tmp_path / "problems.json").read_text())) == 5
