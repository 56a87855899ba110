"""The kinds of pairs: each makes a raw, an edit of it and the truth, and says how they are written to files.

Conventions: a kind draws from the generator it is given and from nothing else; ``draw.pieces`` is the same edit for
all kinds of one (track, edit), so that rows differ by the degradation only.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import soxr

from benchmarks.align.material import Material
from benchmarks.align.sound import TOOLS, Tool, babble, mastered, noisy, write
from benchmarks.align.truth import Piece, Timeline, random_edit, render

HARSH_RATE = 32000  # Hz
ENCODER_DELAY = 1105  # frames: 576 of an MP3 encoder and 529 of its decoder
FOREIGN_S = (3.0, 20.0)
MOST_FOREIGN = 0.15  # of the edit; an aligner may rightly refuse an edit that is mostly foreign
N_REPEATS, INTRO_S = 30, 12.0
VARIATION_DB = -20.0


@dataclass(frozen=True, eq=False)
class Draw:
    """What a kind works on."""

    material: Material
    other: Material  # another recording
    pieces: list[Piece]
    rng: np.random.Generator

    @property
    def edit(self) -> np.ndarray:
        """The edit before anything happens to it."""
        return render(self.material.samples, self.pieces)

    @property
    def truth(self) -> Timeline:
        """What plays in it."""
        return Timeline.of_pieces(self.pieces, self.material.rate)


@dataclass(frozen=True, eq=False)
class Made:
    """A pair before it is written; the raw is the material's unless given."""

    edit: np.ndarray
    truth: Timeline
    raw: np.ndarray | None = None
    edit_rate: int | None = None
    edit_suffix: str = ".wav"
    edit_subtype: str | None = None
    beats: np.ndarray | None = None


@dataclass(frozen=True)
class Kind:
    """A named way to make pairs."""

    name: str
    group: str  # copies, speed, foreign, repeats, unrelated
    make: Callable[[Draw], Made] = field(repr=False)
    missing: str | None = None  # why it cannot be made here


@dataclass(frozen=True, eq=False)
class Pair:
    """Two files and the truth; ``raw`` is the sound of the raw file, for the question what sounds the same."""

    name: str
    kind: str
    raw_path: Path
    edit_path: Path
    truth: Timeline | None  # None: the edit is of another recording
    raw: np.ndarray
    rate: int
    beats_s: np.ndarray


def make_pair(kind: Kind, draw: Draw, folder: Path) -> Pair:
    """Write both files."""
    made, material = kind.make(draw), draw.material
    raw = material.samples if made.raw is None else made.raw
    beats = material.beats if made.beats is None else made.beats
    raw_path = write(folder / "raw.wav", raw, material.rate)
    edit_path = write(folder / f"edit{made.edit_suffix}", made.edit, made.edit_rate or material.rate, made.edit_subtype)
    truth = None if kind.group == "unrelated" else made.truth
    return Pair(material.name, kind.name, raw_path, edit_path, truth, raw, material.rate, beats / material.rate)


# ---------------------------------------------------------------- copies


def _copy(change: Callable[[np.ndarray, Draw], np.ndarray], draw: Draw, **how: str) -> Made:
    return Made(change(draw.edit, draw).astype(np.float32), draw.truth, **how)  # type: ignore[arg-type]


def _master(edit: np.ndarray, draw: Draw) -> np.ndarray:
    return mastered(edit, draw.material.rate, draw.rng)


def _harsh(draw: Draw) -> Made:
    rough = noisy(_master(draw.edit, draw), -25.0, draw.rng)
    return Made(soxr.resample(rough, draw.material.rate, HARSH_RATE), draw.truth, edit_rate=HARSH_RATE)


def _delayed(draw: Draw) -> Made:
    head = np.zeros((ENCODER_DELAY, draw.edit.shape[1]), np.float32)
    return Made(np.concatenate([head, draw.edit]), draw.truth.after(ENCODER_DELAY / draw.material.rate))


