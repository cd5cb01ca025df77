"""The method in slow plain loops over lists, written from the description of the algorithm and not from `gd2po.core`.

Rewards are a list of rows, one per rollout; NaN says that a reward does not apply. Everything is computed in Python
floats; `eps` is the machine epsilon of the dtype that the rewards came in, for the rounding rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

Rows = list[list[float]]

STD_EPS = 1e-6
WHITENING_EPS = 1e-8
SIGN_TOLERANCE = 1e-8
# verl's masked mean and variance divide by the number of tokens plus this.
TOKEN_MEAN_EPS = 1e-8
# A correlation is above the minimum if it is by more than rounding.
CORRELATION_TOLERANCE = 1e-6
THRESHOLD_GRID = [step * 0.02 for step in range(51)]


@dataclass
class OracleResult:
    """What the oracle found for every rollout; `present` is False where no reward applies."""

    advantages: list[float]
    reward_advantages: Rows
    weighted: Rows
    present: list[bool]
    conflict_mask: list[bool]
    keep_mask: list[bool]
    keep_ratio: list[float]
    snr: list[float]
    snr_threshold: float
    loss_weight: list[float]
    correlation: dict[tuple[int, int], float] = field(default_factory=dict)
    """Of z-scores."""


def members_of_groups(group_ids: Sequence[int]) -> dict[int, list[int]]:
    members: dict[int, list[int]] = {}
    for rollout, group_id in enumerate(group_ids):
        members.setdefault(group_id, []).append(rollout)
    return members


def standardise(scores: Sequence[float], group_ids: Sequence[int], *, eps: float, scale: bool = True) -> list[float]:
    """(score - mean) / (std + 1e-6) inside each group over the scores that are not NaN; 0 where a score is NaN."""
    standardised = [0.0] * len(scores)
    for members in members_of_groups(group_ids).values():
        applicable = [rollout for rollout in members if not math.isnan(scores[rollout])]
        if len(applicable) < 2:
            continue
        mean = math.fsum(scores[rollout] for rollout in applicable) / len(applicable)
        rounding = eps * max(abs(scores[rollout]) for rollout in applicable)
        distances = {rollout: scores[rollout] - mean for rollout in applicable}
        for rollout, distance in distances.items():
            if abs(distance) <= rounding:
                distances[rollout] = 0.0
        std = math.sqrt(math.fsum(distance**2 for distance in distances.values()) / (len(applicable) - 1))
        for rollout, distance in distances.items():
            standardised[rollout] = distance / (std + STD_EPS) if scale else distance
    return standardised


def reward_advantages(rewards: Rows, group_ids: Sequence[int], *, eps: float, scale: bool = True) -> Rows:
    columns = [standardise(column, group_ids, eps=eps, scale=scale) for column in zip(*rewards, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)]


def ranked(scores: Sequence[float], group_ids: Sequence[int], *, eps: float) -> list[float]:
    """The mid-rank of each score inside its group; NaN where a score is. Scores tie that no step of the order parts."""
    found = [math.nan] * len(scores)
    for members in members_of_groups(group_ids).values():
        applicable = sorted((rollout for rollout in members if not math.isnan(scores[rollout])), key=scores.__getitem__)
        if not applicable:
            continue
        rounding = eps * max(abs(scores[rollout]) for rollout in applicable)
        runs = [[0]]
        for place in range(1, len(applicable)):
            if scores[applicable[place]] - scores[applicable[place - 1]] > rounding:
                runs.append([])
            runs[-1].append(place)
        for run in runs:
            for place in run:
                found[applicable[place]] = math.fsum(run) / len(run)
    return found


def ranked_advantages(rewards: Rows, group_ids: Sequence[int], *, eps: float, scale: bool = True) -> Rows:
    """Reward advantages of ranks, which have no rounding."""
    columns = [ranked(column, group_ids, eps=eps) for column in zip(*rewards, strict=True)]
    return [
        list(row)
        for row in zip(*(standardise(column, group_ids, eps=0, scale=scale) for column in columns), strict=True)
    ]


def joined(pairs: Sequence[tuple[int, int]], size: int) -> list[int]:
    """Labels 0 to size - 1, equal for what a chain of pairs joins."""
    labels = list(range(size))
    for _ in range(size):
        for first, second in pairs:
            labels[first] = labels[second] = min(labels[first], labels[second])
    return labels


def presence(rewards: Rows, weights: Sequence[float]) -> list[bool]:
    """A rollout is present if some reward applies to it that is not taken out by a weight of 0."""
    return [
        any(not math.isnan(score) and weight != 0 for score, weight in zip(row, weights, strict=True))
        for row in rewards
    ]


def weigh(rows: Rows, weights: Sequence[float]) -> Rows:
    return [[weight * value for weight, value in zip(weights, row, strict=True)] for row in rows]


def opposite(first: float, second: float) -> bool:
    return (first > SIGN_TOLERANCE and second < -SIGN_TOLERANCE) or (
        first < -SIGN_TOLERANCE and second > SIGN_TOLERANCE
    )


def conflicts(row: Sequence[float], pairs: Sequence[tuple[int, int]]) -> bool:
    return any(opposite(row[first], row[second]) for first, second in pairs)


def snr_of(row: Sequence[float], snr_eps: float) -> float:
    """1 exactly where no signs are mixed."""
    if not (any(value > SIGN_TOLERANCE for value in row) and any(value < -SIGN_TOLERANCE for value in row)):
        return 1.0
    return abs(math.fsum(row)) / (math.fsum(abs(value) for value in row) + snr_eps)


def correlations(rows: Rows, rewards: Rows) -> dict[tuple[int, int], float]:
    """In-group correlation of each pair of rewards, NaN where one has no signal in the rollouts they share."""
    found = {}
    for first, second in combinations(range(len(rows[0])), 2):
        shared = [
            (row[first], row[second])
            for row, scores in zip(rows, rewards, strict=True)
            if not math.isnan(scores[first]) and not math.isnan(scores[second])
        ]
        product = math.fsum(a * b for a, b in shared)
        size = math.sqrt(math.fsum(a * a for a, _ in shared)) * math.sqrt(math.fsum(b * b for _, b in shared))
        found[first, second] = product / size if size > 0 else math.nan
    return found


def retained(weighted: Rows, keep: Sequence[bool], *, negative_only: bool = False) -> list[float]:
    """Share of each reward's signal that survives; NaN where there is none."""
    shares = []
    for column in zip(*weighted, strict=True):
        sizes = [abs(value) if value < 0 or not negative_only else 0.0 for value in column]
        total = math.fsum(sizes)
        kept = math.fsum(size for size, is_kept in zip(sizes, keep, strict=True) if is_kept)
        shares.append(kept / total if total > 0 else math.nan)
    return shares


