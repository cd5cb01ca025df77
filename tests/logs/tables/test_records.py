"""Tables over records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gd2po.logs.tables import records
from gd2po.logs.tables.records import Record, RecordTable
from gd2po.logs.tables.table import BadRows


class Three(RecordTable):
    def records(self, bad_rows: BadRows) -> Iterator[Record]:
        for number in (1, 2, 3):
            yield Record({"a": number} | ({"b": "late"} if number == 2 else {}), f"line {number}", 10)


@pytest.mark.parametrize("size", [5, 25, 1000])
def test_records_come_in_blocks_of_bounded_size(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(records, "HEAD_BYTES", size)
    table = Three(Path("x"))
    found = [(first, batch.to_pydict()) for first, batch in table.batches(["a"], BadRows())]
    assert [first for first, _ in found] == {5: [0, 1, 2], 25: [0, 2], 1000: [0]}[size]
    assert [number for _, batch in found for number in batch["a"]] == [1, 2, 3]


def test_what_a_record_lacks_is_nothing(tmp_path: Path) -> None:
    table = Three(tmp_path)
    assert table.names == ["a", "b"]
    assert table.head().to_pydict() == {"a": [1, 2, 3], "b": [None, "late", None]}
    assert [batch.to_pydict() for _, batch in table.batches(["b"], BadRows())] == [{"b": [None, "late", None]}]


def test_a_place_is_that_of_the_record() -> None:
    assert Three(Path("x")).place(2) == "line 3"
    assert Three(Path("x")).place(7) == "x row 8"
