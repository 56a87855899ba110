"""How long an editor's edits usually are, from pairs."""

import math

import pytest
import torch

from rl_editor.usual_length import UsualLengths


def learned(pairs: list[tuple[float, float]], *, style: int = 1) -> UsualLengths:
    """From (recording, edit) in seconds."""
    recording, edit = torch.tensor(pairs).T
    lengths = UsualLengths(3)
    lengths.fit(edit / recording, recording, torch.full((len(pairs),), style))
    return lengths


SHARES = [(100.0, 50.0), (200.0, 102.0), (400.0, 196.0), (300.0, 150.0)]
SECONDS = [(240.0, 210.0), (400.0, 211.0), (600.0, 209.0), (900.0, 210.0)]


def test_who_keeps_a_share_keeps_it_of_a_longer_recording() -> None:
    usual = learned(SHARES).of(1, 1000.0)
    assert usual is not None
    assert usual.seconds == pytest.approx(500.0, rel=0.02)


def test_who_makes_radio_edits_makes_one_of_a_longer_recording() -> None:
    usual = learned(SECONDS).of(1, 2000.0)
    assert usual is not None
    assert usual.seconds == pytest.approx(210.0, rel=0.01)
    assert usual.spread < 0.1  # of the seconds: shares vary far more


def test_an_edit_that_plays_nothing_tells_nothing() -> None:
    usual = learned([*SHARES, (100.0, 0.0)]).of(1, 1000.0)
    assert usual == learned(SHARES).of(1, 1000.0)
    assert learned([(100.0, 0.0)]).of(1, 1000.0) is None


def test_editors_are_told_apart_and_one_without_pairs_has_no_habit() -> None:
    lengths = UsualLengths(3)
    ratio = torch.tensor([0.5, 0.3, 0.5, 0.3])
    lengths.fit(ratio, torch.tensor([100.0, 150.0, 200.0, 250.0]), torch.tensor([0, 2, 0, 2]))
    assert lengths.of(1, 100.0) is None
    half, third = lengths.of(0, 100.0), lengths.of(2, 100.0)
    assert half is not None
    assert third is not None
    assert (half.seconds, third.seconds) == pytest.approx((50.0, 30.0), rel=1e-5)


def test_the_spread_is_the_pairs_own_and_two_more_that_are_a_tenth_off() -> None:
    logs = torch.tensor([math.log(edit / recording) for recording, edit in SHARES], dtype=torch.float64)
    variance = (((logs - logs.mean()) ** 2).sum() + 2 * 0.1**2) / 5 * (1 + 1 / 4)
    usual = learned(SHARES).of(1, 100.0)
    assert usual is not None
    assert usual.spread == pytest.approx(float(variance.sqrt()), rel=1e-4)


def test_one_pair_says_little_and_many_that_agree_say_more() -> None:
    spreads = []
    for n in (1, 3, 30):
        usual = learned([(100.0 + 10 * i, 0.5 * (100.0 + 10 * i)) for i in range(n)]).of(1, 100.0)
        assert usual is not None
        spreads.append(usual.spread)
    assert spreads[0] == pytest.approx(math.sqrt(2 * 0.1**2 / 2 * 2))
    assert spreads[0] > spreads[1] > spreads[2] > 0.01


def test_an_editor_without_a_length_has_a_wide_spread() -> None:
    usual = learned([(100.0, 20.0), (100.0, 90.0), (200.0, 30.0), (200.0, 150.0)]).of(1, 100.0)
    assert usual is not None
    assert usual.spread > 0.5