def largest_threshold_that_retains(
    weighted: Rows, conflict_mask: Sequence[bool], snr: Sequence[float], min_retained: float
) -> float:
    best = 0.0
    for threshold in THRESHOLD_GRID:
        keep = [not (conflict and score < threshold) for conflict, score in zip(conflict_mask, snr, strict=True)]
        shares = retained(weighted, keep) + retained(weighted, keep, negative_only=True)
        if all(math.isnan(share) or share >= min_retained for share in shares):
            best = threshold
    return best


def whiten(
    values: Sequence[float], keep: Sequence[bool], whitening: str, token_counts: Sequence[float] | None
) -> list[float]:
    kept = [rollout for rollout, is_kept in enumerate(keep) if is_kept]
    if whitening == "none":
        return [value if is_kept else 0.0 for value, is_kept in zip(values, keep, strict=True)]
    if whitening == "tokens":
        assert token_counts is not None
        counts, mean_eps = {rollout: float(token_counts[rollout]) for rollout in kept}, TOKEN_MEAN_EPS
    else:
        counts, mean_eps = dict.fromkeys(kept, 1.0), 0.0
    total = math.fsum(counts.values())
    if total <= 1:
        return [0.0] * len(values)
    mean = math.fsum(counts[rollout] * values[rollout] for rollout in kept) / (total + mean_eps)
    squares = math.fsum(counts[rollout] * (values[rollout] - mean) ** 2 for rollout in kept)
    variance = squares / (total + mean_eps) * total / (total - 1)
    whitened = [0.0] * len(values)
    for rollout in kept:
        whitened[rollout] = (values[rollout] - mean) / math.sqrt(variance + WHITENING_EPS)
    return whitened


def grpo(
    rewards: Rows,
    group_ids: Sequence[int],
    *,
    eps: float,
    reward_weights: Sequence[float] | None = None,
    scale_rewards: bool = True,
) -> list[float]:
    weights = list(reward_weights or [1.0] * len(rewards[0]))
    sums = []
    for row, is_present in zip(rewards, presence(rewards, weights), strict=True):
        applicable = [weight * score for weight, score in zip(weights, row, strict=True) if not math.isnan(score)]
        sums.append(math.fsum(applicable) if is_present else math.nan)
    return standardise(sums, group_ids, eps=eps, scale=scale_rewards)


def gdpo(rewards: Rows, group_ids: Sequence[int], **options: Any) -> OracleResult:
    return gd2po(rewards, group_ids, filtering="none", query_reweighting=False, **options)


