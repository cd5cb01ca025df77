"""A checked batch of rewards: what every method is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from gd2po.core import checks
from gd2po.core.conflicts import agreement_snr, conflict_mask
from gd2po.core.groups import REWARD_DIM, Groups, compute_dtype, standardise
from gd2po.core.result import AdvantageResult, Parts
from gd2po.core.tolerances import HEADROOM, SNR_EPS, STD_EPS
from gd2po.core.whitening import whiten

Whitening = Literal["rollouts", "tokens", "none"]
Weights = Tensor | Sequence[float] | None


@dataclass(frozen=True, eq=False)
class RewardBatch:
    """N rollouts with K rewards in Q groups, checked, in the lane layout of `gd2po.core.groups`."""

    rewards: Tensor
    """(N, K) as they came; NaN where a reward does not apply."""
    groups: Groups
    lanes: Tensor
    """The rewards in the lane layout of the groups, 0 where they do not apply."""
    applies: Tensor | None
    """1 where a reward applies and 0 where not, in the shape of the lanes; None if all apply."""
    weights: Tensor | None
    """(K, 1) in the dtype to compute in; None for all 1."""
    token_counts: Tensor | None
    """In the lane layout without rewards; None unless whitening needs them."""
    whitening: Whitening

    @staticmethod
    def from_input(
        rewards: Tensor,
        group_ids: Tensor,
        reward_weights: Weights = None,
        *,
        whitening: Whitening = "none",
        token_counts: Tensor | None = None,
    ) -> RewardBatch:
        """A batch from what a method was given.

        Args:
            rewards: (N, K) NaN where a reward does not apply.
            group_ids: (N,) integers.
            reward_weights: (K,) None means all 1.
            whitening: of the method's advantages, by `result`.
            token_counts: (N,) needed for whitening="tokens".

        Raises:
            InvalidInputError: wrong shapes or lengths, or an infinite reward or weight (a ValueError).
            InvalidTypeError: something that is not a tensor of numbers (a TypeError).
        """
        rewards = checks.check_rewards(rewards)
        group_ids = checks.check_group_ids(group_ids, rewards)
        weights = checks.check_reward_weights(reward_weights, rewards)
        counts = checks.check_token_counts(token_counts, whitening, rewards)
        has_missing = checks.check_values(rewards, counts)

        groups = Groups.from_ids(group_ids)
        lanes = groups.to_lanes(rewards)
        applies = None
        if has_missing:
            applies = lanes.isnan().logical_not_().to(compute_dtype(rewards.device))
            lanes = lanes.nan_to_num(nan=0.0)
        return RewardBatch(
            rewards=rewards,
            groups=groups,
            lanes=lanes,
            applies=applies,
            weights=None if weights is None else weights[:, None],
            token_counts=None if counts is None else groups.to_lanes(counts),
            whitening=whitening,
        )

    def weigh(self, values: Tensor) -> Tensor:
        """Lanes times the weight of each reward."""
        return values if self.weights is None else values * self.weights

    @cached_property
    def present(self) -> Tensor:
        """Lanes without rewards, bool: some reward with a weight applies to the rollout."""
        votes = torch.ones_like(self.lanes[..., :1, :]) if self.applies is None else self.applies
        if self.weights is not None:
            votes = votes * (self.weights != 0)
        return votes.amax(REWARD_DIM) > 0

    def standardised(self, scale_rewards: bool = True) -> Tensor:
        """Lanes: the reward advantages z, each reward standardised inside its group; 0 where it does not apply."""
        return standardise(
            self.lanes, self.applies, self.groups, scale_rewards=scale_rewards, rounding_eps=self._rounding_eps
        )

    def standardised_total(self, scale_rewards: bool) -> Tensor:
        """Lanes without rewards: the weighted sum of the rewards that apply, standardised inside its group."""
        dtype = compute_dtype(self.lanes.device)
        total = self.weigh(self.lanes.to(dtype) * HEADROOM).sum(REWARD_DIM, keepdim=True)
        standardised = standardise(
            total,
            None if self.applies is None else self.present.to(dtype).unsqueeze(REWARD_DIM),
            self.groups,
            scale_rewards=scale_rewards,
            rounding_eps=self._rounding_eps,
            std_eps=STD_EPS * HEADROOM,
        ).squeeze(REWARD_DIM)
        return standardised if scale_rewards else standardised / HEADROOM

    @property
    def _rounding_eps(self) -> float:
        return torch.finfo(self.rewards.dtype).eps

    def result(
        self,
        unwhitened: Tensor,
        *,
        reward_advantages: Tensor,
        components: Tensor | None = None,
        multipliers: Tensor | None = None,
    ) -> AdvantageResult:
        """The result of a method that drops nothing, whitened as the batch was asked for.

        Args:
            unwhitened: lanes without rewards: the advantages before whitening.
            reward_advantages: lanes: z of `standardised`.
            components: lanes: what each reward adds to `unwhitened`; None where rewards are summed first.
            multipliers: as the method's docstring states them, in rows as callers see them.
        """
        weighted = self.weigh(reward_advantages)
        return self.filtered_result(
            unwhitened,
            reward_advantages=reward_advantages,
            conflicts=conflict_mask(weighted, REWARD_DIM),
            snr=agreement_snr(weighted, SNR_EPS, REWARD_DIM),
            keep=self.present,
            keep_ratio=self.keep_ratio(self.present),
            snr_threshold=0.0,
            components=components,
            multipliers=multipliers,
        )

    def keep_ratio(self, keep: Tensor) -> Tensor:
        """Lanes without rewards: kept rollouts / rollouts to which a reward applies, per group."""
        dtype = compute_dtype(keep.device)
        kept, size = self.groups.total(keep.to(dtype)), self.groups.total(self.present.to(dtype))
        ratio = self.groups.spread(kept / size.clamp_min_(1))
        return ratio.expand_as(keep).contiguous()  # callers may write into results, so no element stands for several

    def filtered_result(
        self,
        unwhitened: Tensor,
        *,
        reward_advantages: Tensor,
        conflicts: Tensor,
        snr: Tensor,
        keep: Tensor,
        keep_ratio: Tensor,
        snr_threshold: float,
        components: Tensor | None = None,
        factor: Tensor | None = None,
        multipliers: Tensor | None = None,
    ) -> AdvantageResult:
        """The result of a method that may drop rollouts; all arguments are lanes, `components` with rewards.

        Args:
            unwhitened: the advantages before whitening, 0 where a rollout is dropped.
            reward_advantages: z.
            conflicts: bool.
            snr: agreement scores.
            keep: bool.
            keep_ratio: as of `keep_ratio`.
            snr_threshold: as used.
            components: what each reward adds, before `factor`.
            factor: without rewards: what the components of a rollout are multiplied by.
            multipliers: as in `result`.
        """
        advantages = unwhitened
        if self.whitening != "none":
            advantages = whiten(unwhitened, keep, self.token_counts)
        dtype = self.rewards.dtype
        parts = Parts(self.groups, dtype, self.present, unwhitened, components, factor)
        return AdvantageResult(
            advantages=parts.rows(advantages),
            reward_advantages=parts.rows(reward_advantages),
            conflict_mask=parts.rows(conflicts),
            keep_mask=parts.rows(keep),
            keep_ratio=parts.rows(keep_ratio),
            snr=parts.rows(snr),
            snr_threshold=snr_threshold,
            multipliers=None if multipliers is None else multipliers.to(dtype),
            _parts=parts,
        )
