"""What all command lines share: both spellings of options, logs on stderr, one line per error, exit codes.

Exit codes: 0 done; 1 a check failed (an edit that does not come from the raw); 2 wrong usage or bad input; 130 ended
by Ctrl-C, 143 by SIGTERM: both clear up.
Options may be written with dashes or underscores: ``--data-dir`` and ``--data_dir``.
"""

import logging
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from rl_editor.config import Config
from rl_editor.errors import ConfigError, PairRejectedError, RlEditorError, said
from rl_editor.files import check_writable

EXIT_CHECK_FAILED, EXIT_BAD_INPUT = 1, 2
EDITS = ".json"  # the name of an edit list ends so
_EXPONENT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")
CONTEXT = {"token_normalize_func": lambda token: token.replace("_", "-"), "help_option_names": ["-h", "--help"]}


def counted(n: int | float, thing: str) -> str:
    """So many of a thing; a number with a fraction to six digits at most."""
    return f"{format(n, 'g') if isinstance(n, float) else n} {thing}{'' if n == 1 else 's'}"


def run(main: Callable[..., Any]) -> None:
    """Run one function as a command line; does not return."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(context_settings=CONTEXT, help=main.__doc__)(main)
    run_app(app)


def run_app(app: Callable[[], Any]) -> None:
    """Run a typer application; does not return."""
    set_up_logging()
    answers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: _terminated}
    ours = [number for number in answers if signal.getsignal(number) is signal.SIG_DFL]  # as the package has Ctrl-C
    for number in ours:
        signal.signal(number, answers[number])
    try:
        app()
    except PairRejectedError as error:
        sys.exit(_report(error, EXIT_CHECK_FAILED))
    except (RlEditorError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(EXIT_CHECK_FAILED)
        sys.exit(_report(error, EXIT_BAD_INPUT))
    finally:
        for number in ours:  # nothing is left to clear up; an exception while Python ends would be a traceback
            signal.signal(number, signal.SIG_DFL)


def _terminated(number: int, _: object) -> None:
    """End as by Ctrl-C, so that nothing half-written and no worker is left behind."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def optional_value(*names: str) -> type[TyperCommand]:
    """A command whose options ``names`` may stand without a value, which then is empty."""

    class Command(TyperCommand):
        """Reads a bare option at the end, or before another option, as one with an empty value."""

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            following = [*args, "--"][1:]
            bare = [name in names and after.startswith("-") for name, after in zip(args, following, strict=True)]
            return super().parse_args(ctx, [f"{a}=" if alone else a for a, alone in zip(args, bare, strict=True)])

    return Command


def read_settings(path: Path) -> dict[str, Any]:
    """The sections of a settings file, numbers as YAML 1.2 and DVC read them: ``3e-05`` is a number.

    Raises:
        ConfigError: the file is missing, is not YAML, holds no sections, or a setting twice.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML 1.1 of PyYAML wants a point in every number with an exponent, and takes the last of two settings."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            names = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
            twice = [name for name, n in names.items() if n > 1]
            if twice:
                raise ConfigError(
                    f"{path}: {twice[0]} stands {names[twice[0]]} times in one section; leave one of them"
                )
            return super().construct_mapping(node, deep)

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; a settings file like params.yaml is needed") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: not readable YAML ({error}); is it a settings file like params.yaml?") from error
    if not isinstance(values, Mapping | None):
        raise ConfigError(f"{path}: holds {type(values).__name__}, expected sections of settings")
    return dict(values or {})


def read_config(path: Path | None) -> Config:
    """The settings in a file, or the defaults where none is named.

    Raises:
        ConfigError: the file is missing, is not YAML, or holds wrong settings.
    """
    return Config.from_dict(read_settings(path)) if path else Config()


def overlaid(values: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Sections of settings, those of ``over`` laid upon them key by key; what is no section ``Config`` refuses."""
    result = dict(values)
    for section, own in over.items():
        below = result.get(section, {})
        if isinstance(below, Mapping):
            result[section] = {**below, **own} if isinstance(own, Mapping) else own
    return result


def set_up_logging() -> None:
    """Send the log of RL Editor to stderr; ``RL_EDITOR_LOG=debug`` shows more."""
    level = os.environ.get("RL_EDITOR_LOG", "info").upper()
    logging.basicConfig(stream=sys.stderr, format="%(levelname).1s %(message)s", level=logging.WARNING)
    logging.getLogger("huggingface_hub").propagate = False  # it has a handler of its own
    logging.getLogger("rl_editor").setLevel(level if level in logging.getLevelNamesMapping() else logging.INFO)


def refuse_overwriting(outputs: Mapping[str, Path | None], *inputs: Path | None) -> None:
    """Refuse to write over what is read, which may be the only copy there is, or to write one file twice.

    Args:
        outputs: the option that names it, and the file.
        inputs: all that the command reads.

    Raises:
        ConfigError: a file is read as well, or written by two options.
    """
    taken = {_identity(path): f"{path}, which is read here" for path in inputs if path is not None}
    for option, path in outputs.items():
        if path is None:
            continue
        whose = taken.setdefault(_identity(path), f"what {option} writes")
        if whose != f"what {option} writes":
            raise ConfigError(f"{path}: {option} would overwrite {whose}; name another file to write")


def check_edit_list(path: Path, option: str) -> None:
    """Refuse to write an edit list under a name that no command would read it by, a recording's perhaps.

    Raises:
        ConfigError: it is no .json, or cannot be written.
    """
    if path.suffix.lower() != EDITS:
        raise ConfigError(f"{path}: {option} is an edit list (JSON); name it {path.with_suffix(EDITS).name}")
    check_writable(path, option)


def _identity(path: Path) -> tuple[int, int] | str:
    """The same for all names of a file."""
    try:
        found = path.stat()
    except OSError:  # it is not there yet; links in a circle too
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def _report(error: RlEditorError | OSError, code: int) -> int:
    print(f"error: {said(error)}", file=sys.stderr)
    return code
