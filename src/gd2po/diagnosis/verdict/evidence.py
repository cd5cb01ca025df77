"""What the rules of the verdict look at, and the phrases that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gd2po.core import Setting
from gd2po.diagnosis.model import (
    Explorer,
    FamilyNumbers,
    MethodNumbers,
    OverallNumbers,
    PairKind,
    RewardNumbers,
    Source,
)
from gd2po.diagnosis.numbers.estimates import Estimates
from gd2po.diagnosis.numbers.sums import pairs_of, threshold_index
from gd2po.diagnosis.verdict.limits import SHOWN_PAIRS
from gd2po.report.wording import join, percent, signed

Numbers = dict[str, float | str | None]


@dataclass(frozen=True)
class Evidence:
    """What the rules look at."""

    source: Source
    rewards: Sequence[RewardNumbers]
    overall: OverallNumbers
    explorer: Explorer
    estimates: Estimates
    kinds: Sequence[PairKind]
    """Of the pairs, in the order of `pairs_of`."""
    families: Sequence[FamilyNumbers]
    run: MethodNumbers | None
    """What the run's own method did, if it is known."""
    setting: Setting | None
    """That method and its options."""

    @property
    def names(self) -> list[str]:
        """Of the rewards."""
        return [reward.name for reward in self.rewards]

    @property
    def active(self) -> list[int]:
        """Rewards that have a weight and apply to something."""
        return [k for k, reward in enumerate(self.rewards) if reward.counts and reward.applies > 0]

    def least_retained(self, threshold: float) -> tuple[str, str, float]:
        """The reward that a threshold hurts most: its name, "signal" or "penalties", and the share that it keeps."""
        at = threshold_index(threshold)
        candidates = []
        for k in self.active:
            for side, kept in (("signal", self.estimates.retained), ("penalties", self.estimates.retained_negative)):
                if not np.isnan(kept[0, at, k]):
                    candidates.append((float(kept[0, at, k]), self.names[k], side))
        share, name, side = min(candidates)
        return name, side, share

    def is_inside(self, index: int) -> bool:
        """Whether a pair is of one family."""
        pair = {self.names[k] for k in pairs_of(len(self.rewards))[index]}
        return any(pair <= set(family.rewards) for family in self.families)

    def filtered(self, threshold: float) -> float:
        """Share of the rollouts that a threshold drops."""
        return float(self.estimates.filtered_rate[0, threshold_index(threshold)])

    def pair(self, index: int) -> str:
        """The names of a pair."""
        j, k = pairs_of(len(self.rewards))[index]
        return f"{self.names[j]} and {self.names[k]}"

    def describe(self, pairs: Sequence[int]) -> str:
        """How often some pairs conflict and how they correlate, as the beginning of a sentence."""
        parts = []
        for index in pairs[:SHOWN_PAIRS]:
            rate = float(self.estimates.pair_conflict_rate[0, index])
            interval = self.estimates.interval(self.estimates.correlation[:, index])
            bounds = "" if interval.low is None else f" [{signed(interval.low)}, {signed(interval.high)}]"
            correlation = f"in-group correlation {signed(interval.value)}{bounds}"
            parts.append(f"{self.pair(index)} have opposite signs in {percent(rate)} of the rollouts ({correlation})")
        return join([*parts, *[""] * (len(pairs) - len(parts))])  # which shows fewer and counts the rest

    def pair_numbers(self, pairs: Sequence[int]) -> Numbers:
        """Conflict rate and correlation of some pairs, by name."""
        numbers: Numbers = {}
        for index in pairs[:SHOWN_PAIRS]:
            j, k = pairs_of(len(self.rewards))[index]
            name = f"{self.names[j]}/{self.names[k]}"
            numbers[f"conflict_rate/{name}"] = float(self.estimates.pair_conflict_rate[0, index])
            numbers[f"correlation/{name}"] = self.estimates.interval(self.estimates.correlation[:, index]).value
        return numbers
