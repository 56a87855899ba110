"""What the beat network listens to, and what it hears in it.

Conventions: the signal at 22,050 Hz; frame t is centred on sample 441 t, 50 frames per second. Torch is imported when
the network listens: seconds that nobody waits for whose beats are known.
"""

from typing import NamedTuple

import numpy as np
import soxr
from jaxtyping import Float, Float16, Float32

from rl_editor.utils import mel_filters, n_spectrum_frames, power, stft_blocks

RATE_HZ, HOP_SAMPLES, FFT_SAMPLES, N_BANDS = 22_050, 441, 1024, 64
FRAME_RATE_HZ = RATE_HZ / HOP_SAMPLES

_COMPRESSION = 30.0  # log1p of this times magnitude over its mean


class Activations(NamedTuple):
    """Probabilities per frame."""

    beat: Float[np.ndarray, " frames"]
    downbeat: Float[np.ndarray, " frames"]  # a downbeat is a beat as well

    def near(self, times_s: Float[np.ndarray, " times"]) -> "Activations":
        """The largest probabilities within a frame of each time."""
        at = np.rint(times_s * FRAME_RATE_HZ).astype(int)
        around = np.clip(at[:, None] + np.arange(-1, 2), 0, len(self.beat) - 1)
        return Activations(self.beat[around].max(axis=1), self.downbeat[around].max(axis=1))


def log_mel(mono: Float32[np.ndarray, " samples"], sample_rate: int) -> Float16[np.ndarray, "frames bands"]:
    """What the network hears: log(1 + c m / mean(m)) of the mel magnitude m, whatever the signal's level.

    In half precision, which it learned from and which is kept.
    """
    signal = mono if sample_rate == RATE_HZ else soxr.resample(mono, sample_rate, RATE_HZ)
    filters = mel_filters(RATE_HZ, FFT_SAMPLES, N_BANDS)
    mel, at = np.zeros((n_spectrum_frames(len(signal), hop_length=HOP_SAMPLES), N_BANDS), np.float32), 0
    for spectrum in stft_blocks(signal, n_fft=FFT_SAMPLES, hop_length=HOP_SAMPLES):
        mel[at : at + len(spectrum)] = np.sqrt(power(spectrum) @ filters)
        at += len(spectrum)
    mean = float(mel.mean(dtype=np.float64))
    mel *= np.float32(_COMPRESSION / max(mean, 1e-9))
    return np.log1p(mel, out=mel).astype(np.float16)


def activations(mel: Float16[np.ndarray, "frames bands"]) -> Activations:
    """How likely each frame is a beat and a downbeat, by ``log_mel``."""
    from rl_editor.beats.network import probabilities

    probable = probabilities(mel)
    return Activations(probable[:, 0], np.minimum(probable[:, 1], probable[:, 0]))
