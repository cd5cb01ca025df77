from __future__ import annotations

import math
from typing import Any

import pytest

from gd2po.errors import RewardFunctionError
from gd2po.evaluation.held_out import score_held_out
from gd2po.rewards import exact_calls, tool_call_correctness, tool_call_format

CALL = '<think> t </think>\n<tool_call>\n{"name": "add", "parameters": {"a": 1}}\n</tool_call>'
TALK = "<think> t </think>\n<response> hi </response>"
ROWS = [
    {"prompt": [{"role": "user", "content": "add"}], "answer": CALL},
    {"prompt": [{"role": "user", "content": "hello"}], "answer": TALK},
]


def scorer(name: str, *scores: float | None) -> Any:
    """A function that returns these scores."""

    def score(completions: list[Any], **kwargs: Any) -> list[float | None]:
        return list(scores)

    score.__name__ = name
    return score


def test_means_are_over_the_prompts_a_reward_applies_to() -> None:
    scores = score_held_out(ROWS, [CALL, CALL], [tool_call_correctness, tool_call_format])
    assert scores.num_prompts == 2
    assert scores.rewards == {"tool_call_correctness": 3.0, "tool_call_format": 0.5}
    assert (scores.metrics, scores.shares) == ({}, [])


def test_a_reward_that_applies_nowhere_has_no_mean() -> None:
    scores = score_held_out(ROWS[1:], [TALK], [tool_call_correctness])
    assert math.isnan(scores.rewards["tool_call_correctness"])


def test_evaluation_functions_are_scored_beside_the_rewards() -> None:
    scores = score_held_out(ROWS, [CALL, CALL], [tool_call_format], [exact_calls, tool_call_correctness])
    assert scores.rewards == {"tool_call_format": 0.5}
    assert scores.metrics == {"exact_calls": 0.5, "tool_call_correctness": 3.0}


def test_a_share_is_a_metric_whose_every_score_is_0_or_1() -> None:
    functions = [
        scorer("right", 0, 1), scorer("partly", None, 1), scorer("graded", 0.5, 1), scorer("nowhere", None, None)
    ]  # fmt: skip
    scores = score_held_out(ROWS, ["", ""], [scorer("reward", 0, 1)], functions)
    assert scores.shares == ["right", "partly"]
    assert (scores.metrics["right"], scores.metrics["partly"], scores.metrics["graded"]) == (0.5, 1.0, 0.75)
    assert math.isnan(scores.metrics["nowhere"])


def test_functions_see_completions_in_the_form_of_their_prompts() -> None:
    seen: list[Any] = []

    def look(completions: list[Any], prompts: list[Any], note: list[str], **kwargs: Any) -> list[float]:
        seen.extend([*completions, *note])
        return [1.0] * len(completions)

    score_held_out([{"prompt": "plain", "note": "n"}], ["text"], [look])
    score_held_out([{"prompt": ROWS[0]["prompt"], "note": "m"}], ["text"], [], [look])
    assert seen == ["text", "n", [{"role": "assistant", "content": "text"}], "m"]


def test_async_functions_are_awaited() -> None:
    async def judge(completions: list[str], **kwargs: Any) -> list[float | None]:
        return [2.0, None]

    assert score_held_out(ROWS, ["", ""], [judge]).rewards == {"judge": pytest.approx(2.0)}
    assert score_held_out(ROWS, ["", ""], [], [judge]).metrics == {"judge": pytest.approx(2.0)}


def test_a_function_that_leaves_a_completion_out_is_named() -> None:
    with pytest.raises(RewardFunctionError, match="`short` must return one score per completion: expected 2, got 1"):
        score_held_out(ROWS, ["", ""], [], [scorer("short", 1.0)])
