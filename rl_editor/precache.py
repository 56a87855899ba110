"""Computing beats, features and labels of a folder of recordings ahead of training.

``python -m rl_editor.precache --data_dir D --feature_mode enhanced [--stems] [--workers N]``

Every result goes to the cache as soon as it is there: a run that was killed goes on where it stopped. What the cache
holds is read, and checked, by this process; only what is left goes to others, whose start takes longer than reading a
thousand tracks. Recordings that cannot be used are listed at the end. Exit codes: 0 all done, 1 some were left out, 2
nothing could be done.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import typer

from rl_editor.analysis import analyse_track, separated
from rl_editor.cache import NotStored, get_cache, must_write, stored_only
from rl_editor.command import EXIT_CHECK_FAILED, counted, read_config, run
from rl_editor.config import Config, FeatureMode
from rl_editor.errors import ConfigError, DatasetError
from rl_editor.executor import Outcome, progress, run_tracks
from rl_editor.library import Library, Pair, Problem, Recording, find_library, first_of, problem_of, unknown_tracks
from rl_editor.loading import align_pair
from rl_editor.stems import separating_workers, stems_key

CACHE_DIR = Path(Config().data.cache_dir)
_SHOWN = 5  # reasons in a message
_log = logging.getLogger("rl_editor")

_Item = TypeVar("_Item")


class Precached(NamedTuple):
    """What a run did."""

    n_recordings: int
    n_pairs: int
    problems: tuple[Problem, ...]


def precache(library: Library, config: Config) -> Precached:
    """Fill the cache for every recording and pair of a library.

    Args:
        library: the recordings.
        config: settings; ``data.use_stems`` separates stems as well, whatever the feature mode.

    Raises:
        ConfigError: the cache is off.
        DatasetError: nothing could be done at all.
        SeparationModelError: stems are asked for, and the model's weights cannot be had or are damaged.
        BeatTrackerError: the tracker cannot be had.
        OSError, OutputError: the cache cannot be written; what it holds by then is kept.
    """
    if not get_cache(config).enabled:
        raise ConfigError("the cache is off, so that nothing can be kept; unset RL_EDITOR_CACHE or set data.use_cache")
    workers, recordings = config.executor.workers, library.heard
    problems = [*library.problems, *unknown_tracks((r.track_id for r in recordings), config.beats)]
    separates = config.data.use_stems or config.features.feature_mode == "full"
    analysing = separating_workers(workers, config.stems) if separates else workers
    if separates:
        stems_key(config.stems)  # what no recording can be separated without is missed once, not by each of them
    with progress(len(recordings) + len(library.pairs), "precache") as bar:
        outcomes = list(_kept(partial(_analyse, config=config), recordings, workers=analysing, bar=bar))
        pairs = list(_kept(partial(_align, config=config), library.pairs, workers=workers, bar=bar))
    problems += [problem_of(o.item.path, o.error) for o in outcomes if o.error]
    problems += [Problem(o.item.pair_id, o.error) for o in pairs if o.error]
    done = Precached(
        sum(o.error is None for o in outcomes), sum(o.error is None for o in pairs), tuple(sorted(problems))
    )
    if done.n_recordings == 0:
        for problem in done.problems:
            _log.warning("left out: %s", problem)
        raise DatasetError(f"nothing could be computed: {first_of(done.problems, _SHOWN)}")
    return done


def _kept(
    work: Callable[[_Item], None], items: Sequence[_Item], *, workers: int, bar: Any
) -> Iterator[Outcome[_Item, None]]:
    """What comes of every item: first those that the cache holds, then the others."""
    left = []
    for item in items:
        try:
            with stored_only():
                (outcome,) = run_tracks(work, [item], workers=1, bar=bar)
            yield outcome
        except NotStored:
            left.append(item)
    yield from run_tracks(partial(_written, work), left, workers=workers, bar=bar)


def _written(work: Callable[[_Item], None], item: _Item) -> None:
    with must_write():
        work(item)


def _analyse(recording: Recording, *, config: Config) -> None:
    if config.data.use_stems:
        sha256 = get_cache(config).hash_file(recording.path)
        separated(recording.path, config, sha256=sha256)
    analyse_track(recording.path, config, track_id=recording.track_id)


def _align(pair: Pair, *, config: Config) -> None:
    align_pair(pair, config)


def main(
    data_dir: Annotated[Path, typer.Option(help="Folder with input/, desired_output/ and reference/.")],
    feature_mode: Annotated[
        FeatureMode | None,
        typer.Option(help=f"4, 109 or 121 features per beat; {Config().features.feature_mode} unless --config says."),
    ] = None,
    stems: Annotated[bool, typer.Option("--stems", help="Separate stems as well (slow without a GPU).")] = False,
    workers: Annotated[int | None, typer.Option(help="Processes; 0 is one per core.", min=0)] = None,
    cache_dir: Annotated[
        Path | None, typer.Option(help=f"Where results are kept; {CACHE_DIR} unless --config says.")
    ] = None,
    settings: Annotated[
        Path | None, typer.Option("--config", "--params", help="Further settings, as params.yaml.")
    ] = None,
) -> None:
    """Compute features and labels ahead of training."""
    config = read_config(settings)
    config.features.feature_mode = feature_mode or config.features.feature_mode
    config.data.use_stems = stems or config.data.use_stems
    config.data.cache_dir = str(cache_dir or config.data.cache_dir)
    config.executor.workers = config.executor.workers if workers is None else workers
    done = precache(find_library(data_dir), config)
    for problem in done.problems:
        typer.echo(f"left out: {problem}", err=True)
    held = f"{counted(done.n_recordings, 'recording')} and {counted(done.n_pairs, 'pair')}"
    typer.echo(f"{held} are in {Path(config.data.cache_dir)}", err=True)
    if done.problems:
        raise typer.Exit(EXIT_CHECK_FAILED)


if __name__ == "__main__":
    run(main)
