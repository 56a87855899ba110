"""Policy and value networks: hear the track once, decide many times.

Shapes: T tracks, U units, E environments (or samples), W window rows, M song-map tokens, R row columns, D width.
``Agent.encode`` gives one embedding per position of every track, from what is audible alone; ``Agent.decide`` adds
style, edit history and progress and gives masked logits and a value. ``Agent.select_action`` takes flat observations
and calls the same two networks on the window and the song map that the observation holds; both paths give the same
numbers to 1e-5 (tested), because an embedding depends on nothing else.

Logits are ``log P(kind) + log P(target | REORDER)``: REORDER is one kind among KEEP, CUT, LOOP n and EXTEND, however
many targets it has, so that neither initialisation nor entropy favours it by number. Targets are pointed at (Vinyals et
al. 2015, "Pointer networks"): a query from the position against the song-map token at the target place, plus a bias per
offset. The value reads the embedding without training it, so that an untrained value cannot spoil a cloned policy.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from rl_editor.actions import ActionSpace
from rl_editor.config import AgentConfig, Config
from rl_editor.devices import resolve_device
from rl_editor.errors import ConfigError
from rl_editor.habits import STARTS, Habits
from rl_editor.state import PROGRESS_NAMES, STRUCTURE_DIM, Observation, StateRepresentation, TrackBatch
from rl_editor.usual_length import UsualLengths

ILLEGAL = -1.0e9  # the logit of a masked action: exp gives 0, and differences stay finite
_STD_FLOOR = 1e-3  # a column that hardly varies is not blown up
_CLAMP = 8.0  # standard deviations beyond which a feature says no more
_PLACE = PROGRESS_NAMES.index("place")  # units decided, as a share
_STATIC_UNITS, _UNITS_OCTAVES = 2, 8.0  # static column that holds log2(units) / 8
_KEY_DIM = 32  # width in which REORDER points at places
FEW_TRACKS = 32  # up to so many, dot products with all their tokens take less memory than a copy of one's keys
# Progress that repeats earlier decisions; place, target, what is missing of it and open regions are no such thing.
_PAST = (
    *("output", "replayed", "kept", "cut", "looped", "moved", "since_change", "last_plays"),
    *("twin_known", "twin_cut", "twin_looped", "twin_moved"),
)
_STRUCTURE_NOISE = 0.2  # of the noise that features get: ranks that move by more are other ranks
_SIZE_OF_INIT = 0.02  # of learned positions


class Embeddings(NamedTuple):
    """What is heard: per position, and per place in the song as a key for pointing at it."""

    units: Float[Tensor, "tracks units width"]
    keys: Float[Tensor, "tracks tokens key"]
    n_units: Int[Tensor, " tracks"]
    starts: Float[Tensor, "tracks units ways"]  # 1 where a span starts


class Heard(NamedTuple):
    """What the encoder gives."""

    units: Float[Tensor, "tracks units width"]
    song: Float[Tensor, "tracks tokens width"]


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


class Dimensions(NamedTuple):
    """Every width that the networks depend on."""

    row: int
    features: int  # columns of a row that come first; structure and the flag follow
    context: int  # units on each side
    token: int
    tokens: int
    static: int
    style: int
    history: int
    progress: int
    actions: int
    first_reorder: int


class Normalisation(nn.Module):
    """Mean and deviation per column, kept with the weights; ``n_flags`` last columns are left as they are."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, n_columns: int, *, n_flags: int = 0) -> None:
        super().__init__()
        self.n_flags = n_flags
        self.register_buffer("mean", torch.zeros(n_columns))
        self.register_buffer("deviation", torch.ones(n_columns))

    def fit(self, values: Float[Tensor, "n columns"]) -> None:
        """Take mean and deviation from these rows."""
        fitted = slice(0, len(self.mean) - self.n_flags)
        self.mean[fitted] = values.double().mean(0)[fitted].to(self.mean.dtype)
        deviation = values.double().std(0, unbiased=False).clamp(min=_STD_FLOOR)
        self.deviation[fitted] = deviation[fitted].to(self.mean.dtype)

    def forward(self, values: Float[Tensor, "*n columns"]) -> Float[Tensor, "*n columns"]:
        """In standard deviations, at most 8 from the mean."""
        normal: Tensor = ((values - self.mean) / self.deviation).clamp(-_CLAMP, _CLAMP)
        return normal


