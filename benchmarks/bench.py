"""What a user would run instead, beside ours: one row per kind of work, measured in one run, turn by turn.

A row is a function that measures and gives ``Row``; ``ROWS`` names them. Times are medians of turns that alternate
between peer and ours, so that whatever else the machine does falls on both.

    python -m benchmarks.bench [ROW ...] [--rounds 3] [--device cpu]

``--device cuda`` adds the rows of a GPU, ``features-device``, ``stems-device`` and ``ppo-device``.
"""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

import numpy as np
import typer

from benchmarks.align.kinds import KINDS, Draw, Pair, make_pair
from benchmarks.align.material import composed, concatenated
from benchmarks.align.methods import METHODS, Method, measured
from benchmarks.align.scores import Score
from benchmarks.align.truth import Habits, Piece, random_edit
from benchmarks.choices import known
from rl_editor.config import Precision

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One kind of work; ``check`` says in words what both results are worth."""

    work: str
    peer: str
    peer_s: float
    our_s: float
    check: str

    def text(self) -> str:
        """The row as printed."""
        return (
            f"{self.work}\n  {self.peer} {self.peer_s:.2f} s, ours {self.our_s:.2f} s, "
            f"{self.peer_s / self.our_s:.1f}x; {self.check}"
        )


def interleaved(peer: Callable[[], T], ours: Callable[[], T], *, rounds: int) -> tuple[list[T], list[T]]:
    """Run both in turn ``rounds`` times, after a turn that warms up; what each gave."""
    results: tuple[list[T], list[T]] = ([], [])
    for _ in range(rounds + 1):
        for given, work in zip(results, (peer, ours), strict=True):
            given.append(work())
    return results[0][1:], results[1][1:]


class Timed(Protocol):
    """A result that knows how long it took."""

    @property
    def seconds(self) -> float:
        """Of the work alone."""


def median_s(results: Sequence[Timed]) -> float:
    """The median turn."""
    return statistics.median(result.seconds for result in results)


# ---------------------------------------------------------------- alignment

RAW_S, EDIT_S = 300.0, 180.0
ONLY_CUTS = Habits((8, 16), cut=0.35, loop=0.0, moves=0)  # all that dynamic time warping can follow


def align_row(rounds: int) -> Row:
    """A 3-minute edit of a 5-minute raw, cuts only, an exact copy; from files to what plays when."""
    shelf = composed(tracks=4, seconds=RAW_S)
    material = concatenated(shelf, seconds=RAW_S)
    rng = np.random.default_rng(0)
    pieces = _shortened(
        random_edit(len(material.samples), material.beats, material.rate, rng, ONLY_CUTS), material.rate
    )
    with tempfile.TemporaryDirectory() as folder:
        pair = make_pair(KINDS["clean"], Draw(material, material, pieces, rng), Path(folder))
        peers, mine = interleaved(
            partial(_scored, METHODS["dtw"], pair), partial(_scored, METHODS["ours"], pair), rounds=rounds
        )
    peer, ours = peers[-1], mine[-1]
    return Row(
        f"align a {peer.edit_s:.0f} s edit to a {material.duration_s:.0f} s raw, cuts only, exact copy",
        "chroma CQT + librosa DTW",
        median_s(peers),
        median_s(mine),
        f"right within 250 ms {_share(peer, 250)} against {_share(ours, 250)}, "
        f"within 10 ms {_share(peer, 10)} against {_share(ours, 10)}",
    )


def _scored(method: Method, pair: Pair) -> Score:
    return measured(method, pair)[0]


def _shortened(pieces: list[Piece], rate: int) -> list[Piece]:
    """The pieces of the first ``EDIT_S`` seconds."""
    ends = np.cumsum([p.frames for p in pieces])
    return [p for p, end in zip(pieces, ends, strict=True) if end <= EDIT_S * rate]


def _share(score: Score, ms: int) -> str:
    return f"{score.within[ms]:.4f}"


# ---------------------------------------------------------------- features


def features_row(rounds: int, *, suffix: str = "") -> Row:
    """109 columns of a song of four minutes, from samples, or from a file with that suffix."""
    from benchmarks.features import by_librosa, by_ours, difference, file_of, mono

    minutes = len(mono()) / 22_050 / 60.0
    with file_of(suffix) if suffix else nullcontext() as path:
        peers, mine = interleaved(partial(by_librosa, path), partial(by_ours, path), rounds=rounds)
    worst = difference(peers[-1].frames, mine[-1].frames)
    against = "" if suffix else f"; frame features within {worst:.1e} of a standard deviation"
    return Row(
        f"109 features per beat of {minutes:.1f} minutes, from {suffix or 'samples'}",
        "librosa, a call per feature,",
        median_s(peers),
        median_s(mine),
        f"{median_s(mine) / minutes:.3f} s per minute{against}",
    )


def features_on(rounds: int, device: str) -> str:
    """The columns from samples on a GPU, beside ours on one thread of the CPU; sending and fetching are included."""
    from benchmarks.features import by_ours, difference, mono

    minutes = len(mono()) / 22_050 / 60.0
    peers, mine = interleaved(partial(by_ours, None), partial(by_ours, None, device=device), rounds=rounds)
    worst = difference(peers[-1].beats, mine[-1].beats)
    return Row(
        f"109 features per beat of {minutes:.1f} minutes, from samples, on {device}",
        "ours on the CPU",
        median_s(peers),
        median_s(mine),
        f"within {worst:.1e} of a standard deviation",
    ).text()


# ---------------------------------------------------------------- augmentation


def augment_row(rounds: int, *, effect: str) -> Row:
    """Pitch, speed, or both, of a song of four minutes."""
    from benchmarks.augmentation import DRAWS, by_librosa, by_ours, pitch_error_cents
    from benchmarks.features import RATE, mono

    draw, minutes = DRAWS[effect], len(mono()) / RATE / 60.0
    peers, mine = interleaved(partial(by_librosa, draw), partial(by_ours, draw), rounds=rounds)
    peer_s, our_s = median_s(peers), median_s(mine)
    off = [pitch_error_cents(draw, given[-1]) for given in (peers, mine)]
    expected = len(mono()) / draw.stretch_rate
    return Row(
        f"{effect} of {minutes:.1f} minutes changed",
        "librosa.effects",
        peer_s,
        our_s,
        f"{peer_s / minutes:.3f} against {our_s / minutes:.3f} s per minute; off the pitch asked for by "
        f"{off[0]:+.0f} and {off[1]:+.0f} cents, off the length by {len(peers[-1].sound) - expected:+.0f} and "
        f"{len(mine[-1].sound) - expected:+.0f} samples",
    )


# ---------------------------------------------------------------- stems


def stems_row(rounds: int, *, device: str = "cpu", precision: Precision = "float32") -> Row:
    """Four stems by a model of htdemucs' size."""
    import torch

    from benchmarks.stems import SECONDS, by_apply_model, by_ours, htdemucs, mix

    place = torch.device(device)
    bag, sound = htdemucs(), mix(SECONDS[place.type])
    peers, mine = interleaved(
        partial(by_apply_model, bag, sound, place, precision),
        partial(by_ours, bag, sound, place, precision),
        rounds=rounds,
    )
    minutes = SECONDS[place.type] / 60.0
    peer_s, our_s = median_s(peers), median_s(mine)
    expected = peers[-1].stems
    worst, loudest = float((mine[-1].stems - expected).abs().max()), float(expected.abs().max())
    return Row(
        f"4 stems of {minutes:.1f} minutes on {device}, overlap 0.25, {precision}",
        "demucs.apply.apply_model",
        peer_s,
        our_s,
        f"{peer_s / minutes:.3f} against {our_s / minutes:.3f} s per minute; "
        f"samples within {worst:.1e}, the loudest {loudest:.2f}",
    )


