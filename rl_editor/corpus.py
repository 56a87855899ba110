"""Folders of raw/edit pairs whose edits are known exactly: composed songs, or any recordings, cut by synthetic editors.

Layout below the folder: ``input/<song>_raw.flac``, ``desired_output/<song>__<editor>_edit.flac``, ``pairs.csv``
(columns raw, edit, style), ``truth/<song>.json`` (beats, downbeats, sections, tempo, traits),
``truth/<song>__<editor>.json`` (the edit list) and ``truth/stems/<song>/`` of the first songs. Nothing under ``truth/``
is read by the pipeline. Same settings, same bytes: every generator comes from (``corpus.seed``, song, editor). Editors
hear the written file.
"""

import csv
import io
import os
import shutil
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rl_editor.composer import ComposedSong, compose_song
from rl_editor.config import Config, FeaturesConfig
from rl_editor.editors import EDITORS, TrackView, master
from rl_editor.errors import ConfigError, DatasetError
from rl_editor.executor import Outcome, run_tracks
from rl_editor.files import replacing, require_folder, safe_name, write_json, write_text
from rl_editor.grid import BeatGrid
from rl_editor.library import INPUT, OUTPUT, PAIRS, audio_files, only_read
from rl_editor.utils import Samples, load_audio, save_audio, source_info, to_mono

TRUTH = "truth"
SUBTYPE = "PCM_16"
SONGS_WITH_STEMS = 2


class PairRow(NamedTuple):
    """A row of ``pairs.csv``."""

    raw: str
    edit: str
    style: str


@dataclass(frozen=True)
class CorpusSummary:
    """What was written, and what was left out and why."""

    pairs: tuple[PairRow, ...]
    problems: tuple[str, ...] = ()


def build_default_corpus(out_dir: str | Path, config: Config) -> CorpusSummary:
    """Compose ``corpus.n_songs`` songs and let every one of ``corpus.editors`` edit each.

    Raises:
        ConfigError: an editor is unknown.
        DatasetError: a song could not be written.
    """
    for editor in config.corpus.editors:
        _check_editor(editor)
    build = partial(_build_song, out_dir=str(out_dir), config=config)
    summary = _collect(
        run_tracks(
            build,
            range(config.corpus.n_songs),
            workers=config.executor.workers,
            label="composing",
            named=lambda index: f"song {index}",
        )
    )
    if summary.problems:
        raise DatasetError(f"{out_dir}: the corpus is incomplete: {'; '.join(summary.problems)}")
    _write_pairs(Path(out_dir), summary.pairs)
    return summary


def build_practice_pairs(folder: str | Path, editor: str, out_dir: str | Path, config: Config) -> CorpusSummary:
    """Let one editor edit every recording of a folder; raws are copied, what cannot be read is named and left out.

    Raises:
        ConfigError: the editor is unknown, or there is no such folder.
        DatasetError: the folder has no recording that can be edited.
    """
    _check_editor(editor)
    require_folder(Path(folder))
    paths = audio_files(folder)
    build = partial(_build_practice_pair, editor=editor, out_dir=str(out_dir), config=config)
    names = Counter(_practice_name(path).casefold() for path in paths)
    twice = [path for path in paths if names[_practice_name(path).casefold()] > 1]
    items = [str(path) for path in paths if path not in twice]
    made = _collect(
        run_tracks(build, items, workers=config.executor.workers, label=f"editing ({editor})", named=os.path.basename)
    )
    unknown = (f"{path.name}: {path.suffix} is not taken; make it .flac" for path in only_read(folder))
    shared = (f"{path.name}: shares the name {_practice_name(path)!r} with another; rename one" for path in twice)
    summary = CorpusSummary(made.pairs, (*made.problems, *shared, *unknown))
    if not summary.pairs:
        reasons = "; ".join(summary.problems) or "no audio files in it"
        raise DatasetError(f"{folder}: nothing to practise on: {reasons}; name a folder of recordings")
    _write_pairs(Path(out_dir), summary.pairs)
    return summary


def _check_editor(editor: str) -> None:
    if editor not in EDITORS:
        raise ConfigError(f"corpus.editors: {editor!r} is unknown; known editors are {', '.join(EDITORS)}")


