"""Answers as tables and files: one row each, un-blinded, and harmless in a spreadsheet."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from command_line import Run, in_process
from listening_sets import make_set

from rl_editor.judgements import Judgement, Presentation, Rating
from rl_editor.judgements.log import AnswerLog
from rl_editor.judgements.sets import Preferences
from rl_editor.preferences.tables import (
    JUDGEMENT_COLUMNS,
    RATING_COLUMNS,
    judgements_table,
    ratings_table,
    to_csv,
)

ASKED = Presentation("p0", "Ann", "pair-id-pair0", "b", repeat=True)
ANSWER = Judgement(ASKED, "first", "a", 2, 3.5, 'a, "b"\nc', "2026-01-02T03:04:05+00:00")
RATED = Rating("r0", "Ann", "edit-id-whole0-a", 7, "fine", "2026-01-02T03:04:05+00:00")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set, and a log with a judgement of each kind and a rating."""
    folder = tmp_path_factory.mktemp("set")
    make_set(folder)
    log = AnswerLog(folder)
    for number, choice in enumerate(("first", "same", "unsure")):
        asked = replace(ASKED, presentation_id=f"p{number}")
        log.presented(asked)
        log.judged(replace(ANSWER, presentation=asked, choice=choice))
    log.rated(RATED)
    log.close()
    return folder


@pytest.fixture(scope="module")
def preferences(folder: Path) -> Preferences:
    return Preferences(make_set(folder), (ANSWER, replace(ANSWER, choice="same", played_first=None)), (RATED,))


def cli(*arguments: str, cwd: Path | None = None) -> Run:
    return in_process("preferences", *arguments, cwd=cwd)


class TestTables:
    def test_a_judgement_is_a_row(self, preferences: Preferences) -> None:
        table = judgements_table(preferences)
        assert tuple(table.columns) == JUDGEMENT_COLUMNS
        row = table.iloc[0].to_dict()
        assert row == {
            **{"listener": "Ann", "pair_id": "pair-id-pair0", "kind": "pair", "song": "song-name", "repeat": True},
            **{"first": "b", "second": "a", "choice": "first", "preferred": "b"},
            **{"a_edit_id": "edit-id-pair0-a", "a_way": "way-of-a", "a_duration_s": 4.0, "a_loudness_lufs": -23.0},
            **{"b_edit_id": "edit-id-pair0-b", "b_way": "way-of-b", "b_duration_s": 3.2, "b_loudness_lufs": -23.0},
            **{"played_first": "a", "n_switches": 2, "seconds": 3.5, "comment": 'a, "b"\nc', "at": ANSWER.at},
        }
        assert table["preferred"].isna().tolist() == [False, True]

    def test_a_rating_is_a_row(self, preferences: Preferences) -> None:
        table = ratings_table(preferences)
        assert tuple(table.columns) == RATING_COLUMNS
        assert table.iloc[0][["edit_id", "way", "rating"]].tolist() == ["edit-id-whole0-a", "way-of-a", 7]

    def test_without_answers_there_are_headers(self, preferences: Preferences) -> None:
        empty = Preferences(preferences.listening_set)
        assert to_csv(judgements_table(empty)) == ",".join(JUDGEMENT_COLUMNS) + "\n"
        assert to_csv(ratings_table(empty)) == ",".join(RATING_COLUMNS) + "\n"


class TestCsv:
    def test_it_comes_back(self, preferences: Preferences) -> None:
        again = pd.read_csv(io.StringIO(to_csv(judgements_table(preferences))))
        assert again["comment"].tolist() == ['a, "b"\nc'] * 2
        assert again["b_duration_s"].tolist() == [3.2, 3.2]
        assert again["repeat"].tolist() == [True, True]

    @pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "＝", "＠"])
    def test_no_text_is_a_formula(self, preferences: Preferences, start: str) -> None:
        evil = f"{start}HYPERLINK(1)"
        judgement = replace(ANSWER, presentation=replace(ASKED, listener=evil), comment=evil)
        text = to_csv(judgements_table(Preferences(preferences.listening_set, (judgement,))))
        again = pd.read_csv(io.StringIO(text), lineterminator="\n")
        assert again[["listener", "comment"]].iloc[0].tolist() == [f"'{evil}"] * 2
        assert again["a_loudness_lufs"].tolist() == [-23.0]  # numbers stay numbers


