"""Tables whose rows come one by one as mappings: what a line, a file or a database holds when it is no table itself."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from gd2po.logs.tables.table import HEAD_BYTES, HEAD_ROWS, BadRows, check_names
from gd2po.report.wording import counted


class Record(NamedTuple):
    """One row."""

    cells: Mapping[str, Any]
    """By column; an absent one holds nothing."""
    place: str
    """Where it is, for people."""
    size: int
    """About its bytes."""


class RecordTable(ABC):
    """A table over records, which a subclass yields."""

    decimal_comma = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self._head = next(self._blocks(BadRows(skip=True)), [])
        self.names = list(dict.fromkeys(name for record in self._head for name in record.cells))
        check_names(path, self.names)

    @abstractmethod
    def records(self, bad_rows: BadRows) -> Iterator[Record]:
        """The rows, from the first one on."""

    def head(self) -> pa.Table:
        """Up to `HEAD_ROWS` first rows."""
        return pa.Table.from_batches([_batch(self._head, self.names)])

    def batches(self, columns: Sequence[str], bad_rows: BadRows) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The columns batch by batch."""
        first_row = 0
        for block in self._blocks(bad_rows):
            yield first_row, _batch(block, columns)
            first_row += len(block)

    def place(self, row: int) -> str:
        """The place that the record itself names."""
        for number, record in enumerate(self.records(BadRows(skip=True))):
            if number == row:
                return record.place
        return f"{self.path} row {row + 1}"

    def _blocks(self, bad_rows: BadRows) -> Iterator[list[Record]]:
        """The rows in blocks of bounded size."""
        block: list[Record] = []
        size = 0
        for record in self.records(bad_rows):
            if len(block) == HEAD_ROWS or (block and size + record.size > HEAD_BYTES):
                yield block
                block, size = [], 0
            block.append(record)
            size += record.size
        if block:
            yield block


class Repeats:
    """Which of several tables, logged one after the other, repeat a value that one before had.

    Args:
        column: the column of that value; None where no table repeats another.
    """

    def __init__(self, column: str | None) -> None:
        self._column = column
        self._seen: set[str] = set()
        self._count = 0

    def add(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the next table is a repeat."""
        values = set() if self._column is None else {str(row.get(self._column)) for row in rows}
        repeats = bool(values & self._seen)
        self._seen |= values
        self._count += repeats
        return repeats

    def notes(self, noun: str) -> list[str]:
        """How many were excluded, in a sentence, if any were."""
        if not self._count:
            return []
        return [
            f"{counted(self._count, f'{noun} repeats', f'{noun}s repeat')} a {self._column} that was logged before, "
            f"as trainers do when they evaluate and at their end, and {'is' if self._count == 1 else 'are'} excluded."
        ]


def _batch(records: Sequence[Record], columns: Sequence[str]) -> pa.RecordBatch:
    arrays = [as_array([record.cells.get(name) for record in records]) for name in columns]
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def as_array(values: list[Any]) -> pa.Array:
    """Python values as an Arrow array, or as JSON text where their types do not mix.

    Example:
        >>> as_array([1, "two", None]).to_pylist()
        ['1', 'two', None]
    """
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        texts = [
            value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for value in values
        ]
        return pa.array(texts, pa.string())
