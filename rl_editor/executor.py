"""The one seam through which all per-track work goes: serial or in processes, with the same results.

A work item is a plain function of plain values: ``fn`` is a module-level function (or a ``functools.partial`` of one),
items and values can be pickled, and an item done twice does no harm. Every item is computed by one thread wherever
it runs, since sums split over threads differ in their last bits: the number of workers never changes a result.

A fault of the input (``RlEditorError``, ``OSError``) is that item's ``error`` and the others go on; a disk that is full
or a model that is damaged raises, since it is no item's fault; any other exception is a fault of the program and
raises, too. A worker process that ends without an answer is its item's ``error``, and says how it ended; where none can
even begin, that raises.

When the run is left early (Ctrl-C, SIGTERM, a caller who wants no more), or this process is killed, workers leave the
item at hand and take what they had in scratch folders with them; none says a word.
"""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from typing import Any, Generic, TypeVar

from threadpoolctl import ThreadpoolController
from tqdm import tqdm

from rl_editor.errors import ConfigError, RlEditorError, said, stops_all

_Item = TypeVar("_Item")
_Value = TypeVar("_Value")

_task: list[Callable[[Any], Any]] = []  # of a worker process: what it does with every item
_at_work: list[Any] = []  # of a worker process: the item at hand
_ENDING = (signal.SIGINT, signal.SIGTERM)
_GRACE_S = 5.0  # for a worker to clear up after itself
_NO_START = (
    "executor.workers: no worker process can start; save your script as a file and put its work under if __name__ == "
    '"__main__":, since every worker imports it, or set executor.workers to 1'
)
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Outcome(Generic[_Item, _Value]):
    """What came of one item: its value, or the error that left it out."""

    item: _Item
    value: _Value | None
    error: str | None = None


def run_tracks(
    fn: Callable[[_Item], _Value],
    items: Sequence[_Item],
    *,
    workers: int,
    label: str = "",
    bar: "tqdm[Any] | None" = None,
    named: Callable[[_Item], str] | None = None,
) -> Iterator[Outcome[_Item, _Value]]:
    """Yield ``fn(item)`` for every item, in the order of the items.

    Args:
        fn: a module-level function of one plain value, or a ``functools.partial`` of one.
        items: plain values.
        workers: processes; 1 stays in this one, 0 is one per core.
        label: what the progress bar says.
        bar: a ``progress`` that several runs share, in place of one of its own.
        named: what a person calls an item, put before the error of a worker that ended without an answer; None leaves
            the naming to the caller.

    Raises:
        ConfigError: no worker process can start.
    """
    count = min(n_workers(workers), len(items))
    outcomes = _in_turn(fn, items) if count <= 1 else _in_processes(fn, items, count, named)
    with closing(outcomes), progress(len(items), label) if bar is None else nullcontext(bar) as shown:
        for outcome in outcomes:
            shown.update()
            yield outcome


def progress(n_items: int, label: str) -> "tqdm[Any]":
    """A progress bar; there is none when stderr is not a terminal."""
    return tqdm(total=n_items, desc=label or None, unit="track", disable=None)


def n_workers(workers: int) -> int:
    """The number of processes that ``executor.workers`` asks for; 0 is one per core that this process may use."""
    if workers > 0:
        return workers
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread in BLAS, OpenMP and torch, so that sums have one order."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    with _libraries(len(sys.modules)).limit(limits=1):
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


@lru_cache(maxsize=1)
def _libraries(n_modules: int) -> ThreadpoolController:
    """Libraries of threads, looked for again when modules have brought more: that takes as long as a cached track."""
    return ThreadpoolController()


def _in_turn(fn: Callable[[_Item], _Value], items: Sequence[_Item]) -> Generator[Outcome[_Item, _Value], None, None]:
    for item in items:
        yield _attempt(fn, item)


def _attempt(fn: Callable[[_Item], _Value], item: _Item) -> Outcome[_Item, _Value]:
    with one_thread():
        try:
            return Outcome(item, fn(item))
        except (RlEditorError, OSError) as error:
            if stops_all(error):
                raise
            return Outcome(item, None, said(error))


def _in_processes(
    fn: Callable[[_Item], _Value], items: Sequence[_Item], count: int, named: Callable[[_Item], str] | None
) -> Generator[Outcome[_Item, _Value], None, None]:
    """Yield in order; when a worker dies, find the culprit by running items alone, and go on with the rest."""
    done: dict[int, Outcome[_Item, _Value]] = {}
    at = 0
    while at < len(items):
        with _pool(min(count, len(items) - at), fn) as (pool, begun):
            futures: dict[int, Future[Outcome[_Item, _Value]]] = {}
            try:
                with _uninterrupted():  # workers are born here
                    for i in range(at, len(items)):
                        if i not in done:
                            futures[i] = pool.submit(_attempt_task, items[i])
                while at < len(items):
                    yield done.pop(at) if at in done else futures[at].result()
                    at += 1
            except BrokenProcessPool:
                if not begun.is_set():
                    raise ConfigError(_NO_START) from None
                done |= {i: future.result() for i, future in futures.items() if i > at and _succeeded(future)}
        if at < len(items):
            yield _alone(fn, items[at], named)
            at += 1


