"""What a run remembers of rewards that teach nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from gd2po.errors import InvalidInputError
from gd2po.integrations.reward_tally import RewardTally

NAMES = ["varies", "absent", "flat", "late"]
GROUP_IDS = torch.tensor([0, 0])
EARLY = torch.tensor([[1.0, torch.nan, 2.0, torch.nan], [0.0, torch.nan, 2.0, torch.nan]])
LATE = torch.tensor([[1.0, torch.nan, 2.0, 1.0], [1.0, torch.nan, 2.0, 3.0]])


def tally(*batches: torch.Tensor) -> RewardTally:
    found = RewardTally(len(NAMES))
    for rewards in batches:
        found.count(rewards, GROUP_IDS)
    return found


def test_a_reward_that_taught_once_is_not_idle() -> None:
    assert tally().idle(NAMES) == {}
    early = {"absent": "never applied", "flat": "never told rollouts apart", "late": "never applied"}
    assert tally(EARLY).idle(NAMES) == early
    assert tally(EARLY, LATE).idle(NAMES) == {name: early[name] for name in ("absent", "flat")}


def test_groups_that_differ_from_each_other_teach_nothing() -> None:
    rewards = torch.tensor([[1.0], [1.0], [2.0], [2.0]])
    found = RewardTally(1)
    found.count(rewards, torch.tensor([0, 0, 1, 1]))
    assert found.idle(["a"]) == {"a": "never told rollouts apart"}


def test_it_comes_back_from_json_and_goes_on_counting() -> None:
    again = RewardTally.from_plain(json.loads(json.dumps(tally(EARLY).plain())), len(NAMES))
    assert again.plain() == tally(EARLY).plain()
    again.count(LATE, GROUP_IDS)
    assert again.plain() == tally(EARLY, LATE).plain()
    assert RewardTally.from_plain(tally().plain(), len(NAMES)).idle(NAMES) == {}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batches": 1, "applied": [True], "varied": [True]}, "of 4 rewards"),
        ({"batches": 1, "applied": [True] * 4}, "what RewardTally.plain"),
        ({"batches": "many", "applied": [True] * 4, "varied": [True] * 4}, "what RewardTally.plain"),
        ([], "what RewardTally.plain"),
    ],
)
def test_the_tally_of_another_run_is_refused(values: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        RewardTally.from_plain(values, 4)