# ---------------------------------------------------------------- learning

PEER_TRAINS_S, PEER_CHECKS = 120.0, 12


def ppo_same_row(rounds: int) -> Row:
    """The same plain network, precision, epochs and samples per gradient step, on the same environment."""
    from benchmarks.ppo.contest import Contest, seconds_of_ours, seconds_of_peer

    contest = Contest.on_composed_songs()
    peers, mine = interleaved(partial(seconds_of_peer, contest), partial(seconds_of_ours, contest), rounds=rounds)
    return Row(
        "PPO, 100,000 decisions, 2 x 256 network, 4 epochs, 512 samples per gradient step, 2 threads",
        "sb3-contrib MaskablePPO, 8 environments,",
        statistics.median(peers),
        statistics.median(mine),
        f"{1e5 / statistics.median(peers):,.0f} against {1e5 / statistics.median(mine):,.0f} steps/s; "
        "the same function of the observation (tests/test_bench_ppo.py)",
    )


def ppo_best_row(rounds: int) -> Row:
    """Each at its best setting: time to the return on held-out songs that the peer reaches. One turn only."""
    from benchmarks.ppo.contest import Contest, best_of_ours, first_at

    contest = Contest.on_composed_songs()
    peer = contest.peer_curve(PEER_TRAINS_S, checks=PEER_CHECKS)
    ours = best_of_ours(contest)
    best = max(peer, key=lambda moment: moment.held_out)
    reached = first_at(ours[1:], best.held_out)  # the first moment is before training
    speeds = [moments[-1].steps / moments[-1].seconds for moments in (peer, ours)]
    return Row(
        f"PPO from scratch to a held-out return of {best.held_out:.3f}, 2 threads",
        f"sb3-contrib MaskablePPO (best of {peer[-1].seconds:.0f} s)",
        best.seconds,
        reached.seconds if reached else float("inf"),
        f"{speeds[0]:,.0f} against {speeds[1]:,.0f} steps/s ({speeds[1] / speeds[0]:.1f}x); the peer goes from "
        f"{peer[0].held_out:.3f} to {peer[-1].held_out:.3f}, ours from {ours[0].held_out:.3f} (untrained) to "
        f"{ours[-1].held_out:.3f} in {ours[-1].seconds:.0f} s",
    )


