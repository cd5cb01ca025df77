"""Shares, rates and correlations of the whole log, each with what a bootstrap over groups says about it.

Every array here has the log itself as row 0 and one resample of its groups in each further row. So one formula gives an
estimate and its spread, and the share of rows in which a statement holds says how sure it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from gd2po.core.statistics import STATISTICS, share
from gd2po.core.tolerances import RETAINED_TOLERANCE, SHARE_ROUNDING
from gd2po.diagnosis.numbers.batch import Bools, Floats
from gd2po.diagnosis.numbers.sums import THRESHOLDS, BlockSums
from gd2po.report.intervals import Interval

RESAMPLES = 1000
FEWEST_RESAMPLES = 100
MOST_NUMBERS = 2**25
"""Sums of all resamples together; where rewards, and so their pairs, are very many, there are fewer resamples."""

INTERVAL = (2.5, 97.5)
"""Percentiles of the resamples: a 95 % interval."""

FEWEST_GROUPS = 8
"""With fewer groups no interval is given: the resamples would be too much alike."""


@dataclass(frozen=True)
class Estimates:
    """Sums of the log (row 0) and of its resamples: B rows, K rewards, P pairs, H thresholds."""

    sums: Mapping[str, Tensor]
    """Name -> (B, width)."""
    lost: Tensor
    """(B, H, 2K+1) what each threshold drops: |y|, its negative side, and the number of the conflicts."""
    num_groups: int

    @staticmethod
    def from_blocks(blocks: BlockSums, seed: int = 0) -> Estimates:
        """Resample the blocks."""
        used = blocks.used
        random = np.random.default_rng(seed)
        resamples = min(RESAMPLES, max(FEWEST_RESAMPLES, MOST_NUMBERS // blocks.values.shape[1]))
        drawn = random.multinomial(used, np.full(used, 1 / used), size=resamples).astype(np.float64)
        weights = torch.from_numpy(np.concatenate([np.ones((1, used)), drawn]))
        totals = weights @ blocks.values[:used]
        by_threshold = blocks.lost_by_threshold()
        lost = weights @ by_threshold.reshape(used, -1)
        return Estimates(
            sums={name: totals[:, columns] for name, columns in blocks.columns.items()},
            lost=lost.reshape(len(weights), *by_threshold.shape[1:]),
            num_groups=blocks.num_groups,
        )

    def total(self, name: str) -> Floats:
        """(width,) a sum over the whole log."""
        return np.asarray(self.sums[name][0].numpy())

    def statistic(self, name: str) -> Floats:
        """(B, width) a statistic of the core that no filter changes."""
        return np.asarray(STATISTICS[name].of(self.sums).numpy())

    @cached_property
    def conflict_rate(self) -> Floats:
        """(B,) share of the rollouts whose rewards conflict."""
        return np.asarray(self.statistic("conflict_rate")[:, 0])

    @cached_property
    def cancellation(self) -> Floats:
        """(B,) share of the signal that is lost when the rewards are added up."""
        return np.asarray(self.statistic("cancellation")[:, 0])

    @cached_property
    def pair_conflict_rate(self) -> Floats:
        """(B, P) share of the rollouts in which the two rewards have opposite signs."""
        return self.statistic("pairwise_conflict_rate")

    @cached_property
    def correlation(self) -> Floats:
        """(B, P) in-group correlation."""
        return self.statistic("correlation")

    @cached_property
    def retained(self) -> Floats:
        """(B, H, K) share of each reward's signal that a threshold keeps."""
        return self._at_thresholds("retained")

    @cached_property
    def retained_negative(self) -> Floats:
        """(B, H, K) the same for its penalties alone."""
        return self._at_thresholds("retained_negative")

    @cached_property
    def filtered_rate(self) -> Floats:
        """(B, H) share of the rollouts that a threshold drops."""
        return np.asarray(self._at_thresholds("filtered_rate")[..., 0])

    @property
    def dropped(self) -> Floats:
        """(B, H) number of the rollouts that a threshold drops."""
        return np.asarray(self.lost[..., -1].numpy())

    def _at_thresholds(self, name: str) -> Floats:
        """(B, H, width) a statistic of the core under the filter of each threshold."""
        whole = {"magnitude": "kept_magnitude", "penalty": "kept_penalty", "rollouts": "kept"}
        terms = {term: self.sums[term].unsqueeze(1) for term in whole}
        lost = torch.split(self.lost, [terms[term].shape[-1] for term in whole], dim=-1)
        for (term, kept), gone in zip(whole.items(), lost, strict=True):
            rest = terms[term] - gone
            # All of a sum is lost where the rest is rounding.
            terms[kept] = torch.where(rest > RETAINED_TOLERANCE * terms[term], rest, 0.0)
        return np.asarray(STATISTICS[name].of(terms).numpy())

    @cached_property
    def zero_signal_rate(self) -> Floats:
        """(B,) share of the groups in which no reward tells any rollout from another."""
        return np.asarray(self.statistic("zero_signal_group_rate")[:, 0])

    @cached_property
    def wrongly_dropped_rate(self) -> Floats:
        """(B,) share of the groups in which some reward varies and the sum of the rewards does not."""
        terms = {"cancelled_groups": self.sums["sum_cancelled_groups"], "groups": self.sums["groups"]}
        return np.asarray(STATISTICS["cancelled_group_rate"].of(terms)[:, 0].numpy())

    def voice(self, name: str) -> Floats:
        """(B, K) share of each reward in the advantage's variance: "voice" for GDPO, "sum_voice" for GRPO."""
        return np.asarray(share(self.sums[name], self.sums[name].sum(1, keepdim=True)).numpy())

    @cached_property
    def constant_groups(self) -> Floats:
        """(B, K) share of the groups in which each reward is constant."""
        return np.asarray(share(self.sums["constant_groups"], self.sums["scored_groups"]).numpy())

    def largest_threshold(self, min_retained: float) -> Floats:
        """(B,) largest threshold on the grid 0, 0.02, ..., 1 at which every reward keeps that share on both sides."""
        both = np.concatenate([self.retained, self.retained_negative], axis=2)[:, ::2]
        enough = np.asarray(np.nan_to_num(both, nan=1.0).min(2) >= min_retained - SHARE_ROUNDING)
        # What is kept only falls with the threshold, so the last True is where the count of them ends.
        return np.asarray(THRESHOLDS[::2][enough.sum(1) - 1])

    def interval(self, values: Floats) -> Interval:
        """An estimate (B,) with its 95 % interval."""
        value = None if np.isnan(values[0]) else float(values[0])
        resampled = values[1:][~np.isnan(values[1:])]
        if self.num_groups < FEWEST_GROUPS or not len(resampled):
            return Interval(value, None, None)
        low, high = np.percentile(resampled, INTERVAL)
        return Interval(value, float(low), float(high))

    def intervals(self, values: Floats) -> list[Interval]:
        """An estimate (B, P) for each of many, at once where none is undefined."""
        bounds = np.percentile(values[1:], INTERVAL, axis=0).T
        return [
            Interval(float(value), *pair)
            if self.num_groups >= FEWEST_GROUPS and not np.isnan([value, *pair]).any()
            else self.interval(column)
            for value, pair, column in zip(values[0], bounds.tolist(), values.T, strict=True)
        ]

    def sureness(self, holds: Bools) -> float | None:
        """Share of the resamples in which something (B,) holds; None with too few groups to tell."""
        if self.num_groups < FEWEST_GROUPS:
            return None
        return float(holds[1:].mean())
