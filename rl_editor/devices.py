"""Where tensors live, and on how many threads they are computed.

The order of sums hangs on the number of threads: only a set number gives the same bytes on every machine of a kind.
"""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, NamedTuple

import torch

from rl_editor.config import TrainingConfig, check_device
from rl_editor.errors import ConfigError

_SIDE_BY_SIDE = 2
_log = logging.getLogger("rl_editor")


def resolve_device(name: str, *, setting: str = "training.device") -> torch.device:
    """``auto`` is CUDA where there is one; asking for CUDA without a GPU warns and gives the CPU.

    Raises:
        ConfigError: no such device.
    """
    check_device(name, setting=setting)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        _say_once(f"{setting} {name!r}: no GPU is to be had here; using the CPU")
        return torch.device("cpu")
    if device.type == "cuda" and (device.index or 0) >= (n_gpus := torch.cuda.device_count()):
        raise ConfigError(f"{setting} {name!r}: GPUs here are cuda:0 to cuda:{n_gpus - 1}; name one of them, or auto")
    return device


@cache
def _say_once(warning: str) -> None:
    _log.warning(warning)


def autocast(device: torch.device, config: TrainingConfig) -> torch.autocast:
    """bfloat16 on a GPU, where ``config.mixed_precision`` asks for it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.mixed_precision and device.type == "cuda")


@contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """Let torch use ``n`` threads (0 leaves it alone), and give back what was."""
    before = torch.get_num_threads()
    if n:
        torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class SideBySide(NamedTuple):
    """Computes several things at once, with the same results as one after the other."""

    n: int  # at once
    map: Callable[..., Iterator[Any]]  # as the builtin


def side_by_side(device: torch.device, threads: int) -> SideBySide:
    """Two at once on a CPU, whatever its cores, each on ``threads`` threads of torch's (0: as many as it takes).

    A GPU is kept busy by one.
    """
    if device.type != "cpu":
        return SideBySide(1, map)
    given = partial(torch.set_num_threads, threads) if threads else None
    return SideBySide(_SIDE_BY_SIDE, ThreadPoolExecutor(_SIDE_BY_SIDE, initializer=given).map)
