"""What is wrong with a join, by the boundaries that it leaves and comes back at; one formula for NumPy and for torch.

Conventions: a boundary is a row of columns (``state.tables``); J joins lie along the axis before those. A join leaves
the source at boundary o and comes back at boundary i; playing straight on is o = i, and costs 0. Each join has four
*faults* in [0, 1]; x is how far it is from ideal, in steps that count as natural:

    fault = x^2 / (1 + x^2)
    tempo       x^2 = (|delta_i - delta_o| / PULSE_S)^2 + (log2(interval_i / interval_o) / TEMPO_OCTAVES)^2
    energy      x = (min(|after_i - before_o + dg|, |after_i - after_o + dg|) + GAIN |dg|) / natural level step
                a step is fine if it is small, or if the song would have made it there; dg is the gain's step in dB,
                charged so that gain never pays, since |a + dg| + |dg| >= |a|
    transition  x = |what starts at i - what starts at o| / natural distance
    phrase      PHASE  the bar goes on with another beat than is due
              + OFF_BAR  the join is not at bar lines
              + PHRASE  jumps by no whole number of phrases, as a share of the worst jump, less where both sides are
                        boundaries of sections; so whole phrases stay whole, and their count goes on
              + how far it is off the beats beyond RENDER_S, in half beats; at most 1 together

delta is how far a cut lies off the nearest beat.

Training judges thousands of edits at once, as tensors on a GPU. ``baselines.retarget_dp`` judges one recording, as
arrays, in less time than the import of torch takes; so nothing here imports torch.
"""

from typing import Any, NamedTuple

from array_api_compat import array_namespace
from jaxtyping import Bool, Float, Shaped

from rl_editor.state.tables import BAR, BAR_PHASE, LEVEL_AFTER, LEVEL_BEFORE, LOG2_INTERVAL, N_POINT_SCALARS, STRENGTH

FAULT_NAMES = ("tempo", "energy", "phrase", "transition")
N_FAULTS = len(FAULT_NAMES) + 2  # and the counts of joins and of those that lead back

PULSE_S = 0.03  # a pulse this late is a fault of 1/2; 2.5 % of a beat are just heard (Friberg and Sundberg 1995)
GAIN = 1.25  # above 1, so that a gain step that hides a join's own step still costs
TEMPO_OCTAVES = 0.06  # 4 % in tempo
RENDER_S = 0.025  # a join may move this far, both sides alike, without being off the beat
PHASE, OFF_BAR, PHRASE = 0.55, 0.15, 0.3  # shares of the phrase fault

_Joins = Float[Any, "*edits joins"]


class Offsets(NamedTuple):
    """What an edit list knows of its joins beyond boundaries; None where cuts are on the beat and gains even."""

    out_s: _Joins  # cut minus nearest beat, where the source is left
    into_s: _Joins
    gain_step_db: _Joins
    log2_speed_step: _Joins


class Faults(NamedTuple):
    """The faults of joins in [0, 1] (``FAULT_NAMES``), and which joins count and which of them lead back."""

    tempo: _Joins
    energy: _Joins
    phrase: _Joins
    transition: _Joins
    counts: Bool[Any, "*edits joins"]
    leads_back: Bool[Any, "*edits joins"]


def faults_of(
    out: Float[Any, "*edits joins columns"],
    into: Float[Any, "*edits joins columns"],
    *,
    moved: Bool[Any, "*edits joins"],
    level_scale_db: Shaped[Any, "..."],
    beats_per_bar: Shaped[Any, "..."],
    phrase_bars: int,
    offsets: Offsets | None = None,
) -> Faults:
    """The faults of each join; ``level_scale_db`` and ``beats_per_bar``, of its track, broadcast with the joins.

    Zeros where the source simply goes on; where it does so louder or at another speed that is a join as well, with a
    fault of energy or of tempo. A step of pitch alone is none.
    """
    xp = array_namespace(out)
    interval = into[..., LOG2_INTERVAL] - out[..., LOG2_INTERVAL]
    step = into[..., LEVEL_AFTER] - out[..., LEVEL_BEFORE]
    excess = into[..., LEVEL_AFTER] - out[..., LEVEL_AFTER]
    phrase = _phrase(out, into, beats_per_bar, phrase_bars, xp)
    if offsets is None:
        tempo, energy = (interval / TEMPO_OCTAVES) ** 2, xp.minimum(abs(step), abs(excess))
        gained = respeeded = joined = moved
    else:
        tempo = ((offsets.into_s - offsets.out_s) / PULSE_S) ** 2
        tempo = tempo + ((interval - offsets.log2_speed_step) / TEMPO_OCTAVES) ** 2
        energy = xp.minimum(abs(step + offsets.gain_step_db), abs(excess + offsets.gain_step_db))
        energy = energy + GAIN * abs(offsets.gain_step_db)
        phrase = phrase + _off_beat(out, offsets, xp)
        gained, respeeded = moved | (offsets.gain_step_db != 0), moved | (offsets.log2_speed_step != 0)
        joined = gained | respeeded
    distance = ((into[..., N_POINT_SCALARS:] - out[..., N_POINT_SCALARS:]) ** 2).sum(-1)
    return Faults(
        _saturated(tempo) * respeeded,
        _saturated((energy / level_scale_db) ** 2) * gained,
        phrase.clip(max=1.0) * moved,
        _saturated(distance) * moved,
        joined,
        (_place(into, beats_per_bar) < _place(out, beats_per_bar)) & moved,
    )


def _place(points: Any, beats_per_bar: Any) -> Any:
    """Where a boundary lies, in beats."""
    return points[..., BAR] * beats_per_bar + points[..., BAR_PHASE]


def _saturated(squared: Any) -> Any:
    return squared / (1.0 + squared)


def _off_beat(out: Any, offsets: Offsets, xp: Any) -> Any:
    off_s = xp.maximum(abs(offsets.out_s), abs(offsets.into_s)) - RENDER_S
    return off_s.clip(min=0.0) / (xp.exp2(out[..., LOG2_INTERVAL]) / 2.0)


def _phrase(out: Any, into: Any, beats_per_bar: Any, phrase_bars: int, xp: Any) -> Any:
    shift = (into[..., BAR_PHASE] - out[..., BAR_PHASE]) % beats_per_bar
    off_bar = (into[..., BAR_PHASE] != 0) | (out[..., BAR_PHASE] != 0)
    jump = (into[..., BAR] - out[..., BAR]) % phrase_bars
    worst = max(phrase_bars // 2, 1)
    broken = xp.minimum(jump, phrase_bars - jump) / worst
    at_section = xp.minimum(into[..., STRENGTH], out[..., STRENGTH])
    return PHASE * (shift != 0) + OFF_BAR * off_bar + PHRASE * broken * (1.0 - at_section)
