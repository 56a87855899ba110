"""The executor: the same outcomes in the same order, serial or in processes."""

import errno
import io
import logging
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController
from tqdm import tqdm

from rl_editor import executor
from rl_editor.errors import AudioFileError, OutputError
from rl_editor.executor import Outcome, n_workers, one_thread, run_tracks
from rl_editor.files import scratch_folder


def double(item: int, *, offset: int = 0) -> int:
    time.sleep(0.02 * (3 - item % 4))  # later items finish first
    return 2 * item + offset


def picky(item: str) -> str:
    if item == "bad":
        raise AudioFileError("bad: 0.1 s of audio, at least 3 s are needed; is the file cut off?")
    if item == "gone":
        raise FileNotFoundError("gone.wav")
    if item == "bug":
        raise ValueError("a fault of the program")
    if item == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "crashed":
        os.kill(os.getpid(), signal.SIGSEGV)
    if item == "left":
        os._exit(7)
    return item.upper()


def sleepy(_: int) -> None:
    with scratch_folder():
        time.sleep(60)


def sleep_in_two_processes() -> None:
    list(run_tracks(sleepy, range(9), workers=2))


def warn(item: int) -> None:
    logging.getLogger("rl_editor.somewhere").warning("item %d is odd", item)


def warn_in_two_processes() -> None:
    list(run_tracks(warn, range(2), workers=2))


def process(_: int) -> int:
    return os.getpid()


def threads(_: int) -> list[int]:
    from threadpoolctl import threadpool_info

    np.ones((4, 4)) @ np.ones((4, 4))
    return [library["num_threads"] for library in threadpool_info()]


@pytest.mark.parametrize("workers", [1, 2])
def test_outcomes_come_in_the_order_of_the_items(workers):
    outcomes = list(run_tracks(partial(double, offset=1), range(6), workers=workers))
    assert outcomes == [Outcome(i, 2 * i + 1) for i in range(6)]


def test_no_items():
    assert list(run_tracks(double, [], workers=2)) == []


class Pickled:
    """A task that counts how often it is sent."""

    times = 0

    def __call__(self, item: int) -> int:
        return item

    def __reduce__(self):
        Pickled.times += 1
        return Pickled, ()


def test_the_task_is_sent_to_each_worker_and_not_with_each_item():
    assert [outcome.value for outcome in run_tracks(Pickled(), range(20), workers=2)] == list(range(20))
    assert Pickled.times <= 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_item_does_not_stop_the_others(workers):
    a, bad, gone, b = run_tracks(picky, ["a", "bad", "gone", "b"], workers=workers)
    assert (a.value, b.value) == ("A", "B")
    assert bad.value is None
    assert bad.error == "bad: 0.1 s of audio, at least 3 s are needed; is the file cut off?"
    assert "gone.wav" in (gone.error or "")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_fault_of_the_program_raises(workers):
    with pytest.raises(ValueError, match="a fault of the program"):
        list(run_tracks(picky, ["a", "bug", "b"], workers=workers))


@pytest.mark.parametrize(
    ("item", "error"),
    [
        ("killed", "its worker process was killed (SIGKILL), as a system does that is out of memory; free some,"),
        ("crashed", "its worker process crashed (SIGSEGV); is the file damaged?"),
        ("left", "its worker process ended without an answer (exit code 7);"),
    ],
)
def test_a_worker_that_ends_is_its_items_error_and_says_how(item, error):
    outcomes = list(run_tracks(picky, ["a", item, "b", "c"], workers=2))
    assert [outcome.value for outcome in outcomes] == ["A", None, "B", "C"]
    assert (outcomes[1].error or "").startswith(error)


def test_only_a_worker_that_ended_is_named_since_other_errors_name_what_they_are_about():
    outcomes = list(run_tracks(picky, ["killed", "bad"], workers=2, named=lambda item: f"song {item}"))
    assert (outcomes[0].error or "").startswith("song killed: its worker process was killed")
    assert (outcomes[1].error or "").startswith("bad: 0.1 s of audio")


