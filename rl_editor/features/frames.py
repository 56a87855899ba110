"""Features per frame from one STFT, in blocks; definitions and rounding as librosa's.

Columns are written into one array of ``FRAME_NAMES``. What needs the whole signal (the decibel floor, the tuning) is
gathered in a first pass over the spectrum (``_SpectralPass``) and becomes features after it.
"""

from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
from jaxtyping import Float32, Float64

from rl_editor.config import AudioConfig, Config
from rl_editor.errors import StemError
from rl_editor.features.names import (
    CHROMA,
    CONTRAST,
    FRAME_NAMES,
    MFCC,
    MFCC_DELTA,
    N_CONTRAST,
    N_MFCC,
    STEM_NAMES,
)
from rl_editor.features.values import FrameFeatures, StemFrames
from rl_editor.utils import mel_filters, n_spectrum_frames, padded_span, power, stft_blocks, to_db

_ROLLOFF_SHARE = 0.85
_FLATNESS_FLOOR = 1e-10
_CONTRAST_MIN_HZ, _CONTRAST_QUANTILE = 200.0, 0.02
_DELTA_WIDTH_FRAMES = 9
_PITCH_RANGE_HZ, _PITCH_THRESHOLD = (150.0, 4000.0), 0.1
_TUNING_BINS = 101  # edges of hundredths of a semitone over [-0.5, 0.5]
_TUNING_REFERENCE_HZ = 440.0 / 16.0  # A0 of librosa's hz_to_octs
_ZERO_CROSSING_DEAD_ZONE = 1e-10
_TINY = float(np.finfo(np.float32).tiny)
_KEPT_POWER_BYTES = 128 << 20  # 5 minutes at the default rate


def extract_frames(mono: Float32[np.ndarray, " samples"], config: Config) -> FrameFeatures:
    """All frame features of a signal at ``config.audio.sample_rate``, from one STFT."""
    audio = config.audio
    values = np.zeros((n_spectrum_frames(len(mono), hop_length=audio.hop_length), len(FRAME_NAMES)), np.float32)
    spectral = _spectral_pass(mono, audio, values)
    _level_pass(mono, audio, values)
    mel_db = to_db(spectral.mel)
    values[:, _at("onset")] = _onset_strength(mel_db, audio)
    values[:, _span(CONTRAST)] = to_db(spectral.peak) - to_db(spectral.valley)
    values[:, _span(MFCC)] = scipy.fft.dct(mel_db, axis=1, type=2, norm="ortho")[:, :N_MFCC]
    values[:, _span(MFCC_DELTA)] = _local_slope(values[:, _span(MFCC)])
    values[:, _span(CHROMA)] = _normalised_chroma(mono, audio, spectral)
    return FrameFeatures(values, audio.sample_rate, audio.hop_length, len(mono))


def stem_frames(stems: Mapping[str, Float32[np.ndarray, " samples"]], config: Config) -> StemFrames:
    """Level and brightness of each stem; stems are mono at ``config.audio.sample_rate``, keyed by ``STEM_NAMES``."""
    missing = [name for name in STEM_NAMES if name not in stems]
    if missing:
        raise StemError(f"stems: {', '.join(missing)} missing of {', '.join(STEM_NAMES)}; separate the recording again")
    tracks = [_one_stem(stems[name], config.audio) for name in STEM_NAMES]
    frames = min(len(level) for level, _ in tracks)
    return StemFrames(
        np.stack([level[:frames] for level, _ in tracks], axis=1),
        np.stack([centroid[:frames] for _, centroid in tracks], axis=1),
    )


class _SpectralPass(NamedTuple):
    """What the whole signal must be known for before it becomes features."""

    mel: Float32[np.ndarray, "frames mels"]  # power
    peak: Float64[np.ndarray, "frames 7"]
    valley: Float64[np.ndarray, "frames 7"]
    tuning: float  # semitone / 100 steps, in semitones
    kept_power: list[np.ndarray]  # blocks of the power spectrum; empty where it is too large to keep


