"""The listening page in a real browser: whole sessions, switching, killed servers, phones."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from listening_sets import BEAT_S, make_set

pytest.importorskip("starlette", reason="the extra `listen` is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import sync_playwright

from rl_editor.judgements.log import read_answers
from rl_editor.judgements.sets import ANSWERS, AUDIO, Preferences

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")

READY = "#compare [data-choice=first][aria-disabled=false]"
B_IS_LEFT = "Hear B for at least a second, then choose."
RECORD_STARTS = """
window.starts = [];
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (when, offset) {
  window.starts.push({ when, offset, duration: this.buffer.duration, loop: this.loop });
  return start.call(this, when, offset);
};
"""


class Served:
    """A set and the server of it, as a process that can be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "rl_editor.cli", "listen", str(self.folder), "--port", str(self.port)]
        # what runs in the background of a script inherits a SIGINT that is ignored; a person's terminal does not
        self.process = subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert self.process.stderr is not None
        self.url = self.process.stderr.readline().split()[0]
        self.port = int(self.url.rsplit(":", 1)[1].strip("/"))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()

    @property
    def answers(self) -> Preferences:
        return read_answers(self.folder)

    def events(self) -> list[str]:
        lines = (self.folder / ANSWERS).read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["event"] for line in lines]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = str(tmp_path_factory.mktemp("home"))  # where it leaves crash reports and the like
    places = {"HOME": home, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home}
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], env={**os.environ, **places})
        yield browser
        browser.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    running: list[Served] = []

    def start(**options: Any) -> Served:
        make_set(tmp_path / "set", **{"n_beats": 1, **options})
        running.append(Served(tmp_path / "set"))
        return running[-1]

    yield start
    for each in running:
        each.kill()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A set of one pair of 10 and 8 s that nobody answers."""
    folder = tmp_path_factory.mktemp("shared")
    make_set(folder, n_pairs=1, n_anchors=0, n_beats=20)
    served = Served(folder)
    yield served
    served.kill()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens pages of one visitor; whatever a page complains of, or fetches from elsewhere, fails the test."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def start(served: Served, *, listener: str = "Ann", fragment: str = "", **options: Any) -> Any:
        if options or not contexts:
            contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.add_init_script(RECORD_STARTS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("request", lambda asked: None if asked.url.startswith(served.url) else complaints.append(asked.url))
        page.goto(served.url + fragment)
        if listener:
            page.fill("#name", listener)
            page.click("text=Start")
        return page

    yield start
    for context in contexts:
        context.close()
    refused = ("ERR_CONNECTION_REFUSED", "400 (Bad Request)", "409 (Conflict)")  # killed servers, wrong names, two tabs
    assert [each for each in complaints if not any(words in each for words in refused)] == []


def hear_both(page: Any, *, by_letters: bool = True) -> None:
    """Play both sides, again and again, until a choice is allowed; ends on side B."""
    there(page, "#compare .row.active")
    if page.get_attribute("#compare .loop", "aria-pressed") == "false":
        page.keyboard.press("l") if by_letters else page.click("#compare .loop")
    page.keyboard.press("Space")
    says(page, "#compare .gate", B_IS_LEFT)
    page.keyboard.press("b") if by_letters else page.click("#compare .letter >> nth=1")
    there(page, READY)


def two_tabs(served: "Served", open_page: Callable[..., Any]) -> tuple[Any, Any]:
    """Of one listener: the second tab is opened when the first has left the name in the browser."""
    first = open_page(served)
    first.wait_for_function("() => localStorage.getItem('rl-editor/listener')")
    return first, open_page(served, listener="")


def both_heard_before_a_kill(serve: Callable[..., "Served"], open_page: Callable[..., Any]) -> tuple["Served", Any]:
    """A set of three pairs and its page, both sides of the first heard; then the server dies."""
    served = serve(n_pairs=3, n_anchors=0)
    page = open_page(served)
    hear_both(page)
    served.kill()
    return served, page


def heard_before_a_kill(served: "Served", open_page: Callable[..., Any]) -> Any:
    """The page of ratings, its first edit heard; then the server dies."""
    page = open_page(served, fragment="#rate")
    there(page, "#rate .row.active")
    page.keyboard.press("Space")
    there(page, ".scale [aria-disabled=false]")
    served.kill()
    return page


def goes_with_its_answer(page: Any, comment: str) -> None:
    """The comment is there until the first pair of two is answered, and not at the second."""
    hear_both(page)
    assert page.input_value("#compare textarea") == comment
    page.keyboard.press("n")
    count(page, "1 of 2 done")
    assert page.input_value("#compare textarea") == ""


def there(page: Any, selector: str) -> None:
    """Wait for an element; looks at every frame, which Playwright's own waiting does not."""
    page.wait_for_function("selector => document.querySelector(selector)", arg=selector)


