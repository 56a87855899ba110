"""The console command within the process of the tests: what it prints and its exit code, without another Python."""

import contextlib
import io
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

from rl_editor.cli import main

Run = subprocess.CompletedProcess[str]


def in_process(*arguments: str, cwd: Path | None = None) -> Run:
    """As ``subprocess.run`` of ``rl-editor`` has it; whatever would end with a traceback is raised."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.chdir(cwd or Path.cwd()),
        patch.object(sys, "argv", ["rl-editor", *arguments]),
    ):
        try:
            main()
            code: object = 0
        except SystemExit as left:
            code = left.code
    assert code is None or isinstance(code, int), code
    return Run(arguments, code or 0, out.getvalue(), err.getvalue())