COPIES = (
    Kind("clean", "copies", partial(_copy, lambda x, _: x)),
    Kind("ogg", "copies", partial(_copy, lambda x, _: x, edit_suffix=".ogg")),
    Kind("mp3", "copies", partial(_copy, lambda x, _: x, edit_suffix=".mp3")),
    Kind("mastered", "copies", partial(_copy, _master)),
    Kind("harsh", "copies", _harsh),
    Kind("flipped+dc", "copies", partial(_copy, lambda x, _: 0.02 - 0.5 * x)),
    Kind("mono", "copies", partial(_copy, lambda x, _: x.mean(axis=1, keepdims=True))),
    Kind("swapped", "copies", partial(_copy, lambda x, _: x[:, ::-1])),
    Kind("left-flip", "copies", partial(_copy, lambda x, _: x * np.array([-1, 1], np.float32))),
    Kind("16-bit", "copies", partial(_copy, lambda x, _: 0.3 * x, edit_subtype="PCM_16")),
    Kind("delay", "copies", _delayed),
)


# ---------------------------------------------------------------- speed and pitch


def _drawn_speed(rng: np.random.Generator, most: float) -> float:
    """1 +- (0.5 % ... most), in whole thousandths."""
    return 1.0 + int(rng.integers(5, round(most * 1000) + 1)) * int(rng.choice([-1, 1])) / 1000


