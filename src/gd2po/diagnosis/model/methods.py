"""What methods, conditions and thresholds would make of the rollouts of a log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

ConditionOrigin = Literal["none", "run", "given", "tried"]


@dataclass(frozen=True)
class MethodNumbers:
    """What one setting would do with these rollouts."""

    name: str
    """The setting's label: "gd2po-hard", "gd2po-snr 0.3"."""
    method: str
    conflict_rate: float | None
    """Share of the rollouts in conflict as the setting sees it: a gated one looks at some pairs alone."""
    filtered_rate: float | None
    keep_ratio_mean: float | None
    """Mean over rollouts of the share of their group that is kept."""
    cancelled_groups: float | None
    """Share of the groups in which some reward varies and the method leaves no signal."""
    retained: dict[str, float | None]
    retained_negative: dict[str, float | None]
    alignment: dict[str, float | None]
    """Mean of the reward's advantage times the final one."""
    effective_sample_share: float | None
    """Effective sample size (sum |A|)^2 / sum A^2 of each step, over the rollouts."""
    variance_share: dict[str, float | None]
    """Share of the advantage's variance that comes from each reward; they add up to 1. None where a method does not
    say what each reward adds."""
    auto_thresholds: tuple[float, float, float] | None
    """Lowest, median and highest threshold of the steps, for "auto"."""
    is_run: bool
    """The setting that the log was made with."""
    warnings: list[str]
    """What the method warns of on such rewards."""


@dataclass(frozen=True)
class MethodSample:
    """What the methods were evaluated on: all steps, or evenly spaced ones of many."""

    steps: int
    rollouts: int


@dataclass(frozen=True)
class ConditionNumbers:
    """What conditions on the rewards would make of them, before any method."""

    words: list[str]
    """Each condition in words; none for the rewards as given."""
    conditions: list[dict[str, Any]]
    """The same as a configuration holds it."""
    origin: ConditionOrigin
    """The rewards as given, the conditions of the run, those that were asked for, or those that the rewards suggest."""
    held_back: dict[str, float | None]
    """Share of the rollouts with a conditioned reward on which it does not count."""
    constant_groups: dict[str, float | None]
    conflict_rate: float | None
    cancellation: float | None
    zero_signal_groups: float | None


@dataclass(frozen=True)
class Explorer:
    """What every threshold from 0 to 1 would do."""

    thresholds: list[float]
    keep_rate: list[float]
    retained: dict[str, list[float | None]]
    retained_negative: dict[str, list[float | None]]
    snr_edges: list[float]
    snr_counts: list[int]
    """Conflicts by score, between the edges."""
    agreeing: int
    """Rollouts without mixed signs, whose score is 1."""
    marked_threshold: float
    """The run's own, or the method's default."""
    marked_is_run: bool
    """It is the run's own."""
    recommended_threshold: float
    """Largest at which every reward keeps `min_retained` of its signal, on both sides."""
    min_retained: float
    largest_conflict_snr: float
    binary_snr_ceiling: float | None
    """What mixed signs can score at most, if all rewards are binary."""
