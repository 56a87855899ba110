"""From folders of raw and edited recordings to labelled demonstrations.

Everything per track goes through the side cache and the executor. A pair that cannot be read or explained is left out
and named (``Loaded.problems``); the others go on. Labels come from aligning the edit to the raw, never from loudness.
Where it is asked for, training songs come with augmented copies (``rl_editor.copies``).
"""

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rl_editor.actions import ActionSpace
from rl_editor.alignment import recover_files
from rl_editor.analysis import Mono, analyse_track
from rl_editor.cache import get_cache
from rl_editor.config import Config, Split
from rl_editor.copies import augmented_copy, n_copies
from rl_editor.demonstrations import Analysis, Demonstration, rescaled
from rl_editor.edits import EditList
from rl_editor.errors import DatasetError
from rl_editor.executor import run_tracks
from rl_editor.labelling import aligned
from rl_editor.labels import EditLabels, encode
from rl_editor.library import Library, Pair, Problem, Recording, find_library, first_of, unknown_tracks
from rl_editor.sources import require_unchanged, source_of
from rl_editor.splits import assign_splits, unknown_songs
from rl_editor.stems import stems_key
from rl_editor.utils import load_mono

_SHOWN = 5  # reasons in a message
_log = logging.getLogger("rl_editor")


class Labelled(NamedTuple):
    """A pair as it was explained."""

    analysis: Analysis
    edit: EditList
    labels: EditLabels


class Loaded(NamedTuple):
    """What a folder of recordings gave to learn from, and what was left out."""

    demonstrations: list[Demonstration]
    problems: tuple[Problem, ...]


def align_pair(pair: Pair, config: Config) -> EditList:
    """The edit list of a pair, from the cache or aligned now.

    Raises:
        AudioFileError: one of the recordings cannot be read, or is changed meanwhile.
        AlignmentError: they cannot be compared, or the edit is not of this raw.
    """
    shelf = get_cache(config)
    source, edit_sha256 = source_of(pair.raw.path, shelf), source_of(pair.edit.path, shelf).sha256

    def explain() -> EditList:
        try:
            return recover_files(pair.raw.path, pair.edit.path, config, source=source).edit
        finally:  # that a pair is refused is kept, too
            for path, sha256 in ((pair.raw.path, source.sha256), (pair.edit.path, edit_sha256)):
                require_unchanged(path, sha256, shelf)

    return aligned(pair.pair_id, explain, config, source=source, edit_sha256=edit_sha256)


def label_pair(pair: Pair, config: Config) -> Labelled:
    """Analysis, edit list and labels of a pair.

    Raises:
        AudioFileError: one of the recordings cannot be read.
        AlignmentError: they cannot be compared, or the edit is not of this raw.
    """
    analysis = analyse_track(pair.raw.path, config, track_id=pair.raw.track_id)
    edit = align_pair(pair, config)
    labels = encode(edit, analysis.grid, ActionSpace(config.action_space), unit_beats=config.action_space.unit_beats)
    return Labelled(analysis, edit, labels)


def load_library(library: Library, config: Config, *, augmented: bool = False) -> Loaded:
    """Demonstrations of every pair that can be explained, in the order of the pairs.

    Args:
        library: the recordings.
        config: settings.
        augmented: add the augmented copies of training songs that ``config.augmentation`` asks for.

    Raises:
        MissingWeightsError: mode ``full``, and the separation model's weights cannot be had.
    """
    if config.features.feature_mode == "full":
        stems_key(config.stems)  # what no recording can be heard without is missed once, not by each of them
    problems, labelled = list(library.problems), list[tuple[Pair, Labelled]]()
    work = partial(label_pair, config=config)
    for outcome in run_tracks(work, library.pairs, workers=config.executor.workers, label="pairs"):
        if outcome.value is None:
            problems.append(Problem(outcome.item.pair_id, outcome.error or "left out"))
        else:
            labelled.append((outcome.item, outcome.value))
    songs = {pair.song: found.analysis.source.sha256 for pair, found in labelled}  # what is left out takes no place
    problems += unknown_songs(songs, config.data)
    problems += unknown_tracks((recording.track_id for recording in library.heard), config.beats)
    splits = assign_splits(songs, config.data)
    taught = [_Taught(pair.raw, _demonstration(pair, found, splits[pair.song])) for pair, found in labelled]
    copies = n_copies(config) if augmented else 0
    if not copies:
        return Loaded([each.own for each in taught], tuple(problems))
    demonstrations: list[Demonstration] = []
    copying = partial(_with_copies, config=config, n_copies=copies)
    for each in run_tracks(copying, taught, workers=config.executor.workers, label="copies"):
        if each.value is None:
            problems.append(Problem(each.item.own.pair_id, each.error or "left out"))
        else:
            demonstrations += each.value
    return Loaded(demonstrations, tuple(problems))


class _Taught(NamedTuple):
    raw: Recording
    own: Demonstration


def _demonstration(pair: Pair, found: Labelled, split: Split) -> Demonstration:
    analysis, edit, labels = found
    return Demonstration(pair.pair_id, pair.song, pair.style, analysis.grid, analysis.features, labels, edit, split)


def _with_copies(taught: _Taught, *, config: Config, n_copies: int) -> list[Demonstration]:
    """A demonstration and, of a training song, its copies."""
    numbers = range(n_copies if taught.own.split == "train" else 0)
    return [taught.own, *(_copy(taught, config, number) for number in numbers)]


def _copy(taught: _Taught, config: Config, number: int) -> Demonstration:
    (path, name), own = (taught.raw.path, taught.raw.track_id), taught.own

    def load() -> Mono:
        mono = load_mono(path, config.audio.sample_rate)
        require_unchanged(path, own.source.sha256, get_cache(config))
        return mono

    analysis = Analysis(own.source, own.grid, own.features)
    heard = augmented_copy(load, analysis, config, track_id=name, number=number)
    times_s = tuple(float(t) for t in heard.grid.times_s) if own.edit.beat_times_s else ()
    edit = rescaled(own.edit, heard.source, beat_times_s=times_s)
    pair_id = f"{own.pair_id}.aug{number}"
    return replace(own, pair_id=pair_id, grid=heard.grid, features=heard.features, edit=edit, is_copy=True)


def load_demonstrations(data_dir: str | Path, config: Config, *, augmented: bool = False) -> list[Demonstration]:
    """Demonstrations of a folder of recordings, as ``load_library``; what is left out is logged with its reason.

    Raises:
        DatasetError: no pair is left.
    """
    library = find_library(data_dir)
    loaded = load_library(library, config, augmented=augmented)
    for problem in loaded.problems:
        _log.warning("left out: %s", problem)
    if not loaded.demonstrations:
        reasons = first_of(loaded.problems, _SHOWN) or "it holds reference tracks only"
        raise DatasetError(f"{data_dir}: no pair to learn from: {reasons}")
    return loaded.demonstrations


def load_references(data_dir: str | Path, config: Config) -> list[Analysis]:
    """The finished tracks of a folder that no raw belongs to; what cannot be read is logged with its reason."""
    outcomes = run_tracks(
        partial(_analysed, config=config),
        find_library(data_dir).references,
        workers=config.executor.workers,
        label="references",
    )
    analyses: list[Analysis] = []
    for outcome in outcomes:
        if outcome.value is None:
            _log.warning("left out: %s", Problem(outcome.item.track_id, outcome.error or "left out"))
        else:
            analyses.append(outcome.value)
    return analyses


def _analysed(recording: Recording, config: Config) -> Analysis:
    return analyse_track(recording.path, config, track_id=recording.track_id)
