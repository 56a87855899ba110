"""The side cache: found again by content, whole or absent, never wrong."""

import errno
import json
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from rl_editor.cache import (
    FeatureCache,
    NotStored,
    _by_ending,
    canonical_json,
    get_cache,
    must_write,
    stored_only,
)
from rl_editor.config import Config
from rl_editor.entries import _checksum, short_name, store_folder
from rl_editor.errors import ConfigError

KEY = {"sha256": "ab" * 32, "hop_length": 512, "version": 1}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv("RL_EDITOR_CACHE", raising=False)
    return FeatureCache(tmp_path / "cache")


class Counted:
    def __init__(self, value=0.0):
        self.calls, self.value = 0, value

    def __call__(self):
        self.calls += 1
        return {"values": np.arange(6, dtype=np.float32).reshape(2, 3) + self.value, "n": np.array(2)}


def only_entry(cache, kind="features"):
    (path,) = (cache.cache_dir / kind).iterdir()
    return path


def test_second_look_up_gives_the_same_bits_without_computing(cache):
    compute = Counted()
    first = cache.get_or_compute("features", "song", KEY, compute)
    second = cache.get_or_compute("features", "song", dict(reversed(KEY.items())), compute)
    assert compute.calls == 1
    assert (cache.hits, cache.misses) == (1, 1)
    for name in ("values", "n"):
        assert second[name].dtype == first[name].dtype
        assert second[name].shape == first[name].shape
        assert second[name].tobytes() == first[name].tobytes()


@pytest.mark.parametrize("change", [{"hop_length": 256}, {"version": 2}, {"sha256": "cd" * 32}, {"more": None}])
def test_another_key_is_another_entry(cache, change):
    compute = Counted()
    cache.get_or_compute("features", "song", KEY, compute)
    cache.get_or_compute("features", "song", KEY | change, compute)
    assert compute.calls == 2


@pytest.mark.parametrize("kind", ["features", "stems", "mel", "labels", "metadata"])
def test_a_recording_that_was_renamed_is_found_again(cache, kind, caplog):
    key, compute = KEY | {"raw": "r", "edit": "e"}, Counted()
    cache.get_or_compute(kind, "take 1", key, compute)
    _by_ending.cache_clear()  # another process
    assert cache.get_or_compute(kind, "amber_river", key, compute)["n"] == 2
    assert compute.calls == 1
    cache.get_or_compute(kind, "amber_river", key | {"version": 2}, compute)
    assert compute.calls == 2
    only = next(path for path in (cache.cache_dir / kind).iterdir() if path.name.startswith("take"))
    only.write_bytes(b"")
    assert cache.get_or_compute(kind, "amber_river", key, compute)["n"] == 2
    assert "damaged" in caplog.text
    assert cache.path(kind, "amber_river", key).exists()


def test_what_a_system_writes_beside_a_renamed_entry_is_none(cache):
    """macOS keeps what other file systems cannot hold of ``song`` in ``._song``."""
    cache.get_or_compute("features", "take 1", KEY, Counted())
    only_entry(cache).rename(only_entry(cache).with_name(f"._{only_entry(cache).name}"))
    _by_ending.cache_clear()
    compute = Counted()
    cache.get_or_compute("features", "amber_river", KEY, compute)
    assert compute.calls == 1


def test_a_folder_of_a_recording_that_was_renamed_is_found_again(cache):
    with cache.folder("stems", "take 1", KEY, lambda folder: (folder / "drums.flac").write_bytes(b"d")):
        pass
    _by_ending.cache_clear()
    with cache.folder("stems", "amber_river", KEY, lambda folder: pytest.fail("separated again")) as folder:
        assert (folder / "drums.flac").read_bytes() == b"d"


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        ("features", "my_song_" + "?" * 16 + ".npz"),
        ("stems", "my_song_" + "?" * 16 + "_stems.npz"),
        ("mel", "my_song_" + "?" * 16 + "_mel.npz"),
        ("labels", "my_song_" + "?" * 16 + "_" + "?" * 16 + "_labels.npz"),
        ("metadata", "my_song_" + "?" * 16 + ".npz"),
    ],
)
def test_files_are_named_as_documented(cache, kind, pattern):
    cache.get_or_compute(kind, "my song", KEY, Counted())
    assert [path.name for path in (cache.cache_dir / kind).glob(pattern)] == [only_entry(cache, kind).name]


