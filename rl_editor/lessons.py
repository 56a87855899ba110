"""Songs to edit as tensors, demonstrated or not: what behavioural cloning learns from and what PPO starts from.

Shapes: T songs (one per demonstration), U units, V = 2 variants of every demonstration: without a target duration (0)
and with the edit's own as target (1). Observations come from the batched environment. It replays the demonstrated
decisions, or lets a student take some of them itself: a learner that has only seen the editor's own path copies the
decision before and drifts off at its first error, so it must also learn what the editor would do where the learner
itself ends up (Ross, Gordon & Bagnell 2011, "A reduction of imitation learning and structured prediction to no-regret
online learning", DAgger). The editor's decision on a unit is known wherever the path has been; where it continues a
region that the student did not open, ``Songs.late`` stands in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rl_editor.actions import KEEP, ActionSpace, ActionType, ReorderAction
from rl_editor.config import Config
from rl_editor.demonstrations import Demonstration
from rl_editor.environment import BatchedEditingEnv
from rl_editor.errors import ConfigError, DatasetError
from rl_editor.labels import EditLabels
from rl_editor.reward import LearnedReward
from rl_editor.reward.terms import BEST_SCORE
from rl_editor.state import AudioState, Observation, ReferenceStatistics, StateRepresentation, TrackBatch

KINDS = tuple(ActionType)
N_VARIANTS = 2
_SEEDS_PER_RUN = 1_000_003  # a prime above any number of epochs: epochs of neighbouring seeds do not share draws
_GENERATOR_SEEDS = 2**63  # that torch takes


@dataclass(frozen=True, eq=False)
class Songs:
    """T songs, as the environment reads them.

    Attributes:
        batch: their tables.
        styles: names of the editors.
        style: number of each one's editor.
        target_ratio: length of the edit over the length of the song.
        actions: the editor's decisions, KEEP where there are none.
        late: what stands in for EXTEND where no region is open: KEEP in a loop, the same target in a move.
        weight: confidence of each label times the coverage of its demonstration; 0 where there is none.
        reference: statistics of finished music that the reward measures against.
    """

    batch: TrackBatch
    styles: tuple[str, ...]
    style: Int[Tensor, " songs"]
    target_ratio: Float[Tensor, " songs"]
    actions: Int[Tensor, "songs units"]
    late: Int[Tensor, "songs units"]
    weight: Float[Tensor, "songs units"]
    reference: ReferenceStatistics | None = None

    def __len__(self) -> int:
        return self.batch.n_tracks

    def environment(
        self,
        config: Config,
        *,
        n_envs: int,
        generator: torch.Generator,
        target_dropout: float = 0.0,
        learned_reward: LearnedReward | None = None,
    ) -> BatchedEditingEnv:
        """Environments over these songs, asking for the length of their edits unless told otherwise."""
        return BatchedEditingEnv(
            self.batch,
            config,
            n_envs=n_envs,
            generator=generator,
            styles=self.style,
            style_names=self.styles,
            target_ratios=self.target_ratio,
            target_dropout=target_dropout,
            learned_reward=learned_reward,
            reference=self.reference,
        )


@dataclass(frozen=True, eq=False)
class Lessons:
    """What is seen before each demonstrated decision; every part of ``observation`` is ``[V, T, U, ...]``.

    ``weight`` is that of the songs, 0 also where the environment does not allow the label.
    """

    observation: Observation
    actions: Int[Tensor, "variants songs units"]
    weight: Float[Tensor, "variants songs units"]

    def of(self, variant: Int[Tensor, " chosen"], song: Int[Tensor, " chosen"]) -> "Lesson":
        """The decisions of some songs in one variant each, flat; ``observation.track`` counts the chosen songs."""
        weight = self.weight[variant, song]
        counts = weight > 0
        parts = Observation(*(part[variant, song][counts] for part in self.observation))
        local = torch.arange(len(song), device=song.device)[:, None].expand_as(weight)[counts]
        return Lesson(parts._replace(track=local), self.actions[variant, song][counts], weight[counts])


@dataclass(frozen=True, eq=False)
class Lesson:
    """N decisions to learn."""

    observation: Observation
    actions: Int[Tensor, " n"]
    weight: Float[Tensor, " n"]


class Task(NamedTuple):
    """A recording to be edited; ``target_ratio`` is the length asked for, over the recording's."""

    state: AudioState
    target_ratio: float
    labels: EditLabels | None  # what the editor did, where that is known


