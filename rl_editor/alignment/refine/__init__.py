"""From frames to samples: where each run plays, and what mastering did to it.

lags         runs in samples, the lag of each by whitened correlation
mastering    the edit predicted from the raw by one short filter, and lags settled against that

Conventions: positions are samples at the analysis rate; a run with ``lag`` plays sample t + lag of its view at edit
sample t (lag may be a fraction: a native rate may be finer).
"""

from rl_editor.alignment.refine.lags import (
    HEARD_SCORE,
    PROBES_PER_RUN,
    SEARCH_SAMPLES,
    SILENT_SHARE,
    Pair,
    Placed,
    Placement,
    at_peaks,
    at_speed,
    cheapest_path,
    joined,
    place,
    refined,
    spread,
    stretches,
    unheard,
    without_hops,
)
from rl_editor.alignment.refine.mastering import Mastering, learn_mastering, power_gain, settled, settled_piece

__all__ = [
    "HEARD_SCORE",
    "PROBES_PER_RUN",
    "SEARCH_SAMPLES",
    "SILENT_SHARE",
    "Mastering",
    "Pair",
    "Placed",
    "Placement",
    "at_peaks",
    "at_speed",
    "cheapest_path",
    "joined",
    "learn_mastering",
    "place",
    "power_gain",
    "refined",
    "settled",
    "settled_piece",
    "spread",
    "stretches",
    "unheard",
    "without_hops",
]
