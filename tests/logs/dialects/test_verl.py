"""verl's rollout dump, with components and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from log_fixtures import group_rewards, read, write_json_lines

from gd2po.diagnosis import RewardLog


def verl_rows(step: int, **extra: list[Any]) -> list[dict[str, Any]]:
    """What verl writes for four rollouts of two prompts, balanced over devices and so in no order."""
    base = [{"input": f"user {prompt}", "output": "...", "gts": None, "score": 1.0, "step": step} for prompt in "abba"]
    return [row | {key: values[index] for key, values in extra.items()} for index, row in enumerate(base)]


def write_verl(folder: Path, step: int, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(exist_ok=True)
    write_json_lines(folder / f"{step}.jsonl", rows)


def test_a_verl_dump_with_components_groups_by_prompt(tmp_path: Path) -> None:
    for step in (9, 10):
        rows = verl_rows(
            step, acc=[True, False, True, False], format=[1.0, 0.5, float("nan"), 0.0], pred=["4", "5", "4", "4"]
        )
        write_verl(tmp_path / "dump", step, rows)
    log = RewardLog(tmp_path / "dump")
    assert log.layout.format == "verl"
    assert log.layout.reward_names == ["acc", "format"]
    assert log.texts([0])[0] == ("user a", "...")
    groups = group_rewards(log)
    assert groups[0] == [[1.0, 1.0], [0.0, 0.0]]
    assert [len(group) for group in groups] == [2, 2, 2, 2]
    assert np.isnan(read(log).rewards).sum() == 2  # the literal NaN that verl writes


def test_a_verl_dump_with_uids_groups_by_the_prompts_part(tmp_path: Path) -> None:
    uids = ["q1_0_0", "q2_0_0", "q2_1_0", "q1_1_0"]
    write_verl(tmp_path / "dump", 1, [row | {"input": "same"} for row in verl_rows(1, uid=uids)])
    log = RewardLog(tmp_path / "dump")
    assert log.layout.reward_names == ["score"]
    assert [len(group) for group in group_rewards(log)] == [2, 2]
    assert "total score without its components" in " ".join(log.notes())


@pytest.mark.parametrize("uids", [["q1", "q2", "q2", "q1"], ["q1_0_0", "q1_0_0", "q2", "q2"], [1, 2, 2, 1]])
def test_uids_of_another_kind_do_not_lose_a_suffix(tmp_path: Path, uids: list[Any]) -> None:
    write_verl(tmp_path / "dump", 1, verl_rows(1, uid=uids))
    groups = RewardLog(tmp_path / "dump").layout.groups
    assert (groups.column, groups.id_suffix) == ("uid", None)


def test_numbers_that_verl_logs_beside_the_rewards_are_none(tmp_path: Path) -> None:
    rows = verl_rows(1, acc=[1.0, 0.0, 1.0, 0.0], brief=[0.1] * 4, request_id=[5, 6, 7, 8], overlong=[True] * 4)
    write_verl(tmp_path / "dump", 1, [row | {"gts": 42} for row in rows])
    assert RewardLog(tmp_path / "dump").layout.reward_names == ["acc", "brief"]


def test_equal_prompts_of_two_steps_are_two_groups_and_no_group_size_is_proposed(tmp_path: Path) -> None:
    for step in (1, 2):
        write_verl(tmp_path / "dump", step, verl_rows(step, acc=[1.0, 0.0, 1.0, 0.0]))
    log = RewardLog(tmp_path / "dump")
    assert [len(group) for group in group_rewards(log)] == [2] * 4
    assert "`group_size`" not in " ".join(log.notes())


def test_equal_prompts_in_two_files_of_one_step_are_two_groups(tmp_path: Path) -> None:
    for run in (1, 2):
        write_verl(tmp_path / "dump", run, verl_rows(1, acc=[1.0, 0.0, 1.0, 0.0]))
    assert [len(group) for group in group_rewards(RewardLog(tmp_path / "dump"))] == [2] * 4