def songs_of(
    demonstrations: Sequence[Demonstration],
    styles: Sequence[str],
    config: Config,
    device: torch.device,
) -> Songs:
    """Demonstrations as tensors.

    Raises:
        DatasetError: there are none, or one follows no known style.
    """
    if not demonstrations:
        raise DatasetError("no demonstrations to learn from; add raw/edit pairs, or see why pairs were left out")
    return songs_of_tasks([task_of(d, styles, config) for d in demonstrations], styles, config, device)


def task_of(demonstration: Demonstration, styles: Sequence[str], config: Config) -> Task:
    """What a demonstration asks for.

    Raises:
        DatasetError: it follows no known style, or was labelled in other units.
    """
    d = demonstration
    _require_units(d, d.grid.units(config.action_space.unit_beats).n_units)
    state = AudioState(d.grid, d.features, d.source, _style(d, styles))
    return Task(state, d.edit.duration_s / d.grid.duration_s, d.labels)


def songs_of_tasks(
    tasks: Sequence[Task],
    styles: Sequence[str],
    config: Config,
    device: torch.device,
    *,
    reference: ReferenceStatistics | None = None,
) -> Songs:
    """Tasks as tensors."""
    batch = StateRepresentation(config, reference=reference).batch([task.state for task in tasks])
    shape = (len(tasks), int(batch.n_units.max()))
    actions, late, weight = (
        torch.zeros(shape, dtype=torch.long),
        torch.zeros(shape, dtype=torch.long),
        torch.zeros(shape),
    )
    space = ActionSpace(config.action_space)
    for row, labels in enumerate(task.labels for task in tasks):
        if labels is not None:
            n = len(labels.actions)
            actions[row, :n] = torch.as_tensor(labels.actions)
            late[row, :n] = torch.as_tensor(late_actions(labels.actions.tolist(), space))
            weight[row, :n] = torch.as_tensor(labels.confidence * labels.coverage)
    ratio = torch.tensor([task.target_ratio for task in tasks], dtype=torch.float32)
    style = torch.tensor([task.state.style for task in tasks])
    parts = (style.to(device), ratio.to(device), actions.to(device), late.to(device), weight.to(device))
    return Songs(batch.to(device), tuple(styles), *parts, reference=reference)


def late_actions(actions: Sequence[int], space: ActionSpace) -> list[int]:
    """The decisions, with EXTEND replaced by what opens the rest of its region, were it not open."""
    late: list[int] = []
    target: int | None = None
    for unit, number in enumerate(actions):
        if number == space.extend:
            late.append(KEEP if target is None else _move(unit, target, space))
            continue
        action = space.describe(number, unit)
        target = action.target_position if isinstance(action, ReorderAction) else None
        late.append(number)
    return late


def _move(unit: int, target: int, space: ActionSpace) -> int:
    reachable = -space.reorder_reach_units <= target - unit < 0 or 1 < target - unit <= space.reorder_reach_units
    return space.encode(ReorderAction(unit, target)) if reachable else KEEP


class Student(NamedTuple):
    """Who takes part of the decisions while lessons are collected.

    ``share`` is the most that an episode leaves to the student; every episode draws its own share below it.
    """

    decide: Callable[[Observation], Int[Tensor, " envs"]]
    share: float
    generator: torch.Generator


def lessons_of(songs: Songs, config: Config, *, student: Student | None = None) -> Lessons:
    """Play every demonstration with and without its target duration, led by the editor and, in part, by a student."""
    device, n_songs = songs.style.device, len(songs)
    generator = torch.Generator(device).manual_seed(config.training.seed)
    env = songs.environment(config, n_envs=N_VARIANTS * n_songs, generator=generator)
    free = torch.full_like(songs.target_ratio, float("nan"))
    track = torch.arange(n_songs, device=device).repeat(N_VARIANTS)
    observation = env.reset(track, torch.cat([free, songs.target_ratio]))
    actions, late = songs.actions.repeat(N_VARIANTS, 1), songs.late.repeat(N_VARIANTS, 1)
    own = student.share * _draw(len(track), student.generator) if student else None
    seen, labels = [], []
    for unit in range(actions.shape[1]):
        label = _open_to(observation, actions[:, unit], late[:, unit])
        seen.append(observation)
        labels.append(label)
        taken = label
        if student is not None and own is not None:
            taken = torch.where(_draw(len(track), student.generator) < own, student.decide(observation), label)
        observation = env.decide(taken)
    stacked = Observation(*(_by_variant(torch.stack(part, 1), n_songs) for part in zip(*seen, strict=True)))
    label = _by_variant(torch.stack(labels, 1), n_songs)
    legal = stacked.mask.gather(3, label[..., None])[..., 0]
    return Lessons(stacked, label, _by_variant(songs.weight.repeat(N_VARIANTS, 1), n_songs) * legal)


