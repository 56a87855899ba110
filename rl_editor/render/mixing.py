"""Segments one after the other, crossfaded at their joins, streamed.

Gain law of a crossfade of n frames, with t = (i + 1/2) / n, a = t pi/2 and r the normalised correlation of both sides
over the crossfade, clipped to [0, 1]:

    out(t) = cos a / sqrt(1 + r sin 2a)        in(t) = sin a / sqrt(1 + r sin 2a)

For sides of equal power P the power of the mix is P (out^2 + in^2 + 2 r out in) = P (1 + r sin 2a) / (1 + r sin 2a),
which is P: no step and no dip, whatever r. r = 0 is the equal-power law; r = 1 gives gains that sum to 1, within 0.05
of linear.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from math import ceil
from pathlib import Path

import numpy as np
import soxr
from jaxtyping import Float, Shaped

from rl_editor.config import Config
from rl_editor.crossfades import Crossfade, crossfades
from rl_editor.edits import EditList, Segment
from rl_editor.errors import EditListError
from rl_editor.files import scratch_folder, target_of
from rl_editor.render.outputs import output_subtype
from rl_editor.render.sources import Source, check_source, open_source
from rl_editor.utils import (
    FFMPEG_SUFFIXES,
    Samples,
    load_audio,
    open_output,
    read_places,
    read_tags,
    save_audio,
    write_frames,
)

_BEYOND_FULL_SCALE = ("FLOAT", "DOUBLE", "VORBIS", "OPUS", "MPEG")  # subtypes that hold samples over 1
_log = logging.getLogger(__name__)
_RESAMPLER_MARGIN_FRAMES = 64  # read beyond a resampled span, so that its ends do not ring


def render_samples(edit: EditList, samples: Samples, config: Config) -> Samples:
    """The audio of an edit list, in memory.

    Raises:
        EditListError: the edit list plays nothing, or was made for another recording.
    """
    with open_source(samples) as source:
        blocks = list(_render(edit, source, block_s=config.render.block_s))
    return Samples(np.concatenate(blocks), samples.sample_rate)


def render_file(
    edit: EditList, source: Path, output: Path, config: Config, *, recording: Samples | None = None
) -> None:
    """Write the audio of an edit list in the format of ``output``'s extension; rate, depth, channels and tags stay.

    Args:
        edit: what plays.
        source: the recording that it cuts.
        output: the file to write.
        config: reads ``render``.
        recording: the source's samples where they are at hand, so that a lossy file is not decoded again.

    Raises:
        EditListError: the edit list plays nothing, or was made for another recording.
        AudioFileError: the source cannot be read, or the output's format not written.
        OutputError: the disk is full, or the folder takes no files.
    """
    tags, places = read_tags(source), read_places(source)
    if output.suffix.lower() in FFMPEG_SUFFIXES:
        with scratch_folder() as folder:
            plain = folder / "rendered.rf64"
            render_file(edit, source, plain, config, recording=recording)
            save_audio(output, load_audio(plain), tags=tags, places=places)
        return
    with open_source(source, decoded=recording) as opened:
        _check_plays(edit)
        check_source(edit, opened)
        with open_output(
            output,
            sample_rate=opened.sample_rate,
            channels=opened.channels,
            subtype=output_subtype(output, opened.sample_type.subtype, opened.channels),
            tags=tags,
            places=places,
            frames=sum(segment.frames for segment in edit.segments),
        ) as file:
            loudest = 0.0
            for block in _render(edit, opened, block_s=config.render.block_s):
                if block.dtype.kind == "f":
                    loudest = max(loudest, float(np.abs(block).max(initial=0.0)))
                write_frames(file, block, output)
            if loudest > 1.0 and not file.subtype.startswith(_BEYOND_FULL_SCALE):
                _log.warning(
                    "%s: peaks up to %+.1f dBFS are clipped; .wav keeps them",
                    target_of(output),
                    20.0 * np.log10(loudest),
                )


def crossfade_gains(n_frames: int, *, correlation: float) -> Float[np.ndarray, "two frames"]:
    """The gains of the side that ends (row 0) and of the side that begins (row 1); the law is in the module's words."""
    angle = (np.arange(n_frames) + 0.5) / n_frames * (np.pi / 2)
    r = min(max(correlation, 0.0), 1.0)
    return np.stack([np.cos(angle), np.sin(angle)]) / np.sqrt(1.0 + r * np.sin(2 * angle))


def correlation(left: Shaped[np.ndarray, "frames channels"], right: Shaped[np.ndarray, "frames channels"]) -> float:
    """<l, r> / sqrt(<l, l> <r, r>) over all channels; 0 where a side is silent."""
    a, b = left.astype(np.float64).ravel(), right.astype(np.float64).ravel()
    power = float(a @ a) * float(b @ b)
    return float(a @ b) / power**0.5 if power > 0 else 0.0


def _check_plays(edit: EditList) -> None:
    if not edit.segments:
        raise EditListError(f"{edit.source.name}: the edit list plays nothing; keep at least one segment")


