"""Tables that a run logged to a tracker, one after the other.

A tracker gets whatever a trainer has: TRL logs its last batch again at the end of a run, and evaluation under the same
step. Where the dialect says so, only the first table of a step counts.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

from gd2po.errors import DataFormatError
from gd2po.logs.tables.records import Record, RecordTable, Repeats
from gd2po.logs.tables.table import BadRows

LARGEST_TABLE_BYTES = 256 * 1024 * 1024
"""One logged table is parsed as a whole; a larger one is refused."""


class Logged(NamedTuple):
    """One logged table."""

    place: str
    """For people."""
    rows: list[dict[str, Any]]
    size: int
    """Bytes of its JSON."""


class TrackedTable(RecordTable):
    """The rows of tables that were logged one after the other."""

    one_table_per: str | None = None
    """A column: only the first table that has a value of it counts. None takes all tables."""

    @abstractmethod
    def tables(self) -> Iterator[Logged]:
        """The tables in the order of logging.

        Raises:
            DataFormatError: one cannot be read.
        """

    def records(self, bad_rows: BadRows) -> Iterator[Record]:
        """The rows of all tables that count."""
        repeats = Repeats(self.one_table_per)
        for table in self.tables():
            if repeats.add(table.rows):
                continue
            size = table.size // max(len(table.rows), 1)
            for number, row in enumerate(table.rows, 1):
                yield Record(row, f"{table.place} row {number}", size)
        self.notes[:] = repeats.notes("table")


def check_size(size: int, place: str) -> None:
    """Raise for a table that is too large to be parsed as a whole.

    Raises:
        DataFormatError: it is.
    """
    if size > LARGEST_TABLE_BYTES:
        raise DataFormatError(
            f"{place} takes {size:,} bytes, and a logged table is read up to {LARGEST_TABLE_BYTES:,}: export it as "
            "Parquet."
        )