def test_labels_of_one_raw_share_the_first_hash(cache):
    def hashes(edit):
        name = cache.path("labels", "song", {"raw": "r", "edit": edit, "version": 1}).name
        return name.removeprefix("song_").removesuffix("_labels.npz").split("_")

    assert hashes("a")[0] == hashes("b")[0]
    assert hashes("a")[1] != hashes("b")[1]


def test_a_name_of_long_letters_fits_a_file_system(cache):
    """Eighty letters of three bytes each, and a file system takes 255 bytes."""
    name = "\u97f3" * 80
    counted = Counted()
    for _ in range(2):
        cache.get_or_compute("labels", name, {"raw": "r", "edit": "e"}, counted)
    assert counted.calls == 1
    assert len(cache.path("labels", name, {"raw": "r", "edit": "e"}).name.encode()) < 255


def test_a_name_cannot_leave_the_cache(cache):
    assert cache.path("mel", "../../etc/x", KEY).parent == cache.cache_dir / "mel"


@pytest.mark.parametrize("damage", ["empty", "truncated", "text", "zeros", "foreign", "other key", "folder"])
def test_a_bad_entry_is_computed_again_with_a_warning(cache, damage, caplog):
    cache.get_or_compute("features", "song", KEY, Counted())
    path = only_entry(cache)
    good = path.read_bytes()
    if damage == "foreign":
        with path.open("wb") as file:
            np.savez(file, values=np.zeros(3))
    elif damage == "folder":
        path.unlink()
        path.mkdir()
        (path / "x").write_text("x")
    elif damage == "other key":
        cache.get_or_compute("mel", "song", KEY | {"version": 9}, Counted())
        path.write_bytes(only_entry(cache, "mel").read_bytes())
    else:
        written = {"empty": b"", "truncated": good[:-40], "text": b"hello", "zeros": bytes(len(good))}
        path.write_bytes(written[damage])
    again = Counted()
    result = cache.get_or_compute("features", "song", KEY, again)
    assert again.calls == 1
    assert "damaged cache entry" in caplog.text
    assert path.name in caplog.text
    assert "pickle" not in caplog.text  # as numpy advises: to load it unsafely
    assert result["values"].sum() == 15.0  # 0+1+2+3+4+5
    assert path.read_bytes() == good


def test_any_flipped_byte_is_found_or_harmless(cache):
    expected = cache.get_or_compute("features", "song", KEY, Counted())
    path = only_entry(cache)
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.choice(len(good), 200, replace=False):
        path.write_bytes(good[:at] + bytes([good[at] ^ (1 << int(rng.integers(8)))]) + good[at + 1 :])
        result = cache.get_or_compute("features", "song", KEY, Counted())
        assert result["values"].tobytes() == expected["values"].tobytes()
        path.write_bytes(good)


def test_entries_are_the_same_bytes_every_time(cache, tmp_path):
    other = FeatureCache(tmp_path / "other")
    for each in (cache, other):
        each.get_or_compute("features", "song", KEY, Counted())
    assert only_entry(cache).read_bytes() == only_entry(other).read_bytes()


def test_objects_are_refused(cache):
    with pytest.raises(AssertionError, match="Python objects"):
        cache.get_or_compute("features", "song", KEY, lambda: {"x": np.array([{}], dtype=object)})


def test_a_failed_computation_leaves_nothing(cache):
    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.get_or_compute("features", "song", KEY, fail)
    assert not list(cache.cache_dir.rglob("*.npz"))


def test_switched_off_by_argument_environment_and_config(tmp_path, monkeypatch):
    compute = Counted()
    FeatureCache(tmp_path, enabled=False).get_or_compute("features", "song", KEY, compute)
    monkeypatch.setenv("RL_EDITOR_CACHE", "Off")
    FeatureCache(tmp_path).get_or_compute("features", "song", KEY, compute)
    monkeypatch.delenv("RL_EDITOR_CACHE")
    config = Config()
    config.data.cache_dir, config.data.use_cache = str(tmp_path), False
    get_cache(config).get_or_compute("features", "song", KEY, compute)
    assert compute.calls == 3
    assert not list(tmp_path.iterdir())


def test_a_switch_that_says_neither_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("RL_EDITOR_CACHE", "On")
    assert FeatureCache(tmp_path).enabled
    monkeypatch.setenv("RL_EDITOR_CACHE", "maybe")
    with pytest.raises(ConfigError, match="RL_EDITOR_CACHE=maybe: on or off is needed"):
        FeatureCache(tmp_path)


