"""The side cache: results of per-track work, found again by the content that they were computed from.

An entry is named ``{name}_{hash}``: ``name`` is for people, ``hash`` is SHA-256 of the canonical JSON of the *key*,
which holds all that the result depends on: content hashes of the inputs, the parameters that matter, and the
version of the algorithm. Modification times only save rehashing (``hash_file``). Below the cache directory:

    features/{name}_{hash}.npz
    stems/{name}_{hash}_stems.npz   or, for audio, the folder {name}_{hash}_stems/
    mel/{name}_{hash}_mel.npz
    labels/{name}_{hash}_{hash}_labels.npz   first hash: the key without "edit"; second: the key without "raw"
    metadata/{name}_{hash}.npz, and {name}_{hash}.json for remembered file hashes

Entries hold arrays without Python objects, carry their key and a checksum, and appear whole or not at all, so any
number of processes may write at once. What cannot be read, or belongs to another key, is computed again with a
warning. A cache that cannot be written (full disk) costs time, not the result. ``RL_EDITOR_CACHE=off`` in the
environment turns every cache off.
"""

import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rl_editor.config import Config
from rl_editor.files import file_sha256, replacing, write_json

KINDS = {"features": "", "stems": "_stems", "mel": "_mel", "labels": "_labels", "metadata": ""}  # kind -> file suffix
FORMAT = "rl-editor/cache-entry"
VERSION = 1

