"""DARA: which rewards it takes for sparse, and how it amplifies them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from strategies import Batch, batches

from gd2po import Setting, dara_advantages, gdpo_advantages

# Four groups of two; the first reward is alive in all of them, the second in one.
REWARDS = torch.tensor([[0.0, 0.0], [1.0, 1.0]] + [[0.0, 0.0], [1.0, 0.0]] * 3, dtype=torch.float64)
GROUP_IDS = torch.arange(4).repeat_interleave(2)


def multipliers(rewards: torch.Tensor, **options: Any) -> list[float]:
    found = dara_advantages(rewards, GROUP_IDS, **options).multipliers
    assert found is not None
    return found.tolist()


def test_a_reward_alive_in_a_quarter_of_the_groups_counts_twice() -> None:
    assert multipliers(REWARDS) == pytest.approx([1.0, 2.0])
    assert multipliers(REWARDS, max_multiplier=1.5) == pytest.approx([1.0, 1.5])
    assert multipliers(REWARDS, reward_weights=[0.0, 3.0]) == pytest.approx([0.0, 1.0])


def test_unless_told_otherwise_no_reward_counts_more_than_five_times() -> None:
    # Alive in one of 24, 25 and 36 groups: the roots are 4.9, 5 and 6.
    for groups, expected in ((24, 24**0.5), (25, 5.0), (36, 5.0)):
        rewards = torch.tensor([[0.0, 0.0], [1.0, 1.0]] + [[0.0, 0.0], [1.0, 0.0]] * (groups - 1), dtype=torch.float64)
        found = dara_advantages(rewards, torch.arange(groups).repeat_interleave(2)).multipliers
        assert found is not None
        assert found.tolist() == pytest.approx([1.0, expected])


def test_asymmetric_amplifies_praise_alone() -> None:
    plain = gdpo_advantages(REWARDS, GROUP_IDS, whitening="none").components
    result = dara_advantages(REWARDS, GROUP_IDS, whitening="none")
    symmetric = dara_advantages(REWARDS, GROUP_IDS, whitening="none", variant="symmetric")
    assert plain is not None
    assert result.components is not None
    assert symmetric.components is not None
    assert torch.equal(result.components[0], plain[0])
    torch.testing.assert_close(result.components[1], plain[1] * torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(symmetric.components, plain * torch.tensor([1.0, 2.0]))
    assert result.advantages.view(4, 2).mean(1).min() >= -1e-12


def test_a_reward_of_negative_weight_is_amplified_where_it_is_absent() -> None:
    result = dara_advantages(REWARDS, GROUP_IDS, whitening="none", reward_weights=[1.0, -1.0])
    assert result.components is not None
    assert result.components[0, 1] == pytest.approx(-2 * result.components[1, 1])


def test_a_reward_that_does_not_apply_to_some_prompts_is_not_sparse() -> None:
    rewards = REWARDS.clone()
    rewards[2:, 1] = math.nan
    assert multipliers(rewards) == [1.0, 1.0]
    # Nor does a prompt count to which it applies once.
    rewards[2, 1] = 1.0
    assert multipliers(rewards) == [1.0, 1.0]


def test_a_reward_that_is_alive_nowhere_keeps_its_weight() -> None:
    rewards = REWARDS.clone()
    rewards[:, 1] = 1.0
    assert multipliers(rewards) == [1.0, 1.0]


@given(batch=batches(max_rewards=1, weighted=False))
def test_with_one_reward_it_is_gdpo(batch: Batch) -> None:
    found = dara_advantages(batch.rewards, batch.group_ids).advantages
    torch.testing.assert_close(found, gdpo_advantages(batch.rewards, batch.group_ids).advantages)


def test_it_says_what_the_symmetric_variant_costs() -> None:
    assert Setting.named("dara", "here").warnings(REWARDS, GROUP_IDS) == []
    (said,) = Setting.named("dara-symmetric", "here").warnings(REWARDS, GROUP_IDS)
    assert "trades accuracy for compliance" in said
