"""The console command and the commands of the modules: flags, exit codes, what goes to stdout."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from command_line import Run
from command_line import in_process as cli
from test_data import RATE, song
from typer.testing import CliRunner

from rl_editor.cli import app
from rl_editor.cli.caching import read_size
from rl_editor.cli.options import edit_words
from rl_editor.config import Config
from rl_editor.corpus import CorpusSummary
from rl_editor.edits import EditList, Segment, SourceInfo, keep_all
from rl_editor.entries import HASH_CHARS
from rl_editor.errors import ConfigError, RlEditorError
from rl_editor.files import file_sha256
from rl_editor.utils import source_info


def process(*arguments: str, module: str = "rl_editor.cli", cwd: Path | None = None) -> Run:
    """A process of its own: how it starts and ends, and that nothing but what is asked for reaches its stdout."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 s, and an edit without seconds 8 to 16."""
    folder = tmp_path_factory.mktemp("pair")
    raw = song(0, 24.0)
    sf.write(folder / "raw.wav", raw, RATE, subtype="PCM_16")
    sf.write(folder / "edit.wav", np.concatenate([raw[: 8 * RATE], raw[16 * RATE :]]), RATE, subtype="PCM_16")
    sf.write(folder / "foreign.wav", song(9, 16.0), RATE)
    return folder


