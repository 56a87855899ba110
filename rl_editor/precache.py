"""Computing beats, features and labels of a folder of recordings ahead of training.

``python -m rl_editor.precache --data_dir D --feature_mode enhanced [--stems] [--workers N]``

Every result goes to the cache as soon as it is there: a run that was killed goes on where it stopped. Recordings that
cannot be used are listed at the end. Exit codes: 0 all done, 1 some were left out, 2 nothing could be done.
"""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import typer

from rl_editor.analysis import analyse_track, separated
from rl_editor.cache import get_cache
from rl_editor.command import EXIT_CHECK_FAILED, run
from rl_editor.config import Config, FeatureMode
from rl_editor.data import align_pair
from rl_editor.errors import DatasetError
from rl_editor.executor import run_tracks
from rl_editor.library import Library, Pair, Problem, Recording, find_library
from rl_editor.stems import separating_workers

CACHE_DIR = Path(Config().data.cache_dir)


class Precached(NamedTuple):
    """What a run did."""

    n_recordings: int
    n_pairs: int
    problems: tuple[Problem, ...]


def precache(library: Library, config: Config, *, stems: bool = False) -> Precached:
    """Fill the cache for every recording and pair of a library.

    Args:
        library: the recordings.
        config: settings; the cache and the number of processes are in ``data`` and ``executor``.
        stems: separate stems as well, whatever the feature mode.

    Raises:
        DatasetError: nothing could be done at all.
    """
    workers, problems = config.executor.workers, list(library.problems)
    recordings = [r for r in library.recordings if r.role != "edit"]
    analysed = partial(_analyse, config=config, stems=stems)
    separates = stems or config.features.feature_mode == "full"
    analysing = separating_workers(workers, config.stems) if separates else workers
    outcomes = list(run_tracks(analysed, recordings, workers=analysing, label="features"))
    problems += [Problem(o.item.path.name, o.error) for o in outcomes if o.error]
    pairs = list(run_tracks(partial(_align, config=config), library.pairs, workers=workers, label="labels"))
    problems += [Problem(o.item.pair_id, o.error) for o in pairs if o.error]
    done = Precached(
        sum(o.error is None for o in outcomes), sum(o.error is None for o in pairs), tuple(sorted(problems))
    )
    if done.n_recordings == 0:
        raise DatasetError("nothing could be computed: " + "; ".join(str(p) for p in done.problems))
    return done


def _analyse(recording: Recording, *, config: Config, stems: bool) -> None:
    if stems:
        sha256 = get_cache(config).hash_file(recording.path)
        separated(recording.path, config, sha256=sha256)
    analyse_track(recording.path, config, track_id=recording.track_id)


def _align(pair: Pair, *, config: Config) -> None:
    align_pair(pair, config)


def main(
    data_dir: Annotated[Path, typer.Option(help="Folder with input/, desired_output/ and reference/.")],
    feature_mode: Annotated[
        Literal["basic", "enhanced", "full"], typer.Option(help="4, 109 or 121 features per beat.")
    ] = "enhanced",
    stems: Annotated[bool, typer.Option("--stems", help="Separate stems as well (slow without a GPU).")] = False,
    workers: Annotated[int, typer.Option(help="Processes; 0 is one per core.", min=0)] = 0,
    cache_dir: Annotated[Path, typer.Option(help="Where results are kept.")] = CACHE_DIR,
) -> None:
    """Compute features and labels ahead of training."""
    mode: FeatureMode = feature_mode
    config = Config()
    config.features.feature_mode = mode
    config.data.use_stems = stems
    config.data.cache_dir = str(cache_dir)
    config.executor.workers = workers
    done = precache(find_library(data_dir), config, stems=stems)
    for problem in done.problems:
        typer.echo(f"left out: {problem}", err=True)
    typer.echo(f"{done.n_recordings} recordings and {done.n_pairs} pairs are in {cache_dir}", err=True)
    if done.problems:
        raise typer.Exit(EXIT_CHECK_FAILED)


if __name__ == "__main__":
    run(main)
