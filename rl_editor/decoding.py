"""A recording decided many times side by side, and the best of the edits taken.

Asked for a duration, attempts lean more or less towards playing (a constant on the logits, as one moves the threshold
of a classifier), with and without regard to earlier decisions, and last by drawing decisions around the leaning that
came nearest, cautiously and as they fall: a clone hedges, and its boldest draws are noise, while its cautious ones
hardly vary and miss the duration. Of these attempts the best is taken:

    log P(decisions) - (miss / (spread * duration))^2 / 2 + nats * reward

with what the policy itself finds likely, leaning nowhere, times what trees beside it do (``rl_editor.trees``; a product
of experts, Hinton 2002: the network knows how edits go on, trees which passages are meant), and times how usual it is
to loop and to move so many passages (``rl_editor.usual_regions``). Of an attempt without regard to earlier decisions
that is likely which is so to who decided it; judged by one who knows them, nearly the same edits are taken. A clone
knows no reward. A policy that PPO trained brings along its reward and the clone that it started from (``Objective``):
both of them attempt, P is the geometric mean of what both find likely, and the reward counts with ``ppo.reward_nats``;
a choice among many draws comes nearer to what training is after (best-of-n: Stiennon et al. 2020, "Learning to
summarize from human feedback"). Its terms count up to what the editor's own edits score (``Objective.enough``): who
moves passages accepts joins, and an edit that scores far beyond an editor's is not theirs.

Where a learned reward takes part, the clone first makes the edit that it would make alone. Of all others those come
first that listeners surely prefer to it: the lower bound of how much better they are liked is above 0. So an edit
differs from the clone's where that is worth it, and else is the clone's. How likely it is that an edit is preferred to
the clone's is the learned reward here, with ``ppo.listener_nats``, and P is the clone's: what gains most reward without
straying from a clone is the clone's distribution times exp(nats * reward) (Korbak et al. 2022, "RL with KL penalties is
better viewed as Bayesian inference"). The policy was drawn towards the listeners already, so that by its own likelihood
they would count twice.

Attempts within half a unit of the duration come before all others, or, where it is out of reach, those within a unit
of what comes nearest; and the spread is ``LENGTH_SPREAD``. So which passages play is the policy's order of preference,
how many is the listener's. The duration is aimed at in whole units, not promised.

Where nobody asks for a duration, the editor's usual one and its spread (``rl_editor.usual_length``) stand in the same
sum, the policy is not told of it, and nothing comes first. Decision by decision a policy adds up small errors of what
to keep; how much its editor keeps is known better.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rl_editor.actions import CUT, FIRST_LOOP, KEEP, ActionSpace, Limits
from rl_editor.agent import Agent, Embeddings, sample
from rl_editor.checkpoint import Objective, Policy
from rl_editor.config import Config
from rl_editor.devices import torch_threads
from rl_editor.edits import EditList, check_length_asked
from rl_editor.environment import BatchedEditingEnv
from rl_editor.environment.batched import Scores
from rl_editor.reward.terms import BEST_SCORE, combined
from rl_editor.reward_model import RewardModel
from rl_editor.state import AudioState, EditHistory, Observation, StateRepresentation
from rl_editor.trees import of_actions
from rl_editor.usual_regions import opened

MOST_LEANING = 12.0  # logits; beyond it a policy is too sure to be moved
SIDE_BY_SIDE = 33  # leanings tried at once, between those that the round before found to be nearest
REFINEMENTS = 2
DRAWN_LEANINGS = 8  # around the nearest leaning ..
DRAWN_REACH = 1.5  # .. so far to either side, in logits
DRAWS_PER_LEANING = 16
TEMPERATURES = (0.5, 1.0)  # of the draws: near the likeliest decisions, and as the policy says
FREE_DRAWS = 64  # at each temperature, without a length
FOR_LISTENERS = 4  # times as many draws where a learned reward takes part: a clone seldom draws what they prefer
LENGTH_SPREAD = 0.01  # standard deviation of a length that counts as the one asked for, relative
SAME_S = 1e-3  # misses that differ by less are one: nobody hears it, and last bits of float sums decide nothing
_AS_LIKED = 0.5  # chance that an edit is preferred to itself
_OWN = 0  # who the policy itself is, of those who attempt
_COLD = 1e-3  # a temperature that is none


class Goal(NamedTuple):
    """A length to aim at."""

    seconds: float
    spread_s: float  # standard deviation of what counts as this length
    asked: bool  # by a listener: the policy is told, and what is within half a unit comes first


class Attempt(NamedTuple):
    """One edit of the recording."""

    actions: tuple[int, ...]
    duration_s: float  # of what plays
    log_prob: float  # of the decisions by what was shown, leaning nowhere, by trees and by how many regions are usual
    miss_s: float  # how far the duration is off
    reward: float  # what the policy was trained on, as far as it counts; means nothing of a clone
    doubtful: bool = False  # listeners may well like the clone's own edit as much
    summary: tuple[float, ...] = ()  # ``reward.SUMMARY_NAMES``


def asked_length(seconds: float) -> Goal:
    """A length that a listener asks for.

    Raises:
        EditListError: it is no length.
    """
    check_length_asked(seconds)
    return Goal(seconds, LENGTH_SPREAD * seconds, asked=True)


def usual_length(policy: Policy, style: int, state: AudioState) -> Goal | None:
    """The length that an editor would give the recording; None where there is no telling."""
    usual = policy.agent.usual_lengths.of(style, state.grid.duration_s)
    return Goal(usual.seconds, usual.spread * usual.seconds, asked=False) if usual else None


class _Way(NamedTuple):
    """How an attempt is decided."""

    agent: int  # who decides, of the desk's
    leaning: float = 0.0  # towards playing, in logits
    temperature: float = 0.0  # of draws; 0 takes the likeliest decision
    listening: bool = False  # shown neither the target nor, but for habits, decisions before: it goes by what it hears


class _Mind(NamedTuple):
    """An agent, and what it hears of the recording."""

    agent: Agent
    heard: Embeddings

    def logits(self, observation: Observation, forgets: Bool[Tensor, " envs"] | None) -> Float[Tensor, "envs actions"]:
        """What it thinks of every decision, without regard to those before where it ``forgets``."""
        return self.agent.logits(self.heard, observation, forgets=forgets)


def _agents(policy: Policy) -> tuple[list[Agent], list[float]]:
    """Who attempts edits, the policy first, and how much what each finds likely counts."""
    if policy.objective is None or policy.objective.clone is None:
        return [policy.agent], [1.0]
    return [policy.agent, policy.objective.clone], [0.0, 1.0] if policy.objective.learned else [0.5, 0.5]


class Desk:
    """One recording, encoded once, to be edited many times over.

    Args:
        policy: who edits.
        state: the recording; its ``style`` is the editor to follow.
        goal: a length to aim at.
        limits: what is decided already.
        generator: draws decisions.
    """

    def __init__(
        self,
        policy: Policy,
        state: AudioState,
        *,
        goal: Goal | None,
        limits: Limits | None,
        generator: torch.Generator,
    ) -> None:
        self.policy, self.state, self.goal, self.generator = policy, state, goal, generator
        self.objective = policy.objective or Objective(nats=0.0)
        self.device = policy.agent.device
        representation = StateRepresentation(policy.config, reference=self.objective.reference)
        self.batch = representation.batch([state]).to(self.device)
        agents, shares = _agents(policy)
        with torch.no_grad(), torch_threads(policy.config.training.threads):
            self.minds = [_Mind(agent, agent.encode(self.batch)) for agent in agents]
        self._shares = torch.tensor(shares, device=self.device)
        self._trees = self._said_by_trees()
        units = state.grid.units(policy.config.action_space.unit_beats)
        self.unit_s = float(np.median(np.diff(units.times_s)))
        self._liking: RewardModel | None = None  # what listeners like better than the clone's own edit
        self.barred = None if limits is None else _barred(policy.config, limits).to(self.device)

    def once(self, temperature: float) -> list[Attempt]:
        """One attempt by the policy alone, drawn at a temperature above 0."""
        return self._attempts([_Way(_OWN, temperature=temperature)])

    def at_will(self) -> list[Attempt]:
        """Attempts that lean nowhere, the best first."""
        own = self._own(self._attempts([_Way(self._cloner)])) if self.objective.learned else []
        likeliest = self._attempts([_Way(number) for number in self._numbers])
        drawn = self._drawn(dict.fromkeys(self._numbers, [0.0] * self._draws(FREE_DRAWS)))
        return self._ranked(own + likeliest + drawn)

    def to_length(self, temperature: float) -> list[Attempt]:
        """Attempts near the length aimed at, the best first; above 0 the search for it draws decisions as well."""
        own = self._own(self._searched([self._cloner], temperature)) if self.objective.learned else []
        return self._ranked(own + self._searched(self._numbers, temperature))

    def edit_list(self, attempt: Attempt) -> EditList:
        """What its decisions play."""
        return EditHistory(self.state, self.policy.config, attempt.actions).edit_list()

    @property
    def _numbers(self) -> range:
        return range(len(self.minds))

    @property
    def _cloner(self) -> int:
        """Who the clone is; the policy itself, where it has none."""
        return self._numbers[-1]

    def _own(self, attempts: Sequence[Attempt]) -> list[Attempt]:
        """The edit that the clone would make alone, by which listeners measure from now on."""
        assert self.objective.learned is not None
        own = ranked(attempts, goal=self.goal, unit_s=self.unit_s, nats=0.0)[0]
        self._liking = self.objective.learned.centred(torch.tensor([own.summary]))
        return [own]

    def _searched(self, numbers: Sequence[int], temperature: float) -> list[Attempt]:
        """Attempts of these agents near the length aimed at."""
        ranges = {way: Leanings() for way in product(numbers, (False, True))}
        found: list[Attempt] = []
        for _ in range(REFINEMENTS):
            ways = [
                _Way(agent, leaning, temperature, listening)
                for (agent, listening), each in ranges.items()
                for leaning in each.tried()
            ]
            tried = self._attempts(ways)
            found += tried
            for each, attempts in zip(ranges.values(), _parts(tried, len(ranges)), strict=True):
                each.narrow(attempts)
        reach = np.linspace(-DRAWN_REACH, DRAWN_REACH, DRAWN_LEANINGS).repeat(self._draws(DRAWS_PER_LEANING))
        near = {n: (ranges[n, False].nearest + reach).tolist() for n in numbers}
        return found + self._drawn(near)

    def _draws(self, usually: int) -> int:
        """How often to draw what is drawn so often for nobody in particular."""
        return usually * (FOR_LISTENERS if self._liking else 1)

    def _drawn(self, leanings: dict[int, list[float]]) -> list[Attempt]:
        """Draws of every agent at each of its leanings, at every temperature."""
        return self._attempts(
            [_Way(n, leaning, heat) for n, each in leanings.items() for heat in TEMPERATURES for leaning in each]
        )

    def _attempts(self, ways: Sequence[_Way]) -> list[Attempt]:
        """One edit per way, decided in lockstep."""
        config, device, env = self.policy.config, self.device, self._environment(len(ways))
        goal_s = float("nan") if self.goal is None else self.goal.seconds
        told = goal_s / self.state.grid.duration_s if self.goal is not None and self.goal.asked else float("nan")
        columns = (torch.tensor(column, device=device) for column in zip(*ways, strict=True))
        agent, leaning, temperature, alone = columns
        lean = leaning[:, None] * _direction(config, loops=goal_s > self.state.grid.duration_s).to(device)
        heat, draws = temperature.clamp(min=_COLD)[:, None], any(way.temperature for way in ways)
        forgets = alone if any(way.listening for way in ways) else None
        log_prob = torch.zeros(len(ways), device=device)
        n_units, here = int(self.batch.n_units[0]), torch.arange(len(ways), device=device)
        with torch.no_grad(), torch_threads(config.training.threads):
            observation = env.reset(torch.zeros_like(agent), torch.full_like(log_prob, told), hidden=alone)
            for unit in range(n_units):
                says = self._logits(unit, observation, forgets)
                leant = says[agent, here] + lean
                action = leant.argmax(1)
                if draws:
                    action = torch.where(temperature > 0, sample((leant / heat).log_softmax(1), self.generator), action)
                log_prob += self._shares @ says.log_softmax(2)[:, here, action]
                observation = env.decide(action)
            log_prob += self._usual(env.actions[:, :n_units])
            scores, lasts_s = env.scores(), env.edits.totals().output_s
        miss_s = torch.zeros_like(lasts_s) if self.goal is None else (lasts_s - goal_s).abs()
        doubtful = torch.zeros_like(agent, dtype=torch.bool) if self._liking is None else scores.learned <= _AS_LIKED
        numbers = (each.tolist() for each in (lasts_s, log_prob, miss_s, self._worth(scores), doubtful))
        decided, heard = (map(tuple, each.tolist()) for each in (env.actions[:, :n_units], scores.summary))
        return [Attempt(*attempt) for attempt in zip(decided, *numbers, heard, strict=True)]

    def _logits(
        self, unit: int, observation: Observation, forgets: Bool[Tensor, " envs"] | None
    ) -> Float[Tensor, "agents envs actions"]:
        """What every agent and the trees think of every decision."""
        says = torch.stack([mind.logits(observation, forgets) for mind in self.minds])
        if self.barred is not None:
            says = says.masked_fill(self.barred[unit], -torch.inf)
        return says + self._trees[unit]

    def _usual(self, actions: Int[Tensor, "edits units"]) -> Float[Tensor, " edits"]:
        """How usual it is of the editor to loop and to move so many passages."""
        counts = opened(actions, ActionSpace(self.policy.config.action_space))
        usual = self.policy.agent.usual_regions
        return usual.log_prob(counts, self.state.grid.duration_s, self.state.style)

    def _said_by_trees(self) -> Float[Tensor, "units actions"]:
        agent = self.policy.agent
        says = agent.trees(agent.places(self.batch)[0], self.state.style)
        return of_actions(says, ActionSpace(self.policy.config.action_space))

    def _environment(self, n_envs: int) -> BatchedEditingEnv:
        return BatchedEditingEnv(
            self.batch,
            self.policy.config,
            n_envs=n_envs,
            generator=torch.Generator(device=self.device).manual_seed(self.policy.config.training.seed),
            styles=torch.tensor([self.state.style], device=self.device),
            style_names=self.policy.styles,
            learned_reward=self._liking,
            reference=self.objective.reference,
        )

    def _worth(self, scores: Scores) -> Float[Tensor, " envs"]:
        """The reward of edits, as far as it counts."""
        learned = None
        if self.objective.learned is not None:  # the clone's own edit is as good as itself
            learned = torch.full_like(scores.learned, _AS_LIKED) if self._liking is None else scores.learned
        enough = self.objective.enough[self.state.style] if self.objective.enough else BEST_SCORE
        return combined(scores.terms, self.policy.config.reward, learned=learned, enough=enough)

    def _ranked(self, attempts: Sequence[Attempt]) -> list[Attempt]:
        return ranked(attempts, goal=self.goal, unit_s=self.unit_s, nats=self.objective.nats)


def ranked(attempts: Sequence[Attempt], *, goal: Goal | None, unit_s: float, nats: float) -> list[Attempt]:
    """What plays at all first, then what is within half a unit of a length that was asked for (or, where nothing is,
    within a unit of what comes nearest), then what listeners do not doubt, then the best.
    """
    asked = goal is not None and goal.asked
    nearest = min((attempt.miss_s for attempt in attempts if attempt.duration_s), default=0.0)

    def rank(attempt: Attempt) -> tuple[bool, bool, bool, bool, float]:
        off = 0.0 if goal is None else attempt.miss_s / goal.spread_s
        misses = asked and attempt.miss_s > unit_s / 2.0 + SAME_S
        far = misses and attempt.miss_s > nearest + unit_s + SAME_S
        score = attempt.log_prob - 0.5 * off**2 + nats * attempt.reward
        return not attempt.duration_s, misses, far, attempt.doubtful, -score

    return sorted(attempts, key=rank)


class Leanings:
    """Leanings tried side by side, each round between the best neighbours of the last."""

    def __init__(self) -> None:
        self._low, self._high, self.nearest = -MOST_LEANING, MOST_LEANING, 0.0

    def tried(self) -> list[float]:
        """What is tried side by side now."""
        leanings: list[float] = np.linspace(self._low, self._high, SIDE_BY_SIDE).tolist()
        return leanings

    def narrow(self, attempts: Sequence[Attempt]) -> None:
        """Go on around the best of what was tried, the first of those that miss alike."""
        leanings = self.tried()
        misses = [attempt.miss_s if attempt.duration_s else np.inf for attempt in attempts]
        least = min(misses)
        best = next(number for number, miss in enumerate(misses) if miss <= least + SAME_S)
        self.nearest = leanings[best]
        self._low, self._high = leanings[max(best - 1, 0)], leanings[min(best + 1, SIDE_BY_SIDE - 1)]


def _parts(attempts: Sequence[Attempt], n: int) -> Iterator[Sequence[Attempt]]:
    """Equal parts of a sequence."""
    size = len(attempts) // n
    return (attempts[start : start + size] for start in range(0, len(attempts), size))


def _direction(config: Config, *, loops: bool) -> Float[Tensor, " actions"]:
    """What leaning towards playing is: away from CUT, and towards LOOP where the output is to be longer."""
    space = ActionSpace(config.action_space)
    direction = torch.zeros(space.n_discrete_actions)
    direction[CUT] = -1.0
    if loops:
        direction[FIRST_LOOP : space.extend] = 1.0
    return direction


def _barred(config: Config, limits: Limits) -> Bool[Tensor, "units actions"]:
    """Which decisions are not open at each unit."""
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
