from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import Any

import pytest

from gd2po.errors import RewardFunctionError
from gd2po.rewards.guard import guarded

PROMPTS = [[{"role": "user", "content": "?"}], [{"role": "user", "content": "!"}]]
COMPLETIONS = [[{"role": "assistant", "content": "one"}], [{"role": "assistant", "content": "two"}]]


def call(reward_func: Any, **columns: Any) -> Any:
    return guarded(reward_func)(prompts=PROMPTS, completions=COMPLETIONS, **columns)


def test_a_function_that_empties_its_completions_is_held_to_their_number_before() -> None:
    def emptying(completions: Any, **kwargs: Any) -> list[float]:
        scores = [1.0 for _ in completions]
        completions.clear()
        return scores

    def shrinking(completions: Any, **kwargs: Any) -> list[float]:
        completions.pop()
        return [1.0 for _ in completions]

    assert call(emptying) == [1.0, 1.0]
    with pytest.raises(RewardFunctionError, match="`shrinking` must return one score .*: expected 2, got 1"):
        call(shrinking)
    assert len(COMPLETIONS) == 2


def test_what_a_function_does_to_its_arguments_stays_with_it() -> None:
    answer, completion_ids = [["a"], ["b"]], [[1, 2], [3]]

    def editing(prompts: Any, completions: Any, completion_ids: Any, answer: Any, **kwargs: Any) -> list[float]:
        completions[0][0]["content"] = "edited"
        prompts[0].append({"role": "system", "content": "edited"})
        completion_ids[0].clear()
        answer[0].clear()
        return [0.0, 0.0]

    call(editing, answer=answer, completion_ids=completion_ids)
    assert COMPLETIONS[0][0]["content"] == "one"
    assert len(PROMPTS[0]) == 1
    assert (answer, completion_ids) == ([["a"], ["b"]], [[1, 2], [3]])


def test_what_is_no_list_comes_as_it_is() -> None:
    state = object()

    def stateful(completions: Any, trainer_state: Any, **kwargs: Any) -> list[float]:
        return [float(trainer_state is state)] * len(completions)

    assert call(stateful, trainer_state=state) == [1.0, 1.0]


def test_an_error_inside_a_generator_has_the_name_of_the_function() -> None:
    def lazy(completions: Any, **kwargs: Any) -> Any:
        yield 1.0
        raise KeyError("answer")

    with pytest.raises(RewardFunctionError, match="Reward function `lazy` raised KeyError: 'answer'"):
        call(lazy)


def test_a_function_that_ends_the_program_is_an_error() -> None:
    def leaving(completions: Any, **kwargs: Any) -> list[float]:
        sys.exit(0)

    async def leaving_later(completions: Any, **kwargs: Any) -> list[float]:
        sys.exit(3)

    with pytest.raises(RewardFunctionError, match="Reward function `leaving` raised SystemExit: 0"):
        call(leaving)
    with pytest.raises(RewardFunctionError, match="Reward function `leaving_later` raised SystemExit: 3"):
        asyncio.run(call(leaving_later))


def test_ctrl_c_stays_ctrl_c() -> None:
    def interrupted(completions: Any, **kwargs: Any) -> list[float]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(interrupted)


def test_a_function_that_hangs_is_named_again_and_again(caplog: pytest.LogCaptureFixture) -> None:
    def slow(completions: Any, **kwargs: Any) -> list[float]:
        time.sleep(0.5)
        return [1.0, 2.0]

    async def slow_judge(completions: Any, **kwargs: Any) -> list[float]:
        await asyncio.sleep(0.2)
        return [1.0, 2.0]

    with caplog.at_level(logging.WARNING):
        assert guarded(slow, timeout=0.05)(completions=COMPLETIONS) == [1.0, 2.0]
        assert asyncio.run(guarded(slow_judge, timeout=0.05)(completions=COMPLETIONS)) == [1.0, 2.0]
        said = len(caplog.records)
        time.sleep(0.3)
    assert "`slow` has not returned for 0.05 seconds (`reward_timeout` is 0.05)" in caplog.text
    assert "`slow` has not returned for 0.1 seconds" in caplog.text
    assert "`slow_judge` has not returned for 0.05 seconds" in caplog.text
    assert len(caplog.records) == said  # nothing is said once it has returned


def test_a_function_that_returns_in_time_is_not_named(caplog: pytest.LogCaptureFixture) -> None:
    assert guarded(lambda completions, **kwargs: [1.0, 2.0], timeout=30.0)(completions=COMPLETIONS) == [1.0, 2.0]
    assert not caplog.records
