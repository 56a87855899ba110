"""One STFT for all, and mel spectrograms.

Conventions: spectra have shape ``[frames, bins]``; frame t is centred on sample ``t * hop_length`` with zeros beyond
the ends, as in librosa's ``center=True``. Arrays (``Any``) are NumPy's, or tensors where the work is to be done on
their device: what takes and gives them is written in the array API that both have. Source: librosa 0.11 ``stft``,
``melspectrogram`` and ``power_to_db``, whose numbers these equal. Its filters and SciPy's window are made here, to
the bit as there: to import those takes as long as a song's features.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import array_api_compat
import numpy as np
import scipy.fft
from array_api_compat import array_namespace
from jaxtyping import Complex, Float, Float32, Float64

from rl_editor.config import AudioConfig

SPECTRUM_BLOCK_FRAMES = 256  # STFT frames at a time: 2 MiB of complex64 at n_fft 2048
DEVICE_BLOCK_FRAMES = 4096  # the same on a device that is not the CPU
POWER_FLOOR = 1e-10  # librosa's amin: -100 dB
DYNAMIC_RANGE_DB = 80.0  # librosa's top_db
_HZ_PER_MEL, _LOG_FROM_HZ, _LOG_STEP = 200.0 / 3, 1000.0, np.log(6.4) / 27.0  # Slaney's scale: linear, then log


def n_spectrum_frames(n_samples: int, *, hop_length: int) -> int:
    """STFT frames of a signal: 1 + n // hop."""
    return 1 + n_samples // hop_length


def stft_blocks(
    mono: Float32[Any, " samples"], *, n_fft: int, hop_length: int
) -> Iterator[Complex[Any, "frames bins"]]:
    """The Hann STFT in blocks of frames, ``SPECTRUM_BLOCK_FRAMES`` each but the last.

    X[t, k] = sum_n w[n] y[t*hop + n - n_fft/2] exp(-2 pi i k n / n_fft), computed in float64 and stored as
    complex64: a float32 FFT moves the last spectral-contrast band by up to 2.7 dB.
    """
    xp, step = array_namespace(mono), SPECTRUM_BLOCK_FRAMES if isinstance(mono, np.ndarray) else DEVICE_BLOCK_FRAMES
    window = beside(mono, hann(n_fft))
    n_frames = n_spectrum_frames(len(mono), hop_length=hop_length)
    for first in range(0, n_frames, step):
        count = min(step, n_frames - first)
        piece = padded_span(mono, first * hop_length - n_fft // 2, (count - 1) * hop_length + n_fft)
        yield xp.astype(_rfft(framed(piece, n_fft=n_fft, hop_length=hop_length) * window), xp.complex64)


def hann(n_fft: int) -> Float64[np.ndarray, " {n_fft}"]:
    """Hann's window, periodic."""
    return 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, n_fft + 1)[:-1])


def beside(mono: Any, values: np.ndarray) -> Any:
    """``values`` where ``mono`` is."""
    return array_namespace(mono).asarray(values, device=array_api_compat.device(mono))


def framed(span: Float[Any, " samples"], *, n_fft: int, hop_length: int) -> Float[Any, "frames {n_fft}"]:
    """Every ``n_fft`` samples that start at a multiple of ``hop_length``, as a view."""
    if isinstance(span, np.ndarray):
        return np.lib.stride_tricks.sliding_window_view(span, n_fft)[::hop_length]
    return span.unfold(0, n_fft, hop_length)


def _rfft(windowed: Float[Any, "frames samples"]) -> Complex[Any, "frames bins"]:
    if isinstance(windowed, np.ndarray):
        return scipy.fft.rfft(windowed, axis=1, overwrite_x=True)  # twice as fast as NumPy's
    return array_namespace(windowed).fft.rfft(windowed)


def padded_span(mono: Float32[Any, " samples"], start: int, length: int) -> Float32[Any, " span"]:
    """``length`` samples from ``start`` (which may be negative), zero outside the signal."""
    xp = array_namespace(mono)
    span = xp.zeros(length, dtype=xp.float32, device=array_api_compat.device(mono))
    low, high = max(start, 0), min(start + length, len(mono))
    if high > low:
        span[low - start : high - start] = mono[low:high]
    return span


def power(spectrum: Complex[Any, "frames bins"]) -> Float32[Any, "frames bins"]:
    """|X|^2."""
    return spectrum.real * spectrum.real + spectrum.imag * spectrum.imag


@lru_cache(maxsize=8)
def mel_filters(sample_rate: int, n_fft: int, n_mels: int) -> Any:
    """Slaney's mel filters as a sparse matrix, float32 [bins, mels]."""
    import scipy.sparse

    return scipy.sparse.csr_array(_mel_weights(sample_rate, n_fft, n_mels).T)


def _mel_weights(sample_rate: int, n_fft: int, n_mels: int) -> Float32[np.ndarray, "mels bins"]:
    """Triangles over three edges each, evenly spaced in mel from 0 to half the rate, all of one area."""
    edges = _hz_of_mel(np.linspace(0.0, _mel_of_hz(sample_rate / 2), n_mels + 2))
    ramps, widths = np.subtract.outer(edges, np.fft.rfftfreq(n_fft, 1.0 / sample_rate)), np.diff(edges)
    weights = np.zeros((n_mels, n_fft // 2 + 1), np.float32)
    for band in range(n_mels):
        weights[band] = np.maximum(0, np.minimum(-ramps[band] / widths[band], ramps[band + 2] / widths[band + 1]))
    weights *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return weights


def _mel_of_hz(frequency_hz: float) -> float:
    if frequency_hz < _LOG_FROM_HZ:
        return frequency_hz / _HZ_PER_MEL
    return float(_LOG_FROM_HZ / _HZ_PER_MEL + np.log(frequency_hz / _LOG_FROM_HZ) / _LOG_STEP)


def _hz_of_mel(mel: Float64[np.ndarray, " edges"]) -> Float64[np.ndarray, " edges"]:
    log_from = _LOG_FROM_HZ / _HZ_PER_MEL
    return np.where(mel >= log_from, _LOG_FROM_HZ * np.exp(_LOG_STEP * (mel - log_from)), _HZ_PER_MEL * mel)


def mel_spectrogram(mono: Float32[np.ndarray, " samples"], config: AudioConfig) -> Float32[np.ndarray, "mels frames"]:
    """Mel power in dB re 1.0, floored at 80 dB below its maximum (librosa's ``power_to_db(melspectrogram(y))``)."""
    filters = mel_filters(config.sample_rate, config.n_fft, config.n_mels)
    n_frames = n_spectrum_frames(len(mono), hop_length=config.hop_length)
    mel, at = np.empty((n_frames, config.n_mels), np.float32), 0
    for spectrum in stft_blocks(mono, n_fft=config.n_fft, hop_length=config.hop_length):
        mel[at : at + len(spectrum)] = power(spectrum) @ filters
        at += len(spectrum)
    decibels: np.ndarray = to_db(mel)
    return decibels.T


def to_db(power_values: Float[Any, "*shape"]) -> Float[Any, "*shape"]:
    """10 log10(max(S, 1e-10)), floored at 80 dB below the maximum of the whole array."""
    xp = array_namespace(power_values)
    db = xp.log10(xp.clip(power_values, min=POWER_FLOOR))
    db *= 10.0  # in place: an hour's spectra are large
    return xp.maximum(db, xp.max(db) - DYNAMIC_RANGE_DB) if array_api_compat.size(db) else db
