"""Songs edited in training, to see how a policy does and how it agrees with the editor: by the likeliest decisions, or
by cautious draws.

The likeliest decisions jump from update to update, and with them scores by a tenth; the mean of a few draws does not.

Shapes: T songs, D draws; edits are 2 * D * T: with the target duration shown first, then with it hidden, draw by draw.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rl_editor.actions import CUT, ActionSpace
from rl_editor.agent import Agent, sample
from rl_editor.config import Config
from rl_editor.environment.batched import Scores
from rl_editor.lessons import KINDS, N_VARIANTS, Songs, kinds_of
from rl_editor.reward import LearnedReward


class TriedEdits(NamedTuple):
    """Edits of songs, and how they score."""

    actions: Int[Tensor, "edits units"]
    scores: Scores


class Judged(NamedTuple):
    """Edits of every song, and how they agree with the editor."""

    edits: TriedEdits
    agreed: dict[str, float]


class Tried(NamedTuple):
    """Every song edited in both variants."""

    shown: Judged  # the target duration shown
    hidden: Judged  # and hidden


class Tryout:
    """Edits songs to see how an agent does; the reward asks for the editor's length even where it is hidden.

    Args:
        songs: what is edited.
        config: reads ``reward``, ``state`` and ``action_space``.
        learned_reward: takes part in the score.
        n_draws: edits of each song and variant.
        temperature: of the draws; 0 takes the likeliest decisions.
    """

    def __init__(
        self,
        songs: Songs,
        config: Config,
        *,
        learned_reward: LearnedReward | None = None,
        n_draws: int = 1,
        temperature: float = 0.0,
    ) -> None:
        self.songs, self.generator = songs, torch.Generator(songs.style.device)
        self._n_draws, self._temperature = n_draws, temperature
        self._env = songs.environment(
            config, n_envs=N_VARIANTS * n_draws * len(songs), generator=self.generator, learned_reward=learned_reward
        )
        self._kinds = kinds_of(ActionSpace(config.action_space), songs.style.device)
        self._longest = int(songs.batch.n_units.max())

    @torch.no_grad()
    def edits(self, agent: Agent) -> TriedEdits:
        """What an agent makes of every song, targets shown first, then hidden; nothing is read back from the device.

        Draws go on from where ``generator`` is; seed it to draw by the same chance again.
        """
        device, env = self.songs.style.device, self._env
        embeddings = agent.encode(self.songs.batch)
        track = torch.arange(len(self.songs), device=device).repeat(N_VARIANTS * self._n_draws)
        observation = env.reset(track, hidden=torch.arange(len(track), device=device) >= len(track) // N_VARIANTS)
        for _ in range(self._longest):
            observation = env.decide(self._decided(agent.logits(embeddings, observation)))
        return TriedEdits(env.actions, env.scores())

    def _decided(self, logits: Float[Tensor, "edits actions"]) -> Int[Tensor, " edits"]:
        if not self._temperature:
            return logits.argmax(1)
        return sample((logits / self._temperature).log_softmax(1), self.generator)

    def judged(self, edits: TriedEdits) -> Tried:
        """The two halves of ``edits``, and how they agree with the editor."""
        counts = (self.songs.weight > 0).repeat(self._n_draws, 1)
        theirs = self.songs.actions.repeat(self._n_draws, 1)[counts]

        def half(part: slice) -> Judged:
            own = TriedEdits(edits.actions[part], Scores(*(numbers[part] for numbers in edits.scores)))
            actions = own.actions[:, : counts.shape[1]][counts].long()
            return Judged(own, agreement(actions, theirs, self._kinds))

        return Tried(half(slice(0, len(counts))), half(slice(len(counts), None)))


def agreement(
    predicted: Int[Tensor, " n"], actions: Int[Tensor, " n"], kinds: Int[Tensor, " actions"]
) -> dict[str, float]:
    """How well decisions agree: keep/cut balanced accuracy, the recall of every kind that occurs, and their mean.

    Balanced accuracy is the mean of the share of playing units that play and of cut units that are cut; where only one
    of the two occurs, it is that one.
    """
    plays, should_play = predicted != CUT, actions != CUT
    halves = [_share(plays, should_play), _share(~plays, ~should_play)]
    metrics = {"balanced_accuracy": _mean([half for half in halves if half is not None])}
    same_kind = kinds[predicted] == kinds[actions]
    recalls: list[float] = []
    for number, kind in enumerate(KINDS):
        if (recall := _share(same_kind, kinds[actions] == number)) is not None:
            metrics[f"recall_{kind.value.lower()}"] = recall
            recalls.append(recall)
    return metrics | {"macro_recall": _mean(recalls), "exact": float((predicted == actions).float().mean())}


def _share(hit: Bool[Tensor, " n"], among: Bool[Tensor, " n"]) -> float | None:
    return float(hit[among].float().mean()) if bool(among.any()) else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
