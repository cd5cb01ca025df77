"""A comparison as plain numbers by name, which the terminal, the page and the JSON all show. None is undefined."""

from __future__ import annotations

from dataclasses import dataclass

from gd2po.comparison.statistics import Estimate
from gd2po.report.findings import Finding

SCHEMA_VERSION = 1
"""Of the JSON. It rises when a key changes its meaning or goes away; new keys leave it."""


@dataclass(frozen=True)
class CurvePoint:
    """A held-out score at one step, over the seeds."""

    step: int
    score: Estimate


@dataclass(frozen=True)
class Reached:
    """How soon the runs of a method reached a target."""

    runs: int
    """That reached it."""
    of: int
    median_step: float | None
    """Runs that never did count as later than all others; None where these are the half."""


@dataclass(frozen=True)
class FailedRun:
    """A run without numbers."""

    seed: int
    error: str


@dataclass(frozen=True)
class MethodNumbers:
    """One method over its seeds."""

    name: str
    overrides: dict[str, str]
    seeds: list[int]
    """That have come to their end."""
    failed: list[FailedRun]
    curves: dict[str, list[CurvePoint]]
    final: dict[str, Estimate]
    difference: dict[str, Estimate]
    """To the baseline at the end, seed by seed; empty for the baseline itself."""
    seed_differences: dict[str, dict[int, float]]
    """What the difference is the mean of."""
    steps_to_target: dict[str, Reached]
    keep_rate: float | None
    """Share of the rollouts that are not filtered; the mean over steps and seeds, as all that follow."""
    conflict_rate: float | None
    snr_threshold: float | None
    """As used: 0 without a filter."""
    retained: dict[str, float]
    """Share of each reward's signal that is kept."""
    retained_negative: dict[str, float]
    """The same for its penalties alone."""
    correlation: dict[str, float]
    """In-group correlation of each pair of rewards, by "<reward>/<reward>"."""
    seconds_per_step: float | None
    tokens_per_step: float | None


@dataclass(frozen=True)
class Comparison:
    """Everything that a comparison says."""

    version: str
    """Of gd2po."""
    config: str
    arguments: list[str]
    """Settings of all runs that the command line gave."""
    seeds: list[int]
    steps: int
    eval_every: int
    eval_prompts: int
    rollouts_per_step: float | None
    threads: int
    baseline: str
    metrics: list[str]
    """Names of the held-out scores: of evaluation functions first, then of rewards."""
    shares: list[str]
    """Those of `metrics` that are shares of the prompts: read in percent, their differences in points."""
    targets: dict[str, float | None]
    """Score whose first reaching `steps_to_target` tells; None where the baseline gains nothing."""
    same_prompts: bool
    """Whether all methods have trained on the same prompts in the same order, seed by seed."""
    headline: str
    findings: list[Finding]
    methods: list[MethodNumbers]
