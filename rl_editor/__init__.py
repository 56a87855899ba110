"""RL Editor: learns a person's way of editing music from raw/edit pairs, and edits new recordings the same way.

The names below are the public API. They are imported when first used, so that ``import rl_editor`` stays light.
"""

import itertools
import os
import signal
import sys
from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def _is_starting() -> bool:
    """Whether a command of this package starts; ``python -m`` has no other name while the package is imported."""
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    ours = any(m == "-m" and module.startswith("rl_editor.") for m, module in itertools.pairwise(sys.orig_argv))
    return name == "rl-editor" or (name == "-m" and ours)


if _is_starting() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends seconds of imports; ``command`` answers it later

_PUBLIC = {
    "config": ("Config", "get_default_config"),
    "actions": ("ActionType", "ActionSpace", "KeepAction", "CutAction", "LoopAction", "ReorderAction"),
    "state": ("AudioState", "EditHistory", "StateRepresentation"),
    "environment": ("AudioEditingEnv",),
    "agent": ("Agent", "PolicyNetwork", "ValueNetwork"),
    "trainer": ("PPOTrainer",),
    "reward": ("RewardCalculator", "RewardComponents"),
    "reward_model": ("RewardModel",),
    "data": ("AudioDataset", "PairedAudioDataset", "create_dataloader"),
    "cache": ("FeatureCache", "get_cache"),
    "evaluation": ("Evaluator",),
    "logging_utils": ("TrainingLogger", "create_logger"),
}
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
