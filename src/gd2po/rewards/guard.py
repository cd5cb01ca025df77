"""Reward functions made safe for a long run: every error carries the function's name and what to do."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gd2po.errors import GD2POError, RewardFunctionError
from gd2po.rewards.failures import describe, target
from gd2po.rewards.registry import callable_name
from gd2po.rewards.scores import validate_scores

logger = logging.getLogger(__name__)


def guarded(reward_func: Any, timeout: float | None = None) -> Any:
    """The reward function, its scores checked on every batch and its exceptions named.

    It gets lists of its own, so that one that empties or edits its arguments changes nothing for the next.

    Args:
        reward_func: a function or callable object with TRL's signature, also a coroutine function.
        timeout: seconds after which a call that has not returned is named in a warning; None for never. Nothing is
            interrupted: a slow judge is not told from a dead one, and a run has more to lose than time.

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
    if inspect.iscoroutinefunction(target(reward_func)):

        async def call_async(*, completions: list[Any], **kwargs: Any) -> list[float | None]:
            keywords = {"completions": completions, **kwargs}
            with _named(name, reward_func, keywords, None), _named_while_it_runs(name, timeout):
                scores = await reward_func(**_own_lists(keywords))
                return validate_scores(name, scores, len(completions))

        call_async.__name__ = name
        return call_async

    def scored(keywords: dict[str, Any]) -> list[float | None]:
        scores = reward_func(**_own_lists(keywords))
        return validate_scores(name, scores, len(keywords["completions"]))  # a generator runs only here

    def call(*, completions: list[Any], **kwargs: Any) -> list[float | None]:
        keywords = {"completions": completions, **kwargs}
        with _named(name, reward_func, keywords, scored), _named_while_it_runs(name, timeout):
            return scored(keywords)

    call.__name__ = name
    return call


@contextmanager
def _named(
    name: str, reward_func: Any, keywords: dict[str, Any], scored: Callable[[dict[str, Any]], Any] | None
) -> Iterator[None]:
    """Give exceptions the function's name. SystemExit too, which would end the run as if all were well."""
    try:
        yield
    except GD2POError:
        raise
    except (Exception, SystemExit) as error:
        raise RewardFunctionError(
            f"Reward function `{name}` raised {describe(reward_func, error, keywords, scored)}. Completions are a "
            "model's output and may hold anything: return None, or the lowest score, for what cannot be scored."
        ) from error


@contextmanager
def _named_while_it_runs(name: str, timeout: float | None) -> Iterator[None]:
    """Warn of a call that does not return after `timeout` seconds, and each time it has taken twice as long again."""
    if timeout is None:
        yield
        return
    returned = threading.Event()

    def watch() -> None:
        waited, more = 0.0, timeout
        while not returned.wait(more):
            waited += more
            more = waited
            logger.warning(
                f"Reward function `{name}` has not returned for {waited:g} seconds (`reward_timeout` is {timeout:g}). "
                "Training waits for it. If it hangs, end the run: it resumes from its last checkpoint."
            )

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        returned.set()


def _own_lists(values: dict[str, Any]) -> dict[str, Any]:
    """Keywords with new lists and dictionaries in the place of those of the batch; what these hold is shared."""
    return {key: _copied(value) for key, value in values.items()}


def _copied(value: Any) -> Any:
    if type(value) is dict:
        return {key: _copied(one) for key, one in value.items()}
    if type(value) is not list:
        return value
    if {list, dict}.isdisjoint(map(type, value)):  # token ids, texts
        return list(value)
    return [_copied(one) for one in value]
