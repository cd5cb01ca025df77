"""A checked batch of rewards: what every method is made of."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal

import torch
from torch import Tensor

from gd2po.core import checks
from gd2po.core.conflicts import agreement_snr, conflict_mask
from gd2po.core.groups import REWARD_DIM, Deviations, Groups, compute_dtype, lanes_of
from gd2po.core.ranks import centred_ranks
from gd2po.core.result import AdvantageResult, Parts
from gd2po.core.tolerances import BOUND_TOLERANCE, HEADROOM, SNR_EPS, STD_EPS
from gd2po.core.whitening import whiten
from gd2po.errors import InvalidInputError

Whitening = Literal["rollouts", "tokens", "none"]
Weights = Tensor | Sequence[float] | None
Families = Tensor | Sequence[Hashable] | None
"""A label per reward, equal for rewards that measure the same thing; None: nothing is known of families."""


@dataclass(frozen=True, eq=False)
class RewardBatch:
    """N rollouts with K rewards in Q groups, checked, in the lane layout of `gd2po.core.groups`."""

    rewards: Tensor
    """(N, K) as they came, or (S, N, K) of a `Stack`; NaN where a reward does not apply."""
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
    families: tuple[Hashable, ...] | None = None
    """K labels, equal for rewards of one family; None where none are declared."""
    correlations: Tensor | None = None
    """(K, K) of the rewards over batches; None: nobody has kept them."""

    @staticmethod
    def from_input(
        rewards: Tensor,
        group_ids: Tensor,
        reward_weights: Weights = None,
        *,
        reward_families: Families = None,
        correlations: Tensor | None = None,
        whitening: Whitening = "none",
        token_counts: Tensor | None = None,
    ) -> RewardBatch:
        """A batch from what a method was given.

        Args:
            rewards: (N, K) NaN where a reward does not apply; or a `Stack` of batches, for which all else is the same.
            group_ids: (N,) integers.
            reward_weights: (K,) None means all 1.
            reward_families: (K,) labels, equal for rewards of one family.
            correlations: (K, K) of the rewards over batches, as of `Agreement`.
            whitening: of the method's advantages, by `result`.
            token_counts: (N,) needed for whitening="tokens".

        Raises:
            InvalidInputError: wrong shapes or lengths, or an infinite reward or weight (a ValueError).
            InvalidTypeError: something that is not a tensor of numbers (a TypeError).
        """
        rewards = checks.check_rewards(rewards)
        group_ids = checks.check_group_ids(group_ids, rewards)
        weights = checks.check_reward_weights(reward_weights, rewards)
        families = checks.check_reward_families(reward_families, rewards)
        counts = checks.check_token_counts(token_counts, whitening, rewards)
        has_missing = checks.check_values(rewards, counts)

        groups = replace(Groups.from_ids(group_ids), stacked=rewards.ndim == 3)
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
            families=families,
            correlations=checks.check_correlations(correlations, rewards),
        )

    @property
    def dtype(self) -> torch.dtype:
        """The dtype to compute in."""
        return compute_dtype(self.lanes.device)

    @property
    def num_rewards(self) -> int:
        """K."""
        return self.rewards.shape[-1]

    @property
    def rounding_eps(self) -> float:
        """Machine epsilon of the dtype in which the rewards came."""
        return torch.finfo(self.rewards.dtype).eps

    def weigh(self, values: Tensor) -> Tensor:
        """Lanes times the weight of each reward."""
        return values if self.weights is None else values * self.weights

    def sign(self, values: Tensor) -> Tensor:
        """Lanes times the sign of the weight of each reward."""
        return values if self.weights is None else values * self.weights.sign()

    def where_weighted(self, values: Tensor) -> Tensor:
        """Lanes or (K, 1), exactly 0 (even where NaN) for the rewards of weight 0."""
        return values if self.weights is None else torch.where(self.weights != 0, values, 0.0)

    def rows(self, lanes: Tensor) -> Tensor:
        """Lanes, with or without rewards, as rows of rollouts; floats in the dtype of the rewards."""
        like = self.lanes if lanes.ndim == self.lanes.ndim else self.lanes[..., 0, :]
        rows = self.groups.from_lanes(lanes.expand_as(like).contiguous())  # no element may stand for several
        return rows if rows.dtype == torch.bool else rows.to(self.rewards.dtype)

    @cached_property
    def weight_sizes(self) -> Tensor:
        """Lanes or (K, 1): the magnitude of each reward's weight, 0 where the reward does not apply."""
        sizes = torch.ones_like(self.count) if self.weights is None else self.weights.abs()
        return sizes if self.applies is None else sizes * self.applies

    @cached_property
    def present(self) -> Tensor:
        """Lanes without rewards, bool: some reward with a weight applies to the rollout."""
        votes = torch.ones_like(self.lanes[..., :1, :]) if self.applies is None else self.applies
        if self.weights is not None:
            votes = votes * (self.weights != 0)
        return votes.amax(REWARD_DIM) > 0

    @cached_property
    def group_size(self) -> Tensor:
        """One value per slot, without rewards: the present rollouts of the group."""
        return self.groups.total(self.present.to(self.dtype))

    @cached_property
    def count(self) -> Tensor:
        """(K, 1): the rollouts of the batch to which each reward applies."""
        if self.applies is not None:
            return self.over_batch(self.applies)
        num_rollouts, num_rewards = self.rewards.shape[-2:]
        return torch.full((num_rewards, 1), num_rollouts, dtype=self.dtype, device=self.rewards.device)

    def deviations(self) -> Deviations:
        """Each reward minus the mean of its group."""
        return Deviations.of(self.lanes, self.applies, self.groups, self.rounding_eps)

    def standardised(self, scale_rewards: bool = True) -> Tensor:
        """Lanes: the reward advantages z, for a method that needs nothing else of the deviations.

        Args:
            scale_rewards: divide by the standard deviation of the group.
        """
        deviations = self.deviations()
        if scale_rewards:
            return deviations.standardised(in_place=True)
        return deviations.in_units_of_the_rewards(in_place=True)

    def standardised_ranks(self, rewards: Sequence[int], scale_rewards: bool = True) -> Tensor:
        """Lanes of some rewards: as `standardised`, of the mid-rank of each score inside its group, not of the score.

        Args:
            rewards: which ones.
            scale_rewards: divide by the standard deviation of the ranks.
        """
        applies = None if self.applies is None else lanes_of(self.applies, rewards)
        ranks = centred_ranks(lanes_of(self.lanes, rewards), applies, self.groups, self.rounding_eps)
        if not scale_rewards:
            return ranks
        count = self.groups.total(torch.ones_like(ranks[..., :1, :]) if applies is None else applies)
        std = (self.groups.total(ranks.square()) / (count - 1).clamp_min(1)).sqrt_()
        return ranks.div_(self.groups.spread(std + STD_EPS))

    def standardised_total(self, scale_rewards: bool, weights: Tensor | None = None) -> Tensor:
        """Lanes without rewards: the weighted sum of the rewards that apply, standardised inside its group.

        Args:
            scale_rewards: divide by the standard deviation of the group.
            weights: (K, 1) None means those of the batch.
        """
        scores = self.lanes.to(self.dtype) * HEADROOM
        total = (self.weigh(scores) if weights is None else scores * weights).sum(REWARD_DIM, keepdim=True)
        present = None if self.applies is None else self.present.to(self.dtype).unsqueeze(REWARD_DIM)
        deviations = Deviations.of(total, present, self.groups, self.rounding_eps)
        if scale_rewards:
            return deviations.standardised(std_eps=STD_EPS * HEADROOM, in_place=True).squeeze(REWARD_DIM)
        return deviations.in_units_of_the_rewards(in_place=True).squeeze(REWARD_DIM) / HEADROOM

    def over_batch(self, lanes: Tensor) -> Tensor:
        """(K, 1), of a stack (S, K, 1): sum over all rollouts (or slots) of the batch."""
        return lanes.sum(-1, keepdim=True) if self.groups.index is not None else lanes.sum((0, -1)).unsqueeze(-1)

    def deviations_over_batch(self, scores: Tensor) -> Deviations:
        """Deviations of lanes from their mean over the batch, as if that were one group; its slots are (1, K, 1)."""

        def one_group(lanes: Tensor) -> Tensor:
            # In any order, but each reward in one piece of memory: reductions over rollouts are fast on that.
            rows = lanes if self.groups.index is not None else lanes.movedim(0, -2).flatten(-2)
            return rows.movedim(-1, 0).unsqueeze(-1)

        applies = None if self.applies is None else one_group(self.applies)
        return Deviations.of(one_group(scores), applies, Groups.of_one(self.rewards.shape[-2]), self.rounding_eps)

    def of_each_batch(self, function: Callable[..., Tensor], *lanes: Tensor, out: int = 0) -> Tensor:
        """A function of lanes that takes all rollouts together, which are those of one batch also in a stack.

        Args:
            function: of as many lanes.
            lanes: with or without rewards.
            out: dimension of S in the result of a stack.
        """
        if not self.groups.stacked:
            return function(*lanes)
        places = tuple(-3 if values.ndim == self.lanes.ndim else -2 for values in lanes)
        found: Tensor = torch.vmap(function, places, out)(*lanes)
        return found

    def whitened(self, values: Tensor, keep: Tensor, *, population: bool = False) -> Tensor:
        """Lanes without rewards: `whiten` of them, by tokens where the batch was asked for that.

        Args:
            values: lanes without rewards.
            keep: bool.
            population: as of `whiten`.
        """
        return self.of_each_batch(
            partial(whiten, token_counts=self.token_counts, population=population), values, keep, out=-2
        )

    def check_scores(self, bound: Tensor, name: str, side: Literal["least", "largest"]) -> None:
        """Raise if a score lies beyond the bound of its reward by more than rounding.

        Args:
            bound: (K, 1) NaN where a reward has none.
            name: of the option that gave it.
            side: which end of the scores it bounds.
        """
        slack = max(BOUND_TOLERANCE, self.rounding_eps) * bound.abs().clamp_min(1)
        # NaN, for no bound, has nothing beyond it.
        beyond = self.lanes < bound - slack if side == "least" else self.lanes > bound + slack
        if self.applies is not None:
            beyond = beyond & (self.applies > 0)
        if beyond.any():
            place = self.rows(beyond).nonzero()[0].tolist()
            row, reward = place[-2:]
            raise InvalidInputError(
                f"`{name}` must hold the {side} score that each reward can give: row {row} of `rewards`, reward "
                f"{reward}, is {float(self.rewards[tuple(place)]):g}, beyond the {float(bound[reward]):g} given. Pass "
                "the bound by the definition of the reward, not one that was seen."
            )

    def result(
        self,
        unwhitened: Tensor,
        *,
        reward_advantages: Tensor,
        components: Tensor | None = None,
        multipliers: Tensor | None = None,
        advantages: Tensor | None = None,
    ) -> AdvantageResult:
        """The result of a method that drops nothing.

        Args:
            unwhitened: lanes without rewards: the advantages before whitening.
            reward_advantages: lanes: z of `standardised`.
            components: lanes: what each reward adds to `unwhitened`; None where rewards are summed first.
            multipliers: as the method's docstring states them, in rows as callers see them.
            advantages: lanes without rewards, of a method with a last step of its own; None: `unwhitened`, whitened as
                the batch was asked for.
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
            advantages=advantages,
        )

    def keep_ratio(self, keep: Tensor) -> Tensor:
        """Lanes without rewards: kept rollouts / rollouts to which a reward applies, per group."""
        kept = self.groups.total(keep.to(self.dtype))
        ratio = self.groups.spread(kept / self.group_size.clamp_min(1))
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
        advantages: Tensor | None = None,
        loss_weight: Tensor | None = None,
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
            advantages: as in `result`.
            loss_weight: without rewards: what the loss of a rollout is to be multiplied by; None: by 1.
        """
        if advantages is None:
            advantages = unwhitened if self.whitening == "none" else self.whitened(unwhitened, keep)
        dtype = self.rewards.dtype
        parts = Parts(self.groups, dtype, self.present, unwhitened, components, factor, loss_weight)
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
