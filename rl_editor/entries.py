"""Entries of the side cache on disk: how they are named, written, read, and told to be whole.

An entry is named ``{name}_{hash}``: ``name`` is for people, ``hash`` is SHA-256 of the canonical JSON of the *key*,
which holds all that the result depends on. Below the cache directory:

    features/{name}_{hash}.npz
    stems/{name}_{hash}_stems.npz   or, for audio, the folder {name}_{hash}_stems/
    mel/{name}_{hash}_mel.npz
    labels/{name}_{hash}_{hash}_labels.npz   first hash: the key without "edit"; second: the key without "raw"
    metadata/{name}_{hash}.npz, and {name}_{hash}.json for remembered file hashes

Entries hold arrays without Python objects, carry their key and a checksum, and appear whole or not at all.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_editor.files import UNREADABLE, file_sha256, remove, replacing, unfinished, write_json

KINDS = {"features": "", "stems": "_stems", "mel": "_mel", "labels": "_labels", "metadata": ""}  # kind -> file suffix
FORMAT = "rl-editor/cache-entry"
VERSION = 1
HASH_CHARS = 16  # of 64; the stored key settles a collision

_ENTRY = "__entry__"  # array of JSON bytes beside the payload
_MANIFEST = "entry.json"  # the same for a folder entry
_HASH = f"_[0-9a-f]{{{HASH_CHARS}}}"
_LIKE_ONE = {kind: re.compile(rf"[^.].*{_HASH}({_HASH})?{mark}(\.npz|\.json)?") for kind, mark in KINDS.items()}
_NAME_CHARS, _NAME_BYTES = 80, 160  # file systems take 255 bytes, and some letters are four

Key = Mapping[str, Any]
Arrays = dict[str, np.ndarray]


def canonical_json(key: Key) -> str:
    """JSON of a key with sorted names: equal keys give equal text, whatever the order or container type."""
    return json.dumps(key, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_as_json)


def _as_json(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cache key: {value!r} is a {type(value).__name__}; give plain values (a path is not content)")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def hashes(kind: str, key: Key) -> str:
    """The hash of a key in an entry's name; of labels two, as listed above."""
    if kind != "labels":
        return _digest(canonical_json(key))[:HASH_CHARS]
    without = ({k: v for k, v in key.items() if k != role} for role in ("edit", "raw"))
    return "_".join(_digest(canonical_json(part))[:HASH_CHARS] for part in without)


def ending(kind: str, key: Key, suffix: str) -> str:
    """What an entry's name ends with, whatever the recording is called."""
    return f"_{hashes(kind, key)}{KINDS[kind]}{suffix}"


def is_named_like_one(kind: str, name: str) -> bool:
    """Whether a file or folder of a kind is named as this cache names its entries, of whatever key."""
    return _LIKE_ONE[kind].fullmatch(name) is not None


def short_name(name: str) -> str:
    """What is for people in an entry's name."""
    short = re.sub(r"[^\w.-]", "_", name)[:_NAME_CHARS].encode()[:_NAME_BYTES].decode(errors="ignore")
    return short.lstrip(".") or "track"


def plain(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Arrays as an entry holds them."""
    found = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in found.items():
        assert not array.dtype.hasobject, f"{name}: the cache holds no Python objects"
        assert name != _ENTRY
    return found


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}\0{array.dtype.str}\0{arrays[name].shape}\0".encode())
        digest.update(array.view(np.uint8).reshape(-1).data if array.size else b"")
    return digest.hexdigest()


def _entry(key: Key, checksum: Any) -> dict[str, Any]:
    return {"format": FORMAT, "version": VERSION, "key": canonical_json(key), "checksum": checksum}


def _check_entry(entry: Any, key: Key | None, path: Path) -> Any:
    """The checksum of an entry of ``key``; without a key, of that which the entry's name tells."""
    if not isinstance(entry, dict) or entry.get("format") != FORMAT or entry.get("version") != VERSION:
        raise ValueError("not an entry of this cache")
    if entry["key"] != canonical_json(key) if key is not None else not _is_named_after(path, entry["key"]):
        raise ValueError("made for another key")
    return entry["checksum"]


def _is_named_after(path: Path, key: str) -> bool:
    kind = path.parent.name
    return f"_{hashes(kind, json.loads(key))}{KINDS[kind]}" in path.name


def write_arrays(path: Path, key: Key, arrays: Arrays) -> None:
    """Write an entry of arrays."""
    entry = json.dumps(_entry(key, _checksum(arrays)), sort_keys=True).encode()
    payload: dict[str, Any] = {**arrays, _ENTRY: np.frombuffer(entry, np.uint8)}
    _make_way(path)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **payload)


