"""The rollout log of gd2po is recognised."""

from __future__ import annotations

from typing import Any

from log_fixtures import Columns, group_rewards, read

from gd2po.diagnosis import RewardLog


def test_a_run_folder_of_gd2po_is_recognised(write_log: Any, small_table: Columns) -> None:
    columns = {"step": small_table["step"], "group": [0, 0, 1, 1], "reward/correct": small_table["correct"]}
    path = write_log({**columns, "advantage": [0.0] * 4, "kept": [True] * 4}, "run/rollouts/step_000001.parquet")
    write_log(
        {**columns, "step": [2] * 4, "advantage": [0.0] * 4, "kept": [True] * 4}, "run/rollouts/step_000002.parquet"
    )
    log = RewardLog(path.parents[1])
    assert log.layout.format == "gd2po"
    assert log.layout.reward_names == ["correct"]
    assert len(group_rewards(log)) == 4
    # A step may generate several batches; the same ids in two files are two groups.
    write_log(
        {**columns, "step": [2] * 4, "advantage": [0.0] * 4, "kept": [True] * 4}, "run/rollouts/step_000002_2.parquet"
    )
    assert len(group_rewards(RewardLog(path.parents[1]))) == 6


def test_its_tokens_are_lengths_however_short_the_completions(write_log: Any) -> None:
    columns = {"step": [1, 1], "group": [0, 0], "reward/x": [1.0, 0.0], "completion_tokens": [2, 3]}
    log = RewardLog(write_log(columns))
    assert read(log).lengths.tolist() == [2, 3]
    del columns["completion_tokens"]
    assert RewardLog(write_log(columns)).layout.length is None


def test_a_table_with_marked_rewards_but_no_step_is_a_plain_one(write_log: Any) -> None:
    log = RewardLog(write_log({"group": [0, 0], "reward/x": [1.0, 0.0]}))
    assert log.layout.format == "plain"
    assert log.layout.reward_names == ["x"]
