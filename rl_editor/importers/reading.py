"""Files that can be read and numbers that can be meant, of all formats; conventions as in ``importers``."""

import codecs
import logging
import math
import os
from collections.abc import Iterable
from pathlib import Path, PurePath

from rl_editor.edits import EditList, SourceInfo
from rl_editor.errors import EditListError

SAME_S = 0.001  # seconds that a person or a spreadsheet rounded
MOST_FRAMES = 1 << 53  # the last that seconds (floats) count one by one: 6,500 years of audio
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # as spreadsheets and editors of Windows mark it
_MOST_NAMED = 3
_log = logging.getLogger(__name__)


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


def read_text(path: Path) -> str:
    """A text file in UTF-8, or in UTF-16 that says so; line ends as LF.

    Raises:
        EditListError: it is in another encoding, or no text.
    """
    with path.open("rb") as file:
        encoding = "utf-16" if file.read(2) in _UTF_16 else "utf-8-sig"
    try:
        return path.read_text(encoding=encoding)
    except UnicodeError as fault:
        raise EditListError(f"not readable text ({fault}); save it as UTF-8") from None


def check_one_source(path: Path, named: Iterable[str], source: SourceInfo) -> None:
    """Refuse what names several recordings, as all would play the one that is given; say that it names another one.

    A copy of it in another format is no other.

    Raises:
        EditListError: it names several.
    """
    found = list(dict.fromkeys(named))
    if len(found) > 1:
        shown = ", ".join(found[:_MOST_NAMED])
        raise EditListError(f"cuts several recordings ({shown}), an edit list has one; make one file of each")
    if found and PurePath(found[0]).stem.lower() != PurePath(source.name).stem.lower():
        _log.warning("%s: cuts %s by name, here %s is cut; is it the same recording?", path, found[0], source.name)


def check_size(edit: EditList) -> None:
    """Refuse counts of frames with which nothing can be computed.

    Raises:
        EditListError: there is one.
    """
    counts = {"source: frames": edit.source.frames, "source: sample_rate": edit.source.sample_rate}
    counts |= {f"segment {index}: frames": segment.frames for index, segment in enumerate(edit.segments)}
    for name, value in counts.items():
        if value > MOST_FRAMES:
            written = str(value) if value < 10 * MOST_FRAMES else f"of {math.floor(math.log10(value)) + 1} digits"
            raise EditListError(f"{name} {written}, at most {MOST_FRAMES} is needed; is a number misspelt?")
