"""Loudness: the standard's own figure, and sides made equal."""

import numpy as np
import pytest

from rl_editor.preferences.loudness import PEAK_DBFS, TARGET_LUFS, faded, loudness_lufs, matched, mixed_down
from rl_editor.utils import Samples

RATE = 48_000


def sine(level_db: float, seconds: float = 3.0, hz: float = 997.0, channels: int = 1) -> Samples:
    wave = 10 ** (level_db / 20) * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)
    return Samples(np.repeat(wave[:, None], channels, axis=1).astype(np.float32), RATE)


def test_a_full_scale_sine_has_the_loudness_that_the_standard_gives() -> None:
    assert loudness_lufs(sine(0.0)) == pytest.approx(-3.01, abs=0.05)  # BS.1770-4, annex 1
    assert loudness_lufs(sine(-20.0, channels=2)) == pytest.approx(-20.0, abs=0.05)  # two channels: 3 dB more


HALF = np.sqrt(0.5)  # of the amplitude, half of the power: ITU-R BS.775-3, table 2
LEFT, RIGHT, CENTRE, NONE = (1.0, 0.0), (0.0, 1.0), (HALF, HALF), (0.0, 0.0)
BEHIND_LEFT, BEHIND_RIGHT = (HALF, 0.0), (0.0, HALF)


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ((2, 3, 4, 11, 9, 10), [LEFT, RIGHT, CENTRE, NONE, BEHIND_LEFT, BEHIND_RIGHT]),  # 5.1
        ((2, 3, 4, 11, 14, 15), [LEFT, RIGHT, CENTRE, NONE, BEHIND_LEFT, BEHIND_RIGHT]),  # with side for rear
        ((2, 3, 9, 10), [LEFT, RIGHT, BEHIND_LEFT, BEHIND_RIGHT]),  # quad
        ((2, 3, 11), [LEFT, RIGHT, NONE]),  # 2.1
        ((2, 3, 4, 8), [LEFT, RIGHT, CENTRE, (0.5, 0.5)]),  # rear centre: halved for being behind, and for two sides
        ((), [LEFT, RIGHT, NONE, NONE]),  # nobody says
    ],
)
def test_surround_is_mixed_down_as_the_standard_says(
    places: tuple[int, ...], expected: list[tuple[float, float]]
) -> None:
    each_alone = Samples(np.eye(len(expected), dtype=np.float32), RATE)
    assert mixed_down(each_alone, places).data == pytest.approx(np.array(expected))


def test_mono_and_stereo_are_heard_as_they_are() -> None:
    for sound in (sine(-20.0), sine(-20.0, channels=2)):
        assert mixed_down(sound, ()) is sound


def test_what_has_no_loudness() -> None:
    assert loudness_lufs(sine(0.0, seconds=0.3)) is None
    assert loudness_lufs(sine(0.0, seconds=0.4)) is None  # a block, of which pyloudnorm takes longer ones alone
    assert loudness_lufs(Samples(np.zeros((RATE, 1), np.float32), RATE)) is None


def test_both_sides_are_equally_loud() -> None:
    heard = matched(sine(-30.0), sine(-12.0))
    assert [each.loudness_lufs for each in heard] == pytest.approx([TARGET_LUFS] * 2)
    assert [loudness_lufs(each.samples) for each in heard] == pytest.approx([TARGET_LUFS] * 2, abs=0.05)


def test_peaks_lower_both_sides_alike() -> None:
    peaky = sine(-40.0)
    peaky.data[RATE] = 0.9
    plain, spiked = matched(sine(-20.0), peaky)
    assert np.abs(spiked.samples.data).max() == pytest.approx(10 ** (PEAK_DBFS / 20), rel=1e-3)
    assert plain.loudness_lufs == pytest.approx(spiked.loudness_lufs)
    assert plain.loudness_lufs is not None
    assert plain.loudness_lufs < TARGET_LUFS - 5


def test_excerpts_begin_and_end_in_silence() -> None:
    one = faded(sine(0.0, hz=50.0))
    assert one.data[0] == one.data[-1] == 0.0
    assert np.array_equal(one.data[2000:-2000], sine(0.0, hz=50.0).data[2000:-2000])
    short = faded(Samples(np.ones((5, 1), np.float32), RATE))  # of 20 ms there are none: half of it each
    assert short.data[:, 0].tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
