"""Channels of an edit that are not as the raw's."""

from contextlib import suppress

import numpy as np
import pytest
import soundfile as sf
from test_alignment import RATE, assert_spans, cut, info, song

from rl_editor import alignment
from rl_editor.alignment import Alignment, align_files
from rl_editor.channels import channel_product, is_one_signal, load_channel, load_turned, looks_turned
from rl_editor.config import Config
from rl_editor.edits import EditList
from rl_editor.errors import PairRejectedError


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


@pytest.mark.parametrize("shape", ["mono", "twice", "one side", "right"])
def test_one_channel_of_a_stereo_recording_is_followed_as_such(tmp_path, shape: str) -> None:  # type: ignore[no-untyped-def]
    """A block comes twice and differs in what left and right have against each other: their mean is the same."""
    block, side = song(14, seed=1), 0.2 * song(14, seed=2)
    raw = np.stack([np.concatenate([block, block + side]), np.concatenate([block, block - side])], axis=1)
    sf.write(tmp_path / "raw.wav", raw, RATE)
    one = cut(raw[:, int(shape == "right")], (16, 26), (2, 9))
    silence = np.zeros_like(one)
    heard = {"twice": np.stack([one, one], axis=1), "one side": np.stack([silence, one], axis=1)}.get(shape, one)
    sf.write(tmp_path / "edit.wav", heard, RATE)
    edit = align_files(tmp_path / "raw.wav", tmp_path / "edit.wav", Config())
    assert_spans(edit, [(16, 10), (2, 7)], within_s=0.001)


def test_what_is_one_signal(tmp_path, stereo: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    """A third channel, or left and right that differ by more than -40 dB, are something else."""
    left = stereo[:, 0]
    share = np.sqrt(left @ left / (stereo[:, 1] @ stereo[:, 1]))  # makes right as loud as left
    faint = {db: np.float32(10 ** (db / 20) * share) * stereo[:, 1] for db in (-45, -35)}
    files = {
        "mono": (left, True),
        "alike": (np.stack([left, left + faint[-45]], axis=1), True),
        "silent": (np.stack([faint[-45], left], axis=1), True),
        "wider": (np.stack([left, left + faint[-35]], axis=1), False),
        "softer": (np.stack([faint[-35], left], axis=1), False),
        "three": (np.stack([left, left, left], axis=1), False),
    }
    for name, (data, is_one) in files.items():
        sf.write(tmp_path / f"{name}.wav", data, RATE, subtype="FLOAT")
        assert is_one_signal(tmp_path / f"{name}.wav") == is_one, name
    right = load_channel(tmp_path / "silent.wav", RATE, channel=1)
    np.testing.assert_allclose(right, left, atol=1e-6)


def test_the_first_minute_is_asked_and_all_of_it(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Which begins otherwise than it goes on, and what follows is five times as loud."""
    rate = 4000
    left = np.random.default_rng(0).normal(scale=0.02, size=100 * rate).astype(np.float32)
    seconds, loud = np.arange(len(left)) / rate, np.where(np.arange(len(left)) < 70 * rate, 1, 5)
    files = {
        "together": np.where((seconds < 20) | (seconds > 70), -1, 1),
        "late": np.where((seconds < 20) | (seconds > 70), 1, -1),
        "after": np.where(seconds > 70, -1, 1),
    }
    for name, signs in files.items():
        sf.write(tmp_path / f"{name}.wav", np.stack([left, left * signs], axis=1) * loud[:, None], rate)
    assert channel_product(tmp_path / "together.wav") > 0
    assert not is_one_signal(tmp_path / "late.wav")
    assert is_one_signal(tmp_path / "after.wav")


@pytest.mark.parametrize(
    ("agreement", "hint", "is_tried"),
    [(0.98, True, False), (0.9, True, True), (0.9, False, False), (0.6, False, True), (None, False, True)],
)
def test_a_channel_is_turned_in_doubt_and_by_hints(  # type: ignore[no-untyped-def]
    tmp_path, monkeypatch: pytest.MonkeyPatch, stereo: np.ndarray, agreement: float | None, hint: bool, is_tried: bool
) -> None:
    """A copy is as it is; mastered music only where left and right say so; what is doubtful or refused always."""
    sf.write(tmp_path / "both.wav", stereo, RATE)
    tried: list[bool] = []

    def recover(raw: np.ndarray, edit: np.ndarray, config: Config, *, by_sound: bool = False, **_: object) -> Alignment:
        if not by_sound:
            tried.append(bool(np.abs(raw - edit).max() > 1e-3))
        if agreement is None:
            raise PairRejectedError("no pair")
        return Alignment(EditList(info(raw), ()), 0.0, False, agreement, ())

    monkeypatch.setattr(alignment, "recover", recover)
    monkeypatch.setattr(alignment, "looks_turned", lambda *_: hint)
    with suppress(PairRejectedError):
        alignment.recover_files(tmp_path / "both.wav", tmp_path / "both.wav", Config())
    assert tried == [False, True][: 1 + is_tried]
