"""How a policy does on prompts that it was not trained on: the mean of each reward, and exactly right calls."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gd2po.evaluation.toolcalls import exact_call


@dataclass(frozen=True)
class HeldOutScores:
    """Scores of one completion per prompt."""

    num_prompts: int
    rewards: dict[str, float]
    """Mean of each reward over the prompts it applies to; NaN where it applies to none."""
    exact_call_accuracy: float | None
    """Share of the prompts with exactly the right calls; None for tasks without tool calls."""


def score_held_out(
    rows: Sequence[Mapping[str, Any]],
    completions: Sequence[str],
    reward_funcs: Sequence[Callable[..., Any]],
    *,
    tool_calls: bool,
) -> HeldOutScores:
    """Scores of completions made elsewhere.

    Args:
        rows: rows of the data set, each with `prompt` and whatever columns the rewards read.
        completions: one text per row.
        reward_funcs: functions with TRL's signature, also coroutine functions, with distinct names.
        tool_calls: the column `answer` holds reference answers with tool calls, so count exactly right ones.

    Example:
        >>> def brevity(completions, **kwargs):
        ...     return [1.0 / len(text) for text in completions]
        >>> score_held_out([{"prompt": "?"}], ["four"], [brevity], tool_calls=False)
        HeldOutScores(num_prompts=1, rewards={'brevity': 0.25}, exact_call_accuracy=None)
    """
    prompts = [row["prompt"] for row in rows]
    columns = {key: [row[key] for row in rows] for key in rows[0] if key != "prompt"}
    # Rewards see completions in the form TRL gives them: messages where the prompt is messages.
    shaped = [
        text if isinstance(prompt, str) else [{"role": "assistant", "content": text}]
        for prompt, text in zip(prompts, completions, strict=True)
    ]
    means = {}
    for reward_func in reward_funcs:
        scores = reward_func(prompts=prompts, completions=shaped, **columns)
        if inspect.isawaitable(scores):
            scores = asyncio.run(_result_of(scores))
        applying = [score for score in scores if score is not None and not math.isnan(score)]
        means[reward_func.__name__] = sum(applying) / len(applying) if applying else math.nan
    accuracy = None
    if tool_calls:
        right = [exact_call(text, answer) for text, answer in zip(completions, columns["answer"], strict=True)]
        accuracy = sum(right) / len(right)
    return HeldOutScores(len(rows), means, accuracy)


async def _result_of(awaitable: Any) -> Any:
    return await awaitable
