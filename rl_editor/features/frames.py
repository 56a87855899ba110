"""Features per frame from one STFT, in blocks; definitions and rounding as librosa's.

Columns are written into one array of ``FRAME_NAMES``. What needs the whole signal (the decibel floor, the tuning) is
gathered in a first pass over the spectrum (``_spectral_pass``) and becomes features after it. Arrays (``Any``) are
NumPy's on the CPU and tensors on another device (``features.device``); the array API that both have gives one set of
formulas. What devices give differs as float32 sums in another order do: a rolloff now and then by one bin.
"""

from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import array_api_compat
import numpy as np
import scipy.fft
from array_api_compat import array_namespace
from jaxtyping import Float, Float32, Float64

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
from rl_editor.utils.spectra import beside, framed, hann

_ROLLOFF_SHARE = 0.85
_FLATNESS_FLOOR = 1e-10
_CONTRAST_MIN_HZ, _CONTRAST_QUANTILE = 200.0, 0.02
_DELTA_REACH = 4  # frames to either side
_PITCH_RANGE_HZ, _PITCH_THRESHOLD = (150.0, 4000.0), 0.1
_TUNING_BINS = 101  # edges of hundredths of a semitone over [-0.5, 0.5]
_MIDDLE_OCTAVE, _OCTAVES_WIDE = 5.0, 2  # above A0, where pitch is heard best
_TUNING_REFERENCE_HZ = 440.0 / 16.0  # A0 of librosa's hz_to_octs
_ZERO_CROSSING_DEAD_ZONE = 1e-10
_TINY = float(np.finfo(np.float32).tiny)
_BLOCK_ROWS = 4096  # frames of a whole spectrum at a time
_KEPT_POWER_BYTES = 128 << 20  # 12 minutes at the default rate


def extract_frames(mono: Float32[np.ndarray, " samples"], config: Config) -> FrameFeatures:
    """All frame features of a signal at ``config.audio.sample_rate``, from one STFT, on ``config.features.device``.

    Raises:
        ConfigError: no such device.
    """
    audio, values = config.audio, frame_values(_on_device(mono, config), config.audio)
    return FrameFeatures(_on_cpu(values), audio.sample_rate, audio.hop_length, len(mono))


def _on_device(mono: Float32[np.ndarray, " samples"], config: Config) -> Any:
    if config.features.device == "cpu":
        return mono
    import torch  # seconds of importing, which the CPU does not need

    from rl_editor.devices import resolve_device

    device = resolve_device(config.features.device, setting="features.device")
    return mono if device.type == "cpu" else torch.from_numpy(mono).to(device)


def _on_cpu(values: Any) -> Any:
    return values if isinstance(values, np.ndarray) else values.cpu().numpy()


def frame_values(mono: Float32[Any, " samples"], audio: AudioConfig) -> Float32[Any, "frames 52"]:
    """The columns of ``FRAME_NAMES``, where ``mono`` is."""
    xp = array_namespace(mono)
    n_frames = n_spectrum_frames(len(mono), hop_length=audio.hop_length)
    values = xp.zeros((n_frames, len(FRAME_NAMES)), dtype=xp.float32, device=array_api_compat.device(mono))
    for_chroma = _spectral_pass(mono, audio, values)
    _level_pass(mono, audio, values)
    values[:, _span(MFCC_DELTA)] = _local_slope(values[:, _span(MFCC)])
    values[:, _span(CHROMA)] = _normalised_chroma(mono, audio, for_chroma)
    return values


def stem_frames(stems: Mapping[str, Float32[np.ndarray, " samples"]], config: Config) -> StemFrames:
    """Level and brightness of each stem; stems are mono at ``config.audio.sample_rate``, keyed by ``STEM_NAMES``."""
    missing = [name for name in STEM_NAMES if name not in stems]
    if missing:
        raise StemError(f"stems: {', '.join(missing)} missing of {', '.join(STEM_NAMES)}; separate the recording again")
    tracks = [_one_stem(_on_device(stems[name], config), config.audio) for name in STEM_NAMES]
    frames = min(len(level) for level, _ in tracks)
    return StemFrames(
        np.stack([_on_cpu(level)[:frames] for level, _ in tracks], axis=1),
        np.stack([_on_cpu(centroid)[:frames] for _, centroid in tracks], axis=1),
    )