def usual_scores(songs: Songs, config: Config) -> tuple[float, ...]:
    """The mean reward of each editor's own edits; all that there is for one of whom there are none."""
    scores, known = _demonstrated_scores(songs, config), (songs.weight > 0).any(1)
    own = (scores[known & (songs.style == style)] for style in range(len(songs.styles)))
    return tuple(float(mine.mean()) if len(mine) else BEST_SCORE for mine in own)


@torch.no_grad()
def _demonstrated_scores(songs: Songs, config: Config) -> Float[Tensor, " songs"]:
    """How the editor's own decisions score by the reward, learned preferences aside."""
    track = torch.arange(len(songs), device=songs.style.device)
    env = songs.environment(config, n_envs=len(songs), generator=torch.Generator(songs.style.device))
    observation = env.reset(track, songs.target_ratio)
    for decided in zip(songs.actions.unbind(1), songs.late.unbind(1), strict=True):
        observation = env.decide(_open_to(observation, *decided))
    return env.scores().audited


def style_order(demonstrations: Sequence[Demonstration], config: Config) -> tuple[str, ...]:
    """The editors, sorted: the order of the policy's style inputs.

    Raises:
        ConfigError: more editors than the policy can tell apart.
    """
    names = tuple(sorted({d.style for d in demonstrations}))
    if len(names) > config.state.n_styles:
        raise ConfigError(
            f"state.n_styles {config.state.n_styles}: the pairs name {len(names)} editors; raise it to {len(names)}"
        )
    return names


def kinds_of(space: ActionSpace, device: torch.device) -> Int[Tensor, " actions"]:
    """Number of the kind (``KINDS``) of every action."""
    numbers = [KINDS.index(space.type_of(index)) for index in range(space.n_discrete_actions)]
    return torch.tensor(numbers, device=device)


def class_weights(
    decided: "Lessons | Songs", kinds: Int[Tensor, " actions"], *, balance: float
) -> Float[Tensor, " actions"]:
    """``(mean mass of a kind / mass of this kind) ** balance`` per action; 1 for kinds that never occur."""
    kind = kinds[decided.actions]
    mass = torch.zeros(len(KINDS), device=kinds.device)
    mass.index_add_(0, kind.flatten(), decided.weight.flatten())
    occurs = mass > 0
    mean = mass[occurs].mean()
    weight = torch.where(occurs, (mean / mass.clamp(min=1e-6)) ** balance, 1.0)
    return weight[kinds]


def seed_of(seed: int, step: int) -> int:
    """The seed of one epoch or update: chance depends on it alone, so a resumed run draws what it would have drawn."""
    return (seed * _SEEDS_PER_RUN + step) % _GENERATOR_SEEDS


def _style(demonstration: Demonstration, styles: Sequence[str]) -> int:
    if demonstration.style not in styles:
        raise DatasetError(
            f"{demonstration.pair_id}: style {demonstration.style!r} is not one of {', '.join(styles)}; "
            "clone a policy from pairs of this editor first"
        )
    return list(styles).index(demonstration.style)


def _require_units(demonstration: Demonstration, n_units: int) -> None:
    if len(demonstration.labels.actions) != n_units:
        raise DatasetError(
            f"{demonstration.pair_id}: {len(demonstration.labels.actions)} labels for {n_units} units; "
            "label it again with this action_space.unit_beats"
        )


def _draw(n: int, generator: torch.Generator) -> Float[Tensor, " n"]:
    return torch.rand(n, generator=generator, device=generator.device)


def _open_to(
    observation: Observation, decided: Int[Tensor, " envs"], late: Int[Tensor, " envs"]
) -> Int[Tensor, " envs"]:
    """The editor's decisions, where they are still open; else what begins late what they go on with."""
    return torch.where(_is_legal(observation, decided), decided, late)


def _is_legal(observation: Observation, action: Int[Tensor, " envs"]) -> Bool[Tensor, " envs"]:
    return observation.mask.gather(1, action[:, None])[:, 0]


def _by_variant(rows: Tensor, n_songs: int) -> Tensor:
    return rows.reshape(N_VARIANTS, n_songs, *rows.shape[1:])
