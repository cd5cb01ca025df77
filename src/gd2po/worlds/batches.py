"""Advantages of many independent batches, exactly as if each were computed alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from gd2po.core import Setting
from gd2po.core.whitening import whiten


def advantages_of_batches(
    setting: Setting,
    rewards: Tensor,
    group_ids: Tensor,
    reward_weights: Sequence[float] | None = None,
    reward_families: Sequence[str] | None = None,
) -> Tensor:
    """The advantages of S batches.

    Where the setting works inside groups and whitens, all batches go through one call, and each is whitened by itself;
    a setting with other statistics over the batch is called batch by batch.

    Args:
        setting: a method with its options; whitening by tokens needs counts, which there are none of.
        rewards: (S, N, K).
        group_ids: (N,) at least 0, the same in every batch.
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
    batches, size, _ = rewards.shape
    whitening = setting.resolved.get("whitening")
    advantages = partial(setting.advantages, reward_weights=reward_weights, reward_families=reward_families)
    if not setting.inside_groups_given(reward_families) or whitening not in ("none", "rollouts"):
        return torch.stack([advantages(batch, group_ids).loss_advantages for batch in rewards])
    apart = torch.arange(batches)[:, None] * (int(group_ids.max()) + 1) + group_ids
    result = advantages(rewards.flatten(0, 1), apart.flatten())
    if whitening == "none":
        return result.loss_advantages.view(batches, size)
    whitened: Tensor = torch.vmap(whiten)(result.unwhitened.view(batches, size), result.keep_mask.view(batches, size))
    return whitened * result.loss_weight.view(batches, size)
