"""Stretches of a line: what several cover together, what they leave, and how far one lies over another.

Conventions: half-open ``(start, end)`` with start <= end, all in one unit (frames, seconds); in any order, overlapping
or not. What is returned is in order and without overlaps.
"""

from collections.abc import Collection, Iterable
from typing import TypeVar

import numpy as np
from jaxtyping import Shaped

Place = TypeVar("Place", int, float)


def union(spans: Iterable[tuple[Place, Place]], *, slack: float = 0) -> list[tuple[Place, Place]]:
    """What spans cover; gaps of at most ``slack`` count as covered."""
    covered: list[tuple[Place, Place]] = []
    for start, end in sorted(spans):
        if covered and start <= covered[-1][1] + slack:
            covered[-1] = covered[-1][0], max(covered[-1][1], end)
        else:
            covered.append((start, end))
    return covered


def total(spans: Iterable[tuple[Place, Place]]) -> Place:
    """Summed length; what overlaps counts each time."""
    return sum(end - start for start, end in spans)


def repeated(spans: Collection[tuple[Place, Place]]) -> Place:
    """Summed length of what is covered once more, the first times aside."""
    return total(spans) - total(union(spans))


def overlap(one: tuple[Place, Place], other: tuple[Place, Place]) -> Place:
    """Length that two spans share."""
    return max(min(one[1], other[1]) - max(one[0], other[0]), 0)


def overlaps(bounds: Shaped[np.ndarray, " bounds"], span: tuple[Place, Place]) -> Shaped[np.ndarray, " stretches"]:
    """Length that a span shares with each stretch between neighbouring bounds."""
    return np.asarray(np.maximum(np.minimum(bounds[1:], span[1]) - np.maximum(bounds[:-1], span[0]), 0))


def gaps(covered: list[tuple[int, int]], frames: int) -> list[tuple[int, int]]:
    """What of ``frames``, counted from 0, a ``union`` leaves."""
    edges = [0, *(edge for span in covered for edge in span), frames]
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]
