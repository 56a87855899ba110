"""The page of joins in a real browser, opened from a file: by keyboard alone, one sound at a time."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import sync_playwright

from rl_editor.audition import Audition, JudgedJoin
from rl_editor.audition.joins import JoinDiagnostics
from rl_editor.audition.pages import write_preview
from rl_editor.edits import SourceInfo, keep_all
from rl_editor.utils import Samples

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")

RATE, SECONDS = 8000, 60
PLAYING = "[...document.querySelectorAll('audio')].filter(one => !one.paused).map(one => one.ariaLabel)"


@pytest.fixture(scope="module")
def preview(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three joins of a minute, with five seconds to each side."""
    folder = tmp_path_factory.mktemp("preview")
    sound = Samples(np.zeros((SECONDS * RATE, 1), np.float32), RATE)
    joins = [JudgedJoin(k, JoinDiagnostics(15.0 * k, 1.0, 2.0, 0.0, None, None, 0.0, None, 0.0), ()) for k in (1, 2, 3)]
    write_preview(
        Audition(keep_all(SourceInfo("a.wav", "", RATE, 1, SECONDS * RATE)), sound, joins, 120.0, 1.0),
        folder,
        seconds=5.0,
    )
    return folder / "index.html"


@pytest.fixture
def page(preview: Path) -> Iterator[Any]:
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--mute-audio"])
        opened = browser.new_page()
        faults: list[str] = []
        opened.on("pageerror", lambda error: faults.append(str(error)))
        opened.goto(preview.as_uri())
        yield opened
        browser.close()
        assert not faults


def plays(page: Any, *names: str) -> None:
    page.wait_for_function(f"JSON.stringify({PLAYING}) === JSON.stringify({list(names)})")


def test_keys_go_from_join_to_join_and_one_plays_at_a_time(page: Any) -> None:
    for key, name in (("Space", "Join 1"), ("n", "Join 2"), ("3", "Join 3"), ("p", "Join 2")):
        page.keyboard.press(key)
        plays(page, name)
    page.keyboard.press("Space")
    plays(page)
    page.keyboard.press("Space")
    plays(page, "Join 2")


def test_keys_go_on_from_a_player_that_was_reached_by_tab(page: Any) -> None:
    """The focus goes with the join, or the browser's own space bar would start another beside it."""
    page.focus("audio")
    page.keyboard.press("Space")
    plays(page, "All joins")
    page.keyboard.press("n")
    plays(page, "Join 1")
    assert page.evaluate("document.activeElement.ariaLabel") == "Join 1"
    page.keyboard.press("Space")
    plays(page)


def test_space_stops_what_a_mouse_started(page: Any) -> None:
    page.evaluate("document.querySelector('audio').play()")
    plays(page, "All joins")
    page.keyboard.press("Space")
    plays(page)