# ---------------------------------------------------------------- the command

ROWS: dict[str, Callable[[int], Row]] = {
    "features": features_row,
    "features-wav": partial(features_row, suffix=".wav"),
    "features-ogg": partial(features_row, suffix=".ogg"),
    "align": align_row,
    "augment-pitch": partial(augment_row, effect="pitch"),
    "augment-speed": partial(augment_row, effect="speed"),
    "augment-both": partial(augment_row, effect="pitch and speed"),
    "stems": stems_row,
    "ppo-same": ppo_same_row,
    "ppo-best": ppo_best_row,
}


def stems_on(rounds: int, device: str) -> str:
    """Stems on a GPU, in both precisions."""
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    return "\n".join(stems_row(rounds, device=device, precision=precision).text() for precision in precisions)


def ppo_on(_rounds: int, device: str) -> str:
    """Training on a GPU; nothing runs beside it."""
    from benchmarks.ppo.contest import on_device

    return on_device(device)


DEVICE_ROWS: dict[str, Callable[[int, str], str]] = {
    "features-device": features_on,
    "stems-device": stems_on,
    "ppo-device": ppo_on,
}


def main(
    rows: Annotated[list[str] | None, typer.Argument(help="Rows to measure; all by default")] = None,
    rounds: Annotated[int, typer.Option(help="Turns of each, after one to warm up")] = 3,
    device: Annotated[str, typer.Option(help="cuda adds what is measured on a GPU")] = "cpu",
) -> None:
    """Measure the project beside what a user would run instead."""
    available = [*ROWS, *(DEVICE_ROWS if device != "cpu" else ())]
    for name in known(rows or available, available, "row"):
        text = ROWS[name](rounds).text() if name in ROWS else DEVICE_ROWS[name](rounds, device)
        print(text, flush=True)


if __name__ == "__main__":
    typer.run(main)