def gd2po(
    rewards: Rows,
    group_ids: Sequence[int],
    *,
    eps: float,
    filtering: str = "snr",
    snr_threshold: float | str = 0.8,
    snr_eps: float = 1e-8,
    min_retained: float = 0.8,
    conflict_pairs: str = "all",
    min_correlation: float = 0.0,
    reward_families: Sequence[Any] | None = None,
    standardisation: str = "zscore",
    query_reweighting: bool = True,
    query_weight_in: str = "advantage",
    reward_weights: Sequence[float] | None = None,
    scale_rewards: bool = True,
    whitening: str = "rollouts",
    token_counts: Sequence[float] | None = None,
) -> OracleResult:
    weights = list(reward_weights or [1.0] * len(rewards[0]))
    present = presence(rewards, weights)
    unweighted = reward_advantages(rewards, group_ids, eps=eps, scale=scale_rewards)
    pairs = list(combinations(range(len(weights)), 2))
    families: Sequence[Any] = reward_families or range(len(weights))
    correlation = correlations(weigh(unweighted, weights), rewards)
    if conflict_pairs == "correlated":
        # Of the weighted rewards: with a negative weight, a reward pulls the other way.
        pairs = [pair for pair in pairs if correlation[pair] > min_correlation + CORRELATION_TOLERANCE]
    elif conflict_pairs == "families":
        pairs = [(first, second) for first, second in pairs if families[first] == families[second]]
    by_rank = ranked_advantages(rewards, group_ids, eps=eps, scale=scale_rewards)
    for reward in range(len(weights)):
        others = [sum(pair) - reward for pair in pairs if reward in pair]
        if standardisation == "rank" or (standardisation != "zscore" and any(weights[other] for other in others)):
            for row, ranks in zip(unweighted, by_rank, strict=True):
                row[reward] = ranks[reward]
    weighted = weigh(unweighted, weights)
    conflict_mask = [conflicts(row, pairs) for row in weighted]
    snr = [snr_of(row, snr_eps) for row in weighted]
    if conflict_pairs == "families":
        snr = [
            min(
                snr_of([value for value, own in zip(row, families, strict=True) if own == family], snr_eps)
                for family in families
            )
            for row in weighted
        ]

    if filtering == "none":
        threshold = 0.0
    elif filtering == "hard":
        threshold = 1.0
    elif snr_threshold == "auto":
        threshold = largest_threshold_that_retains(weighted, conflict_mask, snr, min_retained)
    else:
        threshold = float(snr_threshold)
    keep = [
        is_present and not (conflict and (threshold == 1 or score < threshold))
        for is_present, conflict, score in zip(present, conflict_mask, snr, strict=True)
    ]

    keep_ratio = [0.0] * len(rewards)
    for members in members_of_groups(group_ids).values():
        size = sum(present[rollout] for rollout in members)
        kept = sum(keep[rollout] for rollout in members)
        for rollout in members:
            keep_ratio[rollout] = kept / size if size else 0.0

    combined = []
    for row, is_kept, ratio in zip(weighted, keep, keep_ratio, strict=True):
        factor = ratio if query_reweighting and query_weight_in == "advantage" else 1.0
        combined.append(factor * math.fsum(row) if is_kept else 0.0)
    return OracleResult(
        correlation=correlation,
        advantages=whiten(combined, keep, whitening, token_counts),
        reward_advantages=unweighted,
        weighted=weighted,
        present=present,
        conflict_mask=conflict_mask,
        keep_mask=keep,
        keep_ratio=keep_ratio,
        snr=snr,
        snr_threshold=threshold,
        loss_weight=keep_ratio if query_reweighting and query_weight_in == "loss" else [1.0] * len(rewards),
    )


def conflict_rate(result: OracleResult) -> float:
    """Share of the rollouts to which some reward applies."""
    return sum(result.conflict_mask) / max(1, sum(result.present))


def pair_conflict_rates(result: OracleResult) -> dict[tuple[int, int], float]:
    pairs = combinations(range(len(result.weighted[0])), 2)
    return {
        (first, second): sum(opposite(row[first], row[second]) for row in result.weighted) / max(1, sum(result.present))
        for first, second in pairs
    }


def alignment(result: OracleResult) -> list[float]:
    """Mean of the reward's advantage times the weighted advantage, over the rollouts to which some reward applies."""
    return [
        math.fsum(z * a * w for z, a, w in zip(column, result.advantages, result.loss_weight, strict=True))
        / max(1, sum(result.present))
        for column in zip(*result.reward_advantages, strict=True)
    ]


def cancellation(result: OracleResult) -> float:
    """1 - sum |s| / sum sum |y|, s the sum of a rollout's weighted advantages."""
    sums = math.fsum(abs(math.fsum(row)) for row in result.weighted)
    parts = math.fsum(abs(value) for row in result.weighted for value in row)
    return 1 - sums / parts if parts > 0 else math.nan


def zero_signal_group_rate(result: OracleResult, group_ids: Sequence[int]) -> float:
    """Share of the groups in which every reward advantage of every rollout is 0."""
    groups = members_of_groups(group_ids).values()
    silent = [all(value == 0 for rollout in members for value in result.weighted[rollout]) for members in groups]
    return sum(silent) / len(silent)


def binary_snr_ceiling(num_rewards: int, group_size: int) -> float:
    """Largest score of a rollout with mixed signs when all rewards are 0 or 1, found by trying all of them.

    With 0/1 scores, a reward's advantages in a group depend on how many of the rollouts have a 1 alone.
    """
    best = 0.0
    values = []
    for ones in range(1, group_size):
        mean = ones / group_size
        std = math.sqrt(group_size * mean * (1 - mean) / (group_size - 1))
        values += [(1 - mean) / std, -mean / std]
    rows: list[list[float]] = [[]]
    for _ in range(num_rewards):
        rows = [[*row, value] for row in rows for value in values]
    for row in rows:
        if min(row) < 0 < max(row):
            best = max(best, abs(sum(row)) / sum(map(abs, row)))
    return best
