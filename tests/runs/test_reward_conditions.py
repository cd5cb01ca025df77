"""Conditions on rewards out of a configuration, by name."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

from gd2po.core.transforms import Condition, conditioned_rewards
from gd2po.errors import ConfigError
from gd2po.runs.reward_conditions import RewardConditions

NAMES = ["correct", "format", "brief"]
BRIEF = {"reward": "brief", "on": "correct", "threshold": 1.0}
REWARDS = torch.tensor([[1.0, 1.0, 0.9], [0.0, 1.0, 0.8], [1.0, 0.0, 0.7], [math.nan, 1.0, 0.6], [1.0, 1.0, math.nan]])


def test_they_do_what_the_core_does_by_index() -> None:
    conditions = RewardConditions.of([{**BRIEF, "otherwise": -1.0}, {**BRIEF, "on": "format", "otherwise": -1}])
    expected = conditioned_rewards(REWARDS, [Condition(2, 0, 1.0), Condition(2, 1, 1.0)], otherwise=-1.0)
    given = REWARDS.clone()
    torch.testing.assert_close(conditions.apply(given, NAMES), expected, equal_nan=True)
    torch.testing.assert_close(given, REWARDS, equal_nan=True)


def test_a_subset_does_not_apply_elsewhere() -> None:
    found = RewardConditions.of([{**BRIEF, "subset": True}]).apply(REWARDS, NAMES)
    torch.testing.assert_close(found[:, 2], torch.tensor([0.9, math.nan, 0.7, math.nan, math.nan]), equal_nan=True)


def test_in_a_chain_every_condition_looks_at_the_rewards_as_given() -> None:
    chain = RewardConditions.of([BRIEF, {"reward": "correct", "on": "format", "threshold": 1.0, "otherwise": -5.0}])
    found = chain.apply(REWARDS, NAMES)
    assert found[2].tolist() == pytest.approx([-5.0, 0.0, 0.7])  # the raw 1 of `correct` lets `brief` count


def test_they_come_back_from_their_plain_form_and_from_json() -> None:
    conditions = RewardConditions.of(
        [{**BRIEF, "otherwise": -1}, {"reward": "format", "on": "correct", "threshold": 0, "subset": True}]
    )
    text = json.dumps(conditions.plain(), allow_nan=False)
    assert RewardConditions.of(json.loads(text)) == RewardConditions.of(text) == conditions
    assert [one.words for one in conditions.conditions] == [
        "brief counts where correct is at least 1, and is -1 elsewhere",
        "format counts where correct is at least 0, and does not apply elsewhere",
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (BRIEF, r"`c` needs a list like \[\{reward: length"),
        ("brief if correct", "`c` needs a list like .*: got 'brief if correct'"),
        ([3], r"`c\[0\]` must be a mapping like \{reward: length, .*\}: got 3"),
        ([{**BRIEF, "treshold": 1}], r"`c\[0\]` has no key 'treshold'. Did you mean 'threshold'"),
        ([{"on": "correct", "threshold": 1}], r"`c\[0\].reward` must be the name of a reward: got None"),
        ([{**BRIEF, "on": 0}], r"`c\[0\].on` must be the name of a reward: got 0"),
        ([{**BRIEF, "on": "brief"}], r"`c\[0\]` must hold a reward back by another one: got 'brief' for both"),
        ([{"reward": "brief", "on": "correct"}], r"`c\[0\].threshold` must be a finite number: got None"),
        ([{**BRIEF, "threshold": math.inf}], r"`c\[0\].threshold` must be a finite number: got inf"),
        ([{**BRIEF, "threshold": True}], r"`c\[0\].threshold` must be a finite number: got True"),
        (
            [{**BRIEF, "otherwise": math.nan}],
            r"`c\[0\].otherwise` must be a finite number: got nan. Set `subset: true`",
        ),
        ([{**BRIEF, "subset": "yes"}], r"`c\[0\].subset` must be true or false: got 'yes'"),
        ([{**BRIEF, "subset": True, "otherwise": 0}], r"`c\[0\]`: `otherwise` has no effect with `subset: true`"),
        ([BRIEF, {**BRIEF, "on": "format", "otherwise": -1}], "`c` must have one `otherwise` .* on 'brief'"),
        ([BRIEF, {**BRIEF, "on": "format", "subset": True}], "`c` must have one `otherwise`"),
        (
            [BRIEF, {"reward": "correct", "on": "brief", "threshold": 1}],
            "`c` must not lead back to where it began: brief on correct on brief",
        ),
        (
            [BRIEF, {**BRIEF, "reward": "correct", "on": "format"}, {**BRIEF, "reward": "format", "on": "brief"}],
            "brief on correct on format on brief",
        ),
    ],
)
def test_what_makes_no_conditions_is_refused(values: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RewardConditions.of(values, "c")


def test_an_unknown_reward_gets_the_nearest_name() -> None:
    RewardConditions.of([BRIEF]).check_names(NAMES)
    with pytest.raises(
        ConfigError, match=r"`c\[0\].on` names no reward of the run: got 'corect'. Did you mean 'correct'"
    ):
        RewardConditions.of([{**BRIEF, "on": "corect"}], "c").check_names(NAMES)


def test_a_failed_condition_that_is_praise_is_a_warning() -> None:
    conditions = RewardConditions.of([BRIEF])
    assert conditions.warnings(REWARDS, NAMES) == []
    (text,) = conditions.warnings(REWARDS - 1, NAMES)
    assert text.startswith("brief becomes 0 where correct is below 1, and it gives lower scores than that itself")
    assert RewardConditions.of([{**BRIEF, "subset": True}]).warnings(REWARDS - 1, NAMES) == []
