"""JSONL, fast where Arrow parses it and slow where it does not."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from log_fixtures import group_rewards, limited_memory, read, write_bomb, write_json_lines

from gd2po.diagnosis import ColumnChoices, RewardLog
from gd2po.errors import DataFormatError


def test_an_absent_value_in_jsonl_is_an_error_and_null_is_not(tmp_path: Path) -> None:
    path = tmp_path / "rewards.jsonl"
    rows = [{"group": 1, "correctness": 1.0, "length": 0.5}, {"group": 1, "correctness": 0.0, "length": None}]
    write_json_lines(path, [*rows, {"group": 1, "correctness": 1.0}])
    with pytest.raises(
        DataFormatError, match="line 3: no value for reward 'length' .*Write null where it does not apply"
    ):
        read(RewardLog(path))
    write_json_lines(path, rows)
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
    write_json_lines(path, rows)
    log = RewardLog(path)
    assert sorted(set(read(log).rewards[:, 0].tolist())) == [0.5, 1]


def test_a_jsonl_line_longer_than_a_block_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gd2po.logs.tables.jsonl_table.BLOCK_BYTES", 64)
    path = tmp_path / "log.jsonl"
    rows = [{"group": 1, "x": row % 2, "completion": "word " * 50 * row} for row in range(6)]
    write_json_lines(path, rows)
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
    write_json_lines(path, (row(ask, value) for value, ask in enumerate("aabba")))
    log = RewardLog(path)
    assert [len(group) for group in group_rewards(log)] == [3, 2]
    assert log.texts([2])[2] == ("Be brief.\nb", "B")


def test_values_of_several_types_in_a_column_are_read_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    values = [True, 0.5, "1", None, "NaN", 2]
    write_json_lines(path, ({"group": 1, "x": value} for value in values))
    np.testing.assert_array_equal(
        read(RewardLog(path)).rewards[:, 0], np.array([1, 0.5, 1, np.nan, np.nan, 2], np.float32)
    )


def test_a_jsonl_row_that_is_no_object_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"group": 1, "x": 1}\n"text"\n')
    with pytest.raises(DataFormatError, match="log.jsonl line 2: expected a JSON object, got str"):
        read(RewardLog(path))


ROW = '{"step": 1, "group": %d, "a": %d, "b": 1, "more": %s}\n'


def rows_with(value: str, count: int = 8) -> str:
    return "".join(ROW % (row // 4, row % 2, value if row == 5 else "null") for row in range(count))


@pytest.mark.parametrize("depth", [101, 800, 5000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a": ', "}")])
def test_a_row_nested_without_end_is_malformed(tmp_path: Path, depth: int, opening: str, closing: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(rows_with(opening * depth + "1" + closing * depth))
    rewards = ColumnChoices(rewards=["a", "b", "more"])
    reason = "not a JSON object .nested more than 100 deep" if depth > 2000 else "reward 'more' needs a finite number"
    with pytest.raises(DataFormatError, match=f"log.jsonl line 6: {reason}"):
        read(RewardLog(path, rewards))
    log = RewardLog(path, rewards, skip_bad_rows=True)
    assert (len(read(log)), log.bad_rows.count) == (7, 1)


def test_what_is_nested_in_a_column_that_nobody_reads_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(rows_with("[" * 100_000 + "]" * 100_000))
    assert len(read(RewardLog(path, ColumnChoices(rewards=["a", "b"])))) == 8


def test_messages_nested_without_end_after_the_head_do_not_end_the_process(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    message = '[{"role": "user", "content": "hi"}]'
    line = '{"step": %d, "prompt": %s, "a": 1, "b": %d}\n'
    deep = "[" * 100_000 + "]" * 100_000
    path.write_text("".join(line % (row // 8, deep if row == 5000 else message, row % 2) for row in range(5008)))
    with pytest.raises(DataFormatError, match="log.jsonl line 5001: not a JSON object"):
        read(RewardLog(path))


@pytest.mark.parametrize("value", ['"half \\ud83d"', '[{"role": "user", "content": "half \\ud83d"}]'])
def test_half_a_character_is_replaced(tmp_path: Path, value: str) -> None:
    path = tmp_path / "log.jsonl"
    line = '{"step": 1, "prompt": %s, "a": %d, "b": 1, "other \\udc00": 1}\n'
    path.write_text("".join(line % (value, row % 2) for row in range(4)))
    log = RewardLog(path)
    places = read(log).places.tolist()
    assert log.texts(places)[places[0]][0] == "half \ufffd"


@pytest.mark.parametrize(
    "start", [b'{"group": 1, "a": 1, "b": "', b'{"group": 1, "a": 1, "b": 0}\n{"group": 1, "b": "']
)
def test_a_line_without_end_is_refused_in_little_memory(tmp_path: Path, start: bytes) -> None:
    path = write_bomb(tmp_path / "log.jsonl.gz", start)
    number = 1 + start.count(b"\n")
    with (
        limited_memory(512),
        pytest.raises(DataFormatError, match=f"line {number} takes more than 16,777,216 bytes, the most that is read"),
    ):
        read(RewardLog(path))


def test_a_gzip_that_is_cut_off_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    whole = gzip.compress(rows_with('"' + random.Random(0).randbytes(2**20).hex() + '"').encode(), 1)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataFormatError, match="log.jsonl.gz cannot be read to its end"):
        read(RewardLog(path))


def test_an_object_of_two_hundred_thousand_keys_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({f"r{key}": 1 for key in range(200_000)}) + "\n")
    with pytest.raises(DataFormatError, match="has 200,000 columns, and a reward log has at most 10,000"):
        RewardLog(path)
