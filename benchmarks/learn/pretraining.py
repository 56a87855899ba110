"""A policy that has seen many editors, for others to start from: does it learn one more from fewer pairs?

    python -m benchmarks.learn.pretraining WEIGHTS.safetensors [--songs 160] [--editors 64] [--pairs 24]
    python -m benchmarks.learn --start WEIGHTS.safetensors

Songs are composed from another seed than the default corpus and the benchmark, editors are drawn (``drawn``). What is
kept are the weights that edit held-out songs best. A learner that starts from them takes all but the styles: what it
knows of an editor begins as the mean of all that were seen. An experiment: the pipeline starts from nothing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.editing import Song, demonstration, songs_of
from benchmarks.learn.drawn import drawn_editor
from rl_editor.agent import Agent
from rl_editor.behavioral_cloning import train_bc
from rl_editor.config import Config
from rl_editor.demonstrations import Demonstration
from rl_editor.errors import ConfigError
from rl_editor.library import Split
from rl_editor.logging_utils import TrainingLogger
from rl_editor.state import TrackBatch

SONGS_SEED = 777  # of the composer; the default corpus has another
_HELD_OUT = 12  # every so many-th song chooses when to stop
_AN_EDITORS_OWN = ("policy.habits.", "usual_lengths.", "trees.")  # left for the learner to find out
_STYLE_COLUMNS = ("trunk.style.weight", "trunk.done.weight")  # layers whose last columns read the style


def settings(n_editors: int) -> Config:
    """Many songs and editors: less dropout and larger steps than for few pairs of one editor."""
    return Config.from_dict(
        {
            "state": {"n_styles": n_editors},
            "agent": {"dropout": 0.15, "path_dropout": 0.5},
            "bc": {
                "epochs": 60,
                "patience_epochs": 15,
                "batch_tracks": 48,
                "learning_rate": 2e-3,
                "weight_decay": 0.02,
                "feature_noise": 0.3,
            },
            "corpus": {"seed": SONGS_SEED},
            "tracking": {"backend": "none"},
        }
    )


def demonstrations_of(songs: list[Song], config: Config, *, n_editors: int, pairs: int) -> list[Demonstration]:
    """Every editor on songs of its own."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(n_editors):
        editor = drawn_editor(f"drawn{number:03d}", rng)
        for at in rng.permutation(len(songs))[:pairs]:
            split: Split = "train" if at % _HELD_OUT else "validation"
            found.append(demonstration(songs[at], editor, config, seed=0, split=split))
    return found


def start_from(agent: Agent, weights: Path) -> None:
    """Give an agent the weights of one that has seen many editors, but for habits.

    Raises:
        ConfigError: they are of another size.
    """
    own, n_styles = agent.state_dict(), agent.dimensions.style
    for name, seen in load_file(weights).items():
        if name.startswith(_AN_EDITORS_OWN):
            continue
        given = _of_styles(seen, own[name], n_styles) if name.endswith(_STYLE_COLUMNS) else seen
        if given.shape != own[name].shape:
            raise ConfigError(f"{weights}: {name} is {tuple(given.shape)}, this agent has {tuple(own[name].shape)}")
        own[name] = given
    agent.load_state_dict(own)


def _of_styles(seen: Tensor, own: Tensor, n_styles: int) -> Tensor:
    """Columns of styles become their mean, as many times as this agent has styles."""
    n_other = own.shape[1] - n_styles
    mean = seen[:, n_other:].mean(dim=1, keepdim=True)
    return torch.cat([seen[:, :n_other], mean.expand(-1, n_styles)], dim=1)


def started_agent(weights: Path) -> type[Agent]:
    """Agents that begin with these weights, the normalisation of features among them."""

    class Started(Agent):
        def fit_normalisation(self, batch: TrackBatch) -> None:
            start_from(self, weights)

    return Started


class _Printed(TrainingLogger):
    """An epoch per line."""

    def _write_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        names = ("train/loss", "validation/loss", "validation/balanced_accuracy", "validation/macro_recall")
        print(step, *(f"{name} {metrics[name]:.3f}" for name in names), flush=True)


def main(
    weights: Annotated[Path, typer.Argument(help="Written here")],
    songs: Annotated[int, typer.Option(help="Composed", min=24)] = 160,
    editors: Annotated[int, typer.Option(help="Drawn", min=2)] = 64,
    pairs: Annotated[int, typer.Option(help="Of every editor", min=2)] = 24,
) -> None:
    """Train the policy."""
    config = settings(editors)
    heard = songs_of(None, config, n_songs=songs)
    learned = train_bc(demonstrations_of(heard, config, n_editors=editors, pairs=pairs), config, logger=_Printed())
    state = {name: tensor.cpu().contiguous() for name, tensor in learned.policy.agent.state_dict().items()}
    save_file(state, weights)


if __name__ == "__main__":
    typer.run(main)
