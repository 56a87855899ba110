"""Fine-tuning a cloned policy with PPO on a folder of recordings.

``python -m rl_editor.train_unified --data_dir D --checkpoint models/bc_best.pt --total_timesteps 1000000``
writes ``<save_dir>/best.pt``.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl_editor.command import counted, overlaid, read_settings, run
from rl_editor.config import Config
from rl_editor.intervals import repeated, total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rl_editor.checkpoint import Policy, TrainingResult
    from rl_editor.demonstrations import Demonstration
    from rl_editor.logging_utils import TrainingLogger
    from rl_editor.reward import LearnedReward
    from rl_editor.state import ReferenceStatistics

TIMESTEPS = Config().ppo.total_timesteps
_ROOM = 0.15  # of loops, beyond what an editor's edits have on average
_log = logging.getLogger("rl_editor")
_SAID = {"reward": "validation/score", "KEEP/CUT balanced accuracy": "validation/balanced_accuracy"}


def fine_tune(
    policy: "Policy",
    demonstrations: "Sequence[Demonstration]",
    config: Config,
    *,
    save_dir: str | Path,
    logger: "TrainingLogger",
    reference: "ReferenceStatistics | None" = None,
    learned_reward: "LearnedReward | None" = None,
    resumable: bool = False,
) -> "TrainingResult":
    """Train a policy with PPO, in place, and write ``best.pt``.

    Args:
        policy: what to start from.
        demonstrations: training and validation songs.
        config: reads ``ppo``, ``reward``, ``training``; network and observation must be the policy's.
        save_dir: where ``best.pt`` goes.
        logger: gets the numbers of every update.
        reference: statistics of finished music that the reward measures against.
        learned_reward: what listeners prefer, as a function of summaries of edits.
        resumable: keep the training state in ``save_dir``, from which ``training.resume`` goes on.
    """
    from rl_editor.trainer import PPOTrainer

    for warning in beyond_loop_limits(demonstrations, config):
        _log.warning(warning)
    trainer = PPOTrainer(
        config,
        policy.agent,
        demonstrations,
        logger=logger,
        styles=policy.styles,
        reference=reference,
        learned_reward=learned_reward,
        save_dir=save_dir,
        resumable=resumable,
    )
    return trainer.train(config.ppo.total_timesteps)


def beyond_loop_limits(demonstrations: "Sequence[Demonstration]", config: Config) -> list[str]:
    """Editors whose own edits the reward would have without their loops, and what to set so that it would not."""
    shares: dict[str, list[float]] = {}
    for d in demonstrations:
        spans = d.edit.source_spans()
        shares.setdefault(d.style, []).append(repeated(spans) / max(total(spans), 1))
    replayed = {style: sum(own) / len(own) for style, own in sorted(shares.items())}
    return [
        f"{style}: {share:.0%} of its edits is heard again, the reward allows {config.reward.loop_limit(style):.0%}, "
        f"so that PPO leads away from loops; add {style}: {min(share + _ROOM, 1.0):.1f} to reward.loop_ratio_by_style"
        for style, share in replayed.items()
        if share > config.reward.loop_limit(style)
    ]


def main(
    data_dir: Annotated[Path, typer.Option(help="Folder with input/, desired_output/ and, optionally, reference/.")],
    checkpoint: Annotated[Path, typer.Option(help="Policy to start from, as written by behavioral_cloning.")],
    total_timesteps: Annotated[
        int | None, typer.Option(help=f"Decisions to train on; {TIMESTEPS} unless --config says.", min=1)
    ] = None,
    save_dir: Annotated[Path, typer.Option(help="Where best.pt goes.")] = Path("./models"),
    reward_model: Annotated[Path | None, typer.Option(help="A reward learned from judgements, to weigh in.")] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "--params", help="Settings, as params.yaml; others are the checkpoint's."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a killed run stopped.")] = False,
) -> None:
    """Fine-tune a policy with PPO."""
    from rl_editor.checkpoint import load_policy
    from rl_editor.demonstrations import split_line
    from rl_editor.loading import load_demonstrations, load_references
    from rl_editor.logging_utils import create_logger
    from rl_editor.reward_model import RewardModel
    from rl_editor.state import ReferenceStatistics
    from rl_editor.trainer import BEST, check_alike

    learned = RewardModel.load(reward_model) if reward_model else None
    policy = load_policy(checkpoint)
    settings = _settings(policy.config, config)
    check_alike(settings, policy.config)  # before the folder is aligned, which may take long
    settings.training.device = device or settings.training.device
    settings.training.resume = resume or settings.training.resume
    settings.ppo.total_timesteps = total_timesteps or settings.ppo.total_timesteps
    demonstrations = load_demonstrations(data_dir, settings)
    typer.echo(split_line(demonstrations), err=True)
    reference = ReferenceStatistics.of_analyses(load_references(data_dir, settings))
    with create_logger(settings, run_name="ppo") as logger:
        result = fine_tune(
            policy,
            demonstrations,
            settings,
            save_dir=save_dir,
            logger=logger,
            reference=reference,
            learned_reward=learned,
            resumable=True,
        )
    typer.echo(f"{save_dir / BEST}: {said_of(result)}", err=True)


def said_of(result: "TrainingResult") -> str:
    """Which update was kept, and how it edits the songs that choose beside the clone that training started from."""
    n_updates = len(result.history) - 1
    kept = f"update {result.best_step} of {n_updates}"
    if not result.best_step:
        kept = f"the clone, as none of {counted(n_updates, 'update')} did better"
    numbers = ((word, result.metrics[name], result.history[0][name]) for word, name in _SAID.items())
    return f"{kept}; " + ", ".join(f"{word} {now:.3f} (the clone's {before:.3f})" for word, now, before in numbers)


def _settings(learned: Config, path: Path | None) -> Config:
    """A policy's settings, but for how long and on what to train; what a file says goes before them."""
    anew = {"ppo": {"total_timesteps": TIMESTEPS}, "training": {"device": Config().training.device}}
    return Config.from_dict(overlaid(overlaid(learned.to_dict(), anew), read_settings(path) if path else {}))


if __name__ == "__main__":
    run(main)