class _ForChroma(NamedTuple):
    """What the whole signal must be heard for before there is chroma."""

    peaks: list["_Peaks"]  # blocks of them
    kept_power: list[Any]  # blocks of the power spectrum; empty where it is too large to keep


def _spectral_pass(mono: Float32[Any, " samples"], audio: AudioConfig, values: Float32[Any, "frames 52"]) -> _ForChroma:
    """The columns of spectra but the chroma, and what that needs."""
    xp, n_frames, device = array_namespace(mono), len(values), array_api_compat.device(mono)
    filters: Any = mel_filters(audio.sample_rate, audio.n_fft, audio.n_mels)
    if not isinstance(mono, np.ndarray):
        filters = beside(mono, filters.toarray())
    frequencies = beside(mono, _frequencies(audio.sample_rate, audio.n_fft))
    keep = n_frames * (audio.n_fft // 2 + 1) * 4 <= _KEPT_POWER_BYTES
    mel = xp.empty((n_frames, audio.n_mels), dtype=xp.float32, device=device)
    highest, lowest = (xp.empty((n_frames, N_CONTRAST), dtype=xp.float64, device=device) for _ in range(2))
    peaks, kept, at = [], [], 0
    for spectrum in stft_blocks(mono, n_fft=audio.n_fft, hop_length=audio.hop_length):
        block = power(spectrum)
        magnitude, rows = xp.sqrt(block), slice(at, at + len(block))
        mel[rows] = block @ filters
        _shape_features(block, magnitude, frequencies, values[rows])
        highest[rows], lowest[rows] = _contrast_bands(magnitude, audio)
        peaks.append(_pitch_peaks(block, audio))
        if keep:
            kept.append(block)
        at += len(block)
    mel_db = _in_db(mel)
    values[:, _at("onset")] = _onset_strength(mel_db, audio)
    values[:, _span(MFCC)] = mel_db @ beside(mono, _cosines(audio.n_mels))
    values[:, _span(CONTRAST)] = _in_db(highest) - _in_db(lowest)
    return _ForChroma(peaks, kept)


def _shape_features(
    block: Float32[Any, "rows bins"],
    magnitude: Float32[Any, "rows bins"],
    frequencies: Float64[Any, " bins"],
    out: Float32[Any, "rows 52"],
) -> None:
    """Centroid, bandwidth, rolloff and flatness of each row, into their columns.

    centroid = sum_k f_k S_k / sum_k S_k;  bandwidth^2 = sum_k S_k f_k^2 / sum_k S_k - centroid^2.
    """
    xp = array_namespace(block)
    powers_of_f = xp.stack([xp.ones_like(frequencies), frequencies, frequencies**2], axis=1)
    moments = xp.astype(magnitude, xp.float64) @ powers_of_f
    total = xp.where(moments[:, 0] < _TINY, 1.0, moments[:, 0])
    centroid = moments[:, 1] / total
    out[:, _at("centroid")] = centroid
    out[:, _at("bandwidth")] = xp.sqrt(xp.clip(moments[:, 2] / total - centroid**2, min=0.0))
    cumulative = xp.cumulative_sum(magnitude, axis=1)
    below = xp.count_nonzero(cumulative < _ROLLOFF_SHARE * cumulative[:, -1:], axis=1)
    out[:, _at("rolloff")] = frequencies[xp.clip(below, max=len(frequencies) - 1)]
    floored = xp.clip(block, min=_FLATNESS_FLOOR)
    out[:, _at("flatness")] = xp.exp(xp.mean(xp.log(floored), axis=1)) / xp.mean(floored, axis=1)


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
    magnitude: Float32[Any, "rows bins"], audio: AudioConfig
) -> tuple[Float64[Any, "rows 7"], Float64[Any, "rows 7"]]:
    """Mean of the largest and of the smallest bins of each octave band; zero in bands beyond Nyquist."""
    xp = array_namespace(magnitude)
    sizes = {"dtype": xp.float64, "device": array_api_compat.device(magnitude)}
    peak, valley = (xp.zeros((len(magnitude), N_CONTRAST), **sizes) for _ in range(2))
    for index, (start, end, n_extreme) in enumerate(_bands(audio.sample_rate, audio.n_fft)):
        ordered = xp.sort(magnitude[:, start:end], axis=1, stable=False)  # vectorised: np.partition is slower
        valley[:, index] = xp.mean(ordered[:, :n_extreme], axis=1)
        peak[:, index] = xp.mean(ordered[:, -n_extreme:], axis=1)
    return peak, valley


