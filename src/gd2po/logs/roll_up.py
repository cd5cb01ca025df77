"""Rolling up a rollout log: one file for a block of steps, with a row group per batch, instead of a file per batch.

Every change makes a new file whole before it removes the old ones, so that a kill loses and repeats nothing: see
`gd2po.runs.rollout_files` for what counts in between.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gd2po.errors import DataFormatError
from gd2po.logs.tables.table import ARROW_DAMAGE
from gd2po.runs.files import write_with
from gd2po.runs.rollout_files import RolloutFile, file_name, parsed, rollout_files, uncovered

logger = logging.getLogger(__name__)

STEPS_PER_FILE: Final = 200
"""Steps of a block: 1 to 200 become one file when step 201 is logged."""


def block_of(step: int) -> int:
    """Which block a step belongs to, from 0.

    Example:
        >>> block_of(1), block_of(200), block_of(201)
        (0, 0, 1)
    """
    return (step - 1) // STEPS_PER_FILE


def roll_up(folder: Path, step: int) -> None:
    """Roll up every block that ended before a step. Files with other columns or settings stay apart.

    Raises:
        DataFormatError: a file cannot be read to its end.
        OutputWriteError: a new file cannot be written.
        DiskFullError: no space is left for it.
    """
    complete = [file for file in rollout_files(folder) if block_of(file.last) < block_of(step)]
    for _, block in itertools.groupby(complete, key=lambda file: block_of(file.first)):
        files = list(block)
        if len(files) > 1:
            _roll_up_block(files)


def resume_at(folder: Path, step: int) -> None:
    """Leave the steps before the one that a run resumes at, once each, in files that can be read.

    Raises:
        DataFormatError: a file that has to be shortened cannot be read to its end.
        OutputWriteError: it cannot be written.
        DiskFullError: no space is left for it.
    """
    for draft in folder.glob(".step_*.parquet.*"):
        draft.unlink()
    found = parsed(folder.iterdir())
    earlier = [file for file in found if file.first < step and _schema_or_set_aside(file.path) is not None]
    kept = uncovered(earlier)
    for file in set(earlier).difference(kept):
        file.path.unlink()
    for file in kept:
        if file.last >= step:
            steps = [done for done in steps_of_row_groups(file.path) if done < step]
            _replace([file], _tables(file, range(len(steps))), steps[0], steps[-1])
    for file in found:
        if file.first >= step:
            file.path.unlink()


def _schema_or_set_aside(path: Path) -> pa.Schema | None:
    """The schema of a file. One that was cut off is renamed with a warning, so that the rest of the log can be read."""
    try:
        return pq.read_schema(path)
    except ARROW_DAMAGE as error:
        aside = path.with_name(f"{path.name}.damaged")
        path.replace(aside)
        logger.warning(
            f"{path} is damaged ({_reason(error)}), and the run does not come back to its steps: the log lacks these "
            f"rollouts. The file is kept as {aside.name}."
        )
        return None


def steps_of_row_groups(path: Path) -> list[int]:
    """The step of each row group of a rolled-up file.

    Raises:
        FileNotFoundError: there is no such file.
        DataFormatError: it cannot be read.
    """
    with _naming_damage(path), pq.ParquetFile(path) as file:
        sizes = [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)]
        steps = file.read(columns=["step"])["step"].to_numpy()
    return [int(step) for step in steps[np.cumsum([0, *sizes[:-1]])]]


def _roll_up_block(files: Sequence[RolloutFile]) -> None:
    schemas = {file: schema for file in files if (schema := _schema_or_set_aside(file.path)) is not None}
    alike = [
        list(run) for _, run in itertools.groupby(schemas, key=lambda file: (schemas[file], schemas[file].metadata))
    ]
    if any(one[-1].last == other[0].first for one, other in itertools.pairwise(alike)):
        return  # batches of one step differ, and no name could keep their files apart
    for run in alike:
        if len(run) > 1:
            _replace(run, _with_distinct_groups(run), run[0].first, run[-1].last)


def _replace(files: Sequence[RolloutFile], tables: Iterable[pa.Table], first: int, last: int) -> None:
    """Write the tables into one file, then remove the files that they come from."""

    def write(draft: Path) -> None:
        with pq.ParquetWriter(draft, pq.read_schema(files[0].path)) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=max(1, len(table)))
        with draft.open("r+b") as file:
            os.fsync(file.fileno())  # or a power cut could take what the files that are removed next held

    target = write_with(files[0].path.with_name(file_name(first, last)), write)
    for file in files:
        if file.path != target:
            file.path.unlink()


def _with_distinct_groups(files: Sequence[RolloutFile]) -> Iterator[pa.Table]:
    """The batches of the files. A second batch of a step numbers its groups from 0 again; here it counts on."""
    highest = -1
    for file in files:
        for table in _tables(file):
            groups = table["group"]
            if file.batch > 1:
                groups = pc.add(groups, highest + 1 - pc.min(groups).as_py()).cast(groups.type)
                table = table.set_column(table.schema.get_field_index("group"), table.schema.field("group"), groups)
            highest = pc.max(groups).as_py()
            yield table


def _tables(file: RolloutFile, row_groups: Iterable[int] | None = None) -> Iterator[pa.Table]:
    """The batches in a file, one at a time."""
    with _naming_damage(file.path), pq.ParquetFile(file.path) as source:
        if not file.rolled_up:
            yield source.read()
            return
        for index in range(source.num_row_groups) if row_groups is None else row_groups:
            yield source.read_row_group(index)


@contextmanager
def _naming_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except ARROW_DAMAGE as error:
        raise DataFormatError(
            f"{path} is damaged ({_reason(error)}). Move it away to go on without its rollouts."
        ) from error


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")
