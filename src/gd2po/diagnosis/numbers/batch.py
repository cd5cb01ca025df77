"""What the core says about one chunk of groups, ready for sums over groups and steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gd2po.core import AdvantageResult, gd2po_advantages, grpo_advantages
from gd2po.core.methods.grpo import grpo_components
from gd2po.core.statistics import TERMS, Signals
from gd2po.core.tolerances import SNR_EPS, SNR_ROUNDING
from gd2po.logs.grouping import Chunk

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]

_CORE_TERMS = (
    "rollouts", "conflicts", "snr", "combined", "magnitude", "penalty", "pair_conflicts", "pair_products",
    "pair_power_first", "pair_power_second", "groups", "silent_groups",
)  # fmt: skip
"""Terms of the core that do not depend on a method, since nothing is dropped here."""


@dataclass(frozen=True)
class Batch:
    """N rollouts in Q groups in M steps, one after the other; K rewards, P pairs."""

    rewards: Floats
    """(N, K) as the reward functions gave them; NaN where a reward does not apply."""
    seen: Floats
    """(N, K) as the method sees them: the same, unless conditions of the run hold some back."""
    steps: Indices
    """(M,) their numbers."""
    lengths: Floats
    """(N,) NaN where unknown."""
    places: Indices
    """(N,)"""
    group_starts: Indices
    """(Q,)"""
    step_starts: Indices
    """(M,)"""
    signals: Signals
    """Of the rewards standardised one by one, without filter, query weight or whitening."""
    summed: AdvantageResult
    """Of their sum standardised: GRPO."""
    sum_components: Tensor
    """(N, K) what each reward adds to the GRPO advantage."""

    @staticmethod
    def from_chunk(
        chunk: Chunk,
        weights: Sequence[float],
        *,
        scale_rewards: bool = True,
        snr_eps: float = SNR_EPS,
        condition: Callable[[Tensor], Tensor] | None = None,
    ) -> Batch:
        """The batch of a chunk, computed by the core.

        Args:
            chunk: whole groups.
            weights: K numbers.
            scale_rewards: of the run.
            snr_eps: of the run.
            condition: of the run: what a method sees of rewards (N, K).
        """
        rows = chunk.rows
        sizes = np.diff(np.append(chunk.group_starts, len(rows)))
        group_ids = torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes))
        given = torch.from_numpy(np.ascontiguousarray(rows.rewards))
        rewards = given if condition is None else condition(given)
        reward_weights = torch.tensor(weights, dtype=torch.float64)
        # What methods and steps differ in, filter, query weight and whitening, is left out here.
        result = gd2po_advantages(
            rewards,
            group_ids,
            reward_weights=reward_weights,
            filtering="none",
            query_reweighting=False,
            whitening="none",
            scale_rewards=scale_rewards,
            snr_eps=snr_eps,
        )
        as_given = rows.rewards.astype(np.float64)
        return Batch(
            rewards=as_given,
            seen=as_given if condition is None else rewards.double().numpy(),
            steps=rows.steps[chunk.step_starts],
            lengths=rows.lengths,
            places=rows.places,
            group_starts=chunk.group_starts,
            step_starts=chunk.step_starts,
            signals=Signals.of(rewards, group_ids, result, reward_weights=reward_weights),
            summed=grpo_advantages(rewards, group_ids, reward_weights=reward_weights),
            sum_components=grpo_components(rewards, group_ids, reward_weights=reward_weights),
        )

    @cached_property
    def steps_of_groups(self) -> Indices:
        """(Q,) index of the step of each group."""
        return np.searchsorted(self.step_starts, self.group_starts, side="right") - 1

    @cached_property
    def group_sizes(self) -> Indices:
        """(Q,) rollouts."""
        return np.diff(np.append(self.group_starts, len(self.places)))

    @cached_property
    def step_sizes(self) -> Indices:
        """(M,) rollouts."""
        return np.diff(np.append(self.step_starts, len(self.places)))

    def per_group(self, values: Floats | Bools) -> Floats:
        """Sums over groups: (N, ...) -> (Q, ...)."""
        return np.asarray(np.add.reduceat(values, self.group_starts, axis=0, dtype=np.float64))

    def per_step(self, values: Floats | Bools) -> Floats:
        """Sums over steps: (N, ...) -> (M, ...)."""
        return np.asarray(np.add.reduceat(values, self.step_starts, axis=0, dtype=np.float64))

    def spread_groups(self, values: Floats) -> Floats:
        """(Q, ...) -> (N, ...)."""
        return np.repeat(values, self.group_sizes, axis=0)

    def spread_steps(self, values: Floats) -> Floats:
        """(M, ...) -> (N, ...)."""
        return np.repeat(values, self.step_sizes, axis=0)

    @cached_property
    def applies(self) -> Bools:
        """(N, K) the reward applies to the rollout, as its function gave it."""
        return ~np.isnan(self.rewards)

    @cached_property
    def scored(self) -> Bools:
        """(N, K) the reward applies to the rollout, as the method sees it."""
        return np.asarray(self.signals.applies.numpy())

    @cached_property
    def scores(self) -> Floats:
        """(N,) agreement scores, those of conflicts lowered by their rounding."""
        result = self.signals.result
        snr = result.snr.double()
        return np.asarray(torch.where(result.conflict_mask, (snr - SNR_ROUNDING).clamp_min(0), snr).numpy())

    @cached_property
    def terms(self) -> dict[str, Floats]:
        """Per rollout, each (N, width): the core's terms, and those that only the report needs."""
        of_sum = replace(self.signals, result=self.summed)
        return {
            **{name: TERMS[name](self.signals).numpy() for name in _CORE_TERMS},
            "sum_cancelled_groups": TERMS["cancelled_groups"](of_sum).numpy(),
            "applies": self.applies.astype(np.float64),
            "reward": np.where(self.applies, self.rewards, 0),
            # Advantages have mean 0 in every group, so their products with what a reward adds are covariances.
            "voice": (self.signals.weighted * self.signals.result.unwhitened[:, None]).numpy(),
            "sum_voice": (self.sum_components * self.summed.unwhitened[:, None]).double().numpy(),
        }

    @cached_property
    def group_sums(self) -> dict[str, Floats]:
        """Sums of each group, each (Q, width), from which every share and mean of the report follows."""
        sums = {name: self.per_group(values) for name, values in self.terms.items()}
        count = self.per_group(self.scored)
        scored = count >= 2
        strength = self.signals.reward_advantages.abs().numpy()
        silent = np.maximum.reduceat(strength, self.group_starts, axis=0) == 0
        return {
            **sums,
            "scored_groups": scored.astype(np.float64),
            "constant_groups": (scored & silent).astype(np.float64),
            "spread": np.where(scored & ~silent, self._group_std(count), 0),
        }

    def _group_std(self, count: Floats) -> Floats:
        """(Q, K) unbiased standard deviation of each reward inside each group."""
        mean = self.per_group(np.where(self.scored, self.seen, 0)) / np.maximum(count, 1)
        deviation = np.where(self.scored, self.seen - self.spread_groups(mean), 0)
        return np.asarray(np.sqrt(self.per_group(deviation * deviation) / np.maximum(count - 1, 1)))
