"""Loudness of excerpts, made equal so that the louder one does not win for being louder.

Integrated loudness is that of ITU-R BS.1770-4 (pyloudnorm), of what is heard: a page plays two channels, and of three,
five, seven or eight the first two alone, without the voices in the centre. So surround is mixed down before, as ITU-R
BS.775-3 (table 2) says, where front left and right are full, centre and surrounds by ``_HALF_POWER``, the bass not at
all. Two sides are brought to ``TARGET_LUFS``, both lower by the same amount where one would pass ``PEAK_DBFS``.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rl_editor.errors import ConfigError
from rl_editor.utils import Samples

TARGET_LUFS = -20.0
PEAK_DBFS = -1.0
QUIETEST_LUFS = -70.0  # the absolute gate: nothing below it counts
BLOCK_S = 0.4  # gating block; shorter audio has no loudness
FADE_S = 0.02  # at the ends of an excerpt
_HALF_POWER = float(np.sqrt(0.5))
_LEFT: Mapping[int, float] = {2: 1.0, 12: 1.0, 4: _HALF_POWER, 9: _HALF_POWER, 14: _HALF_POWER, 8: 0.5}
_RIGHT: Mapping[int, float] = {3: 1.0, 13: 1.0, 4: _HALF_POWER, 10: _HALF_POWER, 15: _HALF_POWER, 8: 0.5}
"""How much of each place, as ``speakers`` numbers them, is heard on the left and on the right."""


class Matched(NamedTuple):
    """Audio as it is heard; ``loudness_lufs`` None where it cannot be measured."""

    samples: Samples
    loudness_lufs: float | None


def mixed_down(samples: Samples, places: Sequence[int]) -> Samples:
    """Surround as two loudspeakers play it; mono and stereo as they are.

    Where nobody says which channel is for which loudspeaker, the first two are left and right, and all that is heard.
    """
    if samples.channels <= 2:
        return samples
    sides = [[side.get(place, 0.0) for place in places] for side in (_LEFT, _RIGHT)]
    weights = np.array(sides, np.float32).T if places else np.eye(samples.channels, 2, dtype=np.float32)
    return Samples(samples.data @ weights, samples.sample_rate)


def loudness_lufs(samples: Samples) -> float | None:
    """Integrated loudness of mono or stereo; None of what is too short or silent.

    Raises:
        ConfigError: pyloudnorm is not installed.
    """
    try:
        from pyloudnorm import Meter
    except ImportError:
        raise ConfigError("pyloudnorm is not installed; pip install 'rl-editor[listen]'") from None
    if samples.frames < BLOCK_S * samples.sample_rate + 1:
        return None
    found = float(Meter(samples.sample_rate).integrated_loudness(samples.data.astype(np.float64)))
    return found if found > QUIETEST_LUFS else None


def matched(*sides: Samples) -> list[Matched]:
    """All sides equally loud; a side without loudness stays as it is."""
    measured = [loudness_lufs(side) for side in sides]
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


def _peak_dbfs(samples: Samples) -> float:
    return 20.0 * float(np.log10(max(np.abs(samples.data).max(initial=0.0), 1e-10)))
