"""What a method is: a typed function and a few words. Whoever lists, parses or runs methods asks these."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from gd2po.core import checks
from gd2po.core.batch import RewardBatch
from gd2po.core.result import AdvantageResult

DATA = ("rewards", "group_ids", "reward_weights", "reward_families", "correlations", "token_counts")
"""Parameters of a method's function that come with every batch; all others are its options."""


@dataclass(frozen=True)
class Range:
    """Bounds of a finite number in an annotation, both included: `Annotated[float, Range(0, 1)]`."""

    low: float
    high: float


@dataclass(frozen=True)
class Option:
    """One option of a method, as its function's signature and docstring say it."""

    name: str
    default: Any
    """None for an option that is required."""
    words: tuple[str, ...] = ()
    """Texts that it takes."""
    bounds: Range | None = None
    """Of the numbers that it takes; None if it takes none."""
    is_switch: bool = False
    is_array: bool = False
    """It takes numbers per reward."""
    optional: bool = False
    """It takes None."""
    required: bool = False
    """It has no default: the method cannot do without it."""
    help: str = ""

    def check(self, value: Any) -> None:
        """Raise unless the option takes the value; arrays are left to the function, which knows the rewards.

        Raises:
            InvalidInputError: says what it takes.
        """
        if self.is_array or (value is None and self.optional):
            return
        if self.is_switch:
            checks.check_switch(value, self.name)
        elif self.bounds is None or (isinstance(value, str) and value in self.words):
            checks.check_choice(value, self.name, self.words)
        else:
            otherwise = "".join(f" or {word!r}" for word in self.words)
            checks.check_range(value, self.name, self.bounds.low, self.bounds.high, otherwise)


Warner = Callable[[RewardBatch, Mapping[str, Any], Sequence[str]], list[str]]


def _no_warnings(batch: RewardBatch, options: Mapping[str, Any], reward_names: Sequence[str]) -> list[str]:
    return []


def _never(options: Mapping[str, Any]) -> bool:
    return False


@dataclass(frozen=True)
class Method:
    """A row of `METHODS`."""

    name: str
    """Value of `advantage_estimator` in TRL, of `method` elsewhere."""
    title: str
    """One line for --help, the documentation and reports."""
    source: str
    """Paper and arXiv number."""
    function: Callable[..., AdvantageResult]
    """(rewards, group_ids, *, <options>, reward_weights, token_counts) -> AdvantageResult"""
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings worth a name of their own: "hard" of gd2po is "gd2po-hard". `...` for an option: whatever its value,
    which the label then shows."""
    warn: Warner = _no_warnings
    """Sentences for whoever uses the method on such rewards, from a batch, the options and the names of the rewards.
    They hold no numbers of the batch, so that each can be said once."""
    stackable: bool = False
    """Its function also takes a `Stack` of batches: all that it takes over several rollouts goes through `RewardBatch`
    and its groups. False is safe for every method, and slow where many batches are simulated."""
    uses_families: Callable[[Mapping[str, Any]], bool] = _never
    """Of the options with their values: whether the function is to be given `reward_families` where they are known."""
    finds_families: Callable[[Mapping[str, Any]], bool] = _never
    """Of the options with their values: whether it looks for families by correlation, where none are given to it."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the options that it cannot do without."""
        return tuple(option.name for option in self.options.values() if option.required)

    @property
    def options(self) -> Mapping[str, Option]:
        """Options by name, in the order of the signature."""
        return options_of(self.function)

    @property
    def labels(self) -> dict[str, Mapping[str, Any]]:
        """The method and its variants by label, with the options that each one fixes."""
        named = {
            f"{self.name}-{variant}": {key: value for key, value in options.items() if value is not ...}
            for variant, options in self.variants.items()
        }
        return {self.name: {}, **named}


@cache
def options_of(function: Callable[..., Any]) -> Mapping[str, Option]:
    """Options of a method's function: choices, bounds and defaults from its signature, help from its docstring.

    Example:
        >>> from gd2po import gd2po_advantages
        >>> options_of(gd2po_advantages)["min_retained"].bounds
        Range(low=0, high=1)
    """
    hints = typing.get_type_hints(function, include_extras=True)
    helps = _argument_help(inspect.getdoc(function) or "")
    return types.MappingProxyType({
        name: _option(name, parameter.default, hints[name], helps.get(name, ""))
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in DATA
    })  # fmt: skip


def check_options(function: Callable[..., Any], **given: Any) -> None:
    """Raise unless a method's function takes these values for its options.

    Raises:
        InvalidInputError: a value that its annotation does not allow (a ValueError).
    """
    options = options_of(function)
    for name, value in given.items():
        options[name].check(value)


def _option(name: str, default: Any, hint: Any, help_text: str) -> Option:
    words: tuple[str, ...] = ()
    found: dict[str, Any] = {}
    for part in _union(hint):
        if typing.get_origin(part) is Literal:
            words += typing.get_args(part)
        elif typing.get_origin(part) is typing.Annotated and isinstance(part.__metadata__[0], Range):
            found["bounds"] = part.__metadata__[0]
        elif part is bool:
            found["is_switch"] = True
        elif part is type(None):
            found["optional"] = True
        else:
            found["is_array"] = True
    if default is inspect.Parameter.empty:
        default, found["required"] = None, True
    return Option(name, default, words, help=help_text, **found)


def _union(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _argument_help(docstring: str) -> dict[str, str]:
    """The section `Args` of a docstring in Google style, each entry on one line."""
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", docstring, re.DOTALL | re.MULTILINE)
    entries = re.findall(r"^ {4}(\w+): (.*?)(?=^ {4}\w|\Z)", section[1] if section else "", re.DOTALL | re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}
