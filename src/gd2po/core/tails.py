"""Tails of a disagreement: whether rewards of a family differ everywhere a little, or rarely and much."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from gd2po.core.batch import RewardBatch, Weights
from gd2po.core.families import family_members
from gd2po.core.groups import REWARD_DIM

NORMAL_TAIL = 3.0
"""The tail weight of normal disagreements."""


def tail_weight(
    rewards: Tensor, group_ids: Tensor, reward_families: Sequence[str], *, reward_weights: Weights = None
) -> dict[str, float]:
    """Tail weight of the disagreement inside each family: its kurtosis, 3 where errors are normal.

    Each reward's deviations from the means of its groups are brought to one scale, turned round where the weight is
    negative, and compared with the mean of its family on the same rollout. `n sum e^4 / (sum e^2)^2` over all n such
    differences e, of rollouts to which two or more rewards of the family apply.

    Args:
        rewards: (N, K) NaN where a reward does not apply.
        group_ids: (N,) integers.
        reward_families: (K,) labels.
        reward_weights: (K,) None means all 1. A reward of weight 0 is of no family.

    Returns:
        A number by family with two or more rewards; NaN where they never differ.

    Raises:
        InvalidInputError: wrong shapes or lengths, or an infinite reward or weight (a ValueError).

    Example:
        >>> import torch
        >>> scores = torch.linspace(0, 1, 50, dtype=torch.float64).repeat(2, 1).T
        >>> scores[7, 1] = 9.0  # one rollout fools the second judge
        >>> families = ["judge", "judge"]
        >>> tail_weight(scores, torch.zeros(50, dtype=torch.int64), families)["judge"] > 15
        True
    """
    batch = RewardBatch.from_input(rewards, group_ids, reward_weights, reward_families=reward_families)
    deviations = batch.sign(batch.standardised(scale_rewards=False))
    takes_part = (batch.weight_sizes > 0).to(batch.dtype).expand_as(deviations)
    power = batch.over_batch(deviations.square()) / batch.over_batch(takes_part).clamp_min(1)
    deviations = deviations / power.sqrt().masked_fill(power == 0, 1)
    found = {}
    for members in family_members(reward_families):
        if len(members) > 1:
            own, here = deviations[..., members, :], takes_part[..., members, :]
            count = here.sum(REWARD_DIM, keepdim=True)
            here = here * (count > 1)
            disagreement = (own - (own * here).sum(REWARD_DIM, keepdim=True) / count.clamp_min(1)) * here
            squares = disagreement.square()
            kurtosis = here.sum() * squares.square().sum() / squares.sum().square()
            found[str(reward_families[members[0]])] = float(kurtosis)
    return found
