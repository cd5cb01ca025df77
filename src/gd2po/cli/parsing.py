"""Values that the command line writes in one word: lists, weights by name, ranges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gd2po.errors import ConfigError
from gd2po.runs.spellings import families_by_name


def parse_names(text: str) -> list[str]:
    """The names in a list with commas.

    Raises:
        ConfigError: there is none, or one is there twice.

    Example:
        >>> parse_names("correctness, format")
        ['correctness', 'format']
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ConfigError(f"`--rewards` needs names with commas between them, like a,b: got {text!r}.")
    if len(set(names)) < len(names):
        raise ConfigError(f"`--rewards` names a reward twice: {text!r}.")
    return names


def parse_weights(words: Sequence[str] | None) -> dict[str, Any] | list[Any] | None:
    """Weights by name or in order; None where none are given.

    Raises:
        ConfigError: neither.

    Example:
        >>> parse_weights(["correctness=1", "format=0.5"]), parse_weights(["1,0.5"])
        ({'correctness': 1.0, 'format': 0.5}, [1.0, 0.5])
    """
    from gd2po.runs.reward_weights import RewardWeights

    return None if words is None else RewardWeights.of(words).plain()


def parse_families(words: Sequence[str] | None) -> dict[str, Any] | None:
    """Families by name of the reward; None where none are given.

    Raises:
        ConfigError: something else, or a reward in two families.

    Example:
        >>> parse_families(["judge=correct", "rubric=correct"])
        {'judge': 'correct', 'rubric': 'correct'}
    """
    return None if words is None else families_by_name(words)


def parse_step_range(text: str | None) -> tuple[int | None, int | None]:
    """First and last step, both included; None where open.

    Raises:
        ConfigError: no range, or one that ends before it begins.

    Example:
        >>> parse_step_range("100:200"), parse_step_range("100:"), parse_step_range(":200"), parse_step_range("7")
        ((100, 200), (100, None), (None, 200), (7, 7))
    """
    if text is None:
        return None, None
    first, colon, last = text.strip().partition(":")
    try:
        bounds = (int(first) if first else None, int(last) if last else None)
    except ValueError:
        bounds = (None, None)
    low, high = bounds if colon else (bounds[0], bounds[0])
    if (low is None and high is None) or (low is not None and high is not None and low > high):
        raise ConfigError(f"`--step_range` needs first:last, first: or :last, in whole numbers: got {text!r}.")
    return low, high
