"""Train the beat network on rendered songs, and write its weights.

    python -m benchmarks.beats.train FOLDER [--songs 800] [--minutes 30]

FOLDER keeps the examples between runs. The loss is a weighted cross-entropy; every twelfth song is held out, and the
weights written are the average over the end of training.
"""

import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.beats.material import Example, make_example, read_example, targets
from rl_editor.beats.network import WEIGHTS, BeatNetwork
from rl_editor.beats.spectrum import FRAME_RATE_HZ
from rl_editor.files import replacing

EXCERPT_FRAMES, BATCH, LEARNING_RATE = 1000, 8, 3e-3
_POSITIVE_WEIGHT = torch.tensor([2.0, 4.0])  # beats and downbeats are rare
_HELD_OUT_EVERY = 12
_AVERAGING = 0.995
_SPEED_SPREAD = 0.12  # deviation of the logarithm


def main(
    folder: Annotated[Path, typer.Argument(help="Where examples are kept")],
    songs: Annotated[int, typer.Option(help="Examples to train on")] = 800,
    minutes: Annotated[float, typer.Option(help="How long to train")] = 30.0,
    workers: Annotated[int, typer.Option(help="Processes that render")] = 2,
) -> None:
    """Render examples, train, write the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers) as pool:
        made = list(pool.map(partial(make_example, folder=folder), range(songs)))
    examples = [read_example(path) for path in made if path is not None]
    train = [e for index, e in enumerate(examples) if index % _HELD_OUT_EVERY]
    held_out = examples[::_HELD_OUT_EVERY]
    network = trained(train, held_out, minutes=minutes, rng=np.random.default_rng(0))
    with replacing(WEIGHTS) as part:
        save_file(network.state_dict(), str(part))


def trained(
    train: list[Example], held_out: list[Example], *, minutes: float, rng: np.random.Generator
) -> torch.nn.Module:
    """The averaged network after ``minutes``."""
    torch.manual_seed(0)
    network = BeatNetwork()
    averaged = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(_AVERAGING), use_buffers=True
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-3)
    start, step = time.monotonic(), 0
    while (done := (time.monotonic() - start) / 60.0 / minutes) < 1.0:
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / 100) * (0.5 * (1.0 + np.cos(np.pi * done)) + 0.01)
        loss = _loss(network.train(), *_batch(train, rng))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        averaged.update_parameters(network)
        step += 1
        if step % 100 == 0:
            print(
                f"step {step}, {done:.0%}: loss {loss.item():.3f}, held out {_held_out(averaged, held_out):.3f}",
                flush=True,
            )
    return averaged.module.eval()


def _batch(
    examples: list[Example], rng: np.random.Generator
) -> tuple[Float[Tensor, "batch frames bands"], Float[Tensor, "batch frames 2"]]:
    """Excerpts at random: faster or slower, higher or lower, bands louder, softer or silent."""
    heard, wanted = [], []
    for index in rng.integers(len(examples), size=BATCH):
        speed = float(np.exp(rng.normal(0.0, _SPEED_SPREAD))) if rng.random() < 0.5 else 1.0
        n_frames = len(examples[index].log_mel)
        start = int(rng.integers(max(n_frames - round(EXCERPT_FRAMES * speed), 1)))
        mel, target = _excerpt(examples[index], start, speed)
        mel = np.roll(mel, int(rng.integers(-2, 3)), axis=1)
        tilt = np.interp(np.arange(mel.shape[1]), np.linspace(0, mel.shape[1] - 1, 5), rng.uniform(0.7, 1.3, 5))
        mel = mel * tilt.astype(np.float32)
        if rng.random() < 0.3:
            low = int(rng.integers(mel.shape[1] - 8))
            mel[:, low : low + int(rng.integers(2, 16))] = 0.0
        heard.append(mel)
        wanted.append(target)
    return torch.from_numpy(np.stack(heard)), torch.from_numpy(np.stack(wanted))


def _excerpt(example: Example, start: int, speed: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """What is heard from a frame on, ``speed`` times as fast, and its beats; silence beyond the end."""
    at = start + speed * np.arange(EXCERPT_FRAMES)
    before = np.minimum(at.astype(int), len(example.log_mel) - 1)
    after = np.minimum(before + 1, len(example.log_mel) - 1)
    share = (at - before)[:, None].astype(np.float32)
    mel = (1.0 - share) * example.log_mel[before] + share * example.log_mel[after]
    mel[at >= len(example.log_mel)] = 0.0
    faster = Example(example.log_mel, example.beats_s / speed, example.is_downbeat)
    return mel, targets(faster, EXCERPT_FRAMES, start / speed / FRAME_RATE_HZ)


def _loss(
    network: torch.nn.Module, heard: Float[Tensor, "batch frames bands"], wanted: Float[Tensor, "batch frames 2"]
) -> Float[Tensor, ""]:
    return torch.nn.functional.binary_cross_entropy_with_logits(network(heard), wanted, pos_weight=_POSITIVE_WEIGHT)


def _held_out(network: torch.nn.Module, examples: list[Example]) -> float:
    """Mean loss over the middle of every held-out song."""
    network.eval()
    with torch.inference_mode():
        losses = []
        for example in examples:
            mel, target = _excerpt(example, len(example.log_mel) // 4)
            losses.append(float(_loss(network, torch.from_numpy(mel)[None], torch.from_numpy(target)[None])))
    return float(np.mean(losses))


if __name__ == "__main__":
    typer.run(main)
