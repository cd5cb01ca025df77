"""JSONL, fast where Arrow parses it and slow where it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from log_fixtures import group_rewards, read

from gd2po.diagnosis import RewardLog
from gd2po.errors import DataFormatError


def test_an_absent_value_in_jsonl_is_an_error_and_null_is_not(tmp_path: Path) -> None:
    path = tmp_path / "rewards.jsonl"
    rows = [{"group": 1, "correctness": 1.0, "length": 0.5}, {"group": 1, "correctness": 0.0, "length": None}]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"group": 1, "correctness": 1.0}]))
    with pytest.raises(
        DataFormatError, match="line 3: no value for reward 'length' .*Write null where it does not apply"
    ):
        read(RewardLog(path))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert np.isnan(read(RewardLog(path)).rewards).tolist() == [[False, False], [False, True]]


def test_broken_json_is_named_and_can_be_skipped(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"group": 1, "x": 1}\n{"group": 1, "x"\n[1]\n{"group": 1, "x": 0}\n')
    with pytest.raises(DataFormatError, match="log.jsonl line 2: not a JSON object"):
        read(RewardLog(path))
    log = RewardLog(path, skip_bad_rows=True)
    rows = read(log)
    assert rows.rewards[:, 0].tolist() == [1, 0]
    assert log.bad_rows.count == 2
    assert log.place(int(rows.places[1])) == f"{path} line 4"


def test_jsonl_that_turns_from_whole_numbers_to_fractions_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    rows = [{"group": row // 4, "x": 1} for row in range(8000)] + [{"group": 1, "x": 0.5}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    log = RewardLog(path)
    assert sorted(set(read(log).rewards[:, 0].tolist())) == [0.5, 1]


def test_a_jsonl_line_longer_than_a_block_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gd2po.logs.tables.jsonl_table.BLOCK_BYTES", 64)
    path = tmp_path / "log.jsonl"
    rows = [{"group": 1, "x": row % 2, "completion": "word " * 50 * row} for row in range(6)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    log = RewardLog(path)
    assert read(log).rewards[:, 0].tolist() == [0, 1, 0, 1, 0, 1]
    assert log.texts([5])[5][1] == "word " * 250
    assert log.place(4) == f"{path} line 5"


def test_chat_messages_in_jsonl_group_and_show_as_text(tmp_path: Path) -> None:
    def row(ask: str, value: float) -> dict[str, Any]:
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ask}]
        return {
            "prompt": messages,
            "completion": [{"role": "assistant", "content": ask.upper()}],
            "x": value,
            "y": -value,
        }

    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row(ask, value)) + "\n" for value, ask in enumerate("aabba")))
    log = RewardLog(path)
    assert [len(group) for group in group_rewards(log)] == [3, 2]
    assert log.texts([2])[2] == ("Be brief.\nb", "B")


def test_values_of_several_types_in_a_column_are_read_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    values = [True, 0.5, "1", None, "NaN", 2]
    path.write_text("".join(json.dumps({"group": 1, "x": value}) + "\n" for value in values))
    np.testing.assert_array_equal(
        read(RewardLog(path)).rewards[:, 0], np.array([1, 0.5, 1, np.nan, np.nan, 2], np.float32)
    )


def test_a_jsonl_row_that_is_no_object_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"group": 1, "x": 1}\n"text"\n')
    with pytest.raises(DataFormatError, match="log.jsonl line 2: expected a JSON object, got str"):
        read(RewardLog(path))
