"""Files appear whole or not at all."""

import os
from pathlib import Path

import pytest

from rl_editor.errors import ConfigError
from rl_editor.files import check_writable, file_sha256, replacing, write_json


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "out.json"
    write_json(path, {"b": 1, "a": 2})
    with pytest.raises(RuntimeError), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == '{\n "a": 2,\n "b": 1\n}\n'
    assert [p.name for p in path.parent.iterdir()] == ["out.json"]


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
