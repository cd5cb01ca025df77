"""DVAO: the rewards' z-scores, weighed by their standard deviations in the group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from gd2po.core.batch import RewardBatch, Weights, Whitening
from gd2po.core.groups import REWARD_DIM
from gd2po.core.methods.base import Method, check_options
from gd2po.core.methods.warnings import rewards_where
from gd2po.core.result import AdvantageResult
from gd2po.core.tolerances import HEADROOM, STD_EPS

NOISY_GROUP_SIZE = 4
"""The authors find the weights noisy in groups of this size or smaller."""


def dvao_advantages(
    rewards: Tensor,
    group_ids: Tensor,
    *,
    reward_weights: Weights = None,
    whitening: Whitening = "none",
    token_counts: Tensor | None = None,
) -> AdvantageResult:
    """DVAO advantages: each reward minus its mean in the group, weighed, summed, over the sum of the rewards' stds.

    `A = sum_k weight_k (r_k - mean) / (sum_l |weight_l| std_l + 1e-6)`, std of the population inside the group:
    z-scores, each weighed by its share of the spread. A dead reward drops out of its group; with one reward this is
    `mo_grpo`. **Signs flip with the unit of a reward**: one in [-3, 3] drowns one in [0, 1]. For rewards that are not
    in [0, 1] pass the weights `weight_k / (max_k - min_k)`, which is the same as mapping them there. A lone rollout,
    and a group of dead rewards, get 0 before whitening.

    Args:
        rewards: (N, K) score of each rollout under each reward, each in its own unit. NaN: the reward does not apply.
        group_ids: (N,) prompt of each rollout: any integers, any order, groups of any size.
        reward_weights: (K,) None means all 1. A weight of 0 takes the reward out; a negative one is the positive one on
            the negated reward.
        whitening: "none"; "rollouts" whitens the advantages over the batch, each rollout counting once, "tokens" as
            often as it has completion tokens.
        token_counts: (N,) completion tokens of each rollout; needed for whitening="tokens".

    Returns:
        An `AdvantageResult` whose components are the summands; `multipliers` (N, K) are the shares
        `|weight_k| std_k / sum_l |weight_l| std_l` of the group, 0 in a group of dead rewards. Nothing is dropped;
        reward advantages, conflicts and agreement scores are those of `gdpo`.

    Raises:
        InvalidInputError: wrong shapes or lengths, an unknown choice, or an infinite reward or weight (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> import torch
        >>> rewards = torch.tensor([[-3.0, 0.0], [-1.0, 1.0], [1.0, 0.0], [3.0, 1.0]])
        >>> dvao_advantages(rewards, torch.tensor([7, 7, 7, 7])).advantages
        tensor([-1.2792, -0.1827,  0.1827,  1.2792])
        >>> dvao_advantages(rewards, torch.tensor([7, 7, 7, 7]), reward_weights=[1 / 6, 1.0]).advantages
        tensor([-1.1459,  0.3820, -0.3820,  1.1459])

    Source:
        DVAO: Dynamic Variance-adaptive Advantage Optimization (arXiv:2605.25604), equation 9.

    Deviations:
        Weights, the epsilon and `whitening` are ours; the paper has all rewards in [0, 1].
    """
    check_options(dvao_advantages, whitening=whitening)
    batch = RewardBatch.from_input(rewards, group_ids, reward_weights, whitening=whitening, token_counts=token_counts)
    deviations = batch.deviations()
    # Sums of the largest floats would overflow.
    unit = deviations.largest * HEADROOM
    spread = batch.weigh(deviations.std(population=True) * unit).abs_()
    total_spread = spread.sum(REWARD_DIM, keepdim=True)
    # Next to the largest floats, the quotient of a group without spread would be infinite.
    inverse = (unit / (total_spread + STD_EPS * HEADROOM)).masked_fill_(total_spread == 0, 0)
    components = deviations.times(batch.weigh(inverse))
    shares = spread / total_spread.masked_fill(total_spread == 0, 1)
    return batch.result(
        components.sum(REWARD_DIM),
        reward_advantages=deviations.standardised(in_place=True),
        components=components,
        multipliers=batch.rows(batch.groups.spread(shares)),
    )


def _warnings(batch: RewardBatch, options: Mapping[str, Any], reward_names: Sequence[str]) -> list[str]:
    outside = (batch.rewards < 0) | (batch.rewards > 1)
    sentences = [
        f"dvao: {name} leaves [0, 1]. A reward counts by its spread, so its unit decides signs of advantages: give it "
        "the weight w / (max - min)."
        for name in rewards_where(batch, outside.any(0), reward_names)
    ]
    if int(batch.group_size.max()) <= NOISY_GROUP_SIZE:
        sentences.append(
            f"dvao: groups of {NOISY_GROUP_SIZE} rollouts or fewer make its weights noisy; use larger ones, or mo_grpo."
        )
    return sentences


DVAO = Method(
    name="dvao",
    title="each reward standardised inside its group and weighed by its share of the spread there",
    source="DVAO, arXiv:2605.25604",
    function=dvao_advantages,
    warn=_warnings,
    stackable=True,
)
