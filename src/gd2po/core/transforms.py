"""What can be done to the rewards before any method: scores that count only where another reward is high enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from gd2po.core import checks
from gd2po.core.batch import RewardBatch, Weights
from gd2po.errors import InvalidInputError, InvalidTypeError


@dataclass(frozen=True)
class Condition:
    """Reward `reward` counts only where reward `on` is at least `threshold`."""

    reward: int
    """Index of the reward that is held back."""
    on: int
    """Index of the reward that it depends on."""
    threshold: float
    """In the unit of `on`; rounded to the dtype of the rewards."""


def conditioned_rewards(rewards: Tensor, conditions: Sequence[Condition], *, otherwise: float = 0.0) -> Tensor:
    """The rewards, some of which count only where another one is high enough.

    A condition holds where `r_on >= threshold`, looking at the rewards as given; all conditions on one reward must
    hold. Where one fails, the reward becomes `otherwise`; where none fails and some `r_on` is NaN, it becomes NaN,
    since that cannot be judged. A reward that is NaN stays NaN.

    **`otherwise` should be the least score of the reward.** 0 is the paper's, and for a reward in [-3, 0] it is praise.

    `otherwise=nan` makes a *subset*: the reward is then standardised among the rollouts that meet its conditions and is
    neutral elsewhere. PAPO (arXiv:2603.26535) is `gdpo_advantages` of that with `whitening="none"`. Not for methods
    that add the rewards up first, where a NaN is a 0.

    Args:
        rewards: (N, K) NaN where a reward does not apply.
        conditions: which reward counts only where which other one is how high.
        otherwise: what a reward becomes where a condition fails: finite, or NaN.

    Returns:
        (N, K) in the dtype of the rewards, in memory of its own.

    Raises:
        InvalidInputError: an index out of range, a reward that depends on itself, a threshold that is not finite or an
            infinite `otherwise` (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers, or not a `Condition` (a TypeError).

    Example:
        >>> rewards = torch.tensor([[1.0, 0.9], [0.0, 0.8], [0.5, 0.7]])  # correct? brief?
        >>> conditioned_rewards(rewards, [Condition(reward=1, on=0, threshold=1.0)])
        tensor([[1.0000, 0.9000],
                [0.0000, 0.0000],
                [0.5000, 0.0000]])

    Source:
        GDPO (arXiv:2601.05242), equation 8.

    Deviations:
        NaN where a condition cannot be judged, and `otherwise`, are ours.
    """
    rewards = checks.check_rewards(rewards)
    checks.check_values(rewards)
    if not isinstance(otherwise, Real) or math.isinf(otherwise):
        raise InvalidInputError(f"`otherwise` must be a finite number, or NaN for a subset: got {otherwise!r}.")
    result = rewards.clone()
    for reward, on_same_reward in _by_reward(conditions, rewards).items():
        judges = rewards[:, [condition.on for condition in on_same_reward]]
        thresholds = rewards.new_tensor([condition.threshold for condition in on_same_reward])
        column = torch.where(judges.isnan().any(1), torch.nan, rewards[:, reward])
        column = torch.where((judges < thresholds).any(1), otherwise, column)
        result[:, reward] = torch.where(rewards[:, reward].isnan(), torch.nan, column)
    return result


def _by_reward(conditions: Sequence[Condition], rewards: Tensor) -> dict[int, list[Condition]]:
    """The conditions, checked, by the reward that they hold back."""
    num_rewards = rewards.shape[1]
    found: dict[int, list[Condition]] = {}
    for condition in conditions:
        if not isinstance(condition, Condition):
            raise InvalidTypeError(f"`conditions` must hold `Condition`s: got {condition!r}.")
        for index in (condition.reward, condition.on):
            if not isinstance(index, int) or not 0 <= index < num_rewards:
                raise InvalidInputError(
                    f"`conditions` must name rewards by index, 0 to {num_rewards - 1}: got {condition}."
                )
        if condition.reward == condition.on:
            raise InvalidInputError(f"`conditions` must hold a reward back by another one: got {condition}.")
        if not isinstance(condition.threshold, Real) or not math.isfinite(condition.threshold):
            raise InvalidInputError(f"`conditions` need finite thresholds: got {condition}.")
        found.setdefault(condition.reward, []).append(condition)
    return found


def reward_varies_mask(rewards: Tensor, group_ids: Tensor, *, reward_weights: Weights = None) -> Tensor:
    """Mask of the rewards that tell some rollout of a group from another: those that are not dead there.

    With `signal_mask` of a result this says which groups to leave out of an update: keep those with a signal; groups in
    which a reward varies and no signal is left are *cancelled*. Filter first, and compute advantages of what is left,
    so that statistics over the batch see what the optimiser sees.

    Args:
        rewards: (N, K) NaN where a reward does not apply.
        group_ids: (N,) integers.
        reward_weights: (K,) None means all 1. A reward of weight 0 varies nowhere.

    Returns:
        (N, K) bool, the same for all rollouts of a group.

    Raises:
        InvalidInputError: wrong shapes or lengths, or an infinite reward or weight (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> rewards = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
        >>> reward_varies_mask(rewards, torch.tensor([0, 0, 1, 1]))
        tensor([[ True, False],
                [ True, False],
                [False,  True],
                [False,  True]])

    Source:
        DAPO (arXiv:2503.14476), dynamic sampling; published filters look at the sum of the rewards.
    """
    batch = RewardBatch.from_input(rewards, group_ids, reward_weights)
    varies = batch.where_weighted(batch.deviations().squares) > 0
    return batch.rows(batch.groups.spread(varies))
