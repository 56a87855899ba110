"""The demonstrations of a run, read from the outputs of decode, features and align."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from rl_editor.command import counted
from rl_editor.config import Split
from rl_editor.demonstrations import Analysis, Demonstration, load_analysis, load_labels, rescaled
from rl_editor.edits import EditList
from rl_editor.errors import DatasetError
from rl_editor.labels import EditLabels
from rl_editor.state import ReferenceStatistics
from stages.layout import FEATURES, LABELS, PROBLEMS
from stages.manifest import Manifest, PairEntry, load_manifest


def read_demonstrations(*, splits: Iterable[Split], augmented: bool = False) -> list[Demonstration]:
    """Demonstrations of some splits, in order of their ids.

    Args:
        splits: which to read.
        augmented: add the augmented copies of training songs.

    Raises:
        DatasetError: there are none.
    """
    wanted, manifest = set(splits), load_manifest()
    found = [d for pair in _labelled(manifest) if pair.split in wanted for d in _read(pair, augmented=augmented)]
    if not found:
        songs = counted(len({pair.song for pair in manifest.pairs}), "song")
        raise DatasetError(
            f"no demonstrations for {', '.join(sorted(wanted))}: {songs} decoded, none there; {LABELS}/{PROBLEMS} says "
            "what was left out; add songs, or name some in data.splits"
        )
    return found


def read_reference() -> ReferenceStatistics | None:
    """What finished music is like, where the library holds reference tracks that could be analysed."""
    paths = [FEATURES / f"{track.track_id}.npz" for track in load_manifest().with_role("reference")]
    return ReferenceStatistics.of_analyses(load_analysis(path) for path in paths if path.is_file())


def digest_of(demonstrations: Iterable[Demonstration], reference: ReferenceStatistics | None = None) -> str:
    """A name for a set of demonstrations: what was heard and how edited, and beside what music."""
    parts = sorted(
        f"{d.source.sha256} {d.pair_id} {d.style} {d.split} {d.labels.actions.tolist()} {d.edit.to_json()}"
        for d in demonstrations
    )
    parts += [str(reference)] if reference else []
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _labelled(manifest: Manifest) -> list[PairEntry]:
    return [pair for pair in manifest.pairs if (LABELS / f"{pair.pair_id}.npz").is_file()]


def _read(pair: PairEntry, *, augmented: bool) -> list[Demonstration]:
    edit, labels = EditList.load(LABELS / f"{pair.pair_id}.json"), load_labels(LABELS / f"{pair.pair_id}.npz")
    found = [_demonstration(pair, load_analysis(FEATURES / f"{pair.raw}.npz"), labels, edit)]
    for path in _copies(pair.raw) if augmented else ():
        analysis = load_analysis(path)
        times_s = tuple(float(t) for t in analysis.grid.times_s)
        again = rescaled(edit, analysis.source, beat_times_s=times_s if edit.beat_times_s else ())
        copy = _demonstration(pair, analysis, labels, again)
        found.append(replace(copy, pair_id=f"{pair.pair_id}{path.stem.removeprefix(pair.raw)}", is_copy=True))
    return found


def _copies(track_id: str) -> list[Path]:
    number, paths = 0, []
    while (path := FEATURES / f"{track_id}.aug{number}.npz").is_file():
        paths.append(path)
        number += 1
    return paths


def _demonstration(pair: PairEntry, analysis: Analysis, labels: EditLabels, edit: EditList) -> Demonstration:
    return Demonstration(
        pair.pair_id, pair.song, pair.style, analysis.grid, analysis.features, labels, edit, pair.split
    )