def test_an_unwritable_cache_costs_time_not_the_result(tmp_path, caplog):
    (tmp_path / "cache").write_text("a file where the folder should be")
    result = FeatureCache(tmp_path / "cache").get_or_compute("features", "song", KEY, Counted())
    assert result["n"] == 2
    assert "not written" in caplog.text


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_said_once_and_the_file_named(cache, monkeypatch, caplog):
    monkeypatch.setattr(np, "savez", full_disk)
    for i in range(3):
        assert cache.get_or_compute("features", f"song{i}", KEY, Counted())["n"] == 2
    path = cache.path("features", "song0", KEY)
    assert [r.message for r in caplog.records if "not written" in r.message] == [
        f"cache entry not written ({path}: no space left on device; free some space there); "
        "the work goes on without it, and says so once"
    ]
    assert list((cache.cache_dir / "features").iterdir()) == []


def test_a_full_disk_fails_what_is_done_to_fill_the_cache(cache, monkeypatch):
    monkeypatch.setattr(np, "savez", full_disk)
    with must_write(), pytest.raises(OSError, match="No space left"):
        cache.get_or_compute("features", "song", KEY, Counted())


def test_stored_only_computes_nothing(cache, tmp_path):
    song = tmp_path / "song.wav"
    song.write_bytes(b"abc")
    with stored_only():
        for look_up in (
            lambda: cache.get_or_compute("features", "song", KEY, Counted()),
            lambda: cache.folder("stems", "song", KEY, make_files).__enter__(),
            lambda: cache.hash_file(song),
        ):
            with pytest.raises(NotStored):
                look_up()
    cache.get_or_compute("features", "song", KEY, Counted())
    with stored_only():
        assert cache.get_or_compute("features", "song", KEY, Counted())["n"] == 2


def test_verify_finds_an_entry_under_the_name_of_another(cache):
    keys = [KEY | {"i": i, "raw": "r", "edit": "e"} for i in range(2)]
    for kind in ("features", "labels"):
        paths = [cache.path(kind, "song", key) for key in keys]
        for key in keys:
            cache.get_or_compute(kind, "song", key, Counted())
        assert cache.verify() == []
        paths[0].rename(paths[0].with_name("x"))
        paths[1].rename(paths[0])
        paths[0].with_name("x").rename(paths[1])
        assert cache.verify() == sorted(paths)
        cache.prune(0)


def test_concurrent_writers_leave_one_sound_entry(cache):
    results = []

    def work():
        results.append(cache.get_or_compute("features", "song", KEY, Counted())["values"].sum())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [15.0] * 8
    assert cache.verify() == []
    assert [p.name for p in (cache.cache_dir / "features").iterdir()] == [cache.path("features", "song", KEY).name]


def make_files(folder: Path):
    (folder / "drums.txt").write_text("boom")
    (folder / "bass.txt").write_text("dum")


def test_folder_is_made_once_and_again_when_damaged(cache, caplog):
    calls = []

    def make(folder):
        calls.append(folder)
        make_files(folder)

    for _ in range(2):
        with cache.folder("stems", "song", KEY, make) as folder:
            assert (folder / "drums.txt").read_text() == "boom"
            assert folder.name.endswith("_stems")
    assert len(calls) == 1
    (folder / "bass.txt").write_text("du")
    assert cache.verify() == [folder]
    with cache.folder("stems", "song", KEY, make) as folder:
        assert (folder / "bass.txt").read_text() == "dum"
    assert len(calls) == 2
    assert "damaged cache entry" in caplog.text
    assert cache.verify() == []


@pytest.mark.parametrize("damage", ["no manifest", "empty", "file", "link to nothing", "link to itself"])
def test_a_bad_folder_is_made_again(cache, damage, caplog):
    def make(folder):
        (folder / "drums.txt").write_text("boom")

    path = cache.path("stems", "song", KEY, suffix="")
    with cache.folder("stems", "song", KEY, make):
        (path / "entry.json").unlink()
    if damage != "no manifest":
        shutil.rmtree(path)
    if damage == "empty":
        path.mkdir()
    elif damage == "file":
        path.write_text("x")
    elif "link" in damage:
        path.symlink_to(path if damage == "link to itself" else path.parent / "gone")
    with must_write(), cache.folder("stems", "song", KEY, make) as folder:
        assert (folder / "drums.txt").read_text() == "boom"
    assert not path.is_symlink()
    assert sorted(file.name for file in path.iterdir()) == ["drums.txt", "entry.json"]
    assert ("damaged cache entry" in caplog.text) == ("link" not in damage)  # links are nobody's entry


