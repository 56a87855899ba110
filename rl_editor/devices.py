"""Where tensors live: names of devices from settings."""

import warnings

import torch

from rl_editor.errors import ConfigError


def resolve_device(name: str, *, setting: str = "training.device") -> torch.device:
    """``auto`` is CUDA where there is one; asking for CUDA without a GPU warns and gives the CPU.

    Raises:
        ConfigError: no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"{setting} {name!r}: unknown; expected auto, cpu, cuda or cuda:0") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        warnings.warn(f"{setting} {name!r}: no GPU is to be had here; using the CPU", stacklevel=2)
        return torch.device("cpu")
    return device