def says(page: Any, selector: str, words: str) -> None:
    """Wait until an element says so."""
    script = "([selector, words]) => document.querySelector(selector)?.textContent === words"
    page.wait_for_function(script, arg=[selector, words])


def count(page: Any, words: str) -> None:
    """Wait until the progress says so."""
    says(page, "section:not([hidden]) .count", words)


def seconds(page: Any) -> list[float]:
    return [float(text) for text in page.eval_on_selector_all(".time", "all => all.map(e => e.dataset.seconds)")]


class TestCompare:
    def test_a_session_by_keyboard(self, serve: Callable[..., Served], open_page: Callable[..., Any]) -> None:
        served = serve(n_pairs=2, n_anchors=0)
        page = open_page(served)
        hear_both(page)
        page.keyboard.press("2")  # B already: no switch
        page.keyboard.press("1")
        page.fill("#compare textarea", "A n b u")  # keys in a comment are a comment
        page.press("#compare textarea", "Escape")
        page.keyboard.press("Shift+A")
        count(page, "1 of 2 done")
        (judgement,) = served.answers.judgements
        asked = judgement.presentation
        assert (judgement.choice, judgement.preferred, judgement.played_first) == ("first", asked.first, asked.first)
        assert (judgement.n_switches, judgement.comment) == (2, "A n b u")
        assert 0.8 < judgement.seconds < 30.0  # 0.45 s of one side and 0.36 s of the other were heard
        assert page.inner_text("#compare .said") == "Saved: A is better."

        page.keyboard.press("u")
        count(page, "0 of 2 done")
        assert page.input_value("#compare textarea") == "A n b u"
        for done, key in enumerate(["Shift+B", "n"], start=1):
            hear_both(page)
            page.keyboard.press(key)
            count(page, f"{done} of 2 done")
        assert [j.choice for j in served.answers.judgements] == ["second", "same"]
        assert page.is_visible("text=Thank you.")
        page.click("text=Rate whole edits")
        there(page, "#rate .row.active")

    def test_letters_and_digits_can_be_switched_off_as_keys(
        self, serve: Callable[..., Served], open_page: Callable[..., Any]
    ) -> None:
        """WCAG 2.1.4: who dictates "no" would answer."""
        served = serve(n_pairs=2, n_anchors=0)
        page = open_page(served)
        there(page, "#compare .row.active")
        page.click("#compare summary")
        page.click("#compare .single-keys")
        hear_both(page, by_letters=False)
        for key in ("n", "Shift+A", "c", "1", "a"):
            page.keyboard.press(key)
        assert page.get_attribute("#compare .row.side-1", "class") == "row side-1 active"
        page.reload()
        hear_both(page, by_letters=False)
        page.keyboard.press("n")
        page.click("#compare summary")
        page.focus("#compare .single-keys input")
        page.keyboard.press("Space")
        page.keyboard.press("n")
        count(page, "1 of 2 done")
        assert served.events() == ["presented", "judged", "presented"]

    def test_letters_and_digits_are_keys_on_every_layout(
        self, serve: Callable[..., Served], open_page: Callable[..., Any]
    ) -> None:
        """On a Russian keyboard the key N types т; on a French one the key 2 types é, and 2 with Shift alone."""
        served = serve(n_pairs=2, n_anchors=0)
        page = open_page(served)
        hear_both(page)

        def press(key: str, code: str, *, shift: bool = False) -> None:
            page.evaluate(
                "event => document.body.dispatchEvent(new KeyboardEvent('keydown', { bubbles: true, ...event }))",
                {"key": key, "code": code, "shiftKey": shift},
            )

        for key, code, shift, side in (
            ("ф", "KeyA", False, 0),
            ("и", "KeyB", False, 1),
            ("&", "Digit1", False, 0),
            ("2", "Digit2", True, 1),
            ("!", "Digit1", True, 1),  # no digit, nothing to do
            ("q", "KeyA", False, 1),  # a Latin layout with another letter there means that letter
            ("ç", "KeyA", False, 1),
            ("a", "KeyQ", False, 0),
        ):
            press(key, code, shift=shift)
            assert page.get_attribute(f"#compare .letter >> nth={side}", "aria-pressed") == "true", (key, code)
        press("И", "KeyB", shift=True)
        count(page, "1 of 2 done")
        hear_both(page)
        press("т", "KeyN")
        count(page, "2 of 2 done")
        press("Г", "KeyU")  # caps lock
        count(page, "1 of 2 done")
        assert [j.choice for j in served.answers.judgements] == ["second"]

    def test_who_can_tell_nothing_comes_to_an_end(
        self, serve: Callable[..., Served], open_page: Callable[..., Any]
    ) -> None:
        page = open_page(serve(n_pairs=7, n_anchors=0))
        for done, planned in enumerate([8, 8, 7, 7, 7, 7, 7]):  # of the last five none can be asked again
            count(page, f"{done} of {planned} done")
            hear_both(page)
            page.keyboard.press("c")
        count(page, "7 of 7 done")
        assert page.evaluate("(bar => bar.value === bar.max)(document.querySelector('#compare progress'))")
        assert page.is_visible("text=You have answered every pair of this set.")

    def test_a_comment_stays_while_its_pair_is_open(
        self, serve: Callable[..., Served], open_page: Callable[..., Any]
    ) -> None:
        page = open_page(serve(n_pairs=2, n_anchors=0))
        there(page, "#compare .row.active")
        page.fill("#compare textarea", "half a thought")
        page.click("nav >> text=Rate")
        there(page, "#rate .row.active")
        page.go_back()
        goes_with_its_answer(page, "half a thought")

    def test_a_comment_outlives_a_reload_an_answer_and_its_undo(
        self, serve: Callable[..., Served], open_page: Callable[..., Any]
    ) -> None:
        """A phone that puts the page away loads it anew."""
        served = serve(n_pairs=2, n_anchors=0)
        page = open_page(served)
        there(page, "#compare .row.active")
        page.fill("#compare textarea", "half a thought")
        page.reload()
        goes_with_its_answer(page, "half a thought")
        page.reload()
        there(page, "#compare .row.active")
        page.keyboard.press("u")
        count(page, "0 of 2 done")
        page.reload()
        for done in range(2):
            hear_both(page)
            assert page.input_value("#compare textarea") == ("" if done else "half a thought")
            page.keyboard.press("n")
            count(page, f"{done + 1} of 2 done")
        assert [j.comment for j in served.answers.judgements] == ["half a thought", ""]

    def test_nothing_is_chosen_before_both_were_heard(
        self, serve: Callable[..., Served], open_page: Callable[..., Any]
    ) -> None:
        served = serve(n_pairs=2, n_anchors=0)
        page = open_page(served)
        there(page, "#compare .row.active")
        assert page.inner_text(".gate >> nth=0") == "Hear both for at least a second, then choose."
        page.keyboard.press("n")
        assert page.inner_text("#compare .said") == "First hear A and B for at least a second."
        page.keyboard.press("l")
        page.keyboard.press("Space")
        says(page, "#compare .gate", B_IS_LEFT)
        page.click("[data-choice=first]", force=True)  # aria-disabled: it answers with the reason
        assert page.inner_text("#compare .said") == "First hear B for at least a second."
        page.click(".letter >> nth=1")
        there(page, READY)
        assert page.inner_text("#compare .said") == ""  # nothing is left to hear
        page.click("[data-choice=first]")
        count(page, "1 of 2 done")
        assert len(served.answers.judgements) == 1

    def test_a_letter_is_heard_when_nothing_plays(self, shared: Served, open_page: Callable[..., Any]) -> None:
        """It says "Hear B", and chose a side in silence."""
        page = open_page(shared)
        there(page, "#compare .row.active")
        for press in (lambda: page.keyboard.press("b"), lambda: page.click(".letter >> nth=1")):
            press()
            there(page, "#compare .play.playing")
            assert page.get_attribute(".letter >> nth=1", "aria-pressed") == "true"
            page.keyboard.press("Space")
            there(page, "#compare .play:not(.playing)")
        durations = page.evaluate("[...document.querySelectorAll('.wave')].map(e => Number(e.ariaValueMax))")
        assert [round(s["duration"]) for s in page.evaluate("window.starts")] == [durations[1]] * 2

    def test_a_switch_goes_on_at_the_same_moment(self, shared: Served, open_page: Callable[..., Any]) -> None:
        """The faster side plays the same beats in 4/5 of the time, so 4/5 or 5/4 of a time is the same moment."""
        page = open_page(shared)
        there(page, "#compare .row.active")
        durations = page.evaluate("[...document.querySelectorAll('.wave')].map(e => Number(e.ariaValueMax))")
        assert sorted(durations) == [20 * BEAT_S["b"], 20 * BEAT_S["a"]]  # 8 and 10 s
        ratio = durations[1] / durations[0]
        page.keyboard.press("Space")
        for key in ("b", "a", "b"):
            page.wait_for_timeout(300)
            page.keyboard.press(key)
        page.keyboard.press("Space")
        starts = page.evaluate("window.starts")
        assert [round(s["duration"]) for s in starts] == [durations[0], durations[1]] * 2
        for before, after, factor in zip(starts, starts[1:], (ratio, 1 / ratio, ratio), strict=False):
            left_at = before["offset"] + after["when"] - before["when"]
            assert after["offset"] == pytest.approx(left_at * factor, abs=1e-4)
        shown = seconds(page)
        assert shown[1] == pytest.approx(shown[0] * ratio, abs=2e-3)

    def test_seek_loop_and_restart(self, shared: Served, open_page: Callable[..., Any]) -> None:
        page = open_page(shared)
        there(page, "#compare .row.active")
        page.keyboard.press("ArrowRight")
        assert seconds(page)[0] == 2.0
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        assert seconds(page)[0] == 0.0
        page.keyboard.press("End")
        assert seconds(page)[0] == pytest.approx(float(page.get_attribute(".wave >> nth=0", "aria-valuemax")), abs=0.05)
        page.keyboard.press("Home")
        assert seconds(page)[0] == 0.0
        box = page.locator(".wave >> nth=1").bounding_box()
        page.mouse.click(box["x"] + box["width"] * 0.95, box["y"] + 20)  # on B: hear it from there
        duration = float(page.get_attribute(".wave >> nth=1", "aria-valuemax"))
        assert seconds(page)[1] == pytest.approx(0.95 * duration, abs=0.05)
        assert page.get_attribute(".letter >> nth=1", "aria-pressed") == "true"
        page.keyboard.press("l")
        page.keyboard.press("Space")
        page.wait_for_timeout(int(0.05 * duration * 1000) + 500)  # past the end, and on
        assert 0.1 < seconds(page)[1] < 0.5 * duration
        page.keyboard.press("l")
        page.mouse.click(box["x"] + box["width"] * 0.98, box["y"] + 20)
        there(page, "#compare .play:not(.playing)")  # ends at the end
        assert seconds(page) == [0.0, 0.0]

    def test_an_iphone_that_is_silent_plays_all_the_same(self, shared: Served, browser: Any) -> None:
        """What sounds through Web Audio is muted by its switch, unless the page says that it plays media."""
        page = browser.new_page()
        page.add_init_script("Object.defineProperty(navigator, 'audioSession', { value: { type: 'auto' } })")
        page.goto(shared.url)
        page.fill("#name", "Ann")
        page.click("text=Start")
        there(page, "#compare .row.active")
        assert page.evaluate("navigator.audioSession.type") == "playback"
        page.close()

    def test_equal_moments(self, shared: Served, open_page: Callable[..., Any]) -> None:
        page = open_page(shared, listener="")
        same_moments = """async ([from, to, times]) => {
          const { sameMoment } = await import("/static/moments.js");
          return times.map(time => sameMoment(time, from, to));
        }"""
        here = {"duration": 4.0, "beats": [0.5, 1.5, 2.5]}
        there = {"duration": 5.0, "beats": [1.5, 3.5, 4.5]}
        expected = {
            0.25: 1.25,  # as far before the first beat
            0.5: 1.5,
            1.0: 2.5,  # half of a beat of 1 s, half of one of 2 s
            2.0: 4.0,  # half of a beat of 1 s on both sides
            2.75: 4.75,  # as far after the last beat
            3.75: 5.0,  # and no farther than the end
        }
        assert page.evaluate(same_moments, [here, there, list(expected)]) == list(expected.values())
        back = {1.0: 0.0, 2.5: 1.0, 4.0: 2.0, 4.75: 2.75}
        assert page.evaluate(same_moments, [there, here, list(back)]) == list(back.values())
        fewer = {"duration": 3.0, "beats": [0.0, 1.0]}
        assert page.evaluate(same_moments, [here, fewer, [1.0, 2.0, 2.5]]) == [0.5, 1.5, 2.0]
        without = {"duration": 3.0, "beats": []}
        assert page.evaluate(same_moments, [here, without, [1.25, 3.5]]) == [1.25, 3.0]


