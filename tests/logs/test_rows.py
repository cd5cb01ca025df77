"""Rows that cannot be rollouts are named by their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from log_fixtures import read

from gd2po.diagnosis import RewardLog
from gd2po.errors import DataFormatError


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "log.parquet"])
def test_text_in_a_reward_column_is_named_by_file_and_line(write_log: Any, name: str) -> None:
    texts = ["1", "good", "0", "1"] if name != "log.jsonl" else [1, "good", 0, 1]
    path = write_log({"step": [1] * 4, "group": [0] * 4, "x": texts, "y": [1.0] * 4}, name)
    place = {"log.csv": "line 3", "log.jsonl": "line 2", "log.parquet": "row 2"}[name]
    with pytest.raises(DataFormatError, match=rf"{name} {place}: reward 'x' needs a finite number.*got 'good'"):
        read(RewardLog(path))
    log = RewardLog(path, skip_bad_rows=True)
    assert len(read(log)) == 3
    assert log.bad_rows.count == 1
    assert f"1 malformed row was skipped: {path} {place}" in " ".join(log.notes())


@pytest.mark.parametrize("value", ["inf", "-Infinity", "1e39"])
def test_an_infinite_reward_is_named(tmp_path: Path, value: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text(f"group,x\na,1\na,{value}\n")
    with pytest.raises(DataFormatError, match="log.csv line 3: reward 'x' needs a finite number"):
        read(RewardLog(path))


def test_a_step_or_group_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,group,x\n1,a,1\n1.5,a,1\n,a,1\n1,,1\n1,a,0\n")
    with pytest.raises(DataFormatError, match="line 3: the step 'step' needs a whole number: got '1.5'"):
        read(RewardLog(path))
    log = RewardLog(path, skip_bad_rows=True)
    assert len(read(log)) == 2
    assert log.bad_rows.count == 3
    assert any("the group 'group' needs a value" in example for example in log.bad_rows.examples)


def test_only_a_few_of_many_bad_rows_are_named(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("group,x\n" + "a,1\n" * 50 + "a,bad\n" * 40)
    log = RewardLog(path, skip_bad_rows=True)
    assert len(read(log)) == 50
    assert log.bad_rows.count == 40
    assert len(log.bad_rows.examples) == 3
    assert any(note.endswith("; ....") for note in log.notes())
