"""Where the attacks of beats lie exactly, at a finer scale than the frames in which beats are heard."""

import numpy as np
from jaxtyping import Float32, Float64

_ATTACK_HOP_SAMPLES = 128  # 5.8 ms at the default rate
_ATTACK_BLOCKS = 8192  # at a time
_ATTACK_REACH_S = 0.07
_ATTACK_BEATS = 6.0  # deviation of the Gaussian over neighbouring beats
_ATTACK_COMPRESSION = 10.0  # log1p of this times energy over its mean


def attack_offsets_s(
    rise: Float64[np.ndarray, " blocks"], times_s: Float64[np.ndarray, " beats"], *, sample_rate: int
) -> Float64[np.ndarray, " beats"]:
    """How far the attacks lie from the beats, by the ``energy_rise`` of the signal, alike for neighbouring beats.

    The frames' 93 ms windows see an attack early by as much as its rise stands out, which differs by instrument.
    """
    from scipy.ndimage import gaussian_filter, gaussian_filter1d  # slow to import, and not needed for cached beats

    rate = sample_rate / _ATTACK_HOP_SAMPLES
    offsets = np.arange(-_ATTACK_REACH_S, _ATTACK_REACH_S, 1.0 / rate)
    at = (times_s[:, None] + offsets) * rate  # energy has risen where the louder block begins
    profile = np.interp(at, np.arange(len(rise)), rise, left=0.0, right=0.0)
    profile = gaussian_filter(profile, (_ATTACK_BEATS, 1.0), mode=("nearest", "constant"))
    nearest = profile * np.exp(-0.5 * (offsets / _ATTACK_REACH_S) ** 2)
    smoothed: np.ndarray = gaussian_filter1d(offsets[nearest.argmax(axis=1)], _ATTACK_BEATS / 2)
    return smoothed


def energy_rise(mono: Float32[np.ndarray, " samples"]) -> Float64[np.ndarray, " blocks"]:
    """Rise of log energy from block to block, of the signal and of its difference (which stresses the highs)."""
    energy = np.zeros((2, len(mono) // _ATTACK_HOP_SAMPLES))
    for first in range(0, energy.shape[1], _ATTACK_BLOCKS):  # in pieces: an hour is large
        start = first * _ATTACK_HOP_SAMPLES
        signal = mono[start : start + _ATTACK_BLOCKS * _ATTACK_HOP_SAMPLES]
        rising = np.diff(signal, prepend=mono[start - 1] if start else np.float32(0.0))
        for row, values in zip(energy, (signal, rising), strict=True):
            blocks = values[: len(values) // _ATTACK_HOP_SAMPLES * _ATTACK_HOP_SAMPLES].reshape(-1, _ATTACK_HOP_SAMPLES)
            row[first : first + len(blocks)] = np.einsum("bn,bn->b", blocks, blocks)
    level = np.log1p(_ATTACK_COMPRESSION * energy / np.maximum(energy.mean(1, keepdims=True), 1e-12))
    return np.asarray(np.maximum(np.diff(level, prepend=level[:, :1]), 0.0).sum(0))
