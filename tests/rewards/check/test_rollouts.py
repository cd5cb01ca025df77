"""What can never teach is refused, what is seldom meant is warned about, on the rollouts of a run."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gd2po.errors import RewardFunctionError
from gd2po.rewards.check.rollouts import check_columns, check_on_rollouts

ROWS = [{"prompt": f"{number} + 1", "answer": str(number + 1), "level": number} for number in range(8)]
TEXTS = [str(number) for number in range(8)]


def warnings_of(reward_func: Any, further: Any = ()) -> str:
    return " ".join(check_on_rollouts(reward_func, TEXTS, ROWS, further).warnings)


def test_a_reward_that_tells_rollouts_apart_passes() -> None:
    report = check_on_rollouts(lambda completions, level, **columns: level, TEXTS, ROWS)
    assert report.scores == tuple(range(8))
    assert report.warnings == ()


def test_nan_for_every_rollout_is_refused_and_nan_for_some_is_warned_about() -> None:
    with pytest.raises(RewardFunctionError, match="returned NaN for all 8 rollouts"):
        check_on_rollouts(lambda completions, **columns: [math.nan] * len(completions), TEXTS, ROWS)
    some = warnings_of(lambda level, **columns: [math.nan if one < 3 else one for one in level])
    assert "returned NaN for 3 of 8 rollouts, which counts as not applying" in some


def test_a_reward_that_applies_to_nothing_in_the_data_set_is_refused() -> None:
    def blind(completions: Any, **columns: Any) -> list[None]:
        return [None] * len(completions)

    with pytest.raises(RewardFunctionError, match="none of 8 rollouts, and to none of 2 further rows"):
        check_on_rollouts(blind, TEXTS, ROWS, ROWS[:2])


def test_a_reward_for_rare_prompts_is_a_warning() -> None:
    def rare(completions: Any, level: Any, **columns: Any) -> list[float | None]:
        return [1.0 if one == 99 else None for one in level]

    further = [{**ROWS[0], "level": 99}, ROWS[1]]
    assert "applies to none of 8 rollouts" in warnings_of(rare, further)


def test_a_constant_is_a_warning() -> None:
    found = warnings_of(lambda completions, **columns: [0.5] * len(completions))
    assert "gives 8 rollouts the same score, 0.5" in found


def test_a_function_that_raises_is_refused_with_its_completion() -> None:
    with pytest.raises(RewardFunctionError, match="ZeroDivisionError.* on the completion '0'"):
        check_on_rollouts(lambda completions, **columns: [1 / int(one) for one in completions], TEXTS, ROWS)


def test_columns_and_keywords_that_do_not_fit_are_named_before_any_rollout() -> None:
    with pytest.raises(
        RewardFunctionError, match=r"needs `solution`, and the data set has the columns `prompt`, `answ"
    ):
        check_columns(lambda completions, solution, **columns: [], ROWS[0])
    with pytest.raises(RewardFunctionError, match=r"add `\*\*kwargs` to its signature"):
        check_columns(lambda completions: [], ROWS[0])
    check_columns(lambda completions, answer, **columns: [], ROWS[0])
