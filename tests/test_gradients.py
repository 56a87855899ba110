"""Gradients of minibatches: with recorded shapes they are what they are without."""

import pytest
import torch
from test_trainer import fast, trainer_of
from torch import Tensor

from rl_editor import gradients
from rl_editor.devices import SideBySide
from rl_editor.rollouts import by_song
from rl_editor.trainer import PPOTrainer


class Plain:
    """Stands for ``Replayed`` on a CPU: runs what it would record."""

    def __init__(self, compute) -> None:
        self.compute = compute

    def __call__(self):
        return self.compute()


def slopes(trainer: PPOTrainer) -> list[Tensor | None]:
    return [None if w.grad is None else w.grad.clone() for w in trainer.agent.parameters()]


@pytest.mark.parametrize("n_batches", [1, 3])
def test_the_recorded_way_gives_the_same_gradients(n_batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "Replayed", Plain)
    trainer = trainer_of(fast())
    trainer.agent.eval()
    with torch.no_grad():
        trainer.clone_embeddings = trainer.clone.encode(trainer.songs.batch)
    trainer.generator.manual_seed(3)
    samples = trainer._samples(trainer.collect())
    chosen = by_song(samples.observation.track, len(trainer.songs), n_batches, trainer.generator)
    results = []
    for replayed in (False, True):
        trainer.gradients.replayed = replayed
        trainer.gradients.hold(samples)
        results.append([(trainer.gradients([batch]), slopes(trainer)) for batch in chosen])
    assert any(slope is not None and slope.abs().max() > 1e-4 for slope in results[0][0][1])
    for (losses, plain), (again, recorded) in zip(*results, strict=True):
        torch.testing.assert_close(losses, again)
        for a, b in zip(plain, recorded, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_held_samples_stay_where_they_are() -> None:
    trainer = trainer_of(fast())
    with torch.no_grad():
        trainer.clone_embeddings = trainer.clone.encode(trainer.songs.batch)
    trainer.gradients.replayed = True
    trainer.generator.manual_seed(1)
    trainer.gradients.hold(trainer._samples(trainer.collect()))
    held = trainer.gradients._held
    assert held is not None
    place, before = held.action.data_ptr(), held.action.clone()
    trainer.gradients.hold(trainer._samples(trainer.collect()))
    assert held.action.data_ptr() == place
    assert (held.action != before).any()


def test_halves_side_by_side_give_the_same_bytes_every_time() -> None:
    trainer = trainer_of(fast())
    with torch.no_grad():
        trainer.clone_embeddings = trainer.clone.encode(trainer.songs.batch)
    trainer.generator.manual_seed(3)
    samples = trainer._samples(trainer.collect())
    trainer.gradients.hold(samples)
    assert trainer.gradients.side_by_side.n == 2
    everything = torch.arange(len(samples.action))
    first_losses, first = trainer.gradients([everything]), slopes(trainer)
    for _ in range(3):
        assert torch.equal(trainer.gradients([everything]), first_losses)
        for a, b in zip(slopes(trainer), first, strict=True):
            assert (a is None and b is None) or torch.equal(a, b)
    trainer.gradients.side_by_side = SideBySide(1, map)
    torch.testing.assert_close(trainer.gradients([everything]), first_losses)
    for whole, halves in zip(slopes(trainer), first, strict=True):
        torch.testing.assert_close(whole, halves, rtol=1e-4, atol=1e-6)
