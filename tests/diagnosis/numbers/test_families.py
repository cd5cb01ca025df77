"""The sample that families are looked for in: whole groups, evenly spaced steps, bounded."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gd2po.diagnosis.numbers import families
from gd2po.diagnosis.numbers.families import FamilySample, find_families
from gd2po.diagnosis.numbers.sample import Step
from gd2po.diagnosis.verdict.families import resembled_world


def step(number: int, rewards: torch.Tensor, group_size: int = 4) -> Step:
    ids = torch.arange(len(rewards)) // group_size
    return Step(number, rewards, ids, None, places=100 * number + np.arange(len(rewards)))


def test_groups_of_different_steps_stay_apart_and_places_are_kept() -> None:
    steps = [step(number, torch.randn(8, 2)) for number in (3, 5)]
    sample = FamilySample.of(steps, [1.0, 1.0])
    assert sample.group_ids.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    assert sample.steps.tolist() == [3] * 8 + [5] * 8
    assert sample.places.tolist() == [*range(300, 308), *range(500, 508)]


def test_what_is_too_much_is_cut_between_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "MOST_ROLLOUTS", 10)
    steps = [step(number, torch.randn(8, 2)) for number in range(4)]
    assert set(FamilySample.of(steps, [1.0, 1.0]).steps.tolist()) == {0}
    assert len(FamilySample.of([step(0, torch.randn(40, 2))], [1.0, 1.0]).rewards) == 8
    assert len(FamilySample.of([step(0, torch.randn(40, 2), group_size=20)], [1.0, 1.0]).rewards) == 20
    monkeypatch.setattr(families, "MOST_NUMBERS", 12)
    assert len(FamilySample.of([step(0, torch.randn(40, 2))], [1.0, 1.0]).rewards) == 4


def test_a_negative_weight_turns_a_penalty_into_a_partner_and_none_into_nothing() -> None:
    quality = torch.randn(400, 1, generator=torch.Generator().manual_seed(0))
    rewards = torch.cat([quality, -quality], 1) + 0.3 * torch.randn(400, 2, generator=torch.Generator().manual_seed(1))
    found = find_families(FamilySample.of([step(0, rewards)], [1.0, -1.0]), ["a", "b"], [0, 1], None)
    assert [family.members for family in found] == [[0, 1]]
    assert found[0].agreement.value > 0.5
    assert find_families(FamilySample.of([step(0, rewards)], [1.0, 1.0]), ["a", "b"], [0, 1], None) == []
    assert find_families(FamilySample.of([step(0, rewards)], [1.0, 0.0]), ["a", "b"], [0], ["x", "x"]) == []


def test_two_values_are_never_far_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    quality = (torch.rand(4000, 1, generator=generator) > 0.5).float().expand(4000, 2)
    slips = (torch.rand(4000, 2, generator=generator) < 0.03).float()
    (family,) = find_families(
        FamilySample.of([step(0, (quality - slips).abs(), 8)], [1.0, 1.0]), ["a", "b"], [0, 1], None
    )
    assert [(far.above, far.below) for far in family.far] == [(0, 0), (0, 0)]
    assert family.tail.value > 4
    assert family.has_two_values
    assert resembled_world(family, has_others=False) == "binary"


def test_rewards_that_apply_together_nowhere_are_no_family_and_no_error() -> None:
    rewards = torch.randn(80, 2)
    rewards[::2, 0] = torch.nan
    rewards[1::2, 1] = torch.nan
    sample = FamilySample.of([step(0, rewards)], [1.0, 1.0])
    assert find_families(sample, ["a", "b"], [0, 1], None) == []
    (family,) = find_families(sample, ["a", "b"], [0, 1], ["x", "x"])
    assert (family.agreement.value, family.tail.value, family.unevenness) == (None, None, None)
