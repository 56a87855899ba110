"""Policy and value networks: hear the track once, decide many times.

Shapes: T tracks, U units, E environments (or samples), W window rows, M song-map tokens, R row columns, D width.
``Agent.encode`` gives one embedding per position of every track, from what is audible alone; ``Agent.decide`` adds
style, edit history and progress and gives masked logits and a value. ``Agent.select_action`` takes flat observations
and calls the same two networks on the window and the song map that the observation holds; both paths give the same
numbers to 1e-5 (tested), because an embedding depends on nothing else.

encoder     rows and song map to embeddings
heads       an embedding and what was done before to logits and a value
sampling    draws, and how spread they are
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from rl_editor.actions import ActionSpace
from rl_editor.agent.encoder import EncodedTracks, Normalisation, TrackEncoder, centre
from rl_editor.agent.heads import FEW_TRACKS, ILLEGAL, Keys, PolicyNetwork, Seen, ValueNetwork
from rl_editor.agent.places import N_EXCERPTS, places
from rl_editor.agent.sampling import kind_entropy, kind_log_probs, probabilities, sample
from rl_editor.config import Config
from rl_editor.devices import resolve_device
from rl_editor.errors import ConfigError
from rl_editor.habits import STARTS
from rl_editor.state import PROGRESS_NAMES, Observation, StateRepresentation, TrackBatch, n_units_of
from rl_editor.trees import Trees
from rl_editor.usual_fades import UsualFades
from rl_editor.usual_length import UsualLengths
from rl_editor.usual_regions import UsualRegions

__all__ = [
    "FEW_TRACKS",
    "ILLEGAL",
    "N_EXCERPTS",
    "Agent",
    "Decision",
    "Embeddings",
    "EncodedTracks",
    "Jitter",
    "Keys",
    "PolicyNetwork",
    "Seen",
    "SelectedAction",
    "ValueNetwork",
    "kind_entropy",
    "kind_log_probs",
    "probabilities",
    "sample",
    "seeded",
]

_PLACE = PROGRESS_NAMES.index("place")  # units decided, as a share
_STRUCTURE_NOISE = 0.2  # of the noise that features get: ranks that move by more are other ranks


class Embeddings(NamedTuple):
    """What is heard: per position, and per place in the song as a key for pointing at it."""

    units: Float[Tensor, "tracks units width"]
    keys: Float[Tensor, "tracks tokens key"]
    n_units: Int[Tensor, " tracks"]
    starts: Float[Tensor, "tracks units ways"]  # 1 where a span starts


class Jitter(NamedTuple):
    """Gaussian noise on normalised features, for training."""

    deviation: float  # standard deviations
    generator: torch.Generator


class Decision(NamedTuple):
    """What the networks say: masked logits, and the value of the state."""

    logits: Float[Tensor, "envs actions"]
    value: Float[Tensor, " envs"]


class SelectedAction(NamedTuple):
    """A decision taken; the action is a plain int for a single observation."""

    action: int | Int[Tensor, " envs"]
    log_prob: Float[Tensor, "..."]
    value: Float[Tensor, "..."]


class _Beside(NamedTuple):
    """What a decision needs of its track beside the embedding."""

    n_units: Int[Tensor, " envs"]
    starts: Float[Tensor, "envs ways"]


class _Place(NamedTuple):
    """What the networks read at the position of each environment."""

    embedding: Float[Tensor, "envs width"]
    keys: Keys
    seen: Seen


class Agent(nn.Module):
    """Encoder, policy and value, with the normalisation of what they read.

    A fresh agent decides without dropout (``eval``); trainers switch.

    Args:
        config: sizes, and the shape of observations and actions.
        input_dim: length of a flat observation; checked.
        n_actions: number of actions; checked.

    Raises:
        ConfigError: the environment was made with other settings than ``config``.
    """

    _offsets: Tensor
    _starts: Tensor

    def __init__(self, config: Config, input_dim: int | None = None, n_actions: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.representation = StateRepresentation(config)
        self.layout = self.representation.layout
        _check("input_dim", input_dim, self.layout.size, "state, features and action_space")
        _check("n_actions", n_actions, self.layout.n_actions, "action_space")
        with seeded(config.training.seed):
            self.encoder = TrackEncoder(self.layout, config.agent)
            self.policy = PolicyNetwork(self.layout, config.agent)
            self.value = ValueNetwork(self.layout, config.agent)
        self.normal_rows = Normalisation(self.layout.row_dim, n_flags=1)
        self.normal_map = Normalisation(self.layout.map_dim)
        self.normal_static = Normalisation(self.layout.static_dim)
        self.usual_lengths = UsualLengths(self.layout.n_styles)
        self.usual_regions = UsualRegions(self.layout.n_styles)
        self.usual_fades = UsualFades(self.layout.n_styles)
        self.trees = Trees(self.layout.n_styles)
        self.register_buffer("_offsets", torch.as_tensor(ActionSpace(config.action_space).target_offsets), False)
        self.register_buffer("_starts", self.layout.n_features + torch.tensor(STARTS), False)
        self._generator: torch.Generator | None = None
        self.eval()
        self.to(resolve_device(config.training.device))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.normal_rows.mean.device

    @property
    def is_normalised(self) -> bool:
        """Whether ``fit_normalisation`` has ever been called, here or before saving."""
        return bool((self.normal_rows.deviation != 1.0).any())

    def fit_normalisation(self, batch: TrackBatch) -> None:
        """Take mean and deviation of every column from these tracks (training tracks only)."""
        self.normal_rows.fit(batch.rows[batch.rows[..., -1] > 0])
        self.normal_map.fit(batch.song_map.flatten(0, 1))
        self.normal_static.fit(batch.static)

    def structure(self, batch: TrackBatch) -> Float[Tensor, "tracks units structure"]:
        """What every unit is told of the song's structure, as it is."""
        return centre(batch.rows, self.layout.context_units)[..., self.layout.n_features : -1]

    def places(self, batch: TrackBatch) -> Float[Tensor, "tracks units places"]:
        """What trees are told of every unit (``agent.places``)."""
        return places(self.structure(batch), batch.n_units)

    def encode(self, batch: TrackBatch, *, jitter: Jitter | None = None) -> Embeddings:
        """Embeddings of every position of every track; positions past a track's end mean nothing."""
        return self._encode(batch.rows, batch.song_map, batch.static, jitter)

    def encode_tracks(
        self, batch: TrackBatch, tracks: Int[Tensor, " chosen"], *, jitter: Jitter | None = None
    ) -> Embeddings:
        """``encode`` of some tracks only, in the order given."""
        return self._encode(batch.rows[tracks], batch.song_map[tracks], batch.static[tracks], jitter)

    def decide(self, embeddings: Embeddings, observation: Observation) -> Decision:
        """Logits and value for every environment."""
        return self._decided(self._at(embeddings, observation))

    def logits(
        self, embeddings: Embeddings, observation: Observation, *, forgets: Bool[Tensor, " envs"] | None = None
    ) -> Float[Tensor, "envs actions"]:
        """Masked logits alone; where it ``forgets``, all but the habits go by what is heard, as in ``path_dropout``."""
        embedding, keys, seen = self._at(embeddings, observation)
        logits: Tensor = self.policy(embedding, keys, seen._replace(forgets=forgets))
        return logits

    @torch.no_grad()
    def select_action(
        self,
        obs: Float[Tensor, "*envs size"] | Float[np.ndarray, "*envs size"],
        *,
        deterministic: bool = False,
        generator: torch.Generator | None = None,
    ) -> SelectedAction:
        """Decide on one flat observation, or on several.

        Raises:
            ConfigError: the observation has another length.
        """
        obs = torch.as_tensor(obs)
        _check("observation", obs.shape[-1], self.layout.size, "state, features and action_space")
        flat = obs.reshape(-1, obs.shape[-1]).to(self.device, torch.float32)
        decision = self.decide_flat(flat)
        log_probs = functional.log_softmax(decision.logits, dim=1)
        action = log_probs.argmax(1) if deterministic else sample(log_probs, generator or self._own_generator())
        log_prob = log_probs.gather(1, action[:, None])[:, 0]
        if obs.ndim == 1:
            return SelectedAction(int(action[0]), log_prob[0], decision.value[0])
        return SelectedAction(action, log_prob, decision.value)

    def decide_flat(self, flat: Float[Tensor, "envs size"]) -> Decision:
        """Logits and value from flat observations: each encodes its own window and song map."""
        parts = self.representation.split(flat)
        embeddings = self._encode(parts.window, parts.song_map, parts.static, None)
        beside = _Beside(embeddings.n_units, embeddings.starts[:, 0])
        seen = self._seen(parts.style, parts.history, parts.progress, parts.mask, beside)
        keys = Keys(embeddings.keys, torch.arange(flat.shape[0], device=flat.device))
        return self._decided(_Place(embeddings.units[:, 0], keys, seen))

    def _decided(self, place: _Place) -> Decision:
        return Decision(self.policy(*place), self.value(place.embedding, place.seen))

    def _at(self, embeddings: Embeddings, observation: Observation) -> _Place:
        track, units = observation.track, embeddings.units
        at = track * units.shape[1] + observation.unit  # flat: its gradient is fast
        embedding, starts = (of_all.flatten(0, 1).index_select(0, at) for of_all in (units, embeddings.starts))
        beside = _Beside(embeddings.n_units[track], starts)
        seen = self._seen(observation.style, observation.history, observation.progress, observation.mask, beside)
        return _Place(embedding, Keys(embeddings.keys, track), seen)

    def _encode(self, rows: Tensor, song_map: Tensor, static: Tensor, jitter: Jitter | None) -> Embeddings:
        exists = rows[..., -1:] > 0
        starts = centre(rows, self.layout.context_units).index_select(2, self._starts) == 0.0
        rows = torch.where(exists, self.normal_rows(rows), 0.0)
        song_map = self.normal_map(song_map)
        if jitter is not None:
            noise = _noise_like(rows, jitter)
            noise[..., self.layout.n_features :] *= _STRUCTURE_NOISE
            rows = torch.where(exists, rows + noise, 0.0)
            song_map = song_map + _noise_like(song_map, jitter)
        heard = self.encoder(rows, song_map, self.normal_static(static))
        return Embeddings(heard.units, self.policy.key(heard.song), n_units_of(static), starts.to(static.dtype))

    def _seen(self, style: Tensor, history: Tensor, progress: Tensor, mask: Tensor, beside: _Beside) -> Seen:
        unit = (progress[:, _PLACE] * beside.n_units).round().long()
        target = (unit[:, None] + self._offsets).clamp(min=0)
        token = target * self.layout.map_tokens // beside.n_units[:, None]
        return Seen(style, history, progress, mask, token.clamp(max=self.layout.map_tokens - 1), beside.starts)

    def _own_generator(self) -> torch.Generator:
        if self._generator is None or self._generator.device != self.device:
            self._generator = torch.Generator(self.device).manual_seed(self.config.training.seed)
        return self._generator


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Layers and dropout draw from torch's global generators: seed them here, and leave them as they were."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _check(what: str, got: int | None, expected: int, sections: str) -> None:
    if got is not None and got != expected:
        raise ConfigError(
            f"{what} {got}: these settings give {expected}; make environment and agent from the same config "
            f"(sections {sections})"
        )


def _noise_like(values: Tensor, jitter: Jitter) -> Tensor:
    noise = torch.empty_like(values).normal_(generator=jitter.generator)
    return noise * jitter.deviation
