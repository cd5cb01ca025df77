"""Advantages from a reward matrix: GRPO, GDPO and GD²PO. One matrix goes in, one vector comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gd2po.core import _checks
from gd2po.core.conflicts import (
    agreement_snr,
    conflict_mask,
    largest_retaining_threshold,
    paired_conflict_mask,
)
from gd2po.core.diagnostics import correlation
from gd2po.core.groups import REWARD_DIM, STD_EPS, Groups, compute_dtype, standardise
from gd2po.core.whitening import whiten

Filtering = Literal["none", "hard", "snr"]
Whitening = Literal["rollouts", "tokens", "none"]
ConflictPairs = Literal["all", "correlated"]

CORRELATION_TOLERANCE = 1e-6
"""A correlation this close to the minimum is at it and not above: balanced scores give exactly 0 up to rounding, and
rounding must not decide whether their conflicts count."""

HEADROOM = 2.0**-10
"""Rewards are added up at this scale, so that a few near the largest float do not overflow. A power of two: exact."""


@dataclass(frozen=True, eq=False)
class AdvantageResult:
    """Advantages and how they came about. N rollouts, K rewards; floats in the dtype of the rewards."""

    advantages: Tensor
    """(N,) what the policy is updated with. Exactly 0 where a rollout is dropped."""
    reward_advantages: Tensor
    """(N, K) each reward standardised inside its group, before weighing; 0 where it does not apply."""
    conflict_mask: Tensor
    """(N,) bool: the rewards of the rollout disagree in sign."""
    keep_mask: Tensor
    """(N,) bool: the rollout takes part in the update. False where no reward applies."""
    keep_ratio: Tensor
    """(N,) kept rollouts / rollouts of the group, the same for all of a group."""
    snr: Tensor
    """(N,) agreement score in [0, 1]; 1 where no signs are mixed."""
    snr_threshold: float
    """The threshold as used: 0 without a filter, 1 for the hard one, the one found for "auto"."""


@dataclass(frozen=True, eq=False)
class _Batch:
    """A checked batch: everything but the rewards themselves in the dtype to compute in."""

    rewards: Tensor
    groups: Groups
    lanes: Tensor
    """The rewards in the lane layout of the groups, 0 where they do not apply."""
    applies: Tensor | None
    """1 where a reward applies and 0 where not, in the shape of the lanes; None if all apply."""
    weights: Tensor | None
    token_counts: Tensor | None

    @staticmethod
    def from_input(
        rewards: Tensor,
        group_ids: Tensor,
        reward_weights: Tensor | Sequence[float] | None,
        whitening: Whitening = "none",
        token_counts: Tensor | None = None,
    ) -> _Batch:
        _checks.check_choice(whitening, "whitening", ("rollouts", "tokens", "none"))
        rewards = _checks.check_rewards(rewards)
        group_ids = _checks.check_group_ids(group_ids, rewards)
        weights = _checks.check_reward_weights(reward_weights, rewards)
        counts = _checks.check_token_counts(token_counts, whitening, rewards)
        has_missing = _checks.check_values(rewards, counts)

        groups = Groups.from_ids(group_ids)
        lanes = groups.to_lanes(rewards)
        applies = None
        if has_missing:
            applies = lanes.isnan().logical_not_().to(compute_dtype(rewards.device))
            lanes = lanes.nan_to_num(nan=0.0)
        return _Batch(
            rewards=rewards,
            groups=groups,
            lanes=lanes,
            applies=applies,
            weights=None if weights is None else weights[:, None],
            token_counts=None if counts is None else groups.to_lanes(counts),
        )

    def weigh(self, values: Tensor) -> Tensor:
        return values if self.weights is None else values * self.weights

    def any_applies(self) -> Tensor:
        """Lanes without rewards, bool: some reward with a weight applies to the rollout."""
        votes = torch.ones_like(self.lanes[..., :1, :]) if self.applies is None else self.applies
        if self.weights is not None:
            votes = votes * (self.weights != 0)
        return votes.amax(REWARD_DIM) > 0

    def standardise(self, scale_rewards: bool) -> Tensor:
        rounding_eps = torch.finfo(self.rewards.dtype).eps
        return standardise(
            self.lanes, self.applies, self.groups, scale_rewards=scale_rewards, rounding_eps=rounding_eps
        )


def grpo_advantages(
    rewards: Tensor,
    group_ids: Tensor,
    *,
    reward_weights: Tensor | Sequence[float] | None = None,
    scale_rewards: bool = True,
) -> AdvantageResult:
    """GRPO advantages: the weighted sum of the rewards, standardised inside each group.

    `s = sum_k weight_k r_k` over the rewards that apply, then `A = (s - mean) / (std + 1e-6)`.

    Args:
        rewards: (N, K) score of each rollout under each reward, each in its own unit. NaN: the reward does not apply.
        group_ids: (N,) prompt of each rollout: any integers, any order, groups of any size.
        reward_weights: (K,) None means all 1. A weight of 0 takes the reward out.
        scale_rewards: divide by the standard deviation of the group.

    Returns:
        An `AdvantageResult`. Nothing is dropped; conflicts and agreement scores are those GD²PO would see.

    Raises:
        InvalidInputError: wrong shapes or lengths, or an infinite reward or weight (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> rewards = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
        >>> grpo_advantages(rewards, torch.tensor([7, 7, 7, 7])).advantages
        tensor([ 0.0000,  0.0000,  1.2247, -1.2247])

    Source:
        GRPO (DeepSeekMath, arXiv:2402.03300), outcome supervision.

    Deviations:
        A group of one rollout gets 0 (verl passes its raw score on). The epsilon is verl's 1e-6; TRL's is 1e-4.
    """
    batch = _Batch.from_input(rewards, group_ids, reward_weights)
    present = batch.any_applies()
    dtype = compute_dtype(batch.lanes.device)
    weighted_sum = batch.weigh(batch.lanes.to(dtype) * HEADROOM).sum(REWARD_DIM, keepdim=True)
    applies = None if batch.applies is None else present.to(dtype).unsqueeze(REWARD_DIM)
    advantages = standardise(
        weighted_sum,
        applies,
        batch.groups,
        scale_rewards=scale_rewards,
        rounding_eps=torch.finfo(batch.rewards.dtype).eps,
        std_eps=STD_EPS * HEADROOM,
    ).squeeze(REWARD_DIM)
    if not scale_rewards:
        advantages = advantages / HEADROOM
    reward_advantages = batch.standardise(scale_rewards)
    weighted = batch.weigh(reward_advantages)
    return _result(
        batch,
        advantages=advantages,
        reward_advantages=reward_advantages,
        conflicts=conflict_mask(weighted, REWARD_DIM),
        keep=present,
        keep_ratio=_keep_ratio(batch, present, present),
        snr=agreement_snr(weighted, dim=REWARD_DIM),
        snr_threshold=0.0,
    )


def gdpo_advantages(
    rewards: Tensor,
    group_ids: Tensor,
    *,
    reward_weights: Tensor | Sequence[float] | None = None,
    scale_rewards: bool = True,
    whitening: Whitening = "rollouts",
    token_counts: Tensor | None = None,
) -> AdvantageResult:
    """GDPO advantages: each reward standardised inside its group, weighed and summed, then whitened over the batch.

    `z_k = (r_k - mean) / (std + 1e-6)` inside each group, `s = sum_k weight_k z_k`, `A = (s - mean) rsqrt(var + 1e-8)`.

    Args:
        rewards: (N, K) score of each rollout under each reward, each in its own unit. NaN: the reward does not apply.
        group_ids: (N,) prompt of each rollout: any integers, any order, groups of any size.
        reward_weights: (K,) None means all 1. A weight of 0 takes the reward out.
        scale_rewards: divide by the standard deviation of the group.
        whitening: "rollouts" counts every rollout once, "tokens" as often as it has completion tokens, "none" skips.
        token_counts: (N,) completion tokens of each rollout; needed for whitening="tokens".

    Returns:
        An `AdvantageResult`. Nothing is dropped; conflicts and agreement scores are those GD²PO would see.

    Raises:
        InvalidInputError: wrong shapes or lengths, an unknown choice, or an infinite reward or weight (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> rewards = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
        >>> gdpo_advantages(rewards, torch.tensor([7, 7, 7, 7]), whitening="none").advantages
        tensor([ 0.0000,  0.0000,  1.7320, -1.7320])

    Source:
        GDPO (arXiv:2601.05242).

    Deviations:
        A group of one rollout adds 0 before whitening (verl passes its raw score on). TRL's `normalize_then_sum` has
        epsilon 1e-4.
    """
    return gd2po_advantages(
        rewards,
        group_ids,
        filtering="none",
        query_reweighting=False,
        reward_weights=reward_weights,
        scale_rewards=scale_rewards,
        whitening=whitening,
        token_counts=token_counts,
    )


def gd2po_advantages(
    rewards: Tensor,
    group_ids: Tensor,
    *,
    filtering: Filtering = "snr",
    snr_threshold: float | Literal["auto"] = 0.8,
    snr_eps: float = 1e-8,
    min_retained: float = 0.8,
    conflict_pairs: ConflictPairs = "all",
    min_correlation: float = 0.0,
    query_reweighting: bool = True,
    reward_weights: Tensor | Sequence[float] | None = None,
    scale_rewards: bool = True,
    whitening: Whitening = "rollouts",
    token_counts: Tensor | None = None,
) -> AdvantageResult:
    """GD²PO advantages: GDPO's, with conflicting rollouts dropped and each prompt scaled by the share that was kept.

    With `y_k = weight_k z_k`, z_k the reward standardised inside its group: a rollout conflicts when some y_k is
    positive and some negative, and its agreement score is `snr = |sum_k y_k| / (sum_k |y_k| + snr_eps)`. What is kept
    gets `s = keep_ratio * sum_k y_k` and is whitened, what is dropped gets 0. Whitening moves the mean, so a rollout
    whose rewards all lie at the means of its group is not left at 0.

    Args:
        rewards: (N, K) score of each rollout under each reward, each in its own unit. NaN: the reward does not apply.
        group_ids: (N,) prompt of each rollout: any integers, any order, groups of any size.
        filtering: "hard" drops every conflict, "snr" those whose score is below the threshold, "none" nothing.
        snr_threshold: in [0, 1]; 0 is "none", 1 is "hard". "auto" takes the largest on the grid 0, 0.02, ..., 1 at
            which every reward keeps `min_retained` of its signal.
        snr_eps: keeps the score finite; at least 0.
        min_retained: for "auto", in [0, 1]: the share of sum |y_k|, and of its negative side, that each reward keeps.
        conflict_pairs: "all", or "correlated": only rewards that normally agree can conflict, that is pairs whose
            in-group correlation over the batch is above `min_correlation`.
        min_correlation: for conflict_pairs="correlated", in [-1, 1].
        query_reweighting: scale each group by its `keep_ratio`.
        reward_weights: (K,) None means all 1. A weight of 0 takes the reward out, its vote on conflicts included.
        scale_rewards: divide by the standard deviation of the group.
        whitening: "rollouts" counts every kept rollout once, "tokens" as often as it has completion tokens, "none"
            skips.
        token_counts: (N,) completion tokens of each rollout; needed for whitening="tokens".

    Returns:
        An `AdvantageResult`.

    Raises:
        InvalidInputError: wrong shapes or lengths, an unknown choice, a threshold or share outside its range, or an
            infinite reward or weight (a ValueError).
        InvalidTypeError: something that is not a tensor of numbers (a TypeError).

    Example:
        >>> rewards = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
        >>> result = gd2po_advantages(rewards, torch.tensor([7, 7, 7, 7]), whitening="none")
        >>> result.keep_mask
        tensor([False, False,  True,  True])
        >>> result.advantages
        tensor([ 0.0000,  0.0000,  0.8660, -0.8660])

    Source:
        GD²PO (arXiv:2606.16771). "auto" and "correlated" are gd2po's own.

    Deviations:
        The official code whitens by tokens; here that is `whitening="tokens"`. It clamps a threshold outside [0, 1];
        here that is an error. A reward at its group's mean up to rounding is exactly 0 and conflicts with nothing.
        With negative weights, "correlated" looks at the correlation of the weighted rewards: minus a length penalty
        and the penalty pull in opposite ways.
    """
    _checks.check_choice(filtering, "filtering", ("none", "hard", "snr"))
    _checks.check_choice(conflict_pairs, "conflict_pairs", ("all", "correlated"))
    if snr_threshold != "auto":
        _checks.check_range(snr_threshold, "snr_threshold", 0, 1, otherwise=" or 'auto'")
    _checks.check_range(snr_eps, "snr_eps", 0, 1)
    _checks.check_range(min_retained, "min_retained", 0, 1)
    _checks.check_range(min_correlation, "min_correlation", -1, 1)
    batch = _Batch.from_input(rewards, group_ids, reward_weights, whitening, token_counts)

    reward_advantages = batch.standardise(scale_rewards)
    weighted = batch.weigh(reward_advantages)
    if conflict_pairs == "all":
        conflicts = conflict_mask(weighted, REWARD_DIM)
    else:
        conflicts = _correlated_conflicts(batch, weighted, min_correlation)
    snr = agreement_snr(weighted, snr_eps, REWARD_DIM)

    threshold = {"none": 0.0, "hard": 1.0, "snr": snr_threshold}[filtering]
    if threshold == "auto":
        threshold = largest_retaining_threshold(weighted, conflicts, snr, min_retained, REWARD_DIM)
    # Where one reward outweighs another beyond the precision of floats, the score of a conflict rounds to 1.
    dropped = conflicts if threshold == 1 else conflicts & (snr < threshold)
    present = batch.any_applies()
    keep = present & ~dropped
    keep_ratio = _keep_ratio(batch, keep, present)

    combined = weighted.sum(REWARD_DIM) * keep
    if query_reweighting:
        combined = combined * keep_ratio
    if whitening != "none":
        combined = whiten(combined, keep, batch.token_counts)
    return _result(
        batch,
        advantages=combined,
        reward_advantages=reward_advantages,
        conflicts=conflicts,
        keep=keep,
        keep_ratio=keep_ratio,
        snr=snr,
        snr_threshold=float(threshold),
    )


def _correlated_conflicts(batch: _Batch, weighted: Tensor, min_correlation: float) -> Tensor:
    """Lanes without rewards: the conflicts between rewards that normally agree."""
    # NaN, for a reward without signal, is not above anything.
    pairs = correlation(weighted, batch.applies, REWARD_DIM) > min_correlation + CORRELATION_TOLERANCE
    return paired_conflict_mask(weighted, pairs, REWARD_DIM)


def _keep_ratio(batch: _Batch, keep: Tensor, present: Tensor) -> Tensor:
    """Lanes without rewards: kept rollouts / rollouts to which a reward applies, per group."""
    dtype = compute_dtype(keep.device)
    kept, size = batch.groups.total(keep.to(dtype)), batch.groups.total(present.to(dtype))
    ratio = batch.groups.spread(kept / size.clamp_min_(1))
    return ratio.expand_as(keep).contiguous()  # callers may write into results, so no element stands for several


def _result(
    batch: _Batch,
    *,
    advantages: Tensor,
    reward_advantages: Tensor,
    conflicts: Tensor,
    keep: Tensor,
    keep_ratio: Tensor,
    snr: Tensor,
    snr_threshold: float,
) -> AdvantageResult:
    dtype, from_lanes = batch.rewards.dtype, batch.groups.from_lanes
    return AdvantageResult(
        advantages=from_lanes(advantages.to(dtype)),
        reward_advantages=from_lanes(reward_advantages.to(dtype)),
        conflict_mask=from_lanes(conflicts),
        keep_mask=from_lanes(keep),
        keep_ratio=from_lanes(keep_ratio.to(dtype)),
        snr=from_lanes(snr.to(dtype)),
        snr_threshold=snr_threshold,
    )
