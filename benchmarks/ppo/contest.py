"""The two learners, and what is measured of them: decisions per second, and the held-out return over time.

Both play ``AudioEditingEnv`` on the same songs with the same reward and asked for the same lengths, from scratch. The
held-out return is the score of the likeliest decisions on songs that neither trains on, the target
shown. Times are of training alone for the peer; ours hold its own validation as well.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from benchmarks.editing import Song, demonstration, songs_of, split_names
from benchmarks.ppo.plain import PlainAgent
from benchmarks.ppo.songs import Songbook
from rl_editor.agent import Agent
from rl_editor.config import Config, Split
from rl_editor.demonstrations import Demonstration, in_split
from rl_editor.devices import resolve_device
from rl_editor.editors import EDITORS
from rl_editor.logging_utils import TrainingLogger
from rl_editor.trainer import PPOTrainer
from rl_editor.tryouts import Tryout

if TYPE_CHECKING:
    from sb3_contrib import MaskablePPO

N_SONGS, HELD_OUT = 16, 0.25
THREADS = 2
PEER_ENVS, PEER_STEPS = 8, 256  # per update
EPOCHS, BATCH = 4, 512  # of both, where the network is the same
LEARNING_RATE = 3e-4  # stable-baselines3's default
SAME_ENVS = 256  # ours, with the same network
BEST = {"n_envs": 512, "epochs": 2, "minibatches": 16, "learning_rate": 1e-3}  # ours at its best, from scratch
BEST_STEPS = 1_000_000
GPU = {"n_envs": 32_768, "epochs": 2, "minibatches": 8, "target_kl": 1e9}  # all epochs of every update
GPU_UPDATES, GPU_WARM = 200, 10  # a validation every fifth update; after the first few everything is recorded


class Moment(NamedTuple):
    """Where a learner stood."""

    seconds: float
    steps: int
    held_out: float


@dataclass(frozen=True)
class Contest:
    """Songs, styles and settings."""

    config: Config
    demonstrations: Sequence[Demonstration]
    styles: tuple[str, ...] = tuple(sorted(EDITORS))

    @classmethod
    def on_composed_songs(cls, config: Config | None = None) -> "Contest":
        """Every editor of the default corpus on every song."""
        config = config or _from_scratch()
        torch.set_num_threads(THREADS)
        songs: list[Song] = songs_of(None, config, n_songs=N_SONGS)
        split = split_names(songs, seed=0, held_out=HELD_OUT, n_train=len(songs))
        learns: dict[str, Split] = {name: "validation" if part == "test" else "train" for name, part in split.items()}
        demonstrations = [
            demonstration(song, editor, config, seed=0, split=learns[song.name])
            for song in songs
            for editor in EDITORS.values()
        ]
        return cls(config, demonstrations)

    def peer(self) -> "MaskablePPO":
        """sb3-contrib's learner with two layers of 256 for actor and critic each."""
        from sb3_contrib import MaskablePPO
        from stable_baselines3.common.vec_env import DummyVecEnv

        train = in_split(self.demonstrations, "train")
        envs = DummyVecEnv([lambda: Songbook(train, self.styles, self.config) for _ in range(PEER_ENVS)])
        return MaskablePPO(
            "MlpPolicy",
            envs,
            n_steps=PEER_STEPS,
            batch_size=BATCH,
            n_epochs=EPOCHS,
            learning_rate=LEARNING_RATE,
            gamma=self.config.ppo.gamma,
            policy_kwargs={"net_arch": [256, 256]},
            device="cpu",
            seed=0,
        )

    def peer_held_out(self, model: "MaskablePPO") -> float:
        """Mean score of the peer's likeliest decisions on held-out songs."""
        book = Songbook(in_split(self.demonstrations, "validation"), self.styles, self.config)
        return float(np.mean([_played(model, page) for page in book.pages]))

    def peer_curve(self, seconds: float, *, checks: int) -> list[Moment]:
        """Train the peer for so long, looking at held-out songs from time to time."""
        model, spent, moments = self.peer(), 0.0, []
        update = PEER_ENVS * PEER_STEPS
        while spent < seconds:
            started = time.perf_counter()
            model.learn(update, reset_num_timesteps=not moments)
            spent += time.perf_counter() - started
            if not moments or spent >= seconds * len(moments) / checks:
                moments.append(Moment(spent, int(model.num_timesteps), self.peer_held_out(model)))
        return moments

    def decisions_per_update(self, config: Config) -> int:
        """Of our trainer with these settings: the longest song by the environments."""
        return max(len(d.labels.actions) for d in in_split(self.demonstrations, "train")) * config.ppo.n_envs

    def ours(self, agent: Agent, config: Config, *, steps: int) -> list[Moment]:
        """Train ours, from scratch."""
        clock = _Clock(self.decisions_per_update(config))
        trainer = PPOTrainer(config, agent, self.demonstrations, styles=self.styles, logger=clock)
        clock.trainer = trainer
        clock.started = time.perf_counter()
        trainer.train(steps)
        return clock.moments


