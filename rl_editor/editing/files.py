"""Recordings edited into files, one or a folder of them, with their edit lists."""

from collections.abc import Iterator, Sequence
from itertools import count, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rl_editor.command import refuse_overwriting
from rl_editor.config import Config
from rl_editor.delivery import check_delivery, deliver, exactness_notes
from rl_editor.editing.proposing import propose
from rl_editor.editing.request import Request
from rl_editor.edits import EditList
from rl_editor.errors import ConfigError, RlEditorError, said, stops_all
from rl_editor.files import check_folder, check_writable, visible
from rl_editor.infer import analysis_settings, check_audible
from rl_editor.library import audio_files, only_read
from rl_editor.negotiation.record import recorded_json
from rl_editor.render import held_in_memory
from rl_editor.state import AudioState
from rl_editor.utils import AUDIO_SUFFIXES, WHOLE_BLOCKS

if TYPE_CHECKING:
    from rl_editor.checkpoint import Policy

_KNOWN = ", ".join(sorted(AUDIO_SUFFIXES))
_NOT_TO_THE_SAMPLE = WHOLE_BLOCKS | {".mka"}  # Vorbis in Matroska, whose last block is played to its end


class Written(NamedTuple):
    """An edit and the file it was rendered to."""

    edit: EditList
    output: Path
    notes: tuple[str, ...]


class Failed(NamedTuple):
    """A recording of a folder that could not be edited."""

    source: Path
    reason: str


class LeftOut(NamedTuple):
    """What nobody tried to edit of a folder: a file in whose format no edit is written, a folder in it."""

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
    read: Sequence[Path] = (),
) -> list[Written]:
    """Edit a recording and render each candidate; the second and further ones get ``_2``, ``_3`` .. before the suffix.

    Args:
        source: the recording.
        output: file to write; its extension chooses the format, rate, channels, depth and tags are the source's.
        request: what is asked.
        policy: needed by the method ``policy``.
        config: as in ``infer.edit_file``.
        edit_list: write the edit lists here as well, with what is asked; each appears together with its audio.
        read: further files that the caller reads, and that must not be overwritten: a policy, settings.

    Raises:
        ConfigError: a file to write is a folder, cannot be made, or would overwrite what is read or another file;
            refused before anything is computed.
        AudioFileError: the recording cannot be read, is silent or too short; or the output's format does not take it.
        OutputError: the disk is full, or the folder takes no files.
        EditListError: what is asked cannot be met.
        CheckpointError: the policy does not know the style, or keeps nothing.
    """
    outputs = _outputs(output, edit_list, request.candidates)
    refuse_overwriting(outputs, source, *read)
    for option, path in outputs.items():
        check_writable(path, option)
    check_delivery(source, output, length_s=request.demands.duration_s or 0.0)
    if request.demands.exact and output.suffix.lower() in _NOT_TO_THE_SAMPLE:
        raise ConfigError(
            f"{output}: --exact: {output.suffix} holds whole blocks, not samples; write .m4a, .mp3 or .flac"
        )
    settings = config or Config() if policy is None else analysis_settings(policy, config)
    recording = held_in_memory(source)
    state = AudioState.from_file(source, settings, recording=recording)
    check_audible(state)
    written = []
    proposals = propose(recording or source, state, request, policy, settings)
    for number, proposal in enumerate(proposals, start=1):
        target = numbered(output, number)
        beside = {}
        if edit_list is not None:
            beside[numbered(edit_list, number)] = recorded_json(proposal.edit, request.asked)
        deliver(proposal.edit, source, target, settings, recording=recording, beside=beside)
        notes = exactness_notes(source, target) if request.demands.exact else ()
        written.append(Written(proposal.edit, target, (*proposal.notes, *notes)))
    if len(written) < request.candidates:
        fewer = f"{len(written)} of {request.candidates} candidates: further drafts were too like these; ask for others"
        written[0] = written[0]._replace(notes=(*written[0].notes, f"{fewer} with another --seed or length"))
    if request.candidates > 1 and (older := _further(output, len(written))):
        note = f"{', '.join(path.name for path in older)}: there from before, not of these candidates"
        written[-1] = written[-1]._replace(notes=(*written[-1].notes, note))
    return written