class TrackEncoder(nn.Module):
    """Rows around a position and the song map, to one embedding per position.

    Features pass a bottleneck of ``agent.d_row`` columns (few songs must not teach what a single song sounds like);
    structure, which compares a unit with the rest of its song and so holds on other songs, has a way of its own. Then
    comes convolution over the window, then attention to the song map, whose tokens have attended to each other.
    Positions know the size of the track from ``static`` and their place from their row.
    """

    def __init__(self, dimensions: Dimensions, config: AgentConfig) -> None:
        super().__init__()
        width = config.d_model
        self.context = dimensions.context
        self.n_features = dimensions.features
        self.columns = nn.Dropout1d(config.dropout)  # a feature goes silent for a whole song
        self.parts = nn.Dropout1d(config.structure_dropout)
        self.row = nn.Linear(dimensions.features, config.d_row)
        self.structure = nn.Linear(dimensions.row - dimensions.features, config.d_structure)
        self.hidden = nn.Dropout(config.structure_dropout)
        n_heard = config.d_row + config.d_structure
        self.lift = nn.Linear(n_heard, width)
        self.window = nn.Conv1d(n_heard, width, 2 * dimensions.context + 1)
        self.static = nn.Linear(dimensions.static, width)
        self.token = nn.Linear(dimensions.token, width)
        self.place = nn.Parameter(_SIZE_OF_INIT * torch.randn(dimensions.tokens, width))
        self.song = nn.ModuleList([_SelfAttention(config) for _ in range(config.n_layers)])
        self.attend = _CrossAttention(config)
        self.out = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        rows: Float[Tensor, "tracks padded_units row"],
        song_map: Float[Tensor, "tracks tokens token"],
        static: Float[Tensor, "tracks static"],
    ) -> "Heard":
        """Embeddings of the units that have a whole window in ``rows``: ``2 * context`` fewer than rows."""
        whole = self.static(static)[:, None]
        song = self.token(song_map) + self.place + whole
        for layer in self.song:
            song = layer(song)
        features, structure = rows[..., : self.n_features], rows[..., self.n_features :]
        features = self.columns(features.transpose(1, 2)).transpose(1, 2)
        structure = self.parts(structure.transpose(1, 2)).transpose(1, 2)
        projected = torch.cat(
            [
                self.dropout(functional.gelu(self.row(features))),
                self.hidden(functional.gelu(self.structure(structure))),
            ],
            dim=-1,
        )
        units = (
            self.lift(_centre(projected, self.context))
            + functional.gelu(self.window(projected.transpose(1, 2))).transpose(1, 2)
            + whole
        )
        return Heard(self.out(self.attend(units, song)), song)


class PolicyNetwork(nn.Module):
    """Embedding, style, history and progress to logits; ``Dimensions`` and the section of sizes are its contract."""

    def __init__(self, dimensions: Dimensions, config: AgentConfig) -> None:
        super().__init__()
        self.first_reorder = dimensions.first_reorder
        self.trunk = _Trunk(dimensions, config)
        self.kinds = nn.Linear(config.d_head, dimensions.first_reorder + 1)
        self.query = nn.Linear(config.d_head, _KEY_DIM)
        self.key = nn.Linear(config.d_model, _KEY_DIM, bias=False)
        self.offset = nn.Linear(config.d_head, dimensions.actions - dimensions.first_reorder)
        self.habits = Habits(dimensions.style, dimensions.first_reorder + 1, dropout=config.habit_dropout)

    def forward(self, unit: Float[Tensor, "envs width"], keys: "Keys", seen: "Seen") -> Float[Tensor, "envs actions"]:
        """Masked logits, already normalised over targets."""
        hidden = self.trunk(unit, seen)
        habit = self.habits(seen.progress, seen.style, seen.starts)
        kinds = self.kinds(hidden).float() + habit.float()
        targets = (self.offset(hidden) + keys.pointed_at(self.query(hidden), seen.target_token)).float()
        legal = seen.mask[:, self.first_reorder :]
        targets = functional.log_softmax(targets.masked_fill(~legal, ILLEGAL), dim=1)
        logits = torch.cat([kinds[:, :-1], kinds[:, -1:] + targets], dim=1)
        return logits.masked_fill(~seen.mask, ILLEGAL)

    @torch.no_grad()
    def sharpen(self, factor: float) -> None:
        """Multiply the logits of kinds and of targets: the likeliest decisions stay, the others get rarer."""
        for layer in (self.kinds, self.query, self.offset):
            layer.weight.mul_(factor)
            layer.bias.mul_(factor)
        self.habits.table.weight.mul_(factor)

    def begin_refining(self) -> None:
        """Before a reward is learned: habits stay the editor's, frozen.

        One number of them speaks for every song, so a reward would move them first, and all songs at once.
        """
        self.habits.requires_grad_(requires_grad=False)


