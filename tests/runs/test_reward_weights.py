"""Weights of rewards out of a configuration: numbers, schedules, functions, and what is none of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gd2po.core.schedules import CosineSchedule, LinearSchedule, StepSchedule
from gd2po.errors import ConfigError, InvalidInputError, RewardFunctionError
from gd2po.runs.reward_weights import RewardWeights

RAMP = {"schedule": "linear", "start": 0.0, "end": 1.0, "steps": 5}


def halved(step: int) -> float:
    return 1 / 2**step


@pytest.mark.parametrize(
    "values", [[1, 0.5], (1, 0.5), ["1", "0.5"], torch.tensor([1, 0.5]), np.array([1, 0.5]), "[1, 0.5]"]
)
def test_numbers_of_any_kind_are_weights_that_stay(values: Any) -> None:
    weights = RewardWeights.of(values)
    assert not weights.move
    assert weights.at(1) == weights.at(999) == [1.0, 0.5]
    assert weights.plain() == [1.0, 0.5]
    weights.require_steps(10**9)


@pytest.mark.parametrize(
    "entry",
    [RAMP, json.dumps(RAMP), LinearSchedule(0.0, 1.0, steps=5), {**RAMP, "hold": False}],
    ids=["mapping", "JSON", "object", "with its default"],
)
def test_a_schedule_is_given_as_a_mapping_as_json_or_as_an_object(entry: Any) -> None:
    weights = RewardWeights.of([1.0, entry])
    assert weights == RewardWeights.of(f"[1.0, {json.dumps(RAMP)}]")
    assert [weights.at(step)[1] for step in range(1, 6)] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert weights.move


def test_every_schedule_comes_back_from_its_plain_form() -> None:
    entries = [0.5, LinearSchedule(0, 1, 9, hold=True), CosineSchedule(1, 0, 7), StepSchedule({1: 0.0, 5: 1.0})]
    weights = RewardWeights.of([*entries, {"schedule": "constant", "value": 2}])
    assert RewardWeights.of(json.loads(json.dumps(weights.plain(), allow_nan=False))) == weights
    assert weights.telling_steps == [1, 5, 7, 9]
    assert weights.checked_at(9) == [0.5, 1.0, 0.0, 1.0, 2.0]


def test_a_function_is_given_as_an_object_or_by_its_import_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_ramps.py").write_text("def third(step):\n    return step / 3\n")
    monkeypatch.chdir(tmp_path)
    weights = RewardWeights.of([halved, "my_ramps.third"])
    assert weights.at(3) == [0.125, 1.0]
    assert weights.plain() == [f"{__name__}.halved", "my_ramps.third"]
    assert weights.checked_at(3) == [1.0, 1.0]
    weights.require_steps(10**9)


def test_a_schedule_that_ends_before_the_run_is_named() -> None:
    weights = RewardWeights.of([1.0, RAMP])
    weights.require_steps(5)
    with pytest.raises(ConfigError, match=r"`reward_weights\[1\]` ends at step 5, and the run has 6 steps.*hold: true"):
        weights.require_steps(6)
    RewardWeights.of([1.0, {**RAMP, "hold": True}]).require_steps(6)
    with pytest.raises(InvalidInputError, match=r"`reward_weights\[1\]`: The linear schedule ends at step 5"):
        weights.at(6)


def test_weights_by_name_come_in_the_order_of_the_rewards_and_others_weigh_1() -> None:
    names = ["correct", "polite", "brief"]
    for given in ("brief=0.5 correct=2", {"brief": 0.5, "correct": 2}, ["correct=2", "brief=0.5"]):
        assert RewardWeights.of(given).in_order(names) == RewardWeights.of([2, 1, 0.5])
    weights = RewardWeights.of({"brief": RAMP})
    assert weights.plain() == {"brief": {**RAMP, "hold": False}}
    assert RewardWeights.of(weights.plain()) == weights
    assert weights.in_order(names).at(5) == [1.0, 1.0, 1.0]
    with pytest.raises(ConfigError, match=r"`reward_weights.brief` ends at step 5, and the run has 6 steps"):
        weights.require_steps(6)
    with pytest.raises(ConfigError, match="names a reward 'breif' that does not exist. Did you mean 'brief'?"):
        RewardWeights.of("breif=1").in_order(names)
    with pytest.raises(
        ConfigError, match=r"expected 3 \(correct, polite, brief\), got 2. Or name some, like correct=0.5"
    ):
        RewardWeights.of("1 2").in_order(names)


def test_a_single_schedule_is_the_weight_of_a_single_reward() -> None:
    assert RewardWeights.of(RAMP) == RewardWeights.of([json.dumps(RAMP)]) == RewardWeights.of([RAMP])


def test_rewards_that_a_host_adds_weigh_1() -> None:
    assert RewardWeights.of([0.5, RAMP]).for_rewards(4).at(5) == [0.5, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("much more", r"`w\[0\]` must be a number, .*: got 'much'"),
        ({"a": "x"}, r"`w\.a` must be a number, a schedule, or the import path of a function, .*: got 'x'"),
        ("a=1,0.5", "`w` mixes 'a=1', which has a name, with '0.5', which has none"),
        (3, "`w` needs weights in order, like 1 0.5, or by name"),
        ([1.0, "x"], r"`w\[1\]` must be a number, a schedule, or the import path of a function, .*: got 'x'"),
        ([1.0, None], r"`w\[1\]` must be a finite number, a schedule .* or a function of the step: got None"),
        ([1.0, True], r"`w\[1\]` must be a finite number"),
        ([math.nan], r"`w\[0\]` must be a finite number"),
        (["inf"], r"`w\[0\]` must be a finite number"),
        (["no_such_module.ramp"], "Weight function 'no_such_module.ramp' cannot be imported"),
        (["{bad"], "`w` needs weights in order, .*: got '{bad', which is no JSON"),
        ([1.0, "{bad"], r"`w\[1\]` needs a schedule .*: got '{bad', which is no JSON"),
        ([{"schedule": "liner"}], r"`w\[0\].schedule` must be one of constant, .*: got 'liner'. Did you mean 'linear'"),
        ([{"start": 0}], r"`w\[0\].schedule` must be one of constant, linear, cosine, step: got None"),
        ([{**RAMP, "stepps": 5}], r"`w\[0\]` has no key 'stepps' in a linear schedule. Did you mean 'steps'"),
        ([{"schedule": "linear", "start": 0}], r"`w\[0\]` needs `end` in a linear schedule. It takes: start, end, st"),
        ([{**RAMP, "steps": 0}], r"`w\[0\]`: `steps` must be a whole number of at least 2: got 0"),
    ],
)
def test_what_makes_no_weights_is_refused_with_its_place(values: Any, message: str) -> None:
    with pytest.raises((ConfigError, InvalidInputError), match=message):
        RewardWeights.of(values, "w")


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "1", True])
def test_a_function_must_give_a_finite_number(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"`reward_weights\[1\]`: `.*` must give a finite number .* at step 3"):
        RewardWeights.of([1.0, lambda step: value]).at(3)


def test_a_function_that_raises_is_named_with_the_step() -> None:
    def broken(step: int) -> float:
        raise KeyError("phase")

    with pytest.raises(
        RewardFunctionError, match=r"`reward_weights\[0\]`: `.*broken` raised KeyError: 'phase' at step 2"
    ):
        RewardWeights.of([broken]).at(2)
