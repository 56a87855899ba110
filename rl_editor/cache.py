"""The side cache: results of per-track work, found again by the content that they were computed from.

The key of a result holds all that it depends on: content hashes of the inputs, the parameters that matter, and the
version of the algorithm. Modification times only save rehashing (``hash_file``). What lies below the cache directory,
``entries`` says. Any number of processes may write at once. What cannot be read, or belongs to another key, is computed
again with a warning. A cache that cannot be written (full disk) costs time, not the result, and says so once.
``RL_EDITOR_CACHE=off`` in the environment turns every cache off.
"""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rl_editor.config import Config
from rl_editor.entries import (
    HASH_CHARS,
    KINDS,
    Arrays,
    Key,
    bytes_of,
    canonical_json,
    check_folder,
    ending,
    is_named_like_one,
    is_sound,
    plain,
    read_arrays,
    read_memo,
    short_name,
    store_folder,
    write_arrays,
    write_memo,
)
from rl_editor.errors import ConfigError, OutputError, said, stops_all
from rl_editor.files import UNREADABLE, clear_unfinished, file_sha256, remove, scratch_folder

__all__ = [
    "CacheInfo",
    "FeatureCache",
    "KindInfo",
    "NotStored",
    "Pruned",
    "canonical_json",
    "get_cache",
    "must_write",
    "stored_only",
]

