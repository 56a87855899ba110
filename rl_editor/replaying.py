"""Computations of many small kernels, replayed on a GPU as one.

A step of the editing environment is some five hundred kernels of a few microseconds each; launching them one by one
takes several times longer than running them. A CUDA graph records them once and launches them together
(``torch.cuda.graph``).
"""

from collections.abc import Callable
from typing import Generic, TypeVar

import torch

_Given = TypeVar("_Given")


class Replayed(Generic[_Given]):
    """A computation that always has the same shapes and reads nothing back, recorded at its second call.

    The first call just runs. What a replay gives lies where the replay before put its own: use or copy it before the
    next.

    Args:
        compute: gives tensors; what it reads (weights, tables) must be changed in place alone.
        generator: what it draws from; may be seeded anew before every call. None where it draws nothing.
        enabled: False just runs it every time, as it must be on a CPU.
    """

    def __init__(
        self, compute: Callable[[], _Given], generator: torch.Generator | None = None, *, enabled: bool = True
    ) -> None:
        self._compute, self._generator, self._enabled = compute, generator, enabled
        self._graph: torch.cuda.CUDAGraph | None = None
        self._given: _Given | None = None
        self._warm = False

    def __call__(self) -> _Given:
        """What the computation gives."""
        if not (self._enabled and self._warm):
            self._warm = True
            return self._compute()
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            if self._generator is not None:
                self._graph.register_generator_state(self._generator)
            with torch.cuda.graph(self._graph):
                self._given = self._compute()
        self._graph.replay()
        assert self._given is not None
        return self._given
