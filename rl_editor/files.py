"""Writing files whole or not at all, with the same bytes every time.

What is being written lies beside its target as ``.rl_editor_unfinished_*`` (several files that belong together: in a
folder of that name), scratch folders are ``rl_editor_scratch_*`` where ``TMPDIR`` says. A process that is killed leaves
them; the next one that writes there removes what is so old that nobody can be at it any more.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import EEXIST
from functools import cache
from pathlib import Path
from typing import Any

from rl_editor.errors import ConfigError, RlEditorError

PICTURE = ".png"
_HASH_BLOCK_BYTES = 1 << 20
_UNFINISHED, SCRATCH = ".rl_editor_unfinished_", "rl_editor_scratch_"
_STALE_S = {_UNFINISHED: 3600.0, SCRATCH: 86400.0}  # a writer touches its file more often; separating takes hours


UNREADABLE = (  # what reading a damaged archive raises
    OSError,
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    RuntimeError,  # zipfile: damaged flags read as "encrypted" or an unknown method
    MemoryError,  # a damaged shape
    OverflowError,
    SyntaxError,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` that replaces it when the block ends well, and vanishes when not.

    Raises:
        FileExistsError: ``path`` is a device or pipe; root would replace /dev/null.
        OSError: it cannot be written; the error names ``path``.
    """
    target = Path(path)
    _require_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished(target)
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        named = _names_in(error)
        if not named or str(temporary) in named:  # a full disk names no file, or what is copied first
            error.filename, error.filename2 = str(target), None
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_together() -> Iterator[Callable[[Path], Path]]:
    """Give a function from files to temporary paths, which replace them one right after the other, in that order.

    They do so when the block ends well. When not, each file is as it was, and folders made for them are gone: no file
    of a set (audio and its edit list, a page and its pictures) stands beside one of another.

    Raises:
        FileExistsError: as of ``replacing``.
        OSError, RlEditorError: a file cannot be written; the error names it, not its temporary path (nor do logs that
            say ``target_of`` it).
    """
    staged: dict[Path, Path] = {}  # temporary path: file
    beside: dict[Path, Path] = {}  # folder of files: that of their temporary paths
    made: list[Path] = []

    def stage(target: Path) -> Path:
        _require_replaceable(target)
        folder = target.parent
        if folder not in beside:
            made.extend(above for above in (folder, *folder.parents) if not above.exists())
            folder.mkdir(parents=True, exist_ok=True)
            beside[folder] = unfinished(folder / "set")
            beside[folder].mkdir()
        temporary = beside[folder] / target.name
        staged[temporary] = target
        return temporary

    try:
        yield stage
        _take_places(staged)
        made.clear()
    except (OSError, RlEditorError) as error:
        for temporary, target in (staged | {hidden: folder for folder, hidden in beside.items()}).items():
            name_target(error, temporary, target)
        raise
    finally:
        for folder in beside.values():
            remove(folder)
        for folder in made:  # the innermost first
            with suppress(OSError):
                folder.rmdir()


def name_target(error: OSError | RlEditorError, temporary: Path, target: Path) -> None:
    """Let an error name what was to take its place, not a temporary path: nobody finds that any more."""
    if isinstance(error, RlEditorError):
        error.args = (str(error).replace(str(temporary), str(target)),)
        return
    for name in _names_in(error):
        if str(temporary) in name:
            error.filename, error.filename2 = name.replace(str(temporary), str(target)), None


def _take_places(staged: dict[Path, Path]) -> None:
    """Put all temporary files in their places; Ctrl-C and SIGTERM wait for the last of them."""
    try:
        for temporary, target in staged.items():
            os.replace(temporary, target)
    except (KeyboardInterrupt, SystemExit):
        for temporary, target in staged.items():
            with suppress(FileNotFoundError):  # it has its place
                os.replace(temporary, target)
        raise


