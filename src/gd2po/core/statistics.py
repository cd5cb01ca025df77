"""What filtering does to each reward: every statistic as terms and a ratio.

A statistic of any set of rollouts, a batch, a log or a bootstrap sample of its groups, is a ratio of sums over its
rollouts. `TERMS` holds what is summed, `STATISTICS` the ratios. The trainer, the diagnosis and the comparison all take
both from here; `diagnose_batch` computes all of them for one result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from gd2po.core import checks
from gd2po.core.batch import Weights
from gd2po.core.correlations import correlation_ratio
from gd2po.core.groups import Groups, compute_dtype
from gd2po.core.result import AdvantageResult
from gd2po.core.tolerances import SIGN_TOLERANCE
from gd2po.errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class Signals:
    """What the statistics of a batch are computed from: N rollouts, K rewards, P pairs of rewards."""

    weighted: Tensor
    """(N, K) weighted reward advantages y; 0 where a reward does not apply."""
    reward_advantages: Tensor
    """(N, K) z."""
    applies: Tensor
    """(N, K) bool."""
    result: AdvantageResult
    group_share: Tensor
    """(N,) 1 / rollouts of the group."""
    silent: Tensor
    """(N,) bool: no reward tells any rollout of the group from another."""

    @staticmethod
    def of(rewards: Tensor, group_ids: Tensor, result: AdvantageResult, *, reward_weights: Weights = None) -> Signals:
        """The signals of a result; arguments as of `diagnose_batch`."""
        rewards = checks.check_rewards(rewards)
        group_ids = checks.check_group_ids(group_ids, rewards)
        weights = checks.check_reward_weights(reward_weights, rewards)
        if result.reward_advantages.shape != rewards.shape:
            raise InvalidInputError(
                f"`result` must come from these `rewards`: expected advantages of shape {tuple(rewards.shape)}, got "
                f"{tuple(result.reward_advantages.shape)}."
            )
        reward_advantages = result.reward_advantages.to(compute_dtype(rewards.device))
        weighted = reward_advantages if weights is None else reward_advantages * weights
        groups = Groups.from_ids(group_ids)
        strongest = groups.to_lanes(weighted.abs().amax(1))
        size = groups.total(torch.ones_like(strongest))
        return Signals(
            weighted=weighted,
            reward_advantages=reward_advantages,
            applies=rewards.isnan().logical_not_(),
            result=result,
            group_share=groups.from_lanes((1 / groups.spread(size)).expand_as(strongest).contiguous()),
            silent=groups.from_lanes((groups.spread(groups.largest(strongest)) == 0).expand_as(strongest).contiguous()),
        )

    @cached_property
    def present(self) -> Tensor:
        """(N,) bool: some reward with a weight applies. All others are out of every share and mean of rollouts."""
        return self.result.present_mask

    @cached_property
    def pairs(self) -> tuple[Tensor, Tensor]:
        """(P,) first and (P,) second reward of each pair."""
        first, second = pair_indices(self.weighted.shape[1]).to(self.weighted.device).unbind()
        return first, second

    @cached_property
    def opposite(self) -> Tensor:
        """(N, P) bool: the two rewards have opposite signs."""
        first, second = self.pairs
        positive, negative = self.weighted > SIGN_TOLERANCE, self.weighted < -SIGN_TOLERANCE
        return (positive[:, first] & negative[:, second]) | (negative[:, first] & positive[:, second])


def pair_indices(num_rewards: int) -> Tensor:
    """(2, P) the pairs of K rewards, in the order of all statistics per pair.

    Example:
        >>> pair_indices(3)
        tensor([[0, 0, 1],
                [1, 2, 2]])
    """
    return torch.triu_indices(num_rewards, num_rewards, offset=1)


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.dtype)[:, None]


def _pair_power(signals: Signals, reward: Tensor, other: Tensor) -> Tensor:
    return signals.weighted[:, reward].square() * signals.applies[:, other]


TERMS: Mapping[str, Callable[[Signals], Tensor]] = MappingProxyType({
    "rollouts": lambda s: _column(s.present, s.weighted),
    "conflicts": lambda s: _column(s.result.conflict_mask, s.weighted),
    "kept": lambda s: _column(s.result.keep_mask, s.weighted),
    "keep_ratio": lambda s: _column(s.result.keep_ratio * s.present, s.weighted),
    "snr": lambda s: _column(s.result.snr * s.present, s.weighted),
    "combined": lambda s: s.weighted.sum(1, keepdim=True).abs(),
    "magnitude": lambda s: s.weighted.abs(),
    "penalty": lambda s: s.weighted.clamp(max=0).neg(),
    "kept_magnitude": lambda s: s.weighted.abs() * s.result.keep_mask[:, None],
    "kept_penalty": lambda s: s.weighted.clamp(max=0).neg() * s.result.keep_mask[:, None],
    "aligned": lambda s: s.reward_advantages * _column(s.result.loss_advantages, s.weighted),
    "pair_conflicts": lambda s: s.opposite.to(s.weighted.dtype),
    "pair_products": lambda s: s.weighted[:, s.pairs[0]] * s.weighted[:, s.pairs[1]],
    "pair_power_first": lambda s: _pair_power(s, *s.pairs),
    "pair_power_second": lambda s: _pair_power(s, *s.pairs[::-1]),
    "groups": lambda s: s.group_share[:, None],
    "silent_groups": lambda s: (s.group_share * s.silent)[:, None],
    "cancelled_groups": lambda s: (s.group_share * (~s.silent & ~s.result.signal_mask))[:, None],
})  # fmt: skip
"""What is summed, by name: signals of N rollouts -> (N, width), the width 1, K or P."""


@dataclass(frozen=True)
class Statistic:
    """A ratio of sums of terms."""

    per: Literal["batch", "reward", "pair"]
    terms: tuple[str, ...]
    ratio: Callable[..., Tensor]
    """Sums of the terms, each (..., width) -> (..., 1), (..., K) or (..., P); NaN where undefined."""

    def of(self, sums: Mapping[str, Tensor]) -> Tensor:
        """The statistic from sums of its terms by name."""
        return self.ratio(*(sums[name] for name in self.terms))


def share(part: Tensor, whole: Tensor) -> Tensor:
    """The quotient of two sums, NaN where there is nothing to divide by.

    Example:
        >>> share(torch.tensor([1.0, 0.0]), torch.tensor([4.0, 0.0]))
        tensor([0.2500,    nan])
    """
    return torch.where(whole > 0, part / whole, torch.nan)


def _missing_share(part: Tensor, whole: Tensor) -> Tensor:
    return 1 - share(part, whole)


def _cancellation(combined: Tensor, magnitude: Tensor) -> Tensor:
    return 1 - share(combined, magnitude.sum(-1, keepdim=True))


STATISTICS: Mapping[str, Statistic] = MappingProxyType({
    "conflict_rate": Statistic("batch", ("conflicts", "rollouts"), share),
    "filtered_rate": Statistic("batch", ("kept", "rollouts"), _missing_share),
    "keep_ratio_mean": Statistic("batch", ("keep_ratio", "rollouts"), share),
    "snr_mean": Statistic("batch", ("snr", "rollouts"), share),
    "cancellation": Statistic("batch", ("combined", "magnitude"), _cancellation),
    "zero_signal_group_rate": Statistic("batch", ("silent_groups", "groups"), share),
    "cancelled_group_rate": Statistic("batch", ("cancelled_groups", "groups"), share),
    "retained": Statistic("reward", ("kept_magnitude", "magnitude"), share),
    "retained_negative": Statistic("reward", ("kept_penalty", "penalty"), share),
    "alignment": Statistic("reward", ("aligned", "rollouts"), share),
    "correlation": Statistic("pair", ("pair_products", "pair_power_first", "pair_power_second"), correlation_ratio),
    "pairwise_conflict_rate": Statistic("pair", ("pair_conflicts", "rollouts"), share),
})  # fmt: skip
"""Every statistic by name; `BatchDiagnostics` says what each one means."""


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
    """() share of the signal that is lost when the weighted rewards are added up: `1 - sum |s| / sum sum_k |y_k|`."""
    zero_signal_group_rate: Tensor
    """() share of the groups in which no reward tells any rollout from another. Judged on the reward vector: where
    rewards cancel, a group whose sum is constant still carries signal."""
    cancelled_group_rate: Tensor
    """() share of the groups in which some reward varies and the method leaves no signal."""
    retained: Tensor
    """(K,) share of each reward's signal that is kept, `sum over kept |y_k| / sum over all |y_k|`; NaN for a reward
    without signal."""
    retained_negative: Tensor
    """(K,) the same for its penalties, the negative y_k, alone."""
    alignment: Tensor
    """(K,) mean over rollouts of `z_k * advantage`: positive where the update raises the reward. It flatters every
    filter, since what is kept agrees by construction: read it beside `retained`."""
    correlation: Tensor
    """(K, K) in-group correlation of each pair of rewards; NaN where undefined."""
    pairwise_conflict_rate: Tensor
    """(K, K) share of the rollouts in which the two rewards have opposite signs."""


def diagnose_batch(
    rewards: Tensor, group_ids: Tensor, result: AdvantageResult, *, reward_weights: Weights = None
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
    signals = Signals.of(rewards, group_ids, result, reward_weights=reward_weights)
    sums = {name: term(signals).sum(0) for name, term in TERMS.items()}
    values = {name: statistic.of(sums) for name, statistic in STATISTICS.items()}
    has_signal = torch.where(sums["magnitude"] > 0, 1.0, torch.nan)
    matrices = {
        "correlation": _symmetric(values["correlation"], has_signal),
        "pairwise_conflict_rate": _symmetric(values["pairwise_conflict_rate"], torch.zeros_like(has_signal)),
    }
    scalars = {name: value.squeeze(0) for name, value in values.items() if STATISTICS[name].per == "batch"}
    return BatchDiagnostics(**{**values, **scalars, **matrices})


def _symmetric(pairs: Tensor, diagonal: Tensor) -> Tensor:
    """(P,) values of pairs and (K,) on the diagonal -> (K, K)."""
    first, second = pair_indices(len(diagonal)).to(pairs.device).unbind()
    matrix = diagonal.to(pairs.dtype).diag()
    matrix[first, second] = pairs
    matrix[second, first] = pairs
    return matrix


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
