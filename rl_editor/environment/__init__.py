"""Editing as episodes: ``AudioEditingEnv`` for any Gymnasium agent, ``BatchedEditingEnv`` for training; one core."""

from rl_editor.environment.batched import BatchedEditingEnv
from rl_editor.environment.single import AudioEditingEnv

__all__ = ["AudioEditingEnv", "BatchedEditingEnv"]
