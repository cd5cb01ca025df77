"""Whole groups out of rows in any order."""

from __future__ import annotations

from typing import Any

import pytest
from log_fixtures import group_rewards, read

from gd2po.diagnosis import ColumnChoices, RewardLog
from gd2po.errors import DataFormatError
from gd2po.logs.grouping import StepReturnsError


def test_a_group_size_makes_blocks_of_rows(write_log: Any) -> None:
    path = write_log({"x": [1.0, 2.0, 3.0, 4.0]})
    assert group_rewards(RewardLog(path, ColumnChoices(group_size=2))) == [[[1], [2]], [[3], [4]]]
    with pytest.raises(DataFormatError, match="got 3, and step 0 has 4 rollouts"):
        read(RewardLog(path, ColumnChoices(group_size=3)))


def test_groups_in_disorder_inside_a_step_are_put_together(write_log: Any) -> None:
    log = RewardLog(write_log({"step": [1, 1, 1, 1], "group": ["b", "a", "b", "a"], "x": [1.0, 2.0, 3.0, 4.0]}))
    assert group_rewards(log) == [[[1], [3]], [[2], [4]]]


def test_steps_in_disorder_are_noticed_and_sorted_on_demand(write_log: Any) -> None:
    columns = {"step": [1, 2, 1, 2], "group": [0, 0, 0, 0], "x": [1.0, 2.0, 3.0, 4.0]}
    log = RewardLog(write_log(columns))
    with pytest.raises(StepReturnsError):
        read(log)
    assert group_rewards(log, in_order=False) == [[[1], [3]], [[2], [4]]]


def test_a_group_may_span_the_files_of_a_plain_log(write_log: Any) -> None:
    write_log({"step": [1, 1], "group": ["a", "b"], "x": [1.0, 2.0]}, "logs/1.parquet")
    write_log({"step": [1, 1], "group": ["b", "a"], "x": [3.0, 4.0]}, "logs/2.parquet")
    path = write_log({"step": [2, 2], "group": ["a", "a"], "x": [5.0, 6.0]}, "logs/3.parquet").parent
    assert group_rewards(RewardLog(path)) == [[[1], [4]], [[2], [3]], [[5], [6]]]