def edit_folder(
    folder: Path,
    output: Path,
    request: Request,
    *,
    policy: "Policy | None" = None,
    config: Config | None = None,
    edit_list: Path | None = None,
    read: Sequence[Path] = (),
) -> Iterator[list[Written] | Failed | LeftOut]:
    """Edit every recording of a folder into another, each under its name; one that fails does not stop the others.

    Recordings in formats that no edit is written as come first, as left out, and folders that hold any.

    Raises:
        ConfigError: the folder holds no recordings, what is to be written to is none, or something would be written
            twice or over what is read (``read``: as of ``edit_as_asked``).
        OutputError: the disk is full; what was written before stays.
    """
    sources = recordings_in(folder)
    places = {
        source: _Place(output / source.name, edit_list and edit_list / f"{source.name}.json") for source in sources
    }
    outputs: dict[str, Path] = {}
    whose: dict[Path, Path] = {}
    for source, place in places.items():
        found = _outputs(place.output, place.edit_list, request.candidates)
        outputs |= {f"{option} of {source.name}": path for option, path in found.items()}
        for path in found.values():
            if (other := whose.setdefault(path, source)) != source:
                raise ConfigError(
                    f"{path}: would be an edit of {other.name} and of {source.name}; rename one of the two, or ask for "
                    "fewer --candidates"
                )
    refuse_overwriting(outputs, *sources, *read)
    for option, made in {"-o": output, "--edit-list": edit_list}.items():
        if made is not None:
            check_folder(made, option)
            made.mkdir(parents=True, exist_ok=True)
    yield from _only_read(folder)
    yield from _below(folder, output, edit_list)
    for source, place in places.items():
        try:
            yield edit_as_asked(source, place.output, request, policy=policy, config=config, edit_list=place.edit_list)
        except (RlEditorError, OSError) as error:
            if stops_all(error):
                raise
            yield Failed(source, said(error))


def recordings_in(folder: Path) -> list[Path]:
    """The recordings in a folder, in order of their names.

    Raises:
        ConfigError: there are none.
    """
    found = audio_files(folder)
    if not found:
        below = ", ".join(str(path) for path in _holding(folder))
        remedy = f"name one of the folders in it that do: {below}" if below else f"known extensions: {_KNOWN}"
        raise ConfigError(f"{folder}: holds no recordings; {remedy}")
    return found


def _only_read(folder: Path) -> Iterator[LeftOut]:
    for path in only_read(folder):
        yield LeftOut(
            path, f"{path}: {path.suffix} is not written, and an edit has its recording's name; make it .flac"
        )


def _below(folder: Path, *written: Path | None) -> Iterator[LeftOut]:
    """Folders in a folder that hold recordings, but for those that are written to."""
    own = {path.resolve() for path in written if path is not None}
    for path in _holding(folder):
        if path.resolve() not in own:
            yield LeftOut(path, f"{path}: a folder, and only files of {folder} are edited; name it itself")


def _holding(folder: Path) -> list[Path]:
    """Folders in a folder that hold anything named like a recording, at whatever depth."""
    return [
        path
        for path in visible(folder)
        if path.is_dir() and any(below.suffix.lower() in AUDIO_SUFFIXES for below in path.rglob("*"))
    ]


def numbered(path: Path, number: int) -> Path:
    """The path of a candidate: the first keeps its name; an edit list named after its recording goes on being so."""
    if number == 1:
        return path
    if Path(path.stem).suffix.lower() in AUDIO_SUFFIXES:
        return path.with_stem(numbered(Path(path.stem), number).name)
    return path.with_stem(f"{path.stem}_{number}")


class _Place(NamedTuple):
    output: Path
    edit_list: Path | None


def _further(output: Path, n_written: int) -> list[Path]:
    """Files by the names of further candidates."""
    further = (numbered(output, number) for number in count(n_written + 1))
    return list(takewhile(Path.exists, further))


def _outputs(output: Path, edit_list: Path | None, candidates: int) -> dict[str, Path]:
    """All files that candidates are written to, by option."""
    given = {"-o": output} if edit_list is None else {"-o": output, "--edit-list": edit_list}
    return {
        option if number == 1 else f"{option} ({number})": numbered(path, number)
        for option, path in given.items()
        for number in range(1, candidates + 1)
    }
