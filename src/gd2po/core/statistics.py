"""What filtering does to each reward: the numbers behind every log line and report.

All functions are pure and take (N, K) matrices: `reward_advantages` z as in `AdvantageResult`, or `weighted`, the same
times the reward weights. `diagnose_batch` computes all of them from one result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gd2po.core import checks
from gd2po.core.groups import Groups, compute_dtype
from gd2po.core.result import AdvantageResult
from gd2po.core.tolerances import SIGN_TOLERANCE
from gd2po.errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class BatchDiagnostics:
    """Conflicts of one batch and what the method did about them. Tensors in the dtype to compute in."""

    conflict_rate: Tensor
    """() share of the rollouts whose rewards conflict."""
    filtered_rate: Tensor
    """() share of the rollouts that were dropped."""
    keep_ratio_mean: Tensor
    """() mean over rollouts of the share of their group that was kept."""
    snr_mean: Tensor
    """() mean agreement score."""
    cancellation: Tensor
    """() share of the signal that is lost when the weighted rewards are added up."""
    zero_signal_group_rate: Tensor
    """() share of the groups in which no reward tells any rollout from another."""
    retained: Tensor
    """(K,) share of each reward's signal that is kept; NaN for a reward without signal."""
    retained_negative: Tensor
    """(K,) the same for its penalties alone."""
    alignment: Tensor
    """(K,) mean over rollouts of the reward's advantage times the advantage."""
    correlation: Tensor
    """(K, K) in-group correlation of each pair of rewards; NaN where undefined."""
    pairwise_conflict_rate: Tensor
    """(K, K) share of the rollouts in which the two rewards have opposite signs."""


def retained(weighted: Tensor, keep_mask: Tensor) -> Tensor:
    """Share of each reward's signal that is kept: `sum over kept |y_k| / sum over all |y_k|`.

    Args:
        weighted: (N, K) weighted reward advantages y; 0 where a reward does not apply.
        keep_mask: (N,) bool.

    Returns:
        (K,) in [0, 1]; NaN for a reward without any signal.

    Example:
        >>> weighted = torch.tensor([[3.0, 1.0], [1.0, -1.0]])
        >>> retained(weighted, torch.tensor([True, False]))
        tensor([0.7500, 0.5000])
    """
    magnitude = weighted.abs()
    return (magnitude * keep_mask[:, None]).sum(0) / magnitude.sum(0)


def retained_negative(weighted: Tensor, keep_mask: Tensor) -> Tensor:
    """Share of each reward's penalties that is kept: `retained` over the negative y_k alone.

    Args:
        weighted: (N, K) weighted reward advantages y; 0 where a reward does not apply.
        keep_mask: (N,) bool.

    Returns:
        (K,) in [0, 1]; NaN for a reward without any penalty.

    Example:
        >>> weighted = torch.tensor([[3.0, -1.0], [1.0, -1.0]])
        >>> retained_negative(weighted, torch.tensor([True, False]))
        tensor([   nan, 0.5000])
    """
    return retained(weighted.clamp(max=0), keep_mask)


def alignment(reward_advantages: Tensor, advantages: Tensor) -> Tensor:
    """How far the update follows each reward: mean over rollouts of `z_k * advantage`.

    Args:
        reward_advantages: (N, K) z; 0 where a reward does not apply.
        advantages: (N,) what the policy is updated with.

    Returns:
        (K,) positive where the update raises the reward. It flatters every filter, since what is kept agrees by
        construction: read it beside `retained`.

    Example:
        >>> alignment(torch.tensor([[1.0, -1.0], [-1.0, 0.0]]), torch.tensor([0.5, -0.5]))
        tensor([ 0.5000, -0.2500])
    """
    return (reward_advantages * advantages[:, None]).mean(0)


def correlation(reward_advantages: Tensor, applies: Tensor | None = None, dim: int = -1) -> Tensor:
    """In-group correlation of each pair of rewards: mean of `z_j z_k` over the product of their root mean squares.

    Only rollouts to which both rewards apply count. The advantages have mean 0 in every group already.

    Args:
        reward_advantages: z, (N, K) or any shape with the rewards in `dim`; 0 where a reward does not apply.
        applies: the shape of `reward_advantages`, bool; None if every reward applies to every rollout.
        dim: dimension of the rewards.

    Returns:
        (K, K) in [-1, 1], symmetric; NaN where one of the two has no signal in the rollouts they share.

    Example:
        >>> correlation(torch.tensor([[1.0, 2.0], [-1.0, -2.0], [1.0, -2.0], [-1.0, 2.0], [0.0, 0.0]]))
        tensor([[1., 0.],
                [0., 1.]])
    """
    lanes = reward_advantages.movedim(dim, -2)
    num_rewards = lanes.shape[-2]
    products = (lanes @ lanes.mT).reshape(-1, num_rewards, num_rewards).sum(0)
    if applies is None:
        power = products.diagonal()[:, None]
    else:
        shared = applies.movedim(dim, -2).to(lanes.dtype)
        power = (lanes.square() @ shared.mT).reshape(-1, num_rewards, num_rewards).sum(0)
    return products / (power * power.mT).sqrt()


def pairwise_conflict_rate(weighted: Tensor) -> Tensor:
    """Share of the rollouts in which the two rewards of a pair have opposite signs.

    Args:
        weighted: (N, K) weighted reward advantages y; 0 where a reward does not apply.

    Returns:
        (K, K) in [0, 1], symmetric, 0 on the diagonal.

    Example:
        >>> pairwise_conflict_rate(torch.tensor([[1.0, -1.0], [1.0, 1.0]]))
        tensor([[0.0000, 0.5000],
                [0.5000, 0.0000]])
    """
    positive = (weighted > SIGN_TOLERANCE).to(weighted.dtype)
    negative = (weighted < -SIGN_TOLERANCE).to(weighted.dtype)
    opposite = positive.T @ negative
    return (opposite + opposite.T) / len(weighted)


