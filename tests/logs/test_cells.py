"""Numbers and texts out of cells of any type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from log_fixtures import group_rewards, read

from gd2po.diagnosis import RewardLog
from gd2po.logs.cells import as_readable, as_text


def test_words_for_missing_and_truth_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("group,x,y\na,TRUE,NA\na,false,\na,#N/A,null\na,1,0.5\n")
    rewards = read(RewardLog(path)).rewards
    np.testing.assert_array_equal(rewards, np.array([[1, np.nan], [0, np.nan], [np.nan, np.nan], [1, 0.5]], np.float32))


def test_content_parts_of_images_and_text_are_joined_as_text(tmp_path: Path) -> None:
    parts = [{"type": "image", "text": None}, {"type": "text", "text": "What is this?"}]
    table = {"group": [0, 0], "prompt": [[{"role": "user", "content": parts}]] * 2, "x": [1.0, 0.0]}
    pq.write_table(pa.table(table), tmp_path / "log.parquet")
    prompt = RewardLog(tmp_path / "log.parquet").texts([0])[0][0]
    assert prompt is not None
    assert prompt.endswith("What is this?")


def test_bytes_that_are_no_text_are_shown_as_such(tmp_path: Path) -> None:
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xff", b"ok"], pa.binary()).buffers())
    table = {"prompt": broken, "completion": broken, "x": [1.0, 0.0], "": [1.0, 0.0]}
    pq.write_table(pa.table(table), tmp_path / "log.parquet")
    log = RewardLog(tmp_path / "log.parquet")
    assert log.layout.reward_names == ["x"]
    assert [len(group) for group in group_rewards(log)] == [1, 1]
    assert log.texts([0])[0] == ("\ufffd", "\ufffd")


def test_views_bytes_and_broken_text_become_text() -> None:
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"a\xff", b"b"], pa.binary()).buffers())
    for column in (
        broken,
        pa.array([b"a\xff", b"b"]),
        pa.array([b"a\xff", b"b"], pa.large_binary()),
        pa.array([b"a\xff", b"b"], pa.binary_view()),
        broken.dictionary_encode(),
    ):
        assert as_text(as_readable(column)).to_pylist() == ["a\ufffd", "b"]
    assert as_readable(pa.array(["1", None], pa.string_view())).to_pylist() == ["1", None]
    assert as_readable(pa.array([b"ab", None], pa.binary(2))).to_pylist() == ["ab", None]
    fine = pa.array(["a", "b"])
    assert as_readable(fine) is fine


def test_broken_text_inside_lists_is_a_replacement_character() -> None:
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"a\xff", b"b"], pa.binary()).buffers())
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), broken)
    assert as_text(lists).to_pylist() == ["\ufffd", "b"]


def test_text_nested_beyond_reason_is_a_replacement_character() -> None:
    deep: list[object] = []
    for _ in range(900):
        deep = [deep]
    assert as_text(pa.array([deep, [[]]])).to_pylist()[0] == "\ufffd"
