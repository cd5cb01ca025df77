"""The rewards of a log: each alone, in pairs, all together, and over the steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gd2po.report.intervals import Interval

PairKind = Literal["agree", "oppose", "unrelated", "unclear"]


@dataclass(frozen=True)
class RewardNumbers:
    """One reward over the log."""

    name: str
    weight: float
    """Where it moves over the steps, its mean over them."""
    weight_range: tuple[float, float] | None
    """Least and largest weight of a step; None where it is the same at all steps."""
    applies: float
    """Share of the rollouts to which it applies."""
    mean: float | None
    first_mean: float | None
    """Over the first quarter of the steps."""
    last_mean: float | None
    """Over the last quarter."""
    lowest: float | None
    highest: float | None
    distinct_values: int | None
    """None if there are more than a few."""
    spread: float | None
    """Mean over groups of the standard deviation inside the group."""
    constant_groups: Interval
    """Share of the groups (with at least two rollouts it applies to) in which it is the same for all."""
    constant_groups_last: float | None
    """The same over the last quarter of the steps."""
    at_highest: float | None
    """Share of the rollouts with the highest value seen: saturation."""
    at_highest_last: float | None
    at_lowest: float | None
    at_lowest_last: float | None

    @property
    def counts(self) -> bool:
        """Whether it has a weight at some step."""
        return self.weight != 0 or self.weight_range is not None


@dataclass(frozen=True)
class PairNumbers:
    """Two rewards against each other."""

    rewards: tuple[str, str]
    conflict_rate: Interval
    """Share of the rollouts in which they have opposite signs."""
    correlation: Interval
    """In-group correlation of the weighted rewards."""
    kind: PairKind


@dataclass(frozen=True)
class OverallNumbers:
    """All rewards together."""

    conflict_rate: Interval
    cancellation: Interval
    snr_mean: float | None
    zero_signal_groups: float
    """Share of the groups in which no reward tells any rollout from another."""
    zero_sum_groups: float
    """Share of the groups in which the weighted sum of the rewards does not: what a sum-based filter drops."""
    wrongly_dropped_groups: int
    """Groups that such a filter drops although some reward carries signal."""
    wrongly_dropped_share: Interval


@dataclass(frozen=True)
class Course:
    """Numbers over the steps, in at most `MOST_POINTS` runs of consecutive steps."""

    first_step: list[int]
    last_step: list[int]
    rollouts: list[int]
    conflict_rate: list[float | None]
    mean: dict[str, list[float | None]]
    constant_groups: dict[str, list[float | None]]
    length: list[float | None] | None
    """Mean tokens of a completion; None if the log has no lengths."""
