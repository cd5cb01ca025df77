"""Reward functions for verl, without verl; through its own loader and reward manager in test_examples.py."""

from __future__ import annotations

from typing import Any

import pytest

from gd2po.errors import ConfigError, RewardFunctionError
from gd2po.integrations.verl.rewards import compute_score

CALL = '<tool_call>\n{"name": "add", "parameters": {"a": 1}}\n</tool_call>'
REFERENCE = f"<think> easy </think>\n{CALL}"
TOOL_CALLING = ["tool_call_correctness", "tool_call_format", "think_length"]


def doubled(completions: list[str], **kwargs: Any) -> list[float]:
    return [2.0 * len(text) for text in completions]


def column(completions: list[str], difficulty: list[float], data_source: list[str], **kwargs: Any) -> list[float]:
    return [value if source == "rlla" else -1.0 for value, source in zip(difficulty, data_source, strict=True)]


def broken(completions: list[str], **kwargs: Any) -> list[float]:
    raise KeyError("no such thing")


async def later(completions: list[str], **kwargs: Any) -> list[float]:
    return [0.0]


def test_launch_scripts_may_name_the_earlier_module() -> None:
    from gd2po.integrations import verl_rewards

    assert verl_rewards.compute_score is compute_score


def test_score_is_the_sum_beside_the_rewards() -> None:
    found = compute_score(
        "rlla", REFERENCE, REFERENCE, reward_funcs=TOOL_CALLING, reward_kwargs={"think_length": {"target_words": 4}}
    )
    assert found == {"score": 4.25, "tool_call_correctness": 3.0, "tool_call_format": 1.0, "think_length": 0.25}


def test_a_reward_that_does_not_apply_is_none_and_not_in_the_sum() -> None:
    reference = "<think> easy </think>\n<response> hello </response>"
    found = compute_score("rlla", reference, reference, reward_funcs=TOOL_CALLING)
    assert found["tool_call_correctness"] is None
    assert found["score"] == 1.0
    assert compute_score("rlla", "x", reference, reward_funcs=TOOL_CALLING[:1])["score"] == 0.0


def test_weights_are_those_of_the_score_alone() -> None:
    found = compute_score("rlla", CALL, REFERENCE, reward_funcs=TOOL_CALLING, reward_weights=[0.5, 2, 1])
    assert found["score"] == 0.5 * 3
    assert found["tool_call_correctness"] == 3.0


def test_functions_of_ones_own_go_by_import_path_and_get_the_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "my_rewards", __import__("sys").modules[__name__])
    names = ["my_rewards.doubled", "my_rewards.column"]
    found = compute_score("rlla", "abc", None, {"difficulty": 7.0, "completions": "x"}, reward_funcs=names)
    assert found == {"score": 13.0, "doubled": 6.0, "column": 7.0}


def test_mistakes_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "my_rewards", __import__("sys").modules[__name__])

    def message(error: type[Exception], names: Any, **settings: Any) -> str:
        with pytest.raises(error) as caught:
            compute_score("rlla", "text", "answer", reward_funcs=names, **settings)
        return str(caught.value)

    assert "Did you mean 'think_length'?" in message(ConfigError, ["think_lenght"])
    assert "must be a list of names" in message(ConfigError, "think_length")
    assert "must be a list of names" in message(ConfigError, [])
    assert "must have different names" in message(ConfigError, ["think_length", "gd2po.rewards.think_length"])
    assert "expected 1, got 2" in message(ConfigError, ["think_length"], reward_weights=[1, 2])
    assert "names 'length'" in message(ConfigError, ["think_length"], reward_kwargs={"length": {}})
    assert "is a coroutine function" in message(ConfigError, ["my_rewards.later"])
    assert "`broken` raised KeyError" in message(RewardFunctionError, ["my_rewards.broken"])
