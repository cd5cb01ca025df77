"""TRL's completions table: groups by runs of a prompt, rewards by the advantage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from log_fixtures import group_rewards, read

from gd2po.diagnosis import ColumnChoices, RewardLog


def test_a_trl_table_groups_consecutive_rows_of_one_prompt(tmp_path: Path) -> None:
    # "hello" was drawn twice in a row, so a run of four rollouts is two groups of two.
    prompts = ["hello"] * 4 + ["there"] * 2 + ["hello"] * 2
    messages = [[{"role": "user", "content": text}] for text in prompts]
    table = {
        "step": [1] * 8, "prompt": messages, "completion": [[{"role": "assistant", "content": "ok"}]] * 8,
        "x": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], "advantage": [-0.7, 0.7] * 4,
    }  # fmt: skip
    (tmp_path / "completions").mkdir()
    pq.write_table(pa.table(table), tmp_path / "completions" / "completions_00001.parquet")
    log = RewardLog(tmp_path)
    assert [len(group) for group in group_rewards(log)] == [2, 2, 2, 2]
    assert log.texts([0])[0] == ("hello", "ok")
    assert any("2 to a group" in note for note in log.notes())
    assert any("1 longer run of one prompt was split" in note for note in log.notes())


def test_an_odd_run_of_a_trl_table_is_one_group_with_a_note(tmp_path: Path) -> None:
    prompts = ["a"] * 4 + ["b"] * 4 + ["c"] * 3
    table = {
        "step": [1] * 11,
        "prompt": prompts,
        "completion": ["ok"] * 11,
        "x": np.arange(11.0),
        "advantage": np.arange(11.0),
    }
    pq.write_table(pa.table(table), tmp_path / "completions_00001.parquet")
    log = RewardLog(tmp_path)
    assert [len(group) for group in group_rewards(log)] == [4, 4, 3]
    assert any("1 run of one prompt is not a multiple" in note for note in log.notes())


def trl_table(rewards: dict[str, Any], advantage: Any) -> pa.Table:
    count = len(advantage)
    prompts = [f"prompt {row // 2}" for row in range(count)]
    return pa.table(
        {"step": [1] * count, "prompt": prompts, "completion": ["ok"] * count, **rewards, "advantage": advantage}
    )


def test_extra_columns_of_a_trl_table_are_told_from_rewards_by_the_advantage(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x, y, extra = random.normal(size=(3, 40))
    total = (x + y).reshape(-1, 2)
    advantage = ((total - total.mean(1, keepdims=True)) / (total.std(1, ddof=1, keepdims=True) + 1e-4)).ravel()
    path = tmp_path / "table.parquet"
    pq.write_table(trl_table({"x": x, "y": y, "extra": extra}, advantage), path)
    log = RewardLog(path)
    assert log.layout.reward_names == ["x", "y"]
    assert "extra contributes nothing to it and is excluded" in " ".join(log.notes())
    pq.write_table(trl_table({"x": x, "y": y, "extra": extra}, random.normal(size=40)), path)
    log = RewardLog(path)
    assert log.layout.reward_names == ["x", "y", "extra"]
    assert "No sum of them" in " ".join(log.notes())


def centred(values: np.ndarray) -> np.ndarray:
    pairs = values.reshape(-1, 2)
    return np.asarray((pairs - pairs.mean(1, keepdims=True)).ravel())


def test_rewards_are_found_behind_an_advantage_of_standardised_rewards(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x, y, extra = random.normal(size=(3, 40)) * np.array([[1.0], [20.0], [1.0]])
    advantage = np.sign(centred(x)) + np.sign(centred(y))  # a pair standardised is ±1 up to a factor
    pq.write_table(trl_table({"x": x, "y": y, "extra": extra}, advantage), tmp_path / "table.parquet")
    log = RewardLog(tmp_path / "table.parquet")
    assert log.layout.reward_names == ["x", "y"]
    assert "Rewards are x, y: their sum gives the logged advantage." in " ".join(log.notes())


@pytest.mark.parametrize("choices", [ColumnChoices(), ColumnChoices(group="prompt"), ColumnChoices(group_size=2)])
def test_a_batch_that_trains_for_two_steps_counts_once(tmp_path: Path, choices: ColumnChoices) -> None:
    (tmp_path / "completions").mkdir()
    x = np.arange(4.0)
    for step in (1, 2, 3):
        table = trl_table({"x": x + (step == 3)}, [-1.0, 1.0] * 2).set_column(0, "step", pa.array([step] * 4))
        pq.write_table(table, tmp_path / "completions" / f"completions_{step:05d}.parquet")
    log = RewardLog(tmp_path, choices)
    assert read(log).steps.tolist() == [1] * 4 + [3] * 4
    assert "1 step repeats the rollouts of the step before and is excluded" in " ".join(log.notes())


def test_a_group_size_overrides_the_common_run(tmp_path: Path) -> None:
    pq.write_table(trl_table({"x": [0.0, 1.0, 2.0, 3.0]}, [-1.0, 1.0] * 2), tmp_path / "table.parquet")
    log = RewardLog(tmp_path / "table.parquet", ColumnChoices(group_size=4))
    assert [len(group) for group in group_rewards(log)] == [4]


def test_a_reward_may_be_missing_for_some_rollouts(tmp_path: Path) -> None:
    table = trl_table({"x": [0.0, 1.0, 0.0, 1.0], "y": [1.0, None, 1.0, 0.0]}, [0.0, 0.0, 1.0, -1.0])
    pq.write_table(table, tmp_path / "table.parquet")
    assert np.isnan(read(RewardLog(tmp_path / "table.parquet")).rewards).sum() == 1


def test_a_reward_that_never_differs_is_a_reward_all_the_same(tmp_path: Path) -> None:
    x = [0.0, 1.0, 3.0, 2.0]
    pq.write_table(trl_table({"x": x, "solved": [0.0] * 4}, centred(np.array(x))), tmp_path / "table.parquet")
    assert RewardLog(tmp_path / "table.parquet").layout.reward_names == ["x", "solved"]


def test_a_run_ends_with_its_file(tmp_path: Path) -> None:
    for file in (1, 2):
        table = trl_table({"x": [0.0, 1.0 + file]}, [-1.0, 1.0])
        pq.write_table(table, tmp_path / f"completions_{file}.parquet")
    assert group_rewards(RewardLog(tmp_path)) == [[[0], [2]], [[0], [3]]]
