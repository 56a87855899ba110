"""Edit lists back from other programs: OpenTimelineIO, Audacity labels, CSV; exports of this package, or made there.

Conventions: times are rounded to frames of the recording. What a format does not say is the default: crossfades of
labels that name none are ``default_crossfade_ms``, nobody's confidence is known, and where the edit begins and ends
nothing fades.

    .otio   clips and gaps of the one track with audio that is on, in order (more are refused, unless they play alike,
            as the two sides of a stereo recording do), as far as the source ranges of track and timeline reach;
            dissolves, time warps of clips; gain, pitch and a crossfade without a dissolve where this package's metadata
            say so. A dissolve that reaches farther to one side of its cut is a join in its middle. What leaves the
            recording by half a frame of the clip's own rate at its start, or by a whole one at its end (start and
            length are rounded each), was rounded there and ends with the recording. Whatever the clips are called,
            they play the recording that is given; where they name several recordings the file is refused,
            where another one, that is said
    .txt    Audacity labels. One whose text is as ``exporters`` writes it, ``source A-B s`` with six decimals each, lies
            over the *output* and plays the recording from A on for as long as the label is; ``not in source`` is
            silence; after a comma each may say ``speed 1.1``, ``pitch -2.0`` (semitones), ``gain -3.0 dB`` and
            ``crossfade 25 ms``, in this order, then one ``fade in 3 ms``, one ``fade out 60 ms``, which the edit begins
            and ends with. Any other text, a person's own, marks a passage of the *recording* itself. One file holds one
            kind. They play in order of their start, one after the other; gaps between labels over the output, and
            overlaps, are said
    .csv    rows of ``exporters``, in order: ``source_start_frame`` and ``frames`` say what plays; where it plays in the
            output follows from the rows before. Seconds and ``index`` may be empty; where they contradict frames or
            order (after an edit by hand, say) the file is refused. Where there are no frames seconds count, so that
            columns ``source_start_s`` and ``source_end_s`` are enough; what else has no column is as usual. How the
            edit begins and ends may stand in any row. Cells are separated by commas, or by semicolons or tabs, and
            then numbers may have decimal commas
    .json   this package's own. Seconds may stand without the frames beside them; where they contradict these the file
            is refused, for whoever changes one means it. Where a segment plays in the output follows from those before

    reading     what all have in common
    edit_lists  the JSON
    labels      Audacity labels
    tables      CSV
    timelines   OpenTimelineIO
"""

from pathlib import Path

from rl_editor.edits import EditList, SourceInfo
from rl_editor.errors import EditListError
from rl_editor.importers.edit_lists import load_edit
from rl_editor.importers.labels import from_labels
from rl_editor.importers.reading import check_size, require_file
from rl_editor.importers.tables import from_csv
from rl_editor.importers.timelines import from_otio

__all__ = ["SUFFIXES", "load_edit", "read_edit"]

SUFFIXES = (".json", ".otio", ".txt", ".csv")
ONLY_WRITTEN = (".edl", ".rpp")  # by ``exporters``


def read_edit(path: str | Path, source: SourceInfo, *, default_crossfade_ms: float) -> EditList:
    """An edit of ``source`` from a file in any known format; a JSON keeps the source that it names.

    Raises:
        EditListError: the format is unknown, the file cannot be read, plays nothing, or leaves the recording.
    """
    path = Path(path)
    require_file(path)
    if path.suffix.lower() == ".json":
        return load_edit(path)
    try:
        edit = _edit(path, source, default_crossfade_ms)
        if not edit.segments:
            raise EditListError("plays nothing; does it hold clips, labels or rows?")
        check_size(edit)
    except EditListError as fault:
        raise EditListError(f"{path}: {fault}") from None
    except OverflowError:
        raise EditListError(f"{path}: holds a time beyond all audio; is a number misspelt?") from None
    return edit


def _edit(path: Path, source: SourceInfo, fade_ms: float) -> EditList:
    match path.suffix.lower():
        case ".otio":
            return from_otio(path, source)
        case ".txt":
            return from_labels(path, source, fade_ms)
        case ".csv":
            return from_csv(path, source, fade_ms)
        case suffix:
            fault = "is for other programs, and not read" if suffix in ONLY_WRITTEN else "is no edit list"
            raise EditListError(f"{suffix or 'no extension'} {fault}; known are {', '.join(SUFFIXES)}")
