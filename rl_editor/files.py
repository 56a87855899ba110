"""Writing files whole or not at all, with the same bytes every time."""

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EEXIST
from pathlib import Path
from typing import Any

from rl_editor.errors import ConfigError

_HASH_BLOCK_BYTES = 1 << 20


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` that replaces it when the block ends well, and vanishes when not.

    Raises:
        FileExistsError: ``path`` is a device or pipe; root would replace /dev/null.
    """
    target = Path(path)
    if target.exists() and not target.is_file() and not target.is_dir():
        raise FileExistsError(EEXIST, "is a device or pipe, a file is needed", str(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{secrets.token_hex(6)}{target.suffix}")  # a longer name may be too long
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


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


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, read in blocks."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(_HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
