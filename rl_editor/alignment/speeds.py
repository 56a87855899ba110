"""Speeds made exact: from the drift of a run's lag along its length, by samples where they follow, else by onsets.

A lag that grows along a run by ``drift`` samples per sample says that the run plays ``1 + drift`` times as fast as its
view. Runs that agree share a view: a tape runs at one speed, and so does a program that stretches a file.

Conventions: samples at the analysis rate; ``lag`` as in ``refine``. Onsets are where a band stands out of the 70 ms
around, every 2.9 ms.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import scipy.ndimage
import scipy.signal
import scipy.stats
from jaxtyping import Float, Float32

from rl_editor.alignment.descriptors import SILENCE_POWER, mel_bank, mel_power
from rl_editor.alignment.refine import HEARD_SCORE, Pair, Placed, at_speed, refined, spread
from rl_editor.alignment.views import View, Warp, tape_semitones, tape_view, warped_view
from rl_editor.config import AlignmentConfig, AudioConfig
from rl_editor.utils import padded_span

AGREED_SAMPLES = 4.0  # over a run's length, that its own speed may differ from a shared one
UNSEEN_SAMPLES = 6.0  # the same of a run that shows no drift: probes within it, to whole samples, do not see less
UNDECIDED_SAMPLES = 22050  # shorter runs show no drift and take the speed of the others
CLEARER = 1.1  # a peak's score must grow so much at another speed; two places taken for one drift as well
TAPE_REACH_S = 2.0  # to either side of a warp's anchor its samples are tried
TAPE_PITCH = 0.35  # semitones beside a tape's pitch that a tuned pitch may lie
SHARPENINGS = 2
ONSET_HOP, ONSET_FFT, ONSET_BANDS = 64, 512, 24
ONSET_AROUND = 24  # hops to either side that an onset stands out of: 70 ms
ONSET_REACH = 40  # hops to either side: 0.12 s
ONSET_WINDOW = 700  # hops: 2 s
ONSET_WINDOWS = 16
FOLLOWED_DRIFT_SAMPLES = 44.0  # 2 ms over the longest run: a speed worth correcting


@dataclass(frozen=True, eq=False)
class Scale:
    """What makes views: the two sections of settings."""

    audio: AudioConfig
    alignment: AlignmentConfig

    def view(self, pair: Pair, warp: Warp) -> View:
        """The view of a warp: a tape's where samples bear that out, else of its spectrum alone."""
        if abs(warp.semitones - tape_semitones(warp.speed)) < TAPE_PITCH:
            tape = tape_view(pair.raw, self.audio, self.alignment, speed=warp.speed)
            run = self._around(warp, pair)
            for polarity in (1.0, -1.0):
                found = refined(run, Pair((tape,), pair.edit), polarity=polarity)
                if found.score > HEARD_SCORE:
                    speed = warp.speed * (1.0 + found.drift)
                    return tape if speed == warp.speed else tape_view(pair.raw, self.audio, self.alignment, speed=speed)
        return warped_view(pair.raw, self.audio, self.alignment, speed=warp.speed, semitones=warp.semitones)

    def respeeded(self, view: View, pair: Pair, speed: float) -> View:
        """The view at another speed, still a tape or not."""
        if view.sound is not None:
            return tape_view(pair.raw, self.audio, self.alignment, speed=speed)
        return warped_view(pair.raw, self.audio, self.alignment, speed=speed, semitones=view.semitones)

    def _around(self, warp: Warp, pair: Pair) -> Placed:
        at, reach = warp.edit_frame * self.audio.hop_length, TAPE_REACH_S * self.audio.sample_rate
        start, end = max(0, round(at - reach)), min(len(pair.edit), round(at + reach))
        return Placed(start, end, warp.raw_sample / warp.speed - at)


def sharpened(runs: Sequence[Placed], pair: Pair, scale: Scale, *, polarity: float) -> tuple[list[Placed], Pair]:
    """Runs and views with the speeds that the runs' drifts ask for; nothing changes where nothing drifts."""
    placed = list(runs)
    for _ in range(SHARPENINGS):
        if not any(run.drift for run in placed):
            break
        placed, pair = _respeeded(placed, pair, scale, polarity=polarity)
    placed, pair = _followed(placed, pair, scale)
    return placed, pair


def _respeeded(runs: Sequence[Placed], pair: Pair, scale: Scale, *, polarity: float) -> tuple[list[Placed], Pair]:
    views, moved = list(pair.views), list(runs)
    for index, view in enumerate(pair.views):
        mine = [k for k, run in enumerate(runs) if run.lag is not None and run.view == index]
        groups = _groups([runs[k] for k in mine])
        if view.sound is None or not any(groups):
            continue
        homes: dict[float, int] = {}
        for drift, longest in groups.items():
            speed, home = view.speed * (1.0 + drift), _view_at(view.speed * (1.0 + drift), longest, views)
            known = views if home < len(views) else [*views, scale.respeeded(view, pair, speed)]
            there = at_speed(longest, view, known[home], home)
            clearer = refined(there, Pair(tuple(known), pair.edit), polarity=polarity).score > CLEARER * longest.score
            homes[drift], views = (home, known) if clearer else (index, views)
        for k in mine:
            home = homes[_group_of(runs[k], groups)]
            moved[k] = replace(runs[k], drift=0.0) if home == index else at_speed(runs[k], view, views[home], home)
    changed = Pair(tuple(views), pair.edit)
    return [
        new if new.view == old.view else refined(new, changed, polarity=polarity)
        for new, old in zip(moved, runs, strict=True)
    ], changed


