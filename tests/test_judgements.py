"""Listening sets, collected answers and the log: what is written comes back, what is broken is named."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listening_sets import make_set
from opinion_sets import random_set

from rl_editor.config import RewardModelConfig
from rl_editor.errors import DatasetError, RlEditorError
from rl_editor.judgements import Choice, Judgement, Presentation, Rating, listener_name
from rl_editor.judgements.log import AnswerLog, read_answers
from rl_editor.judgements.sets import ANSWERS, SET_FILE, ListeningSet, Preferences, load_folder
from rl_editor.preferences.report import report
from rl_editor.preferences.words import screen

ASKED = Presentation("p0", "Ann", "pair-id-pair0", "b", repeat=False)
LATER = Presentation("p1", "Ann", "pair-id-pair1", "a", repeat=False)
ANSWER = Judgement(ASKED, "first", "a", 2, 3.5, 'ä, "quoted"\nand\u2028more', "2026-01-02T03:04:05+00:00")
RATED = Rating("r0", "Ann", "edit-id-whole0-a", 7, "fine", "2026-01-02T03:04:05+00:00")


@pytest.fixture
def found(tmp_path: Path) -> ListeningSet:
    return make_set(tmp_path)


class TestValues:
    def test_an_answer_means_a_side(self) -> None:
        assert ASKED.second == "a"
        assert [replace(ANSWER, choice=choice).preferred for choice in ("first", "second", "same", "unsure")] == [
            *("b", "a"),
            *(None, None),
        ]

    def test_names_of_listeners(self) -> None:
        assert listener_name("  Ann Ö. ") == "Ann Ö."
        assert listener_name("x" * 60) == "x" * 60
        for wrong in ("", "   ", "x" * 61, "a\nb", "a\x00b", "a\u202eb"):
            with pytest.raises(DatasetError, match="1 to 60 printable characters"):
                listener_name(wrong)


class TestSets:
    def test_a_set_comes_back_the_same_and_gives_the_same_bytes(self, found: ListeningSet, tmp_path: Path) -> None:
        again = ListeningSet.load(tmp_path)
        assert again == found
        again.save(tmp_path / "copy")
        assert (tmp_path / "copy" / SET_FILE).read_bytes() == (tmp_path / SET_FILE).read_bytes()

    def test_its_parts(self, found: ListeningSet) -> None:
        assert len(found.heard()) == 2 * 5 + 2
        assert found.pair("pair-id-anchor0").kind == "anchor"
        assert found.pair("pair-id-pair0").side("b").way == "way-of-b"
        with pytest.raises(DatasetError, match="no pair 'x' among its 5"):
            found.pair("x")

    def test_two_of_one_name_are_refused(self, found: ListeningSet) -> None:
        with pytest.raises(DatasetError, match="pair 'pair-id-pair0' occurs twice"):
            replace(found, pairs=(*found.pairs, found.pairs[0]))
        with pytest.raises(DatasetError, match="edit 'edit-id-whole1-a' occurs twice"):
            replace(found, whole=(*found.whole, found.whole[1]))
        for names in (("a", "b", "c"), ("a",)):
            with pytest.raises(DatasetError, match=f"summary of 2 numbers, {len(names)} are named"):
                replace(found, summary_names=names)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"format": "other"}, "format 'other'"),
            ({"version": 2}, "version 2"),
            ({"pairs": None}, "make the set again"),
            ({"pairs": [{}]}, r"pairs\[0\]\.pair_id: is missing"),
            ({"seed": "x"}, "seed 'x' should be a valid integer; make the set again"),
            ({"whole": [{"edit_id": "x"}]}, r"whole\[0\]\.song: is missing; .*; and 1 more; make the set again"),
            ({"pairs": [{"pair_id": "x"}]}, r"kind: is missing; [^;]*a: is missing; [^;]*b: is missing; make the set"),
        ],
    )
    def test_files_that_break_the_format(
        self, found: ListeningSet, tmp_path: Path, change: dict[str, Any], words: str
    ) -> None:
        path = tmp_path / SET_FILE
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
        with pytest.raises(DatasetError, match=words) as caught:
            ListeningSet.load(tmp_path)
        assert str(path) in str(caught.value)

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\x00", b"[" * 100_000])
    def test_files_that_are_no_set(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / SET_FILE).write_bytes(content)
        with pytest.raises(DatasetError, match=r"set\.json"):
            ListeningSet.load(tmp_path)

    @pytest.mark.parametrize(
        ("field", "wrong"), [("kind", "other"), ("edit", {}), ("beats_s", ["x"]), ("differs_s", [1.0]), ("more", 1)]
    )
    def test_fields_that_are_wrong(self, found: ListeningSet, tmp_path: Path, field: str, wrong: Any) -> None:
        path = tmp_path / SET_FILE
        values = json.loads(path.read_text(encoding="utf-8"))
        pair = values["pairs"][0]
        (pair if field == "kind" else pair["a"])[field] = wrong
        path.write_text(json.dumps(values), encoding="utf-8")
        with pytest.raises(DatasetError):
            ListeningSet.load(tmp_path)


class TestCollected:
    def test_they_come_back_without_audio_and_without_what_nobody_answered(
        self, found: ListeningSet, tmp_path: Path
    ) -> None:
        Preferences(found, (ANSWER,), (RATED,)).save(tmp_path / "all" / "toy.json")
        (again,) = load_folder(tmp_path / "all")
        assert (again.judgements, again.ratings) == ((ANSWER,), (RATED,))
        assert [pair.pair_id for pair in again.listening_set.pairs] == ["pair-id-pair0"]
        assert [heard.edit_id for heard in again.listening_set.whole] == ["edit-id-whole0-a"]
        assert {heard.audio for heard in again.listening_set.heard()} == {""}
        assert again.listening_set.pairs[0].a.edit == found.pairs[0].a.edit

    def test_a_file_that_begins_with_a_byte_order_mark_is_read(self, found: ListeningSet, tmp_path: Path) -> None:
        path = tmp_path / "toy.json"
        Preferences(found, (ANSWER,)).save(path)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert Preferences.load(path).judgements == (ANSWER,)

    def test_answers_to_what_is_not_there(self, found: ListeningSet) -> None:
        stranger = replace(ANSWER, presentation=replace(ASKED, pair_id="x"))
        with pytest.raises(DatasetError, match="an answer to pair 'x'"):
            Preferences(found, (stranger,))
        with pytest.raises(DatasetError, match="an answer to edit 'x'"):
            Preferences(found, (), (replace(RATED, edit_id="x"),))

    def test_one_answer_in_two_files(self, found: ListeningSet, tmp_path: Path) -> None:
        for name in ("one", "two"):
            Preferences(found, (ANSWER,)).save(tmp_path / "all" / f"{name}.json")
        with pytest.raises(DatasetError, match="'p0' is in two files"):
            load_folder(tmp_path / "all")
        assert load_folder(tmp_path / "none") == []

    def test_files_are_read_in_order_of_their_names(self, found: ListeningSet, tmp_path: Path) -> None:
        for name in ("b", "c", "a"):
            Preferences(replace(found, name=name)).save(tmp_path / "all" / f"{name}.json")
        assert [each.listening_set.name for each in load_folder(tmp_path / "all")] == ["a", "b", "c"]

    @pytest.mark.parametrize(
        ("field", "wrong"), [("choice", "a"), ("played_first", "c"), ("presentation", {}), ("unknown", 1)]
    )
    def test_judgements_that_are_wrong(self, found: ListeningSet, tmp_path: Path, field: str, wrong: Any) -> None:
        path = tmp_path / "toy.json"
        Preferences(found, (ANSWER,)).save(path)
        values = json.loads(path.read_text(encoding="utf-8"))
        values["judgements"][0][field] = wrong
        path.write_text(json.dumps(values), encoding="utf-8")
        with pytest.raises(DatasetError, match="collect the answers again"):
            Preferences.load(path)

    @pytest.mark.parametrize("wrong", [0, 11, "7", True, 7.5, None])
    def test_ratings_that_are_wrong(self, found: ListeningSet, tmp_path: Path, wrong: Any) -> None:
        path = tmp_path / "toy.json"
        Preferences(found, (), (RATED,)).save(path)
        values = json.loads(path.read_text(encoding="utf-8"))
        values["ratings"][0]["rating"] = wrong
        path.write_text(json.dumps(values), encoding="utf-8")
        with pytest.raises(DatasetError, match="collect the answers again"):
            Preferences.load(path)


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small file as ``preferences collect`` writes it."""
    found = random_set(2, 3, n_anchors=1)
    rated = tuple(pair.a for pair in found.pairs[:3])
    choices: tuple[Choice, ...] = ("first", "second", "same", "unsure", "first")
    answers = [
        Judgement(Presentation(f"p{n}", "Ann", pair.pair_id, "a", repeat=False), choice, "b", 1, 3.5, "well")
        for n, (pair, choice) in enumerate(zip(found.pairs, choices, strict=False))
    ]
    ratings = [Rating(f"r{n}", "Bo", heard.edit_id, 5 + n) for n, heard in enumerate(rated)]
    path = tmp_path_factory.mktemp("collected") / "evening.json"
    Preferences(replace(found, whole=rated), tuple(answers), tuple(ratings)).save(path)
    return path


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(
        [0, -1, 1e308, -1e308, float("nan"), float("inf"), 10**400, 1e-320, "1", "NaN", "\ud800", "a", "b"]
    )
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to every value inside a value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, each in inside for path in places(each, (*at, key)))]


