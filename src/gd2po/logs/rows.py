"""From the cells of a batch to the numbers of its rollouts. A row that cannot be a rollout is named by its place."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gd2po.logs.cells import Numbers, as_text, to_keys, to_numbers, to_strings
from gd2po.logs.grouping import Rows
from gd2po.logs.layout import Layout
from gd2po.logs.tables.table import SHOWN_EXAMPLES, BadRows, Table

ROW_BITS = 40
"""A place is the number of a file and of a row, packed into one integer: the row in this many lower bits."""

ROW_MASK = (1 << ROW_BITS) - 1

LARGEST_WHOLE = 2**53
"""Beyond it floating-point numbers skip some of the whole ones."""

_LONGEST_CELL = 60


def pack_places(file: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of rows of one file."""
    return (np.int64(file) << ROW_BITS) | rows


class RowReader:
    """Reads the batches of one file by a layout.

    Args:
        table: the file.
        file: its number in the log, from 0.
        layout: which column plays which part.
        step_range: first and last step, both included; None for an open end.
        bad_rows: what to do with malformed rows.
    """

    def __init__(
        self,
        table: Table,
        file: int,
        layout: Layout,
        step_range: tuple[int | None, int | None],
        bad_rows: BadRows,
    ) -> None:
        self.table, self.file, self.layout, self.step_range, self.bad_rows = table, file, layout, step_range, bad_rows
        self.blank = 0
        """Rows that hold nothing, as spreadsheets leave them."""

    def read(self, batch: pa.RecordBatch, first_row: int) -> Rows:
        """The rollouts of a batch whose first row has the number `first_row` in the file.

        Raises:
            DataFormatError: a malformed row, unless bad rows are skipped.
        """
        layout, size = self.layout, batch.num_rows
        cells = {name: batch.column(position) for position, name in enumerate(batch.schema.names)}
        rewards = [self._numbers(cells[name]) for name in layout.reward_columns]
        values = np.stack([numbers.values for numbers in rewards], axis=1)
        with np.errstate(over="ignore"):
            single = values.astype(np.float32)
        keys, no_key = self._keys(cells, size)
        steps = self._numbers(cells[layout.step]) if layout.step else Numbers(np.zeros(size), None)

        keep = ~self._is_blank(rewards, steps, no_key)
        self.blank += size - int(keep.sum())
        for position, (name, numbers) in enumerate(zip(layout.reward_columns, rewards, strict=True)):
            wrong = (
                np.isinf(single[:, position]) if numbers.bad is None else numbers.bad | np.isinf(single[:, position])
            )
            self._drop(
                wrong,
                keep,
                first_row,
                cells[name],
                f"reward {name!r} needs a finite number, or nothing where it does not apply",
            )
        if layout.step:
            wrong = ~(np.abs(steps.values) <= LARGEST_WHOLE) | (steps.values != np.floor(steps.values))
            needs = f"the step {layout.step!r} needs a whole number of at most {LARGEST_WHOLE:,}"
            self._drop(wrong, keep, first_row, cells[layout.step], needs)
        if layout.group:
            self._drop(no_key, keep, first_row, cells[layout.group], f"the group {layout.group!r} needs a value")

        whole = np.where(keep, np.nan_to_num(steps.values), 0).astype(np.int64)
        first, last = self.step_range
        keep &= (first is None or whole >= first) & (last is None or whole <= last)
        if layout.dialect.whole_groups_per_file:  # so equal ids in two files are two groups
            keys = keys ^ np.int64((self.file * 0x9E3779B97F4A7C15) % (1 << 63))
        lengths = np.full(size, np.nan)
        if layout.length in cells:
            lengths = self._numbers(cells[layout.length]).values
            wrong = (lengths < 0) | (lengths > LARGEST_WHOLE)
            needs = f"the length {layout.length!r} counts tokens: it must be from 0 to {LARGEST_WHOLE:,}"
            self._drop(wrong, keep, first_row, cells[layout.length], needs)
        places = pack_places(self.file, np.arange(first_row, first_row + size, dtype=np.int64))
        rows = Rows(whole, keys, single, lengths, places)
        return rows if keep.all() else rows.take(np.flatnonzero(keep))

    def _numbers(self, cells: pa.Array) -> Numbers:
        return to_numbers(cells, decimal_comma=self.table.decimal_comma)

    def _keys(self, cells: dict[str, pa.Array], size: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(N,) integers that are equal inside a group, and (N,) True for rollouts that have none."""
        if self.layout.group is None:
            return np.zeros(size, dtype=np.int64), np.ones(size, dtype=bool)
        column = cells[self.layout.group]
        if self.layout.groups.id_suffix is not None:
            column = pc.replace_substring_regex(as_text(column), self.layout.groups.id_suffix, "")
        keys, missing = to_keys(column)
        if pa.types.is_string(column.type):
            missing = missing | np.asarray(pc.fill_null(pc.equal(column, ""), True).to_numpy(zero_copy_only=False))
        return keys, missing

    def _is_blank(self, rewards: list[Numbers], steps: Numbers, no_key: NDArray[np.bool_]) -> NDArray[np.bool_]:
        blank = no_key.copy()
        if self.layout.step is None and self.layout.group is None:
            return np.zeros_like(blank)
        columns = [*rewards, steps] if self.layout.step else rewards
        for numbers in columns:
            blank &= np.isnan(numbers.values)
            if numbers.bad is not None:
                blank &= ~numbers.bad
        return blank

    def _drop(
        self, wrong: NDArray[np.bool_], keep: NDArray[np.bool_], first_row: int, cells: pa.Array, needs: str
    ) -> None:
        """Report the wrong rows among those kept to `bad_rows`, and drop them."""
        rows = np.flatnonzero(wrong & keep)
        for count, row in enumerate(rows.tolist()):
            if self.bad_rows.skip and len(self.bad_rows.examples) >= SHOWN_EXAMPLES:
                self.bad_rows.add_many(len(rows) - count)
                break
            self.bad_rows.add(self.table.place(first_row + row), f"{needs}: got {_shown(cells, row)}")
        keep[rows] = False


def _shown(cells: pa.Array, row: int) -> str:
    """A cell as a message shows it."""
    cell = cells.slice(row, 1)
    text = repr(to_strings(cell)[0] if pa.types.is_string(cell.type) else cell[0].as_py())
    return text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 3] + "..."
