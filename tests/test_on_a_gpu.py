"""What differs on a GPU: recorded rollouts and gradients, bfloat16, separation in batches. Left out without one."""

import numpy as np
import pytest
import torch
from test_stems import noise, write_safetensors
from test_trainer import fast, trainer_of

from rl_editor.config import Config
from rl_editor.features import FRAME_NAMES, extract_frames
from rl_editor.stems import STEM_NAMES, separate

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def on_gpu(**training) -> dict:
    return fast(training={"device": "cuda"} | training)


def test_replayed_rollouts_are_those_that_ran() -> None:
    trainer = trainer_of(on_gpu())
    for _ in range(3):  # ran, recorded, replayed
        trainer.generator.manual_seed(5)
        rollout = [part.clone() for part in trainer.collect()[1:]]
        trainer.generator.manual_seed(5)
        again = trainer._collect()[1:]
        for one, other in zip(rollout, again, strict=True):
            torch.testing.assert_close(one, other, equal_nan=True)


def test_rollouts_wait_for_nothing() -> None:
    trainer = trainer_of(on_gpu(mixed_precision=True))
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer._collect()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("mixed", [False, True])
def test_training_gains_what_it_gains_on_a_cpu(mixed: bool) -> None:
    ppo = {"epochs": 2, "minibatches": 4, "learning_rate": 3e-3}
    curves = []
    for training in ({"device": "cpu"}, {"device": "cuda", "mixed_precision": mixed}):
        trainer = trainer_of(fast(training=training, ppo=ppo))
        history = trainer.train(12 * trainer.decisions_per_update).history
        curves.append(np.array([update["rollout/score"] for update in history[1:]]))
    cpu, gpu = (curve[-3:].mean() - curve[0] for curve in curves)
    assert cpu > 0.02
    assert gpu > 0.5 * cpu


def test_features_are_those_of_a_cpu() -> None:
    mono = noise(9.0).data[:, 0]
    config = Config()
    on_cpu = extract_frames(mono, config).values
    config.features.device = "cuda"
    error = np.abs(extract_frames(mono, config).values - on_cpu) / on_cpu.std(axis=0)
    rolloff = FRAME_NAMES.index("rolloff")  # a bin beside now and then
    assert (error[:, rolloff] > 1e-3).mean() < 0.02
    error[:, rolloff] = 0.0
    assert error.max() < 1e-3


def test_stems_are_those_of_a_cpu(tmp_path) -> None:
    config = write_safetensors(tmp_path)
    samples = noise(9.0)
    results = []
    for device, precision in (("cpu", "float32"), ("cuda", "float32"), ("cuda", "bfloat16")):
        config.device, config.precision = device, precision
        results.append(separate(samples, config))
    for other, share in ((results[1], 0.05), (results[2], 0.2)):  # TensorFloat-32 and bfloat16, random weights
        worst = {name: np.abs(other[name].data - results[0][name].data).max() for name in STEM_NAMES}
        peak = {name: np.abs(results[0][name].data).max() for name in STEM_NAMES}
        assert all(worst[name] < share * peak[name] for name in STEM_NAMES), (worst, peak)
