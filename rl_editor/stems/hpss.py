"""Stems without a trained model: drums, bass and the rest by harmonic-percussive separation.

Stems add up to the recording (to rounding). There is no ``vocals``: that stem is silent, voices are in ``other``. Masks
are made of the channels' sum and used for all of them; pieces of ``_PIECE_S`` overlap by ``_OVERLAP_S`` and are faded
over, so memory does not grow with the length.

What is percussive stands upright in a spectrogram, what is harmonic lies: medians along frequency and along time give
both, and soft masks share every bin between them. Percussive is ``drums``; of the harmonic part what lies below
``_BASS_HZ`` is ``bass``, faded over within it, and the rest ``other``.

It is coarse. On a minute of each of three songs rendered from MIDI (say_what_redfarn, mighty_giant_run, ultimate_run)
the signal-to-distortion ratio rose, against taking the mix for the stem, from -14 to -5 dB (drums) and from -11 to
-6 dB (bass), and fell from 9 to 3 dB (all else): good for saying when drums and bass play, not for listening.

Source: Fitzgerald 2010, "Harmonic/percussive separation using median filtering", as in librosa's ``decompose.hpss``.
"""

from collections.abc import Iterable, Iterator
from itertools import count

import numpy as np

from rl_editor.stems.names import STEM_NAMES
from rl_editor.utils import Samples
from rl_editor.utils.streams import Block, MovingWindow, begun

_PIECE_S, _OVERLAP_S = 30.0, 1.0
_WINDOW_S = 0.093
_KERNEL = (17, 31)  # bins, frames
_BASS_HZ = (180.0, 320.0)


def separated_by_hpss(blocks: Iterable[Samples]) -> Iterator[dict[str, Samples]]:
    """The four stems of a recording piece by piece, vocals silent."""
    first, blocks = begun(blocks)
    rate = first.sample_rate
    piece, overlap = round(_PIECE_S * rate), round(_OVERLAP_S * rate)
    recording = MovingWindow(block.data for block in blocks)
    fading: dict[str, Block] = {}  # what a piece says of the beginning of the next
    for start in count(0, piece):
        low, high = max(start - overlap, 0), start + piece
        recording.forget(low)
        heard = recording.read(low, high + 1)  # a frame ahead, to see whether this is the end
        last = len(heard) <= high - low
        parts = _separated(heard[: high - low], rate)
        for name, faded in fading.items():
            fade_in = ((np.arange(len(faded), dtype=np.float32) + 0.5) / len(faded))[:, None]
            parts[name][: len(faded)] = (1.0 - fade_in) * faded + fade_in * parts[name][: len(faded)]
        done = len(heard) if last else high - low - overlap
        yield {name: Samples(part[:done], rate) for name, part in parts.items()}
        if last:
            return
        fading = {name: part[done:] for name, part in parts.items()}


def _separated(data: Block, rate: int) -> dict[str, Block]:
    import librosa
    from librosa.decompose import hpss

    n_fft = 1 << round(np.log2(_WINDOW_S * rate))
    if len(data) < n_fft:
        return {name: np.zeros_like(data) for name in STEM_NAMES} | {"other": data.copy()}
    spectra = [librosa.stft(np.ascontiguousarray(channel), n_fft=n_fft) for channel in data.T]
    harmonic, _ = hpss(np.abs(sum(spectra)), kernel_size=_KERNEL[::-1], mask=True)
    frequencies = np.maximum(np.arange(n_fft // 2 + 1) * rate / n_fft, 1.0)
    low = np.interp(np.log(frequencies), np.log(_BASS_HZ), (1.0, 0.0))[:, None].astype(np.float32)
    masks = {"bass": harmonic * low, "other": harmonic * (1.0 - low)}
    found = {
        name: np.stack([librosa.istft(mask * s, n_fft=n_fft, length=len(data)) for s in spectra], axis=1)
        for name, mask in masks.items()
    }
    return found | {"drums": data - found["bass"] - found["other"], "vocals": np.zeros_like(data)}
