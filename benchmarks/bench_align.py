"""Alignment measured on real music with known edits: FOLDER of recordings in, one table row per degradation out.

Edits: cuts, loops of 4-16 beats played 2-4 times, block moves; joins by hand (up to 40 ms off the grid), crossfades of
0-50 ms. The grid is 120 bpm whatever the music does, which is harder than cutting on its beats. Output time counts as
right where the recovered raw instant is within 10 ms (1 ms) of the true one or plays the same samples (repeats).

    python benchmarks/bench_align.py FOLDER [--edits 1] [--seconds 100] [--kinds clean,mastered,...]
"""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile as sf
import soxr
import typer

from rl_editor.alignment import align
from rl_editor.config import Config
from rl_editor.edits import EditList, SourceInfo
from rl_editor.errors import PairRejectedError
from rl_editor.utils import AUDIO_SUFFIXES, audio_info, load_audio, to_mono

RATE = 44100
BEAT = RATE // 2  # frames
MAX_OFF_GRID_S = 0.04
CROSSFADES_S = (0.0, 0.01, 0.02, 0.05)
STRIDE = 44  # frames between compared instants: 1 ms
NOWHERE = -(10**9)
SHORTEST_S = 40.0
REMARKABLE = 0.998


@dataclass(frozen=True)
class Piece:
    """A stretch of raw that plays."""

    start: int  # raw frame; output frames are raw frames from here on
    frames: int
    crossfade: int  # frames, on entry


def random_edit(n_frames: int, rng: np.random.Generator) -> list[Piece]:
    """Blocks of 4-16 beats: some cut, some looped, one moved; each join moved off the grid by hand."""
    bounds = [0]
    while bounds[-1] < n_frames - 24 * BEAT:
        bounds.append(bounds[-1] + int(rng.choice([4, 8, 16])) * BEAT)
    bounds.append(n_frames)
    hand = [0, *(b + int(rng.uniform(-1, 1) * MAX_OFF_GRID_S * RATE) for b in bounds[1:-1]), n_frames]
    blocks = list(pairwise(hand))
    order: list[tuple[int, int]] = []
    for block in blocks:
        draw = rng.random()
        order += [] if draw < 0.3 else [block] * int(rng.integers(2, 5)) if draw < 0.45 else [block]
    if len(order) > 3:
        order.insert(int(rng.integers(len(order))), order.pop(int(rng.integers(len(order)))))
    pieces: list[Piece] = []
    for start, end in order:
        if pieces and pieces[-1].start + pieces[-1].frames == start:
            pieces[-1] = Piece(pieces[-1].start, pieces[-1].frames + end - start, pieces[-1].crossfade)
        else:
            pieces.append(Piece(start, end - start, int(rng.choice(CROSSFADES_S) * RATE) if pieces else 0))
    return pieces


def render(raw: np.ndarray, pieces: list[Piece]) -> np.ndarray:
    """Linear crossfades centred on the joins."""
    out = np.zeros(sum(p.frames for p in pieces))
    at = 0
    for k, piece in enumerate(pieces):
        before = piece.crossfade // 2
        after = pieces[k + 1].crossfade - pieces[k + 1].crossfade // 2 if k + 1 < len(pieces) else 0
        index = np.arange(piece.start - before, piece.start + piece.frames + after)
        sound = np.where((index >= 0) & (index < len(raw)), raw[np.clip(index, 0, len(raw) - 1)], 0.0)
        if piece.crossfade:
            sound[: piece.crossfade] *= (np.arange(piece.crossfade) + 0.5) / piece.crossfade
        if after:
            fade = pieces[k + 1].crossfade
            sound[-fade:] *= 1 - (np.arange(fade) + 0.5) / fade
        low = at - before
        cut = max(0, low + len(sound) - len(out))
        out[low : low + len(sound) - cut] += sound[: len(sound) - cut]
        at += piece.frames
    return out.astype(np.float32)


def _codec(edit: np.ndarray, format_: str, subtype: str) -> np.ndarray:
    buffer = io.BytesIO()
    with sf.SoundFile(buffer, "w", RATE, 1, subtype, format=format_, compression_level=0.6) as file:
        for k in range(0, len(edit), 1 << 16):
            file.write(edit[k : k + (1 << 16)])
    buffer.seek(0)
    return sf.read(buffer, dtype="float32")[0]


