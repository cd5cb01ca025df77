"""What the core says about one chunk of groups, as numpy arrays that are ready for sums over groups and steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from gd2po.core import gd2po_advantages, grpo_advantages
from gd2po.core.conflicts import agreement_snr, conflict_mask
from gd2po.core.tolerances import SIGN_TOLERANCE, SNR_ROUNDING
from gd2po.logs.grouping import Chunk

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """N rollouts in Q groups in S steps, one after the other; K rewards, P pairs."""

    rewards: Floats
    """(N, K) NaN where a reward does not apply."""
    weights: Floats
    """(K,)"""
    steps: Indices
    """(S,) their numbers."""
    lengths: Floats
    """(N,) NaN where unknown."""
    places: Indices
    """(N,)"""
    group_starts: Indices
    """(Q,)"""
    step_starts: Indices
    """(S,)"""
    reward_advantages: Floats
    """(N, K) z"""
    weighted: Floats
    """(N, K) y"""
    conflicts: Bools
    """(N,)"""
    snr: Floats
    """(N,) 1 where no signs are mixed."""
    grpo: Floats
    """(N,) GRPO advantages."""

    @staticmethod
    def from_chunk(chunk: Chunk, weights: Sequence[float]) -> Batch:
        """The batch of a chunk, computed by the core."""
        rows = chunk.rows
        sizes = np.diff(np.append(chunk.group_starts, len(rows)))
        group_ids = torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes))
        rewards = torch.from_numpy(np.ascontiguousarray(rows.rewards))
        # Nothing is filtered or whitened here: those are the parts that differ between methods and steps.
        result = gd2po_advantages(
            rewards,
            group_ids,
            filtering="none",
            query_reweighting=False,
            whitening="none",
            reward_weights=list(weights),
        )
        reward_advantages = result.reward_advantages.double()
        weighted = reward_advantages * torch.tensor(weights, dtype=torch.float64)
        snr = agreement_snr(weighted)
        conflicts = conflict_mask(weighted)
        return Batch(
            rewards=rows.rewards.astype(np.float64),
            weights=np.asarray(weights, dtype=np.float64),
            steps=rows.steps[chunk.step_starts],
            lengths=rows.lengths,
            places=rows.places,
            group_starts=chunk.group_starts,
            step_starts=chunk.step_starts,
            reward_advantages=reward_advantages.numpy(),
            weighted=weighted.numpy(),
            conflicts=conflicts.numpy(),
            snr=torch.where(conflicts, (snr - SNR_ROUNDING).clamp_min(0), snr).numpy(),
            grpo=grpo_advantages(rewards, group_ids, reward_weights=list(weights)).advantages.double().numpy(),
        )

    @cached_property
    def applies(self) -> Bools:
        """(N, K) the reward applies to the rollout."""
        return ~np.isnan(self.rewards)

    @cached_property
    def present(self) -> Bools:
        """(N,) some reward with a weight applies."""
        return np.asarray((self.applies & (self.weights != 0)).any(1))

    @cached_property
    def magnitude(self) -> Floats:
        """(N, 2K) |y|, then its negative side alone."""
        return np.concatenate([np.abs(self.weighted), np.maximum(-self.weighted, 0)], axis=1)

    @cached_property
    def total(self) -> Floats:
        """(N,) s, the sum of the weighted reward advantages."""
        return np.asarray(self.weighted.sum(1))

    @cached_property
    def steps_of_groups(self) -> Indices:
        """(Q,) index of the step of each group."""
        return np.searchsorted(self.step_starts, self.group_starts, side="right") - 1

    @cached_property
    def group_sizes(self) -> Indices:
        """(Q,) rollouts."""
        return np.diff(np.append(self.group_starts, len(self.snr)))

    @cached_property
    def step_sizes(self) -> Indices:
        """(S,) rollouts."""
        return np.diff(np.append(self.step_starts, len(self.snr)))

    def per_group(self, values: Floats | Bools) -> Floats:
        """Sums over groups: (N, ...) -> (Q, ...)."""
        return np.asarray(np.add.reduceat(values, self.group_starts, axis=0, dtype=np.float64))

    def per_step(self, values: Floats | Bools) -> Floats:
        """Sums over steps: (N, ...) -> (S, ...)."""
        return np.asarray(np.add.reduceat(values, self.step_starts, axis=0, dtype=np.float64))

    def spread_groups(self, values: Floats) -> Floats:
        """(Q, ...) -> (N, ...)."""
        return np.repeat(values, self.group_sizes, axis=0)

    def spread_steps(self, values: Floats) -> Floats:
        """(S, ...) -> (N, ...)."""
        return np.repeat(values, self.step_sizes, axis=0)

    @cached_property
    def group_sums(self) -> dict[str, Floats]:
        """Sums of each group, each (Q, width), from which every share and mean of the report follows."""
        y, z, applies = self.weighted, self.reward_advantages, self.applies
        pairs = list(combinations(range(y.shape[1]), 2))
        first, second = [j for j, _ in pairs], [k for _, k in pairs]
        positive, negative = y > SIGN_TOLERANCE, y < -SIGN_TOLERANCE
        opposite = (positive[:, first] & negative[:, second]) | (negative[:, first] & positive[:, second])
        squares = y * y
        filled = np.where(applies, self.rewards, 0)
        count = self.per_group(applies)
        scored = count >= 2
        silent = np.maximum.reduceat(np.abs(z), self.group_starts, axis=0) == 0
        vector_silent = np.maximum.reduceat(np.abs(y).max(1), self.group_starts) == 0
        sum_silent = np.maximum.reduceat(np.abs(self.grpo), self.group_starts) == 0
        return {
            "groups": np.ones((len(self.group_starts), 1)),
            "single_groups": (self.group_sizes == 1)[:, None].astype(np.float64),
            "rollouts": self.per_group(self.present)[:, None],
            "conflicts": self.per_group(self.conflicts)[:, None],
            "snr": self.per_group(self.snr * self.present)[:, None],
            "combined": self.per_group(np.abs(self.total))[:, None],
            "silent_groups": vector_silent[:, None].astype(np.float64),
            "sum_silent_groups": sum_silent[:, None].astype(np.float64),
            "wrongly_dropped_groups": (sum_silent & ~vector_silent)[:, None].astype(np.float64),
            "pair_conflicts": self.per_group(opposite),
            "pair_products": self.per_group(y[:, first] * y[:, second]),
            "pair_power_first": self.per_group(squares[:, first] * applies[:, second]),
            "pair_power_second": self.per_group(squares[:, second] * applies[:, first]),
            "applies": count,
            "reward": self.per_group(filled),
            "scored_groups": scored.astype(np.float64),
            "constant_groups": (scored & silent).astype(np.float64),
            "spread": np.where(scored & ~silent, self._group_std(filled, count), 0),
            "magnitude": self.per_group(self.magnitude),
            "voice": self.per_group(y * self.total[:, None]),
            "grpo_voice": self.per_group(self.grpo_contributions * self.grpo[:, None]),
        }

    @cached_property
    def grpo_contributions(self) -> Floats:
        """(N, K) the weighted rewards over the standard deviation of their group's sum: parts of the GRPO advantage."""
        weighted = np.where(self.applies, self.rewards, 0) * self.weights
        sizes = np.maximum(self.per_group(self.present), 1)
        # Centred for precision only: the advantage has mean 0 in each group, so a constant would not count.
        centred = (weighted - self.spread_groups(self.per_group(weighted) / sizes[:, None])) * self.present[:, None]
        squares = self.per_group(self.grpo * self.grpo)
        spread = self.per_group(self.grpo * centred.sum(1))  # = (std + eps) * squares
        scale = np.divide(squares, spread, out=np.zeros_like(squares), where=spread > 0)
        return np.asarray(centred * self.spread_groups(scale)[:, None])

    def _group_std(self, filled: Floats, count: Floats) -> Floats:
        """(Q, K) unbiased standard deviation of each reward inside each group."""
        mean = self.per_group(filled) / np.maximum(count, 1)
        deviation = np.where(self.applies, filled - self.spread_groups(mean), 0)
        return np.asarray(np.sqrt(self.per_group(deviation * deviation) / np.maximum(count - 1, 1)))