class TestSurviving:
    def test_a_reload_goes_on_with_the_same_pair(
        self, serve: Callable[..., Served], open_page: Callable[..., Any]
    ) -> None:
        served = serve(n_pairs=3, n_anchors=0)
        page = open_page(served)
        hear_both(page)
        page.keyboard.press("Shift+B")
        count(page, "1 of 3 done")
        page.reload()
        count(page, "1 of 3 done")  # without being asked for a name
        there(page, "#compare .row.active")
        assert served.events() == ["presented", "judged", "presented"]

    def test_an_answer_to_a_killed_server_arrives_once(
        self, serve: Callable[..., Served], open_page: Callable[..., Any]
    ) -> None:
        served, page = both_heard_before_a_kill(serve, open_page)
        page.keyboard.press("Shift+A")
        there(page, "#notice.trouble")
        assert "not reachable" in page.inner_text("#notice")
        assert page.get_attribute("[data-choice=first]", "class") == "chosen"
        page.keyboard.press("Shift+B")  # it is on its way: too late
        served.start()
        count(page, "1 of 3 done")
        assert page.inner_text("#notice") == ""
        assert [j.choice for j in served.answers.judgements] == ["first"]
        assert served.events() == ["presented", "judged", "presented"]

    def test_an_answer_outlives_server_and_page(
        self, serve: Callable[..., Served], open_page: Callable[..., Any]
    ) -> None:
        served, page = both_heard_before_a_kill(serve, open_page)
        page.fill("#compare textarea", "kept")
        page.click("[data-choice=second]")
        there(page, "#notice.trouble")
        page.close()
        served.start()
        count(open_page(served, listener=""), "1 of 3 done")
        (judgement,) = served.answers.judgements
        assert (judgement.choice, judgement.comment) == ("second", "kept")

    def test_audio_that_cannot_be_played_is_said(
        self, serve: Callable[..., Served], open_page: Callable[..., Any]
    ) -> None:
        served = serve(n_pairs=1, n_anchors=0)
        for file in (served.folder / AUDIO).iterdir():
            file.write_bytes(b"no audio")
        says(
            open_page(served),
            "#notice",
            "Nothing to hear: this browser cannot play the audio. Please tell whoever runs this.",
        )

    def test_a_server_that_is_stopped_ends_well(self, serve: Callable[..., Served]) -> None:
        served = serve()
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(timeout=60) == 0

    def test_a_server_that_is_stopped_in_the_middle_of_a_request_says_nothing_of_it(
        self, serve: Callable[..., Served]
    ) -> None:
        served = serve()
        with socket.create_connection(("127.0.0.1", served.port)) as half:
            head = ("POST /api/next HTTP/1.1", "Host: localhost", "Content-Type: application/json", "Content-Length: 9")
            half.sendall("\r\n".join((*head, "", "{")).encode())
            urllib.request.urlopen(f"{served.url}api/set").read()  # what came before was taken up
            served.process.send_signal(signal.SIGINT)
            assert served.process.wait(timeout=60) == 0
        assert served.process.stderr is not None
        assert served.process.stderr.read() == ""


