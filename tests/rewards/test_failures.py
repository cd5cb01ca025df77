"""What a reward function raised is shown with the user's own line and the completion."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest

from gd2po.errors import RewardFunctionError
from gd2po.rewards.failures import describe, failing_completion, place
from gd2po.rewards.guard import guarded


def inverse(text: str) -> float:
    return 1 / len(text)


def brief(completions: list[str], *, scale: float = 1.0, **columns: Any) -> list[float]:
    return [scale * inverse(text) for text in completions]


def called(function: Any, **keywords: Any) -> BaseException:
    try:
        function(**keywords)
    except ZeroDivisionError as error:
        return error
    raise AssertionError("it did not raise")


def test_the_users_own_line_and_the_completion_are_named() -> None:
    reward = functools.partial(brief, scale=2.0)
    keywords = {"completions": ["one", "", "three"], "answer": ["1", "2", "3"], "seed": 7}
    error = called(reward, **keywords)
    assert "of test_failures.py: `return 1 / len(text)`" in place(reward, error)
    assert failing_completion(lambda one: reward(**one), keywords, error) == "''"
    assert describe(reward, error, keywords, None).startswith("ZeroDivisionError: division by zero (line ")


def test_an_error_deep_in_a_library_is_placed_where_the_user_called_it() -> None:
    def parsed(completions: list[str], **columns: Any) -> list[float]:
        import json

        return [json.loads(text)["score"] for text in completions]

    with pytest.raises(RewardFunctionError, match=r"test_failures.py: `return \[json.loads") as caught:
        guarded(parsed)(completions=['{"score": 1}', "not json"], prompts=["?", "?"])
    assert "on the completion 'not json'" in str(caught.value)


def test_a_completion_is_not_blamed_for_what_only_the_batch_does() -> None:
    def spread(completions: list[str], **columns: Any) -> list[float]:
        return [1 / (len(completions) - 2) for _ in completions]

    with pytest.raises(RewardFunctionError, match="ZeroDivisionError") as caught:
        guarded(spread)(completions=["a", "b"])
    assert "on the completion" not in str(caught.value)


def test_a_long_completion_is_cut_and_control_characters_are_shown_as_such() -> None:
    text = "\x1b[2J" + "x" * 5000
    with pytest.raises(RewardFunctionError) as caught:
        guarded(lambda completions, **columns: [float(text) for text in completions])(completions=[text])
    assert "\x1b" not in str(caught.value).partition("on the completion")[2]
    assert len(str(caught.value).partition("on the completion")[2]) < 500


def test_a_coroutine_function_names_its_line() -> None:
    async def judge(completions: list[str], **columns: Any) -> list[float]:
        return [inverse(text) for text in completions]

    with pytest.raises(RewardFunctionError, match="return 1 / len"):
        asyncio.run(guarded(judge)(completions=["", "a"]))
