"""How long an editor's edits usually are: what an edit aims at when nobody asks for a length.

Some editors keep a share of every recording, others always end up at three and a half minutes. Which of the two varies
less over the pairs is the habit; how much it varies says how much it counts. Lengths are taken as logarithms, so that
spreads are relative. A few pairs that happen to agree prove no habit (``doubted_deviation``).
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

_DOUBT_PAIRS = 2
_DOUBT = 0.1  # of a length


class Usual(NamedTuple):
    """The length that an editor's edits usually come to, and how much it varies."""

    seconds: float
    spread: float  # standard deviation, relative


class UsualLengths(nn.Module):
    """Per editor: mean and deviation of log share and of log seconds; infinite deviation where no pair says."""

    table: Tensor

    def __init__(self, n_styles: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.tensor([0.0, torch.inf]).repeat(n_styles, 2, 1))

    def fit(
        self, ratio: Float[Tensor, " pairs"], duration_s: Float[Tensor, " pairs"], style: Int[Tensor, " pairs"]
    ) -> None:
        """Learn from pairs: length of the edit over the recording's, length of the recording, and whose edit it is."""
        logs = torch.stack([ratio.log(), (ratio * duration_s).log()], dim=1).double()
        for number in sorted(set(style.tolist())):
            own = logs[(style == number) & logs.isfinite().all(1)]  # of an edit that plays nothing there is no length
            if not len(own):
                continue
            mean = own.mean(0)
            deviation = doubted_deviation(((own - mean) ** 2).sum(0), n_pairs=len(own), doubt=_DOUBT)
            self.table[number] = torch.stack([mean, deviation], dim=1).to(self.table.dtype)

    def of(self, style: int, duration_s: float) -> Usual | None:
        """What is usual for a recording of ``duration_s`` seconds; None where nothing is known."""
        (log_ratio, ratio_spread), (log_seconds, seconds_spread) = self.table[style].tolist()
        if math.isinf(ratio_spread):
            return None
        if ratio_spread <= seconds_spread:
            return Usual(math.exp(log_ratio) * duration_s, ratio_spread)
        return Usual(math.exp(log_seconds), seconds_spread)


def doubted_deviation(squares: Float[Tensor, " ways"], *, n_pairs: int, doubt: float) -> Float[Tensor, " ways"]:
    """How far off the mean of pairs the next one may lie, with ``_DOUBT_PAIRS`` more pairs counted as ``doubt`` off::

        sqrt((squares + _DOUBT_PAIRS doubt^2) / (n_pairs - 1 + _DOUBT_PAIRS) (1 + 1 / n_pairs))

    ``squares`` are the sums of squared differences from the mean.
    """
    variance = (squares + _DOUBT_PAIRS * doubt**2) / (n_pairs - 1 + _DOUBT_PAIRS)
    return (variance * (1 + 1 / n_pairs)).sqrt()