class TestTwoTabs:
    def test_what_was_not_taken_is_said_until_something_is(
        self, serve: Callable[..., Served], open_page: Callable[..., Any]
    ) -> None:
        served = serve(n_pairs=3, n_anchors=0)
        one, two = two_tabs(served, open_page)
        hear_both(one)
        hear_both(two)
        one.keyboard.press("Shift+A")
        count(one, "1 of 3 done")
        two.keyboard.press("Shift+B")
        count(two, "1 of 3 done")
        assert "Not taken: this pair was answered before" in two.inner_text("#notice")
        hear_both(two)
        two.keyboard.press("n")
        count(two, "2 of 3 done")
        assert two.inner_text("#notice") == ""

    def test_each_keeps_its_listener(self, serve: Callable[..., Served], open_page: Callable[..., Any]) -> None:
        served = serve(n_pairs=2, n_anchors=0)
        ann, bob = two_tabs(served, open_page)
        there(bob, "#compare .row.active")
        bob.click("#leave")
        bob.fill("#name", "Bob")
        bob.click("text=Start")
        says(bob, "#who", "Bob")
        there(bob, "#compare .row.active")
        ann.reload()
        there(ann, "#compare .row.active")
        assert ann.inner_text("#who") == "Ann"
        there(open_page(served, listener=""), "#compare .row.active")  # the browser's latest


