"""Schedules of weights are functions of the step alone, and say where they end."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gd2po.core.schedules import SCHEDULES, ConstantSchedule, CosineSchedule, LinearSchedule, StepSchedule
from gd2po.errors import InvalidInputError

FINITE = st.floats(-1e6, 1e6)
EVERY = [
    ConstantSchedule(0.5),
    LinearSchedule(0.0, 1.0, steps=10),
    LinearSchedule(1.0, -1.0, steps=7, hold=True),
    CosineSchedule(2.0, 0.5, steps=9),
    StepSchedule({1: 0.0, 4: 1.0, 8: -2.0}),
]


def test_a_linear_schedule_moves_by_the_same_amount_from_start_to_end() -> None:
    ramp = LinearSchedule(start=1.0, end=3.0, steps=5)
    assert [ramp(step) for step in range(1, 6)] == [1.0, 1.5, 2.0, 2.5, 3.0]


def test_a_cosine_schedule_follows_half_a_cosine() -> None:
    wave = CosineSchedule(start=1.0, end=0.0, steps=101)
    for step in range(1, 102):
        assert wave(step) == pytest.approx((1 + math.cos(math.pi * (step - 1) / 100)) / 2, abs=1e-15)


def test_a_step_schedule_jumps_at_its_steps_and_keeps_the_last_value() -> None:
    jump = StepSchedule({8: -2.0, 1: 0.0, 4: 1.0})
    assert [jump(step) for step in (1, 3, 4, 7, 8, 9999)] == [0.0, 0.0, 1.0, 1.0, -2.0, -2.0]
    assert StepSchedule({"1": 0.0, "4": 1.0, "8": -2}) == jump  # type: ignore[dict-item]  # as JSON has it


@given(FINITE, FINITE, st.integers(2, 50))
def test_ends_are_exact_and_nothing_leaves_the_range_between_them(start: float, end: float, steps: int) -> None:
    for kind in (LinearSchedule, CosineSchedule):
        schedule = kind(start, end, steps)
        values = [schedule(step) for step in range(1, steps + 1)]
        assert (values[0], values[-1]) == (start, end)
        slack = 1e-9 * max(abs(start), abs(end))
        assert all(min(start, end) - slack <= value <= max(start, end) + slack for value in values)


@pytest.mark.parametrize("kind", [LinearSchedule, CosineSchedule])
def test_a_schedule_that_has_ended_is_an_error_unless_it_holds(kind: Any) -> None:
    assert kind(0.0, 1.0, steps=10).last_step == 10
    with pytest.raises(InvalidInputError, match="ends at step 10, and this is step 11. Set `hold`"):
        kind(0.0, 1.0, steps=10)(11)
    held = kind(0.0, 1.0, steps=10, hold=True)
    assert (held(10), held(11), held(10**6), held.last_step) == (1.0, 1.0, 1.0, None)


@pytest.mark.parametrize("schedule", EVERY, ids=lambda schedule: schedule.word)
def test_turning_steps_see_the_extremes(schedule: Any) -> None:
    values = [schedule(step) for step in range(1, (schedule.last_step or 20) + 1)]
    turning = [schedule(step) for step in schedule.turning_steps]
    assert (min(turning), max(turning)) == (min(values), max(values))


@pytest.mark.parametrize("schedule", EVERY, ids=lambda schedule: schedule.word)
def test_a_schedule_survives_being_saved_with_a_checkpoint(schedule: Any) -> None:
    again = pickle.loads(pickle.dumps(schedule))
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert SCHEDULES[schedule.word] is type(schedule)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConstantSchedule("high"), "`value` must be a finite number: got 'high'"),
        (lambda: ConstantSchedule(True), "`value` must be a finite number"),
        (lambda: LinearSchedule(math.nan, 1.0, 10), "`start` must be a finite number: got nan"),
        (lambda: CosineSchedule(0.0, math.inf, 10), "`end` must be a finite number: got inf"),
        (lambda: LinearSchedule(0.0, 1.0, 1), "`steps` must be a whole number of at least 2: got 1"),
        (lambda: LinearSchedule(0.0, 1.0, 2.5), "`steps` must be a whole number"),
        (lambda: LinearSchedule(0.0, 1.0, 10, hold="yes"), "`hold` must be true or false: got 'yes'"),
        (lambda: StepSchedule({}), "`values` must map steps to weights"),
        (lambda: StepSchedule([0.0, 1.0]), "`values` must map steps to weights"),
        (lambda: StepSchedule({2: 1.0}), r"which weight step 1 has: got steps \[2\]"),
        (lambda: StepSchedule({0: 1.0, 1: 2.0}), "`values: step` must be a whole number of at least 1: got 0"),
        (lambda: StepSchedule({1: None}), "`values: weight from step 1 on` must be a finite number"),
        (lambda: LinearSchedule(0.0, 1.0, 10)(0), "`step` must be a whole number of at least 1: got 0"),
        (lambda: StepSchedule({1: 1.0})(0), "`step` must be a whole number of at least 1: got 0"),
    ],
)
def test_what_makes_no_schedule_is_refused(make: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()
