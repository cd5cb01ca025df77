"""The packaged worlds."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from gd2po.core import Setting
from gd2po.worlds import WORLDS, simulate
from gd2po.worlds.tables import Tables


def test_there_are_thirteen_tabular_worlds_and_five_that_generalise() -> None:
    policies = [world.policy for world in WORLDS.values()]
    assert (policies.count("tabular"), policies.count("features")) == (13, 5)
    assert all(name == world.name and world.title for name, world in WORLDS.items())


@pytest.mark.parametrize("name", WORLDS)
def test_every_world_trains(name: str) -> None:
    world = dataclasses.replace(WORLDS[name], steps=3)
    run = simulate(world, Setting.named("gd2po-hard", "test"), 1.0, [0, 1])
    assert all(math.isfinite(value) for curve in run.score for value in curve)
    assert len(run.rewards_after[0]) == len(world.all_rewards)


def test_graders_of_one_family_agree_and_opposed_goals_do_not() -> None:
    def correlation(name: str, one: int, other: int) -> float:
        rewards = Tables.of(WORLDS[name], [0]).rewards[0].flatten(0, 1)
        return float(torch.corrcoef(rewards.T)[one, other])

    assert correlation("gauss", 0, 1) == pytest.approx((1 / 12) / (1 / 12 + 0.09), abs=0.06)
    assert correlation("trade-off", 0, 1) < -0.5
    assert abs(correlation("unrelated", 0, 1)) < 0.08
    assert correlation("mixed4", 0, 1) > 0.05 > correlation("mixed4", 0, 2)
