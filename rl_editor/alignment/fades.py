"""Fades at the ends of an edit: where it dies away its sound tells no place any more, yet its samples follow as before.

What plays on into a fade is followed by its samples. Where another passage begins within one, the edit is taken again
with its ends lifted to half of its usual level.

Conventions as in ``refine``; a frame is ``hop`` samples.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.ndimage
from jaxtyping import Float, Float32

from rl_editor.alignment.confidence import FOREIGN_FRAMES, frame_sums, is_heard, smoothed
from rl_editor.alignment.joins import Spliced
from rl_editor.alignment.refine import SILENT_SHARE, Mastering, Placed

FOLLOWS = 0.5  # correlation coefficient with the prediction, at any level; that of other music is about 0
FOLLOWING_SHARE = 0.9  # of the frames up to the last that follows
LOST_S = 0.5  # of an end that is unmatched, to ask again
LEVEL_S = 0.5  # that the level is a mean of
LIFTED_TO = 0.5  # of the median level
MOST_LIFT = 100.0  # 40 dB
LONGEST_FADE_S = 30.0


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