def test_a_script_that_every_worker_would_run_again_is_told_so_once(tmp_path):
    """Each of its workers dies of it: one item after the other would be left out, with two tracebacks each."""
    script = tmp_path / "script.py"
    script.write_text("from rl_editor.executor import run_tracks\nlist(run_tracks(abs, range(40), workers=2))\n")
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, script], env=os.environ | {"PYTHONPATH": str(root)}, stderr=subprocess.PIPE, text=True
    )
    assert done.returncode == 1
    assert done.stderr.count("__main__") <= 1 + 2 * 4  # ours, and those of Python itself for two workers
    assert "ConfigError: executor.workers: no worker process can start; save your script" in done.stderr


def full(item: str) -> str:
    if item == "full":
        raise OSError(errno.ENOSPC, "No space left on device", "out.wav")
    raise OutputError("out.wav: writing fails")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("item", ["full", "unwritten"])
def test_a_full_disk_is_no_items_fault(workers, item):
    """Else a stage would leave out every track that came after, and call itself done."""
    with pytest.raises((OSError, OutputError), match=r"out\.wav"):
        list(run_tracks(full, [item, item], workers=workers))


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_is_computed_by_one_thread(workers):
    for outcome in run_tracks(threads, [0, 1], workers=workers):
        assert set(outcome.value) == {1}


def test_libraries_of_threads_are_looked_for_once_until_modules_come(monkeypatch):
    found = []
    monkeypatch.setattr(executor, "ThreadpoolController", lambda: found.append(1) or ThreadpoolController())
    executor._libraries.cache_clear()
    list(run_tracks(str, [0, 1, 2], workers=1))
    assert len(found) == 1
    monkeypatch.setitem(sys.modules, "one_more", sys)
    list(run_tracks(str, [0, 1, 2], workers=1))
    assert len(found) == 2


def test_one_thread_puts_torch_back():
    import torch

    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_outcomes_are_lazy_and_can_be_left():
    outcomes = run_tracks(double, range(1000), workers=2)
    assert next(outcomes).value == 0
    began = time.monotonic()
    outcomes.close()
    assert time.monotonic() - began < 10  # 1,000 items would take 1000 * 0.03 / 2 = 15 s


def test_no_bar_without_a_terminal(capsys):
    list(run_tracks(double, range(2), workers=1, label="songs"))
    assert capsys.readouterr().err == ""


def test_zero_workers_is_one_per_core_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 3, 7, 11}, raising=False)
    assert (n_workers(0), n_workers(3)) == (5, 3)


def test_a_single_item_needs_no_process():
    (outcome,) = run_tracks(process, [0], workers=8)
    assert outcome.value == os.getpid()


def test_a_bar_counts_items():
    with tqdm(total=3, file=io.StringIO()) as bar:
        list(run_tracks(double, range(3), workers=1, bar=bar))
    assert bar.n == 3


def test_workers_log_as_the_command_does():
    command = "from rl_editor.command import run; from tests import test_executor as t; run(t.warn_in_two_processes)"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
    )
    assert sorted(done.stderr.splitlines()) == ["W item 0 is odd", "W item 1 is odd"]


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, ""), (signal.SIGTERM, 143, ""), (signal.SIGKILL, -signal.SIGKILL, None)],
)
@pytest.mark.parametrize("n_at_work", [0, 2])
def test_a_run_that_is_ended_takes_its_workers_and_their_scratch_along(tmp_path, number, code, said, n_at_work):
    """``n_at_work`` 0 is while workers start: those of a terminal hear Ctrl-C as well, before they can ignore it."""
    command = "from rl_editor.command import run; from tests import test_executor as t; run(t.sleep_in_two_processes)"
    with subprocess.Popen(
        [sys.executable, "-c", command],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        cwd=Path(__file__).parents[1],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until = time.monotonic() + 120
        while time.monotonic() < until and (
            len(list(tmp_path.iterdir())) < n_at_work or len(children.read_text().split()) < 3
        ):
            time.sleep(0.01)
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        heard = process.communicate(timeout=50)[1]  # until workers are gone, which share stderr; they sleep for 60 s
    assert process.returncode == code
    assert said is None or heard.strip() == said
    assert not list(tmp_path.iterdir())
