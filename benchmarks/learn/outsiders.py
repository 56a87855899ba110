"""Editors with ears of their own: they share the beat grid and the features of beats with the library, nothing else.

The editors of ``rl_editor.editors`` and ``benchmarks.learn.editors`` hear strength, sections and likeness by the
library's own code, so a policy that hears the like has it easy. These count blocks of sixteen beats, compare them beat
by beat by cepstrum and chroma, or do not listen at all, and cut at the beat.

Conventions: N beats, B blocks; columns are standard scores over the song.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rl_editor.editors.styles import Editor, TrackView
from rl_editor.edits import EditList, Segment

BLOCK_BEATS = 16
CROSSFADE_MS = 10.0
_MOST_BEATS = 240  # how late a hook may lie

Block = tuple[int, int]  # beats, the end exclusive


@dataclass(frozen=True)
class LaterAlike:
    """Trims both ends and drops the two fifths of all blocks that are most like an earlier one."""

    name: str = "later_alike"
    from_downbeat: bool = True  # else blocks count from the first beat
    kept: float = 0.6
    ends_beats: tuple[int, int] = (8, 12)
    ear: float = 0.03  # standard deviation of the noise on likeness

    def plan(self, view: TrackView, rng: np.random.Generator) -> EditList:
        """Cut what comes again."""
        blocks, n = _blocks(view, from_downbeat=self.from_downbeat), len(view.features.values)
        alike = _likeness(view, blocks)
        best = np.array([max(alike[i, :i], default=-1.0) for i in range(len(blocks))])
        best = best + rng.normal(0.0, self.ear, len(blocks))
        plays = np.repeat(best < np.quantile(best, self.kept), [end - start for start, end in blocks])
        plays[: self.ends_beats[0]] = plays[n - self.ends_beats[1] :] = False
        edges = np.flatnonzero(np.diff(plays, prepend=False, append=False)).reshape(-1, 2)
        return _played(view, [(int(a), int(b)) for a, b in edges] or [(0, n)])


@dataclass(frozen=True)
class StrongestTwice:
    """Plays the strongest 15 % of all blocks twice."""

    name: str = "strongest_twice"
    looped: float = 0.15
    taste: float = 0.2

    def plan(self, view: TrackView, rng: np.random.Generator) -> EditList:
        """Loop what is loud and busy."""
        blocks = _blocks(view)
        strength = _loudness(view) + 0.5 * _scores(view.features.column("onset"))
        scores = _means(strength, blocks) + rng.normal(0.0, self.taste, len(blocks))
        twice = set(np.argsort(-scores)[: max(1, round(self.looped * len(blocks)))].tolist())
        return _played(view, [b for i, b in enumerate(blocks) for _ in range(2 if i in twice else 1)])


@dataclass(frozen=True)
class HookFirst:
    """Opens with the loudest block and drops the quietest fifth."""

    name: str = "hook_first"
    dropped: float = 0.2
    taste: float = 0.1

    def plan(self, view: TrackView, rng: np.random.Generator) -> EditList:
        """Move the hook."""
        blocks = _blocks(view)
        scores = _means(_loudness(view), blocks) + rng.normal(0.0, self.taste, len(blocks))
        movable = [i for i, (start, _) in enumerate(blocks) if BLOCK_BEATS <= start <= _MOST_BEATS]
        hook = max(movable, key=lambda i: scores[i]) if movable else 0
        quiet = set(np.argsort(scores)[: round(self.dropped * len(blocks))].tolist()) - {hook}
        order = [hook, *(i for i in range(len(blocks)) if i != hook)]
        return _played(view, [blocks[i] for i in order if i not in quiet])


@dataclass(frozen=True)
class Excerpt:
    """Takes one excerpt: the loudest run of blocks that lasts so long, as for a ringtone or a trailer."""

    name: str = "loudest_excerpt"
    seconds: float = 40.0
    ear: float = 0.02

    def plan(self, view: TrackView, rng: np.random.Generator) -> EditList:
        """Choose among all runs."""
        blocks, times_s = _blocks(view), view.grid.times_s
        starts, ends = np.array(blocks).T
        first_after = np.searchsorted(times_s[ends], times_s[starts] + self.seconds)
        runs = [(int(a), int(ends[j])) for a, j in zip(starts, first_after, strict=True) if j < len(blocks)]
        if not runs:
            return _played(view, blocks)
        scores = _means(_loudness(view), runs) + rng.normal(0.0, self.ear, len(runs))
        return _played(view, [runs[int(scores.argmax())]])


@dataclass(frozen=True)
class ByCount:
    """Goes by which block it is, from the start or from the end, whatever plays there: the same on any day."""

    name: str = "drops_by_count"  # the third, the fourth and the last but one
    drops: tuple[int, ...] = (2, 3, -2)
    loops: tuple[int, ...] = ()  # three times
    opens_with: int | None = None

    def plan(self, view: TrackView, _rng: np.random.Generator) -> EditList:
        """Count."""
        blocks = _blocks(view)
        dropped, looped = (
            {k % len(blocks) for k in counted if abs(k) < len(blocks)} for counted in (self.drops, self.loops)
        )
        order = [i for i in range(len(blocks)) if i not in dropped for _ in range(3 if i in looped else 1)]
        if self.opens_with is not None and abs(self.opens_with) < len(blocks):
            order.insert(0, order.pop(self.opens_with))
        return _played(view, [blocks[i] for i in order])


OUTSIDERS: dict[str, Editor] = {
    editor.name: editor
    for editor in (
        LaterAlike(),
        LaterAlike("later_alike_from_zero", from_downbeat=False),
        StrongestTwice(),
        HookFirst(),
        Excerpt(),
        ByCount(),
        ByCount("loops_by_count", drops=(), loops=(-2,)),
        ByCount("moves_by_count", drops=(), opens_with=4),
    )
}


def _blocks(view: TrackView, *, from_downbeat: bool = True) -> list[Block]:
    """Blocks that tile the song; what is shorter than half a block at either end belongs to its neighbour."""
    n = len(view.features.values)
    first = int(np.flatnonzero(view.grid.bar_position == 0)[0]) if from_downbeat else 0
    starts = [*([0] if first else []), *range(first, n, BLOCK_BEATS)]
    if len(starts) > 1 and starts[1] - starts[0] < BLOCK_BEATS // 2:
        starts.pop(1)
    if len(starts) > 1 and n - starts[-1] < BLOCK_BEATS // 2:
        starts.pop()
    return list(zip(starts, [*starts[1:], n], strict=True))


def _likeness(view: TrackView, blocks: list[Block]) -> Float[np.ndarray, "blocks blocks"]:
    """Mean cosine of beats, laid side by side from the starts of both blocks."""
    heard = view.features
    timbre, harmony = (_scores(heard.columns(prefix)) / 3.0 for prefix in ("mfcc_", "chroma_"))
    columns = np.hstack([timbre, harmony, _scores(heard.column("rms"))[:, None]])
    unit = columns / (np.linalg.norm(columns, axis=1, keepdims=True) + 1e-9)

    def alike(a: Block, b: Block) -> float:
        n = min(a[1] - a[0], b[1] - b[0])
        return float(np.mean(np.sum(unit[a[0] : a[0] + n] * unit[b[0] : b[0] + n], axis=1)))

    return np.array([[alike(a, b) for b in blocks] for a in blocks])


def _loudness(view: TrackView) -> Float[np.ndarray, " beats"]:
    return _scores(np.log10(view.features.column("rms").astype(float) + 1e-5))


def _scores(values: Float[np.ndarray, "beats *columns"]) -> Float[np.ndarray, "beats *columns"]:
    """Standard scores over the song."""
    values = values.astype(float)
    return np.asarray((values - values.mean(0)) / (values.std(0) + 1e-9))


def _means(values: Float[np.ndarray, " beats"], blocks: list[Block]) -> Float[np.ndarray, " blocks"]:
    return np.array([values[start:end].mean() for start, end in blocks])


def _played(view: TrackView, order: list[Block]) -> EditList:
    """Beats from .. to, in output order."""
    rate, frames, times_s = view.source.sample_rate, view.source.frames, view.grid.times_s
    cuts = [(min(round(times_s[a] * rate), frames), min(round(times_s[b] * rate), frames)) for a, b in order]
    segments = tuple(Segment(a, b - a, crossfade_in_ms=CROSSFADE_MS) for a, b in cuts if b > a)
    return EditList(view.source, segments, beat_times_s=tuple(float(t) for t in times_s)).merged()
