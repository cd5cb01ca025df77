"""A reward log: the rollouts of a run, whatever wrote them, in chunks of whole groups.

Only numbers are read. The texts of the few rollouts that a report shows are fetched afterwards by their places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gd2po.errors import DataFormatError
from gd2po.logs.cells import as_text, to_strings
from gd2po.logs.choices import ColumnChoices
from gd2po.logs.files import LogFiles, find_files, open_table
from gd2po.logs.grouping import Chunk, GroupAssembler, Rows
from gd2po.logs.layout import Layout, choose_layout
from gd2po.logs.names import REWARD_PREFIXES
from gd2po.logs.parts import Part, parts_of
from gd2po.logs.rows import ROW_BITS, ROW_MASK, RowReader, pack_places
from gd2po.logs.run_settings import FoundSettings, StepRange, find_run_settings
from gd2po.logs.step_weights import read_step_weights
from gd2po.logs.tables.table import BadRows, Table
from gd2po.report.wording import counted, join

_ONE_BY_ONE = "Read logs with different rewards one by one, or name the rewards that they share with `rewards`."


class RewardLog:
    r"""The rollouts of one run.

    Args:
        source: a file, a folder, a glob, or the id of a dataset on the hub: what a trainer or a tracker wrote, or a
            plain table; see docs/reward-logs.md.
        choices: columns that are not guessed.
        step_range: first and last step to read, both included; None for an open end.
        skip_bad_rows: skip and count malformed rows and unreadable files instead of raising an error.

    Raises:
        DataFormatError: there is nothing to read, a named column is missing, or no column looks like a reward or a
            group.

    Example:
        >>> import tempfile
        >>> text = "step,group,correct,brief\n0,a,1,0\n0,a,0,1\n"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "log.csv")
        ...     _ = path.write_text(text)
        ...     log = RewardLog(path)
        ...     [len(chunk.rows) for chunk in log.chunks()], log.layout.reward_names
        ([2], ['correct', 'brief'])
    """

    def __init__(
        self,
        source: str | Path,
        choices: ColumnChoices | None = None,
        *,
        step_range: StepRange = (None, None),
        skip_bad_rows: bool = False,
    ) -> None:
        self.files: LogFiles = find_files(source)
        self.choices = choices or ColumnChoices()
        self.step_range = step_range
        self.skip_bad_rows = skip_bad_rows
        self.unreadable: list[str] = []
        self._table_notes: list[str] = []
        """Of the first table, which adds to them while it is read."""
        self._tables: dict[int, Table] = {}
        self.columns: list[str] = []
        """Of the first file, as they are called there."""
        self.layout: Layout = self._first_layout()
        self._reset()

    def chunks(self, *, in_order: bool = True, progress: Callable[[int], None] | None = None) -> Iterator[Chunk]:
        """Whole groups, by steps.

        Args:
            in_order: False sorts the steps by their numbers. A log that is too large to sort at once is read several
                times, each time for as many of its steps as fit; of a larger step, for as many of its groups.
            progress: called with the number of rollouts read so far.

        Raises:
            StepReturnsError: a step returned later in the log, or a group of a very large step; ask again with
                in_order=False.
            DataFormatError: a malformed row, or a file without the columns of the first.
        """
        seen = 0
        for part in [Part()] if in_order else self._parts():
            self._reset(in_order)
            for index in range(len(self.files.paths)):
                for rows in self._rows_of_file(index):
                    chosen = part.choose(rows)
                    seen += len(chosen)
                    yield from self._assembler.add(chosen)
                    if progress is not None:
                        progress(seen)
            yield from self._assembler.finish()

    def _parts(self) -> list[Part]:
        """Parts of the log that can be sorted one by one."""
        self._reset(in_order=False)
        counts: Counter[int] = Counter()
        for index in range(len(self.files.paths)):
            for rows in self._rows_of_file(index):
                steps, rollouts = np.unique(rows.steps, return_counts=True)
                counts.update(dict(zip(steps.tolist(), rollouts.tolist(), strict=True)))
        return parts_of(counts, by_key=self.layout.groups.rule == "column")

    def texts(self, places: Sequence[int]) -> dict[int, tuple[str | None, str | None]]:
        """Prompt and completion of the rollouts at the given places, by place; None where the log has none."""
        found: dict[int, tuple[str | None, str | None]] = {}
        columns = [name for name in (self.layout.prompt, self.layout.completion) if name is not None]
        wanted = np.unique(np.asarray(places, dtype=np.int64))
        if not columns or not len(wanted):
            return found
        for index in np.unique(wanted >> ROW_BITS).tolist():
            rows = wanted[wanted >> ROW_BITS == index] & ROW_MASK
            found |= self._texts_of_file(index, rows, columns)
        return found

    def place(self, place: int) -> str:
        """Where a rollout is, for people: `log.csv line 17`."""
        return self._table(place >> ROW_BITS).place(place & ROW_MASK)

    def notes(self) -> list[str]:
        """What was recognised, guessed, excluded and skipped, in sentences; complete once the chunks have been read."""
        notes = [*self.layout.reasons, *self._table_notes, *self._assembler.notes(), *self._found_settings.notes]
        if self._blank:
            notes.append(f"{counted(self._blank, 'empty row was', 'empty rows were')} excluded.")
        if self.bad_rows.count:
            shown = "; ".join(self.bad_rows.examples)
            rows = counted(self.bad_rows.count, "malformed row was", "malformed rows were")
            notes.append(f"{rows} skipped: {shown}{self._and_more()}.")
        if self.unreadable:
            files = counted(len(self.unreadable), "unreadable file was", "unreadable files were")
            notes.append(f"{files} skipped, from the damage on: {self.unreadable[0]}")
        return notes

    @property
    def run_settings(self) -> dict[str, Any] | None:
        """How the run was made, as its rollout log says (see `RolloutLog`); None where no file of the log says it.

        Where the files disagree, the newest step's count and `notes` says at which steps they changed.
        """
        return self._found_settings.settings

    @cached_property
    def step_weights(self) -> dict[int, tuple[float, ...]]:
        """The weights of the rewards by step, of a run whose weights move; empty where the log holds none."""
        return read_step_weights(self.files.paths, self.layout)

    @cached_property
    def _found_settings(self) -> FoundSettings:
        return find_run_settings(self.files.paths, self.layout.step, self.step_range)

    def _and_more(self) -> str:
        return "; ..." if self.bad_rows.count > len(self.bad_rows.examples) else ""

    def _reset(self, in_order: bool = True) -> None:
        """Forget what an earlier reading counted."""
        self.bad_rows = BadRows(self.skip_bad_rows)
        self.bad_rows.labels = self._labels()
        self._blank = 0
        layout = self.layout
        same = self._same_rollouts if layout.dialect.repeats_batches else None
        self._assembler = GroupAssembler(layout.groups, in_order=in_order, same=same)

    def _labels(self) -> dict[str, str]:
        """The columns that every row must have, and what messages call them."""
        layout = self.layout
        labels = {
            name: f"the {part} {name!r}" for part, name in (("step", layout.step), ("group", layout.group)) if name
        }
        return labels | {name: f"reward {name!r}" for name in layout.reward_columns}

    def _table(self, index: int) -> Table:
        if index not in self._tables:
            self._tables = {0: self._tables[0]} if 0 in self._tables else {}  # the heads of a thousand files add up
            self._tables[index] = open_table(self.files.paths[index])
        return self._tables[index]

    def _first_layout(self) -> Layout:
        """The layout by the first file that has rows."""
        columns: list[str] = []
        for index, path in enumerate(self.files.paths):
            table = self._readable(index)
            head = None if table is None else self._readable_head(table)
            if table is not None and head is not None and head.num_rows:
                self._table_notes = table.notes
                self.columns = list(table.names)
                self._first_path = path
                return choose_layout(head, self.choices, str(path), table.decimal_comma)
            if table is not None:
                columns = columns or table.names
        where = self.files.source
        if self.unreadable:
            raise DataFormatError(f"{where} holds no file that can be read: {self.unreadable[0]}")
        if columns:
            raise DataFormatError(f"{where} holds no rollouts, only the names of columns: {join(columns, 6)}.")
        raise DataFormatError(f"{where} is empty: it holds no rollouts.")

    def _readable_head(self, table: Table) -> pa.Table | None:
        """The head of a table; None where it cannot be read and bad rows are skipped."""
        try:
            return table.head()
        except DataFormatError as error:
            self._note_unreadable(error)
            return None

    def _readable(self, index: int) -> Table | None:
        """The table of a file; None where it cannot be read and bad rows are skipped."""
        try:
            return self._table(index)
        except DataFormatError as error:
            self._note_unreadable(error)
            return None

    def _note_unreadable(self, error: DataFormatError) -> None:
        if not self.skip_bad_rows:
            raise error
        if str(error) not in self.unreadable:
            self.unreadable.append(str(error))

    def _rows_of_file(self, index: int) -> Iterator[Rows]:
        table = self._readable(index)
        if table is None or not table.names:
            return
        self._check_columns(table)
        layout = self.layout
        columns = [name for name in (layout.step, layout.group, layout.length, *layout.reward_columns) if name]
        columns = list(dict.fromkeys(name for name in columns if name in table.names))
        reader = RowReader(table, index, layout, self.step_range, self.bad_rows)
        batches = table.batches(columns, self.bad_rows)
        while True:
            try:
                first_row, batch = next(batches)
            except StopIteration:
                return
            except DataFormatError as error:
                self._note_unreadable(error)
                return
            rows = reader.read(batch, first_row)
            self._blank += reader.blank
            reader.blank = 0
            if len(rows):
                yield rows

    def _check_columns(self, table: Table) -> None:
        """Raise unless the file has the columns of the first one."""
        for name, label in self.bad_rows.labels.items():
            if name not in table.names:
                raise DataFormatError(
                    f"{table.path} has no {label.removeprefix('the ')}, which {self._first_path} has. {_ONE_BY_ONE} "
                    f"Its columns are: {', '.join(table.names)}."
                )
        new = [name for name in table.names if name not in self.columns and name.startswith(REWARD_PREFIXES)]
        if new and self.choices.rewards is None:
            raise DataFormatError(
                f"{table.path} has the reward {new[0]!r}, which {self._first_path} lacks. {_ONE_BY_ONE}"
            )

    def _same_rollouts(self, one: Rows, other: Rows) -> bool:
        """True where two steps hold the very same rollouts: rewards are compared first, then texts."""
        if len(one) != len(other) or not np.array_equal(one.rewards, other.rewards, equal_nan=True):
            return False
        places = [rows.places.tolist() for rows in (one, other)]
        texts = self.texts(places[0] + places[1])
        return bool(texts) and [texts[place] for place in places[0]] == [texts[place] for place in places[1]]

    def _texts_of_file(
        self, index: int, rows: NDArray[np.int64], columns: Sequence[str]
    ) -> dict[int, tuple[str | None, str | None]]:
        found: dict[int, tuple[str | None, str | None]] = {}
        table = open_table(self.files.paths[index])
        present = [name for name in columns if name in table.names]
        again = BadRows(skip=True)
        again.labels = self.bad_rows.labels  # so that rows have the same numbers as before
        required = [name for name in self.bad_rows.labels if name in table.names]
        for first_row, batch in table.batches(list(dict.fromkeys([*required, *present])), again):
            inside = rows[(rows >= first_row) & (rows < first_row + batch.num_rows)] - first_row
            if len(inside):
                picked = pa.RecordBatch.take(batch, pa.array(inside))
                cells = {name: to_strings(as_text(picked.column(name))) for name in present}
                nothing = [None] * len(inside)
                prompts = cells.get(self.layout.prompt or "", nothing)
                completions = cells.get(self.layout.completion or "", nothing)
                keys = pack_places(index, inside + first_row).tolist()
                found |= dict(zip(keys, zip(prompts, completions, strict=True), strict=True))
            if first_row + batch.num_rows > rows[-1]:
                break
        return found
