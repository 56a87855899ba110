"""What a frame of music sounds like whatever mastering did to it: log-mel shapes without level and static EQ.

Conventions: frame i is centred on sample ``i * hop_length``, zeros beyond the ends. Per frame the mean over bands is
taken off (level, much of compression), then per band the mean over time (static EQ). Heard at another speed the frames
lie ``hop_length * speed`` apart, and at another pitch the bands lie lower by that much, so that the rows of raw and
edit agree; no audio is stretched for it. Neighbouring frames are not stacked here: the inner product of stacked vectors
is the sum of plain ones along the diagonal, which costs a fifth (see ``viterbi``).

Sources: O'Shaughnessy's mel scale (2595 log10(1 + f/700)); triangular filters as in HTK.
"""

from functools import lru_cache

import numpy as np
import scipy.fft
from jaxtyping import Float, Float32

from rl_editor.config import AlignmentConfig, AudioConfig

LOWEST_HZ = 40.0  # below lies rumble and DC, which mastering removes
HIGHEST_HZ = 9000.0  # above lies what lossy codecs and low sample rates drop
FLOOR_SHARE = 1e-3  # of a band's mean power: -30 dB, so that faint noise changes nothing
SILENCE_POWER = 1e-9  # per band; the floor of digital silence
BLOCK_FRAMES = 256  # STFT frames at a time: 2 MiB of complex64


def descriptors(
    mono: Float32[np.ndarray, " samples"],
    audio: AudioConfig,
    alignment: AlignmentConfig,
    *,
    speed: float = 1.0,
    semitones: float = 0.0,
) -> Float32[np.ndarray, "frames bands"]:
    """One row per frame, unscaled; equal music gives equal rows up to the means of the whole recording."""
    bank = mel_bank(audio.sample_rate, audio.n_fft, alignment.n_bands, semitones=semitones)
    return shapes(mel_power(mono, bank, n_fft=audio.n_fft, hop=audio.hop_length * speed))


def shapes(power: Float32[np.ndarray, "frames bands"]) -> Float32[np.ndarray, "frames bands"]:
    """Band powers as log shapes without level and static EQ."""
    floor = FLOOR_SHARE * power.mean(axis=0) + SILENCE_POWER
    shape = np.log(power + floor)
    shape -= shape.mean(axis=1, keepdims=True)
    return np.asarray(shape - shape.mean(axis=0))


def coarsened(rows: Float32[np.ndarray, "frames bands"], factor: int) -> Float32[np.ndarray, "coarse bands"]:
    """Means of ``factor`` neighbouring rows; the last group may be shorter."""
    starts = np.arange(0, len(rows), factor)
    sizes = np.minimum(factor, len(rows) - starts).astype(np.float32)
    return np.asarray(np.add.reduceat(rows, starts, axis=0) / sizes[:, None])


def mel_power(
    mono: Float32[np.ndarray, " samples"],
    bank: Float32[np.ndarray, "bins bands"],
    *,
    n_fft: int,
    hop: float,
    first: int = 0,
    count: int | None = None,
) -> Float32[np.ndarray, "frames bands"]:
    """Band powers of Hann windows centred on ``first`` and every ``hop`` samples (whole or not) from there."""
    count = 1 + int((len(mono) - first) / hop) if count is None else count
    starts = first + np.rint(np.arange(count) * hop).astype(np.int64)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(mono, n_fft // 2), n_fft)
    window = np.hanning(n_fft + 1)[:-1].astype(np.float32)
    power = np.empty((len(starts), bank.shape[1]), np.float32)
    for a in range(0, len(starts), BLOCK_FRAMES):
        spectrum = scipy.fft.rfft(frames[starts[a : a + BLOCK_FRAMES]] * window, axis=1)
        power[a : a + BLOCK_FRAMES] = (spectrum.real**2 + spectrum.imag**2) @ bank
    return power


@lru_cache(maxsize=64)
def mel_bank(
    sample_rate: int, n_fft: int, n_bands: int, *, semitones: float = 0.0
) -> Float32[np.ndarray, "bins bands"]:
    """Triangles of equal width in mel between ``LOWEST_HZ`` and ``HIGHEST_HZ`` (or Nyquist), each summing to 1 / n_fft.

    ``semitones`` is how much higher everything sounds in the edit: the bands of the raw lie lower by it.
    """
    top = min(HIGHEST_HZ, sample_rate / 2)
    edges = _hz(np.linspace(_mel(LOWEST_HZ), _mel(top), n_bands + 2)) / 2.0 ** (semitones / 12.0)
    bins = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    spread = sample_rate / n_fft  # a triangle narrower than a bin still catches its nearest bins
    rising = (bins[:, None] - edges[:-2]) / np.maximum(np.diff(edges)[:-1], spread)
    falling = (edges[2:] - bins[:, None]) / np.maximum(np.diff(edges)[1:], spread)
    bank = np.maximum(0.0, np.minimum(rising, falling)) + 1e-6
    bank /= bank.sum(axis=0) * n_fft
    return np.asarray(bank, dtype=np.float32)


def _mel(hz: float) -> float:
    return 2595.0 * float(np.log10(1.0 + hz / 700.0))


def _hz(mel: Float[np.ndarray, " edges"]) -> Float[np.ndarray, " edges"]:
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
