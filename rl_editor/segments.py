"""A Demucs model over a whole recording: segments in batches, overlapped and added.

What ``demucs.apply.apply_model`` computes with ``shifts=0``, to rounding, but several segments at a time, added up on
the device and copied back once per batch. Its rules are kept, since the models were trained and judged with them: a
segment starts every ``1 - overlap`` of its length; a short one at the end is filled up to the length that the model
takes with what lies around it, silence beyond the ends; overlapping segments are weighted by triangles.

Shapes: C channels, S sources in the model's order, N frames at the model's rate.

Source: A. Défossez, demucs 4.1, ``apply_model``.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from rl_editor.config import Precision


class Segmenting(NamedTuple):
    """How a recording is cut up and computed."""

    overlap: float  # share of a segment
    segment_s: float | None  # None is the model's own length
    batch: int  # segments at a time
    precision: Precision


def separate_in_segments(
    bag: Any, mix: Float[Tensor, "channels frames"], how: Segmenting, device: torch.device
) -> Float[Tensor, "sources channels frames"]:
    """The estimates of a ``demucs.apply.BagOfModels``, on the CPU: per source the weighted mean of its models."""
    weights = torch.tensor(bag.weights)
    estimate = torch.zeros(len(bag.sources), *mix.shape)
    for model, share in zip(bag.models, weights / weights.sum(dim=0), strict=True):
        model.to(device)
        for start, sound in _arrived(_spans(model, mix.to(device), share.to(device), how), device):
            estimate[..., start : start + sound.shape[-1]] += sound
    return estimate


class _Segment(NamedTuple):
    start: int
    length: int
    padded: int  # what the model is given

    @property
    def end(self) -> int:
        return self.start + self.length

    @property
    def before(self) -> int:
        """Frames that the model is given before the start."""
        return (self.padded - self.length) // 2


def _arrived(
    spans: Iterator[tuple[int, Float[Tensor, "sources channels span"]]], device: torch.device
) -> Iterator[tuple[int, Float[Tensor, "sources channels span"]]]:
    """The spans on the CPU, each handed on while the device computes the next."""
    if device.type == "cpu":
        yield from spans
        return
    waiting: list[tuple[int, Tensor, torch.cuda.Event]] = []
    for start, sound in spans:
        copy = sound.to("cpu", non_blocking=True)  # into pinned memory
        waiting.append((start, copy, torch.cuda.current_stream(device).record_event()))
        if len(waiting) > 1:
            yield _waited(*waiting.pop(0))
    for rest in waiting:
        yield _waited(*rest)


def _waited(start: int, sound: Tensor, copied: torch.cuda.Event) -> tuple[int, Tensor]:
    copied.synchronize()
    return start, sound


def _spans(
    model: Any, mix: Float[Tensor, "channels frames"], share: Float[Tensor, " sources"], how: Segmenting
) -> Iterator[tuple[int, Float[Tensor, "sources channels span"]]]:
    """What every batch of segments adds to the estimate of one model, and from where on."""
    device = mix.device
    length = int(model.samplerate * (how.segment_s or model.segment))
    segments = _segments(model, mix.shape[-1], length, how)
    triangle = _triangle(length).to(device)
    total = torch.zeros(mix.shape[-1], device=device)
    for segment in segments:
        total[segment.start : segment.end] += triangle[: segment.length]
    for batch in _batches(segments, how.batch):
        start, end = batch[0].start, max(segment.end for segment in batch)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=how.precision == "bfloat16"):
            outputs = model(torch.stack([_padded(mix, segment) for segment in batch]))
        sound = torch.zeros(*outputs.shape[1:-1], end - start, device=device)
        for segment, output in zip(batch, outputs, strict=True):
            trimmed = output[..., segment.before : segment.before + segment.length]
            sound[..., segment.start - start : segment.end - start] += triangle[: segment.length] * trimmed
        yield start, share[:, None, None] * sound / total[start:end]


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


def _padded(mix: Float[Tensor, "channels frames"], segment: _Segment) -> Float[Tensor, "channels padded"]:
    first = segment.start - segment.before
    last, frames = first + segment.padded, mix.shape[-1]
    return functional.pad(mix[:, max(first, 0) : min(last, frames)], (max(-first, 0), max(last - frames, 0)))
