"""One recording as the world sees it, and the decisions taken on it.

Conventions: N beats (``grid``), U decision units (``grid.units``), both 0-based; a style is the number of an editor.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool

from rl_editor.actions import CUT, ActionLedger, ActionSpace, ActionType
from rl_editor.config import Config
from rl_editor.edits import EditList, SourceInfo, check_whole
from rl_editor.errors import EditListError
from rl_editor.features import BeatFeatures
from rl_editor.grid import BeatGrid
from rl_editor.labels import decode

if TYPE_CHECKING:
    from rl_editor.utils import Samples

_DEFAULT_RATE_HZ = 44100  # of a recording that is known by its beats only


@dataclass(frozen=True, eq=False)
class AudioState:
    """What is heard of a recording: its beats and their features.

    Attributes:
        grid: N beats that tile the recording.
        features: one row per beat.
        source: the file; None where only beats are known (a stand-in of the same length is then cut).
        style: number of the editor to follow, below ``config.state.n_styles``.

    Raises:
        EditListError: not one row of features per beat, or a style that is no number.
    """

    grid: BeatGrid
    features: BeatFeatures
    source: SourceInfo | None = None
    style: int = 0

    def __post_init__(self) -> None:
        if self.features.n_beats != self.grid.n_beats:
            raise EditListError(
                f"{self.recording.name}: {self.features.n_beats} rows of features for {self.grid.n_beats} beats; "
                "one row per beat is needed: were they computed on another grid?"
            )
        check_whole(f"{self.recording.name}: style", self.style, 0)

    @property
    def recording(self) -> SourceInfo:
        """The source, or a stand-in of the same length."""
        if self.source is not None:
            return self.source
        frames = max(round(self.grid.duration_s * _DEFAULT_RATE_HZ), 1)
        return SourceInfo("untitled", "", _DEFAULT_RATE_HZ, 1, frames)

    @classmethod
    def from_file(
        cls, path: str | Path, config: Config, *, style: int = 0, recording: "Samples | None" = None
    ) -> "AudioState":
        """Analyse a recording (through the feature cache); ``recording``: its samples where they are at hand.

        Raises:
            AudioFileError: the file cannot be read or holds too little.
        """
        from rl_editor.analysis import analyse_track  # the only door to files; heavy, hence here

        analysis = analyse_track(Path(path), config, recording=recording)
        return cls(analysis.grid, analysis.features, analysis.source, style)


class EditHistory:
    """The decisions taken so far on a recording, one per unit, always legal.

    Raises:
        EditListError: a decision that is illegal where it is recorded.
    """

    def __init__(self, state: AudioState, config: Config, actions: Iterable[int] = ()) -> None:
        self._state, self._config = state, config
        self.units = state.grid.units(config.action_space.unit_beats)
        self.space = ActionSpace(config.action_space)
        self._ledger = ActionLedger(self.units.n_units, self.space)
        for action in actions:
            self.record(action)

    @property
    def unit(self) -> int:
        """The unit that is decided next."""
        return self._ledger.unit

    @property
    def done(self) -> bool:
        """Every unit is decided."""
        return self.unit >= self.units.n_units

    @property
    def actions(self) -> tuple[int, ...]:
        """The decisions, in the order of units."""
        return tuple(self._ledger.actions)

    def mask(self) -> Bool[np.ndarray, " actions"]:
        """Which decisions are legal for the next unit."""
        return self._ledger.mask()

    def record(self, action: int) -> None:
        """Take a decision."""
        self._ledger.push(int(action))

    def count(self, kind: ActionType) -> int:
        """How many decisions are of this kind."""
        return sum(self.space.type_of(action) is kind for action in self.actions)

    def edit_list(self) -> EditList:
        """The edit so far; units that are not decided yet do not play."""
        actions = [*self.actions, *[CUT] * (self.units.n_units - self.unit)]
        return decode(
            actions,
            self.units,
            self.space,
            source=self._state.recording,
            crossfade_ms=self._config.action_space.default_crossfade_ms,
            beat_times_s=tuple(float(t) for t in self._state.grid.times_s),
            unit_beats=self._config.action_space.unit_beats,
        )
