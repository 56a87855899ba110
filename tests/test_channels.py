"""Channels of an edit that are not as the raw's."""

import numpy as np
import pytest
import soundfile as sf
from test_alignment import RATE, assert_spans, cut, song

from rl_editor.alignment import align_files
from rl_editor.channels import load_turned, looks_turned
from rl_editor.config import Config


@pytest.fixture(scope="module")
def stereo() -> np.ndarray:
    middle, side = song(30, seed=1), song(30, seed=2)
    return np.stack([middle + 0.4 * side, middle - 0.4 * side], axis=1).astype(np.float32)


def edited(stereo: np.ndarray, *spans: tuple[float, float]) -> np.ndarray:
    return np.stack([cut(stereo[:, 0], *spans), cut(stereo[:, 1], *spans)], axis=1)


@pytest.mark.parametrize("signs", [(-1, 1), (1, -1), (1, 1)])
def test_a_channel_turned_over_is_turned_back(tmp_path, stereo: np.ndarray, signs) -> None:  # type: ignore[no-untyped-def]
    sf.write(tmp_path / "raw.wav", stereo, RATE)
    sf.write(tmp_path / "edit.wav", edited(stereo, (2, 10), (16, 26)) * np.array(signs), RATE)
    edit = align_files(tmp_path / "raw.wav", tmp_path / "edit.wav", Config())
    assert_spans(edit, [(2, 8), (16, 10)], within_s=0.001)


@pytest.mark.parametrize("width", [0.4, 1.0])
def test_channels_that_are_hardly_alike(tmp_path, width: float) -> None:  # type: ignore[no-untyped-def]
    middle, side = song(30, seed=1), song(30, seed=2)
    wide = np.stack([middle + width * side, middle - width * side], axis=1).astype(np.float32)
    sf.write(tmp_path / "raw.wav", wide, RATE)
    sf.write(tmp_path / "edit.wav", edited(wide, (2, 10), (16, 26)) * np.array((-1, 1)), RATE)
    edit = align_files(tmp_path / "raw.wav", tmp_path / "edit.wav", Config())
    assert_spans(edit, [(2, 8), (16, 10)], within_s=0.001)


def test_only_two_channels_can_be_turned(tmp_path, stereo: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    sf.write(tmp_path / "mono.wav", stereo[:, 0], RATE, subtype="FLOAT")
    assert load_turned(tmp_path / "mono.wav", RATE) is None
    sf.write(tmp_path / "stereo.wav", stereo, RATE, subtype="FLOAT")
    turned = load_turned(tmp_path / "stereo.wav", RATE)
    assert turned is not None
    np.testing.assert_allclose(turned, (stereo[:, 1] - stereo[:, 0]) / 2, atol=1e-6)


def test_channels_that_go_against_each_other_are_a_hint(tmp_path, stereo: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    sf.write(tmp_path / "raw.wav", stereo, RATE)
    sf.write(tmp_path / "turned.wav", stereo * np.array((-1, 1)), RATE)
    sf.write(tmp_path / "mono.wav", stereo[:, 0], RATE)
    assert looks_turned(tmp_path / "turned.wav", tmp_path / "raw.wav")
    assert not looks_turned(tmp_path / "raw.wav", tmp_path / "raw.wav")
    assert not looks_turned(tmp_path / "mono.wav", tmp_path / "raw.wav")
