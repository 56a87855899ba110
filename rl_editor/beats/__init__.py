"""Beat tracking: where beats and downbeats lie, how sure that is, and corrections by hand.

Conventions: times in seconds from the start of the file; a beat time is the perceived onset, so what the frames'
centring adds (``ONSET_LATENCY_S``) is removed. Periods and lags are in frames unless named ``_s``. A grid tiles the
file: whole beats between the first and the last sound, a lead-in before and a tail after, marked partial.

Method: onset envelopes of four ranges of frequency; tempo by autocorrelation at a period and its multiples, and a
choice between its metrical relatives; Ellis' dynamic programming for the beats, smoothed along the track; the attacks'
exact place from energy at a finer scale; metre and downbeat by where low onsets and changes of harmony accumulate.

Sources: Ellis 2007, "Beat tracking by dynamic programming" (equations 4 to 7, as in librosa's ``beat_track``); Moelants
2002 for the prior's centre; Davies et al. 2009 for the tolerance of 70 ms that the tests use.
"""

import numpy as np
from jaxtyping import Float32

from rl_editor.beats.bars import find_metre
from rl_editor.beats.grids import apply_override, assemble_grid, regular_grid
from rl_editor.beats.pulse import (
    MIN_BEATS,
    ONSET_LATENCY_S,
    attack_offsets_s,
    beat_positions,
    confidence_of,
    extended_times,
    smoothed_times,
)
from rl_editor.beats.tempo import (
    BEAT_BANDS,
    TEMPO_BANDS,
    TEMPO_RANGE_BPM,
    find_period,
    sounding_span_s,
    weighted_envelope,
)
from rl_editor.config import BeatsConfig, Config
from rl_editor.features import FrameFeatures, extract_frames
from rl_editor.grid import BeatGrid

__all__ = ["ALGORITHM_VERSION", "apply_override", "regular_grid", "track_beats"]

ALGORITHM_VERSION = 1  # part of cache keys: raise it when a number changes


def track_beats(
    mono: Float32[np.ndarray, " samples"], config: Config, *, track_id: str = "", frames: FrameFeatures | None = None
) -> BeatGrid:
    """The beat grid of a signal at ``config.audio.sample_rate``, corrected by ``config.beats.overrides[track_id]``.

    ``frames`` saves computing the frame features where they are known. Without a beat to be found the grid is
    regular at ``config.beats.start_bpm`` and its confidence 0.
    """
    frames = extract_frames(mono, config) if frames is None else frames
    grid = _tracked(mono, frames, config.beats) or regular_grid(frames.duration_s, config.beats)
    return apply_override(grid, config.beats.override_for(track_id))


def _tracked(mono: Float32[np.ndarray, " samples"], frames: FrameFeatures, config: BeatsConfig) -> BeatGrid | None:
    """None where there is no beat."""
    envelope = weighted_envelope(frames, BEAT_BANDS)
    sound = sounding_span_s(frames)
    if sound is None or not envelope.any() or frames.duration_s < MIN_BEATS * 60.0 / TEMPO_RANGE_BPM[1]:
        return None
    period = find_period(frames, weighted_envelope(frames, TEMPO_BANDS), config)
    found = beat_positions(envelope, period)
    if len(found) < MIN_BEATS:
        return None
    strength = np.interp(found, np.arange(len(envelope)), envelope)
    smooth = smoothed_times(found / frames.frame_rate_hz, strength) - ONSET_LATENCY_S
    heard = smooth + attack_offsets_s(mono, smooth, sample_rate=frames.sample_rate) + config.latency_s
    times_s = extended_times(heard, sound, frames.duration_s)
    if len(times_s) < MIN_BEATS:
        return None
    metre = find_metre(frames, times_s, config)
    return assemble_grid(times_s, frames.duration_s, metre, confidence=confidence_of(frames, envelope, times_s))
