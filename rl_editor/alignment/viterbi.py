"""The exact best path through (edit frame, raw frame or unmatched), with one cost for any jump.

With c(i, j) = 1 - cos(E_i, R_j) over frames stacked +-s, lambda ``jump_cost`` and theta ``unmatched_cost``::

    D_i(j) = c(i, j) + min(D_{i-1}(j - 1), lambda + min_s D_{i-1}(s))
    D_i(U) = theta   + min(D_{i-1}(U),     lambda + min_s D_{i-1}(s))

The inner minimum is one number per step, so the whole is O(n m) and exact. Every step takes its own minimum off,
which turns the inner term into ``min(D, lambda)`` and keeps float32 exact enough for hours. A tie continues.
Back-pointers are one bit per cell and one argmin per step. The inner product of stacked frames is the sum along the
diagonal of plain products, so costs come from a GEMM over single frames.

A problem too large runs on averaged frames first, then exactly, inside bands of diagonals around the coarse runs.

Conventions: E edit, R raw; a path holds the raw frame of every edit frame, or ``UNMATCHED``.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from rl_editor.alignment.descriptors import coarsened
from rl_editor.config import AlignmentConfig

UNMATCHED = -1
BLOCK_CELLS = 1 << 20  # cost cells at a time: 4 MiB of float32
COARSE_CELLS = 2.5e8  # the coarse pass takes the smallest factor that comes below
COARSE_FACTORS = (2, 4, 8, 16, 32)
BAND_MARGIN_FRAMES = 96  # a band reaches this far beyond its coarse run's ends: 2.2 s at 23 ms
BAND_HALF_WIDTH_FACTORS = 2  # and this many coarse frames to either side of its diagonal


class Run(NamedTuple):
    """Edit frames [start, end) that play raw frames [start + offset, end + offset); offset None is unmatched."""

    start: int
    end: int
    offset: int | None


class Stacked(NamedTuple):
    """Rows padded by the stack on both ends, and 1 / norm of each stacked vector."""

    rows: Float32[np.ndarray, "padded bands"]
    scale: Float32[np.ndarray, " frames"]
    reach: int


class Band(NamedTuple):
    """Diagonals [low, low + width) that may be taken in edit frames [start, end)."""

    start: int
    end: int
    low: int
    width: int


def best_runs(
    edit: Float32[np.ndarray, "edit_frames bands"],
    raw: Float32[np.ndarray, "raw_frames bands"],
    config: AlignmentConfig,
) -> list[Run]:
    """The runs of the best path; straight for small problems, coarse to fine above ``coarse_above_cells``."""
    cells = len(edit) * len(raw)
    if cells <= config.coarse_above_cells:
        return runs_of(best_path(edit, raw, config))
    factor = next((f for f in COARSE_FACTORS if cells / f**2 <= COARSE_CELLS), COARSE_FACTORS[-1])
    coarse = best_path(coarsened(edit, factor), coarsened(raw, factor), config, frames_per_step=factor)
    bands = bands_around(runs_of(coarse), factor=factor, n_edit=len(edit))
    return runs_of(band_path(edit, raw, bands, config))


def best_path(
    edit: Float32[np.ndarray, "edit_frames bands"],
    raw: Float32[np.ndarray, "raw_frames bands"],
    config: AlignmentConfig,
    *,
    frames_per_step: int = 1,
) -> Int64[np.ndarray, " edit_frames"]:
    """The raw frame of every edit frame; ``frames_per_step`` says how many frames an averaged row stands for."""
    n, m = len(edit), len(raw)
    jump, unmatched = config.jump_cost / frames_per_step, config.unmatched_cost - 1.0
    left, right = stacked(edit, config.stack_frames), stacked(raw, config.stack_frames)
    bits = np.empty((n, (m + 7) // 8), np.uint8)
    ledger = _Ledger(n)
    cost, nothing = np.zeros(m, np.float32), jump  # the first frame may start anywhere in the raw
    block = max(8, min(256, BLOCK_CELLS // m))
    stays = np.zeros((block, m), np.bool_)
    for start in range(0, n, block):
        similarity = _similarity(left, right, start, min(start + block, n))
        for i, row in enumerate(similarity):
            cost, nothing = _step(cost, nothing, row, stays[i], ledger, start + i, jump=jump, unmatched=unmatched)
        bits[start : start + len(similarity)] = np.packbits(stays[: len(similarity)], axis=1)
    return _trace(ledger, bits)


def band_path(
    edit: Float32[np.ndarray, "edit_frames bands"],
    raw: Float32[np.ndarray, "raw_frames bands"],
    bands: Sequence[Band],
    config: AlignmentConfig,
) -> Int64[np.ndarray, " edit_frames"]:
    """The best path that keeps to the bands, by the same recurrence with diagonals for states."""
    n, jump, unmatched = len(edit), config.jump_cost, config.unmatched_cost - 1.0
    left, right = stacked(edit, config.stack_frames), stacked(raw, config.stack_frames)
    costs = [_band_similarity(left, right, band) for band in bands]
    first = np.concatenate([[0], np.cumsum([band.width for band in bands])]).astype(np.int64)
    diagonals = np.concatenate([[0], *(band.low + np.arange(band.width) for band in bands)])[1:].astype(np.int64)
    stays = np.zeros((n, first[-1]), np.bool_) if first[-1] else np.zeros((n, 1), np.bool_)
    ledger = _Ledger(n)
    cost, nothing = np.zeros(stays.shape[1], np.float32), jump
    for i in range(n):
        row = np.full(stays.shape[1], -np.inf, np.float32)
        for band, values, at in zip(bands, costs, first, strict=False):
            if band.start <= i < band.end:
                row[at : at + band.width] = values[i - band.start]
        cost, nothing = _step(cost, nothing, row, stays[i], ledger, i, jump=jump, unmatched=unmatched, shift=0)
    states = _trace(ledger, np.packbits(stays, axis=1), shift=0)
    matched = states != UNMATCHED
    states[matched] = diagonals[states[matched]] + np.flatnonzero(matched)
    return states


def bands_around(runs: Sequence[Run], *, factor: int, n_edit: int) -> list[Band]:
    """A band of fine diagonals around every matched coarse run."""
    half = BAND_HALF_WIDTH_FACTORS * factor
    return [
        Band(
            max(0, run.start * factor - BAND_MARGIN_FRAMES),
            min(n_edit, run.end * factor + BAND_MARGIN_FRAMES),
            run.offset * factor - half,
            2 * half + 1,
        )
        for run in runs
        if run.offset is not None
    ]


def runs_of(path: Int64[np.ndarray, " edit_frames"]) -> list[Run]:
    """Cut a path where it neither continues nor stays unmatched."""
    matched = path != UNMATCHED
    diagonal = np.where(matched, path - np.arange(len(path)), np.iinfo(np.int64).min)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(diagonal)) + 1]).tolist()
    ends = [*starts[1:], len(path)]
    return [Run(a, b, int(diagonal[a]) if matched[a] else None) for a, b in zip(starts, ends, strict=True)]


def stacked(rows: Float32[np.ndarray, "frames bands"], reach: int) -> Stacked:
    """Prepare rows for inner products of vectors stacked +-``reach`` frames."""
    padded = np.pad(rows, ((reach, reach), (0, 0)))
    energy = np.convolve((padded**2).sum(axis=1), np.ones(2 * reach + 1, np.float32), mode="valid")
    return Stacked(padded, (1.0 / np.sqrt(energy + 1e-6)).astype(np.float32), reach)


def diagonal_similarity(
    left: Stacked, right: Stacked, *, start: int, end: int, diagonal: int
) -> Float32[np.ndarray, " frames"]:
    """Cosine of edit frames [start, end) with the raw frames ``diagonal`` further on; all must exist."""
    reach = left.reach
    e = left.rows[start : end + 2 * reach]
    r = right.rows[start + diagonal : end + diagonal + 2 * reach]
    plain = np.einsum("ij,ij->i", e, r)
    sums = np.convolve(plain, np.ones(2 * reach + 1, np.float32), mode="valid")
    return np.asarray(sums * left.scale[start:end] * right.scale[start + diagonal : end + diagonal], dtype=np.float32)


class _Ledger:
    """What tracing back needs besides the bits: the best state and whether unmatched stayed, per step."""

    def __init__(self, n: int) -> None:
        self.best = np.empty(n, np.int64)
        self.nothing_stays = np.empty(n, np.bool_)


def _step(
    cost: Float32[np.ndarray, " states"],
    nothing: float,
    similarity: Float32[np.ndarray, " states"],
    stays: Bool[np.ndarray, " states"],
    ledger: _Ledger,
    i: int,
    *,
    jump: float,
    unmatched: float,
    shift: int = 1,
) -> tuple[Float32[np.ndarray, " states"], float]:
    """One step of the recurrence, all costs relative to the best; the constant 1 of c is left out everywhere."""
    before = cost[: len(cost) - shift]
    new = np.empty_like(cost)
    new[:shift] = jump
    np.less_equal(before, jump, out=stays[shift:])
    stays[:shift] = False
    np.minimum(before, jump, out=new[shift:])
    new -= similarity
    best = int(new.argmin())
    ledger.nothing_stays[i] = nothing <= jump
    nothing = unmatched + min(nothing, jump)
    lowest = float(new[best])
    if nothing < lowest:
        best, lowest = UNMATCHED, nothing
    ledger.best[i] = best
    new -= np.float32(lowest)
    return new, nothing - lowest


def _similarity(left: Stacked, right: Stacked, start: int, end: int) -> Float32[np.ndarray, "rows raw_frames"]:
    reach, m = left.reach, len(right.scale)
    products = left.rows[start : end + 2 * reach] @ right.rows.T
    total = products[: end - start, :m].copy()
    for k in range(1, 2 * reach + 1):
        total += products[k : k + end - start, k : k + m]
    total *= right.scale
    total *= left.scale[start:end, None]
    return np.asarray(total)


def _band_similarity(left: Stacked, right: Stacked, band: Band) -> Float32[np.ndarray, "rows width"]:
    n, m = len(left.scale), len(right.scale)
    values = np.full((band.end - band.start, band.width), -np.inf, np.float32)
    for k in range(band.width):
        diagonal = band.low + k
        start, end = max(band.start, -diagonal), min(band.end, m - diagonal, n)
        if start < end:
            values[start - band.start : end - band.start, k] = diagonal_similarity(
                left, right, start=start, end=end, diagonal=diagonal
            )
    return values


def _trace(
    ledger: _Ledger, bits: UInt8[np.ndarray, "edit_frames bytes"], *, shift: int = 1
) -> Int64[np.ndarray, " edit_frames"]:
    path = np.empty(len(ledger.best), np.int64)
    state = int(ledger.best[-1])
    for i in range(len(path) - 1, -1, -1):
        path[i] = state
        if i == 0:
            break
        if state == UNMATCHED:
            if not ledger.nothing_stays[i]:
                state = int(ledger.best[i - 1])
        elif bits[i, state >> 3] >> (7 - (state & 7)) & 1:
            state -= shift
        else:
            state = int(ledger.best[i - 1])
    return path
