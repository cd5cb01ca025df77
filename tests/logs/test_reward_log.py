"""What every reward log gives, whatever wrote it, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from log_fixtures import Columns, group_rewards, read

from gd2po.diagnosis import ColumnChoices, RewardLog
from gd2po.errors import DataFormatError
from gd2po.logs.tables import jsonl_table


@pytest.mark.parametrize("name", ["log.parquet", "log.jsonl", "log.csv", "log.tsv"])
def test_every_plain_format_gives_the_same_rollouts(write_log: Any, small_table: Columns, name: str) -> None:
    path = write_log(small_table, name)
    if name.endswith(".tsv"):
        path.write_text(path.read_text().replace("Two, I", "Two I").replace('"', "").replace(",", "\t"))
    log = RewardLog(path)
    rows = read(log)
    np.testing.assert_array_equal(rows.rewards, np.array([[1, 0.25], [0, 0.75], [1, np.nan], [1, 0.5]], np.float32))
    assert group_rewards(log)[0] == [[1, 0.25], [0, 0.75]]
    assert log.layout.reward_names == ["correct", "brief"]
    assert log.texts(rows.places.tolist())[int(rows.places[0])] == ("What is 1 + 1?", "2")


def test_step_range_keeps_the_steps_inside(write_log: Any) -> None:
    path = write_log({"step": [1, 1, 2, 2, 3, 3], "group": [0] * 6, "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    assert read(RewardLog(path, step_range=(2, None))).steps.tolist() == [2, 2, 3, 3]
    assert read(RewardLog(path, step_range=(None, 1))).steps.tolist() == [1, 1]
    assert read(RewardLog(path, step_range=(2, 2))).rewards[:, 0].tolist() == [3, 4]


def test_a_truncated_parquet_file_is_named_and_can_be_skipped(write_log: Any, small_table: Columns) -> None:
    good = write_log(small_table, "logs/1.parquet")
    bad = write_log({**small_table, "step": [2] * 4}, "logs/2.parquet")
    bad.write_bytes(bad.read_bytes()[:-20])
    with pytest.raises(DataFormatError, match="2.parquet is not a complete Parquet file"):
        read(RewardLog(good.parent))
    with pytest.raises(DataFormatError, match="not a complete Parquet file"):
        RewardLog(bad)
    log = RewardLog(good.parent, skip_bad_rows=True)
    assert len(read(log)) == 4
    assert any("1 unreadable file was skipped, from the damage on" in note for note in log.notes())


def test_two_logs_with_different_rewards_are_not_mixed(write_log: Any) -> None:
    write_log({"step": [1, 1], "group": [0, 0], "a": [1.0, 0.0], "b": [0.0, 1.0]}, "logs/1.parquet")
    path = write_log({"step": [2, 2], "group": [0, 0], "a": [1.0, 0.0], "c": [0.0, 1.0]}, "logs/2.parquet").parent
    with pytest.raises(DataFormatError, match="2.parquet has no reward 'b', which .*1.parquet has.*`rewards`"):
        read(RewardLog(path))
    assert len(read(RewardLog(path, ColumnChoices(rewards=["a"])))) == 4


def test_a_reward_that_only_the_second_file_has_is_no_secret(write_log: Any) -> None:
    write_log({"step": [1, 1], "group": [0, 0], "reward/a": [1.0, 0.0]}, "logs/1.parquet")
    path = write_log(
        {"step": [2, 2], "group": [0, 0], "reward/a": [1.0, 0.0], "reward/b": [1.0, 0.0]}, "logs/2.parquet"
    )
    with pytest.raises(DataFormatError, match="has the reward 'reward/b', which .*1.parquet lacks"):
        read(RewardLog(path.parent))


def test_a_file_that_is_damaged_inside_counts_up_to_there(write_log: Any, small_table: Columns) -> None:
    path = write_log(small_table, "logs/1.parquet")
    bad = write_log({**small_table, "step": [2] * 4}, "logs/2.parquet")
    content = bytearray(bad.read_bytes())
    content[4:60] = bytes(56)
    bad.write_bytes(content)
    log = RewardLog(path.parent, skip_bad_rows=True)
    assert len(read(log)) == 4
    assert len(log.unreadable) == 1
    with pytest.raises(DataFormatError, match="2.parquet"):
        read(RewardLog(path.parent))


def test_a_folder_of_broken_files_says_so_even_when_skipping(tmp_path: Path) -> None:
    (tmp_path / "1.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataFormatError, match="no file that can be read"):
        RewardLog(tmp_path, skip_bad_rows=True)


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "log.parquet"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    where=st.floats(0, 1),
    gone=st.integers(0, 12),
    come=st.sampled_from([b"", b"\n", b'"', b",", b"\xff\xfe", b"\x00", b"1e999", b"null", b"[1, 2]", b'{"x": ']),
)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    write_log: Any, small_table: Columns, name: str, where: float, gone: int, come: bytes
) -> None:
    path = write_log(small_table, name)
    content = path.read_bytes()
    place = int(where * len(content))
    path.write_bytes(content[:place] + come + content[place + gone :])
    refusals: list[str] = []
    for skip in (False, True):
        try:
            log = RewardLog(path, skip_bad_rows=skip)
            log.texts(read(log).places.tolist())
        except DataFormatError as error:
            refusals.append(str(error))
    assert all(str(path) in refusal for refusal in refusals)


@pytest.mark.parametrize("root", [b"null", b"1.5", b'"text"', b"true", b"[1, 2]", b'{"step": 1} null {"step": 2}'])
def test_a_value_that_is_no_object_never_reaches_the_fast_parser(
    root: bytes, write_log: Any, small_table: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_log({**small_table, "completion": ["}x{", "} null", '{"a": 1} b', "[}"]}, "log.jsonl")
    parsed = []
    read_json = jsonl_table.pj.read_json
    monkeypatch.setattr(
        jsonl_table.pj, "read_json", lambda *args, **kwargs: parsed.append(1) or read_json(*args, **kwargs)
    )
    assert len(read(RewardLog(path))) == 4
    assert parsed  # braces in a text are no values at the root
    parsed.clear()
    path.write_bytes(path.read_bytes() + root + b"\n")
    assert len(read(RewardLog(path, skip_bad_rows=True))) == 4
    assert not parsed