class ValueNetwork(nn.Module):
    """Embedding, style, history and progress to the expected rest of the reward."""

    def __init__(self, dimensions: Dimensions, config: AgentConfig) -> None:
        super().__init__()
        self.trunk = _Trunk(dimensions, config)
        self.out = nn.Linear(config.d_head, 1)

    def forward(self, unit: Float[Tensor, "envs width"], seen: "Seen") -> Float[Tensor, " envs"]:
        """The value of each state; the embedding is not trained by it."""
        value: Tensor = self.out(self.trunk(unit.detach(), seen))
        return value[:, 0].float()


class Seen(NamedTuple):
    """What a decision sees beside the audible."""

    style: Float[Tensor, "envs style"]
    history: Float[Tensor, "envs history"]
    progress: Float[Tensor, "envs progress"]
    mask: Bool[Tensor, "envs actions"]
    target_token: Int[Tensor, "envs offsets"]  # song-map token at the place that each REORDER targets
    starts: Float[Tensor, "envs ways"]  # 1 where a span starts at the unit
    forgets: Bool[Tensor, " envs"] | None = None  # where only habits know the decisions before


class Keys(NamedTuple):
    """Song maps as keys, and whose map each environment points into."""

    of_tracks: Float[Tensor, "tracks tokens key"]
    track: Int[Tensor, " envs"]

    def pointed_at(
        self, query: Float[Tensor, "envs key"], token: Int[Tensor, "envs offsets"]
    ) -> Float[Tensor, "envs offsets"]:
        """``query . key / sqrt(d)`` at the tokens asked for.

        Against all songs at once where they are few, which spares every environment its own copy of the keys.
        """
        n_tracks, n_tokens, width = self.of_tracks.shape
        query = query / width**0.5
        if n_tracks <= FEW_TRACKS:
            everywhere = query @ self.of_tracks.flatten(0, 1).T
            return everywhere.gather(1, self.track[:, None] * n_tokens + token)
        pointed = torch.bmm(self.of_tracks.index_select(0, self.track), query[:, :, None])[:, :, 0]
        return pointed.gather(1, token)


class _Beside(NamedTuple):
    """What a decision needs of its track beside the embedding."""

    n_units: Int[Tensor, " envs"]
    starts: Float[Tensor, "envs ways"]


