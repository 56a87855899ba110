"""An hour-long take and a quarter of an hour made of it: seconds and peak memory, in a process of its own."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.align.material import Material, Shelf, concatenated
from benchmarks.align.scores import Score, rejection, score
from benchmarks.align.sound import write
from benchmarks.align.truth import TAKE, Piece, Timeline, random_edit, render
from rl_editor.alignment import align_files
from rl_editor.config import Config
from rl_editor.edits import EditList
from rl_editor.errors import AlignmentError

RAW_S, EDIT_S = 3600.0, 900.0
PLANS = 20  # of these the one whose length is nearest to EDIT_S


def measure(shelf: Shelf, seed: int) -> str:
    """Lines that say how long, how large and how right."""
    material = concatenated(shelf, seconds=RAW_S)
    pieces = _plan(material, seed)
    truth = Timeline.of_pieces(pieces, material.rate)
    with tempfile.TemporaryDirectory() as folder:
        raw = write(Path(folder) / "raw.wav", material.samples, material.rate, "PCM_16")
        edit = write(Path(folder) / "edit.wav", render(material.samples, pieces), material.rate, "PCM_16")
        command = [sys.executable, "-m", "benchmarks.align.long", str(raw), str(edit)]
        result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    beats_s = material.beats / material.rate
    if result["edit"] is None:
        scored = rejection(truth, result["seconds"])
    else:
        found = Timeline.of_edit(EditList.from_dict(result["edit"]))
        scored = score(found, truth, material.samples, material.rate, beats_s, seconds=result["seconds"])
    return _lines(material.duration_s, truth, scored, result["peak_gib"], result["why"])


def _plan(material: Material, seed: int) -> list[Piece]:
    """A quarter of an hour out of an hour."""
    plans = [
        random_edit(len(material.samples), material.beats, material.rate, np.random.default_rng([seed, k]), TAKE)
        for k in range(PLANS)
    ]
    wanted = EDIT_S / RAW_S * len(material.samples)
    return min(plans, key=lambda pieces: abs(sum(p.frames for p in pieces) - wanted))


def _lines(raw_s: float, truth: Timeline, scored: Score, peak_gib: float, why: str) -> str:
    short = "" if raw_s >= RAW_S else "; not an hour: give more recordings (--tracks)"
    joins = np.array(scored.join_errors_ms or [np.nan])
    return "\n".join(
        [
            f"long: raw {raw_s / 60:.1f} min, edit {truth.duration_s / 60:.1f} min{short}",
            f"  {scored.seconds:.1f} s, peak {peak_gib:.2f} GiB, rejected {scored.rejected} {why}",
            f"  10 ms {scored.within[10]:.4f}, plain {scored.plain_10ms:.4f}, 1 of 10 {scored.exact_1ms:.4f}, "
            f"join median {np.median(joins):.2f} ms, p95 {np.percentile(joins, 95):.1f} ms, "
            f"joins {scored.n_joins}, miss {scored.missing_joins}, extra {scored.extra_joins}",
        ]
    )


def _child(raw: str, edit: str) -> None:
    """Align two files and print the result with the peak of this process."""
    began, found, why = time.perf_counter(), None, ""
    try:
        found = align_files(raw, edit, Config()).to_dict()
    except AlignmentError as error:
        why = str(error)
    seconds = time.perf_counter() - began
    peak = _peak_kib() / 2**20
    print(json.dumps({"seconds": seconds, "peak_gib": peak, "why": why, "edit": found}))


def _peak_kib() -> float:
    """Of this process; ``ru_maxrss`` would hold what its parent had when it started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return float(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1])
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    _child(*sys.argv[1:])
