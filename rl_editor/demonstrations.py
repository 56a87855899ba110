"""What learning reads: the analysis of a recording, and the demonstration made of it and an edit.

Conventions: ``Analysis.features`` has one row per beat of ``Analysis.grid``; ``Demonstration.labels`` has one
action per decision unit. Files hold arrays without Python objects and are the same bytes every time.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np

from rl_editor.command import counted
from rl_editor.config import Split
from rl_editor.edits import EditList, SourceInfo
from rl_editor.errors import DatasetError, RlEditorError
from rl_editor.features import BeatFeatures
from rl_editor.files import UNREADABLE, replacing
from rl_editor.grid import BeatGrid
from rl_editor.labels import EditLabels

LEAST_TOLD = 0.5  # of the duration of an editor's edits


@dataclass(frozen=True, eq=False)
class Analysis:
    """A recording as it is heard: where its beats are, and what each is like."""

    source: SourceInfo
    grid: BeatGrid
    features: BeatFeatures

    def __post_init__(self) -> None:
        if self.features.n_beats != self.grid.n_beats:
            raise DatasetError(
                f"{self.source.name}: features of {self.features.n_beats} beats on a grid of {self.grid.n_beats}; "
                "were they made with another grid?"
            )


@dataclass(frozen=True, eq=False)
class Demonstration:
    """One edit by one editor, as it is learned from; ``song`` names the raw recording.

    A copy (``is_copy``) is another demonstration's, augmented: another sound, the same decisions.
    """

    pair_id: str
    song: str
    style: str
    grid: BeatGrid
    features: BeatFeatures
    labels: EditLabels
    edit: EditList
    split: Split
    is_copy: bool = False

    def __post_init__(self) -> None:
        if self.features.n_beats != self.grid.n_beats:
            raise DatasetError(
                f"{self.pair_id}: features of {self.features.n_beats} beats on a grid of {self.grid.n_beats}"
            )
        if len(self.labels.actions) != len(self.labels.confidence):
            raise DatasetError(
                f"{self.pair_id}: {len(self.labels.actions)} actions, {len(self.labels.confidence)} confidences"
            )

    @property
    def source(self) -> SourceInfo:
        """The raw recording."""
        return self.edit.source


def in_split(demonstrations: Iterable[Demonstration], split: Split) -> list[Demonstration]:
    """The demonstrations of one split, in order."""
    return [d for d in demonstrations if d.split == split]


def to_train_on(demonstrations: Collection[Demonstration]) -> list[Demonstration]:
    """The demonstrations that teach.

    Raises:
        DatasetError: there are none, or none in which a decision can be told.
    """
    if not (found := in_split(demonstrations, "train")):
        n_pairs = counted(len(demonstrations), "demonstration")
        raise DatasetError(f"{n_pairs}, none to train on; add pairs of more songs")
    if not any(d.labels.coverage for d in found):
        raise DatasetError(
            f"{counted(len(found), 'demonstration')} to train on, no edit among them with a passage as long as a "
            "decision unit (coverage 0); lower action_space.unit_beats, or add pairs"
        )
    return found


def to_choose_by(demonstrations: Iterable[Demonstration], styles: Collection[str]) -> list[Demonstration]:
    """The demonstrations that choose among epochs and updates: of these editors, where a decision can be told."""
    return [d for d in in_split(demonstrations, "validation") if d.style in styles and d.labels.coverage]


def split_line(demonstrations: Iterable[Demonstration]) -> str:
    """How many pairs are for what, in words."""
    n = Counter(d.split for d in demonstrations)
    counts = f"{n['train']} to learn from, {n['validation']} to choose by, {n['test']} held out"
    return f"pairs: {counts} (data.splits puts a song elsewhere)"


class Placed(NamedTuple):
    """Where a song that somebody edited is put."""

    style: str
    song: str
    split: Split


def split_gaps(pairs: Iterable[Placed]) -> list[str]:
    """Editors of whom no song teaches, and, where others' songs are held out, those of whom none is; a line each.

    Songs are split whoever edited them: of an editor of few songs all may fall on one side.
    """
    songs: dict[str, dict[str, Split]] = {}
    for pair in pairs:
        songs.setdefault(pair.style, {})[pair.song] = pair.split
    holds_out = any("test" in splits.values() for splits in songs.values())
    gaps = []
    for style, splits in sorted(songs.items()):
        whose = f"style {style!r} ({counted(len(splits), 'song')})"
        if "train" not in splits.values():
            gaps.append(
                f"{whose}: none teaches, so that it is not learned; put one into train with data.splits, or add pairs"
            )
        elif holds_out and "test" not in splits.values():
            gaps.append(
                f"{whose}: none is held out, so that nothing will say how well it is learned; "
                "put one into test with data.splits, or add pairs"
            )
    return gaps


def coverage_gaps(told: Iterable[tuple[str, float]]) -> list[str]:
    """Editors of whose edits decisions tell less than ``LEAST_TOLD`` on average; a line each.

    Args:
        told: style and coverage of every pair.
    """
    by_style: dict[str, list[float]] = defaultdict(list)
    for style, coverage in told:
        by_style[style].append(coverage)
    return [
        f"style {style!r} ({counted(len(own), 'pair')}): decisions tell {fmean(own):.0%} of what plays in its edits, "
        "so that little of it is learned; lower action_space.unit_beats, if it cuts within units"
        for style, own in sorted(by_style.items())
        if fmean(own) < LEAST_TOLD
    ]


def save_analysis(path: str | Path, analysis: Analysis) -> None:
    """Write an analysis as npz."""
    _save_arrays(
        path,
        source=_text(json.dumps(asdict(analysis.source), sort_keys=True)),
        **analysis.grid.to_arrays(),
        values=analysis.features.values,
        names=np.array(analysis.features.names, dtype=np.str_),
    )


def load_analysis(path: str | Path) -> Analysis:
    """Read an analysis.

    Raises:
        DatasetError: the file is missing, damaged or something else.
    """
    arrays = _load_arrays(path, ("source", "times_s", "bar_position", "beats_per_bar", "confidence", "values", "names"))
    try:
        return Analysis(
            SourceInfo(**json.loads(arrays["source"].tobytes())),
            BeatGrid.from_arrays(arrays),
            BeatFeatures(arrays["values"], tuple(str(name) for name in arrays["names"])),
        )
    except (RlEditorError, ValueError, TypeError, IndexError) as error:
        raise _no_file_of_ours(path, error) from error


def save_labels(path: str | Path, labels: EditLabels) -> None:
    """Write labels as npz."""
    _save_arrays(path, actions=labels.actions, confidence=labels.confidence, coverage=np.array(labels.coverage))


def load_labels(path: str | Path) -> EditLabels:
    """Read labels.

    Raises:
        DatasetError: the file is missing, damaged or something else.
    """
    arrays = _load_arrays(path, ("actions", "confidence", "coverage"))
    try:
        return EditLabels(arrays["actions"], arrays["confidence"], float(arrays["coverage"]))
    except (ValueError, TypeError) as error:
        raise _no_file_of_ours(path, error) from error


def rescaled(edit: EditList, source: SourceInfo, *, beat_times_s: Sequence[float]) -> EditList:
    """The same edit on a version of its source of another length, such as a time-stretched one.

    What goes on without a join does so there: starts and ends are rounded, not lengths.
    """
    ratio = source.frames / edit.source.frames
    segments = []
    for segment in edit.segments:
        start, end = segment.source_start_frame, segment.source_end_frame
        frames = round(segment.frames * ratio)
        if start is not None and end is not None:
            start = min(round(start * ratio), source.frames - 1)
            frames = min(
                round((round(end * ratio) - start) / segment.speed), int((source.frames - start) / segment.speed)
            )
        segments.append(replace(segment, source_start_frame=start, frames=max(frames, 1)))
    return replace(edit, source=source, segments=tuple(segments), beat_times_s=tuple(beat_times_s))


def _text(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def _save_arrays(path: str | Path, **arrays: np.ndarray) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **{name: np.asarray(array) for name, array in sorted(arrays.items())})  # type: ignore[arg-type]


def _load_arrays(path: str | Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in names}
    except UNREADABLE as error:
        raise _no_file_of_ours(path, error) from error


def _no_file_of_ours(path: str | Path, error: BaseException) -> DatasetError:
    return DatasetError(f"{path}: not a whole file of this project ({error}); write it again")
