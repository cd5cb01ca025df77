"""What conditions would do to the rewards of a log, against the core."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from gd2po import diagnose_batch, gdpo_advantages
from gd2po.diagnosis import RewardLog, diagnose
from gd2po.diagnosis.numbers.conditions import MOST_STEPS, MOST_TRIED, evaluate_conditions, natural_conditions
from gd2po.diagnosis.numbers.sample import Step
from gd2po.errors import ConfigError
from gd2po.runs.reward_conditions import RewardConditions

NAMES = ["correct", "brief"]
BRIEF = RewardConditions.of([{"reward": "brief", "on": "correct", "threshold": 1.0}])
# Right and long, right and brief, wrong and brief, wrong and briefest; then a group that is right throughout.
REWARDS = torch.tensor([[1.0, 0.2], [1.0, 0.6], [0.0, 0.8], [0.0, 0.9], [1.0, 0.1], [1.0, 0.5], [1.0, 0.5], [1.0, 0.7]])
GROUP_IDS = torch.arange(2).repeat_interleave(4)


def steps(count: int = 1, weights: list[list[float]] | None = None) -> list[Step]:
    made = None if weights is None else [torch.tensor(one, dtype=torch.float64) for one in weights]
    return [Step(n, REWARDS, GROUP_IDS, None, None if made is None else made[n]) for n in range(count)]


def test_each_row_has_the_numbers_of_the_core() -> None:
    rows = evaluate_conditions(steps(), NAMES, [1.0, 1.0], [("none", None), ("given", BRIEF)])
    for row, rewards in zip(rows, (REWARDS, BRIEF.apply(REWARDS, NAMES)), strict=True):
        result = gdpo_advantages(rewards, GROUP_IDS, whitening="none")
        expected = diagnose_batch(rewards, GROUP_IDS, result)
        assert row.conflict_rate == pytest.approx(float(expected.conflict_rate))
        assert row.cancellation == pytest.approx(float(expected.cancellation))
        assert row.zero_signal_groups == pytest.approx(float(expected.zero_signal_group_rate))
    before, after = rows
    assert (before.words, before.held_back, before.origin) == ([], {}, "none")
    assert after.held_back == {"brief": 2 / 8}
    assert after.constant_groups == {"correct": 0.5, "brief": 0.0}
    assert before.conflict_rate > after.conflict_rate == 0


def test_a_reward_that_equals_its_fate_is_held_back_all_the_same() -> None:
    at_its_fate = REWARDS.clone()
    at_its_fate[2:4, 1] = 0.0
    (row,) = evaluate_conditions([Step(0, at_its_fate, GROUP_IDS, None)], NAMES, [1.0, 1.0], [("run", BRIEF)])
    assert row.held_back == {"brief": 0.25}


def test_each_step_has_its_own_weights_and_steps_are_added_up() -> None:
    moving = steps(3, [[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    (row,) = evaluate_conditions(moving, NAMES, [9.0, 9.0], [("none", None)])
    (usual,) = evaluate_conditions(steps(), NAMES, [1.0, 1.0], [("none", None)])
    assert row.conflict_rate == pytest.approx(usual.conflict_rate * 2 / 3)


def test_of_many_steps_some_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(RewardConditions, "apply", lambda self, rewards, names: seen.append(len(rewards)) or rewards)
    evaluate_conditions(steps(3 * MOST_STEPS), NAMES, [1.0, 1.0], [("given", BRIEF)])
    assert seen == [8 * MOST_STEPS] * 2  # the conditions themselves, and as subsets


def test_natural_conditions_wait_for_the_best_of_a_reward_with_few_values(write_log: Any) -> None:
    diagnosis = diagnose(
        RewardLog(write_log({"group": [0] * 20, "correct": [0.0, 1.0] * 10, "brief": [-n / 20 for n in range(20)]}))
    )
    (found,) = natural_conditions(diagnosis.rewards)
    assert found.plain() == [{"reward": "brief", "on": "correct", "threshold": 1.0, "otherwise": -0.95}]
    penalised = [dataclasses.replace(reward, weight=-1.0) for reward in diagnosis.rewards]
    assert natural_conditions(penalised)[0].plain()[0]["otherwise"] == 0.0
    many = [dataclasses.replace(reward, distinct_values=2) for reward in diagnosis.rewards] * 3
    assert len(natural_conditions(many)) == MOST_TRIED
    assert [row.origin for row in diagnosis.conditions] == ["none", "tried"]


def test_conditions_that_are_asked_for_are_tried_in_the_place_of_natural_ones(write_log: Any) -> None:
    columns = {"group": [0] * 4, "correct": [0.0, 1.0, 0.0, 1.0], "brief": [0.1, 0.9, 0.5, 0.3]}
    asked = '[{"reward": "brief", "on": "correct", "threshold": 1.0, "subset": true}]'
    diagnosis = diagnose(RewardLog(write_log(columns)), reward_conditions=asked)
    assert [row.origin for row in diagnosis.conditions] == ["none", "given"]
    assert diagnosis.conditions[1].held_back == {"brief": 0.5}
    with pytest.raises(ConfigError, match=r"`reward_conditions\[0\].on` names no reward of the run: got 'corect'"):
        diagnose(RewardLog(write_log(columns)), reward_conditions=asked.replace("correct", "corect"))
