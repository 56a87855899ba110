"""A command within the tests' process prints as one of its own would, and leaves nothing behind."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import in_process

from rl_editor import cli


def state(log: logging.Logger) -> tuple[object, ...]:
    """What a command could leave behind."""
    answers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    levels = (logging.root.level, log.level)
    return list(logging.root.handlers), levels, answers, list(sys.argv), os.getcwd(), sys.stderr


def test_the_log_reaches_the_commands_own_stderr_and_is_put_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours = logging.getLogger("rl_editor")
    before = state(ours)

    def app() -> None:
        ours.info("at work in %s", Path.cwd().name)
        logging.getLogger("somebody.else").info("chatter")
        print(sys.argv)
        sys.exit(3)

    monkeypatch.setattr(cli, "app", app)
    done = in_process("info", "x", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "['rl-editor', 'info', 'x']\n")
    assert done.stderr == f"I at work in {tmp_path.name}\n"
    after = state(ours)
    assert after == before
    assert caplog.messages == []


def test_what_the_hub_says_is_said_once() -> None:
    says = (
        "from rl_editor.command import set_up_logging; set_up_logging(); from huggingface_hub.utils import logging; "
        "logging.get_logger('huggingface_hub.file_download').warning('again in 1 s')"
    )
    done = subprocess.run([sys.executable, "-c", says], capture_output=True, text=True, check=True)
    assert done.stderr == "again in 1 s\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_while_python_ends_is_no_traceback(number: signal.Signals) -> None:
    ends = (
        "import atexit, signal, time; from rl_editor.command import run_app; signal.signal(signal.SIGINT, "
        f"signal.SIG_DFL); atexit.register(lambda: (signal.raise_signal({number}), time.sleep(9))); run_app(int)"
    )
    done = subprocess.run([sys.executable, "-c", ends], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-number, "")
