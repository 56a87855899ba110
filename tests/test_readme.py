"""What the README says is what the code does: numbers, flags, names, and its Python example as printed."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_public_api import click_track
from typer.main import get_command

from rl_editor import Config
from rl_editor.actions import ActionType
from rl_editor.cli import app
from rl_editor.features import feature_dim

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("mode", ["basic", "enhanced", "full"])
def test_columns_of_the_feature_modes(mode: str) -> None:
    row = re.search(rf"^\| `{mode}` \| (\d+) \|", README, re.MULTILINE)
    assert row is not None
    assert int(row[1]) == feature_dim(mode)  # type: ignore[arg-type]


def test_every_action_is_explained() -> None:
    for kind in ActionType:
        assert re.search(rf"^\| {kind.value}\b", README, re.MULTILINE), kind


def test_flags_of_the_console_commands() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    lines = re.findall(r"^\.venv/bin/rl-editor (\w+) ?(.*)$", README, re.MULTILINE)
    assert {name for name, _ in lines} >= {"align", "edit", "render", "export", "corpus"}
    for name, rest in lines:
        command = commands[name]
        command = command.commands[rest.split()[0]] if hasattr(command, "commands") else command
        known = {option for parameter in command.params for option in parameter.opts}
        used = set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest.split("#")[0]))
        assert used <= known, (name, used - known)


def test_default_unit_is_the_one_named() -> None:
    named = re.search(r"`action_space\.unit_beats: (\d+)`", README)
    assert named is not None
    assert int(named[1]) == Config().action_space.unit_beats


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake ([a-z][a-z-]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize(
    ("target", "variable"), [("bench-beats", "FOLDER"), ("bench-joins", "FOLDER"), ("bench-preferences", "SET")]
)
def test_a_target_says_what_it_lacks_before_it_installs_or_starts_anything(
    target: str, variable: str, tmp_path: Path
) -> None:
    (tmp_path / "none" / "bin").mkdir(parents=True)
    stamp = tmp_path / "none" / ".made-from-lock"
    stamp.touch()  # an environment of no programs
    command = ["make", "-C", str(ROOT), "-o", str(stamp), target, f"VENV={stamp.parent}", f"{variable}="]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"{target}: {variable}= " in done.stdout
    assert "none/bin" not in done.stdout + done.stderr


def test_files_that_are_linked_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_python_example_runs_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert example is not None
    monkeypatch.chdir(tmp_path)
    click_track(tmp_path / "input.wav")
    exec(compile(example[1], "README.md", "exec"), {"np": np})
    assert 0.0 <= float(capsys.readouterr().out) <= 4 * 24.0  # LOOP plays a unit four times at most


METHODS = {
    "the editor's own edit": "editor",
    "BC (imitation)": "bc",
    "BC + PPO": "ppo",
    "loudest bars": "loudest",
    "random bars": "random",
    "retargeting DP": "dp",
    "keep everything": "keep_all",
}
COLUMNS = (
    "radio_edit/balanced_accuracy",
    "jam_cleanup/balanced_accuracy",
    "extended_mix/action_balanced_accuracy",
    "all/loop_f1",
    "all/reward_total",
    "all/duration_error",
)


Mean = Callable[..., float]


@pytest.fixture(scope="module")
def mean() -> Mean:
    """A number of ``plots/evaluate.csv``: of a method, under a condition, of a style, by a metric."""
    table = pd.read_csv(ROOT / "plots" / "evaluate.csv").set_index(["method", "condition", "style", "metric"])["mean"]
    return lambda method, condition, style, metric: float(table[method, condition, style, metric])


@pytest.mark.parametrize("title", METHODS)
def test_scores_are_those_of_the_committed_run(title: str, mean: Mean) -> None:
    row = re.search(rf"^\| {re.escape(title)} \|(.*)\|$", README, re.MULTILINE)
    assert row is not None
    shown = [float(cell) for cell in row[1].split("|")]
    assert shown == [round(mean(METHODS[title], "target", *column.split("/")), 2) for column in COLUMNS]


@pytest.mark.parametrize(
    ("words", "one", "other", "metric"),
    [
        ("beats the loudest bars at the right length by", "bc/target", "loudest/target", "balanced_accuracy"),
        ("random bars by", "bc/target", "random/target", "balanced_accuracy"),
        ("PPO beats imitation on the reward by", "ppo/free", "bc/free", "reward_total"),
        ("Where one is,", "ppo/target", "bc/target", "reward_total"),
        ("Agreement with the editor stays:", "ppo/free", "bc/free", "balanced_accuracy"),
        ("without a length and", "ppo/target", "bc/target", "balanced_accuracy"),
    ],
)
def test_differences_are_those_of_the_committed_run(words: str, one: str, other: str, metric: str, mean: Mean) -> None:
    said = re.search(rf"{re.escape(words)} ([+-]\d\.\d{{3}}) \(", " ".join(README.split()))
    assert said is not None
    first, second = (mean(*way.split("/"), "all", metric) for way in (one, other))
    assert float(said[1]) == pytest.approx(first - second, abs=0.00051)  # both means are rounded to six digits


@pytest.mark.parametrize(
    ("words", "metric", "condition"),
    [("cut F1", "cut_f1", "target"), ("length error", "duration_error", "free")],
)
def test_pairs_of_figures_are_those_of_the_committed_run(words: str, metric: str, condition: str, mean: Mean) -> None:
    said = re.search(rf"\({words} (\d\.\d\d), after PPO (\d\.\d\d)\)", README)
    assert said is not None
    assert [float(figure) for figure in said.groups()] == [
        round(mean(method, condition, "all", metric), 2) for method in ("bc", "ppo")
    ]
