"""Stretches of a line: what several cover together, and what they leave.

Conventions: half-open ``(start, end)`` with start <= end, all in one unit (frames, seconds); in any order, overlapping
or not. What is returned is in order and without overlaps.
"""

from collections.abc import Collection, Iterable
from typing import TypeVar

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


def gaps(covered: list[tuple[int, int]], frames: int) -> list[tuple[int, int]]:
    """What of ``frames``, counted from 0, a ``union`` leaves."""
    edges = [0, *(edge for span in covered for edge in span), frames]
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]
