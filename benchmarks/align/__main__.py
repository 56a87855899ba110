"""The command: one table per group of kinds, the baselines, and the reliability of confidence.

python -m benchmarks.align [FOLDER] [--kinds clean,speed,long] [--tracks 8] [--edits 1] [--seconds 100]
"""

import tempfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.align.kinds import KINDS, LONG, Draw, Kind, Pair, make_pair
from benchmarks.align.long import measure
from benchmarks.align.material import Shelf, shelf_of
from benchmarks.align.methods import METHODS, measured
from benchmarks.align.report import (
    COLUMNS,
    calibration_error,
    reliability,
    reliability_table,
    table,
    write_reliability,
)
from benchmarks.align.scores import Score
from benchmarks.align.truth import random_edit

GROUPS = tuple(dict.fromkeys(kind.group for kind in KINDS.values()))
BESIDE = ("clean", "mastered")  # kinds on which the other methods run too
REMARKABLE = 0.998
Scores = dict[str, dict[str, list[Score]]]  # kind, method


def chosen_kinds(text: str) -> tuple[list[Kind], bool]:
    """Kinds and groups by name, and whether the long take is among them; nothing is everything."""
    names = [name for name in text.split(",") if name]
    unknown = [n for n in names if n not in {*KINDS, *GROUPS, LONG}]
    if unknown:
        raise SystemExit(f"--kinds: {', '.join(unknown)} unknown; known are {', '.join([*GROUPS, *KINDS, LONG])}")
    kinds = [kind for name, kind in KINDS.items() if not names or name in names or kind.group in names]
    return kinds, not names or LONG in names


def pairs(shelf: Shelf, kinds: list[Kind], *, edits: int, seed: int) -> Iterator[tuple[Kind, Pair]]:
    """Every kind of every edit of every track; the files live until the next."""
    for track in range(len(shelf)):
        material, other = shelf[track], shelf.other(track)
        for edit in range(edits):
            plan = np.random.default_rng([seed, track, edit])
            pieces = random_edit(len(material.samples), material.beats, material.rate, plan)
            for kind in kinds:
                rng = np.random.default_rng([seed, track, edit, zlib.crc32(kind.name.encode())])
                with tempfile.TemporaryDirectory() as folder:
                    yield kind, make_pair(kind, Draw(material, other, pieces, rng), Path(folder))


def report(kinds: list[Kind], scores: Scores, out: Path) -> None:
    """Print what was measured; write the reliability of confidence."""
    kinds = [kind for kind in kinds if kind.name in scores]
    for group in dict.fromkeys(kind.group for kind in kinds):
        rows = {k.name: scores[k.name]["ours"] for k in kinds if k.group == group and scores[k.name]["ours"]}
        if rows:
            print("\n" + table(group, rows, COLUMNS[group]))
    for name, by_method in scores.items():
        if len(by_method) > 1:
            print("\n" + table(f"{name}, methods", by_method, COLUMNS["methods"]))
            print(_ratios(by_method))
    segments = [s for by_method in scores.values() for scored in by_method["ours"] for s in scored.segments]
    bins = reliability(segments)
    print("\n" + reliability_table(bins))
    for group in dict.fromkeys(kind.group for kind in kinds):
        mine = [s for k in kinds if k.group == group for scored in scores[k.name]["ours"] for s in scored.segments]
        if mine:
            print(f"  {group}: {len(mine)} segments, {calibration_error(reliability(mine)):.4f}")
    out.mkdir(parents=True, exist_ok=True)
    write_reliability(out, bins)
    print(f"written: {out}/reliability.png, reliability.csv")


def _ratios(by_method: dict[str, list[Score]]) -> str:
    mine = np.median([s.seconds for s in by_method["ours"]])
    others = {name: np.median([s.seconds for s in scored]) / mine for name, scored in by_method.items()}
    return "times against ours: " + ", ".join(f"{name} {ratio:.1f}" for name, ratio in others.items() if name != "ours")


def main(
    folder: Annotated[Path | None, typer.Argument(help="Recordings; without it songs are composed")] = None,
    kinds: Annotated[str, typer.Option(help="Kinds and groups, comma-separated; all by default")] = "",
    tracks: Annotated[int, typer.Option(help="Recordings, spread over the folder")] = 8,
    edits: Annotated[int, typer.Option(help="Edits of each")] = 1,
    seconds: Annotated[float, typer.Option(help="How much of each recording is used")] = 100.0,
    seed: Annotated[int, typer.Option(help="Other edits of the same recordings")] = 0,
    methods: Annotated[str, typer.Option(help="What runs beside ours on clean and mastered")] = ",".join(METHODS),
    exclude: Annotated[str, typer.Option(help="File stem that is left out")] = "",
    out: Annotated[Path, typer.Option(help="Folder of the reliability plot")] = Path("reports/bench_align"),
) -> None:
    """Measure the alignment on edits that are known exactly."""
    wanted, long = chosen_kinds(kinds)
    for kind in wanted:
        if kind.missing:
            print(f"{kind.name}: left out: {kind.missing}")
    able = [kind for kind in wanted if not kind.missing]
    shelf = shelf_of(folder, tracks=tracks, seconds=seconds, exclude=exclude)
    beside = [name for name in methods.split(",") if name and name != "ours"]
    scores: Scores = defaultdict(lambda: defaultdict(list))
    try:
        for kind, pair in pairs(shelf, able, edits=edits, seed=seed):
            _measure(pair, ["ours", *(beside if kind.name in BESIDE else [])], scores)
    except KeyboardInterrupt:
        print("stopped: the tables hold what was measured until then", flush=True)
    if able:
        report(able, scores, out)
    if long:
        everything = shelf_of(folder, tracks=10**6 if folder else 30, seconds=10**4, exclude=exclude)
        print("\n" + measure(everything, seed))


def _measure(pair: Pair, methods: list[str], scores: Scores) -> None:
    """Every method on one pair, turn by turn."""
    for name in methods:
        result, why = measured(METHODS[name], pair)
        scores[pair.kind][name].append(result)
        if name == "ours":
            _remark(pair, result, why)


def _remark(pair: Pair, result: Score, why: str) -> None:
    if pair.truth is None:
        if not result.rejected:
            print(f"{pair.name} {pair.kind}: accepted", flush=True)
    elif result.rejected or result.within[10] < REMARKABLE:
        print(f"{pair.name} {pair.kind}: {result.within[10]:.4f} {why}", flush=True)


if __name__ == "__main__":
    typer.run(main)
