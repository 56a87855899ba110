"""Returns against sums done by hand."""

import math

import pytest
import torch

from rl_editor.returns import (
    clipped_objective,
    generalized_advantages,
    normalised,
    weighted_divergence,
)


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values)[:, None]


def test_gae_by_hand() -> None:
    # gamma 0.5, lambda 0.5, v = 1, 2, v_end = 4
    # delta_0 = 1 + 0.5 * 2 - 1 = 1, delta_1 = 3 + 0.5 * 4 - 2 = 3
    # A_1 = 3, A_0 = 1 + 0.5 * 0.5 * 3 = 1.75; targets 1 + 1.75 and 2 + 3
    got = generalized_advantages(column(1.0, 3.0), column(1.0, 2.0), column(0.5, 0.5), torch.tensor([4.0]), lambda_=0.5)
    assert got.advantage[:, 0].tolist() == [1.75, 3.0]
    assert got.value_target[:, 0].tolist() == [2.75, 5.0]


def test_gae_does_not_look_past_an_episode() -> None:
    # the first decision ends its episode: A_0 = r_0 - v_0 = 1 - 5 = -4 whatever follows
    got = generalized_advantages(
        column(1.0, 100.0), column(5.0, 7.0), column(0.0, 1.0), torch.tensor([50.0]), lambda_=0.95
    )
    assert got.advantage[0, 0] == -4.0


def test_gae_with_lambda_one_is_the_return_minus_the_value() -> None:
    generator = torch.Generator().manual_seed(0)
    r, v = torch.randn(9, 3, generator=generator), torch.randn(9, 3, generator=generator)
    discount = torch.where(torch.rand(9, 3, generator=generator) < 0.2, 0.0, 0.9)
    end = torch.randn(3, generator=generator)
    got = generalized_advantages(r, v, discount, end, lambda_=1.0)
    returns = end  # G_t = r_t + discount_t G_{t+1}
    for t in reversed(range(9)):
        returns = r[t] + discount[t] * returns
        assert torch.allclose(got.value_target[t], returns, atol=1e-5)


def test_normalised_by_hand() -> None:
    # mean 3, deviations -2, -2, 0, 4: variance (4 + 4 + 0 + 16) / 4 = 6
    got = normalised(torch.tensor([1.0, 1.0, 3.0, 7.0]))
    assert got.tolist() == pytest.approx([-2 / 6**0.5, -2 / 6**0.5, 0.0, 4 / 6**0.5], abs=1e-6)


def test_constant_advantages_stay_finite() -> None:
    assert normalised(torch.ones(4)).tolist() == [0.0] * 4


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [
        (1.5, 1.0, 1.2),  # a gain is credited up to 1 + 0.2
        (0.5, 1.0, 0.5),  # a loss is felt in full
        (0.5, -1.0, -0.8),  # avoiding a bad action is credited down to 1 - 0.2
        (1.5, -1.0, -1.5),  # making it likelier is felt in full
    ],
)
def test_clipped_objective(ratio: float, advantage: float, expected: float) -> None:
    got = clipped_objective(torch.tensor([math.log(ratio)]), torch.zeros(1), torch.tensor([advantage]), clip_ratio=0.2)
    assert got.item() == pytest.approx(expected)


def test_the_divergence_by_hand_and_with_impossible_actions() -> None:
    # p = (1/2, 1/2, 0), q = (1/4, 3/4, 0): 0.5 log 2 + 0.5 log(2/3)
    floor = -1e9
    log_p = torch.tensor([math.log(0.5), math.log(0.5), floor])
    log_q = torch.tensor([math.log(0.25), math.log(0.75), floor])
    alike = torch.ones(3)
    kl = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    assert weighted_divergence(log_p, log_q, alike).item() == pytest.approx(kl)
    assert weighted_divergence(log_p, log_p, alike).item() == 0.0
    # by actions: 0.5 log 2 - 0.5 + 0.25 and 0.5 log(2/3) - 0.5 + 0.75
    weight = torch.tensor([2.0, 10.0, 100.0])
    first, second = 0.5 * math.log(2) - 0.25, 0.5 * math.log(2 / 3) + 0.25
    assert min(first, second) > 0.0
    assert weighted_divergence(log_p, log_q, weight).item() == pytest.approx(2 * first + 10 * second, rel=1e-5)