_SWITCH = "RL_EDITOR_CACHE"
_ON, _OFF = ("", "on", "1", "true", "yes"), ("off", "0", "false", "no")
_SETTLED_NS = 2_000_000_000  # a younger file may still change within its time stamp
_log = logging.getLogger("rl_editor")
_stored_only = ContextVar("_stored_only", default=False)
_must_write = ContextVar("_must_write", default=False)
_said_unwritable: set[Path] = set()  # cache directories, once per process


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

    Raises:
        ConfigError: ``RL_EDITOR_CACHE`` says neither on nor off.
    """

    def __init__(self, cache_dir: str | Path, *, enabled: bool = True) -> None:
        self.cache_dir = Path(cache_dir)
        self.enabled = enabled and not _switched_off()
        self.hits = 0
        self.misses = 0

    def path(self, kind: str, name: str, key: Key, *, suffix: str = ".npz") -> Path:
        """Where the entry of this key lies, whether or not it is there."""
        return self.cache_dir / kind / f"{short_name(name)}{ending(kind, key, suffix)}"

    def get_or_compute(
        self, kind: str, name: str, key: Key, compute: Callable[[], Mapping[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """The arrays of ``key``, from the cache or else from ``compute``, which are the same to the bit."""
        if not self.enabled:
            return plain(compute())
        path = self.path(kind, name, key)
        stored: Arrays | None = self._read(_lying(path, name), key, read_arrays)
        if stored is not None:
            return stored
        _may_compute(path)
        arrays = plain(compute())
        self._write(path, lambda: write_arrays(path, key, arrays))
        return arrays

    @contextmanager
    def folder(self, kind: str, name: str, key: Key, make: Callable[[Path], object]) -> Iterator[Path]:
        """Give the folder of files that ``make(folder)`` writes, from the cache or made now; use it within the block.

        For results that are files, such as stems as FLAC. With the cache off the folder vanishes after the block.
        """
        path = self.path(kind, name, key, suffix="")
        if self.enabled and self._read(lying := _lying(path, name), key, check_folder):
            yield lying
            return
        _may_compute(path)
        with scratch_folder() as outside:
            made = outside / path.name
            made.mkdir()
            make(made)
            self._write(path, lambda: store_folder(made, path, key))
            yield path if self.enabled and _is_there(path) else made

    def hash_file(self, path: str | Path) -> str:
        """SHA-256 of a file, remembered by its path and by what a file system notes of every change to it."""
        file = Path(path)
        stat = file.stat()
        if not self.enabled:
            return file_sha256(file)
        place = hashlib.sha256(os.fsencode(file.resolve())).hexdigest()
        memo = self.cache_dir / "metadata" / f"{short_name(file.stem)}_{place[:HASH_CHARS]}.json"
        changed_ns = max(stat.st_mtime_ns, stat.st_ctime_ns)  # a copy may keep the time stamp of another file
        seen = {"place": place, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "ctime_ns": stat.st_ctime_ns}
        if (stored := self._remembered(memo, {**seen, "inode": stat.st_ino})) is not None:
            return stored
        _may_compute(memo)
        digest = file_sha256(file)
        if time.time_ns() - changed_ns > _SETTLED_NS:
            self._write(memo, lambda: write_memo(memo, {**seen, "inode": stat.st_ino, "sha256": digest}))
        return digest

    def info(self) -> CacheInfo:
        """Number and size of the entries of each kind."""
        kinds = {}
        for kind in KINDS:
            sizes = [bytes_of(path) for path in self._entries(kind)]
            kinds[kind] = KindInfo(len(sizes), sum(sizes))
        return CacheInfo(self.cache_dir, self.enabled, kinds)

    def verify(self) -> list[Path]:
        """The entries that are damaged or foreign; they would be computed again when asked for."""
        return [path for kind in KINDS for path in self._entries(kind) if not is_sound(path)]

    def prune(self, max_bytes: int) -> Pruned:
        """Remove the entries used longest ago until ``max_bytes`` hold the rest, and what killed writers left."""
        entries = []
        for kind in KINDS:
            with suppress(OSError):
                clear_unfinished(self.cache_dir / kind)
            for path in self._entries(kind):
                with suppress(FileNotFoundError):  # another process removes, too
                    entries.append((path.stat().st_mtime_ns, path, bytes_of(path)))
        excess = sum(size for *_, size in entries) - max_bytes
        removed = freed = 0
        for _, path, size in sorted(entries):
            if freed >= excess:
                break
            remove(path)
            removed, freed = removed + 1, freed + size
        return Pruned(removed, freed)

    def _entries(self, kind: str) -> list[Path]:
        """What this cache wrote: it makes no links, and what they lead to is somebody's, as is what is named otherwise.

        Raises:
            OSError: the folder may not be read.
        """
        folder = self.cache_dir / kind
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as found:
            return sorted(folder / e.name for e in found if is_named_like_one(kind, e.name) and not e.is_symlink())
        return []

    def _remembered(self, memo: Path, seen: Mapping[str, Any]) -> str | None:
        """The hash in a memo; None where there is none, or the file has changed since."""
        try:
            value = read_memo(memo)
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
                if stops_all(error):
                    raise
                raise OutputError(said(error)) from None  # no recording's fault: the next one could not be kept either
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
    """Within the block a cache that cannot be written is an error that ends all: for work that is done to fill it.

    Raises:
        OSError: the disk is full, or takes nothing.
        OutputError: the cache may not be written.
    """
    token = _must_write.set(True)
    try:
        yield
    finally:
        _must_write.reset(token)


def get_cache(config: Config | None = None) -> FeatureCache:
    """The cache that ``config.data`` names."""
    data = (config or Config()).data
    return FeatureCache(data.cache_dir, enabled=data.use_cache)


def _switched_off() -> bool:
    switch = os.environ.get(_SWITCH, "").lower()
    if switch not in {*_ON, *_OFF}:
        raise ConfigError(f"{_SWITCH}={switch}: on or off is needed, or nothing")
    return switch in _OFF


def _lying(path: Path, name: str) -> Path:
    """Where the entry of a recording lies: there, or under the name that the recording had before."""
    if _is_there(path):
        return path
    end = path.name.removeprefix(short_name(name))
    return path.with_name(_by_ending(path.parent, len(end)).get(end, path.name))


def _is_there(path: Path) -> bool:
    """Whether there is an entry; where nobody may look, as in another user's cache, there is none."""
    try:
        return path.exists()
    except OSError:
        return False


@cache
def _by_ending(folder: Path, length: int) -> dict[str, str]:
    """The entries by what follows their names, as they were when this process first missed one.

    Listing them for every one that is missed would take as long as computing it where there are ten thousand.
    """
    with suppress(OSError), os.scandir(folder) as found:
        return {entry.name[-length:]: entry.name for entry in found if not entry.name.startswith(".")}
    return {}


def _may_compute(path: Path) -> None:
    if _stored_only.get():
        raise NotStored(path.name)
