"""Figures that the documentation states about the code are the code's own."""

import json
import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.main import get_command

from rl_editor import decoding
from rl_editor.actions import ActionSpace, ActionType
from rl_editor.cli import app
from rl_editor.command import read_settings
from rl_editor.config import Config
from rl_editor.edits import EditList
from rl_editor.grid import BeatGrid
from rl_editor.labels import decode
from rl_editor.negotiation import costs, demands, exact, paths, placing, sound
from rl_editor.preferences import loudness
from rl_editor.render import joins

ROOT = Path(__file__).parent.parent
DOCS = {path.stem: " ".join(path.read_text(encoding="utf-8").split()) for path in (ROOT / "docs").glob("*.md")}
ATTEMPTS = (
    2 * decoding.SIDE_BY_SIDE * decoding.REFINEMENTS  # with and without regard to earlier decisions
    + decoding.DRAWN_LEANINGS * decoding.DRAWS_PER_LEANING * len(decoding.TEMPERATURES)
)
MOVES = sum(ActionSpace().type_of(number) is ActionType.REORDER for number in range(ActionSpace().n_discrete_actions))


@pytest.mark.parametrize(
    ("page", "words", "figures"),
    [
        ("editing", r"a beat dropped or added \| ([\d.]+); ([\d.]+) in a policy's draft", (paths.CHANGED, paths.MEANT)),
        ("editing", r"a new join \| (\d+) \+ (\d+) c", (paths.NEW_JOIN, paths.JOIN)),
        ("editing", r"; ([\d.]+) \+ (\d+) c in a draft", (paths.DRAFT_JOIN, paths.JOIN)),
        ("editing", r"its own length, where none is asked\) \| (\d+)", (paths.MISSED_ASKED,)),
        ("editing", r"giving up the start or the end \| (\d+)", (paths.EDGE,)),
        ("editing", r"more than half a bar: each beat missed \| (\d+)", (paths.MISSED_EXACT,)),
        ("editing", r"last beats given up, up to (\d+) \| ([\d.]+)", (paths.EDGE, paths.EDGE_BEAT)),
        ("editing", r"([\d.]+) of it comes from the features of the beats, ([\d.]+)", (1 - costs.SOUND, costs.SOUND)),
        ("editing", r"beyond (\d+) % of the song's own \(and (\d+) dB\)", (sound._UNUSUAL, sound._HEARD_DB)),
        ("editing", r"\(and \d+ dB\) adds ([\d.]+\d)", (costs.SOUND,)),
        ("editing", r"may move up to (\d+) beats earlier or later", (placing.REACH_BEATS,)),
        ("editing", r"Within (\d+) ms a join moves", (Config().render.join_search_ms,)),
        ("editing", r"silence at the end \(up to ([\d.]+) s more\)", (exact.MOST_TAIL_S,)),
        ("editing", r"up to (\d+) ms at each join", (exact.MOST_NUDGE_MS,)),
        ("editing", r"up to (\d+) s of silence follow it", (exact.MOST_SILENCE_S,)),
        ("editing", r"everything plays up to (\d+) % faster or slower", (100 * demands.MOST_STRETCH,)),
        ("editing", r"heard up to (\d+) ms earlier or later", (joins.MICRO_MS,)),
        ("learning", r"edits a recording (\d+) times side by side", (ATTEMPTS,)),
        ("learning", r"the likeliest of (\d+) attempts", (ATTEMPTS,)),
        ("learning", r"(\d+) of the (\d+) actions are REORDER", (MOVES, ActionSpace().n_discrete_actions)),
        ("preferences", r"BS\.1770, (-\d+) LUFS", (loudness.TARGET_LUFS,)),
        ("preferences", r"where a peak would pass (-\d+) dBFS", (loudness.PEAK_DBFS,)),
        ("preferences", r"`reward_model\.min_judgements` \((\d+);", (Config().reward_model.min_judgements,)),
    ],
)
def test_a_page_states_what_the_code_has(page: str, words: str, figures: tuple[float, ...]) -> None:
    said = re.search(words, DOCS[page])
    assert said is not None
    assert [float(figure) for figure in said.groups()] == pytest.approx(figures)


def test_twice_the_attempts_where_the_clone_attempts_as_well() -> None:
    said = re.search(r"with its (\d+) attempts, the clone's among them", DOCS["editing"])
    assert said is not None
    assert int(said[1]) == 2 * ATTEMPTS


def test_length_errors_are_those_of_the_committed_run() -> None:
    table = pd.read_csv(ROOT / "plots" / "evaluate.csv").set_index(["method", "condition", "style", "metric"])["mean"]
    said = re.search(r"mean length error is ([\d.]+) % after imitation and after PPO", DOCS["learning"])
    assert said is not None
    errors = [table[method, "target", "all", "duration_error"] for method in ("bc", "ppo")]
    assert [round(100 * error, 1) for error in errors] == [float(said[1])] * 2


def test_pages_that_are_linked_exist() -> None:
    for page in (ROOT / "docs").glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page.name, target)


@pytest.mark.parametrize("page", [*sorted(DOCS), "README"])
def test_settings_that_are_named_exist(page: str) -> None:
    """``section.key`` of the settings; a module of the same name may have it as well, and a file may be called so."""
    text = DOCS[page] if page in DOCS else (ROOT / "README.md").read_text(encoding="utf-8")
    settings = Config().to_dict()
    for section, key in re.findall(r"`(\w+)\.(\w+)(?:: [^`]*)?`", text):
        if section in settings and key not in {*settings[section], "json"}:
            assert hasattr(import_module(f"rl_editor.{section}"), key), f"{section}.{key}"


def flags_known(words: list[str]) -> set[str]:
    """The options of a command of ``rl-editor``, given the words after that."""
    command = get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    return {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("page", sorted(DOCS))
def test_flags_of_the_console_commands(page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8").replace("\\\n", " ")
    for line in re.findall(r"^(?:    |RL_EDITOR_CACHE=off )?(?:\.venv/bin/)?rl-editor (\w.*)$", text, re.MULTILINE):
        words = line.split("#")[0].split()
        assert {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)} <= flags_known(words), line


def test_the_edit_list_shown_is_one_and_its_parts_agree() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    shown = json.loads(text.split("```json\n")[1].split("```")[0])
    edit, space = EditList.from_dict(shown), ActionSpace()
    assert edit.duration_s == shown["duration"]
    grid = BeatGrid(np.array(edit.beat_times_s), np.zeros(len(edit.actions), int))
    by_actions = decode(
        [space.index(name) for name in edit.actions],
        grid.units(edit.unit_beats),
        space,
        source=edit.source,
        crossfade_ms=Config().action_space.default_crossfade_ms,
        beat_times_s=edit.beat_times_s,
    )
    assert replace(by_actions, segments=tuple(replace(s, confidence=0.99) for s in by_actions.segments)) == edit


def test_sections_in_which_the_pipelines_settings_differ_from_the_defaults_are_named() -> None:
    said = re.search(r"differ in some keys of (.*?)\.", DOCS["architecture"])
    assert said is not None
    settings, defaults = read_settings(ROOT / "params.yaml"), Config().to_dict()
    assert re.findall(r"`(\w+)`", said[1]) == [name for name in defaults if settings[name] != defaults[name]]
