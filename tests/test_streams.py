"""Audio in pieces: what comes out does not hang on how it is cut."""

import numpy as np
import pytest
import soxr

from rl_editor.utils.streams import MovingWindow, at_rate, begun, gathered, of_length

SOUND = np.random.default_rng(0).standard_normal((10_000, 3)).astype(np.float32)


def cut(*ends: int) -> list[np.ndarray]:
    return np.split(SOUND, ends)


@pytest.mark.parametrize("ends", [(), (1, 5_000), (0, 3_000, 3_000, 9_999)])
def test_resampled_pieces_are_the_whole_resampled(ends: tuple[int, ...]) -> None:
    whole = soxr.resample(SOUND, 44_100, 22_050, quality="HQ")
    together = np.concatenate(list(at_rate(cut(*ends), 44_100, 22_050)))
    np.testing.assert_allclose(together, whole, atol=1e-6)
    assert gathered(cut(*ends), 44_100, 22_050).shape == (5_000, 3)
    assert gathered(cut(*ends), 48_000, 44_100).shape == (9_188, 3)  # 9187.5, rounded up


@pytest.mark.parametrize("frames", [0, 1, 5_000, 10_000, 12_345])
def test_a_length_is_cut_to_or_filled_up_to(frames: int) -> None:
    found = np.concatenate([np.empty((0, 3)), *of_length(cut(4_000, 5_000), frames)])
    wanted = np.concatenate([SOUND, np.zeros((5_000, 3))])[:frames]
    np.testing.assert_array_equal(found, wanted)


def test_a_window_gives_what_is_there_and_reads_no_more_than_it_must() -> None:
    drawn: list[int] = []

    def blocks():
        for block in cut(*range(1_000, 10_000, 1_000)):
            drawn.append(len(block))
            yield block

    window = MovingWindow(blocks())
    np.testing.assert_array_equal(window.read(0, 1_500), SOUND[:1_500])
    assert sum(drawn) == 2_000
    window.forget(1_200)
    np.testing.assert_array_equal(window.read(1_200, 4_000), SOUND[1_200:4_000])
    np.testing.assert_array_equal(window.read(1_300, 1_301), SOUND[1_300:1_301])
    window.forget(3_500)
    np.testing.assert_array_equal(window.read(9_000, 20_000), SOUND[9_000:])
    assert not len(window.read(10_000, 20_000))
    with pytest.raises(AssertionError, match="frame 3499 was forgotten, 3500 on are held"):
        window.read(3_499, 9_500)


def test_the_first_is_not_lost() -> None:
    first, all_of_it = begun(iter([1, 2, 3]))
    assert (first, list(all_of_it)) == (1, [1, 2, 3])
