"""SA-MRPO: rewards weighed by how much of their range is left to gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from torch import Tensor

from gd2po.core import checks
from gd2po.core.batch import RewardBatch, Weights, Whitening
from gd2po.core.groups import REWARD_DIM
from gd2po.core.methods.base import Method, Range, check_options
from gd2po.core.result import AdvantageResult
from gd2po.errors import InvalidInputError


def sa_mrpo_advantages(
    rewards: Tensor,
    group_ids: Tensor,
    *,
    reward_bounds: Tensor | Sequence[Sequence[float]],
    gamma: Annotated[float, Range(0, float("inf"))] = 0.5,
    reward_weights: Weights = None,
    whitening: Whitening = "rollouts",
    token_counts: Tensor | None = None,
) -> AdvantageResult:
    """SA-MRPO advantages: each reward standardised inside its group and weighed by the share of its range that is left.

    Over the rollouts of the batch to which reward k applies, `q_k = (mean(r_k) - low_k) / (high_k - low_k)`, counted
    from the high end for a negative weight; `m_k = (1 - q_k)^gamma`. Then `s = sum_k m_k weight_k z_k`, z_k the reward
    standardised inside its group by the population's std, whitened by the population's too. gamma = 0 is `gdpo` with
    those; a reward at its best everywhere is off.

    Unbounded scores, such as a reward model's, have no place here. The baseline to beat is a fixed smaller weight for
    the saturated reward. A lone rollout, and a group of dead rewards, have s = 0. Pass the whole batch of an update,
    for q is taken over it.

    Args:
        rewards: (N, K) score of each rollout under each reward, each in its own unit. NaN: the reward does not apply.
        group_ids: (N,) prompt of each rollout: any integers, any order, groups of any size.
        reward_bounds: (K, 2) the least and the largest score that each reward can give by its definition, not those
            seen. What stands for a reward of weight 0 does not matter.
        gamma: at least 0, how much a saturated reward is shrunk. Of 0, 0.25, 0.5, 0.75 and 1 the authors find 0.5 best
            on average.
        reward_weights: (K,) None means all 1. A weight of 0 takes the reward out; a negative one is the positive one on
            the negated reward.
        whitening: "rollouts" counts every rollout once, "tokens" as often as it has completion tokens, "none" skips.
        token_counts: (N,) completion tokens of each rollout; needed for whitening="tokens".

    Returns:
        An `AdvantageResult` whose components are the summands; `multipliers` (K,) is m, 0 for a reward of weight 0.
        Nothing is dropped; reward advantages, conflicts and agreement scores are those of `gdpo`.

    Raises:
        InvalidInputError: wrong shapes or lengths, bounds of another shape, in the wrong order or not finite, a score
            outside them (row and reward named), a negative `gamma`, an unknown choice, or an infinite reward or weight
            (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> import torch
        >>> rewards = torch.tensor([[-3.0, 1.0], [-1.0, 1.0], [1.0, 0.0], [3.0, 1.0]])
        >>> result = sa_mrpo_advantages(rewards, torch.tensor([7, 7, 7, 7]), reward_bounds=[[-3, 3], [0, 1]])
        >>> result.advantages, result.multipliers
        (tensor([-0.8762, -0.0366, -0.7299,  1.6426]), tensor([0.7071, 0.5000]))

    Source:
        SA-MRPO: Learn What's Left, Not What's Mastered (arXiv:2608.16072), equation 1.

    Deviations:
        Weights are ours.
    """
    check_options(sa_mrpo_advantages, gamma=gamma, whitening=whitening)
    batch = RewardBatch.from_input(rewards, group_ids, reward_weights, whitening=whitening, token_counts=token_counts)
    low, high = _checked_bounds(batch, reward_bounds)
    multipliers = batch.where_weighted(_share_left(batch, low, high) ** gamma)
    deviations = batch.deviations()
    components = deviations.standardised(population=True).mul_(batch.weigh(multipliers))
    combined = components.sum(REWARD_DIM)
    advantages = None
    if whitening != "none":
        advantages = batch.whitened(combined, batch.present, population=True)
    return batch.result(
        combined,
        reward_advantages=deviations.standardised(in_place=True),
        components=components,
        multipliers=multipliers.squeeze(-1),
        advantages=advantages,
    )


def _checked_bounds(batch: RewardBatch, reward_bounds: Tensor | Sequence[Sequence[float]]) -> tuple[Tensor, Tensor]:
    """(K, 1) each, NaN for a reward of weight 0."""
    weights = None if batch.weights is None else batch.weights[:, 0]
    columns = ("the least", "the largest score")
    low, high = checks.check_reward_option(reward_bounds, "reward_bounds", columns, batch.rewards, weights)
    if (low >= high).any():  # NaN fails the comparison
        reward = int((low >= high)[:, 0].nonzero()[0])
        raise InvalidInputError(
            f"`reward_bounds` needs the least score below the largest: got {float(low[reward]):g} and "
            f"{float(high[reward]):g} for reward {reward}. A weight of 0 leaves a reward out."
        )
    batch.check_scores(low, "reward_bounds", "least")
    batch.check_scores(high, "reward_bounds", "largest")
    return low, high


def _share_left(batch: RewardBatch, low: Tensor, high: Tensor) -> Tensor:
    """(K, 1): 1 - q, exactly 0 for a reward at its best everywhere; NaN for a reward of weight 0."""
    # At the scale of the bounds, which may be the largest floats.
    unit = torch.maximum(low.abs(), high.abs())
    low, high = low / unit, high / unit
    scores = torch.clamp(batch.lanes.to(batch.dtype) / unit, low, high)
    left = high - scores
    if batch.weights is not None:
        left = torch.where(batch.weights < 0, scores - low, left)
    if batch.applies is not None:
        left = left * batch.applies
    share = batch.over_batch(left) / batch.count.clamp_min(1) / (high - low)
    return torch.where(batch.count > 0, share.clamp(0, 1), 1.0)


def _warnings(batch: RewardBatch, options: Mapping[str, Any], reward_names: Sequence[str]) -> list[str]:
    return [
        "sa_mrpo: `reward_bounds` set the weights of all rewards; give bounds by definition. A score without any, such "
        "as a reward model's, has no place here."
    ]


SA_MRPO = Method(
    name="sa_mrpo",
    title="each reward standardised inside its group and weighed by the share of its range that is left to gain",
    source="SA-MRPO, arXiv:2608.16072",
    function=sa_mrpo_advantages,
    stackable=True,
    warn=_warnings,
)
