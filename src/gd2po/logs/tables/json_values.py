"""JSON values of any origin: of bounded depth, and in text that UTF-8 can hold."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from gd2po.logs.tables.text import without_surrogates

DEEPEST = 100
"""Lists and objects in each other; a value with more is malformed."""

_MOST_BRACKETS = 2000
"""Arrow finds structure by recursion, and ends the process at some 10,000 levels."""

_MAYBE_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")


def loads(line: bytes) -> Any:
    """The value on a line, of bounded depth and in text that UTF-8 can hold.

    Raises:
        ValueError: it is none.
    """
    try:
        value = json.loads(line)
    except RecursionError as error:
        raise ValueError(f"nested more than {DEEPEST} deep") from error
    if line.count(b"[") + line.count(b"{") > DEEPEST and _is_deep(value):
        raise ValueError(f"nested more than {DEEPEST} deep")
    return _clean(value) if _MAYBE_SURROGATE.search(line) else value


def _is_deep(value: Any) -> bool:
    """Whether a value is nested beyond the limit; level by level, since recursion has a limit of its own."""
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            part
            for one in level
            if isinstance(one, (dict, list))
            for part in (one.values() if isinstance(one, dict) else one)
        ]
    return bool(level)


def _clean(value: Any) -> Any:
    """The value without halves of characters."""
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, list):
        return [_clean(one) for one in value]
    if isinstance(value, dict):
        return {without_surrogates(key): _clean(one) for key, one in value.items()}
    return value


def may_nest_deeply(block: bytes) -> bool:
    """Whether some line has so many opening brackets that it may be too deep for Arrow; those in texts count."""
    data = np.frombuffer(block, dtype=np.uint8)
    opening = np.flatnonzero((data == ord("[")) | (data == ord("{")))
    ends = np.searchsorted(opening, np.flatnonzero(data == ord("\n")))
    counts = np.diff(np.concatenate([[0], ends, [len(opening)]]))
    return bool(counts.max() > _MOST_BRACKETS)
