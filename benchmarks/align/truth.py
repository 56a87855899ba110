"""What an edit plays, planned in frames of the raw, rendered exactly, and told as a time line in seconds.

Conventions: a join is the middle of its crossfade, so each side plays half of it beyond the join. Speed is raw frames
per output frame, in whole thousandths, so that a change of speed by resampling starts on a whole frame. With a piece
that starts at output frame ``a``, output frame t plays the raw instant ``start + speed * (t - a)``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import soxr

from rl_editor.edits import EditList

MAX_OFF_GRID_S = 0.04
CROSSFADES_S = (0.0, 0.01, 0.02, 0.05)
LEAST_JOINS, DRAWS = 3, 20
CONTEXT = 20  # thousands of output frames played around a piece whose speed changes; a multiple keeps it on a frame
SAME_INSTANT_S, SAME_SPEED = 0.0005, 0.002  # less is no join

Stretcher = Callable[[np.ndarray, float], np.ndarray]  # samples, speed -> samples of 1/speed the length


@dataclass(frozen=True, eq=False)
class Piece:
    """A stretch of output: raw from ``start`` on, or the foreign ``sound``."""

    start: int | None
    frames: int  # of output, at the raw's rate
    crossfade: int = 0  # frames, on entry
    equal_power: bool = False
    speed: float = 1.0
    stretch: Stretcher | None = None  # keeps the pitch; None is tape, which changes it
    sound: np.ndarray | None = None

    @property
    def pitch_semitones(self) -> float:
        """How far the sound is transposed."""
        return 12 * float(np.log2(self.speed)) if self.stretch is None else 0.0


@dataclass(frozen=True)
class Stretch:
    """Edit seconds [start_s, end_s) that play the raw from ``source_s`` on; None is foreign."""

    start_s: float
    end_s: float
    source_s: float | None
    speed: float = 1.0
    pitch_semitones: float = 0.0
    confidence: float = 1.0

    @property
    def source_end_s(self) -> float | None:
        """The raw instant at which the stretch ends."""
        return None if self.source_s is None else self.source_s + self.speed * (self.end_s - self.start_s)


@dataclass(frozen=True)
class Timeline:
    """Stretches that tile an edit."""

    stretches: tuple[Stretch, ...]

    @property
    def duration_s(self) -> float:
        """Length of the edit."""
        return self.stretches[-1].end_s

    def index_at(self, times_s: np.ndarray) -> np.ndarray:
        """Which stretch plays at each instant; the last goes on for ever."""
        starts = np.array([s.start_s for s in self.stretches])
        return np.maximum(0, np.searchsorted(starts, times_s, side="right") - 1)

    def source_at(self, times_s: np.ndarray) -> np.ndarray:
        """The raw instant that plays at each instant; NaN is foreign."""
        index = self.index_at(times_s)
        start, source, speed = (
            np.array([np.nan if v is None else v for v in values], dtype=float)[index]
            for values in zip(*((s.start_s, s.source_s, s.speed) for s in self.stretches), strict=True)
        )
        return np.asarray(source + speed * (times_s - start))

    def joins_s(self) -> list[float]:
        """Where one stretch does not continue the other."""
        return [b.start_s for a, b in pairwise(self.stretches) if not _continues(a, b)]

    def foreign_s(self) -> list[tuple[float, float]]:
        """Stretches of foreign sound, neighbours joined."""
        spans: list[tuple[float, float]] = []
        for s in self.stretches:
            if s.source_s is None and spans and spans[-1][1] == s.start_s:
                spans[-1] = (spans[-1][0], s.end_s)
            elif s.source_s is None:
                spans.append((s.start_s, s.end_s))
        return spans

    def played_at(self, speed: float, *, pitch_semitones: float) -> "Timeline":
        """The time line of the whole edit played ``speed`` times as fast."""
        return Timeline(
            tuple(
                Stretch(
                    s.start_s / speed,
                    s.end_s / speed,
                    s.source_s,
                    s.speed * speed,
                    s.pitch_semitones + pitch_semitones,
                )
                for s in self.stretches
            )
        )

    def after(self, silence_s: float) -> "Timeline":
        """The time line behind so much silence."""
        moved = (replace(s, start_s=s.start_s + silence_s, end_s=s.end_s + silence_s) for s in self.stretches)
        return Timeline((Stretch(0.0, silence_s, None), *moved))

    @classmethod
    def of_pieces(cls, pieces: Sequence[Piece], rate: int) -> "Timeline":
        """The truth about what ``render`` makes."""
        ends = np.cumsum([p.frames for p in pieces])
        return cls(
            tuple(
                Stretch(
                    (end - p.frames) / rate,
                    end / rate,
                    None if p.start is None else p.start / rate,
                    p.speed,
                    p.pitch_semitones,
                )
                for p, end in zip(pieces, ends.tolist(), strict=True)
            )
        )

    @classmethod
    def of_edit(cls, edit: EditList) -> "Timeline":
        """What an edit list says."""
        rate = edit.source.sample_rate
        return cls(
            tuple(
                Stretch(
                    start / rate,
                    (start + s.frames) / rate,
                    None if s.source_start_frame is None else s.source_start_frame / rate,
                    s.speed,
                    s.pitch_semitones,
                    s.confidence,
                )
                for start, s in zip(edit.output_start_frames(), edit.segments, strict=True)
            )
        )


def _continues(a: Stretch, b: Stretch) -> bool:
    if a.source_end_s is None or b.source_s is None:
        return a.source_end_s is None and b.source_s is None
    return abs(a.source_end_s - b.source_s) < SAME_INSTANT_S and abs(a.speed - b.speed) < SAME_SPEED


# ---------------------------------------------------------------- a plan


@dataclass(frozen=True)
class Habits:
    """How an editor cuts: lengths of blocks, shares of blocks that are cut and that are looped 2-4 times."""

    block_beats: tuple[int, ...] = (4, 8, 16)
    cut: float = 0.3
    loop: float = 0.15
    moves: int = 1  # blocks that are played elsewhere


SONG = Habits()
TAKE = Habits((16, 32, 64), 0.76, 0.02)  # keeps 0.22 + 0.02 * 3 = 0.28 of a long take


def random_edit(
    n_frames: int, beats: np.ndarray, rate: int, rng: np.random.Generator, habits: Habits = SONG
) -> list[Piece]:
    """Blocks of whole beats (their frames are ``beats``), some cut, some looped, one moved.

    At a join a person cuts both sides equally far off the beat, or, half of the time, each by ear.
    """
    bounds = _block_bounds(n_frames, beats, rng, habits)
    orders = (_block_order(len(bounds) - 1, rng, habits) for _ in range(DRAWS))
    order = next((o for o in orders if _n_joins(o) >= LEAST_JOINS), [*range(len(bounds) - 1)][::2])
    off = round(MAX_OFF_GRID_S * rate)
    pieces: list[Piece] = []
    start = bounds[order[0]]
    for block, after in pairwise([*order, None]):
        if after == block + 1:
            continue
        leave, back = rng.integers(-off, off + 1, 2)
        if rng.random() < 0.5:
            back = leave
        end = _clipped(bounds[block + 1] + leave, n_frames) if after is not None else bounds[block + 1]
        fade = round(float(rng.choice(CROSSFADES_S)) * rate) if pieces else 0
        pieces.append(Piece(start, end - start, fade, equal_power=bool(rng.random() < 0.5)))
        start = _clipped(bounds[after] + back, n_frames) if after is not None else 0
    return pieces


def _block_bounds(n_frames: int, beats: np.ndarray, rng: np.random.Generator, habits: Habits) -> list[int]:
    bounds, at = [0], int(np.searchsorted(beats, 1))
    while (at := at + int(rng.choice(habits.block_beats))) < len(beats) - habits.block_beats[0]:
        bounds.append(int(beats[at]))
    return [*bounds, n_frames]


def _block_order(n_blocks: int, rng: np.random.Generator, habits: Habits) -> list[int]:
    order: list[int] = []
    for block in range(n_blocks):
        draw = rng.random()
        times = 0 if draw < habits.cut else int(rng.integers(2, 5)) if draw < habits.cut + habits.loop else 1
        order += [block] * times
    for _ in range(habits.moves if len(order) > 3 else 0):
        order.insert(int(rng.integers(len(order))), order.pop(int(rng.integers(len(order)))))
    return order


def _n_joins(order: Sequence[int]) -> int:
    return sum(b != a + 1 for a, b in pairwise(order))


def _clipped(frame: int, n_frames: int) -> int:
    return int(min(max(frame, 0), n_frames))


# ---------------------------------------------------------------- its sound


def render(raw: np.ndarray, pieces: Sequence[Piece]) -> np.ndarray:
    """Play the pieces, crossfades centred on the joins; beyond its ends the raw is silent."""
    out = np.zeros((sum(p.frames for p in pieces), raw.shape[1]), np.float64)
    at = 0
    for piece, following in pairwise([*pieces, None]):
        before = piece.crossfade // 2
        after = following.crossfade - following.crossfade // 2 if following else 0
        sound = _sound(raw, piece, before, after).astype(np.float64)
        if piece.crossfade:
            sound[: piece.crossfade] *= _fade(piece)[:, None]
        if following and following.crossfade:
            sound[-following.crossfade :] *= _fade(following)[::-1, None]
        low, high = max(0, at - before), min(len(out), at + piece.frames + after)
        out[low:high] += sound[low - at + before : high - at + before]
        at += piece.frames
    return out.astype(np.float32)


def _fade(piece: Piece) -> np.ndarray:
    ramp = (np.arange(piece.crossfade) + 0.5) / piece.crossfade
    return np.sin(ramp * np.pi / 2) if piece.equal_power else ramp


def _sound(raw: np.ndarray, piece: Piece, before: int, after: int) -> np.ndarray:
    """What a piece plays, from ``before`` frames ahead of it to ``after`` frames beyond it."""
    length = before + piece.frames + after
    if piece.start is None:
        assert piece.sound is not None
        return _span(piece.sound, -before, length)
    if piece.speed == 1.0:
        return _span(raw, piece.start - before, length)
    thousandths = round(piece.speed * 1000)
    assert abs(thousandths / 1000 - piece.speed) < 1e-9
    context = CONTEXT * 1000  # output frames that are a whole number of raw frames
    first = piece.start - CONTEXT * thousandths
    chunk = _span(raw, first, round((length + 2 * context) * piece.speed))
    stretched = (piece.stretch or tape)(chunk, piece.speed)
    return _span(stretched, context - before, length)


def tape(samples: np.ndarray, speed: float) -> np.ndarray:
    """Play faster and higher: output frame t is the raw instant ``speed * t``."""
    return np.asarray(soxr.resample(samples, round(speed * 1000), 1000, quality="VHQ"))


def _span(samples: np.ndarray, start: int, length: int) -> np.ndarray:
    index = np.arange(start, start + length)
    inside = (index >= 0) & (index < len(samples))
    return np.where(inside[:, None], samples[np.clip(index, 0, len(samples) - 1)], 0.0)
