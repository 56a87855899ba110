"""features: the beats of every raw and reference recording, and what each is like.

Reads ``data/decoded``, ``data/stems`` and params ``audio``, ``augmentation``, ``beats``, ``features``, ``stems``;
writes ``data/features``: ``<track>.npz`` and, for raws of training songs, augmented copies
``<track>.aug0.npz`` and so on, but in mode ``full``: nobody separates stems of those.
"""

import json
from functools import partial
from pathlib import Path

from rl_editor.analysis import Mono, analyse
from rl_editor.command import run
from rl_editor.config import Config
from rl_editor.copies import augmented_copy, n_copies
from rl_editor.demonstrations import save_analysis
from rl_editor.executor import run_tracks
from rl_editor.library import Problem, unknown_tracks
from stages.layout import FEATURES, INDEX, STEMS, fresh_folder, report_problems
from stages.manifest import VIEW, Track, load_manifest, read_scaled, read_view
from stages.params import PARAMS, load_params

SECTIONS = ("audio", "augmentation", "beats", "features", "stems")


def main(params: Path = PARAMS, *, strict: bool = False) -> None:
    """Analyse all raw and reference recordings."""
    config = load_params(SECTIONS, params)
    manifest = load_manifest()
    tracks = manifest.with_role("raw", "reference")
    with fresh_folder(FEATURES) as folder:
        work = partial(analyse_view, training=manifest.training_raws, config=config, folder=folder)
        outcomes = list(run_tracks(work, tracks, workers=config.executor.workers, label="features"))
        problems = [Problem(o.item.track_id, o.error) for o in outcomes if o.error]
        n_left = len(outcomes) - len(problems)
        problems += unknown_tracks((track.track_id for track in tracks), config.beats)
        report_problems(folder, problems, n_left=n_left, strict=strict, what="tracks")


def analyse_view(track: Track, *, training: set[str], config: Config, folder: Path) -> str:
    """Write the analysis of a track and, where it is trained on, of its augmented copies.

    Its own comes last: later stages take a track whose own is there, and one that is left out is not taken.
    """
    analysis = analyse(
        lambda: read_view(track),
        track.source,
        config,
        track_id=track.track_id,
        stems=(lambda: read_stems(track.track_id)) if config.features.feature_mode == "full" else None,
        view=VIEW,
    )
    for number in range(n_copies(config) if track.track_id in training else 0):
        load = partial(read_view, track)
        copy = augmented_copy(load, analysis, config, track_id=track.track_id, number=number, view=VIEW)
        save_analysis(folder / f"{track.track_id}.aug{number}.npz", copy)
    save_analysis(folder / f"{track.track_id}.npz", analysis)
    return track.track_id


def read_stems(track_id: str) -> dict[str, Mono]:
    """The mono stems of a track."""
    scales = json.loads((STEMS / INDEX).read_text(encoding="utf-8")).get(track_id, {})
    return {name: read_scaled(STEMS / track_id / f"{name}.flac", scale) for name, scale in scales.items()}


if __name__ == "__main__":
    run(main)
