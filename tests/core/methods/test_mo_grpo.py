"""MO-GRPO: the paper's example, and how it relates to gdpo."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from strategies import Batch, batches

from gd2po import gdpo_advantages, mo_grpo_advantages


def test_the_example_of_the_paper_comes_out_with_the_std_of_the_population() -> None:
    rewards = torch.tensor([[0.1, 0.15], [0.5, 0.13], [0.9, 0.05]], dtype=torch.float64)
    result = mo_grpo_advantages(rewards, torch.zeros(3, dtype=torch.int64))
    assert result.advantages.tolist() == pytest.approx([-0.299, 0.463, -0.164], abs=5e-4)


@given(batch=batches(missing=False))
def test_it_is_gdpo_without_whitening_times_a_constant_of_the_group_size(batch: Batch) -> None:
    shared = {"reward_weights": batch.weights, "whitening": "none"}
    found = mo_grpo_advantages(batch.rewards, batch.group_ids, **shared).advantages
    plain = gdpo_advantages(batch.rewards, batch.group_ids, **shared).advantages
    for group_id in batch.group_ids.unique():
        rows = batch.group_ids == group_id
        size = int(rows.sum())
        factor = math.sqrt(size / (size - 1)) if size > 1 else 1.0
        # Up to the epsilon beside a standard deviation of at least 1e-4.
        torch.testing.assert_close(found[rows], factor * plain[rows], rtol=1e-2, atol=1e-5)
