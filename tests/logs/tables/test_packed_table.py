"""JSONL whose lines are not one rollout each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from gd2po.errors import DataFormatError
from gd2po.logs.tables.packed_table import PackedTable, first_object
from gd2po.logs.tables.table import BadRows


def numbers(line: Mapping[str, Any], path: Path) -> Sequence[Mapping[str, Any]]:
    return [{"x": number} for number in line["numbers"]]


@pytest.fixture
def table(tmp_path: Path) -> PackedTable:
    path = tmp_path / "log.jsonl"
    path.write_text('{"numbers": [1, 2]}\n\n{"numbers": []}\n{"other": 1}\n[3]\n{"numbers": [3]}\n')
    return PackedTable(path, numbers)


def test_a_line_may_hold_any_number_of_rollouts(table: PackedTable) -> None:
    bad = BadRows(skip=True)
    assert [batch.to_pydict() for _, batch in table.batches(["x"], bad)] == [{"x": [1, 2, 3]}]
    assert bad.count == 2
    assert table.place(1).endswith("log.jsonl line 1")
    assert table.place(2).endswith("log.jsonl line 6")


def test_of_several_lines_with_the_same_value_the_first_counts(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"numbers": [1, 1]}\n{"numbers": [2]}\n{"numbers": [1]}\n{"numbers": [2]}\n')
    once = PackedTable(path, numbers, once_per="x")
    assert [batch.to_pydict() for _, batch in once.batches(["x"], BadRows())] == [{"x": [1, 1, 2]}]
    assert once.notes[0].startswith("2 lines repeat a x that was logged before")
    every = PackedTable(path, numbers)
    assert [batch.num_rows for _, batch in every.batches(["x"], BadRows())] == [5]
    assert every.notes == []


def test_the_first_object_is_that_of_the_first_line_that_holds_one(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('\n{"broken\n[1]\n{"a": 1}\n{"b": 1}\n')
    assert first_object(path) == {"a": 1}
    path.write_text("[1]\n")
    assert first_object(path) == {}


def test_a_line_of_another_form_is_a_malformed_row(table: PackedTable) -> None:
    with pytest.raises(DataFormatError, match="log.jsonl line 4: not a line as those before .KeyError: 'numbers'"):
        list(table.batches(["x"], BadRows()))
