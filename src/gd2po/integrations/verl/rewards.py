"""verl: reward functions with TRL's signature as verl's `custom_reward_function`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from gd2po.errors import ConfigError
from gd2po.rewards import configure, load_reward_func
from gd2po.rewards.guard import guarded


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    reward_funcs: Sequence[str],
    reward_kwargs: Mapping[str, Mapping[str, Any]] | None = None,
    reward_weights: Sequence[float] | None = None,
    **kwargs: Any,
) -> dict[str, float | None]:
    """The rewards of one completion by name, and their weighted sum as `score`, for verl.

    In verl's configuration:

        reward.custom_reward_function.path=pkg://gd2po.integrations.verl.rewards
        +reward.custom_reward_function.reward_kwargs.reward_funcs=[tool_call_correctness,my_module.brevity]

    Args:
        data_source: Name of the data set; the functions get it as a column.
        solution_str: The completion's text.
        ground_truth: The reference answer; the functions get it as the column `answer`.
        extra_info: More columns, as verl's data set holds them for this prompt.
        reward_funcs: Names of built-in functions, or import paths such as `my_module.my_function`. The part after the
            last dot names the reward.
        reward_kwargs: Options of some of them by name as in `reward_funcs`.
        reward_weights: One weight per function, for `score` alone; None means all 1. The weights of the advantages are
            `algorithm.gd2po.reward_weights`.
        **kwargs: What else verl passes; not used.

    Returns:
        `score`, what verl logs and validates with: the weighted sum of the rewards that apply, 0 where none does. And
        each reward, None where it does not apply.

    Raises:
        ConfigError: A name, an option or the number of weights is wrong, or a function is a coroutine function.
        RewardFunctionError: A function raised, or returned no finite number.

    Example:
        >>> compute_score("rlla", "<think> a b </think>", "...", reward_funcs=["think_length"],
        ...               reward_kwargs={"think_length": {"target_words": 4}})
        {'score': 0.5, 'think_length': 0.5}
    """
    options = reward_kwargs or {}
    weights = [1.0] * len(reward_funcs) if reward_weights is None else list(reward_weights)
    _check(reward_funcs, options, weights)
    columns = {**(extra_info or {}), "answer": ground_truth, "data_source": data_source}
    keywords = {str(name): [value] for name, value in columns.items() if name != "completions"}
    rewards: dict[str, float | None] = {}
    for name in reward_funcs:
        reward_func = load_reward_func(name)
        call = guarded(configure(reward_func, **options[name]) if name in options else reward_func)
        if inspect.iscoroutinefunction(call):
            raise ConfigError(f"Reward {name!r} is a coroutine function, which this function does not await.")
        (rewards[name.rpartition(".")[2]],) = call(completions=[solution_str], **keywords)
    score = sum(weight * reward for weight, reward in zip(weights, rewards.values(), strict=True) if reward is not None)
    return {"score": float(score), **rewards}


def _check(names: Sequence[str], options: Mapping[str, Any], weights: Sequence[float]) -> None:
    """Raise on settings that contradict each other."""
    if isinstance(names, str) or not names:
        raise ConfigError(f"`reward_funcs` must be a list of names, e.g. [tool_call_correctness]: got {names!r}.")
    short = [name.rpartition(".")[2] for name in names]
    if len(set(short)) < len(short) or "score" in short:
        raise ConfigError(
            f"`reward_funcs` must have different names, and none may be 'score', which is their sum: got {short}."
        )
    if len(weights) != len(names):
        raise ConfigError(f"`reward_weights` needs one weight per function: expected {len(names)}, got {len(weights)}.")
    for name in options:
        if name not in names:
            raise ConfigError(f"`reward_kwargs` names {name!r}, which is not among `reward_funcs`: {', '.join(names)}.")
