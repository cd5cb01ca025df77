"""GRPO: the sum of the rewards, standardised inside each group."""

from __future__ import annotations

import torch
from torch import Tensor

from gd2po.core.batch import RewardBatch, Weights, Whitening
from gd2po.core.groups import REWARD_DIM, compute_dtype
from gd2po.core.methods.base import Method, check_options
from gd2po.core.methods.warnings import missing_counts_as_zero
from gd2po.core.result import AdvantageResult
from gd2po.core.tolerances import HEADROOM, STD_EPS


def grpo_advantages(
    rewards: Tensor,
    group_ids: Tensor,
    *,
    reward_weights: Weights = None,
    scale_rewards: bool = True,
    whitening: Whitening = "none",
    token_counts: Tensor | None = None,
) -> AdvantageResult:
    """GRPO advantages: the weighted sum of the rewards, standardised inside each group.

    `s = sum_k weight_k r_k` over the rewards that apply, then `A = (s - mean) / (std + 1e-6)`.

    Args:
        rewards: (N, K) score of each rollout under each reward, each in its own unit. NaN: the reward does not apply.
        group_ids: (N,) prompt of each rollout: any integers, any order, groups of any size.
        reward_weights: (K,) None means all 1. A weight of 0 takes the reward out.
        scale_rewards: divide by the standard deviation of the group.
        whitening: "none"; "rollouts" whitens the advantages over the batch, each rollout counting once, "tokens" as
            often as it has completion tokens.
        token_counts: (N,) completion tokens of each rollout; needed for whitening="tokens".

    Returns:
        An `AdvantageResult`. Nothing is dropped; conflicts and agreement scores are those GD²PO would see.

    Raises:
        InvalidInputError: wrong shapes or lengths, an unknown choice, or an infinite reward or weight (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> import torch
        >>> rewards = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
        >>> grpo_advantages(rewards, torch.tensor([7, 7, 7, 7])).advantages
        tensor([ 0.0000,  0.0000,  1.2247, -1.2247])

    Source:
        GRPO (DeepSeekMath, arXiv:2402.03300), outcome supervision.

    Deviations:
        `whitening` is ours, to compare methods on equal footing. A reward that does not apply counts as 0 in the sum,
        which is the best score of a reward in [-3, 0]. A group of one rollout gets 0 (verl passes its raw score on).
        The epsilon is verl's 1e-6; TRL's is 1e-4.
    """
    check_options(grpo_advantages, scale_rewards=scale_rewards, whitening=whitening)
    batch = RewardBatch.from_input(rewards, group_ids, reward_weights, whitening=whitening, token_counts=token_counts)
    return batch.result(batch.standardised_total(scale_rewards), reward_advantages=batch.standardised(scale_rewards))


def grpo_components(
    rewards: Tensor, group_ids: Tensor, *, reward_weights: Weights = None, scale_rewards: bool = True
) -> Tensor:
    """What each reward adds to the GRPO advantages before whitening.

    `weight_k (r_k - mean) / (std + 1e-6)`: the mean of the reward over its group, the std of the weighted sum of all.

    Args:
        rewards: (N, K) as for `grpo_advantages`. A reward that does not apply counts as 0.
        group_ids: (N,)
        reward_weights: (K,) None means all 1.
        scale_rewards: divide by the standard deviation of the group.

    Returns:
        (N, K), summing to `unwhitened` of the result. 0 where no reward applies, and in groups in which all rollouts
        have the same sum: GRPO hears no reward there.

    Raises:
        InvalidInputError: wrong shapes or lengths, or an infinite reward or weight (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> import torch
        >>> rewards = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
        >>> grpo_components(rewards, torch.tensor([7, 7, 7, 7]))
        tensor([[ 0.6124, -0.6124],
                [-0.6124,  0.6124],
                [ 0.6124,  0.6124],
                [-0.6124, -0.6124]])

    Source:
        GRPO (DeepSeekMath, arXiv:2402.03300), its advantage written as a sum over rewards.
    """
    batch = RewardBatch.from_input(rewards, group_ids, reward_weights)
    groups, dtype = batch.groups, compute_dtype(batch.rewards.device)
    present = batch.present.to(dtype).unsqueeze(REWARD_DIM)
    size = groups.total(present)
    weighted = batch.weigh(batch.lanes.to(dtype) * HEADROOM)
    deviation = (weighted - groups.spread(groups.total(weighted) / size.clamp(min=1))) * present
    total = deviation.sum(REWARD_DIM, keepdim=True)
    largest = groups.largest(total).clamp_min_(torch.finfo(dtype).tiny)  # the squares of huge rewards would overflow
    variance = groups.total((total / groups.spread(largest)).square()) / (size - 1).clamp(min=1)
    divisor = largest * variance.sqrt() + STD_EPS * HEADROOM if scale_rewards else torch.full_like(largest, HEADROOM)
    hears = groups.largest(batch.standardised_total(scale_rewards).unsqueeze(REWARD_DIM)) > 0
    return groups.from_lanes(deviation * groups.spread(hears / divisor)).to(batch.rewards.dtype)


GRPO = Method(
    name="grpo",
    title="the weighted sum of the rewards, standardised inside each group",
    source="GRPO (DeepSeekMath), arXiv:2402.03300",
    function=grpo_advantages,
    warn=missing_counts_as_zero,
    stackable=True,
)
