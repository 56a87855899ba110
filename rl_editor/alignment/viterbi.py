"""The exact best path through (edit frame, raw frame or unmatched), with one cost for any jump.

With c(i, j) = 1 - cos(E_i, R_j) over frames stacked +-s, lambda ``jump_cost`` and theta ``unmatched_cost``::

    D_i(j) = c(i, j) + min(D_{i-1}(j - 1), lambda + min_s D_{i-1}(s))
    D_i(U) = theta   + min(D_{i-1}(U),     lambda + min_s D_{i-1}(s))

The inner minimum is one number per step, so the whole is O(n m) and exact. Every step takes its own minimum off,
which turns the inner term into ``min(D, lambda)`` and keeps float32 exact enough for hours. A tie continues.
Back-pointers are one bit per cell and one argmin per step. The inner product of stacked frames is the sum along the
diagonal of plain products, so costs come from a GEMM over single frames.

The raw may be heard in several *views* (at other speeds and pitches, see ``views``): their frames stand one behind the
other as states of the same recurrence, and a path may jump between them as anywhere else.

A larger problem runs on averaged frames first, then exactly, inside bands of diagonals around the coarse runs.

Conventions: E edit, R raw; a state is a frame of one view, a path holds the state of every edit frame, or
``UNMATCHED``.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from rl_editor.alignment.descriptors import coarsened
from rl_editor.config import AlignmentConfig

UNMATCHED = -1
BLOCK_CELLS = 1 << 20  # cost cells at a time: 4 MiB of float32
COARSE_CELLS = 3.0e7  # the coarse pass takes the smallest factor that comes below
COARSE_FACTORS = (2, 4, 8)  # at 16, 0.37 s, a block of four beats is five frames
BAND_MARGIN_FRAMES = 512  # a band goes so far beyond its coarse run: 12 s, so twins within it are weighed again
SILENT_COST = 0.02  # per frame; less than a jump over 7 s
BAND_HALF_WIDTH_FACTORS = 2  # and this many coarse frames to either side of its diagonal


class Run(NamedTuple):
    """Edit frames [start, end) that play frames [start + offset, end + offset) of a view; offset None is unmatched."""

    start: int
    end: int
    offset: int | None
    view: int = 0


class Stacked(NamedTuple):
    """Rows padded by the stack on both ends, and 1 / norm of each stacked vector."""

    rows: Float32[np.ndarray, "padded bands"]
    scale: Float32[np.ndarray, " frames"]
    reach: int


class States(NamedTuple):
    """One view as states: its rows, and the raw frames that pass per row."""

    rows: Float32[np.ndarray, "frames bands"]
    speed: float = 1.0


class Band(NamedTuple):
    """Diagonals [low, low + width) of a view that may be taken in edit frames [start, end)."""

    start: int
    end: int
    low: int
    width: int
    view: int = 0


def best_runs(
    edit: Float32[np.ndarray, "edit_frames bands"],
    views: Sequence[States],
    config: AlignmentConfig,
    *,
    silent: Bool[np.ndarray, " edit_frames"] | None = None,
) -> list[Run]:
    """The runs of the best path; straight for small problems, coarse to fine above ``coarse_above_cells``."""
    factor = coarse_factor(len(edit) * sum(len(view.rows) for view in views), config)
    if factor == 1:
        return best_path(edit, views, config, silent=silent)
    coarse = coarse_runs(edit, views, config, factor=factor, silent=silent)
    return fine_runs(edit, views, coarse, config, factor=factor, silent=silent)


def coarse_factor(cells: int, config: AlignmentConfig) -> int:
    """How many frames the coarse pass averages; 1 is none."""
    if cells <= config.coarse_above_cells:
        return 1
    return next((f for f in COARSE_FACTORS if cells / f**2 <= COARSE_CELLS), COARSE_FACTORS[-1])


def coarse_runs(
    edit: Float32[np.ndarray, "edit_frames bands"],
    views: Sequence[States],
    config: AlignmentConfig,
    *,
    factor: int,
    silent: Bool[np.ndarray, " edit_frames"] | None,
) -> list[Run]:
    """The runs of the best path over averages of ``factor`` frames, in coarse frames."""
    return best_path(
        coarsened(edit, factor),
        [view._replace(rows=coarsened(view.rows, factor)) for view in views],
        config,
        frames_per_step=factor,
        silent=None if silent is None else np.logical_and.reduceat(silent, np.arange(0, len(silent), factor)),
    )


def fine_runs(
    edit: Float32[np.ndarray, "edit_frames bands"],
    views: Sequence[States],
    coarse: Sequence[Run],
    config: AlignmentConfig,
    *,
    factor: int,
    silent: Bool[np.ndarray, " edit_frames"] | None,
) -> list[Run]:
    """The runs of the best path near the coarse ones."""
    bands = bands_around(coarse, factor=factor, n_edit=len(edit), speeds=[view.speed for view in views])
    return band_path(edit, views, bands, config, silent=silent)


def best_path(
    edit: Float32[np.ndarray, "edit_frames bands"],
    views: Sequence[States],
    config: AlignmentConfig,
    *,
    frames_per_step: int = 1,
    silent: Bool[np.ndarray, " edit_frames"] | None = None,
) -> list[Run]:
    """The runs of the best path; ``frames_per_step`` says how many frames an averaged row stands for."""
    n = len(edit)
    first = np.concatenate([[0], np.cumsum([len(view.rows) for view in views])])
    m = int(first[-1])
    jump, unmatched = config.jump_cost / frames_per_step, _unmatched(n, silent, config)
    reach = -(-config.stack_frames // frames_per_step)
    left, rights = stacked(edit, reach), [stacked(view.rows, reach) for view in views]
    bits = np.empty((n, (m + 7) // 8), np.uint8)
    ledger = _Ledger(n)
    cost, nothing = np.zeros(m, np.float32), jump  # the first frame may start anywhere in the raw
    block = max(8, min(256, BLOCK_CELLS // m))
    stays = np.zeros((block, m), np.bool_)
    similarity = np.empty((block, m), np.float32)
    for start in range(0, n, block):
        rows = min(block, n - start)
        for right, (a, b) in zip(rights, pairwise(first), strict=True):
            similarity[:rows, a:b] = _similarity(left, right, start, start + rows)
        for i in range(rows):
            carried = np.zeros_like(cost)
            if start + i:
                carried[1:] = cost[:-1]
                carried[first[:-1]] = np.inf  # nothing comes before a view's first frame
            cost, nothing = _step(
                carried, nothing, similarity[i], stays[i], ledger, start + i, jump=jump, unmatched=unmatched[start + i]
            )
        bits[start : start + rows] = np.packbits(stays[:rows], axis=1)
    path = _trace(ledger, bits)
    view = np.searchsorted(first, path, side="right") - 1
    return runs_of(np.where(path == UNMATCHED, UNMATCHED, path - first[np.maximum(view, 0)]), view)


def band_path(
    edit: Float32[np.ndarray, "edit_frames bands"],
    views: Sequence[States],
    bands: Sequence[Band],
    config: AlignmentConfig,
    *,
    silent: Bool[np.ndarray, " edit_frames"] | None = None,
) -> list[Run]:
    """The runs of the best path that keeps to the bands, by the same recurrence with diagonals for states."""
    n, jump, unmatched = len(edit), config.jump_cost, _unmatched(len(edit), silent, config)
    left, rights = stacked(edit, config.stack_frames), [stacked(view.rows, config.stack_frames) for view in views]
    costs = [_band_similarity(left, rights[band.view], band) for band in bands]
    ledger, path, view = _Ledger(n), np.empty(n, np.int64), np.zeros(n, np.int64)
    spans: list[_BandSpan] = []
    cost, nothing, states = np.zeros(0, np.float32), jump, np.zeros(0, np.int64)
    for start, end in pairwise(sorted({0, n, *(b.start for b in bands), *(b.end for b in bands)})):
        span = _BandSpan.over(bands, start, end)
        parts = [costs[k][start - bands[k].start :][: end - start] for k in span.bands]
        values = np.concatenate([np.zeros((end - start, 0), np.float32), *parts], axis=1)
        cost, states = _carried(cost, states, span.states, fill=0.0 if start == 0 else np.inf), span.states
        for i in range(start, end):
            cost, nothing = _step(
                cost, nothing, values[i - start], span.stays[i - start], ledger, i, jump=jump, unmatched=unmatched[i]
            )
            if ledger.best[i] != UNMATCHED:
                ledger.best[i] = states[ledger.best[i]]
        spans.append(span)
    for span in reversed(spans):
        _trace_span(ledger, span, path)
    matched = np.flatnonzero(path != UNMATCHED)
    widths = np.concatenate([[0], np.cumsum([band.width for band in bands])])
    which = np.searchsorted(widths, path[matched], side="right") - 1
    lows, heard = (np.array([getattr(band, key) for band in bands], np.int64) for key in ("low", "view"))
    view[matched] = heard[which]
    path[matched] = path[matched] - widths[which] + lows[which] + matched
    return runs_of(path, view)


def bands_around(runs: Sequence[Run], *, factor: int, n_edit: int, speeds: Sequence[float] = (1.0,)) -> list[Band]:
    """A band of fine diagonals around every matched coarse run, and around the same raw in every other view."""
    half = BAND_HALF_WIDTH_FACTORS * factor
    bands = []
    for run in runs:
        if run.offset is None:
            continue
        start, end = run.start * factor, run.end * factor
        for view, speed in enumerate(speeds):
            ratio = speeds[run.view] / speed
            ends = [round((at + run.offset * factor) * ratio) - at for at in (start, end)]
            low, high = min(ends) - half, max(ends) + half
            first, last = max(0, start - BAND_MARGIN_FRAMES), min(n_edit, end + BAND_MARGIN_FRAMES)
            bands.append(Band(first, last, low, high - low + 1, view))
    return bands


def runs_of(
    path: Int64[np.ndarray, " edit_frames"], view: Int64[np.ndarray, " edit_frames"] | None = None
) -> list[Run]:
    """Cut a path of frames where it neither continues in its view nor stays unmatched."""
    matched = path != UNMATCHED
    view = np.zeros_like(path) if view is None else view
    diagonal = np.where(matched, path - np.arange(len(path)), np.iinfo(np.int64).min)
    changes = (np.diff(diagonal) != 0) | (matched[1:] & (np.diff(view) != 0))
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1]).tolist()
    ends = [*starts[1:], len(path)]
    return [
        Run(a, b, int(diagonal[a]), int(view[a])) if matched[a] else Run(a, b, None)
        for a, b in zip(starts, ends, strict=True)
    ]


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


def _unmatched(n: int, silent: Bool[np.ndarray, " edit_frames"] | None, config: AlignmentConfig) -> list[float]:
    """What each frame costs unmatched, less the constant 1: in silence, which tells no place, next to nothing."""
    quiet = np.zeros(n, np.bool_) if silent is None else silent
    return [(SILENT_COST if soft else config.unmatched_cost) - 1.0 for soft in quiet.tolist()]


class _Ledger:
    """What tracing back needs besides the bits: the best state and whether unmatched stayed, per step."""

    def __init__(self, n: int) -> None:
        self.best = np.empty(n, np.int64)
        self.nothing_stays = np.empty(n, np.bool_)


class _BandSpan(NamedTuple):
    """Edit frames [start, end) in which the same bands are open; states are numbered over all bands."""

    start: int
    end: int
    bands: list[int]
    states: Int64[np.ndarray, " open"]
    stays: Bool[np.ndarray, "span open"]

    @classmethod
    def over(cls, bands: Sequence[Band], start: int, end: int) -> "_BandSpan":
        """The bands that are open in all of [start, end)."""
        first = np.concatenate([[0], np.cumsum([band.width for band in bands])]).astype(np.int64)
        live = [k for k, band in enumerate(bands) if band.start <= start and end <= band.end]
        states = np.concatenate([np.zeros(0, np.int64), *(np.arange(first[k], first[k + 1]) for k in live)])
        return cls(start, end, live, states, np.zeros((end - start, len(states)), np.bool_))


def _step(
    carried: Float32[np.ndarray, " states"],
    nothing: float,
    similarity: Float32[np.ndarray, " states"],
    stays: Bool[np.ndarray, " states"],
    ledger: _Ledger,
    i: int,
    *,
    jump: float,
    unmatched: float,
) -> tuple[Float32[np.ndarray, " states"], float]:
    """One step of the recurrence, all costs relative to the best; the constant 1 of c is left out everywhere.

    ``carried`` holds the cost of each state's predecessor, and is written over.
    """
    np.less_equal(carried, jump, out=stays)
    new = np.minimum(carried, np.float32(jump), out=carried)
    new -= similarity
    best = int(new.argmin()) if len(new) else UNMATCHED
    ledger.nothing_stays[i] = nothing <= jump
    nothing = unmatched + min(nothing, jump)
    lowest = float(new[best]) if len(new) else np.inf
    if nothing < lowest:
        best, lowest = UNMATCHED, nothing
    ledger.best[i] = best
    new -= np.float32(lowest)
    return new, nothing - lowest


def _carried(
    cost: Float32[np.ndarray, " before"],
    states: Int64[np.ndarray, " before"],
    wanted: Int64[np.ndarray, " after"],
    *,
    fill: float,
) -> Float32[np.ndarray, " after"]:
    """The costs of the states that are open from here on; a band that opens has nothing to continue."""
    out = np.full(len(wanted), fill, np.float32)
    _, here, there = np.intersect1d(states, wanted, assume_unique=True, return_indices=True)
    out[there] = cost[here]
    return out


def _similarity(left: Stacked, right: Stacked, start: int, end: int) -> Float32[np.ndarray, "rows view_frames"]:
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


def _trace(ledger: _Ledger, bits: UInt8[np.ndarray, "edit_frames bytes"]) -> Int64[np.ndarray, " edit_frames"]:
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
            state -= 1
        else:
            state = int(ledger.best[i - 1])
    return path


def _trace_span(ledger: _Ledger, span: _BandSpan, path: Int64[np.ndarray, " edit_frames"]) -> None:
    """Trace back through a span; what came before its first frame is left in ``ledger.best`` of the frame before."""
    state = int(ledger.best[span.end - 1])
    column = int(np.searchsorted(span.states, state))
    for i in range(span.end - 1, span.start - 1, -1):
        path[i] = state
        stays = ledger.nothing_stays[i] if state == UNMATCHED else span.stays[i - span.start, column]
        if stays and i > 0:
            if i == span.start:
                ledger.best[i - 1] = state
        elif i > 0:
            state = int(ledger.best[i - 1])
            column = int(np.searchsorted(span.states, state))
