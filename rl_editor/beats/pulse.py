"""From a period to beat times: Ellis' recurrence, a line through neighbours, the attacks' place, ends, confidence."""

import numpy as np
import scipy.ndimage
from jaxtyping import Float32, Float64, Int

from rl_editor.beats.grids import SNAP_BEATS
from rl_editor.beats.tempo import Span
from rl_editor.features import FrameFeatures

ONSET_LATENCY_S = (
    0.0435  # librosa's envelope peaks this much late (41.6 ms measured on songs); the attacks settle the rest
)
TIGHTNESS = 900.0  # Ellis' alpha: weight of (log(interval / period))^2 against onset strength in deviations

MIN_BEATS = 4  # fewer are no beat
_STEPS_PER_FRAME = 4  # 5.8 ms at the default rate
_INTERVAL_RANGE = (0.7, 1.4)  # of the period
_SMOOTHING_BEATS = 6  # a line is fitted over this many beats on either side
_SMOOTHING_LIMIT_S = 0.05  # beats farther than this from their neighbours' line stay as found
_ATTACK_HOP_SAMPLES = 128  # 5.8 ms at the default rate
_ATTACK_REACH_S = 0.07
_ATTACK_BEATS = 6.0  # deviation of the Gaussian over neighbouring beats
_ATTACK_COMPRESSION = 10.0  # log1p of this times energy over its mean


def beat_positions(envelope: Float64[np.ndarray, " frames"], period: float) -> Float64[np.ndarray, " beats"]:
    """Beats in (fractional) frames by Ellis' recurrence, on an envelope interpolated ``_STEPS_PER_FRAME`` times.

    C(t) = o(t) + max(0, max_lag { C(t - lag) - tightness * log(lag / period)^2 }). As no lag is below the shortest
    interval, that many values of C are computed at once.
    """
    fine = np.interp(np.arange(len(envelope) * _STEPS_PER_FRAME) / _STEPS_PER_FRAME, np.arange(len(envelope)), envelope)
    step_period = period * _STEPS_PER_FRAME
    local = _local_score(fine, step_period)
    lags = np.arange(max(round(_INTERVAL_RANGE[0] * step_period), 1), round(_INTERVAL_RANGE[1] * step_period) + 1)
    penalty = TIGHTNESS * np.log(lags / step_period) ** 2
    at_once, offset = int(lags[0]), int(lags[-1])
    score = np.zeros(offset + len(local))  # zeros before the start: a first beat anywhere is free
    back = np.full(len(local), -1)
    for start in range(0, len(local), at_once):
        steps = np.arange(start, min(start + at_once, len(local)))
        before = score[steps[:, None] + offset - lags] - penalty
        best = before.argmax(axis=1)
        gain = before[np.arange(len(steps)), best]
        back[steps] = np.where(gain > 0, steps - lags[best], -1)
        score[steps + offset] = local[steps] + np.maximum(gain, 0.0)
    return _followed_back(score[offset:], back, step_period) / _STEPS_PER_FRAME


def _local_score(envelope: Float64[np.ndarray, " frames"], period: float) -> Float64[np.ndarray, " frames"]:
    """The envelope smoothed by a Gaussian of 1/32 period, as Ellis does."""
    half = max(round(period), 1)
    window = np.exp(-0.5 * (np.arange(-half, half + 1) * 32.0 / period) ** 2)
    smoothed: np.ndarray = np.convolve(envelope, window)[half : half + len(envelope)]
    return smoothed


def _followed_back(
    score: Float64[np.ndarray, " frames"], back: Int[np.ndarray, " frames"], period: float
) -> Int[np.ndarray, " beats"]:
    """From the best score within the last period, beat by beat to the first."""
    tail = max(len(score) - max(round(period), 1), 0)
    t = tail + int(np.argmax(score[tail:]))
    beats = []
    while t >= 0:
        beats.append(t)
        t = int(back[t])
    return np.array(beats[::-1])


def smoothed_times(
    times_s: Float64[np.ndarray, " beats"], strength: Float64[np.ndarray, " beats"]
) -> Float64[np.ndarray, " beats"]:
    """Each beat on the line that its neighbours lie on, weighted by onset strength; outliers stay as found."""
    smooth = times_s.copy()
    index = np.arange(len(times_s))
    weights = np.maximum(strength, 0.0) + 0.1
    for k in index:
        near = slice(max(k - _SMOOTHING_BEATS, 0), k + _SMOOTHING_BEATS + 1)
        fitted = _line_at(index[near] - k, times_s[near], weights[near])
        if abs(fitted - times_s[k]) < _SMOOTHING_LIMIT_S:
            smooth[k] = fitted
    return np.maximum.accumulate(smooth)


