"""The tail weight of disagreements: 3 for normal errors, more for rare ones, whatever the units and what is missing."""

from __future__ import annotations

import math

import pytest
import torch

from gd2po.core.tails import NORMAL_TAIL, tail_weight

GROUPS, SIZE = 400, 8
GROUP_IDS = torch.arange(GROUPS).repeat_interleave(SIZE)
NUMBERS = torch.Generator().manual_seed(5)
QUALITY = torch.rand(GROUPS * SIZE, generator=NUMBERS, dtype=torch.float64)
NOISE = torch.randn(GROUPS * SIZE, 3, generator=NUMBERS, dtype=torch.float64)
FOOLED = (torch.rand(GROUPS * SIZE, generator=NUMBERS) < 0.05).double()
NORMAL = QUALITY[:, None] + 0.3 * NOISE
FAMILIES = ["judge", "judge", "brevity"]


def test_normal_errors_have_3_and_rare_gross_ones_more() -> None:
    assert tail_weight(NORMAL, GROUP_IDS, FAMILIES)["judge"] == pytest.approx(NORMAL_TAIL, abs=0.3)
    spiky = NORMAL.clone()
    spiky[:, 0] += 3 * FOOLED
    assert tail_weight(spiky, GROUP_IDS, FAMILIES)["judge"] > 5


def test_two_rewards_of_one_scale_have_the_kurtosis_of_their_difference() -> None:
    rewards = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 2.0]], dtype=torch.float64)
    difference = torch.tensor([-1.0, 1.0, -1.0, 1.0]) / 2  # from the mean of both, the same with the other sign
    expected = float(difference.pow(4).mean() / difference.square().mean() ** 2)
    assert tail_weight(rewards, torch.zeros(4).long(), ["x", "x"])["x"] == pytest.approx(expected)


def test_units_and_the_sign_of_a_penalty_do_not_matter() -> None:
    expected = tail_weight(NORMAL, GROUP_IDS, FAMILIES)["judge"]
    other = NORMAL * torch.tensor([100.0, -0.01, 1.0]) + 7
    found = tail_weight(other, GROUP_IDS, FAMILIES, reward_weights=[2.0, -1.0, 1.0])["judge"]
    assert found == pytest.approx(expected)


def test_families_of_one_and_rewards_without_a_weight_or_a_partner_on_the_rollout_say_nothing() -> None:
    assert tail_weight(NORMAL, GROUP_IDS, ["a", "b", "c"]) == {}
    three = tail_weight(NORMAL, GROUP_IDS, ["x"] * 3, reward_weights=[1.0, 1.0, 0.0])["x"]
    assert three == pytest.approx(tail_weight(NORMAL[:, :2], GROUP_IDS, ["x"] * 2)["x"])
    apart = NORMAL.clone()
    apart[::2, 0] = math.nan
    apart[1::2, 1] = math.nan
    assert math.isnan(tail_weight(apart, GROUP_IDS, FAMILIES)["judge"])
    assert math.isnan(tail_weight(torch.ones(8, 2), torch.zeros(8).long(), ["x", "x"])["x"])
