"""Editing with a trained policy: a recording in, an edit list out, and the edited audio.

``python -m rl_editor.infer --input raw.wav --output edited.wav --checkpoint models/best.pt``

The policy decides unit by unit on tables that are encoded once. Deterministic unless asked otherwise; a seed makes the
same draws again.

Asked for a duration, it edits the recording many times side by side, leaning more or less towards playing (a constant
on the logits, as one moves the threshold of a classifier), with and without regard to its own earlier decisions, and
last by drawing decisions around the leaning that came nearest, cautiously and as they fall: a clone hedges, and its
boldest draws are noise, while its cautious ones hardly vary and miss the duration. Of these attempts the best is taken:

    log P(decisions) - (miss / (spread * duration))^2 / 2 + nats * reward

with what the policy itself finds likely, leaning nowhere. A clone knows no reward. A policy that PPO trained chooses by
it too (``ppo.reward_nats``), with a duration or without: what gains most reward without straying from a clone is the
clone's distribution times exp(nats * reward); training comes near it, and a choice among many draws comes nearer
(best-of-n: Stiennon et al. 2020, "Learning to summarize from human feedback"). Its terms count up to what the editor's
own edits score (``Objective.enough``): who moves passages accepts joins, and an edit that scores far beyond an editor's
is not theirs. What listeners are known to prefer counts without end.

Attempts within half a unit of the duration come before all others, and the spread is ``LENGTH_SPREAD``. So which
passages play is the policy's order of preference, how many is the listener's. The duration is aimed at in whole units,
not promised.

Where nobody asks for a duration, the editor's usual one and its spread (``rl_editor.usual_length``) stand in the same
sum, the policy is not told of it, and nothing comes first. Decision by decision a policy adds up small errors of what
to keep; how much its editor keeps is known better.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
import typer
from jaxtyping import Bool, Int

from rl_editor.actions import ActionSpace, output_units
from rl_editor.command import refuse_overwriting, run
from rl_editor.config import Config
from rl_editor.edits import EditList
from rl_editor.errors import AudioFileError, CheckpointError
from rl_editor.files import write_text

if TYPE_CHECKING:
    import torch

    from rl_editor.checkpoint import Policy
    from rl_editor.environment.batched import StepInfo
    from rl_editor.state import AudioState


MOST_LEANING = 12.0  # logits; beyond it a policy is too sure to be moved
SILENT_DB, SILENT_FLOOR = -80.0, 1e-10  # re full scale: root mean square of a beat; what digital silence counts as
SIDE_BY_SIDE = 33  # leanings tried at once, between those that the round before found to be nearest
REFINEMENTS = 2
DRAWN_LEANINGS, DRAWS_PER_LEANING = 8, 16  # around the nearest leaning ..
DRAWN_REACH = 1.5  # .. so far to either side, in logits
TEMPERATURES = (0.5, 1.0)  # of the draws: near the likeliest decisions, and as the policy says
ALIKE = 0.05  # edits that differ in less of what they play are the same to a listener
FREE_DRAWS = 64  # at each temperature, without a length
LENGTH_SPREAD = 0.01  # standard deviation of a length that counts as the one asked for, relative


class Edited(NamedTuple):
    """What came of editing a file."""

    edit: EditList
    output: Path


class Limits(NamedTuple):
    """What a policy may not decide, per unit and at all."""

    keep: Bool[np.ndarray, " units"]  # these play at their place
    drop: Bool[np.ndarray, " units"]  # these do not play; ``keep`` comes first
    loops: bool = True
    moves: bool = True


def edit_recording(
    policy: "Policy",
    state: "AudioState",
    *,
    target_duration_s: float | None = None,
    style: str | None = None,
    deterministic: bool = True,
    generator: "torch.Generator | None" = None,
) -> EditList:
    """The edit list that a policy makes of a recording; arguments and errors as of ``edit_recording_variously``."""
    return edit_recording_variously(
        policy,
        state,
        target_duration_s=target_duration_s,
        style=style,
        deterministic=deterministic,
        generator=generator,
    )[0]


def edit_recording_variously(
    policy: "Policy",
    state: "AudioState",
    *,
    n_edits: int = 1,
    limits: Limits | None = None,
    target_duration_s: float | None = None,
    style: str | None = None,
    deterministic: bool = True,
    generator: "torch.Generator | None" = None,
) -> list[EditList]:
    """The edit lists that a policy makes of a recording, its first choice first; fewer where it has no other idea.

    Args:
        policy: a trained policy.
        state: the recording, analysed with the policy's settings.
        n_edits: how many that differ from each other by more than ``ALIKE`` of what they play.
        limits: what is decided already.
        target_duration_s: length to aim at; None leaves it to the editor's habit.
        style: whose way of editing, one of ``policy.styles``; the first by default.
        deterministic: take the likeliest decision instead of drawing one.
        generator: draws the decisions when they are drawn.

    Raises:
        CheckpointError: the policy does not know the style.
    """
    import torch

    number = style_number(policy, style)
    generator = generator or torch.Generator(device=policy.agent.device).manual_seed(policy.config.training.seed)
    goal = None if target_duration_s is None else _asked(target_duration_s)
    if goal is None and deterministic:
        goal = _usual(policy, number, state)
    desk = _Desk(policy, replace(state, style=number), goal, limits)
    chance = None if deterministic else _Chance(generator, (1.0,))
    if goal is not None:
        found = _to_length(desk, chance, generator)
    elif deterministic and policy.objective is not None:
        found = desk.ranked(desk.attempts((0.0,), None) + _drawn(desk, (0.0,) * FREE_DRAWS, generator))
    else:
        found = desk.attempts((0.0,), chance)
        if n_edits > 1:
            found += desk.ranked(_drawn(desk, (0.0,) * FREE_DRAWS, generator))
    return _different((desk.edit_list(attempt) for attempt in found), n_edits)


class _Goal(NamedTuple):
    """A length to aim at."""

    seconds: float
    spread_s: float  # standard deviation of what counts as this length
    asked: bool  # by a listener: the policy is told, and what is within half a unit comes first


def _asked(seconds: float) -> _Goal:
    return _Goal(seconds, LENGTH_SPREAD * seconds, asked=True)


def _usual(policy: "Policy", style: int, state: "AudioState") -> _Goal | None:
    usual = policy.agent.usual_lengths.of(style, state.grid.duration_s)
    return _Goal(usual.seconds, usual.spread * usual.seconds, asked=False) if usual else None


class _Chance(NamedTuple):
    """Draws decisions instead of taking the likeliest."""

    generator: "torch.Generator"
    temperatures: Sequence[float]  # one for all attempts, or one for each


class _Attempt(NamedTuple):
    """One edit of the recording."""

    actions: tuple[int, ...]
    duration_s: float  # of what plays
    log_prob: float  # of the decisions, the policy leaning nowhere
    miss_s: float  # how far the duration is off
    reward: float  # what the policy was trained on, as far as it counts; means nothing of a clone


def _different(edits: Iterable[EditList], n_edits: int) -> list[EditList]:
    """The first, then those that differ enough from all before."""
    chosen: list[EditList] = []
    for edit in edits:
        if all(shared(edit, other) < 1.0 - ALIKE for other in chosen):
            chosen.append(edit)
        if len(chosen) == n_edits:
            break
    return chosen


def shared(one: EditList, other: EditList) -> float:
    """Source time that both play, as a share of what the longer plays; with repeats, to half a second."""
    rate = one.source.sample_rate

    def plays(edit: EditList) -> Int[np.ndarray, " slots"]:
        slots = np.zeros(int(2 * edit.source.frames / rate) + 1, int)
        for segment in edit.segments:
            if segment.source_start_frame is not None and segment.source_end_frame is not None:
                slots[2 * segment.source_start_frame // rate : 2 * segment.source_end_frame // rate] += 1
        return slots

    a, b = plays(one), plays(other)
    return float(np.minimum(a, b).sum() / max(a.sum(), b.sum(), 1))


class _Desk:
    """One recording, encoded once, to be edited many times over."""

    def __init__(self, policy: "Policy", state: "AudioState", goal: _Goal | None, limits: Limits | None) -> None:
        import torch

        from rl_editor.checkpoint import Objective
        from rl_editor.devices import torch_threads
        from rl_editor.state import StateRepresentation

        self.policy, self.state, self.goal = policy, state, goal
        self.objective = policy.objective or Objective(nats=0.0)
        representation = StateRepresentation(policy.config, reference=self.objective.reference)
        self.batch = representation.batch([state]).to(policy.agent.device)
        with torch.no_grad(), torch_threads(policy.config.training.threads):
            self.embeddings = policy.agent.encode(self.batch)
        self.space = ActionSpace(policy.config.action_space)
        units = state.grid.units(policy.config.action_space.unit_beats)
        self.lengths_s = np.diff(units.times_s)
        self.unit_s = float(np.median(self.lengths_s))
        self.barred = None if limits is None else _barred(policy.config, limits).to(policy.agent.device)

    def attempts(
        self, leanings: Sequence[float], chance: _Chance | None, *, listening: Sequence[bool] = ()
    ) -> list[_Attempt]:
        """One edit per leaning, decided in lockstep; likeliest without ``chance``.

        Where it is ``listening`` the policy is shown neither the target nor, but for its habits, its own decisions, so
        that it goes by what it hears.
        """
        import torch

        from rl_editor.agent import sample
        from rl_editor.devices import torch_threads
        from rl_editor.environment import BatchedEditingEnv

        agent, config, device = self.policy.agent, self.policy.config, self.policy.agent.device
        goal_s = float("nan") if self.goal is None else self.goal.seconds
        told_s = goal_s if self.goal is not None and self.goal.asked else float("nan")
        env = BatchedEditingEnv(
            self.batch,
            config,
            n_envs=len(leanings),
            generator=torch.Generator(device=device).manual_seed(config.training.seed),
            device=device,
            styles=torch.tensor([self.state.style], device=device),
            style_names=self.policy.styles,
            learned_reward=self.objective.learned,
            reference=self.objective.reference,
        )
        heat = torch.tensor(chance.temperatures if chance else (1.0,), device=device)[:, None]
        lean = _lean(config, leanings, loops=goal_s > self.state.grid.duration_s).to(device)
        alone = torch.tensor(list(listening) or [False] * len(leanings), device=device)
        forgets = alone if any(listening) else None
        targets = torch.full((len(leanings),), told_s / self.state.grid.duration_s, device=device)
        log_prob = torch.zeros(len(leanings), device=device)
        n_units = int(self.batch.n_units[0])
        with torch.no_grad(), torch_threads(config.training.threads):
            observation = env.reset(torch.zeros(len(leanings), dtype=torch.long, device=device), targets, hidden=alone)
            for unit in range(n_units):
                logits = agent.logits(self.embeddings, observation, forgets=forgets)
                if self.barred is not None:
                    logits = logits.masked_fill(self.barred[unit], -torch.inf)
                leant = logits + lean
                action = leant.argmax(1) if chance is None else sample((leant / heat).log_softmax(1), chance.generator)
                log_prob += logits.log_softmax(1).gather(1, action[:, None])[:, 0]
                result = env.step(action, auto_reset=False)
                observation = result.observation
        rewards, found = self._worth(result.info), []
        for row, likely, reward in zip(env.actions.tolist(), log_prob.tolist(), rewards.tolist(), strict=True):
            actions = tuple(row[:n_units])
            duration_s = float(self.lengths_s[output_units(actions, self.space)].sum())
            miss_s = 0.0 if self.goal is None else abs(duration_s - goal_s)
            found.append(_Attempt(actions, duration_s, likely, miss_s, reward))
        return found

    def _worth(self, info: "StepInfo") -> "torch.Tensor":
        """The reward of edits, as far as it counts."""
        from rl_editor.reward.terms import BEST_SCORE, combined

        learned = None if self.objective.learned is None else info.learned
        enough = self.objective.enough[self.state.style] if self.objective.enough else BEST_SCORE
        return combined(info.terms, self.policy.config.reward, learned=learned, enough=enough)

    def ranked(self, attempts: Sequence[_Attempt]) -> list[_Attempt]:
        """The best first."""
        return _ranked(attempts, goal=self.goal, unit_s=self.unit_s, nats=self.objective.nats)

    def edit_list(self, attempt: _Attempt) -> EditList:
        """What its decisions play."""
        from rl_editor.state import EditHistory

        return EditHistory(self.state, self.policy.config, attempt.actions).edit_list()


def _barred(config: Config, limits: Limits) -> "torch.Tensor":
    """Which decisions are not open at each unit."""
    import torch

    from rl_editor.actions import CUT, FIRST_LOOP, KEEP, ActionSpace

    space = ActionSpace(config.action_space)
    barred = torch.zeros(len(limits.keep), space.n_discrete_actions, dtype=torch.bool)
    if not limits.loops:
        barred[:, FIRST_LOOP : space.extend] = True
    if not limits.moves:
        barred[:, space.first_reorder :] = True
    for units, decision in ((limits.drop, CUT), (limits.keep, KEEP)):
        chosen = torch.from_numpy(units)
        barred[chosen] = True
        barred[chosen, decision] = False
    return barred


def _to_length(desk: _Desk, chance: _Chance | None, generator: "torch.Generator") -> list[_Attempt]:
    """Many edits near the length aimed at, the best first."""
    followed, heard = _aimed(desk, chance)
    around = np.linspace(followed.leaning - DRAWN_REACH, followed.leaning + DRAWN_REACH, DRAWN_LEANINGS)
    drawn = _drawn(desk, np.repeat(around, DRAWS_PER_LEANING).tolist(), generator)
    return desk.ranked(followed.attempts + heard.attempts + drawn)


def _drawn(desk: _Desk, leanings: Sequence[float], generator: "torch.Generator") -> list[_Attempt]:
    """Edits drawn at every temperature."""
    heats = np.repeat(TEMPERATURES, len(leanings)).tolist()
    return desk.attempts([*leanings] * len(TEMPERATURES), _Chance(generator, heats))


def _ranked(attempts: Sequence[_Attempt], *, goal: _Goal | None, unit_s: float, nats: float) -> list[_Attempt]:
    """What plays at all first, then what is within half a unit of a length that was asked for, then the best."""

    def rank(attempt: _Attempt) -> tuple[bool, bool, float]:
        off = 0.0 if goal is None else attempt.miss_s / goal.spread_s
        misses = goal is not None and goal.asked and attempt.miss_s > unit_s / 2.0
        return not attempt.duration_s, misses, -(attempt.log_prob - 0.5 * off**2 + nats * attempt.reward)

    return sorted(attempts, key=rank)


class _Aimed(NamedTuple):
    """Edits at ever closer leanings, and the leaning that came nearest."""

    attempts: list[_Attempt]
    leaning: float


class _Range:
    """Leanings tried side by side, each round between the best neighbours of the last."""

    def __init__(self) -> None:
        self._low, self._high, self.aimed = -MOST_LEANING, MOST_LEANING, _Aimed([], 0.0)

    def leanings(self) -> list[float]:
        """What is to be tried next."""
        tried: list[float] = np.linspace(self._low, self._high, SIDE_BY_SIDE).tolist()
        return tried

    def narrow(self, attempts: list[_Attempt]) -> None:
        """Go on around the best of what was tried."""
        leanings = self.leanings()
        misses = [(not attempt.duration_s, attempt.miss_s) for attempt in attempts]
        best = misses.index(min(misses))
        self.aimed = _Aimed(self.aimed.attempts + attempts, leanings[best])
        self._low, self._high = leanings[max(best - 1, 0)], leanings[min(best + 1, SIDE_BY_SIDE - 1)]


def _aimed(desk: _Desk, chance: _Chance | None) -> tuple[_Aimed, _Aimed]:
    """Two searches in lockstep: with regard to the target and to earlier decisions, and listening alone."""
    ranges = (_Range(), _Range())
    listening = [False] * SIDE_BY_SIDE + [True] * SIDE_BY_SIDE
    for _ in range(REFINEMENTS):
        found = desk.attempts([lean for each in ranges for lean in each.leanings()], chance, listening=listening)
        for each, attempts in zip(ranges, (found[:SIDE_BY_SIDE], found[SIDE_BY_SIDE:]), strict=True):
            each.narrow(attempts)
    return ranges[0].aimed, ranges[1].aimed


def _lean(config: Config, leanings: Sequence[float], *, loops: bool) -> "torch.Tensor":
    """What each leaning adds to the logits: away from CUT, and towards LOOP where the output is to be longer."""
    import torch

    from rl_editor.actions import CUT, FIRST_LOOP, ActionSpace

    space = ActionSpace(config.action_space)
    direction = torch.zeros(space.n_discrete_actions)
    direction[CUT] = -1.0
    if loops:
        direction[FIRST_LOOP : space.extend] = 1.0
    return torch.tensor(leanings)[:, None] * direction


def check_audible(state: "AudioState") -> None:
    """Refuse a recording in which no beat is louder than ``SILENT_DB``: there is nothing to go by, and nothing to hear.

    Raises:
        AudioFileError: it is silent.
    """
    rms = state.features.values[:, state.features.names.index("rms")]
    loudest_db = 20 * np.log10(max(float(rms.max(initial=0.0)), SILENT_FLOOR))
    if loudest_db < SILENT_DB:
        raise AudioFileError(
            f"{state.recording.name}: silent (its loudest beat has {loudest_db:.0f} dBFS), at least {SILENT_DB:g} dBFS "
            "is needed; was the right track exported?"
        )


def style_number(policy: "Policy", style: str | None) -> int:
    """The policy's number of a style.

    Raises:
        CheckpointError: the policy does not know it.
    """
    if style is None:
        return 0
    if style not in policy.styles:
        raise CheckpointError(f"style {style!r}: the policy learned {', '.join(policy.styles) or 'no named style'}")
    return policy.styles.index(style)


def edit_file(
    policy: "Policy",
    source: str | Path,
    output: str | Path,
    *,
    target_duration_s: float | None = None,
    style: str | None = None,
    deterministic: bool = True,
    seed: int | None = None,
    config: Config | None = None,
) -> Edited:
    """Edit an audio file and write the result at the file's own rate, channels and depth.

    Args:
        policy: a trained policy.
        source: the recording.
        output: where the edit goes; the extension chooses the format.
        target_duration_s: as in ``edit_recording``.
        style: as in ``edit_recording``.
        deterministic: as in ``edit_recording``.
        seed: of the draws, when decisions are drawn.
        config: settings of the cache, beat overrides and rendering; the policy's own by default.

    Raises:
        AudioFileError: the recording cannot be read or is silent, or the result cannot be written.
    """
    import torch

    from rl_editor.render import held_in_memory, render_file, settle_joins
    from rl_editor.state import AudioState

    settings = analysis_settings(policy, config)
    generator = None
    if seed is not None:
        generator = torch.Generator(device=policy.agent.device).manual_seed(seed)
    recording = held_in_memory(Path(source))
    state = AudioState.from_file(source, settings, recording=recording)
    check_audible(state)
    edit = edit_recording(
        policy,
        state,
        target_duration_s=target_duration_s,
        style=style,
        deterministic=deterministic,
        generator=generator,
    )
    if not edit.segments:
        raise CheckpointError(
            f"{Path(source).name}: the policy keeps nothing of it; ask for a target duration, or train it longer"
        )
    settled = settle_joins(edit, recording or Path(source), settings)
    render_file(settled, Path(source), Path(output), settings, recording=recording)
    return Edited(settled, Path(output))


def analysis_settings(policy: "Policy", config: Config | None) -> Config:
    """The settings that a recording must be analysed with for this policy: what it learned on, kept where asked."""
    if config is None:
        return policy.config
    learned = policy.config
    return replace(config, audio=learned.audio, features=learned.features, action_space=learned.action_space)


def main(
    input: Annotated[Path, typer.Option(help="Recording to edit.")],
    output: Annotated[Path, typer.Option(help="Edited recording; the extension chooses the format.")],
    checkpoint: Annotated[Path, typer.Option(help="Trained policy.")],
    target_duration: Annotated[
        float | None, typer.Option(help="Length to aim at, in seconds.", min=0.1, max=86_400.0)
    ] = None,
    style: Annotated[str | None, typer.Option(help="Whose way of editing; default: the first learned.")] = None,
    edit_list_out: Annotated[Path | None, typer.Option(help="Write the edit list (JSON) here as well.")] = None,
    stochastic: Annotated[bool, typer.Option("--stochastic", help="Draw decisions instead of the likeliest.")] = False,
    seed: Annotated[int | None, typer.Option(help="Of the draws.", min=0, max=(1 << 63) - 1)] = None,
) -> None:
    """Edit a recording with a trained policy."""
    from rl_editor.checkpoint import load_policy

    for written in (output, edit_list_out):
        refuse_overwriting(written, input)
    policy = load_policy(checkpoint)
    edited = edit_file(
        policy,
        input,
        output,
        target_duration_s=target_duration,
        style=style,
        deterministic=not stochastic,
        seed=seed,
    )
    if edit_list_out is not None:
        write_text(edit_list_out, edited.edit.to_json())
    typer.echo(f"{output}: {edited.edit.duration_s:.1f} s in {len(edited.edit.segments)} segments", err=True)


if __name__ == "__main__":
    run(main)