def _some_faster(draw: Draw, most: float, stretch: Callable[[np.ndarray, float], np.ndarray] | None) -> Made:
    """A third of the pieces, at least one, at a speed of their own."""
    pieces = list(draw.pieces)
    for k in draw.rng.permutation(len(pieces))[: max(1, len(pieces) // 3)]:
        speed = _drawn_speed(draw.rng, most)
        frames = int(pieces[k].frames / speed)
        pieces[k] = replace(pieces[k], frames=frames, speed=speed, stretch=stretch)
    changed = replace(draw, pieces=pieces)
    return Made(changed.edit, changed.truth)


def _tape(draw: Draw) -> Made:
    speed = _drawn_speed(draw.rng, 0.04)
    edit = soxr.resample(draw.edit, round(1000 * speed), 1000, quality="VHQ")
    return Made(edit, draw.truth.played_at(speed, pitch_semitones=12 * float(np.log2(speed))))


def _tempo(tool: Tool, draw: Draw) -> Made:
    speed = _drawn_speed(draw.rng, 0.06)
    edit = tool.tempo(draw.edit, speed, draw.material.rate)
    return Made(edit, draw.truth.played_at(speed, pitch_semitones=0.0))


def _tempo_of_pieces(tool: Tool, draw: Draw) -> Made:
    return _some_faster(draw, 0.06, lambda x, speed: tool.tempo(x.astype(np.float32), speed, draw.material.rate))


def _pitch(tool: Tool, draw: Draw) -> Made:
    semitones = float(draw.rng.choice([-2, -1, 1, 2]))
    edit = tool.pitch(draw.edit, semitones, draw.material.rate)
    return Made(edit, draw.truth.played_at(1.0, pitch_semitones=semitones))


SPEED = (
    Kind("varispeed", "speed", _tape),
    Kind("varispeed-seg", "speed", lambda draw: _some_faster(draw, 0.04, None)),
    *(Kind(f"tempo-{t.name}", "speed", partial(_tempo, t), t.missing) for t in TOOLS),
    *(Kind(f"tempo-seg-{t.name}", "speed", partial(_tempo_of_pieces, t), t.missing) for t in TOOLS[1:]),
    *(Kind(f"pitch-{t.name}", "speed", partial(_pitch, t), t.missing) for t in TOOLS),
)


# ---------------------------------------------------------------- foreign sound


def _foreign(sound_of: Callable[[Draw, int], np.ndarray], draw: Draw, *, intro: bool = False) -> Made:
    """3-20 s of something else: an intro, or inside a piece."""
    rate, total = draw.material.rate, sum(p.frames for p in draw.pieces)
    frames = round(min(draw.rng.uniform(*FOREIGN_S), MOST_FOREIGN * total / rate) * rate)
    fade = round(float(draw.rng.choice([0.0, 0.01, 0.02])) * rate)
    insert = Piece(None, frames, 0 if intro else fade, sound=sound_of(draw, frames + rate))
    if intro:
        pieces = [insert, replace(draw.pieces[0], crossfade=fade), *draw.pieces[1:]]
    else:
        k = int(np.argmax([p.frames for p in draw.pieces]))
        whole = draw.pieces[k]
        before = int(whole.frames * draw.rng.uniform(0.3, 0.7))
        left = replace(whole, frames=before)
        assert whole.start is not None
        right = replace(whole, start=whole.start + before, frames=whole.frames - before, crossfade=fade)
        pieces = [*draw.pieces[:k], left, insert, right, *draw.pieces[k + 1 :]]
    changed = replace(draw, pieces=pieces)
    return Made(changed.edit, changed.truth)


def _other_song(draw: Draw, frames: int) -> np.ndarray:
    sound = soxr.resample(draw.other.samples, draw.other.rate, draw.material.rate)
    return sound[len(sound) // 4 :][:frames]


def _silence(draw: Draw, frames: int) -> np.ndarray:
    return np.zeros((frames, 2), np.float32)


def _speech(draw: Draw, frames: int) -> np.ndarray:
    return babble(frames, draw.material.rate, 2, draw.rng)


FOREIGN = (
    Kind("other song", "foreign", partial(_foreign, _other_song)),
    Kind("silence", "foreign", partial(_foreign, _silence)),
    Kind("spoken intro", "foreign", partial(_foreign, _speech, intro=True)),
    Kind("spoken over", "foreign", partial(_foreign, _speech)),
)


# ---------------------------------------------------------------- repeats, and pairs that are none


def _repeats(draw: Draw, *, varied: bool) -> Made:
    """A bar of the material 30 times between its beginning and its end; an edit on the bars of that."""
    material, rng = draw.material, draw.rng
    sound, rate, beats = material.samples, material.rate, material.beats
    middle = int(np.searchsorted(beats, len(sound) // 2))
    bar = sound[beats[middle] : beats[middle + 4]]
    loop = np.concatenate([bar] * N_REPEATS)
    if varied:
        top = soxr.resample(draw.other.samples, draw.other.rate, rate)
        top = np.resize(top, loop.shape)
        loop = loop + top * np.float32(np.sqrt((loop**2).mean() / (top**2).mean()) * 10 ** (VARIATION_DB / 20))
    head, tail = round(INTRO_S * rate), round(INTRO_S * rate)
    raw = np.concatenate([sound[:head], loop, sound[-tail:]])
    raw = raw * np.float32(min(1.0, 0.8 / np.abs(raw).max()))
    beat = len(bar) / 4
    grid = np.concatenate([[0], head + np.round(np.arange(4 * N_REPEATS + 1) * beat), [len(raw)]]).astype(int)
    pieces = random_edit(len(raw), grid, rate, rng)
    return Made(render(raw, pieces), Timeline.of_pieces(pieces, rate), raw=raw, beats=grid)


REPEATS = (
    Kind("identical", "repeats", partial(_repeats, varied=False)),
    Kind("varied", "repeats", partial(_repeats, varied=True)),
)


def _unrelated(draw: Draw) -> Made:
    """The edit of another recording."""
    other = draw.other
    pieces = random_edit(len(other.samples), other.beats, other.rate, draw.rng)
    return Made(render(other.samples, pieces), draw.truth, edit_rate=other.rate)


UNRELATED = (Kind("unrelated", "unrelated", _unrelated),)

KINDS = {kind.name.replace(" ", "-"): kind for kind in (*COPIES, *SPEED, *FOREIGN, *REPEATS, *UNRELATED)}
LONG = "long"  # measured by itself, in a process of its own
