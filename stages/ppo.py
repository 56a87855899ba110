"""ppo: fine-tuning of the cloned policy on the reward.

Reads ``models/bc``, ``data/features``, ``data/labels`` and params; writes ``models/ppo/best.pt``, ``metrics/ppo.json``,
``plots/ppo.csv`` and ``.png``.
"""

from pathlib import Path

from rl_editor.command import run
from rl_editor.train_unified import fine_tune
from stages.dataset import digest_of, read_demonstrations, read_reference
from stages.layout import BC_CHECKPOINT, PPO_MODEL, fresh_folder
from stages.learning import stage_logger, write_curve, write_metrics
from stages.params import PARAMS, load_params

SECTIONS = ("action_space", "agent", "bc", "features", "ppo", "reward", "state", "training")
SHOWN = ("rollout/score", "validation/score_with_target", "validation/score_without_target")


def main(params: Path = PARAMS) -> None:
    """Fine-tune the policy."""
    config = load_params(SECTIONS, params)
    demonstrations = read_demonstrations(splits=("train", "validation"))
    reference = read_reference()
    with stage_logger("ppo", params) as logger, fresh_folder(PPO_MODEL) as folder:
        logger.log_dataset("demonstrations", digest=digest_of(demonstrations, reference))
        result = fine_tune(BC_CHECKPOINT, demonstrations, config, save_dir=folder, logger=logger, reference=reference)
        logger.log_artifact(write_metrics("ppo", result.metrics))
        logger.log_artifact(write_curve("ppo", result.history, shown=SHOWN))


if __name__ == "__main__":
    run(main)
