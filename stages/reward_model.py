"""reward_model: what listeners prefer, learned from their judgements; "none" where there are none.

Reads ``data/preferences`` and params; writes ``models/reward_model`` (``status.json`` and, where a reward was learned,
``reward_model.json``) and ``metrics/reward_model.json``.
"""

from pathlib import Path

import numpy as np
import typer

from rl_editor.command import run
from rl_editor.judgements.sets import load_folder
from rl_editor.reward_model.learning import learn
from stages.layout import PREFERENCES, REWARD_MODEL, fresh_folder
from stages.learning import stage_logger, write_metrics
from stages.params import PARAMS, load_params

SECTIONS = ("reward_model", "training")


def main(params: Path = PARAMS) -> None:
    """Learn a reward from collected judgements."""
    config = load_params(SECTIONS, params)
    with stage_logger("reward_model", params) as logger, fresh_folder(REWARD_MODEL) as folder:
        learned = learn(load_folder(PREFERENCES), config.reward_model, np.random.default_rng(config.training.seed))
        learned.save(folder)
        logger.log_metrics(learned.metrics())
        logger.set_tags({"reward_model.status": learned.status})
        logger.log_artifact(write_metrics("reward_model", learned.metrics()))
    typer.echo(f"learned reward: {learned.status} ({learned.reason})", err=True)


if __name__ == "__main__":
    run(main)
