"""The reward's terms as functions of joins and lengths; all in torch, for one edit or many.

Conventions: E edits, J joins, K columns of a boundary (``state.tables``). A join leaves the source at boundary o and
comes back at boundary i; playing straight on is o = i, and costs 0. Each join has four *faults* in [0, 1]; x is how far
it is from ideal, in steps that count as natural:

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

    term = exp(-sum of faults / allowance),  allowance = bars of output / FAULT_BARS, at least 1

so that a good join never dilutes a bad one. A jump's delta is the offset of the cut from the nearest beat. The loop
term is exp(-(replayed share - limit)+ / LOOP_EXCESS), the duration term exp(-|relative error| / tolerance).

While decisions are still open the terms estimate: output is projected to what is asked (the target, or the longest
length allowed) as far as the rest of the source can give it. With nothing left to decide the estimate is the score.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rl_editor.config import RewardConfig
from rl_editor.state.tables import (
    BAR,
    BAR_PHASE,
    LEVEL_AFTER,
    LEVEL_BEFORE,
    LOG2_INTERVAL,
    N_POINT_SCALARS,
    STRENGTH,
    ReferenceStatistics,
)

BEST_SCORE = 1.0  # of any term, and of their mean
TERM_NAMES = ("tempo", "energy", "phrase", "transition", "loop", "duration")
FAULT_NAMES = ("tempo", "energy", "phrase", "transition")
N_FAULTS = len(FAULT_NAMES) + 2  # and the counts of joins and of those that lead back
SUMMARY_NAMES = (
    "tempo_faults",  # sums of faults over the allowance
    "energy_faults",
    "phrase_faults",
    "transition_faults",
    "joins",  # over the allowance
    "backward",  # joins that lead back in the source, over the allowance
    "output_share",  # of the source's length
    "replayed",  # share of the output that is heard again
    "energy_rank",  # mean over the output
    "duration_error",  # relative to the target, 0 without one
    "has_target",
    "opening",  # 1 where the output begins as the source does
    "ending",  # and where it ends as the source does
)
SUMMARY_DIM = len(SUMMARY_NAMES)

PULSE_S = 0.03  # a pulse this late is a fault of 1/2; 2.5 % of a beat are just heard (Friberg and Sundberg 1995)
GAIN = 1.25  # above 1, so that a gain step that hides a join's own step still costs
TEMPO_OCTAVES = 0.06  # 4 % in tempo
RENDER_S = 0.025  # a join may move this far, both sides alike, without being off the beat
PHASE, OFF_BAR, PHRASE = 0.55, 0.15, 0.3  # shares of the phrase fault
FAULT_BARS = 8.0  # one full fault in so many bars takes a term to 1/e
LOOP_EXCESS = 0.1  # replayed share beyond the limit that takes the loop term to 1/e
SHORTEST_S, SHORTEST_SHARE = 30.0, 0.2  # without a target: at least this long, or this share of a short source
_TINY = 1e-9


class Offsets(NamedTuple):
    """What an edit list knows of its joins beyond boundaries; None where cuts are on the beat and gains even."""

    out_s: Float[Tensor, "edits joins"]  # cut minus nearest beat, where the source is left
    into_s: Float[Tensor, "edits joins"]
    gain_step_db: Float[Tensor, "edits joins"]
    log2_speed_step: Float[Tensor, "edits joins"]


class Totals(NamedTuple):
    """What an edit adds up to."""

    faults: Float[Tensor, "edits faults"]  # sums over joins of FAULT_NAMES, and the counts of N_FAULTS
    output_s: Float[Tensor, " edits"]
    replayed_s: Float[Tensor, " edits"]  # output beyond the first time
    energy_s: Float[Tensor, " edits"]  # energy rank integrated over the output
    remaining_s: Float[Tensor, " edits"]  # source not yet decided
    opening: Float[Tensor, " edits"]  # 1 where the output begins as the source does
    ending: Float[Tensor, " edits"]  # and ends so


class Brief(NamedTuple):
    """What is asked of an edit."""

    target_s: Float[Tensor, " edits"]  # NaN where no length is asked
    loop_limit: Float[Tensor, " edits"]
    shortest_s: Float[Tensor, " edits"]  # limits where no length is asked
    longest_s: Float[Tensor, " edits"]
    source_s: Float[Tensor, " edits"]
    bar_s: Float[Tensor, " edits"]


class Estimate(NamedTuple):
    """Terms of edits, finished or not."""

    terms: Float[Tensor, "edits terms"]  # TERM_NAMES
    summary: Float[Tensor, "edits summary"]  # SUMMARY_NAMES


def brief(
    config: RewardConfig,
    *,
    target_s: Float[Tensor, " edits"],
    loop_limit: Float[Tensor, " edits"],
    source_s: Float[Tensor, " edits"],
    bar_s: Float[Tensor, " edits"],
    reference: ReferenceStatistics | None = None,
) -> Brief:
    """What is asked: limits of length come from finished music where there is some."""
    shortest = reference.shortest_s if reference else SHORTEST_S
    longest = config.target_max_duration_s
    if reference:
        longest = min(longest, max(reference.longest_s, shortest))
    return Brief(
        target_s,
        loop_limit,
        (SHORTEST_SHARE * source_s).clamp(max=shortest),
        torch.full_like(source_s, longest),
        source_s,
        bar_s,
    )


def join_faults(
    out: Float[Tensor, "edits joins columns"],
    into: Float[Tensor, "edits joins columns"],
    *,
    moved: Bool[Tensor, "edits joins"],
    level_scale_db: Float[Tensor, "edits 1"],
    beats_per_bar: Float[Tensor, "edits 1"],
    phrase_bars: int,
    offsets: Offsets | None = None,
) -> Float[Tensor, "edits joins faults"]:
    """The four faults of each join, and 1 for the count and if it leads back.

    Zeros where the source simply goes on; where it does so louder or at another speed that is a join as well, with a
    fault of energy or of tempo. A step of pitch alone is none.
    """
    tempo = ((into[..., LOG2_INTERVAL] - out[..., LOG2_INTERVAL]) / TEMPO_OCTAVES).square()
    step = into[..., LEVEL_AFTER] - out[..., LEVEL_BEFORE]
    excess = into[..., LEVEL_AFTER] - out[..., LEVEL_AFTER]
    energy = torch.minimum(step.abs(), excess.abs())
    off_beat, gained, respeeded = torch.zeros_like(tempo), torch.zeros_like(moved), torch.zeros_like(moved)
    if offsets is not None:
        tempo = _tempo(out, into, offsets)
        energy, gained = _energy(step, excess, offsets.gain_step_db), offsets.gain_step_db != 0
        respeeded = offsets.log2_speed_step != 0
        off_beat = _off_beat(out, offsets)
    distance = (into[..., N_POINT_SCALARS:] - out[..., N_POINT_SCALARS:]).square().sum(-1)
    faults = [
        _saturated(tempo) * (moved | respeeded),
        _saturated((energy / level_scale_db).square()) * (moved | gained),
        (_phrase(out, into, beats_per_bar, phrase_bars) + off_beat).clamp(max=1.0) * moved,
        _saturated(distance) * moved,
        (moved | gained | respeeded).to(tempo.dtype),
        (_place(into, beats_per_bar) < _place(out, beats_per_bar)).to(tempo.dtype) * moved,
    ]
    return torch.stack(faults, dim=-1)


def estimate(totals: Totals, asked: Brief, *, tolerance: float) -> Estimate:
    """Terms and summary of edits; exact where nothing remains."""
    aim = torch.where(asked.target_s.isnan(), asked.longest_s, asked.target_s).to(totals.output_s.dtype)
    missing = (aim - totals.output_s).clamp(min=0.0)
    projected = totals.output_s + torch.minimum(missing, totals.remaining_s)
    allowance = (projected / asked.bar_s / FAULT_BARS).clamp(min=1.0)
    faults = totals.faults / allowance[:, None]
    replayed = totals.replayed_s / projected.clamp(min=_TINY)
    error = _duration_error(projected, asked)
    loop = torch.exp(-(replayed - asked.loop_limit).clamp(min=0.0) / LOOP_EXCESS)
    duration = torch.exp(-error / tolerance)
    plays = (totals.output_s > 0) | (totals.remaining_s > 0)
    joined = torch.exp(-faults[:, : len(FAULT_NAMES)])
    terms = torch.cat([joined, loop[:, None], duration[:, None]], dim=1) * plays[:, None]
    return Estimate(terms, _summary(totals, asked, faults, projected, replayed))


def combined(
    terms: Float[Tensor, "edits terms"],
    config: RewardConfig,
    *,
    human: Float[Tensor, " edits"] | None = None,
    learned: Float[Tensor, " edits"] | None = None,
    enough: float = BEST_SCORE,
) -> Float[Tensor, " edits"]:
    """Weighted mean of the terms (no more of it than ``enough``) and of whatever else is given; 0 for an empty edit."""
    weights = [getattr(config, f"{name}_weight") for name in TERM_NAMES]
    empty = (terms == 0).all(dim=1)
    total = torch.stack([weight * term for weight, term in zip(weights, terms.unbind(1), strict=True)]).sum(dim=0)
    weight = sum(weights)
    total = total.clamp(max=enough * weight) if enough < BEST_SCORE else total
    for extra, share in ((human, config.human_rating_weight), (learned, config.learned_weight)):
        if extra is not None:
            total, weight = total + share * extra, weight + share
    return torch.where(empty, torch.zeros_like(total), total / max(weight, _TINY))


def _place(points: Tensor, beats_per_bar: Tensor) -> Tensor:
    """Where a boundary lies, in beats."""
    return points[..., BAR] * beats_per_bar + points[..., BAR_PHASE]


def _saturated(squared: Tensor) -> Tensor:
    return squared / (1.0 + squared)


def _tempo(out: Tensor, into: Tensor, offsets: Offsets) -> Tensor:
    interval = into[..., LOG2_INTERVAL] - out[..., LOG2_INTERVAL] - offsets.log2_speed_step
    pulse = (offsets.into_s - offsets.out_s) / PULSE_S
    return pulse.square() + (interval / TEMPO_OCTAVES).square()


def _energy(step: Tensor, excess: Tensor, gain_step_db: Tensor) -> Tensor:
    smooth = torch.minimum((step + gain_step_db).abs(), (excess + gain_step_db).abs())
    return smooth + GAIN * gain_step_db.abs()


def _off_beat(out: Tensor, offsets: Offsets) -> Tensor:
    off_s = torch.maximum(offsets.out_s.abs(), offsets.into_s.abs()) - RENDER_S
    return off_s.clamp(min=0.0) / (torch.exp2(out[..., LOG2_INTERVAL]) / 2.0)


def _phrase(out: Tensor, into: Tensor, beats_per_bar: Tensor, phrase_bars: int) -> Tensor:
    shift = (into[..., BAR_PHASE] - out[..., BAR_PHASE]) % beats_per_bar
    off_bar = (into[..., BAR_PHASE] != 0) | (out[..., BAR_PHASE] != 0)
    jump = (into[..., BAR] - out[..., BAR]) % phrase_bars
    worst = max(phrase_bars // 2, 1)
    broken = torch.minimum(jump, phrase_bars - jump) / worst
    at_section = torch.minimum(into[..., STRENGTH], out[..., STRENGTH])
    return PHASE * (shift != 0) + OFF_BAR * off_bar + PHRASE * broken * (1.0 - at_section)


def _duration_error(projected: Tensor, asked: Brief) -> Tensor:
    """Relative to the target; without one, beyond the limits of length."""
    to_target = (projected / asked.target_s - 1.0).abs()
    over = (projected / asked.longest_s - 1.0).clamp(min=0.0)
    under = (1.0 - projected / asked.shortest_s).clamp(min=0.0)
    return torch.where(asked.target_s.isnan(), over + under, to_target)


def _summary(totals: Totals, asked: Brief, faults: Tensor, projected: Tensor, replayed: Tensor) -> Tensor:
    has_target = ~asked.target_s.isnan()
    error = torch.where(has_target, projected / asked.target_s - 1.0, torch.zeros_like(projected))
    energy = totals.energy_s / totals.output_s.clamp(min=_TINY)
    rest = [projected / asked.source_s, replayed, energy, error, has_target, totals.opening, totals.ending]
    return torch.cat([faults, torch.stack([part.to(faults.dtype) for part in rest], dim=1)], dim=1).float()
