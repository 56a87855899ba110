"""Proximal policy optimisation of a cloned policy, on the reward and close to the clone.

Shapes: S steps by E environments, time first; T songs, U units. One update (Schulman et al. 2017, algorithm 1): encode
every song once, let E environments decide S times (S is the longest song, so each ends at least one episode; those
that end go on with another song), estimate advantages with GAE, then some epochs of minibatches on

    - clipped objective + value_coeff * value error - entropy_coeff * entropy + kl_coeff * D(clone || policy)

D is the Kullback-Leibler divergence, each action weighted by how rarely the editors decide so (``ppo.kl_balance``, as
classes are weighted in cloning). It minds what the clone does and the policy gave up: the other way round, or with one
weight for all, a policy keeps near by never doing what its editor does now and then, such as moving a block, which
costs joins.

A clone knows the songs that it learned from by heart, so what is edited are remixes of them (``rl_editor.remixes``).
Dropout is off, so that the ratio of new to old policy is 1 before the first step.

Advantages are normalised over the update. A minibatch holds the samples of a few songs, so that only those are encoded
again. An update ends early when the policy has moved further than 1.5 * ``ppo.target_kl``. Targets are hidden in
``training.duration_dropout`` of the episodes, while the reward still asks for them. What is judged and kept are weights
averaged over the latest updates (``ppo.weight_average``; Polyak & Juditsky 1992, "Acceleration of stochastic
approximation by averaging"), since decisions jump from update to update. Those that edit the validation songs and
their remixes best (by cautious draws, with and without their target) are kept, of those that agree with the editor
within ``ppo.agreement_loss`` of the clone, in what plays and in the kinds of decisions; these may be the clone's. The
policy takes the reward and the clone along (``Objective``), to choose among their edits by them
(``rl_editor.decoding``).

A learned reward takes part in the score with ``reward.learned_weight``, if ``ppo.learned_reward``; else it is only
watched, so that runs with and without it can be compared. It is centred on the clone's edits: the chance that an edit
is preferred to the clone's average one, so that it is steepest where training starts. Against its being gamed (Gao et
al. 2023, "Scaling laws for reward model overoptimization"): it is a lower confidence bound, the policy stays close to
the clone, weights are kept only if the score without it falls by no more than ``ppo.audit_loss``, and both halves, the
length and the distance from the clone are recorded side by side.

The chance of an update is drawn from the seed and its number alone: a run that was killed goes on to the same result.
"""

import copy
import math
import zlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from rl_editor.actions import ActionSpace
from rl_editor.agent import FEW_TRACKS, Agent, Embeddings, kind_entropy, sample
from rl_editor.averaging import AveragedAgent, exponential
from rl_editor.checkpoint import Objective, Policy, TrainingResult, save_policy
from rl_editor.config import Config
from rl_editor.demonstrations import Demonstration, to_choose_by, to_train_on
from rl_editor.devices import autocast, resolve_device, side_by_side, torch_threads
from rl_editor.errors import ConfigError, TrainingError
from rl_editor.fingerprints import agent_fingerprint, reward_fingerprint, run_fingerprint
from rl_editor.gradients import Gradients, Losses
from rl_editor.lessons import Task, class_weights, kinds_of, seed_of, songs_of_tasks, task_of, usual_scores
from rl_editor.logging_utils import TrainingLogger
from rl_editor.ppo_metrics import LOSSES, loss_metrics, rollout_metrics, validation_metrics
from rl_editor.remixes import remix
from rl_editor.replaying import Replayed
from rl_editor.resuming import Learner, Standing, StandingFile
from rl_editor.returns import clipped_objective, generalized_advantages, normalised, weighted_divergence
from rl_editor.reward import LearnedReward
from rl_editor.reward_model import RewardModel
from rl_editor.rollouts import Experience, Rollout, by_song
from rl_editor.state import Observation, ReferenceStatistics
from rl_editor.tryouts import TriedEdits, Tryout

