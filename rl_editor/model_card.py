"""The model card of an exported policy: what it is, what it learned from, how good it is, what it is not for."""

from typing import TYPE_CHECKING

import pandas as pd

from rl_editor.actions import ActionSpace
from rl_editor.command import counted
from rl_editor.evaluation.metrics import KEY_METRICS, METRICS
from rl_editor.evaluation.verdicts import ALL_STYLES, in_tables

if TYPE_CHECKING:
    from rl_editor.checkpoint import Policy

_CONDITIONS = {"target": "asked for", "free": "not asked for"}
_TEMPLATE = """# RL Editor policy

Decides for every unit of {unit} of a recording: KEEP, CUT, LOOP, EXTEND or REORDER ({n_actions} numbers).

| | |
| --- | --- |
| file | `policy.pt`: safetensors bytes, SHA-256 `{sha256}` |
| graph | `policy.onnx`: `observation [envs, {size}]` to `logits [envs, {n_actions}]` and `value [envs]` |
| features | {mode}, mono at {sample_rate} Hz |
| editors it learned | {styles} |

## On {songs} that no training has seen

{metrics}

Measured are edits that `policy.pt` makes as a whole: many attempts, by network and trees, among which length,
likelihood and reward choose. The graph is the network alone: single decisions, by which nothing was measured.

## Use

    rl-editor edit SONG.wav -o EDITED.wav --checkpoint policy.pt

## Limits

It imitates the editors named above; on other music or for other tastes its choices mean little. Where those are the
synthetic editors of the default corpus, the scores say that the pipeline learns, not that people would agree.
"""


def model_card(policy: "Policy", comparison: pd.DataFrame, *, n_songs: int, sha256: str, method: str) -> str:
    """Markdown; the same text for the same policy and figures.

    Args:
        policy: what the card is about.
        comparison: the means of an evaluation with their intervals, as ``report.write_comparison`` writes them; its
            key metrics over all styles are shown.
        n_songs: that were held out.
        sha256: of the policy's file.
        method: the policy's name there.
    """
    config, layout = policy.config, policy.agent.representation.layout
    return _TEMPLATE.format(
        unit=counted(config.action_space.unit_beats, "beat"),
        n_actions=ActionSpace(config.action_space).n_discrete_actions,
        size=layout.size,
        sha256=sha256,
        mode=config.features.feature_mode,
        sample_rate=config.audio.sample_rate,
        styles=", ".join(_known(style, comparison) for style in policy.styles) or "one, without a name",
        songs=counted(n_songs, "song"),
        metrics=_table(comparison, method),
    )


def _known(style: str, comparison: pd.DataFrame) -> str:
    return style if in_tables(style) in set(comparison["style"]) else f"{style} (no song of it held out)"


def _table(comparison: pd.DataFrame, method: str) -> str:
    own = comparison[(comparison["method"] == method) & (comparison["style"] == ALL_STYLES)]
    shown = own[own["metric"].isin(KEY_METRICS)].sort_values(["condition", "metric"])
    rows = [
        f"| {METRICS[row['metric']].title} | {_CONDITIONS[row['condition']]} "
        f"| {row['mean']:.3f} | {row['low']:.3f} to {row['high']:.3f} |"
        for row in shown.to_dict("records")
    ]
    if not rows:
        return "Nothing was measured."
    return "\n".join(["| metric | length | mean | interval |", "| --- | --- | --- | --- |", *rows])
