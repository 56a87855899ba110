"""The console command within the process of the tests: what it prints and its exit code, without another Python."""

import contextlib
import io
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from rl_editor.cli import main

Run = subprocess.CompletedProcess[str]


def in_process(*arguments: str, cwd: Path | None = None) -> Run:
    """As ``subprocess.run`` of ``rl-editor`` has it, its log too; whatever would end with a traceback is raised."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.chdir(cwd or Path.cwd()),
        patch.object(sys, "argv", ["rl-editor", *arguments]),
        _log_not_set_up(),
        _signals_as_they_are(),
    ):
        try:
            main()
            code: object = 0
        except SystemExit as left:
            code = left.code
    assert code is None or isinstance(code, int), code
    return Run(arguments, code or 0, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _log_not_set_up() -> Iterator[None]:
    """The log as a new process has it, so that the command sends it to its own stderr; afterwards as it was."""
    ours = logging.getLogger("rl_editor")
    levels = {log: log.level for log in (logging.root, ours)}
    with patch.object(logging.root, "handlers", []):
        try:
            yield
        finally:
            for log, level in levels.items():
                log.setLevel(level)


@contextlib.contextmanager
def _signals_as_they_are() -> Iterator[None]:
    """What a command has Ctrl-C and SIGTERM do ends with it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, answer in before.items():
            signal.signal(number, answer)
