"""Rows of JSONL whose lines are not one rollout each: a dialect takes the rollouts out of a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gd2po.logs.tables.json_values import loads
from gd2po.logs.tables.jsonl_table import line_blocks
from gd2po.logs.tables.records import Record, RecordTable
from gd2po.logs.tables.table import BadRows

Unpack = Callable[[Mapping[str, Any], Path], Sequence[Mapping[str, Any]]]
"""The rollouts of a line of a file. What it raises for a line of another form makes a malformed row."""


class PackedTable(RecordTable):
    """Rows of a JSONL file with other lines than rollouts.

    Args:
        path: the file.
        unpack: the rollouts of one line.
    """

    def __init__(self, path: Path, unpack: Unpack) -> None:
        self._unpack = unpack
        super().__init__(path)

    def records(self, bad_rows: BadRows) -> Iterator[Record]:
        """The rollouts of all lines."""
        for first_line, block in line_blocks(self.path):
            for line_number, line in enumerate(block.split(b"\n"), first_line):
                if line.strip():
                    yield from self._rollouts(line, f"{self.path} line {line_number}", bad_rows)

    def _rollouts(self, line: bytes, place: str, bad_rows: BadRows) -> Iterator[Record]:
        try:
            rollouts = self._unpack(loads(line), self.path)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            bad_rows.add(place, f"not a line as those before ({type(error).__name__}: {error})")
            return
        for rollout in rollouts:
            yield Record(rollout, place, len(line) // max(len(rollouts), 1))
