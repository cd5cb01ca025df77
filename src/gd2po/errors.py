"""Errors of gd2po. Each is also the standard-library class that a caller would expect to catch."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class GD2POError(Exception):
    """Base class of every error that gd2po raises on purpose."""


class InvalidInputError(GD2POError, ValueError):
    """An argument has the wrong shape, range or content."""


class InvalidTypeError(GD2POError, TypeError):
    """An argument has the wrong type."""


class MissingDependencyError(GD2POError, ImportError):
    """An optional dependency is needed and not installed."""


class RewardFunctionError(GD2POError, RuntimeError):
    """A reward function raised or returned something that is not one score per completion."""


class DataFormatError(GD2POError, ValueError):
    """A data set or file does not hold what it has to hold."""


class ConfigError(GD2POError, ValueError):
    """A recipe, configuration file or command-line option is wrong."""


class RunFolderError(GD2POError, FileExistsError):
    """The output folder holds another run."""


class DiskFullError(GD2POError, OSError):
    """No space is left to write to."""


class OutputWriteError(GD2POError, OSError):
    """Outputs of an evaluation cannot be written; what was written before is whole."""


def did_you_mean(name: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """The sentence that ends a message about an unknown name: the nearest known one, or all of them.

    Args:
        name: what came.
        known: what there is.
        otherwise: the sentence where nothing is near; None lists what is known.

    Example:
        >>> did_you_mean("gdop", ["grpo", "gdpo"]), did_you_mean("xyz", ["grpo", "gdpo"])
        ("Did you mean 'gdpo'?", 'There are: grpo, gdpo.')
    """
    known = list(known)
    nearest = get_close_matches(name, known, n=1)
    if nearest:
        return f"Did you mean {nearest[0]!r}?"
    return f"There are: {', '.join(known)}." if otherwise is None else otherwise
