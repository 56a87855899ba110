"""export: the trained policy as files for others, and as a version of the registered model.

Reads ``models/ppo``, ``metrics/evaluate.json``, ``plots/evaluate.csv``, the held-out demonstrations and params; writes
``models/export``: ``policy.pt`` (safetensors), ``policy.onnx`` and ``MODEL_CARD.md``. A model registry that refuses is
a warning: the files are the result.
"""

import json
import shutil
from functools import partial
from pathlib import Path

import pandas as pd
import typer

from rl_editor.checkpoint import Policy, load_policy
from rl_editor.command import run
from rl_editor.config import Config
from rl_editor.demonstrations import Demonstration
from rl_editor.errors import RlEditorError
from rl_editor.evaluation import Evaluator
from rl_editor.files import file_sha256, write_text
from rl_editor.logging_utils import MLflowLogger
from rl_editor.model_card import model_card
from rl_editor.onnx_export import export_onnx
from rl_editor.registry import HeldOut, register
from rl_editor.state import ReferenceStatistics
from stages.dataset import digest_of, read_demonstrations, read_reference
from stages.layout import EXPORT, METRICS, PLOTS, PPO_CHECKPOINT, fresh_folder
from stages.learning import stage_logger
from stages.params import PARAMS, load_params

SECTIONS = ("action_space", "evaluation", "features", "reward", "state", "training")
NAME = "ppo"
SCORE = f"{NAME}/score"  # of ``EvaluationResult.metrics``: what the champion is chosen by
POLICY = "policy.pt"


def main(params: Path = PARAMS) -> None:
    """Export and register the policy."""
    config = load_params(SECTIONS, params)
    metrics = json.loads((METRICS / "evaluate.json").read_text(encoding="utf-8"))
    with fresh_folder(EXPORT) as folder:
        policy = load_policy(PPO_CHECKPOINT)
        shutil.copyfile(PPO_CHECKPOINT, folder / POLICY)
        export_onnx(policy, folder / "policy.onnx")
        card = model_card(
            policy,
            pd.read_csv(PLOTS / "evaluate.csv", converters={"style": str}),  # "None" is a name
            n_songs=int(metrics["n_songs"]),
            sha256=file_sha256(folder / POLICY),
            method=NAME,
        )
        write_text(folder / "MODEL_CARD.md", card)
    try:
        publish(config, metrics, params)
    except RlEditorError as error:
        typer.echo(f"not registered: {error}", err=True)


def publish(config: Config, metrics: dict[str, float], params: Path) -> None:
    """Register the exported policy and let it challenge the champion.

    Raises:
        TrackingError: the registry refuses.
    """
    held_out, reference = read_demonstrations(splits=("test",)), read_reference()
    with stage_logger("export", params) as logger:
        for path in sorted(EXPORT.iterdir()):
            logger.log_artifact(path, "export")
        if not isinstance(logger, MLflowLogger):
            return
        name = config.tracking.registered_model
        registered = register(
            EXPORT / POLICY,
            name,
            held_out=HeldOut(metrics[SCORE], digest_of(held_out, reference)),
            measure=partial(measured, demonstrations=held_out, config=config, reference=reference),
            run_id=logger.run_id,
        )
    state = "champion" if registered.is_champion else "not better than the champion"
    typer.echo(f"{name} version {registered.version}: {state}", err=True)


def measured(
    policy: Policy, *, demonstrations: list[Demonstration], config: Config, reference: ReferenceStatistics | None
) -> float:
    """The held-out score of another policy."""
    result = Evaluator(config, reference=reference).evaluate({NAME: policy}, demonstrations)
    return result.metrics[SCORE]


if __name__ == "__main__":
    run(main)
