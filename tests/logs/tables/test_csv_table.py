"""CSV as programs and spreadsheets write it."""

from __future__ import annotations

from pathlib import Path

import pytest
from log_fixtures import read

from gd2po.diagnosis import RewardLog
from gd2po.errors import DataFormatError


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_a_spreadsheets_csv_is_read_as_it_is(tmp_path: Path, encoding: str) -> None:
    text = (
        'step;group;Qualität;brief;prompt;\r\n1;a;0,5;-1,25;Grüße, alle?;\r\n1;a;1,5;0;"zwei\r\nZeilen";\r\n;;;;;\r\n'
    )
    path = tmp_path / "log.csv"
    path.write_bytes(text.encode(encoding))
    log = RewardLog(path)
    rows = read(log)
    assert log.layout.reward_names == ["Qualität", "brief"]
    assert rows.rewards.tolist() == [[0.5, -1.25], [1.5, 0.0]]
    assert log.texts([1])[1][0] == "zwei\r\nZeilen"
    notes = " ".join(log.notes())
    assert "decimal commas" in notes
    assert "1 empty row was excluded" in notes
    assert ("Windows-1252" in notes) is (encoding == "cp1252")


def test_an_excel_delimiter_hint_is_heeded(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("sep=;\ngroup;x;y\na;1;2\na;3;4\n")
    assert read(RewardLog(path)).rewards.tolist() == [[1, 2], [3, 4]]


def test_the_line_of_a_bad_cell_is_right_after_quoted_line_breaks_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text('group,x,completion\na,1,"one\ntwo\nthree"\n\na,0,ok\na,bad,ok\na,1,ok\n')
    with pytest.raises(DataFormatError, match="log.csv line 7: reward 'x'"):
        read(RewardLog(path))
    path = tmp_path / "log.jsonl"
    path.write_text('{"group": 1, "x": 1}\n\n{"group": 1, "x": 0}\n{"group": 1, "x": "bad"}\n')
    with pytest.raises(DataFormatError, match="log.jsonl line 4: reward 'x'"):
        read(RewardLog(path))


def test_a_row_with_too_few_cells_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("group,x,y\n\na,1,0\na,2\na,3,1\na,4,1,9\n")
    with pytest.raises(DataFormatError, match="log.csv line 4: expected 3 cells as in the header, got 2"):
        read(RewardLog(path))
    log = RewardLog(path, skip_bad_rows=True)
    assert read(log).rewards.tolist() == [[1, 0], [3, 1]]
    assert log.bad_rows.examples[1].endswith("line 6: expected 3 cells as in the header, got 4")


def test_a_csv_that_breaks_its_encoding_late_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(b"prompt,x\n" + b"fine,1\n" * 60_000 + b"\xff\xfe,1\n")
    with pytest.raises(DataFormatError, match="log.csv cannot be read as CSV: .*UTF8"):
        read(RewardLog(path))


def test_many_rows_with_too_few_cells_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("group,x,y\n" + "a,1,0\n" * 9 + "a,1\n" * 9)
    log = RewardLog(path, skip_bad_rows=True)
    assert len(read(log)) == 9
    assert log.bad_rows.count == 9
