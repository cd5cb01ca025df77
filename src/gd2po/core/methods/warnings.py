"""What several methods warn of, and the words for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from gd2po.core.batch import RewardBatch


def rewards_where(batch: RewardBatch, condition: Tensor, reward_names: Sequence[str]) -> list[str]:
    """Names of the rewards with a weight for which the (K,) condition holds."""
    if batch.weights is not None:
        condition = condition & (batch.weights[:, 0] != 0)
    return [name for name, holds in zip(reward_names, condition.tolist(), strict=True) if holds]


def missing_counts_as_zero(batch: RewardBatch, options: Mapping[str, Any], reward_names: Sequence[str]) -> list[str]:
    """For methods that add the rewards up first: the rewards that praise a rollout by not applying to it."""
    is_missing = batch.rewards.isnan().any(0)
    scores = batch.rewards if batch.weights is None else batch.rewards * batch.weights[:, 0]
    can_be_negative = (scores < 0).any(0)
    return [
        f"{name} does not apply to some rollouts, which counts as 0 in the sum of the rewards, and 0 is not its least "
        "score: shift it so that it is, or take a method that standardises each reward by itself, such as gdpo."
        for name in rewards_where(batch, is_missing & can_be_negative, reward_names)
    ]


def ranks_of_two(batch: RewardBatch) -> list[str]:
    """For methods that rank: groups in which a rank says no more than a z-score."""
    if int(batch.group_size.max()) > 2:
        return []
    return [
        "No group has more than two rollouts. Of two, the z-score tells which is better and nothing else, as the rank "
        "does: `standardisation` changes nothing here."
    ]
