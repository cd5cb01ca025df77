"""The completions that a real run of ms-swift logged (data/train_swift.py)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from log_fixtures import group_rewards, json_lines, read, write_json_lines

from gd2po.diagnosis import RewardLog, diagnose
from gd2po.errors import DataFormatError

RUN = Path(__file__).parents[1] / "data" / "swift"
LINES = json_lines(RUN / "completions.jsonl")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RUN, tmp_path / "v0-20261126-134400"))


def write(run: Path, *lines: dict[str, Any]) -> Path:
    return write_json_lines(run / "completions.jsonl", lines).parent


def test_each_batch_of_a_run_is_read_once_in_its_groups(run: Path) -> None:
    log = RewardLog(run)
    assert log.layout.format == "swift"
    assert log.layout.reward_names == ["Digits", "Brief"]
    rows = read(log)
    assert rows.steps.tolist() == [1] * 16 + [3] * 16  # a batch trains for two steps, the last is logged a third time
    wanted = [[line[name] for name in ("Digits", "Brief")] for line in (LINES[0], LINES[2])]
    assert np.array_equal(rows.rewards, np.concatenate(wanted, axis=1).T.astype(np.float32), equal_nan=True)
    assert np.isnan(rows.rewards).sum() > 0
    assert [len(group) for group in group_rewards(log)] == [4] * 8
    prompt, completion = log.texts([int(rows.places[17])])[int(rows.places[17])]
    assert (prompt, completion) == (LINES[2]["prompt"][1], LINES[2]["completion"][1])
    assert log.place(int(rows.places[17])).endswith("completions.jsonl line 3")
    notes = " ".join(log.notes())
    assert "1 line repeats a step that was logged before" in notes
    assert "2 steps repeat the rollouts of the step before" in notes


def test_the_weights_are_those_of_the_runs_arguments(run: Path) -> None:
    log = RewardLog(run)
    assert set(log.step_weights.values()) == {(1.0, 0.5)}
    assert diagnose(log).source.weights_origin == "run"


@pytest.mark.parametrize("arguments", [None, "", "[]", "{}", '{"reward_weights": [1]}', '{"reward_weights": ["a", 1]}'])
def test_without_weights_in_the_arguments_they_are_assumed(run: Path, arguments: str | None) -> None:
    (run / "args.json").unlink()
    if arguments is not None:
        (run / "args.json").write_text(arguments)
    assert diagnose(RewardLog(run)).source.weights_origin == "assumed"


def test_other_files_of_the_run_are_left_alone(run: Path) -> None:
    (run / "logging.jsonl").write_text('{"loss": 0.5}\n')
    log = RewardLog(run)
    assert log.files.paths == [run / "completions.jsonl"]
    assert log.files.run_folder == run


def test_columns_behind_the_advantages_are_no_rewards(run: Path) -> None:
    lines = [line | {"num_turns": [1] * 16, "entropy": [0.5] * 16} for line in LINES]
    assert RewardLog(write(run, *lines)).layout.reward_names == ["Digits", "Brief"]


def test_an_evaluation_logged_at_a_training_step_is_left_out(run: Path) -> None:
    evaluation = LINES[2] | {"step": ["1"] * 16}
    assert read(RewardLog(write(run, LINES[0], evaluation))).steps.tolist() == [1] * 16


def test_a_line_with_columns_of_different_lengths_is_a_bad_row(run: Path) -> None:
    write(run, LINES[0], LINES[2] | {"Brief": [1.0]})
    with pytest.raises(DataFormatError, match=r"completions.jsonl line 2: not a line as those before"):
        read(RewardLog(run))
    log = RewardLog(run, skip_bad_rows=True)
    assert len(read(log)) == 16
    assert "1 malformed row was skipped" in " ".join(log.notes())


def test_a_line_of_many_long_rollouts_is_read(run: Path) -> None:
    long = LINES[0] | {"completion": ["x" * 1_100_000] * 16}  # 17 MB, more than one rollout of a plain log may take
    assert len(read(RewardLog(write(run, long)))) == 16
