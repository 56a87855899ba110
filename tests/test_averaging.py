"""Averaged weights, by hand."""

import pytest
import torch
from toy_tracks import toy_config

from rl_editor.agent import Agent
from rl_editor.averaging import AveragedAgent, exponential, mean_until


def averages_of(average, values: list[float]) -> list[float]:
    agent = Agent(toy_config())
    averaged, found = AveragedAgent(agent, average), []
    for value in values:
        for parameter in agent.parameters():
            parameter.data.fill_(value)
        averaged.update_parameters(agent)
        found.append(float(next(averaged.agent.parameters()).detach().flatten()[0]))
    return found


def test_a_mean_until_enough_is_kept() -> None:
    # 8, then 8/2 + 2/2, then 2/3 of 5 + 5/3, then 3/4 = 2/3 at most is kept: 2/3 of 5 + 2/3
    assert averages_of(mean_until(2 / 3), [8.0, 2.0, 5.0, 2.0]) == pytest.approx([8.0, 5.0, 5.0, 4.0])


def test_nothing_kept_is_the_latest() -> None:
    assert averages_of(mean_until(0.0), [8.0, 2.0, 5.0]) == [8.0, 2.0, 5.0]


def test_an_exponential_mean_from_the_first_on() -> None:
    assert averages_of(exponential(0.75), [8.0, 4.0, 7.0]) == pytest.approx([8.0, 7.0, 7.0])


def test_the_copy_has_no_dropout_and_stays_its_own() -> None:
    agent = Agent(toy_config()).train()
    averaged = AveragedAgent(agent, mean_until(0.5))
    assert not averaged.agent.training
    with torch.no_grad():
        next(agent.parameters()).add_(1.0)
    assert not torch.equal(next(agent.parameters()), next(averaged.agent.parameters()))
