"""MO-GRPO: the rewards' z-scores inside each group, summed."""

from __future__ import annotations

from torch import Tensor

from gd2po.core.batch import RewardBatch, Weights, Whitening
from gd2po.core.groups import REWARD_DIM
from gd2po.core.methods.base import Method, check_options
from gd2po.core.result import AdvantageResult


def mo_grpo_advantages(
    rewards: Tensor,
    group_ids: Tensor,
    *,
    reward_weights: Weights = None,
    whitening: Whitening = "none",
    token_counts: Tensor | None = None,
) -> AdvantageResult:
    """MO-GRPO advantages: each reward standardised inside its group by the population's std, then weighed and summed.

    `z_k = (r_k - mean) / (std + 1e-6)` inside each group, `A = sum_k weight_k z_k`: `gdpo` without whitening, times
    `sqrt(n / (n - 1))`. Every reward has an equal say, whatever its unit. A lone rollout, and a group of dead rewards,
    get 0 before whitening.

    Args:
        rewards: (N, K) score of each rollout under each reward, each in its own unit. NaN: the reward does not apply.
        group_ids: (N,) prompt of each rollout: any integers, any order, groups of any size.
        reward_weights: (K,) None means all 1. A weight of 0 takes the reward out; a negative one is the positive one on
            the negated reward.
        whitening: "none"; "rollouts" whitens the advantages over the batch, each rollout counting once, "tokens" as
            often as it has completion tokens.
        token_counts: (N,) completion tokens of each rollout; needed for whitening="tokens".

    Returns:
        An `AdvantageResult` whose components are `weight_k z_k`, without multipliers. Nothing is dropped; reward
        advantages, conflicts and agreement scores are those of `gdpo`.

    Raises:
        InvalidInputError: wrong shapes or lengths, an unknown choice, or an infinite reward or weight (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> import torch
        >>> rewards = torch.tensor([[-3.0, 0.0], [-1.0, 1.0], [1.0, 0.0], [3.0, 1.0]])
        >>> mo_grpo_advantages(rewards, torch.tensor([7, 7, 7, 7])).advantages
        tensor([-2.3416,  0.5528, -0.5528,  2.3416])

    Source:
        MO-GRPO: Mitigating Reward Hacking of Group Relative Policy Optimization on Multi-Objective Problems
        (arXiv:2509.22047), equation 5.

    Deviations:
        Weights, the epsilon and `whitening` are ours. The paper does not say which standard deviation it means; its
        worked example fits that of the population. TRL's `normalize_then_sum` divides by the std of the batch too, and
        is `gdpo`.
    """
    check_options(mo_grpo_advantages, whitening=whitening)
    batch = RewardBatch.from_input(rewards, group_ids, reward_weights, whitening=whitening, token_counts=token_counts)
    deviations = batch.deviations()
    components = batch.weigh(deviations.standardised(population=True))
    return batch.result(
        components.sum(REWARD_DIM), reward_advantages=deviations.standardised(in_place=True), components=components
    )


MO_GRPO = Method(
    name="mo_grpo",
    title="each reward standardised inside its group, then summed",
    source="MO-GRPO, arXiv:2509.22047",
    function=mo_grpo_advantages,
    stackable=True,
)
