"""Rows of an Arrow IPC file or stream, as `datasets` keeps them on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from gd2po.errors import DataFormatError
from gd2po.logs.cells import as_readable
from gd2po.logs.tables.table import ARROW_DAMAGE, BATCH_ROWS, HEAD_ROWS, BadRows, check_names

FILE_START = b"ARROW1"
STREAM_START = b"\xff\xff\xff\xff"


class ArrowTable:
    """Rows of an Arrow file, mapped into memory.

    Args:
        path: the file.

    Raises:
        DataFormatError: it is damaged, or no table of a log.
    """

    decimal_comma = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self._head = pa.table({})
        self.names: list[str] = []
        for batch in self._batches(HEAD_ROWS):
            self.names = list(batch.schema.names)
            check_names(path, self.names)
            self._head = pa.Table.from_arrays([as_readable(column) for column in batch.columns], self.names)
            break

    def head(self) -> pa.Table:
        """Up to `HEAD_ROWS` first rows."""
        return self._head

    def batches(self, columns: Sequence[str], bad_rows: BadRows) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The columns batch by batch."""
        first_row = 0
        for batch in self._batches(BATCH_ROWS):
            arrays = [as_readable(batch.column(name)) for name in columns]
            yield first_row, pa.RecordBatch.from_arrays(arrays, list(columns))
            first_row += batch.num_rows

    def place(self, row: int) -> str:
        """`data.arrow row 17`, counting from 1."""
        return f"{self.path} row {row + 1}"

    def _batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """All batches, in pieces of at most so many rows; each is checked, since a damaged one refers to any memory."""
        try:
            with pa.memory_map(str(self.path)) as source:
                if source.read(len(FILE_START)) == FILE_START:
                    file = pa.ipc.open_file(source)
                    whole = (file.get_batch(index) for index in range(file.num_record_batches))
                else:
                    source.seek(0)
                    whole = iter(pa.ipc.open_stream(source))
                for batch in whole:
                    batch.validate(full=True)
                    for first in range(0, batch.num_rows, rows):
                        yield batch.slice(first, rows)
        except ARROW_DAMAGE as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise DataFormatError(f"{self.path} is not a complete Arrow file ({reason}).") from error
