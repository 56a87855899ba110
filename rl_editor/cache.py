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
warning. A cache that cannot be written (full disk) costs time, not the result, and says so once.
``RL_EDITOR_CACHE=off`` in the environment turns every cache off.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rl_editor.config import Config
from rl_editor.errors import said
from rl_editor.files import (
    UNREADABLE,
    clear_unfinished,
    file_sha256,
    remove,
    replacing,
    scratch_folder,
    unfinished,
    write_json,
)

KINDS = {"features": "", "stems": "_stems", "mel": "_mel", "labels": "_labels", "metadata": ""}  # kind -> file suffix
FORMAT = "rl-editor/cache-entry"
VERSION = 1

_SWITCH = "RL_EDITOR_CACHE"
_OFF = {"off", "0", "false", "no"}
_ENTRY = "__entry__"  # array of JSON bytes beside the payload
_MANIFEST = "entry.json"  # the same for a folder entry
_HASH_CHARS = 16  # of 64; the stored key settles a collision
_NAME_CHARS, _NAME_BYTES = 80, 160  # file systems take 255 bytes, and some letters are four
_SETTLED_NS = 2_000_000_000  # a younger file may still change within its time stamp
_log = logging.getLogger("rl_editor")
_stored_only = ContextVar("_stored_only", default=False)
_must_write = ContextVar("_must_write", default=False)
_said_unwritable: set[Path] = set()  # cache directories, once per process

Key = Mapping[str, Any]
Arrays = dict[str, np.ndarray]


class NotStored(Exception):
    """Within ``stored_only``: the cache does not hold what was asked for."""


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
        _may_compute(path)
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
        _may_compute(path)
        with scratch_folder() as outside:
            made = outside / path.name
            made.mkdir()
            make(made)
            self._write(path, lambda: _store_folder(made, path, key))
            yield path if self.enabled and path.is_dir() else made

    def hash_file(self, path: str | Path) -> str:
        """SHA-256 of a file, remembered by its path and by what a file system notes of every change to it."""
        file = Path(path)
        stat = file.stat()
        if not self.enabled:
            return file_sha256(file)
        place = hashlib.sha256(os.fsencode(file.resolve())).hexdigest()
        memo = self.cache_dir / "metadata" / f"{_safe(file.stem)}_{place[:_HASH_CHARS]}.json"
        changed_ns = max(stat.st_mtime_ns, stat.st_ctime_ns)  # a copy may keep the time stamp of another file
        seen = {"place": place, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "ctime_ns": stat.st_ctime_ns}
        if (stored := self._remembered(memo, {**seen, "inode": stat.st_ino})) is not None:
            return stored
        _may_compute(memo)
        digest = file_sha256(file)
        if time.time_ns() - changed_ns > _SETTLED_NS:
            self._write(memo, lambda: _write_memo(memo, {**seen, "inode": stat.st_ino, "sha256": digest}))
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
        entries = []
        for kind in KINDS:
            with suppress(OSError):
                clear_unfinished(self.cache_dir / kind)
            for path in self._entries(kind):
                with suppress(FileNotFoundError):  # another process removes, too
                    entries.append((path.stat().st_mtime_ns, path, _size(path)))
        excess = sum(size for *_, size in entries) - max_bytes
        removed = freed = 0
        for _, path, size in sorted(entries):
            if freed >= excess:
                break
            remove(path)
            removed, freed = removed + 1, freed + size
        return Pruned(removed, freed)

    def _entries(self, kind: str) -> list[Path]:
        return sorted(path for path in (self.cache_dir / kind).glob("*") if not path.name.startswith("."))

    def _remembered(self, memo: Path, seen: Mapping[str, Any]) -> str | None:
        """The hash in a memo; None where there is none, or the file has changed since."""
        try:
            value = _read_memo(memo)
        except FileNotFoundError:
            return None
        except UNREADABLE as error:
            self._say_damaged(memo, error)
            return None
        return str(value["sha256"]) if value == {**seen, "sha256": value["sha256"]} else None

    def _read(self, path: Path, key: Key, read: Callable[[Path, Key], Any]) -> Any:
        try:
            value = read(path, key)
        except FileNotFoundError:
            value = None
        except UNREADABLE as error:
            self._say_damaged(path, error)
            value = None
        self.hits += value is not None
        self.misses += value is None
        if value is not None:
            with suppress(OSError):
                os.utime(path)
        return value

    def _say_damaged(self, path: Path, error: BaseException) -> None:
        if not _stored_only.get():  # who computes it says it
            _log.warning("%s: damaged cache entry (%s: %s); it is computed again", path, type(error).__name__, error)

    def _write(self, path: Path, write: Callable[[], object]) -> None:
        if not self.enabled:
            return
        try:
            write()
        except OSError as error:
            if _must_write.get():
                raise
            if self.cache_dir not in _said_unwritable:
                _said_unwritable.add(self.cache_dir)
                _log.warning("cache entry not written (%s); the work goes on without it, and says so once", said(error))


