"""separate: drums, bass, vocals and other of every recording, when ``data.use_stems`` or mode ``full`` asks for them.

Reads the recordings, ``data/decoded`` and params ``audio``, ``data``, ``features``, ``stems``; writes ``data/stems``:
``<track>/<stem>.flac``, the mono view of each stem, or only an index when stems are not asked for. Separation needs the
original recording: its channels and its full band.
"""

from functools import partial
from pathlib import Path

import typer

from rl_editor.analysis import separated
from rl_editor.command import run
from rl_editor.config import Config
from rl_editor.executor import run_tracks
from rl_editor.files import write_json
from rl_editor.library import Problem
from rl_editor.stems import separating_workers, stems_key
from stages.layout import INDEX, STEMS, fresh_folder, report_problems
from stages.manifest import Track, library_root, load_manifest, write_view
from stages.params import PARAMS, load_params

SECTIONS = ("audio", "data", "features", "stems")


def main(params: Path = PARAMS, *, strict: bool = False) -> None:
    """Separate the stems of raw and reference recordings."""
    config = load_params(SECTIONS, params)
    with fresh_folder(STEMS) as folder:
        if not (config.data.use_stems or config.features.feature_mode == "full"):
            typer.echo("stems are not asked for (data.use_stems, features.feature_mode: full)", err=True)
            write_json(folder / INDEX, {})
            return
        stems_key(config.stems)  # what no recording can be separated without is missed once, not by each of them
        tracks = load_manifest().with_role("raw", "reference")
        work = partial(separate_track, root=library_root(config), config=config, folder=folder)
        workers = separating_workers(config.executor.workers, config.stems)
        outcomes = list(run_tracks(work, tracks, workers=workers, label="separate"))
        write_json(folder / INDEX, {o.item.track_id: o.value for o in outcomes if o.value is not None})
        problems = [Problem(o.item.track_id, o.error) for o in outcomes if o.error]
        report_problems(folder, problems, n_left=len(outcomes) - len(problems), strict=strict, what="tracks")


def separate_track(track: Track, *, root: Path, config: Config, folder: Path) -> dict[str, float]:
    """Write the mono stems of a recording; gives the scale of each.

    Raises:
        StemError: the separation model cannot run.
    """
    stems = separated(root / track.path, config, sha256=track.source.sha256)
    target = folder / track.track_id
    target.mkdir()
    rate = config.audio.sample_rate
    return {name: write_view(target / f"{name}.flac", mono, rate) for name, mono in sorted(stems.items())}


if __name__ == "__main__":
    run(main)
