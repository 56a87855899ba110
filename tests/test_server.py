"""The server of the listening page: its API, what it does not tell, what it refuses, what survives."""

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from listening_sets import SECRETS, make_set

pytest.importorskip("starlette", reason="the extra `listen` is not installed")

from starlette.testclient import TestClient

from rl_editor.errors import ConfigError, DatasetError
from rl_editor.judgements import other
from rl_editor.judgements.log import read_answers
from rl_editor.judgements.sets import ANSWERS, AUDIO, SET_FILE, ListeningSet
from rl_editor.preferences.tables import JUDGEMENT_COLUMNS, RATING_COLUMNS
from rl_editor.server import opening, study
from rl_editor.server.app import STATIC, create_app
from rl_editor.server.opening import opened
from rl_editor.server.running import loopback_sockets
from rl_editor.server.study import Study
from rl_editor.server.wire import MOST_BODY_BYTES

BASE = "http://127.0.0.1:8765"


@contextmanager
def client_of(folder: Path, **options: Any) -> Iterator[TestClient]:
    with opened(folder, **options) as study:
        yield TestClient(create_app(study), base_url=BASE, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    make_set(folder)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "set"))


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with client_of(folder) as client:
        yield client


def ask(client: TestClient, listener: str = "Ann") -> dict[str, Any]:
    response = client.post("/api/next", json={"listener": listener})
    assert response.status_code == 200, response.text
    return dict(response.json())


def answer_to(state: dict[str, Any], choice: str = "first", **fields: Any) -> dict[str, Any]:
    shown = {"listener": state["listener"], "presentation_id": state["presentation"]["presentation_id"]}
    return {**shown, "choice": choice, "played_first": "second", "n_switches": 3, "seconds": 12.5, **fields}


def events(folder: Path) -> list[str]:
    return [json.loads(line)["event"] for line in (folder / ANSWERS).read_text(encoding="utf-8").splitlines()]


