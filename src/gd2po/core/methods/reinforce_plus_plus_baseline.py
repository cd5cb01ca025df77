"""REINFORCE++ with a group baseline: the sum of the rewards, centred inside each group and whitened over the batch."""

from __future__ import annotations

from torch import Tensor

from gd2po.core.batch import RewardBatch, Weights, Whitening
from gd2po.core.methods.base import Method, check_options
from gd2po.core.methods.warnings import missing_counts_as_zero
from gd2po.core.result import AdvantageResult


def reinforce_plus_plus_baseline_advantages(
    rewards: Tensor,
    group_ids: Tensor,
    *,
    reward_weights: Weights = None,
    whitening: Whitening = "rollouts",
    token_counts: Tensor | None = None,
) -> AdvantageResult:
    """REINFORCE++ advantages with a group baseline: the weighted sum minus its mean in the group, whitened.

    `s = sum_k weight_k r_k` over the rewards that apply, `t = s - mean` in the group, then
    `A = (t - mean) rsqrt(var + 1e-8)` over the batch: one divisor for all groups, so a group counts by its spread. A
    lone rollout, and a group whose sum is constant, get 0 before whitening.

    Args:
        rewards: (N, K) score of each rollout under each reward, each in its own unit. NaN: the reward does not apply.
        group_ids: (N,) prompt of each rollout: any integers, any order, groups of any size.
        reward_weights: (K,) None means all 1. A weight of 0 takes the reward out; a negative one is the positive one on
            the negated reward.
        whitening: "rollouts" counts every rollout once, "tokens" as often as it has completion tokens, "none" skips.
        token_counts: (N,) completion tokens of each rollout; needed for whitening="tokens".

    Returns:
        An `AdvantageResult` without components and multipliers. Nothing is dropped; reward advantages, conflicts and
        agreement scores are those of `gdpo`.

    Raises:
        InvalidInputError: wrong shapes or lengths, an unknown choice, or an infinite reward or weight (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> import torch
        >>> rewards = torch.tensor([[-3.0, 0.0], [-1.0, 1.0], [1.0, 0.0], [3.0, 1.0]])
        >>> reinforce_plus_plus_baseline_advantages(rewards, torch.tensor([7, 7, 7, 7])).advantages
        tensor([-1.2124, -0.1732,  0.1732,  1.2124])

    Source:
        REINFORCE++ (arXiv:2501.03262), the variant with a group baseline; the name is verl's.

    Deviations:
        verl whitens by tokens; here that is `whitening="tokens"`. verl passes the raw score of a lone rollout on. A
        reward that does not apply counts as 0 in the sum, which is the best score of a reward in [-3, 0].
    """
    check_options(reinforce_plus_plus_baseline_advantages, whitening=whitening)
    batch = RewardBatch.from_input(rewards, group_ids, reward_weights, whitening=whitening, token_counts=token_counts)
    return batch.result(batch.standardised_total(scale_rewards=False), reward_advantages=batch.standardised())


REINFORCE_PLUS_PLUS_BASELINE = Method(
    name="reinforce_plus_plus_baseline",
    title="the weighted sum of the rewards minus its mean in the group, whitened over the batch",
    source="REINFORCE++, arXiv:2501.03262",
    function=reinforce_plus_plus_baseline_advantages,
    warn=missing_counts_as_zero,
    stackable=True,
)
