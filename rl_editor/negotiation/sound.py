"""How natural any join between beats sounds, measured on the recording itself.

Conventions: boundary b of N + 1 lies at the b-th beat. What plays before a boundary and after it, of the mono sum: mean
power in 40 bands from 60 Hz up, in dB, over 0.25 s and over 0.5 s, and the level over 0.2 s. Of a join from p to q

    a(p, q) = 0.52 r(p, q) + 0.20 e(D(p, q); 50) + 0.28 e(|L(p, q)|; 65),    from 0 to 1
    e(x; k) = (x - x_k) / (x_95 - x_k), from 0 to 1; and a is 1 more where |L| is beyond its x_95 and 1 dB

r says how far both sides differ from what the song has there: before(p) from before(q), which the song plays before q,
and after(q) from after(p), which it plays after p. Each difference counts as a share of the median between any two
boundaries, at most 1; r is the mean over both sides, both widths, and level with the shorter. D is the difference of
before(p) and after(q) over 0.25 s, L their step of level; x_k are percentiles of both over the song's beats (p = q).

A join is not heard for being smooth: the song itself steps at its beats. A join of little contrast is as conspicuous
as one of much; what is not noticed is a change that the song makes there as well. (Schoedl, Szeliski, Salesin & Essa
2000, "Video textures", jump so: where the frames around would have been alike.) A step of level that the song hardly
ever makes is heard, whatever else fits.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Float32, Int

from rl_editor.audition.joins import LEVEL_S, POWER_FLOOR, SPECTRUM_S, spans_bands_db
from rl_editor.utils import Samples, padded_span

_CONTEXT, _CONTRAST, _STEP = 0.52, 0.20, 0.28
_CONTRAST_FROM, _STEP_FROM, _UNUSUAL = 50.0, 65.0, 95.0
_WIDTHS_S = (SPECTRUM_S, 0.5)
_HEARD_DB = 1.0  # about the least step of level that is heard
_LEAST_DB, _LEAST_STEP_DB = 1e-3, 0.1  # of what differences are measured in
_COMPARED = 2000  # pairs of boundaries that tell how much any two differ
_SPANS_AT_A_TIME = 64  # 11 MB of spectra


class BeatSound:
    """What is heard before and after every boundary of a recording.

    Attributes:
        bounds_s: the boundaries.
    """

    def __init__(self, recording: Samples, bounds_s: Float[np.ndarray, " bounds"]) -> None:
        self.bounds_s = bounds_s
        mono = recording.data[:, 0] if recording.channels == 1 else recording.data.mean(axis=1)
        rate = recording.sample_rate
        at = np.clip(np.rint(bounds_s * rate).astype(np.int64), 0, len(mono))
        self._spectra = [_Sides.of_spectra(mono, rate, at, round(width * rate)) for width in _WIDTHS_S]
        self._level = _Sides.of_levels(mono, at, round(LEVEL_S * rate))
        own = np.arange(1, max(len(at) - 1, 2))
        self._contrast = np.percentile(self._spectra[0].across(own, own), (_CONTRAST_FROM, _UNUSUAL))
        self._step = np.percentile(self._level.across(own, own), (_STEP_FROM, _UNUSUAL))

    def unlikeness(
        self, leave: Int[np.ndarray, " joins"], land: Int[np.ndarray, " joins"]
    ) -> Float32[np.ndarray, " joins"]:
        """a(leave, land) of each pair of boundaries."""
        short, long = (side.from_context(leave, land) for side in self._spectra)
        context = 0.5 * (0.5 * (short + self._level.from_context(leave, land)) + long)
        contrast = _excess(self._spectra[0].across(leave, land), self._contrast)
        level = self._level.across(leave, land)
        unlike: np.ndarray = _CONTEXT * context + _CONTRAST * contrast + _STEP * _excess(level, self._step)
        unlike[level > max(self._step[1], _HEARD_DB)] += 1.0
        return unlike.astype(np.float32)


class _Sides:
    """One thing that is measured before and after every boundary, and by how much any two boundaries differ in it."""

    def __init__(self, before: Float32[np.ndarray, "bounds n"], after: Float32[np.ndarray, "bounds n"], least: float):
        self.before, self.after = before, after
        one, other = np.random.default_rng(0).integers(0, len(before), (2, _COMPARED))
        self.usual = max(float(np.median(_apart(before[one], before[other]))), least)

    @classmethod
    def of_spectra(cls, mono: np.ndarray, rate: int, at: Int[np.ndarray, " bounds"], width: int) -> "_Sides":
        """Bands of the ``width`` frames before and after; silence beyond the recording."""
        before, after = (
            np.concatenate([spans_bands_db(s, rate).astype(np.float32) for s in _spans(mono, at - back, width)])
            for back in (width, 0)
        )
        return cls(before, after, _LEAST_DB)

    @classmethod
    def of_levels(cls, mono: np.ndarray, at: Int[np.ndarray, " bounds"], width: int) -> "_Sides":
        """Level of the ``width`` frames before and after; silence beyond the recording."""
        before, after = (
            np.concatenate([np.square(s, dtype=np.float64).mean(axis=1) for s in _spans(mono, at - back, width)])
            for back in (width, 0)
        )
        before, after = (10.0 * np.log10(np.maximum(power, POWER_FLOOR)) for power in (before, after))
        return cls(before[:, None].astype(np.float32), after[:, None].astype(np.float32), _LEAST_STEP_DB)

    def across(self, leave: Int[np.ndarray, " joins"], land: Int[np.ndarray, " joins"]) -> np.ndarray:
        """By how much the two sides of joins differ."""
        return _apart(self.before[leave], self.after[land])

    def from_context(self, leave: Int[np.ndarray, " joins"], land: Int[np.ndarray, " joins"]) -> np.ndarray:
        """How far joins are from what the song has before where they land, and after where they leave; up to 1."""
        before, after = (_apart(side[leave], side[land]) / self.usual for side in (self.before, self.after))
        return 0.5 * (np.minimum(before, 1.0) + np.minimum(after, 1.0))


def _spans(mono: np.ndarray, starts: Int[np.ndarray, " spans"], width: int) -> Iterator[np.ndarray]:
    """``width`` samples from each start, zeros beyond the recording; so many spans at a time."""
    for first in range(0, len(starts), _SPANS_AT_A_TIME):
        some = starts[first : first + _SPANS_AT_A_TIME].tolist()
        yield np.stack([padded_span(mono, start, width) for start in some])


def _apart(one: Float32[np.ndarray, "n m"], other: Float32[np.ndarray, "n m"]) -> np.ndarray:
    """Root mean square difference."""
    difference = one - other
    apart: np.ndarray = np.sqrt(np.einsum("ij,ij->i", difference, difference) / difference.shape[1])
    return apart


def _excess(values: np.ndarray, natural: np.ndarray) -> np.ndarray:
    """e of each value, given the two percentiles."""
    usual, unusual = natural
    excess: np.ndarray = np.clip((values - usual) / max(unusual - usual, 1e-3), 0.0, 1.0)
    return excess
