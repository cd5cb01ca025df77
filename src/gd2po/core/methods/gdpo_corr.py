"""GDPO+Corr: GDPO with the correlations of the rewards over the batch as its last divisor."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from torch import Tensor

from gd2po.core.batch import RewardBatch, Weights, Whitening
from gd2po.core.groups import REWARD_DIM
from gd2po.core.methods.base import Method, Range, check_options
from gd2po.core.methods.corr_grpo import correlation_factor, inverse_root
from gd2po.core.result import AdvantageResult
from gd2po.core.whitening import centre


def gdpo_corr_advantages(
    rewards: Tensor,
    group_ids: Tensor,
    *,
    min_correlation_sum: Annotated[float, Range(0, 1)] = 0.01,
    reward_weights: Weights = None,
    whitening: Whitening = "rollouts",
    token_counts: Tensor | None = None,
) -> AdvantageResult:
    """GDPO+Corr advantages: GDPO's, divided by the root of the sum of the rewards' correlations instead of their std.

    With `z_k = (r_k - mean) / (std + 1e-6)` inside each group and R the sum of the correlations of all pairs of z over
    the batch, each reward with itself included: `s = sum_k weight_k z_k` and
    `A = (s - mean) / sqrt(max(R, min_correlation_sum) + 1e-6)`. All advantages of the batch are those of `gdpo` times
    one number. A lone rollout, and a group of dead rewards, have s = 0.

    Args:
        rewards: (N, K) score of each rollout under each reward, each in its own unit. NaN: the reward does not apply.
        group_ids: (N,) prompt of each rollout: any integers, any order, groups of any size.
        min_correlation_sum: in [0, 1], the least R. Two rewards with correlation -1 have R = 0, and 0, the official
            code's, makes huge advantages of them; 0.01 caps the factor at 10.
        reward_weights: (K,) None means all 1. A weight of 0 takes the reward out; a negative one is the positive one on
            the negated reward.
        whitening: which mean is taken off: "rollouts" counts every rollout once, "tokens" as often as it has completion
            tokens. "none": A = s. R counts every rollout once in any case.
        token_counts: (N,) completion tokens of each rollout; needed for whitening="tokens".

    Returns:
        An `AdvantageResult` whose components are `weight_k z_k`; `multipliers` () is the factor
        `1 / sqrt(max(R, min_correlation_sum) + 1e-6)`, 0 where all rewards are dead. Nothing is dropped; reward
        advantages, conflicts and agreement scores are those of `gdpo`.

    Raises:
        InvalidInputError: wrong shapes or lengths, `min_correlation_sum` outside [0, 1], an unknown choice, or an
            infinite reward or weight (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> import torch
        >>> rewards = torch.tensor([[-3.0, 0.0], [-1.0, 1.0], [1.0, 0.0], [3.0, 1.0]])
        >>> result = gdpo_corr_advantages(rewards, torch.tensor([7, 7, 7, 7]))
        >>> result.advantages, result.multipliers
        (tensor([-1.1920,  0.2814, -0.2814,  1.1920]), tensor(0.5878))

    Source:
        CorrGRPO: Correlation-Normalized GRPO (arXiv:2609.36820), "GDPO+Corr".

    Deviations:
        The default of `min_correlation_sum` and weights are ours. The authors' code, built on verl, takes the mean over
        tokens; here that is `whitening="tokens"`.
    """
    check_options(gdpo_corr_advantages, min_correlation_sum=min_correlation_sum, whitening=whitening)
    batch = RewardBatch.from_input(rewards, group_ids, reward_weights, whitening=whitening, token_counts=token_counts)
    reward_advantages = batch.standardised()
    components = batch.weigh(reward_advantages)
    # z has mean 0 in every group, and so in the batch. A weight cancels up to its sign.
    squares = batch.over_batch(reward_advantages.square())
    directions = reward_advantages * batch.sign(inverse_root(squares))
    correlation_sum = batch.over_batch(directions.sum(REWARD_DIM, keepdim=True).square_())
    is_alive = batch.where_weighted(squares).amax(REWARD_DIM, keepdim=True) > 0
    factor = correlation_factor(correlation_sum, is_alive, min_correlation_sum).squeeze(REWARD_DIM)
    combined = components.sum(REWARD_DIM)
    advantages = combined
    if whitening != "none":
        centred = partial(centre, token_counts=batch.token_counts)
        advantages = factor * batch.of_each_batch(centred, combined, batch.present, out=-2)
    return batch.result(
        combined,
        reward_advantages=reward_advantages,
        components=components,
        multipliers=factor.squeeze(-1),
        advantages=advantages,
    )


GDPO_CORR = Method(
    name="gdpo_corr",
    title="gdpo, divided at the end by the root of the sum of the rewards' correlations",
    source="GDPO+Corr (CorrGRPO), arXiv:2609.36820",
    function=gdpo_corr_advantages,
    stackable=True,
)
