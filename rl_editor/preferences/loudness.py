"""Loudness of excerpts, made equal so that the louder one does not win for being louder.

Integrated loudness is that of ITU-R BS.1770-4 (pyloudnorm): of left, right, centre and one pair of surrounds, never of
the bass channel. Two sides are brought to ``TARGET_LUFS``, both lower by the same amount where one would pass
``PEAK_DBFS``.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from rl_editor.errors import ConfigError
from rl_editor.utils import Samples

TARGET_LUFS = -20.0
PEAK_DBFS = -1.0
QUIETEST_LUFS = -70.0  # the absolute gate: nothing below it counts
BLOCK_S = 0.4  # gating block; shorter audio has no loudness
FADE_S = 0.02  # at the ends of an excerpt
_FRONT = {2, 3}  # left and right, as ``speakers`` numbers places
_COUNTED = ((2,), (3,), (4,), (14, 9), (15, 10))  # in pyloudnorm's order; surrounds are the side's, else the rear's


class Matched(NamedTuple):
    """Audio as it is heard; ``loudness_lufs`` None where it cannot be measured."""

    samples: Samples
    loudness_lufs: float | None


def loudness_lufs(samples: Samples, *, places: Sequence[int] = ()) -> float | None:
    """Integrated loudness; None of what is too short or silent.

    Where nobody says which channel is for which loudspeaker (``places``), the first two are left and right, and count.

    Raises:
        ConfigError: pyloudnorm is not installed.
    """
    try:
        from pyloudnorm import Meter
    except ImportError:
        raise ConfigError("pyloudnorm is not installed; pip install 'rl-editor[listen]'") from None
    if samples.frames < BLOCK_S * samples.sample_rate + 1:
        return None
    found = float(Meter(samples.sample_rate).integrated_loudness(_counted(samples.data, places)))
    return found if found > QUIETEST_LUFS else None


def matched(*sides: Samples, places: Sequence[int] = ()) -> list[Matched]:
    """All sides equally loud; a side without loudness stays as it is. ``places`` as of ``loudness_lufs``."""
    measured = [loudness_lufs(side, places=places) for side in sides]
    gains_db = [0.0 if lufs is None else TARGET_LUFS - lufs for lufs in measured]
    peaks_db = [_peak_dbfs(side) + gain for side, gain in zip(sides, gains_db, strict=True)]
    too_high_db = max(max(peaks_db, default=PEAK_DBFS) - PEAK_DBFS, 0.0)
    heard = []
    for side, lufs, gain_db in zip(sides, measured, gains_db, strict=True):
        change_db = gain_db - too_high_db
        data = side.data * np.float32(10.0 ** (change_db / 20.0))
        heard.append(Matched(Samples(data, side.sample_rate), None if lufs is None else lufs + change_db))
    return heard


def faded(samples: Samples) -> Samples:
    """With a short fade at both ends, since an excerpt begins and ends in the middle of music."""
    data = samples.data.copy()
    n = min(round(FADE_S * samples.sample_rate), len(data) // 2)
    ramp = np.linspace(0.0, 1.0, n, dtype=np.float32)[:, None]
    data[:n] *= ramp
    data[len(data) - n :] *= ramp[::-1]
    return Samples(data, samples.sample_rate)


def _counted(data: Float32[np.ndarray, "frames channels"], places: Sequence[int]) -> Float64[np.ndarray, "frames n"]:
    """The channels that count, each where pyloudnorm expects it; a loudspeaker that is not there is silent."""
    if not set(places) >= _FRONT:
        return data[:, :2].astype(np.float64)
    counted = np.zeros((len(data), len(_COUNTED)))
    for column, ways in enumerate(_COUNTED):
        for place in [way for way in ways if way in places][:1]:
            counted[:, column] = data[:, places.index(place)]
    return counted


def _peak_dbfs(samples: Samples) -> float:
    return 20.0 * float(np.log10(max(np.abs(samples.data).max(initial=0.0), 1e-10)))
