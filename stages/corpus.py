"""corpus: the default corpus, made only when ``data.raw_dir`` holds no recordings.

Reads params ``audio``, ``corpus``, ``data``, ``features`` and ``render``; writes ``data/corpus``, which holds only an
index when there are recordings.
"""

from pathlib import Path

import typer

from rl_editor.command import run
from rl_editor.corpus import build_default_corpus
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
            build_default_corpus(folder, config)
            write_json(folder / INDEX, {"songs": config.corpus.n_songs})


if __name__ == "__main__":
    run(main)
