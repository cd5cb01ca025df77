"""CorrGRPO: GRPO with correlations in place of covariances in its divisor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from torch import Tensor

from gd2po.core.batch import RewardBatch, Weights, Whitening
from gd2po.core.groups import REWARD_DIM
from gd2po.core.methods.base import Method, Range, check_options
from gd2po.core.result import AdvantageResult
from gd2po.core.tolerances import CORRELATION_SUM_EPS


def corr_grpo_advantages(
    rewards: Tensor,
    group_ids: Tensor,
    *,
    min_correlation_sum: Annotated[float, Range(0, 1)] = 0.01,
    reward_weights: Weights = None,
    whitening: Whitening = "none",
    token_counts: Tensor | None = None,
) -> AdvantageResult:
    """CorrGRPO advantages: the centred sum of the rewards over the root of the sum of their correlations.

    With `d_k = r_k - mean` inside the group, and R the sum of the correlations of all pairs of rewards that are alive
    there, each reward with itself included: `A = sum_k weight_k d_k / sqrt(max(R, min_correlation_sum) + 1e-6)`. GRPO
    divides by the root of the sum of the covariances, which one large reward sets. Weights enter R by their sign only.

    **With one reward, or one alive in the group, this is `dr_grpo`, not `grpo`**: advantages have the unit of the
    rewards, so a learning rate tuned for grpo does not carry over. A lone rollout, and a group of dead rewards, get 0
    before whitening.

    Args:
        rewards: (N, K) score of each rollout under each reward, each in its own unit. NaN: the reward does not apply.
        group_ids: (N,) prompt of each rollout: any integers, any order, groups of any size.
        min_correlation_sum: in [0, 1], the least R. Two rewards with correlation -1 have R = 0, and 0, the official
            code's, makes advantages of hundreds of them; 0.01 caps the factor at 10.
        reward_weights: (K,) None means all 1. A weight of 0 takes the reward out; a negative one is the positive one on
            the negated reward.
        whitening: "none"; "rollouts" whitens the advantages over the batch, each rollout counting once, "tokens" as
            often as it has completion tokens.
        token_counts: (N,) completion tokens of each rollout; needed for whitening="tokens".

    Returns:
        An `AdvantageResult` whose components are the summands; `multipliers` (N,) is the factor
        `1 / sqrt(max(R, min_correlation_sum) + 1e-6)` of the group, 0 where all rewards are dead. Nothing is dropped;
        reward advantages, conflicts and agreement scores are those of `gdpo`.

    Raises:
        InvalidInputError: wrong shapes or lengths, `min_correlation_sum` outside [0, 1], an unknown choice, or an
            infinite reward or weight (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> import torch
        >>> rewards = torch.tensor([[-3.0, 0.0], [-1.0, 1.0], [1.0, 0.0], [3.0, 1.0]])
        >>> corr_grpo_advantages(rewards, torch.tensor([7, 7, 7, 7])).advantages
        tensor([-2.0572, -0.2939,  0.2939,  2.0572])

    Source:
        CorrGRPO: Correlation-Normalized GRPO (arXiv:2609.36820), equation 2 and appendix B.

    Deviations:
        The default of `min_correlation_sum`, weights and `whitening` are ours. The epsilon stands inside the root, as
        in the code and appendix B. Where a reward does not apply its deviation is 0 in R too.
    """
    check_options(corr_grpo_advantages, min_correlation_sum=min_correlation_sum, whitening=whitening)
    batch = RewardBatch.from_input(rewards, group_ids, reward_weights, whitening=whitening, token_counts=token_counts)
    deviations = batch.deviations()
    # The squared length of the sum of unit vectors is the sum of all pairwise correlations, without a K x K matrix.
    directions = deviations.times(batch.sign(inverse_root(deviations.squares)))
    correlation_sum = batch.groups.total(directions.sum(REWARD_DIM).square_())
    is_alive = batch.where_weighted(deviations.squares).amax(REWARD_DIM) > 0
    factor = correlation_factor(correlation_sum, is_alive, min_correlation_sum)
    components = deviations.times(batch.weigh(deviations.largest * factor.unsqueeze(REWARD_DIM)))
    return batch.result(
        components.sum(REWARD_DIM),
        reward_advantages=deviations.standardised(in_place=True),
        components=components,
        multipliers=batch.rows(batch.groups.spread(factor)),
    )


def inverse_root(squares: Tensor) -> Tensor:
    """1 / sqrt of what is not 0; 0 of what is."""
    return torch.where(squares > 0, squares.rsqrt(), 0.0)


def correlation_factor(correlation_sum: Tensor, is_alive: Tensor, min_correlation_sum: float) -> Tensor:
    """`1 / sqrt(max(R, min_correlation_sum) + 1e-6)`; 0 where no reward is alive."""
    factor = (correlation_sum.clamp_min(min_correlation_sum) + CORRELATION_SUM_EPS).rsqrt_()
    return torch.where(is_alive, factor, 0.0)


def _warnings(batch: RewardBatch, options: Mapping[str, Any], reward_names: Sequence[str]) -> list[str]:
    sentences = [
        "corr_grpo: advantages have the unit of the rewards, so a learning rate tuned for grpo does not carry over."
    ]
    num_rewards = len(reward_names) if batch.weights is None else int((batch.weights != 0).sum())
    if num_rewards == 1:
        sentences.append("corr_grpo: with one reward this is r - mean, as dr_grpo, and not grpo.")
    return sentences


CORR_GRPO = Method(
    name="corr_grpo",
    title="the weighted sum of the rewards minus its mean in the group, over the root of the sum of their correlations",
    source="CorrGRPO, arXiv:2609.36820",
    function=corr_grpo_advantages,
    warn=_warnings,
    stackable=True,
)
