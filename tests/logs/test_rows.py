"""Rows that cannot be rollouts are named by their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from log_fixtures import read

from gd2po.diagnosis import ColumnChoices, RewardLog
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
    with pytest.raises(DataFormatError, match="line 3: the step 'step' needs a whole number of at most .*: got '1.5'"):
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


@pytest.mark.parametrize("step", ["1e308", "-1e17", "9007199254740994"])
def test_a_step_beyond_every_step_is_named(tmp_path: Path, step: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text(f"step,group,x\n1,a,1\n{step},a,1\n")
    with pytest.raises(DataFormatError, match="line 3: the step 'step' needs a whole number of at most 9,007,199,254"):
        read(RewardLog(path))


@pytest.mark.parametrize("length", ["-1", "1e308"])
def test_a_length_that_no_completion_has_is_named(tmp_path: Path, length: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text(f"group,x,completion_tokens\na,1,12\na,1,{length}\na,0,\n")
    with pytest.raises(DataFormatError, match="line 3: the length 'completion_tokens' counts tokens: it must be from"):
        read(RewardLog(path, ColumnChoices(length="completion_tokens")))
