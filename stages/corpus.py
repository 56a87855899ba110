"""corpus: the default corpus, made only when ``data.raw_dir`` holds no recordings.

Reads params ``audio``, ``corpus``, ``data``, ``features`` and ``render``; writes ``data/corpus``, which holds only an
index when there are recordings.
"""

import os
from pathlib import Path

import typer

from rl_editor.command import run
from rl_editor.corpus import build_default_corpus
from rl_editor.errors import DatasetError
from rl_editor.files import write_json
from rl_editor.library import has_recordings
from stages.layout import CORPUS, INDEX, fresh_folder
from stages.params import PARAMS, load_params

SECTIONS = ("audio", "corpus", "features", "data", "render")


def main(params: Path = PARAMS) -> None:
    """Make the default corpus when there are no recordings."""
    config = load_params(SECTIONS, params)
    with fresh_folder(CORPUS) as folder:
        if has_recordings(config.data.raw_dir):
            typer.echo(f"{config.data.raw_dir} holds recordings: no corpus is made", err=True)
            write_json(folder / INDEX, {"songs": 0})
        else:
            require_no_recordings_left_behind(config.data.raw_dir)
            build_default_corpus(folder, config)
            write_json(folder / INDEX, {"songs": config.corpus.n_songs})


def require_no_recordings_left_behind(raw_dir: str) -> None:
    """Refuse to learn from the default corpus in the temporary copy of a project that holds recordings.

    Recordings are not committed, and such a copy, as queued experiments run in, holds what is.

    Raises:
        DatasetError: there are some where the experiment was started.
    """
    project = os.environ.get("DVC_ROOT")
    if project and has_recordings(Path(project) / raw_dir):
        raise DatasetError(
            f"{raw_dir}: no recordings in this temporary copy of the project, and some in the project itself; give "
            f"`dvc exp run` the option `-S data.raw_dir=$PWD/{raw_dir}`"
        )


if __name__ == "__main__":
    run(main)
