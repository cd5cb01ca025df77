"""RLOO against its definition: minus the mean of the others."""

from __future__ import annotations

import pytest
import torch

from gd2po import rloo_advantages


def test_every_rollout_is_compared_with_the_mean_of_the_others() -> None:
    rewards = torch.tensor([[1.0, 0.5], [0.0, 0.0], [3.0, 2.5], [0.2, 0.1], [0.4, 0.8], [9.0, 9.0]]).double()
    group_ids = torch.tensor([0, 0, 0, 1, 1, 2])
    totals = rewards.sum(1).tolist()
    expected = []
    for rollout, group_id in enumerate(group_ids.tolist()):
        others = [totals[other] for other in range(6) if group_ids[other] == group_id and other != rollout]
        expected.append(totals[rollout] - sum(others) / len(others) if others else 0.0)
    assert rloo_advantages(rewards, group_ids).advantages.tolist() == pytest.approx(expected)


def test_absent_rollouts_are_nobodys_others() -> None:
    rewards = torch.tensor([[1.0], [0.0], [float("nan")], [2.0]])
    found = rloo_advantages(rewards, torch.zeros(4, dtype=torch.int64)).advantages
    alone = rloo_advantages(rewards[[0, 1, 3]], torch.zeros(3, dtype=torch.int64)).advantages
    assert found[[0, 1, 3]].tolist() == pytest.approx(alone.tolist())
    assert found[2] == 0
