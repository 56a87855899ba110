"""One training run: an editor, a seed, a way to learn; what comes of it on songs that it never heard."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

from benchmarks.editing import Song, demonstration, split_names
from benchmarks.learn.ears import policy_ears
from benchmarks.learn.editors import ALL, HEARING_ALIKE
from rl_editor.behavioral_cloning import train_bc
from rl_editor.command import overlaid
from rl_editor.config import Config
from rl_editor.demonstrations import Demonstration
from rl_editor.editors.styles import Editor
from rl_editor.edits import EditList
from rl_editor.evaluation.comparison import Plan, evaluate_plans, policy_plan
from rl_editor.state import STRUCTURE_NAMES, AudioState, representation
from rl_editor.state.structure import Structure, structure
from rl_editor.trainer import PPOTrainer

AGAIN = "again"  # the editor on another day: the ceiling
OTHER_EARS = "other_ears"  # and hearing as the policy does
PPO = "ppo"  # and the beginning of the names of its policy's other ways to choose
HELD_OUT = 1 / 3


@dataclass(frozen=True)
class Way:
    """A way to learn: settings laid over those of the run, and what of a song's structure is not heard."""

    name: str
    settings: Mapping[str, Mapping[str, Any]]
    silenced: tuple[str, ...] = ()  # beginnings of STRUCTURE_NAMES

    def config(self, base: Config, *, seed: int) -> Config:
        """The settings."""
        config = Config.from_dict(overlaid(base.to_dict(), self.settings))
        config.training.seed = seed
        return config


@dataclass(frozen=True)
class Job:
    """What to run."""

    editor: str
    seed: int
    way: Way
    n_train: int
    with_ppo: bool
    nats: tuple[float, ...] = ()  # of a point of reward, by which PPO's policy chooses among its edits as well


def run(job: Job, *, songs: Sequence[Song], base: Config) -> pd.DataFrame:
    """Train and judge; one row per held-out song, method and condition."""
    config, editor = job.way.config(base, seed=job.seed), ALL[job.editor]
    split = split_names(songs, seed=job.seed, held_out=HELD_OUT, n_train=job.n_train)
    known = [song for song in songs if song.name in split]
    demonstrations = [demonstration(s, editor, config, seed=0, split=split[s.name]) for s in known]
    recalled = {AGAIN: _another_day(known, editor, config)}
    if job.editor in HEARING_ALIKE:  # others have ears that nobody can take from them
        with policy_ears():
            recalled[OTHER_EARS] = _another_day(known, editor, config)
    with silenced(job.way.silenced):
        plans = _learned(demonstrations, config, job)
        plans |= {name: _recalled(edits) for name, edits in recalled.items()}
        rows = evaluate_plans(plans, demonstrations, config, seed=job.seed).rows
    return rows.assign(editor=job.editor, seed=job.seed, way=job.way.name, n_train=job.n_train)


@contextmanager
def silenced(beginnings: Sequence[str]) -> Iterator[None]:
    """Let structure columns whose names begin so be 0 for every song."""
    columns = [i for i, name in enumerate(STRUCTURE_NAMES) if name.startswith(tuple(beginnings))] if beginnings else []

    def without(*args: Any) -> Structure:
        whole = structure(*args)
        values = whole.columns.copy()
        values[:, columns] = 0.0
        return whole._replace(columns=values)

    with mock.patch.object(representation, "structure", without):
        yield


def _learned(demonstrations: Sequence[Demonstration], config: Config, job: Job) -> dict[str, Plan]:
    cloned = train_bc(demonstrations, config).policy
    policies = {"bc": replace(cloned, agent=copy.deepcopy(cloned.agent))}
    if job.with_ppo:
        trained = PPOTrainer(config, cloned.agent, demonstrations, styles=cloned.styles).train().policy
        assert trained.objective is not None
        policies[PPO] = trained
        for nats in job.nats:
            policies[f"{PPO}, {nats:g} nats"] = replace(trained, objective=replace(trained.objective, nats=nats))
    return {name: policy_plan(policy) for name, policy in policies.items()}


def _another_day(songs: Sequence[Song], editor: Editor, config: Config) -> dict[str, EditList]:
    """What the editor does with the same songs when its taste is drawn again."""
    return {song.name: demonstration(song, editor, config, seed=1, split="test").edit for song in songs}


def _recalled(edits: Mapping[str, EditList]) -> Plan:
    def plan(d: Demonstration, state: AudioState, target_duration_s: float | None) -> EditList:
        return edits[d.song]

    return plan


def share_of_the_way(learned: float, baseline: float, ceiling: float) -> float:
    """How far from the best baseline to the ceiling; NaN where there is no way to go."""
    return (learned - baseline) / (ceiling - baseline) if ceiling > baseline else np.nan