BEST, STATE = "best.pt", "ppo_state.safetensors"
_VALIDATIONS = 20  # at most so many over a run, beside the one before it
_DRAWS, _TEMPERATURE = 4, 0.5  # edits of each validation song and variant; cautious, as some of ``decoding`` are
_KL_MARGIN = 1.5  # an update stops beyond so many times target_kl, as in Spinning Up and stable-baselines3
_ADAM_EPSILON = 1e-5  # Huang et al. 2022, "The 37 implementation details of PPO", detail 3
_SAMPLES_AT_A_TIME, _ON_A_GPU = 1 << 14, 1 << 17  # that the clone judges: their dot products take 8 KiB each
_AGREEMENT = ("validation/balanced_accuracy", "validation/macro_recall")  # what plays, and every kind of decision
DECIDED_BY = {  # as in ``behavioral_cloning``
    "action_space": (),
    "agent": (),
    "bc": (),
    "features": (),
    "ppo": (),
    "reward": (),
    "state": (),
    "training": ("resume", "device"),
}


class PPOTrainer:
    """Fine-tunes an agent on the songs of demonstrations.

    Args:
        config: reads ``ppo``, ``reward`` and ``training``.
        agent: the policy to start from, trained in place; a frozen copy is the clone that it stays close to.
        demonstrations: songs to edit; "train" teaches, "validation" chooses.
        logger: gets the numbers of every update.
        styles: names of the editors, in the order of the agent's style inputs.
        learned_reward: a fitted ``RewardModel``, or any function of edit summaries.
        reference: statistics of finished music that the reward measures against.
        save_dir: where ``best.pt`` goes; None writes nothing.
        resumable: keep the training state there as well, from which ``training.resume`` goes on.

    Raises:
        ConfigError: the agent was made with another network, observations, features or actions than ``config`` has.
        DatasetError: no song to train on, or one of a style that the agent does not know.
    """

    def __init__(
        self,
        config: Config,
        agent: Agent,
        demonstrations: Sequence[Demonstration],
        *,
        styles: Sequence[str],
        logger: TrainingLogger | None = None,
        learned_reward: LearnedReward | None = None,
        reference: ReferenceStatistics | None = None,
        save_dir: str | Path | None = None,
        resumable: bool = True,
    ) -> None:
        train = to_train_on(demonstrations)
        check_alike(config, agent.config)
        if not config.ppo.learned_reward:
            config = replace(config, reward=replace(config.reward, learned_weight=0.0))
        self.config, self.styles = config, tuple(styles)
        self.logger, self.save_dir = logger or TrainingLogger(), Path(save_dir) if save_dir else None
        self.state_file = self.save_dir / STATE if self.save_dir and resumable else None
        self.device = resolve_device(config.training.device)
        known = to_choose_by(demonstrations, self.styles)
        self._take_songs(train, known or train, reference)
        self._take_agent(agent)
        run = run_fingerprint(demonstrations, config, sections=DECIDED_BY) + agent_fingerprint(self.agent)
        self.fingerprint = run + str(reference or "") + reward_fingerprint(learned_reward)
        self.learned_reward = learned_reward
        if isinstance(learned_reward, RewardModel):
            self.learned_reward = learned_reward.centred(self._cloned_summaries())
        self._set_up()

    def _take_songs(
        self, train: Sequence[Demonstration], chosen_by: Sequence[Demonstration], reference: ReferenceStatistics | None
    ) -> None:
        """What is edited, to learn and to choose; and what editors do with the songs as they are."""
        given, choosing = self._tasks(train), self._tasks(chosen_by)
        songs = partial(songs_of_tasks, styles=self.styles, config=self.config, device=self.device, reference=reference)
        self.songs = songs(given.remixes or given.songs)
        self.horizon = int(self.songs.batch.n_units.max())  # decisions of every environment in one update
        self.validation_songs = songs([*choosing.songs, *choosing.remixes])
        demonstrated = songs(given.songs)
        self.kinds = kinds_of(ActionSpace(self.config.action_space), self.device)
        self.kind_weight = class_weights(demonstrated, self.kinds, balance=self.config.ppo.kl_balance)
        self.enough = usual_scores(demonstrated, self.config)

    def _take_agent(self, agent: Agent) -> None:
        """Who learns, the clone to stay close to, and the average that is judged."""
        self.agent = agent.to(self.device)
        if not agent.is_normalised:
            agent.fit_normalisation(self.songs.batch)
        self.agent.policy.begin_refining()
        self.clone = copy.deepcopy(self.agent).eval().requires_grad_(requires_grad=False)
        self.average = AveragedAgent(self.agent, exponential(self.config.ppo.weight_average))

    def _set_up(self) -> None:
        """What collects, what learns and what judges; on a GPU recorded where shapes and rewards allow it."""
        config = self.config
        self.generator = torch.Generator(self.device)
        self.env = self.songs.environment(
            config,
            n_envs=config.ppo.n_envs,
            generator=self.generator,
            target_dropout=config.training.duration_dropout,
            learned_reward=self.learned_reward,
        )
        self.side_by_side = side_by_side(self.device, config.training.threads)
        records = self.device.type == "cuda" and isinstance(self.learned_reward, RewardModel | None)
        self.collect = Replayed(self._collect, self.generator, enabled=records)
        self.validation = Tryout(
            self.validation_songs, config, learned_reward=self.learned_reward, n_draws=_DRAWS, temperature=_TEMPERATURE
        )
        self.edit_validation = Replayed(self._validated, self.validation.generator, enabled=records)
        evenly = self.decisions_per_update % config.ppo.minibatches == 0
        self.gradients = Gradients(
            self.agent,
            self.songs.batch,
            self._losses,
            partial(autocast, self.device, config.training),
            self.side_by_side,
            replayed=records and evenly and config.training.gradient_accumulation_steps == 1,
        )

    def _tasks(self, demonstrations: Sequence[Demonstration]) -> "_Tasks":
        """What demonstrations ask for, and remixes of each, the same whatever else is learned from."""
        songs, remixes = [], []
        for d in demonstrations:
            songs.append(task_of(d, self.styles, self.config))
            rng = np.random.default_rng([self.config.training.seed, zlib.crc32(d.pair_id.encode())])
            unit_beats = self.config.action_space.unit_beats
            remixes += [remix(songs[-1], unit_beats=unit_beats, rng=rng) for _ in range(self.config.ppo.remixes)]
        return _Tasks(songs, remixes)

    @torch.no_grad()
    def _cloned_summaries(self) -> Float[Tensor, "edits summary"]:
        """The clone's edits of the training songs, with and without their targets."""
        return Tryout(self.songs, self.config).edits(self.clone).scores.summary

    @property
    def decisions_per_update(self) -> int:
        """Of all environments."""
        return self.horizon * self.config.ppo.n_envs

    def train(self, total_timesteps: int | None = None) -> TrainingResult:
        """Take ``total_timesteps`` decisions (``ppo.total_timesteps`` by default), rounded up to whole updates.

        Raises:
            ConfigError: fewer than one decision.
            TrainingError: a gradient is no number any more.
            CheckpointError: ``training.resume``, and the training state belongs to another run.
        """
        if total_timesteps is not None and total_timesteps < 1:
            raise ConfigError(f"total_timesteps {total_timesteps}: at least one decision is needed")
        with torch_threads(self.config.training.threads):
            return self._train(self.config.ppo.total_timesteps if total_timesteps is None else total_timesteps)

    def _train(self, total_timesteps: int) -> TrainingResult:
        n_updates = -(-total_timesteps // self.decisions_per_update)
        every = -(-n_updates // _VALIDATIONS)
        self.agent.eval()
        weights, rate = self.agent.parameters(), self.config.ppo.learning_rate
        self.optimizer = torch.optim.Adam(weights, lr=rate, eps=_ADAM_EPSILON, fused=True)
        learner = Learner(self.agent, self.average, self.optimizer)
        fingerprint = f"{self.fingerprint}-{total_timesteps}"
        left = StandingFile(self.state_file, self.config.training.resume, fingerprint)
        standing = left.restored(learner)
        with torch.no_grad():
            self.clone_embeddings = self.clone.encode(self.songs.batch)
        for update in range(len(standing.history), n_updates + 1):
            metrics = self._update(update) if update else {}
            if update % every == 0 or update == n_updates:
                metrics |= self._validate()
                self._choose(standing, update, metrics)
            standing.history.append(metrics)
            left.save(standing, learner)
            self.logger.log_metrics(metrics, update)
        return self._result(standing)

    def _update(self, update: int) -> dict[str, float]:
        """One round of collecting and learning; returns its numbers."""
        self.generator.manual_seed(seed_of(self.config.training.seed, update))
        rollout = self.collect()
        samples = self._samples(rollout)
        learned = self._learn(samples)
        self.average.update_parameters(self.agent)
        return rollout_metrics(rollout, self.kinds) | learned

    @torch.no_grad()
    def _collect(self) -> Rollout:
        """Let every environment decide as often as the longest song has units; nothing is read back from the device."""
        with autocast(self.device, self.config.training):  # one context: weights are converted once
            embeddings = self.agent.encode(self.songs.batch)
            observation, steps = self.env.reset(), []
            for _ in range(self.horizon):
                decision = self._decide(embeddings, observation)
                action = sample(decision.log_probs, self.generator)
                result = self.env.step(action)
                log_prob = _taken(decision.log_probs, action)
                info = result.info
                decided = (action, log_prob, decision.value)
                scores = (info.terms, info.total, info.audited, info.learned)
                steps.append((observation, *decided, result.reward, result.done, *scores))
                observation = result.observation
            end = self._decide(embeddings, observation).value
        seen, *rest = zip(*steps, strict=True)
        stacked = Observation(*(torch.stack(part) for part in zip(*seen, strict=True)))
        return Rollout(stacked, end, *(torch.stack(part) for part in rest))

    def _samples(self, rollout: Rollout) -> Experience:
        """Advantages and value targets; time and environments become one axis."""
        ppo = self.config.ppo
        discount = ppo.gamma * (~rollout.done).float()
        estimate = generalized_advantages(
            rollout.reward, rollout.value, discount, rollout.value_end, lambda_=ppo.gae_lambda
        )
        advantage = normalised(estimate.advantage)
        parts = (rollout.action, rollout.log_prob, advantage, estimate.value_target)
        observation = Observation(*(part.flatten(0, 1) for part in rollout.observation))
        return Experience(observation, self._clone_says(observation), *(part.flatten(0, 1) for part in parts))

    def _clone_says(self, observation: Observation) -> Float[Tensor, "n actions"]:
        """Log probabilities of the clone, few songs at a time."""
        says = torch.empty(observation.mask.shape, dtype=torch.float32, device=self.device)

        @torch.no_grad()
        def fill(first: int) -> None:
            heard = Embeddings(*(part[first : first + FEW_TRACKS] for part in self.clone_embeddings))
            here = (observation.track // FEW_TRACKS == first // FEW_TRACKS).nonzero()[:, 0]
            for chosen in torch.split(here, _ON_A_GPU if self.device.type == "cuda" else _SAMPLES_AT_A_TIME):
                part = Observation(*(each[chosen] for each in observation))
                with autocast(self.device, self.config.training):
                    logits = self.clone.logits(heard, part._replace(track=part.track - first))
                says[chosen] = functional.log_softmax(logits.float(), dim=1)

        list(self.side_by_side.map(fill, range(0, len(self.songs), FEW_TRACKS)))
        return says

    def _learn(self, samples: Experience) -> dict[str, float]:
        """Epochs of minibatches, until the policy has moved far enough."""
        ppo, accumulate = self.config.ppo, self.config.training.gradient_accumulation_steps
        self.gradients.hold(samples)
        losses: list[Tensor] = []
        epochs_done = 0
        for _ in range(ppo.epochs):
            batches = by_song(samples.observation.track, len(self.songs), ppo.minibatches, self.generator)
            for start in range(0, len(batches), accumulate):
                losses.append(self.gradients(batches[start : start + accumulate]))
                if float(losses[-1][:, LOSSES.index("approx_kl")].mean()) > _KL_MARGIN * ppo.target_kl:
                    return loss_metrics(losses, epochs_done)
                norm = torch.nn.utils.clip_grad_norm_(self.agent.parameters(), ppo.max_grad_norm)
                if not math.isfinite(float(norm)):
                    raise TrainingError(f"PPO: the gradient's norm is {float(norm)}; lower ppo.learning_rate")
                self.optimizer.step()
            epochs_done += 1
        return loss_metrics(losses, epochs_done)

    def _losses(self, embeddings: Embeddings, part: Experience) -> Losses:
        """The loss, and its parts as ``LOSSES`` has them after it."""
        ppo = self.config.ppo
        decision = self._decide(embeddings, part.observation)
        log_prob = _taken(decision.log_probs, part.action)
        log_ratio = log_prob - part.log_prob
        gain = clipped_objective(log_prob, part.log_prob, part.advantage, clip_ratio=ppo.clip_ratio).mean()
        value = 0.5 * (decision.value - part.value_target).square().mean()
        with torch.set_grad_enabled(ppo.entropy_coeff != 0.0):  # what does not count is only watched
            entropy = kind_entropy(decision.log_probs, self.agent.layout.first_reorder).mean()
        with torch.set_grad_enabled(ppo.kl_coeff != 0.0):
            clone_kl = weighted_divergence(part.clone_log_probs, decision.log_probs, self.kind_weight).mean()
        loss = -gain + ppo.value_coeff * value - ppo.entropy_coeff * entropy + ppo.kl_coeff * clone_kl
        log_ratio = log_ratio.detach()
        approx_kl = (log_ratio.exp() - 1.0 - log_ratio).mean()  # Schulman's k3: unbiased, never negative
        clipped = ((log_ratio.exp() - 1.0).abs() > ppo.clip_ratio).float().mean()
        return Losses(loss, torch.stack([-gain, value, entropy, clone_kl, approx_kl, clipped]).detach())

    def _decide(self, embeddings: Embeddings, observation: Observation) -> "_Choice":
        with autocast(self.device, self.config.training):
            decision = self.agent.decide(embeddings, observation)
        return _Choice(functional.log_softmax(decision.logits.float(), dim=1), decision.value)

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """Edit the validation songs by cautious draws: the score and its terms, and agreement with the editor."""
        self.validation.generator.manual_seed(self.config.training.seed)  # by the same chance every time
        shown, hidden = self.validation.judged(self.edit_validation())
        return validation_metrics(shown, hidden)

    def _validated(self) -> TriedEdits:
        return self.validation.edits(self.average.agent)

    def _choose(self, standing: Standing, update: int, metrics: dict[str, float]) -> None:
        """Keep the weights if they score best so far, agree with the editor about as well as the clone, and are not
        worse by the audited reward for being liked by the learned one."""
        score, before, ppo = metrics["validation/score"], standing.history[0] if update else metrics, self.config.ppo
        agrees = not any(metrics[name] < before[name] - ppo.agreement_loss for name in _AGREEMENT)
        audited = [numbers.get("validation/audited", 0.0) for numbers in (before, metrics)]
        if score > standing.best_score and agrees and audited[1] >= audited[0] - ppo.audit_loss:
            standing.choose(update, score, self.average.agent)

    def _result(self, standing: Standing) -> TrainingResult:
        self.agent.load_state_dict(standing.best_weights)
        metrics = standing.history[standing.best_step]
        policy = Policy(self.agent, self.config, self.styles, metrics, self._objective())
        if self.save_dir is not None:
            save_policy(self.save_dir / BEST, policy)
        return TrainingResult(policy, tuple(standing.history), standing.best_step)

    def _objective(self) -> Objective | None:
        """What was maximised; None where a learned reward took part that cannot be kept with the policy."""
        learned = self.learned_reward if self.config.reward.learned_weight else None
        if not isinstance(learned, RewardModel | None):
            return None
        nats = self.config.ppo.reward_nats if learned is None else self.config.ppo.listener_nats
        return Objective(nats, self.enough, self.songs.reference, learned, self.clone)


class _Tasks(NamedTuple):
    songs: list[Task]
    remixes: list[Task]


class _Choice(NamedTuple):
    log_probs: Float[Tensor, "envs actions"]
    value: Float[Tensor, " envs"]


def _taken(log_probs: Float[Tensor, "n actions"], action: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    return log_probs.gather(1, action[:, None])[:, 0]


def check_alike(config: Config, own: Config) -> None:
    """The network, and what observations and actions mean, have to be as the agent learned it.

    Raises:
        ConfigError: they are not.
    """
    named = {
        "agent": (config.agent, own.agent),
        "state": (config.state, own.state),
        "action_space": (config.action_space, own.action_space),
        "features.feature_mode": (config.features.feature_mode, own.features.feature_mode),
    }
    for name, (asked, known) in named.items():
        if asked != known:
            raise ConfigError(f"{name} {asked}: the policy was made with {known}; train from one made with these")
