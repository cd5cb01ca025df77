"""Rows of JSONL whose lines are not one rollout each: a dialect takes the rollouts out of a line."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from gd2po.logs.tables.json_values import loads
from gd2po.logs.tables.jsonl_table import line_blocks
from gd2po.logs.tables.records import Record, RecordTable, Repeats
from gd2po.logs.tables.table import HEAD_ROWS, BadRows
from gd2po.logs.tables.text import LONGEST_ROW_BYTES

Unpack = Callable[[Mapping[str, Any], Path], Sequence[Mapping[str, Any]]]
"""The rollouts of a line of a file. What it raises for a line of another form makes a malformed row."""

LONGEST_LINE_BYTES = 256 * 1024 * 1024
"""A line of many rollouts is parsed as a whole; a longer one is refused."""


def first_object(path: Path, longest: int = LONGEST_ROW_BYTES) -> Mapping[str, Any]:
    """The first object of a JSONL file, which tells what its lines are; empty where the first lines hold none.

    Raises:
        DataFormatError: a line is too long, or the file is damaged.
    """
    for line in itertools.islice(_lines(path, longest), HEAD_ROWS):
        with suppress(ValueError):
            value = loads(line.text)
            if isinstance(value, dict):
                return value
    return {}


class _Line(NamedTuple):
    """A line of a file, numbered from 1."""

    number: int
    text: bytes


def _lines(path: Path, longest: int) -> Iterator[_Line]:
    """The lines that are not blank."""
    for first, block in line_blocks(path, longest):
        for number, text in enumerate(block.split(b"\n"), first):
            if text.strip():
                yield _Line(number, text)


class PackedTable(RecordTable):
    """Rows of a JSONL file with other lines than rollouts.

    Args:
        path: the file.
        unpack: the rollouts of one line.
        once_per: a column: only the first line with a value of it counts. None takes all lines.
        longest: bytes that a line may take.
    """

    def __init__(
        self, path: Path, unpack: Unpack, once_per: str | None = None, longest: int = LONGEST_ROW_BYTES
    ) -> None:
        self._unpack, self._once_per, self._longest = unpack, once_per, longest
        super().__init__(path)

    def records(self, bad_rows: BadRows) -> Iterator[Record]:
        """The rollouts of all lines."""
        repeats = Repeats(self._once_per)
        for number, text in _lines(self.path, self._longest):
            place = f"{self.path} line {number}"
            rollouts = self._rollouts(text, place, bad_rows)
            if repeats.add(rollouts):
                continue
            for rollout in rollouts:
                yield Record(rollout, place, len(text) // len(rollouts))
        self.notes[:] = repeats.notes("line")

    def _rollouts(self, line: bytes, place: str, bad_rows: BadRows) -> Sequence[Mapping[str, Any]]:
        try:
            return self._unpack(loads(line), self.path)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            bad_rows.add(place, f"not a line as those before ({type(error).__name__}: {error})")
            return []
