"""DVAO: what its weights do, and what it warns of."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from strategies import Batch, batches

from gd2po import Setting, dvao_advantages, mo_grpo_advantages

GROUP = torch.zeros(4, dtype=torch.int64)


@given(batch=batches(max_rewards=1, weighted=False))
def test_with_one_reward_it_is_mo_grpo(batch: Batch) -> None:
    found = dvao_advantages(batch.rewards, batch.group_ids).advantages
    torch.testing.assert_close(found, mo_grpo_advantages(batch.rewards, batch.group_ids).advantages)


@given(batch=batches(missing=False))
def test_no_advantage_is_beyond_what_one_rollout_against_all_others_gets(batch: Batch) -> None:
    found = dvao_advantages(batch.rewards, batch.group_ids, reward_weights=batch.weights).advantages
    for group_id in batch.group_ids.unique():
        rows = batch.group_ids == group_id
        assert found[rows].abs().max() <= math.sqrt(max(0, int(rows.sum()) - 1)) + 1e-9


def test_a_dead_reward_drops_out_of_its_group() -> None:
    rewards = torch.tensor([[0.0, 1.0], [1.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    result = dvao_advantages(rewards, GROUP)
    assert result.multipliers is not None
    assert result.multipliers.tolist() == [[1.0, 0.0]] * 4
    torch.testing.assert_close(result.advantages, dvao_advantages(rewards[:, :1], GROUP).advantages)


def test_the_weights_of_the_advice_are_the_same_as_mapping_to_0_and_1() -> None:
    torch.manual_seed(0)
    rewards = torch.stack([6 * torch.rand(8) - 3, torch.rand(8)], dim=1).double()
    group_ids = torch.arange(2).repeat_interleave(4)
    mapped = torch.stack([(rewards[:, 0] + 3) / 6, rewards[:, 1]], dim=1)
    advised = dvao_advantages(rewards, group_ids, reward_weights=[1 / 6, 1.0]).advantages
    torch.testing.assert_close(advised, dvao_advantages(mapped, group_ids).advantages)


def test_it_says_which_rewards_leave_0_to_1_and_when_groups_are_small() -> None:
    setting = Setting.named("dvao", "here")
    rewards = torch.tensor([[0.0, -3.0, 5.0], [1.0, 3.0, 5.0]]).repeat(4, 1)
    names = ["correct", "brief", "ignored"]
    said = setting.warnings(
        rewards, torch.zeros(8, dtype=torch.int64), reward_weights=[1.0, 1.0, 0.0], reward_names=names
    )
    assert len(said) == 1
    assert said[0].startswith("dvao: brief leaves [0, 1].")
    assert "w / (max - min)" in said[0]
    small = setting.warnings(rewards[:, :1], torch.arange(2).repeat(4), reward_names=names[:1])
    assert small == ["dvao: groups of 4 rollouts or fewer make its weights noisy; use larger ones, or mo_grpo."]


def test_its_components_are_weighed_z_scores() -> None:
    rewards = torch.rand(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    result = dvao_advantages(rewards, GROUP, reward_weights=[1.0, -2.0, 0.5])
    z = mo_grpo_advantages(rewards, GROUP).components
    assert result.components is not None
    assert result.multipliers is not None
    signs = torch.tensor([1.0, -1.0, 1.0])
    torch.testing.assert_close(result.components, signs * result.multipliers * z, rtol=1e-4, atol=1e-4)
    assert float(result.multipliers.sum(1)[0]) == pytest.approx(1)