def test_folder_vanishes_when_the_cache_is_off(tmp_path):
    cache = FeatureCache(tmp_path / "cache", enabled=False)
    with cache.folder("stems", "song", KEY, make_files) as folder:
        assert (folder / "bass.txt").read_text() == "dum"
    assert not folder.exists()
    assert not cache.cache_dir.exists()


def test_a_cache_that_is_off_gives_no_folder_that_lies_there(cache):
    off = FeatureCache(cache.cache_dir, enabled=False)
    with cache.folder("stems", "song", KEY, make_files):
        pass
    with off.folder("stems", "song", KEY, lambda folder: (folder / "bass.txt").write_text("anew")) as folder:
        assert (folder / "bass.txt").read_text() == "anew"


def test_file_hash_is_remembered_until_the_file_changes(cache, tmp_path, monkeypatch):
    path = tmp_path / "song.wav"
    path.write_bytes(b"abc")
    monkeypatch.setattr("rl_editor.cache._SETTLED_NS", -1)
    # SHA-256 of "abc", FIPS 180-2 appendix B.1
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert cache.hash_file(path) == abc
    monkeypatch.setattr("rl_editor.cache.file_sha256", lambda _: pytest.fail("hashed again"))
    assert cache.hash_file(path) == abc
    monkeypatch.undo()
    stat = path.stat()
    path.write_bytes(b"abd")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert cache.hash_file(path) != abc


def test_files_of_one_name_in_two_folders_are_both_remembered(cache, tmp_path, monkeypatch):
    paths = [tmp_path / folder / "song.wav" for folder in ("ann", "bob")]
    for path in paths:
        path.parent.mkdir()
        path.write_text(path.parent.name)
    monkeypatch.setattr("rl_editor.cache._SETTLED_NS", -1)
    before = [cache.hash_file(path) for path in paths]
    monkeypatch.setattr("rl_editor.cache.file_sha256", lambda _: pytest.fail("hashed again"))
    assert [cache.hash_file(path) for path in paths] == before


def test_renamed_files_of_one_size_and_time_are_hashed_again(cache, tmp_path, monkeypatch):
    a, b = tmp_path / "a.wav", tmp_path / "b.wav"
    for path, data in ((a, b"aaa"), (b, b"bbb")):
        path.write_bytes(data)
        os.utime(path, ns=(10**18, 10**18))  # as unpacked from one archive
    monkeypatch.setattr("rl_editor.cache._SETTLED_NS", -1)
    before = cache.hash_file(a), cache.hash_file(b)
    a.rename(tmp_path / "c.wav")
    b.rename(a)
    assert cache.hash_file(a) == before[1]


def test_a_memo_holds_all_that_a_file_system_notes_of_a_change(cache, tmp_path, monkeypatch):
    path = tmp_path / "song.wav"
    path.write_bytes(b"abc")
    os.utime(path, ns=(10**18, 10**18))
    monkeypatch.setattr("rl_editor.cache._SETTLED_NS", -1)
    digest, stat = cache.hash_file(path), path.stat()
    memo = json.loads(only_entry(cache, "metadata").read_text())
    assert {name: memo[name] for name in ("size", "mtime_ns", "ctime_ns", "inode", "sha256")} == {
        "size": 3, "mtime_ns": 10**18, "ctime_ns": stat.st_ctime_ns, "inode": stat.st_ino, "sha256": digest,
    }  # fmt: skip


@pytest.mark.parametrize("damage", ["digit", "other file", "empty", "folder"])
def test_a_damaged_memo_is_hashed_again_with_a_warning(cache, tmp_path, monkeypatch, caplog, damage):
    """A memo that lies would make every entry of the file a foreign one."""
    path, other = tmp_path / "song.wav", tmp_path / "other.wav"
    path.write_bytes(b"abc")
    monkeypatch.setattr("rl_editor.cache._SETTLED_NS", -1)
    expected = cache.hash_file(path)
    memo = only_entry(cache, "metadata")
    good = memo.read_text()
    if damage == "digit":
        memo.write_text(good.replace(expected, "0" * 64))
    elif damage == "other file":
        other.write_bytes(b"abd")
        cache.hash_file(other)
        memo.write_bytes(next(p for p in memo.parent.iterdir() if p != memo).read_bytes())
    else:
        memo.unlink()
        memo.mkdir() if damage == "folder" else memo.write_text("")
    assert cache.verify() == [memo]
    assert cache.hash_file(path) == expected
    assert memo.read_text() == good
    assert damage == "other file" or caplog.text.count("damaged cache entry") == 1


