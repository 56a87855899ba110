"""Every width that the networks depend on, and how it follows from the settings."""

from typing import NamedTuple

from rl_editor.actions import ActionSpace
from rl_editor.config import Config
from rl_editor.state import STRUCTURE_DIM, StateRepresentation


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
