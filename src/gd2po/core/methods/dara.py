"""DARA: GDPO with more weight for rewards that are rarely alive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from gd2po.core.batch import RewardBatch, Weights, Whitening
from gd2po.core.groups import REWARD_DIM
from gd2po.core.methods.base import Method, Range, check_options
from gd2po.core.result import AdvantageResult
from gd2po.core.tolerances import ALIVE_TOLERANCE

Variant = Literal["asymmetric", "symmetric"]


def dara_advantages(
    rewards: Tensor,
    group_ids: Tensor,
    *,
    variant: Variant = "asymmetric",
    max_multiplier: Annotated[float, Range(1, float("inf"))] = 5.0,
    reward_weights: Weights = None,
    whitening: Whitening = "rollouts",
    token_counts: Tensor | None = None,
) -> AdvantageResult:
    """DARA advantages: GDPO's, with the rewards that are alive in few groups amplified.

    pi_k is the share of the groups in which reward k is alive, `sum |z_k| > 1e-8`, among those where it applies to two
    rollouts or more; `u_k = min(max_multiplier, sqrt(max_l pi_l / pi_k))`, 1 where pi_k = 0. With `y_k = weight_k z_k`,
    z_k the reward standardised inside its group:

    * asymmetric: `s = sum_k y_k + (u_k - 1) max(y_k, 0)`: praise by a sparse reward is amplified, blame is not. The
      means of the groups are not negative.
    * symmetric: `s = sum_k u_k y_k`. It trades accuracy for compliance (authors' tables).

    Then `A = (s - mean) rsqrt(var + 1e-8)` over the batch. With all pi equal, or one reward, this is `gdpo`. A lone
    rollout, and a group of dead rewards, have s = 0. Pass the whole batch of an update, for pi is taken over it.

    Args:
        rewards: (N, K) score of each rollout under each reward, each in its own unit. NaN: the reward does not apply.
        group_ids: (N,) prompt of each rollout: any integers, any order, groups of any size.
        variant: "asymmetric" amplifies praise alone, "symmetric" praise and blame.
        max_multiplier: at least 1, the most that a reward is amplified by.
        reward_weights: (K,) None means all 1. A weight of 0 takes the reward out; a negative one is the positive one on
            the negated reward.
        whitening: "rollouts" counts every rollout once, "tokens" as often as it has completion tokens, "none" skips.
        token_counts: (N,) completion tokens of each rollout; needed for whitening="tokens".

    Returns:
        An `AdvantageResult` whose components are the summands; `multipliers` (K,) is u, 0 for a reward of weight 0.
        Nothing is dropped; reward advantages, conflicts and agreement scores are those of `gdpo`.

    Raises:
        InvalidInputError: wrong shapes or lengths, `max_multiplier` below 1, an unknown choice, or an infinite reward
            or weight (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> import torch
        >>> rewards = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])  # the second: alive in one of two
        >>> result = dara_advantages(rewards, torch.tensor([0, 0, 1, 1]), whitening="none")
        >>> result.advantages, result.multipliers
        (tensor([-0.7071,  0.7071, -1.4142,  1.7071]), tensor([1.0000, 1.4142]))

    Source:
        DARA: Make Sparse Rewards Count: Density-Aware Reward Aggregation (arXiv:2610.00574).

    Deviations:
        Weights are ours, and so is counting only the groups in which a reward can be alive: a reward that does not
        apply to some prompts is not taken for a sparse one.
    """
    check_options(dara_advantages, variant=variant, max_multiplier=max_multiplier, whitening=whitening)
    batch = RewardBatch.from_input(rewards, group_ids, reward_weights, whitening=whitening, token_counts=token_counts)
    deviations = batch.deviations()
    can_be_alive = deviations.count > 1
    reward_advantages = deviations.standardised(in_place=True)
    is_alive = batch.groups.total(reward_advantages.abs()) > ALIVE_TOLERANCE
    density = batch.over_batch(is_alive.to(batch.dtype)) / batch.over_batch(can_be_alive).clamp_min(1)
    densest = batch.where_weighted(density).amax(REWARD_DIM, keepdim=True)
    multipliers = torch.where(density > 0, (densest / density).sqrt_().clamp_max_(max_multiplier), 1.0)
    multipliers = batch.where_weighted(multipliers)

    components = batch.weigh(reward_advantages)
    if variant == "symmetric":
        components = components * multipliers
    else:
        components = components + components.clamp_min(0).mul_(multipliers - 1)
    return batch.result(
        components.sum(REWARD_DIM),
        reward_advantages=reward_advantages,
        components=components,
        multipliers=multipliers.squeeze(-1),
    )


def _warnings(batch: RewardBatch, options: Mapping[str, Any], reward_names: Sequence[str]) -> list[str]:
    if options["variant"] == "asymmetric":
        return []
    return ['dara: variant="symmetric" trades accuracy for compliance in its authors\' tables.']


DARA = Method(
    name="dara",
    title="gdpo with more weight for rewards that tell rollouts apart in few groups",
    source="DARA, arXiv:2610.00574",
    function=dara_advantages,
    stackable=True,
    variants={"symmetric": {"variant": "symmetric"}},
    warn=_warnings,
)
