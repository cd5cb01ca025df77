"""Tables of trackio's local store: one SQLite database per project, with a row per call of `trackio.log`."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import quote

from gd2po.errors import DataFormatError, did_you_mean
from gd2po.logs.tables.json_values import loads
from gd2po.logs.tables.tracked import Logged, TrackedTable, check_size

START = b"SQLite format 3"
"""How the file of a project begins."""

_TYPE = "trackio.table"
_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class TrackioTable(TrackedTable):
    """The tables that a run logged under one key.

    Args:
        database: of the project.
        run: name or id of the run; None for the only one that logged a table.
        preferred: keys that are taken where a run logged several.

    Raises:
        DataFormatError: it is no project of trackio, no run logged a table, or several did and none is named.
    """

    def __init__(self, database: Path, run: str | None, preferred: Iterable[str]) -> None:
        self._database = database
        self._run = self._choose_run(run)
        self._key = self._choose_key(set(preferred))
        super().__init__(database if run is None else database / run)

    def tables(self) -> Iterator[Logged]:
        """One per call of `trackio.log`."""
        for number, size, metrics in self._logged():
            cell = metrics.get(self._key)
            if _is_table(cell):
                rows = [row for row in cell["_value"] if isinstance(row, dict)]
                finite = [{name: _spelled(value) for name, value in row.items()} for row in rows]
                yield Logged(f"{self._database} entry {number}", finite, size)

    def _choose_run(self, run: str | None) -> str:
        """The id of the run."""
        query = "SELECT {id}, run_name FROM metrics WHERE {has_table} GROUP BY {id} ORDER BY MIN(id)"
        found: dict[str, str] = dict(self._read(query))
        if not found:
            raise DataFormatError(
                f"{self._database} holds no table of rollouts: what its runs logged are means over a step. TRL logs "
                'rollouts with log_completions=True and report_to="trackio".'
            )
        chosen = [run_id for run_id, name in found.items() if run is None or run in (name, run_id)]
        if len(chosen) == 1:
            return chosen[0]
        names = list(found.values())
        names = [name if names.count(name) == 1 else run_id for run_id, name in found.items()]
        problem = "holds the rollouts of several runs." if chosen else f"holds no rollouts of a run {run!r}."
        raise DataFormatError(
            f"{self._database} {problem} {did_you_mean(run or '', names)} Put the run behind the file: "
            f"{self._database}/{names[-1]}"
        )

    def _choose_key(self, preferred: set[str]) -> str:
        """The key under which the run logged its rollouts."""
        found = dict.fromkeys(
            key for _, _, metrics in self._logged() for key, cell in metrics.items() if _is_table(cell)
        )
        keys = [key for key in found if key in preferred] or list(found)
        if len(keys) != 1:
            raise DataFormatError(
                f"{self._database} holds no table that is known as that of rollouts. There are: {', '.join(keys)}. "
                "Export the one of the rollouts as CSV or Parquet."
            )
        return keys[0]

    def _logged(self) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """Number, bytes and content of each entry of the run that holds a table."""
        query = "SELECT id, length(metrics), metrics FROM metrics WHERE {has_table} AND {id} = ? ORDER BY id"
        for number, size, text in self._read(query, self._run):
            place = f"{self._database} entry {number}"
            check_size(size, place)
            try:
                metrics = loads(text if isinstance(text, bytes) else str(text).encode())
            except ValueError as error:
                raise DataFormatError(f"{place} cannot be read: {error}.") from error
            if isinstance(metrics, dict):
                yield number, size, metrics

    def _read(self, query: str, *values: str) -> Iterator[Any]:
        """The rows of a query. The database is opened for reading only: a run may be writing to it."""
        try:
            with contextlib.closing(_open(self._database)) as reader:
                columns = {row[1] for row in reader.execute("PRAGMA table_info(metrics)")}
                if not {"id", "run_name", "metrics"} <= columns:
                    raise DataFormatError(
                        f"{self._database} is an SQLite database, but no project of trackio: export the table as CSV."
                    )
                run_id = "run_id" if "run_id" in columns else "run_name"
                has_table = f"instr(CAST(metrics AS TEXT), '{_TYPE}') > 0"
                yield from reader.execute(query.format(id=run_id, has_table=has_table), values)
        except sqlite3.Error as error:
            raise DataFormatError(f"{self._database} cannot be read as an SQLite database: {error}.") from error


def is_database(path: Path) -> bool:
    """Whether a file is an SQLite database."""
    try:
        with path.open("rb") as file:
            return file.read(len(START)) == START
    except OSError:
        return False


def _open(database: Path) -> sqlite3.Connection:
    """A connection for reading. Where nobody else is at work, it must leave no files of a lock in the folder."""
    at_work = any(database.with_name(f"{database.name}{end}").exists() for end in ("-wal", "-journal"))
    mode = "mode=ro" if at_work else "immutable=1"
    return sqlite3.connect(f"file:{quote(str(database))}?{mode}", uri=True)


def _is_table(cell: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(cell, dict) and cell.get("_type") == _TYPE and isinstance(cell.get("_value"), list)


def _spelled(value: Any) -> Any:
    """A cell with the numbers that JSON does not know, which trackio spells."""
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value
