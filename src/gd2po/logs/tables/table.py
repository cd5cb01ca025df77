"""Tables on disk: what all readers share, and the reader of Parquet.

A table gives its column names, a head to guess from, and the requested columns batch by batch. Nothing here knows what
a column means.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from gd2po.errors import DataFormatError
from gd2po.logs.cells import as_readable, is_text

HEAD_ROWS = 4096
"""Rows that recognition and guesses look at."""

HEAD_BYTES = 64 * 1024 * 1024
"""Bytes of text after which a head ends, whatever its rows."""

MOST_COLUMNS = 10_000
"""A table with more is refused."""

BATCH_ROWS = 65_536
"""Rows of a Parquet file that are read at a time."""

SHOWN_EXAMPLES = 3
"""Bad rows that are named one by one where they are skipped."""

ARROW_DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What Arrow raises for a file that is damaged somewhere."""

SKIP_HINT = "Correct it, or skip and count such rows with `skip_bad_rows`."


def check_names(path: Path, names: Sequence[str]) -> None:
    """Raise for columns that no log has, or that cannot be told apart.

    Raises:
        DataFormatError: too many, or two of one name.
    """
    if len(names) > MOST_COLUMNS:
        raise DataFormatError(
            f"{path} has {len(names):,} columns, and a reward log has at most {MOST_COLUMNS:,}: keep the rewards, the "
            "step and the group."
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataFormatError(f"{path}: two columns are called {twice[0]!r}. Rename one.")


class BadRows:
    """What to do with a malformed row: raise an error with its place, or skip and count it.

    Args:
        skip: True skips.
    """

    def __init__(self, skip: bool = False) -> None:
        self.skip = skip
        self.count = 0
        self.examples: list[str] = []
        self.labels: dict[str, str] = {}
        """Columns that every row must have, and what messages call them, e.g. `reward 'format'`."""

    def add(self, place: str, problem: str, hint: str = SKIP_HINT) -> None:
        """Note one malformed row.

        Raises:
            DataFormatError: unless bad rows are skipped.
        """
        if not self.skip:
            raise DataFormatError(f"{place}: {problem}. {hint}")
        self.count += 1
        if len(self.examples) < SHOWN_EXAMPLES:
            self.examples.append(f"{place}: {problem}")

    def label(self, column: str) -> str:
        """What messages call a column."""
        return self.labels.get(column, repr(column))

    def add_many(self, count: int) -> None:
        """Count malformed rows beyond the examples without naming their places."""
        self.count += count


class Table(Protocol):
    """Rows of one file."""

    path: Path
    names: list[str]
    """Columns, in the file's order."""
    notes: list[str]
    """What was assumed in order to read it, in sentences."""
    decimal_comma: bool
    """Numbers in text have a comma where others have a point."""

    def head(self) -> pa.Table:
        """Up to `HEAD_ROWS` first rows with all columns, as text where the file has no types of its own."""

    def batches(self, columns: Sequence[str], bad_rows: BadRows) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The columns batch by batch, each with the number of its first row; well-formed rows count from 0."""

    def place(self, row: int) -> str:
        """Where a row is, for people: `log.csv line 17`."""


class ParquetTable:
    """Rows of a Parquet file, which stays readable when it is removed.

    Args:
        path: the file.
        row_groups: only these; None for all.

    Raises:
        FileNotFoundError: there is no such file.
        DataFormatError: it is damaged, or no table of a log.
    """

    decimal_comma = False

    def __init__(self, path: Path, row_groups: Sequence[int] | None = None) -> None:
        self.path = path
        self.notes: list[str] = []
        self._row_groups = row_groups
        self._file = pa.OSFile(str(path))
        try:
            with pq.ParquetFile(self._file) as file:
                self._schema, self._metadata = file.schema_arrow, file.metadata
        except ARROW_DAMAGE as error:
            raise self._unreadable(error) from error
        self.names: list[str] = list(self._schema.names)
        check_names(path, self.names)

    def head(self) -> pa.Table:
        """Up to `HEAD_ROWS` first rows."""
        try:
            with pq.ParquetFile(self._file, metadata=self._metadata) as file:
                for batch in file.iter_batches(batch_size=HEAD_ROWS, row_groups=self._row_groups):
                    return pa.Table.from_arrays([as_readable(column) for column in batch.columns], self.names)
                return file.schema_arrow.empty_table()
        except ARROW_DAMAGE as error:
            raise self._unreadable(error) from error

    def batches(self, columns: Sequence[str], bad_rows: BadRows) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The columns batch by batch."""
        texts = [name for name in columns if is_text(self._schema.field(name).type)]
        first_row = 0
        try:
            # Dictionaries keep a prompt that is repeated for its group from being decoded for each rollout. What
            # pre_buffer reads ahead is the whole file, and it is kept to the end.
            with pq.ParquetFile(self._file, metadata=self._metadata, read_dictionary=texts, pre_buffer=False) as file:
                for batch in file.iter_batches(BATCH_ROWS, row_groups=self._row_groups, columns=list(columns)):
                    arrays = [as_readable(batch.column(name)) for name in columns]
                    yield first_row, pa.RecordBatch.from_arrays(arrays, list(columns))
                    first_row += batch.num_rows
        except ARROW_DAMAGE as error:
            raise self._unreadable(error) from error

    def place(self, row: int) -> str:
        """`run.parquet row 17`, counting from 1."""
        return f"{self.path} row {row + 1}"

    def _unreadable(self, error: Exception) -> DataFormatError:
        reason = str(error).splitlines()[0].rstrip(".")
        return DataFormatError(
            f"{self.path} is not a complete Parquet file ({self._file.size():,} bytes; {reason}). It may be cut off, "
            "or still being written: copy it again, or exclude it. `skip_bad_rows` skips unreadable files and counts "
            "them."
        )
