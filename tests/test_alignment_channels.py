"""Channels of an edit that are not as the raw's."""

import numpy as np
import pytest
import soundfile as sf
from test_alignment import RATE, assert_spans, cut, song

from rl_editor.alignment import align_files
from rl_editor.alignment.channels import channel_correlation, load_like
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


def test_the_correlation_of_channels(tmp_path) -> None:  # type: ignore[no-untyped-def]
    left = np.array([0.1, 0.2, -0.1, 0.2] * 100, np.float32)
    for name, right, expected in [("same", left, 1.0), ("turned", -0.5 * left, -1.0), ("silent", 0 * left, 0.0)]:
        sf.write(tmp_path / f"{name}.wav", np.stack([left, right], axis=1), RATE, subtype="FLOAT")
        assert channel_correlation(tmp_path / f"{name}.wav") == pytest.approx(expected, abs=1e-6)
    sf.write(tmp_path / "mono.wav", left, RATE)
    assert channel_correlation(tmp_path / "mono.wav") == 0.0


def test_a_mono_edit_is_left_as_it_is(tmp_path, stereo: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    sf.write(tmp_path / "raw.wav", stereo, RATE, subtype="FLOAT")
    sf.write(tmp_path / "edit.wav", stereo[:, 0], RATE, subtype="FLOAT")
    assert np.array_equal(load_like(tmp_path / "edit.wav", tmp_path / "raw.wav", RATE), stereo[:, 0])