def _render(edit: EditList, source: Source, *, block_s: float) -> Iterator[Shaped[np.ndarray, "frames channels"]]:
    """Blocks of output in the source's own sample type."""
    _check_plays(edit)
    check_source(edit, source)
    edit = replace(edit, source=replace(edit.source, frames=source.frames)).merged()
    fades = crossfades(edit)
    block_frames = max(1, round(block_s * source.sample_rate))
    held = np.zeros((fades[0].frames, source.channels))
    for segment, (fade, following) in zip(edit.segments, pairwise(fades), strict=True):
        tape = _Tape(_material(segment, source, fade.lead, following.tail, block_frames))
        if fade.frames:
            head = _pad(tape.take(fade.lead + fade.after), front=fade.frames - fade.lead - fade.after)
            yield source.sample_type.store(_mix(held, head, fade))
        left = segment.frames - fade.after - following.before
        while left:
            block = tape.take(min(left, block_frames))
            left -= len(block)
            yield source.sample_type.store(block)
        held = _pad(tape.take(following.before + following.tail), back=following.after - following.tail)
    if len(held):
        yield source.sample_type.store(_mix(held, np.zeros_like(held), fades[-1]))


def _mix(
    left: Shaped[np.ndarray, "frames channels"], right: Shaped[np.ndarray, "frames channels"], fade: Crossfade
) -> Float[np.ndarray, "frames channels"]:
    if fade.dip:
        fade_out, fade_in = (
            crossfade_gains(fade.before, correlation=0.0)[0],
            crossfade_gains(fade.after, correlation=0.0)[1],
        )
        gains = np.stack([np.pad(fade_out, (0, fade.after)), np.pad(fade_in, (fade.before, 0))])
    else:
        gains = crossfade_gains(fade.frames, correlation=correlation(left, right))
    mixed: np.ndarray = left * gains[0][:, None] + right * gains[1][:, None]
    return mixed


def _pad(block: Shaped[np.ndarray, "frames channels"], *, front: int = 0, back: int = 0) -> np.ndarray:
    return np.pad(block, ((front, back), (0, 0))) if front or back else block


class _Tape:
    """Takes any number of frames off a stream of blocks."""

    def __init__(self, blocks: Iterator[np.ndarray]) -> None:
        self._blocks = blocks
        self._rest = next(blocks)

    def take(self, count: int) -> Shaped[np.ndarray, "frames channels"]:
        parts = []
        while count > len(self._rest):
            parts.append(self._rest)
            count -= len(self._rest)
            self._rest = next(self._blocks)
        parts.append(self._rest[:count])
        self._rest = self._rest[count:]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _material(
    segment: Segment, source: Source, lead: int, tail: int, block_frames: int
) -> Iterator[Shaped[np.ndarray, "frames channels"]]:
    """``lead + segment.frames + tail`` frames of what a segment plays, in blocks."""
    count = lead + segment.frames + tail
    if segment.source_start_frame is None:
        blocks = _silence(source, count, block_frames)
    elif segment.speed == 1.0 and segment.pitch_semitones == 0.0:
        blocks = _read(source, segment.source_start_frame - lead, count, block_frames)
    else:
        blocks = _warped(segment, source, lead, count, block_frames)
    gain = 10.0 ** (segment.gain_db / 20)
    return blocks if gain == 1.0 else (block * gain for block in blocks)


def _silence(source: Source, count: int, block_frames: int) -> Iterator[np.ndarray]:
    for start in range(0, count, block_frames):
        yield np.zeros((min(block_frames, count - start), source.channels), source.sample_type.dtype)


def _read(source: Source, first: int, count: int, block_frames: int) -> Iterator[np.ndarray]:
    for start in range(first, first + count, block_frames):
        yield source.read(start, min(block_frames, first + count - start))


def _warped(segment: Segment, source: Source, lead: int, count: int, block_frames: int) -> Iterator[np.ndarray]:
    """``count`` frames of a span played faster or slower and at another pitch, as float64 at the source's scale."""
    assert segment.source_start_frame is not None
    wanted = round(segment.source_start_frame - lead * segment.speed)
    first = max(0, wanted - ceil(_RESAMPLER_MARGIN_FRAMES * segment.speed))
    last = min(source.frames, wanted + ceil((count + _RESAMPLER_MARGIN_FRAMES) * segment.speed))
    blocks: Iterator[np.ndarray] = (b.astype(np.float64) for b in _read(source, first, last - first, block_frames))
    if segment.speed != 1.0:
        blocks = _resampled(blocks, segment.speed, source)
    if segment.pitch_semitones:
        blocks = _pitched(blocks, segment.pitch_semitones, source)
    skip = round((wanted - first) / segment.speed)
    return _window(blocks, skip, count)


def _resampled(blocks: Iterator[np.ndarray], speed: float, source: Source) -> Iterator[np.ndarray]:
    rate = source.sample_rate
    stream = soxr.ResampleStream(rate * speed, rate, source.channels, dtype="float64", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros((0, source.channels)), last=True)


def _pitched(blocks: Iterator[np.ndarray], semitones: float, source: Source) -> Iterator[np.ndarray]:
    from librosa.effects import pitch_shift

    whole = np.concatenate(list(blocks))
    yield pitch_shift(whole.T, sr=source.sample_rate, n_steps=semitones).T


def _window(blocks: Iterator[np.ndarray], skip: int, count: int) -> Iterator[np.ndarray]:
    """``count`` frames after the first ``skip``; zeros where the stream ends early."""
    channels = 1
    for block in blocks:
        channels = block.shape[1]
        kept = block[skip : skip + count]
        skip, count = max(0, skip - len(block)), count - len(kept)
        yield kept
    yield np.zeros((count, channels))
