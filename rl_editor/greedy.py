"""Songs edited by the likeliest decisions: how a policy in training does, and how it agrees with the editor.

Shapes: T songs, V = 2 variants: the target duration shown (0) and hidden (1); edits are V * T, in this order.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from rl_editor.actions import CUT, ActionSpace
from rl_editor.agent import Agent
from rl_editor.config import Config
from rl_editor.environment.batched import Scores
from rl_editor.lessons import KINDS, N_VARIANTS, Songs, kinds_of
from rl_editor.reward import LearnedReward


class GreedyEdits(NamedTuple):
    """Songs edited by the likeliest decisions, and how the edits score."""

    actions: Int[Tensor, "edits units"]
    scores: Scores


class Greedy(NamedTuple):
    """Every song edited once, and how the edits agree with the editor."""

    edits: GreedyEdits
    agreed: dict[str, float]


class Played(NamedTuple):
    """Every song edited twice."""

    shown: Greedy  # the target duration shown
    hidden: Greedy  # and hidden


class GreedyPlay:
    """Edits songs by the likeliest decisions; the reward asks for the editor's length even where it is hidden."""

    def __init__(self, songs: Songs, config: Config, *, learned_reward: LearnedReward | None = None) -> None:
        self.songs, self.generator = songs, torch.Generator(songs.style.device)
        self._env = songs.environment(
            config, n_envs=N_VARIANTS * len(songs), generator=self.generator, learned_reward=learned_reward
        )
        self._kinds = kinds_of(ActionSpace(config.action_space), songs.style.device)
        self._longest = int(songs.batch.n_units.max())

    @torch.no_grad()
    def edits(self, agent: Agent) -> GreedyEdits:
        """What an agent makes of every song, targets shown first, then hidden; nothing is read back from the device."""
        n_songs, device, env = len(self.songs), self.songs.style.device, self._env
        embeddings = agent.encode(self.songs.batch)
        track = torch.arange(n_songs, device=device).repeat(N_VARIANTS)
        observation = env.reset(track, hidden=torch.arange(len(track), device=device) >= n_songs)
        for _ in range(self._longest):
            observation = env.decide(agent.logits(embeddings, observation).argmax(1))
        return GreedyEdits(env.actions, env.scores())

    def judged(self, edits: GreedyEdits) -> Played:
        """The two halves of ``edits``, and how they agree with the editor."""
        n_songs, counts = len(self.songs), self.songs.weight > 0

        def greedy(part: slice) -> Greedy:
            own = GreedyEdits(edits.actions[part], Scores(*(numbers[part] for numbers in edits.scores)))
            actions = own.actions[:, : counts.shape[1]][counts].long()
            return Greedy(own, agreement(actions, self.songs.actions[counts], self._kinds))

        return Played(greedy(slice(0, n_songs)), greedy(slice(n_songs, None)))


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