class TestCommands:
    def test_export(self, folder: Path, tmp_path: Path) -> None:
        done = cli("export", str(folder), "-o", str(tmp_path / "answers.csv"))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", f"{tmp_path}/answers.csv: 3 judgements\n")
        assert pd.read_csv(tmp_path / "answers.csv")["choice"].tolist() == ["first", "same", "unsure"]
        done = cli("export", str(folder), "--ratings", "-o", str(tmp_path / "ratings.csv"))
        assert done.returncode == 0
        assert pd.read_csv(tmp_path / "ratings.csv")["rating"].tolist() == [7]

    def test_collect(self, folder: Path, tmp_path: Path) -> None:
        done = cli("collect", str(folder), cwd=tmp_path)
        assert done.returncode == 0
        words = "1 listener, 3 judgements (1 for A, 1 'no difference', 1 'can't tell'), 1 rating"
        assert done.stderr == f"data/preferences/toy.json: {words}\n"
        assert len(Preferences.load(tmp_path / "data/preferences/toy.json").judgements) == 3
        done = cli("collect", str(folder), "-o", str(tmp_path / "x.json"), "--json")
        assert json.loads(done.stdout)["judgements"] == 3

    def test_collect_of_some_listeners(self, folder: Path, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(folder, tmp_path / "copy"))
        log = AnswerLog(folder)
        log.judged(replace(ANSWER, presentation=replace(ASKED, presentation_id="p9", listener="Bob")))
        log.close()
        done = cli("collect", str(folder), "--listener", "Bob", "-o", str(tmp_path / "bob.json"))
        assert done.stderr == f"{tmp_path}/bob.json: 1 listener, 1 judgement (1 for A), 0 ratings\n"
        collected = Preferences.load(tmp_path / "bob.json")
        assert [j.presentation.listener for j in collected.judgements] == ["Bob"]
        assert collected.ratings == ()
        done = cli("collect", str(folder), "--listener", "Cy", "-o", str(tmp_path / "cy.json"))
        assert (done.returncode, (tmp_path / "cy.json").exists()) == (2, False)
        assert "--listener 'Cy': gave no answers; who did: Ann, Bob" in done.stderr

    def test_collect_replaces_only_what_the_set_holds(self, folder: Path, tmp_path: Path) -> None:
        collected = tmp_path / "data/preferences/toy.json"
        copy = Path(shutil.copytree(folder, tmp_path / "copy"))  # on another machine, where Bob listens
        log = AnswerLog(copy)
        log.judged(replace(ANSWER, presentation=replace(ASKED, presentation_id="p9", listener="Bob")))
        log.close()
        assert cli("collect", str(folder), cwd=tmp_path).returncode == 0
        assert cli("collect", str(copy), cwd=tmp_path).returncode == 0  # holds all of it, and more
        before = collected.read_bytes()
        done = cli("collect", str(folder), cwd=tmp_path)
        assert (done.returncode, collected.read_bytes()) == (2, before)
        assert f"data/preferences/toy.json: holds answers of Bob that {folder} does not" in done.stderr
        log = AnswerLog(copy)
        log.undone("Bob")
        log.close()
        assert cli("collect", str(copy), cwd=tmp_path).returncode == 0  # taken back there, and so here
        assert cli("collect", str(folder), cwd=tmp_path).returncode == 0
        collected.write_text("{")  # nothing that could be lost
        assert cli("collect", str(folder), cwd=tmp_path).returncode == 0

    def test_without_answers_nothing_is_collected(self, tmp_path: Path) -> None:
        folder, collected = tmp_path / "set", tmp_path / "x.json"
        make_set(folder)
        done = cli("collect", str(folder), "-o", str(collected))
        assert (done.returncode, collected.exists()) == (2, False)
        assert done.stderr == f"error: {folder}: nobody has answered yet; 'rl-editor listen {folder}' asks\n"
        log = AnswerLog(folder)
        log.judged(ANSWER)
        assert cli("collect", str(folder), "-o", str(collected)).returncode == 0
        log.undone("Ann")
        log.close()
        assert cli("collect", str(folder), "-o", str(collected)).returncode == 0  # taken back there, and so here
        assert Preferences.load(collected).judgements == ()

    @pytest.mark.parametrize("command", ["export", "collect"])
    @pytest.mark.parametrize("name", ["set.json", "answers.jsonl"])
    def test_the_set_itself_is_not_overwritten(self, folder: Path, command: str, name: str) -> None:
        before = (folder / name).read_bytes()
        done = cli(command, str(folder), "-o", str(folder / name))
        assert (done.returncode, (folder / name).read_bytes()) == (2, before)
        assert f"-o would overwrite {folder / name}, which is read here" in done.stderr

    def test_what_is_no_set(self, tmp_path: Path) -> None:
        for command in ("export", "collect"):
            done = cli(command, str(tmp_path), "-o", str(tmp_path / "out"))
            assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
            assert "make one with rl-editor candidates" in done.stderr