def _collect(outcomes: Iterable[Outcome[Any, list[PairRow]]]) -> CorpusSummary:
    rows: list[PairRow] = []
    problems: list[str] = []
    for outcome in outcomes:
        rows += outcome.value or []
        if outcome.error is not None:
            problems.append(outcome.error)
    return CorpusSummary(tuple(rows), tuple(problems))


def _write_pairs(out_dir: Path, rows: Sequence[PairRow]) -> None:
    """Write the table last: a folder without it was not finished."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([PairRow._fields, *rows])
    write_text(out_dir / PAIRS, text.getvalue())


# ---------------------------------------------------------------- one song


def _build_song(index: int, *, out_dir: str, config: Config) -> list[PairRow]:
    """Compose, write and edit one song."""
    from rl_editor.features import extract_frames, pool_beats

    folder = Path(out_dir)
    song = compose_song(index, config=config.corpus)
    raw = folder / INPUT / f"{song.name}_raw.flac"
    save_audio(raw, song.mix, subtype=SUBTYPE)
    write_json(folder / TRUTH / f"{song.name}.json", song_truth(song))
    if index < SONGS_WITH_STEMS:
        for name, stem in song.stems.items():
            save_audio(folder / TRUTH / "stems" / song.name / f"{name}.flac", stem, subtype=SUBTYPE)
    heard = load_audio(raw)
    frames = extract_frames(to_mono(heard, config.audio.sample_rate), config)
    view = TrackView(song.grid, pool_beats(frames, song.grid, mode="enhanced"), source_info(raw))
    return [
        _edit(view, heard, name=song.name, editor=editor, folder=folder, config=config)
        for editor in config.corpus.editors
    ]


def _edit(view: TrackView, heard: Samples, *, name: str, editor: str, folder: Path, config: Config) -> PairRow:
    """Plan, render, master and write one edit, and the truth about it."""
    from rl_editor.render import render_samples

    entropy = [config.corpus.seed, zlib.crc32(name.encode()), zlib.crc32(editor.encode())]
    planning, mastering = np.random.default_rng(entropy).spawn(2)
    edit = EDITORS[editor].plan(view, planning)
    path = folder / OUTPUT / f"{name}__{editor}_edit.flac"
    save_audio(path, master(render_samples(edit, heard, config), mastering), subtype=SUBTYPE)
    write_text(folder / TRUTH / f"{name}__{editor}.json", edit.to_json())
    return PairRow(view.source.name, path.name, editor)


def _build_practice_pair(item: str, *, editor: str, out_dir: str, config: Config) -> list[PairRow]:
    """Copy one recording, hear it and edit it."""
    from rl_editor.analysis import analyse_track

    path, folder = Path(item), Path(out_dir)
    name = _practice_name(path)
    raw = folder / INPUT / f"{name}_raw{path.suffix.lower()}"
    heard = load_audio(path)
    with replacing(raw) as temporary:
        shutil.copyfile(path, temporary)
    analysis = analyse_track(raw, replace(config, features=FeaturesConfig("enhanced")))
    view = TrackView(analysis.grid, analysis.features, analysis.source)
    return [_edit(view, heard, name=name, editor=editor, folder=folder, config=config)]


def _practice_name(path: Path) -> str:
    """What the outputs of a recording are called."""
    return safe_name(path.stem.removesuffix("_raw"))


def song_truth(song: ComposedSong) -> dict[str, Any]:
    """What is known about a composed song, as plain values."""
    whole = song.grid.bar_position >= 0
    onsets = song.grid.times_s[:-1]
    return {
        "name": song.name,
        "bpm": song.bpm,
        "genre": song.genre,
        "traits": list(song.traits),
        "beats": _plain(onsets[whole]),
        "downbeats": _plain(onsets[song.grid.bar_position == 0]),
        "grid": grid_truth(song.grid),
        "sections": [section._asdict() for section in song.sections],
    }


def grid_truth(grid: BeatGrid) -> dict[str, Any]:
    """A beat grid as plain values."""
    return {
        "times_s": _plain(grid.times_s),
        "bar_position": [int(p) for p in grid.bar_position],
        "beats_per_bar": grid.beats_per_bar,
    }


def _plain(values: np.ndarray) -> list[float]:
    return [float(v) for v in values]
