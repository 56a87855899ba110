"""Toy recordings for the learners: beats half a second apart, four features, an editor with an audible rule."""

from dataclasses import replace

import numpy as np

from rl_editor.actions import CUT, KEEP, ActionSpace
from rl_editor.config import Config
from rl_editor.demonstrations import Demonstration
from rl_editor.edits import EditList, Segment, SourceInfo
from rl_editor.features import FEATURE_NAMES, BeatFeatures
from rl_editor.grid import BeatGrid
from rl_editor.labels import EditLabels, decode, encode

BEAT_S = 0.5
RATE_HZ = 8000
BLOCK = 4  # beats of one loudness


def toy_config(**sections: dict) -> Config:
    """Small networks, one beat per unit; keyword sections are laid over it."""
    base: dict[str, dict] = {
        "features": {"feature_mode": "basic"},
        "action_space": {"unit_beats": 1, "reorder_reach_units": 3, "max_loop_times": 2},
        "state": {"context_units": 2, "map_tokens": 8, "history_units": 4, "n_styles": 2},
        "agent": {"d_model": 24, "n_heads": 2, "n_layers": 1, "d_head": 32, "dropout": 0.0, "structure_dropout": 0.0},
        "training": {"device": "cpu", "threads": 1},
        "tracking": {"backend": "none"},
    }
    for name, values in sections.items():
        base[name] = base.get(name, {}) | values
    return Config.from_dict(base)


def toy_demonstration(
    seed: int, config: Config, *, split: str = "train", style: str = "quiet_goes", n_beats: int = 24
) -> Demonstration:
    """Blocks of four beats, loud or quiet; ``quiet_goes`` cuts the quiet ones, ``loud_goes`` the loud ones."""
    rng = np.random.default_rng(seed)
    loud = np.repeat(rng.random(n_beats // BLOCK) < 0.6, BLOCK)
    loud[:BLOCK] = True  # something plays
    loud[-BLOCK:] = False  # and something does not
    names = FEATURE_NAMES["basic"]
    values = rng.normal(size=(n_beats, len(names))) * 0.1
    values[:, names.index("rms")] = np.where(loud, 0.2, 0.02) * rng.uniform(0.9, 1.1, n_beats)
    grid = BeatGrid(np.arange(n_beats + 1) * BEAT_S, np.arange(n_beats) % 4)
    plays = loud if style == "quiet_goes" else ~loud
    actions = np.where(plays, KEEP, CUT)
    frames = int(n_beats * BEAT_S * RATE_HZ)
    source = SourceInfo(f"toy{seed}.wav", f"{seed:064x}", RATE_HZ, 1, frames)
    edit = decode(
        actions, grid.units(1), ActionSpace(config.action_space), source=source, crossfade_ms=50.0, unit_beats=1
    )
    labels = EditLabels(actions, np.ones(n_beats), 1.0)
    features = BeatFeatures(values.astype(np.float32), names)
    return Demonstration(f"toy{seed}__{style}", f"toy{seed}", style, grid, features, labels, edit, split)


def toy_demonstrations(config: Config, *, n_train: int = 6, n_validation: int = 2) -> list[Demonstration]:
    """Training and validation songs."""
    splits = ["train"] * n_train + ["validation"] * n_validation
    return [
        toy_demonstration(seed, config, split=split, n_beats=20 + 4 * (seed % 3)) for seed, split in enumerate(splits)
    ]


def in_slices(demonstration: Demonstration, config: Config) -> Demonstration:
    """The same song cut into slices of less than half a beat, of which no decision can tell."""
    source, grid = demonstration.source, demonstration.grid
    slices = tuple(Segment(round(BEAT_S * beat * RATE_HZ), round(0.4 * BEAT_S * RATE_HZ)) for beat in (2, 6, 9))
    edit = EditList(source, slices, tuple(float(t) for t in grid.times_s), 1)
    labels = encode(edit, grid, ActionSpace(config.action_space), unit_beats=1)
    assert labels.coverage == 0.0
    return replace(demonstration, edit=edit, labels=labels)
