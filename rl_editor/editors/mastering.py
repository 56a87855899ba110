"""What happens to an edit after it is cut: gain, tone, limiting, sometimes a lossy codec.

Conventions: float32 ``[frames, channels]`` in and out, the same number of frames, no shift in time: filters are
minimum phase, and the codecs of libsndfile (Vorbis, MP3 with LAME's gapless header) give back the frames they got.
"""

import io
from dataclasses import dataclass

import numpy as np
import scipy.signal
import soundfile as sf
from jaxtyping import Float, Float32

from rl_editor.speakers import from_file_order, to_file_order
from rl_editor.utils import BLOCK_FRAMES, Samples

_CODEC_SHARE = 0.4  # of all edits
_CODECS = (("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III"))
_MP3_RATES_HZ = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000})
_CEILING = 0.95
_KNEE = 0.7  # share of the ceiling from which peaks are rounded


@dataclass(frozen=True)
class Master:
    """One drawn mastering chain."""

    gain_db: float
    low_shelf_db: float
    high_shelf_db: float
    codec: tuple[str, str] | None


def draw_master(rng: np.random.Generator) -> Master:
    """Draw a chain; always the same number of draws."""
    gain_db, low_db, high_db = rng.uniform((-4.0, -3.0, -3.0), (3.0, 3.0, 3.0))
    chosen, coded = int(rng.integers(len(_CODECS))), bool(rng.random() < _CODEC_SHARE)
    return Master(float(gain_db), float(low_db), float(high_db), _CODECS[chosen] if coded else None)


def master(samples: Samples, rng: np.random.Generator) -> Samples:
    """Master an edit with a drawn chain."""
    return apply_master(samples, draw_master(rng))


def apply_master(samples: Samples, chain: Master) -> Samples:
    """Master an edit."""
    rate = samples.sample_rate
    low = _shelf(180.0, chain.low_shelf_db, rate, high=False)
    high = _shelf(3500.0, chain.high_shelf_db, rate, high=True)
    toned = scipy.signal.sosfilt(np.stack([low, high]), samples.data, axis=0)
    limited = _soft_limit(toned * 10.0 ** (chain.gain_db / 20.0))
    coded = limited if chain.codec is None else _through_codec(limited, rate, chain.codec)
    return Samples(np.clip(coded, -1.0, 1.0).astype(np.float32), rate)


def _shelf(corner_hz: float, gain_db: float, sample_rate: int, *, high: bool) -> Float[np.ndarray, " six"]:
    """A shelving filter of slope 1 (Bristow-Johnson, Audio EQ Cookbook) as one second-order section."""
    a, w = 10.0 ** (gain_db / 40.0), 2.0 * np.pi * corner_hz / sample_rate
    sign, c, root = (-1.0 if high else 1.0), np.cos(w), np.sqrt(2.0 * a) * np.sin(w)
    b = [a * ((a + 1) - sign * (a - 1) * c + root), sign * 2 * a * ((a - 1) - sign * (a + 1) * c),
         a * ((a + 1) - sign * (a - 1) * c - root)]  # fmt: skip
    d = [(a + 1) + sign * (a - 1) * c + root, -sign * 2 * ((a - 1) + sign * (a + 1) * c),
         (a + 1) + sign * (a - 1) * c - root]  # fmt: skip
    return np.asarray(np.array([*b, *d]) / d[0])


def _soft_limit(audio: Float[np.ndarray, "frames channels"]) -> Float32[np.ndarray, "frames channels"]:
    """Linear up to the knee, then y = knee + room * tanh((|x| - knee) / room), which never passes the ceiling."""
    knee = _KNEE * _CEILING
    room = _CEILING - knee
    size = np.abs(audio)
    rounded = knee + room * np.tanh((size - knee) / room)
    limited: np.ndarray = np.where(size > knee, np.sign(audio) * rounded, audio).astype(np.float32)
    return limited


def _through_codec(
    audio: Float32[np.ndarray, "frames channels"], sample_rate: int, codec: tuple[str, str]
) -> Float32[np.ndarray, "frames channels"]:
    """Encode and decode in memory; written in blocks, since libsndfile crashes on a long OGG written in one call."""
    if audio.shape[1] > 2 or sample_rate not in _MP3_RATES_HZ:
        codec = _CODECS[0]
    buffer = io.BytesIO()
    with sf.SoundFile(buffer, "w", sample_rate, audio.shape[1], format=codec[0], subtype=codec[1]) as file:
        for start in range(0, len(audio), BLOCK_FRAMES):
            file.write(to_file_order(audio[start : start + BLOCK_FRAMES], codec[1]))
    buffer.seek(0)
    decoded = np.zeros_like(audio)
    with sf.SoundFile(buffer) as file:
        at = 0
        while at < len(audio) and len(block := file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
            block = from_file_order(block[: len(audio) - at], codec[1])
            decoded[at : at + len(block)] = block
            at += len(block)
    return decoded
