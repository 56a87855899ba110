"""The rooms of docs/architecture.md are those that import-linter enforces, and hold every module."""

import configparser
import re
from pathlib import Path

import grimp
import pytest

from rl_editor.versions import READING
from stages.decode import DECODING

ROOT = Path(__file__).parent.parent


def rooms() -> list[set[str]]:
    """Modules of every room of the library, from the top down."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.split("## Rooms")[1].split("The package root")[0]
    cells = [line.split("|")[2] for line in table.splitlines() if line.startswith("| ")][1:]
    return [set(re.findall(r"`(\w+)`", cell)) for cell in cells if "`stages/`" not in cell]


def layers() -> list[set[str]]:
    """Modules of every enforced layer, from the top down."""
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter", encoding="utf-8")
    lines = contracts["importlinter:contract:rooms"]["layers"].split("\n")
    return [set(re.findall(r"\w+", line)) for line in lines if line]


def test_every_module_is_in_one_room() -> None:
    modules = {path.stem for path in (ROOT / "rl_editor").glob("*.py") if path.stem != "__init__"}
    modules |= {path.parent.name for path in (ROOT / "rl_editor").glob("*/__init__.py")}
    named = [module for room in rooms() for module in room]
    assert sorted(named) == sorted(modules)


def test_rooms_are_whole_layers_in_their_order() -> None:
    room_of = {module: number for number, room in enumerate(rooms()) for module in room}
    numbers = [{room_of[module] for module in layer} for layer in layers()]
    assert all(len(number) == 1 for number in numbers), "a layer lies across rooms"
    assert numbers == sorted(numbers, key=min)


@pytest.mark.parametrize("modules", [READING, DECODING], ids=["READING", "DECODING"])
def test_a_digest_holds_all_code_that_hears(modules: tuple[str, ...]) -> None:
    """What is imported beside words and the shelf makes sound too: a change of it has to make cached results anew."""
    graph = grimp.build_graph("rl_editor")
    names = {f"rl_editor.{module.replace('/', '.')}" for module in modules}
    reached = {m for name in names for m in graph.find_upstream_modules(name, as_package=True)}
    beside = rooms()[-1] | rooms()[-2]
    left_out = {
        m for m in reached if m.split(".")[1] not in beside and not any(f"{m}.".startswith(f"{n}.") for n in names)
    }
    assert left_out == set()


def test_where_to_look_names_what_there_is() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.split("## Where to look")[1].split("## ")[0]
    named = set(re.findall(r"`([\w/.]+)`", table))
    modules = {module for room in rooms() for module in room}
    assert {name.rstrip("/") for name in named if not name.endswith(".py")} <= modules
    assert all((ROOT / "rl_editor" / name).is_file() for name in named if name.endswith(".py"))
