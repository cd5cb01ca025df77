"""The sample that families are looked for in: whole groups, evenly spaced steps, bounded."""

from __future__ import annotations

import pytest
import torch
from log_fixtures import step

from gd2po.diagnosis.numbers import family_sample
from gd2po.diagnosis.numbers.family_sample import FamilySample


def test_groups_of_different_steps_stay_apart_and_places_are_kept() -> None:
    steps = [step(number, torch.randn(8, 2)) for number in (3, 5)]
    sample = FamilySample.of(steps, [1.0, 1.0])
    assert sample.group_ids.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    assert sample.steps.tolist() == [3] * 8 + [5] * 8
    assert sample.places.tolist() == [*range(300, 308), *range(500, 508)]


def test_what_is_too_much_is_cut_between_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family_sample, "MOST_ROLLOUTS", 10)
    steps = [step(number, torch.randn(8, 2)) for number in range(4)]
    assert set(FamilySample.of(steps, [1.0, 1.0]).steps.tolist()) == {0}
    assert len(FamilySample.of([step(0, torch.randn(40, 2))], [1.0, 1.0]).rewards) == 8
    assert len(FamilySample.of([step(0, torch.randn(40, 2), group_size=20)], [1.0, 1.0]).rewards) == 20
    monkeypatch.setattr(family_sample, "MOST_NUMBERS", 12)
    assert len(FamilySample.of([step(0, torch.randn(40, 2))], [1.0, 1.0]).rewards) == 4
