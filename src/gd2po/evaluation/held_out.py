"""How a policy does on prompts that it was not trained on: the mean of each reward, and of scores beside them."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gd2po.rewards import callable_name
from gd2po.rewards.guard import guarded


@dataclass(frozen=True)
class HeldOutScores:
    """Means over one completion per prompt."""

    num_prompts: int
    rewards: dict[str, float]
    """Mean of each reward over the prompts it applies to; NaN where it applies to none."""
    metrics: dict[str, float]
    """The same of each evaluation function, which was not trained on."""
    shares: list[str]
    """Those of `metrics` whose every score is 0 or 1: their mean is a share of the prompts, shown in percent."""


def score_held_out(
    rows: Sequence[Mapping[str, Any]],
    completions: Sequence[str],
    reward_funcs: Sequence[Callable[..., Any]],
    eval_funcs: Sequence[Callable[..., Any]] = (),
) -> HeldOutScores:
    """Scores of completions made elsewhere.

    Args:
        rows: rows of the data set, each with `prompt` and whatever columns the functions read.
        completions: one text per row.
        reward_funcs: functions with TRL's signature, also coroutine functions; they were trained on.
        eval_funcs: more of the same; they were not. All names have to be distinct.

    Raises:
        RewardFunctionError: a function raises, or does not return one score or None per completion.

    Example:
        >>> def brevity(completions, **kwargs):
        ...     return [1.0 / len(text) for text in completions]
        >>> def right(completions, answer, **kwargs):
        ...     return [float(text == expected) for text, expected in zip(completions, answer)]
        >>> score_held_out([{"prompt": "?", "answer": "four"}], ["four"], [brevity], [right])
        HeldOutScores(num_prompts=1, rewards={'brevity': 0.25}, metrics={'right': 1.0}, shares=['right'])
    """
    prompts = [row["prompt"] for row in rows]
    columns = {key: [row[key] for row in rows] for key in rows[0] if key != "prompt"}
    # Functions see completions in the form TRL gives them: messages where the prompt is messages.
    shaped = [
        text if isinstance(prompt, str) else [{"role": "assistant", "content": text}]
        for prompt, text in zip(prompts, completions, strict=True)
    ]

    def scores_of(functions: Sequence[Callable[..., Any]]) -> dict[str, list[float]]:
        found = {}
        for function in functions:
            scores = guarded(function)(prompts=prompts, completions=shaped, **columns)
            if inspect.isawaitable(scores):
                scores = asyncio.run(_result_of(scores))
            found[callable_name(function)] = [score for score in scores if score is not None]
        return found

    rewards, metrics = scores_of(reward_funcs), scores_of(eval_funcs)
    return HeldOutScores(
        num_prompts=len(rows),
        rewards={name: _mean(scores) for name, scores in rewards.items()},
        metrics={name: _mean(scores) for name, scores in metrics.items()},
        shares=[name for name, scores in metrics.items() if scores and set(scores) <= {0.0, 1.0}],
    )


def _mean(scores: Sequence[float]) -> float:
    return sum(scores) / len(scores) if scores else math.nan


async def _result_of(awaitable: Any) -> Any:
    return await awaitable