def cancellation(weighted: Tensor) -> Tensor:
    """Share of the signal that is lost when the rewards are added up: `1 - sum |s| / sum sum_k |y_k|`, s = sum_k y_k.

    Args:
        weighted: (N, K) weighted reward advantages y; 0 where a reward does not apply.

    Returns:
        A tensor without dimensions, in [0, 1]; NaN without any signal.

    Example:
        >>> cancellation(torch.tensor([[1.0, -1.0], [1.0, 1.0]]))
        tensor(0.5000)
    """
    return 1 - weighted.sum(1).abs().sum() / weighted.abs().sum()


def zero_signal_group_rate(weighted: Tensor, group_ids: Tensor) -> Tensor:
    """Share of the groups in which no reward tells any rollout from another.

    Judged on the reward vector: where rewards cancel, a group whose sum is constant still carries signal.

    Args:
        weighted: (N, K) weighted reward advantages y; 0 where a reward does not apply.
        group_ids: (N,) integers.

    Returns:
        A tensor without dimensions, in [0, 1].

    Example:
        >>> weighted = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
        >>> zero_signal_group_rate(weighted, torch.tensor([0, 0, 1, 1]))
        tensor(0.5000)
    """
    groups = Groups.from_ids(group_ids)
    strongest = groups.to_lanes(weighted.abs().amax(1))
    with_signal = (groups.largest(strongest) > 0).sum(dtype=weighted.dtype)
    return 1 - with_signal / (groups.total(torch.ones_like(strongest)) > 0).sum()


def binary_snr_ceiling(num_rewards: int, group_size: int) -> float:
    """Largest agreement score of a rollout with mixed signs when all rewards are 0 or 1.

    `((K-1)(G-1) - 1) / ((K-1)(G-1) + 1)`: one reward is at its strongest against K-1 at theirs. Any threshold above
    it makes the SNR filter the hard filter.

    Args:
        num_rewards: K, at least 2.
        group_size: G, at least 2.

    Raises:
        InvalidInputError: fewer than two rewards or rollouts, for which no signs can be mixed.

    Example:
        >>> binary_snr_ceiling(num_rewards=2, group_size=4)
        0.5
        >>> round(binary_snr_ceiling(num_rewards=3, group_size=8), 3)
        0.867
    """
    if num_rewards < 2 or group_size < 2:
        raise InvalidInputError(
            "`num_rewards` and `group_size` must be at least 2, since no signs are mixed below that: got "
            f"{num_rewards} and {group_size}."
        )
    ratio = (num_rewards - 1) * (group_size - 1)
    return (ratio - 1) / (ratio + 1)


def diagnose_batch(
    rewards: Tensor,
    group_ids: Tensor,
    result: AdvantageResult,
    *,
    reward_weights: Tensor | Sequence[float] | None = None,
) -> BatchDiagnostics:
    """All diagnostics of one batch.

    Args:
        rewards: (N, K) the rewards that `result` was computed from; NaN where a reward does not apply. Rollouts to
            which no reward applies are left out of every share and mean of rollouts.
        group_ids: (N,) their groups. One to which no reward applies is a group without signal.
        result: what an advantage function returned for them.
        reward_weights: (K,) the weights it was given.

    Returns:
        A `BatchDiagnostics`; NaN where nothing is left to take a share or mean of. Nothing is fetched from an
        accelerator, except weights that live there.

    Raises:
        InvalidInputError: wrong shapes or lengths, or a `result` of other rewards (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> from gd2po import gd2po_advantages
        >>> rewards = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
        >>> group_ids = torch.zeros(4, dtype=torch.int64)
        >>> diagnose_batch(rewards, group_ids, gd2po_advantages(rewards, group_ids)).conflict_rate
        tensor(0.5000, dtype=torch.float64)
    """
    rewards = checks.check_rewards(rewards)
    group_ids = checks.check_group_ids(group_ids, rewards)
    weights = checks.check_reward_weights(reward_weights, rewards)
    if result.reward_advantages.shape != rewards.shape:
        raise InvalidInputError(
            f"`result` must come from these `rewards`: expected advantages of shape {tuple(rewards.shape)}, got "
            f"{tuple(result.reward_advantages.shape)}."
        )
    dtype = compute_dtype(rewards.device)
    reward_advantages = result.reward_advantages.to(dtype)
    advantages = result.advantages.to(dtype)
    if weights is None:
        weights = torch.ones(rewards.shape[1], dtype=dtype, device=rewards.device)
    weighted = reward_advantages * weights
    applies = rewards.isnan().logical_not_()
    present = result.present_mask.to(dtype)
    size = present.sum()
    # Absent rollouts are 0 in every matrix, so a mean over all rows only needs another denominator.
    per_present = len(rewards) / size
    return BatchDiagnostics(
        conflict_rate=result.conflict_mask.sum() / size,
        filtered_rate=1 - result.keep_mask.sum() / size,
        keep_ratio_mean=(result.keep_ratio.to(dtype) * present).sum() / size,
        snr_mean=(result.snr.to(dtype) * present).sum() / size,
        cancellation=cancellation(weighted),
        zero_signal_group_rate=zero_signal_group_rate(weighted, group_ids),
        retained=retained(weighted, result.keep_mask),
        retained_negative=retained_negative(weighted, result.keep_mask),
        alignment=alignment(reward_advantages, advantages) * per_present,
        correlation=correlation(weighted, applies),
        pairwise_conflict_rate=pairwise_conflict_rate(weighted) * per_present,
    )
