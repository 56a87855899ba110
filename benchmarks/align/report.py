"""Tables of scores for a terminal, and how reliable stated confidence is."""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.align.scores import Score, Segment

N_BINS = 10


@dataclass(frozen=True)
class Column:
    """A heading and what stands below it."""

    name: str
    value: Callable[[Sequence[Score]], float]
    form: str

    def text(self, scores: Sequence[Score]) -> str:
        """The value of a row; a dash where it does not apply."""
        value = self.value(scores)
        return "-" if np.isnan(value) else self.form.format(value)


def _mean(get: Callable[[Score], float]) -> Callable[[Sequence[Score]], float]:
    def mean(scores: Sequence[Score]) -> float:
        values = np.array([get(s) for s in scores])
        values = values[~np.isnan(values)]
        return float(values.mean()) if len(values) else float("nan")

    return mean


def _percentile(get: Callable[[Score], Iterable[float]], q: float) -> Callable[[Sequence[Score]], float]:
    def percentile(scores: Sequence[Score]) -> float:
        values = [v for s in scores for v in get(s)]
        return float(np.percentile(values, q, method="inverted_cdf")) if values else float("nan")

    return percentile


def _within(ms: int) -> Column:
    return Column(f"{ms} ms", _mean(lambda s: s.within.get(ms, float("nan"))), "{:.4f}")


def _worst(ms: int) -> Column:
    return Column("worst", lambda scores: min(s.within.get(ms, float("nan")) for s in scores), "{:.4f}")


_N = Column("n", len, "{:d}")
_REJECTED = Column("rej", lambda scores: sum(s.rejected for s in scores), "{:d}")
_PLAIN = Column("plain", _mean(lambda s: s.plain_10ms), "{:.4f}")
_EXACT = Column("1 of 10", _mean(lambda s: s.exact_1ms), "{:.4f}")
_JOINS = [
    Column("join med", _percentile(lambda s: s.join_errors_ms, 50), "{:.2f}"),
    Column("p95", _percentile(lambda s: s.join_errors_ms, 95), "{:.1f}"),
    Column("heard p95", _percentile(lambda s: s.heard_errors_ms, 95), "{:.1f}"),
    Column("joins", lambda scores: sum(s.n_joins for s in scores), "{:d}"),
    Column("miss", lambda scores: sum(s.missing_joins for s in scores), "{:d}"),
    Column("extra", lambda scores: sum(s.extra_joins for s in scores), "{:d}"),
]
_SECONDS = [
    Column("s", lambda scores: float(np.median([s.seconds for s in scores])), "{:.2f}"),
    Column("s/min", lambda scores: float(np.median([60 * s.seconds / s.edit_s for s in scores])), "{:.2f}"),
]
_NULLS = Column("null", _mean(lambda s: s.foreign_false), "{:.4f}")
_KEEP = Column("keep", _mean(lambda s: s.keep_accuracy), "{:.3f}")
_COUNTS = [_N, _REJECTED]

COLUMNS: dict[str, list[Column]] = {
    "copies": [*_COUNTS, _within(10), _worst(10), _PLAIN, _EXACT, *_JOINS, _NULLS, _KEEP, *_SECONDS],
    "speed": [
        *_COUNTS,
        *(_within(ms) for ms in (1, 5, 10, 20)),
        _worst(20),
        Column("speed %", _mean(lambda s: s.speed_error), "{:.3f}"),
        Column("semitones", _mean(lambda s: s.pitch_error), "{:.3f}"),
        *_JOINS,
        _NULLS,
        *_SECONDS,
    ],
    "foreign": [
        *_COUNTS,
        _within(10),
        _worst(10),
        Column("marked", _mean(lambda s: s.foreign_found), "{:.4f}"),
        Column("wrongly", _mean(lambda s: s.foreign_false), "{:.4f}"),
        Column("edge med", _percentile(lambda s: s.edge_errors_ms, 50), "{:.1f}"),
        Column("p95", _percentile(lambda s: s.edge_errors_ms, 95), "{:.1f}"),
        Column("in 50 ms", _mean(lambda s: float(np.mean([e <= 50 for e in s.edge_errors_ms] or [np.nan]))), "{:.3f}"),
        *_JOINS,
        *_SECONDS,
    ],
    "unrelated": [
        _N,
        Column("accepted", lambda scores: sum(not s.rejected for s in scores), "{:d}"),
        Column("rate", _mean(lambda s: float(not s.rejected)), "{:.3f}"),
        _SECONDS[0],
    ],
    "methods": [*_COUNTS, *(_within(ms) for ms in (10, 70, 250)), _EXACT, *_JOINS, _KEEP, *_SECONDS],
}
COLUMNS["repeats"] = COLUMNS["copies"]


def table(title: str, rows: dict[str, Sequence[Score]], columns: Sequence[Column]) -> str:
    """Right-aligned columns under a title."""
    lines = [[title, *(c.name for c in columns)]]
    lines += [[name, *(c.text(scores) for c in columns)] for name, scores in rows.items()]
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )


# ---------------------------------------------------------------- confidence


class Bin(NamedTuple):
    """Segments of about the same stated confidence: how many, its mean, and the share that is right."""

    n: int
    stated: float
    right: float


def _bin(segments: Sequence[Segment]) -> Bin:
    if not segments:
        return Bin(0, float("nan"), float("nan"))
    stated, right = (float(np.mean(x)) for x in zip(*((s.confidence, s.right) for s in segments), strict=True))
    return Bin(len(segments), stated, right)


def reliability(segments: Sequence[Segment]) -> list[Bin]:
    """Ten bins of confidence."""
    place = [min(N_BINS - 1, int(s.confidence * N_BINS)) for s in segments]
    return [_bin([s for s, p in zip(segments, place, strict=True) if p == k]) for k in range(N_BINS)]


def calibration_error(bins: Sequence[Bin]) -> float:
    """ECE = sum_b n_b / n |right_b - stated_b| (Naeini et al. 2015)."""
    total = sum(b.n for b in bins)
    return sum(b.n / total * abs(b.right - b.stated) for b in bins if b.n) if total else float("nan")


def reliability_table(bins: Sequence[Bin]) -> str:
    """Stated against measured, bin by bin."""
    lines = ["confidence     n  stated   right"]
    lines += [
        f"{k / N_BINS:.1f}-{(k + 1) / N_BINS:.1f}  {b.n:8d}  {b.stated:6.3f}  {b.right:6.3f}"
        for k, b in enumerate(bins)
        if b.n
    ]
    return "\n".join([*lines, f"expected calibration error {calibration_error(bins):.4f}"])


def write_reliability(folder: Path, bins: Sequence[Bin]) -> None:
    """``reliability.csv`` and ``reliability.png``."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    with (folder / "reliability.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["low", "high", "n", "stated", "right"])
        writer.writerows([k / N_BINS, (k + 1) / N_BINS, b.n, b.stated, b.right] for k, b in enumerate(bins))
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(5, 6), height_ratios=[3, 1], sharex=True, layout="constrained")
    full = [b for b in bins if b.n]
    top.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    top.plot([b.stated for b in full], [b.right for b in full], "o-")
    top.set(ylabel="share of segments that are right", xlim=(0, 1), ylim=(0, 1.02))
    top.set_title(f"Stated confidence, expected calibration error {calibration_error(bins):.3f}")
    bottom.bar([(k + 0.5) / N_BINS for k in range(N_BINS)], [b.n for b in bins], width=0.9 / N_BINS)
    bottom.set(xlabel="stated confidence", ylabel="segments", yscale="symlog")
    figure.savefig(folder / "reliability.png", dpi=120)
    plt.close(figure)
