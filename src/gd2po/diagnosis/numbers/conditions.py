"""What conditions on the rewards would do to them, before any method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gd2po.core import gdpo_advantages
from gd2po.core.statistics import STATISTICS, TERMS, Signals, share
from gd2po.diagnosis.model import ConditionNumbers, ConditionOrigin, RewardNumbers
from gd2po.diagnosis.numbers.sample import Step
from gd2po.runs.reward_conditions import NamedCondition, RewardConditions

MOST_STEPS = 64
"""Evenly spaced steps of the log that conditions are tried on."""

MOST_TRIED = 6
"""Conditions that nobody asked for."""

_STATISTICS = ("conflict_rate", "cancellation", "zero_signal_group_rate")
_TERMS = tuple(dict.fromkeys(term for name in _STATISTICS for term in STATISTICS[name].terms))


def natural_conditions(rewards: Sequence[RewardNumbers]) -> list[RewardConditions]:
    """Conditions that the rewards suggest: each one counts only where another one, of few values, is at its highest.

    Elsewhere it becomes its worst score in the log. The rewards with the fewest values, which say most plainly what is
    right, are depended on first.

    Example:
        >>> natural_conditions([])
        []
    """
    varying = [one for one in rewards if one.counts and one.lowest is not None and one.lowest != one.highest]
    judges = [one for one in varying if one.distinct_values is not None]
    judges.sort(key=lambda one: one.distinct_values or 0)
    found = []
    for judge in judges:
        for held in varying:
            if held is not judge and judge.highest is not None:
                worst = held.lowest if held.weight > 0 else held.highest
                condition = NamedCondition(held.name, judge.name, _decimal(judge.highest), _decimal(worst or 0.0))
                found.append(RewardConditions((condition,)))
    return found[:MOST_TRIED]


def evaluate_conditions(
    steps: Sequence[Step],
    names: Sequence[str],
    weights: Sequence[float],
    candidates: Sequence[tuple[ConditionOrigin, RewardConditions | None]],
) -> list[ConditionNumbers]:
    """What each of several conditions would do.

    Args:
        steps: with the rewards as their functions gave them; at least one.
        names: K names of rewards.
        weights: K weights, of the steps that have none of their own.
        candidates: where each comes from, and the conditions; None for the rewards as given.
    """
    stride = -(-len(steps) // MOST_STEPS)
    batches = list(_batches(steps[::stride], torch.tensor(weights, dtype=torch.float64)))
    return [_numbers(origin, conditions, batches, names) for origin, conditions in candidates]


@dataclass(frozen=True)
class _Batch:
    """Steps with the same weights, as one."""

    rewards: Tensor
    group_ids: Tensor
    weights: Tensor


def _batches(steps: Sequence[Step], usual: Tensor) -> Iterator[_Batch]:
    """Signals of a group depend on nothing else, so that steps with the same weights can share a call."""
    by_weights: dict[tuple[float, ...], list[Step]] = {}
    for step in steps:
        weights = usual if step.weights is None else step.weights
        by_weights.setdefault(tuple(weights.tolist()), []).append(step)
    for together, some in by_weights.items():
        offset, ids = 0, []
        for step in some:
            ids.append(step.group_ids + offset)
            offset += int(step.group_ids.max()) + 1
        weights = torch.tensor(together, dtype=torch.float64)
        yield _Batch(torch.cat([step.rewards for step in some]), torch.cat(ids), weights)


def _numbers(
    origin: ConditionOrigin, conditions: RewardConditions | None, batches: Sequence[_Batch], names: Sequence[str]
) -> ConditionNumbers:
    terms: dict[str, Tensor] = {}
    held = () if conditions is None else tuple(dict.fromkeys(one.reward for one in conditions.conditions))
    applied, passed = torch.zeros(2, len(names), dtype=torch.float64)
    for batch in batches:
        seen = batch.rewards if conditions is None else conditions.apply(batch.rewards, names)
        result = gdpo_advantages(seen, batch.group_ids, reward_weights=batch.weights, whitening="none")
        signals = Signals.of(seen, batch.group_ids, result, reward_weights=batch.weights)
        found = {name: TERMS[name](signals).sum(0) for name in _TERMS}
        found |= _group_counts(signals, batch.group_ids)
        terms = {name: terms[name] + value if name in terms else value for name, value in found.items()}
        if conditions is not None:
            met = conditions.as_subsets().apply(batch.rewards, names)
            applied += (~batch.rewards.isnan()).sum(0)
            passed += (~met.isnan()).sum(0)
    values = [_one(STATISTICS[name].of(terms)) for name in _STATISTICS]
    constant = share(terms["constant"], terms["scored"])
    held_back = share(applied - passed, applied)
    return ConditionNumbers(
        words=[] if conditions is None else [one.words for one in conditions.conditions],
        conditions=[] if conditions is None else conditions.plain(),
        origin=origin,
        held_back={name: _one(held_back[names.index(name)]) for name in held},
        constant_groups={name: _one(value) for name, value in zip(names, constant, strict=True)},
        conflict_rate=values[0],
        cancellation=values[1],
        zero_signal_groups=values[2],
    )


def _group_counts(signals: Signals, group_ids: Tensor) -> dict[str, Tensor]:
    """(K,) groups with two rollouts that a reward applies to, and those among them in which it is constant."""
    groups = int(group_ids.max()) + 1
    like = signals.reward_advantages
    count = torch.zeros(groups, like.shape[1], dtype=like.dtype).index_add(0, group_ids, signals.applies.to(like.dtype))
    strength = torch.zeros_like(count).index_add(0, group_ids, like.abs())
    scored = count >= 2
    return {"scored": scored.sum(0).double(), "constant": (scored & (strength == 0)).sum(0).double()}


def _decimal(value: float) -> float:
    """A score as it was written, without the digits that the float32 of a log adds."""
    return float(f"{value:.7g}")


def _one(value: Tensor) -> float | None:
    return None if bool(value.isnan()) else float(value)