def target_of(path: Path) -> Path:
    """The file whose place a path of ``replacing_together`` takes; any other path is itself."""
    return path.parent.parent / path.name if path.parent.name.startswith(_UNFINISHED) else path


def _require_replaceable(target: Path) -> None:
    if target.exists() and not target.is_file() and not target.is_dir():
        raise FileExistsError(EEXIST, "is a device or pipe, a file is needed", str(target))


def _names_in(error: OSError) -> set[str]:
    return {str(name) for name in (error.filename, error.filename2) if name is not None}


def unfinished(target: Path) -> Path:
    """A new name beside ``target``, with its suffix, for what is to take its place."""
    _clear_once(target.parent.absolute(), _UNFINISHED)
    return target.with_name(f"{_UNFINISHED}{secrets.token_hex(6)}{target.suffix}")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give an empty folder for files that nobody needs after the block."""
    _clear_once(Path(tempfile.gettempdir()), SCRATCH)
    with tempfile.TemporaryDirectory(prefix=SCRATCH) as folder:
        yield Path(folder)


@cache
def _clear_once(folder: Path, prefix: str) -> None:
    """Once per process: remove what killed processes have left in a folder."""
    with suppress(OSError):
        clear_unfinished(folder, prefix)


def clear_unfinished(folder: Path, prefix: str = _UNFINISHED) -> None:
    """Remove unfinished files and folders that no process can be at any more."""
    with os.scandir(folder) as found:
        left = [entry for entry in found if entry.name.startswith(prefix)]
    for entry in left:
        with suppress(OSError):
            if time.time() - entry.stat(follow_symlinks=False).st_mtime > _STALE_S[prefix]:
                remove(Path(entry.path))


def remove(path: Path) -> None:
    """Remove a file or a folder with all that it holds; fine where it is gone already."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON with sorted keys and a trailing newline; NaN is refused."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def check_writable(path: Path, option: str) -> None:
    """Refuse what is a folder, or lies where no file can be made; folders that are missing are made.

    Raises:
        ConfigError: named with the option that gave the path.
    """
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if path.is_dir():
        fault = "is a folder, a file is needed"
    elif path.exists() and not path.is_file():
        fault = "is a device or pipe, a file is needed"
    elif not above.is_dir():
        fault = f"cannot be written: {above} is no folder"
    elif not os.access(above, os.W_OK):
        fault = f"cannot be written: {above} takes no files"
    else:
        return
    raise ConfigError(f"{path}: {option} {fault}; name another file")


def check_folder(path: Path, option: str) -> None:
    """Refuse a file where a folder is to be written to.

    Raises:
        ConfigError: named with the option that gave the path.
    """
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{path}: {option} is a file, a folder is needed; name another")


def require_folder(path: Path) -> None:
    """Refuse to look for files in what is no folder.

    Raises:
        ConfigError: there is nothing by that name, or a file.
    """
    if not path.is_dir():
        raise ConfigError(f"{path}: {'is a file' if path.exists() else 'there is no such folder'}; name a folder")


def check_picture(path: Path) -> None:
    """Refuse to draw a picture under another suffix than that of its format.

    Raises:
        ConfigError: it is no PNG.
    """
    if path.suffix.lower() != PICTURE:
        raise ConfigError(f"{path}: pictures are PNG; name it {path.with_suffix(PICTURE).name}")


def safe_name(text: str) -> str:
    """Letters, digits, ``_ - .`` only, in composed Unicode, never empty and never hidden."""
    return re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", text)).strip("._") or "track"


def legible(path: Path) -> str:
    r"""A path as text: names on a disk are bytes, and what is no UTF-8 (such as é of an old archive) reads ``\xe9``."""
    return os.fsencode(path).decode(errors="backslashreplace")


def visible(folder: Path) -> list[Path]:
    """What lies in a folder, by name, but for hidden files (notes of a file system, what a killed writer left).

    Nothing where there is no such folder.
    """
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if not path.name.startswith("."))


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, read in blocks."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(_HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
