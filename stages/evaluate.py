"""evaluate: both policies and the baselines on songs that no training has seen.

Reads ``models``, ``data/features``, ``data/labels``, the recordings and params; writes ``reports/evaluation`` (HTML,
figures, audio), ``metrics/evaluate.json`` (a few headline numbers) and ``plots/evaluate.csv``, ``plots/actions.csv``.
"""

from pathlib import Path

from rl_editor.checkpoint import load_policy
from rl_editor.command import run
from rl_editor.evaluation import Evaluator, headline
from rl_editor.report import write_comparison, write_report
from stages.dataset import digest_of, read_demonstrations, read_reference
from stages.layout import BC_CHECKPOINT, PLOTS, PPO_CHECKPOINT, REPORT, fresh_folder
from stages.learning import stage_logger, write_metrics, write_table
from stages.manifest import library_root, load_manifest
from stages.params import PARAMS, load_params

SECTIONS = ("action_space", "audio", "data", "evaluation", "features", "render", "reward", "state", "training")
COMPARISON = PLOTS / "evaluate.csv"


def main(params: Path = PARAMS) -> None:
    """Compare policies and baselines on held-out songs."""
    config = load_params(SECTIONS, params)
    demonstrations = read_demonstrations(splits=("test",))
    reference = read_reference()
    root, manifest = library_root(config), load_manifest()
    sources = {pair.song: root / manifest.track(pair.raw).path for pair in manifest.pairs}
    policies = {"bc": load_policy(BC_CHECKPOINT), "ppo": load_policy(PPO_CHECKPOINT)}
    with stage_logger("evaluate", params) as logger:
        logger.log_dataset("held out", digest=digest_of(demonstrations, reference), context="evaluation")
        result = Evaluator(config, reference=reference).evaluate(policies, demonstrations)
        with fresh_folder(REPORT) as folder:
            write_report(result, folder, config=config, sources=sources)
        write_comparison(result, COMPARISON)
        logger.log_metrics(result.metrics)
        logger.log_summary(headline(result))
        tables = [write_metrics("evaluate", headline(result)), COMPARISON, write_table("actions", result.histogram)]
        for path in (*tables, *sorted(REPORT.glob("*.*"))):
            logger.log_artifact(path)
        for path in sorted(REPORT.glob("audio/*")):
            logger.log_artifact(path, "audio")


if __name__ == "__main__":
    run(main)
