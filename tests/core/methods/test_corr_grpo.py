"""CorrGRPO: its divisor in the cases worked out by hand, and what it warns of."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from strategies import Batch, batches

from gd2po import Setting, corr_grpo_advantages, dr_grpo_advantages

GROUP = torch.zeros(4, dtype=torch.int64)
OPPOSED = torch.tensor([[0.0, 2.0], [0.0, 2.0], [1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)


@given(batch=batches(max_rewards=1, weighted=False))
def test_with_one_reward_it_is_dr_grpo(batch: Batch) -> None:
    found = corr_grpo_advantages(batch.rewards, batch.group_ids)
    expected = dr_grpo_advantages(batch.rewards, batch.group_ids).advantages
    torch.testing.assert_close(found.advantages, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("floor", "largest"), [(0.0, 500.0), (0.01, 5.0), (1.0, 0.5)])
def test_opposite_rewards_are_held_by_the_least_sum_of_correlations(floor: float, largest: float) -> None:
    # The sum of the rewards is off its mean by 1/2, the correlations add up to 0.
    result = corr_grpo_advantages(OPPOSED, GROUP, min_correlation_sum=floor)
    assert float(result.advantages.abs().max()) == pytest.approx(largest, rel=1e-3)
    assert result.multipliers is not None
    assert float(result.multipliers[0]) == pytest.approx(1 / math.sqrt(max(0, floor) + 1e-6), rel=1e-6)


def test_equal_rewards_count_as_the_square_of_their_number() -> None:
    reward = torch.tensor([0.0, 1.0, 4.0, 2.0], dtype=torch.float64)
    result = corr_grpo_advantages(torch.stack([reward, 10 * reward, reward], dim=1), GROUP)
    assert result.multipliers is not None
    assert float(result.multipliers[0]) == pytest.approx(1 / 3, rel=1e-6)


def test_a_weight_turns_a_correlation_around_by_its_sign_alone() -> None:
    plain = corr_grpo_advantages(OPPOSED, GROUP, reward_weights=[1.0, -1.0]).multipliers
    heavy = corr_grpo_advantages(OPPOSED, GROUP, reward_weights=[1.0, -7.0]).multipliers
    assert plain is not None
    assert heavy is not None
    assert float(plain[0]) == pytest.approx(0.5, rel=1e-6)
    assert torch.equal(plain, heavy)


def test_a_group_of_dead_rewards_has_no_factor() -> None:
    rewards = torch.cat([OPPOSED, torch.ones(4, 2, dtype=torch.float64)])
    result = corr_grpo_advantages(rewards, torch.arange(2).repeat_interleave(4))
    assert result.multipliers is not None
    assert result.multipliers[4:].tolist() == [0.0] * 4


def test_it_says_that_advantages_have_a_unit_and_what_it_is_with_one_reward() -> None:
    setting = Setting.named("corr_grpo", "here")
    both = setting.warnings(OPPOSED, GROUP)
    assert len(both) == 1
    assert "unit of the rewards" in both[0]
    for one in (setting.warnings(OPPOSED[:, :1], GROUP), setting.warnings(OPPOSED, GROUP, reward_weights=[0.0, 2.0])):
        assert one == [*both, "corr_grpo: with one reward this is r - mean, as dr_grpo, and not grpo."]


def test_in_a_single_group_every_rollout_has_a_multiplier_of_its_own_memory() -> None:
    multipliers = corr_grpo_advantages(torch.zeros(2, 1), torch.tensor([0, 0])).multipliers
    assert multipliers is not None
    multipliers[0] += 1
    assert multipliers.tolist() == [1.0, 0.0]
