"""A diagnosis: plain numbers by name, which the terminal, the page and the JSON all show.

A float that is None is undefined: a reward without signal has no correlation, a method that drops nothing no threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from gd2po.report.intervals import Interval

SCHEMA_VERSION = 2
"""Of the JSON. It rises when a key changes its meaning or goes away; new keys leave it."""

PairKind = Literal["agree", "oppose", "unrelated", "unclear"]
ConditionOrigin = Literal["none", "run", "given", "tried"]
WeightsOrigin = Literal["given", "run", "assumed"]
VerdictKind = Literal["no_conflict", "noise", "blind_spot", "trade_off", "mixed", "unclear", "one_reward", "no_signal"]
FamilyOrigin = Literal["declared", "proposed", "suspected"]


@dataclass(frozen=True)
class Run:
    """How the run that wrote the log was made."""

    label: str
    """Its setting as among the methods."""
    method: str
    options: dict[str, Any]
    """All of the method's."""
    origin: str
    """What says so: the rollout log, a config.yaml, or the caller."""
    reward_conditions: list[dict[str, Any]]
    """Which rewards counted only where another one was high enough."""


@dataclass(frozen=True)
class Source:
    """Where the numbers come from."""

    path: str
    format: str
    files: int
    rollouts: int
    groups: int
    single_rollout_groups: int
    group_sizes: dict[int, int]
    """How many groups have each size, the most common sizes first."""
    steps: int
    first_step: int
    last_step: int
    skipped_rows: int
    notes: list[str]
    run: Run | None
    """None where nothing says how the run was made."""
    weights_origin: WeightsOrigin
    """Whether the weights of the rewards were given, are those of the run, or are assumed to be 1."""


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
class MethodSample:
    """What the methods were evaluated on: all steps, or evenly spaced ones of many."""

    steps: int
    rollouts: int


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


@dataclass(frozen=True)
class ShownRollout:
    """One completion of a conflicted group."""

    completion: str | None
    rewards: list[float | None]
    reward_advantages: list[float]
    snr: float
    conflict: bool
    count: int
    """Rollouts of the group with this completion and these rewards, among those that conflict the most."""


@dataclass(frozen=True)
class ShownGroup:
    """A prompt on which the rewards cancel the most."""

    step: int
    prompt: str | None
    size: int
    lost: float
    """Signal that cancels, per rollout, in standard deviations."""
    where: str
    rollouts: list[ShownRollout]


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


@dataclass(frozen=True)
class Finding:
    """One sentence of the verdict, with what it rests on."""

    rule: str
    level: Literal["act", "watch", "good", "note"]
    title: str
    text: str
    """What is the case, with its numbers."""
    advice: str
    """What to do about it."""
    sureness: float | None
    """Share of the bootstrap resamples in which the rule holds; None where there is nothing to resample."""
    numbers: dict[str, float | str | None]


@dataclass(frozen=True)
class Verdict:
    """The answer."""

    headline: str
    kind: VerdictKind
    findings: list[Finding]


@dataclass(frozen=True)
class Action:
    """What to do next: the one thing that follows from the verdict."""

    title: str
    text: str
    command: str | None
    """For a shell; None where there is nothing to run, or no run folder to start from."""
    configuration: str | None
    """Lines of a configuration in YAML, where the log is in no run folder."""


@dataclass(frozen=True)
class HeldOutScore:
    """A mean over the held-out prompts."""

    name: str
    is_share: bool
    values: list[float | None]
    """One per evaluation."""


@dataclass(frozen=True)
class HeldOut:
    """How the policy scored on prompts that it was not trained on."""

    num_prompts: int
    steps: list[int]
    """Steps of training behind it, per evaluation."""
    scores: list[HeldOutScore]


@dataclass(frozen=True)
class Diagnosis:
    """Everything that is known about a log."""

    source: Source
    verdict: Verdict
    action: Action
    held_out: HeldOut | None
    """None where the log is in no run folder, or the run scored none."""
    rewards: list[RewardNumbers]
    pairs: list[PairNumbers]
    families: list[FamilyNumbers]
    """Those of two or more rewards."""
    overall: OverallNumbers
    conditions: list[ConditionNumbers]
    """What conditions would do, the rewards as given first; empty where there is nothing to condition."""
    methods: list[MethodNumbers]
    method_sample: MethodSample
    explorer: Explorer
    course: Course
    prompts: list[ShownGroup]
    version: str
    """Of gd2po."""