def read_arrays(path: Path, key: Key | None) -> Arrays:
    """The arrays of the entry of a key; without one, of the key that the entry's name tells.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is no such entry, or damaged; damage raises others of ``UNREADABLE`` as well.
    """
    with path.open("rb") as file, np.lib.npyio.NpzFile(file) as stored:  # load takes what is no zip file for a pickle
        arrays = {name: stored[name] for name in stored.files}
    checksum = _check_entry(json.loads(arrays.pop(_ENTRY).tobytes()), key, path)
    if checksum != _checksum(arrays):
        raise ValueError("the checksum does not fit the arrays")
    return arrays


def _file_checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.iterdir() if path.name != _MANIFEST)
    return {path.name: file_sha256(path) for path in files}


def check_folder(path: Path, key: Key | None) -> bool:
    """Whether a folder is the entry of a key; raises as ``read_arrays``."""
    if not path.exists():
        raise FileNotFoundError(path)
    if not (path / _MANIFEST).is_file():
        raise ValueError(f"it holds no {_MANIFEST}")
    if _check_entry(json.loads((path / _MANIFEST).read_bytes()), key, path) != _file_checksums(path):
        raise ValueError("the checksums do not fit the files")
    return True


def write_memo(path: Path, value: Mapping[str, Any]) -> None:
    """Write what is remembered of a file."""
    _make_way(path)
    write_json(path, {**value, "checksum": _digest(canonical_json(value))})


def read_memo(path: Path) -> dict[str, Any]:
    """What is remembered of a file; raises as ``read_arrays``."""
    value = json.loads(path.read_bytes())
    if not isinstance(value, dict) or value.pop("checksum", "") != _digest(canonical_json(value)):
        raise ValueError("the checksum does not fit")
    if f"_{value['place'][:HASH_CHARS]}" not in path.name:
        raise ValueError("made for another file")
    return value


def _make_way(path: Path) -> None:
    """A folder where a file belongs is in the way: nothing replaces it."""
    if path.is_dir():
        remove(path)


def store_folder(made: Path, path: Path, key: Key) -> None:
    """Copy beside the target, then rename; a writer who came first with a sound entry wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished(path)
    try:
        temporary.mkdir()
        for file in sorted(made.iterdir()):
            shutil.copyfile(file, temporary / file.name)
        write_json(temporary / _MANIFEST, _entry(key, _file_checksums(temporary)))
        if os.path.lexists(path) and not is_sound(path):
            remove(path)  # a link that leads nowhere, too: no folder takes its place
        temporary.rename(path)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def is_sound(path: Path) -> bool:
    """Whether an entry of any kind is whole, and of the key that its name tells."""
    try:
        if path.is_dir():
            return check_folder(path, None)
        if path.suffix == ".json":
            return bool(read_memo(path))
        return read_arrays(path, None) is not None
    except UNREADABLE:
        return False


def bytes_of(path: Path) -> int:
    """Bytes of a file or of the files of a folder; of what another process removes meanwhile, 0."""
    size = 0
    for file in path.rglob("*") if path.is_dir() else [path]:
        with suppress(FileNotFoundError):
            size += file.stat().st_size if file.is_file() else 0
    return size
