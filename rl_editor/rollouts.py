"""What environments did, as samples to learn from, and minibatches of them.

Shapes: S steps by E environments, time first; N samples.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rl_editor.state import Observation


class Rollout(NamedTuple):
    """What E environments did in S steps, and what came of it."""

    observation: Observation  # every part is [S, E, ...]
    value_end: Float[Tensor, " envs"]
    action: Int[Tensor, "steps envs"]
    log_prob: Float[Tensor, "steps envs"]
    value: Float[Tensor, "steps envs"]
    reward: Float[Tensor, "steps envs"]
    done: Bool[Tensor, "steps envs"]
    terms: Float[Tensor, "steps envs terms"]
    score: Float[Tensor, "steps envs"]
    audited: Float[Tensor, "steps envs"]
    learned: Float[Tensor, "steps envs"]


class Experience(NamedTuple):
    """N decisions to learn from."""

    observation: Observation
    clone_log_probs: Float[Tensor, "n actions"]
    action: Int[Tensor, " n"]
    log_prob: Float[Tensor, " n"]
    advantage: Float[Tensor, " n"]
    value_target: Float[Tensor, " n"]

    def of(self, chosen: Int[Tensor, " chosen"]) -> "Experience":
        """Some of them."""
        return self._of_each(lambda part: part[chosen])

    def clone(self) -> "Experience":
        """The same numbers elsewhere in memory."""
        return self._of_each(Tensor.clone)

    def copy_(self, other: "Experience") -> None:
        """Take the numbers of as many others, in place."""
        for mine, theirs in zip((*self.observation, *self[1:]), (*other.observation, *other[1:]), strict=True):
            mine.copy_(theirs)

    def on_tracks(self, track: Int[Tensor, " n"]) -> "Experience":
        """The same with other numbers of tracks."""
        return self._replace(observation=self.observation._replace(track=track))

    def _of_each(self, change: Callable[[Tensor], Tensor]) -> "Experience":
        return Experience(Observation(*map(change, self.observation)), *map(change, self[1:]))


def by_song(
    song: Int[Tensor, " n"], n_songs: int, n_batches: int, generator: torch.Generator
) -> list[Int[Tensor, " chosen"]]:
    """Equal minibatches of sample numbers that each touch few songs: both in random order."""
    rank = torch.randperm(n_songs, generator=generator, device=song.device)
    within = torch.rand(len(song), generator=generator, device=song.device)
    order = torch.argsort(rank[song] + within)
    batches = list(torch.tensor_split(order, n_batches))
    shuffle = torch.randperm(len(batches), generator=generator, device=song.device).tolist()
    return [batches[index] for index in shuffle if len(batches[index])]
