"""decode: every recording to its mono analysis view, and the manifest of tracks, pairs and splits.

Reads the recordings (``data.raw_dir``, or ``data/corpus``) and params ``audio`` and ``data``; writes ``data/decoded``.
A recording that cannot be read leaves its pairs out.
"""

import shutil
from functools import partial
from pathlib import Path

import numpy as np

from rl_editor.cache import get_cache
from rl_editor.channels import channel_product, load_turned
from rl_editor.command import run
from rl_editor.config import Config
from rl_editor.executor import run_tracks
from rl_editor.library import Library, Pair, Problem, Recording, find_library, problem_of
from rl_editor.sources import require_unchanged, source_of
from rl_editor.splits import assign_splits, unknown_songs
from rl_editor.utils import check_length, load_mono
from rl_editor.versions import code_digest
from stages.layout import DECODED, fresh_folder, report_problems
from stages.manifest import Manifest, PairEntry, Track, library_root, view_file, write_view
from stages.params import PARAMS, load_params

SECTIONS = ("audio", "data")
DECODING = ("utils", "channels", "speakers")  # the code that makes a view
_VIEWS = _PLAIN, _TURNED = ("mono", "turned")


def main(params: Path = PARAMS, *, strict: bool = False) -> None:
    """Decode all recordings."""
    config = load_params(SECTIONS, params)
    library = find_library(library_root(config))
    with fresh_folder(DECODED) as folder:
        work = partial(decode_recording, root=library.root, config=config, folder=folder)
        tracks: dict[str, Track] = {}
        problems = list(library.problems)
        for outcome in run_tracks(work, library.recordings, workers=config.executor.workers, label="decode"):
            if outcome.value is None:
                problems.append(problem_of(outcome.item.path, outcome.error or "left out"))
            else:
                tracks[outcome.item.track_id] = outcome.value
        manifest = make_manifest(library, tracks, config, problems)
        manifest.save(folder)
        report_problems(folder, problems, n_left=len(manifest.pairs), strict=strict, what="pairs")


def decode_recording(recording: Recording, *, root: Path, config: Config, folder: Path) -> Track:
    """Write the mono view of a recording as ``<track>.flac``, and where its left and right go against each other the
    view with one channel turned over as ``turned/<track>.flac``.

    Raises:
        AudioFileError: the recording cannot be read, is too short, or is changed meanwhile.
    """
    shelf, path, rate, name = get_cache(config), recording.path, config.audio.sample_rate, recording.track_id
    source = source_of(path, shelf)
    check_length(path.name, duration_s=source.frames / source.sample_rate, min_duration_s=config.audio.min_duration_s)

    def make(entry: Path) -> None:
        views = {_PLAIN: load_mono(path, rate)}
        if channel_product(path) < 0 and (turned := load_turned(path, rate)) is not None:
            views[_TURNED] = turned
        for view, mono in views.items():
            np.save(entry / f"{view}.npy", write_view(entry / f"{view}.flac", mono, rate))
        require_unchanged(path, source.sha256, shelf)

    key = {
        "what": "views",
        "sha256": source.sha256,
        "rate": rate,
        "code": code_digest(*DECODING),
    }
    with shelf.folder("metadata", name, key, make) as entry:
        scales = {view: float(np.load(entry / f"{view}.npy")) for view in _VIEWS if (entry / f"{view}.npy").exists()}
        for view in scales:
            target = folder / view_file(name, turned=view == _TURNED)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(entry / f"{view}.flac", target)
    relative = path.relative_to(root).as_posix()
    return Track(name, relative, recording.role, source, scales[_PLAIN], scales.get(_TURNED))


def make_manifest(library: Library, tracks: dict[str, Track], config: Config, problems: list[Problem]) -> Manifest:
    """Pairs whose recordings were both decoded, with the splits of their songs."""
    pairs = [pair for pair in library.pairs if _both_decoded(pair, tracks, problems)]
    songs = {p.song: tracks[p.raw.track_id].source.sha256 for p in pairs}
    splits = assign_splits(songs, config.data)
    problems.extend(unknown_songs(songs, config.data))
    entries = (
        PairEntry(p.pair_id, p.raw.track_id, p.edit.track_id, p.style, p.song, splits[p.song])
        for p in sorted(pairs, key=lambda p: p.pair_id)
    )
    return Manifest(tuple(tracks[name] for name in sorted(tracks)), tuple(entries))


def _both_decoded(pair: Pair, tracks: dict[str, Track], problems: list[Problem]) -> bool:
    lost = [r for r in (pair.raw, pair.edit) if r.track_id not in tracks]
    problems.extend(Problem(pair.pair_id, f"its {r.role} {r.path.name} could not be decoded") for r in lost)
    return not lost


if __name__ == "__main__":
    run(main)
