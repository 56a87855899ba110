"""How alike the two sides of any join between beats sound, measured on the recording itself.

Conventions: boundary b of N + 1 lies at the b-th beat. What plays before a boundary and after it: mean power in 40
bands from 60 Hz up over 0.25 s, in dB, and the level over 0.2 s, of the mono sum. A join from p to q is compared with
what the song's own beats do:

    a(p, q) = (e(D(p, q)) + e(|L(p, q)|)) / 2,    e(x) = (x - x40) / (x95 - x40), from 0 to 1

D is the root mean square difference between before(p) and after(q), L the step of level; x40 and x95 are percentiles of
both over the song's beats themselves (p = q). Below x40 nothing is gained: a join smoother than the song is heard, too.
"""

import numpy as np
from jaxtyping import Float, Float32, Int

from rl_editor.evaluation.joins import LEVEL_S, SPECTRUM_S, bands_db
from rl_editor.utils import Samples

_USUAL, _UNUSUAL = 40.0, 95.0
_FLOOR = 1e-10
_JOINS_AT_A_TIME = 100_000


class BeatSound:
    """What is heard before and after every boundary of a recording."""

    def __init__(self, recording: Samples, bounds_s: Float[np.ndarray, " bounds"]) -> None:
        mono, rate = recording.data.mean(axis=1), recording.sample_rate
        at = np.clip(np.rint(bounds_s * rate).astype(np.int64), 0, len(mono))
        width = round(SPECTRUM_S * rate)
        padded = np.pad(mono, width)
        self._before = np.stack([bands_db(padded[a : a + width, None], rate) for a in at]).astype(np.float32)
        self._after = np.stack([bands_db(padded[a + width : a + 2 * width, None], rate) for a in at]).astype(np.float32)
        reach = round(LEVEL_S * rate)
        self._level_before = np.array([_level_db(mono[max(a - reach, 0) : a], reach) for a in at])
        self._level_after = np.array([_level_db(mono[a : a + reach], reach) for a in at])
        own = np.arange(1, max(len(at) - 1, 2))
        self._natural_distance = np.percentile(self._distance(own, own), (_USUAL, _UNUSUAL))
        self._natural_step = np.percentile(self._step(own, own), (_USUAL, _UNUSUAL))

    def unlikeness(
        self, leave: Int[np.ndarray, " joins"], land: Int[np.ndarray, " joins"]
    ) -> Float32[np.ndarray, " joins"]:
        """a(leave, land) of each pair of boundaries."""
        distance = _excess(self._distance(leave, land), self._natural_distance)
        step = _excess(self._step(leave, land), self._natural_step)
        unlike: np.ndarray = (0.5 * (distance + step)).astype(np.float32)
        return unlike

    def _distance(self, leave: Int[np.ndarray, " joins"], land: Int[np.ndarray, " joins"]) -> np.ndarray:
        """Root mean square difference, in blocks, so that memory stays small."""
        blocks = []
        for start in range(0, len(leave), _JOINS_AT_A_TIME):
            part = slice(start, start + _JOINS_AT_A_TIME)
            difference = self._before[leave[part]] - self._after[land[part]]
            blocks.append(np.sqrt(np.einsum("ij,ij->i", difference, difference) / difference.shape[1]))
        return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)

    def _step(self, leave: Int[np.ndarray, " joins"], land: Int[np.ndarray, " joins"]) -> np.ndarray:
        step: np.ndarray = np.abs(self._level_after[land] - self._level_before[leave])
        return step


def _level_db(part: Float32[np.ndarray, " samples"], reach: int) -> float:
    """Level of a stretch as if it were ``reach`` long, silence beyond the recording."""
    return float(10.0 * np.log10(max(float(np.square(part, dtype=np.float64).sum()) / reach, _FLOOR)))


def _excess(values: np.ndarray, natural: np.ndarray) -> np.ndarray:
    """e of each value, given the two percentiles."""
    usual, unusual = natural
    excess: np.ndarray = np.clip((values - usual) / max(unusual - usual, 1e-3), 0.0, 1.0)
    return excess
