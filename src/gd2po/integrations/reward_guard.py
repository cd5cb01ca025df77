"""Reward functions made safe for a long run: every error carries the function's name and what to do."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from gd2po.errors import GD2POError, RewardFunctionError
from gd2po.rewards import callable_name, validate_scores


def guarded(reward_func: Any) -> Any:
    """The reward function, its scores checked on every batch and its exceptions named.

    Args:
        reward_func: a function or callable object with TRL's signature, also a coroutine function.

    Returns:
        A function under the same name that returns list[float | None].

    Raises:
        RewardFunctionError: from the returned function, when `reward_func` raises (the original exception is the
            cause) or returns anything but one finite number or None per completion.

    Example:
        >>> def one(completions, **kwargs):
        ...     return [1.0]
        >>> guarded(one)(prompts=["?", "?"], completions=["a", "b"])
        Traceback (most recent call last):
        ...
        gd2po.errors.RewardFunctionError: Reward function `one` must return one score per completion: expected 2, ...
    """
    name = callable_name(reward_func)
    if inspect.iscoroutinefunction(inspect.unwrap(_target(reward_func))):

        async def call_async(*, completions: list[Any], **kwargs: Any) -> list[float | None]:
            try:
                scores = await reward_func(completions=completions, **kwargs)
            except GD2POError:
                raise
            except Exception as error:
                raise _raised(name, error) from error
            return validate_scores(name, scores, len(completions))

        call_async.__name__ = name
        return call_async

    def call(*, completions: list[Any], **kwargs: Any) -> list[float | None]:
        try:
            scores = reward_func(completions=completions, **kwargs)
        except GD2POError:
            raise
        except Exception as error:
            raise _raised(name, error) from error
        return validate_scores(name, scores, len(completions))

    call.__name__ = name
    return call


def _target(reward_func: Any) -> Any:
    """What decides whether the function is async: under partials, or the `__call__` of an object."""
    while isinstance(reward_func, functools.partial):
        reward_func = reward_func.func
    return reward_func if inspect.isroutine(reward_func) else type(reward_func).__call__


def _raised(name: str, error: Exception) -> RewardFunctionError:
    return RewardFunctionError(
        f"Reward function `{name}` raised {type(error).__name__}: {error}. Completions are a model's output and may "
        "hold anything: return None, or the lowest score, for what cannot be scored."
    )
