"""Outputs made elsewhere, read for scoring."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from gd2po.errors import DataFormatError

_PUBLISHED_KEY: Final = re.compile(r"Level(\d+)_(\d+)")


def read_outputs(path: str | os.PathLike[str], keys: Collection[str]) -> dict[str, str]:
    """The output of each prompt in a file.

    The file holds JSON lines, or one list, of objects with the text `raw_output` and with `key`, or `level` and
    `index`, or `index`; or it is one object from keys to objects with `raw_output`. The published code's keys
    (`Level1_0`) are read as well.

    Args:
        path: the file.
        keys: the prompts there are, such as `1/0` (level and index) or `0`.

    Returns:
        Texts by key; prompts without an output are left out.

    Raises:
        DataFormatError: the file cannot be read, holds nothing, an entry has another form, a key is none of `keys`, or
            one comes twice.
    """
    outputs: dict[str, str] = {}
    for where, entry in _entries(Path(path)):
        key = _key(entry)
        if key is None or not isinstance(entry.get("raw_output"), str):
            raise DataFormatError(
                f"{path} {where}: needs the text `raw_output`, and `key`, or `level` and `index`. Got an object with "
                f"{', '.join(map(str, entry)) or 'nothing in it'}."
            )
        if key not in keys:
            raise DataFormatError(f"{path} {where}: there is no prompt {key!r} among the {len(keys)} to score.")
        if key in outputs:
            raise DataFormatError(f"{path} {where}: there is a second output of prompt {key!r}. Remove one of them.")
        outputs[key] = entry["raw_output"]
    if not outputs:
        raise DataFormatError(f"{path} holds no output.")
    return outputs


def _entries(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each entry with its place in the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataFormatError(f"`outputs`: cannot read {path}: {error}.") from error
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        found = _lines(path, text)
    else:
        if isinstance(whole, list):
            found = [(f"entry {number}", entry) for number, entry in enumerate(whole)]
        elif isinstance(whole, dict) and "raw_output" not in whole:
            found = [(f"entry {key!r}", {"key": key, **_object(path, key, entry)}) for key, entry in whole.items()]
        else:
            found = [("line 1", whole)]
    for where, entry in found:
        yield where, _object(path, where, entry)


def _lines(path: Path, text: str) -> list[tuple[str, Any]]:
    """The entries of JSON lines."""
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append((f"line {number}", json.loads(line)))
        except (ValueError, RecursionError) as error:
            raise DataFormatError(f"{path} line {number} is not JSON: {error}.") from error
    return found


def _object(path: Path, where: str, entry: Any) -> Mapping[str, Any]:
    if not isinstance(entry, dict):
        raise DataFormatError(f"{path} {where}: must be an object with `raw_output`, got {type(entry).__name__}.")
    return entry


def _key(entry: Mapping[str, Any]) -> str | None:
    """The prompt that an entry belongs to."""
    if isinstance(entry.get("key"), str):
        published = _PUBLISHED_KEY.fullmatch(entry["key"])
        return f"{published[1]}/{published[2]}" if published else str(entry["key"])
    if "index" not in entry:
        return None
    return f"{entry['level']}/{entry['index']}" if "level" in entry else str(entry["index"])
