"""The policy as an ONNX graph: flat observations in, masked logits and values out, checked against torch.

The file holds no local paths, stack traces or dates, so the same policy gives the same bytes anywhere.
"""

import logging
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from rl_editor.agent import ILLEGAL
from rl_editor.environment import BatchedEditingEnv
from rl_editor.errors import CheckpointError
from rl_editor.features import FEATURE_NAMES, BeatFeatures
from rl_editor.files import replacing
from rl_editor.grid import BeatGrid
from rl_editor.state import AudioState

if TYPE_CHECKING:
    from rl_editor.agent import Agent
    from rl_editor.checkpoint import Policy

INPUT, OUTPUTS = "observation", ("logits", "value")
TOLERANCE = 1e-4  # largest difference of a logit or value, relative to the largest of its kind, at least 1
_EXAMPLES, _BEATS = 4, 64


class _FlatPolicy(nn.Module):
    """``Agent.decide_flat`` with tensors for results."""

    def __init__(self, agent: "Agent") -> None:
        super().__init__()
        self.agent = agent

    def forward(self, observation: Float[Tensor, "envs size"]) -> tuple[Tensor, Tensor]:
        decision = self.agent.decide_flat(observation)
        return decision.logits, decision.value


def export_onnx(policy: "Policy", path: str | Path) -> None:
    """Write the policy as ONNX and check it in onnxruntime.

    Raises:
        CheckpointError: onnxruntime gives other numbers than torch.
    """
    import onnx

    module = _FlatPolicy(policy.agent.to("cpu").eval())
    examples = example_observations(policy)
    envs = torch.export.Dim.DYNAMIC  # a graph for one number of environments is refused
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for exporter in ("torch.onnx", "onnxscript"):
            logging.getLogger(exporter).setLevel(logging.ERROR)
        raw = Path(folder) / "policy.onnx"
        torch.onnx.export(
            module,
            (examples,),
            str(raw),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes=({0: envs},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        model = onnx.load(str(raw))
    _strip(model)
    onnx.checker.check_model(model)
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
    check_onnx(policy, path)


def check_onnx(policy: "Policy", path: str | Path) -> float:
    """The largest relative difference between onnxruntime and torch.

    Raises:
        CheckpointError: it passes ``TOLERANCE``.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    difference = 0.0
    for observations in (examples := example_observations(policy), examples[:1]):  # of any number of environments
        found = session.run(list(OUTPUTS), {INPUT: observations.numpy()})
        with torch.no_grad():
            expected = _FlatPolicy(policy.agent)(observations)
        difference = max(difference, *(_difference(a, b.numpy()) for a, b in zip(found, expected, strict=True)))
    if not difference <= TOLERANCE:
        raise CheckpointError(
            f"{path}: onnxruntime differs from torch by {difference:.2g}, at most {TOLERANCE} is allowed"
        )
    return difference


def example_observations(policy: "Policy") -> Float[Tensor, "envs size"]:
    """A few observations of a made-up recording, with some actions masked."""
    config, representation = policy.config, policy.agent.representation
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    grid = BeatGrid(np.arange(_BEATS + 1) * 0.5, np.arange(_BEATS) % 4)
    names = FEATURE_NAMES[config.features.feature_mode]
    features = BeatFeatures(rng.standard_normal((_BEATS, len(names))).astype(np.float32), names)
    batch = representation.batch([AudioState(grid, features)])
    env = BatchedEditingEnv(batch, config, n_envs=_EXAMPLES, generator=generator)
    observation = env.reset(torch.zeros(_EXAMPLES, dtype=torch.long), torch.full((_EXAMPLES,), 0.5))
    mask = observation.mask & (torch.rand(observation.mask.shape, generator=generator) < 0.5)
    mask[:, 0] = True
    return representation.flatten(observation._replace(unit=torch.arange(_EXAMPLES), mask=mask), batch)


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Of what is legal: beside the logits of illegal actions any difference is small."""
    legal = expected > ILLEGAL / 2
    if not np.array_equal(legal, found > ILLEGAL / 2):
        return float("inf")
    scale = max(1.0, float(np.abs(expected[legal]).max()))
    return float(np.abs(found[legal] - expected[legal]).max() / scale)


def _strip(model: "object") -> None:
    """Remove what names the machine that exported: stack traces, documentation, versions."""
    graph = model.graph  # type: ignore[attr-defined]
    model.ClearField("metadata_props")  # type: ignore[attr-defined]
    model.ClearField("doc_string")  # type: ignore[attr-defined]
    parts = [graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer]
    parts += [node for function in model.functions for node in (function, *function.node)]  # type: ignore[attr-defined]
    for part in parts:
        for field in ("metadata_props", "doc_string"):
            if field in part.DESCRIPTOR.fields_by_name:
                part.ClearField(field)