def test_a_file_written_just_now_is_not_trusted_to_stay(cache, tmp_path):
    path = tmp_path / "song.wav"
    path.write_bytes(b"abc")
    first = cache.hash_file(path)
    stat = path.stat()
    path.write_bytes(b"abd")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert cache.hash_file(path) != first


def test_a_copy_written_just_now_is_not_trusted_for_its_old_time_stamp(cache, tmp_path):
    path = tmp_path / "song.wav"
    path.write_bytes(b"abc")
    os.utime(path, ns=(10**18, 10**18))  # 2001
    cache.hash_file(path)
    assert not (cache.cache_dir / "metadata").exists()


def test_what_is_damaged_is_said_by_who_computes_it_again(cache, caplog):
    cache.get_or_compute("features", "song", KEY, Counted())
    only_entry(cache).write_bytes(b"")
    with stored_only(), pytest.raises(NotStored):
        cache.get_or_compute("features", "song", KEY, Counted())
    assert "damaged cache entry" not in caplog.text
    cache.get_or_compute("features", "song", KEY, Counted())
    assert caplog.text.count("damaged cache entry") == 1


def test_an_entry_of_another_version_is_computed_again(cache, monkeypatch, caplog):
    with monkeypatch.context() as later:
        later.setattr("rl_editor.entries.VERSION", 2)
        cache.get_or_compute("features", "song", KEY, Counted())
    again = Counted()
    cache.get_or_compute("features", "song", KEY, again)
    assert again.calls == 1
    assert "not an entry of this cache" in caplog.text


def test_arrays_that_another_program_put_in_are_not_the_entry(cache, caplog):
    cache.get_or_compute("features", "song", KEY, Counted())
    with np.load(only_entry(cache)) as stored:
        np.savez(only_entry(cache), **{name: stored[name] + (name == "values") for name in stored.files})
    assert cache.get_or_compute("features", "song", KEY, Counted(7.0))["values"][0, 0] == 7.0
    assert "the checksum does not fit the arrays" in caplog.text


def test_a_checksum_tells_names_types_shapes_and_every_number_apart():
    plain = np.zeros(4, np.float32)
    last = plain.copy()
    last[-1] = 1.0
    arrays = [{"x": plain}, {"y": plain}, {"x": plain.astype(np.int32)}, {"x": plain.reshape(2, 2)}, {"x": last}]
    assert len({_checksum(each) for each in arrays}) == 5


def test_what_is_for_people_in_a_name_is_never_hidden_or_empty():
    assert short_name("\u0436" * 90) == "\u0436" * 80  # of two bytes each
    assert [short_name(name) for name in (".song", "...", "", "a song")] == ["song", "track", "track", "a_song"]


def test_of_two_who_make_a_folder_the_first_wins_and_nothing_else_is_left(cache, tmp_path):
    path = cache.path("stems", "song", KEY, suffix="")
    for content in ("first", "second"):
        made = tmp_path / content
        made.mkdir()
        (made / "drums.txt").write_text(content)
        store_folder(made, path, KEY)
    assert (path / "drums.txt").read_text() == "first"
    assert list(path.parent.iterdir()) == [path]
    assert cache.info().kinds["stems"] == (1, sum(file.stat().st_size for file in path.iterdir()))
    with pytest.raises(FileNotFoundError):
        store_folder(tmp_path / "missing", cache.path("stems", "other", KEY | {"version": 2}, suffix=""), KEY)
    assert list(path.parent.iterdir()) == [path]


