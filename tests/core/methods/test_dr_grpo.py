"""Dr. GRPO is GRPO without its divisor."""

from __future__ import annotations

import torch
from hypothesis import given
from strategies import DTYPES, Batch, batches

from gd2po import dr_grpo_advantages, grpo_advantages


@given(batch=batches(dtypes=DTYPES))
def test_it_is_grpo_without_scaling(batch: Batch) -> None:
    found = dr_grpo_advantages(batch.rewards, batch.group_ids, reward_weights=batch.weights)
    expected = grpo_advantages(batch.rewards, batch.group_ids, reward_weights=batch.weights, scale_rewards=False)
    for field in ("advantages", "unwhitened", "conflict_mask", "keep_mask"):
        assert torch.equal(getattr(found, field), getattr(expected, field))


def test_a_missing_reward_counts_as_0_which_praises_where_0_is_the_best() -> None:
    rewards = torch.tensor([[-3.0, 1.0], [float("nan"), 1.0], [-1.0, 1.0]])
    result = dr_grpo_advantages(rewards, torch.zeros(3, dtype=torch.int64))
    assert int(result.advantages.argmax()) == 1
