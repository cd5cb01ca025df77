"""Families of rewards, and how each disagrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gd2po.report.intervals import Interval

FamilyOrigin = Literal["declared", "proposed", "suspected"]


@dataclass(frozen=True)
class FarScores:
    """How often a reward is far from its partners and from the mean of the group, where they are not."""

    reward: str
    above: float
    """Share of the rollouts with both that it scores far above its partners: where it may be fooled."""
    below: float
    sureness: float | None
    """Share of the resamples in which `above` is enough to suspect a blind spot."""


@dataclass(frozen=True)
class FamilyMethod:
    """What a method would do inside a family, on the sampled rollouts."""

    name: str
    dropped: float
    """Share of the rollouts."""
    retained: float | None
    """Share of the family's signal that is kept, of the reward that keeps the least."""
    fooled_kept: float | None
    """Share of the rollouts that are kept of those that a reward scores far above its partners; None without any."""
    fooled_advantage: float | None
    """Their mean advantage."""


@dataclass(frozen=True)
class FamilyRollout:
    """A rollout on which a family disagrees."""

    step: int
    where: str
    prompt: str | None
    completion: str | None
    """Its beginning."""
    reward: str
    """The one that scores it above its partners."""
    ahead: float
    """By how much, in standard deviations of the rewards."""
    scores: dict[str, float | None]
    count: int
    """Such rollouts, of the same text and scores, among those that show the disagreement best."""


@dataclass(frozen=True)
class FamilyNumbers:
    """Rewards that measure the same thing, or seem to."""

    name: str
    rewards: list[str]
    origin: FamilyOrigin
    """Declared; proposed because ranks agree; or suspected: a pair that agrees in some groups and not in others."""
    certainty: float | None
    """Share of the resamples in which this very family is proposed."""
    weakest: tuple[str, str]
    """The pair that agrees the least."""
    agreement: Interval
    """Its in-group correlation of ranks."""
    tail: Interval
    """Tail weight of the disagreement, its kurtosis: 3 where errors are normal."""
    heavy_sureness: float | None
    """Share of the resamples in which the tail is heavy."""
    unevenness: float | None
    """Standard deviation of that correlation between groups, beyond chance."""
    uneven_sureness: float | None
    """Share of simulated logs of even agreement in which it varies less."""
    far: list[FarScores]
    methods: list[FamilyMethod]
    rollouts: list[FamilyRollout]
    """Those that show the disagreement best."""
    declaration: str
    """The line of a configuration that declares the family."""
    world: str
    """The simulated world that it resembles."""
    evidence: str
    """The page of the documentation with what methods gain there."""
