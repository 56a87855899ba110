"""How long an editor's edits usually are: what an edit aims at when nobody asks for a length.

Some editors keep a share of every recording, others always end up at three and a half minutes. Which of the two varies
less over the pairs is the habit; how much it varies says how much it counts. Lengths are taken as logarithms, so that
spreads are relative. A few pairs that happen to agree prove no habit: the variance counts ``_DOUBT_PAIRS`` more pairs
that are ``_DOUBT`` off.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

_DOUBT, _DOUBT_PAIRS = 0.1, 2


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
            n, mean = len(own), own.mean(0)
            variance = (((own - mean) ** 2).sum(0) + _DOUBT_PAIRS * _DOUBT**2) / (n - 1 + _DOUBT_PAIRS) * (1 + 1 / n)
            self.table[number] = torch.stack([mean, variance.sqrt()], dim=1).to(self.table.dtype)

    def of(self, style: int, duration_s: float) -> Usual | None:
        """What is usual for a recording of ``duration_s`` seconds; None where nothing is known."""
        (log_ratio, ratio_spread), (log_seconds, seconds_spread) = self.table[style].tolist()
        if math.isinf(ratio_spread):
            return None
        if ratio_spread <= seconds_spread:
            return Usual(math.exp(log_ratio) * duration_s, ratio_spread)
        return Usual(math.exp(log_seconds), seconds_spread)
