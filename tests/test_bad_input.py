"""What a clumsy user brings: bad files are named with a remedy, the good pairs go through, nothing is overwritten."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from test_data import RATE, song, touch
from test_stages import add_pair, project  # noqa: F401  (a fixture)
from typer.testing import CliRunner

from rl_editor.analysis import analyse_track
from rl_editor.cli import app
from rl_editor.config import Config
from rl_editor.corpus import build_practice_pairs
from rl_editor.edits import EditList, keep_all
from rl_editor.errors import (
    AudioFileError,
    ConfigError,
    DatasetError,
    EditListError,
    RlEditorError,
    first_lines,
    said,
)
from rl_editor.library import find_library
from rl_editor.loading import load_library
from rl_editor.utils import LOUDEST, load_audio, source_info
from stages import align, decode, features, layout, separate

ROOT = Path(__file__).parent.parent


def short(path: Path) -> None:
    sf.write(path, song(1, 0.4), RATE)


def truncated(path: Path) -> None:
    sf.write(path, song(1, 16.0), RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def truncated_flac(path: Path) -> None:
    sf.write(path, song(1, 16.0), RATE, format="FLAC")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_value(value: float) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        samples = song(1, 16.0)
        samples[5000] = value
        sf.write(path, samples, RATE, subtype="FLOAT")

    return write


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def broken_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere.wav")


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "zero": (lambda path: path.write_bytes(b""), "0 bytes"),
    "noframes": (lambda path: sf.write(path, np.zeros(0), RATE), "0 frames"),
    "silent": (lambda path: sf.write(path, np.zeros(16 * RATE), RATE), "silent"),
    "onebeat": (short, "0.40 s of audio, at least 3 s"),
    "truncated": (truncated, "truncated: "),
    "truncatedflac": (truncated_flac, "truncated: "),
    "nan": (with_value(np.nan), "NaN or infinite"),
    "infinite": (with_value(np.inf), "NaN or infinite"),
    "huge": (with_value(1e30), "full scale is 1"),
    "text": (lambda path: path.write_text("hello\n" * 1000), "is it audio?"),
    "folder": (folder, "a folder or a broken link"),
    "link": (broken_link, "a folder or a broken link"),
    "foreign": (lambda path: sf.write(path, song(77, 16.0), RATE), "the edit of another take"),
}


def listed(stage: Path) -> dict[str, str]:
    return {p["name"]: p["reason"] for p in json.loads((stage / "problems.json").read_text(encoding="utf-8"))}


class TestPipeline:
    def test_every_bad_raw_is_named_and_the_good_pairs_go_through(
        self,
        project: Path,  # noqa: F811
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("PATH", str(project))  # no ffmpeg
        raw = project / "data/raw"
        for name, (spoil, _) in BAD.items():
            add_pair(raw, name, 3)
            spoil(raw / f"input/{name}_raw.wav")
        add_pair(raw, "Ünïcode söng (1)", 4)
        add_pair(raw, "renamed", 5)
        (raw / "input/renamed_raw.wav").rename(raw / "input/renamed_raw.mp3")
        decode.main()
        separate.main()
        features.main()
        align.main()
        assert {p.stem for p in layout.LABELS.glob("*.npz")} == {"s0", "s1", "s2", "renamed", "Ünïcode_söng_1"}
        problems = listed(layout.DECODED) | listed(layout.LABELS)
        for name, (_, expected) in BAD.items():
            reasons = [reason for problem, reason in problems.items() if Path(problem).stem.startswith(name)]
            assert any(expected in reason for reason in reasons), (name, reasons)
        with pytest.raises(DatasetError, match="--strict"):
            align.main(strict=True)

    def test_a_raw_that_features_left_out_is_said_by_align(self, project: Path) -> None:  # noqa: F811
        decode.main()
        separate.main()
        features.main()
        (layout.FEATURES / "s1_raw.npz").unlink()
        align.main()
        assert list(listed(layout.LABELS)) == ["s1"]
        assert "left out by the features stage" in listed(layout.LABELS)["s1"]

    def test_a_killed_stage_leaves_nothing_and_can_be_run_again(self, project: Path) -> None:  # noqa: F811
        (project / "scratch").mkdir()  # what a killed process leaves there, nobody takes away
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(project / "scratch")}
        child = subprocess.Popen([sys.executable, "-m", "stages.decode"], env=environment, stderr=subprocess.DEVNULL)
        parts = lambda: list((project / "data").glob(".decoded.*.part"))  # noqa: E731
        deadline = time.monotonic() + 120.0
        while not parts() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert parts()
        assert not layout.DECODED.exists()
        decode.main()
        assert parts() == []
        assert len(list(layout.DECODED.glob("*.flac"))) == 6  # 3 pairs


class TestFolders:
    def test_one_unreadable_raw_does_not_stop_the_others(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        add_pair(tmp_path, "good", 0)
        add_pair(tmp_path, "locked", 1)
        from rl_editor.cache import FeatureCache

        hash_file = FeatureCache.hash_file

        def refusing(self: FeatureCache, path: Path) -> str:  # root may read everything: permissions are acted
            if "locked" in str(path):
                raise PermissionError(13, "Permission denied", str(path))
            return hash_file(self, path)

        monkeypatch.setattr(FeatureCache, "hash_file", refusing)
        config = Config()
        config.data.use_cache, config.executor.workers, config.features.feature_mode = False, 1, "basic"
        loaded = load_library(find_library(tmp_path), config)
        assert [d.pair_id for d in loaded.demonstrations] == ["good"]
        assert [(p.name, "permission denied; check" in p.reason) for p in loaded.problems] == [("locked", True)]

    def test_what_may_not_be_read_says_permissions(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        sf.write(tmp_path / "a.wav", song(0, 1.0), RATE)
        monkeypatch.setattr(os, "access", lambda *_: False)
        with pytest.raises(AudioFileError, match=r"a\.wav: may not be read; change the file's permissions"):
            load_audio(tmp_path / "a.wav")

    def test_a_name_that_is_no_text_is_left_out_and_said(self, tmp_path: Path) -> None:
        """Names on a disk are bytes; 0xe9 is é in Latin-1 and nothing in UTF-8."""
        add_pair(tmp_path, "good", 0)
        add_pair(tmp_path, "other", 1)
        for path in (tmp_path / "input/other_raw.wav", tmp_path / "desired_output/other_edit.wav"):
            path.rename(path.with_name(path.name.replace("other", os.fsdecode(b"caf\xe9"))))
        found = find_library(tmp_path)
        assert [pair.pair_id for pair in found.pairs] == ["good"]
        assert [str(problem) for problem in found.problems] == [
            r"desired_output/caf\xe9_edit.wav: the name is no UTF-8 text; rename it",
            r"input/caf\xe9_raw.wav: the name is no UTF-8 text; rename it",
        ]
        config = Config()
        config.data.cache_dir = str(tmp_path / "cache")
        with pytest.raises(AudioFileError, match=r"caf\\xe9_raw\.wav: the name is no UTF-8 text.*rename it"):
            analyse_track(tmp_path / "input" / os.fsdecode(b"caf\xe9_raw.wav"), config)

    def test_practice_recordings_of_one_name_are_left_out(self, tmp_path: Path) -> None:
        touch(tmp_path / "from", "a.wav", "a_raw.wav")
        with pytest.raises(DatasetError, match="shares the name 'a' with another; rename one"):
            build_practice_pairs(tmp_path / "from", "radio_edit", tmp_path / "out", Config())
        assert not (tmp_path / "out").exists()

    def test_the_loudest_that_is_read(self, tmp_path: Path) -> None:
        sf.write(tmp_path / "a.wav", np.array([0.0, LOUDEST, -LOUDEST]), RATE, subtype="FLOAT")
        assert load_audio(tmp_path / "a.wav").data.max() == LOUDEST

    def test_of_the_errors_of_others_the_first_lines(self) -> None:
        error = ValueError("\n shapes differ:\n\t[2] and [3]\nand more")
        assert (first_lines(error), first_lines(error, 2)) == ("shapes differ:", "shapes differ: [2] and [3]")
        assert first_lines(KeyError()) == "KeyError"
        assert first_lines(FileNotFoundError(2, "No such file or directory", "a.json")) == "no such file or directory"

    @pytest.mark.parametrize("name", ["e.json", "e.otio", "e.csv", "e.txt"])
    def test_an_edit_list_that_is_not_there_is_said_without_the_systems_number(self, name: str, tmp_path: Path) -> None:
        sf.write(tmp_path / "song.wav", song(1, 4.0), RATE)
        asked = ["render", str(tmp_path / name), "--source", str(tmp_path / "song.wav"), "-o", str(tmp_path / "o.wav")]
        fault = CliRunner().invoke(app, asked).exception
        assert isinstance(fault, EditListError)
        assert str(fault).endswith(f"{name}: no such file; is the path spelt right?")

    def test_system_errors_are_said_in_our_words(self) -> None:
        assert said(IsADirectoryError(21, "Is a directory", ".tmp", None, "out")).startswith("out: is a directory; ")
        assert said(FileNotFoundError("gone.wav")) == "gone.wav"

    @pytest.mark.parametrize(
        ("number", "remedy"),
        [
            (errno.ENOSPC, "free some space there"),
            (errno.EROFS, "name a folder elsewhere"),
            (errno.ENAMETOOLONG, "give it a shorter name"),
            (errno.EACCES, "check the path and who may read and write there"),
        ],
    )
    def test_what_the_system_says_comes_with_a_remedy(self, number: int, remedy: str) -> None:
        assert said(OSError(number, os.strerror(number), "a.wav")).endswith(f"; {remedy}")


class TestTable:
    HEADER = "raw,edit,style\n"
    GOOD = "a_raw.wav,a_edit.wav,x\n"

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        touch(tmp_path, "outside_raw.wav")
        return touch(tmp_path / "library", "input/a_raw.wav", "desired_output/a_edit.wav", "desired_output/b_edit.wav")

    def problem_of(self, root: Path, line: str) -> str:
        """What is said of a bad line; the good line beside it stays."""
        (root / "pairs.csv").write_text(f"{self.HEADER}{self.GOOD}{line}\n", encoding="utf-8")
        library = find_library(root)
        assert [p.pair_id for p in library.pairs] == ["a"]
        return "; ".join(str(p) for p in library.problems if p.name == "pairs.csv line 3")

    @pytest.mark.parametrize("name", ["../../outside_raw.wav", "../outside_raw.wav", "/etc/outside_raw.wav"])
    def test_paths_out_of_the_folder_are_refused(self, root: Path, name: str) -> None:
        assert "copy it into input/" in self.problem_of(root, f"{name},b_edit.wav,x")

    def test_an_absolute_path_into_the_folder_is_that_file(self, root: Path) -> None:
        inside = (root / "input/a_raw.wav").absolute()
        (root / "pairs.csv").write_text(f"{self.HEADER}{self.GOOD}{inside},b_edit.wav,x\n", encoding="utf-8")
        assert {p.raw.path for p in find_library(root).pairs} == {root / "input/a_raw.wav"}

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("nope.wav,b_edit.wav,x", "no such file in input/"),
            ("a_raw.wav", "empty edit"),
            (",b_edit.wav,x", "empty raw"),
            (f"{'a' * 5000}.wav,b_edit.wav,x", "no such file in input/"),
            ("a_raw.wav,input/a_raw.wav,x", "raw and edit are one file"),
            ("./../input/a_raw.wav,a_edit.wav,x", "outside"),
            ("input/../input/a_raw.wav,a_edit.wav,x", "listed twice"),
        ],
    )
    def test_bad_lines_are_named(self, root: Path, line: str, expected: str) -> None:
        problem = self.problem_of(root, line)
        assert expected in problem or (expected == "outside" and "listed twice" in problem)

    def test_rows_of_commas_are_no_rows(self, root: Path) -> None:
        rows = "raw,edit,,\na_raw.wav,a_edit.wav,,\n,,\n,,,,\n , ,\na_raw.wav,b_edit.wav\n"
        (root / "pairs.csv").write_text(rows, encoding="utf-8")
        library = find_library(root)
        assert ([p.pair_id for p in library.pairs], library.problems) == (["a", "b"], ())

    def test_editors_who_would_be_one_are_told_apart(self, root: Path) -> None:
        rows = ["a_raw.wav,a_edit.wav,Rock  Roll", "a_raw.wav,b_edit.wav,Rock!Roll"]
        (root / "pairs.csv").write_text(self.HEADER + "\n".join(rows) + "\n", encoding="utf-8")
        library = find_library(root)
        assert [(p.pair_id, p.style) for p in library.pairs] == [("a", "Rock_Roll")]
        (said,) = map(str, library.problems)
        reason = "style 'Rock!Roll' and 'Rock Roll' are one name, 'Rock_Roll'; rename one or spell it alike"
        assert said == f"desired_output/b_edit.wav: {reason}"

    def test_an_editor_may_be_spelled_with_other_spaces_and_accents(self, root: Path) -> None:
        rows = ["a_raw.wav,a_edit.wav,Bj\u00f6rn (loops)", "a_raw.wav,b_edit.wav,Bjo\u0308rn  (loops)"]
        (root / "pairs.csv").write_text(self.HEADER + "\n".join(rows) + "\n", encoding="utf-8")
        assert find_library(root).styles == ("Bj\u00f6rn_loops",)

    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            (b"", "expected raw,edit,style"),
            (b"foo,bar\n1,2\n", "expected raw,edit,style"),
            (b"raw,edit,editor\na_raw.wav,a_edit.wav,ann\n", "'editor'.*; expected raw,edit,style"),
            (b"raw,edit,style,edit\na_raw.wav,a_edit.wav,x,b_edit.wav\n", "expected raw,edit,style, each once"),
            ("raw,edit,style\nsö.wav,b,x\n".encode("latin-1"), "save it as UTF-8"),
            (b'raw,edit,style\n"' + b"a" * 200_000 + b'",b,x\n', "save it as CSV"),
        ],
    )
    def test_bad_tables_are_refused(self, root: Path, data: bytes, expected: str) -> None:
        (root / "pairs.csv").write_bytes(data)
        with pytest.raises(DatasetError, match=expected):
            find_library(root)

    @pytest.mark.parametrize("delimiter", [";", "\t"])
    def test_tables_of_other_countries_spreadsheets_are_read(self, root: Path, delimiter: str) -> None:
        (root / "pairs.csv").write_text((self.HEADER + self.GOOD).replace(",", delimiter), encoding="utf-8")
        assert [(p.pair_id, p.style) for p in find_library(root).pairs] == [("a", "x")]

    @pytest.mark.parametrize(("on_disk", "listed"), [("NFC", "NFD"), ("NFD", "NFC")])
    def test_accents_are_the_same_however_they_are_composed(self, root: Path, on_disk: str, listed: str) -> None:
        name = "été_raw.wav"
        touch(root, f"input/{unicodedata.normalize(on_disk, name)}")
        line = f"{unicodedata.normalize(listed, name)},b_edit.wav,x\n"
        (root / "pairs.csv").write_text(self.HEADER + self.GOOD + line, encoding="utf-8")
        assert [p.raw.path.name for p in find_library(root).pairs][1] == unicodedata.normalize(on_disk, name)

    def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(self, root: Path) -> None:
        text = (self.HEADER + self.GOOD).replace("\n", "\r\n")
        (root / "pairs.csv").write_text(text, encoding="utf-8-sig", newline="")
        assert [(p.pair_id, p.style) for p in find_library(root).pairs] == [("a", "x")]


class TestEditLists:
    @pytest.fixture
    def edits(self, tmp_path: Path) -> dict[str, Any]:
        sf.write(tmp_path / "a.wav", song(0, 1.0), RATE)
        return keep_all(source_info(tmp_path / "a.wav")).to_dict()

    @pytest.mark.parametrize(
        "wrong",
        [{"frames": 1.5}, {"source_start_frame": "0"}, {"gain_db": None}, {"gain_db": 1e9}, {"pitch_semitones": "up"},
         {"pitch_semitones": 1e12}, {"crossfade_in_ms": -5}, {"confidence": float("nan")}, {"speed": "fast"},
         {"speed": 1e400}, {"region": "x"}, {"colour": 1}],
    )  # fmt: skip
    def test_segments_of_the_wrong_kind_are_refused(self, edits: dict[str, Any], wrong: dict[str, Any]) -> None:
        edits["segments"][0] |= wrong
        with pytest.raises(EditListError):
            EditList.from_dict(edits)

    @pytest.mark.parametrize("segments", ["text", 3, [1], None])
    def test_segments_that_are_none_are_refused(self, edits: dict[str, Any], segments: Any) -> None:
        with pytest.raises(EditListError):
            EditList.from_dict(edits | {"segments": segments})

    @pytest.mark.parametrize("text", ["", "hello", "[" * 100_000, "[1]"])
    def test_files_that_are_no_edit_list_are_named(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "e.json").write_text(text)
        with pytest.raises(EditListError, match=r"e\.json: "):
            EditList.load(tmp_path / "e.json")

    def test_a_byte_order_mark_does_not_matter(self, tmp_path: Path, edits: dict[str, Any]) -> None:
        (tmp_path / "e.json").write_text(json.dumps(edits), encoding="utf-8-sig")
        assert EditList.load(tmp_path / "e.json").frames == RATE


class TestCommands:
    def fails(self, *arguments: str | Path) -> BaseException | None:
        return CliRunner().invoke(app, [str(a) for a in arguments]).exception

    def test_no_command_overwrites_what_it_reads(self, tmp_path: Path) -> None:
        raw, edits, other = tmp_path / "raw.wav", tmp_path / "e.json", tmp_path / "link.wav"
        sf.write(raw, song(0, 4.0), RATE)
        edits.write_text(keep_all(source_info(raw)).to_json(), encoding="utf-8")
        other.hardlink_to(raw)
        before = raw.read_bytes(), edits.read_bytes()
        for arguments in (
            ("align", raw, edits, "-o", edits),
            ("align", edits, raw, "-o", tmp_path / "e.json", "--to", "otio"),
            ("align", edits, raw, "-o", tmp_path / "e.json", "--picture"),
            ("render", edits, "--source", raw, "-o", raw),
            ("render", edits, "--source", raw, "-o", other),
            ("edit", raw, "-o", raw, "--checkpoint", edits),
            ("edit", raw, "-o", tmp_path / "o.wav", "--edit-list", raw, "--checkpoint", edits),
            ("export", edits, "-o", edits, "--to", "csv"),
        ):
            error = self.fails(*arguments)
            assert isinstance(error, ConfigError), (arguments, error)
            assert "would overwrite" in str(error)
        assert "is no edit list" in str(self.fails("align", raw, raw, "-o", raw))
        assert (raw.read_bytes(), edits.read_bytes()) == before

    def test_an_edit_list_is_written_under_no_other_name(self, tmp_path: Path) -> None:
        """A recording may lie there, and nothing would read the edit list by it."""
        raw, edits, other = tmp_path / "raw.wav", tmp_path / "e.json", tmp_path / "other.wav"
        sf.write(raw, song(0, 4.0), RATE)
        edits.write_text(keep_all(source_info(raw)).to_json(), encoding="utf-8")
        other.write_bytes(raw.read_bytes())
        asked = ("--method", "dp", "--target-duration", "3")
        for option, arguments in {
            "-o": ("revise", edits, "--drop", "0:01-0:02", "-o", other),
            "--edit-list": ("edit", raw, "-o", tmp_path / "o.wav", *asked, "--edit-list", other),
        }.items():
            error = self.fails(*arguments)
            assert isinstance(error, ConfigError), (arguments, error)
            assert str(error) == f"{other}: {option} is an edit list (JSON); name it other.json"
        assert other.read_bytes() == raw.read_bytes()

    def test_align_says_what_is_missing_or_too_much(self, tmp_path: Path) -> None:
        raw = tmp_path / "raw.wav"
        sf.write(raw, song(0, 4.0), RATE)
        for arguments, expected in (
            ((raw,), "the edit made of it is missing"),
            ((tmp_path / "pears",), "pears: no such file or folder; is the path spelt right?"),
            ((tmp_path, raw), "is a folder of pairs; leave out"),
            ((tmp_path, "--picture", "a.png"), "is a folder of pairs; leave out a.png"),
            ((tmp_path, "-o", tmp_path / "out"), "no recordings"),
            ((raw, raw, "--to", "otio"), "name it with -o"),
            ((raw, raw, "--picture", "--json"), "name it with -o"),
            ((raw, raw, "-o", "a.json", "--picture", "a.jpg"), "pictures are PNG"),
            ((raw, raw, "-o", "a.json", "--to", "xml"), "take one of otio"),
        ):
            error = self.fails("align", *arguments)
            assert isinstance(error, RlEditorError), (arguments, error)
            assert expected in str(error)

    def test_endless_numbers_are_wrong_usage(self) -> None:
        error = self.fails("edit", "a.wav", "-o", "b.wav", "--seed", str(1 << 70))
        assert isinstance(error, SystemExit)
        assert error.code == 2

    @pytest.mark.parametrize("text", ["hello", "- 1", "audio: 3", "a: [", "audio: {sample_rate: abc}"])
    def test_settings_that_are_none_are_refused(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "p.yaml").write_text(text)
        assert isinstance(self.fails("cache", "info", "--params", tmp_path / "p.yaml"), RlEditorError)
