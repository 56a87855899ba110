"""PPO with and without a reward learned from a simulated listener: whose edits does the listener prefer to the clone's?

Reads what ``make repro`` left (``data``, ``models/bc``). The listener judges pairs of a listening set; the policies
edit held-out songs to the editor's length; the listener compares whole edits, and the excerpts where they differ.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from jaxtyping import Float

from benchmarks.preferences.listeners import Listener, scale_of, session, sharpened
from rl_editor.checkpoint import Policy, load_policy
from rl_editor.config import Config
from rl_editor.demonstrations import Demonstration
from rl_editor.edits import EditList
from rl_editor.evaluation import TrackJudge
from rl_editor.infer import edit_recording
from rl_editor.judgements.sets import ListeningSet
from rl_editor.logging_utils import TrainingLogger
from rl_editor.preferences.excerpts import excerpts
from rl_editor.reward import SUMMARY_NAMES, RewardCalculator
from rl_editor.reward_model import RewardModel
from rl_editor.reward_model.bradley_terry import sigmoid
from rl_editor.reward_model.choosing import ActiveChooser
from rl_editor.reward_model.learning import learn
from rl_editor.state import AudioState
from rl_editor.train_unified import fine_tune
from stages.dataset import read_demonstrations, read_reference
from stages.layout import BC_CHECKPOINT

JUDGEMENTS = 200


class Stage:
    """Held-out songs, and the clone's edits of them."""

    def __init__(self, held: Sequence[Demonstration], config: Config) -> None:
        self.held, self.config = held, config
        self.states = [AudioState(d.grid, d.features, d.source) for d in held]
        self.judges = [TrackJudge(d, config, state=s) for d, s in zip(held, self.states, strict=True)]
        self.calculator = RewardCalculator(config)
        self.clones = self.edits(load_policy(BC_CHECKPOINT))

    def edits(self, policy: Policy) -> list[EditList]:
        """Every song edited to its editor's length."""
        return [
            edit_recording(policy, state, target_duration_s=d.edit.duration_s, style=d.style)
            for d, state in zip(self.held, self.states, strict=True)
        ]

    def row(self, policy: Policy, listener: Listener, scale: Float[np.ndarray, " summary"]) -> dict[str, float]:
        """How a policy's edits are liked beside the clone's, and how both agree with the editor."""
        found = self.edits(policy)
        whole, cut = [], []
        for ours, theirs, state in zip(found, self.clones, self.states, strict=True):
            whole.append(self._chance(ours, theirs, state, listener, scale))
            sides = excerpts(ours, theirs, state.grid)
            if sides is not None:
                cut.append(self._chance(sides[0].edit, sides[1].edit, state, listener, scale))
        change = self._agreement(found) - self._agreement(self.clones)
        by_song = pd.Series(change).groupby([d.song for d in self.held]).mean().dropna()
        return {
            "whole edits": float(np.mean(whole)),
            "where they differ": float(np.mean(cut)) if cut else 0.5,
            "differ": len(cut) / len(found),
            "agreement": float(by_song.mean()),
            "+-": float(by_song.std() / np.sqrt(len(by_song))),
        }

    def _agreement(self, found: Sequence[EditList]) -> Float[np.ndarray, " songs"]:
        """KEEP/CUT balanced accuracy; NaN where the editor cut nothing."""
        scores = [judge.score(edit) for judge, edit in zip(self.judges, found, strict=True)]
        return np.array([score.get("balanced_accuracy", np.nan) for score in scores])

    def _chance(
        self,
        ours: EditList,
        theirs: EditList,
        state: AudioState,
        listener: Listener,
        scale: Float[np.ndarray, " summary"],
    ) -> float:
        summaries = np.array([self.calculator.summary(edit, state).numpy() for edit in (ours, theirs)])
        one, two = listener.utilities(summaries, SUMMARY_NAMES, scale)
        return float(sigmoid(np.array(one - two)))


def tuning_table(
    judged: ListeningSet, held: Sequence[Demonstration], tastes: Sequence[Listener], config: Config
) -> pd.DataFrame:
    """Every taste: how often PPO's edits are preferred to the clone's, without and with the learned reward."""
    train = read_demonstrations(splits=("train", "validation"))
    stage, scale = Stage(held, config), scale_of(judged)
    plain = _tuned(train, config, None)
    rows = []
    for taste in tastes:
        listener, rng = sharpened(taste, judged), np.random.default_rng(config.training.seed)
        answers = session(judged, [listener], JUDGEMENTS, rng, choose=ActiveChooser(judged))
        learned = learn([answers], config.reward_model, rng)
        for name, policy in (("plain", plain), ("learned", _tuned(train, config, learned.model))):
            rows.append({"taste": taste.name, "PPO": name, **stage.row(policy, listener, scale)})
            print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def _tuned(train: list[Demonstration], config: Config, learned_reward: RewardModel | None) -> Policy:
    with TemporaryDirectory() as folder:
        return fine_tune(
            load_policy(BC_CHECKPOINT),
            train,
            config,
            save_dir=Path(folder),
            logger=TrainingLogger(),
            reference=read_reference(),
            learned_reward=learned_reward,
        ).policy
