"""A Demucs model over a whole recording: segments in batches, overlapped and added.

What ``demucs.apply.apply_model`` computes with ``shifts=0``, to rounding, but several segments at a time, added up on
the device and copied back once per batch. Its rules are kept, since the models were trained and judged with them: a
segment starts every ``1 - overlap`` of its length; a short one at the end is filled up to the length that the model
takes with what lies around it, silence beyond the ends; overlapping segments are weighted by triangles.

The recording is read as it goes and what is finished is handed on: memory holds some segments, however long it is.

Shapes: C channels, S sources in the model's order, N frames at the model's rate.

Source: A. Défossez, demucs 4.1, ``apply_model``.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, groupby, pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional

from rl_editor.config import Precision
from rl_editor.utils.streams import Block, MovingWindow


class Segmenting(NamedTuple):
    """How a recording is cut up and computed."""

    overlap: float  # share of a segment
    segment_s: float | None  # None is the model's own length
    batch: int  # segments at a time
    precision: Precision


def separate_in_segments(
    bag: Any, read: Callable[[], Iterable[Block]], frames: int, how: Segmenting, device: torch.device
) -> Iterator[Float[Tensor, "sources channels span"]]:
    """The estimates of a ``demucs.apply.BagOfModels``, on the CPU: per source the weighted mean of its models.

    Args:
        bag: the models, which work side by side.
        read: gives the mix from its start, at the models' rate; once for each model.
        frames: how many the mix has.
        how: how it is cut up.
        device: where the models work.

    Yields:
        What is finished, span after span, all of it together as long as the mix.
    """
    weights = torch.tensor(bag.weights)
    streams = []
    for model, share in zip(bag.models, weights / weights.sum(dim=0), strict=True):
        model.to(device)
        spans = _spans(model, MovingWindow(read()), frames, share.to(device), how)
        streams.append(_arrived(spans, device))
    return _summed(streams)


class _Segment(NamedTuple):
    start: int
    length: int
    padded: int  # what the model is given

    @property
    def end(self) -> int:
        return self.start + self.length

    @property
    def first(self) -> int:
        """Where what the model is given begins, which may be before the recording."""
        return self.start - self.before

    @property
    def before(self) -> int:
        """Frames that the model is given before the start."""
        return (self.padded - self.length) // 2


def _summed(streams: Sequence[Iterator[Float[Tensor, "sources channels span"]]]) -> Iterator[Tensor]:
    """Streams of one length, whose spans need not be, added up."""
    held: list[Tensor | None] = [next(stream, None) for stream in streams]
    while (here := [each for each in held if each is not None]) and len(here) == len(streams):
        span = min(each.shape[-1] for each in here)
        yield torch.stack([each[..., :span] for each in here]).sum(dim=0)
        rests = [each[..., span:] for each in here]
        held = [rest if rest.shape[-1] else next(s, None) for rest, s in zip(rests, streams, strict=True)]


def _arrived(
    spans: Iterator[Float[Tensor, "sources channels span"]], device: torch.device
) -> Iterator[Float[Tensor, "sources channels span"]]:
    """The spans on the CPU, each handed on while the device computes the next."""
    if device.type == "cpu":
        yield from spans
        return
    waiting: list[tuple[Tensor, torch.cuda.Event]] = []
    for span in spans:
        copy = span.to("cpu", non_blocking=True)  # into pinned memory
        waiting.append((copy, torch.cuda.current_stream(device).record_event()))
        if len(waiting) > 1:
            yield _waited(*waiting.pop(0))
    for rest in waiting:
        yield _waited(*rest)


def _waited(span: Tensor, copied: torch.cuda.Event) -> Tensor:
    copied.synchronize()
    return span


def _spans(
    model: Any, mix: MovingWindow, frames: int, share: Float[Tensor, " sources"], how: Segmenting
) -> Iterator[Float[Tensor, "sources channels span"]]:
    """What one model adds to the estimate, as far as no later batch of segments changes it."""
    device = share.device
    length = int(model.samplerate * (how.segment_s or model.segment))
    batches = list(_batches(_segments(model, frames, length, how), how.batch))
    triangle = _triangle(length).to(device)
    needed = list(accumulate((min(segment.first for segment in batch) for batch in reversed(batches)), min))
    sound = torch.zeros(
        len(share), model.audio_channels, 0, device=device
    )  # from the start of a batch on, what was heard of it so far ..
    weight = torch.zeros(0, device=device)  # .. and how much of it
    for batch, following in pairwise([*batches, []]):
        mix.forget(needed.pop())
        given = torch.stack([torch.from_numpy(_padded(mix, segment)) for segment in batch])
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=how.precision == "bfloat16"):
            outputs = model(given.to(device, non_blocking=True))
        start, end = batch[0].start, max(segment.end for segment in batch)
        sound = functional.pad(sound, (0, end - start - sound.shape[-1]))
        weight = functional.pad(weight, (0, end - start - len(weight)))
        for segment, output in zip(batch, outputs, strict=True):
            trimmed = output[..., segment.before : segment.before + segment.length]
            here = slice(segment.start - start, segment.end - start)
            sound[..., here] += triangle[: segment.length] * trimmed
            weight[here] += triangle[: segment.length]
        done = following[0].start - start if following else end - start
        yield share[:, None, None] * sound[..., :done] / weight[:done]
        sound, weight = sound[..., done:], weight[done:]


def _segments(model: Any, frames: int, length: int, how: Segmenting) -> list[_Segment]:
    starts = range(0, frames, int((1 - how.overlap) * length))
    lengths = [min(length, frames - start) for start in starts]
    return [_Segment(start, n, _given(model, n, how.segment_s)) for start, n in zip(starts, lengths, strict=True)]


def _given(model: Any, length: int, segment_s: float | None) -> int:
    """How much a model is given for a segment of this length."""
    from demucs.htdemucs import HTDemucs

    if isinstance(model, HTDemucs) and segment_s is not None:
        return int(segment_s * model.samplerate)
    return int(model.valid_length(length)) if hasattr(model, "valid_length") else length


def _triangle(length: int) -> Float[Tensor, " length"]:
    half = length // 2
    rise, fall = torch.arange(1, half + 1), torch.arange(length - half, 0, -1)
    return torch.cat([rise, fall]) / (length - half)


def _batches(segments: Sequence[_Segment], size: int) -> Iterator[list[_Segment]]:
    """Neighbours that the model is given at the same length, so many at most."""
    for _, same in groupby(segments, key=lambda segment: segment.padded):
        group = list(same)
        yield from (group[first : first + size] for first in range(0, len(group), size))


def _padded(mix: MovingWindow, segment: _Segment) -> Float32[np.ndarray, "channels padded"]:
    """What the model is given, with silence beyond the ends of the recording."""
    heard = mix.read(max(segment.first, 0), segment.first + segment.padded)
    before = max(-segment.first, 0)
    return np.ascontiguousarray(np.pad(heard, ((before, segment.padded - before - len(heard)), (0, 0))).T)