class _Peaks(NamedTuple):
    frequency_hz: Float32[Any, " peaks"]
    strength: Float32[Any, " peaks"]


def _pitch_peaks(block: Float32[Any, "rows bins"], audio: AudioConfig) -> _Peaks:
    """Local maxima of the power spectrum over a tenth of the row's maximum, by parabolic interpolation.

    With a = P[k+1] + P[k-1] - 2 P[k] and b = (P[k+1] - P[k-1]) / 2, the maximum lies at k - b/a.
    """
    xp = array_namespace(block)
    low, high = np.searchsorted(_frequencies(audio.sample_rate, audio.n_fft), _PITCH_RANGE_HZ).tolist()
    high = min(high, block.shape[1] - 1)
    centre, left, right = block[:, low:high], block[:, low - 1 : high - 1], block[:, low + 1 : high + 1]
    loud = centre > _PITCH_THRESHOLD * xp.max(block, axis=1, keepdims=True)
    row, bin_ = xp.nonzero(loud & (centre > left) & (centre >= right))
    p, p_left, p_right = centre[row, bin_], left[row, bin_], right[row, bin_]
    slope, curve = 0.5 * (p_right - p_left), p_right + p_left - 2.0 * p
    shift = xp.where(xp.abs(slope) < xp.abs(curve), -slope / xp.where(curve == 0, 1.0, curve), 0.0)
    frequency = (xp.astype(low + bin_, xp.float64) + shift) * (audio.sample_rate / audio.n_fft)
    return _Peaks(xp.astype(frequency, xp.float32), p + 0.5 * slope * shift)


def _tuning(blocks: list[_Peaks]) -> float:
    """Deviation from A 440 in semitones: the mode of the residuals of the stronger half of the spectral peaks."""
    xp = array_namespace(blocks[0].strength)
    frequency = xp.concat([block.frequency_hz for block in blocks])
    strength = xp.concat([block.strength for block in blocks])
    if len(strength) == 0:
        return 0.0
    ordered, n = xp.sort(strength, stable=False), len(strength)
    median = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    chosen = frequency[(strength >= median) & (frequency > 0)]
    if len(chosen) == 0:
        return 0.0
    octaves = 12.0 * xp.log2(xp.astype(chosen, xp.float64) / _TUNING_REFERENCE_HZ)
    residual = xp.sort(xp.remainder(octaves + 0.5, 1.0) - 0.5, stable=False)
    edges = np.linspace(-0.5, 0.5, _TUNING_BINS)
    counts = xp.diff(xp.searchsorted(residual, beside(residual, edges)))
    return float(edges[int(xp.argmax(counts))])


