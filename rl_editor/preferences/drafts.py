"""Edits of one song by several ways, all of about the same length: what pairs are made of.

A policy's likeliest edits, edits drawn from it at several temperatures, its edit with joins moved to better places (as
``rl-editor edit`` gives it) and the retargeting DP. What differs is the taste, not the length.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch

from rl_editor.baselines import retarget_dp
from rl_editor.checkpoint import Policy
from rl_editor.config import Config
from rl_editor.editing import Proposal, Request, propose
from rl_editor.edits import EditList
from rl_editor.errors import RlEditorError
from rl_editor.infer import edit_recording_variously, is_other
from rl_editor.negotiation.demands import Demands
from rl_editor.render import settle_joins
from rl_editor.state import AudioState
from rl_editor.utils import Samples

TEMPERATURES = (1.0, 1.5)
LIKELY_EDITS, DRAWN_EDITS = 3, 2  # of each policy, and at each temperature


class Draft(NamedTuple):
    """An edit and how it was made."""

    way: str
    edit: EditList


def drafts(
    recording: Samples,
    state: AudioState,
    policies: Mapping[str, Policy],
    config: Config,
    *,
    target_duration_s: float,
    style: str | None,
    seed: int,
) -> list[Draft]:
    """Different edits of about a length, none longer or shorter than it by more than a bar, joins settled.

    Args:
        recording: its samples.
        state: the recording, analysed.
        policies: by name.
        config: settings of analysis and rendering.
        target_duration_s: the length.
        style: whose way of editing, of those that the policies learned.
        seed: of the draws.
    """
    bar_s = state.grid.bar_s
    found: list[Draft] = []
    for draft in _all(recording, state, policies, config, target_duration_s, style, seed):
        settled = settle_joins(draft.edit, recording, config)
        near = abs(settled.duration_s - target_duration_s) <= bar_s
        if settled.segments and near and is_other(settled, (other.edit for other in found)):
            found.append(Draft(draft.way, settled))
    return found


def _all(
    recording: Samples,
    state: AudioState,
    policies: Mapping[str, Policy],
    config: Config,
    target_duration_s: float,
    style: str | None,
    seed: int,
) -> Iterator[Draft]:
    for name, policy in policies.items():
        likely = _variously(policy, state, target_duration_s, style, LIKELY_EDITS)
        yield from (Draft(name if not rank else f"{name}, choice {rank + 1}", edit) for rank, edit in enumerate(likely))
        for temperature in TEMPERATURES:
            generator = torch.Generator(policy.agent.device).manual_seed(seed)
            drawn = _variously(_heated(policy, temperature), state, target_duration_s, style, DRAWN_EDITS, generator)
            yield from (Draft(f"{name} at temperature {temperature:g}", edit) for edit in drawn)
        request = Request(Demands(duration_s=target_duration_s), style=style)
        yield from (Draft(f"{name}, joins moved", p.edit) for p in _proposed(recording, state, request, policy, config))
    yield Draft("retargeting DP", retarget_dp(state, config, duration_s=target_duration_s))


def _variously(
    policy: Policy,
    state: AudioState,
    target_duration_s: float,
    style: str | None,
    n_edits: int,
    generator: torch.Generator | None = None,
) -> Sequence[EditList]:
    return edit_recording_variously(
        policy,
        state,
        n_edits=n_edits,
        target_duration_s=target_duration_s,
        style=style,
        deterministic=generator is None,
        generator=generator,
    )


def _heated(policy: Policy, temperature: float) -> Policy:
    """The policy with its logits divided by a temperature, choosing by likelihood alone: drafts are to differ."""
    agent = copy.deepcopy(policy.agent)
    with torch.no_grad():
        agent.policy.sharpen(1.0 / temperature)
    return Policy(agent, policy.config, policy.styles, policy.metrics)


def _proposed(
    recording: Samples, state: AudioState, request: Request, policy: Policy, config: Config
) -> Iterator[Proposal]:
    """The edit that a person would get; none where the song does not allow it, or it would not be the policy's."""
    try:
        yield from (made for made in propose(recording, state, request, policy, config) if not made.is_fallback)
    except RlEditorError:
        return
