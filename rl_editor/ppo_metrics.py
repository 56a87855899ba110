"""The numbers of PPO that are logged: of an update's losses, of its episodes, and of edits of the validation songs.

Shapes: S steps by E environments, time first.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rl_editor.lessons import KINDS
from rl_editor.reward import SUMMARY_NAMES, TERM_NAMES
from rl_editor.rollouts import Rollout
from rl_editor.tryouts import Judged

LOSSES = ("total", "policy", "value", "entropy", "clone_kl", "approx_kl", "clip_fraction")
_OUTPUT_SHARE = SUMMARY_NAMES.index("output_share")


def loss_metrics(losses: Sequence[Float[Tensor, "minibatches losses"]], epochs: int) -> dict[str, float]:
    """Means over an update's minibatches, in the order of ``LOSSES``, and how many epochs were finished."""
    means = torch.cat(list(losses)).mean(0).tolist()
    return {f"loss/{name}": mean for name, mean in zip(LOSSES, means, strict=True)} | {"loss/epochs": float(epochs)}


def rollout_metrics(rollout: Rollout, kinds: Int[Tensor, " actions"]) -> dict[str, float]:
    """The score of finished episodes, its terms one by one, and how often each kind was decided."""
    done = rollout.done
    terms = dict(zip(TERM_NAMES, rollout.terms[done].mean(0).tolist(), strict=True))
    shares = kinds[rollout.action].flatten().bincount(minlength=len(KINDS)) / rollout.action.numel()
    actions = {f"actions/{kind.value.lower()}": share for kind, share in zip(KINDS, shares.tolist(), strict=True)}
    numbers = {"score": float(rollout.score[done].mean()), "episodes": float(done.sum())} | terms
    numbers |= _watched(rollout.audited[done], rollout.learned[done])
    return {f"rollout/{name}": value for name, value in numbers.items()} | actions


def validation_metrics(shown: Judged, hidden: Judged) -> dict[str, float]:
    """The means of edits with their targets shown and hidden, and the score of each."""
    numbers = _judged_metrics(shown), _judged_metrics(hidden)
    both = {name: (numbers[0][name] + numbers[1][name]) / 2 for name in numbers[0]}
    both |= {"score_with_target": numbers[0]["score"], "score_without_target": numbers[1]["score"]}
    return {f"validation/{name}": value for name, value in both.items()}


def _judged_metrics(judged: Judged) -> dict[str, float]:
    scores = judged.edits.scores
    terms = dict(zip(TERM_NAMES, scores.terms.mean(0).tolist(), strict=True))
    numbers = {"score": float(scores.total.mean()), "output_share": float(scores.summary[:, _OUTPUT_SHARE].mean())}
    return judged.agreed | terms | numbers | _watched(scores.audited, scores.learned)


def _watched(audited: Float[Tensor, " n"], learned: Float[Tensor, " n"]) -> dict[str, float]:
    """The two halves of a score; nothing where there is no learned reward."""
    if bool(learned.isnan().any()):
        return {}
    return {"audited": float(audited.mean()), "learned": float(learned.mean())}
