"""What a mixing desk does: room, echo, ducking, levels.

Conventions: audio is float32 ``[frames, 2]``; everything but ``limiter_gain`` is linear, and that gives one gain curve
that is applied to all stems alike, so that the stems always sum to the mix.
"""

import numpy as np
import scipy.ndimage
import scipy.signal
from jaxtyping import Float, Float32

Stereo = Float32[np.ndarray, "frames 2"]

_LIMITER_HOP = 64  # frames per step of the limiter's gain curve
_LIMITER_STEPS = 8  # on each side: 21 ms at 24 kHz


def reverb(dry: Stereo, sample_rate: int, *, seconds: float, level: float, rng: np.random.Generator) -> Stereo:
    """Add a room: the mono sum through two independent tails of decaying noise."""
    n = round(seconds * sample_rate)
    t = np.arange(n) / sample_rate
    sos = scipy.signal.butter(1, [250.0, 4500.0], btype="bandpass", fs=sample_rate, output="sos")
    tails = scipy.signal.sosfilt(sos, rng.standard_normal((2, n)) * np.exp(-6.9 * t / seconds), axis=1)
    tails *= level / np.sqrt((tails**2).sum(axis=1, keepdims=True))
    predelay = round(0.018 * sample_rate)
    send = dry.mean(axis=1)
    wet = np.array(dry)
    for channel, tail in enumerate(tails.astype(np.float32)):
        wet[predelay:, channel] += scipy.signal.oaconvolve(send, tail)[: len(dry) - predelay]
    return wet


def echo(dry: Stereo, *, delay_frames: int, level: float, n_echoes: int) -> Stereo:
    """Add echoes that bounce between the sides, each ``level`` times the one before."""
    wet = np.array(dry)
    for i in range(1, n_echoes + 1):
        shift = i * delay_frames
        if shift >= len(dry):
            break
        sides = dry[:-shift, ::-1] if i % 2 else dry[:-shift]
        wet[shift:] += np.float32(level**i) * sides
    return wet


def ducking(n_frames: int, hits: Float[np.ndarray, " hits"], sample_rate: int, *, depth: float) -> Stereo:
    """A gain curve that dips at every hit (seconds) and recovers in about 0.15 s, for pads under a kick."""
    gain = np.ones(n_frames, np.float32)
    t = np.arange(round(0.35 * sample_rate)) / sample_rate
    dip = (1.0 - depth * np.exp(-((t / 0.13) ** 2))).astype(np.float32)
    for hit in hits:
        start = max(round(float(hit) * sample_rate), 0)
        stop = min(start + len(dip), n_frames)
        gain[start:stop] = np.minimum(gain[start:stop], dip[: max(stop - start, 0)])
    return np.stack([gain, gain], axis=1)


def rms(audio: Stereo) -> float:
    """Root mean square over all frames and channels."""
    return float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))


def limiter_gain(mix: Stereo, *, ceiling: float) -> Stereo:
    """The smooth gain, at most 1, that keeps every sample of ``mix`` within ``ceiling``."""
    n_steps = -(-len(mix) // _LIMITER_HOP)
    peaks = np.zeros(n_steps * _LIMITER_HOP, np.float32)
    peaks[: len(mix)] = np.abs(mix).max(axis=1)
    needed = np.minimum(ceiling / np.maximum(peaks.reshape(n_steps, _LIMITER_HOP).max(axis=1), 1e-9), 1.0)
    lowest = scipy.ndimage.minimum_filter1d(needed, 2 * _LIMITER_STEPS + 3)
    smooth = scipy.ndimage.uniform_filter1d(lowest, 2 * _LIMITER_STEPS + 1)  # never above what is needed nearby
    centres = (np.arange(n_steps) + 0.5) * _LIMITER_HOP
    gain = np.interp(np.arange(len(mix)), centres, smooth).astype(np.float32)
    return np.stack([gain, gain], axis=1)


def fade_out(n_frames: int, *, start: int) -> Stereo:
    """A gain curve of 1 until ``start``, then down to 0 at the end along a cosine."""
    gain = np.ones(n_frames, np.float32)
    gain[start:] = 0.5 + 0.5 * np.cos(np.linspace(0.0, np.pi, n_frames - start))
    return np.stack([gain, gain], axis=1)