class TestUnusable:
    """A browser that cannot do it is told so; the page was empty."""

    def test_without_storage(self, shared: Served, browser: Any) -> None:
        page = browser.new_page()
        denied = "{ get() { throw new DOMException('denied', 'SecurityError') } }"
        page.add_init_script(f"Object.defineProperty(window, 'localStorage', {denied})")
        page.goto(shared.url)
        there(page, "#notice.trouble")
        assert "This browser may keep nothing for this page" in page.inner_text("#notice")
        page.close()

    def test_with_a_full_storage_an_answer_is_sent_all_the_same(
        self, serve: Callable[..., Served], open_page: Callable[..., Any]
    ) -> None:
        served = serve(n_pairs=1, n_anchors=0)
        page = open_page(served)
        hear_both(page)
        page.evaluate("""() => {
          Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); };
        }""")
        page.fill("#compare textarea", "no room")
        page.click("[data-choice=first]")
        there(page, ".finished:not([hidden])")
        assert "no room left" in page.inner_text("#notice")
        assert [j.comment for j in served.answers.judgements] == ["no room"]

    def test_while_scripts_are_on_their_way(self, shared: Served, browser: Any) -> None:
        """Of a server that is killed in the middle of a load they never come."""
        page = browser.new_page()
        page.route("**/compare.js", lambda route: route.abort())
        page.goto(shared.url)
        assert page.inner_text("#starting") == "Loading … If nothing happens, reload this page."
        page.unroute("**/compare.js")
        page.reload()
        there(page, "#name:focus")
        assert "Loading" not in page.inner_text("body")
        page.close()

    def test_without_scripts(self, shared: Served, browser: Any) -> None:
        page = browser.new_context(java_script_enabled=False).new_page()
        page.goto(shared.url)
        assert "by JavaScript, which is off here" in page.inner_text("body")
        assert page.is_hidden("#starting")
        page.context.close()


