"""What a reward function raised, for people: the error, the line of theirs that it came from, and the completion."""

from __future__ import annotations

import functools
import inspect
import linecache
import reprlib
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from gd2po.rewards.completions import completion_texts

_SECONDS: Final = 10.0
"""How long to look for the completion: a judge behind a network may take its time to fail."""

_text = reprlib.Repr()
_text.maxstring = 200


def target(reward_func: Any) -> Any:
    """The function behind partials and decorators, or the `__call__` of an object."""
    while isinstance(reward_func, functools.partial):
        reward_func = reward_func.func
    return inspect.unwrap(reward_func if inspect.isroutine(reward_func) else type(reward_func).__call__)


def place(reward_func: Any, error: BaseException) -> str:
    """Where an error came from: the deepest line in the file of the function, else of all; "" where none is known."""
    own = getattr(getattr(target(reward_func), "__code__", None), "co_filename", None)
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    mine = [one for one in frames if one[0] == own] or frames[-1:]
    if not mine:
        return ""
    file, line = mine[-1]
    source = linecache.getline(file, line).strip()
    return f"line {line} of {Path(file).name}" + (f": `{source}`" if source else "")


def failing_completion(
    call: Callable[[dict[str, Any]], Any], keywords: Mapping[str, Any], error: BaseException
) -> str | None:
    """The first completion that raises the same kind of error by itself, quoted and cut; None where none does.

    Args:
        call: calls the function with keywords.
        keywords: of the batch that failed.
        error: what it raised.
    """
    completions, until = keywords["completions"], time.monotonic() + _SECONDS
    for row, completion in enumerate(completions):
        if time.monotonic() > until:
            return None
        try:
            call({key: _row(value, row, len(completions)) for key, value in keywords.items()})
        except (Exception, SystemExit) as again:  # noqa: BLE001  # a user's function
            if type(again) is type(error):
                return _text.repr(completion_texts([completion])[0])
    return None


def describe(
    reward_func: Any, error: BaseException, keywords: Mapping[str, Any], call: Callable[[dict[str, Any]], Any] | None
) -> str:
    """The error with its place and, if `call` may look for it, its completion: the middle of a message."""
    where = place(reward_func, error)
    text = f"{type(error).__name__}: {error}" + (f" ({where})" if where else "")
    found = None if call is None else failing_completion(call, keywords, error)
    return text if found is None else f"{text} on the completion {found}"


def _row(value: Any, row: int, rows: int) -> Any:
    """A column's list cut to one row; anything else as it is."""
    return [value[row]] if isinstance(value, list) and len(value) == rows else value
