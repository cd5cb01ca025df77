"""The rollouts that families are looked for on, with ranks, correlations and resamples.

They are of evenly spaced steps, so their number is bounded. N rollouts, K rewards, B rows: the sample itself and its
resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from gd2po.core.batch import RewardBatch
from gd2po.diagnosis.numbers.batch import Bools, Floats, Indices
from gd2po.diagnosis.numbers.estimates import FEWEST_GROUPS, INTERVAL, RESAMPLES
from gd2po.diagnosis.numbers.sample import Step
from gd2po.diagnosis.numbers.sums import BLOCKS
from gd2po.report.intervals import Interval

MOST_ROLLOUTS = 2**16
MOST_NUMBERS = 2**22
"""Rollouts times rewards."""


@dataclass(frozen=True)
class FamilySample:
    """Rollouts of evenly spaced steps, group by group."""

    rewards: Tensor
    """(N, K) as a method sees them."""
    group_ids: Tensor
    """(N,) rising."""
    weights: Tensor
    """(K,)"""
    places: Indices
    """(N,) where the log has them."""
    steps: Indices
    """(N,)"""

    @staticmethod
    def of(steps: Sequence[Step], weights: Sequence[float]) -> FamilySample:
        """The sample of some steps of a log; at least one of them."""
        most = min(MOST_ROLLOUTS, MOST_NUMBERS // steps[0].rewards.shape[1])
        stride = -(-sum(len(step.rewards) for step in steps) // most)
        chosen = steps[:: max(1, stride)]
        offset, ids = 0, []
        for step in chosen:
            ids.append(step.group_ids + offset)
            offset += int(step.group_ids.max()) + 1
        group_ids = torch.cat(ids)
        if len(group_ids) > most:  # whole groups of a large step, one at least
            group_ids = group_ids[: int((group_ids < max(1, int(group_ids[most]))).sum())]
        count = len(group_ids)
        return FamilySample(
            torch.cat([step.rewards for step in chosen])[:count],
            group_ids,
            torch.tensor(weights, dtype=torch.float64),
            np.concatenate([step.places for step in chosen])[:count],
            np.concatenate([np.full(len(step.rewards), step.number) for step in chosen])[:count],
        )

    @cached_property
    def applies(self) -> Floats:
        """(N, K) 1 where a reward with a weight applies."""
        return np.asarray((~self.rewards.isnan() & (self.weights != 0)).double().numpy())

    @cached_property
    def _batch(self) -> RewardBatch:
        return RewardBatch.from_input(self.rewards.double(), self.group_ids, self.weights)

    @cached_property
    def ranks(self) -> Floats:
        """(N, K) mid-ranks inside the group, standardised, the better the higher; 0 where a reward does not apply."""
        batch = self._batch
        return np.asarray(batch.rows(batch.sign(batch.standardised_ranks(range(batch.num_rewards)))).numpy())

    @cached_property
    def deviations(self) -> Floats:
        """(N, K) from the mean of the group, each reward on the scale of its own over the sample."""
        batch = self._batch
        rows = np.asarray(batch.rows(batch.sign(batch.standardised(scale_rewards=False))).numpy())
        rms = np.sqrt((rows**2).sum(0) / np.maximum(self.applies.sum(0), 1))
        return np.asarray(rows / np.where(rms > 0, rms, 1))

    @cached_property
    def _blocks(self) -> Indices:
        """(N,) the block of each rollout: its group, or one of `BLOCKS` where groups are more."""
        return np.asarray(self.group_ids.numpy() % BLOCKS)

    @cached_property
    def _draws(self) -> Floats:
        """(B, blocks) how often each block is in the sample, and in each resample."""
        used = int(self._blocks.max()) + 1
        drawn = np.random.default_rng(0).multinomial(used, np.full(used, 1 / used), size=RESAMPLES)
        return np.concatenate([np.ones((1, used)), drawn])

    @property
    def can_tell(self) -> bool:
        """Whether there are groups enough for a bootstrap."""
        return int(self.group_ids[-1]) + 1 >= FEWEST_GROUPS

    def totals(self, *values: Floats) -> list[Floats]:
        """(B,) sums over the rollouts of each of some (N,) values."""
        count = self._draws.shape[1]
        by_block = np.stack([np.bincount(self._blocks, value, count) for value in values], axis=1)
        return list((self._draws @ by_block).T)

    def correlation(self, j: int, k: int) -> Floats:
        """(B,) in-group correlation of the ranks of two rewards."""
        if (j, k) not in self._correlations:
            self._correlations[j, k] = self._correlate(j, k)
        return self._correlations[j, k]

    @cached_property
    def _correlations(self) -> dict[tuple[int, int], Floats]:
        """Those that have been asked for: pairs of a family are asked for twice."""
        return {}

    def _correlate(self, j: int, k: int) -> Floats:
        both = self.applies[:, j] * self.applies[:, k]
        first, second = self.ranks[:, j] * both, self.ranks[:, k] * both
        products, power_first, power_second = self.totals(first * second, first**2, second**2)
        power = np.sqrt(power_first * power_second)
        return np.divide(products, power, out=np.full_like(power, np.nan), where=power > 0)

    def shared_ranks(self, j: int, k: int) -> tuple[Floats, Floats, Indices]:
        """(n,) ranks of two rewards and groups of the rollouts to which both apply."""
        both = self.applies[:, j] * self.applies[:, k] > 0
        return self.ranks[both, j], self.ranks[both, k], np.asarray(self.group_ids.numpy()[both])

    def interval(self, values: Floats) -> Interval:
        """An estimate (B,) with its 95 % interval."""
        value = None if np.isnan(values[0]) else float(values[0])
        known = values[1:][~np.isnan(values[1:])]
        if value is None or not self.can_tell or not len(known):
            return Interval(value, None, None)
        return Interval(value, *np.percentile(known, INTERVAL).tolist())

    def sureness(self, holds: Bools) -> float | None:
        """Share of the resamples in which something (B,) holds; None with too few groups to tell."""
        return float(holds[1:].mean()) if self.can_tell else None
