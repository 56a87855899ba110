"""What is observed of a recording and of its editing: the track as tables, the song map, history and progress.

``AudioState`` is one analysed recording, ``EditHistory`` the decisions on it, ``StateRepresentation`` turns recordings
into a ``TrackBatch`` of tensors and episodes into (flat) observations. Conventions are those of ``representation``.

What holds tensors is imported when first used: torch takes seconds, and a recording alone needs none.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rl_editor.state.audio import AudioState, EditHistory
from rl_editor.state.spans import SPAN_WAYS
from rl_editor.state.structure import STRUCTURE_DIM, STRUCTURE_NAMES, passage_units, sections
from rl_editor.state.tables import ReferenceStatistics

if TYPE_CHECKING:
    from rl_editor.state.representation import (
        DECISION_DIM,
        PROGRESS_DIM,
        PROGRESS_NAMES,
        Observation,
        ObservationLayout,
        StateRepresentation,
        TrackBatch,
        decision_vectors,
        n_units_of,
    )

__all__ = [
    "DECISION_DIM",
    "PROGRESS_DIM",
    "PROGRESS_NAMES",
    "SPAN_WAYS",
    "STRUCTURE_DIM",
    "STRUCTURE_NAMES",
    "AudioState",
    "EditHistory",
    "Observation",
    "ObservationLayout",
    "ReferenceStatistics",
    "StateRepresentation",
    "TrackBatch",
    "decision_vectors",
    "n_units_of",
    "passage_units",
    "sections",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("rl_editor.state.representation"), name)
