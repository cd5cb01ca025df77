"""The other methods in slow plain loops over lists, written from their description and not from `gd2po.core`.

As in `oracles`: rewards are a list of rows, NaN says that a reward does not apply, everything is computed in Python
floats, and `eps` is the machine epsilon of the dtype that the rewards came in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import oracles
from oracles import Rows, members_of_groups, presence

EPS = 1e-6
"""Beside every standard deviation of a group, and in the root of a sum of correlations."""


@dataclass
class Expected:
    """What a method gives for every rollout."""

    unwhitened: list[float]
    components: Rows | None = None
    multipliers: Any = None
    """A number or nested lists."""
    factor: float | None = None
    """Of a method that multiplies by one number at its end instead of dividing by a standard deviation."""
    population: bool = False
    """The last standard deviation is that of the population."""
    keep: list[bool] | None = None
    """Of a method that drops rollouts."""
    near_an_edge: bool = False
    """Some decision hangs on the last bits of a float."""
    advantages: list[float] = field(default_factory=list)


@dataclass
class Input:
    """A batch, and what all methods make of it."""

    rewards: Rows
    group_ids: Sequence[int]
    eps: float
    weights: list[float]
    token_counts: Sequence[float]
    families: Sequence[int] | None = None

    @property
    def groups(self) -> list[list[int]]:
        return list(members_of_groups(self.group_ids).values())

    @property
    def rewards_range(self) -> range:
        return range(len(self.weights))

    def applies(self, rollout: int, reward: int) -> bool:
        return self.weights[reward] != 0 and not math.isnan(self.rewards[rollout][reward])

    def members(self, group: list[int], reward: int) -> list[int]:
        """The rollouts of a group to which a reward applies."""
        return [rollout for rollout in group if self.applies(rollout, reward)]

    def batch(self, reward: int) -> list[float]:
        """Scores of the rollouts of the batch to which a reward applies."""
        return [row[reward] for rollout, row in enumerate(self.rewards) if self.applies(rollout, reward)]

    def zeros(self) -> Rows:
        return [[0.0] * len(self.weights) for _ in self.rewards]

    def deviations(self) -> Rows:
        """Distance from the mean of the group; exactly 0 within rounding."""
        found = self.zeros()
        for group in self.groups:
            for reward in self.rewards_range:
                members = self.members(group, reward)
                centred = centre([self.rewards[rollout][reward] for rollout in members], self.eps)
                for rollout, distance in zip(members, centred, strict=True):
                    found[rollout][reward] = distance
        return found

    def stds(self, *, population: bool) -> Rows:
        """Standard deviation of each reward in the group of each rollout, from the deviations."""
        deviations, found = self.deviations(), self.zeros()
        for group in self.groups:
            for reward in self.rewards_range:
                size = len(self.members(group, reward))
                squares = math.fsum(deviations[rollout][reward] ** 2 for rollout in group)
                std = math.sqrt(squares / (size if population else size - 1)) if size >= 2 else 0.0
                for rollout in group:
                    found[rollout][reward] = std
        return found

    def z_scores(self, *, population: bool = False) -> Rows:
        deviations, stds = self.deviations(), self.stds(population=population)
        return [
            [d / (std + EPS) if d else 0.0 for d, std in zip(row, spread, strict=True)]
            for row, spread in zip(deviations, stds, strict=True)
        ]

    def present(self) -> list[bool]:
        return presence(self.rewards, self.weights)

    def centred_totals(self, weights: Sequence[float]) -> list[float]:
        """The weighted sum of what applies minus its mean over the present rollouts of the group."""
        present, found = self.present(), [0.0] * len(self.rewards)
        for group in self.groups:
            members = [rollout for rollout in group if present[rollout]]
            sums = [
                math.fsum(
                    weights[reward] * self.rewards[rollout][reward]
                    for reward in self.rewards_range
                    if self.applies(rollout, reward)
                )
                for rollout in members
            ]
            for rollout, distance in zip(members, centre(sums, self.eps), strict=True):
                found[rollout] = distance
        return found


def centre(scores: Sequence[float], eps: float) -> list[float]:
    """Scores minus their mean: 0 within rounding, and where there are fewer than two."""
    if len(scores) < 2:
        return [0.0] * len(scores)
    mean, largest = math.fsum(scores) / len(scores), max(map(abs, scores))
    return [0.0 if abs(score - mean) <= eps * largest else score - mean for score in scores]


def sample_std(values: Sequence[float]) -> float:
    """Of values with mean 0."""
    return math.sqrt(math.fsum(value**2 for value in values) / (len(values) - 1)) if len(values) >= 2 else 0.0


def sign(value: float) -> float:
    return math.copysign(1.0, value) if value else 0.0


def added_up(components: Rows, **more: Any) -> Expected:
    return Expected([math.fsum(row) for row in components], components, **more)


def weighted(given: Input, rows: Rows, factors: Sequence[float] | None = None) -> Rows:
    factors = factors or [1.0] * len(given.weights)
    return [
        [weight * factor * value for weight, factor, value in zip(given.weights, factors, row, strict=True)]
        for row in rows
    ]


def grpo_of(given: Input, weights: Sequence[float]) -> list[float]:
    totals, found = given.centred_totals(weights), [0.0] * len(given.rewards)
    present = given.present()
    for group in given.groups:
        members = [rollout for rollout in group if present[rollout]]
        std = sample_std([totals[rollout] for rollout in members])
        for rollout in members:
            found[rollout] = totals[rollout] / (std + EPS)
    return found


def grpo(given: Input, scale_rewards: bool = True) -> Expected:
    return Expected(grpo_of(given, given.weights) if scale_rewards else given.centred_totals(given.weights))


def gdpo(given: Input, scale_rewards: bool = True) -> Expected:
    return added_up(weighted(given, given.z_scores() if scale_rewards else given.deviations()))


def mo_grpo(given: Input) -> Expected:
    return added_up(weighted(given, given.z_scores(population=True)))


def dvao(given: Input) -> Expected:
    deviations, stds = given.deviations(), given.stds(population=True)
    components, shares = given.zeros(), given.zeros()
    for rollout, spread in enumerate(stds):
        total = math.fsum(abs(weight) * std for weight, std in zip(given.weights, spread, strict=True))
        for reward, weight in enumerate(given.weights):
            components[rollout][reward] = weight * deviations[rollout][reward] / (total + EPS)
            shares[rollout][reward] = abs(weight) * spread[reward] / total if total else 0.0
    return added_up(components, multipliers=shares)


def correlation_factor(columns: Sequence[Sequence[float]], min_correlation_sum: float) -> float:
    """1 / sqrt of the sum of all pairwise correlations of columns with mean 0; 0 if all are 0."""
    alive = [column for column in columns if any(column)]
    if not alive:
        return 0.0
    lengths = [math.sqrt(math.fsum(value**2 for value in column)) for column in alive]
    correlations = [
        math.fsum(a * b for a, b in zip(first, second, strict=True)) / (length * other)
        for first, length in zip(alive, lengths, strict=True)
        for second, other in zip(alive, lengths, strict=True)
    ]
    return 1 / math.sqrt(max(math.fsum(correlations), min_correlation_sum) + EPS)


def corr_grpo(given: Input, min_correlation_sum: float) -> Expected:
    deviations, factors = given.deviations(), [0.0] * len(given.rewards)
    components = given.zeros()
    for group in given.groups:
        columns = [[sign(weight) * deviations[i][k] for i in group] for k, weight in enumerate(given.weights)]
        factor = correlation_factor(columns, min_correlation_sum)
        for rollout in group:
            factors[rollout] = factor
            for reward, weight in enumerate(given.weights):
                components[rollout][reward] = factor * weight * deviations[rollout][reward]
    return added_up(components, multipliers=factors)


def gdpo_corr(given: Input, min_correlation_sum: float) -> Expected:
    components = weighted(given, given.z_scores())
    factor = correlation_factor(list(zip(*components, strict=True)), min_correlation_sum)
    return added_up(components, multipliers=factor, factor=factor)


def dara(given: Input, variant: str, max_multiplier: float) -> Expected:
    z = given.z_scores()
    density = []
    for reward in given.rewards_range:
        able = [group for group in given.groups if len(given.members(group, reward)) >= 2]
        alive = [group for group in able if math.fsum(abs(z[rollout][reward]) for rollout in group) > 1e-8]
        density.append(len(alive) / len(able) if able else 0.0)
    multipliers = [
        0.0 if weight == 0 else min(max_multiplier, math.sqrt(max(density) / pi)) if pi else 1.0
        for weight, pi in zip(given.weights, density, strict=True)
    ]
    components = weighted(given, z)
    for row in components:
        for reward, value in enumerate(row):
            if variant == "symmetric":
                row[reward] = multipliers[reward] * value
            else:
                row[reward] = value + (multipliers[reward] - 1) * max(value, 0.0)
    return added_up(components, multipliers=multipliers)


def saw(given: Input, reward_minima: Sequence[float], mode: str) -> Expected:
    variations = []
    for reward, least in enumerate(reward_minima):
        scores = [max(score, least) for score in given.batch(reward)]
        distances = centre(scores, given.eps)
        excess = math.fsum(score - least for score in scores) / max(1, len(scores))
        variations.append(sample_std(distances) / (excess + 1e-8) if any(distances) else 0.0)
    num_rewards, total = sum(weight != 0 for weight in given.weights), math.fsum(variations)
    omega = [
        0.0 if weight == 0 else num_rewards * variation / (total + 1e-8) if total else 1.0
        for weight, variation in zip(given.weights, variations, strict=True)
    ]
    if mode == "grpo":
        return Expected(grpo_of(given, [o * w for o, w in zip(omega, given.weights, strict=True)]), multipliers=omega)
    return added_up(weighted(given, given.z_scores(), omega), multipliers=omega)


def sa_mrpo(given: Input, reward_bounds: Sequence[Sequence[float]], gamma: float) -> Expected:
    multipliers = []
    for reward, (low, high) in enumerate(reward_bounds):
        scores = [min(max(score, low), high) for score in given.batch(reward)]
        ends = [high - score if given.weights[reward] > 0 else score - low for score in scores]
        left = math.fsum(ends) / len(ends) / (high - low) if ends else 1.0
        multipliers.append(0.0 if given.weights[reward] == 0 else left**gamma)
    components = weighted(given, given.z_scores(population=True), multipliers)
    return added_up(components, multipliers=multipliers, population=True)


def rvpo(given: Input, kappa: float) -> Expected:
    z, shares, found = given.z_scores(), given.zeros(), []
    for rollout, row in enumerate(z):
        taking_part = [reward for reward in given.rewards_range if given.applies(rollout, reward)]
        total = math.fsum(abs(given.weights[reward]) for reward in taking_part)
        parts = {reward: abs(given.weights[reward]) / total for reward in taking_part}
        values = {reward: sign(given.weights[reward]) * row[reward] for reward in taking_part}
        if not taking_part:
            found.append(0.0)
        elif kappa == 0:
            found.append(math.fsum(parts[reward] * values[reward] for reward in taking_part))
        else:
            powers = [parts[reward] * math.exp(-kappa * values[reward]) for reward in taking_part]
            found.append(-math.log(math.fsum(powers)) / kappa)
        for reward in taking_part:
            powers = [parts[other] * math.exp(kappa * (values[reward] - values[other])) for other in taking_part]
            shares[rollout][reward] = parts[reward] / math.fsum(powers)
    return Expected(found, multipliers=shares)


def consensus(
    given: Input,
    partners: str,
    min_correlation: float,
    standardisation: str,
    combination: str,
    kappa: float,
    drop_conflicts: str,
) -> Expected:
    z, rewards = given.z_scores(), given.rewards_range
    families, near_an_edge = given.families or list(rewards), False
    if partners == "correlated":
        found = oracles.correlations(oracles.weigh(z, given.weights), given.rewards)
        limit = min_correlation + oracles.CORRELATION_TOLERANCE
        families = oracles.joined([pair for pair, value in found.items() if value > limit], len(rewards))
        near_an_edge = any(abs(value - limit) < 1e-9 for value in found.values())
    voting = [
        [other for other in rewards if families[other] == families[k] and given.weights[other] != 0] for k in rewards
    ]
    ranks = oracles.ranked_advantages(given.rewards, given.group_ids, eps=given.eps)
    x = [
        [
            sign(given.weights[k])
            * (
                ranks if standardisation == "rank" or (standardisation == "rank_partners" and len(voting[k]) > 1) else z
            )[i][k]
            * given.applies(i, k)
            for k in rewards
        ]
        for i in range(len(z))
    ]
    weighted = [[abs(w) * value for w, value in zip(given.weights, row, strict=True)] for row in x]
    components = [list(row) for row in weighted]
    pairs = [(k, other) for k in rewards for other in rewards if k < other and families[k] == families[other]]
    near_an_edge = near_an_edge or any(abs(abs(value) - 1e-8) < 1e-10 for row in weighted for value in row)
    if combination != "mean":
        for family in set(families):
            of_family = [k for k in rewards if families[k] == family]
            if len(of_family) > 1:
                voice = {
                    i: voice_of(
                        [(abs(given.weights[k]), row[k]) for k in of_family if given.applies(i, k)], combination, kappa
                    )
                    for i, row in enumerate(x)
                    if any(given.applies(i, k) for k in of_family)
                }
                for group in given.groups:
                    speaking = [i for i in group if i in voice]
                    for i in speaking:
                        mean = math.fsum(voice[j] for j in speaking) / len(speaking)
                        for k in of_family:
                            components[i][k] = abs(given.weights[k]) * (voice[i] - mean) * given.applies(i, k)
    totals = [math.fsum(row) for row in components]
    near_an_edge = near_an_edge or any(abs(total - 1e-8) < 1e-10 for total in totals)
    may_drop = [drop_conflicts == "all" or (drop_conflicts == "praised" and total > 1e-8) for total in totals]
    keep = [
        here and not (may and oracles.conflicts(row, pairs))
        for here, row, may in zip(given.present(), weighted, may_drop, strict=True)
    ]
    components = [[value * is_kept for value in row] for row, is_kept in zip(components, keep, strict=True)]
    return added_up(components, keep=keep, near_an_edge=near_an_edge)


def voice_of(weighted: list[tuple[float, float]], combination: str, kappa: float) -> float:
    """What weights and values of the rewards of a family that apply to a rollout amount to."""
    total, values = math.fsum(weight for weight, _ in weighted), [value for _, value in weighted]
    if combination == "minimum":
        return min(values)
    mean = math.fsum(weight * value for weight, value in weighted) / total
    if combination == "uncertainty":
        return mean - kappa / 2 * math.fsum(weight * (value - mean) ** 2 for weight, value in weighted) / total
    if kappa == 0:
        return mean
    return -math.log(math.fsum(weight / total * math.exp(-kappa * value) for weight, value in weighted)) / kappa


def dr_grpo(given: Input) -> Expected:
    return Expected(given.centred_totals(given.weights))


def rloo(given: Input) -> Expected:
    totals, present = given.centred_totals(given.weights), given.present()
    for group in given.groups:
        size = sum(present[rollout] for rollout in group)
        for rollout in group:
            totals[rollout] *= size / (size - 1) if size >= 2 else 0.0
    return Expected(totals)


ORACLES: dict[str, Callable[..., Expected]] = {
    "grpo": grpo,
    "dr_grpo": dr_grpo,
    "rloo": rloo,
    "reinforce_plus_plus_baseline": dr_grpo,
    "corr_grpo": corr_grpo,
    "dvao": dvao,
    "gdpo": gdpo,
    "mo_grpo": mo_grpo,
    "gdpo_corr": gdpo_corr,
    "dara": dara,
    "saw": saw,
    "sa_mrpo": sa_mrpo,
    "rvpo": rvpo,
    "consensus": consensus,
}
"""By method; gd2po is in `oracles`."""


def expected_of(name: str, given: Input, whitening: str, options: dict[str, Any]) -> Expected:
    """What a method gives, the last step included."""
    found, present = ORACLES[name](given, **options), given.present()
    arguments = (found.unwhitened, found.keep or present, whitening, given.token_counts)
    if whitening == "none" or (found.factor is None and not found.population):
        found.advantages = oracles.whiten(*arguments)
        return found
    counts = given.token_counts if whitening == "tokens" else [1.0] * len(present)
    counts = [count if is_present else 0.0 for count, is_present in zip(counts, present, strict=True)]
    total, more = math.fsum(counts), 1e-8 if whitening == "tokens" else 0.0
    if total <= 1:
        found.advantages = [0.0] * len(present)
        return found
    mean = math.fsum(count * value for count, value in zip(counts, found.unwhitened, strict=True)) / (total + more)
    distances = [value - mean if here else 0.0 for value, here in zip(found.unwhitened, present, strict=True)]
    if found.factor is not None:
        found.advantages = [found.factor * distance for distance in distances]
    else:
        variance = math.fsum(c * distance**2 for c, distance in zip(counts, distances, strict=True)) / (total + more)
        found.advantages = [distance / math.sqrt(variance + 1e-8) for distance in distances]
    return found


def signal_mask(given: Input, unwhitened: Sequence[float], tolerance: float) -> list[bool]:
    found = [False] * len(unwhitened)
    for group in given.groups:
        for rollout in group:
            found[rollout] = any(abs(unwhitened[other]) > tolerance for other in group)
    return found


def reward_varies_mask(given: Input) -> list[list[bool]]:
    deviations = given.deviations()
    found = [[False] * len(given.weights) for _ in given.rewards]
    for group in given.groups:
        for rollout in group:
            for reward in given.rewards_range:
                found[rollout][reward] = any(deviations[other][reward] for other in group)
    return found


def conditioned(rewards: Rows, conditions: Sequence[tuple[int, int, float]], otherwise: float) -> Rows:
    changed = [list(row) for row in rewards]
    for before, after in zip(rewards, changed, strict=True):
        for reward, score in enumerate(before):
            judged = [(before[on], threshold) for held, on, threshold in conditions if held == reward]
            if math.isnan(score):
                continue
            if any(judge < threshold for judge, threshold in judged):
                after[reward] = otherwise
            elif any(math.isnan(judge) for judge, _ in judged):
                after[reward] = math.nan
    return changed
