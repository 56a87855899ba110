"""Files appear whole or not at all."""

from pathlib import Path

import pytest

from rl_editor.files import file_sha256, replacing, write_json


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
