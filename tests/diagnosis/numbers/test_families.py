"""Families that are found, or not, in samples made for it."""

from __future__ import annotations

import torch
from log_fixtures import step

from gd2po.diagnosis.numbers.families import find_families
from gd2po.diagnosis.numbers.family_sample import FamilySample
from gd2po.diagnosis.verdict.families import resembled_world


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
