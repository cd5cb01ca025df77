"""Reward and evaluation functions by name, as recipes and command lines write them, and how to bind their options."""

import functools
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from gd2po.errors import ConfigError, InvalidInputError, did_you_mean
from gd2po.rewards.tool_calling.exact import exact_calls
from gd2po.rewards.tool_calling.judges import judge_a, judge_b
from gd2po.rewards.tool_calling.noisy_graders import noisy_grader_a, noisy_grader_b
from gd2po.rewards.tool_calling.quality import answer_quality
from gd2po.rewards.tool_calling.scores import think_length, tool_call_correctness, tool_call_format

REWARD_FUNCS: Final[dict[str, Callable[..., Any]]] = {
    "tool_call_correctness": tool_call_correctness,
    "tool_call_format": tool_call_format,
    "think_length": think_length,
    "noisy_grader_a": noisy_grader_a,
    "noisy_grader_b": noisy_grader_b,
    "judge_a": judge_a,
    "judge_b": judge_b,
}
"""The built-in reward functions by the name that a recipe calls them."""

EVAL_FUNCS: Final[dict[str, Callable[..., Any]]] = {
    **REWARD_FUNCS,
    "exact_calls": exact_calls,
    "answer_quality": answer_quality,
}
"""The built-in functions that held-out prompts can be scored with, without training on them."""


def load_reward_func(name: str) -> Callable[..., Any]:
    """A built-in reward function by its name, or any other by its import path.

    Args:
        name: One of `REWARD_FUNCS`, or `my_module.my_function`. The working directory is looked in too.

    Raises:
        ConfigError: There is no such function.

    Example:
        >>> load_reward_func("think_length").__name__
        'think_length'
    """
    return load_function("reward", name, REWARD_FUNCS)


def load_eval_func(name: str) -> Callable[..., Any]:
    """A built-in evaluation function by its name, or any other by its import path.

    Args:
        name: One of `EVAL_FUNCS`, or `my_module.my_function`. The working directory is looked in too.

    Raises:
        ConfigError: There is no such function.

    Example:
        >>> load_eval_func("exact_calls").__name__
        'exact_calls'
    """
    return load_function("evaluation function", name, EVAL_FUNCS)


def load_function(kind: str, name: str, built_in: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """The function that a name stands for: a built-in one, or one by its import path; `kind` is for messages.

    Raises:
        ConfigError: There is no such function.
    """
    if name in built_in:
        return built_in[name]
    module_name, _, attribute = name.rpartition(".")
    if "." not in name:
        hint = did_you_mean(name, built_in, f"Built in are: {', '.join(built_in)}.")
        raise ConfigError(
            f"There is no {kind} {name!r}. {hint} Your own go by their import path: my_module.my_function."
        )
    what = f"{kind[0].upper()}{kind[1:]} {name!r}"
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError(f"{what} is no import path: it must be names with a dot between them, my_module.my_function.")
    module = _imported(module_name, what)
    found = getattr(module, attribute, None)
    if found is None:
        functions = [key for key, value in vars(module).items() if inspect.isroutine(value)]
        hint = did_you_mean(attribute, functions, "")
        raise ConfigError(f"{what} cannot be imported: {module_name} has no {attribute!r}. {hint}".rstrip())
    if isinstance(found, ModuleType):
        raise ConfigError(f"{what} is a module. Name a function in it: {name}.my_function.")
    if not callable(found):
        raise ConfigError(f"{what} must be a function: got {type(found).__name__}.")
    function: Callable[..., Any] = found
    return function


def _imported(module: str, what: str) -> ModuleType:
    """A module, which may raise anything while it is imported, and even end the program."""
    if str(Path.cwd()) not in sys.path:  # as TRL does: a file beside you needs no installation
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{what} cannot be imported: {error}.") from error
    except (Exception, SystemExit) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise ConfigError(
            f"{what} cannot be imported: {type(error).__name__}: {error} (line {last.lineno} of {last.filename})."
        ) from error


def configure(reward_func: Callable[..., Any], **options: Any) -> functools.partial[Any]:
    """The same reward function with `options` bound, still under its own name in logs and picklable.

    Args:
        reward_func: A reward function; those of `REWARD_FUNCS` and any other whose options are keyword-only.
        **options: Values of its keyword-only arguments.

    Returns:
        A `functools.partial` with the `__name__` and docstring of `reward_func`. TRL looks through a
        partial, so a coroutine function stays one.

    Raises:
        InvalidInputError: The function has no such option.

    Example:
        >>> short = configure(think_length, target_words=4)
        >>> short(["<think> one two </think>"]), short.__name__
        ([0.5], 'think_length')
        >>> configure(think_length, target_word=4)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        gd2po.errors.InvalidInputError: `think_length` has no option `target_word`. Did you mean ...
    """
    known = _options(reward_func)
    name = callable_name(reward_func)
    for option in options:
        if option not in known:
            raise InvalidInputError(f"`{name}` has no option `{option}`. {_suggestion(option, known)}")
    bound = functools.partial(reward_func, **options)
    # Not functools.update_wrapper: `__wrapped__` would make inspect.signature show the options as unbound.
    vars(bound).update(__name__=name, __doc__=inspect.getdoc(reward_func))
    return bound


def callable_name(reward_func: Any) -> str:
    """The name under which TRL logs a reward function: a partial's function, or an object's class."""
    while isinstance(reward_func, functools.partial):
        reward_func = reward_func.func
    name = getattr(reward_func, "__name__", None)
    return name if isinstance(name, str) else type(reward_func).__name__


def _options(reward_func: Callable[..., Any]) -> list[str]:
    """Names of the keyword-only arguments. Others TRL may fill itself, with a column of the data set."""
    parameters = inspect.signature(reward_func).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]


def _suggestion(option: str, known: list[str]) -> str:
    """The nearest known option, or all of them."""
    if not known:
        return "It has no keyword-only arguments; options have to stand behind a `*` in its signature."
    return did_you_mean(option, known)
