from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from gd2po import gd2po_advantages
from gd2po.errors import RunFolderError
from gd2po.logs.rollout_log import RolloutLog, as_text


def write(log: RolloutLog, step: int, prompts: list[Any] | None = None) -> Path:
    rewards = torch.tensor([[1.0, float("nan")], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    group_ids = torch.tensor([0, 0, 1, 1])
    return log.write(
        step,
        reward_names=["correct", "short"],
        group_ids=group_ids,
        prompts=prompts or ["a", "a", "b", "b"],
        completions=["one", "two", "three", "four"],
        rewards=rewards,
        result=gd2po_advantages(rewards, group_ids, snr_threshold=1.0),
        token_counts=torch.tensor([1, 2, 3, 4]),
    )


def test_a_step_becomes_a_file_with_a_column_per_reward(tmp_path: Path) -> None:
    path = write(RolloutLog(tmp_path), 3)
    assert path == tmp_path / "rollouts" / "step_000003.parquet"
    table = pd.read_parquet(path)
    assert table["step"].tolist() == [3] * 4
    assert table["group"].tolist() == [0, 0, 1, 1]
    assert table["reward/correct"].tolist() == [1, 0, 0, 1]
    assert table["reward/short"].isna().tolist() == [True, False, False, False]
    assert table["conflict"].tolist() == [False, False, True, True]
    assert table["kept"].tolist() == [True, True, False, False]
    assert table["completion_tokens"].tolist() == [1, 2, 3, 4]


def test_a_resumed_run_replaces_the_steps_it_does_again(tmp_path: Path) -> None:
    first = RolloutLog(tmp_path)
    for step in (1, 2, 3, 4):
        write(first, step)
    write(RolloutLog(tmp_path), 3)
    assert sorted(path.name for path in (tmp_path / "rollouts").iterdir()) == [
        "step_000001.parquet",
        "step_000002.parquet",
        "step_000003.parquet",
    ]


def test_a_run_that_starts_anew_keeps_the_log_of_another(tmp_path: Path) -> None:
    write(RolloutLog(tmp_path), 1)
    with pytest.raises(RunFolderError, match="holds the rollouts of another run"):
        write(RolloutLog(tmp_path), 1)
    assert len(list((tmp_path / "rollouts").iterdir())) == 1


def test_a_second_batch_of_a_step_gets_a_file_of_its_own(tmp_path: Path) -> None:
    log = RolloutLog(tmp_path)
    assert write(log, 1) != write(log, 1)


def test_an_unfinished_file_is_no_part_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "rollouts").mkdir()
    (tmp_path / "rollouts" / "step_000001.tmp").write_bytes(b"PAR1")
    write(RolloutLog(tmp_path), 1)
    assert len(pd.read_parquet(tmp_path / "rollouts" / "step_000001.parquet")) == 4


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ([{"role": "assistant", "content": "answer"}], "answer"),
        ([{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}], "system: be brief\nuser: hi"),
        ([{"role": "assistant", "content": None}], ""),
        ([{"role": "user", "content": [{"type": "image"}]}], "user: [{'type': 'image'}]"),
        ([{"role": "assistant", "content": "", "tool_calls": [1]}], "[1]"),
    ],
)
def test_messages_become_readable_text(value: Any, text: str) -> None:
    assert as_text(value) == text
