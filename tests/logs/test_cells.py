"""Numbers and texts out of cells of any type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from log_fixtures import group_rewards, read

from gd2po.diagnosis import RewardLog


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