class TestConsole:
    def test_version(self) -> None:
        assert process("--version").stdout == "rl-editor 0.1.0\n"

    def test_align_then_render_gives_the_edit_back(self, pair: Path, tmp_path: Path) -> None:
        edits = tmp_path / "edits.json"
        done = process("align", str(pair / "raw.wav"), str(pair / "edit.wav"), "-o", str(edits), "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["n_segments"] == 2
        out = tmp_path / "out.wav"
        done = process("render", str(edits), "--source", str(pair / "raw.wav"), "-o", str(out))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{out}: 0:16 from the 0:24 of raw.wav\n  plays 0:00.0-0:08.0, 0:16.0-0:24.0\n"
        rendered, expected = sf.read(out)[0], sf.read(pair / "edit.wav")[0]
        assert abs(len(rendered) - len(expected)) <= 1
        np.testing.assert_array_equal(rendered[: 7 * RATE], expected[: 7 * RATE])  # away from the join: bit for bit
        exported = process("export", str(edits), "-o", str(tmp_path / "edits.edl"))
        assert exported.returncode == 0
        assert "TITLE" in (tmp_path / "edits.edl").read_text(encoding="utf-8")

    def test_an_edit_is_said_by_what_plays_and_by_what_to_know_of_it(self) -> None:
        source = SourceInfo("take.wav", "", 1000, 1, 90_000)
        loop = Segment(10_000, 20_000, crossfade_in_ms=25.0)
        ending = (Segment(80_000, 10_000), Segment(None, 30, crossfade_in_ms=60.0))  # a fade ends in 0.03 s of silence
        edit = EditList(source, (Segment(0, 30_000), loop, loop, Segment(None, 1_500), *ending))
        assert edit_words(edit, Path("out.wav"), ["one join moved"]).splitlines() == [
            "out.wav: 1:21.53 from the 1:30 of take.wav",
            "  plays 0:00.0-0:30.0, 0:10.0-0:30.0 (2 times), 1.5 s of silence, 1:20.0-1:30.0",
            "  one join moved",
        ]
        jumping = EditList(source, tuple(Segment(k * 1000, 900) for k in range(30)))
        assert "0:11.0-0:11.9 and 18 more" in edit_words(jumping, Path("out.wav"))

    def test_render_refuses_another_recording_unless_told(self, pair: Path, tmp_path: Path) -> None:
        edits, stem, out = tmp_path / "edits.json", tmp_path / "stem.wav", tmp_path / "out.wav"
        edits.write_text(keep_all(source_info(pair / "raw.wav")).to_json(), encoding="utf-8")
        samples = sf.read(pair / "raw.wav", dtype="int16")[0]
        sf.write(stem, samples // 2, RATE, subtype="PCM_16")  # as long, and another content
        done = cli("render", str(edits), "--source", str(stem), "-o", str(out))
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        found, wanted = file_sha256(stem)[:12], file_sha256(pair / "raw.wav")[:12]
        assert f"{stem}: SHA-256 {found}..., the edit list was made for raw.wav with {wanted}...;" in done.stderr
        assert "--any-source" in done.stderr
        assert not out.exists()
        assert cli("render", str(edits), "--source", str(stem), "-o", str(out), "--any_source").returncode == 0
        np.testing.assert_array_equal(sf.read(out, dtype="int16")[0], samples // 2)

    @pytest.mark.parametrize(
        ("output", "said"),
        [("o.xyz", "cannot write .xyz"), ("o", "a file without extension"), ("raw.wav/o.wav", "raw.wav is no folder"),
         ("folder", "is a folder, a file is needed")],
    )  # fmt: skip
    @pytest.mark.parametrize("command", ["render", "grid"])
    def test_files_that_cannot_be_written_are_refused_before_computing(
        self, pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, output: str, said: str
    ) -> None:
        raw = shutil.copy(pair / "raw.wav", tmp_path)
        (tmp_path / "folder").mkdir()
        monkeypatch.setattr("rl_editor.checkup.check_up", None)  # nothing may be computed
        monkeypatch.setattr("rl_editor.render.settle_joins", None)
        (tmp_path / "e.json").write_text(keep_all(source_info(raw)).to_json(), encoding="utf-8")
        asked = (
            [str(raw), "--click"] if command == "grid" else [f"{tmp_path}/e.json", f"--source={raw}", "--settle", "-o"]
        )
        done = CliRunner().invoke(app, [command, *asked, str(tmp_path / output)])
        assert isinstance(done.exception, RlEditorError), done.exception
        assert said in str(done.exception)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["e.json", "folder", "raw.wav"]

    def test_an_edit_list_without_a_hash_cuts_any_recording(self, pair: Path, tmp_path: Path) -> None:
        edits = tmp_path / "edits.json"
        by_hand = keep_all(replace(source_info(pair / "raw.wav"), sha256=""))
        edits.write_text(by_hand.to_json(), encoding="utf-8")
        assert (
            cli("render", str(edits), "--source", str(pair / "raw.wav"), "-o", str(tmp_path / "o.wav")).returncode == 0
        )

    @pytest.mark.parametrize("held", ["pairs.csv", "input/my_raw.wav", "desired_output/my_edit.wav"])
    def test_practice_pairs_are_not_written_over_a_persons_own(self, pair: Path, tmp_path: Path, held: str) -> None:
        (tmp_path / held).parent.mkdir(exist_ok=True)
        (tmp_path / held).write_bytes(b"mine")
        done = CliRunner().invoke(app, ["corpus", "--from", str(pair), "-o", str(tmp_path)])
        assert f"-o holds pairs already ({Path(held).name}); name another folder" in str(done.exception)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / held]
        assert (tmp_path / held).read_bytes() == b"mine"

    def test_practice_pairs_of_a_run_that_was_killed_are_called_so(self, pair: Path, tmp_path: Path) -> None:
        """``pairs.csv`` is written last, and nobody but this command makes a folder ``truth``."""
        (tmp_path / "input").mkdir()
        shutil.copy(pair / "raw.wav", tmp_path / "input")
        (tmp_path / "truth").mkdir()
        done = cli("corpus", "--from", str(pair), "-o", str(tmp_path))
        said = f"error: {tmp_path}: -o holds what a run left that did not end; delete it, or name another folder\n"
        assert (done.returncode, done.stderr) == (2, said)

    def test_practice_pairs_come_of_songs_or_of_recordings(self, pair: Path, tmp_path: Path) -> None:
        asked = ["--from", str(pair), "--songs", "3", "-o", str(tmp_path / "out")]
        done = CliRunner().invoke(app, ["corpus", *asked])
        assert "--songs 3 composes, --from" in str(done.exception)
        done = CliRunner().invoke(app, ["corpus", "--from", str(tmp_path / "gone"), "-o", str(tmp_path / "out")])
        assert "gone: there is no such folder; name a folder" in str(done.exception)

    def test_composed_songs_are_edited_by_the_editor_that_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        edited: list[list[str]] = []

        def build(out_dir: Path, config: Config) -> CorpusSummary:
            edited.append(list(config.corpus.editors))
            return CorpusSummary(())

        monkeypatch.setattr("rl_editor.corpus.build_default_corpus", build)
        for asked in ([], ["--editor", "jam-cleanup"]):
            assert CliRunner().invoke(app, ["corpus", "-o", str(tmp_path / "out"), *asked]).exit_code == 0
        assert edited == [Config().corpus.editors, ["jam_cleanup"]]

    def test_a_foreign_edit_exits_with_1(self, pair: Path) -> None:
        done = process("align", str(pair / "raw.wav"), str(pair / "foreign.wav"))
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert len(done.stderr.splitlines()) == 1

    def test_align_writes_a_picture_and_exports_beside_the_edit_list(self, pair: Path, tmp_path: Path) -> None:
        edits = tmp_path / "edits.json"
        both = (str(pair / "raw.wav"), str(pair / "edit.wav"))
        done = cli("align", *both, "-o", str(edits), "--to", "edl", "--to", "audacity", "--picture")
        assert (done.returncode, done.stderr.split(": ")[0].strip()) == (0, "written"), done.stderr
        assert sorted(p.name for p in tmp_path.iterdir()) == ["edits.edl", "edits.json", "edits.png", "edits.txt"]
        lines = done.stdout.splitlines()
        assert lines[0] == "edit.wav (0:16.0) made of raw.wav (0:24.0)"
        assert "  cuts        1: 0:08.0 of the raw left out (0:08.0–0:16.0)" in lines
        done = cli("align", *both, "--picture", str(tmp_path / "other.png"), "--json")
        values = json.loads(done.stdout)
        assert (values["n_cuts"], values["raw"], done.stderr) == (1, both[0], "")
        assert values["edit_list"] == json.loads(edits.read_text(encoding="utf-8"))  # it is written nowhere else
        assert (tmp_path / "other.png").read_bytes() == (tmp_path / "edits.png").read_bytes()

    def test_align_of_a_folder_names_what_is_no_pair_and_exits_with_1(self, pair: Path, tmp_path: Path) -> None:
        for name, edit in (("good", "edit"), ("other", "foreign")):
            for folder, file, role in (("input", "raw", "raw"), ("desired_output", edit, "edit")):
                (tmp_path / "in" / folder).mkdir(parents=True, exist_ok=True)
                shutil.copy(pair / f"{file}.wav", tmp_path / "in" / folder / f"{name}_{role}.wav")
        done = cli("align", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--to", "csv", "--json", "--picture")
        assert done.returncode == 1, done.stderr
        values = json.loads(done.stdout)
        assert (values["n_pairs"], values["n_rejected"], values["problems"]) == (2, 1, [])
        assert [(p["pair"], p["rejected"] is None) for p in values["pairs"]] == [("good", True), ("other", False)]
        assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["good.csv", "good.json", "good.png"]
        shutil.rmtree(tmp_path / "out")
        (tmp_path / "in/desired_output/other_edit.wav").unlink()
        done = cli("align", str(tmp_path / "in"), "-o", str(tmp_path / "out"))
        assert done.returncode == 0
        assert "left out: input/other_raw.wav: a raw without its edit" in done.stderr
        assert "1 of 1 pairs recovered" in done.stdout

    def test_bad_input_and_wrong_usage_exit_with_2(self, tmp_path: Path) -> None:
        done = process("info", str(tmp_path / "missing.wav"))
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert cli("align").returncode == 2
        assert cli("edit", "x.wav", "-o", "y.wav", cwd=tmp_path).returncode == 2  # no policy there

    @pytest.mark.parametrize(
        ("command", "said"),
        [
            (["edit", "--keep", "0:50-0:40"], "--keep '0:50-0:40': ends before it starts; "),
            (["edit", "--drop", "0:40-0:40"], "--drop '0:40-0:40': is empty; "),
            (["edit", "--drop", "1:00-x"], "--drop '1:00-x': 'x': not a time; "),
            (["edit", "--anchor", "1:05"], "--anchor '1:05': not an anchor; "),
            (["edit", "--target-duration", "-5"], "--target-duration '-5': not a time; "),
            (["candidates", "--target-duration", "0"], "--target-duration '0': a time from 0.1 s to a day is needed"),
        ],
    )
    def test_a_wrong_time_is_named_with_its_option(self, tmp_path: Path, command: list[str], said: str) -> None:
        """The same text may stand at several."""
        done = cli(*command[:1], "none.wav", "-o", "x.wav", *command[1:], cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"error: {said}"), done.stderr

    def test_a_revision_names_a_wrong_pin_so(self, tmp_path: Path) -> None:
        (tmp_path / "edits.json").write_text(keep_all(SourceInfo("a.wav", "", 8000, 1, 80_000)).to_json())
        done = cli("revise", "edits.json", "--pin", "10", "-o", "changed.json", cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("error: --pin '10': not a span; "), done.stderr

    @pytest.mark.parametrize("module", ["cli", "precache"])
    def test_ctrl_c_while_a_command_still_loads_ends_it_without_a_traceback(self, tmp_path: Path, module: str) -> None:
        pressed = "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(9)"
        (tmp_path / "numpy.py").write_text(pressed, encoding="utf-8")
        paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])])
        command = [sys.executable, "-m", f"rl_editor.{module}"]
        done = subprocess.run(
            command, env=os.environ | {"PYTHONPATH": paths}, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (-signal.SIGINT, "")

    def test_commands_start_without_what_only_some_need(self) -> None:
        code = "import sys, rl_editor.cli; print({'scipy', 'soundfile', 'librosa', 'torch'} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "set()"

    def test_a_program_that_imports_the_package_keeps_its_own_ctrl_c(self, tmp_path: Path) -> None:
        asked = "import rl_editor, signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
        (tmp_path / "theirs").mkdir()
        (tmp_path / "theirs" / "__init__.py").write_text(asked, encoding="utf-8")
        (tmp_path / "theirs" / "tool.py").touch()
        paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])])
        command = [sys.executable, "-m", "theirs.tool", "-m", "anything"]
        done = subprocess.run(
            command, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "True"

    def test_info_of_a_recording(self, pair: Path) -> None:
        values = json.loads(process("info", str(pair / "raw.wav"), "--json").stdout)
        assert (values["kind"], values["frames"], values["channels"]) == ("recording", 24 * RATE, 1)

    def test_info_of_folders(self, pair: Path, tmp_path: Path) -> None:
        done = CliRunner().invoke(app, ["info", str(pair), "--json"])
        assert json.loads(done.stdout) == {"kind": "recordings", "recordings": 3}
        (tmp_path / "input").mkdir()
        shutil.copy(pair / "raw.wav", tmp_path / "input/a_raw.wav")
        values = json.loads(CliRunner().invoke(app, ["info", str(tmp_path), "--json"]).stdout)
        assert (values["kind"], values["pairs"]) == ("recordings", 0)
        assert "a raw without its edit" in values["problems"][0]

    def test_info_of_folders_names_what_no_edit_is_written_as(self, tmp_path: Path) -> None:
        for name in ("take.wav", "book.m4b", "cover.jpg"):
            (tmp_path / name).touch()
        said = "book.m4b: .m4b is not taken from a folder; name the file itself, or make it .flac"
        for n_left in (1, 0):
            values = json.loads(cli("info", str(tmp_path), "--json").stdout)
            assert values == {"kind": "recordings", "recordings": n_left, "problems": [said]}
            (tmp_path / "take.wav").unlink(missing_ok=True)

    def test_cache_commands(self, tmp_path: Path) -> None:
        (tmp_path / "p.yaml").write_text(f"data:\n  cache_dir: {tmp_path}/cache\n", encoding="utf-8")
        params = ("--params", str(tmp_path / "p.yaml"))
        assert json.loads(cli("cache", "info", *params, "--json").stdout)["bytes"] == 0
        assert json.loads(cli("cache", "verify", *params, "--json").stdout) == {"damaged": []}
        assert json.loads(cli("cache", "prune", "--max_size", "1M", *params, "--json").stdout)["entries"] == 0

    def test_the_folder_of_a_cache_is_named_as_for_precache(self, tmp_path: Path) -> None:
        (tmp_path / "mel").mkdir()
        (tmp_path / "mel" / f"foreign_{'0' * HASH_CHARS}_mel.npz").write_bytes(b"foreign")
        (tmp_path / "mel" / "of_another_program.npz").write_bytes(b"counts for nothing")
        named = ("--cache_dir", str(tmp_path))
        assert json.loads(cli("cache", "info", *named, "--json").stdout)["bytes"] == len(b"foreign")
        assert cli("cache", "verify", *named).returncode == 1
        assert json.loads(cli("cache", "prune", "--max-size", "0", *named, "--json").stdout)["entries"] == 1
        done = cli("cache", "info", "--cache-dir", str(Path(__file__)))
        assert (done.returncode, done.stderr) == (
            2,
            f"error: {__file__}: --cache-dir is a file or a broken link; name a folder\n",
        )

    @pytest.mark.parametrize("command", [["info"], ["verify"], ["prune", "--max-size", "1M"]])
    def test_a_cache_that_is_no_folder_is_not_called_empty(self, tmp_path: Path, command: list[str]) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "circle").symlink_to(tmp_path / "circle")
        for name in ("file", "circle"):
            place = tmp_path / name
            (tmp_path / "p.yaml").write_text(f"data:\n  cache_dir: {place}\n", encoding="utf-8")
            done = cli("cache", *command, "--params", str(tmp_path / "p.yaml"))
            said = f"error: {place}: data.cache_dir is a file or a broken link; name a folder\n"
            assert (done.returncode, done.stderr) == (2, said)

    @pytest.mark.parametrize(
        ("text", "n_bytes"),
        [("0", 0), ("700", 700), ("1K", 1024), ("500M", 500 << 20), ("1.5 GiB", 3 << 29), ("2tb", 2 << 40)],
    )
    def test_sizes(self, text: str, n_bytes: int) -> None:
        assert read_size(text) == n_bytes

    @pytest.mark.parametrize("text", ["", "inf", "-1", "1X", "M", "1e99"])
    def test_what_is_no_size_is_refused(self, text: str) -> None:
        with pytest.raises(ConfigError, match=f"--max-size {text}: no size; write bytes"):
            read_size(text)

    def test_a_source_whose_hash_is_no_text_is_refused(self, tmp_path: Path) -> None:
        """In a process of its own: types are not checked there as they are in these tests."""
        value = keep_all(SourceInfo("song.wav", "", RATE, 1, RATE)).to_dict()
        value["source"]["sha256"] = None
        (tmp_path / "hand.json").write_text(json.dumps(value), encoding="utf-8")
        done = process("info", "hand.json", cwd=tmp_path)
        said = 'error: hand.json: source: sha256 null, text is needed; where it is not known, ""\n'
        assert (done.returncode, done.stderr) == (2, said)


class TestModules:
    @pytest.mark.parametrize(
        ("module", "flags"),
        [
            ("rl_editor.precache", ["--data-dir", "--feature-mode", "--stems", "--workers"]),
            ("rl_editor.behavioral_cloning", ["--data-dir", "--epochs", "--save-dir", "--config,--params"]),
            ("rl_editor.train_unified", ["--data-dir", "--checkpoint", "--total-timesteps", "--config,--params"]),
            ("rl_editor.infer", ["--input", "--output", "--checkpoint", "--target-duration", "--style", "--seed"]),
        ],
    )
    def test_documented_flags_are_there(self, module: str, flags: list[str]) -> None:
        text = process("--help", module=module).stdout
        assert all(flag in text for flag in flags), text

    def test_underscores_are_as_good_as_dashes(self, tmp_path: Path) -> None:
        for flag in ("--data_dir", "--data-dir"):
            done = process(flag, str(tmp_path), "--feature_mode", "basic", module="rl_editor.precache")
            assert done.returncode == 2
            assert "no recordings" in done.stderr
