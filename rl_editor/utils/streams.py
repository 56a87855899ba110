"""Streams of audio: arrays of frames by channels that follow each other, so that memory holds a piece at a time."""

from collections.abc import Iterable, Iterator
from itertools import chain
from math import ceil
from typing import TypeVar

import numpy as np
import soxr
from jaxtyping import Float32

Block = Float32[np.ndarray, "_frames _channels"]

_Part = TypeVar("_Part")


def begun(parts: Iterable[_Part]) -> tuple[_Part, Iterator[_Part]]:
    """The first of a stream that has one, and all of it."""
    following = iter(parts)
    first = next(following)
    return first, chain([first], following)


def at_rate(blocks: Iterable[Block], rate: int, target_rate: int) -> Iterator[Block]:
    """Blocks at ``rate`` Hz, resampled to ``target_rate``; as many frames as soxr gives, to one or two."""
    if rate == target_rate:
        yield from blocks
        return
    first, blocks = begun(blocks)
    stream = soxr.ResampleStream(rate, target_rate, first.shape[1], dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(np.ascontiguousarray(block))
    yield stream.resample_chunk(first[:0], last=True)


class Counted:
    """A stream that knows what has passed."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._blocks = blocks
        self.frames, self.channels = 0, 1

    def __iter__(self) -> Iterator[Block]:
        for block in self._blocks:
            self.frames, self.channels = self.frames + len(block), block.shape[1]
            yield block


def gathered(blocks: Iterable[Block], rate: int, target_rate: int) -> Block:
    """All of a stream at another rate: ceil(frames * target_rate / rate) frames."""
    buffer, passing = bytearray(), Counted(blocks)
    for part in at_rate(passing, rate, target_rate):
        buffer += part.tobytes()
    size = 4 * passing.channels * ceil(passing.frames * target_rate / rate)
    del buffer[size:]
    buffer += bytes(size - len(buffer))
    return np.frombuffer(buffer, np.float32).reshape(-1, passing.channels)


def of_length(blocks: Iterable[Block], frames: int) -> Iterator[Block]:
    """Blocks cut off after ``frames``, or followed by silence up to there."""
    left, channels = frames, 1
    for block in blocks:
        part = block[:left]
        left, channels = left - len(part), block.shape[1]
        if len(part):
            yield part
    if left:
        yield np.zeros((left, channels), np.float32)


class MovingWindow:
    """The part of a stream that overlapping pieces are read from."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._blocks = iter(blocks)
        self._held: list[Block] = []
        self._first = self._end = 0

    def read(self, first: int, last: int) -> Block:
        """Frames ``first`` up to ``last``, or to the end of the stream; ``first`` is not yet forgotten."""
        assert first >= self._first, f"frame {first} was forgotten, {self._first} on are held"
        while self._end < last and (block := next(self._blocks, None)) is not None:
            self._held.append(block)
            self._end += len(block)
        if len(self._held) > 1:
            self._held = [np.concatenate(self._held)]
        held = self._held[0] if self._held else np.empty((0, 1), np.float32)
        return held[first - self._first : max(last - self._first, 0)]

    def forget(self, before: int) -> None:
        """Give up what lies before a frame; it cannot be read again."""
        while self._held and self._first + len(self._held[0]) <= before:
            self._first += len(self._held.pop(0))
        if self._held and before > self._first:
            self._held[0] = self._held[0][before - self._first :].copy()
            self._first = before
