"""This package's own edit lists, which a person may have changed by hand; conventions as in ``importers``."""

import json
import math
import os
from pathlib import Path
from typing import Any

from rl_editor.edits import EditList
from rl_editor.errors import EditListError

SAME_S = 0.001  # seconds that a person or a spreadsheet rounded
_OTHER_KINDS = {".otio": "an OpenTimelineIO timeline", ".txt": "a file of labels", ".csv": "a table of segments"}
_JSON_FRAMES = {"source_start": "source_start_frame", "duration": "frames"}
MOST_FRAMES = 1 << 53  # the last that seconds (floats) count one by one: 6,500 years of audio


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
    _check_size(path, found)
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


def require_file(path: Path) -> None:
    """Refuse what cannot be read.

    Raises:
        EditListError: there is no such file, it is a folder, or nobody may read it.
    """
    if not path.exists():
        fault = "no such file; is the path spelt right?"
    elif path.is_dir():
        fault = "is a folder, an edit list is needed; name a file in it"
    elif not os.access(path, os.R_OK):
        fault = "may not be read; check its permissions"
    else:
        return
    raise EditListError(f"{path}: {fault}")


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


def _check_size(path: str | Path, edit: EditList) -> None:
    """Refuse counts of frames with which nothing can be computed."""
    counts = {"source: frames": edit.source.frames, "source: sample_rate": edit.source.sample_rate}
    counts |= {f"segment {index}: frames": segment.frames for index, segment in enumerate(edit.segments)}
    for name, value in counts.items():
        if value > MOST_FRAMES:
            written = str(value) if value < 10 * MOST_FRAMES else f"of {math.floor(math.log10(value)) + 1} digits"
            raise EditListError(f"{path}: {name} {written}, at most {MOST_FRAMES} is needed; is a number misspelt?")


def _check_json_seconds(where: str, name: str, value: Any, beside: str, frames: int | None, edit: EditList) -> None:
    """Refuse a time of a segment that is not that of its frames."""
    rate = edit.source.sample_rate
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if (value is None and frames is None) or (known and frames is not None and abs(value - frames / rate) <= SAME_S):
        return
    means = "null" if frames is None else f"{frames / rate:.6f} s"
    raise EditListError(
        f"{where}: {name} {json.dumps(value)} and {beside} {json.dumps(frames)} ({means} at {rate} Hz) contradict each "
        f"other; change both, or delete {beside}: then {name} counts"
    )