class TestSession:
    def test_an_answer_is_kept_with_the_side_that_it_means(self, client: TestClient, folder: Path) -> None:
        state = ask(client)
        assert state["progress"] == {"n_done": 0, "n_planned": 5}  # 4 pairs, 1 anchor; too few for repeats
        after = client.post("/api/answer", json=answer_to(state, comment=" louder\r\nmiddle\x00 ")).json()
        assert (after["progress"]["n_done"], after["undo"]) == (1, state["presentation"]["presentation_id"])
        assert after["presentation"]["presentation_id"] != state["presentation"]["presentation_id"]
        (judgement,) = read_answers(folder).judgements
        assert judgement.preferred == judgement.presentation.first
        assert judgement.played_first == judgement.presentation.second
        assert (judgement.n_switches, judgement.seconds, judgement.comment) == (3, 12.5, "louder\nmiddle")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", judgement.at)

    def test_what_is_heard_is_the_side_that_the_answer_means(self, client: TestClient, folder: Path) -> None:
        """Of all five, whichever side is put first."""
        found, state = ListeningSet.load(folder), ask(client)
        for heard in found.heard():
            (folder / AUDIO / heard.audio).write_text(heard.audio)
        firsts = set()
        while (shown := state["presentation"]) is not None:
            asked = json.loads((folder / ANSWERS).read_text(encoding="utf-8").splitlines()[-1])
            pair = found.pair(asked["pair_id"])
            sides = {"first": pair.side(asked["first"]), "second": pair.side(other(asked["first"]))}
            for place, heard in sides.items():
                assert client.get(shown[place]["audio"]).text == heard.audio
                assert shown[place]["duration_s"] == pytest.approx(heard.duration_s)
            firsts.add(asked["first"])
            state = client.post("/api/answer", json=answer_to(state)).json()
        assert firsts == {"a", "b"}

    def test_a_pair_is_logged_as_presented_once(self, client: TestClient, folder: Path) -> None:
        assert ask(client) == ask(client)
        assert events(folder) == ["presented"]

    def test_a_whole_set_ends(self, client: TestClient) -> None:
        state = ask(client)
        for choice in ("first", "second", "same", "unsure", "first"):
            state = client.post("/api/answer", json=answer_to(state, choice)).json()
        assert state["presentation"] is None
        assert state["progress"] == {"n_done": 5, "n_planned": 5}

    def test_an_answer_that_the_log_would_not_take_is_refused(self, client: TestClient, folder: Path) -> None:
        """What is written must be read again: a set would be lost to everybody."""
        state = ask(client)
        for seconds in (1e10, -1.0):
            assert client.post("/api/answer", json=answer_to(state) | {"seconds": seconds}).status_code == 400
        assert not read_answers(folder).judgements
        assert client.post("/api/answer", json=answer_to(state) | {"seconds": 1e9}).status_code == 200
        assert len(read_answers(folder).judgements) == 1

    def test_an_answer_sent_again_counts_once(self, client: TestClient, folder: Path) -> None:
        answer = answer_to(ask(client))
        first, again = (client.post("/api/answer", json=answer) for _ in range(2))
        assert (first.status_code, again.status_code) == (200, 200)
        assert first.json() == again.json()
        assert events(folder) == ["presented", "judged", "presented"]
        other = client.post("/api/answer", json=answer | {"choice": "second"})
        assert other.status_code == 409
        assert "answered before" in other.json()["error"]

    def test_undo_opens_the_latest_again(self, client: TestClient, folder: Path) -> None:
        state = ask(client)
        after = client.post("/api/answer", json=answer_to(state)).json()
        undo = {"listener": "Ann", "presentation_id": after["undo"]}
        undone, again = (client.post("/api/undo", json=undo).json() for _ in range(2))
        assert undone == again  # taking back twice is taking back once
        assert (undone["progress"], undone["undo"]) == (state["progress"], None)
        assert events(folder)[-1] == "undone"
        client.post("/api/answer", json=answer_to(undone, "second"))
        (judgement,) = read_answers(folder).judgements
        presented = json.loads((folder / ANSWERS).read_text(encoding="utf-8").splitlines()[0])
        asked = judgement.presentation
        assert (asked.pair_id, asked.first, judgement.choice) == (presented["pair_id"], presented["first"], "second")

    @pytest.mark.parametrize("restarted", [False, True])
    def test_what_was_taken_back_stays_so_whatever_arrives_late(self, folder: Path, restarted: bool) -> None:
        with client_of(folder) as client:
            answer = answer_to(ask(client))
            undo = {"listener": "Ann", "presentation_id": answer["presentation_id"]}
            client.post("/api/answer", json=answer)
            state = client.post("/api/undo", json=undo).json()
            if not restarted:
                self.late(client, folder, state, answer, undo)
        if restarted:
            with client_of(folder) as client:
                self.late(client, folder, ask(client), answer, undo)

    def late(
        self, client: TestClient, folder: Path, state: dict[str, Any], answer: dict[str, Any], undo: dict[str, Any]
    ) -> None:
        refused = client.post("/api/answer", json=answer)
        assert (refused.status_code, "taken back" in refused.json()["error"]) == (409, True)
        assert client.post("/api/answer", json=answer | {"listener": "Bob"}).status_code == 409
        assert ask(client) == state
        after = client.post("/api/answer", json=answer_to(state, "second")).json()
        assert client.post("/api/answer", json=answer).status_code == 409
        assert client.post("/api/undo", json=undo).json() == after  # the newer answer stays
        assert client.post("/api/undo", json=undo | {"listener": "Bob"}).status_code == 409
        assert [j.choice for j in read_answers(folder).judgements] == ["second"]

    def test_two_that_were_taken_back_are_both_asked_under_new_names(self, client: TestClient, folder: Path) -> None:
        one = ask(client)
        two = client.post("/api/answer", json=answer_to(one)).json()
        client.post("/api/answer", json=answer_to(two))
        undone = [two["presentation"]["presentation_id"], one["presentation"]["presentation_id"]]
        for name in undone:
            state = client.post("/api/undo", json={"listener": "Ann", "presentation_id": name}).json()
        names = []
        while state["presentation"] is not None:
            names.append(state["presentation"]["presentation_id"])
            state = client.post("/api/answer", json=answer_to(state, "second")).json()
            for late in (one, two):
                assert client.post("/api/answer", json=answer_to(late)).status_code == 409
        assert len({*names, *undone}) == 5 + 2
        assert {j.choice for j in read_answers(folder).judgements} == {"second"}

    def test_who_can_tell_nothing_comes_to_an_end(self, tmp_path: Path) -> None:
        make_set(tmp_path, n_pairs=13, n_anchors=1)
        with client_of(tmp_path) as client:
            state = ask(client)
            assert state["progress"] == {"n_done": 0, "n_planned": 16}  # 14 pairs and anchors, 2 repeats
            while state["presentation"] is not None:
                state = client.post("/api/answer", json=answer_to(state, "unsure")).json()
        assert state["progress"] == {"n_done": 14, "n_planned": 14}

    def test_only_the_latest_is_taken_back(self, client: TestClient) -> None:
        first = ask(client)
        client.post("/api/answer", json=answer_to(client.post("/api/answer", json=answer_to(first)).json()))
        old = {"listener": "Ann", "presentation_id": first["presentation"]["presentation_id"]}
        assert client.post("/api/undo", json=old).status_code == 409

    def test_listeners_do_not_meet(self, client: TestClient, folder: Path) -> None:
        ann, bob = ask(client, "Ann"), ask(client, "Bob")
        stolen = client.post("/api/answer", json=answer_to(ann) | {"listener": "Bob"})
        assert (stolen.status_code, stolen.json()["error"]) == (409, "this pair was put before another listener")
        client.post("/api/answer", json=answer_to(ann))
        assert client.post("/api/answer", json=answer_to(ann) | {"listener": "Bob"}).status_code == 409
        assert ask(client, "Bob") == bob
        assert [j.presentation.listener for j in read_answers(folder).judgements] == ["Ann"]

    @pytest.mark.parametrize("restarted", [False, True])
    def test_a_listener_is_the_same_however_the_name_is_spelled(self, folder: Path, restarted: bool) -> None:
        """Phones begin names with a capital letter; some systems write an accent as a character of its own."""
        first, others = "Zoë Strauß", ("zoë strauß", "Zoe\u0308 Strauß", "ZOË  STRAUSS", " Zoë Strauß ")
        with client_of(folder) as client:
            state = client.post("/api/answer", json=answer_to(ask(client, first))).json()
            if not restarted:
                self.is_known(client, state, others)
        if restarted:
            with client_of(folder) as client:
                self.is_known(client, state, others)
        assert {j.presentation.listener for j in read_answers(folder).judgements} == {first}

    def is_known(self, client: TestClient, state: dict[str, Any], others: tuple[str, ...]) -> None:
        assert [ask(client, name) for name in others] == [state] * len(others)
        assert ask(client, "Zoe Strauß")["listener"] == "Zoe Strauß"  # another letter is another name
        for name in others[:3]:
            assert ask(client, name) == state
            answer = answer_to(state) | {"listener": name}
            after = client.post("/api/answer", json=answer).json()
            undo = {"listener": name, "presentation_id": after["undo"]}
            client.post("/api/undo", json=undo)
            state = client.post("/api/answer", json=answer_to(ask(client, name)) | {"listener": name}).json()
        assert state["progress"]["n_done"] == 4

    def test_one_who_only_rated_is_known_too(self, client: TestClient) -> None:
        edit = client.post("/api/ratings", json={"listener": "Ann"}).json()["edits"][0]["edit"]
        sent = {"listener": "Ann", "edit": edit, "rating": 7, "rating_id": "a" * 16}
        client.post("/api/rate", json=sent)
        assert client.post("/api/rate", json=sent | {"listener": "ann"}).status_code == 200  # the same one sent again
        assert client.post("/api/ratings", json={"listener": "ANN"}).json()["listener"] == "Ann"

    def test_two_who_are_known_by_both_spellings_stay_two(self, folder: Path) -> None:
        """Of a log that was begun when they were two."""
        with client_of(folder) as client:
            ask(client, "Ann")
            line = (folder / ANSWERS).read_text(encoding="utf-8")
        (folder / ANSWERS).write_text(
            line + line.replace('"Ann"', '"ann"').replace('"presentation_id": "', '"presentation_id": "f')
        )
        with client_of(folder) as client:
            assert [ask(client, name)["listener"] for name in ("Ann", "ann", "ANN")] == ["Ann", "ann", "Ann"]

    def test_the_chooser_chooses(self, folder: Path) -> None:
        with client_of(folder, choose=lambda pairs, _: max(pairs, key=lambda pair: pair.pair_id)) as client:
            ask(client)
        assert json.loads((folder / ANSWERS).read_text(encoding="utf-8"))["pair_id"] == "pair-id-pair3"


