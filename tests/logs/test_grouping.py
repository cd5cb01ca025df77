"""Whole groups out of rows in any order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_fixtures import group_rewards, read

from gd2po.diagnosis import ColumnChoices, RewardLog
from gd2po.errors import DataFormatError
from gd2po.logs import grouping, parts
from gd2po.logs.grouping import StepReturnsError
from gd2po.logs.tables import table


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


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of more than four rollouts are too large to hold, and six are sorted at a time."""
    monkeypatch.setattr(grouping, "LARGEST_STEP", 4)
    monkeypatch.setattr(grouping, "CHUNK_ROLLOUTS", 2)
    monkeypatch.setattr(parts, "MOST_ROLLOUTS", 6)
    monkeypatch.setattr(table, "BATCH_ROWS", 3)


def chunk_sizes(log: RewardLog, *, in_order: bool = True) -> list[int]:
    return [len(chunk.rows) for chunk in log.chunks(in_order=in_order)]


@pytest.mark.usefixtures("small_steps")
def test_a_large_step_is_read_in_pieces_of_whole_groups(write_log: Any) -> None:
    groups = np.repeat(np.arange(20), 2)
    log = RewardLog(write_log({"group": groups.tolist(), "x": np.arange(40.0).tolist()}))
    assert group_rewards(log) == [[[2 * k], [2 * k + 1]] for k in range(20)]
    assert max(chunk_sizes(log)) <= 6


@pytest.mark.usefixtures("small_steps")
def test_blocks_of_a_large_step_are_read_in_pieces(write_log: Any) -> None:
    path = write_log({"x": np.arange(40.0).tolist()})
    assert group_rewards(RewardLog(path, ColumnChoices(group_size=4)))[-1] == [[36], [37], [38], [39]]
    assert max(chunk_sizes(RewardLog(path, ColumnChoices(group_size=4)))) <= 8
    with pytest.raises(DataFormatError, match="got 3, and step 0 has 40 rollouts"):
        read(RewardLog(path, ColumnChoices(group_size=3)))


@pytest.mark.usefixtures("small_steps")
def test_a_group_that_outgrows_a_piece_stays_whole(write_log: Any) -> None:
    log = RewardLog(write_log({"group": [0] * 30 + [1, 1], "x": np.arange(32.0).tolist()}))
    assert [len(group) for group in group_rewards(log)] == [30, 2]


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("names", [str, int])
def test_groups_of_a_large_step_that_return_are_collected_in_parts(write_log: Any, names: Any) -> None:
    order = np.random.default_rng(0).permutation(40)
    log = RewardLog(write_log({"group": [names(k // 2) for k in order], "x": order.astype(float).tolist()}))
    with pytest.raises(StepReturnsError):
        read(log)
    found = group_rewards(log, in_order=False)
    assert sorted(sorted(group) for group in found) == [[[2 * k], [2 * k + 1]] for k in range(20)]
    assert max(chunk_sizes(log, in_order=False)) < 20


@pytest.mark.usefixtures("small_steps")
def test_steps_in_disorder_are_sorted_a_few_at_a_time(write_log: Any) -> None:
    order = np.random.default_rng(0).permutation(40)
    rows = {"step": (order // 4).tolist(), "group": (order // 2).tolist(), "x": order.astype(float).tolist()}
    log = RewardLog(write_log(rows))
    chunks = list(log.chunks(in_order=False))
    assert [len(chunk.rows) for chunk in chunks] == [4] * 10
    assert [int(chunk.rows.steps[0]) for chunk in chunks] == list(range(10))
    assert sorted(sorted(group) for group in group_rewards(log, in_order=False)) == [
        [[2 * k], [2 * k + 1]] for k in range(20)
    ]


@pytest.mark.usefixtures("small_steps")
def test_bad_rows_count_once_however_often_a_log_is_read(write_log: Any) -> None:
    order = [k // 4 for k in np.random.default_rng(0).permutation(40)]
    log = RewardLog(write_log({"step": order, "group": order, "x": [float("inf"), *[1.0] * 39]}), skip_bad_rows=True)
    assert len(read(log, in_order=False)) == 39
    assert log.bad_rows.count == 1


@given(st.lists(st.integers(-5, 5)))
def test_numbers_are_known_once_they_were_seen(numbers: list[int]) -> None:
    seen = grouping.SeenNumbers()
    for place, number in enumerate(numbers):
        assert (number in seen) == (number in numbers[:place])
        seen.add(number)