def test_info_verify_and_prune(cache):
    for i in range(4):
        cache.get_or_compute("features", f"song{i}", KEY | {"i": i}, Counted())
        os.utime(cache.path("features", f"song{i}", KEY | {"i": i}), ns=(i, i))
    size = cache.info().size_bytes // 4
    assert cache.info().kinds["features"].entries == 4
    cache.get_or_compute("features", "song0", KEY | {"i": 0}, Counted())  # used last now
    cache.path("features", "song3", KEY | {"i": 3}).write_bytes(b"x" * size)
    assert cache.verify() == [cache.path("features", "song3", KEY | {"i": 3})]
    assert cache.prune(3 * size) == (1, size)  # of 4 equal entries one must go: song1, used longest ago
    left = sorted(p.name.split("_")[0] for p in (cache.cache_dir / "features").iterdir())
    assert left == ["song0", "song2", "song3"]
    assert cache.prune(0).entries == 3
    assert cache.info().size_bytes == 0


def test_prune_removes_what_killed_writers_left(cache):
    cache.get_or_compute("features", "song", KEY, Counted())
    left = cache.cache_dir / "features" / ".rl_editor_unfinished_0123.npz"
    left.write_bytes(b"half")
    assert cache.info().kinds["features"].entries == 1
    cache.prune(10**9)
    assert left.exists()  # a writer may still be at it
    os.utime(left, (0, 0))
    cache.prune(10**9)
    assert not left.exists()


def test_what_a_link_leads_to_is_neither_counted_nor_removed(cache, tmp_path):
    cache.get_or_compute("stems", "song", KEY, Counted())
    size = cache.info().size_bytes
    music = tmp_path / "music"
    music.mkdir()
    (music / "song.wav").write_bytes(b"x" * 1000)
    links = [cache.path("stems", name, KEY | {"of": name}, suffix=end) for name, end in (("a", ""), ("b", ".npz"))]
    for link, target in zip(links, (music, music / "song.wav"), strict=True):
        link.symlink_to(target)
    assert (cache.info().size_bytes, cache.verify()) == (size, [])
    assert cache.prune(0) == (1, size)
    assert (music / "song.wav").stat().st_size == 1000
    assert all(link.is_symlink() for link in links)


def test_info_and_prune_bear_entries_that_vanish(cache, monkeypatch):
    """Two processes may prune, or one prunes what another lists."""
    for i in range(2):
        cache.get_or_compute("features", f"song{i}", KEY, Counted())
    gone = cache.cache_dir / "features" / "gone.npz"
    listed = FeatureCache._entries
    monkeypatch.setattr(FeatureCache, "_entries", lambda self, kind: [gone, *listed(self, kind)])
    assert cache.info().size_bytes > 0
    assert cache.prune(0).entries == 2


def test_keys_are_canonical():
    assert canonical_json({"b": (1, 2), "a": np.float64(0.5)}) == '{"a":0.5,"b":[1,2]}'
    assert canonical_json({"c": np.int64(3), "d": np.bool_(True)}) == '{"c":3,"d":true}'
    with pytest.raises(TypeError, match="a path is not content"):
        canonical_json({"path": Path("song.wav")})
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": float("nan")})


def test_a_cache_that_another_user_closed_costs_time_not_the_result(cache, tmp_path, monkeypatch):
    """``Path.exists`` raises there; root, who may look everywhere, has it raise here."""
    cache.get_or_compute("features", "song", KEY, Counted())
    exists = Path.exists

    def closed(path):
        if path.is_relative_to(cache.cache_dir / "features"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return exists(path)

    monkeypatch.setattr(Path, "exists", closed)
    again = cache.get_or_compute("features", "song", KEY, compute := Counted())
    assert compute.calls == 0  # the file itself may be read here
    assert again["n"] == 2
    with cache.folder("features", "song", KEY, lambda folder: (folder / "a").write_bytes(b"a")) as made:
        assert (made / "a").read_bytes() == b"a"


def test_a_cache_that_may_not_be_listed_is_not_called_empty(cache, monkeypatch):
    def closed(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", closed)
    for ask in (cache.info, cache.verify):
        with pytest.raises(PermissionError, match="features"):
            ask()


def test_what_is_not_named_like_an_entry_is_somebody_s(cache):
    """``--cache-dir data`` would be the pipeline's data/features, data/stems and data/labels."""
    cache.get_or_compute("features", "song", KEY, Counted())
    size = cache.info().size_bytes
    others = [cache.cache_dir / name for name in ("features/song.npz", "labels/pair.json", "stems/song/drums.flac")]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"data")
    assert (cache.info().size_bytes, cache.verify()) == (size, [])
    assert cache.prune(0) == (1, size)
    assert all(path.read_bytes() == b"data" for path in others)