_SWITCH = "RL_EDITOR_CACHE"
_OFF = {"off", "0", "false", "no"}
_ENTRY = "__entry__"  # array of JSON bytes beside the payload
_MANIFEST = "entry.json"  # the same for a folder entry
_HASH_CHARS = 16  # of 64; the stored key settles a collision
_NAME_CHARS = 80  # file systems take 255 bytes
_SETTLED_NS = 2_000_000_000  # a younger file may still change within its time stamp
_STALE_S = 3600.0  # a temporary this old was left by a killed process
_UNREADABLE = (
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

_log = logging.getLogger("rl_editor")

Key = Mapping[str, Any]
Arrays = dict[str, np.ndarray]


class KindInfo(NamedTuple):
    """What one kind of entry takes."""

    entries: int
    size_bytes: int


class Pruned(NamedTuple):
    """What ``prune`` removed."""

    entries: int
    size_bytes: int


@dataclass(frozen=True)
class CacheInfo:
    """What lies in a cache."""

    cache_dir: Path
    enabled: bool
    kinds: dict[str, KindInfo]

    @property
    def size_bytes(self) -> int:
        """Size of all entries."""
        return sum(kind.size_bytes for kind in self.kinds.values())


class FeatureCache:
    """A content-addressed cache in one directory.

    ``hits`` and ``misses`` count this object's look-ups.
    """

    def __init__(self, cache_dir: str | Path, *, enabled: bool = True) -> None:
        self.cache_dir = Path(cache_dir)
        self.enabled = enabled and os.environ.get(_SWITCH, "").lower() not in _OFF
        self.hits = 0
        self.misses = 0

    def path(self, kind: str, name: str, key: Key, *, suffix: str = ".npz") -> Path:
        """Where the entry of this key lies, whether or not it is there."""
        return self.cache_dir / kind / f"{_safe(name)}_{_hashes(kind, key)}{KINDS[kind]}{suffix}"

    def get_or_compute(
        self, kind: str, name: str, key: Key, compute: Callable[[], Mapping[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """The arrays of ``key``, from the cache or else from ``compute``, which are the same to the bit."""
        if not self.enabled:
            return _plain(compute())
        path = self.path(kind, name, key)
        stored: Arrays | None = self._read(path, key, _read_arrays)
        if stored is not None:
            return stored
        arrays = _plain(compute())
        self._write(path, lambda: _write_arrays(path, key, arrays))
        return arrays

    @contextmanager
    def folder(self, kind: str, name: str, key: Key, make: Callable[[Path], object]) -> Iterator[Path]:
        """Give the folder of files that ``make(folder)`` writes, from the cache or made now; use it within the block.

        For results that are files, such as stems as FLAC. With the cache off the folder vanishes after the block.
        """
        path = self.path(kind, name, key, suffix="")
        if self.enabled and self._read(path, key, _check_folder):
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="rl_editor_") as outside:
            made = Path(outside) / path.name
            made.mkdir()
            make(made)
            self._write(path, lambda: _store_folder(made, path, key))
            yield path if self.enabled and path.is_dir() else made

    def hash_file(self, path: str | Path) -> str:
        """SHA-256 of a file, remembered by its path, size and modification time (ns)."""
        file = Path(path)
        stat = file.stat()
        if not self.enabled:
            return file_sha256(file)
        memo = self.cache_dir / "metadata" / f"{_safe(file.stem)}_{_digest(str(file.resolve()))[:_HASH_CHARS]}.json"
        seen = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
        with suppress(OSError, ValueError, KeyError, TypeError):
            value = json.loads(memo.read_text(encoding="utf-8"))
            if {"size": value["size"], "mtime_ns": value["mtime_ns"]} == seen and len(value["sha256"]) == 64:
                return str(value["sha256"])
        digest = file_sha256(file)
        if time.time_ns() - stat.st_mtime_ns > _SETTLED_NS:
            self._write(memo, lambda: write_json(memo, {**seen, "sha256": digest}))
        return digest

    def info(self) -> CacheInfo:
        """Number and size of the entries of each kind."""
        kinds = {}
        for kind in KINDS:
            sizes = [_size(path) for path in self._entries(kind)]
            kinds[kind] = KindInfo(len(sizes), sum(sizes))
        return CacheInfo(self.cache_dir, self.enabled, kinds)

    def verify(self) -> list[Path]:
        """The entries that are damaged or foreign; they would be computed again when asked for."""
        return [path for kind in KINDS for path in self._entries(kind) if not _is_sound(path)]

    def prune(self, max_bytes: int) -> Pruned:
        """Remove the entries used longest ago until ``max_bytes`` hold the rest, and what killed writers left."""
        for path in self.cache_dir.glob("*/.*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _STALE_S:
                    _remove(path)
        entries = [(_used_ns(path), path, _size(path)) for kind in KINDS for path in self._entries(kind)]
        excess = sum(size for *_, size in entries) - max_bytes
        removed = freed = 0
        for _, path, size in sorted(entries):
            if freed >= excess:
                break
            _remove(path)
            removed, freed = removed + 1, freed + size
        return Pruned(removed, freed)

    def _entries(self, kind: str) -> list[Path]:
        return sorted(path for path in (self.cache_dir / kind).glob("*") if not path.name.startswith("."))

    def _read(self, path: Path, key: Key, read: Callable[[Path, Key], Any]) -> Any:
        try:
            value = read(path, key)
        except FileNotFoundError:
            value = None
        except _UNREADABLE as error:
            _log.warning("%s: damaged cache entry (%s: %s); it is computed again", path, type(error).__name__, error)
            value = None
        self.hits += value is not None
        self.misses += value is None
        if value is not None:
            with suppress(OSError):
                os.utime(path)
        return value

    def _write(self, path: Path, write: Callable[[], object]) -> None:
        if not self.enabled:
            return
        try:
            write()
        except OSError as error:
            _log.warning("%s: cache entry not written (%s); the work goes on without it", path, error)


def get_cache(config: Config | None = None) -> FeatureCache:
    """The cache that ``config.data`` names."""
    data = (config or Config()).data
    return FeatureCache(data.cache_dir, enabled=data.use_cache)


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


def _hashes(kind: str, key: Key) -> str:
    if kind != "labels":
        return _digest(canonical_json(key))[:_HASH_CHARS]
    without = ({k: v for k, v in key.items() if k != role} for role in ("edit", "raw"))
    return "_".join(_digest(canonical_json(part))[:_HASH_CHARS] for part in without)


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)[:_NAME_CHARS].lstrip(".") or "track"


def _plain(arrays: Mapping[str, np.ndarray]) -> Arrays:
    plain = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in plain.items():
        assert not array.dtype.hasobject, f"{name}: the cache holds no Python objects"
        assert name != _ENTRY
    return plain


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}\0{array.dtype.str}\0{arrays[name].shape}\0".encode())
        digest.update(array.view(np.uint8).reshape(-1).data if array.size else b"")
    return digest.hexdigest()


def _entry(key: Key, checksum: Any) -> dict[str, Any]:
    return {"format": FORMAT, "version": VERSION, "key": canonical_json(key), "checksum": checksum}


def _check_entry(entry: Any, key: Key | None) -> Any:
    if not isinstance(entry, dict) or entry.get("format") != FORMAT or entry.get("version") != VERSION:
        raise ValueError("not an entry of this cache")
    if key is not None and entry["key"] != canonical_json(key):
        raise ValueError("made for another key")
    return entry["checksum"]


def _write_arrays(path: Path, key: Key, arrays: Arrays) -> None:
    entry = json.dumps(_entry(key, _checksum(arrays)), sort_keys=True).encode()
    payload: dict[str, Any] = {**arrays, _ENTRY: np.frombuffer(entry, np.uint8)}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **payload)


def _read_arrays(path: Path, key: Key | None) -> Arrays:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise ValueError("not an npz file")
        arrays = {name: stored[name] for name in stored.files}
    checksum = _check_entry(json.loads(arrays.pop(_ENTRY).tobytes()), key)
    if checksum != _checksum(arrays):
        raise ValueError("the checksum does not fit the arrays")
    return arrays


def _file_checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.iterdir() if path.name != _MANIFEST)
    return {path.name: file_sha256(path) for path in files}


def _check_folder(path: Path, key: Key | None) -> bool:
    if not path.exists():
        raise FileNotFoundError(path)
    if _check_entry(json.loads((path / _MANIFEST).read_bytes()), key) != _file_checksums(path):
        raise ValueError("the checksums do not fit the files")
    return True


def _store_folder(made: Path, path: Path, key: Key) -> None:
    """Copy beside the target, then rename; a writer who came first with a sound entry wins."""
    temporary = path.with_name(f".{secrets.token_hex(6)}.{path.name}")
    try:
        shutil.copytree(made, temporary)
        write_json(temporary / _MANIFEST, _entry(key, _file_checksums(temporary)))
        if path.exists() and not _is_sound(path):
            _remove(path)
        temporary.rename(path)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _is_sound(path: Path) -> bool:
    try:
        if path.is_dir():
            return _check_folder(path, None)
        if path.suffix == ".json":
            return set(json.loads(path.read_bytes())) == {"size", "mtime_ns", "sha256"}
        return _read_arrays(path, None) is not None
    except _UNREADABLE:
        return False


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _used_ns(path: Path) -> int:
    return path.stat().st_mtime_ns


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
