"""Advantages of many independent batches, exactly as if each were computed alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from gd2po.core import Setting
from gd2po.core.batch import RewardBatch
from gd2po.core.families import correlated_pairs
from gd2po.core.stack import Stack


def advantages_of_batches(
    setting: Setting,
    rewards: Tensor,
    group_ids: Tensor,
    reward_weights: Sequence[float] | None = None,
    reward_families: Sequence[str] | None = None,
) -> Tensor:
    """The advantages of S batches.

    All batches go through one call of a stackable method. Where families are looked for, those batches share a call in
    which the same pairs of rewards correlate. Other methods are called batch by batch.

    Args:
        setting: a method with its options; whitening by tokens needs counts, which there are none of.
        rewards: (S, N, K).
        group_ids: (N,) the same in every batch.
        reward_weights: (K,) None means all 1.
        reward_families: (K,) for settings that use them.

    Returns:
        (S, N), equal to S separate calls up to rounding.

    Example:
        >>> rewards = torch.tensor([[[1.0], [2.0]], [[5.0], [5.0]]], dtype=torch.float64)
        >>> advantages_of_batches(Setting.named("gdpo", "example"), rewards, torch.tensor([0, 0])).round(decimals=2)
        tensor([[-0.7100,  0.7100],
                [ 0.0000,  0.0000]], dtype=torch.float64)
    """
    advantages = partial(
        setting.advantages, group_ids=group_ids, reward_weights=reward_weights, reward_families=reward_families
    )
    if not setting.method.stackable:
        return torch.stack([advantages(batch).loss_advantages for batch in rewards])
    if not setting.finds_families(reward_families):
        return advantages(rewards.as_subclass(Stack)).loss_advantages
    pairs = _pairs(setting, RewardBatch.from_input(rewards.as_subclass(Stack), group_ids, reward_weights))
    found = rewards.new_empty(rewards.shape[:2])
    for pattern in torch.unique(pairs, dim=0):
        batches = (pairs == pattern).all(-1).all(-1)
        # All that counts of a correlation is whether it is above the minimum.
        correlations = torch.where(pattern, 1.0, -1.0)
        result = advantages(rewards[batches].as_subclass(Stack), correlations=correlations)
        found[batches] = result.loss_advantages
    return found


def _pairs(setting: Setting, batch: RewardBatch) -> Tensor:
    """(S, K, K) bool: which rewards correlate in each batch, as the method finds it by itself."""
    options = setting.resolved
    zscores = batch.standardised(options.get("scale_rewards", True))
    return correlated_pairs(batch, zscores, options["min_correlation"])
