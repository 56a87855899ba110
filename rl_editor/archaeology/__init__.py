"""Edit archaeology for people: what was done to a recording, as files, a screen of text and a picture.

Conventions: a pair is a raw recording and an edit of it. Its files lie beside the edit list and share its stem, each
with the suffix of its kind; exports name the recording by its path from where they lie, so that a DAW finds it. Nothing
that is read is ever written over.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rl_editor.alignment import AlignmentSummary, recover_files, summarise
from rl_editor.command import EDITS, refuse_overwriting
from rl_editor.config import Config
from rl_editor.edits import EditList
from rl_editor.errors import ConfigError, DatasetError
from rl_editor.executor import run_tracks
from rl_editor.exporters import SUFFIXES, ExportFormat, export_edit, export_format
from rl_editor.files import PICTURE, check_picture, write_text
from rl_editor.library import PAIRS, Library, Pair

__all__ = ["PairFiles", "PairReport", "Recovered", "pair_files", "recover_folder", "recover_pair"]


@dataclass(frozen=True)
class PairFiles:
    """Where what is found of a pair is written; all of it may be left out."""

    edits: Path | None = None
    exports: Mapping[ExportFormat, Path] = field(default_factory=dict)
    picture: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """All of them."""
        return [path for path in (self.edits, *self.exports.values(), self.picture) if path is not None]

    def check(self, *inputs: Path) -> None:
        """Refuse to write one file twice, or over an input.

        Raises:
            ConfigError: as said.
        """
        exports = {f"--to {name}": path for name, path in self.exports.items()}
        refuse_overwriting({"-o": self.edits, **exports, "--picture": self.picture}, *inputs)


class Recovered(NamedTuple):
    """What was found of a pair."""

    edit: EditList
    summary: AlignmentSummary


@dataclass(frozen=True)
class PairReport:
    """What came of a pair of a folder: a summary, or the reason for leaving it out; ``seconds`` of work."""

    pair_id: str
    raw: str
    edit: str
    summary: AlignmentSummary | None
    seconds: float | None
    rejected: str | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        head = {"pair": self.pair_id, "raw": self.raw, "edit": self.edit, "rejected": self.rejected}
        return head | {"seconds": self.seconds} | (self.summary.to_dict() if self.summary else {})


def pair_files(
    output: Path | None, *, to: Sequence[str] = (), picture: Path | None = None, draw: bool = False
) -> PairFiles:
    """Where a pair is written.

    Args:
        output: the edit list; with the suffix of an export, that export in its place.
        to: exports beside it.
        picture: where to draw; None is beside ``output``, if ``draw``.
        draw: whether to draw when no ``picture`` is named.

    Raises:
        ConfigError: something is to lie beside an output that is not named, a picture is no PNG, or the output has
            another suffix.
        EditListError: ``to`` names no format.
    """
    if output is None and (to or (draw and picture is None)):
        raise ConfigError("exports and pictures lie beside the edit list; name it with -o, such as -o edits.json")
    if picture is not None:
        check_picture(picture)
    if output is None:
        return PairFiles(picture=picture)
    by_suffix = {suffix: name for name, suffix in SUFFIXES.items()}
    if output.suffix.lower() not in {EDITS, *by_suffix}:
        raise ConfigError(
            f"{output}: {output.suffix or 'no extension'} is no edit list; name it {EDITS} or, to export, "
            f"{', '.join(by_suffix)}"
        )
    direct: Any = by_suffix.get(output.suffix.lower())
    exports = {name: output.with_suffix(SUFFIXES[name]) for name in map(export_format, to)}
    drawn = picture or (output.with_suffix(PICTURE) if draw else None)
    return PairFiles(None if direct else output, exports | ({direct: output} if direct else {}), drawn)


def recover_pair(raw: Path, edit: Path, config: Config, *, files: PairFiles | None = None) -> Recovered:
    """Recover what was done to ``raw`` to make ``edit``, and write it down.

    Raises:
        AudioFileError: a file cannot be read.
        PairRejectedError, AlignmentError: the edit is not explained by the raw.
        ConfigError: something would be written over what is read.
    """
    files = files or PairFiles()
    files.check(raw, edit)
    found = recover_files(raw, edit, config)
    summary = summarise(found.edit, gain_db=found.gain_db, polarity_flipped=found.polarity_flipped)
    if files.edits is not None:
        write_text(files.edits, found.edit.to_json())
    for to, path in files.exports.items():
        export_edit(found.edit, path, to, media=_media(raw, path.parent))
    if files.picture is not None:
        from rl_editor.archaeology.picture import save_picture

        save_picture(summary, raw, edit, files.picture)
    return Recovered(found.edit, summary)


def recover_folder(
    library: Library, output: Path | None, config: Config, *, to: Sequence[str] = (), draw: bool = False
) -> Iterator[PairReport]:
    """Recover all pairs of a folder in ``executor.workers`` processes; what is no pair is reported, the others go on.

    Raises:
        DatasetError: there is no pair at all.
        ConfigError: ``output`` is a file, or something would be written over what is read; nothing has been written.
    """
    if not library.pairs:
        reasons = "; ".join(str(problem) for problem in library.problems)
        raise DatasetError(f"{library.root}: no pair of recordings ({reasons or 'only references'})")
    if output is not None and output.exists() and not output.is_dir():
        raise ConfigError(f"{output}: is a file, and a folder of pairs is written to a folder; name one with -o")
    inputs = [library.root / PAIRS, *(recording.path for recording in library.recordings)]
    jobs = []
    for pair in library.pairs:
        files = pair_files(output / f"{pair.pair_id}{EDITS}" if output else None, to=to, draw=draw)
        files.check(*inputs)
        jobs.append(_Job(pair, files))
    return _reports(jobs, config)


class _Job(NamedTuple):
    pair: Pair
    files: PairFiles


class _Done(NamedTuple):
    summary: AlignmentSummary
    seconds: float


def _reports(jobs: list[_Job], config: Config) -> Iterator[PairReport]:
    for outcome in run_tracks(partial(_recover, config=config), jobs, workers=config.executor.workers, label="pairs"):
        pair, done = outcome.item.pair, outcome.value
        yield PairReport(
            pair.pair_id,
            str(pair.raw.path),
            str(pair.edit.path),
            done.summary if done else None,
            done.seconds if done else None,
            outcome.error,
        )


def _recover(job: _Job, *, config: Config) -> _Done:
    begun = time.perf_counter()
    found = recover_pair(job.pair.raw.path, job.pair.edit.path, config, files=job.files)
    return _Done(found.summary, time.perf_counter() - begun)


def _media(raw: Path, folder: Path) -> str:
    """The recording as seen from a folder, with slashes; its whole path where there is no way, as between drives."""
    try:
        return Path(os.path.relpath(raw, folder)).as_posix()
    except ValueError:
        return raw.absolute().as_posix()
