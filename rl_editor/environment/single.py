"""One recording edited by one agent: a Gymnasium environment, a batch of one over the lockstep core."""

from collections.abc import Sequence
from operator import index
from typing import Any, SupportsIndex

import gymnasium
import numpy as np
import torch
from jaxtyping import Bool, Float32

from rl_editor.actions import ActionSpace
from rl_editor.config import Config
from rl_editor.edits import EditList, check_length_asked
from rl_editor.environment.batched import BatchedEditingEnv
from rl_editor.errors import ConfigError, EditListError
from rl_editor.reward import LearnedReward, RewardCalculator
from rl_editor.state import AudioState, EditHistory, Observation, ReferenceStatistics, StateRepresentation

_LENGTH_OPTION = "target_duration_s"


class AudioEditingEnv(gymnasium.Env[Float32[np.ndarray, " size"], SupportsIndex]):
    """Decide KEEP, CUT, LOOP, EXTEND or REORDER for every unit of a recording, first to last.

    Observations are flat float32 vectors (``StateRepresentation.split`` takes them apart). ``info`` holds
    "action_mask" (int8, as ``action_space.sample(mask=...)`` wants it) and "masked_action" (the decision was illegal
    and played as KEEP); at the end also "edit_list" and "reward_components". The rewards of an episode add up to the
    total score minus a constant of its start. ``reset(options={"target_duration_s": 90.0})`` asks for a length, None
    for none; without options the constructor's holds.

    Raises:
        EditListError: an action outside the space, or a step after the end.
        ConfigError: an option of ``reset`` that there is not.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  # gymnasium's own declaration

    def __init__(
        self,
        config: Config,
        *,
        audio_state: AudioState,
        target_duration_s: float | None = None,
        style_names: Sequence[str] = (),
        learned_reward: LearnedReward | None = None,
        reference: ReferenceStatistics | None = None,
    ) -> None:
        self.config, self.audio_state, self.target_duration_s = config, audio_state, target_duration_s
        self.representation = StateRepresentation(config, reference=reference)
        self.style = style_names[audio_state.style] if audio_state.style < len(style_names) else ""
        self.action_space: ActionSpace = ActionSpace(config.action_space)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (self.representation.size,), np.float32)
        self._calculator = RewardCalculator(config, reference=reference, learned_reward=learned_reward)
        self._core = BatchedEditingEnv(
            self.representation.batch([audio_state]),
            config,
            n_envs=1,
            generator=torch.Generator(),
            styles=torch.tensor([audio_state.style]),
            style_names=style_names,
            learned_reward=learned_reward,
            reference=reference,
        )
        self._target_s = target_duration_s
        self._history: EditHistory | None = None
        self._mask = np.zeros(self.action_space.n_discrete_actions, bool)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32[np.ndarray, " size"], dict[str, Any]]:
        """Begin the recording anew."""
        super().reset(seed=seed)
        for name in options or {}:
            if name != _LENGTH_OPTION:
                raise ConfigError(f"reset option {name!r}: unknown, expected {_LENGTH_OPTION}; is it misspelt?")
        self._target_s = (options or {}).get(_LENGTH_OPTION, self.target_duration_s)
        if self._target_s is not None:
            check_length_asked(self._target_s)
        ratio = np.nan if self._target_s is None else self._target_s / float(self._core.batch.reward.duration_s[0])
        observation = self._core.reset(torch.zeros(1, dtype=torch.long), torch.tensor([ratio], dtype=torch.float32))
        self._history = EditHistory(self.audio_state, self.config)
        return self._flat(observation), self._info(masked=False)

    def step(self, action: SupportsIndex) -> tuple[Float32[np.ndarray, " size"], float, bool, bool, dict[str, Any]]:
        """Take one decision."""
        number = index(action)
        if not 0 <= number < self.action_space.n_discrete_actions:
            raise EditListError(f"action {number}: outside 0..{self.action_space.n_discrete_actions - 1}")
        if self._history is None or self._history.done:
            raise EditListError("step after the end of an episode, or before its start; call reset() first")
        result = self._core.step(torch.tensor([number]), auto_reset=False)
        self._history.record(int(result.info.action[0]))
        observation, done = self._flat(result.observation), bool(result.done[0])
        info = self._info(masked=bool(result.info.masked_action[0]))
        if done:
            edit = self.edit_list()
            info["edit_list"] = edit
            info["reward_components"] = self._calculator.score(
                edit, self.audio_state, target_duration_s=self._target_s, style=self.style
            )
        return observation, float(result.reward[0]), done, False, info

    def action_masks(self) -> Bool[np.ndarray, " actions"]:
        """Which decisions are legal now (the name that masking agents look for)."""
        return self._mask

    def edit_list(self) -> EditList:
        """The edit as decided so far; what is not decided yet does not play."""
        assert self._history is not None, "reset() comes first"
        return self._history.edit_list()

    def _flat(self, observation: Observation) -> Float32[np.ndarray, " size"]:
        self._mask = observation.mask[0].numpy()
        flat: np.ndarray = self.representation.flatten(observation, self._core.batch)[0].numpy()
        return flat

    def _info(self, *, masked: bool) -> dict[str, Any]:
        return {"action_mask": self._mask.astype(np.int8), "masked_action": masked}
