"""The writer of the rollout log: its columns, files and metadata, and what a resumed run leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from log_fixtures import read

from gd2po import gd2po_advantages
from gd2po.diagnosis import RewardLog
from gd2po.errors import InvalidInputError, RunFolderError
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


def test_a_file_cut_off_before_the_resumed_step_is_set_aside_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = RolloutLog(tmp_path)
    paths = [write(first, step) for step in (1, 2, 3)]
    paths[1].write_bytes(paths[1].read_bytes()[:-10])
    write(RolloutLog(tmp_path), 3)
    assert sorted(path.name for path in (tmp_path / "rollouts").iterdir()) == [
        "step_000001.parquet",
        "step_000002.parquet.damaged",
        "step_000003.parquet",
    ]
    assert "step_000002.parquet is damaged" in caplog.text
    assert set(read(RewardLog(tmp_path)).steps.tolist()) == {1, 3}


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


def test_the_settings_of_the_run_are_in_every_file(tmp_path: Path) -> None:
    settings = {"method": "gd2po", "options": {"snr_threshold": "auto"}, "reward_weights": [1.0, 0.5], "seed": None}
    log = RolloutLog(tmp_path, settings)
    for step in (1, 2):
        metadata = pq.read_schema(write(log, step)).metadata
        assert json.loads(metadata[b"gd2po.run"]) == settings
    assert RewardLog(tmp_path).run_settings == settings


def test_a_log_without_settings_has_no_metadata_of_them(tmp_path: Path) -> None:
    path = write(RolloutLog(tmp_path), 1)
    assert b"gd2po.run" not in (pq.read_schema(path).metadata or {})
    assert RewardLog(tmp_path).run_settings is None


def test_a_resumed_run_with_other_settings_says_where_they_changed(tmp_path: Path) -> None:
    first = RolloutLog(tmp_path, {"method": "gdpo"})
    for step in (1, 2, 3):
        write(first, step)
    resumed = RolloutLog(tmp_path, {"method": "grpo"})
    for step in (3, 4):
        write(resumed, step)
    log = RewardLog(tmp_path)
    assert log.run_settings == {"method": "grpo"}
    assert "The settings of the run changed at step 3; those of the newest step count." in log.notes()


def test_settings_that_cannot_be_stored_are_refused_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="`run_settings` needs a mapping"):
        RolloutLog(tmp_path, {"weights": torch.ones(2)})


def test_the_reader_gives_back_what_the_writer_wrote(tmp_path: Path) -> None:
    write(RolloutLog(tmp_path), 7)
    log = RewardLog(tmp_path)
    rows = read(log)
    assert log.layout.format == "gd2po"
    assert log.layout.reward_names == ["correct", "short"]
    np.testing.assert_array_equal(rows.rewards, np.array([[1, np.nan], [0, 1], [0, 1], [1, 0]], np.float32))
    assert rows.steps.tolist() == [7] * 4
    assert rows.lengths.tolist() == [1, 2, 3, 4]
    assert list(log.texts(rows.places.tolist()).values()) == [("a", "one"), ("a", "two"), ("b", "three"), ("b", "four")]
