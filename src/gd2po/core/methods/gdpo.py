"""GDPO: each reward standardised inside its group, then summed and whitened."""

from __future__ import annotations

from torch import Tensor

from gd2po.core.batch import RewardBatch, Weights, Whitening
from gd2po.core.groups import REWARD_DIM
from gd2po.core.methods.base import Method, check_options
from gd2po.core.result import AdvantageResult


def gdpo_advantages(
    rewards: Tensor,
    group_ids: Tensor,
    *,
    reward_weights: Weights = None,
    scale_rewards: bool = True,
    whitening: Whitening = "rollouts",
    token_counts: Tensor | None = None,
) -> AdvantageResult:
    """GDPO advantages: each reward standardised inside its group, weighed and summed, then whitened over the batch.

    `z_k = (r_k - mean) / (std + 1e-6)` inside each group, `s = sum_k weight_k z_k`, `A = (s - mean) rsqrt(var + 1e-8)`.

    Args:
        rewards: (N, K) score of each rollout under each reward, each in its own unit. NaN: the reward does not apply.
        group_ids: (N,) prompt of each rollout: any integers, any order, groups of any size.
        reward_weights: (K,) None means all 1. A weight of 0 takes the reward out.
        scale_rewards: divide by the standard deviation of the group.
        whitening: "rollouts" counts every rollout once, "tokens" as often as it has completion tokens, "none" skips.
        token_counts: (N,) completion tokens of each rollout; needed for whitening="tokens".

    Returns:
        An `AdvantageResult`. Nothing is dropped; conflicts and agreement scores are those GD²PO would see.

    Raises:
        InvalidInputError: wrong shapes or lengths, an unknown choice, or an infinite reward or weight (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> import torch
        >>> rewards = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
        >>> gdpo_advantages(rewards, torch.tensor([7, 7, 7, 7]), whitening="none").advantages
        tensor([ 0.0000,  0.0000,  1.7320, -1.7320])

    Source:
        GDPO (arXiv:2601.05242).

    Deviations:
        A group of one rollout adds 0 before whitening (verl passes its raw score on). TRL's `normalize_then_sum` has
        epsilon 1e-4.
    """
    check_options(gdpo_advantages, scale_rewards=scale_rewards, whitening=whitening)
    batch = RewardBatch.from_input(rewards, group_ids, reward_weights, whitening=whitening, token_counts=token_counts)
    reward_advantages = batch.standardised(scale_rewards)
    components = batch.weigh(reward_advantages)
    return batch.result(components.sum(REWARD_DIM), reward_advantages=reward_advantages, components=components)


GDPO = Method(
    name="gdpo",
    title="each reward standardised inside its group, then summed and whitened",
    source="GDPO, arXiv:2601.05242",
    function=gdpo_advantages,
    stackable=True,
)