class _Place(NamedTuple):
    unit: Float[Tensor, "envs width"]
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
        self.dimensions = dimensions(config)
        _check("input_dim", input_dim, self.representation.size, "state, features and action_space")
        _check("n_actions", n_actions, self.dimensions.actions, "action_space")
        with seeded(config.training.seed):
            self.encoder = TrackEncoder(self.dimensions, config.agent)
            self.policy = PolicyNetwork(self.dimensions, config.agent)
            self.value = ValueNetwork(self.dimensions, config.agent)
        self.normal_rows = Normalisation(self.dimensions.row, n_flags=1)
        self.normal_map = Normalisation(self.dimensions.token)
        self.normal_static = Normalisation(self.dimensions.static)
        self.usual_lengths = UsualLengths(self.dimensions.style)
        self.register_buffer("_offsets", torch.as_tensor(ActionSpace(config.action_space).target_offsets), False)
        self.register_buffer("_starts", self.dimensions.features + torch.tensor(STARTS), False)
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
        unit, keys, seen = self._at(embeddings, observation)
        return Decision(self.policy(unit, keys, seen), self.value(unit, seen))

    def logits(
        self, embeddings: Embeddings, observation: Observation, *, forgets: Bool[Tensor, " envs"] | None = None
    ) -> Float[Tensor, "envs actions"]:
        """Masked logits alone; where it ``forgets``, all but the habits go by what is heard, as in ``path_dropout``."""
        unit, keys, seen = self._at(embeddings, observation)
        logits: Tensor = self.policy(unit, keys, seen._replace(forgets=forgets))
        return logits

    @torch.no_grad()
    def select_action(
        self,
        obs: Float[Tensor, "*envs size"],
        *,
        deterministic: bool = False,
        generator: torch.Generator | None = None,
    ) -> SelectedAction:
        """Decide on one flat observation, or on several.

        Raises:
            ConfigError: the observation has another length.
        """
        _check("observation", obs.shape[-1], self.representation.size, "state, features and action_space")
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
        unit = embeddings.units[:, 0]
        keys = Keys(embeddings.keys, torch.arange(len(flat), device=flat.device))
        return Decision(self.policy(unit, keys, seen), self.value(unit, seen))

    def _at(self, embeddings: Embeddings, observation: Observation) -> "_Place":
        track, units = observation.track, embeddings.units
        at = track * units.shape[1] + observation.unit  # flat: its gradient is fast
        unit, starts = (of_all.flatten(0, 1).index_select(0, at) for of_all in (units, embeddings.starts))
        beside = _Beside(embeddings.n_units[track], starts)
        seen = self._seen(observation.style, observation.history, observation.progress, observation.mask, beside)
        return _Place(unit, Keys(embeddings.keys, track), seen)

    def _encode(self, rows: Tensor, song_map: Tensor, static: Tensor, jitter: Jitter | None) -> Embeddings:
        exists = rows[..., -1:] > 0
        starts = _centre(rows, self.dimensions.context).index_select(2, self._starts) == 0.0
        rows = torch.where(exists, self.normal_rows(rows), 0.0)
        song_map = self.normal_map(song_map)
        if jitter is not None:
            noise = _noise_like(rows, jitter)
            noise[..., self.dimensions.features :] *= _STRUCTURE_NOISE
            rows = torch.where(exists, rows + noise, 0.0)
            song_map = song_map + _noise_like(song_map, jitter)
        heard = self.encoder(rows, song_map, self.normal_static(static))
        return Embeddings(heard.units, self.policy.key(heard.song), _n_units(static), starts.to(static.dtype))

    def _seen(self, style: Tensor, history: Tensor, progress: Tensor, mask: Tensor, beside: "_Beside") -> Seen:
        unit = (progress[:, _PLACE] * beside.n_units).round().long()
        target = (unit[:, None] + self._offsets).clamp(min=0)
        token = target * self.dimensions.tokens // beside.n_units[:, None]
        return Seen(style, history, progress, mask, token.clamp(max=self.dimensions.tokens - 1), beside.starts)

    def _own_generator(self) -> torch.Generator:
        if self._generator is None or self._generator.device != self.device:
            self._generator = torch.Generator(self.device).manual_seed(self.config.training.seed)
        return self._generator


def dimensions(config: Config) -> Dimensions:
    """The widths that follow from the settings."""
    layout = StateRepresentation(config).layout
    space = ActionSpace(config.action_space)
    return Dimensions(
        row=layout.row_dim,
        features=layout.row_dim - STRUCTURE_DIM - 1,
        context=config.state.context_units,
        token=layout.map_dim,
        tokens=config.state.map_tokens,
        static=layout.static_dim,
        style=config.state.n_styles,
        history=layout.history_dim,
        progress=layout.progress_dim,
        actions=space.n_discrete_actions,
        first_reorder=space.first_reorder,
    )


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Layers and dropout draw from torch's global generators: seed them here, and leave them as they were."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def sample(log_probs: Float[Tensor, "envs actions"], generator: torch.Generator) -> Int[Tensor, " envs"]:
    """One draw per row, by inverting the distribution function; no wait for the device.

    The threshold lies in (0, total], so neither what is impossible nor what lies past the last action is drawn.
    """
    below = log_probs.exp().cumsum(1)
    uniform = torch.rand(len(log_probs), 1, generator=generator, device=log_probs.device, dtype=log_probs.dtype)
    return (below < (1.0 - uniform) * below[:, -1:]).sum(1)


def kind_entropy(log_probs: Float[Tensor, "envs actions"], first_reorder: int) -> Float[Tensor, " envs"]:
    """Entropy over kinds, all REORDER as one: spreading over more targets is no exploration in itself."""
    kinds = kind_log_probs(log_probs, first_reorder)
    return -(kinds.exp() * kinds.clamp(min=-50.0)).sum(1)  # exp(-50) is 0 in float32; 0 * -inf is not


