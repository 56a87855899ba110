"""Beat tracking: where beats and downbeats lie, how sure that is, and corrections by hand.

Conventions: times in seconds from the start of the file; a beat time is the perceived onset, so what the frames'
centring adds (``ONSET_LATENCY_S``) is removed. Periods and lags are in frames unless named ``_s``. A grid tiles the
file: whole beats between the first and the last sound, a lead-in before and a tail after, marked partial.

Method: onset envelopes of four ranges of frequency; tempo by autocorrelation at a period and its multiples, and a
choice between its metrical relatives; Ellis' dynamic programming for the beats, smoothed along the track; the attacks'
exact place from energy at a finer scale; metre and downbeat by where low onsets and changes of harmony accumulate.

Sources: Ellis 2007, "Beat tracking by dynamic programming" (equations 4 to 7, as in librosa's ``beat_track``); Moelants
2002 for the prior's centre; Davies et al. 2009 for the tolerance of 70 ms that the tests use.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import scipy.ndimage
from jaxtyping import Bool, Float, Float32, Float64, Int

from rl_editor.config import BeatOverride, BeatsConfig, Config
from rl_editor.features import ENVELOPE_NAMES, FrameFeatures, extract_frames
from rl_editor.grid import PARTIAL, BeatGrid

ALGORITHM_VERSION = 1  # part of cache keys: raise it when a number changes

ONSET_LATENCY_S = 0.0435  # peak of the onset envelope after the onset itself; measured on clicks and drums
TEMPO_RANGE_BPM = (50.0, 210.0)
TIGHTNESS = 900.0  # Ellis' alpha: weight of (log(interval / period))^2 against onset strength in deviations
FALLBACK_BEATS_PER_BAR = 4

# Weights of the onset envelopes (each in deviations): all of them tell a tempo; low drums tell where the beat is, and
# chords and melodies between beats mislead. By random search on the songs of _LEVEL_WEIGHTS.
_TEMPO_BANDS = {"median": 1.0, "low": 1.0, "low_mid": 0.7, "high_mid": 0.7, "high": 0.3}
_BEAT_BANDS = {"median": 0.4, "low": 2.0, "low_mid": 0.0, "high_mid": 0.2, "high": 0.15}
_STEPS_PER_FRAME = 4  # 5.8 ms at the default rate
_INTERVAL_RANGE = (0.7, 1.4)  # of the period
_PERIOD_STEP_FRAMES = 0.1
_MULTIPLES = (0.5, 1.0, 2.0, 3.0, 4.0)  # of the period, at which autocorrelations are read
_COMB = (0.0, 0.48, 0.24, 0.16, 0.12)  # at the multiples: 1/m, normalised
_RELATIVES = (1 / 3, 1 / 2, 2 / 3, 1.0, 3 / 2, 2.0, 3.0)  # metrical levels compared with the comb's choice
# Logistic regression of the true level on the autocorrelations at the multiples, over 108 synthetic songs (drum
# patterns, waltzes, ballads, the composed corpus at 70 to 174 bpm); 5-fold cross-validated accuracy 0.97.
_LEVEL_WEIGHTS = (
    (1.1, 2.0, -0.5, 1.6, 1.2),  # all bands
    (-3.2, 2.8, -0.8, 1.3, 2.7),  # low: bass drum and bass
    (1.2, 0.2, 0.4, -1.1, 1.0),  # high mid: snare
)
_LEVEL_TEMPO = (0.3, -2.9)  # per octave and per squared octave from start_bpm
_SMOOTHING_BEATS = 6  # a line is fitted over this many beats on either side
_SMOOTHING_LIMIT_S = 0.05  # beats farther than this from their neighbours' line stay as found
_ATTACK_HOP_SAMPLES = 128  # 5.8 ms at the default rate
_ATTACK_REACH_S = 0.07
_ATTACK_BEATS = 6.0  # deviation of the Gaussian over neighbouring beats
_ATTACK_COMPRESSION = 10.0  # log1p of this times energy over its mean
_SNAP_BEATS = 0.15  # a lead-in or tail shorter than this share of a beat joins its neighbour
_SILENCE_DB = -60.0  # below the loudest frame
_MIN_BEATS = 4  # fewer are no beat
_METRE_MARGIN = 1.1  # three in a bar must be this much clearer than four


def track_beats(
    mono: Float32[np.ndarray, " samples"], config: Config, *, track_id: str = "", frames: FrameFeatures | None = None
) -> BeatGrid:
    """The beat grid of a signal at ``config.audio.sample_rate``, corrected by ``config.beats.overrides[track_id]``.

    ``frames`` saves computing the frame features where they are known. Without a beat to be found the grid is
    regular at ``config.beats.start_bpm`` and its confidence 0.
    """
    frames = extract_frames(mono, config) if frames is None else frames
    grid = _tracked(mono, frames, config.beats) or regular_grid(frames.duration_s, config.beats)
    return apply_override(grid, config.beats.override_for(track_id))


def regular_grid(duration_s: float, config: BeatsConfig) -> BeatGrid:
    """Beats at ``start_bpm`` from 0.0, with no confidence."""
    period_s = 60.0 / config.start_bpm
    duration_s = max(duration_s, 1e-3)
    bounds = np.arange(0.0, duration_s + period_s * _SNAP_BEATS, period_s)
    beats_per_bar = config.beats_per_bar or FALLBACK_BEATS_PER_BAR
    return _assemble(bounds, duration_s, _Metre(beats_per_bar, 0), confidence=0.0)


def apply_override(grid: BeatGrid, override: BeatOverride) -> BeatGrid:
    """Double or halve the beats, shift them by a share of a beat, rotate the bar; in this order.

    Halving keeps the beats in step with the downbeats. The neutral override returns the grid itself.
    """
    if override == BeatOverride():
        return grid
    whole = np.flatnonzero(grid.bar_position != PARTIAL)
    if len(whole) == 0:
        return grid
    bounds = grid.times_s[whole[0] : whole[-1] + 2]
    downbeats = np.flatnonzero(grid.bar_position[whole] == 0)
    first_downbeat = int(downbeats[0]) if len(downbeats) else 0
    match override.tempo_multiplier:
        case 2:
            bounds = np.interp(np.arange(2 * len(bounds) - 1) / 2, np.arange(len(bounds)), bounds)
            first_downbeat *= 2
        case "half":
            bounds, first_downbeat = bounds[first_downbeat % 2 :: 2], first_downbeat // 2
    if len(bounds) < 2:
        return grid
    bounds = bounds + override.shift_beats * np.append(np.diff(bounds), bounds[-1] - bounds[-2])
    metre = _Metre(grid.beats_per_bar, first_downbeat + override.downbeat_shift_beats)
    return _assemble(bounds, grid.duration_s, metre, confidence=grid.confidence)


class _Metre(NamedTuple):
    beats_per_bar: int
    first_downbeat: int  # index of a beat that opens a bar; any representative of its class


def _tracked(mono: Float32[np.ndarray, " samples"], frames: FrameFeatures, config: BeatsConfig) -> BeatGrid | None:
    """None where there is no beat."""
    envelope = _envelope(frames, _BEAT_BANDS)
    sound = _sounding_span_s(frames)
    if sound is None or not envelope.any() or frames.duration_s < _MIN_BEATS * 60.0 / TEMPO_RANGE_BPM[1]:
        return None
    period = _period(frames, _envelope(frames, _TEMPO_BANDS), config)
    found = _beat_positions(envelope, period)
    if len(found) < _MIN_BEATS:
        return None
    strength = np.interp(found, np.arange(len(envelope)), envelope)
    smooth = _smooth(found / frames.frame_rate_hz, strength) - ONSET_LATENCY_S
    heard = smooth + _attack_offsets_s(mono, smooth, sample_rate=frames.sample_rate) + config.latency_s
    times_s = _extended(heard, sound, frames.duration_s)
    if len(times_s) < _MIN_BEATS:
        return None
    metre = _metre(frames, times_s, config)
    return _assemble(times_s, frames.duration_s, metre, confidence=_confidence(frames, envelope, times_s))


# ---------------------------------------------------------------- onsets and tempo


def _envelope(frames: FrameFeatures, weights: Mapping[str, float]) -> Float64[np.ndarray, " frames"]:
    """Weighted sum of the onset envelopes, each in units of its standard deviation."""
    total = np.zeros(len(frames.envelopes))
    for index, name in enumerate(ENVELOPE_NAMES):
        total += weights[name] * _in_deviations(frames.envelopes[:, index])
    return _in_deviations(total)


def _in_deviations(values: Float[np.ndarray, " frames"]) -> Float64[np.ndarray, " frames"]:
    deviation = float(values.std(dtype=np.float64))
    scaled: np.ndarray = values / deviation if deviation > 0 else np.zeros_like(values)
    return scaled.astype(np.float64)


class _Span(NamedTuple):
    start: float
    end: float


def _sounding_span_s(frames: FrameFeatures) -> _Span | None:
    """From the first to the last frame within 60 dB of the loudest; None in silence."""
    rms = frames.column("rms")
    loud = np.flatnonzero(rms > rms.max(initial=0.0) * 10.0 ** (_SILENCE_DB / 20.0))
    if len(loud) == 0:
        return None
    return _Span(loud[0] / frames.frame_rate_hz, min((loud[-1] + 1) / frames.frame_rate_hz, frames.duration_s))


def _autocorrelation(envelope: Float[np.ndarray, " frames"], n_lags: int) -> Float64[np.ndarray, " lags"]:
    """r[lag] / r[0] of the centred envelope, unbiased by the shrinking overlap."""
    import scipy.fft

    centred = envelope - envelope.mean()
    size = scipy.fft.next_fast_len(len(centred) + n_lags, real=True)
    spectrum = scipy.fft.rfft(centred, size)
    product = scipy.fft.irfft(np.abs(spectrum) ** 2, size)[:n_lags]
    overlap = np.maximum(len(centred) - np.arange(n_lags), 1)
    correlation: np.ndarray = product / overlap
    normalised: np.ndarray = correlation / correlation[0] if correlation[0] > 0 else np.zeros(n_lags)
    return normalised


def _period(frames: FrameFeatures, envelope: Float64[np.ndarray, " frames"], config: BeatsConfig) -> float:
    """The beat period in frames: the best of a comb of autocorrelations, then the best of its metrical relatives."""
    rate = frames.frame_rate_hz
    periods = np.arange(60.0 * rate / TEMPO_RANGE_BPM[1], 60.0 * rate / TEMPO_RANGE_BPM[0], _PERIOD_STEP_FRAMES)
    bands = _band_correlations(frames, envelope, n_lags=int(periods[-1] * max(_MULTIPLES)) + 2)
    comb = _at_multiples(bands, periods)[:, 0] @ np.array(_COMB)
    octaves = np.log2(60.0 * rate / periods / config.start_bpm)
    first = periods[np.argmax(np.log1p(5.0 * np.maximum(comb, 0.0)) - 0.5 * octaves**2)]
    relatives = first * np.array(_RELATIVES)
    relatives = relatives[(relatives > periods[0]) & (relatives < periods[-1])]
    level = _level_score(bands, relatives, np.log2(60.0 * rate / relatives / config.start_bpm))
    return float(relatives[np.argmax(level)])


def _band_correlations(
    frames: FrameFeatures, envelope: Float64[np.ndarray, " frames"], *, n_lags: int
) -> Float64[np.ndarray, "bands lags"]:
    """Autocorrelations of all bands together, of the low and of the high-mid onsets; zero beyond the signal."""
    bands = [envelope, _named_envelope(frames, "low"), _named_envelope(frames, "high_mid")]
    known = min(n_lags, len(envelope))
    padded = np.zeros((len(bands), n_lags))
    padded[:, :known] = [_autocorrelation(band, known) for band in bands]
    return padded


def _at_multiples(
    bands: Float64[np.ndarray, "bands lags"], periods: Float64[np.ndarray, " periods"]
) -> Float64[np.ndarray, "periods bands multiples"]:
    lags = np.arange(bands.shape[1])
    values = [[np.interp(periods * m, lags, band, right=0.0) for m in _MULTIPLES] for band in bands]
    return np.array(values).transpose(2, 0, 1)


def _level_score(
    bands: Float64[np.ndarray, "bands lags"],
    periods: Float64[np.ndarray, " periods"],
    octaves: Float64[np.ndarray, " periods"],
) -> Float64[np.ndarray, " periods"]:
    """How well each period suits the level at which one taps along; ``octaves`` is its tempo re ``start_bpm``."""
    pattern = (_at_multiples(bands, periods) * np.array(_LEVEL_WEIGHTS)).sum(axis=(1, 2))
    score: np.ndarray = pattern + _LEVEL_TEMPO[0] * octaves + _LEVEL_TEMPO[1] * octaves**2
    return score


def _named_envelope(frames: FrameFeatures, name: str) -> Float64[np.ndarray, " frames"]:
    envelope: np.ndarray = frames.envelopes[:, ENVELOPE_NAMES.index(name)].astype(np.float64)
    return envelope


# ---------------------------------------------------------------- beats


def _beat_positions(envelope: Float64[np.ndarray, " frames"], period: float) -> Float64[np.ndarray, " beats"]:
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


def _smooth(times_s: Float64[np.ndarray, " beats"], strength: Float64[np.ndarray, " beats"]) -> Any:
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


def _attack_offsets_s(
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


def _extended(
    times_s: Float64[np.ndarray, " beats"], sound: _Span, duration_s: float
) -> Float64[np.ndarray, " bounds"]:
    """Beat boundaries from the first to the last sound: beats outside dropped, missing ones added regularly."""
    period_s = float(np.median(np.diff(times_s)))
    slack = period_s / 2
    inside = times_s[(times_s >= max(sound.start - slack, -slack)) & (times_s <= sound.end + slack)]
    inside = inside[np.concatenate([[True], np.diff(inside) > period_s / 4])] if len(inside) else inside
    if len(inside) < _MIN_BEATS:
        return inside
    head, tail = _end_period(inside[:9]), _end_period(inside[-9:])
    n_before = max(int((inside[0] - sound.start) / head + _SNAP_BEATS), 0)
    n_after = max(int((min(sound.end, duration_s) - inside[-1]) / tail + 1 - _SNAP_BEATS), 0)
    before = inside[0] - head * np.arange(n_before, 0, -1)
    return np.concatenate([before, inside, inside[-1] + tail * np.arange(1, n_after + 1)])


def _end_period(times_s: Float64[np.ndarray, " beats"]) -> float:
    return float(np.median(np.diff(times_s)))


# ---------------------------------------------------------------- bars


def _metre(frames: FrameFeatures, times_s: Float64[np.ndarray, " bounds"], config: BeatsConfig) -> _Metre:
    """Beats per bar and the first downbeat: the metre and phase at which accents accumulate most."""
    accent = _accents(frames, times_s)
    if config.beats_per_bar:
        return _best_phase(accent, config.beats_per_bar).metre
    four, three = _best_phase(accent, 4), _best_phase(accent, 3)
    periodic = _metre_evidence(frames, times_s)
    return three.metre if periodic > 0 and three.score > four.score * _METRE_MARGIN else four.metre


class _Phase(NamedTuple):
    metre: _Metre
    score: float


def _best_phase(accent: Float64[np.ndarray, " beats"], beats_per_bar: int) -> _Phase:
    means = np.array([accent[phase::beats_per_bar].mean() for phase in range(min(beats_per_bar, len(accent)))])
    best = int(np.argmax(means))
    return _Phase(_Metre(beats_per_bar, best), float(means[best]))


def _accents(frames: FrameFeatures, times_s: Float64[np.ndarray, " bounds"]) -> Float64[np.ndarray, " beats"]:
    """Low onset, change of harmony and, weaker, absence of high-mid onset (the backbeat), at each beat, in deviations.

    Harmony changes where the mean chroma of the beat differs from that of the beat before.
    """
    low = _on_beats(frames, times_s, "low")
    snare = _on_beats(frames, times_s, "high_mid")
    change = np.zeros(len(low))
    chroma = _chroma_per_beat(frames, times_s)
    change[1:] = 1.0 - (chroma[1:] * chroma[:-1]).sum(axis=1)
    return _standardised(low) + 1.5 * _standardised(change) - 0.5 * _standardised(snare)


def _on_beats(
    frames: FrameFeatures, times_s: Float64[np.ndarray, " bounds"], name: str
) -> Float64[np.ndarray, " beats"]:
    """The largest value of an envelope within a frame of each beat."""
    envelope = _named_envelope(frames, name)
    at = np.rint((times_s[:-1] + ONSET_LATENCY_S) * frames.frame_rate_hz).astype(int)
    around = np.clip(at[:, None] + np.arange(-1, 2), 0, len(envelope) - 1)
    strongest: np.ndarray = envelope[around].max(axis=1)
    return strongest


def _chroma_per_beat(frames: FrameFeatures, times_s: Float64[np.ndarray, " bounds"]) -> Float64[np.ndarray, "beats 12"]:
    """Mean chroma of each beat, of unit length."""
    edges = np.clip(np.rint(times_s * frames.frame_rate_hz).astype(int), 0, len(frames.chroma) - 1)
    means = [frames.chroma[a : max(b, a + 1)].mean(axis=0) for a, b in pairwise(edges)]
    chroma = np.array(means, np.float64)
    unit: np.ndarray = chroma / np.maximum(np.linalg.norm(chroma, axis=1, keepdims=True), 1e-9)
    return unit


def _standardised(values: Float64[np.ndarray, " beats"]) -> Float64[np.ndarray, " beats"]:
    deviation = values.std()
    result: np.ndarray = (values - values.mean()) / deviation if deviation > 0 else np.zeros_like(values)
    return result


def _metre_evidence(frames: FrameFeatures, times_s: Float64[np.ndarray, " bounds"]) -> float:
    """Positive where beats resemble those 3 and 6 before more than those 4 and 8 before."""
    columns = [_standardised(_on_beats(frames, times_s, name)) for name in ENVELOPE_NAMES]
    pattern = np.stack(columns, axis=1)
    if len(pattern) < 16:
        return -1.0

    def alike(lag: int) -> float:
        return float((pattern[lag:] * pattern[:-lag]).sum(axis=1).mean())

    return alike(3) + alike(6) - alike(4) - alike(8)


def _confidence(
    frames: FrameFeatures, envelope: Float64[np.ndarray, " frames"], times_s: Float64[np.ndarray, " bounds"]
) -> float:
    """How much onsets lie on beats and not between, times how regular the beats are; in [0, 1]."""
    on = np.interp((times_s + ONSET_LATENCY_S) * frames.frame_rate_hz, np.arange(len(envelope)), envelope).mean()
    overall = envelope.mean()
    contrast = (on - overall) / (on + overall) if on + overall > 0 else 0.0
    interval = np.diff(times_s)
    irregularity = np.abs(interval / np.median(interval) - 1.0).mean()
    return float(np.clip(contrast, 0.0, 1.0) * np.clip(1.0 - 4.0 * irregularity, 0.0, 1.0))


# ---------------------------------------------------------------- the grid


def _assemble(
    bounds_s: Float64[np.ndarray, " bounds"], duration_s: float, metre: _Metre, *, confidence: float
) -> BeatGrid:
    """A grid over the whole file from the boundaries of its whole beats.

    Boundaries outside the file are dropped; a lead-in or tail of less than ``_SNAP_BEATS`` of a beat joins the
    beat beside it, a longer one is a partial beat.
    """
    period_s = float(np.median(np.diff(bounds_s))) if len(bounds_s) > 1 else duration_s
    snap = _SNAP_BEATS * period_s
    kept: Bool[np.ndarray, " bounds"] = (bounds_s >= -snap) & (bounds_s <= duration_s + snap)
    index = np.flatnonzero(kept)
    inner = bounds_s[kept]
    if len(inner) < 2:
        return BeatGrid(np.array([0.0, duration_s]), np.array([PARTIAL]), metre.beats_per_bar, 0.0)
    inner[0] = 0.0 if inner[0] < snap else inner[0]
    inner[-1] = duration_s if inner[-1] > duration_s - snap else inner[-1]
    position = (index[:-1] - metre.first_downbeat) % metre.beats_per_bar
    lead, tail = inner[0] > 0.0, inner[-1] < duration_s
    times_s = np.concatenate([[0.0] if lead else [], inner, [duration_s] if tail else []])
    position = np.concatenate([[PARTIAL] if lead else [], position, [PARTIAL] if tail else []]).astype(np.int64)
    return BeatGrid(times_s, position, metre.beats_per_bar, confidence)