def _alone(fn: Callable[[_Item], _Value], item: _Item, named: Callable[[_Item], str] | None) -> Outcome[_Item, _Value]:
    others = set(multiprocessing.active_children())
    with _pool(1, fn) as (pool, _):
        with _uninterrupted():
            future = pool.submit(_attempt_task, item)
        own = set(multiprocessing.active_children()) - others
        try:
            return future.result()
        except BrokenProcessPool:
            pool.shutdown()  # joins the worker, which then has an exit code
            codes = [worker.exitcode for worker in own if worker.exitcode]
            error = f"its worker process {_ending(codes[0] if codes else None)}"
            return Outcome(item, None, f"{named(item)}: {error}" if named else error)


def _ending(exit_code: int | None) -> str:
    """How a worker ended; ``multiprocessing`` gives the number of a signal as a negative exit code."""
    if exit_code is None or exit_code >= 0:
        return f"ended without an answer (exit code {exit_code}); run it with executor.workers 1 to see why"
    name = signal.Signals(-exit_code).name
    if name == "SIGKILL":
        return "was killed (SIGKILL), as a system does that is out of memory; free some, or set executor.workers to 1"
    return f"crashed ({name}); is the file damaged? Convert it again, or leave it out"


@contextmanager
def _pool(count: int, fn: Callable[[Any], Any]) -> Iterator[tuple[ProcessPoolExecutor, Event]]:
    """Fresh interpreters, and what tells whether one has begun: a fork of a process with torch's threads may hang.

    ``fn`` goes to each worker once, not with every item: it may hold the manifest of a thousand tracks.
    """
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    others = set(multiprocessing.active_children())
    set_up = partial(_set_up_worker, fn, begun, logs=bool(logging.getLogger().handlers))
    with ProcessPoolExecutor(count, mp_context=context, initializer=set_up) as pool:
        try:
            yield pool, begun
        except BaseException:  # whatever it is, nobody waits for what workers are at
            _end(set(multiprocessing.active_children()) - others)
            pool.shutdown(cancel_futures=True)
            raise


def _end(workers: Iterable[BaseProcess]) -> None:
    """End workers: those that do not clear up in time are killed."""
    left = {worker.sentinel: worker for worker in workers}
    for worker in left.values():
        worker.terminate()
    until = time.monotonic() + _GRACE_S
    while left and (ended := wait(list(left), max(0.0, until - time.monotonic()))):
        left = {sentinel: worker for sentinel, worker in left.items() if sentinel not in ended}
    for worker in left.values():
        worker.kill()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back, also in processes that start meanwhile, until they are set up.

    A start that is broken off leaves a child that finds no task and says so with a traceback.
    """
    came: list[int] = []
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # only there Python answers signals
        before = {number: signal.signal(number, lambda n, _: came.append(n)) for number in _ENDING}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, answer in before.items():
            signal.signal(number, signal.SIG_DFL if answer is None else answer)
        for number in came[:1]:
            signal.raise_signal(number)


def _set_up_worker(fn: Callable[[Any], Any], begun: Event, *, logs: bool) -> None:
    """One thread; Ctrl-C is the parent's to answer, and a worker does not outlive a parent that was killed.

    It logs as commands do where the parent logs.
    """
    begun.set()
    _task.append(fn)
    if logs:
        from rl_editor.command import set_up_logging  # which loads what command lines need

        set_up_logging()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker has a parent"
    if not parent.is_alive():
        os._exit(1)
    threading.Thread(target=_leave_with_parent, args=(parent,), daemon=True).start()
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = "1"
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # held back since before this process began


def _leave(*_: object) -> None:
    """Leave the item at hand; what is open clears up on the way out, and no second signal disturbs it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if not _at_work:
        os._exit(1)  # the pool would print a traceback
    raise SystemExit(1)


def _attempt_task(item: Any) -> Outcome[Any, Any]:
    _at_work.append(item)
    try:
        return _attempt(_task[0], item)
    except SystemExit:
        os._exit(1)  # the pool would take it for an answer
    finally:
        _at_work.clear()


def _leave_with_parent(parent: BaseProcess) -> None:
    parent.join()
    main = threading.main_thread().ident
    if main is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main, signal.SIGTERM)
        time.sleep(_GRACE_S)
    os._exit(1)


def _succeeded(future: "Future[Outcome[_Item, _Value]]") -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
