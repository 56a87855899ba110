"""The model card of an exported policy: what it is, what it learned from, how good it is, what it is not for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rl_editor.actions import ActionSpace

if TYPE_CHECKING:
    from rl_editor.checkpoint import Policy

_TEMPLATE = """# RL Editor policy

Decides for every unit of {unit_beats} beats of a recording: KEEP, CUT, LOOP, EXTEND or REORDER ({n_actions} numbers).

| | |
| --- | --- |
| file | `policy.pt`: safetensors bytes, SHA-256 `{sha256}` |
| graph | `policy.onnx`: `observation [envs, {size}]` to `logits [envs, {n_actions}]` and `value [envs]` |
| features | {mode}, mono at {sample_rate} Hz |
| editors it learned | {styles} |

## On songs that no training has seen

| metric | value |
| --- | --- |
{metrics}

## Use

    rl-editor edit SONG.wav -o EDITED.wav --checkpoint policy.pt

## Limits

It imitates the editors named above; on other music or for other tastes its choices mean little. Where those are the
synthetic editors of the default corpus, the scores say that the pipeline learns, not that people would agree.
"""


def model_card(policy: "Policy", metrics: Mapping[str, float], *, sha256: str) -> str:
    """Markdown; the same text for the same policy and metrics."""
    config, layout = policy.config, policy.agent.representation.layout
    rows = "\n".join(f"| {name} | {value:.4g} |" for name, value in sorted(metrics.items()) if _is_number(value))
    return _TEMPLATE.format(
        unit_beats=config.action_space.unit_beats,
        n_actions=ActionSpace(config.action_space).n_discrete_actions,
        size=layout.size,
        sha256=sha256,
        mode=config.features.feature_mode,
        sample_rate=config.audio.sample_rate,
        styles=", ".join(policy.styles) or "one, without a name",
        metrics=rows or "| none measured | |",
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
