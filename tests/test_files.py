"""Files appear whole or not at all."""

import errno
import os
import tempfile
from pathlib import Path

import pytest

from rl_editor.errors import ConfigError, OutputError, said
from rl_editor.files import (
    check_writable,
    file_sha256,
    replacing,
    replacing_together,
    scratch_folder,
    target_of,
    write_json,
    write_text,
)


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "out.json"
    write_json(path, {"b": 1, "a": 2})
    with pytest.raises(RuntimeError), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == '{\n "a": 2,\n "b": 1\n}\n'
    assert [p.name for p in path.parent.iterdir()] == ["out.json"]


def test_a_full_disk_names_the_file_and_not_the_temporary(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    with pytest.raises(OSError, match="No space left") as found, replacing(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert said(found.value) == f"{path}: no space left on device; free some space there"
    with pytest.raises(OSError, match="Permission") as found, replacing(path) as temporary:
        raise OSError(errno.EACCES, "Permission denied", str(temporary))
    assert said(found.value).startswith(f"{path}: permission denied; check the path")


def test_a_full_disk_names_the_file_that_was_copied_to_it_and_a_read_only_one_that_was_opened(tmp_path: Path) -> None:
    """``shutil.copyfile`` names what it reads first, ``Path.open`` the path as it is."""
    for number, names in ((errno.ENOSPC, lambda place: ("take.wav", None, str(place))), (errno.EROFS, lambda p: (p,))):
        with pytest.raises(OSError, match=os.strerror(number)) as raised, replacing(tmp_path / "a.wav") as temporary:
            raise OSError(number, os.strerror(number), *names(temporary))
        assert said(raised.value).startswith(f"{tmp_path / 'a.wav'}: {os.strerror(number).lower()}; ")


def test_what_a_killed_process_left_is_removed_once_it_is_old(tmp_path: Path) -> None:
    left = [tmp_path / f".rl_editor_unfinished_{i}.wav" for i in range(2)]
    for path in left:
        path.write_text("half")
    os.utime(left[0], (0, 0))
    write_json(tmp_path / "out.json", 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == [left[1].name, "out.json"]


def test_scratch_folders_of_killed_processes_are_removed_once_they_are_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old, young, other = (tmp_path / name for name in ("rl_editor_scratch_a", "rl_editor_scratch_b", "rl_editor_data"))
    for path in (old, young, other):
        path.mkdir()
    (old / "x.wav").write_text("half")
    for path in (old, other):
        os.utime(path, (0, 0))
    with scratch_folder() as folder:
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted([other.name, young.name, folder.name])


def test_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_sha256_of_abc(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert file_sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea")  # FIPS 180-2, appendix B.1


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250 + ".json")  # 255 bytes: file systems take no more
    write_json(path, 1)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    """Nor would be /dev/null, which root may replace."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match=r"pipe: -o is a device or pipe, a file is needed"):
        check_writable(tmp_path / "pipe", "-o")
    with pytest.raises(FileExistsError, match="is a device or pipe"):
        write_json(tmp_path / "pipe", 1)
    assert (tmp_path / "pipe").is_fifo()


class TestTogether:
    def test_files_of_a_set_appear_when_all_are_written(self, tmp_path: Path) -> None:
        paths = [tmp_path / "new" / "a.wav", tmp_path / "new" / "deep" / "a.json"]
        with replacing_together() as stage:
            for path in paths:
                write_text(stage(path), path.name)
                assert target_of(stage(path)) == path
            assert not any(path.exists() for path in paths)
        assert [path.read_text() for path in paths] == ["a.wav", "a.json"]
        assert sorted(p.name for p in (tmp_path / "new").rglob("*")) == ["a.json", "a.wav", "deep"]

    def test_a_failure_leaves_what_was_there_and_no_folder_that_was_not(self, tmp_path: Path) -> None:
        old, new = tmp_path / "a.wav", tmp_path / "new" / "deep" / "a.json"
        old.write_text("old")
        with pytest.raises(SystemExit), replacing_together() as stage:  # noqa: PT012
            write_text(stage(old), "new")
            write_text(stage(new), "new")
            raise SystemExit(143)
        assert old.read_text() == "old"
        assert list(tmp_path.iterdir()) == [old]

    def test_errors_name_the_file_and_not_the_temporary(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        with pytest.raises(OSError, match="No space left") as found, replacing_together() as stage:  # noqa: SIM117
            with replacing(stage(path)):
                raise OSError(errno.ENOSPC, "No space left on device")
        assert said(found.value) == f"{path}: no space left on device; free some space there"
        with pytest.raises(OutputError, match=rf"^{path}: full$"), replacing_together() as stage:
            raise OutputError(f"{stage(path)}: full")
        with pytest.raises(OSError, match="Permission") as found, replacing_together() as stage:
            raise OSError(errno.EACCES, "Permission denied", str(stage(path)))
        assert said(found.value).startswith(f"{path}: permission denied; check the path")

    def test_an_interruption_between_two_files_waits_for_the_second(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Ctrl-C comes right after the first file has its place."""
        really, interrupted = os.replace, []

        def replace(temporary: Path, target: Path) -> None:
            really(temporary, target)
            if target.name == "a.json" and not interrupted:
                interrupted.append(target)
                raise KeyboardInterrupt

        monkeypatch.setattr(os, "replace", replace)
        with pytest.raises(KeyboardInterrupt), replacing_together() as stage:  # noqa: PT012
            for name in ("a.json", "a.wav"):
                stage(tmp_path / name).write_text(name)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "a.wav"]
