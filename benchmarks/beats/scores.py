"""How well a tracker's beats match the truth.

F-measure at 70 ms, continuity at the annotated level (CMLt) and at any allowed level (AMLt) are mir_eval's, with beats
before 5 s left out as it does; the bias is the median of estimate less truth over beats within 70 ms.
"""

from typing import NamedTuple

import mir_eval
import numpy as np
from jaxtyping import Float

TOLERANCE_S = 0.07

Times = Float[np.ndarray, " times"]


class Score(NamedTuple):
    """One tracker on one recording."""

    f_measure: float
    cmlt: float
    amlt: float
    bias_ms: float  # NaN where no beat is near
    downbeat_f_measure: float  # NaN where the tracker gives none


def scored(beats_s: Times, downbeats_s: Times | None, true_beats_s: Times, true_downbeats_s: Times) -> Score:
    """All scores; times in seconds, in order."""
    truth, found = (mir_eval.beat.trim_beats(np.asarray(t, float)) for t in (true_beats_s, beats_s))
    _, cmlt, _, amlt = mir_eval.beat.continuity(truth, found)
    downbeat = float("nan")
    if downbeats_s is not None and len(true_downbeats_s):
        bars = (mir_eval.beat.trim_beats(np.asarray(t, float)) for t in (true_downbeats_s, downbeats_s))
        downbeat = mir_eval.beat.f_measure(*bars, f_measure_threshold=TOLERANCE_S)
    return Score(
        mir_eval.beat.f_measure(truth, found, f_measure_threshold=TOLERANCE_S),
        cmlt,
        amlt,
        bias_ms(found, truth),
        downbeat,
    )


def bias_ms(beats_s: Times, true_beats_s: Times) -> float:
    """Median of estimate less truth, over estimates within the tolerance."""
    if len(beats_s) == 0 or len(true_beats_s) == 0:
        return float("nan")
    nearest = true_beats_s[np.abs(beats_s[:, None] - true_beats_s).argmin(axis=1)]
    late = (beats_s - nearest)[np.abs(beats_s - nearest) < TOLERANCE_S]
    return 1e3 * float(np.median(late)) if len(late) else float("nan")