def seconds_of_peer(contest: Contest) -> float:
    """Of 100,000 decisions, from one update after the first."""
    model, update = contest.peer(), PEER_ENVS * PEER_STEPS
    model.learn(update)
    started = time.perf_counter()
    model.learn(update, reset_num_timesteps=False)
    return (time.perf_counter() - started) * 1e5 / update


def seconds_of_ours(contest: Contest) -> float:
    """The same with our trainer and the peer's network."""
    config = _from_scratch(n_envs=SAME_ENVS, epochs=EPOCHS, learning_rate=LEARNING_RATE)
    per_update = contest.decisions_per_update(config)
    config.ppo.minibatches = per_update // BATCH
    moments = contest.ours(PlainAgent(config), config, steps=2 * per_update)
    return (moments[2].seconds - moments[1].seconds) * 1e5 / per_update


def best_of_ours(contest: Contest) -> list[Moment]:
    """Our own network and settings, from scratch."""
    config = _from_scratch(**BEST)
    return contest.ours(Agent(config), config, steps=BEST_STEPS)


def first_at(moments: Sequence[Moment], held_out: float) -> Moment | None:
    """The first moment with at least this return."""
    return next((moment for moment in moments if moment.held_out >= held_out), None)


def on_device(device: str) -> str:
    """Our own network on another device, in bfloat16: decisions per second of whole updates after the first."""
    if resolve_device(device).type == "cpu":
        return f"PPO on {device}: left out: no such GPU here"
    config = _from_scratch(**GPU)
    config.training.device, config.training.mixed_precision = device, True
    contest = Contest.on_composed_songs(config)
    per_update = contest.decisions_per_update(config)
    moments = contest.ours(Agent(config), config, steps=GPU_UPDATES * per_update)
    first, last = moments[GPU_WARM], moments[-1]
    best = max((moment for moment in moments if moment.held_out == moment.held_out), key=lambda moment: moment.held_out)
    return (
        f"PPO on {_name(resolve_device(device))}, {config.ppo.n_envs:,} environments, bfloat16, {config.ppo.epochs} "
        f"epochs: {(last.steps - first.steps) / (last.seconds - first.seconds):,.0f} steps/s, a validation every "
        f"fifth update included; held-out return {moments[0].held_out:.3f} untrained, {best.held_out:.3f} after "
        f"{best.steps / 1e6:.0f} M decisions and {best.seconds:.0f} s"
    )


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _from_scratch(**ppo: float) -> Config:
    """Settings for learning without a clone to stay near."""
    config = Config.from_dict({"training": {"threads": THREADS, "device": "cpu"}, "tracking": {"backend": "none"}})
    fixed = {"entropy_coeff": 0.01, "kl_coeff": 0.0, "target_kl": 0.05, "remixes": 0}
    for name, value in (fixed | ppo).items():
        setattr(config.ppo, name, value)
    return config


class _Clock(TrainingLogger):
    """Notes when each update ended and, where it was validated, what its likeliest decisions score, off the clock."""

    trainer: PPOTrainer

    def __init__(self, per_update: int) -> None:
        super().__init__()
        self.moments: list[Moment] = []
        self.started, self.per_update = time.perf_counter(), per_update

    def _write_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        ended = time.perf_counter()
        score = self._held_out() if "validation/score_with_target" in metrics else float("nan")
        self.moments.append(Moment(ended - self.started, step * self.per_update, score))
        self.started += time.perf_counter() - ended

    def _held_out(self) -> float:
        tryout = Tryout(self.trainer.validation_songs, self.trainer.config)
        shown = tryout.judged(tryout.edits(self.trainer.average.agent)).shown
        return float(shown.edits.scores.total.mean())


def _played(model: "MaskablePPO", env: Any) -> float:
    observation, _ = env.reset()
    done, info = False, {}
    while not done:
        action, _ = model.predict(observation, action_masks=env.action_masks(), deterministic=True)
        observation, _, done, _, info = env.step(int(action))
    return float(info["reward_components"].total)