class TestListeners:
    def test_they_take_turns(self, serve: Callable[..., Served], open_page: Callable[..., Any]) -> None:
        served = serve(n_pairs=2, n_anchors=0)
        page = open_page(served)
        hear_both(page)
        page.keyboard.press("c")
        count(page, "1 of 2 done")
        page.click("#leave")
        page.keyboard.type("Bob")  # over the name before
        page.click("text=Start")
        count(page, "0 of 2 done")
        assert page.inner_text("#who") == "Bob"
        assert page.is_hidden("#compare .undo")
        assert [(j.presentation.listener, j.choice) for j in served.answers.judgements] == [("Ann", "unsure")]

    def test_a_name_spelled_otherwise_goes_on_as_before(
        self, serve: Callable[..., Served], open_page: Callable[..., Any]
    ) -> None:
        served = serve(n_pairs=2, n_anchors=0)
        page = open_page(served)
        hear_both(page)
        page.keyboard.press("n")
        count(page, "1 of 2 done")
        page.click("#leave")
        page.fill("#name", "ann")
        page.click("text=Start")
        says(page, "#who", "Ann")
        for view, row in (("rate", "#rate .row.active"), ("compare", "#compare .row.active")):
            page.click(f"nav a[href='#{view}']")
            there(page, row)
        hear_both(page)
        page.keyboard.press("Shift+A")
        count(page, "2 of 2 done")
        page.reload()
        count(page, "2 of 2 done")
        assert page.inner_text("#who") == "Ann"
        assert [j.presentation.listener for j in served.answers.judgements] == ["Ann", "Ann"]

    def test_a_name_that_cannot_be_is_said(self, shared: Served, open_page: Callable[..., Any]) -> None:
        page = open_page(shared, listener="   ")
        there(page, ".fault:not(:empty)")
        assert "a name of 1 to 60 printable characters" in page.inner_text(".fault")