@contextmanager
def stored_only() -> Iterator[None]:
    """Within the block nothing is computed and no file hashed: what the cache does not hold raises ``NotStored``."""
    token = _stored_only.set(True)
    try:
        yield
    finally:
        _stored_only.reset(token)


@contextmanager
def must_write() -> Iterator[None]:
    """Within the block a cache that cannot be written is an error: for work that is done to fill it."""
    token = _must_write.set(True)
    try:
        yield
    finally:
        _must_write.reset(token)


def get_cache(config: Config | None = None) -> FeatureCache:
    """The cache that ``config.data`` names."""
    data = (config or Config()).data
    return FeatureCache(data.cache_dir, enabled=data.use_cache)


def _may_compute(path: Path) -> None:
    if _stored_only.get():
        raise NotStored(path.name)


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
    short = re.sub(r"[^\w.-]", "_", name)[:_NAME_CHARS].encode()[:_NAME_BYTES].decode(errors="ignore")
    return short.lstrip(".") or "track"


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


def _check_entry(entry: Any, key: Key | None, path: Path) -> Any:
    """The checksum of an entry of ``key``; without a key, of that which the entry's name tells."""
    if not isinstance(entry, dict) or entry.get("format") != FORMAT or entry.get("version") != VERSION:
        raise ValueError("not an entry of this cache")
    if entry["key"] != canonical_json(key) if key is not None else not _is_named_after(path, entry["key"]):
        raise ValueError("made for another key")
    return entry["checksum"]


def _is_named_after(path: Path, key: str) -> bool:
    kind = path.parent.name
    return f"_{_hashes(kind, json.loads(key))}{KINDS[kind]}" in path.name


def _write_arrays(path: Path, key: Key, arrays: Arrays) -> None:
    entry = json.dumps(_entry(key, _checksum(arrays)), sort_keys=True).encode()
    payload: dict[str, Any] = {**arrays, _ENTRY: np.frombuffer(entry, np.uint8)}
    _make_way(path)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **payload)


def _read_arrays(path: Path, key: Key | None) -> Arrays:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise ValueError("not an npz file")
        arrays = {name: stored[name] for name in stored.files}
    checksum = _check_entry(json.loads(arrays.pop(_ENTRY).tobytes()), key, path)
    if checksum != _checksum(arrays):
        raise ValueError("the checksum does not fit the arrays")
    return arrays


def _file_checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.iterdir() if path.name != _MANIFEST)
    return {path.name: file_sha256(path) for path in files}


def _check_folder(path: Path, key: Key | None) -> bool:
    if not path.exists():
        raise FileNotFoundError(path)
    if _check_entry(json.loads((path / _MANIFEST).read_bytes()), key, path) != _file_checksums(path):
        raise ValueError("the checksums do not fit the files")
    return True


def _write_memo(path: Path, value: Mapping[str, Any]) -> None:
    _make_way(path)
    write_json(path, {**value, "checksum": _digest(canonical_json(value))})


def _read_memo(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_bytes())
    if not isinstance(value, dict) or value.pop("checksum", "") != _digest(canonical_json(value)):
        raise ValueError("the checksum does not fit")
    if f"_{value['place'][:_HASH_CHARS]}" not in path.name:
        raise ValueError("made for another file")
    return value


def _make_way(path: Path) -> None:
    """A folder where a file belongs is in the way: nothing replaces it."""
    if path.is_dir():
        remove(path)


def _store_folder(made: Path, path: Path, key: Key) -> None:
    """Copy beside the target, then rename; a writer who came first with a sound entry wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished(path)
    try:
        temporary.mkdir()
        for file in sorted(made.iterdir()):
            shutil.copyfile(file, temporary / file.name)
        write_json(temporary / _MANIFEST, _entry(key, _file_checksums(temporary)))
        if path.exists() and not _is_sound(path):
            remove(path)
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
            return bool(_read_memo(path))
        return _read_arrays(path, None) is not None
    except UNREADABLE:
        return False


def _size(path: Path) -> int:
    """Bytes of a file or of the files of a folder; of what another process removes meanwhile, 0."""
    size = 0
    for file in path.rglob("*") if path.is_dir() else [path]:
        with suppress(FileNotFoundError):
            size += file.stat().st_size if file.is_file() else 0
    return size
