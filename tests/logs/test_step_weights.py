"""The weights of each step, out of the columns of a log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gd2po.diagnosis import ColumnChoices, RewardLog

COLUMNS = {
    "step": [1, 1, 2, 2],
    "group": [0, 0, 0, 0],
    "reward/good": [1.0, 0.0, 0.5, 1.0],
    "reward/length_reward": [0.0, 1.0, 0.5, 0.2],
    "weight/good": [1.0, 1.0, 1.0, 1.0],
    "weight/length_reward": [0.0, 0.0, 0.5, 0.5],
}


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_the_weights_of_each_step_are_read_from_any_format(write_log: Any, suffix: str) -> None:
    log = RewardLog(write_log(COLUMNS, f"log{suffix}"))
    assert log.layout.reward_names == ["good", "length_reward"]  # and no weight among them
    assert log.step_weights == {1: (1.0, 0.0), 2: (1.0, 0.5)}


def test_they_follow_the_rewards_that_are_read(write_log: Any) -> None:
    path = write_log(COLUMNS)
    assert RewardLog(path, ColumnChoices(rewards=["length_reward"])).step_weights == {1: (0.0,), 2: (0.5,)}


def test_files_without_them_and_cells_without_a_number_are_left_out(tmp_path: Path) -> None:
    plain = {name: values for name, values in COLUMNS.items() if not name.startswith("weight/")}
    pd.DataFrame(plain).to_parquet(tmp_path / "a.parquet")
    assert RewardLog(tmp_path).step_weights == {}
    odd = {**COLUMNS, "step": [3, 3, 4, 4], "weight/good": [float("nan"), float("inf"), 2.0, 2.0]}
    pd.DataFrame(odd).to_parquet(tmp_path / "b.parquet")
    assert RewardLog(tmp_path).step_weights == {4: (2.0, 0.5)}
