"""GRPO: the sum of the rewards, standardised inside each group."""

from __future__ import annotations

from torch import Tensor

from gd2po.core.batch import RewardBatch, Weights, Whitening
from gd2po.core.methods.base import Method, always, check_options
from gd2po.core.methods.warnings import missing_counts_as_zero
from gd2po.core.result import AdvantageResult


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


GRPO = Method(
    name="grpo",
    title="the weighted sum of the rewards, standardised inside each group",
    source="GRPO (DeepSeekMath), arXiv:2402.03300",
    function=grpo_advantages,
    warn=missing_counts_as_zero,
    inside_groups=always,
)