def _spectral_pass(
    mono: Float32[np.ndarray, " samples"], audio: AudioConfig, values: Float32[np.ndarray, "frames 52"]
) -> _SpectralPass:
    n_frames = len(values)
    mel = np.empty((n_frames, audio.n_mels), np.float32)
    peak, valley = np.zeros((n_frames, N_CONTRAST)), np.zeros((n_frames, N_CONTRAST))
    peaks, kept = [], []
    keep = n_frames * (audio.n_fft // 2 + 1) * 4 <= _KEPT_POWER_BYTES
    filters, at = mel_filters(audio.sample_rate, audio.n_fft, audio.n_mels), 0
    for spectrum in stft_blocks(mono, n_fft=audio.n_fft, hop_length=audio.hop_length):
        rows = slice(at, at + len(spectrum))
        block = power(spectrum)
        magnitude = np.sqrt(block)
        mel[rows] = block @ filters
        _shape_features(block, magnitude, _frequencies(audio.sample_rate, audio.n_fft), values[rows])
        _contrast_bands(magnitude, audio, peak[rows], valley[rows])
        peaks.append(_pitch_peaks(block, audio))
        if keep:
            kept.append(block)
        at += len(spectrum)
    return _SpectralPass(mel, peak, valley, _tuning(peaks, audio), kept)


def _shape_features(
    block: Float32[np.ndarray, "rows bins"],
    magnitude: Float32[np.ndarray, "rows bins"],
    frequencies: Float64[np.ndarray, " bins"],
    out: Float32[np.ndarray, "rows 52"],
) -> None:
    """Centroid, bandwidth, rolloff and flatness of each row, into their columns.

    centroid = sum_k f_k S_k / sum_k S_k;  bandwidth^2 = sum_k S_k f_k^2 / sum_k S_k - centroid^2.
    """
    moments = magnitude.astype(np.float64) @ np.stack([np.ones_like(frequencies), frequencies, frequencies**2], axis=1)
    total = np.where(moments[:, 0] < _TINY, 1.0, moments[:, 0])
    centroid = moments[:, 1] / total
    out[:, _at("centroid")] = centroid
    out[:, _at("bandwidth")] = np.sqrt(np.maximum(moments[:, 2] / total - centroid**2, 0.0))
    cumulative = np.cumsum(magnitude, axis=1)
    below = (cumulative < np.float32(_ROLLOFF_SHARE) * cumulative[:, -1:]).sum(axis=1)
    out[:, _at("rolloff")] = frequencies[np.minimum(below, len(frequencies) - 1)]
    floored = np.maximum(block, np.float32(_FLATNESS_FLOOR))
    arithmetic = floored.mean(axis=1)
    out[:, _at("flatness")] = np.exp(np.log(floored).mean(axis=1)) / arithmetic


class _Band(NamedTuple):
    start: int  # first bin
    end: int  # bin after the last
    n_extreme: int  # bins averaged at either end of the sorted band


@lru_cache(maxsize=8)
def _bands(sample_rate: int, n_fft: int) -> tuple[_Band, ...]:
    """Octave bands from 200 Hz with the bins below; the last runs to Nyquist. Bands beyond Nyquist are left out."""
    frequencies = _frequencies(sample_rate, n_fft)
    edges = np.concatenate([[0.0], _CONTRAST_MIN_HZ * 2.0 ** np.arange(N_CONTRAST)])
    bands = []
    for index, (low, high) in enumerate(pairwise(edges)):
        bins = np.flatnonzero((frequencies >= low) & (frequencies <= high))
        if len(bins) == 0:
            break
        is_last = index == N_CONTRAST - 1
        start = int(bins[0]) - (index > 0)
        end = len(frequencies) if is_last else int(bins[-1]) + 1
        count = max(int(np.rint(_CONTRAST_QUANTILE * (end - start))), 1)
        bands.append(_Band(start, end if is_last else max(end - 1, start + 1), count))
    return tuple(bands)


def _contrast_bands(
    magnitude: Float32[np.ndarray, "rows bins"],
    audio: AudioConfig,
    peak: Float64[np.ndarray, "rows 7"],
    valley: Float64[np.ndarray, "rows 7"],
) -> None:
    """Mean of the largest and of the smallest bins of each octave band."""
    for index, (start, end, n_extreme) in enumerate(_bands(audio.sample_rate, audio.n_fft)):
        ordered = np.sort(magnitude[:, start:end], axis=1)  # vectorised: faster than np.partition for both ends
        valley[:, index] = ordered[:, :n_extreme].mean(axis=1)
        peak[:, index] = ordered[:, -n_extreme:].mean(axis=1)


class _Peaks(NamedTuple):
    frequency_hz: Float32[np.ndarray, " peaks"]
    strength: Float32[np.ndarray, " peaks"]


def _pitch_peaks(block: Float32[np.ndarray, "rows bins"], audio: AudioConfig) -> _Peaks:
    """Local maxima of the power spectrum over a tenth of the row's maximum, by parabolic interpolation.

    With a = P[k+1] + P[k-1] - 2 P[k] and b = (P[k+1] - P[k-1]) / 2, the maximum lies at k - b/a.
    """
    low, high = np.searchsorted(_frequencies(audio.sample_rate, audio.n_fft), _PITCH_RANGE_HZ)
    high = min(int(high), block.shape[1] - 1)
    centre, left, right = block[:, low:high], block[:, low - 1 : high - 1], block[:, low + 1 : high + 1]
    loud = centre > np.float32(_PITCH_THRESHOLD) * block.max(axis=1, keepdims=True)
    row, bin_ = np.nonzero(loud & (centre > left) & (centre >= right))
    p, p_left, p_right = centre[row, bin_], left[row, bin_], right[row, bin_]
    slope, curve = 0.5 * (p_right - p_left), p_right + p_left - 2.0 * p
    shift = np.where(np.abs(slope) < np.abs(curve), -slope / np.where(curve == 0, np.float32(1.0), curve), 0.0)
    frequency = (low + bin_ + shift) * (audio.sample_rate / audio.n_fft)
    return _Peaks(frequency.astype(np.float32), (p + 0.5 * slope * shift).astype(np.float32))


def _tuning(blocks: list[_Peaks], audio: AudioConfig) -> float:
    """Deviation from A 440 in semitones: the mode of the residuals of the stronger half of the spectral peaks."""
    frequency = np.concatenate([block.frequency_hz for block in blocks])
    strength = np.concatenate([block.strength for block in blocks])
    chosen = frequency[strength >= np.median(strength)] if len(strength) else frequency
    chosen = chosen[chosen > 0]
    if len(chosen) == 0:
        return 0.0
    residual = np.mod(12.0 * np.log2(chosen.astype(np.float64) / _TUNING_REFERENCE_HZ), 1.0)
    residual[residual >= 0.5] -= 1.0
    counts, edges = np.histogram(residual, np.linspace(-0.5, 0.5, _TUNING_BINS))
    return float(edges[np.argmax(counts)])


def _normalised_chroma(
    mono: Float32[np.ndarray, " samples"], audio: AudioConfig, spectral: _SpectralPass
) -> Float32[np.ndarray, "frames 12"]:
    """Power gathered by pitch class; the largest of each frame is 1."""
    from librosa.filters import chroma as chroma_filters

    filters = chroma_filters(sr=audio.sample_rate, n_fft=audio.n_fft, tuning=spectral.tuning).T
    filters = np.ascontiguousarray(filters, dtype=np.float32)
    blocks = spectral.kept_power or (
        power(spectrum) for spectrum in stft_blocks(mono, n_fft=audio.n_fft, hop_length=audio.hop_length)
    )
    chroma = np.concatenate([block @ filters for block in blocks])
    largest = chroma.max(axis=1, keepdims=True)
    normalised: np.ndarray = chroma / np.where(largest < _TINY, np.float32(1.0), largest)
    return normalised


def _level_pass(
    mono: Float32[np.ndarray, " samples"], audio: AudioConfig, values: Float32[np.ndarray, "frames 52"]
) -> None:
    """RMS (zeros beyond the ends) and zero-crossing rate (edge values beyond the ends), in blocks of frames."""
    hop, n_fft, step = audio.hop_length, audio.n_fft, 1024
    for first in range(0, len(values), step):
        out = values[first : first + step]
        start, length = first * hop - n_fft // 2, (len(out) - 1) * hop + n_fft
        piece = padded_span(mono, start, length)
        framed = np.lib.stride_tricks.sliding_window_view(piece, n_fft)[::hop]
        out[:, _at("rms")] = np.sqrt(np.einsum("tn,tn->t", framed, framed) / n_fft)
        out[:, _at("zcr")] = _zero_crossing_rate(_edge_padded(mono, start, piece), n_fft=n_fft, hop_length=hop)


def _edge_padded(
    mono: Float32[np.ndarray, " samples"], start: int, piece: Float32[np.ndarray, " span"]
) -> Float32[np.ndarray, " span"]:
    if len(mono):
        piece[: max(-start, 0)] = mono[0]
        piece[max(min(len(mono) - start, len(piece)), 0) :] = mono[-1]
    return piece


def _zero_crossing_rate(
    piece: Float32[np.ndarray, " span"], *, n_fft: int, hop_length: int
) -> Float64[np.ndarray, " rows"]:
    """Changes of sign inside each frame over its length; the frame's first sample is no crossing."""
    negative = piece < -_ZERO_CROSSING_DEAD_ZONE
    passed = np.concatenate([[0], np.cumsum(negative[1:] != negative[:-1])])  # crossings up to and at each sample
    starts = np.arange(0, len(piece) - n_fft + 1, hop_length)
    rate: np.ndarray = (passed[starts + n_fft - 1] - passed[starts]) / n_fft
    return rate


def _onset_strength(mel_db: Float32[np.ndarray, "frames mels"], audio: AudioConfig) -> Float32[np.ndarray, " frames"]:
    """Mean rise of the bands since the frame before, delayed by librosa's centring: 1 + n_fft / (2 hop) zeros."""
    delay = 1 + audio.n_fft // (2 * audio.hop_length)
    strength = np.zeros(len(mel_db), np.float32)
    rise = np.maximum(mel_db[1:] - mel_db[:-1], 0.0)
    strength[delay:] = rise[: max(len(mel_db) - delay, 0)].mean(axis=1)
    return strength


def _local_slope(values: Float32[np.ndarray, "frames columns"]) -> Float32[np.ndarray, "frames columns"]:
    """Slope of a line fitted over 9 frames (Savitzky-Golay); shorter signals are continued at their ends."""
    from scipy.signal import savgol_filter  # half a second of importing, which cached features do not need

    mode = "interp" if len(values) >= _DELTA_WIDTH_FRAMES else "nearest"
    slope: np.ndarray = savgol_filter(values, _DELTA_WIDTH_FRAMES, deriv=1, axis=0, polyorder=1, mode=mode)
    return slope.astype(np.float32)


def _one_stem(
    mono: Float32[np.ndarray, " samples"], audio: AudioConfig
) -> tuple[Float32[np.ndarray, " frames"], Float32[np.ndarray, " frames"]]:
    """Mean square and centroid in Hz of each frame."""
    from scipy.signal import get_window

    levels, centroids = [], []
    frequencies = _frequencies(audio.sample_rate, audio.n_fft)
    window_power = float((get_window("hann", audio.n_fft) ** 2).sum()) * audio.n_fft / 2.0
    for spectrum in stft_blocks(mono, n_fft=audio.n_fft, hop_length=audio.hop_length):
        block = power(spectrum)
        magnitude = np.sqrt(block).astype(np.float64)
        total = magnitude.sum(axis=1)
        centroids.append(magnitude @ frequencies / np.where(total < _TINY, 1.0, total))
        levels.append(block.sum(axis=1, dtype=np.float64) / window_power)  # Parseval, one-sided
    return np.concatenate(levels).astype(np.float32), np.concatenate(centroids).astype(np.float32)


@lru_cache(maxsize=8)
def _frequencies(sample_rate: int, n_fft: int) -> Any:
    return np.fft.rfftfreq(n_fft, 1.0 / sample_rate)


def _at(name: str) -> int:
    return FRAME_NAMES.index(name)


def _span(names: tuple[str, ...]) -> slice:
    return slice(_at(names[0]), _at(names[-1]) + 1)