def kind_log_probs(log_probs: Float[Tensor, "envs actions"], first_reorder: int) -> Float[Tensor, "envs kinds"]:
    """Log probability of KEEP, CUT, every LOOP, EXTEND, and of any REORDER."""
    return torch.cat([log_probs[:, :first_reorder], log_probs[:, first_reorder:].logsumexp(1, keepdim=True)], dim=1)


class _Trunk(nn.Module):
    """Two layers over embedding, history and progress; the style scales and shifts the embedding.

    While it learns, a share ``agent.path_dropout`` of decisions is taken without the history and without ``_PAST``:
    what was decided before predicts the next decision so well that a clone copies it instead of listening (de Haan,
    Jayaraman & Levine 2019, "Causal confusion in imitation learning").
    """

    past: Tensor

    def __init__(self, dimensions: Dimensions, config: AgentConfig) -> None:
        super().__init__()
        self.style = nn.Linear(dimensions.style, 2 * config.d_model, bias=False)
        nn.init.zeros_(self.style.weight)  # every style starts as the same editor
        self.heard = nn.Linear(config.d_model, config.d_head)
        self.done = nn.Linear(dimensions.history + dimensions.progress + dimensions.style, config.d_head)
        self.deep = nn.Linear(config.d_head, config.d_head)
        self.dropout = nn.Dropout(config.dropout)
        self.path_dropout = config.path_dropout
        is_past = [True] * dimensions.history + [name in _PAST for name in PROGRESS_NAMES]
        self.register_buffer("past", torch.tensor(is_past), persistent=False)

    def forward(self, unit: Float[Tensor, "envs width"], seen: Seen) -> Float[Tensor, "envs hidden"]:
        scale, shift = self.style(seen.style).chunk(2, dim=1)
        path = torch.cat([seen.history, seen.progress], dim=1)
        forgets = seen.forgets
        if self.training and self.path_dropout:
            forgets = torch.rand(len(path), device=path.device) < self.path_dropout
        if forgets is not None:
            path = path.masked_fill(forgets[:, None] & self.past, 0.0)
        done = self.done(torch.cat([path, seen.style], dim=1))
        hidden: Tensor = self.dropout(functional.gelu(self.heard(unit * (1.0 + scale) + shift) + done))
        return hidden + functional.gelu(self.deep(hidden))


class _SelfAttention(nn.Module):
    """A transformer layer over tokens, normalised first."""

    def __init__(self, config: AgentConfig) -> None:
        super().__init__()
        self.attend = _CrossAttention(config)
        self.norm = nn.LayerNorm(config.d_model)

    def forward(self, tokens: Float[Tensor, "tracks tokens width"]) -> Float[Tensor, "tracks tokens width"]:
        attended: Tensor = self.attend(tokens, self.norm(tokens))
        return attended


class _CrossAttention(nn.Module):
    """Positions attend to tokens, then a feed-forward layer; both residual."""

    def __init__(self, config: AgentConfig) -> None:
        super().__init__()
        width = config.d_model
        self.norm, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, config.n_heads, dropout=config.dropout, batch_first=True)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Float[Tensor, "tracks positions width"], memory: Float[Tensor, "tracks tokens width"]
    ) -> Float[Tensor, "tracks positions width"]:
        attended, _ = self.attention(self.norm(x), memory, memory, need_weights=False)
        x = x + self.dropout(attended)
        fed: Tensor = x + self.dropout(self.feed(self.norm_out(x)))
        return fed


def _check(what: str, got: int | None, expected: int, sections: str) -> None:
    if got is not None and got != expected:
        raise ConfigError(
            f"{what} {got}: these settings give {expected}; make environment and agent from the same config "
            f"(sections {sections})"
        )


def _centre(rows: Float[Tensor, "tracks padded_units columns"], context: int) -> Float[Tensor, "tracks units columns"]:
    """The positions that have a whole window."""
    return rows[:, context : rows.shape[1] - context]


def _n_units(static: Float[Tensor, "tracks static"]) -> Int[Tensor, " tracks"]:
    return torch.exp2(static[:, _STATIC_UNITS] * _UNITS_OCTAVES).round().long()


def _noise_like(values: Tensor, jitter: Jitter) -> Tensor:
    noise = torch.empty_like(values).normal_(generator=jitter.generator)
    return noise * jitter.deviation
