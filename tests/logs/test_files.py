"""Which files a path stands for, and what a file is."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from log_fixtures import Columns, read

from gd2po.diagnosis import RewardLog
from gd2po.errors import DataFormatError


def test_a_compressed_log_is_read(write_log: Any, small_table: Columns, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(write_log(small_table, "log.jsonl").read_bytes()))
    assert len(read(RewardLog(path))) == 4


def test_a_file_is_recognised_by_its_content_not_its_name(write_log: Any, small_table: Columns) -> None:
    path = write_log(small_table, "log.jsonl")
    assert len(read(RewardLog(path.rename(path.with_suffix(".txt"))))) == 4


def test_files_of_a_folder_come_in_the_order_of_their_numbers(write_log: Any, small_table: Columns) -> None:
    for step in (2, 10, 9):
        write_log({**small_table, "step": [step] * 4}, f"logs/{step}.jsonl")
    path = write_log(small_table, "logs/1.jsonl").parent
    assert list(dict.fromkeys(read(RewardLog(path)).steps.tolist())) == [1, 2, 9, 10]


def test_a_glob_names_several_files(write_log: Any, small_table: Columns, tmp_path: Path) -> None:
    write_log(small_table, "a_1.csv")
    write_log({**small_table, "step": [2] * 4}, "a_2.csv")
    write_log(small_table, "other.csv")
    assert len(read(RewardLog(str(tmp_path / "a_*.csv")))) == 8


def test_an_empty_log_says_so(tmp_path: Path, write_log: Any) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "blank.jsonl").write_text("\n\n")
    (tmp_path / "folder").mkdir()
    for name in ("empty.jsonl", "blank.jsonl"):
        with pytest.raises(DataFormatError, match="is empty: it holds no rollouts"):
            RewardLog(tmp_path / name)
    with pytest.raises(DataFormatError, match="holds no rollouts, only the names of columns: step, group and x"):
        RewardLog(write_log({"step": [], "group": [], "x": []}, "log.csv"))
    with pytest.raises(DataFormatError, match="holds no reward log.*log_completions"):
        RewardLog(tmp_path / "folder")
    with pytest.raises(DataFormatError, match="there is no .*nowhere"):
        RewardLog(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04 a workbook", "save the sheet as CSV"),
        (b'[{"group": 1, "x": 1}]', "JSON array.*jq -c"),
        (b'{\n "group": 1,\n "x": 1\n}\n', "several lines.*jq -c"),
        (b"\x00\x01\x02\x03" * 10, "neither Parquet nor text"),
        (b"group,x,x\na,1,2\n", "two columns are called 'x'"),
    ],
)
def test_files_of_other_kinds_are_refused_with_a_way_out(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "log.dat"
    path.write_bytes(content)
    with pytest.raises(DataFormatError, match=message):
        RewardLog(path)


def test_a_folder_with_logs_of_two_kinds_asks_for_a_glob(write_log: Any, small_table: Columns) -> None:
    write_log(small_table, "logs/a.csv")
    path = write_log(small_table, "logs/b.jsonl")
    with pytest.raises(DataFormatError, match="several kinds.*glob"):
        RewardLog(path.parent)


@pytest.mark.parametrize("inner", ["rollouts", "completions"])
def test_logs_of_two_kinds_inside_a_run_folder_are_not_mixed_either(
    write_log: Any, small_table: Columns, inner: str
) -> None:
    path = write_log(small_table, f"run/{inner}/a.csv").parent
    assert RewardLog(path.parent).files.run_folder == path.parent
    assert RewardLog(path).files.run_folder is None
    write_log(small_table, f"run/{inner}/b.parquet")
    for folder in (path, path.parent):
        with pytest.raises(DataFormatError, match=f"{inner} holds logs of several kinds .*{inner}/\\*.csv'"):
            RewardLog(folder)


def test_a_broken_gzip_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(b"\x1f\x8b and no more")
    with pytest.raises(DataFormatError, match="log.jsonl.gz cannot be decompressed"):
        RewardLog(path)
