"""Whether what a reward function returned is one score per completion."""

import math
import reprlib
from collections.abc import Iterable, Mapping, Set
from decimal import Decimal
from numbers import Real
from typing import Any, Final

from gd2po.errors import RewardFunctionError

# TRL holds rewards in float32, where anything larger becomes inf.
LARGEST_SCORE: Final = 3.4028234663852886e38


def validate_scores(name: str, scores: Any, expected: int, *, allow_nan: bool = True) -> list[float | None]:
    """`scores` as Python floats and None, checked; cheap enough for every batch.

    Args:
        name: Name of the reward function, for messages.
        scores: What it returned: an iterable of real numbers, decimals, bools, one-element numpy or torch values, None.
        expected: Number of completions.
        allow_nan: Take NaN for None, as TRL does. False: an error, for checks before a run.

    Returns:
        `expected` scores; None where the reward does not apply.

    Raises:
        RewardFunctionError: The number of scores or the type of one is wrong, or one is infinite in float32,
            or NaN without `allow_nan`.

    Example:
        >>> validate_scores("length", [1, True, None, float("nan")], expected=4)
        [1.0, 1.0, None, None]
        >>> validate_scores("length", [1.0], expected=2)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        gd2po.errors.RewardFunctionError: Reward function `length` must return one score per completion: ...
    """
    values = _as_list(name, scores)
    if len(values) != expected:
        raise RewardFunctionError(
            f"Reward function `{name}` must return one score per completion: expected {expected}, "
            f"got {len(values)}. Return None where the reward does not apply, and leave no completion out."
        )
    return [_as_score(name, value, row, allow_nan) for row, value in enumerate(values)]


def _as_list(name: str, scores: Any) -> list[Any]:
    """The returned values. Text, mappings and sets are iterable, but not over scores in order."""
    iterable = isinstance(scores, Iterable) and not isinstance(scores, (str, bytes, Mapping, Set))
    if iterable and getattr(scores, "shape", None) != ():  # a zero-dimensional array has __iter__ as well
        return list(scores)
    raise RewardFunctionError(
        f"Reward function `{name}` must return a list with one score per completion, got "
        f"{'nothing (None)' if scores is None else type(scores).__name__}. "
        "Its arguments are whole batches, also when the batch holds one completion."
    )


def _as_score(name: str, value: Any, row: int, allow_nan: bool) -> float | None:
    """One score as float or None."""
    number = value
    if value is not None and not isinstance(value, Real) and callable(getattr(value, "item", None)):
        try:
            number = value.item()
        except (TypeError, ValueError, RuntimeError) as error:  # an array or tensor of several elements
            raise _wrong_type(name, value, row) from error
    if number is None:
        return None
    if not isinstance(number, (Real, Decimal)):
        raise _wrong_type(name, value, row)
    try:
        score = float(number)
    except OverflowError:
        score = math.inf
    except ValueError:  # Decimal's signalling NaN
        score = math.nan
    if math.isnan(score):
        if allow_nan:
            return None
        raise RewardFunctionError(
            f"Reward function `{name}` returned NaN for completion {row}. Return None where the reward does "
            "not apply; where it does, look for 0 / 0 or the mean of nothing."
        )
    if abs(score) > LARGEST_SCORE:
        raise RewardFunctionError(
            f"Reward function `{name}` returned {score} for completion {row}. A score has to be finite in "
            f"float32 (at most {LARGEST_SCORE:.2e}): one that is not spoils the advantages of its group. "
            "Bound it, or return None where the reward does not apply."
        )
    return score


def _wrong_type(name: str, value: Any, row: int) -> RewardFunctionError:
    """The error for a value that is not a number."""
    shape = getattr(value, "shape", None)
    described = type(value).__name__
    if shape:
        described += f" of shape {tuple(shape)}"
    elif isinstance(value, str):
        described += f" {reprlib.repr(value)}"
    return RewardFunctionError(
        f"Reward function `{name}` must return numbers or None, got {described} for completion {row}. "
        "Convert each score with float()."
    )


def num_nan(scores: Any) -> int:
    """How many of the values that a reward function returned are NaN; 0 where they are not to be counted."""
    if isinstance(scores, (str, bytes, Mapping)) or not isinstance(scores, Iterable):
        return 0
    if getattr(scores, "shape", None) == ():
        return 0
    return sum(_is_nan(value) for value in scores)


def _is_nan(value: Any) -> bool:
    try:
        return math.isnan(value)
    except (TypeError, ValueError):  # None, text, an array of several values
        return False
