"""What each reward adds to a GRPO advantage."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from strategies import Batch, batches

from gd2po import grpo_advantages
from gd2po.core.methods.grpo import grpo_components
from gd2po.core.tolerances import HEADROOM


@pytest.mark.parametrize("scale_rewards", [True, False])
@given(batch=batches())
def test_the_components_sum_to_the_advantage(scale_rewards: bool, batch: Batch) -> None:
    arguments = {"reward_weights": batch.weights, "scale_rewards": scale_rewards}
    result = grpo_advantages(batch.rewards, batch.group_ids, **arguments)
    components = grpo_components(batch.rewards, batch.group_ids, **arguments)
    assert components.shape == batch.rewards.shape
    torch.testing.assert_close(components.sum(1), result.unwhitened, rtol=1e-9, atol=1e-9)


def test_a_component_is_the_deviation_of_its_reward_over_the_spread_of_the_sum() -> None:
    rewards = torch.tensor([[0.0, 1.0], [2.0, 0.0], [4.0, 2.0], [2.0, 1.0]], dtype=torch.float64)
    group_ids = torch.zeros(4, dtype=torch.int64)
    weights = torch.tensor([1.0, -0.5], dtype=torch.float64)
    std = (rewards @ weights).std()
    expected = (rewards - rewards.mean(0)) * weights / (std + 1e-6)
    torch.testing.assert_close(grpo_components(rewards, group_ids, reward_weights=weights), expected)
    unscaled = grpo_components(rewards, group_ids, reward_weights=weights, scale_rewards=False)
    torch.testing.assert_close(unscaled, (rewards - rewards.mean(0)) * weights)


def test_a_missing_reward_counts_as_0_and_an_absent_rollout_not_at_all() -> None:
    nan = torch.nan
    rewards = torch.tensor([[-1.0, 1.0], [nan, 0.0], [-3.0, 2.0], [nan, nan]], dtype=torch.float64)
    group_ids = torch.zeros(4, dtype=torch.int64)
    components = grpo_components(rewards, group_ids, scale_rewards=False)
    assert components[:, 0].tolist() == pytest.approx([-1 + 4 / 3, 4 / 3, -3 + 4 / 3, 0])
    assert components[3].tolist() == [0, 0]


def test_rewards_that_cancel_in_the_sum_add_nothing() -> None:
    # In float32 the sums differ by rounding alone.
    rewards = torch.tensor([[0.1, 0.2], [0.3, 0.0], [0.2, 0.1]])
    group_ids = torch.zeros(3, dtype=torch.int64)
    assert grpo_advantages(rewards, group_ids).unwhitened.tolist() == [0, 0, 0]
    assert not grpo_components(rewards, group_ids).any()


def test_huge_rewards_do_not_overflow() -> None:
    rewards = torch.tensor([[1e300, 0.0], [0.0, 1e299], [5e299, 0.0]], dtype=torch.float64)
    group_ids = torch.zeros(3, dtype=torch.int64)
    components = grpo_components(rewards, group_ids)
    torch.testing.assert_close(components.sum(1), grpo_advantages(rewards, group_ids).unwhitened)
    assert components.abs().max() < 2


def test_a_thousand_rewards_of_the_largest_size_do_not_overflow() -> None:
    largest = torch.finfo(torch.float64).max
    rewards = torch.full((4, 1000), largest, dtype=torch.float64)
    rewards[::2] *= -1
    result = grpo_advantages(rewards, torch.zeros(4, dtype=torch.int64), whitening="none")
    torch.testing.assert_close(result.advantages.abs(), torch.full((4,), 0.75, dtype=torch.float64).sqrt())


def test_adding_up_at_another_scale_loses_no_bit() -> None:
    mantissa, _ = math.frexp(HEADROOM)
    assert mantissa == 0.5
