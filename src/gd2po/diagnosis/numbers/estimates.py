"""Shares, rates and correlations of the whole log, each with what a bootstrap over groups says about it.

Every array here has the log itself as row 0 and one resample of its groups in each further row. So one formula gives an
estimate and its spread, and the share of rows in which a statement holds says how sure it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gd2po.core.tolerances import SHARE_ROUNDING
from gd2po.diagnosis.numbers.batch import Bools, Floats
from gd2po.diagnosis.numbers.sums import THRESHOLDS, BlockSums
from gd2po.report.intervals import Interval

RESAMPLES = 1000
INTERVAL = (2.5, 97.5)
"""Percentiles of the resamples: a 95 % interval."""

FEWEST_GROUPS = 8
"""With fewer groups no interval is given: the resamples would be too much alike."""


@dataclass(frozen=True)
class Estimates:
    """Sums of the log (row 0) and of its resamples: R rows, K rewards, P pairs, T thresholds."""

    sums: dict[str, Floats]
    """Name -> (R, width)."""
    lost: Floats
    """(R, T, 2K+1) what each threshold drops."""
    num_groups: int

    @staticmethod
    def from_blocks(blocks: BlockSums, seed: int = 0) -> Estimates:
        """Resample the blocks."""
        used = blocks.used
        random = np.random.default_rng(seed)
        weights = random.multinomial(used, np.full(used, 1 / used), size=RESAMPLES).astype(np.float64)
        weights = np.concatenate([np.ones((1, used)), weights])
        totals = weights @ blocks.values[:used].numpy()
        by_threshold = blocks.lost_by_threshold()
        lost = weights @ by_threshold.reshape(used, -1)
        return Estimates(
            sums={name: totals[:, columns] for name, columns in blocks.columns.items()},
            lost=lost.reshape(len(weights), *by_threshold.shape[1:]),
            num_groups=blocks.num_groups,
        )

    @cached_property
    def conflict_rate(self) -> Floats:
        """(R,) share of the rollouts whose rewards conflict."""
        return _ratio(self.sums["conflicts"], self.sums["rollouts"])[:, 0]

    @cached_property
    def cancellation(self) -> Floats:
        """(R,) share of the signal that is lost when the rewards are added up."""
        half = self.sums["magnitude"].shape[1] // 2
        return 1 - _ratio(self.sums["combined"][:, 0], self.sums["magnitude"][:, :half].sum(1))

    @cached_property
    def pair_conflict_rate(self) -> Floats:
        """(R, P) share of the rollouts in which the two rewards have opposite signs."""
        return _ratio(self.sums["pair_conflicts"], self.sums["rollouts"])

    @cached_property
    def correlation(self) -> Floats:
        """(R, P) in-group correlation."""
        power = self.sums["pair_power_first"] * self.sums["pair_power_second"]
        return _ratio(self.sums["pair_products"], np.sqrt(power))

    @cached_property
    def retained(self) -> Floats:
        """(R, T, K) share of each reward's signal that a threshold keeps."""
        return self._retained[..., : self._retained.shape[-1] // 2]

    @cached_property
    def retained_negative(self) -> Floats:
        """(R, T, K) the same for its penalties alone."""
        return self._retained[..., self._retained.shape[-1] // 2 :]

    @cached_property
    def _retained(self) -> Floats:
        return 1 - _ratio(self.lost[..., :-1], self.sums["magnitude"][:, None, :])

    @cached_property
    def filtered_rate(self) -> Floats:
        """(R, T) share of the rollouts that a threshold drops."""
        return _ratio(self.lost[..., -1], self.sums["rollouts"])

    def voice(self, name: str) -> Floats:
        """(R, K) share of each reward in the advantage's variance: "voice" for GDPO, "grpo_voice" for GRPO."""
        return _ratio(self.sums[name], self.sums[name].sum(1, keepdims=True))

    def constant_groups(self) -> Floats:
        """(R, K) share of the groups in which each reward is constant."""
        return _ratio(self.sums["constant_groups"], self.sums["scored_groups"])

    def group_share(self, name: str) -> Floats:
        """(R,) share of the groups that are counted under a name."""
        return _ratio(self.sums[name], self.sums["groups"])[:, 0]

    def largest_threshold(self, min_retained: float) -> Floats:
        """(R,) largest threshold on the grid 0, 0.02, ..., 1 at which every reward keeps that share on both sides."""
        least = np.nan_to_num(self._retained, nan=1.0).min(2)[:, ::2]
        enough = np.asarray(least >= min_retained - SHARE_ROUNDING)
        # What is kept only falls with the threshold, so the last True is where the count of them ends.
        return np.asarray(THRESHOLDS[::2][enough.sum(1) - 1])

    def interval(self, values: Floats) -> Interval:
        """An estimate (R,) with its 95 % interval."""
        value = None if np.isnan(values[0]) else float(values[0])
        resampled = values[1:][~np.isnan(values[1:])]
        if self.num_groups < FEWEST_GROUPS or not len(resampled):
            return Interval(value, None, None)
        low, high = np.percentile(resampled, INTERVAL)
        return Interval(value, float(low), float(high))

    def sureness(self, holds: Bools) -> float | None:
        """Share of the resamples in which something (R,) holds; None with too few groups to tell."""
        if self.num_groups < FEWEST_GROUPS:
            return None
        return float(holds[1:].mean())


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """The quotient, NaN where there is nothing to divide by."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    return np.asarray(np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0))
