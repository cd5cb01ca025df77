"""Checks of the numbers in a declaration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real

from gd2po.errors import InvalidInputError


def check_number(value: object, name: str, least: float = -math.inf, most: float = math.inf) -> None:
    """Raise unless the value is a finite number in the range, ends included."""
    fits = isinstance(value, Real) and not isinstance(value, bool)
    if not fits or not math.isfinite(value) or not least <= value <= most:  # type: ignore[arg-type, operator]
        raise InvalidInputError(f"`{name}` must be a number{_limits(least, most)}: got {value!r}.")


def check_count(value: object, name: str, least: int, most: float = math.inf) -> None:
    """Raise unless the value is a whole number in the range, ends included."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidInputError(f"`{name}` must be a whole number{_limits(least, most)}: got {value!r}.")


def check_learning_rate(value: object, name: str) -> None:
    """Raise unless the value is a finite number above 0."""
    check_number(value, name)
    if not value > 0:  # type: ignore[operator]
        raise InvalidInputError(f"`{name}` must be above 0: got {value!r}.")


def check_switch(value: object, name: str) -> None:
    """Raise unless the value is true or false."""
    if not isinstance(value, bool):
        raise InvalidInputError(f"`{name}` must be true or false: got {value!r}.")


def check_text(value: object, name: str) -> None:
    """Raise unless the value is a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise InvalidInputError(f"`{name}` must be a text: got {value!r}.")


def check_coefficients(values: object, name: str) -> None:
    """Raise unless the value maps names to finite numbers."""
    if not isinstance(values, Mapping):
        raise InvalidInputError(f"`{name}` must map names to numbers: got {values!r}.")
    for key, value in values.items():
        check_number(value, f"{name}.{key}")


def _limits(least: float, most: float) -> str:
    if math.isfinite(least) and math.isfinite(most):
        return f" from {least:g} to {most:g}"
    return f" of at least {least:g}" if math.isfinite(least) else ""
