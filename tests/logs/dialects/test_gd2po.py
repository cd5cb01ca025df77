"""The rollout log of gd2po is recognised."""

from __future__ import annotations

from typing import Any

from log_fixtures import Columns, group_rewards

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
