"""PPO with and without a reward learned from a simulated listener: whose edits does the listener prefer?

Reads what ``make repro`` left (``data``, ``models/bc``). The listener judges pairs of songs that are not held out; the
policies edit the held-out ones to the editor's length; the listener compares whole edits, and excerpts where they
differ.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.preferences.listeners import Listener, scale_of, session, sharpened
from rl_editor.checkpoint import Policy, load_policy
from rl_editor.config import Config
from rl_editor.demonstrations import Demonstration
from rl_editor.edits import EditList
from rl_editor.evaluation import EvaluationResult, evaluate_policies
from rl_editor.judgements.sets import ListeningSet
from rl_editor.logging_utils import TrainingLogger
from rl_editor.preferences.excerpts import excerpts
from rl_editor.reward import RewardCalculator
from rl_editor.reward_model.bradley_terry import sigmoid
from rl_editor.reward_model.choosing import ActiveChooser
from rl_editor.reward_model.learning import learn
from rl_editor.state import AudioState
from rl_editor.train_unified import fine_tune
from stages.dataset import read_demonstrations, read_reference
from stages.layout import BC_CHECKPOINT

JUDGEMENTS = 200


class Liked(NamedTuple):
    """How often one method's edits are preferred to another's, ties half, and the shares of songs that differ."""

    whole: float
    excerpts: float
    differ: float


def tuning_table(found: ListeningSet, tastes: tuple[Listener, ...], config: Config, seeds: int) -> pd.DataFrame:
    """Every taste: preference of PPO's edits over the clone's, with the learned reward and without it."""
    train, test = (read_demonstrations(splits=splits) for splits in (("train", "validation"), ("test",)))
    held = {d.source.sha256 for d in test}
    judged = replace(found, pairs=tuple(p for p in found.pairs if p.a.edit.source.sha256 not in held))
    scale, clone = scale_of(judged), load_policy(BC_CHECKPOINT)
    plain = {seed: _tuned(train, _seeded(config, seed), None) for seed in range(seeds)}
    rows = []
    for taste in tastes:
        listener = sharpened(taste, judged)
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            answers = session(judged, [listener], JUDGEMENTS, rng, choose=ActiveChooser(judged))
            learned = learn([answers], config.reward_model, rng)
            with_it = _tuned(train, _seeded(config, seed), learned.model)
            policies = {"bc": clone, "ppo": plain[seed], "learned": with_it}
            result = evaluate_policies(policies, test, config, reference=read_reference())
            likes = {name: _liked(result, name, listener, scale, config) for name in ("ppo", "learned")}
            means = _means(result)
            rows.append(
                {
                    "taste": taste.name,
                    "seed": seed,
                    "predicted": learned.trial.accuracy if learned.trial else np.nan,
                    "ppo whole": likes["ppo"].whole,
                    "learned whole": likes["learned"].whole,
                    "ppo excerpts": likes["ppo"].excerpts,
                    "learned excerpts": likes["learned"].excerpts,
                    "differ": likes["learned"].differ,
                    "agreement ppo-bc": means["ppo"] - means["bc"],
                    "agreement learned-bc": means["learned"] - means["bc"],
                }
            )
            print({k: round(v, 3) if isinstance(v, float) else v for k, v in rows[-1].items()}, flush=True)
    return pd.DataFrame(rows)


def _seeded(config: Config, seed: int) -> Config:
    return replace(config, training=replace(config.training, seed=seed))


def _tuned(train: list[Demonstration], config: Config, learned_reward: object) -> Policy:
    with TemporaryDirectory() as folder:
        result = fine_tune(
            BC_CHECKPOINT,
            train,
            config,
            save_dir=Path(folder),
            logger=TrainingLogger(),
            reference=read_reference(),
            learned_reward=learned_reward,
        )
    return result.policy


def _means(result: EvaluationResult) -> Mapping[str, float]:
    rows = result.rows[result.rows["condition"] == "target"]
    by_song = rows.groupby(["method", "song"])["balanced_accuracy"].mean()
    return by_song.groupby("method").mean().to_dict()


def _liked(result: EvaluationResult, method: str, listener: Listener, scale: np.ndarray, config: Config) -> Liked:
    calculator = RewardCalculator(config)
    whole, cut, differ = [], [], []
    for example in result.examples:
        ours, theirs = example.edits[method], example.edits["bc"]
        differ.append(float(ours != theirs))
        whole.append(_chance(ours, theirs, example.state, calculator, listener, scale))
        sides = excerpts(ours, theirs, example.state.grid)
        if sides is not None:
            cut.append(_chance(sides[0].edit, sides[1].edit, example.state, calculator, listener, scale))
    return Liked(float(np.mean(whole)), float(np.mean(cut)) if cut else 0.5, float(np.mean(differ)))


def _chance(
    ours: EditList,
    theirs: EditList,
    state: AudioState,
    calculator: RewardCalculator,
    listener: Listener,
    scale: np.ndarray,
) -> float:
    from rl_editor.reward import SUMMARY_NAMES

    summaries = np.array([calculator.summary(edit, state).numpy() for edit in (ours, theirs)])
    one, two = listener.utilities(summaries, SUMMARY_NAMES, scale)
    return float(sigmoid(np.array(one - two)))
