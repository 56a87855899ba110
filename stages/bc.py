"""bc: behavioural cloning of the editors.

Reads ``data/features``, ``data/labels`` and params; writes ``models/bc/bc_best.pt``, ``metrics/bc.json``,
``plots/bc.csv`` and ``.png``.
"""

from pathlib import Path

from rl_editor.behavioral_cloning import train_bc
from rl_editor.checkpoint import save_policy
from rl_editor.command import run
from stages.dataset import digest_of, read_demonstrations
from stages.layout import BC_CHECKPOINT, BC_MODEL, fresh_folder
from stages.learning import stage_logger, write_curve, write_metrics
from stages.params import PARAMS, load_params

SECTIONS = ("action_space", "agent", "bc", "features", "reward", "state", "training")
SHOWN = ("train/balanced_accuracy", "validation/balanced_accuracy", "validation/macro_recall")


def main(params: Path = PARAMS) -> None:
    """Clone the editors."""
    config = load_params(SECTIONS, params)
    demonstrations = read_demonstrations(splits=("train", "validation"), augmented=True)
    with stage_logger("bc", params) as logger, fresh_folder(BC_MODEL) as folder:
        logger.log_dataset("demonstrations", digest=digest_of(demonstrations))
        result = train_bc(demonstrations, config, logger=logger)
        save_policy(folder / BC_CHECKPOINT.name, result.policy)
        logger.log_artifact(write_metrics("bc", result.metrics))
        logger.log_artifact(write_curve("bc", result.history, shown=SHOWN))


if __name__ == "__main__":
    run(main)
