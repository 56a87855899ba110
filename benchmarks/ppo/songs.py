"""Recordings for the contest, and the Gymnasium environment that the peer plays on them.

Songs are composed (``rl_editor.composer``) and edited by the editors of the default corpus: nothing is downloaded, and
both learners meet the same tables.
"""

from collections.abc import Sequence
from typing import Any, SupportsIndex

import gymnasium
import numpy as np
from jaxtyping import Bool, Float32

from rl_editor.config import Config
from rl_editor.demonstrations import Demonstration
from rl_editor.environment import AudioEditingEnv
from rl_editor.state import AudioState


class Songbook(gymnasium.Env[Float32[np.ndarray, " size"], SupportsIndex]):
    """``AudioEditingEnv`` over many recordings: every episode is one of them, drawn at random."""

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  # gymnasium's own declaration

    def __init__(self, demonstrations: Sequence[Demonstration], styles: Sequence[str], config: Config) -> None:
        self.pages = [
            AudioEditingEnv(
                config,
                audio_state=AudioState(d.grid, d.features, d.source, list(styles).index(d.style)),
                target_duration_s=d.edit.duration_s,
                style_names=styles,
            )
            for d in demonstrations
        ]
        self.action_space, self.observation_space = self.pages[0].action_space, self.pages[0].observation_space
        self.page = self.pages[0]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32[np.ndarray, " size"], dict[str, Any]]:
        """Turn to another page."""
        super().reset(seed=seed)
        self.page = self.pages[int(self.np_random.integers(len(self.pages)))]
        return self.page.reset(options=options)

    def step(self, action: SupportsIndex) -> tuple[Float32[np.ndarray, " size"], float, bool, bool, dict[str, Any]]:
        """Decide on the page."""
        return self.page.step(action)

    def action_masks(self) -> Bool[np.ndarray, " actions"]:
        """Which decisions are legal now."""
        return self.page.action_masks()