class TestRate:
    def test_ratings_are_kept_and_changed(self, serve: Callable[..., Served], open_page: Callable[..., Any]) -> None:
        served = serve(n_pairs=1, n_anchors=0, n_whole=2)
        page = open_page(served, fragment="#rate")
        there(page, "#rate .row.active")
        page.keyboard.press("7")
        assert page.inner_text("#rate .said") == "First hear it for at least a second."
        page.keyboard.press("Space")
        there(page, ".scale [aria-disabled=false]")
        page.keyboard.press("7")
        count(page, "1 of 2 rated")
        page.keyboard.press("0")
        says(page, ".scale [aria-pressed=true]", "10")
        page.fill("#rate textarea", "good end")
        page.click("#rate .next")
        says(page, "#rate .which", "Edit 2 of 2")
        page.reload()  # at the first that is not rated
        says(page, "#rate .which", "Edit 2 of 2")
        page.keyboard.press("p")
        says(page, ".scale [aria-pressed=true]", "10")
        assert page.input_value("#rate textarea") == "good end"
        (rating,) = served.answers.ratings
        assert (rating.listener, rating.rating, rating.comment) == ("Ann", 10, "good end")
        assert served.events() == ["rated", "rated", "rated"]  # 7, 10, and the comment

    def test_a_comment_on_what_is_not_rated_yet_is_kept(
        self, serve: Callable[..., Served], open_page: Callable[..., Any]
    ) -> None:
        served = serve(n_pairs=1, n_anchors=0, n_whole=2)
        page = open_page(served, fragment="#rate")
        there(page, "#rate .row.active")
        page.fill("#rate textarea", "bad end")
        page.click("#rate .next")
        says(page, "#rate .which", "Edit 2 of 2")
        assert page.input_value("#rate textarea") == ""
        page.reload()
        there(page, "#rate .row.active")
        assert page.input_value("#rate textarea") == "bad end"
        page.keyboard.press("Space")
        there(page, ".scale [aria-disabled=false]")
        page.keyboard.press("3")
        count(page, "1 of 2 rated")
        page.fill("#rate textarea", "")
        page.click("#rate .next")
        page.click("#rate .previous")
        assert page.input_value("#rate textarea") == ""
        assert [r.comment for r in served.answers.ratings] == [""]
        assert [e for e in served.events() if e == "rated"] == ["rated", "rated"]

    def test_a_rating_survives_a_killed_server(
        self, serve: Callable[..., Served], open_page: Callable[..., Any]
    ) -> None:
        served = serve(n_pairs=1, n_anchors=0, n_whole=1)
        page = heard_before_a_kill(served, open_page)
        page.keyboard.press("4")
        there(page, "#notice.trouble")
        served.start()
        count(page, "1 of 1 rated")
        says(page, "#rate .said", "Saved: 4 of 10. All edits are rated: thank you.")
        assert [r.rating for r in served.answers.ratings] == [4]

    def test_ratings_given_while_the_server_is_dead_outlive_the_page_and_the_latest_stays(
        self, serve: Callable[..., Served], open_page: Callable[..., Any]
    ) -> None:
        served = serve(n_pairs=1, n_anchors=0, n_whole=1)
        page = heard_before_a_kill(served, open_page)
        for key in "4725369":  # only the first is being sent
            page.keyboard.press(key)
        there(page, "#notice.trouble")
        page.close()
        served.start()
        count(open_page(served, listener="", fragment="#rate"), "1 of 1 rated")
        lines = (served.folder / ANSWERS).read_text(encoding="utf-8").splitlines()
        assert [json.loads(line).get("rating") for line in lines if "rated" in line] == [4, 7, 2, 5, 3, 6, 9]
        assert [r.rating for r in served.answers.ratings] == [9]


