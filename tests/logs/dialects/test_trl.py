"""TRL's completions table: groups by runs of a prompt, rewards by the advantage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from log_fixtures import group_rewards

from gd2po.diagnosis import RewardLog


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


def trl_table(rewards: dict[str, list[float]], advantage: list[float]) -> pa.Table:
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