class TestHostile:
    """Mangled files: taken where they still say something, else refused in words that name file and field."""

    @pytest.mark.parametrize(
        ("path", "wrong", "words"),
        [
            ("pairs.0.a.loudness_lufs", "loud", "pairs[0].a.loudness_lufs 'loud' should be a valid number"),
            ("pairs.0.a.loudness_lufs", float("nan"), "pairs[0].a.loudness_lufs nan should be a finite number"),
            ("pairs.0.b.loudness_lufs", 3000, "pairs[0].b.loudness_lufs 3000 should be less than or equal to 100"),
            ("pairs.0.b.beats_s", "x", "pairs[0].b.beats_s 'x' should be a valid"),
            ("pairs.0.b.summary.1", float("inf"), "pairs[0].b.summary[1] inf should be a finite number"),
            ("pairs.0.b.summary.1", None, "pairs[0].b.summary[1] None should be a valid number"),
            ("pairs.0.b.summary", [1.0], "has a summary of 1 numbers"),
            ("pairs.0.way", 3, "pairs[0].way: is unknown"),
            ("pairs.0.a.way", 3, "pairs[0].a.way 3 should be a valid string"),
            ("pairs.0.kind", "other", "pairs[0].kind 'other' should be 'pair' or 'anchor'"),
            ("pairs.1.pair_id", "s0_0", "pair 's0_0' occurs twice"),
            ("pairs.0.a.edit", 5, "pairs[0].a.edit: 5, an edit list is needed"),
            ("pairs.0.a.edit.segments", [], "pairs[0].a.edit: 0 frames, at least one"),
            (
                "pairs.0.a.edit.source.sample_rate",
                0,
                "pairs[0].a.edit: source: sample_rate 0, a whole number of at least 1 is needed",
            ),
            (
                "pairs.0.a.edit.source.sample_rate",
                10**8,
                "pairs[0].a.edit: sample_rate 100000000, 1 to 10000000 Hz is needed",
            ),
            (
                "pairs.0.a.edit.source.sample_rate",
                True,
                "pairs[0].a.edit: source: sample_rate True, a whole number of at least 1 is needed",
            ),
            ("pairs.0.a.edit.source.name", [1], "pairs[0].a.edit"),
            ("seed", 1.5, "seed 1.5 should be a valid integer"),
            ("name", None, "name None should be a valid string"),
            ("judgements", None, "judgements None should be a valid"),
            ("judgements.0", 7, "judgements[0] 7 should be an object of named fields"),
            ("judgements.0.seconds", "slow", "judgements[0].seconds 'slow' should be a valid number"),
            ("judgements.0.seconds", float("nan"), "judgements[0].seconds nan should be a finite number"),
            ("judgements.0.seconds", -1, "judgements[0].seconds -1 should be greater than or equal to 0"),
            ("judgements.0.n_switches", 1.5, "judgements[0].n_switches 1.5 should be a valid integer"),
            ("judgements.0.comment", 1, "judgements[0].comment 1 should be a valid string"),
            ("judgements.0.choice", [], "judgements[0].choice [] should be 'first', 'second', 'same' or 'unsure'"),
            (
                "judgements.0.at",
                "yesterday",
                "judgements[0].at: 'yesterday', a time in UTC as 2026-01-31T09:30:00+00:00 is",
            ),
            ("judgements.0.at", "2026-01-31T09:30:00", "judgements[0].at: '2026-01-31T09:30:00', a time in UTC"),
            ("ratings.0.at", "2026-01-31T09:30:00+01:00", "ratings[0].at: '2026-01-31T09:30:00+01:00', a time in UTC"),
            ("ratings.0.at", "2026-01-31 09:30:00+00:00", "ratings[0].at: '2026-01-31 09:30:00+00:00', a time in UTC"),
            ("ratings.0.at", "2026-13-31T09:30:00Z", "ratings[0].at: '2026-13-31T09:30:00Z', a time in UTC"),
            ("judgements.0.presentation.repeat", 1, "judgements[0].presentation.repeat 1 should be a valid boolean"),
            ("judgements.0.presentation.listener", " ", "judgements[0].presentation.listener: listener ' ': a name"),
            ("ratings.0.rating", 11, "ratings[0].rating 11 should be less than or equal to 10"),
            ("ratings.0.edit_id", {}, "ratings[0].edit_id {} should be a valid string"),
        ],
    )
    def test_a_wrong_field_is_named(self, collected: Path, tmp_path: Path, path: str, wrong: Any, words: str) -> None:
        *where, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        values = inside = json.loads(collected.read_text(encoding="utf-8"))
        for part in where:
            inside = inside[part]
        inside[last] = wrong
        (tmp_path / "evening.json").write_text(json.dumps(values), encoding="utf-8")
        with pytest.raises(DatasetError) as caught:
            Preferences.load(tmp_path / "evening.json")
        assert str(caught.value).startswith(f"{tmp_path / 'evening.json'}: ")
        assert words in str(caught.value)

    @settings(max_examples=150, deadline=None)
    @given(data=st.data())
    def test_no_other_error_comes_out_of_any_file(
        self, collected: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        values = json.loads(collected.read_text(encoding="utf-8"))
        for _ in range(data.draw(st.integers(1, 2))):
            *where, last = data.draw(st.sampled_from([place for place in places(values) if place]))
            inside = values
            for part in where:
                inside = inside[part]
            match data.draw(st.sampled_from(["replace", "delete", "add"])):
                case "replace":
                    inside[last] = data.draw(JSON)
                case "delete":
                    del inside[last]
                case "add" if isinstance(inside, dict):
                    inside[data.draw(st.text(max_size=3))] = data.draw(JSON)
                case _:
                    inside.append(data.draw(JSON)) if isinstance(inside, list) else None
        path = tmp_path_factory.getbasetemp() / "hostile.json"
        path.write_text(json.dumps(values), encoding="utf-8")
        try:
            found = Preferences.load(path)
            screen(report([found], RewardModelConfig(), np.random.default_rng(0)))
        except RlEditorError:
            return
        found.save(path)  # what is taken can be written, and comes back
        assert Preferences.load(path).judgements == found.judgements


class TestLog:
    def test_what_is_written_is_read(self, found: ListeningSet, tmp_path: Path) -> None:
        log = AnswerLog(tmp_path)
        log.presented(ASKED)
        assert log.answers.open == {"Ann": ASKED}
        log.judged(ANSWER)
        log.rated(RATED)
        log.rated(replace(RATED, rating_id="r1", rating=9))
        log.presented(LATER)
        log.close()
        again = AnswerLog(tmp_path)
        assert again.answers.open == {"Ann": LATER}
        assert again.answers.of("Ann") == [ANSWER]
        assert again.answers.of("Bob") == []
        again.close()
        read = read_answers(tmp_path)
        assert (read.listening_set, read.judgements) == (found, (ANSWER,))
        assert [rating.rating for rating in read.ratings] == [9]

    def test_the_latest_is_taken_back_and_open_again(self, tmp_path: Path) -> None:
        log = AnswerLog(tmp_path)
        later = replace(ANSWER, presentation=LATER)
        for asked, answer in ((ASKED, ANSWER), (LATER, later)):
            log.presented(asked)
            log.judged(answer)
        log.undone("Bob")  # has said nothing: nothing happens
        log.undone("Ann")
        assert (log.answers.of("Ann"), log.answers.open["Ann"].pair_id) == ([ANSWER], LATER.pair_id)
        log.undone("Ann")
        opened = log.answers.open["Ann"]
        assert (log.answers.of("Ann"), replace(opened, presentation_id="p0")) == ([], ASKED)
        assert opened.presentation_id != "p0"  # another presentation: nothing that is sent late is meant for it
        log.judged(replace(ANSWER, presentation=opened, choice="second"))
        assert log.answers.open == {}
        log.close()
        again = AnswerLog(tmp_path)
        assert [judgement.choice for judgement in again.answers.of("Ann")] == ["second"]
        again.close()

    def test_no_name_of_a_presentation_that_was_taken_back_is_used_again(self, tmp_path: Path) -> None:
        log = AnswerLog(tmp_path)
        asked = ASKED
        for _ in range(3):
            log.judged(replace(ANSWER, presentation=asked))
            log.undone("Ann")
            asked = log.answers.open["Ann"]
        log.close()
        assert len(log.answers.taken_back) == 3
        assert log.answers.unused("p0") == asked.presentation_id
        assert asked.presentation_id not in log.answers.taken_back

    def test_an_answer_sent_again_leaves_the_repeat_of_its_pair_open(self, tmp_path: Path) -> None:
        log = AnswerLog(tmp_path)
        log.presented(ASKED)
        log.judged(ANSWER)
        repeat = replace(ASKED, presentation_id="p9", first="a", repeat=True)
        log.presented(repeat)
        log.judged(ANSWER)
        log.close()
        assert log.answers.open == {"Ann": repeat}

    def test_a_log_of_an_older_version_whose_undone_pair_kept_its_name(self, tmp_path: Path) -> None:
        log = AnswerLog(tmp_path)
        log.presented(ASKED)
        log.judged(ANSWER)
        log.undone("Ann")
        log.judged(replace(ANSWER, choice="second"))
        assert ([j.choice for j in log.answers.of("Ann")], log.answers.open) == (["second"], {})
        log.close()

    def test_an_answer_sent_again_is_ignored(self, tmp_path: Path) -> None:
        log = AnswerLog(tmp_path)
        log.presented(ASKED)
        log.judged(ANSWER)
        log.judged(replace(ANSWER, choice="second"))
        log.close()
        assert [j.choice for j in AnswerLog(tmp_path).answers.of("Ann")] == ["first"]

    def test_a_rating_sent_again_is_ignored(self, tmp_path: Path) -> None:
        log = AnswerLog(tmp_path)
        for rating in (RATED, replace(RATED, rating_id="r1", rating=9), RATED):
            log.rated(rating)
        log.close()
        assert [rating.rating for rating in AnswerLog(tmp_path).answers.ratings.values()] == [9]

    def test_a_torn_last_line_is_cut_off_by_the_writer_and_not_read_by_others(
        self, found: ListeningSet, tmp_path: Path
    ) -> None:
        log = AnswerLog(tmp_path)
        log.presented(ASKED)
        log.judged(ANSWER)
        log.close()
        path = tmp_path / ANSWERS
        whole = path.read_bytes()
        path.write_bytes(whole + whole[:40])
        assert read_answers(tmp_path).judgements == (ANSWER,)
        assert len(path.read_bytes()) == len(whole) + 40
        log = AnswerLog(tmp_path)
        assert path.read_bytes() == whole
        log.presented(LATER)
        log.close()
        assert path.read_bytes().startswith(whole)
        assert path.read_bytes().count(b"\n") == 3

    @pytest.mark.parametrize(
        "line",
        [
            *(b"{", b"[]", b"{}", b'{"event": "other"}', b'{"event": "undone"}', b'{"event": "presented"}', b"\xff"),
            *(b"[" * 100_000, b'{"event": "undone", "listener": 1}', b'{"event": "undone", "listener": "\\ud800"}'),
        ],
    )
    def test_a_broken_line_is_named(self, tmp_path: Path, line: bytes) -> None:
        log = AnswerLog(tmp_path)
        log.presented(ASKED)
        log.close()
        path = tmp_path / ANSWERS
        path.write_bytes(path.read_bytes() + line + b"\n")
        with pytest.raises(DatasetError, match=r"(?s)line 2: .*repair or delete the line"):
            AnswerLog(tmp_path)
