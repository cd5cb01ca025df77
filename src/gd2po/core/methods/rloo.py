"""RLOO: the sum of the rewards minus the mean of the other rollouts."""

from __future__ import annotations

from torch import Tensor

from gd2po.core.batch import RewardBatch, Weights, Whitening
from gd2po.core.methods.base import Method, check_options
from gd2po.core.methods.warnings import missing_counts_as_zero
from gd2po.core.result import AdvantageResult


def rloo_advantages(
    rewards: Tensor,
    group_ids: Tensor,
    *,
    reward_weights: Weights = None,
    whitening: Whitening = "none",
    token_counts: Tensor | None = None,
) -> AdvantageResult:
    """RLOO advantages: the weighted sum of the rewards minus its mean over the other rollouts of the group.

    `s = sum_k weight_k r_k` over the rewards that apply, then `A = (s - mean) n / (n - 1)`, n the rollouts of the group
    to which some reward applies: what `s` minus the mean of the others is. In groups of one size this is `dr_grpo`
    times a constant. A lone rollout, and a group whose sum is constant, get 0 before whitening.

    Args:
        rewards: (N, K) score of each rollout under each reward, each in its own unit. NaN: the reward does not apply.
        group_ids: (N,) prompt of each rollout: any integers, any order, groups of any size.
        reward_weights: (K,) None means all 1. A weight of 0 takes the reward out; a negative one is the positive one on
            the negated reward.
        whitening: "none"; "rollouts" whitens the advantages over the batch, each rollout counting once, "tokens" as
            often as it has completion tokens.
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
        >>> rloo_advantages(rewards, torch.tensor([7, 7, 7, 7])).advantages
        tensor([-4.6667, -0.6667,  0.6667,  4.6667])

    Source:
        RLOO (Back to Basics, arXiv:2402.14740).

    Deviations:
        `whitening` is ours, to compare methods on equal footing. A reward that does not apply counts as 0 in the sum,
        which is the best score of a reward in [-3, 0].
    """
    check_options(rloo_advantages, whitening=whitening)
    batch = RewardBatch.from_input(rewards, group_ids, reward_weights, whitening=whitening, token_counts=token_counts)
    size = batch.group_size
    correction = batch.groups.spread(size / (size - 1).clamp_min_(1))
    return batch.result(
        batch.standardised_total(scale_rewards=False) * correction, reward_advantages=batch.standardised()
    )


RLOO = Method(
    name="rloo",
    title="the weighted sum of the rewards minus the mean of the other rollouts of the group",
    source="RLOO, arXiv:2402.14740",
    function=rloo_advantages,
    warn=missing_counts_as_zero,
    stackable=True,
)
