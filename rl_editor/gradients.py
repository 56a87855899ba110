"""Gradients of minibatches in which few songs occur: only those are encoded.

On the CPU a minibatch is computed in two halves side by side, each on a thread of its own: the operations are many and
small, so that two cores do halves of the samples faster than halves of every operation. The halves are the same on any
machine, and so is their sum.

On a GPU the kernels of a minibatch are many and small, so they are recorded and replayed (``replaying``). That needs
fixed shapes: minibatches of one size, gathered from samples that stay in place, and a list of songs that is filled up
to a multiple of eight.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rl_editor.agent import Agent, Embeddings
from rl_editor.devices import SideBySide
from rl_editor.replaying import Replayed
from rl_editor.rollouts import Experience
from rl_editor.state import TrackBatch

_SONGS_STEP = 8  # lists of songs have so many entries, or twice as many ...


class Losses(NamedTuple):
    """The loss that is minimised, and numbers worth watching."""

    loss: Float[Tensor, ""]
    watched: Float[Tensor, " watched"]


class _Gradient(NamedTuple):
    losses: Float[Tensor, " losses"]
    weights: tuple[Tensor | None, ...]  # of every weight


@dataclass(eq=False)
class Gradients:
    """Computes gradients into the weights of an agent.

    Attributes:
        agent: whose weights.
        batch: the songs.
        losses: from embeddings of some songs and samples whose tracks count those songs.
        autocast: the precision of encoding.
        side_by_side: computes as many parts of a minibatch: the samples of some of its songs, and those of the others.
        replayed: record and replay; the samples must always be as many, and a group hold one minibatch.
    """

    agent: Agent
    batch: TrackBatch
    losses: Callable[[Embeddings, Experience], Losses]
    autocast: Callable[[], torch.autocast]
    side_by_side: SideBySide
    replayed: bool
    _held: Experience | None = None
    _inputs: dict[tuple[int, int], tuple[Tensor, Tensor]] = field(default_factory=dict)
    _replays: dict[tuple[int, int], Replayed[_Gradient]] = field(default_factory=dict)

    def hold(self, samples: Experience) -> None:
        """Take the samples that minibatches are chosen from."""
        if not self.replayed or self._held is None:
            self._held = samples.clone() if self.replayed else samples
        else:
            self._held.copy_(samples)

    def __call__(self, group: Sequence[Int[Tensor, " chosen"]]) -> Float[Tensor, "minibatches losses"]:
        """Give the weights the mean gradient of some minibatches; their losses, the total first."""
        if self.replayed and len(group) == 1:
            gradient = self._replay(group[0])
            for weight, slope in zip(self._learning(), gradient.weights, strict=True):
                weight.grad = slope
            return gradient.losses[None].clone()
        self.agent.zero_grad(set_to_none=True)
        return torch.stack([self._accumulate(chosen, share=1.0 / len(group)) for chosen in group])

    def _accumulate(self, chosen: Int[Tensor, " chosen"], *, share: float) -> Float[Tensor, " losses"]:
        """Add ``share`` of a minibatch's gradient to that of the weights."""
        parts = chosen.tensor_split(min(self.side_by_side.n, len(chosen)))
        losses: list[Tensor] = []
        for part, gradient in zip(parts, self.side_by_side.map(self._gradient, parts), strict=True):
            of_all = len(part) / len(chosen)
            losses.append(gradient.losses * of_all)
            for weight, slope in zip(self._learning(), gradient.weights, strict=True):
                if slope is not None:
                    own = slope * (share * of_all)  # two weights may be given one slope
                    weight.grad = own if weight.grad is None else weight.grad.add_(own)
        return torch.stack(losses).sum(0)

    def _gradient(self, chosen: Int[Tensor, " chosen"]) -> _Gradient:
        """Of the mean loss over some samples."""
        assert self._held is not None, "hold samples first"
        part = self._held.of(chosen)
        songs, local = torch.unique(part.observation.track, return_inverse=True)
        return self._of(songs, part.on_tracks(local))

    def _replay(self, chosen: Int[Tensor, " chosen"]) -> _Gradient:
        assert self._held is not None, "hold samples first"
        songs = torch.unique(self._held.observation.track[chosen])
        shape = (len(chosen), -(-len(songs) // _SONGS_STEP) * _SONGS_STEP)
        if shape not in self._replays:
            self._inputs[shape] = chosen.clone(), songs.new_empty(shape[1])
            self._replays[shape] = Replayed(lambda: self._listed(*self._inputs[shape]))
        held_chosen, held_songs = self._inputs[shape]
        held_chosen.copy_(chosen)
        held_songs.fill_(self.batch.n_tracks)  # nobody's number
        held_songs[: len(songs)] = songs
        return self._replays[shape]()

    def _listed(self, chosen: Int[Tensor, " chosen"], songs: Int[Tensor, " listed"]) -> _Gradient:
        assert self._held is not None
        part, nobody = self._held.of(chosen), self.batch.n_tracks
        place = songs.new_zeros(nobody + 1)
        place[songs] = torch.arange(len(songs), device=songs.device)
        return self._of(songs.clamp(max=nobody - 1), part.on_tracks(place[part.observation.track]))

    def _of(self, songs: Int[Tensor, " songs"], part: Experience) -> _Gradient:
        """Of samples whose tracks count these songs."""
        with self.autocast():
            embeddings = self.agent.encode_tracks(self.batch, songs)
        loss, watched = self.losses(embeddings, part)
        slopes = torch.autograd.grad(loss, self._learning(), allow_unused=True)
        return _Gradient(torch.cat([loss.detach()[None], watched]), slopes)

    def _learning(self) -> list[Tensor]:
        """The weights that are not frozen."""
        return [weight for weight in self.agent.parameters() if weight.requires_grad]