def _groups(runs: Sequence[Placed]) -> dict[float, Placed]:
    """The drifts that runs share, each with its longest run; long runs tell best and come first."""
    groups: dict[float, Placed] = {}
    for run in sorted(runs, key=lambda r: r.start - r.end):
        length = run.end - run.start
        if length < UNDECIDED_SAMPLES and groups:
            continue
        if not any(_agrees(run, drift) for drift in groups):
            groups[run.drift] = run
    return groups


def _view_at(speed: float, run: Placed, views: Sequence[View]) -> int:
    """The tape that runs at a speed as far as a run's samples tell; the number of views where there is none."""
    reach = AGREED_SAMPLES / (run.end - run.start)
    near = [k for k, v in enumerate(views) if v.sound is not None and abs(v.speed - speed) <= reach]
    return min(near, key=lambda k: abs(views[k].speed - speed), default=len(views))


def _agrees(run: Placed, drift: float) -> bool:
    """Whether a run may have that drift, as far as its length tells."""
    most = AGREED_SAMPLES if run.drift else UNSEEN_SAMPLES
    return abs(drift - run.drift) * (run.end - run.start) <= most


def _group_of(run: Placed, groups: dict[float, Placed]) -> float:
    """The drift of the longest run that agrees: one speed for all rather than one that a short run does not tell."""
    if run.end - run.start < UNDECIDED_SAMPLES:
        return next(iter(groups))
    near = min(groups, key=lambda drift: abs(drift - run.drift))
    return next((drift for drift in groups if _agrees(run, drift)), near)


def _followed(runs: Sequence[Placed], pair: Pair, scale: Scale) -> tuple[list[Placed], Pair]:
    """Runs of views without samples by their onsets, at the speed that they agree on."""
    views, moved = list(pair.views), list(runs)
    for index, view in enumerate(pair.views):
        mine = [k for k, run in enumerate(runs) if run.lag is not None and run.view == index]
        if view.sound is not None or not mine:
            continue
        for _ in range(SHARPENINGS):
            for k in mine:
                moved[k] = _by_onsets(moved[k], pair, views[index], scale)
            lengths = np.array([moved[k].end - moved[k].start for k in mine], np.float64)
            drift = float(np.average([moved[k].drift for k in mine], weights=lengths**3))
            if abs(drift) * lengths.max() < FOLLOWED_DRIFT_SAMPLES:
                break
            new = scale.respeeded(view, pair, views[index].speed * (1.0 + drift))
            for k in mine:
                moved[k] = at_speed(moved[k], views[index], new, index)
            views[index] = new
    return moved, Pair(tuple(views), pair.edit)


def _by_onsets(run: Placed, pair: Pair, view: View, scale: Scale) -> Placed:
    """The run with the lag and drift that its windows' onsets agree on."""
    length = min(ONSET_WINDOW * ONSET_HOP, (run.end - run.start) // ONSET_HOP * ONSET_HOP)
    starts = spread(run, length, ONSET_WINDOWS) if length >= ONSET_WINDOW * ONSET_HOP // 4 else []
    found = [_onset_lag(run, start, length // ONSET_HOP, pair, view, scale) for start in starts]
    heard = [(start + length / 2, lag) for start, lag in zip(starts, found, strict=True) if lag is not None]
    if not heard:
        return replace(run, drift=0.0)
    at, lags = (np.array(column) for column in zip(*heard, strict=True))
    middle = (run.start + run.end) / 2
    if len(heard) < 4:
        return replace(run, lag=(run.lag or 0.0) + float(np.median(lags)), drift=0.0)
    line = scipy.stats.theilslopes(lags, at - middle)
    return replace(run, lag=(run.lag or 0.0) + float(line.intercept), drift=float(line.slope))


def _onset_lag(run: Placed, start: int, count: int, pair: Pair, view: View, scale: Scale) -> float | None:
    """How many samples later in the view the onsets of edit samples from ``start`` on lie; None where unheard."""
    edit = _onsets(pair.edit, start, count, float(ONSET_HOP), 0.0, scale.audio)
    first = round((start + (run.lag or 0.0) - ONSET_REACH * ONSET_HOP) * view.speed)
    raw = _onsets(pair.raw, first, count + 2 * ONSET_REACH, ONSET_HOP * view.speed, view.semitones, scale.audio)
    values = np.array([float((edit * raw[k : k + count]).sum()) for k in range(2 * ONSET_REACH + 1)])
    k = int(values.argmax())
    if not 0 < k < len(values) - 1 or values[k] < values.mean() + 2.5 * values.std():
        return None
    before, here, after = values[k - 1 : k + 2]
    return float((k - ONSET_REACH + 0.5 * (before - after) / (before - 2 * here + after - 1e-12)) * ONSET_HOP)


def _onsets(
    mono: Float32[np.ndarray, " samples"], start: int, count: int, hop: float, semitones: float, audio: AudioConfig
) -> Float[np.ndarray, "count bands"]:
    """Amplitude per band less what is around: a phase vocoder smears it to both sides, which shifts nothing."""
    bank = mel_bank(audio.sample_rate, ONSET_FFT, ONSET_BANDS, semitones=semitones)
    margin = ONSET_FFT + ceil(ONSET_AROUND * hop)
    span = padded_span(mono, start - margin, round(count * hop) + 2 * margin)
    first, wider = margin - round(ONSET_AROUND * hop), count + 2 * ONSET_AROUND
    level = np.sqrt(mel_power(span, bank, n_fft=ONSET_FFT, hop=hop, first=first, count=wider) + SILENCE_POWER)
    around = scipy.signal.windows.hann(2 * ONSET_AROUND + 1)
    usual = scipy.ndimage.convolve1d(level, around / around.sum(), axis=0)
    peaks = ((level - usual) / level.mean(axis=0))[ONSET_AROUND:-ONSET_AROUND]
    return np.asarray(peaks - peaks.mean(axis=0))
