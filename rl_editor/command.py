"""What all command lines share: both spellings of options, logs on stderr, one line per error, exit codes.

Exit codes: 0 done; 1 a check failed (an edit that does not come from the raw); 2 wrong usage or bad input.
Options may be written with dashes or underscores: ``--data-dir`` and ``--data_dir``.
"""

import logging
import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from rl_editor.errors import PairRejectedError, RlEditorError

EXIT_CHECK_FAILED, EXIT_BAD_INPUT = 1, 2
CONTEXT = {"token_normalize_func": lambda token: token.replace("_", "-"), "help_option_names": ["-h", "--help"]}


def run(main: Callable[..., Any]) -> None:
    """Run one function as a command line; does not return."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(context_settings=CONTEXT, help=main.__doc__)(main)
    run_app(app)


def run_app(app: Callable[[], Any]) -> None:
    """Run a typer application; does not return."""
    set_up_logging()
    try:
        app()
    except PairRejectedError as error:
        sys.exit(_report(error, EXIT_CHECK_FAILED))
    except (RlEditorError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(EXIT_CHECK_FAILED)
        sys.exit(_report(error, EXIT_BAD_INPUT))


def set_up_logging() -> None:
    """Send the log of RL Editor to stderr; ``RL_EDITOR_LOG=debug`` shows more."""
    level = os.environ.get("RL_EDITOR_LOG", "info").upper()
    logging.basicConfig(stream=sys.stderr, format="%(levelname).1s %(message)s", level=logging.WARNING)
    logging.getLogger("rl_editor").setLevel(level if level in logging.getLevelNamesMapping() else logging.INFO)


def _report(error: Exception, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code
