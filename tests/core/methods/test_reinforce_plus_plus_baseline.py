"""REINFORCE++ with a group baseline has one divisor for the whole batch."""

from __future__ import annotations

import pytest
import torch

from gd2po import dr_grpo_advantages, reinforce_plus_plus_baseline_advantages


def test_it_is_the_centred_total_over_one_standard_deviation() -> None:
    rewards = torch.randn(12, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    group_ids = torch.arange(3).repeat_interleave(4)
    centred = dr_grpo_advantages(rewards, group_ids).advantages
    result = reinforce_plus_plus_baseline_advantages(rewards, group_ids)
    assert result.advantages.tolist() == pytest.approx((centred / centred.std()).tolist(), rel=1e-6)
    assert torch.equal(result.unwhitened, centred)


def test_by_tokens_long_completions_set_the_mean() -> None:
    rewards = torch.tensor([[0.0], [1.0], [0.0], [3.0]])
    group_ids, counts = torch.tensor([0, 0, 1, 1]), torch.tensor([1, 1, 1, 100])
    result = reinforce_plus_plus_baseline_advantages(rewards, group_ids, whitening="tokens", token_counts=counts)
    assert float((result.advantages * counts).sum()) == pytest.approx(0, abs=1e-4)
