"""One STFT for all, and mel spectrograms.

Conventions: spectra have shape ``[frames, bins]``; frame t is centred on sample ``t * hop_length`` with zeros beyond
the ends, as in librosa's ``center=True``. Source: librosa 0.11 ``stft``, ``melspectrogram`` and ``power_to_db``, whose
numbers these equal.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.fft
from jaxtyping import Complex, Float, Float32

from rl_editor.config import AudioConfig

SPECTRUM_BLOCK_FRAMES = 256  # STFT frames at a time: 2 MiB of complex64 at n_fft 2048
POWER_FLOOR = 1e-10  # librosa's amin: -100 dB
DYNAMIC_RANGE_DB = 80.0  # librosa's top_db


def n_spectrum_frames(n_samples: int, *, hop_length: int) -> int:
    """STFT frames of a signal: 1 + n // hop."""
    return 1 + n_samples // hop_length


def stft_blocks(
    mono: Float32[np.ndarray, " samples"], *, n_fft: int, hop_length: int
) -> Iterator[Complex[np.ndarray, "frames bins"]]:
    """The Hann STFT in blocks of frames, ``SPECTRUM_BLOCK_FRAMES`` each but the last.

    X[t, k] = sum_n w[n] y[t*hop + n - n_fft/2] exp(-2 pi i k n / n_fft), computed in float64 and stored as
    complex64: a float32 FFT moves the last spectral-contrast band by up to 2.7 dB.
    """
    from scipy.signal import get_window  # half a second of importing, which cached features do not need

    window = get_window("hann", n_fft, fftbins=True)
    n_frames = n_spectrum_frames(len(mono), hop_length=hop_length)
    for first in range(0, n_frames, SPECTRUM_BLOCK_FRAMES):
        count = min(SPECTRUM_BLOCK_FRAMES, n_frames - first)
        piece = padded_span(mono, first * hop_length - n_fft // 2, (count - 1) * hop_length + n_fft)
        framed = np.lib.stride_tricks.sliding_window_view(piece, n_fft)[::hop_length]
        yield scipy.fft.rfft(framed * window, axis=1, overwrite_x=True).astype(np.complex64)


def padded_span(mono: Float32[np.ndarray, " samples"], start: int, length: int) -> Float32[np.ndarray, " span"]:
    """``length`` samples from ``start`` (which may be negative), zero outside the signal."""
    span = np.zeros(length, np.float32)
    low, high = max(start, 0), min(start + length, len(mono))
    if high > low:
        span[low - start : high - start] = mono[low:high]
    return span


def power(spectrum: Complex[np.ndarray, "frames bins"]) -> Float32[np.ndarray, "frames bins"]:
    """|X|^2."""
    result: np.ndarray = np.square(spectrum.real) + np.square(spectrum.imag)
    return result


@lru_cache(maxsize=8)
def mel_filters(sample_rate: int, n_fft: int, n_mels: int) -> Any:
    """Slaney's mel filters as a sparse matrix, float32 [bins, mels]."""
    import scipy.sparse
    from librosa.filters import mel

    return scipy.sparse.csr_array(mel(sr=sample_rate, n_fft=n_fft, n_mels=n_mels).T)


def mel_spectrogram(mono: Float32[np.ndarray, " samples"], config: AudioConfig) -> Float32[np.ndarray, "mels frames"]:
    """Mel power in dB re 1.0, floored at 80 dB below its maximum (librosa's ``power_to_db(melspectrogram(y))``)."""
    filters = mel_filters(config.sample_rate, config.n_fft, config.n_mels)
    n_frames = n_spectrum_frames(len(mono), hop_length=config.hop_length)
    mel, at = np.empty((n_frames, config.n_mels), np.float32), 0
    for spectrum in stft_blocks(mono, n_fft=config.n_fft, hop_length=config.hop_length):
        mel[at : at + len(spectrum)] = power(spectrum) @ filters
        at += len(spectrum)
    return to_db(mel).T


def to_db(power_values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """10 log10(max(S, 1e-10)), floored at 80 dB below the maximum of the whole array."""
    db: np.ndarray = 10.0 * np.log10(np.maximum(power_values, POWER_FLOOR))
    floored: np.ndarray = np.maximum(db, db.max(initial=-100.0) - DYNAMIC_RANGE_DB).astype(power_values.dtype)
    return floored