def _normalised_chroma(
    mono: Float32[Any, " samples"], audio: AudioConfig, known: _ForChroma
) -> Float32[Any, "frames 12"]:
    """Power gathered by pitch class; the largest of each frame is 1."""
    xp, tuning = array_namespace(mono), _tuning(known.peaks)
    filters = beside(mono, np.ascontiguousarray(chroma_weights(audio, tuning).T))
    blocks = known.kept_power or (
        power(spectrum) for spectrum in stft_blocks(mono, n_fft=audio.n_fft, hop_length=audio.hop_length)
    )
    chroma = xp.concat([block @ filters for block in blocks])
    largest = xp.max(chroma, axis=1, keepdims=True)
    return chroma / xp.where(largest < _TINY, 1.0, largest)


def chroma_weights(audio: AudioConfig, tuning: float) -> Float32[np.ndarray, "12 bins"]:
    """How far each frequency belongs to each pitch class from C on, middle octaves weighing most.

    ``tuning`` is in semitones from A at 440 Hz. To the bit as librosa's ``filters.chroma``, which takes long to import.
    """
    n = len(CHROMA)
    frequencies = np.linspace(0, audio.sample_rate, audio.n_fft, endpoint=False)[1:]
    a0_hz = 440.0 * 2.0 ** (tuning / n) / 16.0
    semitones = n * np.log2(frequencies / a0_hz)
    semitones = np.concatenate(([semitones[0] - 1.5 * n], semitones))  # at 0 Hz: far below, and wide
    width = np.concatenate((np.maximum(np.diff(semitones), 1.0), [1]))
    apart = np.subtract.outer(semitones, np.arange(n, dtype=float)).T
    apart = np.remainder(apart + n / 2 + 10 * n, n) - n / 2
    weights = np.exp(-0.5 * (2 * apart / width) ** 2)
    weights /= np.sum(np.abs(weights) ** 2, axis=0, keepdims=True) ** 0.5
    weights *= np.exp(-0.5 * ((semitones / n - _MIDDLE_OCTAVE) / _OCTAVES_WIDE) ** 2)
    from_c = np.roll(weights, -3, axis=0)  # they were counted from A on
    return np.ascontiguousarray(from_c[:, : audio.n_fft // 2 + 1], dtype=np.float32)


def _level_pass(mono: Float32[Any, " samples"], audio: AudioConfig, values: Float32[Any, "frames 52"]) -> None:
    """RMS (zeros beyond the ends) and zero-crossing rate (edge values beyond the ends), in blocks of frames."""
    xp, hop, n_fft, step = array_namespace(mono), audio.hop_length, audio.n_fft, 1024
    for first in range(0, len(values), step):
        out = values[first : first + step]
        start, length = first * hop - n_fft // 2, (len(out) - 1) * hop + n_fft
        piece = padded_span(mono, start, length)
        frames = framed(piece, n_fft=n_fft, hop_length=hop)
        out[:, _at("rms")] = xp.sqrt(xp.vecdot(frames, frames) / n_fft)
        out[:, _at("zcr")] = _zero_crossing_rate(_edge_padded(mono, start, piece), n_fft=n_fft, hop_length=hop)


def _edge_padded(mono: Float32[Any, " samples"], start: int, piece: Float32[Any, " span"]) -> Float32[Any, " span"]:
    if len(mono):
        piece[: max(-start, 0)] = mono[0]
        piece[max(min(len(mono) - start, len(piece)), 0) :] = mono[-1]
    return piece


def _zero_crossing_rate(piece: Float32[Any, " span"], *, n_fft: int, hop_length: int) -> Float64[Any, " rows"]:
    """Changes of sign inside each frame over its length; the frame's first sample is no crossing."""
    xp, negative = array_namespace(piece), piece < -_ZERO_CROSSING_DEAD_ZONE
    passed = xp.cumulative_sum(xp.astype(negative[1:] != negative[:-1], xp.int64), include_initial=True)
    return xp.astype(passed[n_fft - 1 :: hop_length] - passed[: -n_fft + 1 : hop_length], xp.float64) / n_fft


def _in_db(power_values: Float[Any, "frames bands"]) -> Float[Any, "frames bands"]:
    """``to_db`` in place, in blocks that are floored by the loudest of all: an hour's mel spectrum is 80 MB."""
    xp = array_namespace(power_values)
    loudest = xp.max(power_values, axis=0, keepdims=True)
    for first in range(0, len(power_values), _BLOCK_ROWS):
        block = power_values[first : first + _BLOCK_ROWS]
        block[...] = to_db(xp.concat([block, loudest]))[:-1]
    return power_values


def _onset_strength(mel_db: Float32[Any, "frames mels"], audio: AudioConfig) -> Float32[Any, " frames"]:
    """Mean rise of the bands since the frame before, delayed by librosa's centring: 1 + n_fft / (2 hop) zeros."""
    xp, delay = array_namespace(mel_db), 1 + audio.n_fft // (2 * audio.hop_length)
    strength = xp.zeros_like(mel_db[:, 0])
    for first in range(delay, len(mel_db), _BLOCK_ROWS):
        heard = mel_db[first - delay : first - delay + min(_BLOCK_ROWS, len(mel_db) - first) + 1]
        strength[first : first + _BLOCK_ROWS] = xp.mean(xp.clip(heard[1:] - heard[:-1], min=0.0), axis=1)
    return strength


@lru_cache(maxsize=8)
def _cosines(n_mels: int) -> Any:
    """The orthonormal DCT-II as a matrix, float32 [mels, N_MFCC]."""
    transformed: np.ndarray = scipy.fft.dct(np.eye(n_mels), axis=1, type=2, norm="ortho")
    return np.ascontiguousarray(transformed[:, :N_MFCC], dtype=np.float32)


def _local_slope(values: Float32[Any, "frames columns"]) -> Float32[Any, "frames columns"]:
    """Slope of a line fitted over 9 frames (Savitzky-Golay); at the ends that of the first and of the last line.

    Signals shorter than that are continued at their ends.
    """
    xp, reach = array_namespace(values), _DELTA_REACH

    def between(inner: Any, ends: Any) -> Any:
        return xp.concat([xp.repeat(ends[:1], reach, axis=0), inner, xp.repeat(ends[-1:], reach, axis=0)])

    short = len(values) <= 2 * reach
    spread = between(values, values) if short else values
    n = len(spread) - 2 * reach
    rises = (k * (spread[reach + k : reach + k + n] - spread[reach - k : reach - k + n]) for k in range(1, reach + 1))
    slope = sum(rises) / (2 * sum(k * k for k in range(1, reach + 1)))
    return slope if short else between(slope, slope)


def _one_stem(
    mono: Float32[Any, " samples"], audio: AudioConfig
) -> tuple[Float32[Any, " frames"], Float32[Any, " frames"]]:
    """Mean square and centroid in Hz of each frame."""
    xp, levels, centroids = array_namespace(mono), [], []
    frequencies = beside(mono, _frequencies(audio.sample_rate, audio.n_fft))
    window_power = float((hann(audio.n_fft) ** 2).sum()) * audio.n_fft / 2.0
    for spectrum in stft_blocks(mono, n_fft=audio.n_fft, hop_length=audio.hop_length):
        block = power(spectrum)
        magnitude = xp.astype(xp.sqrt(block), xp.float64)
        total = xp.sum(magnitude, axis=1)
        centroids.append(magnitude @ frequencies / xp.where(total < _TINY, 1.0, total))
        levels.append(xp.sum(block, axis=1, dtype=xp.float64) / window_power)  # Parseval, one-sided
    return xp.astype(xp.concat(levels), xp.float32), xp.astype(xp.concat(centroids), xp.float32)


@lru_cache(maxsize=8)
def _frequencies(sample_rate: int, n_fft: int) -> Any:
    return np.fft.rfftfreq(n_fft, 1.0 / sample_rate)


def _at(name: str) -> int:
    return FRAME_NAMES.index(name)


def _span(names: tuple[str, ...]) -> slice:
    return slice(_at(names[0]), _at(names[-1]) + 1)
