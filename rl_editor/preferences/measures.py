"""What is measured of answers: shares and weights, how sure they are, and whether they changed.

Shares come with Wilson's interval (95 %); whether two of them differ is said by Fisher's exact test, as surely as by
``SURE`` standard errors. Weights come with standard errors (95 %: times ``Z``). Whether what was right became wrong is
looked for wherever it began to: with the questions of a kind ranked in time, 1 to m, and likewise those of other kinds,

    z = sum over kinds of (R - k (m + 1) / 2) / sqrt(sum over kinds of k (m - k) (m + 1) / 12)

where R are the ranks of the k that were missed, added up (Wilcoxon's rank sum, in strata: van Elteren 1960).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import fisher_exact, norm

LEVEL = 0.95
SURE = 2.58  # standard errors: one in a hundred by chance
Z = float(norm.ppf((1 + LEVEL) / 2))


class Share(NamedTuple):
    """k of n, with Wilson's interval; NaN where n is 0."""

    k: int
    n: int

    @property
    def value(self) -> float:
        """The share."""
        return self.k / self.n if self.n else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson 1927."""
        if not self.n:
            return float("nan"), float("nan")
        centre = (self.value + Z**2 / (2 * self.n)) / (1 + Z**2 / self.n)
        half = Z * np.sqrt(self.value * (1 - self.value) / self.n + (Z / (2 * self.n)) ** 2) / (1 + Z**2 / self.n)
        return max(float(centre - half), 0.0), min(float(centre + half), 1.0)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; None for what is not known."""
        low, high = self.interval
        return {"k": self.k, "n": self.n, "share": rounded(self.value), "low": rounded(low), "high": rounded(high)}


class Effect(NamedTuple):
    """A weight in log odds, its standard error, and twice what it adds to the log likelihood beyond chance."""

    weight: float
    error: float
    deviance: float = 0.0

    @property
    def sure(self) -> bool:
        """Not 0 by chance, by the likelihood ratio: a habit without exception has no standard error."""
        return self.deviance > SURE**2


class Halves(NamedTuple):
    """A share in the first half of a listener's answers, and in the second."""

    early: Share
    late: Share

    @property
    def differ(self) -> bool:
        """More than by chance, by Fisher's exact test."""
        return unlike(self.early, self.late)


class KeyAfter(NamedTuple):
    """Answers for A right after one for A, and right after one for B; sides are drawn, so a taste has them alike."""

    first: Share
    second: Share

    @property
    def depends(self) -> bool:
        """More than by chance, by Fisher's exact test: a key sticks, or keys alternate."""
        return unlike(self.first, self.second)


def unlike(one: Share, other: Share, *, n_tests: int = 1) -> bool:
    """Whether two shares differ more than by chance, by Fisher's exact test; one of ``n_tests`` such questions."""
    table = [[share.k, share.n - share.k] for share in (one, other)]
    return bool(fisher_exact(table).pvalue < 2 * norm.sf(SURE) / n_tests)


def fell(*kinds: Sequence[bool]) -> bool:
    """Whether what was right earlier is wrong later, more than by chance in as many cases as two-sided ``SURE`` allows.

    Args:
        kinds: of questions, as anchors and repeats; right or wrong, oldest first. They are compared each with its own.
    """
    by_how_much, variance = 0.0, 0.0
    for right in kinds:
        missed, m = 1 + np.flatnonzero(~np.array(right, bool)), len(right)
        by_how_much += float(missed.sum() - len(missed) * (m + 1) / 2)
        variance += len(missed) * (m - len(missed)) * (m + 1) / 12
    return by_how_much > float(norm.isf(2 * norm.sf(SURE))) * float(np.sqrt(variance))


def rounded(value: float) -> float | None:
    """Four digits, for JSON; None for what is not known."""
    return round(value, 4) if np.isfinite(value) else None
