"""What stems are called."""

from rl_editor.features.names import STEM_NAMES

__all__ = ["HPSS", "STEM_NAMES"]

HPSS = "hpss"  # the name of the model that is none
