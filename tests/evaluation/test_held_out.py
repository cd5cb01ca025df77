from __future__ import annotations

import math
from typing import Any

import pytest

from gd2po.evaluation.held_out import score_held_out
from gd2po.rewards import tool_call_correctness, tool_call_format

CALL = '<think> t </think>\n<tool_call>\n{"name": "add", "parameters": {"a": 1}}\n</tool_call>'
TALK = "<think> t </think>\n<response> hi </response>"
ROWS = [
    {"prompt": [{"role": "user", "content": "add"}], "answer": CALL},
    {"prompt": [{"role": "user", "content": "hello"}], "answer": TALK},
]


def test_means_are_over_the_prompts_a_reward_applies_to() -> None:
    scores = score_held_out(ROWS, [CALL, CALL], [tool_call_correctness, tool_call_format], tool_calls=True)
    assert scores.num_prompts == 2
    assert scores.rewards == {"tool_call_correctness": 3.0, "tool_call_format": 0.5}
    assert scores.exact_call_accuracy == 0.5


def test_a_reward_that_applies_nowhere_has_no_mean() -> None:
    scores = score_held_out(ROWS[1:], [TALK], [tool_call_correctness], tool_calls=True)
    assert math.isnan(scores.rewards["tool_call_correctness"])
    assert scores.exact_call_accuracy == 1.0


def test_rewards_see_completions_in_the_form_of_their_prompts() -> None:
    seen: list[Any] = []

    def look(completions: list[Any], prompts: list[Any], note: list[str], **kwargs: Any) -> list[float]:
        seen.extend([*completions, *note])
        return [1.0] * len(completions)

    score_held_out([{"prompt": "plain", "note": "n"}], ["text"], [look], tool_calls=False)
    score_held_out([{"prompt": ROWS[0]["prompt"], "note": "m"}], ["text"], [look], tool_calls=False)
    assert seen == ["text", "n", [{"role": "assistant", "content": "text"}], "m"]


def test_an_async_reward_is_awaited() -> None:
    async def judge(completions: list[str], **kwargs: Any) -> list[float | None]:
        return [2.0, None]

    assert score_held_out(ROWS, ["", ""], [judge], tool_calls=False).rewards == {"judge": pytest.approx(2.0)}
