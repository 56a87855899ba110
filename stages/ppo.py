"""ppo: fine-tuning of the cloned policy on the reward, and on what listeners prefer where that was learned.

Reads ``models/bc``, ``models/reward_model``, ``data/features``, ``data/labels`` and params; writes
``models/ppo/best.pt``, ``metrics/ppo.json``, ``plots/ppo.csv`` and ``.png``.
"""

from pathlib import Path

from rl_editor.checkpoint import load_policy
from rl_editor.command import run
from rl_editor.reward_model.learning import load_learned
from rl_editor.train_unified import fine_tune
from stages.dataset import digest_of, read_demonstrations, read_reference
from stages.layout import BC_CHECKPOINT, PPO_MODEL, REWARD_MODEL, fresh_folder
from stages.learning import stage_logger, write_curve, write_metrics
from stages.params import PARAMS, load_params

SECTIONS = ("action_space", "agent", "bc", "features", "ppo", "reward", "state", "training")
SHOWN = ("rollout/score", "validation/score_with_target", "validation/score_without_target")


def main(params: Path = PARAMS) -> None:
    """Fine-tune the policy."""
    config = load_params(SECTIONS, params)
    demonstrations = read_demonstrations(splits=("train", "validation"))
    reference, learned = read_reference(), load_learned(REWARD_MODEL)
    with stage_logger("ppo", params) as logger, fresh_folder(PPO_MODEL) as folder:
        logger.log_dataset("demonstrations", digest=digest_of(demonstrations, reference))
        logger.set_tags({"learned_reward": _role(learned is not None, weighed=config.ppo.learned_reward)})
        result = fine_tune(
            load_policy(BC_CHECKPOINT),
            demonstrations,
            config,
            save_dir=folder,
            logger=logger,
            reference=reference,
            learned_reward=learned,
        )
        logger.log_artifact(write_metrics("ppo", result.metrics))
        logger.log_artifact(write_curve("ppo", result.history, shown=SHOWN))


def _role(known: bool, *, weighed: bool) -> str:
    """What the learned reward does in this run, for comparing runs with and without."""
    return "none" if not known else "weighed in" if weighed else "watched"


if __name__ == "__main__":
    run(main)
