"""Separation of a recording, piece by piece: by the real Demucs or, without weights, by ``hpss``.

Sources: A. Défossez, demucs 4.1 (``apply_model``); the mix is normalised as ``demucs.separate`` does.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rl_editor.config import StemsConfig
from rl_editor.errors import SeparationModelError
from rl_editor.stems.hpss import separated_by_hpss
from rl_editor.stems.names import HPSS, STEM_NAMES
from rl_editor.stems.weights import Weights, find_weights, load_model
from rl_editor.utils import Samples
from rl_editor.utils.streams import Block, Counted, at_rate, of_length
from rl_editor.versions import READING, code_digest

if TYPE_CHECKING:
    import torch

_GPU_BATCH = 16  # segments at a time: more were no faster on an H100
_SEGMENT_BYTES = 400 << 20  # that htdemucs takes of a GPU per segment

Read = Callable[[], Iterable[Samples]]
"""Gives a recording in blocks, from its start whenever it is called."""


def separate(samples: Samples, config: StemsConfig) -> dict[str, Samples]:
    """The stems of a recording in memory, in the order of ``STEM_NAMES``; raises as ``separated_pieces``."""
    pieces = list(separated_pieces(lambda: [samples], config))
    return {
        name: Samples(np.concatenate([piece[name].data for piece in pieces]), samples.sample_rate)
        for name in STEM_NAMES
    }


def separated_pieces(read: Read, config: StemsConfig) -> Iterator[dict[str, Samples]]:
    """The stems of a recording, piece after piece: memory holds some of them, however long the recording is.

    The model ``hpss`` needs no weights. Demucs reads the recording once for its loudness, and once for every model of
    a bag and every two channels.

    Raises:
        MissingWeightsError: the model's weights cannot be had; the message says how to get them.
        SeparationModelError: the weights are damaged, or the model gives other stems or takes no such segment.
    """
    if config.model == HPSS:
        return separated_by_hpss(read())
    model = _load_once(config.model, find_weights(config))
    _check_model(model, config)
    return _separated(model, read, config)


def separating_workers(workers: int, config: StemsConfig) -> int:
    """Processes that separate side by side: one on a GPU, which a single recording keeps busy."""
    from rl_editor.devices import resolve_device

    on_cpu = config.model == HPSS or resolve_device(config.device, setting="stems.device").type == "cpu"
    return workers if on_cpu else 1


def segments_at_a_time(config: StemsConfig, device: "torch.device") -> int:
    """``stems.batch_segments``, or one on a CPU and on a GPU what fits into half of its free memory, up to 16."""
    import torch

    if config.batch_segments or device.type == "cpu":
        return config.batch_segments or 1
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(_GPU_BATCH, free // 2 // _SEGMENT_BYTES))


def stems_key(config: StemsConfig) -> dict[str, Any]:
    """What the stems of a recording depend on beside it, as a part of cache keys; where they are computed is none.

    Raises:
        MissingWeightsError: the model's weights cannot be had.
    """
    weights = HPSS if config.model == HPSS else _checksum(config.model, config.repo)
    return {
        "code": code_digest("stems", *READING),
        "weights": weights,
        "overlap": config.overlap,
        "segment_s": config.segment_s,
        "precision": config.precision,
    }


@lru_cache
def _checksum(model: str, repo: str | None) -> str:
    """Of a model's files, which are taken to stay as they are while this process runs."""
    return find_weights(StemsConfig(model=model, repo=repo)).sha256


@lru_cache(maxsize=1)
def _load_once(name: str, weights: Weights) -> Any:
    return load_model(name, weights)


def _check_model(model: Any, config: StemsConfig) -> None:
    if set(model.sources) != set(STEM_NAMES) or model.audio_channels != 2:
        raise SeparationModelError(
            f"{config.model}: separates {', '.join(model.sources)} in {model.audio_channels} channels, needed are "
            f"{', '.join(STEM_NAMES)} in 2; take a model such as htdemucs"
        )
    longest = model.max_allowed_segment
    if config.segment_s is not None and config.segment_s > longest:
        raise SeparationModelError(
            f"stems.segment_s: {config.segment_s:g} s, {config.model} takes at most {float(longest):g} s; "
            "leave it null for the model's own length"
        )


def _separated(model: Any, read: Read, config: StemsConfig) -> Iterator[dict[str, Samples]]:
    """Channels beyond two are separated in pairs, a single one as both sides."""
    start = next(iter(read()))
    rate = start.sample_rate
    pairs = [_separated_pair(model, partial(_channels, read, n), rate, config) for n in range(0, start.channels, 2)]
    for parts in zip(*pairs, strict=True):
        together = np.concatenate(parts, axis=2)
        yield {name: Samples(stem, rate) for name, stem in zip(STEM_NAMES, together, strict=True)}


def _channels(read: Read, first: int) -> Iterator[Block]:
    return (block.data[:, first : first + 2] for block in read())


class _Measured(NamedTuple):
    """What a recording must be known for before it is separated."""

    channels: int
    frames: int  # at its own rate
    frames_given: int  # at the model's
    mean: float  # of the mean of the channels, at the model's rate
    deviation: float


def _measured(blocks: Iterable[Block], rate: int, target_rate: int) -> _Measured:
    passing, given, total, squares = Counted(blocks), 0, 0.0, 0.0
    for block in at_rate(passing, rate, target_rate):
        mono = block.mean(axis=1, dtype=np.float64)
        given, total, squares = given + len(mono), total + float(mono.sum()), squares + float(mono @ mono)
    mean = total / max(given, 1)
    return _Measured(passing.channels, passing.frames, given, mean, max(squares / max(given, 1) - mean**2, 0.0) ** 0.5)


def _separated_pair(
    model: Any, read: Callable[[], Iterable[Block]], rate: int, config: StemsConfig
) -> Iterator[np.ndarray]:
    """The stems of one or two channels, [stems, frames, channels] at a time."""
    from rl_editor.devices import resolve_device
    from rl_editor.stems.segments import Segmenting, separate_in_segments

    device = resolve_device(config.device, setting="stems.device")
    how = Segmenting(config.overlap, config.segment_s, segments_at_a_time(config, device), config.precision)
    channels, frames, given, mean, deviation = _measured(read(), rate, model.samplerate)
    scale, shift = np.float32(deviation + 1e-8), np.float32(mean)  # demucs.separate's guard against silence

    def normalised() -> Iterator[Block]:
        for block in at_rate(read(), rate, model.samplerate):
            yield (np.broadcast_to(block, (len(block), 2)) - shift) / scale

    order = [model.sources.index(name) for name in STEM_NAMES]

    def stacked() -> Iterator[Block]:
        for span in separate_in_segments(model, normalised, given, how, device):
            sounds = span.numpy()[order] * scale + shift / np.float32(len(STEM_NAMES))
            heard = sounds if channels == 2 else sounds.mean(axis=1, keepdims=True)
            yield heard.reshape(-1, span.shape[-1]).T

    for block in of_length(at_rate(stacked(), model.samplerate, rate), frames):
        yield block.T.reshape(len(STEM_NAMES), channels, -1).swapaxes(1, 2)