class TestPhone:
    SMALLER_THAN_A_FINGER = """
    [...document.querySelectorAll("button, nav a, summary, .wave, input, textarea")]
      .filter(e => e.checkVisibility())
      .map(e => [e.textContent.trim() || e.className, e.getBoundingClientRect()])
      .filter(([, box]) => box.height < 44 || box.width < 44)
      .map(([name]) => name)
    """

    IN_SIGHT = """selector => {
      const element = document.querySelector(selector);
      const { left, top, bottom } = element.getBoundingClientRect();
      return bottom <= innerHeight && document.elementFromPoint(left + 1, top + 1) === element;
    }"""

    def test_it_fits(self, serve: Callable[..., Served], open_page: Callable[..., Any]) -> None:
        phone = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
        page = open_page(
            serve(n_pairs=1, n_anchors=0), **phone, listener="A rather long name of a listener who is here"
        )
        self.fits(page)
        there(page, "#compare .row.active")
        self.fits(page)
        page.tap(".loop")
        page.tap(".play")
        says(page, "#compare .gate", B_IS_LEFT)
        page.tap(".letter >> nth=1")
        there(page, READY)
        page.tap("[data-choice=same]")
        there(page, ".finished:not([hidden])")
        self.fits(page)
        page.tap("text=Rate whole edits")
        there(page, "#rate .row.active")
        self.fits(page)

    def test_what_is_wrong_is_said_where_one_looks(
        self, serve: Callable[..., Served], open_page: Callable[..., Any]
    ) -> None:
        """Scrolled to the choices, a phone shows neither the top of the page nor its end."""
        served = serve(n_pairs=2, n_anchors=0)
        page = open_page(served, viewport={"width": 390, "height": 500}, is_mobile=True, has_touch=True)
        there(page, "#compare .row.active")
        page.tap("[data-choice=same]", force=True)  # aria-disabled
        there(page, "#compare .gate.asked")
        assert page.evaluate(self.IN_SIGHT, "#compare .gate")
        page.tap(".loop")
        hear_both(page)
        assert page.query_selector(".gate.asked") is None
        served.kill()
        page.locator("#compare textarea").scroll_into_view_if_needed()
        page.tap("[data-choice=same]")
        there(page, "#notice.trouble")
        assert page.evaluate("scrollY") > 100
        assert page.evaluate(self.IN_SIGHT, "#notice")

    def test_its_smallest(self, shared: Served, open_page: Callable[..., Any]) -> None:
        page = open_page(shared, viewport={"width": 320, "height": 640})
        there(page, "#compare .row.active")
        self.fits(page)
        for button in ("restart", "play", "loop"):
            box = page.locator(f"#compare .{button}").bounding_box()
            assert box["width"] == box["height"], "round"
        name, change = (page.locator(each).bounding_box() for each in ("#who", "#leave"))
        assert name["y"] >= change["y"], "one line"

    def test_text_twice_as_large(self, shared: Served, browser: Any) -> None:
        """WCAG 1.4.4: whoever asked the browser for larger text gets all of it larger, and nothing beside the page."""
        larger = browser.browser_type.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--blink-settings=defaultFontSize=32"]
        )
        page = larger.new_page(viewport={"width": 320, "height": 640})
        page.goto(shared.url)
        page.fill("#name", "A rather long name")  # as soon as it is to be seen
        page.click("text=Start")
        for view in ("#compare", "#rate"):
            page.goto(shared.url + view)
            there(page, f"{view} .row.active")
            page.click(f"{view} summary")
            assert page.evaluate("getComputedStyle(document.body).fontSize") == "32px"
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        larger.close()

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_what_has_to_be_seen_is(self, shared: Served, open_page: Callable[..., Any], scheme: str) -> None:
        """WCAG 2.2, 1.4.11: three to one for what shows where a field is, the waveforms, and where the sides differ."""
        page = open_page(shared, color_scheme=scheme)
        there(page, "#compare .row.active")
        contrasts = page.evaluate("""() => {
          const light = (colour) => colour.match(/[0-9]+/g).slice(0, 3).map((c) => c / 255)
            .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
          const against = (one, other) => (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
          const style = (selector) => getComputedStyle(document.querySelector(selector));
          const field = style("#compare textarea");
          const lane = light(style(".lane").backgroundColor);
          const wave = Object.assign(document.createElement("p"), { style: "color: var(--wave)" });
          document.body.append(wave);
          return [
            against(light(field.backgroundColor), light(field.borderTopColor)),
            against(lane, light(style(".differs").borderBottomColor)),
            against(lane, light(getComputedStyle(wave).color)),
          ];
        }""")
        assert min(contrasts) >= 3.0

    def test_what_is_written_from_right_to_left_is_shown_so(
        self, shared: Served, open_page: Callable[..., Any]
    ) -> None:
        """Its full stop stood at its beginning."""
        page = open_page(shared, listener="יוסף.")
        there(page, "#compare .row.active")
        page.fill("#compare textarea", "טוב יותר.")
        directions = "['#who', '#compare textarea'].map(e => getComputedStyle(document.querySelector(e)).direction)"
        assert page.evaluate(directions) == ["rtl", "rtl"]
        page.fill("#compare textarea", "Better.")
        assert page.evaluate(directions) == ["rtl", "ltr"]

    def fits(self, page: Any) -> None:
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(self.SMALLER_THAN_A_FINGER) == []
