"""What mastering did to the raw, as one short filter, and lags settled where samples are most like its prediction.

Conventions as in ``refine``. ``Mastering`` predicts the edit from the raw: a FIR that holds gain, polarity, static EQ
and any phase they turned. The transfer function is Welch's H1 = S_xy / S_xx.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import scipy.fft
import scipy.linalg
import scipy.signal
from jaxtyping import Complex, Float, Float32, Int64

from rl_editor.alignment.refine.lags import SETTLING_REACH, Pair, Placed, refined, spread
from rl_editor.utils import padded_span

TRANSFER_SAMPLES = 4096
TRANSFER_WINDOWS = 64
TAPS_REACH = 256  # taps to either side
FILTER_BLOCK = 1 << 16  # samples filtered at a time
SETTLING_WINDOWS = 5
SETTLINGS = 3
KERNEL_REACH, FINEST_STEPS = 9, 64  # samples to either side, parts of a sample
DELAY_REACH = 16  # taps to either side of a fraction of a sample
DELAY_BLOCK = 64  # samples read at a time
UNLIKE_FACTOR, UNLIKE_SPARE = 2.0, 0.005  # times 1 - r of a good window, and more, that still teaches the filter
REGULARISATION = 1e-3  # of the mean spectral power
LEVELLED_DB = 1.0  # runs as far apart as this are levelled before the filter is learned; less is what a compressor does
LEVELLINGS, LEVEL_STEP = 8, 1.005  # at most, and until no run's gain changes by more than this factor
LEAST_GAIN = 1e-2  # -40 dB: of a run against the median


@dataclass(frozen=True, eq=False)
class Mastering:
    """The edit predicted from the raw by a filter of 2 * ``TAPS_REACH`` + 1 taps, the middle one at lag 0."""

    pair: Pair
    taps: Float[np.ndarray, " taps"]
    gain: float  # root of the power gain, signed by polarity
    _blocks: dict[tuple[int, int], Float32[np.ndarray, " samples"]] = field(default_factory=dict)

    @cached_property
    def loudness(self) -> float:
        """Mean power of the edit."""
        return float(self.pair.edit @ self.pair.edit) / len(self.pair.edit)

    @property
    def polarity(self) -> float:
        """+1, or -1 where the edit is upside down."""
        return float(np.sign(self.gain))

    def of_edit(self, edit: Float32[np.ndarray, " edit_samples"]) -> "Mastering":
        """The same of an edit that differs in level alone."""
        return Mastering(replace(self.pair, edit=edit), self.taps, self.gain)

    def predict(self, run: Placed, *, start: int, length: int) -> Float32[np.ndarray, " samples"]:
        """What edit samples [start, start + length) should be if they play as this run does."""
        lag = run.lag or 0.0
        whole = int(np.floor(lag))
        if lag == whole:
            return self._filtered(run.view, start + whole, length)
        span = self._filtered(run.view, start + whole - DELAY_REACH + 1, length + 2 * DELAY_REACH - 1)
        return _convolved(span, _delay(round(lag - whole, 3)))

    def _filtered(self, view: int, start: int, length: int) -> Float32[np.ndarray, " samples"]:
        """A view's sound as mastered, from blocks that are filtered once."""
        blocks = range(start // FILTER_BLOCK, (start + length - 1) // FILTER_BLOCK + 1)
        parts = [self._block(view, k) for k in blocks]
        joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return joined[start - blocks[0] * FILTER_BLOCK :][:length]

    def _block(self, view: int, k: int) -> Float32[np.ndarray, " samples"]:
        if (view, k) not in self._blocks:
            sound = self.pair.views[view].sound
            assert sound is not None, "samples are predicted where samples follow"
            span = padded_span(sound, k * FILTER_BLOCK - TAPS_REACH, FILTER_BLOCK + 2 * TAPS_REACH)
            self._blocks[view, k] = scipy.signal.oaconvolve(span, self.taps, mode="valid").astype(np.float32)
        return self._blocks[view, k]


@lru_cache(maxsize=1024)
def _delay(share: float) -> Float32[np.ndarray, "block_reach block"]:
    """A windowed sinc that reads a signal ``share`` samples later than its middle tap, as the matrix of a block."""
    at = np.arange(2 * DELAY_REACH) - DELAY_REACH + share
    taps = np.sinc(at) * np.cos(np.pi / 2 * at / DELAY_REACH) ** 2
    column = np.concatenate([taps[::-1], np.zeros(DELAY_BLOCK - 1)])
    return np.asarray(scipy.linalg.toeplitz(column, np.zeros(DELAY_BLOCK)), dtype=np.float32)


def _convolved(
    samples: Float32[np.ndarray, " n"], matrix: Float32[np.ndarray, "block_reach block"]
) -> Float32[np.ndarray, " valid"]:
    """The valid part of a convolution, block by block as one matrix product: four times as fast as sample by sample."""
    reach, block = matrix.shape
    length = len(samples) - (reach - block)
    count = max(1, -(-length // block))
    padded = np.pad(samples, (0, count * block + reach - block - len(samples)))
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, reach)[::block] @ matrix).ravel()[:length]


def learn_mastering(runs: Sequence[Placed], pair: Pair) -> Mastering:
    """Estimate the filter from windows spread over all matched runs; loud ones do not outweigh the usual.

    Windows that are much less alike than the best quarter (a run that is wrong, something laid over) teach nothing.
    """
    matched = [run for run in runs if run.lag is not None and run.end - run.start >= TRANSFER_SAMPLES]
    sampled = [run for run in matched if pair.sound(run) is not None]
    if not sampled:
        return Mastering(pair, scipy.signal.unit_impulse(2 * TAPS_REACH + 1, TAPS_REACH), power_gain(matched, pair))
    x, y, of = _windows(sampled, pair)
    sums = (np.abs(x) ** 2).sum(axis=1)
    alike = np.abs((y * np.conj(x)).real.sum(axis=1)) / np.sqrt(sums * (np.abs(y) ** 2).sum(axis=1) + 1e-12)
    loudness = float(pair.raw @ pair.raw) / len(pair.raw)
    usual = loudness * TRANSFER_SAMPLES**2 / 8  # 2/3 of what a Hann window's bins have together, loudness * n^2 * 3/16
    unlike = 1.0 - alike
    weights = (unlike <= UNLIKE_FACTOR * np.quantile(unlike, 0.25) + UNLIKE_SPARE) / (sums + usual)
    transfer = _levelled(_Windows(x, y, of), weights)
    power = weights @ (np.abs(x) ** 2)
    gain = float(np.sqrt(np.sum(np.abs(transfer) ** 2 * power) / (power.sum() + 1e-12)))
    return Mastering(pair, _taps(transfer), gain if np.sum(transfer.real * power) >= 0 else -gain)


class _Windows(NamedTuple):
    """Spectra of what plays and of what is heard, and the run that each window is of."""

    played: Complex[np.ndarray, "windows bins"]
    heard: Complex[np.ndarray, "windows bins"]
    of: Int64[np.ndarray, " windows"]


def _windows(runs: Sequence[Placed], pair: Pair) -> _Windows:
    """Of runs whose samples follow."""
    total = sum(run.end - run.start for run in runs)
    window = scipy.signal.windows.hann(TRANSFER_SAMPLES, sym=False)
    played, heard, of = [], [], []
    for k, run in enumerate(runs):
        sound = pair.sound(run)
        assert sound is not None
        count = max(1, round(TRANSFER_WINDOWS * (run.end - run.start) / total))
        for start in spread(run, TRANSFER_SAMPLES, count):
            played.append(fractional_slice(sound, start + (run.lag or 0.0), TRANSFER_SAMPLES))
            heard.append(pair.edit[start : start + TRANSFER_SAMPLES])
            of.append(k)
    return _Windows(scipy.fft.rfft(np.stack(played) * window), scipy.fft.rfft(np.stack(heard) * window), np.array(of))


def _levelled(windows: _Windows, weights: Float[np.ndarray, " windows"]) -> Complex[np.ndarray, " bins"]:
    """The transfer function of the median level: where runs were set louder and softer, each gain is learned with it.

    Otherwise soft runs, which have a sound of their own, would make an EQ of their level.
    """
    gains = np.ones(len(weights))
    transfer = _transfer(windows, weights, gains)
    for _ in range(LEVELLINGS):
        found = _gains(windows, weights, transfer)
        if np.all(gains == 1.0) and np.all(np.abs(20 * np.log10(found)) < LEVELLED_DB):
            break
        settled_down = np.all(np.abs(np.log(found / gains)) < np.log(LEVEL_STEP))
        gains, transfer = found, _transfer(windows, weights, found)
        if settled_down:
            break
    return transfer


def _transfer(
    windows: _Windows, weights: Float[np.ndarray, " windows"], gains: Float[np.ndarray, " windows"]
) -> Complex[np.ndarray, " bins"]:
    """H1 = S_xy / S_xx, with every window's gain taken off."""
    cross = (weights / gains) @ (windows.heard * np.conj(windows.played))
    power = weights @ (np.abs(windows.played) ** 2)
    flat, weak = float(cross.real.sum() / (power.sum() + 1e-12)), REGULARISATION * power.mean() + 1e-12
    return np.asarray((cross + flat * weak) / (power + weak))  # where there is little to learn from, a plain copy


def _gains(
    windows: _Windows, weights: Float[np.ndarray, " windows"], transfer: Complex[np.ndarray, " bins"]
) -> Float[np.ndarray, " windows"]:
    """The gain of each window's run, sum of Re(Y conj(H X)) over sum of |H X|^2, against the median window's.

    Windows that teach nothing (``weights`` of 0) have no say; a run without others has the gain 1.
    """
    predicted = windows.played * transfer
    cross = weights * (windows.heard * np.conj(predicted)).real.sum(axis=1)
    power = weights * (np.abs(predicted) ** 2).sum(axis=1)
    by_run = np.bincount(windows.of, cross) / (np.bincount(windows.of, power) + 1e-12)
    taught = np.bincount(windows.of, weights) > 0
    found = np.where(taught, by_run, 1.0)[windows.of]
    middle = float(np.median(found[taught[windows.of]]))
    against = np.maximum(found / max(middle, LEAST_GAIN), LEAST_GAIN)
    return np.asarray(np.where(taught[windows.of], against, 1.0))


def settled(run: Placed, mastering: Mastering) -> Placed:
    """The run with its lag moved, over ``SETTLING_REACH`` samples, to where its samples are most like the prediction.

    Whitened peaks may lean to one side; this one does not. Between samples the correlation is read by a windowed sinc.
    """
    length = min(TRANSFER_SAMPLES, run.end - run.start)
    starts = spread(run, length, SETTLING_WINDOWS)
    if not mastering.pair.is_sampled(run) or not starts:
        return run
    for _ in range(SETTLINGS):
        alike = np.sum([_likeness(run, start, length, mastering) for start in starts], axis=0)
        peak = int(alike.argmax())
        if abs(peak - SETTLING_REACH) <= SETTLING_REACH - KERNEL_REACH:
            break
        run = replace(run, lag=(run.lag or 0.0) + peak - SETTLING_REACH)
    between = peak + np.arange(-FINEST_STEPS, FINEST_STEPS + 1) / FINEST_STEPS
    away = between[:, None] - np.arange(len(alike))
    kernel = np.sinc(away) * np.cos(np.pi / 2 * np.clip(away / KERNEL_REACH, -1.0, 1.0)) ** 2
    best = float(between[int((kernel @ alike).argmax())])
    return replace(run, lag=(run.lag or 0.0) + best - SETTLING_REACH)


def settled_piece(piece: Placed, mastering: Mastering) -> Placed:
    """A piece of a run by its own samples: its place may have been found with what lies beside it."""
    score = refined(piece, mastering.pair, polarity=mastering.polarity).score
    return replace(settled(piece, mastering), score=score)


def _likeness(run: Placed, start: int, length: int, mastering: Mastering) -> Float[np.ndarray, " shifts"]:
    """Correlation coefficient of a window with the prediction, ``SETTLING_REACH`` samples earlier to as many later."""
    heard = mastering.pair.edit[start : start + length]
    around = mastering.predict(run, start=start - SETTLING_REACH, length=length + 2 * SETTLING_REACH)
    cross = np.correlate(around, heard, mode="valid").astype(np.float64)
    power = np.convolve(around**2, np.ones(length, np.float32), mode="valid")
    return np.asarray(cross / np.sqrt(power * float(heard @ heard) + 1e-12))


def power_gain(runs: Sequence[Placed], pair: Pair) -> float:
    """The level of the edit over that of the raw that it plays, where samples do not follow."""
    heard, played = 1e-12, 1e-12
    for run in runs:
        speed = pair.views[run.view].speed
        start, end = (round((at + (run.lag or 0.0)) * speed) for at in (run.start, run.end))
        heard += float(np.sum(pair.edit[run.start : run.end] ** 2))
        played += float(np.sum(pair.raw[max(0, start) : end] ** 2)) / speed
    return float(np.sqrt(heard / played))


def fractional_slice(samples: Float32[np.ndarray, " n"], start: float, length: int) -> Float[np.ndarray, " m"]:
    """``length`` samples from a fractional position, by turning the phase of a slice with 64 samples to spare."""
    whole = int(np.floor(start))
    spare = 64
    sound: np.ndarray = padded_span(samples, whole - spare, length + 2 * spare)
    if start == whole:
        return sound[spare : spare + length]
    spectrum = scipy.fft.rfft(sound) * _turn(len(sound), start - whole)
    return np.asarray(scipy.fft.irfft(spectrum, len(sound))[spare : spare + length])


def _turn(n: int, delay: float) -> Complex[np.ndarray, " bins"]:
    return np.asarray(np.exp(2j * np.pi * np.arange(n // 2 + 1) * delay / n))


def _taps(transfer: Complex[np.ndarray, " bins"]) -> Float[np.ndarray, " taps"]:
    impulse = scipy.fft.irfft(transfer)
    middle = np.roll(impulse, TAPS_REACH)[: 2 * TAPS_REACH + 1]
    return np.asarray(middle * scipy.signal.windows.tukey(2 * TAPS_REACH + 1, 0.5))