class TestRatings:
    def test_a_rating_is_kept_shown_and_changed(self, client: TestClient, folder: Path) -> None:
        edits = client.post("/api/ratings", json={"listener": "Ann"}).json()["edits"]
        assert [each["rating"] for each in edits] == [None, None]
        sent = {"listener": "Ann", "edit": edits[1]["edit"], "rating": 7, "rating_id": "a" * 16}
        client.post("/api/rate", json=sent)
        shown = client.post("/api/rate", json=sent).json()["edits"]
        assert [(each["edit"], each["rating"]) for each in shown] == [(edits[0]["edit"], None), (edits[1]["edit"], 7)]
        client.post("/api/rate", json=sent | {"rating": 10, "rating_id": "b" * 16, "comment": "at last"})
        assert events(folder) == ["rated", "rated"]
        (rating,) = read_answers(folder).ratings
        assert (rating.rating, rating.comment) == (10, "at last")

    def test_a_rating_sent_again_is_the_same_whenever_it_comes(
        self, client: TestClient, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        edit = client.post("/api/ratings", json={"listener": "Ann"}).json()["edits"][0]["edit"]
        sent = {"listener": "Ann", "edit": edit, "rating": 7, "rating_id": "a" * 16}
        for minute in (1, 2):
            monkeypatch.setattr(study, "_now", lambda minute=minute: f"2026-01-02T03:0{minute}:00+00:00")
            assert client.post("/api/rate", json=sent).status_code == 200
        assert client.post("/api/rate", json=sent | {"comment": "another"}).status_code == 409
        assert events(folder) == ["rated"]

    @pytest.mark.parametrize("newer", [10, 7])
    def test_a_rating_that_arrives_again_late_does_not_replace_a_newer_one(self, folder: Path, newer: int) -> None:
        with client_of(folder) as client:
            edit = client.post("/api/ratings", json={"listener": "Ann"}).json()["edits"][0]["edit"]
            old, new, newest = (
                {"listener": "Ann", "edit": edit, "rating": rating, "rating_id": letter * 16}
                for letter, rating in (("a", 7), ("b", newer), ("c", 9))
            )
            for sent, rating in ((old, 7), (new, newer), (old, newer)):
                assert client.post("/api/rate", json=sent).json()["edits"][0]["rating"] == rating
            client.post("/api/rate", json=newest)
        with client_of(folder) as client:  # ids last longer than a server
            for sent in (new, old, newest):
                assert client.post("/api/rate", json=sent).json()["edits"][0]["rating"] == 9
            refused = client.post("/api/rate", json=old | {"rating": 1})
            assert (refused.status_code, "rating_id" in refused.json()["error"]) == (409, True)
        assert events(folder) == ["rated"] * 3
        assert [rating.rating for rating in read_answers(folder).ratings] == [9]

    def test_another_listener_has_an_order_and_ratings_of_their_own(self, tmp_path: Path) -> None:
        make_set(tmp_path, n_whole=6)
        with client_of(tmp_path) as client:
            orders = {
                name: [e["edit"] for e in client.post("/api/ratings", json={"listener": name}).json()["edits"]]
                for name in ("Ann", "Bob", "Cat")
            }
        assert len({tuple(order) for order in orders.values()}) > 1
        assert len({frozenset(order) for order in orders.values()}) == 1

    def test_what_cannot_be(self, client: TestClient) -> None:
        edit = client.post("/api/ratings", json={"listener": "Ann"}).json()["edits"][0]["edit"]
        sent = {"listener": "Ann", "edit": edit, "rating": 7, "rating_id": "a" * 16}
        for wrong in (0, 11, 7.5, "7", True, None):
            assert client.post("/api/rate", json=sent | {"rating": wrong}).status_code == 400, wrong
        assert client.post("/api/rate", json=sent | {"edit": "f" * 32}).status_code == 404


class TestBlindness:
    def test_nothing_that_a_listener_gets_tells_how_an_edit_was_made(self, tmp_path: Path) -> None:
        make_set(tmp_path, n_pairs=14, n_anchors=2, n_whole=3)
        got: list[str] = []
        audio: list[str] = []
        repeats = 0
        with client_of(tmp_path) as client:
            responses = [client.get("/api/set"), client.get("/"), *(client.get(f"/static/{name}") for name in STATIC)]
            got += [f"{r.headers}" for r in responses] + [responses[0].text]
            state = ask(client)
            while state["presentation"] is not None:
                for side in ("first", "second"):
                    audio.append(state["presentation"][side]["audio"])
                    response = client.get(audio[-1])
                    assert response.content.startswith(b"fLaC")
                    assert not {"etag", "last-modified", "content-disposition"} & set(response.headers)
                    got += [f"{response.headers} {response.url}"]
                response = client.post("/api/answer", json=answer_to(state))
                got += [f"{response.headers} {response.text}"]
                state = response.json()
            rated = client.post("/api/ratings", json={"listener": "Ann"})
            got += [f"{rated.headers} {rated.text}", client.get(rated.json()["edits"][0]["audio"]).url.path]
            repeats = sum(j.presentation.repeat for j in read_answers(tmp_path).judgements)
        assert repeats == 2  # of 16, one in seven
        assert len(set(audio)) == len(audio)  # nor is a repeat known by its address
        for secret in SECRETS:
            assert not any(secret in text for text in got), secret

    def test_keys_say_nothing_and_last(self, folder: Path) -> None:
        with client_of(folder) as client:
            before = ask(client)["presentation"]
        with client_of(folder) as client:
            assert client.get(before["first"]["audio"]).status_code == 200  # before anything is asked
            assert ask(client)["presentation"] == before
            bobs, known = ask(client, "Bob")["presentation"], client.get("/api/set").json()["set"]
        keys = [state[side]["audio"] for state in (before, bobs) for side in ("first", "second")]
        assert len(set(keys)) == 4
        (folder / SET_FILE).write_bytes((folder / SET_FILE).read_bytes() + b" ")  # nobody without the file makes them
        with client_of(folder) as client:
            assert client.get("/api/set").json()["set"] != known


class TestSurviving:
    def test_a_restart_goes_on_with_what_was_open(self, folder: Path) -> None:
        with client_of(folder) as client:
            state = client.post("/api/answer", json=answer_to(ask(client))).json()
        with client_of(folder) as client:
            assert ask(client) == state
            assert client.post("/api/answer", json=answer_to(state)).json()["progress"]["n_done"] == 2
        assert events(folder).count("presented") == 3

    def test_a_line_torn_by_a_kill_was_never_acknowledged(self, folder: Path) -> None:
        with client_of(folder) as client:
            state = ask(client)
            client.post("/api/answer", json=answer_to(state))
        log = folder / ANSWERS
        log.write_bytes(log.read_bytes()[:-1])  # `presented` of the second pair loses its end
        with client_of(folder) as client:
            assert ask(client)["progress"]["n_done"] == 1
        assert events(folder) == ["presented", "judged", "presented"]

    def test_a_full_disk_is_said_and_nothing_half_written(
        self, client: TestClient, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        state = ask(client)

        def no_space(_: int) -> None:
            raise OSError(28, "No space left on device", "/secret/path")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", no_space)
            response = client.post("/api/answer", json=answer_to(state))
        assert response.status_code == 503
        assert response.json() == {"error": "the server cannot use its files: no space left on device"}
        assert events(folder) == ["presented"]
        assert client.post("/api/answer", json=answer_to(state)).json()["progress"]["n_done"] == 1

    @pytest.mark.parametrize("event", ["answer", "undo", "rate", "next"])
    @pytest.mark.parametrize("fate", ["deleted", "moved", "replaced", "linked"])
    def test_what_the_folder_would_not_keep_is_not_acknowledged(self, folder: Path, fate: str, event: str) -> None:
        """The system lets a server go on writing to a file that nobody can open any more."""
        log, aside = folder / ANSWERS, folder.parent / "aside"
        with client_of(folder) as client:
            state = client.post("/api/answer", json=answer_to(ask(client))).json()
            edit = client.post("/api/ratings", json={"listener": "Ann"}).json()["edits"][0]["edit"]
            sent = {
                "answer": answer_to(state),
                "undo": {"listener": "Ann", "presentation_id": state["undo"]},
                "rate": {"listener": "Ann", "edit": edit, "rating": 7, "rating_id": "a" * 16},
                "next": {"listener": "Bob"},
            }[event]
            before = log.read_bytes()
            if fate == "replaced":
                shutil.copy(log, aside)
                os.replace(aside, log)
            elif fate == "moved":
                folder.rename(aside)
            elif fate == "linked":
                log.rename(aside)
                log.symlink_to(aside)
            else:
                log.unlink()
            refused = client.post(f"/api/{event}", json=sent)
            assert refused.status_code == 503
            assert str(folder) not in refused.text
            if fate == "moved":
                aside.rename(folder)
                assert client.post(f"/api/{event}", json=sent).status_code == 200
                assert log.read_bytes() != before
        if fate == "replaced":
            assert "start rl-editor listen again" in refused.json()["error"]
            assert log.read_bytes() == before
            with client_of(folder) as client:  # started again, and sent again
                assert client.post(f"/api/{event}", json=sent).status_code == 200
                assert log.read_bytes() != before

    def test_a_fault_shows_no_traceback(self, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("rl_editor.server.study.progress", lambda *_: 1 / 0)
        response = client.post("/api/next", json={"listener": "Ann"})
        assert (response.status_code, set(response.json())) == (500, {"error"})
        assert "ZeroDivision" not in response.text
        assert response.headers["x-content-type-options"] == "nosniff"

    def test_a_client_that_leaves_in_the_middle_of_asking_is_no_fault(self, folder: Path) -> None:
        headers = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"18")]
        scope = {"type": "http", "method": "POST", "path": "/api/next", "query_string": b"", "headers": headers}
        received = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

        async def receive() -> Any:
            return received.pop(0)

        async def send(_: Any) -> None:
            pass

        with opened(folder) as study:
            asyncio.run(create_app(study)(scope, receive, send))  # what is raised would be logged as a fault
        assert events(folder) == []


class TestRefusals:
    @pytest.mark.parametrize(
        "host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil", "", "127.0.0.2", "[::2]"]
    )
    def test_other_hosts(self, client: TestClient, host: str) -> None:
        assert client.get("/", headers={"Host": host}).status_code == 421

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:65535", "[::1]:80"])
    def test_our_hosts_at_any_port(self, client: TestClient, host: str) -> None:
        assert client.get("/", headers={"Host": host}).status_code == 200
        answered = client.post("/api/next", json={"listener": "A"}, headers={"Host": host, "Origin": f"http://{host}"})
        assert answered.status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": "https://127.0.0.1:8765"},
            {"Origin": "http://127.0.0.1:9999"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ],
    )
    def test_other_sites_post_nothing(self, client: TestClient, folder: Path, headers: dict[str, str]) -> None:
        assert client.post("/api/next", json={"listener": "Ann"}, headers=headers).status_code == 403
        assert events(folder) == []

    def test_other_sites_embed_nothing(self, client: TestClient) -> None:
        foreign = {"Sec-Fetch-Site": "cross-site"}
        for path in ("/answers.csv", "/api/set", "/static/app.js", ask(client)["presentation"]["first"]["audio"]):
            assert client.get(path, headers=foreign).status_code == 403, path
        assert client.get("/", headers=foreign).status_code == 200  # a link to the page

    @pytest.mark.parametrize("path", ["/answers.csv", "/api/set", "/static/app.js"])
    def test_scripts_of_other_sites_read_nothing(self, client: TestClient, path: str) -> None:
        """Browsers that send no ``Sec-Fetch-Site`` send ``Origin`` where a script asks."""
        assert client.get(path, headers={"Origin": "http://evil.example"}).status_code == 403
        assert client.get(path, headers={"Origin": BASE}).status_code == 200

    @pytest.mark.parametrize(
        ("name", "ours", "theirs", "status"),
        [
            ("Host", "127.0.0.1:8765", "evil.example", 421),
            ("Origin", BASE, "http://evil.example", 403),
            ("Sec-Fetch-Site", "same-origin", "cross-site", 403),
            ("Content-Type", "application/json", "text/plain", 415),
        ],
    )
    def test_of_a_header_that_comes_twice_both_count(
        self, client: TestClient, folder: Path, name: str, ours: str, theirs: str, status: int
    ) -> None:
        for values in ([ours, theirs], [theirs, ours]):
            headers = [(name, value) for value in values]
            headers += [] if name == "Content-Type" else [("Content-Type", "application/json")]
            assert client.post("/api/next", content=b'{"listener": "Ann"}', headers=headers).status_code == status
        assert events(folder) == []

    def test_forms_of_other_sites(self, client: TestClient) -> None:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx"):
            response = client.post("/api/next", content=b'{"listener": "Ann"}', headers={"Content-Type": kind})
            assert response.status_code == 415, kind
        assert client.post("/api/next", content=b"{}").status_code == 415

    def test_every_answer_has_the_headers(self, client: TestClient) -> None:
        for response in (client.get("/"), client.get("/nothing"), client.get("/", headers={"Host": "x"})):
            headers = response.headers
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert headers["cache-control"] == "no-store"
            assert not any(name.startswith("access-control") for name in headers)

    @pytest.mark.parametrize(
        "path",
        ["/nothing", "/static/", "/static/../app.py", "/static/%2e%2e%2fapp.py", "/static/index.html", "/api/next/",
         "/audio/", "/audio/..%2fset.json", "/audio/%2fetc%2fpasswd", "/set.json", "/answers.jsonl", "/docs"],
    )  # fmt: skip
    def test_unknown_paths(self, client: TestClient, path: str) -> None:
        response = client.get(path)
        assert response.status_code in (404, 405), path
        assert len(response.text) < 60

    def test_wrong_methods(self, client: TestClient) -> None:
        assert client.get("/api/next").status_code == 405
        assert client.put("/api/answer").status_code == 405
        assert client.post("/", json={}).status_code == 405

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"listener": "\\ud800"}', b"[" * 60_000, b'{"listener": 1}',
         b'{"listener": ""}', b'{"listener": "a\\u0000b"}', b'{"listener": "  "}', b'{"listener": "Ann", "more": 1}'],
    )  # fmt: skip
    def test_bodies_that_are_no_question(self, client: TestClient, folder: Path, body: bytes) -> None:
        response = client.post("/api/next", content=body, headers={"Content-Type": "application/json"})
        assert response.status_code == 400, response.text
        assert response.json()["error"]
        assert events(folder) == []

    @pytest.mark.parametrize(
        ("field", "wrong"),
        [
            ("choice", "a"), ("choice", None), ("presentation_id", "../x"), ("played_first", "a"), ("n_switches", -1),
            ("n_switches", 1.5), ("n_switches", True), ("seconds", -0.1), ("seconds", "1"), ("comment", "x" * 2001),
            ("comment", None), ("listener", "x" * 61), ("way", "dp"),
        ],
    )  # fmt: skip
    def test_answers_with_a_wrong_field(self, client: TestClient, field: str, wrong: Any) -> None:
        response = client.post("/api/answer", json=answer_to(ask(client)) | {field: wrong})
        assert response.status_code == 400
        assert field in response.json()["error"]

    @pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999"])
    def test_seconds_are_finite(self, client: TestClient, number: bytes) -> None:
        body = json.dumps(answer_to(ask(client))).encode().replace(b"12.5", number)
        response = client.post("/api/answer", content=body, headers={"Content-Type": "application/json"})
        assert response.status_code == 400

    def test_unknown_presentations(self, client: TestClient) -> None:
        response = client.post("/api/answer", json=answer_to(ask(client)) | {"presentation_id": "f" * 16})
        assert response.status_code == 404
        assert response.json()["error"]

    def test_large_bodies(self, client: TestClient) -> None:
        body = b'{"listener": "' + b"x" * MOST_BODY_BYTES + b'"}'
        response = client.post("/api/next", content=body, headers={"Content-Type": "application/json"})
        assert response.status_code == 413


