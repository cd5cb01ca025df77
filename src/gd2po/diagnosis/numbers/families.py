"""Families in a log: which rewards seem to measure the same thing, how they disagree, and which of them seems fooled.

Everything here is computed on a `FamilySample`, so it is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from gd2po.core import Setting
from gd2po.core.families import family_members, joined_families
from gd2po.diagnosis.model import FamilyMethod, FamilyOrigin, FarScores
from gd2po.diagnosis.numbers.agreement import may_be_uneven, uneven_agreement
from gd2po.diagnosis.numbers.batch import Bools, Floats
from gd2po.diagnosis.numbers.estimates import RESAMPLES
from gd2po.diagnosis.numbers.family_sample import FamilySample
from gd2po.diagnosis.verdict.limits import HEAVY_TAIL, LEAST_CORRELATION, LEAST_FAR, UNEVEN_AGREEMENT, UNEVEN_SURE
from gd2po.report.intervals import Interval

MOST_REWARDS = 16
"""Families are looked for among so many rewards at most: of more, say which they are."""

REMEMBERED = 25
"""Rollouts that show best how a family disagrees, to choose those with different completions from."""

FAR_DEVIATIONS = 3.0
"""Robust standard deviations of the disagreement from which on a score is far from its partners; of normal errors about
1 in 1,000 is."""

FAR_RMS = 2.0
"""Root mean squares of the disagreement that it has to be too, so that errors on every fourth rollout are not rare."""

_MAD = 1.4826
"""Standard deviation of normal numbers over their median absolute deviation."""

_METHODS = ("gdpo", "gd2po-hard", "gd2po-families", "consensus")


@dataclass(frozen=True)
class ShownPlace:
    """A rollout that one reward puts far above its partners."""

    row: int
    reward: int
    ahead: float
    """By how many standard deviations of the rewards."""


@dataclass(frozen=True)
class FoundFamily:
    """Rewards that measure the same thing, or seem to, or would if one of them had no blind spot."""

    label: str
    members: list[int]
    origin: FamilyOrigin
    certainty: float | None
    """Share of the resamples in which this very family is found; None where it was declared or nothing can tell."""
    weakest: tuple[int, int]
    """The pair that agrees the least, of the first `MOST_REWARDS` of them."""
    agreement: Interval
    """Its in-group correlation of ranks."""
    tail: Interval
    """Kurtosis of the disagreement: 3 where errors are normal."""
    heavy_sureness: float | None
    """Share of the resamples with a heavy tail."""
    unevenness: float | None
    """Standard deviation of that correlation between groups, beyond chance."""
    uneven_sureness: float | None
    """Share of simulated logs of even agreement whose correlations vary less."""
    far: list[FarScores]
    has_two_values: bool
    """Every reward of it has two values at most, so that all errors have one size."""
    methods: list[FamilyMethod]
    shown: list[ShownPlace]


def find_families(
    sample: FamilySample, names: Sequence[str], active: Sequence[int], declared: Sequence[str] | None
) -> list[FoundFamily]:
    """The families of two or more rewards: as declared, or as their ranks agree, and pairs that may be one.

    Args:
        sample: of the log.
        names: K names.
        active: rewards with a weight.
        declared: (K,) labels; None: they are looked for.
    """
    groups: list[tuple[str, list[int], FamilyOrigin, float | None]]
    if declared is not None:
        members = [[k for k in family if k in active] for family in family_members(declared)]
        groups = [(declared[family[0]], family, "declared", None) for family in members if len(family) > 1]
    elif 2 <= len(active) <= MOST_REWARDS:
        groups = _proposed(sample, names, active)
    else:
        groups = []
    labels = list(names) if declared is None else list(declared)
    for label, family, _, _ in groups:
        for k in family:
            labels[k] = label
    kept = _results(sample, labels) if groups else {}
    return [_family(sample, names, *group, kept) for group in groups]


def _proposed(
    sample: FamilySample, names: Sequence[str], active: Sequence[int]
) -> list[tuple[str, list[int], FamilyOrigin, float | None]]:
    """Rewards that a chain of agreeing pairs joins; then pairs that agree in some groups and not in others."""
    pairs = list(combinations(range(len(active)), 2))
    correlations = {pair: sample.correlation(active[pair[0]], active[pair[1]]) for pair in pairs}
    agree = torch.zeros(RESAMPLES + 1, len(active), len(active), dtype=torch.bool)
    for (j, k), values in correlations.items():
        agree[:, j, k] = agree[:, k, j] = torch.from_numpy(values > LEAST_CORRELATION)

    def joined(row: Tensor) -> list[tuple[int, ...]]:
        return [tuple(family) for family in family_members(joined_families(row)) if len(family) > 1]

    found = joined(agree[0])
    again = [joined(row) for row in agree[1:]] if found else []
    families: list[tuple[list[int], FamilyOrigin, float | None]] = [
        (list(family), "proposed", float(np.mean([family in others for others in again])) if sample.can_tell else None)
        for family in found
    ]
    taken = {k for family in found for k in family}
    for (j, k), values in correlations.items():
        if {j, k} & taken or not abs(values[0]) <= LEAST_CORRELATION or not sample.can_tell:
            continue
        if not may_be_uneven(*sample.shared_ranks(active[j], active[k])):
            continue  # most pairs, in a hundredth of the time
        spread, sure = _unevenness(sample, active[j], active[k])
        if is_uneven(spread, sure):
            families.append(([j, k], "suspected", None))
            taken |= {j, k}
    return [
        (_free_label(number, names), [active[k] for k in family], origin, certainty)
        for number, (family, origin, certainty) in enumerate(families, 1)
    ]


def is_uneven(spread: float | None, sure: float | None) -> bool:
    """Whether a correlation differs between groups by more than chance, and by enough to speak of."""
    return spread is not None and sure is not None and spread > UNEVEN_AGREEMENT and sure >= UNEVEN_SURE


def _free_label(number: int, names: Sequence[str]) -> str:
    label = f"family_{number}"
    while label in names:
        label += "_"
    return label


def _unevenness(sample: FamilySample, j: int, k: int) -> tuple[float | None, float | None]:
    return uneven_agreement(*sample.shared_ranks(j, k))


def _family(
    sample: FamilySample,
    names: Sequence[str],
    label: str,
    members: list[int],
    origin: FamilyOrigin,
    certainty: float | None,
    kept: dict[str, tuple[Bools, Floats]],
) -> FoundFamily:
    """The numbers of one family."""
    correlations = {pair: sample.correlation(*pair) for pair in combinations(members[:MOST_REWARDS], 2)}
    weakest = min(correlations, key=lambda pair: np.nan_to_num(correlations[pair][0], nan=np.inf))
    spread, sure = _unevenness(sample, *weakest)

    here = sample.applies[:, members]
    count = here.sum(1, keepdims=True)
    here = here * (count > 1)
    own = sample.deviations[:, members]
    others = ((own * here).sum(1, keepdims=True) - own) / np.maximum(count - 1, 1)
    excess = (own - others) * here
    apart = excess * (count - 1) / np.maximum(count, 1)  # from the mean of all of the family
    terms = sample.totals(here.sum(1), (apart**2).sum(1), (apart**4).sum(1))
    tail = np.divide(terms[0] * terms[2], terms[1] ** 2, out=np.full_like(terms[0], np.nan), where=terms[1] > 0)

    own_fault = np.abs(own) > np.abs(others)
    far, above = [], np.zeros_like(excess, dtype=bool)
    for column, k in enumerate(members):
        limit = _far_limit(sample, k, excess[:, column], here[:, column] > 0)
        scored = max(1.0, float(here[:, column].sum()))
        is_above = (excess[:, column] > limit) & own_fault[:, column]
        is_below = (excess[:, column] < -limit) & own_fault[:, column]
        rate = np.divide(*sample.totals(is_above.astype(np.float64), here[:, column] + 1e-12))
        holds = sample.sureness(rate >= LEAST_FAR)
        far.append(FarScores(names[k], float(is_above.sum() / scored), float(is_below.sum() / scored), holds))
        if far[-1].above >= LEAST_FAR:
            above[:, column] = is_above
    shown_from = np.where(above, excess, -np.inf) if above.any() else excess
    shown = []
    for place in np.argsort(-shown_from.max(1), kind="stable")[:REMEMBERED].tolist():
        column = int(shown_from[place].argmax())
        if shown_from[place, column] > 0:
            shown.append(ShownPlace(place, members[column], float(excess[place, column])))
    two = all(_has_two_values(sample, k) for k in members)
    methods = _family_methods(sample, members, above.max(1), kept)
    return FoundFamily(
        label, members, origin, certainty, weakest, sample.interval(correlations[weakest]), sample.interval(tail),
        sample.sureness(tail > HEAVY_TAIL), spread, sure, far, two, methods, shown,
    )  # fmt: skip


def _far_limit(sample: FamilySample, reward: int, excess: Floats, here: Bools) -> float:
    """From where on a score is far from its partners; infinite for two values, whose errors have all one size."""
    if not here.any() or _has_two_values(sample, reward):
        return np.inf
    typical = excess[here]
    robust = _MAD * float(np.median(np.abs(typical)))
    limit = max(FAR_DEVIATIONS * robust, FAR_RMS * float(np.sqrt((typical**2).mean())))
    return limit if limit > 0 else np.inf


def _has_two_values(sample: FamilySample, reward: int) -> bool:
    values = sample.rewards[:, reward].numpy()
    return len(np.unique(values[~np.isnan(values)])) <= 2


def _results(sample: FamilySample, labels: Sequence[str]) -> dict[str, tuple[Bools, Floats]]:
    """(N,) who is kept, and the advantages, of a few methods that know the families."""
    found = {}
    for name in _METHODS:
        setting = Setting.named(name, "families")
        result = setting.advantages(
            sample.rewards,
            sample.group_ids,
            reward_weights=sample.weights,
            reward_families=labels if setting.uses_families else None,
        )
        found[name] = np.asarray(result.keep_mask.numpy()), np.asarray(result.loss_advantages.double().numpy())
    return found


def _family_methods(
    sample: FamilySample, members: Sequence[int], fooled: Bools, kept: dict[str, tuple[Bools, Floats]]
) -> list[FamilyMethod]:
    """What each method would do inside a family, and on the rollouts that seem to fool one of it."""
    signal = np.abs(sample.deviations[:, members])
    total = signal.sum(0)
    has_signal, has_fooled = bool((total > 0).all()), bool(fooled.any())
    return [
        FamilyMethod(
            name=name,
            dropped=float(1 - keep.mean()),
            retained=float(1 - (signal[~keep].sum(0) / total).max()) if has_signal else None,
            fooled_kept=float(keep[fooled].mean()) if has_fooled else None,
            fooled_advantage=float(advantages[fooled].mean()) if has_fooled else None,
        )
        for name, (keep, advantages) in kept.items()
    ]
