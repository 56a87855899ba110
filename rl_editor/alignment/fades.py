"""Fades at the ends of an edit: where it dies away its sound tells no place any more, yet its samples follow as before.

What plays on into a fade is followed by its samples. Where another passage begins within one, the edit is taken again
with its ends lifted to half of its usual level. How long the ends fade is the length of the curve that leaves least of
the level unexplained, frame by frame against the prediction, so that a recording that fades by itself does not count.

Conventions as in ``refine``; a frame is ``hop`` samples.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import scipy.ndimage
from jaxtyping import Bool, Float, Float32

from rl_editor.alignment.confidence import FOREIGN_FRAMES, Belief, frame_sums, is_heard, smoothed
from rl_editor.alignment.joins import Spliced
from rl_editor.alignment.refine import SILENT_SHARE, Mastering, Placed

FOLLOWS = 0.5  # correlation coefficient with the prediction, at any level; that of other music is about 0
FOLLOWING_SHARE = 0.9  # of the frames up to the last that follows
LOST_S = 0.5  # of an end that is unmatched, to ask again
LEVEL_S = 0.5  # that the level is a mean of
LIFTED_TO = 0.5  # of the median level
MOST_LIFT = 100.0  # 40 dB
LONGEST_FADE_S = 30.0
SHORTEST_TOLD_S, LONGEST_TOLD_S = 0.25, 60.0  # shorter ones keep a cut from clicking
TOLD_SHARE = 0.25  # of what the level departs from that before the fade, that a fade may leave unexplained
SOFT_END = 0.3  # of the level before, that a fade has at most in its last eighth: a square root has 0.24 there
HEARD_SHARE = 1e-3  # of the mean power: what is softer has no level
N_LENGTHS = 100  # that are tried, evenly in their logarithm; a quarter as many again around the best
CLOSE_BY = 1.08  # their reach
KNOWN_S = 4.0  # beyond the fade, to tell what a compressor does
STEP_MS = 10.0  # lengths are told so
BENT = 1.5  # a curve has to leave so many times less than a line: of compressed music both leave about as much
# Of gain, from 1 to 0 by the share of the fade that is left
CURVES: tuple[Callable[[Float[np.ndarray, " frames"]], Float[np.ndarray, " frames"]], ...] = (
    lambda left: left,
    lambda left: left**2,
    lambda left: left**3,
    np.sqrt,
    lambda left: 1 - (1 - left) ** 2,
    lambda left: np.sin(np.pi / 2 * left),
    lambda left: np.sin(np.pi / 2 * left) ** 2,
)


def with_fades(found: Spliced, mastering: Mastering, *, hop: int) -> Spliced:
    """Runs of which the last that is heard ends, and the first begins, only where the edit's samples follow it no more.

    What lies beyond them was found by a sound that had faded.
    """
    runs, crossfades_ms = found
    heard = [k for k, run in enumerate(runs) if is_heard(run, mastering) and mastering.pair.sound(run) is not None]
    if not heard:
        return found
    first, last = heard[0], heard[-1]
    begun = _n_following(runs[first], runs[:first], mastering, hop=hop, ahead=False)
    gone_on = _n_following(runs[last], runs[last + 1 :], mastering, hop=hop, ahead=True)
    if not begun and not gone_on:
        return found
    start, end, least = runs[first].start - begun * hop, runs[last].end + gone_on * hop, FOREIGN_FRAMES * hop
    start = 0 if begun and start < least else start
    end = runs[-1].end if gone_on and runs[-1].end - end < least else end
    kept = []
    for k, (run, crossfade_ms) in enumerate(zip(runs, crossfades_ms, strict=True)):
        low = start if k == first else max(run.start, end) if k > last else run.start
        high = end if k == last else min(run.end, start) if k < first else run.end
        is_join = first < k <= last
        if low < high:
            kept.append((replace(run, start=low, end=high), crossfade_ms if is_join else 0.0))
    return Spliced([run for run, _ in kept], [crossfade_ms for _, crossfade_ms in kept])


def _n_following(run: Placed, others: Sequence[Placed], mastering: Mastering, *, hop: int, ahead: bool) -> int:
    """For how many frames, from its end or its start on, the edit follows a run, and better than the others there."""
    n_frames = (others[-1].end - others[0].start) // hop if others else 0
    if n_frames < FOREIGN_FRAMES:
        return 0
    start = others[0].start if ahead else others[-1].end - n_frames * hop
    end = start + n_frames * hop
    own = mastering.predict(run, start=start, length=end - start)
    theirs = np.zeros_like(own)
    for other in others:
        if mastering.pair.is_sampled(other):
            a, b = max(other.start, start), min(other.end, end)
            theirs[a - start : b - start] = mastering.predict(other, start=a, length=b - a)
    edit = mastering.pair.edit[start:end].astype(np.float64)
    away = slice(None) if ahead else slice(None, None, -1)
    agreement, others_agreement = (_agreement(edit, sound, hop=hop)[away] for sound in (own, theirs))
    following = agreement > FOLLOWS
    n = int(np.flatnonzero(following)[-1]) + 1 if following.any() else 0
    if n < FOREIGN_FRAMES or agreement[:n].mean() < others_agreement[:n].mean():
        return 0
    return n if following[:n].mean() > FOLLOWING_SHARE else 0


def _agreement(
    edit: Float[np.ndarray, " samples"], sound: Float[np.ndarray, " samples"], *, hop: int
) -> Float[np.ndarray, " frames"]:
    cross, own, theirs = (smoothed(frame_sums(x, hop)) for x in (edit * sound, edit**2, sound.astype(np.float64) ** 2))
    return np.asarray(cross / np.sqrt(own * theirs + 1e-18))


def without_fades(
    edit: Float32[np.ndarray, " samples"], runs: Sequence[Placed], *, sample_rate: int
) -> Float32[np.ndarray, " samples"] | None:
    """The edit with its ends lifted where it is soft there; None where both ends are found, or as loud as the rest."""
    loudness = float(edit @ edit) / len(edit)
    lost = [_is_lost(run, edit, loudness, sample_rate=sample_rate) for run in (runs[0], runs[-1])]
    if not any(lost):
        return None
    n = round(LEVEL_S * sample_rate)
    usual = LIFTED_TO * float(np.sqrt(np.median(frame_sums(edit**2, n)) / n))
    lifted = edit.copy()
    for is_lost, ahead in zip(lost, (slice(None), slice(None, None, -1)), strict=True):
        end = lifted[ahead][: round(LONGEST_FADE_S * sample_rate)]
        level = np.sqrt(np.maximum(scipy.ndimage.uniform_filter1d(end.astype(np.float64) ** 2, n), 0.0))
        soft = level < usual
        n_soft = len(soft) if soft.all() else int(soft.argmin())
        if is_lost:
            end[:n_soft] *= np.minimum(usual / (level[:n_soft] + 1e-12), MOST_LIFT).astype(np.float32)
    return None if np.array_equal(lifted, edit) else lifted


def _is_lost(run: Placed, edit: Float32[np.ndarray, " samples"], loudness: float, *, sample_rate: int) -> bool:
    """Whether a run is unmatched, long enough to tell a place, and heard at all."""
    sound = edit[run.start : run.end]
    is_heard_at_all = float(sound @ sound) > SILENT_SHARE * loudness * len(sound)
    return run.lag is None and len(sound) >= LOST_S * sample_rate and is_heard_at_all


class EndFades(NamedTuple):
    """For how long an edit fades in and out, and what speaks for its runs, their levels without these fades."""

    in_ms: float
    out_ms: float
    beliefs: list[Belief]


class _Fade(NamedTuple):
    n_frames: int
    gain: float  # of the run beside it, against the pair's filter


def told_fades(
    runs: Sequence[Placed], beliefs: Sequence[Belief], mastering: Mastering, *, hop: int, sample_rate: int
) -> EndFades:
    """How the first and the last run fade at the ends of the edit; 0 ms where they do not, or no samples follow."""
    found, lengths_ms = list(beliefs), {}
    for k, ahead in ((0, False), (len(runs) - 1, True)):
        fade = _fade_of(runs[k], mastering, hop=hop, sample_rate=sample_rate, ahead=ahead, alone=len(runs) == 1)
        if fade is not None:
            found[k] = found[k]._replace(gain=fade.gain)
        length_ms = 1000.0 * fade.n_frames * hop / sample_rate if fade else 0.0
        lengths_ms[ahead] = STEP_MS * round(length_ms / STEP_MS)
    return EndFades(lengths_ms[False], lengths_ms[True], found)


def _fade_of(
    run: Placed, mastering: Mastering, *, hop: int, sample_rate: int, ahead: bool, alone: bool
) -> _Fade | None:
    """The fade at the end of a run, or at its start; of a run that has both ends, in the half that is its own."""
    per_s = sample_rate / hop
    most = (run.end - run.start) // (2 if alone else 1)
    n_frames = min(most, round(2 * LONGEST_TOLD_S * sample_rate)) // hop
    if not mastering.pair.is_sampled(run) or n_frames < 2 * SHORTEST_TOLD_S * per_s:
        return None
    start = run.end - n_frames * hop if ahead else run.start
    sound = mastering.predict(run, start=start, length=n_frames * hop).astype(np.float64)
    edit = mastering.pair.edit[start : start + n_frames * hop].astype(np.float64)
    away = slice(None, None, -1) if ahead else slice(None)
    cross, power = (frame_sums(x, hop)[away] for x in (edit * sound, sound**2))
    heard = power > HEARD_SHARE * power.mean()
    level, weight = np.where(heard, cross / np.maximum(power, 1e-12), 0.0), np.where(heard, np.sqrt(power), 0.0)
    if not heard.any() or level[: round(SHORTEST_TOLD_S * per_s / 4)].mean() > np.median(level[heard]) / 2:
        return None  # as loud as ever: most edits
    shortest, longest = SHORTEST_TOLD_S * per_s, min(n_frames, round(LONGEST_TOLD_S * per_s))
    lengths = np.geomspace(shortest, longest, N_LENGTHS)
    best = _best_fitted(level, weight, lengths)
    level = _uncompressed(level, power, heard, after=round(CLOSE_BY * best.length), at_least=round(KNOWN_S * per_s))
    best = _best_fitted(level, weight, lengths)
    around = best.length * np.geomspace(1 / CLOSE_BY, CLOSE_BY, N_LENGTHS // 4)
    best = _best_fitted(level, weight, around[around <= longest])
    return _believed(best, level, weight, cross, power)


def _uncompressed(
    level: Float[np.ndarray, " frames"],
    power: Float[np.ndarray, " frames"],
    heard: Bool[np.ndarray, " frames"],
    *,
    after: int,
    at_least: int,
) -> Float[np.ndarray, " frames"]:
    """Levels without what a compressor took of loud frames: ``log level = a + b log power``, as beyond the fade."""
    known = heard & (level > 0.0) & (np.arange(len(level)) >= after)
    loud = np.log(np.maximum(smoothed(power), 1e-12))
    if np.count_nonzero(known) < at_least or np.ptp(loud[known]) == 0.0:
        return level
    slope = float(np.polyfit(loud[known], np.log(level[known]), 1)[0])
    return np.asarray(level * np.exp(-slope * (loud - loud[known].mean())))


class _Fitted(NamedTuple):
    """A fade of so many frames by its best curve; ordered by what it leaves unexplained."""

    unexplained: float
    length: int
    curve: int
    gain: float


def _best_fitted(
    level: Float[np.ndarray, " frames"], weight: Float[np.ndarray, " frames"], lengths: Float[np.ndarray, " lengths"]
) -> _Fitted:
    return min(_fitted(level, weight, int(length)) for length in lengths)


def _fitted(
    level: Float[np.ndarray, " frames"],
    weight: Float[np.ndarray, " frames"],
    length: int,
) -> _Fitted:
    """``min over c of sum w (level - g c)^2``, times ``BENT`` but for a line; ``g = sum w level c / sum w c^2``."""
    share, fits = _share_left(len(level), length), []
    for k, curve in enumerate(CURVES):
        gain = curve(share)
        scale = float((weight * level) @ gain / max(float(weight @ gain**2), 1e-12))
        unexplained = float(weight @ (level - scale * gain) ** 2)
        fits.append(_Fitted(unexplained * (BENT if k else 1.0), length, k, scale))
    return min(fits)


def _believed(
    best: _Fitted,
    level: Float[np.ndarray, " frames"],
    weight: Float[np.ndarray, " frames"],
    cross: Float[np.ndarray, " frames"],
    power: Float[np.ndarray, " frames"],
) -> _Fade | None:
    """The fade, where it explains how the level departs and comes down to little."""
    n, soft = best.length, max(1, best.length // 8)
    gain = CURVES[best.curve](_share_left(len(level), n))
    departs = float(weight[:n] @ (level[:n] - best.gain) ** 2)
    stays = float(weight[:n] @ (level[:n] - best.gain * gain[:n]) ** 2)
    told = 2 * np.count_nonzero(weight[:n]) > n and stays < TOLD_SHARE * departs
    if not told or float(weight[:soft] @ level[:soft]) > SOFT_END * best.gain * float(weight[:soft].sum()):
        return None
    return _Fade(n, max(float(cross @ gain / (power @ gain**2)), 1e-3))


def _share_left(n_frames: int, length: int) -> Float[np.ndarray, " frames"]:
    return np.minimum((np.arange(n_frames) + 0.5) / length, 1.0)
