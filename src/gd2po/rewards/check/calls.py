"""Calls a reward function as TRL does: with keywords, and awaiting it where it is a coroutine function."""

import asyncio
import functools
import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

from gd2po.errors import RewardFunctionError
from gd2po.rewards.check.samples import SampleBatch
from gd2po.rewards.failures import describe
from gd2po.rewards.registry import callable_name
from gd2po.rewards.scores import validate_scores


class RewardCaller:
    """Calls one reward function any number of times; a context manager.

    A coroutine function runs in one event loop for all its calls, because clients that it keeps are bound to
    the loop of their first use. The loop has a thread of its own, so that this works where a loop already
    runs, as in a notebook.
    """

    def __init__(self, reward_func: Callable[..., Any], *, allow_nan: bool = False) -> None:
        self._allow_nan = allow_nan
        self.name = callable_name(reward_func)
        self._reward_func = reward_func
        self._is_coroutine_function = _is_coroutine_function(reward_func)

    def __enter__(self) -> "RewardCaller":
        if self._is_coroutine_function:
            self._loop = asyncio.new_event_loop()
            self._executor = ThreadPoolExecutor(max_workers=1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_coroutine_function:
            self._executor.shutdown()
            self._loop.close()

    def scores(self, batch: SampleBatch) -> list[float | None]:
        """Checked scores of one batch."""
        return self.checked(self.returned(batch.keywords(), batch.form), len(batch))

    def checked(self, returned: Any, expected: int) -> list[float | None]:
        """What the function returned, as scores; NaN is an error, or None where it is allowed."""
        return validate_scores(self.name, returned, expected, allow_nan=self._allow_nan)

    def returned(self, keywords: dict[str, Any], form: str) -> Any:
        """What the function returns; an exception of its own comes with its name."""
        try:
            result = self._called(keywords)
        except (Exception, SystemExit) as error:
            raised = describe(self._reward_func, error, keywords, self._called)
            raise RewardFunctionError(
                f"Reward function `{self.name}` raised {raised} (on {len(keywords['completions'])} sample "
                f"completions, {form}). A completion can be any text, the empty one included; return None where the "
                "reward does not apply."
            ) from error
        if not inspect.isawaitable(result):
            return result
        if inspect.iscoroutine(result):
            result.close()
        raise RewardFunctionError(
            f"Reward function `{self.name}` returned an awaitable and is not declared `async def`, so TRL "
            "does not await it. Declare it, or its `__call__`, with `async def`."
        )

    def _called(self, keywords: dict[str, Any]) -> Any:
        """The function's result, awaited or run to its end."""
        result = self._reward_func(**keywords)
        if self._is_coroutine_function:
            return self._executor.submit(self._loop.run_until_complete, result).result()
        return list(result) if isinstance(result, Iterator) else result


def _is_coroutine_function(reward_func: Any) -> bool:
    """True where TRL awaits the function: behind partials, or through an async `__call__`."""
    while isinstance(reward_func, functools.partial):
        reward_func = reward_func.func
    return inspect.iscoroutinefunction(reward_func) or inspect.iscoroutinefunction(reward_func.__call__)
