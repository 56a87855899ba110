"""The raw as it sounds in the edit: at its own speed and pitch, or as somebody changed them.

A view is the raw heard at one speed and pitch. Speed and pitch that belong together are those of a tape (varispeed):
its samples follow the edit's, and everything that holds for samples holds for such a view. Tempo without pitch, or
pitch without tempo, is made by programs that keep the sound and not the samples: such a view has descriptors alone.

    doubtful stretches of the best path -> probes against the whole raw over a grid of speeds and pitches
    -> the best tuned without a grid -> is it a tape? -> views, to be taken up by the best path

Conventions: ``speed`` source samples pass per output sample; ``semitones`` the edit sounds higher; positions are
samples at the analysis rate. Sample u of a view is sample ``u * speed`` of the raw.

Source: Nelder & Mead 1965 for the tuning.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.optimize
import soxr
from jaxtyping import Bool, Float, Float32

from rl_editor.alignment.descriptors import descriptors, mel_bank, mel_power, shapes
from rl_editor.alignment.viterbi import Run, Stacked, States, diagonal_similarity, stacked
from rl_editor.config import AlignmentConfig, AudioConfig
from rl_editor.utils import padded_span

SPEED_STEP, PITCH_STEP = 0.01, 0.5  # of the grid; a probe of 4 s is off by 20 ms at its ends half a step away
GRID_FRAMES = 2  # frames between the raw's rows in the search
PROBE_S, SHORTEST_DOUBT_S = 4.0, 1.5
MOST_ROWS = 200  # that one cosine of a window compares, spread evenly
MOST_PROBES, MOST_SEARCHES, MOST_VIEWS = 3, 6, 5
HEARD = 0.45  # cosine of a probe with its place in the raw; other music stays below
POOR_SIMILARITY = 0.75  # a run this unlike what it plays may be transposed
BETTER = 0.05  # of cosine, that another speed or pitch must gain
TUNED_S = (4.0, 10.0, 24.0)  # windows of the tuning, each from the result of the one before
STILL_ALIKE = 0.9  # share of its cosine that a wider window keeps unless it holds a join
SIMPLE_LOSS = 0.01  # of cosine, that a simpler explanation (a tape, tempo alone, pitch alone) may cost
SAME_SPEED, SAME_PITCH = 0.015, 0.3  # nearer views are asked first
SLIGHTLY = 2e-3  # of cosine, that counts where the samples do not follow
STAIR_FRAMES = 10  # neighbours this near in diagonal ...
STAIR_SLOPE = 0.09  # ... and this steep may be one run at another speed
STAIR_LOSS = 0.03  # of cosine, that a straight line may cost over its stairs
SHORTEST_RUN_FRAMES = 7  # shorter runs (0.16 s) are hops that no editor makes


@dataclass(frozen=True, eq=False)
class View:
    """The raw at one speed and pitch; ``sound`` is None where samples do not follow, only their spectrum."""

    speed: float
    semitones: float
    rows: Float32[np.ndarray, "frames bands"]
    stacked: Stacked
    sound: Float32[np.ndarray, " samples"] | None

    @property
    def states(self) -> States:
        """The view as states of the best path."""
        return States(self.rows, self.speed)


class Warp(NamedTuple):
    """A speed and a pitch, and an edit frame that plays a raw sample in it."""

    speed: float
    semitones: float
    edit_frame: float
    raw_sample: float
    score: float


def tape_semitones(speed: float) -> float:
    """How much higher a tape sounds at a speed."""
    return 12.0 * float(np.log2(speed))


def tape_view(
    raw: Float32[np.ndarray, " samples"], audio: AudioConfig, alignment: AlignmentConfig, *, speed: float = 1.0
) -> View:
    """The raw as a tape at this speed; 1 is the raw itself."""
    sound = raw if speed == 1.0 else soxr.resample(raw, speed, 1.0, quality="HQ").astype(np.float32, copy=False)
    rows = descriptors(raw, audio, alignment, speed=speed, semitones=tape_semitones(speed))
    return View(speed, tape_semitones(speed), rows, stacked(rows, alignment.stack_frames), sound)


def warped_view(
    raw: Float32[np.ndarray, " samples"],
    audio: AudioConfig,
    alignment: AlignmentConfig,
    *,
    speed: float,
    semitones: float,
) -> View:
    """The raw at a speed and a pitch that are independent of each other."""
    rows = descriptors(raw, audio, alignment, speed=speed, semitones=semitones)
    return View(speed, semitones, rows, stacked(rows, alignment.stack_frames), None)


class _Stretch(NamedTuple):
    """Edit frames that are in doubt, the cosine that another speed or pitch must reach there, and a guess, if any."""

    start: int
    end: int
    needed: float
    guess: Warp | None


def _unmatched(runs: Sequence[Run]) -> Iterator[tuple[int, int]]:
    """Stretches of unmatched runs and of runs too short to be meant between them."""
    start: int | None = None
    for run in runs:
        lost = run.offset is None or run.end - run.start < SHORTEST_RUN_FRAMES
        if lost and start is None:
            start = run.start
        if not lost and start is not None:
            yield start, run.start
            start = None
    if start is not None:
        yield start, runs[-1].end


def _stairs(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """Runs whose diagonals climb or fall step by small step: one run at another speed."""
    chain: list[Run] = []
    for run in [*runs, Run(0, 0, None)]:
        if chain and run.offset is not None and run.view == chain[-1].view and _is_step(chain, run):
            chain.append(run)
            continue
        if len(chain) > 2:
            yield chain
        chain = [run] if run.offset is not None else []


def _is_step(chain: Sequence[Run], run: Run) -> bool:
    step = (run.offset or 0) - (chain[-1].offset or 0)
    earlier = (chain[-1].offset or 0) - (chain[-2].offset or 0) if len(chain) > 1 else step
    length = min(r.end - r.start for r in (chain[-1], run)[: len(chain)])
    return 0 < abs(step) <= min(STAIR_FRAMES, 1 + STAIR_SLOPE * length) and step * earlier > 0


def _seeds(stretch: _Stretch, search: "Search") -> Iterator[Warp]:
    """The guess, as tempo and as tape, or what the probes find."""
    if stretch.guess is not None:
        guess = stretch.guess
        yield max(
            (guess, guess._replace(semitones=tape_semitones(guess.speed))),
            key=lambda warp: search.cosine(warp, stretch.start, stretch.end, TUNED_S[0]),
        )
    if (spotted := search.spot(stretch.start, stretch.end)) is not None:
        yield spotted


class Search:
    """Probes of the edit against the whole raw, and the tuning of what they find."""

    def __init__(
        self,
        raw: Float32[np.ndarray, " raw_samples"],
        rows: Float32[np.ndarray, "edit_frames bands"],
        left: Stacked,
        silent: Bool[np.ndarray, " edit_frames"],
        audio: AudioConfig,
        alignment: AlignmentConfig,
    ) -> None:
        self.raw, self.rows, self.left, self.silent = raw, rows, left, silent
        self.audio, self.alignment = audio, alignment
        self.frame_s = audio.hop_length / audio.sample_rate
        n_speeds = round(alignment.speed_reach / SPEED_STEP)
        n_pitches = round(alignment.pitch_reach_semitones / PITCH_STEP)
        self.speeds = 1.0 + SPEED_STEP * np.arange(-n_speeds, n_speeds + 1)
        self.pitches = PITCH_STEP * np.arange(-n_pitches, n_pitches + 1)
        self._searched: list[tuple[int, int]] = []
        self._raw_rows: list[Float32[np.ndarray, "grid bands"]] = []

    def missing(self, runs: Sequence[Run], views: Sequence[View], unheard: Sequence[Run] = ()) -> Warp | None:
        """A speed and pitch that explains what these runs leave most in doubt; None where nothing does.

        ``unheard`` are runs whose samples do not follow. A stretch that was searched in vain is not searched again, and
        the whole search is bounded.
        """
        for stretch in self._doubtful(runs, views, unheard):
            if len(views) > MOST_VIEWS or len(self._searched) >= MOST_SEARCHES:
                return None
            if any(a < stretch.end and stretch.start < b for a, b in self._searched):
                continue
            for seed in _seeds(stretch, self):
                warp = self.tune(seed, stretch.start, stretch.end)
                if warp.score > max(HEARD, stretch.needed) and not self._known(warp, stretch, views):
                    return warp
            self._searched.append((stretch.start, stretch.end))
        return None

    def _doubtful(self, runs: Sequence[Run], views: Sequence[View], unheard: Sequence[Run]) -> list[_Stretch]:
        """Longest first."""
        found = [_Stretch(a, b, HEARD, None) for a, b in _unmatched(runs) if self.silent[a:b].mean() < 0.5]
        found += [self._stair(chain, views) for chain in _stairs(runs)]
        found += [self._as_it_is(run, views, BETTER) for run in runs if self._is_poor(run, views)]
        found += [self._as_it_is(run, views, SLIGHTLY) for run in unheard]
        shortest = round(SHORTEST_DOUBT_S / self.frame_s)
        return sorted((s for s in found if s.end - s.start >= shortest), key=lambda s: s.start - s.end)

    def _is_poor(self, run: Run, views: Sequence[View]) -> bool:
        if run.offset is None or run.end - run.start < SHORTEST_RUN_FRAMES:
            return False
        right = views[run.view].stacked
        cosines = diagonal_similarity(self.left, right, start=run.start, end=run.end, diagonal=run.offset)
        return float(cosines.mean()) < POOR_SIMILARITY

    def _as_it_is(self, run: Run, views: Sequence[View], gain: float) -> _Stretch:
        guess = self._as_warp(run, views)
        return _Stretch(run.start, run.end, guess.score + gain, guess)

    def _as_warp(self, run: Run, views: Sequence[View]) -> Warp:
        view, middle = views[run.view], (run.start + run.end) / 2
        at = (middle + (run.offset or 0)) * self.audio.hop_length * view.speed
        warp = Warp(view.speed, view.semitones, middle, at, 0.0)
        return warp._replace(score=self.cosine(warp, run.start, run.end, TUNED_S[0]))

    def _stair(self, chain: Sequence[Run], views: Sequence[View]) -> _Stretch:
        """A chain as one line, which must be about as good as its stairs."""
        view = views[chain[0].view]
        middles = np.array([(run.start + run.end) / 2 for run in chain])
        slope, level = np.polyfit(middles, [float(run.offset or 0) for run in chain], 1).tolist()
        start, end = chain[0].start, chain[-1].end
        middle = (start + end) / 2
        at = (middle * (1.0 + slope) + level) * self.audio.hop_length * view.speed
        own = np.average([self._as_warp(run, views).score for run in chain], weights=[r.end - r.start for r in chain])
        return _Stretch(
            start,
            end,
            float(own) - STAIR_LOSS,
            Warp(float(view.speed * (1.0 + slope)), view.semitones, middle, at, 0.0),
        )

    def _known(self, warp: Warp, stretch: _Stretch, views: Sequence[View]) -> bool:
        """Whether a view there is explains the place as well."""
        return any(
            abs(warp.speed - view.speed) < SAME_SPEED
            and abs(warp.semitones - view.semitones) < SAME_PITCH
            and self.cosine(
                warp._replace(speed=view.speed, semitones=view.semitones), stretch.start, stretch.end, TUNED_S[-1]
            )
            > warp.score - (SLIGHTLY if stretch.guess else SIMPLE_LOSS)
            for view in views
        )

    def spot(self, start: int, end: int) -> Warp | None:
        """The best place of a few probes of these edit frames, over the grid of speeds and pitches."""
        length = min(end - start, round(PROBE_S / self.frame_s))
        count = min(MOST_PROBES, 1 + (end - start - length) // (2 * length))
        for k in range(count):
            warp = self._spot(start + round((k + 0.5) * (end - start - length) / count), length)
            if warp.score > HEARD:
                return warp
        return None

    def tune(self, seed: Warp, start: int, end: int) -> Warp:
        """The seed without the grid: over growing windows, then the simplest explanation that is about as good."""
        warp, reached = seed, TUNED_S[0]
        for k, window_s in enumerate(TUNED_S):
            if k and (end - start) * self.frame_s < TUNED_S[k - 1]:
                break
            tuned = self._tuned(warp, start, end, window_s, first=k == 0)
            if k and tuned.score < STILL_ALIKE * warp.score:  # a join lies in the window
                break
            warp, reached = tuned, window_s
        return self._simplest(warp, start, end, reached)

    def cosine(self, warp: Warp, start: int, end: int, window_s: float) -> float:
        """Of the edit rows around the warp's frame, within [start, end), with the raw's rows in this warp."""
        half = round(window_s / self.frame_s / 2)
        a, b = max(start, round(warp.edit_frame) - half), min(end, round(warp.edit_frame) + half)
        if b - a < 8:
            return 0.0
        every = -(-(b - a) // MOST_ROWS)
        frame, n_fft = self.audio.hop_length * warp.speed, self.audio.n_fft
        first = warp.raw_sample + (a - warp.edit_frame) * frame
        low = round(first) - n_fft // 2
        span = padded_span(self.raw, low, round((b - a) * frame) + 2 * n_fft)
        bank = mel_bank(self.audio.sample_rate, n_fft, self.alignment.n_bands, semitones=round(warp.semitones, 2))
        edit = self.rows[a:b:every]
        power = mel_power(span, bank, n_fft=n_fft, hop=frame * every, first=n_fft // 2, count=len(edit))
        return _cosine(edit - edit.mean(axis=0), shapes(power))

    def _spot(self, at: int, length: int) -> Warp:
        best = Warp(1.0, 0.0, float(at), 0.0, 0.0)
        for k, semitones in enumerate(self.pitches):
            right = self._rows_at(k)
            for speed in self.speeds:
                probe = _interpolated(self.rows, at, length, GRID_FRAMES / speed)
                score, place = _best_place(probe, right)
                if score > best.score:
                    step = self.audio.hop_length * GRID_FRAMES
                    middle = place * step + speed * self.audio.hop_length * length / 2
                    best = Warp(float(speed), float(semitones), at + length / 2, middle, score)
        return best

    def _rows_at(self, k: int) -> Float32[np.ndarray, "grid bands"]:
        if not self._raw_rows:
            banks = [
                mel_bank(self.audio.sample_rate, self.audio.n_fft, self.alignment.n_bands, semitones=float(p))
                for p in self.pitches
            ]
            hop = float(self.audio.hop_length * GRID_FRAMES)
            power = mel_power(self.raw, np.concatenate(banks, axis=1), n_fft=self.audio.n_fft, hop=hop)
            self._raw_rows = [shapes(part) for part in np.split(power, len(banks), axis=1)]
        return self._raw_rows[k]

    def _tuned(self, seed: Warp, start: int, end: int, window_s: float, *, first: bool) -> Warp:
        units = np.array([4e-3 if first else 6e-4, 0.3 if first else 0.1, self.audio.hop_length / 2])

        def moved(x: Float[np.ndarray, " 3"]) -> Warp:
            speed, semitones, shift = (x * units).tolist()
            return seed._replace(
                speed=float(seed.speed * (1 + speed)),
                semitones=seed.semitones + semitones,
                raw_sample=seed.raw_sample + shift,
            )

        found = scipy.optimize.minimize(
            lambda x: -self.cosine(moved(x), start, end, window_s),
            np.zeros(3),
            method="Nelder-Mead",
            options={
                "maxfev": 45 if first else 25,
                "xatol": 0.02,
                "fatol": 1e-4,
                "initial_simplex": np.vstack([np.zeros(3), np.eye(3)]) - 0.25,
            },
        )
        return moved(found.x)._replace(score=-float(found.fun))

    def _simplest(self, warp: Warp, start: int, end: int, window_s: float) -> Warp:
        simpler = [
            warp._replace(speed=1.0),
            warp._replace(semitones=0.0),
            warp._replace(semitones=tape_semitones(warp.speed)),
        ]
        scored = [w._replace(score=self.cosine(w, start, end, window_s)) for w in simpler]
        best = max(scored, key=lambda w: w.score)
        return best if best.score > warp.score - SIMPLE_LOSS else warp


def _cosine(left: Float32[np.ndarray, "frames bands"], right: Float32[np.ndarray, "frames bands"]) -> float:
    return float((left * right).sum() / np.sqrt((left**2).sum() * (right**2).sum() + 1e-9))


def _interpolated(
    rows: Float32[np.ndarray, "frames bands"], start: int, length: int, step: float
) -> Float32[np.ndarray, "probe bands"]:
    """Rows at ``start``, ``start + step`` ... within ``length`` frames, between two neighbours by their distance."""
    at = start + np.arange(int(length / step)) * step
    below = np.minimum(at.astype(np.int64), len(rows) - 1)
    share = (at - below)[:, None].astype(np.float32)
    return np.asarray(rows[below] * (1 - share) + rows[np.minimum(below + 1, len(rows) - 1)] * share)


def _best_place(
    probe: Float32[np.ndarray, "probe bands"], right: Float32[np.ndarray, "grid bands"]
) -> tuple[float, int]:
    """The highest cosine of the probe with as many neighbouring rows, and where they start."""
    width = len(right) - len(probe) + 1
    if width < 1:
        return 0.0, 0
    products = probe @ right.T
    total = products[0, :width].copy()
    for k in range(1, len(probe)):
        total += products[k, k : k + width]
    energy = np.concatenate([[0.0], np.cumsum((right.astype(np.float64) ** 2).sum(axis=1))])
    norm = np.sqrt((energy[len(probe) :] - energy[: -len(probe)]) * float((probe**2).sum()) + 1e-9)
    cosine = total / norm
    place = int(cosine.argmax())
    return float(cosine[place]), place