def _line_at(
    x: Int[np.ndarray, " points"], y: Float64[np.ndarray, " points"], weights: Float64[np.ndarray, " points"]
) -> float:
    """The weighted least-squares line's value at x = 0."""
    total = weights.sum()
    mean_x, mean_y = (weights * x).sum() / total, (weights * y).sum() / total
    spread = (weights * (x - mean_x) ** 2).sum()
    slope = (weights * (x - mean_x) * (y - mean_y)).sum() / spread if spread > 0 else 0.0
    return float(mean_y - slope * mean_x)


def attack_offsets_s(
    mono: Float32[np.ndarray, " samples"], times_s: Float64[np.ndarray, " beats"], *, sample_rate: int
) -> Float64[np.ndarray, " beats"]:
    """How far the attacks lie from the beats, from rises of energy at a finer scale, alike for neighbouring beats.

    The frames' 93 ms windows see an attack early by as much as its rise stands out, which differs by instrument.
    """
    rise = _energy_rise(mono)
    rate = sample_rate / _ATTACK_HOP_SAMPLES
    offsets = np.arange(-_ATTACK_REACH_S, _ATTACK_REACH_S, 1.0 / rate)
    at = (times_s[:, None] + offsets) * rate - 0.5  # a block's middle
    profile = np.interp(at, np.arange(len(rise)), rise, left=0.0, right=0.0)
    profile = scipy.ndimage.gaussian_filter(profile, (_ATTACK_BEATS, 1.0), mode=("nearest", "constant"))
    nearest = profile * np.exp(-0.5 * (offsets / _ATTACK_REACH_S) ** 2)
    smoothed: np.ndarray = scipy.ndimage.gaussian_filter1d(offsets[nearest.argmax(axis=1)], _ATTACK_BEATS / 2)
    return smoothed


def _energy_rise(mono: Float32[np.ndarray, " samples"]) -> Float64[np.ndarray, " blocks"]:
    """Rise of log energy from block to block, of the signal and of its difference (which stresses the highs)."""
    total = 0.0
    for signal in (mono, np.diff(mono, prepend=np.float32(0.0))):
        blocks = signal[: len(signal) // _ATTACK_HOP_SAMPLES * _ATTACK_HOP_SAMPLES].reshape(-1, _ATTACK_HOP_SAMPLES)
        energy = np.einsum("bn,bn->b", blocks, blocks).astype(np.float64)
        level = np.log1p(_ATTACK_COMPRESSION * energy / max(float(energy.mean()), 1e-12))
        total = total + np.maximum(np.diff(level, prepend=level[:1]), 0.0)
    return np.asarray(total)


def extended_times(
    times_s: Float64[np.ndarray, " beats"], sound: Span, duration_s: float
) -> Float64[np.ndarray, " bounds"]:
    """Beat boundaries from the first to the last sound: beats outside dropped, missing ones added regularly."""
    period_s = float(np.median(np.diff(times_s)))
    slack = period_s / 2
    inside = times_s[(times_s >= max(sound.start - slack, -slack)) & (times_s <= sound.end + slack)]
    inside = inside[np.concatenate([[True], np.diff(inside) > period_s / 4])] if len(inside) else inside
    if len(inside) < MIN_BEATS:
        return inside
    head, tail = _end_period(inside[:9]), _end_period(inside[-9:])
    n_before = max(int((inside[0] - sound.start) / head + SNAP_BEATS), 0)
    n_after = max(int((min(sound.end, duration_s) - inside[-1]) / tail + 1 - SNAP_BEATS), 0)
    before = inside[0] - head * np.arange(n_before, 0, -1)
    return np.concatenate([before, inside, inside[-1] + tail * np.arange(1, n_after + 1)])


def _end_period(times_s: Float64[np.ndarray, " beats"]) -> float:
    return float(np.median(np.diff(times_s)))


def confidence_of(
    frames: FrameFeatures, envelope: Float64[np.ndarray, " frames"], times_s: Float64[np.ndarray, " bounds"]
) -> float:
    """How much onsets lie on beats and not between, times how regular the beats are; in [0, 1]."""
    on = np.interp((times_s + ONSET_LATENCY_S) * frames.frame_rate_hz, np.arange(len(envelope)), envelope).mean()
    overall = envelope.mean()
    contrast = (on - overall) / (on + overall) if on + overall > 0 else 0.0
    interval = np.diff(times_s)
    irregularity = np.abs(interval / np.median(interval) - 1.0).mean()
    return float(np.clip(contrast, 0.0, 1.0) * np.clip(1.0 - 4.0 * irregularity, 0.0, 1.0))
