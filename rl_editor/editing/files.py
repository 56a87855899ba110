"""Recordings edited into files, one or a folder of them, with their edit lists."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rl_editor.config import Config
from rl_editor.editing.proposing import propose
from rl_editor.editing.request import Request
from rl_editor.edits import EditList
from rl_editor.errors import ConfigError, RlEditorError, said, stops_all
from rl_editor.files import check_writable, write_text
from rl_editor.infer import analysis_settings, check_audible
from rl_editor.render import check_format, held_in_memory, render_file
from rl_editor.state import AudioState
from rl_editor.utils import AUDIO_SUFFIXES

if TYPE_CHECKING:
    from rl_editor.checkpoint import Policy


class Written(NamedTuple):
    """An edit and the file it was rendered to."""

    edit: EditList
    output: Path
    notes: tuple[str, ...]


class Failed(NamedTuple):
    """A file of a folder that could not be edited."""

    source: Path
    reason: str


def edit_as_asked(
    source: Path,
    output: Path,
    request: Request,
    *,
    policy: "Policy | None" = None,
    config: Config | None = None,
    edit_list: Path | None = None,
) -> list[Written]:
    """Edit a recording and render each candidate; the second and further ones get ``_2``, ``_3`` .. before the suffix.

    Args:
        source: the recording.
        output: file to write; its extension chooses the format, rate, channels, depth and tags are the source's.
        request: what is asked.
        policy: needed by the method ``policy``.
        config: as in ``infer.edit_file``.
        edit_list: write the edit lists here as well.

    Raises:
        ConfigError: a file to write is a folder, cannot be made, or would overwrite the recording or another file;
            refused before anything is computed.
        AudioFileError: the recording cannot be read, is silent or too short; or the output's format does not take it.
        OutputError: the disk is full, or the folder takes no files.
        EditListError: what is asked cannot be met.
        CheckpointError: the policy does not know the style, or keeps nothing.
    """
    _check_outputs(source, output, edit_list, request.candidates)
    check_format(source, output)
    settings = config or Config() if policy is None else analysis_settings(policy, config)
    recording = held_in_memory(source)
    state = AudioState.from_file(source, settings, recording=recording)
    check_audible(state)
    written = []
    for number, proposal in enumerate(propose(recording or source, state, request, policy, settings), start=1):
        target = numbered(output, number)
        render_file(proposal.edit, source, target, settings, recording=recording)
        if edit_list is not None:
            write_text(numbered(edit_list, number), proposal.edit.to_json())
        written.append(Written(proposal.edit, target, proposal.notes))
    if len(written) < request.candidates:
        fewer = f"{len(written)} of {request.candidates} candidates: further drafts were too like these; ask for others"
        written[0] = written[0]._replace(notes=(*written[0].notes, f"{fewer} with another --seed or length"))
    return written


def edit_folder(
    folder: Path,
    output: Path,
    request: Request,
    *,
    policy: "Policy | None" = None,
    config: Config | None = None,
    edit_list: Path | None = None,
) -> Iterator[list[Written] | Failed]:
    """Edit every recording of a folder into another, each under its name; one that fails does not stop the others.

    Raises:
        ConfigError: the folder holds no recordings, or is the one to write to.
        OutputError: the disk is full; what was written before stays.
    """
    sources = recordings_in(folder)
    if output.exists() and output.samefile(folder):
        raise ConfigError(f"{output}: would overwrite the recordings; name another folder")
    for made in (output, edit_list):
        if made is not None:
            made.mkdir(parents=True, exist_ok=True)
    for source in sources:
        listed = None if edit_list is None else edit_list / f"{source.name}.json"
        try:
            yield edit_as_asked(source, output / source.name, request, policy=policy, config=config, edit_list=listed)
        except (RlEditorError, OSError) as error:
            if stops_all(error):
                raise
            yield Failed(source, said(error))


def recordings_in(folder: Path) -> list[Path]:
    """The recordings in a folder, in order of their names.

    Raises:
        ConfigError: there are none.
    """
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in AUDIO_SUFFIXES)
    if not found:
        raise ConfigError(f"{folder}: holds no recordings; known extensions: {', '.join(sorted(AUDIO_SUFFIXES))}")
    return found


def numbered(path: Path, number: int) -> Path:
    """The path of a candidate: the first keeps its name."""
    return path if number == 1 else path.with_stem(f"{path.stem}_{number}")


def _check_outputs(source: Path, output: Path, edit_list: Path | None, candidates: int) -> None:
    """Refuse files that cannot be written, or that would overwrite each other or the recording."""
    given = {"-o": output} if edit_list is None else {"-o": output, "--edit-list": edit_list}
    taken = {os.path.realpath(source): "the recording"}  # links in a circle too
    for option, path in given.items():
        for number in range(1, candidates + 1):
            target = numbered(path, number)
            whose = taken.setdefault(os.path.realpath(target), f"what {option} writes")
            if whose != f"what {option} writes":
                raise ConfigError(f"{target}: {option} would overwrite {whose}; name another file")
            check_writable(target, option)
