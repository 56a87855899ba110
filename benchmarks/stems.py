"""Separation by Demucs' own ``apply_model`` beside ours: the same model, overlap, precision and device.

The model has the architecture of the released htdemucs and random weights: times and differences do not hang on them.
"""

import time
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rl_editor.config import Precision, StemsConfig
from rl_editor.stems import segments_at_a_time
from rl_editor.stems.segments import Segmenting, separate_in_segments

RATE = 44_100
SECONDS = {"cpu": 24, "cuda": 180}


class Separation(NamedTuple):
    """What one way gave, and in which time."""

    seconds: float
    stems: Float[Tensor, "sources channels frames"]


def htdemucs() -> torch.nn.Module:
    """A bag of one model of htdemucs' size."""
    from demucs.apply import BagOfModels
    from demucs.htdemucs import HTDemucs

    torch.manual_seed(0)
    model = HTDemucs(
        sources=["drums", "bass", "other", "vocals"],
        channels=48,
        bottom_channels=512,
        t_layers=5,
        samplerate=RATE,
        segment=Fraction(39, 5),
    )
    bag: torch.nn.Module = BagOfModels([model.eval()])
    return bag


def mix(seconds: float) -> Float[Tensor, "channels frames"]:
    """Noise as loud as music."""
    noise = np.random.default_rng(0).standard_normal((2, round(seconds * RATE))) * 0.1
    return torch.from_numpy(noise.astype(np.float32))


def by_apply_model(
    bag: torch.nn.Module, sound: Float[Tensor, "channels frames"], device: torch.device, precision: Precision
) -> Separation:
    """Demucs' own function, without its random shifts."""
    from demucs.apply import apply_model

    bag.to(device)
    started = time.perf_counter()
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        stems = apply_model(bag, sound[None], shifts=0, overlap=StemsConfig().overlap, device=device)[0].cpu()
    return Separation(time.perf_counter() - started, stems)


def by_ours(
    bag: torch.nn.Module, sound: Float[Tensor, "channels frames"], device: torch.device, precision: Precision
) -> Separation:
    """As ``rl_editor.stems`` does it."""
    how = Segmenting(StemsConfig().overlap, None, segments_at_a_time(StemsConfig(), device), precision)
    started = time.perf_counter()
    spans = separate_in_segments(bag, lambda: [sound.numpy().T], sound.shape[-1], how, device)
    stems = torch.cat(list(spans), dim=-1)
    return Separation(time.perf_counter() - started, stems)
