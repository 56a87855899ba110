"""The model card of an exported policy: what it is, what it learned from, how good it is, what it is not for."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from rl_editor.actions import ActionSpace
from rl_editor.command import counted
from rl_editor.evaluation.metrics import METRICS
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


def model_card(
    policy: "Policy",
    metrics: Mapping[str, float],
    *,
    n_songs: int,
    sha256: str,
    method: str,
    measured: Collection[str] | None = None,
) -> str:
    """Markdown; the same text for the same policy and metrics.

    Args:
        policy: what the card is about.
        metrics: of an evaluation, ``method/condition/style/metric``, with ``_low`` and ``_high`` beside it.
        n_songs: that were held out.
        sha256: of the policy's file.
        method: the policy's name in the metrics.
        measured: styles of the held-out songs, where all that were learned need not be among them.
    """
    config, layout = policy.config, policy.agent.representation.layout
    return _TEMPLATE.format(
        unit=counted(config.action_space.unit_beats, "beat"),
        n_actions=ActionSpace(config.action_space).n_discrete_actions,
        size=layout.size,
        sha256=sha256,
        mode=config.features.feature_mode,
        sample_rate=config.audio.sample_rate,
        styles=", ".join(_known(style, measured) for style in policy.styles) or "one, without a name",
        songs=counted(n_songs, "song"),
        metrics=_table(metrics, method),
    )


def _known(style: str, measured: Collection[str] | None) -> str:
    return style if measured is None or in_tables(style) in measured else f"{style} (no song of it held out)"


def _table(metrics: Mapping[str, float], method: str) -> str:
    rows = []
    for name, value in sorted(metrics.items()):
        if not name.startswith(f"{method}/") or f"/{ALL_STYLES}/" not in name or f"{name}_low" not in metrics:
            continue
        _, condition, _, metric = name.split("/")
        low, high = metrics[f"{name}_low"], metrics[f"{name}_high"]
        rows.append(f"| {METRICS[metric].title} | {_CONDITIONS[condition]} | {value:.3f} | {low:.3f} to {high:.3f} |")
    if not rows:
        return "Nothing was measured."
    return "\n".join(["| metric | length | mean | interval |", "| --- | --- | --- | --- |", *rows])
