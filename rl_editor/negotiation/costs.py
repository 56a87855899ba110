"""What joins cost: c, by the features of their beats (0 to 1) and by how alike their two sides sound (``sound``)."""

import numpy as np
from jaxtyping import Float32, Int

from rl_editor.baselines import JoinCosts
from rl_editor.config import Config
from rl_editor.negotiation.sound import BeatSound
from rl_editor.state import AudioState

SOUND = 0.62  # weight of a join's sound in its cost c, beside the features of its beats
_JOINS_AT_A_TIME = 100_000  # some 50 MB of descriptors


class Costs:
    """c of joins between boundaries, more than half of it by their sound where that is known."""

    def __init__(self, state: AudioState, config: Config, sound: BeatSound | None) -> None:
        self._features, self._sound = JoinCosts(state, config), sound

    def between(
        self, leave: Int[np.ndarray, " joins"], land: Int[np.ndarray, " joins"]
    ) -> Float32[np.ndarray, " joins"]:
        """c(leave, land) of each pair."""
        if len(leave) == 0:
            return np.zeros(0, np.float32)
        n_bounds = max(int(leave.max()), int(land.max())) + 1
        if len(leave) > n_bounds**2:  # an edit that plays beats over and over asks for the same joins over and over
            every = np.arange(n_bounds)
            table = self.between(np.repeat(every, n_bounds), np.tile(every, n_bounds))
            once: np.ndarray = table[leave * n_bounds + land]
            return once
        parts = [slice(at, at + _JOINS_AT_A_TIME) for at in range(0, len(leave), _JOINS_AT_A_TIME)]
        return np.concatenate([self._between(leave[part], land[part]) for part in parts])

    def _between(self, leave: Int[np.ndarray, " joins"], land: Int[np.ndarray, " joins"]) -> np.ndarray:
        cost = self._features.between(leave, land)
        return cost if self._sound is None else (1.0 - SOUND) * cost + SOUND * self._sound.unlikeness(leave, land)
