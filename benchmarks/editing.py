"""Songs and edits of them, for measuring what is learned: a folder or composed songs, any editor, any seed.

No audio is rendered: labels are read out of the editor's own edit list, as ``align`` recovers it.
"""

import hashlib
import sys
import zlib
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from benchmarks.align.material import recording_files
from rl_editor.actions import ActionSpace
from rl_editor.analysis import analyse, analyse_track
from rl_editor.composer import compose_song
from rl_editor.config import Config, Split
from rl_editor.demonstrations import Analysis, Demonstration
from rl_editor.editors.styles import Editor, TrackView
from rl_editor.edits import SourceInfo
from rl_editor.executor import Outcome, run_tracks
from rl_editor.labels import encode
from rl_editor.utils import to_mono

T = TypeVar("T")

SHORTEST_S, LONGEST_S = 45.0, 420.0


class Song(NamedTuple):
    """A recording as it is heard."""

    name: str
    analysis: Analysis


def songs_of(folder: Path | None, config: Config, *, n_songs: int) -> list[Song]:
    """Up to ``n_songs`` recordings of a folder, spread over it, or as many composed songs without one."""
    if folder is None:
        return given(run_tracks(partial(_composed, config=config), range(n_songs), workers=0, label="songs"))
    files = recording_files(folder, tracks=n_songs, shortest_s=SHORTEST_S, longest_s=LONGEST_S)
    items = [str(file) for file in files]
    return given(run_tracks(partial(_recorded, config=config), items, workers=0, label="songs"))


def given(outcomes: Iterable[Outcome[Any, T]]) -> list[T]:
    """What came of the items; those that failed are named with the reason."""
    values = []
    for outcome in outcomes:
        if outcome.value is None:
            print(f"left out: {outcome.item}: {outcome.error}", file=sys.stderr)
        else:
            values.append(outcome.value)
    return values


def demonstration(song: Song, editor: Editor, config: Config, *, seed: int, split: Split) -> Demonstration:
    """What an editor does with a song; another seed is the same editor on another day."""
    grid, features, source = song.analysis.grid, song.analysis.features, song.analysis.source
    rng = np.random.default_rng([seed, zlib.crc32(song.name.encode()), zlib.crc32(editor.name.encode())])
    edit = editor.plan(TrackView(grid, features, source), rng)
    space, unit_beats = ActionSpace(config.action_space), config.action_space.unit_beats
    labels = encode(edit, grid, space, unit_beats=unit_beats)
    return Demonstration(f"{song.name}__{editor.name}", song.name, editor.name, grid, features, labels, edit, split)


def split_names(songs: Sequence[Song], *, seed: int, held_out: float, n_train: int) -> dict[str, Split]:
    """Song -> split, drawn: a share is held out; of at most ``n_train`` others one in six chooses, the rest teach."""
    order = [songs[k].name for k in np.random.default_rng(seed).permutation(len(songs))]
    n_test = round(held_out * len(order))
    others = order[n_test : n_test + n_train]
    names: dict[str, Split] = dict.fromkeys(order[:n_test], "test")
    return names | {name: ("train" if k % 6 else "validation") for k, name in enumerate(others)}


def _composed(index: int, *, config: Config) -> Song:
    song = compose_song(index, config=config.corpus)
    samples = song.mix
    content = hashlib.sha256(samples.data.tobytes()).hexdigest()  # the same names are composed from every seed
    source = SourceInfo(song.name, content, samples.sample_rate, 2, len(samples.data))
    mono = to_mono(samples, config.audio.sample_rate)
    return Song(song.name, analyse(lambda: mono, source, config, track_id=song.name, view="composed"))


def _recorded(path: str, *, config: Config) -> Song:
    file = Path(path)
    return Song(f"{file.parent.name}/{file.stem}", analyse_track(file, config))
