"""This package's own edit lists, which a person may have changed by hand; conventions as in ``importers``."""

import json
from pathlib import Path
from typing import Any

from rl_editor.edits import EditList
from rl_editor.errors import EditListError
from rl_editor.importers.reading import MOST_FRAMES, SAME_S, check_size, require_file

_OTHER_KINDS = {".otio": "an OpenTimelineIO timeline", ".txt": "a file of labels", ".csv": "a table of segments"}
_JSON_FRAMES = {"source_start": "source_start_frame", "duration": "frames"}


def load_edit(path: str | Path) -> EditList:
    """An edit list from this package's JSON, which a person may have changed by hand.

    Raises:
        EditListError: as of ``EditList.load``, it is in another format, a number is beyond all audio, a name is no
            text, or seconds say something else than the frames beside them.
    """
    require_file(Path(path))
    try:
        found = EditList.load(path)
    except EditListError:
        _say_other_format(Path(path))
        raise
    try:
        check_size(found)
    except EditListError as fault:
        raise EditListError(f"{path}: {fault}") from None
    for name, value in {"name": found.source.name, "sha256": found.source.sha256}.items():
        if not isinstance(value, str) or not _is_text(value):
            raise EditListError(
                f'{path}: source: {name} {json.dumps(value)}, text is needed; where it is not known, ""'
            )
    whole = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    for index, said in enumerate(whole["segments"]):
        for name, beside in _JSON_FRAMES.items():
            if name in said and beside in said:
                _check_json_seconds(f"{path}: segment {index}", name, said[name], beside, said[beside], found)
    return found


def _say_other_format(path: Path) -> None:
    """Refuse an export by what it is: it does not say all that an edit list does, its recording for one."""
    if (kind := _OTHER_KINDS.get(path.suffix.lower())) and path.is_file():
        raise EditListError(
            f"{path}: is {kind}, an edit list (.json, as edit, revise and align write it) is needed here; name the one "
            "that it comes from (render, evaluate and preview take both, with the recording)"
        ) from None


def _is_text(value: str) -> bool:
    """Whether it can be written again; JSON can name halves of characters, which no file holds."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def _check_json_seconds(where: str, name: str, value: Any, beside: str, frames: int | None, edit: EditList) -> None:
    """Refuse a time of a segment that is not that of its frames."""
    rate = edit.source.sample_rate
    known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MOST_FRAMES
    if (value is None and frames is None) or (known and frames is not None and abs(value - frames / rate) <= SAME_S):
        return
    means = "null" if frames is None else f"{frames / rate:.6f} s"
    raise EditListError(
        f"{where}: {name} {json.dumps(value)} and {beside} {json.dumps(frames)} ({means} at {rate} Hz) contradict each "
        f"other; change both, or delete {beside}: then {name} counts"
    )