class TestExport:
    def test_tables_keep_nobody_waiting(self, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """The first one imports pandas, for a second or more."""
        running = []

        def to_csv(_: Any) -> str:
            running.append(threading.current_thread())
            return "table"

        monkeypatch.setattr("rl_editor.preferences.tables.to_csv", to_csv)
        loops = [threading.main_thread()]
        monkeypatch.setattr(
            "rl_editor.server.study.Study.preferences",
            lambda self, given=Study.preferences: loops.append(threading.current_thread()) or given(self),
        )
        assert [client.get(path).text for path in ("/answers.csv", "/ratings.csv")] == ["table"] * 2
        assert not set(running) & set(loops)

    def test_answers_as_csv(self, client: TestClient) -> None:
        client.post("/api/answer", json=answer_to(ask(client), comment="=1+1"))
        response = client.get("/answers.csv")
        assert response.headers["content-type"] == "text/csv; charset=utf-8"
        header, row = response.text.splitlines()
        assert header.startswith("listener,pair_id,kind,song,repeat,first,second,choice,preferred,a_edit_id,a_way")
        assert "'=1+1" in row
        assert "way-of-a" in row
        assert client.get("/ratings.csv").text.startswith("listener,edit_id,song")


class TestOpening:
    def test_a_folder_without_a_set(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match=r"set\.json: not a readable"), opened(tmp_path):
            pass

    def test_missing_audio_is_named(self, folder: Path) -> None:
        (folder / AUDIO / "pair2-way-of-b.flac").unlink()
        with pytest.raises(DatasetError, match=r"audio/pair2-way-of-b\.flac: is missing"), opened(folder):
            pass

    @pytest.mark.parametrize(
        "name", ["/etc/passwd", "../set.json", "sub/x.flac", "..", ".", "", "a\\b.flac", "a\u0000.flac", "x.txt"]
    )
    def test_audio_elsewhere_is_refused(self, folder: Path, name: str) -> None:
        (folder / AUDIO / "sub").mkdir()
        (folder / AUDIO / "sub" / "x.flac").touch()
        (folder / AUDIO / "x.txt").touch()
        values = json.loads((folder / SET_FILE).read_text(encoding="utf-8"))
        values["pairs"][0]["a"]["audio"] = name
        (folder / SET_FILE).write_text(json.dumps(values), encoding="utf-8")
        with pytest.raises(DatasetError), opened(folder):
            pass

    def test_a_link_out_of_the_folder_is_refused(self, folder: Path, tmp_path: Path) -> None:
        file = folder / AUDIO / "pair0-way-of-a.flac"
        file.rename(tmp_path / "elsewhere.flac")
        file.symlink_to(tmp_path / "elsewhere.flac")
        with pytest.raises(DatasetError, match="leads out of"), opened(folder):
            pass

    def test_a_link_to_itself_is_missing_audio(self, folder: Path) -> None:
        file = folder / AUDIO / "pair0-way-of-a.flac"
        file.unlink()
        file.symlink_to(file.name)
        with pytest.raises(DatasetError, match="is missing"), opened(folder):
            pass

    @pytest.mark.parametrize("kind", ["link", "pipe"])
    def test_what_is_put_in_the_place_of_audio_later_is_not_served(
        self, folder: Path, tmp_path: Path, kind: str
    ) -> None:
        (tmp_path / "secret").write_text("of this machine")
        with client_of(folder) as client:
            audio = ask(client)["presentation"]["first"]["audio"]
            assert client.get(audio).status_code == 200
            for file in (folder / AUDIO).iterdir():
                file.unlink()
                os.mkfifo(file) if kind == "pipe" else file.symlink_to(tmp_path / "secret")
            refused = client.get(audio)  # a pipe that nobody writes would hold the server for ever
        assert refused.status_code == 503
        assert "of this machine" not in refused.text

    @pytest.mark.parametrize("whither", ["notes.txt", "nothing.txt"])
    def test_answers_are_written_through_no_link(self, folder: Path, tmp_path: Path, whither: str) -> None:
        (tmp_path / "notes.txt").write_text("one line without its end")
        (folder / ANSWERS).symlink_to(tmp_path / whither)
        with pytest.raises(DatasetError, match=r"answers\.jsonl: is a link"), opened(folder):
            pass
        assert (tmp_path / "notes.txt").read_text() == "one line without its end"
        assert not (tmp_path / "nothing.txt").exists()

    def test_answers_are_no_pipe(self, folder: Path) -> None:
        os.mkfifo(folder / ANSWERS)
        with pytest.raises(DatasetError, match=r"answers\.jsonl: is no plain file"), opened(folder):
            pass

    def test_two_servers_on_one_set(self, folder: Path) -> None:
        with opened(folder), pytest.raises(DatasetError, match="another rl-editor listen"), opened(folder):
            pass
        with opened(folder):
            pass

    def test_answers_to_another_set(self, folder: Path) -> None:
        with client_of(folder) as client:
            ask(client)
        values = json.loads((folder / SET_FILE).read_text(encoding="utf-8"))
        for pair in values["pairs"]:
            pair["pair_id"] += "-new"
        (folder / SET_FILE).write_text(json.dumps(values), encoding="utf-8")
        with pytest.raises(DatasetError, match="no pair"), opened(folder):
            pass

    def test_a_port_in_use(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(ConfigError, match=f"port {port}: is in use; name another with --port"):
                loopback_sockets(port)

    def test_loopback_only(self) -> None:
        sockets = loopback_sockets(0)
        assert {s.getsockname()[0] for s in sockets} <= {"127.0.0.1", "::1"}
        assert len({s.getsockname()[1] for s in sockets}) == 1
        for each in sockets:
            each.close()

    def test_without_the_extra_the_error_names_it(self, folder: Path) -> None:
        code = "import sys; sys.modules['uvicorn'] = None; from rl_editor.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, "listen", str(folder)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert "pip install 'rl-editor[listen]'" in done.stderr


class TestDocumentation:
    TEXT = (Path(__file__).parent.parent / "docs" / "listening.md").read_text(encoding="utf-8")

    def test_every_path_is_documented_and_no_other(self, folder: Path) -> None:
        with opened(folder) as study:
            routes = {(next(iter(r.methods - {"HEAD"})), r.path) for r in create_app(study).app.routes}  # type: ignore[attr-defined]
        assert set(re.findall(r"^\| `(GET|POST) (\S+)` \|", self.TEXT, re.MULTILINE)) == routes

    def test_every_column_is_documented(self) -> None:
        section = self.TEXT[self.TEXT.index("`answers.csv` has a row") :]
        for column in {*JUDGEMENT_COLUMNS, *RATING_COLUMNS}:
            assert f"`{re.sub('^[ab]_', '', column)}`" in section, column

    def test_every_event_is_documented(self, client: TestClient, folder: Path) -> None:
        client.post("/api/answer", json=answer_to(ask(client)))
        for line in (folder / ANSWERS).read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            row = re.search(rf"^\| `{event.pop('event')}` \| (.*) \|$", self.TEXT, re.MULTILINE)
            assert row is not None
            assert set(event) == set(re.findall(r"`(\w+)`", row[1]))

    def test_the_page_names_the_keys_that_are_documented(self) -> None:
        page = (Path(opening.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
        shown = set(re.findall(r"<kbd>(.*?)</kbd>", page))
        table = self.TEXT[self.TEXT.index("| key |") :].split("\n\n")[0]
        documented = {
            key for row in re.findall(r"^\| (.*?) \|", table, re.MULTILINE)[2:] for key in re.split(r"[ ,]+", row)
        }
        assert {key.replace("⇧", "Shift+") for key in shown} == documented - {"or", "…"}
