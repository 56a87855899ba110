"""The reward's terms as functions of joins and lengths; all in torch, for one edit or many.

Conventions: E edits. A join has four faults in [0, 1] (``faults``), and each of them makes a term:

    term = exp(-sum of faults / allowance),  allowance = bars of output / FAULT_BARS, at least 1

so that a good join never dilutes a bad one. The loop term is exp(-(replayed share - limit)+ / LOOP_EXCESS), the
duration term exp(-|relative error| / tolerance).

While decisions are still open the terms estimate: output is projected to what is asked (the target, or the longest
length allowed) as far as the rest of the source can give it. With nothing left to decide the estimate is the score.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from rl_editor.config import RewardConfig
from rl_editor.reward.faults import FAULT_NAMES, Faults
from rl_editor.state.tables import ReferenceStatistics

BEST_SCORE = 1.0  # of any term, and of their mean
TERM_NAMES = ("tempo", "energy", "phrase", "transition", "loop", "duration")
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

FAULT_BARS = 8.0  # one full fault in so many bars takes a term to 1/e
LOOP_EXCESS = 0.1  # replayed share beyond the limit that takes the loop term to 1/e
SHORTEST_S, SHORTEST_SHARE = 30.0, 0.2  # without a target: at least this long, or this share of a short source
_TINY = 1e-9


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


def stacked(faults: Faults) -> Float[Tensor, "*edits joins faults"]:
    """The ``N_FAULTS`` columns of each join: its four faults, 1 where it is one at all, and 1 where it leads back."""
    columns: Tensor = torch.stack([fault.to(faults.tempo.dtype) for fault in faults], dim=-1)
    return columns


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
