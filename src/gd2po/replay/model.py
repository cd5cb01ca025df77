"""A replay as plain numbers by name, which the terminal, the page and the JSON all show."""

from __future__ import annotations

from dataclasses import dataclass

from gd2po.report.intervals import Estimate

SCHEMA, SCHEMA_VERSION = "gd2po.replay", 1
"""Of the JSON. The version rises when a key changes its meaning or goes away; new keys leave it."""

FEWEST_PROMPTS = 8
"""With fewer labelled prompts no interval is given: resamples of so few are too much alike."""


@dataclass(frozen=True)
class AtDistance:
    """A method where its policy is as far from the logged one as any other's."""

    learning_rate: float
    """Of the grid: the one with the most gold there."""
    gain: Estimate
    """Gold above the logged policy's."""
    difference: Estimate | None
    """To the baseline there; None for itself, or where it does not get there."""


@dataclass(frozen=True)
class MethodOnGold:
    """One method, judged by one gold column."""

    label: str
    learning_rate: float
    """Of the grid: the one with the most gold at the end."""
    final_by_learning_rate: dict[str, float]
    """Gold above the logged policy's at the end, at each rate of the grid."""
    at_edge: bool
    """Whether the chosen rate is the lowest or highest of several: a better one may lie outside."""
    gain: Estimate
    """Gold at the end above the logged policy's."""
    difference: Estimate | None
    """To the baseline at the end, prompt by prompt; None for itself."""
    kl: float
    """Divergence from the logged policy at the end, in nats, mean over prompts."""
    at_distance: dict[str, AtDistance | None]
    """By distance; None where no rate of the grid gets there."""
    kl_curve: list[float]
    """On the way, step by step from 0, at the chosen rate."""
    gain_curve: list[Estimate]
    """The same of the gold above the logged policy's."""


@dataclass(frozen=True)
class GoldNumbers:
    """All methods, judged by one gold column."""

    gold: str
    rewards: list[str]
    """That the methods learn from."""
    reward_weights: list[float]
    labels: int
    """Rollouts whose gold is known, among those of prompts that count."""
    labelled_prompts: int
    """Prompts with two rollouts or more whose gold is known: the others cannot show anything."""
    logged: Estimate
    """Gold of the logged policy: the mean over rollouts, then prompts."""
    methods: list[MethodOnGold]


@dataclass(frozen=True)
class Replay:
    """Everything that a replay says."""

    version: str
    """Of gd2po."""
    source: str
    rollouts: int
    """That are learned on."""
    groups: int
    """Logged groups: a prompt that was logged at several steps has several."""
    prompts: int
    """Different prompts."""
    lone_rollouts: int
    """Rollouts that are the only ones of their group, and are left out."""
    group_size: int
    """Rollouts drawn per group and step."""
    steps: int
    repeats: int
    """Times that the learning was repeated with other draws, and averaged."""
    learning_rates: list[float]
    distances: list[float]
    """KL divergences, in nats, at which methods are compared."""
    baseline: str
    labels: list[str]
    """Of the methods."""
    held_out: bool
    """Whether each reward in turn was the gold of the others, for want of a gold column."""
    notes: list[str]
    golds: list[GoldNumbers]
