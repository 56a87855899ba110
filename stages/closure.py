"""The code that a stage runs: its import closure, as ``dvc.yaml`` must list it.

``python -m stages.closure`` prints the code dependencies of every stage. Imports within functions count, except in
``main`` and ``from_file``: command lines and file openers that no stage calls; imports for type checkers do not.
``config`` is left out, since params cover it, and so are package roots that only gather names.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

STAGES = ("corpus", "decode", "separate", "features", "align", "bc", "reward_model", "ppo", "evaluate", "export")
LEFT_OUT = ("rl_editor/__init__.py", "rl_editor/config", "stages/__init__.py")

_OURS = ("rl_editor", "stages")
_NOT_RUN = ("main", "from_file")
_DATA = {"rl_editor/report": "rl_editor/templates"}  # code -> files that it reads


def code_dependencies(stage: str, root: Path = Path()) -> list[str]:
    """Files and package folders that a stage's code consists of, sorted."""
    pending, seen = [f"stages.{stage}"], set()
    while pending:
        module = pending.pop()
        location = _location(module, root)
        if location is None or location in seen:
            continue
        seen.add(location)
        entry = location == root / "stages" / f"{stage}.py"
        for file in sorted(location.glob("**/*.py")) if location.is_dir() else [location]:
            pending += _imports(file, skip=() if entry else _NOT_RUN)
    paths = {s.relative_to(root).as_posix() for s in seen}
    paths |= {data for code, data in _DATA.items() if code in paths}
    return sorted(paths - set(LEFT_OUT))


def _location(module: str, root: Path) -> Path | None:
    """The file of a module, or the folder of the package that it is or lies in; None for other people's."""
    parts = module.split(".")
    if parts[0] not in _OURS or len(parts) < 2:
        return None
    path = root.joinpath(*parts[:2])
    if (path / "__init__.py").is_file():  # rl_editor/cache/ holds results, rl_editor/cache.py the code
        return path
    return path.with_suffix(".py") if path.with_suffix(".py").is_file() else None


def _imports(file: Path, *, skip: tuple[str, ...]) -> Iterator[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in _walk(tree, skip):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute here"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _walk(node: ast.AST, skip: tuple[str, ...]) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef) and child.name in skip:
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _walk(child, skip)


if __name__ == "__main__":
    for name in STAGES:
        print(name, *(f"\n  - {path}" for path in code_dependencies(name)), sep="")
