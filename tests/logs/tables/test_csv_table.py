"""CSV as programs and spreadsheets write it."""

from __future__ import annotations

import gzip
import random
import time
from pathlib import Path

import pytest
from log_fixtures import limited_memory, read, write_bomb

from gd2po.diagnosis import ColumnChoices, RewardLog
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


def test_a_csv_that_breaks_its_encoding_late_is_read_and_noted(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(b"prompt,x\n" + b"fine,1\n" * 60_000 + b"\xff\xfe,1\n")
    log = RewardLog(path)
    assert len(read(log)) == 60_001
    assert log.notes().count("Bytes that are not UTF-8 were replaced by \ufffd.") == 1


def test_bytes_of_no_encoding_are_replaced_and_noted(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(b"prompt,x\n" + b"na\xefve \x81\x8d,1\nna\xefve,0\n" * 2)
    log = RewardLog(path, ColumnChoices(group_size=2))
    places = read(log).places.tolist()
    assert log.texts(places)[places[0]][0] == "naïve \ufffd\ufffd"
    assert "Bytes that are not Windows-1252 were replaced by \ufffd." in log.notes()


@pytest.mark.parametrize(
    "start", [b"", b"group,x\na,1\na,0\na,", b"group,x\n" + b"a,1\n" * 5000 + b"a,", b'group,x\na,"']
)
def test_a_row_without_end_is_refused_in_little_memory(tmp_path: Path, start: bytes) -> None:
    path = write_bomb(tmp_path / "log.csv.gz", start)
    with limited_memory(512), pytest.raises(DataFormatError, match="a row of more than 16,777,216 bytes"):
        read(RewardLog(path))


def test_a_record_that_runs_over_many_lines_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(b'group,x\na,"' + (b"1" * 1023 + b"\n") * 2**15)
    with pytest.raises(DataFormatError, match="a row of more than 16,777,216 bytes|field larger than field limit"):
        read(RewardLog(path))


def test_a_header_of_a_million_columns_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    names = ",".join(f"r{column}" for column in range(10**6))
    path.write_text(f"{names}\n{'1,' * 999_999}1\n")
    began = time.process_time()
    with pytest.raises(DataFormatError, match="has 1,000,000 columns, and a reward log has at most 10,000"):
        RewardLog(path)
    assert time.process_time() - began < 3


def test_a_name_over_two_lines_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text('group,"reward/a\nb"\na,1\na,0\n')
    with pytest.raises(DataFormatError, match="log.csv line 1: a column's name holds a line break or an open quote"):
        RewardLog(path)


def test_a_damaged_gzip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.csv.gz"
    whole = gzip.compress(b"group,x\n" + random.Random(0).randbytes(2**21).hex().encode() + b",1\n", 1)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataFormatError, match="log.csv.gz cannot be read to its end"):
        read(RewardLog(path))


def test_many_rows_with_too_few_cells_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("group,x,y\n" + "a,1,0\n" * 9 + "a,1\n" * 9)
    log = RewardLog(path, skip_bad_rows=True)
    assert len(read(log)) == 9
    assert log.bad_rows.count == 9
