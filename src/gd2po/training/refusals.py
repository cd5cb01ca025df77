"""What TRL, transformers and their kin refuse, as one line of ours; what is unexpected keeps its traceback."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gd2po.errors import ConfigError, GD2POError

_LIBRARIES: Final = frozenset({
    "accelerate", "datasets", "gguf", "huggingface_hub", "httpx", "peft", "requests", "safetensors", "tokenizers",
    "transformers", "trl",
})  # fmt: skip
_KINDS: Final = (ValueError, ImportError, OSError, RuntimeError)
"""What libraries raise on purpose. A TypeError or KeyError is a mistake in a program, theirs or ours."""


def is_refusal(error: BaseException) -> bool:
    """Whether a library raised this on purpose: by a `raise` of its own, not by an operation that failed in it."""
    if not isinstance(error, _KINDS):
        return False
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames:
        return False
    frame, line = frames[-1]
    room = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return room in _LIBRARIES and linecache.getline(frame.f_code.co_filename, line).lstrip().startswith("raise")


@contextmanager
def in_one_line(about: str = "") -> Iterator[None]:
    """Turn a library's refusal into an error of ours that fits on one line.

    Args:
        about: what was tried, to begin the message with: "`model_name_or_path`: cannot load 'x'".

    Raises:
        ConfigError: a library refused; its error is the cause.
    """
    try:
        yield
    except GD2POError:
        raise
    except Exception as error:
        if not is_refusal(error):
            raise
        raise ConfigError(f"{about}: {one_line(error)}" if about else one_line(error)) from error


def one_line(error: BaseException) -> str:
    """The message of an error on one line; its kind where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