def mastered(edit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gain, two shelves, a compressor, a soft limiter, noise at -30 dB."""
    sos = [
        scipy.signal.butter(1, 150, "low", fs=RATE, output="sos"),
        scipy.signal.butter(1, 5000, "high", fs=RATE, output="sos"),
    ]
    out = (
        edit
        + rng.uniform(-0.4, 0.8) * scipy.signal.sosfilt(sos[0], edit)
        + rng.uniform(0, 1) * scipy.signal.sosfilt(sos[1], edit)
    )
    level = np.sqrt(scipy.ndimage.uniform_filter1d(out**2, RATE // 10) + 1e-8)
    out = out * (level / level.mean()) ** -0.4
    out = np.tanh(1.5 * out / np.percentile(np.abs(out), 99.5)) * 0.8
    return (out + rng.normal(size=len(out)) * np.sqrt((out**2).mean()) * 10 ** (-30 / 20)).astype(np.float32)


def _noisy(edit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (edit + rng.normal(size=len(edit)) * np.sqrt((edit**2).mean()) * 10 ** (-25 / 20)).astype(np.float32)


KINDS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "clean": lambda x, _: x,
    "ogg": lambda x, _: _codec(x, "OGG", "VORBIS"),
    "mp3": lambda x, _: _codec(x, "MP3", "MPEG_LAYER_III"),
    "mastered": mastered,
    "flipped+dc": lambda x, _: -0.5 * x + 0.02,
    "harsh": lambda x, rng: soxr.resample(soxr.resample(_noisy(mastered(x, rng), rng), RATE, 32000), 32000, RATE),
}


@dataclass(frozen=True)
class Score:
    """One recovered edit against the truth; shares of output time, equivalence-aware but for ``plain_10ms``."""

    within_10ms: float
    plain_10ms: float
    within_1ms: float  # of what is within 10 ms
    join_errors_ms: list[float]
    extra_joins: int
    confidence: float
    lowest_confidence: float
    seconds: float


def score(edit: EditList, pieces: list[Piece], raw: np.ndarray, seconds: float) -> Score:
    """Compare at every 44th frame of output."""
    starts = np.concatenate([[0], np.cumsum([p.frames for p in pieces])])
    steps = [np.arange(0, p.frames, STRIDE) for p in pieces]
    truth = np.concatenate([p.start + step for p, step in zip(pieces, steps, strict=True)])
    times = np.concatenate([at + step for at, step in zip(starts, steps, strict=False)])
    found = np.full(len(times), NOWHERE)
    for start, segment in zip(edit.output_start_frames(), edit.segments, strict=True):
        if segment.source_start_frame is not None:
            inside = (times >= start) & (times < start + segment.frames)
            found[inside] = times[inside] - start + segment.source_start_frame
    error = np.abs(found - truth) / RATE
    doubtful = np.flatnonzero((error > 0.001) & (found != NOWHERE))
    same = np.zeros(len(truth), np.bool_)
    same[doubtful] = [_same(raw, int(found[k]), int(truth[k])) for k in doubtful]
    right = (error <= 0.01) | same
    mine = np.array(edit.output_start_frames()[1:] or [NOWHERE])
    confidences = [segment.confidence for segment in edit.segments]
    return Score(
        within_10ms=float(right.mean()),
        plain_10ms=float((error <= 0.01).mean()),
        within_1ms=float(((error <= 0.001) | same).sum() / max(1, right.sum())),
        join_errors_ms=[float(np.abs(mine - join).min()) / RATE * 1000 for join in starts[1:-1]],
        extra_joins=len(edit.segments) - len(pieces),
        confidence=float(np.median(confidences)),
        lowest_confidence=min(confidences),
        seconds=seconds,
    )


def _same(raw: np.ndarray, a: int, b: int) -> bool:
    half = RATE // 20
    x, y = (raw[max(0, k - half) : k + half] for k in (a, b))
    if len(x) != len(y):
        return False
    return bool(((x - y) ** 2).sum() <= 0.003 * ((x**2).sum() + (y**2).sum()))


def main(folder: Path, edits: int = 1, seconds: float = 100.0, kinds: str = ",".join(KINDS), tracks: int = 99) -> None:
    """Print one row per kind of degradation, and every edit that is less than right."""
    files = [p for p in sorted(folder.rglob("*")) if p.suffix in AUDIO_SUFFIXES and p.stem != "guitar"]
    files = [p for p in files if audio_info(p).duration_s > SHORTEST_S][:tracks]
    scores: dict[str, list[Score]] = {kind: [] for kind in kinds.split(",")}
    for n, path in enumerate(files):
        raw = to_mono(load_audio(path), RATE)[: int(seconds * RATE)]
        for k in range(edits):
            rng = np.random.default_rng([n, k])
            pieces = random_edit(len(raw), rng)
            edit = render(raw, pieces)
            for kind, group in scores.items():
                result = _measured(path.name, raw, KINDS[kind](edit, rng).astype(np.float32), pieces)
                group.append(result)
                if result.within_10ms < REMARKABLE:
                    print(f"{path.name} {n} {k} {kind}: {result.within_10ms:.4f}", flush=True)
    print("kind          n   10 ms   worst   plain    1 ms join med     p95  extra  conf   low      s")
    for kind, group in scores.items():
        print(_row(kind, group))


def _measured(name: str, raw: np.ndarray, heard: np.ndarray, pieces: list[Piece]) -> Score:
    config = Config()
    low, edit = (soxr.resample(x, RATE, config.audio.sample_rate) for x in (raw, heard))
    began = time.perf_counter()
    try:
        found = align(low, edit, config, source=SourceInfo(name, "", RATE, 1, len(raw)))
    except PairRejectedError as error:
        print(name, error)
        return Score(0.0, 0.0, 0.0, [], 0, 0.0, 0.0, time.perf_counter() - began)
    return score(found, pieces, raw, time.perf_counter() - began)


def _row(kind: str, group: list[Score]) -> str:
    joins = np.array([e for s in group for e in s.join_errors_ms] or [np.nan])
    shares = [np.mean([getattr(s, key) for s in group]) for key in ("plain_10ms", "within_1ms")]
    return (
        f"{kind:12}{len(group):3}{np.mean([s.within_10ms for s in group]):8.4f}"
        f"{min(s.within_10ms for s in group):8.4f}{shares[0]:8.4f}{shares[1]:8.4f}"
        f"{np.median(joins):9.2f}{np.percentile(joins, 95):8.2f}{np.mean([s.extra_joins for s in group]):7.2f}"
        f"{np.mean([s.confidence for s in group]):6.2f}{min(s.lowest_confidence for s in group):6.2f}"
        f"{np.median([s.seconds for s in group]):7.2f}"
    )


if __name__ == "__main__":
    typer.run(main)
